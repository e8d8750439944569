//! Whether a page may be a shape's, at the price of what it has beside a page that is one already.

use super::Page;
use crate::exposition::{Entry, Parser};

/// How far a series is searched for in the other page: what stands further away is judged anew,
/// which is slower but the same.
const LOOKAHEAD: usize = 64;

/// With more new series than this the whole page is judged: each is looked for and compared with
/// all series, which for so many takes longer than parsing them.
const NEW_MAX: usize = 32;

/// Tells whether every series of a page stands there once, and its lines, with a value each, are
/// what the exposition parser reads: what goes to a sink always does.
///
/// `base` is a page of which that is known; every shape's is such a page. The answer does not
/// depend on it:
///
/// Call the comments before a series and its own line a unit; units and tail make the page. The
/// parser keeps nothing from one entry to the next, never looks further than the line break that
/// ends one, and begins a sample only where a line begins that is no comment: at a series' line.
/// So if it reads as many samples as there are series, with their texts in their order, then one
/// begins at each series' line and ends with it, and an entry begins at each unit. What it makes of
/// a unit then depends on the unit alone, and a page is good exactly if each of its units is, and
/// its tail. So those that `base` has too need not be parsed, and the others may be parsed together
/// as if they were a page.
///
/// Series that are found in `base` at ascending places are as distinct as they are there; only
/// others can stand twice.
pub(super) fn is_good(page: &Page, base: Option<&Page>) -> bool {
    let base = base.filter(|base| base.format() == page.format());
    match base.and_then(|base| Strangers::find(page, base)) {
        Some(Strangers { units, series }) => {
            series.iter().all(|&at| stands_once(page, at))
                && is_exposition(page, units.iter().copied())
        }
        None => page.is_distinct() && is_exposition(page, 0..page.len()),
    }
}

/// What a page has that another has not.
#[derive(Default)]
struct Strangers {
    /// Units that are other there, or that were not found.
    units: Vec<usize>,
    /// Of these, the ones whose series was not found.
    series: Vec<usize>,
}

impl Strangers {
    /// Walks both pages; `None` when there are too many new series.
    fn find(page: &Page, base: &Page) -> Option<Self> {
        let mut strangers = Self::default();
        let mut expected = 0;
        for at in 0..page.len() {
            let same = |other: usize| match (page.lines(at), base.lines(other)) {
                (Some(own), Some(other)) => own.all == other.all && own.has_time == other.has_time,
                _ => false,
            };
            if same(expected) {
                expected += 1;
                continue;
            }
            let key = page.key_at(at);
            let mut near = expected..base.len().min(expected + LOOKAHEAD);
            match near.find(|&other| base.key_at(other) == key) {
                Some(found) => {
                    expected = found + 1;
                    if !same(found) {
                        strangers.units.push(at);
                    }
                }
                None if strangers.series.len() == NEW_MAX => return None,
                None => {
                    strangers.units.push(at);
                    strangers.series.push(at);
                }
            }
        }
        Some(strangers)
    }
}

fn stands_once(page: &Page, series: usize) -> bool {
    let key = page.key_at(series);
    page.keys().filter(|other| Some(*other) == key).count() == 1
}

/// Tells whether some units of a page, and its tail, are what the exposition parser reads.
fn is_exposition(page: &Page, units: impl ExactSizeIterator<Item = usize> + Clone) -> bool {
    let mut body = Vec::with_capacity(if units.len() == page.len() {
        page.text().len() + page.len() * 4
    } else {
        0
    });
    for lines in units.clone().filter_map(|at| page.lines(at)) {
        body.extend_from_slice(lines.all.as_bytes());
        body.extend_from_slice(if lines.has_time { b" 0 0\n" } else { b" 0\n" });
    }
    // Of `OpenMetrics` it has the line without which there is no end.
    body.extend_from_slice(page.tail().as_bytes());
    let mut keys = units.filter_map(|at| page.key_at(at));
    let mut parser = Parser::new(&body, page.format());
    while let Some(entry) = parser.next() {
        match entry {
            Ok(Entry::Sample(sample)) => {
                let is_plain = sample.exemplar.is_none() && keys.next() == Some(sample.text);
                if !is_plain {
                    return false;
                }
            }
            Ok(_) => {}
            Err(_) => return false,
        }
    }
    keys.next().is_none()
}
