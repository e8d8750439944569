//! What a target answers, as a function of how many scrapes one scraper has made of it.

use std::time::Duration;

/// One scrape as a target sees it.
pub(super) struct Ask<'a> {
    /// The number of this scrape, from 1, counted for each scraper.
    pub(super) number: u64,
    /// The path with its query.
    pub(super) path: &'a str,
    /// The headers, names in lower case.
    pub(super) headers: &'a [(String, String)],
    /// When the run began.
    pub(super) begun_ms: i64,
}

/// What explicit timestamps advance by from scrape to scrape.
const STEP_MS: i64 = 3000;

impl Ask<'_> {
    /// Returns the scrape's number as a value.
    pub(super) fn value(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "counts of a short run")]
        let value = self.number as f64;
        value
    }

    /// Returns a time that is the same for both scrapers in their scrapes of the same number.
    pub(super) fn time_ms(&self) -> i64 {
        self.begun_ms + i64::try_from(self.number).unwrap() * STEP_MS
    }

    /// Returns a header of the request, empty if it has none.
    pub(super) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }

    /// Returns one of these, in turn.
    pub(super) fn pick<'v, T>(&self, values: &'v [T]) -> &'v T {
        let count = u64::try_from(values.len()).unwrap();
        &values[usize::try_from((self.number - 1) % count).unwrap()]
    }
}

/// The answer to one scrape.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content_type: Option<&'static str>,
    pub(super) location: Option<String>,
    pub(super) body: Vec<u8>,
    pub(super) delay: Duration,
    pub(super) way: Way,
    /// Whether the connection ends with it. A scraper asks again where a connection that it has
    /// used before is reset.
    pub(super) is_last: bool,
}

/// How an answer is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// As it is.
    Whole,
    /// Compressed, if the scraper allows it.
    Gzip,
    /// In chunks.
    Chunked,
    /// The connection ends before the body does.
    Truncated,
    /// Half of the body, then nothing more.
    Stalls,
    /// Nothing at all.
    Silent,
    /// The connection is reset.
    Reset,
}

/// The type of the classic text.
pub(super) const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The type of an OpenMetrics text.
pub(super) const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

impl Answer {
    /// Answers with a page in the classic text format.
    pub(super) fn text(page: impl Into<Vec<u8>>) -> Self {
        Self {
            status: 200,
            content_type: Some(TEXT),
            location: None,
            body: page.into(),
            delay: Duration::ZERO,
            way: Way::Whole,
            is_last: false,
        }
    }

    /// Answers with an OpenMetrics page, which must have its end.
    pub(super) fn open_metrics(page: impl Into<Vec<u8>>) -> Self {
        Self {
            content_type: Some(OPEN_METRICS),
            ..Self::text(page)
        }
    }

    /// Sends it in another way.
    pub(super) fn sent(self, way: Way) -> Self {
        Self { way, ..self }
    }
}
