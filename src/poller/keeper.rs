//! Between lanes and publishers: frames wait in memory while NATS takes them, on disk while not.
//!
//! | state | a closed frame goes | it ends when |
//! | --- | --- | --- |
//! | direct | into the backlog | NATS is away, or does not take frames as fast as they come |
//! | spooling | behind the others in the spool | the spool is empty again |
//!
//! While spooling and connected, the spool is read into the backlog from its old end, a bounded
//! stretch ahead and at a bounded rate, so that each lane stays in order and a site that comes back
//! does not flood the link. Without a spool the state is always direct, and the backlog's own limit
//! holds.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::block_in_place;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::Metrics;
use super::backlog::{Backlog, Waiting};
use super::metrics::DropReason;
use crate::bus::Bus;
use crate::clock::Clock;
use crate::service::Ending;
use crate::spool::{AppendError, Dropped, Entry, Position, Spool};
use crate::telemetry::chain;

/// Bytes that may wait in memory before they go to disk although NATS seems to be there.
const DIRECT_BYTES_MAX: usize = 8 << 20;

/// A frame that waits for so long is not being taken: more than one acknowledgement's time-out.
const STALL: Duration = Duration::from_secs(5);

/// Bytes read from the spool and not yet published; every lane has something to do meanwhile.
const READ_AHEAD_BYTES: usize = 4 << 20;

/// How fast the spool is emptied. A thousand scrapes of raw text a second are about this much;
/// a site that was away for an hour is back in step within minutes.
const REPLAY_BYTES_PER_SECOND: f64 = 16.0 * 1024.0 * 1024.0;

/// How often the spool is looked after: half of the time after which it wants to be synced.
const TICK: Duration = Duration::from_millis(100);

/// After the disk refused a frame it is left alone for this long, and frames wait in memory.
const DISK_RETRY: Duration = Duration::from_secs(10);

/// How long frames in memory may still be published after a request to stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// The task that decides where frames wait.
#[derive(Debug)]
pub(super) struct Keeper {
    backlog: Arc<Backlog>,
    spool: Option<Spool>,
    state: State,
    bus: Bus,
    clock: Clock,
    metrics: Metrics,
    /// Bytes that may be read from the spool now.
    allowance: f64,
    refilled: Instant,
    /// The disk is not asked again before.
    disk_retry: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Direct,
    Spooling,
}

impl Keeper {
    pub(super) fn new(
        backlog: Arc<Backlog>,
        spool: Option<Spool>,
        bus: Bus,
        clock: Clock,
        metrics: Metrics,
    ) -> Self {
        // What an earlier run has left comes first.
        let is_empty = spool.as_ref().is_none_or(Spool::is_empty);
        let state = if is_empty {
            State::Direct
        } else {
            State::Spooling
        };
        let (allowance, refilled) = (0.0, Instant::now());
        Self {
            backlog,
            spool,
            state,
            bus,
            clock,
            metrics,
            allowance,
            refilled,
            disk_retry: None,
        }
    }

    /// Runs until all lanes have ended; then saves what is left.
    ///
    /// `abandon` is told when publishers shall end, which they do when the backlog is closed.
    pub(super) async fn run(
        mut self,
        mut closed: mpsc::Receiver<Entry>,
        mut confirmed: mpsc::Receiver<Position>,
        abandon: CancellationToken,
    ) -> Ending {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                entry = closed.recv() => match entry {
                    Some(entry) => self.take(entry),
                    None => break,
                },
                Some(position) = confirmed.recv() => self.confirm(position),
                _ = ticks.tick() => self.tend(),
            }
            self.read_ahead();
        }
        self.finish(confirmed, &abandon).await
    }

    /// Takes a frame that a lane has closed.
    fn take(&mut self, entry: Entry) {
        match self.state {
            State::Spooling => self.append(Waiting {
                entry,
                position: None,
            }),
            State::Direct => {
                self.backlog.push(Waiting {
                    entry,
                    position: None,
                });
                let is_full = self.backlog.bytes() > DIRECT_BYTES_MAX;
                if is_full || !self.bus.is_connected() {
                    self.begin_spooling();
                }
            }
        }
    }

    fn confirm(&mut self, position: Position) {
        if let Some(spool) = &mut self.spool {
            spool.confirm(position);
        }
    }

    /// Looks after time: syncs, expires, and notices that NATS does not take what it is given.
    fn tend(&mut self) {
        let now_ms = self.clock.now_ms();
        if self.state == State::Direct {
            let stall_ms = i64::try_from(STALL.as_millis()).unwrap_or(i64::MAX);
            let oldest_ms = self.backlog.oldest_ms();
            let has_stalled =
                oldest_ms.is_some_and(|oldest| now_ms.saturating_sub(oldest) > stall_ms);
            if has_stalled || (oldest_ms.is_some() && !self.bus.is_connected()) {
                self.begin_spooling();
            }
        }
        let Some(spool) = &mut self.spool else {
            return;
        };
        if spool.sync_due()
            && let Err(error) = block_in_place(|| spool.sync())
        {
            error!(error = chain(&error), "cannot sync the spool");
        }
        match block_in_place(|| spool.expire(now_ms)) {
            Ok(dropped) => self.count(&dropped),
            Err(error) => error!(error = chain(&error), "cannot expire frames in the spool"),
        }
        self.show();
    }

    /// Moves what waits in memory to disk; frames under way as well, in case we are killed.
    fn begin_spooling(&mut self) {
        let must_wait = self.disk_retry.is_some_and(|retry| Instant::now() < retry);
        if self.spool.is_none() || must_wait {
            return;
        }
        self.state = State::Spooling;
        let frames = self.backlog.take_all();
        info!(
            frames = frames.len(),
            "NATS does not take frames; they go into the spool"
        );
        for frame in frames {
            self.append(frame);
        }
    }

    /// Puts a frame behind the others in the spool.
    fn append(&mut self, frame: Waiting) {
        let Some(spool) = self
            .spool
            .as_mut()
            .filter(|_| self.state == State::Spooling)
        else {
            self.backlog.push(frame);
            return;
        };
        match block_in_place(|| spool.append(&frame.entry)) {
            Ok(dropped) => {
                self.metrics.spooled(frame.entry.scrapes);
                self.count(&dropped);
                self.disk_retry = None;
            }
            Err(error) => self.not_appended(frame, &error),
        }
    }

    fn not_appended(&mut self, frame: Waiting, error: &AppendError) {
        if self.disk_retry.is_none() {
            error!(error = chain(error), "cannot spool a frame");
        }
        self.disk_retry = Some(Instant::now() + DISK_RETRY);
        if self.spool.as_ref().is_none_or(Spool::is_empty) {
            // Nothing older is on disk, so memory keeps the order.
            self.state = State::Direct;
            self.backlog.push(frame);
        } else {
            // In memory it would overtake what is on disk.
            self.metrics
                .dropped(DropReason::SpoolError, frame.entry.scrapes);
            self.backlog.signals().lost(frame.entry.lane);
        }
        let dropped = self.spool.as_mut().map(Spool::take_dropped);
        self.count(&dropped.unwrap_or_default());
    }

    /// Reads from the spool what may be published next.
    fn read_ahead(&mut self) {
        self.refill();
        if self.state != State::Spooling || !self.bus.is_connected() {
            return;
        }
        while self.allowance > 0.0 && self.backlog.bytes() < READ_AHEAD_BYTES {
            let Some(spool) = &mut self.spool else {
                return;
            };
            match block_in_place(|| spool.read()) {
                Ok(Some((position, entry))) => {
                    #[expect(clippy::cast_precision_loss, reason = "a rate need not be exact")]
                    let bytes = entry.payload.len() as f64;
                    self.allowance -= bytes;
                    self.backlog.push(Waiting {
                        entry,
                        position: Some(position),
                    });
                }
                Ok(None) => break,
                Err(error) => {
                    error!(error = chain(&error), "cannot read from the spool");
                    break;
                }
            }
        }
        let dropped = self
            .spool
            .as_mut()
            .map(Spool::take_dropped)
            .unwrap_or_default();
        self.count(&dropped);
        if self.spool.as_ref().is_none_or(Spool::is_empty) {
            self.state = State::Direct;
            info!("the spool is empty again");
            self.show();
        }
    }

    fn refill(&mut self) {
        let now = Instant::now();
        let seconds = now.duration_since(self.refilled).as_secs_f64();
        self.refilled = now;
        let full = REPLAY_BYTES_PER_SECOND * TICK.as_secs_f64() * 2.0;
        self.allowance = (self.allowance + seconds * REPLAY_BYTES_PER_SECOND).min(full);
    }

    fn count(&self, dropped: &Dropped) {
        if dropped.is_empty() {
            return;
        }
        let Dropped {
            no_room,
            too_old,
            damaged,
        } = dropped;
        for (reason, lanes) in [
            (DropReason::SpoolFull, no_room),
            (DropReason::SpoolMaxAge, too_old),
            (DropReason::SpoolDamaged, damaged),
        ] {
            let total = lanes.total();
            for (lane, _) in lanes.lanes() {
                self.backlog.signals().thinned(lane);
            }
            self.metrics.dropped(reason, total.scrapes);
            if total.entries > 0 {
                let (frames, scrapes) = (total.entries, total.scrapes);
                warn!(
                    frames,
                    scrapes,
                    reason = reason.as_str(),
                    "the spool dropped frames"
                );
            }
        }
    }

    fn show(&self) {
        if let Some(spool) = &self.spool {
            self.metrics.spool(spool.bytes(), spool.len());
        }
    }

    /// Returns when everything is published, or when what is not can be saved as well.
    async fn drain(&mut self, confirmed: &mut mpsc::Receiver<Position>) {
        let mut ticks = tokio::time::interval(TICK);
        while self.state == State::Spooling {
            if !self.bus.is_connected() {
                return;
            }
            tokio::select! {
                Some(position) = confirmed.recv() => self.confirm(position),
                _ = ticks.tick() => self.tend(),
            }
            self.read_ahead();
        }
        if self.spool.is_some() && !self.bus.is_connected() {
            return;
        }
        self.backlog.emptied().await;
    }

    /// Publishes or saves what is left.
    async fn finish(
        mut self,
        mut confirmed: mpsc::Receiver<Position>,
        abandon: &CancellationToken,
    ) -> Ending {
        let drained = tokio::time::timeout(DRAIN_TIMEOUT, self.drain(&mut confirmed)).await;
        if drained.is_err() {
            info!("NATS did not take everything in time");
        }
        self.backlog.close();
        abandon.cancel();
        while let Ok(position) = confirmed.try_recv() {
            self.confirm(position);
        }
        // What was read from the spool is still in it.
        let mut left = self.backlog.take_all();
        left.retain(|frame| frame.position.is_none());
        let mut ending = Ending::Clean;
        if self.spool.is_some() {
            self.state = State::Spooling;
            for frame in std::mem::take(&mut left) {
                self.append(frame);
            }
            // The disk may have refused them.
            left = self.backlog.take_all();
        }
        let scrapes: u64 = left.iter().map(|frame| frame.entry.scrapes).sum();
        if scrapes > 0 {
            self.metrics.dropped(DropReason::Shutdown, scrapes);
            warn!(scrapes, "stopped with scrapes that could not be published");
            ending = Ending::Unclean;
        }
        if let Some(spool) = self.spool.take() {
            let frames = spool.len();
            let (dropped, closed) = block_in_place(|| spool.close());
            self.count(&dropped);
            if let Err(error) = closed {
                error!(error = chain(&error), "cannot close the spool");
                ending = Ending::Unclean;
            }
            if frames > 0 {
                info!(frames, "frames stay in the spool for the next start");
            }
        }
        ending
    }
}
