//! What a person sees of a message: its header and its records as text.
//!
//! In: a stored message's payload or a decoded record. Out: text that is an exposition itself,
//! with the target's labels and the scrape's time added to every sample and everything else in
//! comments, so that it can be read by eye and by any Prometheus tool. It delivers nothing and
//! remembers nothing.

use std::fmt::Write as _;

use crate::exposition::{Families, Label, Names, Timestamps, WriteOptions, write_text};
use crate::model::{Format, Heartbeat, Labels, Outcome, Record, Scrape, Text};
use crate::wire::{Frame, Header};

/// How to show an exposition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// With the target's labels and the scrape's time at every sample.
    Labeled,
    /// As the target wrote it.
    Raw,
}

/// Returns a whole frame as text.
pub fn frame(frame: &Frame, publisher: Option<&str>, style: Style) -> String {
    let Header {
        epoch,
        number,
        base,
    } = frame.header;
    let kind = if frame.header.is_key() {
        "key frame"
    } else {
        "delta frame"
    };
    let records = frame.records.len();
    let mut out = format!("# {kind} {number}, epoch {epoch}, base {base}, {records} records\n");
    for each in &frame.records {
        out.push_str(&record(each, publisher, style));
    }
    out
}

/// Returns a record as text.
pub fn record(record: &Record, publisher: Option<&str>, style: Style) -> String {
    match record {
        Record::Scrape(scrape) => self::scrape(scrape, publisher, style),
        Record::Heartbeat(Heartbeat {
            time_ms,
            interval,
            live,
        }) => {
            let (seconds, targets) = (interval.as_secs_f64(), live.len());
            format!("# heartbeat at {time_ms}: {targets} targets, next after {seconds}s\n")
        }
    }
}

fn scrape(scrape: &Scrape, publisher: Option<&str>, style: Style) -> String {
    let target = labels(&scrape.target, publisher);
    let time_ms = scrape.time_ms;
    match &scrape.outcome {
        Outcome::Exposed {
            body: Text { text, format },
            duration,
        } => {
            let (bytes, seconds) = (text.len(), duration.as_secs_f64());
            let mut out =
                format!("# scrape of {target} at {time_ms}: {bytes} bytes in {seconds}s\n");
            match style {
                Style::Raw => out.push_str(&String::from_utf8_lossy(text)),
                Style::Labeled => add_labeled(text, *format, scrape, publisher, &mut out),
            }
            out
        }
        Outcome::Failed { reason, duration } => {
            let seconds = duration.as_secs_f64();
            format!("# failed scrape of {target} at {time_ms}: {reason} after {seconds}s\n")
        }
        Outcome::Gone => format!("# target {target} is gone at {time_ms}\n"),
        Outcome::Expired => format!("# target {target} is silent at {time_ms}\n"),
    }
}

/// Writes the samples with the target's labels, which give way to none of the exposition's own.
fn add_labeled(
    text: &[u8],
    format: Format,
    scrape: &Scrape,
    publisher: Option<&str>,
    out: &mut String,
) {
    let mut families = match Families::parse(text, format) {
        Ok(families) => families,
        Err(error) => {
            // A formatter that writes into a string cannot fail.
            writeln!(out, "# cannot be read: {error}").unwrap_or_default();
            return;
        }
    };
    let added: Vec<(&str, &str)> = scrape
        .target
        .iter()
        .chain(publisher.map(|site| ("publisher", site)))
        .collect();
    for sample in families
        .iter_mut()
        .flat_map(|family| family.samples.iter_mut())
    {
        sample
            .labels
            .retain(|label| added.iter().all(|(name, _)| *name != label.name));
        sample
            .labels
            .extend(added.iter().map(|(name, value)| Label {
                name: (*name).to_owned().into(),
                value: (*value).to_owned().into(),
            }));
        sample.timestamp_ms.get_or_insert(scrape.time_ms);
    }
    let options = WriteOptions {
        timestamps: Timestamps::Keep,
        names: Names::Quote,
    };
    write_text(&families, options, out);
}

fn labels(target: &Labels, publisher: Option<&str>) -> String {
    let pairs = target
        .iter()
        .chain(publisher.map(|site| ("publisher", site)));
    let pairs: Vec<String> = pairs
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    format!("{{{}}}", pairs.join(","))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::model::FailureReason;

    fn scrape(outcome: Outcome) -> Record {
        let target = Arc::new(Labels::of_target("node", "db1:9100"));
        Record::Scrape(Scrape {
            target,
            time_ms: 1_700_000_000_123,
            outcome,
        })
    }

    fn exposed(text: &str) -> Record {
        let (text, format) = (text.to_owned().into(), Format::Text);
        scrape(Outcome::Exposed {
            body: Text { text, format },
            duration: Duration::from_millis(12),
        })
    }

    #[test]
    fn every_sample_has_its_target_and_its_time() {
        let text = record(
            &exposed("# TYPE a counter\na{job=\"x\"} 1\nb 2 7\n"),
            Some("DC1"),
            Style::Labeled,
        );
        assert_eq!(
            text,
            "# scrape of {instance=\"db1:9100\",job=\"node\",publisher=\"DC1\"} at 1700000000123: \
             36 bytes in 0.012s\n# TYPE a counter\n\
             a{instance=\"db1:9100\",job=\"node\",publisher=\"DC1\"} 1 1700000000123\n\
             # TYPE b untyped\n\
             b{instance=\"db1:9100\",job=\"node\",publisher=\"DC1\"} 2 7\n"
        );
    }

    #[test]
    fn raw_is_as_the_target_wrote_it() {
        let text = record(&exposed("a   1\n"), None, Style::Raw);
        assert!(text.ends_with("s\na   1\n"), "{text}");
    }

    #[test]
    fn events_are_comments() {
        let failed = Outcome::Failed {
            reason: FailureReason::Timeout,
            duration: Duration::from_secs(10),
        };
        let records = vec![scrape(failed), scrape(Outcome::Gone)];
        let header = Header {
            epoch: 5,
            number: 3,
            base: 3,
        };
        let text = frame(&Frame { header, records }, None, Style::Labeled);
        assert_eq!(
            text,
            "# key frame 3, epoch 5, base 3, 2 records\n\
             # failed scrape of {instance=\"db1:9100\",job=\"node\"} at 1700000000123: timeout \
             after 10s\n\
             # target {instance=\"db1:9100\",job=\"node\"} is gone at 1700000000123\n"
        );
    }
}
