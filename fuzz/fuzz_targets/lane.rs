//! Frames of a lane one after another, each as it comes, with its check set right, or built from
//! parts. A frame that is refused must leave no trace.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

use prometheus_streams::wire::{Entry, LaneDecoder, LaneFrame};
use prometheus_streams_fuzz::{Input, Known, Parts, fix_check, has_reason, reads_as_exposition};

static KNOWN: LazyLock<Known> = LazyLock::new(Known::new);

/// Room for a few targets of the known shapes, so that the limit is met too.
const SERIES_MAX: usize = 2000;

/// Frames of one run; more say nothing new.
const FRAMES_MAX: usize = 24;

fn said(frame: &LaneFrame) -> Vec<(u32, i64, Vec<Option<u64>>)> {
    let columns = frame.entries.iter().filter_map(|entry| match entry {
        Entry::Record(_) | Entry::Part(_) => None,
        Entry::Columns(scrape) => Some(scrape),
    });
    columns
        .map(|scrape| {
            let values = scrape.column.iter();
            let bits = values.map(|value| value.get().map(f64::to_bits));
            (scrape.target, scrape.time_ms, bits.collect())
        })
        .collect()
}

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let mut lane = LaneDecoder::new(SERIES_MAX);
    // Sees only what the other accepts.
    let mut twin = LaneDecoder::new(SERIES_MAX);
    for _ in 0..FRAMES_MAX {
        if input.is_empty() {
            break;
        }
        let payload = match input.byte() % 3 {
            0 => input.part().to_vec(),
            1 => fix_check(input.part()),
            _ => Parts::take(&mut input).seal(),
        };
        let before = lane.at();
        match lane.decode(&payload, &KNOWN.store) {
            Err(error) => {
                has_reason(&error, error.reason());
                assert_eq!(lane.at(), before);
            }
            Ok(frame) => {
                let other = twin.decode(&payload, &KNOWN.store);
                assert_eq!(said(&other.expect("as the other")), said(&frame));
                for entry in &frame.entries {
                    if let Entry::Columns(scrape) = entry {
                        reads_as_exposition(&scrape.shape, &scrape.column);
                    }
                }
            }
        }
    }
});
