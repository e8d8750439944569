//! Bounds and quantiles as label values: one spelling for each number.
//!
//! Prometheus 3 stores `le` of histograms and `quantile` of summaries as `OpenMetrics` spells
//! them (`le="1.0"`), however a target writes them.

use std::borrow::Cow;

use super::entry::{FamilyKind, Label};
use super::number::parse_value;

/// Returns a label's value as Prometheus 3 stores it; `kind` is that of the last `# TYPE` above.
pub(super) fn normalized<'v>(kind: FamilyKind, name: &str, value: &'v str) -> Cow<'v, str> {
    if is_float(kind, name)
        && let Ok(number) = parse_value(value.as_bytes())
    {
        let text = openmetrics_float(number);
        if text != value {
            return Cow::Owned(text);
        }
    }
    Cow::Borrowed(value)
}

/// Returns the labels with their values as Prometheus 3 stores them.
pub(super) fn normalized_labels<'p, 'a>(
    kind: FamilyKind,
    labels: &'p [Label<'a>],
) -> Cow<'p, [Label<'a>]> {
    let mut owned: Option<Vec<Label<'a>>> = None;
    for (at, label) in labels.iter().enumerate() {
        if let Cow::Owned(value) = normalized(kind, &label.name, &label.value)
            && let Some(label) = owned.get_or_insert_with(|| labels.to_vec()).get_mut(at)
        {
            label.value = Cow::Owned(value);
        }
    }
    owned.map_or(Cow::Borrowed(labels), Cow::Owned)
}

fn is_float(kind: FamilyKind, name: &str) -> bool {
    matches!(
        (kind, name),
        (FamilyKind::Histogram, "le") | (FamilyKind::Summary, "quantile")
    )
}

/// Spells a number as `OpenMetrics` wants bounds and quantiles: the shortest digits that read as
/// the same double, and a point or an exponent in any case.
pub(super) fn openmetrics_float(number: f64) -> String {
    if number == 0.0 {
        return "0.0".to_owned();
    }
    let mut text = shortest(number);
    if number.is_finite() && !text.contains(['.', 'e']) {
        text.push_str(".0");
    }
    text
}

/// Spells a number as Go's shortest `g`: with an exponent below 10^-4 and from 10^6 on.
fn shortest(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (EXPONENT_MIN..EXPONENT_END).contains(&exponent) {
        return number.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}

/// Go's limits for numbers without an exponent, where as many digits as needed are written.
const EXPONENT_MIN: i32 = -4;
const EXPONENT_END: i32 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &str, expected: &str) {
        for (kind, name) in [
            (FamilyKind::Histogram, "le"),
            (FamilyKind::Summary, "quantile"),
        ] {
            assert_eq!(normalized(kind, name, value), expected);
            assert_eq!(normalized(kind, name, expected), expected);
        }
    }

    #[test]
    fn numbers_have_one_spelling() {
        check("1", "1.0");
        check("1.0", "1.0");
        check("0", "0.0");
        check("-0", "0.0");
        check("-1", "-1.0");
        check("0.5", "0.5");
        check(".5", "0.5");
        check("0.050", "0.05");
        check("00010", "10.0");
        check("inf", "+Inf");
        check("+Infinity", "+Inf");
        check("-INF", "-Inf");
        check("nan", "NaN");
        check("123456.75", "123456.75");
        check("100000", "100000.0");
        check("1000000", "1e+06");
        check("1e6", "1e+06");
        check("16777216", "1.6777216e+07");
        check("-2500000", "-2.5e+06");
        check("1E21", "1e+21");
        check("1.7976931348623157e308", "1.7976931348623157e+308");
        check("0.0001", "0.0001");
        check("0.00001", "1e-05");
        check("5e-324", "5e-324");
    }

    #[test]
    fn what_is_no_number_stays() {
        for value in ["", "x", "1 ", "+nan", "1e999", "１"] {
            check(value, value);
        }
    }

    #[test]
    fn only_bounds_and_quantiles_are_numbers() {
        for (kind, name) in [
            (FamilyKind::Histogram, "quantile"),
            (FamilyKind::Summary, "le"),
            (FamilyKind::GaugeHistogram, "le"),
            (FamilyKind::Unknown, "le"),
            (FamilyKind::Histogram, "version"),
        ] {
            assert_eq!(normalized(kind, name, "1"), "1");
        }
    }
}
