//! Splitting a scrape that is too large for one message, between metric families.
//!
//! In: an exposition as text. Out: pieces of it, each an exposition by itself. This module knows
//! where a family ends; it must never part the series of a histogram or summary.

use std::ops::Range;

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    /// Its bytes.
    pub(super) text: Range<usize>,
    /// Its series, counted from the first of the text.
    pub(super) series: Range<usize>,
    /// It cannot be split any more.
    pub(super) is_one_family: bool,
}

/// What the names of a family's series may have behind the family's name.
const SUFFIXES: [&str; 8] = [
    "_bucket", "_sum", "_count", "_gsum", "_gcount", "_total", "_created", "_info",
];

/// Cuts a text into pieces of at most `bytes_max`, or of one family where that is larger.
pub(super) fn pieces(text: &str, bytes_max: usize) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for family in families(text) {
        match pieces.last_mut() {
            Some(last) if family.text.end - last.text.start <= bytes_max => {
                last.text.end = family.text.end;
                last.series.end = family.series.end;
                last.is_one_family = false;
            }
            _ => pieces.push(family),
        }
    }
    pieces
}

/// Cuts a text into families; what stands behind the last series belongs to its family.
fn families(text: &str) -> Vec<Piece> {
    let mut families: Vec<Piece> = Vec::new();
    let mut name = String::new();
    // Where the comments before the next series begin, and what they say it is.
    let (mut lead, mut declared) = (None, None);
    let (mut at, mut series) = (0, 0);
    for line in text.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let line = line.trim_start_matches([' ', '\t']).trim_end();
        if line.is_empty() || line.starts_with('#') {
            lead.get_or_insert(start);
            declared = subject(line).or(declared);
            continue;
        }
        let own = name_of(line);
        let is_same = match declared {
            Some(declared) => declared == name,
            None => is_member(&name, own),
        };
        match families.last_mut() {
            Some(family) if is_same => {
                family.text.end = at;
                family.series.end = series + 1;
            }
            _ => {
                // Comments at the top belong to the first family, whatever they say.
                let start = if families.is_empty() {
                    0
                } else {
                    lead.unwrap_or(start)
                };
                name.clear();
                name.push_str(declared.unwrap_or_else(|| stem(own)));
                families.push(Piece {
                    text: start..at,
                    series: series..series + 1,
                    is_one_family: true,
                });
            }
        }
        (lead, declared) = (None, None);
        series += 1;
    }
    match families.last_mut() {
        Some(last) => last.text.end = text.len(),
        None => families.push(Piece {
            text: 0..text.len(),
            series: 0..0,
            is_one_family: true,
        }),
    }
    families
}

/// Returns the family that a comment tells something of.
fn subject(comment: &str) -> Option<&str> {
    let mut words = comment.split_ascii_whitespace();
    match (words.next(), words.next()) {
        (Some("#"), Some("HELP" | "TYPE" | "UNIT")) => words.next(),
        _ => None,
    }
}

/// Returns the metric name of a series' line: bare, or the quoted one within the braces.
fn name_of(line: &str) -> &str {
    let end = line.find(['{', ' ', '\t']).unwrap_or(line.len());
    match line.split_at_checked(end) {
        Some(("", rest)) => rest.split('"').nth(1).unwrap_or_default(),
        Some((name, _)) => name,
        None => line,
    }
}

fn is_member(family: &str, name: &str) -> bool {
    !family.is_empty()
        && name
            .strip_prefix(family)
            .is_some_and(|rest| rest.is_empty() || SUFFIXES.contains(&rest))
}

/// Returns what the series of an undeclared histogram or summary have in common.
fn stem(name: &str) -> &str {
    ["_bucket", "_sum", "_count"]
        .iter()
        .find_map(|suffix| name.strip_suffix(suffix))
        .filter(|stem| !stem.is_empty())
        .unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, bytes_max: usize, expected: &[&str]) {
        let pieces = pieces(text, bytes_max);
        let texts: Vec<&str> = pieces
            .iter()
            .map(|piece| text.get(piece.text.clone()).unwrap())
            .collect();
        assert_eq!(texts, expected);
        let mut series = 0;
        for piece in &pieces {
            let lines = text.get(piece.text.clone()).unwrap().lines();
            let own = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
            assert_eq!(piece.series, series..series + own.count(), "{text}");
            series = piece.series.end;
        }
    }

    #[test]
    fn each_name_is_a_family() {
        check(
            "a 1\na{x=\"1\"} 2\nb 1\n",
            1,
            &["a 1\na{x=\"1\"} 2\n", "b 1\n"],
        );
        check("a 1\nb 1\nc 1\n", 8, &["a 1\nb 1\n", "c 1\n"]);
        check("a 1\nb 1", 100, &["a 1\nb 1"]);
        check("", 1, &[""]);
        check("# nothing\n", 1, &["# nothing\n"]);
    }

    #[test]
    fn comments_stand_before_their_family() {
        check(
            "# top\n# HELP a x\n# TYPE a gauge\na 1\n\n# TYPE b gauge\n# HELP b x\nb 1\n# end\n",
            1,
            &[
                "# top\n# HELP a x\n# TYPE a gauge\na 1\n",
                "\n# TYPE b gauge\n# HELP b x\nb 1\n# end\n",
            ],
        );
    }

    #[test]
    fn a_histogram_stays_whole() {
        let declared = "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 1\n\
                        h_sum 1\nh_count 1\n";
        let bare = "g_bucket{le=\"+Inf\"} 1\ng_sum 1\ng_count 1\n";
        check(
            &format!("a 1\n{declared}{bare}z 1\n"),
            1,
            &["a 1\n", declared, bare, "z 1\n"],
        );
        // Comments within a family change nothing.
        let odd =
            "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\n# HELP h x\nh_sum 1\n# x\nh_count 1\n";
        check(&format!("{odd}a 1\n"), 1, &[odd, "a 1\n"]);
    }

    #[test]
    fn a_quoted_name_is_a_name() {
        check(
            "{\"a b\",x=\"1\"} 1\n{\"a b\",x=\"2\"} 1\n{\"c\"} 1\n",
            1,
            &["{\"a b\",x=\"1\"} 1\n{\"a b\",x=\"2\"} 1\n", "{\"c\"} 1\n"],
        );
    }
}
