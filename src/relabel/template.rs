//! What `replacement` and `target_label` may hold: text with `$name`, `${name}`, `$1` and `$$`.

use super::matcher::Found;

/// A template, read once; the rules are those of Go's `Regexp.Expand`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// What the first of some groups captured that took part; 0 is the whole match.
    Group(Vec<usize>),
}

/// Numbers of groups from here on are names, as in Go.
const NUMBER_MAX: usize = 100_000_000;

impl Template {
    /// Reads a template; `names` are those of the groups, by number, empty where there is none.
    pub(super) fn new(text: &str, names: &[String]) -> Self {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            plain.push_str(before);
            rest = after;
            if let Some(after) = rest.strip_prefix('$') {
                plain.push('$');
                rest = after;
                continue;
            }
            let Some((name, after)) = split_name(rest) else {
                // Nothing that could be a name: the dollar stands for itself.
                plain.push('$');
                continue;
            };
            rest = after;
            let groups = match number(name) {
                Some(number) => vec![number],
                None => groups_of(name, names),
            };
            // A group that does not exist is replaced by nothing.
            if !groups.is_empty() {
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                }
                pieces.push(Piece::Group(groups));
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Self { pieces }
    }

    /// Returns the text if it is the same whatever was matched.
    pub(super) fn constant(&self) -> Option<&str> {
        match &*self.pieces {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Appends the text with the groups filled in.
    pub(super) fn expand(&self, found: &Found<'_>, into: &mut String) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => into.push_str(text),
                Piece::Group(groups) => {
                    let text = groups.iter().find_map(|group| found.group(*group));
                    into.push_str(text.unwrap_or_default());
                }
            }
        }
    }
}

/// Splits `name` or `{name}` off the front.
fn split_name(text: &str) -> Option<(&str, &str)> {
    let (text, is_braced) = match text.strip_prefix('{') {
        Some(text) => (text, true),
        None => (text, false),
    };
    let is_part = |c: char| c.is_alphabetic() || c.is_numeric() || c == '_';
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end)?;
    if name.is_empty() {
        return None;
    }
    if is_braced {
        return Some((name, rest.strip_prefix('}')?));
    }
    Some((name, rest))
}

fn groups_of(name: &str, names: &[String]) -> Vec<usize> {
    let numbered = names.iter().enumerate();
    let named = numbered.filter(|(_, known)| *known == name);
    named.map(|(number, _)| number).collect()
}

fn number(name: &str) -> Option<usize> {
    let has_leading_zero = name.len() > 1 && name.starts_with('0');
    if has_leading_zero || !name.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    name.parse().ok().filter(|number| *number < NUMBER_MAX)
}
