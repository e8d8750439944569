//! Asking a poller for a key frame: plain messages beside the stream, which nobody stores.

use std::time::Duration;

use async_nats::Subscriber;
use bytes::Bytes;
use futures_util::StreamExt as _;
use tracing::debug;

use super::subject::{RequestSubject, request_subject};
use super::{Bus, LaneId};

/// A request that cannot be handed to the client in this time is left out: the next frame that
/// cannot be decoded asks again.
const SEND_TIMEOUT: Duration = Duration::from_millis(250);

/// Why requests cannot be listened to.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen to requests for key frames: {detail}")]
pub struct RequestError {
    detail: String,
}

/// Requests for key frames that arrive at a site.
#[derive(Debug)]
pub struct KeyRequests {
    subscriber: Subscriber,
    topic: String,
    publisher: String,
}

impl KeyRequests {
    /// Returns the lane of the next request; `None` when the connection was closed for good.
    ///
    /// It may be cancelled without losing a request. Foreign messages are passed over.
    pub async fn next(&mut self) -> Option<u32> {
        loop {
            let message = self.subscriber.next().await?;
            match RequestSubject::parse(&message.subject, &self.topic) {
                Some(lane) if *lane.publisher == *self.publisher => return Some(lane.lane),
                _ => debug!(
                    subject = message.subject.as_str(),
                    "a request for a key frame names no lane of ours"
                ),
            }
        }
    }
}

impl Bus {
    /// Asks the poller of a lane to announce its shapes and to write a key frame.
    ///
    /// Nothing answers, and nothing is sent while the connection is away: whoever needs the frame
    /// asks again. It returns within a fraction of a second.
    pub async fn request_key(&self, lane: &LaneId) {
        if !self.is_connected() {
            return;
        }
        let subject = request_subject(&self.settings().topic, &lane.publisher, lane.lane);
        let sent = self.client.publish(subject, Bytes::new());
        let is_sent = matches!(tokio::time::timeout(SEND_TIMEOUT, sent).await, Ok(Ok(())));
        debug!(
            publisher = &*lane.publisher,
            lane = lane.lane,
            is_sent,
            "asked for a key frame"
        );
    }

    /// Listens to the requests for key frames of a site's lanes.
    ///
    /// The client subscribes again by itself whenever the connection was away. Requests are not
    /// stored, so those of that time are lost.
    pub async fn key_requests(&self, publisher: &str) -> Result<KeyRequests, RequestError> {
        let topic = self.settings().topic.clone();
        let subject = RequestSubject::of_site(&topic, publisher);
        let subscribed = self.client.subscribe(subject).await;
        let subscriber = subscribed.map_err(|error| RequestError {
            detail: error.to_string(),
        })?;
        Ok(KeyRequests {
            subscriber,
            topic,
            publisher: publisher.to_owned(),
        })
    }
}
