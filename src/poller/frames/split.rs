//! Splitting a scrape that is too large for one message.
//!
//! In: an exposition as text. Out: pieces of it, which make the text again one after the other.
//! They end between metric families, and within a family only where it is too large by itself;
//! what follows has no comments then, as those of the family stand in the piece before. This
//! module knows where a family ends; it must never part the series of one histogram or summary.

use std::ops::Range;

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    /// Its bytes.
    pub(super) text: Range<usize>,
    /// Its series, counted from the first of the text.
    pub(super) series: Range<usize>,
    /// It cannot be split any more.
    pub(super) is_indivisible: bool,
}

/// What the names of a family's series may have behind the family's name.
const SUFFIXES: [&str; 8] = [
    "_bucket", "_sum", "_count", "_gsum", "_gcount", "_total", "_created", "_info",
];

/// Cuts a text into pieces of at most `bytes_max`, or of what cannot be parted where that is larger.
pub(super) fn pieces(text: &str, bytes_max: usize) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for family in families(text) {
        if family.text.len() > bytes_max && !family.is_indivisible {
            pieces.extend(cut(text, &family, bytes_max));
        } else {
            join(&mut pieces, family, bytes_max);
        }
    }
    pieces
}

/// Puts a piece behind others, into the last one if there is room.
fn join(pieces: &mut Vec<Piece>, piece: Piece, bytes_max: usize) {
    match pieces.last_mut() {
        Some(last) if piece.text.end - last.text.start <= bytes_max => {
            last.text.end = piece.text.end;
            last.series.end = piece.series.end;
            last.is_indivisible = false;
        }
        _ => pieces.push(piece),
    }
}

/// Cuts one family into pieces.
fn cut(text: &str, family: &Piece, bytes_max: usize) -> Vec<Piece> {
    let empty = |at, series| Piece {
        text: at..at,
        series: series..series,
        is_indivisible: true,
    };
    let mut pieces = Vec::new();
    let mut seam = Seam::default();
    let (mut at, mut series) = (family.text.start, family.series.start);
    // What cannot be parted.
    let mut unit = empty(at, series);
    let own = text.get(family.text.clone()).unwrap_or_default();
    for line in own.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let line = line.trim_start_matches([' ', '\t']).trim_end();
        if !line.is_empty() && !line.starts_with('#') {
            if seam.is_before(line) {
                let whole = std::mem::replace(&mut unit, empty(start, series));
                join(&mut pieces, whole, bytes_max);
            }
            series += 1;
            unit.series.end = series;
        }
        unit.text.end = at;
    }
    join(&mut pieces, unit, bytes_max);
    pieces
}

/// Finds where a family may be parted, line by line.
#[derive(Debug, Default)]
struct Seam<'t> {
    first: Option<&'t str>,
    last: &'t str,
}

impl<'t> Seam<'t> {
    /// Tells whether the family may be parted before a series: where its first name comes again,
    /// unless that is one more bucket or quantile.
    fn is_before(&mut self, line: &'t str) -> bool {
        let name = name_of(line);
        let last = std::mem::replace(&mut self.last, name);
        let Some(first) = self.first else {
            self.first = Some(name);
            return false;
        };
        let is_alone = || !name.ends_with("_bucket") && !line.contains("quantile=\"");
        name == first && (name != last || is_alone())
    }
}

/// Cuts a text into families; what stands behind the last series belongs to its family.
fn families(text: &str) -> Vec<Piece> {
    let mut families: Vec<Piece> = Vec::new();
    let mut name = String::new();
    let mut seam = Seam::default();
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
                family.is_indivisible &= !seam.is_before(line);
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
                seam = Seam::default();
                seam.is_before(line);
                name.clear();
                name.push_str(declared.unwrap_or_else(|| stem(own)));
                families.push(Piece {
                    text: start..at,
                    series: series..series + 1,
                    is_indivisible: true,
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
            is_indivisible: true,
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
            16,
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
            36,
            &["{\"a b\",x=\"1\"} 1\n{\"a b\",x=\"2\"} 1\n", "{\"c\"} 1\n"],
        );
    }

    #[test]
    fn a_family_that_is_too_large_is_parted_between_its_series() {
        let lines = "# TYPE a gauge\na{x=\"1\"} 1\na{x=\"2\"} 2\na{x=\"3\"} 3\n";
        check(
            lines,
            24,
            &[
                "# TYPE a gauge\na{x=\"1\"} 1\n",
                "a{x=\"2\"} 2\na{x=\"3\"} 3\n",
            ],
        );
        // The rest goes with what follows, and nothing with what is before.
        check(
            &format!("b 1\n{lines}c 1\n"),
            16,
            &[
                "b 1\n",
                "# TYPE a gauge\na{x=\"1\"} 1\n",
                "a{x=\"2\"} 2\n",
                "a{x=\"3\"} 3\nc 1\n",
            ],
        );
        let histogram = |x: &str| {
            format!(
                "h_bucket{{x=\"{x}\",le=\"1\"}} 1\nh_bucket{{x=\"{x}\",le=\"+Inf\"}} 1\n\
                 h_sum{{x=\"{x}\"}} 1\nh_count{{x=\"{x}\"}} 1\n"
            )
        };
        let (one, two) = (histogram("1"), histogram("2"));
        check(&format!("{one}{two}"), 1, &[&one, &two]);
        let summary = |x: &str| {
            format!(
                "s{{x=\"{x}\",quantile=\"0\"}} 1\ns{{x=\"{x}\",quantile=\"1\"}} 1\ns_sum{{x=\"{x}\"}} 1\n"
            )
        };
        let (one, two) = (summary("1"), summary("2"));
        check(&format!("{one}{two}"), 1, &[&one, &two]);
        let created = "# TYPE c counter\nc_total{x=\"1\"} 1\nc_created{x=\"1\"} 1\n";
        let second = "c_total{x=\"2\"} 1\nc_created{x=\"2\"} 1\n";
        check(&format!("{created}{second}"), 1, &[created, second]);
        // All buckets of all histograms first: nothing says where one ends.
        let buckets = "h_bucket{x=\"1\"} 1\nh_bucket{x=\"2\"} 1\n";
        check(buckets, 1, &[buckets]);
        assert!(pieces(buckets, 1)[0].is_indivisible);
        assert!(!pieces(lines, 1000)[0].is_indivisible);
        assert!(pieces(lines, 1).iter().all(|piece| piece.is_indivisible));
    }
}
