//! Publishing with confirmation.

use async_nats::HeaderMap;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;

use super::Bus;
use crate::retry::{Retry, Retryable};

/// Why a publish is not confirmed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// No acknowledgement in time: it may be stored or not.
    #[error("the stream did not acknowledge in time")]
    TimedOut,
    /// No stream takes the subject.
    #[error("no stream takes the subject")]
    NoStream,
    /// The message is larger than the server takes.
    #[error("the message is larger than the server's `max_payload`")]
    TooLarge,
    /// The server refuses, for now.
    #[error("the stream refuses the message: {0}")]
    Refused(String),
}

impl Retryable for PublishError {
    fn retry(&self) -> Retry {
        match self {
            Self::TooLarge => Retry::No,
            Self::TimedOut | Self::NoStream | Self::Refused(_) => Retry::Yes,
        }
    }
}

impl Bus {
    /// Publishes a message and returns when the stream has it.
    ///
    /// The same message id within the duplicate window is stored once, so a publish whose
    /// acknowledgement is missing can be repeated as it is.
    pub async fn publish(
        &self,
        subject: String,
        id: &str,
        payload: Bytes,
        headers: Option<HeaderMap>,
    ) -> Result<(), PublishError> {
        let mut message = PublishMessage::build().payload(payload);
        if let Some(headers) = headers {
            message = message.headers(headers);
        }
        let sent = self
            .context
            .send_publish(subject, message.message_id(id))
            .await;
        let confirmed = match sent {
            Ok(acknowledgement) => acknowledgement.await,
            Err(error) => Err(error),
        };
        confirmed.map(drop).map_err(|error| match error.kind() {
            PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe => PublishError::TimedOut,
            PublishErrorKind::StreamNotFound => PublishError::NoStream,
            PublishErrorKind::MaxPayloadExceeded => PublishError::TooLarge,
            // The kind's text alone says nothing: the server's words are in the whole.
            _ => PublishError::Refused(error.to_string()),
        })
    }
}
