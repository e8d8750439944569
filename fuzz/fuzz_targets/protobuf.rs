//! Arbitrary bytes as a protobuf body: what is read is an exposition, and its native histograms
//! are read again as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;

use prometheus_streams::exposition::check;
use prometheus_streams::exposition::protobuf::{Histogram, Options, read};
use prometheus_streams::model::Format;

/// Enough for what fits into an input, and a bound for what a few bytes can stand for.
const TEXT_LIMIT: usize = 1 << 20;

fuzz_target!(|input: &[u8]| {
    let (flags, body) = input.split_first().unwrap_or((&0, &[]));
    let options = Options {
        native_histograms: flags & 1 == 0,
        classic_histograms: flags & 2 != 0,
        honor_timestamps: flags & 4 == 0,
        last: (flags & 8 != 0).then_some(Format::OpenMetrics),
        text_limit: TEXT_LIMIT,
    };
    match read(body, &options) {
        Ok(read) => {
            assert!(read.text.len() <= TEXT_LIMIT + "# EOF\n".len());
            check(&read.text, read.format).expect("the text is an exposition");
            for histogram in &read.histograms {
                let line = format!("{} 0\n", histogram.series);
                let summary = check(line.as_bytes(), Format::Text).expect("it is a series");
                assert_eq!(summary.samples, 1);
                let decoded = Histogram::decode(&histogram.message).expect("it was written here");
                assert_eq!(decoded.encode(), histogram.message);
            }
        }
        Err(error) => assert!(!error.to_string().is_empty() && error.at <= body.len()),
    }
    if let Ok(histogram) = Histogram::decode(body) {
        let encoded = histogram.encode();
        let again = Histogram::decode(&encoded).expect("what is written is readable");
        assert_eq!(again.encode(), encoded);
    }
});
