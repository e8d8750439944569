//! The stream: found or created, never altered.

use std::error::Error as _;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::jetstream::context::{
    CreateStreamErrorKind, GetStreamError, GetStreamErrorKind, RequestError, RequestErrorKind,
};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use async_nats::jetstream::{ErrorCode, stream::Stream};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Bus, Settings, Storage};
use crate::retry::{Backoff, Retry, Retryable};

/// How long the server remembers message ids; a frame sent again within is stored once.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(2 * 60);

/// Why there is no stream to work with.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// It is missing and we may not create it.
    #[error("stream `{stream}` does not exist and `manage` is false; create it with: {command}")]
    Missing {
        /// Its name.
        stream: String,
        /// What an operator would type.
        command: String,
    },
    /// It exists and does not carry our subjects.
    #[error("stream `{stream}` {what}; change the stream, or `stream` or `topic` here")]
    Misfit {
        /// Its name.
        stream: String,
        /// What does not fit.
        what: String,
    },
    /// Another stream carries our subjects.
    #[error("another stream carries subjects of `{topic}.>` already; name it with `stream`")]
    Overlap {
        /// The topic.
        topic: String,
    },
    /// The server created something else than it was asked for.
    #[error("the server created stream `{stream}` with another {what} than asked for")]
    NotAsAsked {
        /// Its name.
        stream: String,
        /// The field.
        what: &'static str,
    },
    /// The server refuses for good.
    #[error("the server refuses to create stream `{stream}`: {detail}")]
    Refused {
        /// Its name.
        stream: String,
        /// The server's words.
        detail: String,
    },
    /// There is no `JetStream` where we are; the stream may be in another account, or behind a leaf
    /// node, and take our subjects all the same.
    #[error("there is no JetStream for this account")]
    Elsewhere,
    /// The server did not answer, or has no `JetStream` now.
    #[error("JetStream does not answer: {0}")]
    Unavailable(String),
}

impl Retryable for StreamError {
    fn retry(&self) -> Retry {
        match self {
            Self::Unavailable(_) | Self::Elsewhere => Retry::Yes,
            Self::Missing { .. }
            | Self::Misfit { .. }
            | Self::Overlap { .. }
            | Self::NotAsAsked { .. }
            | Self::Refused { .. } => Retry::No,
        }
    }
}

impl Bus {
    /// Waits until the stream is there; `None` when told to stop before.
    pub async fn wait_for_stream(
        &self,
        stop: &CancellationToken,
    ) -> Result<Option<()>, StreamError> {
        self.wait(stop, Purpose::Reading).await
    }

    /// The same for who only publishes, and needs not see the stream: it may be in another account.
    pub async fn wait_to_publish(
        &self,
        stop: &CancellationToken,
    ) -> Result<Option<()>, StreamError> {
        self.wait(stop, Purpose::Publishing).await
    }

    async fn wait(
        &self,
        stop: &CancellationToken,
        purpose: Purpose,
    ) -> Result<Option<()>, StreamError> {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        let waiting = async {
            loop {
                self.connected().await;
                match self.ensure_stream().await {
                    Ok(_) => return Ok(()),
                    Err(StreamError::Elsewhere) if purpose == Purpose::Publishing => {
                        info!("no stream is shown to us; publishing to one of another account");
                        return Ok(());
                    }
                    Err(error) if error.retry() == Retry::No => return Err(error),
                    Err(error) => {
                        if backoff.attempt() == 0 {
                            warn!(error = error.to_string(), "waiting for JetStream");
                        }
                        tokio::time::sleep(backoff.next(error.retry())).await;
                    }
                }
            }
        };
        stop.run_until_cancelled(waiting).await.transpose()
    }

    /// Returns the stream, created if it is missing and that is allowed.
    pub async fn ensure_stream(&self) -> Result<Stream, StreamError> {
        let settings = &self.settings;
        match self.context.get_stream(&settings.stream).await {
            Ok(stream) => {
                let found = &stream.cached_info().config;
                check(found, settings)?;
                self.note_max_age(found);
                Ok(stream)
            }
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(error)
                    if error.error_code() == ErrorCode::STREAM_NOT_FOUND =>
                {
                    self.create_stream().await
                }
                kind if !settings.manage && is_elsewhere(&kind, &error) => {
                    Err(StreamError::Elsewhere)
                }
                kind => Err(StreamError::Unavailable(kind.to_string())),
            },
        }
    }

    fn note_max_age(&self, found: &Config) {
        // Zero is for ever there, and not known here.
        let millis = match found.max_age.as_millis() {
            0 => u64::MAX,
            millis => u64::try_from(millis).unwrap_or(u64::MAX),
        };
        self.max_age_ms.store(millis, Ordering::Relaxed);
    }

    async fn create_stream(&self) -> Result<Stream, StreamError> {
        let settings = &self.settings;
        let stream = settings.stream.clone();
        if !settings.manage {
            return Err(StreamError::Missing {
                stream,
                command: command(settings),
            });
        }
        let wanted = config(settings);
        match self.context.create_stream(wanted.clone()).await {
            Ok(created) => {
                // Old servers ignore what they do not know and answer success.
                let created_config = &created.cached_info().config;
                if let Some(what) = difference(created_config, &wanted).first() {
                    return Err(StreamError::NotAsAsked { stream, what });
                }
                self.note_max_age(created_config);
                info!(stream, "created the stream");
                Ok(created)
            }
            Err(error) => match error.kind() {
                CreateStreamErrorKind::JetStream(error) => match error.error_code() {
                    ErrorCode::STREAM_SUBJECT_OVERLAP => Err(StreamError::Overlap {
                        topic: settings.topic.clone(),
                    }),
                    // Somebody else was faster: the next look finds it.
                    ErrorCode::STREAM_NAME_EXIST => Err(StreamError::Unavailable(
                        "the stream is being created".to_owned(),
                    )),
                    // A cluster without enough servers, or without room, may get both.
                    _ if error.code() >= 500 => Err(StreamError::Unavailable(error.to_string())),
                    _ => Err(StreamError::Refused {
                        stream,
                        detail: error.to_string(),
                    }),
                },
                kind => Err(StreamError::Unavailable(kind.to_string())),
            },
        }
    }
}

/// What a stream is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Reading,
    Publishing,
}

/// Tells whether the look at the stream failed because there is no `JetStream` where we are.
fn is_elsewhere(kind: &GetStreamErrorKind, error: &GetStreamError) -> bool {
    match kind {
        GetStreamErrorKind::JetStream(error) => {
            error.error_code() == ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT
        }
        GetStreamErrorKind::Request => error
            .source()
            .and_then(|source| source.downcast_ref::<RequestError>())
            .is_some_and(|source| source.kind() == RequestErrorKind::NoResponders),
        GetStreamErrorKind::EmptyName | GetStreamErrorKind::InvalidStreamName => false,
    }
}

fn config(settings: &Settings) -> Config {
    Config {
        name: settings.stream.clone(),
        subjects: vec![format!("{}.>", settings.topic)],
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::Old,
        storage: match settings.storage {
            Storage::File => StorageType::File,
            Storage::Memory => StorageType::Memory,
        },
        max_age: settings.max_age,
        num_replicas: settings.replicas,
        duplicate_window: DUPLICATE_WINDOW.min(settings.max_age),
        ..Config::default()
    }
}

/// The fields in which two configurations differ.
fn difference(found: &Config, wanted: &Config) -> Vec<&'static str> {
    let mut fields = Vec::new();
    let mut compare = |is_same: bool, field: &'static str| {
        if !is_same {
            fields.push(field);
        }
    };
    compare(found.name == wanted.name, "name");
    compare(found.subjects == wanted.subjects, "subjects");
    compare(found.retention == wanted.retention, "retention");
    compare(found.discard == wanted.discard, "discard");
    compare(found.storage == wanted.storage, "storage");
    compare(found.max_age == wanted.max_age, "max_age");
    compare(found.num_replicas == wanted.num_replicas, "replicas");
    compare(
        found.duplicate_window == wanted.duplicate_window,
        "duplicate window",
    );
    fields
}

/// Refuses a stream that cannot work, and says what else is not as configured.
fn check(found: &Config, settings: &Settings) -> Result<(), StreamError> {
    let misfit = |what: String| {
        Err(StreamError::Misfit {
            stream: found.name.clone(),
            what,
        })
    };
    let has_origin = found.mirror.is_some() || found.sources.is_some();
    let example = format!("{}.publisher.0.0.k", settings.topic);
    let carries = found
        .subjects
        .iter()
        .any(|subject| covers(subject, &example));
    if !carries && !has_origin {
        return misfit(format!("does not carry subjects `{}.>`", settings.topic));
    }
    if found.no_ack {
        return misfit("does not acknowledge messages (`no_ack`)".to_owned());
    }
    if found.retention != RetentionPolicy::Limits {
        return misfit(
            "deletes messages before every sink has them (its retention is not \
                       `limits`)"
                .to_owned(),
        );
    }
    let mut differs = difference(found, &config(settings));
    // A wider subject or an origin elsewhere is the operator's business.
    differs.retain(|field| *field != "subjects");
    if !differs.is_empty() {
        warn!(
            stream = found.name,
            differs = differs.join(", "),
            "the stream exists and is not as configured here; it is left as it is"
        );
    }
    Ok(())
}

/// Tells whether a subject with wildcards matches one without.
fn covers(pattern: &str, subject: &str) -> bool {
    let (mut pattern, mut subject) = (pattern.split('.'), subject.split('.'));
    loop {
        match (pattern.next(), subject.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some(expected), Some(token)) if expected == "*" || expected == token => {}
            _ => return false,
        }
    }
}

/// The command with which an operator creates the stream.
fn command(settings: &Settings) -> String {
    let storage = match settings.storage {
        Storage::File => "file",
        Storage::Memory => "memory",
    };
    format!(
        "nats stream add {} --subjects '{}.>' --storage {storage} --replicas {} --retention limits \
         --discard old --max-age {}s --dupe-window {}s --defaults",
        settings.stream,
        settings.topic,
        settings.replicas,
        settings.max_age.as_secs(),
        DUPLICATE_WINDOW.min(settings.max_age).as_secs(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            urls: vec!["nats://127.0.0.1:4222".to_owned()],
            topic: "prometheus".to_owned(),
            stream: "PROMETHEUS".to_owned(),
            client_id: None,
            tls: None,
            tls_first: false,
            auth: None,
            manage: true,
            max_age: Duration::from_secs(600),
            replicas: 1,
            storage: Storage::File,
        }
    }

    #[test]
    fn wildcards_cover_as_nats_says() {
        let subject = "prometheus.publisher.0.0.k";
        for pattern in [">", "prometheus.>", "*.>", "prometheus.*.*.*.*", subject] {
            assert!(covers(pattern, subject), "{pattern}");
        }
        for pattern in [
            "prometheus",
            "prometheus.*",
            "other.>",
            "prometheus.publisher.0.0.k.>",
        ] {
            assert!(!covers(pattern, subject), "{pattern}");
        }
    }

    #[test]
    fn a_stream_that_cannot_work_is_refused() {
        let good = config(&settings());
        check(&good, &settings()).unwrap();
        let other = Config {
            subjects: vec!["other.>".to_owned()],
            ..good.clone()
        };
        let error = check(&other, &settings()).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("does not carry subjects `prometheus.>`"),
            "{error}"
        );
        check(
            &Config {
                no_ack: true,
                ..good.clone()
            },
            &settings(),
        )
        .unwrap_err();
        let queue = Config {
            retention: RetentionPolicy::WorkQueue,
            ..good
        };
        check(&queue, &settings()).unwrap_err();
    }

    #[test]
    fn what_an_old_server_ignored_is_noticed() {
        let wanted = config(&settings());
        let created = Config {
            duplicate_window: Duration::ZERO,
            ..wanted.clone()
        };
        assert_eq!(difference(&created, &wanted), ["duplicate window"]);
    }

    #[test]
    fn the_duplicate_window_is_never_longer_than_the_messages_live() {
        let short = Settings {
            max_age: Duration::from_secs(30),
            ..settings()
        };
        assert_eq!(config(&short).duplicate_window, Duration::from_secs(30));
        assert!(command(&short).contains("--max-age 30s --dupe-window 30s"));
    }
}
