//! What a scrape brought, and the other things that a lane carries.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::Labels;

/// The text format of an exposition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Prometheus text format 0.0.4.
    Text,
    /// `OpenMetrics` text 1.0.0 (0.0.1 reads the same).
    OpenMetrics,
}

/// An exposition as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// The exposition as the target wrote it, content encoding undone.
    pub text: Bytes,
    /// How to read it.
    pub format: Format,
}

/// One scrape of one target, or what stands in its place.
///
/// `B` is what an exposition is held as: its [`Text`], or whatever stands for it elsewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct Scrape<B = Text> {
    /// The target's labels, `job` and `instance` among them.
    pub target: Arc<Labels>,
    /// Start of the scrape, milliseconds since the Unix epoch, by the poller's clock.
    pub time_ms: i64,
    /// What came of it.
    pub outcome: Outcome<B>,
}

/// What came of a scrape.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome<B = Text> {
    /// The target answered with an exposition that reads without an error.
    Exposed {
        /// The exposition.
        body: B,
        /// From the start of the request to the end of the body.
        duration: Duration,
    },
    /// The scrape failed: there is no sample, `up` is 0.
    Failed {
        /// Why.
        reason: FailureReason,
        /// From the start of the request to the failure.
        duration: Duration,
        /// What was read of the body until then.
        tally: Tally,
    },
    /// The target is not scraped any more.
    Gone,
    /// What the receiver says of its own; never on the wire.
    Noted(Note),
}

/// Samples of a body that is bad from some place on, or has too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Samples up to there.
    pub scraped: u64,
    /// Those of them that no rule drops.
    pub kept: u64,
}

impl Tally {
    /// Adds samples that no rule drops.
    #[must_use]
    pub fn and(self, samples: u64) -> Self {
        Self {
            scraped: self.scraped.saturating_add(samples),
            kept: self.kept.saturating_add(samples),
        }
    }
}

/// What a receiver says of its own where nothing came from a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// Nothing was heard of the target for `max_age`.
    Expired,
    /// Nothing was heard of the target's lane for `site_timeout`; the time is just behind that of
    /// the target's last scrape.
    Silent,
    /// Whether a site is heard of; the target is the site itself.
    Site {
        /// Whether it is.
        is_up: bool,
    },
}

/// Why a scrape failed: a closed set, fit for a label value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FailureReason {
    /// No complete answer within the scrape timeout.
    Timeout,
    /// The host name has no address.
    Dns,
    /// The target refused the connection.
    Refused,
    /// The connection could not be made for another cause.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// The answer's status is not 200.
    Status,
    /// Too many redirects, or one that leads nowhere.
    Redirect,
    /// The connection broke or the answer is not HTTP.
    Broken,
    /// The body is larger than `body_size_limit`.
    BodyTooLarge,
    /// The content encoding is unknown or damaged.
    Encoding,
    /// The body is not an exposition.
    BadSyntax,
    /// The scrape does not fit into one message of the bus.
    PayloadTooLarge,
    /// There are more samples than `sample_limit`.
    SampleLimit,
    /// A series has more labels, or longer ones, than the limits for labels allow.
    LabelLimit,
    /// The content type is none that can be read, and there is no fallback.
    ContentType,
    /// What authorizes the request cannot be had: a secret's file, or a token.
    Auth,
    /// The proxy did not make the connection.
    Proxy,
    /// A series has no valid name or labels once it is relabelled.
    BadName,
    /// The scrape configuration has more targets than its `target_limit`.
    TargetLimit,
}

impl FailureReason {
    /// All reasons, in the order of their code on the wire.
    pub const ALL: [Self; 19] = [
        Self::Timeout,
        Self::Dns,
        Self::Refused,
        Self::Connect,
        Self::Tls,
        Self::Status,
        Self::Redirect,
        Self::Broken,
        Self::BodyTooLarge,
        Self::Encoding,
        Self::BadSyntax,
        Self::PayloadTooLarge,
        Self::SampleLimit,
        Self::LabelLimit,
        Self::ContentType,
        Self::Auth,
        Self::Proxy,
        Self::BadName,
        Self::TargetLimit,
    ];

    /// Returns the label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Dns => "dns",
            Self::Refused => "refused",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Status => "status",
            Self::Redirect => "redirect",
            Self::Broken => "broken",
            Self::BodyTooLarge => "body_too_large",
            Self::Encoding => "encoding",
            Self::BadSyntax => "bad_syntax",
            Self::PayloadTooLarge => "payload_too_large",
            Self::SampleLimit => "sample_limit",
            Self::LabelLimit => "label_limit",
            Self::ContentType => "content_type",
            Self::Auth => "auth",
            Self::Proxy => "proxy",
            Self::BadName => "bad_name",
            Self::TargetLimit => "target_limit",
        }
    }
}

impl fmt::Display for FailureReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A lane's word that its poller lives, with every target that it scrapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// When it was written, milliseconds since the Unix epoch, by the poller's clock.
    pub time_ms: i64,
    /// The next one is due after this time.
    pub interval: Duration,
    /// [`Labels::stable_hash`] of every live target of the lane.
    pub live: Vec<u64>,
}

/// One entry of a lane.
#[derive(Debug, Clone, PartialEq)]
pub enum Record<B = Text> {
    /// A scrape, failed scrape or a target's end.
    Scrape(Scrape<B>),
    /// A sign of life.
    Heartbeat(Heartbeat),
}

impl<B> Scrape<B> {
    /// Holds the exposition as something else.
    pub fn map<C>(self, hold: impl FnOnce(B) -> C) -> Scrape<C> {
        let outcome = match self.outcome {
            Outcome::Exposed { body, duration } => Outcome::Exposed {
                body: hold(body),
                duration,
            },
            Outcome::Failed {
                reason,
                duration,
                tally,
            } => Outcome::Failed {
                reason,
                duration,
                tally,
            },
            Outcome::Gone => Outcome::Gone,
            Outcome::Noted(note) => Outcome::Noted(note),
        };
        Scrape {
            target: self.target,
            time_ms: self.time_ms,
            outcome,
        }
    }
}

impl<B> Record<B> {
    /// Holds the exposition as something else.
    pub fn map<C>(self, hold: impl FnOnce(B) -> C) -> Record<C> {
        match self {
            Self::Scrape(scrape) => Record::Scrape(scrape.map(hold)),
            Self::Heartbeat(heartbeat) => Record::Heartbeat(heartbeat),
        }
    }

    /// Returns the record's own time, milliseconds since the Unix epoch.
    pub fn time_ms(&self) -> i64 {
        match self {
            Self::Scrape(scrape) => scrape.time_ms,
            Self::Heartbeat(heartbeat) => heartbeat.time_ms,
        }
    }
}
