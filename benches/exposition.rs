//! Reading a recorded page of `node_exporter`: bytes per second and time per sample, beside the
//! crate prometheus-parse. `cargo bench --bench exposition`
#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot start has no result"
)]

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use prometheus_streams::exposition::{
    Families, Names, Timestamps, WriteOptions, check, write_text,
};
use prometheus_streams::model::Format;

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/exposition");
    std::fs::read_to_string(path.join(name)).unwrap()
}

fn read(c: &mut Criterion) {
    let page = page("node.prom");
    let samples = check(page.as_bytes(), Format::Text).unwrap().samples as u64;
    let units = [
        ("bytes", Throughput::Bytes(page.len() as u64)),
        ("samples", Throughput::Elements(samples)),
    ];
    for (unit, throughput) in units {
        let mut group = c.benchmark_group(format!("read/{unit}"));
        group.throughput(throughput);
        group.bench_function("check", |b| {
            b.iter(|| check(black_box(page.as_bytes()), Format::Text));
        });
        group.bench_function("families", |b| {
            b.iter(|| Families::parse(black_box(page.as_bytes()), Format::Text));
        });
        group.bench_function("prometheus-parse", |b| {
            b.iter(|| {
                let lines = black_box(&page).lines().map(|line| Ok(line.to_owned()));
                prometheus_parse::Scrape::parse(lines)
            });
        });
        group.finish();
    }
}

fn write(c: &mut Criterion) {
    let page = page("node.prom");
    let families = Families::parse(page.as_bytes(), Format::Text).unwrap();
    let options = WriteOptions {
        timestamps: Timestamps::Omit,
        names: Names::LeaveOut,
    };
    let mut group = c.benchmark_group("write");
    group.throughput(Throughput::Bytes(page.len() as u64));
    group.bench_function("text", |b| {
        let mut out = String::with_capacity(page.len());
        b.iter(|| {
            out.clear();
            write_text(black_box(&families), options, &mut out)
        });
    });
    group.finish();
}

criterion_group!(benches, read, write);
criterion_main!(benches);
