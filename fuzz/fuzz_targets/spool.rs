//! A spool's folder with files of any content: opened, read to its end, appended to, confirmed,
//! closed and opened again. The folders are in `TMPDIR`.
#![no_main]

use std::fs;
use std::path::Path;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

use prometheus_streams::clock::Clock;
use prometheus_streams::spool::{Entry, Fsync, Kind, Settings, Spool};
use prometheus_streams_fuzz::Input;

const NOW_MS: i64 = 1_700_000_000_000;

/// Small, so that dropping the oldest is part of it.
const MAX_SIZE: u64 = 64 << 10;

/// Writes records with right checks, and sequences and lengths that may be wrong.
fn records(first: u64, mut input: Input<'_>) -> Vec<u8> {
    let mut file = Vec::new();
    let mut sequence = first;
    while !input.is_empty() {
        let kind = input.byte();
        let payload = input.part();
        let mut fields = Vec::new();
        fields.extend_from_slice(&sequence.to_le_bytes());
        fields.extend_from_slice(&u32::from(kind & 3).to_le_bytes());
        fields.extend_from_slice(&1_u64.to_le_bytes());
        fields.extend_from_slice(&sequence.to_le_bytes());
        // Kinds of messages, and one that there is not; most have no part.
        fields.push(payload.first().map_or(1, |first| first & 3));
        let part = u32::from(kind & 32 != 0);
        fields.extend_from_slice(&part.to_le_bytes());
        // Sums of hostile counts must not overflow.
        let scrapes = if kind & 4 == 0 { 7 } else { u64::MAX };
        fields.extend_from_slice(&scrapes.to_le_bytes());
        let closed_ms = match kind >> 6 {
            0 | 1 => NOW_MS,
            2 => 0,
            _ => i64::MAX,
        };
        fields.extend_from_slice(&closed_ms.to_le_bytes());
        fields.extend_from_slice(payload);
        let length = u32::try_from(fields.len()).expect("a part is short");
        let length = if kind & 8 == 0 { length } else { length ^ 1 };
        let mut check = crc32fast::Hasher::new();
        check.update(&length.to_le_bytes());
        check.update(&fields);
        file.extend_from_slice(&length.to_le_bytes());
        file.extend_from_slice(&check.finalize().to_le_bytes());
        file.append(&mut fields);
        sequence = sequence.wrapping_add(if kind & 16 == 0 { 1 } else { 2 });
    }
    file
}

/// Fills the folder.
fn fill(folder: &Path, input: &mut Input<'_>) {
    let kind = input.byte();
    if kind & 1 != 0 {
        let mut cursor = input.part().to_vec();
        if kind & 2 != 0 {
            cursor.extend_from_slice(&crc32fast::hash(&cursor).to_le_bytes());
        }
        fs::write(folder.join("cursor.v2"), cursor).expect("the folder is there");
    }
    for _ in 0..(kind >> 2) & 3 {
        let name = input.byte();
        let first = match name >> 6 {
            0 => u64::from(name),
            1 => i64::MAX.cast_unsigned() - u64::from(name & 3),
            _ => u64::from(name & 7) + 1,
        };
        let part = input.part();
        let content = if kind & 16 == 0 {
            part.to_vec()
        } else {
            records(first, Input::new(part))
        };
        fs::write(folder.join(format!("{first:016x}.v2")), content).expect("the folder is there");
    }
}

fn settings(folder: &Path) -> Settings {
    Settings {
        max_size: MAX_SIZE,
        fsync: Fsync::Never,
        ..Settings::new(folder.to_owned())
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let folder = TempDir::new().expect("TMPDIR is there");
    fill(folder.path(), &mut input);
    let (mut spool, _) = match Spool::open(settings(folder.path()), Clock::fixed(NOW_MS)) {
        Ok(opened) => opened,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    // A record is at least 57 bytes.
    let limit = 1 + bytes.len() / 57 + bytes.len() / 3;
    let mut positions = Vec::new();
    let own = Entry {
        lane: 3,
        epoch: 9,
        number: 1,
        kind: Kind::Key,
        scrapes: 1,
        closed_ms: NOW_MS,
        payload: Bytes::from_static(b"the last"),
    };
    let is_appended = spool.append(&own).is_ok();
    let mut last = None;
    while let Ok(Some((position, entry))) = spool.read() {
        assert!(positions.last() < Some(&position), "in their order");
        positions.push(position);
        assert!(positions.len() <= limit);
        last = Some(entry);
    }
    spool.rewind();
    for expected in &positions {
        let read = spool.read().expect("as before").expect("as before");
        assert_eq!(read.0, *expected);
        spool.confirm(read.0);
    }
    // It had stopped for want of confirmations, where there are more than it reads ahead.
    while let Ok(Some((position, entry))) = spool.read() {
        spool.confirm(position);
        last = Some(entry);
    }
    if is_appended {
        assert_eq!(last.as_ref(), Some(&own));
        assert!(spool.is_empty());
    }
    drop(spool.take_dropped());
    let (_, closed) = spool.close();
    closed.expect("the disk is well");
    let again = Spool::open(settings(folder.path()), Clock::fixed(NOW_MS));
    let (mut again, _) = again.expect("what we left is ours");
    if is_appended {
        assert!(again.is_empty());
        assert_eq!(again.read().expect("it is empty"), None);
    }
});
