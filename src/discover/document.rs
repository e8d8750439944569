//! Lists of groups in JSON or YAML, as in files and as HTTP servers send them.
//!
//! `[{"targets": ["host:9100"], "labels": {"zone": "a"}}]`, with Prometheus's rules: other keys
//! are refused, what is `null` is empty, and in YAML every single value is a text.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use serde::Deserialize;
use serde::de::{self, SeqAccess, Visitor};

use super::{ADDRESS, TARGETS_MAX};
use crate::yaml::{self, Entry, Kind, Node, Position, printable};

/// Groups of one document: one for each target that there may be.
const GROUPS_MAX: usize = TARGETS_MAX;

/// Characters of the JSON parser's explanation that are shown; it may repeat part of the document.
const EXPLANATION_MAX: usize = 120;

/// How a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    Json,
    Yaml,
}

/// A group as it is written.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a group of targets")]
pub(super) struct Written {
    #[serde(default, alias = "Targets")]
    targets: Option<Vec<Option<String>>>,
    #[serde(default, alias = "Labels")]
    labels: Option<BTreeMap<String, Option<String>>>,
}

/// Why a document is of no use.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {}, column {}: {what}", at.line, at.column)]
pub struct DocumentError {
    at: Position,
    what: String,
}

impl Written {
    /// Returns how many targets the group has.
    pub(super) fn len(&self) -> usize {
        self.targets.as_ref().map_or(0, Vec::len)
    }

    /// Returns the labels of each target.
    pub(super) fn targets(&mut self) -> Vec<Vec<(String, String)>> {
        let targets = self.targets.take().unwrap_or_default();
        let labels = |target: Option<String>| (ADDRESS.to_owned(), target.unwrap_or_default());
        targets
            .into_iter()
            .map(|target| vec![labels(target)])
            .collect()
    }

    /// Returns the labels of all targets with one more, which wins.
    pub(super) fn labels_with(&mut self, name: &str, value: &str) -> Vec<(String, String)> {
        let mut labels = self.labels.take().unwrap_or_default();
        labels.insert(name.to_owned(), Some(value.to_owned()));
        let with_value =
            |(name, value): (String, Option<String>)| (name, value.unwrap_or_default());
        labels.into_iter().map(with_value).collect()
    }
}

/// Reads a document.
pub(super) fn read(bytes: &[u8], language: Language) -> Result<Vec<Written>, DocumentError> {
    match language {
        Language::Json => read_json(bytes),
        Language::Yaml => read_yaml(bytes),
    }
}

fn read_json(bytes: &[u8]) -> Result<Vec<Written>, DocumentError> {
    let document: Option<List> =
        serde_json::from_slice(bytes).map_err(|error| json_error(&error))?;
    let groups = document.map_or_else(Vec::new, |List(groups)| groups);
    for (index, group) in groups.iter().enumerate() {
        let names = group.labels.iter().flat_map(BTreeMap::keys);
        if names.into_iter().any(String::is_empty) {
            // The parser no longer knows where it was.
            let what = format!(
                "group {} of {} has a label without a name",
                index + 1,
                groups.len()
            );
            return Err(DocumentError { at: START, what });
        }
    }
    Ok(groups)
}

/// The list of groups, of bounded length.
struct List(Vec<Written>);

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Groups;

        impl<'de> Visitor<'de> for Groups {
            type Value = List;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of groups of targets")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<List, A::Error> {
                let mut groups = Vec::new();
                while let Some(group) = items.next_element()? {
                    if groups.len() >= GROUPS_MAX {
                        return Err(de::Error::custom(too_many_groups()));
                    }
                    groups.push(group);
                }
                Ok(List(groups))
            }
        }

        deserializer.deserialize_seq(Groups)
    }
}

fn json_error(error: &serde_json::Error) -> DocumentError {
    let clamp = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).max(1);
    let (line, column) = (clamp(error.line()), clamp(error.column()));
    let text = error.to_string();
    // The parser adds the place to its text.
    let text = text
        .rsplit_once(" at line ")
        .map_or(&*text, |(text, _)| text);
    let mut what: String = text
        .chars()
        .take(EXPLANATION_MAX)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if what.len() < text.len() {
        what.push('…');
    }
    let at = Position { line, column };
    DocumentError { at, what }
}

fn read_yaml(bytes: &[u8]) -> Result<Vec<Written>, DocumentError> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
            return Err(refuse(yaml::end_of(good), "it is not UTF-8 text"));
        }
    };
    let document = yaml::parse(text);
    // The first one in the text is the one to mend first.
    if let Some(fault) = document.faults.into_iter().min_by_key(|fault| fault.at) {
        return Err(refuse(
            fault.at,
            format!("{}; {}", fault.what, fault.remedy),
        ));
    }
    let Some(root) = document.root else {
        return Ok(Vec::new());
    };
    let Kind::List(items) = &root.kind else {
        let what = format!(
            "expected a list of groups of targets, not {}",
            root.describe()
        );
        return Err(refuse(root.at, what));
    };
    if items.len() > GROUPS_MAX {
        return Err(refuse(root.at, too_many_groups()));
    }
    items.iter().map(yaml_group).collect()
}

fn yaml_group(node: &Rc<Node>) -> Result<Written, DocumentError> {
    let Kind::Map(entries) = &node.kind else {
        let what = format!("expected a group of targets, not {}", node.describe());
        return Err(refuse(node.at, what));
    };
    let mut group = Written::default();
    for Entry { key, at, value } in entries {
        match &**key {
            "targets" => group.targets = yaml_targets(value)?,
            "labels" => group.labels = yaml_labels(value)?,
            other => {
                let name = printable(other);
                let what = format!("unknown key `{name}`; a group has `targets` and `labels`");
                return Err(refuse(*at, what));
            }
        }
    }
    Ok(group)
}

fn yaml_targets(node: &Node) -> Result<Option<Vec<Option<String>>>, DocumentError> {
    match &node.kind {
        Kind::Null => Ok(None),
        Kind::List(items) => {
            let targets = items.iter().map(|item| yaml_text(item));
            targets.collect::<Result<_, _>>().map(Some)
        }
        _ => {
            let what = format!("`targets` must be a list, not {}", node.describe());
            Err(refuse(node.at, what))
        }
    }
}

fn yaml_labels(node: &Node) -> Result<Option<BTreeMap<String, Option<String>>>, DocumentError> {
    match &node.kind {
        Kind::Null => Ok(None),
        Kind::Map(entries) => {
            let labels = entries.iter().map(|Entry { key, at, value }| {
                if key.is_empty() {
                    return Err(refuse(*at, "a label has no name"));
                }
                Ok((key.to_string(), yaml_text(value)?))
            });
            labels.collect::<Result<_, _>>().map(Some)
        }
        _ => {
            let what = format!("`labels` must be a mapping, not {}", node.describe());
            Err(refuse(node.at, what))
        }
    }
}

fn yaml_text(node: &Node) -> Result<Option<String>, DocumentError> {
    match &node.kind {
        Kind::Null => Ok(None),
        Kind::Scalar(text) => Ok(Some(text.to_string())),
        _ => {
            let what = format!("expected a single value, not {}", node.describe());
            Err(refuse(node.at, what))
        }
    }
}

fn refuse(at: Position, what: impl Into<String>) -> DocumentError {
    let what = what.into();
    DocumentError { at, what }
}

fn too_many_groups() -> String {
    format!("there are more than {GROUPS_MAX} groups")
}

/// Where a document as a whole is at fault.
const START: Position = Position { line: 1, column: 1 };

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Pieces that documents are made of, in any order.
    fn pieces() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "[",
            "]",
            "{",
            "}",
            ",",
            ":",
            ": ",
            "- ",
            "\n",
            "  ",
            "\"",
            "'",
            "targets",
            "labels",
            "null",
            "~",
            "\"targets\":",
            "\"labels\":",
            "\"a\"",
            "1",
            "&a ",
            "*a",
            "<<",
            "\\u00",
            "é",
            "\u{0}",
        ]);
        prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn no_document_does_harm(text in pieces(), bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            for language in [Language::Json, Language::Yaml] {
                for document in [text.as_bytes(), &bytes] {
                    if let Ok(mut groups) = read(document, language) {
                        let targets: usize = groups.iter().map(Written::len).sum();
                        let read = groups.iter_mut().map(|group| group.targets().len());
                        prop_assert_eq!(read.sum::<usize>(), targets);
                    }
                }
            }
        }
    }

    fn shown(group: &mut Written) -> String {
        let targets: Vec<String> = group
            .targets()
            .iter()
            .map(|labels| labels[0].1.clone())
            .collect();
        let mut text = targets.join(",");
        for (name, value) in group.labels_with("from", "here") {
            text.extend([" ", &name, "=", &value]);
        }
        text
    }

    #[track_caller]
    fn check(language: Language, document: &str, expected: &[&str]) {
        let mut groups = read(document.as_bytes(), language).unwrap();
        let found: Vec<String> = groups.iter_mut().map(shown).collect();
        assert_eq!(found, expected, "{document}");
    }

    #[track_caller]
    fn refused(language: Language, document: &[u8], expected: &str) {
        let error = read(document, language).unwrap_err().to_string();
        assert_eq!(error, expected, "{}", String::from_utf8_lossy(document));
    }

    #[test]
    fn reads_json() {
        let check = |document, expected: &[&str]| check(Language::Json, document, expected);
        check("[]", &[]);
        check(" null ", &[]);
        check(r#"[{"targets": ["a:1", "b:2"]}]"#, &["a:1,b:2 from=here"]);
        check(
            r#"[{"targets": ["a:1"], "labels": {"zone": "ü", "__x": ""}}, {}]"#,
            &["a:1 __x= from=here zone=ü", " from=here"],
        );
        check(r#"[{"targets": null, "labels": null}]"#, &[" from=here"]);
        check(
            r#"[{"targets": [null], "labels": {"a": null}}]"#,
            &[" a= from=here"],
        );
        check(
            r#"[{"Targets": ["a"], "Labels": {"from": "there"}}]"#,
            &["a from=here"],
        );
        check("[{\"targets\": [\"\\ud83d\\ude00\"]}]", &["😀 from=here"]);
    }

    #[test]
    fn reads_yaml() {
        let check = |document, expected: &[&str]| check(Language::Yaml, document, expected);
        check("", &[]);
        check("---\n# nobody\n", &[]);
        check("[]", &[]);
        check("- targets: ['a:1', b:2]\n", &["a:1,b:2 from=here"]);
        check(
            "- targets:\n  - a\n  labels:\n    n: 7\n    y: yes\n",
            &["a from=here n=7 y=yes"],
        );
        check("- targets:\n  labels: ~\n", &[" from=here"]);
        check("- targets: [~]\n", &[" from=here"]);
        check(
            r#"[{"targets": ["a"], "labels": {"b": "c"}}]"#,
            &["a b=c from=here"],
        );
        check(
            "- labels: &a {b: c}\n- labels: {<<: *a, d: e}\n",
            &[" b=c from=here", " b=c d=e from=here"],
        );
    }

    #[test]
    fn tells_where_json_is_wrong() {
        let refused =
            |document: &str, expected| refused(Language::Json, document.as_bytes(), expected);
        refused("", "line 1, column 1: EOF while parsing a value");
        refused(
            "[\n {\"targets\": [1]}]",
            "line 2, column 15: invalid type: integer `1`, expected a string",
        );
        refused(
            "{}",
            "line 1, column 1: invalid type: map, expected a list of groups of targets",
        );
        refused(
            "[null]",
            "line 1, column 5: invalid type: null, expected a group of targets",
        );
        refused(
            "[{\"target\": []}]",
            "line 1, column 10: unknown field `target`, expected one of `Targets`, `targets`, `Labels`, `labels`",
        );
        refused(
            "[{\"labels\": {\"\": \"x\"}}]",
            "line 1, column 1: group 1 of 1 has a label without a name",
        );
        refused("[] x", "line 1, column 4: trailing characters");
        refused(
            "[{\"targets\": [\"a\"",
            "line 1, column 17: EOF while parsing a list",
        );
        refused("<html>", "line 1, column 1: expected value");
    }

    #[test]
    fn tells_where_yaml_is_wrong() {
        let refused =
            |document: &str, expected| refused(Language::Yaml, document.as_bytes(), expected);
        refused(
            "targets: []",
            "line 1, column 1: expected a list of groups of targets, not a mapping",
        );
        refused(
            "- a",
            "line 1, column 3: expected a group of targets, not a single value",
        );
        refused(
            "-",
            "line 1, column 2: expected a group of targets, not nothing",
        );
        refused(
            "- targets: []\n  label: {}",
            "line 2, column 3: unknown key `label`; a group has `targets` and `labels`",
        );
        refused(
            "- targets: a",
            "line 1, column 12: `targets` must be a list, not a single value",
        );
        refused(
            "- labels: [a]",
            "line 1, column 11: `labels` must be a mapping, not a list",
        );
        refused(
            "- targets: [[a]]",
            "line 1, column 13: expected a single value, not a list",
        );
        refused(
            "- labels: {'': a}",
            "line 1, column 12: a label has no name",
        );
        refused(
            "- targets: []\n  targets: []",
            "line 2, column 3: key `targets` is given twice; remove one of them; the first is in line 1",
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        refused(
            Language::Yaml,
            b"- targets: []\n  labels: \xff",
            "line 2, column 11: it is not UTF-8 text",
        );
        assert!(read(b"[{\"targets\": [\"\xff\"]}]", Language::Json).is_err());
    }

    #[test]
    fn a_document_is_not_repeated_in_its_error() {
        let document = format!("\"{}\"", "x".repeat(10_000));
        let error = read(document.as_bytes(), Language::Json).unwrap_err();
        assert!(error.to_string().len() < 200, "{error}");
    }

    #[test]
    fn too_many_groups_are_refused() {
        let json = format!("[{}{{}}]", "{},".repeat(GROUPS_MAX));
        let yaml = "- {}\n".repeat(GROUPS_MAX + 1);
        for (language, document) in [(Language::Json, json), (Language::Yaml, yaml)] {
            let error = read(document.as_bytes(), language).unwrap_err().to_string();
            assert!(error.contains("more than 100000 groups"), "{error}");
        }
    }
}
