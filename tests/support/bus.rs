//! A NATS client's look at the stream.

use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self, consumer::pull, stream};
use bytes::Bytes;
use futures_util::StreamExt as _;

/// A connection to a server, with the stream's name.
pub(crate) struct Bus {
    client: async_nats::Client,
    jetstream: jetstream::Context,
    stream: String,
}

/// A stored message.
pub(crate) struct Stored {
    /// Its sequence.
    pub(crate) sequence: u64,
    /// Its subject.
    pub(crate) subject: String,
    /// Its payload.
    pub(crate) payload: Bytes,
}

impl Bus {
    /// Connects to a server.
    pub(crate) async fn connect(url: &str) -> Self {
        let client = async_nats::connect(url).await.unwrap();
        Self {
            jetstream: jetstream::new(client.clone()),
            client,
            stream: "PROMETHEUS".to_owned(),
        }
    }

    /// Returns the stream as the server describes it.
    pub(crate) async fn info(&self) -> Result<stream::Info, String> {
        let stream = self.jetstream.get_stream(&self.stream).await;
        let mut stream = stream.map_err(|error| error.to_string())?;
        let info = stream.info().await.map_err(|error| error.to_string())?;
        Ok(info.clone())
    }

    /// Creates the stream with the given subjects and server defaults.
    pub(crate) async fn create_stream(&self, subjects: &str) {
        let config = stream::Config {
            name: self.stream.clone(),
            subjects: vec![subjects.to_owned()],
            ..stream::Config::default()
        };
        self.jetstream.create_stream(config).await.unwrap();
    }

    /// Publishes a message and waits until it is stored.
    pub(crate) async fn publish(&self, subject: &str, payload: impl Into<Bytes>) {
        let published = self.jetstream.publish(subject.to_owned(), payload.into());
        published.await.unwrap().await.unwrap();
    }

    /// The same with a message id; returns the sequence that it was given.
    pub(crate) async fn store(&self, subject: String, id: &str, payload: impl Into<Bytes>) -> u64 {
        let message = PublishMessage::build()
            .payload(payload.into())
            .message_id(id);
        let published = self.jetstream.send_publish(subject, message);
        published.await.unwrap().await.unwrap().sequence
    }

    /// Deletes a stored message, as if it had never come.
    pub(crate) async fn delete(&self, sequence: u64) {
        let stream = self.jetstream.get_stream(&self.stream).await.unwrap();
        assert!(stream.delete_message(sequence).await.unwrap());
    }

    /// Returns up to where a consumer has acknowledged everything.
    pub(crate) async fn floor(&self, consumer: &str) -> Result<u64, String> {
        let stream = self.jetstream.get_stream(&self.stream).await;
        let stream = stream.map_err(|error| error.to_string())?;
        let info = stream.consumer_info(consumer).await;
        let info = info.map_err(|error| error.to_string())?;
        Ok(info.ack_floor.stream_sequence)
    }

    /// Listens to messages beside the stream.
    pub(crate) async fn listen(&self, subject: &str) -> async_nats::Subscriber {
        let listening = self.client.subscribe(subject.to_owned());
        let listening = listening.await.unwrap();
        // The server knows of it.
        self.client.flush().await.unwrap();
        listening
    }

    /// Returns all messages whose subject matches, oldest first.
    pub(crate) async fn messages(&self, subject: &str) -> Result<Vec<Stored>, String> {
        let text = |error: &dyn std::error::Error| error.to_string();
        let stream = self.jetstream.get_stream(&self.stream).await;
        let stream = stream.map_err(|error| text(&error))?;
        let config = pull::Config {
            filter_subject: subject.to_owned(),
            ack_policy: jetstream::consumer::AckPolicy::None,
            ..pull::Config::default()
        };
        let consumer = stream.create_consumer(config).await;
        let consumer = consumer.map_err(|error| text(&error))?;
        let count = consumer.cached_info().num_pending;
        let count = usize::try_from(count).map_err(|error| text(&error))?;
        let mut stored = Vec::new();
        if count > 0 {
            let batch = consumer.fetch().max_messages(count).messages().await;
            let mut batch = batch.map_err(|error| text(&error))?;
            while let Some(message) = batch.next().await {
                let message = message.map_err(|error| error.to_string())?;
                let info = message.info().map_err(|error| error.to_string())?;
                stored.push(Stored {
                    sequence: info.stream_sequence,
                    subject: message.subject.to_string(),
                    payload: message.payload.clone(),
                });
            }
        }
        Ok(stored)
    }
}
