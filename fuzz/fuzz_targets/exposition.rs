//! Reads arbitrary bytes in both formats, and what it writes of them again.
//! `cargo +nightly fuzz run exposition`
#![no_main]

use libfuzzer_sys::fuzz_target;
use prometheus_streams::exposition::{
    Families, Names, Timestamps, WriteOptions, check, write_text,
};
use prometheus_streams::model::Format;

fuzz_target!(|body: &[u8]| {
    for format in [Format::Text, Format::OpenMetrics] {
        let Ok(families) = Families::parse(body, format) else {
            continue;
        };
        let options = WriteOptions {
            timestamps: Timestamps::Keep,
            names: Names::Quote,
        };
        let mut out = String::new();
        let written = write_text(&families, options, &mut out);
        let summary = check(out.as_bytes(), Format::Text).expect("what is written is readable");
        assert_eq!(summary.samples, written.samples);
    }
});
