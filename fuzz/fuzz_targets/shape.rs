//! Shape messages: as they come, and with contents of any kind under their right names.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

use prometheus_streams::wire::{ShapeStore, ShapeWriter};
use prometheus_streams_fuzz::{
    Input, Known, beside, has_reason, named, patched, reads_as_exposition, unpatched,
};

static KNOWN: LazyLock<Known> = LazyLock::new(Known::new);

/// Messages of one run.
const MESSAGES_MAX: usize = 8;

/// Some of the known shapes and of what is read fill it.
const STORE_BYTES_MAX: usize = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let shapes = &KNOWN.shapes;
    let mut store = ShapeStore::new(STORE_BYTES_MAX);
    for shape in shapes {
        store.insert((**shape).clone()).expect("there is room");
    }
    for _ in 0..MESSAGES_MAX {
        if input.is_empty() {
            break;
        }
        let kind = input.byte();
        let base = &shapes[usize::from(kind >> 2) % shapes.len()];
        let second = &shapes[usize::from(kind >> 5) % shapes.len()];
        let message = match kind & 3 {
            0 if kind & 4 != 0 => beside(input.part(), input.part(), base, second),
            0 => input.part().to_vec(),
            1 => named(input.part()),
            2 => patched(input.part(), base),
            _ => unpatched(input.part(), base),
        };
        let read = store.read(&message);
        assert!(store.memory() <= STORE_BYTES_MAX);
        assert!(store.get(base.id()).is_some());
        match read {
            Err(error) => has_reason(&error, error.reason()),
            Ok(ids) => {
                for id in ids {
                    let shape = store.get(id).expect("it was read");
                    reads_as_exposition(shape, shape.template());
                    let mut writer = ShapeWriter::hurried();
                    writer.whole(shape);
                    let mut other = ShapeStore::default();
                    assert_eq!(other.read(&writer.finish()), Ok(vec![id]));
                }
            }
        }
    }
});
