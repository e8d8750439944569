//! Arbitrary bytes in both formats: the two readers agree, and what is written reads again.
#![no_main]

use libfuzzer_sys::fuzz_target;

use prometheus_streams::exposition::{
    Families, Names, Timestamps, WriteOptions, check, write_text,
};
use prometheus_streams::model::Format;
use prometheus_streams_fuzz::has_reason;

fuzz_target!(|body: &[u8]| {
    for format in [Format::Text, Format::OpenMetrics] {
        let (checked, families) = (check(body, format), Families::parse(body, format));
        let families = match (checked, families) {
            (Err(error), Err(other)) => {
                assert_eq!(error.to_string(), other.to_string());
                has_reason(&error, "syntax");
                assert!(error.line > 0);
                continue;
            }
            (Ok(summary), Ok(families)) => {
                let samples: usize = families.iter().map(|family| family.samples.len()).sum();
                assert_eq!(samples, summary.samples);
                families
            }
            (checked, families) => panic!("{checked:?} is not {:?}", families.err()),
        };
        for names in [Names::Quote, Names::LeaveOut] {
            let options = WriteOptions {
                timestamps: Timestamps::Keep,
                names,
            };
            let mut out = String::new();
            let written = write_text(&families, options, &mut out);
            let summary = check(out.as_bytes(), Format::Text).expect("what is written is readable");
            assert_eq!(summary.samples, written.samples);
            // What is written says the same when it is written again.
            let again = Families::parse(out.as_bytes(), Format::Text).expect("as before");
            let mut second = String::new();
            write_text(&again, options, &mut second);
            assert_eq!(out, second);
        }
    }
});
