//! Tables of bodies: what each says, or where and why it is refused.

mod accepted;
mod corpus;
mod families;
mod peer;
mod properties;
mod refused;

use std::fmt::Write;

use super::{Entry, Exemplar, Label, Parser, SyntaxError};
use crate::model::Format;

/// Writes a body's entries, one a line, so that a table can say what is expected.
fn render(body: &[u8], format: Format) -> Result<String, SyntaxError> {
    let mut out = String::new();
    let mut parser = Parser::new(body, format);
    while let Some(entry) = parser.next() {
        match entry? {
            Entry::Help { family, text } => write!(out, "help {family} {text:?}").unwrap(),
            Entry::Type { family, kind } => write!(out, "type {family} {}", kind.as_str()).unwrap(),
            Entry::Unit { family, unit } => write!(out, "unit {family} {unit:?}").unwrap(),
            Entry::Comment(text) => write!(out, "comment {text:?}").unwrap(),
            Entry::Sample(sample) => {
                let (name, value) = (sample.name, sample.value);
                write!(out, "{name}{} {value:?}", labels(sample.labels)).unwrap();
                if let Some(timestamp_ms) = sample.timestamp_ms {
                    write!(out, " @{timestamp_ms}").unwrap();
                }
                if let Some(exemplar) = sample.exemplar {
                    let Exemplar { value, .. } = exemplar;
                    write!(out, " # {} {value:?}", labels(exemplar.labels)).unwrap();
                    if let Some(timestamp_ms) = exemplar.timestamp_ms {
                        write!(out, " @{timestamp_ms}").unwrap();
                    }
                }
            }
        }
        out.push('\n');
    }
    assert!(parser.next().is_none(), "reads on behind the end");
    Ok(out)
}

fn labels(labels: &[Label<'_>]) -> String {
    let mut out = String::from("{");
    for label in labels {
        write!(out, "{}={:?},", label.name, label.value).unwrap();
    }
    out.push('}');
    out
}
