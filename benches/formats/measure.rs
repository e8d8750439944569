//! CPU time, medians, and the table.

use crate::fleet::Fleet;

/// A way to carry scrapes.
pub(crate) trait Format {
    fn name(&self) -> String;

    /// Encodes and decodes the scrapes that are counted, once.
    fn run(&mut self, fleet: &Fleet) -> Cost;
}

/// What a fleet's counted scrapes cost.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    pub(crate) bytes: f64,
    /// Nanoseconds.
    pub(crate) encode: f64,
    pub(crate) decode: f64,
}

impl Cost {
    pub(crate) fn median(mut runs: Vec<Self>) -> Self {
        let mut of = |part: fn(&Self) -> f64| {
            runs.sort_by(|one, other| part(one).total_cmp(&part(other)));
            part(&runs[runs.len() / 2])
        };
        Self {
            bytes: of(|cost| cost.bytes),
            encode: of(|cost| cost.encode),
            decode: of(|cost| cost.decode),
        }
    }
}

/// Returns what something takes of this thread's CPU time, in nanoseconds: unlike the time on the
/// clock, it does not count what other programs take.
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let before = cpu_time();
    let result = std::hint::black_box(work());
    ((cpu_time() - before) as f64, result)
}

fn cpu_time() -> u64 {
    // The kernel brings the figure up to date when a thread yields, else at its next tick.
    std::thread::yield_now();
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse().unwrap()
}

/// Totals by format over all fleets: every fleet has the same number of scrapes, so they are
/// weighted by their samples.
fn totals(fleets: &[Fleet], costs: &[Vec<Cost>]) -> Vec<Cost> {
    let samples: usize = fleets.iter().map(|fleet| fleet.samples).sum();
    let per = |part: fn(&Cost) -> f64, format: usize| {
        costs.iter().map(|fleet| part(&fleet[format])).sum::<f64>() / samples as f64
    };
    (0..costs[0].len())
        .map(|format| Cost {
            bytes: per(|cost| cost.bytes, format),
            encode: per(|cost| cost.encode, format),
            decode: per(|cost| cost.decode, format),
        })
        .collect()
}

pub(crate) fn table(title: &str, fleets: &[Fleet], names: &[String], costs: &[Vec<Cost>]) {
    println!("\n### {title}\n");
    print!("| format | B/sample | encode ns | decode ns |");
    for fleet in fleets {
        print!(" {} |", fleet.name);
    }
    println!();
    println!("| --- |{}", " ---: |".repeat(3 + fleets.len()));
    for (at, total) in totals(fleets, costs).iter().enumerate() {
        let Cost {
            bytes,
            encode,
            decode,
        } = total;
        print!("| {} | {bytes:.3} | {encode:.0} | {decode:.0} |", names[at]);
        for (fleet, costs) in fleets.iter().zip(costs) {
            print!(" {:.3} |", costs[at].bytes / fleet.samples as f64);
        }
        println!();
    }
    print!("| samples in a scrape | | | |");
    for fleet in fleets {
        print!(" {} |", fleet.samples / fleet.scrapes().count());
    }
    println!();
}

/// Places of rows that the goals compare.
const RW1: usize = 3;
const SNAPPY: usize = 4;
const BATCHES: usize = 7;
const CHAINED: usize = 8;
const CHAIN_FREE: usize = 9;

pub(crate) fn goals(pages: &str, fleets: &[Fleet], costs: &[Vec<Cost>]) {
    let totals = totals(fleets, costs);
    println!("\n### Goals, weighted over the {pages} pages\n");
    println!("| goal | wanted | measured | |");
    println!("| --- | ---: | ---: | --- |");
    let goal = |text: &str, wanted: f64, measured: f64, is_at_most: bool| {
        let is_met = (measured <= wanted) == is_at_most;
        let sign = if is_at_most { "≤" } else { "≥" };
        let met = if is_met { "met" } else { "**missed**" };
        println!("| {text} | {sign} {wanted:.2} | {measured:.2} | {met} |");
    };
    let (rw1, ours) = (totals[RW1], totals[CHAINED]);
    goal("bytes per sample, chained", 0.40, ours.bytes, true);
    goal(
        "bytes per sample, chain-free",
        0.55,
        totals[CHAIN_FREE].bytes,
        true,
    );
    goal(
        "remote write 1.0 is so many times larger",
        50.0,
        rw1.bytes / ours.bytes,
        false,
    );
    let batches = totals[BATCHES].bytes / ours.bytes;
    goal(
        "zstd batches are so many times larger",
        13.0,
        batches,
        false,
    );
    let encode = rw1.encode / ours.encode;
    goal(
        "text to remote write 1.0 takes so many times longer",
        7.0,
        encode,
        false,
    );
    let decode = ours.decode / totals[SNAPPY].decode;
    goal(
        "to a request, by snappy decompression alone",
        1.0,
        decode,
        true,
    );
}
