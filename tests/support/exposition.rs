//! A second, simple reading of the text format: the check on ours must not be ours.

use std::collections::BTreeMap;

/// Labels by name, the metric's name under `__name__`.
pub(crate) type Labels = BTreeMap<String, String>;

/// The values of a page by series.
#[derive(Debug, Default)]
pub(crate) struct Page(pub(crate) BTreeMap<Labels, f64>);

impl Page {
    /// Adds up the series of that name that have all these labels; `None` if there is none.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let matching = self.0.iter().filter(|(series, _)| {
            let has = |(key, value): &(&str, &str)| series.get(*key).is_some_and(|v| v == value);
            has(&("__name__", name)) && labels.iter().all(has)
        });
        matching.map(|(_, value)| *value).reduce(|a, b| a + b)
    }

    /// Returns the series that have all these labels, with these labels taken away.
    pub(crate) fn part(&self, labels: &[(&str, &str)]) -> BTreeMap<Labels, f64> {
        let mut part = BTreeMap::new();
        for (series, value) in &self.0 {
            let mut series = series.clone();
            let has =
                |(key, value): &(&str, &str)| series.remove(*key).is_some_and(|v| v == *value);
            if labels.iter().all(has) {
                part.insert(series, *value);
            }
        }
        part
    }
}

/// Reads a page in the text format; panics where it cannot.
pub(crate) fn read(text: &str) -> Page {
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    Page(lines.map(line).collect())
}

fn line(line: &str) -> (Labels, f64) {
    let end = line.find(['{', ' ']).unwrap();
    let (name, mut rest) = line.split_at(end);
    let mut labels = Labels::from([("__name__".to_owned(), name.to_owned())]);
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (key, after) = rest.split_once("=\"").unwrap();
            let (value, after) = quoted(after);
            labels.insert(key.to_owned(), value);
            rest = after.trim_start_matches(',');
        }
        rest = &rest[1..];
    }
    let value = rest.split_whitespace().next().unwrap();
    (labels, value.parse().unwrap())
}

/// Reads up to the closing quote; returns what stands behind it as well.
fn quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => match chars.next().unwrap().1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            _ => value.push(c),
        }
    }
    panic!("no closing quote in `{text}`");
}

#[test]
fn reads_a_page_as_it_stands() {
    let page = read("# TYPE a counter\na 1\nb{x=\"1 } \\\"\\\\\\n\",y=\"\"} +Inf 1234\nb{} 2\n");
    assert_eq!(page.sum("a", &[]), Some(1.0));
    assert_eq!(
        page.sum("b", &[("x", "1 } \"\\\n"), ("y", "")]),
        Some(f64::INFINITY)
    );
    assert_eq!(page.sum("b", &[("z", "")]), None);
    assert_eq!(page.part(&[("x", "1 } \"\\\n")]).len(), 1);
}
