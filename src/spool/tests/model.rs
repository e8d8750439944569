//! Any sequence of operations and crashes, beside a list in memory.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// Something that an owner, or fate, does.
#[derive(Debug, Clone)]
enum Step {
    /// Appends a frame with so many bytes, closed so much later than the last one.
    Append {
        bytes: usize,
        later_ms: i64,
    },
    Read(usize),
    /// Confirms one of the frames that are out.
    Confirm(usize),
    Rewind,
    Expire,
    Pass(i64),
    Sync,
    /// Closes the spool and opens it again.
    Reopen,
    /// Kills the process: only what is written as files remains.
    Kill,
    /// Cuts the last segment where a power loss could have cut it, in thousandths of what is not
    /// synced, or of all of it.
    Crash {
        thousandths: u64,
        spares_synced: bool,
    },
    LoseCursor,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0_usize..400, 0_i64..2000).prop_map(|(bytes, later_ms)| {
            Step::Append { bytes, later_ms }
        }),
        6 => (1_usize..8).prop_map(Step::Read),
        8 => any::<usize>().prop_map(Step::Confirm),
        1 => Just(Step::Rewind),
        1 => Just(Step::Expire),
        2 => (0_i64..20_000).prop_map(Step::Pass),
        2 => Just(Step::Sync),
        1 => Just(Step::Reopen),
        1 => Just(Step::Kill),
        2 => (0_u64..=1000, any::<bool>()).prop_map(|(thousandths, spares_synced)| {
            Step::Crash { thousandths, spares_synced }
        }),
        1 => Just(Step::LoseCursor),
    ]
}

/// The spool and what we know of it. Frames are known by their numbers, which count from 0.
struct Model {
    lab: Lab,
    spool: Option<Spool>,
    /// All that were ever appended.
    frames: Vec<Entry>,
    /// Those that wait, are out, or were dropped since this was last found out by reading all.
    alive: BTreeSet<u64>,
    /// How many of them the spool says were dropped.
    dropped: u64,
    /// Those confirmed, but perhaps not for the cursor's file.
    unsaved: BTreeSet<u64>,
    /// What was handed out and is neither confirmed nor back.
    out: Vec<(Position, u64)>,
    /// The least number that may be read next.
    next: u64,
    /// How many bytes of which segment are on the disk for sure; all segments before it are.
    synced: (PathBuf, u64),
}

impl Model {
    fn new(max_size: u64, fsync: Fsync) -> Self {
        let mut lab = Lab::new(max_size);
        lab.settings.fsync = fsync;
        let spool = Some(lab.open().0);
        Self {
            lab,
            spool,
            frames: Vec::new(),
            alive: BTreeSet::new(),
            dropped: 0,
            unsaved: BTreeSet::new(),
            out: Vec::new(),
            next: 0,
            synced: (PathBuf::new(), 0),
        }
    }

    fn spool(&mut self) -> &mut Spool {
        self.spool.as_mut().unwrap()
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Append { bytes, later_ms } => self.append(bytes, later_ms),
            Step::Read(count) => (0..count).for_each(|_| self.read()),
            Step::Confirm(which) => self.confirm(which),
            Step::Rewind => self.rewind(),
            Step::Expire => {
                let now_ms = self.lab.clock.now_ms();
                let dropped = self.spool().expire(now_ms).unwrap();
                self.count(&dropped);
            }
            Step::Pass(milliseconds) => self.lab.pass(milliseconds),
            Step::Sync => self.sync(),
            Step::Reopen => self.reopen(),
            Step::Kill => self.crash(1000, false),
            Step::Crash {
                thousandths,
                spares_synced,
            } => self.crash(thousandths, spares_synced),
            Step::LoseCursor => self.lose_cursor(),
        }
        self.balance();
    }

    fn count(&mut self, dropped: &Dropped) {
        assert!(dropped.damaged.is_empty());
        self.dropped += dropped.all().total().entries;
    }

    /// Whatever was appended waits, is out, was confirmed, or was dropped and counted.
    fn balance(&mut self) {
        let last = self.spool().take_dropped();
        self.count(&last);
        let waiting = self.spool().len();
        let orphans = self.spool().ledger.orphans() as u64;
        let alive = self.alive.len() as u64;
        assert_eq!(waiting + orphans + self.dropped, alive);
        let (bytes, limit) = (self.spool().disk_bytes(), self.lab.settings.max_size);
        assert!(bytes <= limit, "{bytes} of {limit}");
        let sizes = self.lab.segments();
        let sizes = sizes.iter().map(|path| path.metadata().unwrap().len());
        assert_eq!(sizes.sum::<u64>(), bytes);
        assert_eq!(self.spool().is_empty(), waiting == 0);
        assert_eq!(self.spool().oldest_ms().is_some(), waiting > 0);
    }

    fn append(&mut self, bytes: usize, later_ms: i64) {
        let number = self.frames.len() as u64;
        self.lab.pass(later_ms);
        let mut entry = sized(number, bytes);
        entry.closed_ms = self.lab.clock.now_ms();
        let dropped = self.spool().append(&entry).unwrap();
        self.count(&dropped);
        self.frames.push(entry);
        self.alive.insert(number);
    }

    fn read(&mut self) {
        if let Some((position, entry)) = self.spool().read().unwrap() {
            let number = entry.number;
            assert!(number >= self.next, "{number} comes late");
            assert!(self.alive.contains(&number), "{number} was gone");
            assert_eq!(
                self.frames.get(usize::try_from(number).unwrap()),
                Some(&entry)
            );
            self.next = number + 1;
            self.out.push((position, number));
        }
    }

    fn confirm(&mut self, which: usize) {
        if !self.out.is_empty() {
            let (position, number) = self.out.remove(which % self.out.len());
            self.spool().confirm(position);
            self.alive.remove(&number);
            self.unsaved.insert(number);
        }
    }

    fn rewind(&mut self) {
        self.spool().rewind();
        self.out.clear();
        self.next = 0;
    }

    fn sync(&mut self) {
        self.lab.pass(1000);
        self.spool().sync().unwrap();
        self.unsaved.clear();
        let last = self.lab.segments().pop().unwrap_or_default();
        let bytes = last.metadata().map_or(0, |metadata| metadata.len());
        self.synced = (last, bytes);
    }

    /// Reads everything that is not too old, and takes it back.
    #[track_caller]
    fn survey(&self, spool: &mut Spool) -> BTreeSet<u64> {
        spool.rewind();
        let found: Vec<Entry> = read(spool).into_iter().map(|read| read.1).collect();
        spool.rewind();
        assert!(found.is_sorted_by_key(|entry| entry.number));
        for entry in &found {
            let number = usize::try_from(entry.number).unwrap();
            assert_eq!(self.frames.get(number), Some(entry));
        }
        found.iter().map(|entry| entry.number).collect()
    }

    /// Goes on with a spool that has just been opened, and returns what is in it.
    #[track_caller]
    fn go_on(&mut self, mut spool: Spool, recovered: &Recovered) -> BTreeSet<u64> {
        assert_eq!(recovered.damaged, 0);
        assert_eq!(recovered.entries, spool.len());
        let found = self.survey(&mut spool);
        let too_old = spool.take_dropped();
        assert!(too_old.no_room.is_empty() && too_old.damaged.is_empty());
        assert_eq!(
            recovered.entries,
            found.len() as u64 + too_old.all().total().entries
        );
        self.alive.clone_from(&found);
        self.dropped = 0;
        self.unsaved.retain(|number| !found.contains(number));
        self.out.clear();
        self.next = 0;
        self.spool = Some(spool);
        found
    }

    fn reopen(&mut self) {
        let mut spool = self.spool.take().unwrap();
        let before = self.survey(&mut spool);
        spool.close().1.unwrap();
        self.unsaved.clear();
        let (spool, recovered) = self.lab.open();
        assert_eq!((recovered.cut_bytes, recovered.repeats), (0, false));
        assert_eq!(self.go_on(spool, &recovered), before);
    }

    /// Ends without closing, with the last segment cut; only what is in files remains.
    fn crash(&mut self, thousandths: u64, spares_synced: bool) {
        let copy = self.lab.copy();
        let mut spool = self.spool.take().unwrap();
        let mut before = self.survey(&mut spool);
        drop(spool);
        let mut cut_bytes = 0;
        if let Some(path) = copy.segments().pop() {
            let is_synced = spares_synced && path.file_name() == self.synced.0.file_name();
            let length = path.metadata().unwrap().len();
            let least = if is_synced {
                self.synced.1.min(length)
            } else {
                0
            };
            let end = least + (length - least) * thousandths / 1000;
            let (ends, numbers) = records(&path);
            let whole = ends.partition_point(|record_end| *record_end <= end);
            cut_bytes = end - whole.checked_sub(1).map_or(0, |last| ends[last]);
            for number in &numbers[whole..] {
                before.remove(number);
            }
            let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
            file.set_len(end).unwrap();
        }
        self.lab = copy;
        let (spool, recovered) = self.lab.open();
        assert_eq!((recovered.cut_bytes, recovered.repeats), (cut_bytes, false));
        let unsaved = self.unsaved.clone();
        let found = self.go_on(spool, &recovered);
        assert!(found.is_superset(&before), "{found:?} {before:?}");
        let repeated: BTreeSet<u64> = found.difference(&before).copied().collect();
        assert!(repeated.is_subset(&unsaved), "{repeated:?} {unsaved:?}");
        self.synced = (PathBuf::new(), 0);
    }

    fn lose_cursor(&mut self) {
        let mut spool = self.spool.take().unwrap();
        let before = self.survey(&mut spool);
        drop(spool);
        std::fs::remove_file(self.lab.dir().join("cursor.v2")).unwrap();
        let has_segments = !self.lab.segments().is_empty();
        let (spool, recovered) = self.lab.open();
        assert_eq!(recovered.repeats, has_segments);
        assert!(self.go_on(spool, &recovered).is_superset(&before));
    }
}

/// Where each record of a segment ends, and the number of its frame.
fn records(path: &Path) -> (Vec<u64>, Vec<u64>) {
    let file = std::fs::File::open(path).unwrap();
    let length = file.metadata().unwrap().len();
    let (mut ends, mut numbers) = (Vec::new(), Vec::new());
    let mut end = 0;
    while let Ok((_, entry)) = record::read(&file, end, length, &mut Vec::new()) {
        end += record::size_of(&entry);
        ends.push(end);
        numbers.push(entry.number);
    }
    assert_eq!(end, length);
    (ends, numbers)
}

proptest! {
    #[test]
    fn frames_come_in_order_and_as_they_were_or_are_counted(
        max_size in 460_u64..20_000,
        // Most cases leave syncing out, since it only takes time.
        fsync in prop_oneof![
            8 => Just(Fsync::Never),
            1 => Just(Fsync::Batched),
            1 => Just(Fsync::Always),
        ],
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        let mut model = Model::new(max_size, fsync);
        for step in &steps {
            model.apply(step);
        }
        model.rewind();
        model.balance();
        while let Some((position, _)) = model.spool().read().unwrap() {
            model.spool().confirm(position);
        }
        model.spool.take().unwrap().close().1.unwrap();
        assert!(model.lab.segments().is_empty());
        assert_eq!(model.lab.open().1, Recovered::default());
    }
}
