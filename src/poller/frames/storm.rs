//! What the start of a large site costs.

use std::collections::HashMap;
use std::time::Duration;

use super::tests::{Lab, kinds};

/// What a start costs: 2,000 targets that expose a node's page, each with values of its own.
#[tokio::test(start_paused = true)]
#[ignore = "a measurement; run it with --release --nocapture"]
#[expect(clippy::print_stderr, reason = "figures for people")]
#[expect(clippy::disallowed_types, reason = "measures the time of the machine")]
async fn a_start_with_many_siblings() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/data/exposition/node.prom"
    );
    let page = std::fs::read_to_string(path).unwrap();
    let began = std::time::Instant::now();
    let (mut made, mut announced) = (Duration::ZERO, Duration::ZERO);
    let mut bytes: HashMap<char, (usize, usize)> = HashMap::new();
    let mut lanes: Vec<Lab> = (0..8).map(|_| Lab::new(true)).collect();
    let shapes = lanes[0].shapes.clone();
    for lab in &mut lanes {
        lab.shapes = shapes.clone();
    }
    // Each second of an interval of 15, some targets of each lane.
    for second in 0..30 {
        for (number, lab) in lanes.iter_mut().enumerate() {
            let targets = (0..250).filter(|target| target % 15 == second % 15);
            let bodies: Vec<_> = targets
                .map(|target| {
                    let mut digit = number * 1000 + target + second;
                    let vary = |line: &str| {
                        digit = digit
                            .wrapping_mul(6_364_136_223_846_793_005)
                            .wrapping_add(1);
                        match line.strip_suffix(|c: char| c.is_ascii_digit()) {
                            Some(rest) if !line.starts_with('#') && digit >> 60 < 6 => {
                                format!("{rest}{}\n", (digit >> 32) % 10)
                            }
                            _ => format!("{line}\n"),
                        }
                    };
                    let body: String = page.lines().map(vary).collect();
                    (format!("host{number}-{target}"), body)
                })
                .collect();
            let start = std::time::Instant::now();
            let records: Vec<_> = bodies
                .iter()
                .map(|(instance, body)| lab.scrape(instance, body))
                .collect();
            made += start.elapsed();
            let start = std::time::Instant::now();
            for entry in lab.write(records) {
                let kind = kinds(std::slice::from_ref(&entry)).chars().next().unwrap();
                let sum = bytes.entry(kind).or_default();
                *sum = (sum.0 + 1, sum.1 + entry.payload.len());
            }
            announced += start.elapsed();
        }
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    let series = lanes[0].known.values().next().unwrap().page().len();
    eprintln!("{series} series; {:?} in all", began.elapsed());
    eprintln!("shapes built and matched in {made:?}, written in {announced:?}");
    for (kind, (messages, bytes)) in bytes {
        eprintln!("{kind}: {messages} messages, {bytes} bytes");
    }
}
