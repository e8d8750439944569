//! YAML text to a tree in which every key and every value knows where it stands.
//!
//! In: a text. Out: a tree and every [`Fault`] of the text; whoever reads the tree says what it
//! means. This module alone knows the YAML parser, and what of a text may be shown in a message.
//!
//! The parser gives events with positions; what they build is bounded in depth and, where aliases
//! repeat parts, in size. Syntax ends the reading at the first error, since what comes after it
//! cannot be trusted; everything else is recorded and the reading goes on.

mod comments;
mod show;

pub use comments::{Comment, comments};
pub use show::{printable, shown};

use std::collections::HashMap;
use std::rc::Rc;

use granit_parser::{ErrorKind, Event, Marker, Parser, ScalarStyle, ScanError, Tag};

/// Levels of nesting; our own keys need eight, foreign ones that are passed over may have some more.
const DEPTH_MAX: usize = 32;

/// Nodes that aliases may repeat; enough for a common block in each of some thousand jobs.
const ALIASED_NODES_MAX: usize = 100_000;

/// Faults kept: every one of them is text, and a large file could be wrong in each line.
const FAULTS_MAX: usize = 10_000;

/// A place in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
}

/// Something that is wrong with the text itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where it is.
    pub at: Position,
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub remedy: String,
}

/// What a text holds.
#[derive(Debug)]
pub struct Document {
    /// Its one document; `None` if it is empty, or if the reading had to end.
    pub root: Option<Rc<Node>>,
    /// What is wrong, in the order in which it was found.
    pub faults: Vec<Fault>,
}

/// A value and where it stands.
#[derive(Debug)]
pub struct Node {
    /// Where it begins.
    pub at: Position,
    /// What it is.
    pub kind: Kind,
    /// Levels of nesting, itself included.
    height: usize,
    /// Nodes, itself included, as if nothing were shared.
    weight: usize,
}

/// What a value is.
#[derive(Debug)]
pub enum Kind {
    /// Nothing, or `null`.
    Null,
    /// Everything else that is one piece of text; its type is the reader's concern.
    Scalar(Box<str>),
    /// A sequence.
    List(Vec<Rc<Node>>),
    /// A mapping with each key once.
    Map(Vec<Entry>),
}

/// A key, where it stands, and its value.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its text.
    pub key: Rc<str>,
    /// Where the key begins.
    pub at: Position,
    /// What stands after the colon.
    pub value: Rc<Node>,
}

impl Node {
    fn new(at: Position, kind: Kind) -> Rc<Self> {
        let (height, weight) = match &kind {
            Kind::Null | Kind::Scalar(_) => (0, 0),
            Kind::List(items) => measure(items.iter()),
            Kind::Map(entries) => measure(entries.iter().map(|entry| &entry.value)),
        };
        Rc::new(Self {
            at,
            kind,
            height: height + 1,
            weight: weight + 1,
        })
    }

    /// Names the kind in a problem.
    pub fn describe(&self) -> &'static str {
        match self.kind {
            Kind::Null => "nothing",
            Kind::Scalar(_) => "a single value",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }
}

fn measure<'a>(children: impl Iterator<Item = &'a Rc<Node>>) -> (usize, usize) {
    children.fold((0, 0), |(height, weight), child| {
        (
            height.max(child.height),
            weight.saturating_add(child.weight),
        )
    })
}

/// Reads a text that holds one document.
pub fn parse(text: &str) -> Document {
    let options = granit_parser::options! {
        emit_comments: false,
        emit_unresolved_aliases: true,
        disallow_directives: true,
        flow_nesting_limit: DEPTH_MAX,
        block_nesting_limit: DEPTH_MAX,
    };
    let mut builder = Builder {
        faults: Vec::new(),
        open: Vec::new(),
        anchors: HashMap::new(),
        aliased: 0,
        root: None,
    };
    for event in Parser::new_from_str_with_options(text, options) {
        let step = match event {
            Ok((event, span)) => builder.take(event, position(&span.start)),
            Err(error) => {
                builder.syntax(&error);
                Err(Stop)
            }
        };
        if let Err(Stop) = step {
            builder.root = None;
            break;
        }
    }
    let root = builder.root.take();
    Document {
        root: root.filter(|root| !matches!(root.kind, Kind::Null)),
        faults: builder.faults,
    }
}

/// The reading cannot go on; the problem is recorded.
struct Stop;

struct Builder {
    faults: Vec<Fault>,
    open: Vec<Open>,
    /// Complete nodes by the number of their anchor.
    anchors: HashMap<usize, Rc<Node>>,
    aliased: usize,
    root: Option<Rc<Node>>,
}

/// A list or mapping whose end has not come.
struct Open {
    at: Position,
    anchor: usize,
    body: Body,
}

enum Body {
    List(Vec<Rc<Node>>),
    Map(OpenMap),
}

#[derive(Default)]
struct OpenMap {
    entries: Vec<Entry>,
    /// Where each key stands first.
    known: HashMap<Rc<str>, Position>,
    key: Option<Key>,
    /// Values of `<<`.
    merged: Vec<Rc<Node>>,
}

enum Key {
    Named(Rc<str>, Position),
    Merge,
    /// One that cannot be used; its value is left out.
    Refused,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, at: Position) -> Result<(), Stop> {
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                let remedy = "keep one document in a file, and remove this `---`";
                self.stop(at, "a second document begins here", remedy)
            }
            Event::Scalar(text, style, anchor, tag) => {
                let is_null = style == ScalarStyle::Plain
                    && tag.is_none()
                    && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                // Only plain scalars can be the key that merges.
                let is_merge = style == ScalarStyle::Plain && text == "<<";
                self.check_tag(tag.as_deref(), at);
                let kind = if is_null {
                    Kind::Null
                } else {
                    Kind::Scalar(text.into())
                };
                self.complete(Node::new(at, kind), anchor, is_merge);
                Ok(())
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), at);
                self.open(at, anchor, Body::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), at);
                self.open(at, anchor, Body::Map(OpenMap::default()))
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(open) => {
                    let kind = match open.body {
                        Body::List(items) => Kind::List(items),
                        Body::Map(map) => Kind::Map(self.merge(map)),
                    };
                    self.complete(Node::new(open.at, kind), open.anchor, false);
                    Ok(())
                }
                None => Ok(()),
            },
            Event::Alias(anchor) => self.alias(anchor, at),
            Event::UnresolvedAlias(name) => {
                let name = printable(&name);
                let what = format!("`*{name}` refers to nothing that stands before it");
                let remedy = format!("mark a value with `&{name}` first, or quote the text");
                self.problem(at, what, remedy);
                self.complete(Node::new(at, Kind::Null), 0, false);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, at: Position, anchor: usize, body: Body) -> Result<(), Stop> {
        if self.open.len() >= DEPTH_MAX {
            return self.stop(at, &too_deep(), TOO_DEEP_REMEDY);
        }
        self.open.push(Open { at, anchor, body });
        Ok(())
    }

    fn alias(&mut self, anchor: usize, at: Position) -> Result<(), Stop> {
        let Some(node) = self.anchors.get(&anchor).map(Rc::clone) else {
            return self.stop(at, "the alias stands within its own anchor", "write it out");
        };
        self.aliased = self.aliased.saturating_add(node.weight);
        if self.aliased > ALIASED_NODES_MAX {
            let what = format!("aliases repeat more than {ALIASED_NODES_MAX} values");
            return self.stop(at, &what, "use fewer aliases");
        }
        if self.open.len() + node.height > DEPTH_MAX {
            return self.stop(at, &too_deep(), TOO_DEEP_REMEDY);
        }
        self.complete(node, 0, false);
        Ok(())
    }

    /// Puts a complete node where it belongs.
    fn complete(&mut self, node: Rc<Node>, anchor: usize, is_merge: bool) {
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return;
        };
        let map = match &mut open.body {
            Body::List(items) => {
                items.push(node);
                return;
            }
            Body::Map(map) => map,
        };
        match map.key.take() {
            None if is_merge => map.key = Some(Key::Merge),
            None => {
                if let Kind::Scalar(text) = &node.kind {
                    map.key = Some(Key::Named((**text).into(), node.at));
                } else {
                    map.key = Some(Key::Refused);
                    let what = format!("a key must be a string, not {}", node.describe());
                    self.problem(node.at, what, "write a name before the colon");
                }
            }
            Some(Key::Merge) => map.merged.push(node),
            Some(Key::Refused) => {}
            Some(Key::Named(key, at)) => {
                if let Some(first) = map.known.get(&key) {
                    let what = format!("key `{}` is given twice", printable(&key));
                    let remedy = format!("remove one of them; the first is in line {}", first.line);
                    self.problem(at, what, remedy);
                } else {
                    map.known.insert(Rc::clone(&key), at);
                    let value = node;
                    map.entries.push(Entry { key, at, value });
                }
            }
        }
    }

    /// Adds what `<<` brings; keys of the mapping itself win, then those merged first.
    fn merge(&mut self, map: OpenMap) -> Vec<Entry> {
        let OpenMap {
            mut entries,
            mut known,
            merged,
            ..
        } = map;
        for node in merged {
            let sources = match &node.kind {
                Kind::List(items) => items.clone(),
                _ => vec![node],
            };
            for source in sources {
                let Kind::Map(added) = &source.kind else {
                    let what = format!("`<<` must merge a mapping, not {}", source.describe());
                    self.problem(source.at, what, "give it an alias of a mapping");
                    continue;
                };
                for entry in added {
                    if !known.contains_key(&entry.key) {
                        known.insert(Rc::clone(&entry.key), entry.at);
                        entries.push(entry.clone());
                    }
                }
            }
        }
        entries
    }

    fn check_tag(&mut self, tag: Option<&Tag>, at: Position) {
        let is_plain = |tag: &Tag| {
            let known = ["str", "int", "float", "bool", "map", "seq"];
            tag.core_suffix().is_some_and(|name| known.contains(&name))
        };
        if tag.is_some_and(|tag| !is_plain(tag)) {
            self.problem(at, "the value has a YAML tag", "remove the word with `!`");
        }
    }

    fn syntax(&mut self, error: &ScanError) {
        let at = position(error.marker());
        let (what, remedy) = match error.kind() {
            ErrorKind::RecursionLimitExceeded => (too_deep(), TOO_DEEP_REMEDY),
            ErrorKind::TabNotAllowed
            | ErrorKind::TabInBlockIndentation
            | ErrorKind::TabInIndentation
            | ErrorKind::TabInPlainScalar
            | ErrorKind::TabAtBlockScalarStart => (
                "a tab stands where YAML takes spaces only".to_owned(),
                "replace it by spaces",
            ),
            ErrorKind::DirectiveDisallowed => (
                "a line that begins with `%` is a YAML directive, which is not supported"
                    .to_owned(),
                "remove it, or quote the text",
            ),
            ErrorKind::MappingValueNotAllowed => (
                "not valid YAML: a `:` stands where none may stand".to_owned(),
                "check the indentation, and quote a text that has `: ` in it",
            ),
            ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => (
                "not valid YAML: a key without `:`".to_owned(),
                "write `key: value`, with a space after the colon",
            ),
            ErrorKind::UnclosedQuotedScalar => (
                "not valid YAML: a quote is not closed".to_owned(),
                "close it",
            ),
            kind => (
                format!("not valid YAML: {kind}"),
                "check this line and the one before it: indentation, colons, quotes, brackets",
            ),
        };
        self.problem(at, what, remedy);
    }

    fn stop(&mut self, at: Position, what: &str, remedy: &str) -> Result<(), Stop> {
        self.problem(at, what, remedy);
        Err(Stop)
    }

    fn problem(&mut self, at: Position, what: impl Into<String>, remedy: impl Into<String>) {
        if self.faults.len() < FAULTS_MAX {
            let (what, remedy) = (what.into(), remedy.into());
            self.faults.push(Fault { at, what, remedy });
        }
    }
}

const TOO_DEEP_REMEDY: &str = "nothing in this file needs that; check the indentation";

fn too_deep() -> String {
    format!("values are nested more than {DEPTH_MAX} levels deep")
}

/// Returns the place after the last character of a text; bytes that are no text count as one.
pub fn end_of(text: &[u8]) -> Position {
    let text = String::from_utf8_lossy(text);
    let clamp = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let last = text.rsplit('\n').next().unwrap_or_default();
    Position {
        line: clamp(text.matches('\n').count()).saturating_add(1),
        column: clamp(last.chars().count()).saturating_add(1),
    }
}

/// The parser counts lines from 1 and columns from 0.
fn position(marker: &Marker) -> Position {
    let clamp = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Position {
        line: clamp(marker.line()).max(1),
        column: clamp(marker.col()).saturating_add(1),
    }
}
