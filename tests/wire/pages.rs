//! Recorded pages of real exporters.

use std::collections::BTreeMap;
use std::path::Path;

/// A page and when it was scraped.
pub(crate) struct Page {
    /// Milliseconds since the Unix epoch.
    pub(crate) time_ms: i64,
    /// What the target served.
    pub(crate) body: Vec<u8>,
}

/// Returns the pages of each exporter, 15 seconds apart.
///
/// The file, or the one that `WIRE_PAGES` names, is one zstd frame of pages, each after a line
/// with the exporter's name, the time in milliseconds and the length in bytes.
pub(crate) fn pages() -> BTreeMap<String, Vec<Page>> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/wire/pages.zst");
    read(&std::env::var_os("WIRE_PAGES").map_or(own, Into::into))
}

/// Returns the pages of such a file.
pub(crate) fn read(file: &Path) -> BTreeMap<String, Vec<Page>> {
    let packed = std::fs::read(file).unwrap();
    let bytes = zstd::decode_all(&*packed).unwrap();
    let mut rest = &*bytes;
    let mut pages: BTreeMap<String, Vec<Page>> = BTreeMap::new();
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (head, behind) = rest.split_at(end);
        let mut words = std::str::from_utf8(head).unwrap().split(' ');
        let (set, time) = (words.next().unwrap(), words.next().unwrap());
        let length: usize = words.next().unwrap().parse().unwrap();
        let (body, behind) = behind.split_at(1).1.split_at(length);
        rest = behind;
        pages.entry(set.to_owned()).or_default().push(Page {
            time_ms: time.parse().unwrap(),
            body: body.to_vec(),
        });
    }
    pages
}
