//! Tests of the whole format.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::cursor::{put_length, put_varint, put_zigzag};
use super::{DECODED_MAX, DecodeError, Frame, Header, decode, encode};
use crate::model::{
    FailureReason, Format, Heartbeat, Labels, Outcome, Record, Scrape, Tally, Text,
};

const KEY: Header = Header {
    epoch: 1_700_000_000_000,
    number: 7,
    base: 7,
};

fn scrape(time_ms: i64, outcome: Outcome) -> Record {
    let target = Arc::new(Labels::of_target("node", "127.0.0.1:9100"));
    Record::Scrape(Scrape {
        target,
        time_ms,
        outcome,
    })
}

fn exposed(time_ms: i64, text: &str) -> Record {
    let text = Bytes::copy_from_slice(text.as_bytes());
    let duration = Duration::from_micros(1234);
    scrape(
        time_ms,
        Outcome::Exposed {
            body: Text {
                text,
                format: Format::Text,
            },
            duration,
        },
    )
}

fn one_of_each() -> Vec<Record> {
    let duration = Duration::from_micros(10_000_001);
    vec![
        exposed(1_700_000_001_000, "up 1\n"),
        scrape(
            1_700_000_000_999,
            Outcome::Failed {
                reason: FailureReason::Refused,
                duration,
                tally: Tally::default(),
            },
        ),
        scrape(
            1_700_000_001_999,
            Outcome::Failed {
                reason: FailureReason::BadSyntax,
                duration,
                tally: Tally {
                    scraped: 300,
                    kept: 2,
                },
            },
        ),
        scrape(1_700_000_002_000, Outcome::Gone),
        Record::Heartbeat(Heartbeat {
            time_ms: 1_700_000_003_000,
            interval: Duration::from_secs(60),
            live: vec![1, u64::MAX],
        }),
        exposed(
            1_700_000_001_500,
            &"http_requests_total{code=\"200\"} 17\n".repeat(100),
        ),
    ]
}

#[test]
fn every_kind_of_record_reads_as_it_was_written() {
    let records = one_of_each();
    let frame = decode(&encode(&KEY, &records)).unwrap();
    assert_eq!(
        frame,
        Frame {
            header: KEY,
            records
        }
    );
}

#[test]
fn texts_of_one_frame_are_compressed_together() {
    let text = include_str!("../../Cargo.lock");
    let one = encode(&KEY, &[exposed(0, text)]).len();
    let ten: Vec<Record> = (0..10).map(|n| exposed(n, text)).collect();
    assert!(encode(&KEY, &ten).len() < one + one / 10);
}

#[test]
fn every_truncation_is_an_error() {
    let whole = encode(&KEY, &one_of_each());
    for length in 0..whole.len() {
        decode(whole.get(..length).unwrap()).unwrap_err();
    }
}

#[test]
fn no_flipped_bit_reads_as_something_else() {
    let whole = encode(&KEY, &one_of_each());
    let expected = decode(&whole).unwrap();
    for bit in 0..whole.len() * 8 {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        // A few bits of a zstd header have no influence on what comes out.
        if let Ok(frame) = decode(&damaged) {
            assert_eq!(frame, expected, "bit {bit}");
        }
    }
}

/// A frame with valid header and check around the given section bytes.
fn framed(sections: &[u8], decoded: &[u8]) -> Vec<u8> {
    let mut out = vec![super::VERSION, 1];
    put_varint(&mut out, 1);
    put_varint(&mut out, 1);
    put_varint(&mut out, 0);
    put_zigzag(&mut out, 0);
    let mut check = crc32fast::Hasher::new();
    check.update(&out);
    check.update(decoded);
    out.extend_from_slice(sections);
    out.extend_from_slice(&check.finalize().to_le_bytes());
    out
}

fn plain(tag: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![tag, 0];
    put_length(&mut out, bytes.len());
    out.extend_from_slice(bytes);
    out
}

#[track_caller]
fn refused(payload: &[u8], expected: DecodeError) {
    assert_eq!(decode(payload).unwrap_err(), expected);
}

#[test]
fn refuses_what_it_does_not_know() {
    let mut whole = encode(&KEY, &one_of_each());
    whole[0] = 2;
    refused(&whole, DecodeError::Version(2));
    whole[0] = super::VERSION;
    whole[1] = 0x81;
    refused(&whole, DecodeError::Flags(0x81));
    refused(b"", DecodeError::Truncated);
    refused(&encode(&Header { base: 6, ..KEY }, &[]), DecodeError::Delta);
    refused(&framed(&plain(9, b""), b""), DecodeError::Section(9));
    refused(&framed(&[1, 7, 0, 0, 0, 0, 0], b""), DecodeError::Coding(7));
    let twice = [plain(1, b"\0"), plain(1, b"\0")].concat();
    refused(&framed(&twice, b"\0\0"), DecodeError::Section(1));
    refused(
        &framed(&plain(1, b"\x01\x0b\0\0"), b"\x01\x0b\0\0"),
        DecodeError::RecordKind(11),
    );
}

#[test]
fn lengths_that_lie_reserve_nothing() {
    let records = |bytes: &[u8]| framed(&plain(1, bytes), bytes);
    // A count of records far over what is there.
    let mut count = Vec::new();
    put_varint(&mut count, u64::MAX);
    refused(&records(&count), DecodeError::TooLarge);
    // A heartbeat with more targets than bytes.
    let mut heartbeat = vec![1, 4, 0, 60];
    put_varint(&mut heartbeat, 1 << 40);
    refused(&records(&heartbeat), DecodeError::TooLarge);
    // A target with too many labels, and a label longer than the section.
    let mut labels = vec![1, 3, 0];
    put_varint(&mut labels, 1_000_000);
    refused(&records(&labels), DecodeError::TooLarge);
    refused(
        &records(&[1, 3, 0, 1, 0xff, 0x7f, b'a']),
        DecodeError::Truncated,
    );
    // A raw record whose text is not there.
    refused(&records(&[1, 1, 0, 0, 0, 0, 9]), DecodeError::TooLarge);
    // A section that declares more than a frame may hold.
    let mut section = vec![2, 1];
    put_length(&mut section, DECODED_MAX + 1);
    refused(&framed(&section, b""), DecodeError::TooLarge);
    // A varint of eleven bytes.
    refused(
        &[
            1, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,
        ],
        DecodeError::Number,
    );
}

#[test]
fn a_bomb_has_no_room() {
    let zeros = zstd::bulk::compress(&vec![0; 512 << 20], 1).unwrap();
    let mut section = vec![2, 1];
    put_length(&mut section, 4096);
    put_length(&mut section, zeros.len());
    section.extend_from_slice(&zeros);
    refused(&framed(&section, b""), DecodeError::Compression);
}

#[test]
fn labels_must_be_sorted_and_not_empty() {
    let records = |bytes: &[u8]| framed(&plain(1, bytes), bytes);
    refused(
        &records(b"\x01\x03\0\x02\x01b\x01x\x01a\x01x"),
        DecodeError::Labels,
    );
    refused(&records(b"\x01\x03\0\x01\x01b\0"), DecodeError::Labels);
    refused(&records(b"\x01\x03\0\x01\x01\xff\x01x"), DecodeError::Text);
}

fn any_record() -> impl Strategy<Value = Record> {
    let labels = proptest::collection::btree_map("[a-z_]{1,8}", ".{1,20}", 0..5);
    let outcome = prop_oneof![
        (".{0,200}", any::<bool>(), 0_u64..1 << 40).prop_map(|(text, open, micros)| {
            Outcome::Exposed {
                body: Text {
                    text: text.into(),
                    format: if open {
                        Format::OpenMetrics
                    } else {
                        Format::Text
                    },
                },
                duration: Duration::from_micros(micros),
            }
        }),
        (
            0..FailureReason::ALL.len(),
            0_u64..1 << 40,
            any::<u64>(),
            0_u64..3
        )
            .prop_map(|(reason, micros, scraped, kept)| Outcome::Failed {
                reason: FailureReason::ALL[reason],
                duration: Duration::from_micros(micros),
                tally: Tally { scraped, kept },
            }),
        Just(Outcome::Gone),
    ];
    let scrape = (labels, any::<i32>(), outcome).prop_map(|(labels, time, outcome)| {
        let target = Arc::new(Labels::new(labels));
        Record::Scrape(Scrape {
            target,
            time_ms: i64::from(time) << 10,
            outcome,
        })
    });
    let heartbeat = (
        any::<i32>(),
        any::<u32>(),
        proptest::collection::vec(any::<u64>(), 0..9),
    )
        .prop_map(|(time, interval, live)| {
            let interval = Duration::from_millis(u64::from(interval));
            Record::Heartbeat(Heartbeat {
                time_ms: i64::from(time),
                interval,
                live,
            })
        });
    prop_oneof![4 => scrape, 1 => heartbeat]
}

proptest! {
    #[test]
    fn reads_what_it_writes(
        records in proptest::collection::vec(any_record(), 0..20),
        epoch: u64,
        number: u64,
    ) {
        let header = Header { epoch, number, base: number };
        let frame = decode(&encode(&header, &records)).unwrap();
        prop_assert_eq!(frame, Frame { header, records });
    }

    #[test]
    fn takes_any_bytes_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        drop(decode(&bytes));
        let mut versioned = vec![super::VERSION, 1];
        versioned.extend_from_slice(&bytes);
        drop(decode(&versioned));
        // Past the check value as well.
        drop(decode(&framed(&plain(1, &bytes), &bytes)));
    }
}
