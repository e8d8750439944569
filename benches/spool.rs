//! Appending to the spool and reading from it, with frames of 16 KiB, by policy of fsync: frames
//! and bytes per second. `cargo bench --bench spool`
#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot start has no result"
)]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tempfile::TempDir;

use prometheus_streams::clock::Clock;
use prometheus_streams::spool::{Entry, Fsync, Kind, Settings, Spool};

/// A frame of about a hundred small targets.
const FRAME_BYTES: usize = 16 << 10;

/// Frames that are read in one round: fewer than may be handed out at the same time.
const FRAMES: u64 = 512;

/// A folder on the disk of the build, since `/tmp` may be memory.
fn folder() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn open(folder: &TempDir, fsync: Fsync) -> Spool {
    let settings = Settings {
        // Small enough that appending also drops, as it does in a long outage.
        max_size: 256 << 20,
        fsync,
        ..Settings::new(folder.path().to_owned())
    };
    Spool::open(settings, Clock::system()).unwrap().0
}

fn frame(number: u64) -> Entry {
    Entry {
        lane: 0,
        epoch: 1,
        number,
        kind: Kind::Delta,
        scrapes: 100,
        closed_ms: Clock::system().now_ms(),
        payload: Bytes::from(vec![0x5a; FRAME_BYTES]),
    }
}

fn append(c: &mut Criterion) {
    let mut group = c.benchmark_group("append");
    group.throughput(Throughput::Bytes(FRAME_BYTES as u64));
    for (name, fsync) in [
        ("never", Fsync::Never),
        ("batched", Fsync::Batched),
        ("always", Fsync::Always),
    ] {
        let folder = folder();
        let mut spool = open(&folder, fsync);
        let frame = frame(1);
        group.bench_function(name, |b| {
            b.iter(|| spool.append(black_box(&frame)).unwrap());
        });
    }
    group.finish();
}

fn read(c: &mut Criterion) {
    let mut group = c.benchmark_group("read");
    group.throughput(Throughput::Bytes(FRAME_BYTES as u64 * FRAMES));
    let folder = folder();
    let mut spool = open(&folder, Fsync::Never);
    for number in 0..FRAMES {
        spool.append(&frame(number)).unwrap();
    }
    group.bench_function("512 frames", |b| {
        b.iter(|| {
            spool.rewind();
            let mut bytes = 0;
            while let Some((_, entry)) = spool.read().unwrap() {
                bytes += entry.payload.len();
            }
            assert_eq!(bytes as u64, FRAME_BYTES as u64 * FRAMES);
        });
    });
    group.finish();
}

criterion_group!(benches, append, read);
criterion_main!(benches);
