//! The grammar: from lines to entries.

use std::borrow::Cow;

use crate::model::Format;

use super::entry::{Entry, Exemplar, FamilyKind, Sample};
use super::error::{Fault, Keyword, Reason, SyntaxError, quote};
use super::labels::{LabelReader, Owner};
use super::number::{parse_milliseconds, parse_seconds, parse_value};
use super::scan::{Allow, Escapes, Scan, unescape};

/// Reads a body entry by entry.
///
/// What it returns borrows text from the body and the list of labels from the parser, which
/// reuses it; a sample without escape sequences allocates nothing.
pub struct Parser<'a> {
    scan: Scan<'a>,
    format: Format,
    labels: LabelReader<'a>,
    exemplar_labels: LabelReader<'a>,
    name: Cow<'a, str>,
    /// What the last `# TYPE` said.
    kind: FamilyKind,
    is_done: bool,
}

/// What a body holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Number of samples.
    pub samples: usize,
    /// The latest explicit timestamp, milliseconds since the Unix epoch.
    pub latest_ms: Option<i64>,
}

/// Reads a whole body, as a poller does before it publishes it.
pub fn check(body: &[u8], format: Format) -> Result<Summary, SyntaxError> {
    let mut summary = Summary::default();
    let mut parser = Parser::new(body, format);
    while let Some(entry) = parser.next() {
        if let Entry::Sample(sample) = entry? {
            summary.samples += 1;
            summary.latest_ms = summary.latest_ms.max(sample.timestamp_ms);
        }
    }
    Ok(summary)
}

/// What a line is, its labels still lying in the parser.
enum Line<'a> {
    Help(Cow<'a, str>, Cow<'a, str>),
    Type(Cow<'a, str>, FamilyKind),
    Unit(Cow<'a, str>, &'a str),
    Comment(&'a str),
    Sample(SampleLine<'a>),
    Nothing,
    End,
}

struct SampleLine<'a> {
    text: &'a str,
    value: f64,
    timestamp_ms: Option<i64>,
    exemplar: Option<ExemplarEnd>,
}

struct ExemplarEnd {
    value: f64,
    timestamp_ms: Option<i64>,
}

impl<'a> Parser<'a> {
    /// Begins to read a body.
    pub fn new(body: &'a [u8], format: Format) -> Self {
        Self {
            scan: Scan::new(body),
            format,
            labels: LabelReader::default(),
            exemplar_labels: LabelReader::default(),
            name: Cow::Borrowed(""),
            kind: FamilyKind::Unknown,
            is_done: false,
        }
    }

    /// Reads the next entry; `None` at the end of the body and behind an error.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator cannot lend what lies in the parser"
    )]
    pub fn next(&mut self) -> Option<Result<Entry<'_, 'a>, SyntaxError>> {
        if self.is_done {
            return None;
        }
        let (line, number) = loop {
            let number = self.scan.line;
            let line = match self.format {
                Format::Text => self.text_line(),
                Format::OpenMetrics => self.openmetrics_line(),
            };
            match line {
                Ok(Line::Nothing) => {}
                Ok(line) => break (line, number),
                Err(fault) => {
                    self.is_done = true;
                    return Some(Err(fault.locate(self.scan.body())));
                }
            }
        };
        Some(Ok(match line {
            Line::Help(family, text) => Entry::Help { family, text },
            Line::Type(family, kind) => {
                self.kind = kind;
                Entry::Type { family, kind }
            }
            Line::Unit(family, unit) => Entry::Unit { family, unit },
            Line::Comment(text) => Entry::Comment(text),
            Line::Sample(sample) => Entry::Sample(self.lend(sample, number)),
            Line::Nothing | Line::End => {
                self.is_done = true;
                return None;
            }
        }))
    }

    fn lend(&self, sample: SampleLine<'a>, line: usize) -> Sample<'_, 'a> {
        Sample {
            name: &self.name,
            labels: self.labels.as_slice(),
            value: sample.value,
            timestamp_ms: sample.timestamp_ms,
            exemplar: sample.exemplar.map(|end| self.lend_exemplar(&end)),
            line,
            text: sample.text,
            kind: self.kind,
        }
    }

    fn lend_exemplar(&self, end: &ExemplarEnd) -> Exemplar<'_, 'a> {
        Exemplar {
            labels: self.exemplar_labels.as_slice(),
            value: end.value,
            timestamp_ms: end.timestamp_ms,
        }
    }

    fn text_line(&mut self) -> Result<Line<'a>, Fault> {
        self.scan.blanks();
        match self.scan.peek() {
            None => Ok(Line::End),
            Some(b'\n') => {
                self.scan.line_break();
                Ok(Line::Nothing)
            }
            Some(b'#') => self.text_comment(),
            Some(0) => Err(self.scan.fault(Reason::NulByte)),
            Some(_) => self.text_sample().map(Line::Sample),
        }
    }

    /// Reads a line that begins with `#`: metadata if a known word follows, else a comment.
    fn text_comment(&mut self) -> Result<Line<'a>, Fault> {
        let start = self.scan.at;
        self.scan.eat(b'#');
        let has_blank = matches!(self.scan.peek(), Some(b' ' | b'\t'));
        self.scan.blanks();
        let keyword = match self.scan.rest() {
            [b'H', b'E', b'L', b'P', b' ' | b'\t', ..] if has_blank => Keyword::Help,
            [b'T', b'Y', b'P', b'E', b' ' | b'\t', ..] if has_blank => Keyword::Type,
            _ => {
                self.scan.line_rest();
                let text = self.scan.str_prefix(start, self.scan.at);
                self.scan.line_break();
                return Ok(Line::Comment(text));
            }
        };
        self.scan.at += keyword.as_str().len();
        self.scan.blanks();
        let family = self.family(keyword)?;
        let mut from = self.scan.at;
        let rest = self.scan.line_rest();
        let to = self.scan.at;
        if rest.iter().all(|byte| matches!(byte, b' ' | b'\t')) {
            from = to;
        } else if rest.first() == Some(&0) {
            return Err(Fault {
                at: from,
                reason: Reason::NulByte,
            });
        } else {
            // One byte parts the name from the text, whichever it is: so does Prometheus.
            from += 1;
        }
        self.scan.line_break();
        self.metadata(keyword, family, from, to)
    }

    fn openmetrics_line(&mut self) -> Result<Line<'a>, Fault> {
        match self.scan.peek() {
            None => return Err(self.scan.fault(Reason::MissingEof)),
            Some(b'#') => {}
            Some(_) => return self.openmetrics_sample().map(Line::Sample),
        }
        if !self.scan.eat_all(b"# ") {
            return Err(self.scan.fault(Reason::ExpectedKeyword));
        }
        let keyword = if self.scan.eat_all(b"HELP ") {
            Keyword::Help
        } else if self.scan.eat_all(b"TYPE ") {
            Keyword::Type
        } else if self.scan.eat_all(b"UNIT ") {
            Keyword::Unit
        } else if self.scan.eat_all(b"EOF") {
            self.scan.line_break();
            return match self.scan.peek() {
                None => Ok(Line::End),
                Some(_) => Err(self.scan.fault(Reason::DataAfterEof)),
            };
        } else {
            return Err(self.scan.fault(Reason::ExpectedKeyword));
        };
        let family = self.family(keyword)?;
        if !self.scan.eat(b' ') {
            return Err(self.scan.fault(Reason::ExpectedText(keyword)));
        }
        let from = self.scan.at;
        self.scan.line_rest();
        let to = self.scan.at;
        if !self.scan.line_break() {
            return Err(self.scan.fault(Reason::MissingEof));
        }
        self.metadata(keyword, family, from, to)
    }

    /// Reads the metric name of metadata, quoted or not.
    fn family(&mut self, keyword: Keyword) -> Result<Cow<'a, str>, Fault> {
        if self.scan.peek() == Some(b'"') {
            let quoted = self.scan.quoted(Allow::Breaks)?;
            return self.scan.unquote(&quoted);
        }
        let from = self.scan.at;
        if metric_name(&mut self.scan) {
            self.scan.str(from, self.scan.at).map(Cow::Borrowed)
        } else {
            Err(self.scan.fault(Reason::ExpectedFamily(keyword)))
        }
    }

    /// Reads what metadata says; it stands between the two places in the body.
    fn metadata(
        &self,
        keyword: Keyword,
        family: Cow<'a, str>,
        from: usize,
        to: usize,
    ) -> Result<Line<'a>, Fault> {
        let word = self.scan.body().get(from..to).unwrap_or_default();
        let fault = |reason| Fault { at: from, reason };
        match keyword {
            Keyword::Help => {
                let escapes = match self.format {
                    Format::Text => Escapes::Help,
                    Format::OpenMetrics => Escapes::String,
                };
                let text = unescape(self.scan.str(from, to)?, escapes);
                Ok(Line::Help(family, text))
            }
            Keyword::Type => match self.format {
                Format::Text => FamilyKind::parse_text(word),
                Format::OpenMetrics => FamilyKind::parse_openmetrics(word),
            }
            .map(|kind| Line::Type(family, kind))
            .ok_or_else(|| fault(Reason::UnknownType(quote(word)))),
            Keyword::Unit => {
                let unit = self.scan.str(from, to)?;
                let is_in_name = unit.is_empty()
                    || family
                        .strip_suffix(unit)
                        .is_some_and(|stem| stem.ends_with('_'));
                if is_in_name {
                    Ok(Line::Unit(family, unit))
                } else {
                    Err(fault(Reason::UnitNotInName(quote(word))))
                }
            }
        }
    }

    /// Reads metric name and labels and returns them as written.
    #[inline]
    fn series(&mut self) -> Result<&'a str, Fault> {
        let start = self.scan.at;
        let has_name = metric_name(&mut self.scan);
        let mut end = self.scan.at;
        let mut name = None;
        if has_name {
            name = Some(Cow::Borrowed(self.scan.str(start, end)?));
            if self.format == Format::Text {
                self.scan.blanks();
            }
        } else if self.scan.peek() != Some(b'{') {
            return Err(self.scan.fault(Reason::ExpectedEntry));
        }
        self.labels.clear();
        if self.scan.eat(b'{') {
            let owner = Owner::Sample(&mut name);
            self.labels.read(&mut self.scan, owner, self.format)?;
            end = self.scan.at;
        }
        self.name = name.ok_or(Fault {
            at: start,
            reason: Reason::MissingName,
        })?;
        self.scan.str(start, end)
    }

    fn text_sample(&mut self) -> Result<SampleLine<'a>, Fault> {
        let text = self.series()?;
        self.scan.blanks();
        let at = self.scan.at;
        let word = self
            .scan
            .run(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'{' | 0));
        if word.is_empty() {
            return Err(self.scan.fault(Reason::ExpectedValue));
        }
        let value = parse_value(word).map_err(|reason| Fault { at, reason })?;
        self.scan.blanks();
        let at = self.scan.at;
        let digits = self.scan.run(|byte| byte.is_ascii_digit());
        let timestamp_ms = match digits {
            [] => None,
            digits => Some(parse_milliseconds(digits).map_err(|reason| Fault { at, reason })?),
        };
        self.scan.blanks();
        match self.scan.peek() {
            // The last line of a body needs no line break.
            None => {}
            Some(b'\n') => {
                self.scan.line_break();
            }
            Some(_) if timestamp_ms.is_some() => {
                return Err(self.scan.fault(Reason::ExpectedLineEnd));
            }
            Some(_) => return Err(self.scan.fault(Reason::ExpectedTimestamp)),
        }
        Ok(SampleLine {
            text,
            value,
            timestamp_ms,
            exemplar: None,
        })
    }

    fn openmetrics_sample(&mut self) -> Result<SampleLine<'a>, Fault> {
        let text = self.series()?;
        let value = self.spaced_value()?;
        let mut timestamp_ms = None;
        if !self.scan.rest().starts_with(b" # {") {
            timestamp_ms = self.spaced_timestamp()?;
        }
        let exemplar = self.exemplar()?;
        if !self.scan.line_break() {
            return Err(self.scan.fault(match self.scan.peek() {
                None => Reason::MissingEof,
                Some(_) => Reason::ExpectedLineEnd,
            }));
        }
        Ok(SampleLine {
            text,
            value,
            timestamp_ms,
            exemplar,
        })
    }

    /// Reads an exemplar if there is one.
    fn exemplar(&mut self) -> Result<Option<ExemplarEnd>, Fault> {
        if !self.scan.eat_all(b" # {") {
            return Ok(None);
        }
        self.exemplar_labels.clear();
        self.exemplar_labels
            .read(&mut self.scan, Owner::Exemplar, self.format)?;
        Ok(Some(ExemplarEnd {
            value: self.spaced_value()?,
            timestamp_ms: self.spaced_timestamp()?,
        }))
    }

    /// Reads a space and a value.
    fn spaced_value(&mut self) -> Result<f64, Fault> {
        if !self.scan.eat(b' ') {
            return Err(self.scan.fault(Reason::ExpectedValue));
        }
        let at = self.scan.at;
        match openmetrics_word(&mut self.scan) {
            [] => Err(self.scan.fault(Reason::ExpectedValue)),
            word => parse_value(word).map_err(|reason| Fault { at, reason }),
        }
    }

    /// Reads a space and a timestamp if there is a space.
    fn spaced_timestamp(&mut self) -> Result<Option<i64>, Fault> {
        if !self.scan.eat(b' ') {
            return Ok(None);
        }
        let at = self.scan.at;
        match openmetrics_word(&mut self.scan) {
            [] => Err(self.scan.fault(Reason::ExpectedTimestamp)),
            word => parse_seconds(word)
                .map(Some)
                .map_err(|reason| Fault { at, reason }),
        }
    }
}

/// Tells whether this is an exemplar as it stands behind a sample, from the space on, and no more.
pub(crate) fn is_exemplar(text: &[u8]) -> bool {
    with_exemplar(text, |_| ()).is_some()
}

/// Reads an exemplar as it stands behind a sample, from the space on; `None` if it is none, or if
/// there is more.
pub(crate) fn with_exemplar<T>(text: &[u8], take: impl FnOnce(Exemplar<'_, '_>) -> T) -> Option<T> {
    let mut parser = Parser::new(text, Format::OpenMetrics);
    let end = parser.exemplar().ok()??;
    let is_all = parser.scan.peek().is_none();
    is_all.then(|| take(parser.lend_exemplar(&end)))
}

fn openmetrics_word<'a>(scan: &mut Scan<'a>) -> &'a [u8] {
    scan.run(|byte| !matches!(byte, b' ' | b'\n' | 0))
}

/// Steps over a metric name without quotes; `false` when there is none.
#[inline]
fn metric_name(scan: &mut Scan<'_>) -> bool {
    if scan.peek().is_none_or(|byte| byte.is_ascii_digit()) {
        return false;
    }
    let name =
        scan.run(|byte| matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'_' | b':' | b'0'..=b'9'));
    !name.is_empty()
}
