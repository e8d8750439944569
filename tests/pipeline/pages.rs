//! Pages for simulated targets, made from what a real exporter served one scrape after the other.
//!
//! Values change from scrape to scrape as they really did, and differ from target to target: what
//! a bus carries per sample depends on both.

use std::fmt::Write as _;
use std::time::Duration;

use crate::support::{Lab, NodeExporter};

/// Records what a real exporter serves, second by second.
pub(crate) async fn record(lab: &Lab, count: usize) -> Vec<String> {
    let exporter = NodeExporter::start(lab).await;
    let mut pages = Vec::new();
    let mut second = tokio::time::interval(Duration::from_secs(1));
    for _ in 0..count {
        second.tick().await;
        pages.push(exporter.page().await);
    }
    pages
}

/// Scrapes of one real exporter, as templates.
pub(crate) struct Pages {
    scrapes: Vec<Vec<Piece>>,
}

enum Piece {
    /// Taken as it is.
    Text(String),
    /// A sample's name and labels, and its value as it was written.
    Sample(String, String),
}

impl Pages {
    /// Takes pages of one exporter, oldest first, cut or repeated to so many series.
    pub(crate) fn new(pages: &[String], series: usize) -> Self {
        let scrapes = pages.iter().map(|page| template(page, series));
        Self {
            scrapes: scrapes.collect(),
        }
    }

    /// Writes what a target serves at its scrape `number`.
    pub(crate) fn page(&self, target: usize, number: u64) -> String {
        let at = usize::try_from(number).unwrap() + target;
        // There and back again, so that no counter is ever far from what it was.
        let last = self.scrapes.len() - 1;
        let step = at % (2 * last);
        let scrape = &self.scrapes[step.min(2 * last - step)];
        let mut page = String::new();
        for piece in scrape {
            match piece {
                Piece::Text(text) => page.push_str(text),
                Piece::Sample(name, value) => {
                    let value = of_target(value, target);
                    writeln!(page, "{name} {value}").unwrap();
                }
            }
        }
        writeln!(page, "sim_scrapes_total {number}").unwrap();
        page
    }
}

fn template(page: &str, series: usize) -> Vec<Piece> {
    let mut pieces = Vec::new();
    // One series is the target's own count of its scrapes.
    let mut left = series - 1;
    for copy in 0.. {
        // Further copies are families of their own.
        let prefix = if copy == 0 {
            String::new()
        } else {
            format!("copy{copy}_")
        };
        for line in page.lines() {
            if left == 0 {
                return pieces;
            }
            if let Some((kind, rest)) = line
                .strip_prefix("# ")
                .and_then(|line| line.split_once(' '))
            {
                pieces.push(Piece::Text(format!("# {kind} {prefix}{rest}\n")));
            } else if let Some((name, value)) = line.rsplit_once(' ') {
                pieces.push(Piece::Sample(format!("{prefix}{name}"), value.to_owned()));
                left -= 1;
            }
        }
    }
    pieces
}

/// Makes a value the target's own, of the same kind and with about as many digits.
fn of_target(value: &str, target: usize) -> String {
    let Ok(number) = value.parse::<f64>() else {
        return value.to_owned();
    };
    if number.fract() == 0.0 && number.abs() < 10.0 || !number.is_finite() {
        return value.to_owned();
    }
    #[expect(clippy::cast_precision_loss, reason = "a number of targets")]
    let own = number * (1.0 + target as f64 / 997.0);
    match value.split_once('.') {
        Some((_, fraction)) if !value.contains('e') => format!("{own:.*}", fraction.len()),
        None if !value.contains('e') => format!("{own:.0}"),
        // As Go writes it: as many digits as it takes, which is about as many as it had.
        _ => {
            let digits = value
                .split('e')
                .next()
                .map_or(0, |mantissa| mantissa.len().saturating_sub(2));
            format!("{own:.digits$e}")
        }
    }
}
