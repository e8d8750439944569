//! Counts the start tables over recorded pages, and reports what the format costs on them.
//!
//! `WIRE_PAGES` names another file of pages than the one with the tests; `WIRE_START` names a
//! file to which the counted start table is written, `WIRE_TEMPLATE` one for that of templates.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::print_stdout,
    reason = "figures of small counts, for a report"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::target::Target;
use super::{LaneEncoder, Role};
use crate::model::{Format, Labels};
use crate::wire::columns::{CONTEXTS, Coder, Column, Mode, Model, Probability, Scratch};
use crate::wire::range::Encoder;
use crate::wire::shape::Siblings;
use crate::wire::{Misfit, Shape, ShapeWriter, match_body};

/// Scrapes of a group.
const GROUP: usize = 20;

/// Counts answers by context instead of writing them.
struct Counter(Vec<[u32; 2]>);

impl Counter {
    /// Returns the start table by which this would have cost the least.
    fn table(&self) -> Vec<u16> {
        let start = self.0.iter().map(|[no, yes]| {
            let (no, yes) = (f64::from(*no) + 0.4, f64::from(*yes) + 0.4);
            (65536.0 * yes / (no + yes)).clamp(64.0, 65472.0) as u16
        });
        start.collect()
    }
}

impl Coder for Counter {
    const ENCODES: bool = true;

    type State = ();

    fn state(&self) {}

    fn resume(&mut self, (): ()) {}

    fn ask(&mut self, (): (), (context, _): (usize, Probability), bit: bool) -> (bool, u32) {
        self.0[context][usize::from(bit)] += 1;
        (bit, 0)
    }

    fn settle(&mut self, (): &mut (), _: u32, _: bool) {}

    fn raw(&mut self, bits: u64, _width: u32) -> u64 {
        bits
    }
}

/// A page and when it was scraped.
struct Page {
    time_ms: i64,
    body: Vec<u8>,
}

/// One exporter's pages, matched.
struct Set {
    name: String,
    scrapes: Vec<(i64, Arc<Shape>, Column)>,
    patches: BTreeMap<usize, usize>,
    whole: usize,
    /// Bytes of the shape of another target, taken a little later, as a patch.
    sibling: usize,
}

fn pages() -> BTreeMap<String, Vec<Page>> {
    let file = std::env::var_os("WIRE_PAGES").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/wire/pages.zst"),
        PathBuf::from,
    );
    let packed = std::fs::read(file).unwrap();
    let mut bytes = &*zstd::decode_all(&*packed).unwrap();
    let mut pages: BTreeMap<String, Vec<Page>> = BTreeMap::new();
    while let Some(end) = memchr::memchr(b'\n', bytes) {
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let [set, time, length] = head.split(' ').collect::<Vec<_>>()[..] else {
            panic!("head of a page: {head}");
        };
        let (body, rest) = bytes[end + 1..].split_at(length.parse().unwrap());
        bytes = rest;
        pages.entry(set.to_owned()).or_default().push(Page {
            time_ms: time.parse().unwrap(),
            body: body.to_vec(),
        });
    }
    pages
}

fn prepare(name: &str, pages: &[Page]) -> Set {
    let target = Arc::new(Labels::of_target(name, "127.0.0.1:9100"));
    let mut shape = Arc::new(Shape::build(target, &pages[0].body, Format::Text).unwrap());
    let mut writer = ShapeWriter::new();
    writer.whole(&shape);
    let mut set = Set {
        name: name.to_owned(),
        scrapes: Vec::new(),
        patches: BTreeMap::new(),
        whole: writer.finish().len(),
        sibling: sibling(&shape, &pages[pages.len() / 2]),
    };
    for (at, page) in pages.iter().enumerate() {
        let mut column = Column::default();
        match match_body(shape.page(), &page.body, &mut column) {
            Ok(_) => {}
            Err(Misfit::Changed(_)) => {
                let next = Arc::new(shape.extend(&page.body).unwrap());
                let mut writer = ShapeWriter::new();
                writer.patch(&next, &shape);
                set.patches.insert(at, writer.finish().len());
                shape = next;
                match_body(shape.page(), &page.body, &mut column).unwrap();
            }
            Err(misfit) => panic!("{name}: {misfit}"),
        }
        set.scrapes.push((page.time_ms, Arc::clone(&shape), column));
    }
    set
}

fn sibling(shape: &Shape, page: &Page) -> usize {
    let target = Arc::new(Labels::of_target("other", "127.0.0.2:9100"));
    let mut writer = ShapeWriter::new();
    let sibling = Shape::build(target, &page.body, Format::Text).unwrap();
    writer.patch(&sibling, shape);
    writer.finish().len()
}

/// Counts all answers over some sets, in each mode.
fn count(sets: &[&Set]) -> Vec<u16> {
    let mut counter = Counter(vec![[0; 2]; CONTEXTS]);
    let (mut model, mut scratch) = (Model::new(), Scratch::new());
    for (is_chained, set) in [true, false]
        .into_iter()
        .flat_map(|is_chained| sets.iter().map(move |set| (is_chained, set)))
    {
        let mut target = Target::new(&set.scrapes[0].1);
        for (at, (time_ms, shape, column)) in set.scrapes.iter().enumerate() {
            let mode = match (at % GROUP, is_chained) {
                (0, _) => Mode::Fresh,
                (_, true) => Mode::Chained,
                (1..=3, false) => Mode::Near,
                (_, false) => Mode::Far,
            };
            if target.shape.id() != shape.id() {
                target.adopt(shape);
            }
            if mode == Mode::Fresh {
                let scrapes = if is_chained { 0 } else { GROUP - 1 };
                target.restart(u16::try_from(scrapes).unwrap());
            }
            let mut column = column.clone();
            let coding = (&mut counter, &mut model);
            target.code(coding, (mode, *time_ms), &mut column, &mut scratch);
        }
    }
    counter.table()
}

/// The shapes of several targets, taken some minutes apart.
fn siblings(name: &str, pages: &[Page]) -> Vec<Shape> {
    let pages = pages.iter().step_by(5).zip(0..);
    let shapes = pages.map(|(page, number)| {
        let target = Labels::of_target(name, &format!("10.0.0.{number}:9100"));
        Shape::build(Arc::new(target), &page.body, Format::Text).unwrap()
    });
    shapes.collect()
}

/// What a shape is coded beside: the first, alone and with the second.
fn beside(shapes: &[Shape]) -> impl Iterator<Item = (&Shape, Siblings<'_>)> {
    let (base, second) = (&shapes[0], &shapes[1]);
    let second = [None, Some(second)];
    let pairs = second.into_iter().zip([1, 2]);
    pairs.flat_map(move |(second, skip)| {
        let others = shapes.iter().skip(skip);
        others.map(move |shape| (shape, Siblings { base, second }))
    })
}

/// Counts all answers over the templates of siblings.
fn count_templates<'s>(sets: impl Iterator<Item = &'s Vec<Shape>>) -> Vec<u16> {
    let mut counter = Counter(vec![[0; 2]; CONTEXTS]);
    let mut model = Model::new();
    for (shape, siblings) in sets.flat_map(|shapes| beside(shapes)) {
        let mut template = shape.template().clone();
        siblings.code((&mut counter, &mut model), shape.page(), &mut template);
    }
    counter.table()
}

/// Bytes per sample of templates, alone and with a second sibling.
fn cost_of_templates(shapes: &[Shape], start: &[u16]) -> [f64; 2] {
    let mut sums = [(0, 0); 2];
    for (shape, siblings) in beside(shapes) {
        let mut model = Model::new();
        model.restart_from(start);
        let (mut encoder, mut template) = (Encoder::new(), shape.template().clone());
        siblings.code((&mut encoder, &mut model), shape.page(), &mut template);
        let (coded, raw) = encoder.finish();
        let sum = &mut sums[usize::from(siblings.second.is_some())];
        *sum = (sum.0 + coded.len() + raw.len(), sum.1 + template.samples());
    }
    sums.map(|(bytes, samples)| bytes as f64 / samples as f64)
}

fn write_table(variable: &str, start: &[u16]) {
    if let Some(path) = std::env::var_os(variable) {
        let lines: Vec<String> = start
            .chunks(24)
            .map(|line| {
                let digits: Vec<_> = line.iter().map(|start| format!("{start:04x}")).collect();
                digits.concat()
            })
            .collect();
        std::fs::write(path, lines.join("\n") + "\n").unwrap();
    }
}

#[test]
fn templates_of_siblings_cost_what_is_promised() {
    let pages = pages();
    let sets = pages.iter().map(|(name, pages)| siblings(name, pages));
    let sets: Vec<Vec<Shape>> = sets.collect();
    let own = count_templates(sets.iter());
    write_table("WIRE_TEMPLATE", &own);
    println!("template bytes per sample    alone  beside two    others' table");
    let (mut sums, mut weight) = ([0.0; 4], 0.0);
    for (at, (name, shapes)) in pages.keys().zip(&sets).enumerate() {
        let others = sets.iter().enumerate().filter(|(other, _)| *other != at);
        let others = count_templates(others.map(|(_, set)| set));
        let [[a, b], [c, d]] = [&own, &others].map(|start| cost_of_templates(shapes, start));
        let samples = shapes[0].page().len() as f64;
        println!("{name:12} {samples:6.0} {:10.3?}", [a, b, c, d]);
        for (sum, cost) in sums.iter_mut().zip([a, b, c, d]) {
            *sum += cost * samples;
        }
        weight += samples;
    }
    let means = sums.map(|sum| sum / weight);
    println!("{:19} {means:10.3?}", "weighted");
    assert!(means[0] <= 0.62, "alone");
    assert!(means[1] <= 0.55, "beside two");
}

/// Bytes per sample of the last whole group.
fn cost(set: &Set, targets: usize, role: Role, start: Option<&[u16]>) -> f64 {
    let mut lane = LaneEncoder::new(1_700_000_000_000);
    lane.start = start.map(Arc::from);
    let ticks = GROUP * (set.scrapes.len().min(2 * GROUP) / GROUP).max(1);
    let shift = (set.scrapes.len() - ticks) / targets.max(1);
    let (mut bytes, mut samples, mut patches) = (0, 0, 0);
    for tick in 0..ticks {
        let role = if tick % GROUP == 0 { Role::Key } else { role };
        let mut frame = lane.begin(role);
        let is_counted = tick >= ticks - GROUP;
        for target in 0..targets {
            let at = tick + target * shift;
            let (time_ms, shape, column) = &set.scrapes[at];
            let time_ms = time_ms + (target as i64 * 911) % 15_000;
            let duration = Duration::from_micros(8_000 + (at * 7919 % 3000) as u64);
            frame.columns(target as u32, shape, (time_ms, duration), column);
            if is_counted {
                samples += column.samples();
                patches += set.patches.get(&at).copied().unwrap_or(0) * usize::from(tick > 0);
            }
        }
        let (_, payload) = frame.finish();
        bytes += if is_counted { payload.len() } else { 0 };
    }
    let per_day = set.whole as f64 * (targets * GROUP) as f64 / 5760.0;
    (bytes as f64 + patches as f64 + per_day) / samples as f64
}

#[test]
fn columns_cost_what_is_promised() {
    let sets: Vec<Set> = pages()
        .iter()
        .map(|(name, pages)| prepare(name, pages))
        .collect();
    write_table("WIRE_START", &count(&sets.iter().collect::<Vec<_>>()));
    println!("bytes per sample      chained  alone  others' table   chain-free  others' table");
    let mut sums = [0.0; 5];
    let mut weight = 0.0;
    for (at, set) in sets.iter().enumerate() {
        let others = sets.iter().enumerate().filter(|(other, _)| *other != at);
        let others = count(&others.map(|(_, set)| set).collect::<Vec<_>>());
        let costs = [
            cost(set, 10, Role::Link, None),
            cost(set, 1, Role::Link, None),
            cost(set, 10, Role::Link, Some(&others)),
            cost(set, 10, Role::Leaf, None),
            cost(set, 10, Role::Leaf, Some(&others)),
        ];
        let samples = set
            .scrapes
            .iter()
            .map(|scrape| scrape.2.samples())
            .sum::<usize>();
        let samples = samples as f64 / set.scrapes.len() as f64;
        weight += samples;
        for (sum, cost) in sums.iter_mut().zip(costs) {
            *sum += cost * samples;
        }
        println!("{:12} {samples:6.0} {costs:10.3?}", set.name);
    }
    for set in &sets {
        let patches: usize = set.patches.values().sum();
        let (name, whole, sibling) = (&set.name, set.whole, set.sibling);
        let count = set.patches.len();
        println!("{name:12} shape {whole} bytes, sibling {sibling}, {count} patches {patches}");
    }
    let means = sums.map(|sum| sum / weight);
    println!("{:19} {means:10.3?}", "weighted");
    assert!(means[0] <= 0.40, "chained");
    assert!(means[3] <= 0.55, "chain-free");
}
