//! Folders that a crash, a bad disk or somebody else has left.

use proptest::prelude::*;

use super::*;

/// Five frames in two segments, and nothing confirmed.
fn filled() -> Lab {
    let lab = Lab::new(8 * 300);
    let (mut spool, _) = lab.open();
    append(&mut spool, 1..=5);
    lab
}

/// Reads all, damage passed over, and returns the numbers; each frame must be as it was made.
#[track_caller]
fn survivors(spool: &mut Spool) -> Vec<u64> {
    let mut found = Vec::new();
    loop {
        match spool.read() {
            Ok(Some((_, read))) => {
                assert_eq!(read, entry(read.number));
                found.push(read.number);
            }
            Ok(None) => return found,
            Err(ReadError::Damaged { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_last_segment_cut_at_any_byte_loses_only_what_was_cut() {
    let lab = filled();
    let last = lab.segments().pop().unwrap();
    let bytes = std::fs::read(&last).unwrap();
    assert_eq!(bytes.len(), 200);
    for end in 0..=bytes.len() {
        let lab = lab.copy();
        std::fs::write(lab.segments().pop().unwrap(), &bytes[..end]).unwrap();
        let (mut spool, recovered) = lab.open();
        let whole = (end / 100) as u64;
        let expected = Recovered {
            entries: 3 + whole,
            bytes: (3 + whole) * 43,
            cut_bytes: (end % 100) as u64,
            oldest_ms: Some(NOW_MS),
            ..Recovered::default()
        };
        assert_eq!(recovered, expected, "cut at {end}");
        append(&mut spool, [6]);
        let expected: Vec<u64> = (1..=3 + whole).chain([6]).collect();
        check_read(&mut spool, expected);
        drop(spool);
        assert_eq!(lab.open().1.cut_bytes, 0, "it is cut once");
    }
}

#[test]
fn bytes_behind_the_last_record_are_cut() {
    for tail in [&[0; 4096][..], &[0xff; 60], &[44], &entry(9).payload] {
        let lab = filled();
        let last = lab.segments().pop().unwrap();
        let bytes = [&std::fs::read(&last).unwrap(), tail].concat();
        std::fs::write(&last, bytes).unwrap();
        let (mut spool, recovered) = lab.open();
        assert_eq!(recovered.cut_bytes, tail.len() as u64);
        append(&mut spool, [6]);
        check_read(&mut spool, 1..=6);
    }
}

#[test]
fn a_changed_bit_anywhere_never_gives_another_frame() {
    let lab = filled();
    for (index, path) in lab.segments().iter().enumerate() {
        let bytes = std::fs::read(path).unwrap();
        for bit in 0..bytes.len() * 8 {
            // All bits of the heads, some of the payloads.
            let (byte, in_record) = (bit / 8, bit / 8 % 100);
            if in_record > 60 && bit % 61 != 0 {
                continue;
            }
            let mut bytes = bytes.clone();
            bytes[byte] ^= 1 << (bit % 8);
            let lab = lab.copy();
            std::fs::write(&lab.segments()[index], &bytes).unwrap();
            let (mut spool, recovered) = lab.open();
            let good = (byte / 100) as u64;
            let expected: Vec<u64> = if index == 0 {
                (1..=good).chain(4..=5).collect()
            } else {
                (1..=3 + good).collect()
            };
            assert_eq!(
                recovered.entries,
                expected.len() as u64,
                "bit {bit} of {index}"
            );
            assert_eq!(recovered.damaged, u64::from(index == 0));
            assert_eq!(survivors(&mut spool), expected, "bit {bit} of {index}");
        }
    }
}

#[test]
fn a_bit_that_changes_under_an_open_spool_is_found_when_it_is_read() {
    for byte in 0..300 {
        let lab = filled();
        let (mut spool, _) = lab.open();
        let (first, _) = spool.read().unwrap().unwrap();
        let path = &lab.segments()[0];
        let mut bytes = std::fs::read(path).unwrap();
        bytes[byte] ^= 0x40;
        std::fs::write(path, bytes).unwrap();
        let good = byte as u64 / 100;
        let expected: Vec<u64> = (2..=good.max(1)).chain(4..=5).collect();
        if good == 0 {
            spool.rewind();
            assert_eq!(survivors(&mut spool), [4, 5]);
            assert_eq!(spool.take_dropped().damaged.total().entries, 3);
            spool.confirm(first);
            assert_eq!(spool.len(), 2);
        } else {
            assert_eq!(survivors(&mut spool), expected, "byte {byte}");
            let lost = spool.take_dropped().damaged.total();
            assert_eq!(lost.entries, 3 - good, "byte {byte}");
            assert_eq!(spool.len(), 2 + good);
            spool.rewind();
            let again: Vec<u64> = (1..=good).chain(4..=5).collect();
            assert_eq!(survivors(&mut spool), again, "byte {byte}");
            assert_eq!(spool.take_dropped(), Dropped::default());
        }
    }
}

#[test]
fn damage_in_the_last_segment_is_not_appended_to() {
    let lab = filled();
    let (mut spool, _) = lab.open();
    let path = lab.segments().pop().unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[60] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(survivors(&mut spool), [1, 2, 3]);
    assert_eq!(spool.take_dropped().damaged.total().entries, 2);
    append(&mut spool, [6]);
    assert_eq!(survivors(&mut spool), [6]);
    drop(spool);
    assert_eq!(survivors(&mut lab.open().0), [1, 2, 3, 6]);
}

#[test]
fn a_segment_that_vanishes_is_passed_over() {
    let lab = filled();
    let (mut spool, _) = lab.open();
    std::fs::remove_file(&lab.segments()[0]).unwrap();
    let error = spool.read().unwrap_err().to_string();
    assert!(
        error.contains("is damaged at byte 0; 3 frames are lost"),
        "{error}"
    );
    check_read(&mut spool, 4..=5);
}

#[test]
fn a_segment_that_cannot_be_read_is_given_up_after_some_tries() {
    let lab = filled();
    let (mut spool, _) = lab.open();
    // A folder can be opened as a file can, but reading from it fails.
    let path = lab.segments().remove(0);
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    for _try in 0..2 {
        let error = spool.read().unwrap_err();
        assert!(matches!(error, ReadError::Read { .. }), "{error}");
    }
    let error = spool.read().unwrap_err();
    assert!(
        matches!(error, ReadError::Damaged { lost, .. } if lost.entries == 3),
        "{error}"
    );
    check_read(&mut spool, 4..=5);
    assert_eq!(spool.take_dropped().damaged.total().entries, 3);
}

#[test]
fn segments_in_each_others_place_are_not_read() {
    let lab = filled();
    let paths = lab.segments();
    let swapped = lab.dir().join("0000000000000009.v2");
    std::fs::rename(&paths[0], &swapped).unwrap();
    let (mut spool, recovered) = lab.open();
    assert_eq!(recovered.cut_bytes, 300);
    append(&mut spool, [6]);
    check_read(&mut spool, [4, 5, 6]);
}

/// Opens a copy of five frames, of which some are confirmed, with another cursor's file.
#[track_caller]
fn check_cursor(lab: &Lab, cursor: Option<&[u8]>) {
    let lab = lab.copy();
    let path = lab.dir().join("cursor.v2");
    match cursor {
        Some(bytes) => std::fs::write(path, bytes).unwrap(),
        None => std::fs::remove_file(path).unwrap(),
    }
    let (mut spool, recovered) = lab.open();
    assert!(recovered.repeats);
    check_read(&mut spool, 1..=5);
    drop(spool);
    assert!(!lab.open().1.repeats, "there is a cursor again");
}

#[test]
fn without_a_good_cursor_reading_begins_with_the_oldest() {
    let lab = filled();
    let (mut spool, _) = lab.open();
    let positions = check_read(&mut spool, 1..=5);
    spool.confirm(positions[0]);
    spool.confirm(positions[2]);
    spool.close().1.unwrap();
    let cursor = lab.dir().join("cursor.v2");
    let bytes = std::fs::read(&cursor).unwrap();
    check_cursor(&lab, None);
    check_cursor(&lab, Some(&[]));
    check_cursor(&lab, Some(&vec![0xff; 100_000]));
    for end in 0..bytes.len() {
        check_cursor(&lab, Some(&bytes[..end]));
        let mut changed = bytes.clone();
        changed[end] ^= 0x10;
        check_cursor(&lab, Some(&changed));
    }
}

#[test]
fn sequences_go_on_behind_a_cursor_whose_records_are_lost() {
    let lab = filled();
    let (mut spool, _) = lab.open();
    let positions = check_read(&mut spool, 1..=5);
    for position in &positions[..4] {
        spool.confirm(*position);
    }
    spool.rewind();
    lab.pass(1000);
    spool.sync().unwrap();
    let lab = lab.copy();
    std::fs::write(lab.segments().pop().unwrap(), []).unwrap();
    let (mut spool, recovered) = lab.open();
    assert_eq!(recovered.entries, 0);
    append(&mut spool, [6, 7]);
    check_read(&mut spool, [6, 7]);
    drop(spool);
    check_read(&mut lab.open().0, [6, 7]);
}

#[test]
fn a_last_segment_of_confirmed_records_is_appended_to_and_read_on() {
    // So many records remain of the three, of which the first two are confirmed.
    for remain in 0..=3 {
        let lab = Lab::new(1 << 20);
        let (mut spool, _) = lab.open();
        append(&mut spool, 1..=3);
        let positions = check_read(&mut spool, 1..=3);
        spool.confirm(positions[0]);
        spool.confirm(positions[1]);
        lab.pass(1000);
        spool.sync().unwrap();
        drop(spool);
        let path = lab.segments().pop().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..remain * 100]).unwrap();
        let (mut spool, _) = lab.open();
        append(&mut spool, [6, 7]);
        let third = (remain == 3).then_some(3);
        check_read(&mut spool, third.into_iter().chain([6, 7]));
        drop(spool);
        check_read(&mut lab.open().0, third.into_iter().chain([6, 7]));
    }
}

#[test]
fn a_segment_that_was_begun_and_not_written_to_is_no_damage() {
    let lab = filled();
    std::fs::write(lab.dir().join("0000000000000008.v2"), []).unwrap();
    let (mut spool, recovered) = lab.open();
    assert_eq!((recovered.damaged, recovered.cut_bytes), (0, 0));
    check_read(&mut spool, 1..=5);
    append(&mut spool, [6]);
    check_read(&mut spool, [6]);
}

#[test]
fn a_record_of_an_append_that_failed_does_not_come_back() {
    // A copy of the last record stands behind it, as if cutting it off had failed, and the next
    // segment begins with its sequence.
    let lab = Lab::new(8 * 300);
    let (mut spool, _) = lab.open();
    append(&mut spool, 1..=3);
    let first = std::fs::read(&lab.segments()[0]).unwrap();
    append(&mut spool, 4..=4);
    let ghost = std::fs::read(&lab.segments()[1]).unwrap();
    std::fs::write(&lab.segments()[0], [first, ghost].concat()).unwrap();
    drop(spool);
    let (mut spool, recovered) = lab.open();
    assert_eq!((recovered.entries, recovered.damaged), (4, 1));
    check_read(&mut spool, 1..=4);
}

#[test]
fn a_folder_of_another_version_is_refused_and_left_alone() {
    for name in ["0000000000000001.v1", "cursor.v1", "00000000000000ff.v0"] {
        let lab = Lab::new(1 << 20);
        std::fs::create_dir(lab.dir()).unwrap();
        std::fs::write(lab.dir().join(name), b"something").unwrap();
        let error = Spool::open(lab.settings.clone(), lab.clock.clone()).unwrap_err();
        assert!(matches!(error, SpoolError::Version { .. }), "{error}");
        assert!(error.to_string().contains(name), "{error}");
        assert_eq!(files(lab.dir()), [lab.dir().join(name)]);
    }
}

#[test]
fn files_that_are_not_ours_are_left_alone() {
    let lab = filled();
    let strange = lab.dir().join("notes.txt");
    std::fs::write(&strange, b"mine").unwrap();
    std::fs::create_dir(lab.dir().join("lost+found")).unwrap();
    let (mut spool, _) = lab.open();
    for position in check_read(&mut spool, 1..=5) {
        spool.confirm(position);
    }
    spool.close().1.unwrap();
    assert_eq!(std::fs::read(&strange).unwrap(), b"mine");
}

/// Reads, appends and confirms whatever may be there.
fn use_up(lab: &Lab) {
    let (mut spool, _) = lab.open();
    let mut positions = Vec::new();
    loop {
        match spool.read() {
            Ok(Some((position, _))) => positions.push(position),
            Ok(None) => break,
            Err(_) => {}
        }
    }
    append(&mut spool, [1, 2]);
    spool.rewind();
    for position in positions {
        spool.confirm(position);
    }
    let found = read(&mut spool);
    assert_eq!(found.len(), 2);
    for (position, _) in found {
        spool.confirm(position);
    }
    spool.close().1.unwrap();
    assert!(lab.segments().is_empty());
}

proptest! {
    #[test]
    fn arbitrary_files_never_panic(
        files in proptest::collection::vec(
            (1_u64..9, proptest::collection::vec(any::<u8>(), 0..300)), 0..4
        ),
        cursor in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40)),
    ) {
        let lab = Lab::new(1 << 20);
        std::fs::create_dir(lab.dir()).unwrap();
        for (first, bytes) in files {
            std::fs::write(lab.dir().join(format!("{first:016x}.v2")), bytes).unwrap();
        }
        if let Some(bytes) = cursor {
            std::fs::write(lab.dir().join("cursor.v2"), bytes).unwrap();
        }
        use_up(&lab);
    }

    #[test]
    fn pieces_of_good_segments_in_any_place_never_panic(
        pieces in proptest::collection::vec((1_u64..9, 0_usize..500, 0_usize..500), 1..5),
        cursor in 0_u64..9,
    ) {
        let source = Lab::new(1 << 20);
        let (mut spool, _) = source.open();
        append(&mut spool, 1..=5);
        let bytes = std::fs::read(&source.segments()[0]).unwrap();
        let lab = Lab::new(1 << 20);
        std::fs::create_dir(lab.dir()).unwrap();
        for (first, start, end) in pieces {
            // Most pieces begin with a record, as many as not end with one.
            let start = if start % 4 == 0 { start } else { start / 100 * 100 };
            let end = if end % 2 == 0 { end } else { end.next_multiple_of(100) };
            let piece = bytes.get(start..end).unwrap_or_default();
            std::fs::write(lab.dir().join(format!("{first:016x}.v2")), piece).unwrap();
        }
        let mut bytes = cursor.to_le_bytes().to_vec();
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        std::fs::write(lab.dir().join("cursor.v2"), bytes).unwrap();
        use_up(&lab);
    }
}
