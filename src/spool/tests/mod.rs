//! What the spool promises, on real files.

mod damage;
mod disk;
mod model;

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;

use super::*;
use crate::clock::Clock;

const NOW_MS: i64 = 1_700_000_000_000;
const MAX_AGE_MS: i64 = 60_000;

/// A spool's folder, which outlives the spool.
struct Lab {
    _root: TempDir,
    settings: Settings,
    clock: Clock,
}

impl Lab {
    /// A spool of this size; its segments have an eighth. It syncs nothing, which takes most of the
    /// time and shows only when a machine fails.
    fn new(max_size: u64) -> Self {
        let root = TempDir::new().unwrap();
        let settings = Settings {
            max_size,
            max_age: Duration::from_millis(MAX_AGE_MS.unsigned_abs()),
            fsync: Fsync::Never,
            ..Settings::new(root.path().join("spool"))
        };
        let clock = Clock::fixed(NOW_MS);
        Self {
            _root: root,
            settings,
            clock,
        }
    }

    #[track_caller]
    fn open(&self) -> (Spool, Recovered) {
        Spool::open(self.settings.clone(), self.clock.clone()).unwrap()
    }

    fn dir(&self) -> &Path {
        &self.settings.dir
    }

    /// Another folder with the same files: what a crash at this moment leaves.
    fn copy(&self) -> Self {
        let mut copy = Self::new(self.settings.max_size);
        copy.settings = Settings {
            dir: copy.settings.dir,
            ..self.settings.clone()
        };
        copy.clock = self.clock.clone();
        std::fs::create_dir(copy.dir()).unwrap();
        for path in files(self.dir()) {
            std::fs::copy(&path, copy.dir().join(path.file_name().unwrap())).unwrap();
        }
        copy
    }

    fn segments(&self) -> Vec<PathBuf> {
        let mut files = files(self.dir());
        files.retain(|path| path.file_stem().unwrap().len() == 16);
        files
    }

    fn pass(&self, milliseconds: i64) {
        self.clock.set_ms(self.clock.now_ms() + milliseconds);
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// The frame with this number: 43 bytes of payload, so 100 on disk, two scrapes, lanes 0 to 2.
fn entry(number: u64) -> Entry {
    sized(number, 43)
}

fn sized(number: u64, bytes: usize) -> Entry {
    let text: Vec<u8> = number.to_string().into_bytes();
    Entry {
        lane: u32::try_from(number % 3).unwrap(),
        epoch: 77,
        number,
        kind: match number % 4 {
            0 => Kind::Key,
            1 => Kind::Shape { part: 70_000 },
            _ => Kind::Delta,
        },
        scrapes: 2,
        closed_ms: NOW_MS,
        payload: text.iter().copied().cycle().take(bytes).collect::<Bytes>(),
    }
}

#[track_caller]
fn append(spool: &mut Spool, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        assert_eq!(spool.append(&entry(number)).unwrap(), Dropped::default());
    }
}

/// Reads all that there is.
#[track_caller]
fn read(spool: &mut Spool) -> Vec<(Position, Entry)> {
    std::iter::from_fn(|| spool.read().unwrap()).collect()
}

/// Reads all that there is and expects frames as [`entry`] makes them.
#[track_caller]
fn check_read(spool: &mut Spool, expected: impl IntoIterator<Item = u64>) -> Vec<Position> {
    let expected: Vec<Entry> = expected.into_iter().map(entry).collect();
    let (positions, found): (Vec<Position>, Vec<Entry>) = read(spool).into_iter().unzip();
    assert_eq!(found, expected);
    positions
}

fn numbers(lanes: &ByLane) -> Vec<(u32, u64)> {
    lanes
        .lanes()
        .map(|(lane, count)| (lane, count.entries))
        .collect()
}

#[test]
fn what_is_appended_is_read_in_order_and_leaves_nothing_when_confirmed() {
    let lab = Lab::new(1 << 20);
    let (mut spool, recovered) = lab.open();
    assert_eq!(recovered, Recovered::default());
    assert_eq!(
        (spool.len(), spool.oldest_ms(), spool.is_empty()),
        (0, None, true)
    );
    append(&mut spool, 1..=5);
    assert_eq!(
        (spool.len(), spool.bytes(), spool.disk_bytes()),
        (5, 215, 500)
    );
    assert_eq!(spool.oldest_ms(), Some(NOW_MS));
    for position in check_read(&mut spool, 1..=5) {
        spool.confirm(position);
    }
    assert_eq!((spool.len(), spool.bytes()), (0, 0));
    let (dropped, closed) = spool.close();
    closed.unwrap();
    assert!(dropped.is_empty());
    assert!(lab.segments().is_empty());
}

#[test]
fn frames_stay_over_a_restart_and_confirmed_ones_do_not_come_back() {
    let lab = Lab::new(8 * 300);
    let (mut spool, _) = lab.open();
    append(&mut spool, 1..=7);
    let positions = check_read(&mut spool, 1..=7);
    for index in [0, 1, 4] {
        spool.confirm(positions[index]);
    }
    spool.close().1.unwrap();
    let (mut spool, recovered) = lab.open();
    let expected = Recovered {
        entries: 4,
        bytes: 4 * 43,
        oldest_ms: Some(NOW_MS),
        ..Recovered::default()
    };
    assert_eq!(recovered, expected);
    append(&mut spool, [8]);
    check_read(&mut spool, [3, 4, 6, 7, 8]);
}

#[test]
fn a_segment_goes_when_all_of_it_is_confirmed_in_whatever_order() {
    let lab = Lab::new(8 * 300);
    let (mut spool, _) = lab.open();
    append(&mut spool, 1..=9);
    assert_eq!(lab.segments().len(), 3);
    let positions = check_read(&mut spool, 1..=9);
    for index in [5, 4, 3, 0, 2] {
        spool.confirm(positions[index]);
    }
    assert_eq!(lab.segments().len(), 2, "the middle one is gone");
    spool.confirm(positions[1]);
    spool.confirm(positions[1]);
    assert_eq!(lab.segments().len(), 1);
    assert_eq!((spool.len(), spool.disk_bytes()), (3, 300));
    spool.rewind();
    check_read(&mut spool, 7..=9);
}

#[test]
fn a_rewind_hands_out_again_what_is_not_confirmed() {
    let lab = Lab::new(8 * 300);
    let (mut spool, _) = lab.open();
    append(&mut spool, 1..=5);
    let positions = check_read(&mut spool, 1..=5);
    spool.confirm(positions[1]);
    spool.rewind();
    spool.confirm(positions[3]);
    append(&mut spool, [6]);
    check_read(&mut spool, [1, 3, 5, 6]);
    spool.rewind();
    check_read(&mut spool, [1, 3, 5, 6]);
    assert_eq!(spool.take_dropped(), Dropped::default());
}

#[test]
fn the_oldest_segment_is_dropped_to_make_room_and_counted_by_lane() {
    let lab = Lab::new(2400);
    let (mut spool, _) = lab.open();
    append(&mut spool, 1..=24);
    let dropped = spool.append(&entry(25)).unwrap();
    assert_eq!(numbers(&dropped.no_room), [(0, 1), (1, 1), (2, 1)]);
    let expected = Count {
        entries: 3,
        scrapes: 6,
        bytes: 3 * 43,
    };
    assert_eq!(dropped.all().total(), expected);
    assert!(spool.disk_bytes() <= 2400);
    check_read(&mut spool, 4..=25);
}

#[test]
fn what_is_handed_out_is_dropped_only_when_it_comes_back() {
    let lab = Lab::new(2400);
    let (mut spool, _) = lab.open();
    append(&mut spool, 1..=24);
    let (first, _) = spool.read().unwrap().unwrap();
    let (_second, _) = spool.read().unwrap().unwrap();
    let dropped = spool.append(&entry(25)).unwrap();
    assert_eq!(
        numbers(&dropped.no_room),
        [(0, 1)],
        "only the third was left"
    );
    spool.confirm(first);
    assert_eq!(spool.take_dropped(), Dropped::default());
    spool.rewind();
    assert_eq!(numbers(&spool.take_dropped().no_room), [(2, 1)]);
    check_read(&mut spool, 4..=25);
}

#[test]
fn confirmed_frames_are_not_counted_as_dropped() {
    let lab = Lab::new(2400);
    let (mut spool, _) = lab.open();
    append(&mut spool, 1..=24);
    let (first, _) = spool.read().unwrap().unwrap();
    spool.confirm(first);
    let dropped = spool.append(&entry(25)).unwrap();
    assert_eq!(numbers(&dropped.no_room), [(0, 1), (2, 1)]);
    assert_eq!(spool.len(), 22);
}

#[test]
fn what_is_too_old_is_dropped_by_segments_and_when_it_is_read() {
    let lab = Lab::new(8 * 300);
    let (mut spool, _) = lab.open();
    append(&mut spool, 1..=4);
    let mut younger = entry(5);
    younger.closed_ms += 10_000;
    assert!(spool.append(&younger).unwrap().is_empty());
    lab.pass(MAX_AGE_MS);
    assert!(
        spool.expire(lab.clock.now_ms()).unwrap().is_empty(),
        "not older than the limit"
    );
    lab.pass(1);
    let dropped = spool.expire(lab.clock.now_ms()).unwrap();
    assert_eq!(numbers(&dropped.too_old), [(0, 1), (1, 1), (2, 1)]);
    assert_eq!((spool.len(), lab.segments().len()), (2, 1));
    let (position, found) = spool.read().unwrap().unwrap();
    assert_eq!(found, younger);
    assert_eq!(numbers(&spool.take_dropped().too_old), [(1, 1)]);
    spool.rewind();
    assert_eq!(read(&mut spool), [(position, younger)]);
    assert!(spool.take_dropped().is_empty(), "nothing is counted twice");
    lab.pass(10_000);
    assert!(
        spool.expire(lab.clock.now_ms()).unwrap().is_empty(),
        "the owner has it"
    );
    assert!(spool.is_empty());
    spool.rewind();
    assert_eq!(numbers(&spool.take_dropped().too_old), [(2, 1)]);
    append(&mut spool, [6]);
}

#[test]
fn the_age_is_that_of_the_oldest_frame_that_waits() {
    let lab = Lab::new(1 << 20);
    let (mut spool, _) = lab.open();
    for number in 1..=3_i64 {
        let mut entry = entry(number.unsigned_abs());
        entry.closed_ms += number;
        assert!(spool.append(&entry).unwrap().is_empty());
    }
    let positions: Vec<Position> = read(&mut spool).into_iter().map(|read| read.0).collect();
    spool.confirm(positions[1]);
    assert_eq!(spool.oldest_ms(), Some(NOW_MS + 1));
    spool.confirm(positions[0]);
    assert_eq!(spool.oldest_ms(), Some(NOW_MS + 3));
    spool.close().1.unwrap();
    assert_eq!(lab.open().1.oldest_ms, Some(NOW_MS + 3));
}

#[test]
fn no_more_is_handed_out_than_can_be_remembered() {
    let lab = Lab::new(1 << 20);
    let (mut spool, _) = lab.open();
    append(&mut spool, 0..READ_AHEAD_MAX as u64 + 10);
    let positions = check_read(&mut spool, 0..READ_AHEAD_MAX as u64);
    for position in &positions[1..] {
        spool.confirm(*position);
    }
    assert!(spool.read().unwrap().is_none());
    spool.rewind();
    check_read(&mut spool, [0]);
    spool.close().1.unwrap();
    let (mut spool, _) = lab.open();
    let (first, found) = spool.read().unwrap().unwrap();
    assert_eq!(found, entry(0));
    spool.confirm(first);
    check_read(
        &mut spool,
        READ_AHEAD_MAX as u64..READ_AHEAD_MAX as u64 + 10,
    );
}

#[test]
fn a_frame_larger_than_a_segment_has_one_to_itself() {
    let lab = Lab::new(8 * 300);
    let (mut spool, _) = lab.open();
    let large = sized(2, 1000);
    append(&mut spool, [1]);
    assert!(spool.append(&large).unwrap().is_empty());
    append(&mut spool, [3]);
    assert_eq!(lab.segments().len(), 3);
    let found: Vec<Entry> = read(&mut spool).into_iter().map(|read| read.1).collect();
    assert_eq!(found, [entry(1), large, entry(3)]);
}

#[test]
fn a_frame_that_can_never_fit_is_refused_and_drops_nothing() {
    #[track_caller]
    fn check(max_size: u64, bytes: usize, is_taken: bool) {
        let lab = Lab::new(max_size);
        let (mut spool, _) = lab.open();
        append(&mut spool, [1]);
        let appended = spool.append(&sized(2, bytes));
        assert_eq!(appended.is_ok(), is_taken, "{bytes} into {max_size}");
        if let Err(error) = appended {
            assert!(matches!(error, AppendError::TooLarge { .. }), "{error}");
            check_read(&mut spool, [1]);
        }
    }
    check(1000, 943, true);
    check(1000, 949, false);
    check(1 << 30, PAYLOAD_MAX, true);
    check(1 << 30, PAYLOAD_MAX + 1, false);
    check(1000, 0, true);
}

#[test]
fn data_is_synced_after_a_time_or_an_amount() {
    let mut lab = Lab::new(1 << 30);
    lab.settings.fsync = Fsync::Batched;
    let (mut spool, _) = lab.open();
    append(&mut spool, [1]);
    assert!(!spool.sync_due());
    lab.pass(199);
    assert!(!spool.sync_due());
    lab.pass(1);
    assert!(spool.sync_due());
    spool.sync().unwrap();
    assert!(!spool.sync_due());
    append(&mut spool, [2]);
    lab.pass(-1);
    assert!(spool.sync_due(), "a clock that was set back delays nothing");
    spool.sync().unwrap();
    append(&mut spool, [3]);
    assert!(spool.append(&sized(4, 1 << 20)).unwrap().is_empty());
    lab.pass(200);
    assert!(!spool.sync_due(), "the append has done it");
}

#[test]
fn the_cursor_is_written_once_a_second_at_most() {
    let lab = Lab::new(1 << 20);
    let (mut spool, _) = lab.open();
    append(&mut spool, 1..=3);
    let positions = check_read(&mut spool, 1..=3);
    spool.confirm(positions[0]);
    check_read(&mut lab.copy().open().0, 1..=3);
    lab.pass(1000);
    assert!(spool.sync_due());
    spool.confirm(positions[1]);
    check_read(&mut lab.copy().open().0, 3..=3);
    spool.confirm(positions[2]);
    spool.sync().unwrap();
    check_read(&mut lab.copy().open().0, 3..=3);
    lab.pass(1000);
    spool.sync().unwrap();
    check_read(&mut lab.copy().open().0, []);
}

#[test]
fn every_policy_keeps_what_was_appended() {
    for fsync in [Fsync::Batched, Fsync::Always, Fsync::Never] {
        let mut lab = Lab::new(8 * 300);
        lab.settings.fsync = fsync;
        let (mut spool, _) = lab.open();
        append(&mut spool, 1..=8);
        lab.pass(1000);
        spool.sync().unwrap();
        assert!(!spool.sync_due(), "{fsync:?}");
        check_read(&mut lab.copy().open().0, 1..=8);
    }
}

#[test]
fn the_files_are_for_our_eyes_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let lab = Lab::new(1 << 20);
    let (mut spool, _) = lab.open();
    append(&mut spool, [1]);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(lab.dir()), 0o700);
    for path in files(lab.dir()) {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}
