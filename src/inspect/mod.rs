//! What a person sees of a message: its header and its records as text.
//!
//! In: stored messages' payloads or decoded records. Out: text that is an exposition itself, with
//! the target's labels and the scrape's time added to every sample and everything else in
//! comments, so that it can be read by eye and by any Prometheus tool. It delivers nothing, and
//! remembers nothing but what the messages of a [`Lane`] need of those before them.

mod lane;

pub use lane::{Lane, LaneError};

use std::fmt::Write as _;

use crate::exposition::{Families, Label, Names, Timestamps, WriteOptions, write_text};
use crate::model::{Format, Heartbeat, Labels, Outcome, Record, Scrape, Text};
use crate::wire::{Header, Item, Outline, Part, Shape, ShapeEntry};

/// How to show an exposition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// With the target's labels and the scrape's time at every sample.
    Labeled,
    /// As the target wrote it.
    Raw,
}

/// Returns a frame's header as text.
pub fn header(header: Header, records: usize) -> String {
    let Header {
        epoch,
        number,
        base,
    } = header;
    let kind = if header.is_key() {
        "key frame"
    } else {
        "delta frame"
    };
    format!("# {kind} {number}, epoch {epoch}, base {base}, {records} records\n")
}

/// Returns that the next record is a part, as text.
pub fn part(part: Part) -> String {
    format!("# part {} of {}\n", part.index + 1, part.count)
}

/// Returns as text what a frame says without the frames and shapes that it needs.
pub fn outline(outline: &Outline, publisher: Option<&str>, style: Style) -> String {
    let is_record = |item: &&Item| !matches!(item, Item::Part(_));
    let records = outline.items.iter().filter(is_record).count();
    let mut out = header(outline.header, records);
    for item in &outline.items {
        let shown = match item {
            Item::Part(of) => part(*of),
            Item::Record(each) => record(each, publisher, style),
            Item::Columns {
                target,
                shape,
                time_ms,
                ..
            } => {
                let shape = shape.map_or_else(String::new, |shape| format!(" by shape {shape}"));
                format!(
                    "# scrape of target number {target} at {time_ms}{shape}: its base or its \
                     shape is not there\n"
                )
            }
        };
        out.push_str(&shown);
    }
    out
}

/// Returns a shape as text: what it is of, and the values that it was made from.
pub fn shape(entry: ShapeEntry, shape: Option<&Shape>, style: Style) -> String {
    let ShapeEntry { id, base } = entry;
    let patch = base.map_or_else(String::new, |base| format!(", a patch of {base}"));
    let Some(shape) = shape else {
        return format!("# shape {id}{patch}: that is not there\n");
    };
    let (target, series) = (labels(shape.target(), None), shape.page().len());
    let mut out = format!("# shape {id} of {target}: {series} series{patch}\n");
    let mut text = Vec::new();
    shape.write_text(shape.template(), &mut text);
    match style {
        Style::Raw => out.push_str(&String::from_utf8_lossy(&text)),
        Style::Labeled => {
            let added = added(shape.target(), None);
            add_labeled(&text, shape.page().format(), (&added, None), &mut out);
        }
    }
    out
}

/// Returns a record as text.
pub fn record(record: &Record, publisher: Option<&str>, style: Style) -> String {
    match record {
        Record::Scrape(scrape) => self::scrape(scrape, publisher, style),
        Record::Heartbeat(Heartbeat {
            time_ms,
            interval,
            live,
        }) => {
            let (seconds, targets) = (interval.as_secs_f64(), live.len());
            format!("# heartbeat at {time_ms}: {targets} targets, next after {seconds}s\n")
        }
    }
}

fn scrape(scrape: &Scrape, publisher: Option<&str>, style: Style) -> String {
    let target = labels(&scrape.target, publisher);
    let time_ms = scrape.time_ms;
    match &scrape.outcome {
        Outcome::Exposed {
            body: Text { text, format },
            duration,
        } => {
            let (bytes, seconds) = (text.len(), duration.as_secs_f64());
            let mut out =
                format!("# scrape of {target} at {time_ms}: {bytes} bytes in {seconds}s\n");
            match style {
                Style::Raw => out.push_str(&String::from_utf8_lossy(text)),
                Style::Labeled => {
                    let added = added(&scrape.target, publisher);
                    add_labeled(text, *format, (&added, Some(time_ms)), &mut out);
                }
            }
            out
        }
        Outcome::Failed {
            reason, duration, ..
        } => {
            let seconds = duration.as_secs_f64();
            format!("# failed scrape of {target} at {time_ms}: {reason} after {seconds}s\n")
        }
        Outcome::Gone => format!("# target {target} is gone at {time_ms}\n"),
        Outcome::Noted(_) => format!("# target {target} is silent at {time_ms}\n"),
    }
}

/// Writes the samples with the target's labels, which give way to none of the exposition's own.
fn add_labeled(
    text: &[u8],
    format: Format,
    (added, time_ms): (&[(&str, &str)], Option<i64>),
    out: &mut String,
) {
    let mut families = match Families::parse(text, format) {
        Ok(families) => families,
        Err(error) => {
            // A formatter that writes into a string cannot fail.
            writeln!(out, "# cannot be read: {error}").unwrap_or_default();
            return;
        }
    };
    for sample in families
        .iter_mut()
        .flat_map(|family| family.samples.iter_mut())
    {
        sample
            .labels
            .retain(|label| added.iter().all(|(name, _)| *name != label.name));
        sample
            .labels
            .extend(added.iter().map(|(name, value)| Label {
                name: (*name).to_owned().into(),
                value: (*value).to_owned().into(),
            }));
        sample.timestamp_ms = sample.timestamp_ms.or(time_ms);
    }
    let options = WriteOptions {
        timestamps: Timestamps::Keep,
        names: Names::Quote,
    };
    write_text(&families, options, out);
}

fn added<'l>(target: &'l Labels, publisher: Option<&'l str>) -> Vec<(&'l str, &'l str)> {
    let publisher = publisher.map(|site| ("publisher", site));
    target.iter().chain(publisher).collect()
}

fn labels(target: &Labels, publisher: Option<&str>) -> String {
    let pairs: Vec<String> = added(target, publisher)
        .into_iter()
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    format!("{{{}}}", pairs.join(","))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::model::{FailureReason, Tally};
    use crate::wire;

    fn scrape(outcome: Outcome) -> Record {
        let target = Arc::new(Labels::of_target("node", "db1:9100"));
        Record::Scrape(Scrape {
            target,
            time_ms: 1_700_000_000_123,
            outcome,
        })
    }

    fn exposed(text: &str) -> Record {
        let (text, format) = (text.to_owned().into(), Format::Text);
        scrape(Outcome::Exposed {
            body: Text { text, format },
            duration: Duration::from_millis(12),
        })
    }

    #[test]
    fn every_sample_has_its_target_and_its_time() {
        let text = record(
            &exposed("# TYPE a counter\na{job=\"x\"} 1\nb 2 7\n"),
            Some("DC1"),
            Style::Labeled,
        );
        assert_eq!(
            text,
            "# scrape of {instance=\"db1:9100\",job=\"node\",publisher=\"DC1\"} at 1700000000123: \
             36 bytes in 0.012s\n# TYPE a counter\n\
             a{instance=\"db1:9100\",job=\"node\",publisher=\"DC1\"} 1 1700000000123\n\
             # TYPE b untyped\n\
             b{instance=\"db1:9100\",job=\"node\",publisher=\"DC1\"} 2 7\n"
        );
    }

    #[test]
    fn raw_is_as_the_target_wrote_it() {
        let text = record(&exposed("a   1\n"), None, Style::Raw);
        assert!(text.ends_with("s\na   1\n"), "{text}");
    }

    #[test]
    fn events_are_comments() {
        let failed = Outcome::Failed {
            reason: FailureReason::Timeout,
            duration: Duration::from_secs(10),
            tally: Tally::default(),
        };
        let records = [scrape(failed), scrape(Outcome::Gone)];
        let header = Header {
            epoch: 5,
            number: 3,
            base: 3,
        };
        let frame = wire::encode(&header, &records);
        let text = Lane::default().show(&frame, Style::Labeled).unwrap();
        assert_eq!(
            text,
            "# key frame 3, epoch 5, base 3, 2 records\n\
             # failed scrape of {instance=\"db1:9100\",job=\"node\"} at 1700000000123: timeout \
             after 10s\n\
             # target {instance=\"db1:9100\",job=\"node\"} is gone at 1700000000123\n"
        );
    }
}
