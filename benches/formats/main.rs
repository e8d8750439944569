//! Bytes and CPU time per sample, by format: the same scrapes, in one process, as one table.
//!
//! `benches/formats.sh` captures pages of real programs, builds and runs it; `docs/benchmarks.md`
//! says what each row includes. `FORMATS_PAGES` names a file of captured pages, `FORMATS_ROUNDS`
//! sets of how many rounds the median is taken.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a bench prints its figures, and stops where something is wrong"
)]
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "figures for people, and small numbers made into values"
)]

mod fleet;
mod measure;
mod ours;
#[path = "../../tests/wire/pages.rs"]
mod pages;
mod peers;
mod proto;
mod site;
mod synthetic;

use std::collections::BTreeMap;
use std::path::Path;

use fleet::Fleet;
use measure::{Cost, Format, table};
use prometheus_streams::wire::Role;

/// Rounds of which the median is taken.
const ROUNDS: usize = 3;

fn formats() -> Vec<Box<dyn Format>> {
    vec![
        Box::new(peers::Ancestor),
        Box::new(peers::Zstd(3)),
        Box::new(peers::Zstd(9)),
        Box::new(peers::RemoteWrite1::per_scrape()),
        Box::new(peers::SnappyAlone),
        Box::new(peers::RemoteWrite1::kept_labels()),
        Box::new(peers::RemoteWrite2),
        Box::new(peers::RemoteWrite1::batches()),
        Box::new(ours::Ours(Role::Link)),
        Box::new(ours::Ours(Role::Leaf)),
    ]
}

/// Measures all formats over all fleets, round by round, so that a busy moment hits all alike.
fn measure(fleets: &[Fleet], rounds: usize) -> Vec<Vec<Cost>> {
    let mut costs = Vec::new();
    for fleet in fleets {
        let mut formats = formats();
        let mut runs: Vec<Vec<Cost>> = formats.iter().map(|_| Vec::new()).collect();
        for _ in 0..rounds {
            for (format, runs) in formats.iter_mut().zip(&mut runs) {
                runs.push(format.run(fleet));
            }
        }
        costs.push(runs.into_iter().map(Cost::median).collect());
    }
    costs
}

fn report(title: &str, fleets: &[Fleet], rounds: usize) -> Vec<Vec<Cost>> {
    let costs = measure(fleets, rounds);
    let names: Vec<String> = formats().iter().map(|format| format.name()).collect();
    table(title, fleets, &names, &costs);
    costs
}

fn fleets(pages: &BTreeMap<String, Vec<pages::Page>>) -> Vec<Fleet> {
    pages
        .iter()
        .map(|(name, pages)| Fleet::new(name, pages))
        .collect()
}

/// Prints where our time goes, in nanoseconds per sample.
fn stages(fleets: &[Fleet], rounds: usize) {
    fn median<const N: usize>(rounds: usize, run: impl Fn() -> [f64; N]) -> [f64; N] {
        let runs: Vec<[f64; N]> = (0..rounds).map(|_| run()).collect();
        std::array::from_fn(|stage| {
            let mut runs: Vec<f64> = runs.iter().map(|run| run[stage]).collect();
            runs.sort_by(f64::total_cmp);
            runs[rounds / 2]
        })
    }
    println!("\n### Where our time goes, chained, ns per sample\n");
    println!(
        "| | match | code | change shapes | announce shapes | changes in 160 scrapes \
         | read shapes | read columns | write request |"
    );
    println!("| --- |{}", " ---: |".repeat(8));
    let (mut steady, mut samples) = ([0.0; 2], 0.0);
    for fleet in fleets {
        let encode = median(rounds, || ours::stages(fleet));
        let decode = median(rounds, || ours::decode_stages(fleet));
        print!("| {} |", fleet.name);
        for time in encode.iter().chain(&decode) {
            print!(" {time:.0} |");
        }
        println!();
        steady[0] += (encode[0] + encode[1]) * fleet.samples as f64;
        steady[1] += (decode[1] + decode[2]) * fleet.samples as f64;
        samples += fleet.samples as f64;
    }
    let [encode, decode] = steady.map(|time| time / samples);
    println!(
        "\nWeighted, while no shape changes or is announced: text to message {encode:.0} ns, \
         message to request {decode:.0} ns."
    );
}

fn main() {
    let rounds = std::env::var("FORMATS_ROUNDS").map_or(ROUNDS, |text| text.parse().unwrap());
    let recorded = pages::pages();
    let real = fleets(&recorded);
    for fleet in &real {
        ours::check(fleet);
    }
    let costs = report("Recorded pages, 15 s apart", &real, rounds);
    measure::goals("recorded", &real, &costs);
    stages(&real, rounds);
    site::report(&recorded);
    if let Some(file) = std::env::var_os("FORMATS_PAGES") {
        let captured = fleets(&pages::read(Path::new(&file)));
        let costs = report("Pages captured now", &captured, rounds);
        measure::goals("captured", &captured, &costs);
    }
    let made = fleets(&synthetic::pages());
    report("Synthetic pages, 15 s apart", &made, rounds);
}
