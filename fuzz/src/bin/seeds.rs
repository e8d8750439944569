//! Makes the first inputs of each target, from the package's test data.
//!
//! `cargo run --manifest-path fuzz/Cargo.toml --bin seeds FOLDER`; `scripts/fuzz.sh` with `MERGE`
//! brings what is new in it into the corpus.

// Its library has what the instrumented crates call.
use libfuzzer_sys as _;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use prometheus_streams::model::Format;
use prometheus_streams::wire::{Column, LaneEncoder, Role, match_body};
use prometheus_streams_fuzz::{BODIES, Input, Known, Parts, content_of};

/// Longer seeds make every run slow.
const SEED_MAX: usize = 12 << 10;

struct Seeds(PathBuf);

impl Seeds {
    fn put(&self, target: &str, name: &str, seed: &[u8]) {
        let folder = self.0.join(target);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), seed).unwrap();
    }
}

fn main() {
    let folder = std::env::args_os().nth(1).expect("name a folder");
    let seeds = Seeds(folder.into());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    expositions(&seeds, &root);
    stored(&seeds, &root);
    records(&seeds);
    lanes(&seeds);
    shapes(&seeds);
    configs(&seeds, &root);
    spools(&seeds);
    protobufs(&seeds);
    for (name, subject) in [
        ("key", "prom.eu.USDC1.7.0.k"),
        ("shape", "prom.eu.dc1%2Eexample.31.4294967295.s"),
        ("text", "prom.eu.a%20b.0.17.t"),
        ("bad", "prom.eu.a%2eb.32.017.x.y"),
    ] {
        seeds.put("subject", name, subject.as_bytes());
    }
}

/// Returns whole lines from about the middle of a page, so that all families have their turn.
fn cuts(page: &str) -> Vec<String> {
    let lines: Vec<&str> = page.split_inclusive('\n').collect();
    let mut cuts = Vec::new();
    let mut cut = String::new();
    for line in lines {
        if cut.len() + line.len() > SEED_MAX / 3 && line.starts_with("# HELP") {
            cuts.push(std::mem::take(&mut cut));
        }
        cut.push_str(line);
    }
    cuts.retain(|cut| cut.len() <= SEED_MAX);
    cuts
}

fn expositions(seeds: &Seeds, root: &Path) {
    let put = |name: &str, body: &str, format: Format| {
        seeds.put("exposition", name, body.as_bytes());
        let mut matching = vec![u8::from(format == Format::OpenMetrics)];
        Input::put(body.as_bytes(), &mut matching);
        let digit = body.rfind(['1', '3', '7']).unwrap_or(0);
        matching.extend_from_slice(&body.as_bytes()[..digit]);
        matching.extend_from_slice(b"2");
        matching.extend_from_slice(&body.as_bytes()[(digit + 1).min(body.len())..]);
        seeds.put("matching", name, &matching);
        let mut trip = vec![0x80 | u8::from(format == Format::OpenMetrics)];
        Input::put(body.as_bytes(), &mut trip);
        trip.extend((0..600_u32).map(|n| (n * 7 + n / 31).to_le_bytes()[0]));
        seeds.put("round_trip", name, &trip);
    };
    for (at, (format, body)) in BODIES.into_iter().enumerate() {
        put(&format!("own-{at}"), body, format);
    }
    for entry in fs::read_dir(root.join("tests/data/exposition")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "prom") {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap();
        let page = fs::read_to_string(&path).unwrap();
        for (at, cut) in cuts(&page).iter().enumerate().take(6) {
            put(&format!("{name}-{at}"), cut, Format::Text);
        }
    }
}

/// The stored messages of version 1; of the long ones only what is short enough.
fn stored(seeds: &Seeds, root: &Path) {
    let stored = fs::read(root.join("tests/data/wire/v1/lane.bin")).unwrap();
    let mut rest = &*stored;
    let mut number = 0;
    while let Some((kind, behind)) = rest.split_first() {
        let (length, behind) = behind.split_first_chunk().unwrap();
        let (payload, behind) = behind.split_at(u32::from_le_bytes(*length) as usize);
        rest = behind;
        number += 1;
        if payload.len() > SEED_MAX {
            continue;
        }
        let name = format!("stored-{number}");
        let mut seed = vec![0];
        if *kind == b's' {
            Input::put(payload, &mut seed);
            seeds.put("shape", &name, &seed);
        } else {
            seed.extend_from_slice(payload);
            seeds.put("frame", &name, &seed);
        }
    }
}

/// A frame with a record of each kind that needs no shape.
fn records(seeds: &Seeds) {
    let target = b"\x02\x08instance\x03a:1\x03job\x01j";
    let raw = [b"\x01\x04", &target[..], b"\x09\0\x05"].concat();
    let failed = [b"\x02\x06", &target[..], b"\x09\x01"].concat();
    let gone = [b"\x03\x05", &target[..]].concat();
    let heartbeat = b"\x04\0\xe8\x07\x0212345678abcdefgh";
    let records = [b"\x05", &*raw, &raw, &failed, &gone, &heartbeat[..]].concat();
    // Version and flags of a key frame; epoch, number, base and time.
    let parts = Parts {
        head: b"\x01\x01\x07\x01\0\x80\x01".to_vec(),
        sections: [records, b"up 1\nup 0\n".to_vec(), Vec::new(), Vec::new()],
    };
    let mut seed = vec![2];
    parts.put(&mut seed);
    seeds.put("frame", "records", &seed);
    seeds.put("frame", "sealed", &[&[1], &*parts.seal()].concat());
    seeds.put("lane", "records", &seed);
}

/// Frames of each role with every known shape, once as they are and once in parts.
fn lanes(seeds: &Seeds) {
    let known = Known::new();
    for (name, roles) in [
        ("chain", [Role::Key, Role::Link, Role::Link, Role::Key]),
        ("leaves", [Role::Key, Role::Leaf, Role::Leaf, Role::Link]),
    ] {
        for (at, shape) in known.shapes.iter().enumerate() {
            let mut lane = LaneEncoder::new(7);
            let (mut whole, mut parted) = (Vec::new(), Vec::new());
            for (tick, role) in (0..).zip(roles) {
                let mut text = Vec::new();
                let mut column = shape.template().clone();
                for series in 0..column.len() {
                    column.set_time(series, 1_700_000_000_000 + tick * 15_000);
                }
                shape.write_text(&column, &mut text);
                let text = String::from_utf8(text).unwrap();
                let body = text.replace(" 9\n", &format!(" {}\n", 9 + tick * 3));
                let mut column = Column::default();
                match_body(shape.page(), body.as_bytes(), &mut column).unwrap();
                let mut frame = lane.begin(role);
                let time = (1_700_000_000_000 + tick * 15_000, Duration::from_millis(9));
                frame.columns(1, shape, time, &column);
                frame.columns(2, &known.shapes[0], time, known.shapes[0].template());
                let payload = frame.finish().1;
                whole.push(1);
                Input::put(&payload, &mut whole);
                parted.push(2);
                Parts::open(&payload).unwrap().put(&mut parted);
                if tick == 0 {
                    seeds.put(
                        "frame",
                        &format!("{name}-{at}"),
                        &[&[1], &*payload].concat(),
                    );
                }
            }
            seeds.put("lane", &format!("{name}-{at}"), &whole);
            seeds.put("lane", &format!("{name}-{at}-parts"), &parted);
        }
    }
}

fn shapes(seeds: &Seeds) {
    let known = Known::new();
    for (at, shape) in known.shapes.iter().enumerate() {
        let content = content_of(shape);
        for kind in [1, 2] {
            let mut seed = vec![kind];
            Input::put(&content, &mut seed);
            // The same as a patch of the next.
            seed.push((at as u8) << 2 | 2);
            Input::put(&content, &mut seed);
            seeds.put("shape", &format!("known-{at}-{kind}"), &seed);
        }
    }
}

fn configs(seeds: &Seeds, root: &Path) {
    let folders = ["config", "tests/data/config/bad", "tests/data/config/good"];
    for entry in folders
        .iter()
        .flat_map(|folder| fs::read_dir(root.join(folder)).unwrap())
    {
        let path = entry.unwrap().path();
        let text = fs::read(&path).unwrap();
        if path.is_file() && text.len() <= SEED_MAX {
            seeds.put("config", path.file_name().unwrap().to_str().unwrap(), &text);
        }
    }
}

fn spools(seeds: &Seeds) {
    let mut records = Vec::new();
    for kind in [0, 1, 2, 0x40, 0x80, 4, 0] {
        records.push(kind);
        Input::put(&[kind; 40], &mut records);
    }
    for (name, kind) in [
        ("whole", 0b1_0100),
        ("two", 0b1_1011),
        ("three", 0b1_1111),
        ("raw", 0b1000),
    ] {
        let mut seed = vec![kind];
        if kind & 1 != 0 {
            let mut cursor = 3_u64.to_le_bytes().to_vec();
            cursor.extend_from_slice(&5_u64.to_le_bytes());
            Input::put(&cursor, &mut seed);
        }
        for first in [0x80, 0x87, 0x40] {
            seed.push(first);
            Input::put(&records, &mut seed);
        }
        seeds.put("spool", name, &seed);
    }
}

/// Bodies with a metric of each type.
fn protobufs(seeds: &Seeds) {
    fn part(field: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let length = content.len();
        let length = [(length & 0x7f) as u8 | 0x80, (length >> 7) as u8];
        [&[field << 3 | 2][..], &length, &content].concat()
    }
    fn double(field: u8, value: f64) -> Vec<u8> {
        [&[field << 3 | 1][..], &value.to_le_bytes()].concat()
    }
    let number = |field: u8, value: u8| vec![field << 3, value];
    let label = part(1, &[&part(1, &[b"x"]), &part(2, &[b"a\"b"])]);
    let exemplar = |field| {
        let time = part(3, &[&number(1, 5), &number(2, 77)]);
        part(field, &[&label, &double(2, 0.5), &time])
    };
    let simple = |field| part(field, &[&double(1, 2.5)]);
    let counter = part(3, &[&double(1, 2.5), &exemplar(2)]);
    let quantile = part(3, &[&double(1, 0.5), &double(2, 1e9)]);
    let summary = part(4, &[&number(1, 3), &double(2, 1.5), &quantile]);
    let bucket = |count, bound| part(3, &[&number(1, count), &double(2, bound), &exemplar(3)]);
    let classic = [number(1, 9), double(2, 3.5), bucket(3, 1.0), bucket(5, 1e7)].concat();
    let spans = |field| {
        let span = |offset, length| part(field, &[&number(1, offset), &number(2, length)]);
        [span(0, 2), span(2, 1)].concat()
    };
    let sums = [
        number(1, 9),
        double(2, 3.5),
        number(5, 6),
        double(6, 0.001),
        number(7, 1),
    ]
    .concat();
    let sides = [
        spans(9),
        part(10, &[&[4, 0, 1]]),
        spans(12),
        number(13, 2),
        part(13, &[&[0, 0]]),
    ];
    let native = [&sums[..], &sides.concat(), &exemplar(16)].concat();
    let counts = [1.5_f64, 0.5].map(f64::to_le_bytes).concat();
    let float = [
        double(4, 2.0),
        double(8, 0.0),
        part(12, &[&number(2, 2)]),
        part(14, &[&counts]),
    ];
    let bounds = [part(3, &[&double(2, 1.0)]), part(3, &[&double(2, 2.0)])].concat();
    let custom = [
        number(5, 105),
        bounds,
        part(12, &[&number(2, 2)]),
        part(13, &[&[4, 0]]),
        number(1, 4),
    ];
    let histograms = [classic.clone(), native, float.concat(), custom.concat()];
    let mut all = Vec::new();
    let mut put = |name: &str, kind: u8, metric: &[u8]| {
        let metric = part(4, &[&label, metric, &number(6, 9)]);
        let head = [
            part(1, &[name.as_bytes()]),
            part(2, &[b"Help."]),
            number(3, kind),
        ]
        .concat();
        let family = part(0, &[&head, &metric, &part(5, &[b"seconds"])]);
        all.extend_from_slice(&family[1..]);
        for flags in [0, 2, 1] {
            let seed = [&[flags][..], &family[1..]].concat();
            seeds.put("protobuf", &format!("{name}-{kind}-{flags}"), &seed);
        }
    };
    put("c_total", 0, &counter);
    put("g_seconds", 1, &simple(2));
    put("s", 2, &summary);
    put("a.b", 3, &simple(5));
    for (at, histogram) in histograms.iter().enumerate() {
        put(&format!("h{at}"), 4 + at as u8 % 2, &part(7, &[histogram]));
        seeds.put(
            "protobuf",
            &format!("message-{at}"),
            &[&[0], &histogram[..]].concat(),
        );
    }
    seeds.put("protobuf", "all", &[&[0], &all[..]].concat());
}
