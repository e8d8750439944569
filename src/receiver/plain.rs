//! Plain exposition text, published by others than our poller.

use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;

use crate::exposition;
use crate::model::{Labels, Outcome, Record, Scrape, Text};

/// Names the job; required.
const HEADER_JOB: &str = "Prometheus-Job";

/// Names the instance; the publisher stands in for it.
const HEADER_INSTANCE: &str = "Prometheus-Instance";

/// When the exposition was taken, milliseconds since the Unix epoch; the time at which the stream
/// stored the message stands in for it.
const HEADER_TIME: &str = "Prometheus-Timestamp-Ms";

/// As with a scrape; plain text stands in for it.
const HEADER_CONTENT_TYPE: &str = "Content-Type";

/// Why a plain message is no scrape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum PlainError {
    #[error("header `Prometheus-Job` is missing or empty")]
    NoJob,
    #[error("header `Prometheus-Timestamp-Ms` is not a number of milliseconds")]
    Time,
    #[error("the text is not an exposition")]
    Syntax(#[source] exposition::SyntaxError),
}

impl PlainError {
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::NoJob | Self::Time => "headers",
            Self::Syntax(_) => "bad_syntax",
        }
    }
}

/// Reads a plain message.
pub(super) fn read(
    publisher: &str,
    headers: Option<&HeaderMap>,
    text: Bytes,
    stored_ms: i64,
) -> Result<Record, PlainError> {
    let header = |name: &str| headers?.get(name).map(async_nats::HeaderValue::as_str);
    let job = header(HEADER_JOB)
        .filter(|job| !job.is_empty())
        .ok_or(PlainError::NoJob)?;
    let instance = header(HEADER_INSTANCE).unwrap_or(publisher);
    let time_ms = match header(HEADER_TIME) {
        None => stored_ms,
        Some(time) => time.parse().map_err(|_not_a_number| PlainError::Time)?,
    };
    let format = exposition::format_of(header(HEADER_CONTENT_TYPE));
    exposition::check(&text, format).map_err(PlainError::Syntax)?;
    let target = Arc::new(Labels::of_target(job, instance));
    let outcome = Outcome::Exposed {
        body: Text { text, format },
        duration: Duration::ZERO,
    };
    Ok(Record::Scrape(Scrape {
        target,
        time_ms,
        outcome,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, *value);
        }
        headers
    }

    #[test]
    fn headers_name_the_target_and_the_time() {
        let headers = headers(&[
            (HEADER_JOB, "backup"),
            (HEADER_INSTANCE, "db1"),
            (HEADER_TIME, "1700000000123"),
        ]);
        let text = Bytes::from_static(b"backup_bytes 17\n");
        let record = read("USDC1", Some(&headers), text, 5).unwrap();
        let Record::Scrape(scrape) = record else {
            panic!("{record:?}")
        };
        assert_eq!(
            (scrape.target.job(), scrape.target.instance()),
            ("backup", "db1")
        );
        assert_eq!(scrape.time_ms, 1_700_000_000_123);
    }

    #[test]
    fn what_is_missing_has_a_stand_in_but_for_the_job() {
        let with_job = headers(&[(HEADER_JOB, "backup")]);
        let record = read("USDC1", Some(&with_job), Bytes::from_static(b"a 1\n"), 5).unwrap();
        let Record::Scrape(scrape) = record else {
            panic!("{record:?}")
        };
        assert_eq!((scrape.target.instance(), scrape.time_ms), ("USDC1", 5));
        assert_eq!(read("USDC1", None, Bytes::new(), 5), Err(PlainError::NoJob));
    }

    #[test]
    fn refuses_a_bad_time_and_bad_text() {
        let bad_time = headers(&[(HEADER_JOB, "a"), (HEADER_TIME, "yesterday")]);
        assert_eq!(
            read("x", Some(&bad_time), Bytes::new(), 5),
            Err(PlainError::Time)
        );
        let job = headers(&[(HEADER_JOB, "a")]);
        let html = Bytes::from_static(b"<html></html>\n");
        assert!(matches!(
            read("x", Some(&job), html, 5),
            Err(PlainError::Syntax(_))
        ));
    }
}
