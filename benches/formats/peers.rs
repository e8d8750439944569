//! What others send.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use prost::Message as _;
use rapidhash::fast::RandomState;

use prometheus_streams::exposition::{Entry, Parser, Sample};
use prometheus_streams::model::{Format as Text, Labels};

use crate::fleet::{Fleet, Scrape};
use crate::measure::{Cost, Format, timed};
use crate::proto::{
    LabelSet, Request2, WriteRequest, put_kept_series, put_labels, put_series, put_series2,
    put_symbol,
};

/// Prometheus's `max_samples_per_send`.
const ROWS_PROMETHEUS: usize = 2_000;

/// vmagent's `-remoteWrite.maxRowsPerBlock`.
const ROWS_VMAGENT: usize = 10_000;

fn cost<M: AsRef<[u8]>>(
    encode: impl FnOnce() -> Vec<M>,
    decode: impl FnOnce(&[M]) -> usize,
) -> Cost {
    let (encode, messages) = timed(encode);
    let (decode, _) = timed(|| decode(&messages));
    let bytes: usize = messages.iter().map(|message| message.as_ref().len()).sum();
    Cost {
        bytes: bytes as f64,
        encode,
        decode,
    }
}

/// A JSON object for each scrape, its body gzipped and in base64.
pub(crate) struct Ancestor;

impl Format for Ancestor {
    fn name(&self) -> String {
        "JSON, base64, gzip -6: a scrape each (the ancestor); to text".to_owned()
    }

    fn run(&mut self, fleet: &Fleet) -> Cost {
        let encode = |scrape: &Scrape| {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::new(6));
            gzip.write_all(&scrape.body).unwrap();
            let target = &fleet.targets[scrape.target];
            let message = serde_json::json!({
                "job": target.get("job"),
                "instance": target.get("instance"),
                "timestamp": scrape.time_ms / 1000,
                "publisher": "USDC1",
                "scrape": BASE64.encode(gzip.finish().unwrap()),
            });
            serde_json::to_vec(&message).unwrap()
        };
        let decode = |message: &Vec<u8>| {
            let message: serde_json::Value = serde_json::from_slice(message).unwrap();
            let gzip = BASE64.decode(message["scrape"].as_str().unwrap()).unwrap();
            let mut body = Vec::new();
            GzDecoder::new(&*gzip).read_to_end(&mut body).unwrap()
        };
        cost(
            || fleet.scrapes().map(encode).collect(),
            |messages| messages.iter().map(decode).sum(),
        )
    }
}

/// The body, compressed.
pub(crate) struct Zstd(pub(crate) i32);

impl Format for Zstd {
    fn name(&self) -> String {
        format!("text, zstd -{}: a scrape each; to text", self.0)
    }

    fn run(&mut self, fleet: &Fleet) -> Cost {
        let mut compressor = zstd::bulk::Compressor::new(self.0).unwrap();
        let mut decompressor = zstd::bulk::Decompressor::new().unwrap();
        cost(
            || {
                let scrapes = fleet.scrapes();
                let packed = scrapes.map(|scrape| compressor.compress(&scrape.body).unwrap());
                packed.collect()
            },
            |messages| {
                let bodies = messages.iter();
                let bodies =
                    bodies.map(|message| decompressor.decompress(message, 16 << 20).unwrap());
                bodies.map(|body| body.len()).sum()
            },
        )
    }
}

/// The label sets of a target's series by their text, as Prometheus's scrape cache has them.
#[derive(Default)]
struct Series {
    labels: LabelSet,
    /// The same, encoded.
    encoded: Box<[u8]>,
}

type Cache = HashMap<Box<str>, Series, RandomState>;

fn resolve(sample: &Sample<'_, '_>, target: &Labels) -> Series {
    let name = [("__name__", sample.name)];
    let own = sample.labels.iter();
    let own = own.map(|label| (&*label.name, &*label.value));
    let pairs = name.into_iter().chain(own).chain(target.iter());
    let mut labels: Vec<(Box<str>, Box<str>)> = pairs
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    labels.sort();
    let labels = labels.into_boxed_slice();
    let mut encoded = Vec::new();
    put_labels(&mut encoded, &labels);
    Series {
        labels,
        encoded: encoded.into(),
    }
}

/// Fills the caches of all targets with the series of the warm-up.
fn caches(fleet: &Fleet) -> Vec<Cache> {
    let mut caches: Vec<Cache> = fleet.targets.iter().map(|_| Cache::default()).collect();
    for scrape in fleet.warm.iter().flatten() {
        each(fleet, scrape, &mut caches, |_, _, _| {});
    }
    caches
}

/// Parses a scrape and hands out each sample with its series.
fn each(
    fleet: &Fleet,
    scrape: &Scrape,
    caches: &mut [Cache],
    mut put: impl FnMut(&Series, f64, i64),
) {
    let (target, cache) = (&fleet.targets[scrape.target], &mut caches[scrape.target]);
    let mut parser = Parser::new(&scrape.body, Text::Text);
    while let Some(entry) = parser.next() {
        let Entry::Sample(sample) = entry.unwrap() else {
            continue;
        };
        let time_ms = sample.timestamp_ms.unwrap_or(scrape.time_ms);
        if let Some(series) = cache.get(sample.text) {
            put(series, sample.value, time_ms);
            continue;
        }
        let series = resolve(&sample, target);
        put(&series, sample.value, time_ms);
        cache.insert(sample.text.into(), series);
    }
}

/// Remote write 1.0.
pub(crate) struct RemoteWrite1 {
    /// Samples of a request; `None`: a scrape each.
    rows: Option<usize>,
    are_labels_kept: bool,
    /// Snappy if not.
    is_zstd: bool,
}

impl RemoteWrite1 {
    pub(crate) fn per_scrape() -> Self {
        Self {
            rows: None,
            are_labels_kept: false,
            is_zstd: false,
        }
    }

    pub(crate) fn kept_labels() -> Self {
        Self {
            are_labels_kept: true,
            ..Self::per_scrape()
        }
    }

    pub(crate) fn batches() -> Self {
        Self {
            rows: Some(ROWS_VMAGENT),
            are_labels_kept: false,
            is_zstd: true,
        }
    }

    fn encode(&self, fleet: &Fleet, caches: &mut [Cache]) -> Vec<Vec<u8>> {
        let (mut messages, mut body, mut rows) = (Vec::new(), Vec::new(), 0);
        let mut snappy = snap::raw::Encoder::new();
        let mut zstd = zstd::bulk::Compressor::new(3).unwrap();
        let mut flush = |body: &mut Vec<u8>| {
            messages.push(if self.is_zstd {
                zstd.compress(body).unwrap()
            } else {
                snappy.compress_vec(body).unwrap()
            });
            body.clear();
        };
        for scrape in fleet.scrapes() {
            each(fleet, scrape, caches, |series, value, time_ms| {
                if self.are_labels_kept {
                    put_kept_series(&mut body, &series.encoded, value, time_ms);
                } else {
                    put_series(&mut body, &series.labels, value, time_ms);
                }
                rows += 1;
                if Some(rows) == self.rows {
                    flush(&mut body);
                    rows = 0;
                }
            });
            if self.rows.is_none() {
                flush(&mut body);
            }
        }
        if !body.is_empty() {
            flush(&mut body);
        }
        messages
    }

    fn decode(&self, messages: &[Vec<u8>]) -> usize {
        let mut snappy = snap::raw::Decoder::new();
        let mut zstd = zstd::bulk::Decompressor::new().unwrap();
        let requests = messages.iter().map(|message| {
            let body = if self.is_zstd {
                zstd.decompress(message, 64 << 20).unwrap()
            } else {
                snappy.decompress_vec(message).unwrap()
            };
            WriteRequest::decode(&*body).unwrap().timeseries.len()
        });
        requests.sum()
    }
}

impl Format for RemoteWrite1 {
    fn name(&self) -> String {
        let how = match (self.rows, self.are_labels_kept) {
            (Some(rows), _) => format!("zstd -3: {rows} samples each (vmagent)"),
            (None, false) => "snappy: a scrape each".to_owned(),
            (None, true) => "snappy, labels kept encoded (nobody does)".to_owned(),
        };
        format!("remote write 1.0, {how}")
    }

    fn run(&mut self, fleet: &Fleet) -> Cost {
        let mut caches = caches(fleet);
        cost(
            || self.encode(fleet, &mut caches),
            |messages| self.decode(messages),
        )
    }
}

/// Decompression of the same requests, without reading what is in them.
pub(crate) struct SnappyAlone;

impl Format for SnappyAlone {
    fn name(&self) -> String {
        "– its snappy decompression alone".to_owned()
    }

    fn run(&mut self, fleet: &Fleet) -> Cost {
        let messages = RemoteWrite1::per_scrape().encode(fleet, &mut caches(fleet));
        let mut snappy = snap::raw::Decoder::new();
        let mut body = vec![0; 64 << 20];
        let (decode, _) = timed(|| {
            let lengths = messages.iter();
            let lengths = lengths.map(|message| snappy.decompress(message, &mut body).unwrap());
            lengths.sum::<usize>()
        });
        let bytes: usize = messages.iter().map(Vec::len).sum();
        Cost {
            bytes: bytes as f64,
            encode: 0.0,
            decode,
        }
    }
}

/// Remote write 2.0 with snappy, in requests of Prometheus's default size, without metadata.
pub(crate) struct RemoteWrite2;

/// Symbols of a request and the series that name them.
#[derive(Default)]
struct Symbols {
    places: HashMap<Box<str>, u32, RandomState>,
    table: Vec<u8>,
    series: Vec<u8>,
    refs: Vec<u32>,
}

impl Symbols {
    fn clear(&mut self) {
        self.places.clear();
        self.table.clear();
        self.series.clear();
        // The first symbol is the empty one.
        self.place("");
    }

    fn place(&mut self, symbol: &str) -> u32 {
        if let Some(place) = self.places.get(symbol) {
            return *place;
        }
        let place = self.places.len() as u32;
        self.places.insert(symbol.into(), place);
        put_symbol(&mut self.table, symbol);
        place
    }

    fn put(&mut self, labels: &LabelSet, value: f64, time_ms: i64) {
        let mut refs = std::mem::take(&mut self.refs);
        refs.clear();
        for (name, text) in labels {
            refs.push(self.place(name));
            refs.push(self.place(text));
        }
        put_series2(&mut self.series, &refs, value, time_ms);
        self.refs = refs;
    }

    fn request(&mut self) -> Vec<u8> {
        let mut request = std::mem::take(&mut self.table);
        request.extend_from_slice(&self.series);
        request
    }
}

impl Format for RemoteWrite2 {
    fn name(&self) -> String {
        format!("remote write 2.0, snappy: {ROWS_PROMETHEUS} samples each")
    }

    fn run(&mut self, fleet: &Fleet) -> Cost {
        let mut caches = caches(fleet);
        cost(
            || {
                let (mut messages, mut rows) = (Vec::new(), 0);
                let mut snappy = snap::raw::Encoder::new();
                let mut symbols = Symbols::default();
                symbols.clear();
                for scrape in fleet.scrapes() {
                    each(fleet, scrape, &mut caches, |series, value, time_ms| {
                        symbols.put(&series.labels, value, time_ms);
                        rows += 1;
                        if rows == ROWS_PROMETHEUS {
                            messages.push(snappy.compress_vec(&symbols.request()).unwrap());
                            symbols.clear();
                            rows = 0;
                        }
                    });
                }
                messages.push(snappy.compress_vec(&symbols.request()).unwrap());
                messages
            },
            |messages| {
                let mut snappy = snap::raw::Decoder::new();
                let requests = messages.iter().map(|message| {
                    let body = snappy.decompress_vec(message).unwrap();
                    Request2::decode(&*body).unwrap().timeseries.len()
                });
                requests.sum()
            },
        )
    }
}

/// Returns the request that remote write 1.0 sends for a scrape.
pub(crate) fn request(fleet: &Fleet, scrape: &Scrape) -> WriteRequest {
    let mut caches: Vec<Cache> = fleet.targets.iter().map(|_| Cache::default()).collect();
    let mut body = Vec::new();
    each(fleet, scrape, &mut caches, |series, value, time_ms| {
        put_series(&mut body, &series.labels, value, time_ms);
    });
    WriteRequest::decode(&*body).unwrap()
}
