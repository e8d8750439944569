//! The queue's writing end, and what keeps it within its bounds.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;

use super::count::Cause;
use super::cursor::Cursor;
use super::files::{Folder, at};
use super::handed::{Handed, Ledger, State};
use super::reader::Reader;
use super::record::{self, HEAD_BYTES};
use super::segment::{Ended, Segment};
use super::{
    AppendError, CURSOR_INTERVAL, Count, Dropped, Entry, Fsync, PAYLOAD_MAX, SYNC_BYTES,
    SYNC_INTERVAL, Settings, SpoolError, SyncError,
};
use crate::clock::Clock;

/// A last segment of which all is confirmed stays until it is this large, so that a spool that is
/// filled and emptied frame by frame does not make and remove a file for each.
const EMPTIED_BYTES_MAX: u64 = 1 << 20;

/// What was found when a spool was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Frames that wait.
    pub entries: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
    /// When the oldest of them was closed, in milliseconds since the Unix epoch.
    pub oldest_ms: Option<i64>,
    /// Bytes that were cut off the last segment, because a crash had torn it.
    pub cut_bytes: u64,
    /// Other segments whose end cannot be read; the frames in it are lost.
    pub damaged: u64,
    /// Whether frames may come that were confirmed before, because the cursor is lost.
    pub repeats: bool,
}

/// A bounded first-in-first-out queue of frames on disk.
#[derive(Debug)]
pub struct Spool {
    pub(super) settings: Settings,
    pub(super) clock: Clock,
    pub(super) folder: Folder,
    pub(super) segments: VecDeque<Segment>,
    /// The last segment's file, if more may be appended to it.
    pub(super) writer: Option<File>,
    /// The sequence of the next append.
    next: u64,
    pub(super) reader: Reader,
    pub(super) ledger: Ledger,
    pub(super) waiting: Count,
    disk_bytes: u64,
    /// What was dropped and not told yet.
    pub(super) dropped: Dropped,
    unsynced: Unsynced,
    pub(super) cursor: CursorState,
}

/// What is not forced onto the disk yet.
#[derive(Debug, Default)]
struct Unsynced {
    bytes: u64,
    since_ms: Option<i64>,
    /// A file was made or removed.
    folder: bool,
}

/// The cursor's file.
#[derive(Debug, Default)]
pub(super) struct CursorState {
    /// It says less than we know.
    pub(super) is_behind: bool,
    written_ms: i64,
}

impl Spool {
    /// Opens the spool in a folder, and makes the folder if it is missing.
    ///
    /// It reads all that is there, so with a full spool it takes as long as the disk needs for it.
    pub fn open(settings: Settings, clock: Clock) -> Result<(Self, Recovered), SpoolError> {
        let folder = Folder::open(&settings.dir)?;
        let stored = Cursor::load(&folder);
        let firsts = folder.segments()?;
        let mut spool = Self {
            cursor: CursorState {
                is_behind: false,
                written_ms: clock.now_ms(),
            },
            settings,
            clock,
            folder,
            segments: VecDeque::new(),
            writer: None,
            next: 1,
            reader: Reader::default(),
            ledger: Ledger::default(),
            waiting: Count::default(),
            disk_bytes: 0,
            dropped: Dropped::default(),
            unsynced: Unsynced::default(),
        };
        let mut recovered = Recovered {
            repeats: stored.is_none() && !firsts.is_empty(),
            ..Recovered::default()
        };
        let cursor = stored.clone().unwrap_or_default();
        for (index, first) in firsts.iter().enumerate() {
            let next_first = firsts.get(index + 1).copied();
            spool.recover(*first, next_first, &cursor, &mut recovered)?;
        }
        let confirmed = cursor.confirmed.last().map_or(0, |last| last + 1);
        spool.next = spool.next.max(cursor.sequence).max(confirmed);
        match spool.segments.back() {
            // What is appended next may go behind records that are all confirmed.
            Some(last) => spool
                .reader
                .begin_at(last.first, last.end, spool.next, i64::MIN),
            None => spool.reader.begin_at(0, 0, spool.next, i64::MIN),
        }
        spool.ledger.trim(spool.reader.sequence);
        spool.sweep(Emptied::Keep).map_err(open_error)?;
        if stored.is_none() {
            // A file that is bad, or comes back after a power loss, must not be taken for a cursor
            // of the sequences that begin now.
            spool.store_cursor().map_err(open_error)?;
            if spool.settings.fsync != Fsync::Never {
                spool.folder.sync().map_err(at(spool.folder.path()))?;
            }
        }
        recovered.entries = spool.waiting.entries;
        recovered.bytes = spool.waiting.bytes;
        recovered.oldest_ms = spool.oldest_ms();
        Ok((spool, recovered))
    }

    /// Reads one segment's file, cuts it if it is the last one and torn, and takes it in.
    fn recover(
        &mut self,
        first: u64,
        next_first: Option<u64>,
        cursor: &Cursor,
        recovered: &mut Recovered,
    ) -> Result<(), SpoolError> {
        let path = self.folder.segment(first);
        let limit = next_first.unwrap_or(u64::MAX);
        let (reader, ledger, waiting) = (&mut self.reader, &mut self.ledger, &mut self.waiting);
        let scanned = Segment::scan(&path, first, limit, |sequence, offset, entry| {
            if sequence < cursor.sequence {
                return false;
            }
            reader.begin_at(first, offset, sequence, entry.closed_ms);
            let is_done = cursor.confirmed.binary_search(&sequence).is_ok();
            if is_done {
                let handed = Handed::new(first, offset, entry, State::Done);
                ledger.put(sequence, handed);
            } else {
                waiting.add(Count::of(entry));
            }
            !is_done
        });
        let (mut segment, ended) = scanned.map_err(at(&path))?;
        let is_last = next_first.is_none();
        if is_last && matches!(ended, Ended::Damaged) {
            recovered.cut_bytes = segment.disk_bytes - segment.end;
            let cut = OpenOptions::new().write(true).open(&path);
            let cut = cut.and_then(|file| file.set_len(segment.end).and_then(|()| file.sync_all()));
            cut.map_err(at(&path))?;
            segment.disk_bytes = segment.end;
        } else if !matches!(ended, Ended::Whole) {
            recovered.damaged += 1;
        }
        self.next = self.next.max(segment.next());
        self.disk_bytes += segment.disk_bytes;
        if is_last && segment.disk_bytes == segment.end {
            let file = OpenOptions::new().write(true).open(&path);
            self.writer = Some(file.map_err(at(&path))?);
            // A process that was killed may have left it to us to force this onto the disk.
            self.unsynced.bytes = segment.end;
            self.unsynced.since_ms = Some(self.clock.now_ms());
        }
        self.segments.push_back(segment);
        Ok(())
    }

    /// Appends a frame. It is in the spool if this succeeds, and is not if it fails.
    ///
    /// Returns what was dropped since that was told the last time, mostly to make room for this.
    pub fn append(&mut self, entry: &Entry) -> Result<Dropped, AppendError> {
        let bytes = record::size_of(entry);
        let too_large = |limit| AppendError::TooLarge { bytes, limit };
        if bytes > self.settings.max_size {
            return Err(too_large(self.settings.max_size));
        }
        let payload_max = || too_large(PAYLOAD_MAX as u64);
        let head = record::head(entry, self.next).ok_or_else(payload_max)?;
        while self.disk_bytes.saturating_add(bytes) > self.settings.max_size
            && self.drop_oldest(Cause::NoRoom)?
        {}
        match self.write(&head, entry) {
            Err(error) if error.is_full() && self.drop_oldest(Cause::NoRoom)? => {
                self.write(&head, entry)?;
            }
            written => written?,
        }
        Ok(self.take_dropped())
    }

    /// Drops what is older than `max_age`, whole segments at once; reading leaves out the others.
    ///
    /// Returns what was dropped since that was told the last time.
    pub fn expire(&mut self, now_ms: i64) -> Result<Dropped, SyncError> {
        let oldest_ms = self.settings.oldest_ms(now_ms);
        while let Some(segment) = self.segments.front()
            && segment.records > 0
            && segment.newest_ms < oldest_ms
        {
            self.drop_oldest(Cause::TooOld)?;
        }
        Ok(self.take_dropped())
    }

    /// Returns what was dropped since that was told the last time: by reading, by
    /// [`rewind`](Self::rewind), or by something that failed later.
    pub fn take_dropped(&mut self) -> Dropped {
        std::mem::take(&mut self.dropped)
    }

    /// Returns how many frames wait: those appended and not confirmed.
    pub fn len(&self) -> u64 {
        self.waiting.entries
    }

    /// Tells whether no frame waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.entries == 0
    }

    /// Returns the bytes of the payloads that wait.
    pub fn bytes(&self) -> u64 {
        self.waiting.bytes
    }

    /// Returns the bytes of all segments, which is what `max_size` limits.
    pub fn disk_bytes(&self) -> u64 {
        self.disk_bytes
    }

    /// Tells whether [`sync`](Self::sync) has something to do.
    pub fn sync_due(&self) -> bool {
        let now_ms = self.clock.now_ms();
        self.is_data_due(now_ms) || self.is_cursor_due(now_ms)
    }

    /// Forces onto the disk what is due, by the rules of the settings; removes segments that could
    /// not be removed before.
    pub fn sync(&mut self) -> Result<(), SyncError> {
        let now_ms = self.clock.now_ms();
        if self.is_data_due(now_ms)
            && let Err(error) = self.sync_data()
        {
            self.writer = None;
            return Err(error);
        }
        self.sweep(Emptied::Keep)?;
        if self.is_cursor_due(now_ms) {
            self.store_cursor()?;
        }
        Ok(())
    }

    /// Forces everything onto the disk and lets go of the folder.
    ///
    /// Returns what was dropped since that was told the last time, also when it fails.
    pub fn close(mut self) -> (Dropped, Result<(), SyncError>) {
        self.rewind();
        let mut end = || {
            self.sweep(Emptied::Remove)?;
            self.sync_data()?;
            self.store_cursor()?;
            let path = self.folder.path();
            self.folder.sync().map_err(SyncError::at(path))
        };
        let ended = end();
        (self.take_dropped(), ended)
    }

    /// Writes a record behind the others; if that fails, nothing of it is left.
    fn write(&mut self, head: &[u8], entry: &Entry) -> Result<(), SyncError> {
        let bytes = record::size_of(entry);
        self.prepare(bytes)?;
        let (Some(file), Some(segment)) = (&self.writer, self.segments.back()) else {
            return Err(SyncError::at(self.folder.path())(
                io::ErrorKind::NotFound.into(),
            ));
        };
        let (path, offset) = (self.folder.segment(segment.first), segment.end);
        let written = file.write_all_at(head, offset).and_then(|()| {
            let behind = offset + HEAD_BYTES as u64;
            file.write_all_at(&entry.payload, behind)
        });
        if let Err(source) = written {
            self.take_back(offset, bytes);
            return Err(SyncError { path, source });
        }
        let now_ms = self.clock.now_ms();
        self.unsynced.bytes += bytes;
        self.unsynced.since_ms.get_or_insert(now_ms);
        if self.is_data_due(now_ms)
            && let Err(error) = self.sync_data()
        {
            self.take_back(offset, bytes);
            self.writer = None;
            return Err(error);
        }
        if let Some(segment) = self.segments.back_mut() {
            segment.put(entry, true);
        }
        self.next += 1;
        self.disk_bytes += bytes;
        self.waiting.add(Count::of(entry));
        Ok(())
    }

    /// Sees to it that there is a segment with room.
    fn prepare(&mut self, bytes: u64) -> Result<(), SyncError> {
        let limit = self.settings.segment_bytes();
        let has_room = |segment: &Segment| {
            // A record leaves out no sequence, and one that is too large has a segment to itself.
            segment.next() == self.next && (segment.end == 0 || segment.end + bytes <= limit)
        };
        if self.writer.is_some() && self.segments.back().is_some_and(has_room) {
            return Ok(());
        }
        let is_synced = self.settings.fsync == Fsync::Never;
        let synced = if is_synced { Ok(()) } else { self.sync_data() };
        // Whether this succeeded or not, nothing more goes behind what may not be on the disk.
        self.writer = None;
        self.unsynced.bytes = 0;
        synced?;
        if let Some(segment) = self.segments.back()
            && segment.first == self.next
        {
            // Nothing was ever appended to it; its file is emptied now.
            self.disk_bytes -= segment.disk_bytes;
            self.segments.pop_back();
        }
        let path = self.folder.segment(self.next);
        let file = Folder::create(&path).map_err(SyncError::at(&path))?;
        self.writer = Some(file);
        self.segments.push_back(Segment::new(self.next));
        self.unsynced.folder = true;
        Ok(())
    }

    /// Cuts off what an append left that failed.
    fn take_back(&mut self, offset: u64, bytes: u64) {
        let cut = self.writer.as_ref().map(|file| file.set_len(offset));
        if !matches!(cut, Some(Ok(()))) {
            // What is left behind the last record is neither read nor appended to. When the spool is
            // opened again, it is known by its sequence, which the next segment begins with.
            self.writer = None;
            if let Some(segment) = self.segments.back_mut() {
                segment.disk_bytes += bytes;
                self.disk_bytes += bytes;
            }
        }
    }

    /// Removes the oldest segment, and returns whether there was one.
    fn drop_oldest(&mut self, cause: Cause) -> Result<bool, SyncError> {
        let Some(segment) = self.segments.front() else {
            return Ok(false);
        };
        let sequences = segment.first..segment.next();
        let mut lost = segment.waiting.clone();
        let waited = lost.total();
        self.remove(0)?;
        self.reader.sequence = self.reader.sequence.max(sequences.end);
        self.ledger.drop_segment(sequences, cause, &mut lost);
        self.ledger.trim(self.reader.sequence);
        self.waiting.subtract(waited);
        self.dropped.of(cause).add_all(&lost);
        self.cursor.is_behind = true;
        Ok(true)
    }

    /// Removes the segments of which nothing waits.
    pub(super) fn sweep(&mut self, emptied: Emptied) -> Result<(), SyncError> {
        let mut index = 0;
        while let Some(segment) = self.segments.get(index) {
            let is_last = index + 1 == self.segments.len();
            let is_open = is_last && self.writer.is_some();
            let is_kept = emptied == Emptied::Keep
                && is_open
                && segment.disk_bytes < EMPTIED_BYTES_MAX.min(self.settings.segment_bytes());
            if segment.waiting.is_empty() && !is_kept {
                self.remove(index)?;
            } else {
                index += 1;
            }
        }
        Ok(())
    }

    /// Removes a segment's file, and forgets the segment.
    fn remove(&mut self, index: usize) -> Result<(), SyncError> {
        let Some(segment) = self.segments.get(index) else {
            return Ok(());
        };
        let (first, bytes) = (segment.first, segment.disk_bytes);
        let path = self.folder.segment(first);
        Folder::remove(&path).map_err(SyncError::at(&path))?;
        // A file that somebody has open takes its room until it is closed.
        self.reader.let_go_of(first);
        self.segments.remove(index);
        if index == self.segments.len() && self.writer.take().is_some() {
            self.unsynced.bytes = 0;
        }
        self.disk_bytes -= bytes;
        self.unsynced.folder = true;
        let now_ms = self.clock.now_ms();
        self.unsynced.since_ms.get_or_insert(now_ms);
        Ok(())
    }

    fn is_data_due(&self, now_ms: i64) -> bool {
        let is_late = |since_ms| is_past(since_ms, SYNC_INTERVAL.as_millis(), now_ms);
        match self.settings.fsync {
            Fsync::Never => false,
            Fsync::Always => self.unsynced.since_ms.is_some(),
            Fsync::Batched => {
                self.unsynced.bytes >= SYNC_BYTES || self.unsynced.since_ms.is_some_and(is_late)
            }
        }
    }

    /// Forces data and names onto the disk.
    ///
    /// If that fails, nothing more may be appended to the segment: whether its data is on the disk
    /// cannot be known any more, and trying again would succeed without having written it. It can
    /// be read until the machine fails.
    fn sync_data(&mut self) -> Result<(), SyncError> {
        let bytes = std::mem::take(&mut self.unsynced.bytes);
        if let (Some(file), Some(segment)) = (&self.writer, self.segments.back())
            && bytes > 0
        {
            let path = self.folder.segment(segment.first);
            file.sync_data().map_err(SyncError::at(&path))?;
        }
        if self.unsynced.folder {
            let path = self.folder.path();
            self.folder.sync().map_err(SyncError::at(path))?;
        }
        self.unsynced = Unsynced::default();
        Ok(())
    }

    pub(super) fn is_cursor_due(&self, now_ms: i64) -> bool {
        let interval = CURSOR_INTERVAL.as_millis();
        self.cursor.is_behind && is_past(self.cursor.written_ms, interval, now_ms)
    }

    pub(super) fn store_cursor(&mut self) -> Result<(), SyncError> {
        let cursor = self.ledger.cursor(self.reader.sequence);
        // A disk that refuses is not asked more often than one that takes it.
        self.cursor.written_ms = self.clock.now_ms();
        cursor.store(&self.folder, self.settings.fsync)?;
        self.cursor.is_behind = false;
        Ok(())
    }
}

/// What happens to a last segment of which all is confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Emptied {
    /// More may be appended to it.
    Keep,
    Remove,
}

/// Tells whether so much time has passed; a clock that was set back counts as that.
fn is_past(since_ms: i64, interval_ms: u128, now_ms: i64) -> bool {
    let passed = now_ms.saturating_sub(since_ms);
    u128::try_from(passed).map_or(true, |passed| passed >= interval_ms)
}

fn open_error(error: SyncError) -> SpoolError {
    let SyncError { path, source } = error;
    SpoolError::Open { path, source }
}
