//! Dead letters: what can never be delivered is kept for an operator to look at.

use std::future::Future;
use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use tokio::sync::mpsc;
use tracing::{debug, warn};

use super::Metrics;
use super::metrics::DeadLetterOutcome;
use crate::bus::{Bus, PublishError};

/// Dead letters on their way; one that finds it full is counted and dropped, because what is
/// broken must never hold up what is good.
const QUEUE: usize = 256;

/// How long one may take; NATS may be away.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(10);

/// Room within `max_payload` for our headers.
const HEADERS_MAX: usize = 2048;

/// Longer details are cut; they may hold a sink's whole answer.
const DETAIL_MAX: usize = 512;

/// A message that can never be delivered.
#[derive(Debug)]
pub(super) struct DeadLetter {
    /// Where it came from, `<topic>.` cut off.
    pub(super) address: String,
    /// Its sequence in the stream.
    pub(super) sequence: u64,
    /// What makes it unique beside the sequence; nothing for a whole message.
    pub(super) part: String,
    /// A closed set.
    pub(super) reason: &'static str,
    /// More words.
    pub(super) detail: String,
    /// The sink that refused it, if one did.
    pub(super) sink: Option<String>,
    /// The payload.
    pub(super) payload: Bytes,
}

/// Where dead letters are put.
#[derive(Debug, Clone)]
pub(super) struct DeadLetters {
    letters: mpsc::Sender<DeadLetter>,
    metrics: Metrics,
}

impl DeadLetters {
    /// Returns the place and the task that publishes from it, until all places are gone.
    pub(super) fn spawn(bus: Bus, metrics: Metrics) -> (Self, impl Future<Output = ()>) {
        let (letters, mut queue) = mpsc::channel::<DeadLetter>(QUEUE);
        let publishing = {
            let metrics = metrics.clone();
            async move {
                while let Some(letter) = queue.recv().await {
                    let sequence = letter.sequence;
                    let sent = publish(&bus, letter);
                    match tokio::time::timeout(PUBLISH_TIMEOUT, sent).await {
                        Ok(Ok(())) => metrics.dead_letter(DeadLetterOutcome::Published),
                        Ok(Err(error)) => {
                            warn!(
                                sequence,
                                error = error.to_string(),
                                "cannot keep a dead letter"
                            );
                            metrics.dead_letter(DeadLetterOutcome::Failed);
                        }
                        Err(_elapsed) => metrics.dead_letter(DeadLetterOutcome::Failed),
                    }
                }
            }
        };
        (Self { letters, metrics }, publishing)
    }

    pub(super) fn put(&self, letter: DeadLetter) {
        if let Err(error) = self.letters.try_send(letter) {
            debug!(error = error.to_string(), "no room for a dead letter");
            self.metrics.dead_letter(DeadLetterOutcome::Dropped);
        }
    }
}

async fn publish(bus: &Bus, letter: DeadLetter) -> Result<(), PublishError> {
    let subject = format!("{}.dead.{}", bus.settings().topic, letter.address);
    // Several sinks find the same message broken: it is kept once.
    let id = format!("dead/{}/{}", letter.sequence, letter.part);
    let mut headers = HeaderMap::new();
    headers.insert("Prometheus-Streams-Reason", letter.reason);
    headers.insert(
        "Prometheus-Streams-Detail",
        one_line(&letter.detail).as_str(),
    );
    headers.insert("Prometheus-Streams-Sequence", letter.sequence.to_string());
    if let Some(sink) = &letter.sink {
        headers.insert("Prometheus-Streams-Sink", one_line(sink).as_str());
    }
    let room = bus
        .max_payload()
        .unwrap_or(usize::MAX)
        .saturating_sub(HEADERS_MAX);
    let mut payload = letter.payload;
    if payload.len() > room {
        headers.insert("Prometheus-Streams-Cut-From", payload.len().to_string());
        payload.truncate(room);
    }
    bus.publish(subject, &id, payload, Some(headers)).await
}

/// A header's value has no line breaks.
fn one_line(text: &str) -> String {
    let printable = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    printable.take(DETAIL_MAX).collect()
}
