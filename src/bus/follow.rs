//! Looking at the stream without leaving a trace.

use async_nats::jetstream::consumer::pull::Config;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy};
use futures_util::StreamExt as _;
use tokio::sync::mpsc;

use super::consumer::{Incoming, Phase, Place};
use super::{Bus, escape_token};

/// Why following ends.
#[derive(Debug, thiserror::Error)]
#[error("cannot follow the stream `{stream}`: {detail}")]
pub struct FollowError {
    stream: String,
    detail: String,
}

impl Bus {
    /// Hands on every new message of one site, or of all, until nobody listens.
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
        let config = Config {
            deliver_policy: DeliverPolicy::New,
            ack_policy: AckPolicy::None,
            filter_subject: format!("{}.{site}.*.*.*", settings.topic),
            memory_storage: true,
            ..Config::default()
        };
        let stream = self.context.get_stream(&settings.stream).await;
        let stream = stream.map_err(|error| failed(error.to_string()))?;
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
