//! Frames without columns: as they come, with their check set right, and built from parts.
#![no_main]

use libfuzzer_sys::fuzz_target;

use prometheus_streams::wire::{decode, encode};
use prometheus_streams_fuzz::{Input, Parts, fix_check, has_reason};

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let payload = match input.byte() % 3 {
        0 => input.rest().to_vec(),
        1 => fix_check(input.rest()),
        _ => Parts::take(&mut input).seal(),
    };
    match decode(&payload) {
        Err(error) => has_reason(&error, error.reason()),
        Ok(frame) => {
            let again = decode(&encode(&frame.header, &frame.records));
            assert_eq!(again.expect("what is written is readable"), frame);
        }
    }
});
