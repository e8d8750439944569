//! The program at the centre: consumes frames and delivers what is in them.
//!
//! ```text
//! stream ─→ consumer ─message→ feed: lane queues ─batch→ sink ─outcome→ feed ─ack→ stream
//!                                └─ dead letters ─→ stream
//! ```
//!
//! Each sink has a durable consumer and a [`feed::Feed`] of its own, so a sink that hangs holds up
//! no other. Within a feed each lane is delivered in order and at most one batch of it is under
//! way. A message is acknowledged when everything in it was delivered, dropped by the guard or
//! refused for good; until then it is in the stream.

mod batch;
mod dead;
mod decoding;
mod feed;
mod intake;
mod lanes;
mod metrics;
mod numbering;
mod parts;
mod plain;
mod primed;
mod refusals;
mod removed;
mod requests;
mod shapes;
mod silence;
mod sites;

pub use metrics::Metrics;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::info;

use crate::bus::{self, Bus, BusError, Consumer, StreamError};
use crate::config::Config;
use crate::guard::AgeLimit;
use crate::http::ClientError;
use crate::service::{Context, Ending};
use crate::sink::Sink;
use crate::sink::pushgateway::Pushgateway;
use crate::sink::remote_write::RemoteWrite;

use dead::DeadLetters;
use feed::{Feed, Links};
use removed::Removed;
use requests::Requests;
use shapes::Shapes;
use silence::Silence;
use sites::Sites;

/// Messages on their way from a consumer to its feed; the consumer reads no further ahead.
const INCOMING_QUEUE: usize = 64;

/// Acknowledgements on their way to the server: one for each message that may be outstanding.
/// When it is full, because the connection is away, further ones are left out: the message is
/// delivered again, and acknowledged then.
const ACKS_QUEUE: usize = 10_000;

/// How long acknowledgements and dead letters may still go out at the end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The start of every durable consumer's name, unless `client_id` says otherwise.
const CONSUMER_PREFIX: &str = "prometheus-streams";

/// Why the receiver cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ReceiverError {
    /// There is no `receiver_stream`.
    #[error("the configuration has no `receiver_stream`")]
    NoStream,
    /// The connection's settings cannot work.
    #[error("cannot connect to NATS")]
    Bus(#[from] BusError),
    /// The stream cannot be used.
    #[error("cannot use the stream")]
    Stream(#[from] StreamError),
    /// A sink's settings cannot work.
    #[error("cannot set up a sink")]
    Sink(#[from] ClientError),
}

/// Runs the receiver until it is told to stop.
pub async fn run(context: Context) -> Result<Ending, ReceiverError> {
    let Context {
        config,
        metrics,
        clock,
        stop,
        ready,
        link,
        reloads: _,
    } = context;
    let settings = config
        .receiver_stream
        .clone()
        .ok_or(ReceiverError::NoStream)?;
    let sinks: Vec<Arc<Sink>> = sinks(&config)?.into_iter().map(Arc::new).collect();
    let prefix = settings
        .client_id
        .clone()
        .unwrap_or_else(|| CONSUMER_PREFIX.to_owned());
    let sites = Sites::default();
    metrics.register("site", |registry| sites.register(registry));
    let metrics = metrics.register("receiver", |registry| {
        Removed::register(registry, &sinks);
        Metrics::register(registry)
    });
    let name = format!("prometheus-streams-receiver {}", config.identity);
    let bus = Bus::connect(settings, &name).await?;
    link.set(&bus);
    if bus.wait_for_stream(&stop).await?.is_none() {
        return Ok(Ending::Clean);
    }

    let (dead_letters, dead_letters_task) = DeadLetters::spawn(bus.clone(), metrics.clone());
    let (requests, requests_task) = Requests::spawn(bus.clone(), metrics.clone());
    let shapes = Shapes::new();
    let mut feeds = JoinSet::new();
    let mut others = JoinSet::new();
    others.spawn(dead_letters_task);
    others.spawn(requests_task);
    for sink in sinks {
        // The consumer writes, the feed reads; when it is full, messages stay in the stream.
        let (incoming_tx, incoming_rx) = mpsc::channel(INCOMING_QUEUE);
        // The feed writes, one task reads, because sending may block while NATS is away.
        let (acks_tx, acks_rx) = mpsc::channel(ACKS_QUEUE);
        let consumer = format!("{prefix}-{}", bus::escape_token(sink.name()));
        info!(sink = sink.name(), consumer, "delivering");
        let consumer = Consumer::new(bus.clone(), consumer);
        others.spawn(consumer.run(incoming_tx, stop.clone()));
        others.spawn(bus::acknowledge(acks_rx));
        let feed = Feed::new(
            sink,
            bus.settings().topic.clone(),
            AgeLimit::new(config.max_age),
            clock.clone(),
            Links {
                acks: acks_tx,
                dead_letters: dead_letters.clone(),
                requests: requests.clone(),
                shapes: shapes.clone(),
                silence: Silence::new(config.site_timeout, sites.clone()),
            },
            &metrics,
        );
        feeds.spawn(feed.run(incoming_rx, stop.clone()));
    }
    drop((dead_letters, requests));
    ready.set(true);

    let mut ending = Ending::Clean;
    while let Some(ended) = feeds.join_next().await {
        if !matches!(ended, Ok(Ending::Clean)) {
            ending = Ending::Unclean;
        }
    }
    let closing = async { while others.join_next().await.is_some() {} };
    if tokio::time::timeout(CLOSE_TIMEOUT, closing).await.is_err() {
        others.abort_all();
    }
    bus.close().await;
    Ok(ending)
}

fn sinks(config: &Config) -> Result<Vec<Sink>, ClientError> {
    let mut sinks = Vec::new();
    if let Some(settings) = &config.push_gateway {
        sinks.push(Sink::Pushgateway(Pushgateway::build(settings.clone())?));
    }
    for settings in &config.remote_write {
        sinks.push(Sink::RemoteWrite(RemoteWrite::build(settings.clone())?));
    }
    Ok(sinks)
}
