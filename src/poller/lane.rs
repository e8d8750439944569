//! One lane: gathers records into frames.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::bus::Bus;
use crate::clock::Clock;
use crate::model::{FailureReason, Heartbeat, Outcome, Record};
use crate::spool::Entry;
use crate::wire::{self, Header};

/// A record waits at most this long for company.
const LINGER: Duration = Duration::from_secs(1);

/// A frame is closed when the expositions in it reach this size: a sixteenth of what a reader takes.
const TEXT_BYTES_MAX: usize = 4 << 20;

/// A single scrape may be larger; what a reader would refuse is not sent.
const TEXTS_MAX: usize = wire::DECODED_MAX - (1 << 20);

/// A frame is closed when it has this many records, so that events alone do not pile up.
const RECORDS_MAX: usize = 1000;

/// The lane's sign of life, with the list of its targets.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(60);

/// Before the server has told its own limit: NATS's default.
const PAYLOAD_MAX_DEFAULT: usize = 1 << 20;

/// Room within `max_payload` for the message's headers, which the server counts as well.
const HEADERS_MAX: usize = 1024;

/// The task that gathers a lane's records.
#[derive(Debug)]
pub(super) struct Lane {
    id: u32,
    epoch: u64,
    number: u64,
    live: Vec<u64>,
    open: Vec<Record>,
    open_bytes: usize,
    closed: mpsc::Sender<Entry>,
    bus: Bus,
    clock: Clock,
}

impl Lane {
    pub(super) fn new(
        id: u32,
        epoch: u64,
        live: Vec<u64>,
        closed: mpsc::Sender<Entry>,
        bus: Bus,
        clock: Clock,
    ) -> Self {
        let open = Vec::new();
        Self {
            id,
            epoch,
            number: 0,
            live,
            open,
            open_bytes: 0,
            closed,
            bus,
            clock,
        }
    }

    /// Gathers until all workers have ended; then closes the last frame.
    pub(super) async fn run(
        mut self,
        mut records: mpsc::Receiver<Record>,
        stop: CancellationToken,
    ) {
        let mut heartbeats = tokio::time::interval(HEARTBEAT_INTERVAL);
        heartbeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut deadline = Instant::now();
        loop {
            let was_empty = self.open.is_empty();
            let event = tokio::select! {
                record = records.recv() => match record {
                    Some(record) => Event::Record(record),
                    // A lane without any target still tells that its site lives.
                    None if stop.is_cancelled() || !self.live.is_empty() => break,
                    None => {
                        stop.cancelled().await;
                        break;
                    }
                },
                () = tokio::time::sleep_until(deadline), if !was_empty => Event::Due,
                _ = heartbeats.tick(), if !stop.is_cancelled() => Event::Record(self.beat()),
            };
            match event {
                Event::Due => self.close().await,
                Event::Record(record) => {
                    if self.is_full_with(&record) {
                        self.close().await;
                    }
                    if self.open.is_empty() {
                        deadline = Instant::now() + LINGER;
                    }
                    self.open_bytes += text_bytes(&record);
                    self.open.push(record);
                }
            }
        }
        self.close().await;
    }

    fn is_full_with(&self, record: &Record) -> bool {
        self.open_bytes + text_bytes(record) > TEXT_BYTES_MAX || self.open.len() >= RECORDS_MAX
    }

    fn beat(&self) -> Record {
        Record::Heartbeat(Heartbeat {
            time_ms: self.clock.now_ms(),
            interval: HEARTBEAT_INTERVAL,
            live: self.live.clone(),
        })
    }

    /// Closes the open frame and hands it on.
    async fn close(&mut self) {
        let records = std::mem::take(&mut self.open);
        self.open_bytes = 0;
        if records.is_empty() {
            return;
        }
        let payload_max = self.bus.max_payload().unwrap_or(PAYLOAD_MAX_DEFAULT);
        let mut entries = Vec::with_capacity(1);
        self.encode(
            records,
            payload_max.saturating_sub(HEADERS_MAX),
            &mut entries,
        );
        for entry in entries {
            if self.closed.send(entry).await.is_err() {
                warn!(
                    lane = self.id,
                    "a frame was closed when nobody takes it any more"
                );
            }
        }
    }

    /// Encodes records into one frame, or several when one would be larger than the server takes.
    fn encode(&mut self, mut records: Vec<Record>, payload_max: usize, out: &mut Vec<Entry>) {
        let number = self.number + 1;
        let header = Header {
            epoch: self.epoch,
            number,
            base: number,
        };
        let payload = wire::encode(&header, &records);
        let texts: usize = records.iter().map(text_bytes).sum();
        if payload.len() <= payload_max && texts <= TEXTS_MAX {
            self.number = number;
            let is_scrape = |record: &&Record| matches!(record, Record::Scrape(_));
            out.push(Entry {
                lane: self.id,
                epoch: self.epoch,
                number,
                kind: crate::spool::Kind::Key,
                scrapes: records.iter().filter(is_scrape).count() as u64,
                closed_ms: self.clock.now_ms(),
                payload: payload.into(),
            });
            return;
        }
        if records.len() > 1 {
            let younger = records.split_off(records.len() / 2);
            self.encode(records, payload_max, out);
            self.encode(younger, payload_max, out);
            return;
        }
        // A single scrape that does not fit: the centre must know that it failed, and why.
        if let Some(Record::Scrape(mut scrape)) = records.pop()
            && let Outcome::Exposed { duration, .. } = scrape.outcome
        {
            warn!(
                job = scrape.target.job(),
                instance = scrape.target.instance(),
                bytes = payload.len(),
                limit = payload_max,
                "a scrape does not fit into one message; raise the server's `max_payload`"
            );
            let reason = FailureReason::PayloadTooLarge;
            scrape.outcome = Outcome::Failed { reason, duration };
            self.encode(vec![Record::Scrape(scrape)], payload_max, out);
        }
    }
}

/// What makes a lane act.
enum Event {
    Record(Record),
    Due,
}

fn text_bytes(record: &Record) -> usize {
    match record {
        Record::Scrape(scrape) => match &scrape.outcome {
            Outcome::Exposed { body, .. } => body.text.len(),
            Outcome::Failed { .. } | Outcome::Gone | Outcome::Expired => 0,
        },
        Record::Heartbeat(heartbeat) => heartbeat.live.len() * size_of::<u64>(),
    }
}
