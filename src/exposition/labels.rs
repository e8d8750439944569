//! Label sets.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::model::Format;

use super::entry::Label;
use super::error::{Fault, Reason};
use super::scan::{Allow, Scan};

/// Reads label sets into a list that it reuses.
#[derive(Default)]
pub(super) struct LabelReader<'a> {
    labels: Vec<Label<'a>>,
    /// The names of a long label set; empty as long as the set is short.
    names: HashSet<Cow<'a, str>>,
}

/// Whose labels they are.
pub(super) enum Owner<'n, 'a> {
    /// A sample's: a quoted string alone is the metric name, and no name may repeat.
    Sample(&'n mut Option<Cow<'a, str>>),
    /// An exemplar's.
    Exemplar,
}

/// Labels up to which comparing with each other name is faster than hashing; a label set of a
/// hostile body may have millions.
const COMPARED_MAX: usize = 16;

/// Room for names that is kept for the next sample. Clearing costs as much as the room, so one
/// huge label set would make each that follows slow.
const KEPT_NAMES_MAX: usize = 256;

impl<'a> LabelReader<'a> {
    pub(super) fn clear(&mut self) {
        self.labels.clear();
        if self.names.capacity() > KEPT_NAMES_MAX {
            self.names = HashSet::new();
        } else if !self.names.is_empty() {
            self.names.clear();
        }
    }

    pub(super) fn as_slice(&self) -> &[Label<'a>] {
        &self.labels
    }

    /// Reads labels up to and with the closing brace.
    pub(super) fn read(
        &mut self,
        scan: &mut Scan<'a>,
        mut owner: Owner<'_, 'a>,
        format: Format,
    ) -> Result<(), Fault> {
        let blanks = |scan: &mut Scan<'_>| {
            if format == Format::Text {
                scan.blanks();
            }
        };
        loop {
            blanks(scan);
            if scan.eat(b'}') {
                return Ok(());
            }
            let name_at = scan.at;
            let is_quoted = scan.peek() == Some(b'"');
            let name = label_name(scan, &owner)?;
            blanks(scan);
            if scan.eat(b'=') {
                blanks(scan);
                let value = label_value(scan, format)?;
                let label = Label { name, value };
                if let Owner::Sample(metric_name) = &owner {
                    self.refuse_repeated(&label, name_at, metric_name.as_ref())?;
                }
                self.labels.push(label);
            } else {
                let metric_name = match &mut owner {
                    Owner::Sample(metric_name) if is_quoted => metric_name,
                    _ => return Err(scan.fault(Reason::ExpectedEquals)),
                };
                if !matches!(scan.peek(), Some(b',' | b'}')) {
                    return Err(scan.fault(Reason::ExpectedEquals));
                }
                if metric_name.is_some() {
                    return Err(Fault {
                        at: name_at,
                        reason: Reason::SecondName,
                    });
                }
                **metric_name = Some(name);
            }
            blanks(scan);
            if !scan.eat(b',') && format == Format::OpenMetrics && scan.peek() != Some(b'}') {
                return Err(scan.fault(Reason::ExpectedComma));
            }
        }
    }

    fn refuse_repeated(
        &mut self,
        label: &Label<'a>,
        at: usize,
        metric_name: Option<&Cow<'a, str>>,
    ) -> Result<(), Fault> {
        let name = &label.name;
        let is_known = if self.labels.len() < COMPARED_MAX {
            self.labels.iter().any(|known| known.name == *name)
        } else {
            if self.names.is_empty() {
                let names = self.labels.iter().map(|known| known.name.clone());
                self.names.extend(names);
            }
            !self.names.insert(name.clone())
        };
        if is_known || name == "__name__" {
            let reason = if is_known || metric_name.is_some() {
                Reason::DuplicateLabel(name.as_ref().into())
            } else {
                Reason::MissingName
            };
            return Err(Fault { at, reason });
        }
        Ok(())
    }
}

/// Reads a name, quoted or not, of a label or, quoted, of a metric.
#[inline]
fn label_name<'a>(scan: &mut Scan<'a>, owner: &Owner<'_, 'a>) -> Result<Cow<'a, str>, Fault> {
    let from = scan.at;
    if scan.peek() == Some(b'"') {
        let quoted = scan.quoted(match owner {
            Owner::Sample(_) => Allow::Breaks,
            Owner::Exemplar => Allow::Neither,
        })?;
        let name = scan.unquote(&quoted)?;
        if name.is_empty() {
            return Err(Fault {
                at: from,
                reason: Reason::EmptyName,
            });
        }
        return Ok(name);
    }
    if scan.peek().is_none_or(|byte| byte.is_ascii_digit()) {
        return Err(scan.fault(Reason::ExpectedLabelName));
    }
    let name = scan.run(|byte| matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'0'..=b'9'));
    if name.is_empty() {
        return Err(scan.fault(Reason::ExpectedLabelName));
    }
    scan.str(from, scan.at).map(Cow::Borrowed)
}

#[inline]
fn label_value<'a>(scan: &mut Scan<'a>, format: Format) -> Result<Cow<'a, str>, Fault> {
    if scan.peek() != Some(b'"') {
        return Err(scan.fault(Reason::ExpectedLabelValue));
    }
    let quoted = scan.quoted(match format {
        Format::Text => Allow::Both,
        Format::OpenMetrics => Allow::Nuls,
    })?;
    scan.unquote(&quoted)
}
