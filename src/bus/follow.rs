//! Looking at the stream without leaving a trace.

use async_nats::jetstream::consumer::pull::Config;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy};
use futures_util::StreamExt as _;
use tokio::sync::mpsc;

use super::consumer::{Incoming, Phase, Place};
use super::history::History;
use super::{Bus, escape_token};

/// Why following ends.
#[derive(Debug, thiserror::Error)]
#[error("cannot follow the stream `{stream}`: {detail}")]
pub struct FollowError {
    stream: String,
    detail: String,
}

impl Bus {
    /// Hands on every new message of one site, or of all, until nobody listens; before them, as
    /// [`Phase::State`], what they are coded against.
    ///
    /// The reader is the server's own for this connection, so no consumer's position is touched.
    pub async fn follow(
        &self,
        publisher: Option<&str>,
        incoming: mpsc::Sender<Incoming>,
    ) -> Result<(), FollowError> {
        let settings = self.settings();
        let failed = |detail: String| FollowError {
            stream: settings.stream.clone(),
            detail,
        };
        let site = publisher.map_or_else(|| "*".to_owned(), escape_token);
        let stream = self.context.get_stream(&settings.stream).await;
        let stream = stream.map_err(|error| failed(error.to_string()))?;
        let last = stream.cached_info().state.last_sequence;
        let history = History {
            stream: &stream,
            topic: &settings.topic,
            site: &site,
            generation: 0,
            incoming: &incoming,
        };
        let learned = async {
            history.shapes().await?;
            let keys = history.keys(last).await?;
            history.states(keys, last + 1).await
        };
        learned.await.map_err(|error| failed(error.to_string()))?;
        let config = Config {
            deliver_policy: DeliverPolicy::ByStartSequence {
                start_sequence: last + 1,
            },
            ack_policy: AckPolicy::None,
            filter_subject: history.all(),
            memory_storage: true,
            ..Config::default()
        };
        let reader = stream.create_consumer(config).await;
        let reader = reader.map_err(|error| failed(error.to_string()))?;
        let messages = reader.messages().await;
        let mut messages = messages.map_err(|error| failed(error.to_string()))?;
        while let Some(message) = messages.next().await {
            let message = message.map_err(|error| failed(error.to_string()))?;
            let place = Place::of(&message).map_err(|error| failed(error.to_string()))?;
            let next = Incoming::new(message.message, 0, &place, Phase::Live);
            if incoming.send(next).await.is_err() {
                break;
            }
        }
        Ok(())
    }
}
