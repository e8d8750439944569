//! Reading keys out of a mapping: each reader returns a value of the right type, or records what
//! is wrong with it and returns `None`, so that the caller goes on with the default.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::keys::Keys;
use super::problem::{Place, REMOVE, Report};
use super::values::{
    nearest, parse_boolean, parse_duration, parse_seconds, parse_size, printable, shown,
};
use super::yaml::{Entry, Kind, Node};
use crate::model::Secret;

/// How a duration is written, for remedies.
const DURATION_REMEDY: &str = "write a number and a unit, such as `30s`, `1m30s` or `500ms`";

const SIZE_REMEDY: &str = "write a number and a unit, such as `512KB` or `64MB`";

/// A value on its way to a type.
#[derive(Debug)]
pub(super) struct Value<'a> {
    pub(super) place: Place,
    pub(super) node: &'a Node,
}

impl<'a> Value<'a> {
    /// Returns the text of a single value.
    pub(super) fn scalar(&self, expected: &str, report: &mut Report) -> Option<&'a str> {
        if let Kind::Scalar(text) = &self.node.kind {
            return Some(text);
        }
        self.mismatch(expected, report);
        None
    }

    /// Returns the items of a list, `null` ones reported.
    pub(super) fn items(&self, expected: &str, report: &mut Report) -> Vec<Self> {
        let Kind::List(items) = &self.node.kind else {
            self.mismatch(expected, report);
            return Vec::new();
        };
        let mut values = Vec::with_capacity(items.len());
        for (index, node) in items.iter().enumerate() {
            let place = self.place.item(index, node.at);
            if matches!(node.kind, Kind::Null) {
                report.problem(
                    &place,
                    "the list has an empty item",
                    "fill it, or remove it",
                );
            } else {
                values.push(Value { place, node });
            }
        }
        values
    }

    /// Returns the keys and values of a mapping whose keys the operator chooses.
    pub(super) fn entries(&self, expected: &str, report: &mut Report) -> &'a [Entry] {
        if let Kind::Map(entries) = &self.node.kind {
            return entries;
        }
        self.mismatch(expected, report);
        &[]
    }

    /// Parses an address of an HTTP server; the text is never shown, since it may hold a password.
    pub(super) fn http_url(&self, report: &mut Report) -> Option<Url> {
        const REMEDY: &str = "write it as `http://host:port/path` or `https://…`";
        const WRONG: &str = "its scheme is neither `http` nor `https`";
        self.url(&["http", "https"], WRONG, REMEDY, report)
    }

    /// Parses an address with one of some schemes; `wrong` says that it has another.
    pub(super) fn url(
        &self,
        schemes: &[&str],
        wrong: &str,
        remedy: &str,
        report: &mut Report,
    ) -> Option<Url> {
        let text = self.scalar("a URL", report)?;
        let mut refuse = |why: &str| {
            let what = format!("`{}` is not a usable URL: {why}", self.place.name);
            report.problem(&self.place, what, remedy);
            None
        };
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return refuse("it has white space in it");
        }
        if !text.contains("://") {
            return refuse("it has no scheme");
        }
        let url = match Url::parse(text) {
            Ok(url) => url,
            Err(error) => return refuse(&error.to_string()),
        };
        if !schemes.contains(&url.scheme()) {
            return refuse(wrong);
        }
        if url.host_str().is_none_or(str::is_empty) {
            return refuse("it has no host");
        }
        if url.port() == Some(0) {
            return refuse("its port is 0");
        }
        if url.password().is_some() {
            report.inline_secret(&self.place);
        }
        Some(url)
    }

    /// Records that a single value does not mean what it should.
    pub(super) fn refuse(&self, text: &str, expected: &str, remedy: &str, report: &mut Report) {
        let what = format!(
            "`{}` must be {expected}, not `{}`",
            self.place.name,
            shown(text)
        );
        report.problem(&self.place, what, remedy);
    }

    fn mismatch(&self, expected: &str, report: &mut Report) {
        let found = self.node.describe();
        let what = format!("{} must be {expected}, not {found}", self.place.quoted());
        let remedy = match (&self.node.kind, expected) {
            (_, "a list") => "write each item on a line of its own, after `- `",
            (Kind::Scalar(_), _) => "write its keys on the lines below it, indented",
            (Kind::List(_), "a mapping") => "remove the `-` before its keys",
            _ => "write one value after the colon",
        };
        report.problem(&self.place, what, remedy);
    }
}

/// A mapping with known keys.
#[derive(Debug)]
pub(super) struct Block<'a> {
    /// The key that the block stands under.
    pub(super) place: Place,
    entries: &'a [Entry],
    keys: &'static Keys,
}

impl<'a> Block<'a> {
    /// Takes a value as a mapping, and reports keys that it should not have.
    pub(super) fn open(
        value: &Value<'a>,
        keys: &'static Keys,
        report: &mut Report,
    ) -> Option<Self> {
        let Kind::Map(entries) = &value.node.kind else {
            value.mismatch("a mapping", report);
            return None;
        };
        let block = Self {
            place: value.place.clone(),
            entries,
            keys,
        };
        for entry in entries {
            if !keys.known.contains(&&*entry.key) && !report.is_full() {
                block.unknown(entry, report);
            }
        }
        Some(block)
    }

    fn unknown(&self, entry: &Entry, report: &mut Report) {
        let place = self.place.key(&entry.key, entry.at);
        let foreign = self
            .keys
            .foreign
            .iter()
            .find(|(key, _)| **key == *entry.key);
        let remedy = match (foreign, nearest(&entry.key, self.keys.known)) {
            (Some((_, advice)), _) => (*advice).to_owned(),
            (None, Some(key)) => format!("did you mean `{key}`?"),
            (None, None) => format!("known keys here: `{}`", self.keys.known.join("`, `")),
        };
        let what = format!("unknown key `{}`", printable(&entry.key));
        report.problem(&place, what, remedy);
    }

    fn entry(&self, key: &str) -> Option<&'a Entry> {
        debug_assert!(
            self.keys.known.contains(&key),
            "`{key}` is not in the table"
        );
        let entry = self.entries.iter().find(|entry| &*entry.key == key)?;
        (!matches!(entry.value.kind, Kind::Null)).then_some(entry)
    }

    /// Returns a key's value; a key without a value is as good as none, as in Prometheus.
    pub(super) fn value(&self, key: &str) -> Option<Value<'a>> {
        let entry = self.entry(key)?;
        let place = self.place.key(key, entry.value.at);
        Some(Value {
            place,
            node: &entry.value,
        })
    }

    /// Tells whether a key is there, but has no value.
    pub(super) fn is_null(&self, key: &str) -> bool {
        self.place_of_null(key).is_some()
    }

    /// Returns the place of a key that has no value.
    pub(super) fn place_of_null(&self, key: &str) -> Option<Place> {
        let entry = self.entries.iter().find(|entry| &*entry.key == key)?;
        let is_null = matches!(entry.value.kind, Kind::Null);
        is_null.then(|| self.place.key(key, entry.at))
    }

    /// Returns the place of a key itself, not of its value.
    pub(super) fn place_of(&self, key: &str) -> Option<Place> {
        let entry = self.entry(key)?;
        Some(self.place.key(key, entry.at))
    }

    /// Tells whether a key has a value, right or wrong.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    /// Tells whether one of some keys has a value, right or wrong.
    pub(super) fn has_any(&self, keys: &[&str]) -> bool {
        keys.iter().any(|key| self.has(key))
    }

    /// Opens the block below a key; its own problems point at the key.
    pub(super) fn block(
        &self,
        key: &str,
        keys: &'static Keys,
        report: &mut Report,
    ) -> Option<Self> {
        let mut block = Block::open(&self.value(key)?, keys, report)?;
        block.place = self.place_of(key)?;
        Some(block)
    }

    /// Returns the value of a key that must not be missing or empty.
    pub(super) fn required(
        &self,
        key: &str,
        remedy: &str,
        report: &mut Report,
    ) -> Option<Value<'a>> {
        let value = self.value(key);
        let is_empty =
            |value: &Value<'_>| matches!(&value.node.kind, Kind::Scalar(text) if text.is_empty());
        if value.as_ref().is_none_or(is_empty) {
            let what = format!("`{}` needs `{key}`", self.place.name);
            report.problem(&self.place, what, remedy);
            return None;
        }
        value
    }

    /// Reads a text; an empty one is as good as none.
    pub(super) fn text(&self, key: &str, report: &mut Report) -> Option<&'a str> {
        let text = self.value(key)?.scalar("a string", report)?;
        (!text.is_empty()).then_some(text)
    }

    /// Reads `true` or `false`.
    pub(super) fn boolean(&self, key: &str, report: &mut Report) -> Option<bool> {
        let value = self.value(key)?;
        let text = value.scalar("`true` or `false`", report)?;
        let boolean = parse_boolean(text);
        if boolean.is_none() {
            value.refuse(text, "`true` or `false`", "write one of these", report);
        }
        boolean
    }

    /// Reads a duration that is not shorter than `least`.
    pub(super) fn duration(
        &self,
        key: &str,
        least: Duration,
        report: &mut Report,
    ) -> Option<Duration> {
        let value = self.value(key)?;
        let text = value.scalar("a duration", report)?;
        let Some(duration) = parse_duration(text) else {
            if text.bytes().all(|byte| byte.is_ascii_digit()) {
                let remedy = format!("write the unit as well, such as `{}s`", shown(text));
                value.refuse(text, "a duration with a unit", &remedy, report);
            } else {
                value.refuse(text, "a duration", DURATION_REMEDY, report);
            }
            return None;
        };
        if duration < least {
            let expected = format!("at least {least:?}");
            value.refuse(text, &expected, "write a longer time", report);
            return None;
        }
        Some(duration)
    }

    /// Reads a duration, or a number of seconds as in the ancestor.
    pub(super) fn seconds_or_duration(&self, key: &str, report: &mut Report) -> Option<Duration> {
        let value = self.value(key)?;
        let text = value.scalar("a number of seconds or a duration", report)?;
        let duration = parse_seconds(text).or_else(|| parse_duration(text));
        if duration.is_none() {
            let remedy = "write seconds, such as `80`, or a number and a unit, such as `1m20s`";
            value.refuse(text, "a number of seconds or a duration", remedy, report);
        }
        duration
    }

    /// Reads a number of bytes, at least one and at most some gigabytes.
    pub(super) fn size(&self, key: &str, gigabytes: u64, report: &mut Report) -> Option<usize> {
        let value = self.value(key)?;
        let text = value.scalar("a size", report)?;
        let Some(size) = parse_size(text) else {
            value.refuse(text, "a size with a unit", SIZE_REMEDY, report);
            return None;
        };
        if size == 0 || size > gigabytes << 30 {
            let expected = format!("from 1B to {gigabytes}GB");
            value.refuse(text, &expected, "write a size within these limits", report);
            return None;
        }
        usize::try_from(size).ok()
    }

    /// Reads a number of bytes of which 0 means no limit; there is one all the same.
    pub(super) fn size_limit(&self, key: &str, most: usize, report: &mut Report) -> Option<usize> {
        let value = self.value(key)?;
        let text = value.scalar("a size", report)?;
        let Some(size) = parse_size(text) else {
            value.refuse(text, "a size with a unit", SIZE_REMEDY, report);
            return None;
        };
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if size > most {
            let what = format!(
                "`{key}` is more than this program takes: {}GB is the limit",
                most >> 30
            );
            report.warn(&value.place, what, "nothing needs to be done, or lower it");
        }
        (size > 0).then(|| size.min(most))
    }

    /// Reads a whole number within a range.
    pub(super) fn integer(
        &self,
        key: &str,
        range: &RangeInclusive<u32>,
        report: &mut Report,
    ) -> Option<u32> {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        let value = self.value(key)?;
        let text = value.scalar(&expected, report)?;
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text
            .parse()
            .ok()
            .filter(|number| is_number && range.contains(number));
        if number.is_none() {
            value.refuse(
                text,
                &expected,
                "write a number within these limits",
                report,
            );
        }
        number
    }

    /// Reads a whole number; zero is one, too.
    pub(super) fn number(&self, key: &str, report: &mut Report) -> Option<u64> {
        const EXPECTED: &str = "a whole number";
        let value = self.value(key)?;
        let text = value.scalar(EXPECTED, report)?;
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|_: &u64| is_number);
        if number.is_none() {
            value.refuse(text, EXPECTED, "write decimal digits", report);
        }
        number
    }

    /// Reads one of a few words.
    pub(super) fn choice<T: Copy>(
        &self,
        key: &str,
        choices: &[(&str, T)],
        report: &mut Report,
    ) -> Option<T> {
        let words: Vec<String> = choices
            .iter()
            .map(|(word, _)| format!("`{word}`"))
            .collect();
        let expected = words.join(" or ");
        let value = self.value(key)?;
        let text = value.scalar(&expected, report)?;
        let choice = choices.iter().find(|(word, _)| *word == text);
        if choice.is_none() {
            value.refuse(text, &expected, "write one of these", report);
        }
        choice.map(|(_, choice)| *choice)
    }

    /// Reads the path of a file.
    pub(super) fn file(&self, key: &str, report: &mut Report) -> Option<PathBuf> {
        self.path(key, "the path of a file", report)
    }

    /// Reads the path of a folder.
    pub(super) fn folder(&self, key: &str, report: &mut Report) -> Option<PathBuf> {
        self.path(key, "the path of a folder", report)
    }

    fn path(&self, key: &str, expected: &str, report: &mut Report) -> Option<PathBuf> {
        let text = self.value(key)?.scalar(expected, report)?;
        (!text.is_empty()).then(|| report.resolve(text))
    }

    /// Reads a secret; its value is in no problem's text.
    pub(super) fn secret(&self, key: &str, report: &mut Report) -> Option<Secret> {
        let text = self.text(key, report)?;
        if let Some(place) = self.place_of(key) {
            report.inline_secret(&place);
        }
        Some(Secret::Inline(text.into()))
    }

    /// Reads the path of a file that holds a secret.
    pub(super) fn secret_file(&self, key: &str, report: &mut Report) -> Option<PathBuf> {
        let path = self.file(key, report)?;
        if let Some(place) = self.place_of(key) {
            report.secret_file(&place, &path);
        }
        Some(path)
    }

    /// Reads what stands either here or in a file and may be known to everybody, such as a name.
    pub(super) fn text_or_file(
        &self,
        key: &str,
        file_key: &str,
        report: &mut Report,
    ) -> Option<Secret> {
        let inline = self.text(key, report);
        let inline = inline.map(|text| Secret::Inline(text.into()));
        let file = self.file(file_key, report).map(Secret::File);
        self.here_or_there((key, inline), (file_key, file), report)
    }

    /// Reads a secret that stands either here or in a file.
    pub(super) fn secret_or_file(
        &self,
        key: &str,
        file_key: &str,
        report: &mut Report,
    ) -> Option<Secret> {
        let inline = self.secret(key, report);
        let file = self.secret_file(file_key, report).map(Secret::File);
        self.here_or_there((key, inline), (file_key, file), report)
    }

    fn here_or_there(
        &self,
        (key, inline): (&str, Option<Secret>),
        (file_key, file): (&str, Option<Secret>),
        report: &mut Report,
    ) -> Option<Secret> {
        if inline.is_some() && file.is_some() {
            self.at_most_one(&[key, file_key], report);
        }
        inline.or(file)
    }

    /// Records that more than one of some keys is given, at the last of them.
    pub(super) fn at_most_one(&self, keys: &[&str], report: &mut Report) {
        let given = keys.iter().filter_map(|key| self.place_of(key));
        if let Some(place) = given.max_by_key(|place| place.at) {
            let what = format!("at most one of `{}` must be configured", keys.join("`, `"));
            report.problem(&place, what, "keep one of them");
        }
    }

    /// Warns of a key that is accepted for another system's sake.
    pub(super) fn no_effect(&self, key: &str, why: &str, report: &mut Report) {
        if let Some(place) = self.place_of(key) {
            report.warn(&place, format!("`{key}` has no effect: {why}"), REMOVE);
        }
    }
}
