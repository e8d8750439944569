//! One lane: gathers records into frames.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tracing::{debug, warn};

use super::frames::{Frames, Limits, Load, Settings};
use super::signals::{Happened, Signals};
use crate::bus::Bus;
use crate::clock::Clock;
use crate::model::Heartbeat;
use crate::spool::Entry;
use crate::wire::Record;

/// A record waits at most this long for company.
const LINGER: Duration = Duration::from_secs(1);

/// The lane's sign of life, with the list of its targets.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(60);

/// How often the lane looks whether shapes have to be announced again.
const REPEAT_INTERVAL: Duration = Duration::from_secs(1);

/// At least this long between two key frames that receivers ask for, or that follow a loss:
/// several receivers may ask for the same, and a loss is often not the last.
const KEY_REQUEST_GAP: Duration = Duration::from_secs(15);

/// At least this long between two key frames that follow the loss of old frames: a full spool drops
/// all the time, and its frames are followed by regular key frames before long.
const THINNED_GAP: Duration = Duration::from_secs(60);

/// Before the server has told its own limit: NATS's default.
const PAYLOAD_MAX_DEFAULT: usize = 1 << 20;

/// Room within `max_payload` for the message's headers, which the server counts as well.
const HEADERS_MAX: usize = 1024;

/// The task that gathers a lane's records.
pub(super) struct Lane {
    id: u32,
    live: Live,
    open: Vec<Record>,
    load: Load,
    frames: Frames,
    repair: Repair,
    outside: Outside,
}

/// The targets of a lane, by the hash of their labels.
///
/// A target that is gone stays among them until that is told, so that a receiver hears of it in the
/// order of the lane.
#[derive(Debug, Clone, Default)]
pub(super) struct Live(Arc<Mutex<BTreeSet<u64>>>);

impl Live {
    pub(super) fn insert(&self, target: u64) {
        self.lock().insert(target);
    }

    pub(super) fn remove(&self, target: u64) {
        self.lock().remove(&target);
    }

    fn list(&self) -> Vec<u64> {
        self.lock().iter().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a lane needs of others.
#[derive(Debug, Clone)]
pub(super) struct Outside {
    /// Where closed frames go.
    pub(super) closed: mpsc::Sender<Entry>,
    /// What became of them.
    pub(super) signals: Arc<Signals>,
    /// Whose limits hold.
    pub(super) bus: Bus,
    pub(super) clock: Clock,
}

impl Outside {
    fn limits(&self) -> Limits {
        let payload_max = self.bus.max_payload().unwrap_or(PAYLOAD_MAX_DEFAULT);
        Limits {
            payload_max: payload_max.saturating_sub(HEADERS_MAX),
            max_age: self.bus.stream_max_age(),
            now_ms: self.clock.now_ms(),
        }
    }
}

/// When a lane starts anew because receivers cannot follow it.
#[derive(Debug, Default)]
struct Repair {
    is_needed: bool,
    is_for_old: bool,
    last: Option<Instant>,
}

impl Repair {
    fn note(&mut self, happened: Happened) {
        self.is_needed |= happened.lost || happened.asked;
        self.is_for_old |= happened.thinned;
    }

    /// Tells whether it is time, and takes it as done then.
    fn is_due(&mut self) -> bool {
        let has_passed = |gap| self.last.is_none_or(|last| last.elapsed() >= gap);
        let is_due = self.is_needed && has_passed(KEY_REQUEST_GAP)
            || self.is_for_old && has_passed(THINNED_GAP);
        if is_due {
            *self = Self {
                last: Some(Instant::now()),
                ..Self::default()
            };
        }
        is_due
    }
}

impl Lane {
    pub(super) fn new(settings: Settings, live: Live, outside: Outside) -> Self {
        Self {
            id: settings.lane,
            live,
            open: Vec::new(),
            load: Load::default(),
            frames: Frames::new(settings, outside.limits()),
            repair: Repair::default(),
            outside,
        }
    }

    /// Gathers until nobody writes records any more; then closes the last frame.
    pub(super) async fn run(mut self, mut records: mpsc::Receiver<Record>) {
        let mut heartbeats = tokio::time::interval(HEARTBEAT_INTERVAL);
        heartbeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut repeats = tokio::time::interval(REPEAT_INTERVAL);
        repeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut deadline = Instant::now();
        loop {
            let was_empty = self.open.is_empty();
            let event = tokio::select! {
                record = records.recv() => match record {
                    Some(record) => Event::Record(record),
                    None => break,
                },
                () = tokio::time::sleep_until(deadline), if !was_empty => Event::Due,
                _ = heartbeats.tick() => Event::Record(self.beat()),
                _ = repeats.tick() => Event::Repeat,
            };
            match event {
                Event::Due => self.close().await,
                Event::Repeat => {
                    let due = self.frames.repeat(self.outside.limits());
                    self.hand_on(due).await;
                }
                Event::Record(record) => {
                    if self.load.is_full_with(&record) {
                        self.close().await;
                    }
                    if self.open.is_empty() {
                        deadline = Instant::now() + LINGER;
                    }
                    self.load.count(&record);
                    self.open.push(record);
                }
            }
        }
        self.close().await;
    }

    fn beat(&self) -> Record {
        Record::Heartbeat(Heartbeat {
            time_ms: self.outside.clock.now_ms(),
            interval: HEARTBEAT_INTERVAL,
            live: self.live.list(),
        })
    }

    /// Closes the open frame and hands it on.
    async fn close(&mut self) {
        let records = std::mem::take(&mut self.open);
        self.load = Load::default();
        if records.is_empty() {
            return;
        }
        let limits = self.outside.limits();
        let happened = self.outside.signals.take(self.id);
        if happened.lost {
            self.frames.require_key();
        }
        self.repair.note(happened);
        if self.repair.is_due() {
            debug!(lane = self.id, "the next frame is a key frame");
            let shapes = self.frames.start_anew(limits);
            self.hand_on(shapes).await;
        }
        let entries = self.frames.write(records, limits);
        self.hand_on(entries).await;
    }

    async fn hand_on(&self, entries: Vec<Entry>) {
        for entry in entries {
            if self.outside.closed.send(entry).await.is_err() {
                warn!(
                    lane = self.id,
                    "a frame was closed when nobody takes it any more"
                );
            }
        }
    }
}

/// What makes a lane act.
enum Event {
    Record(Record),
    Due,
    Repeat,
}
