//! Which format an HTTP answer is in.

use crate::model::Format;

/// Returns the format in which to read an answer, from its `Content-Type` header.
///
/// It is `OpenMetrics` only when the header says so and is well formed; a missing, unknown or
/// damaged one means the text format, since old exporters send all of these.
pub fn format_of(content_type: Option<&str>) -> Format {
    let Some(header) = content_type else {
        return Format::Text;
    };
    let mut parts = split_parameters(header);
    let media_type = parts.next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case("application/openmetrics-text")
        && are_well_formed(parts.collect())
    {
        Format::OpenMetrics
    } else {
        Format::Text
    }
}

/// Splits at `;` outside of double quotes.
fn split_parameters(header: &str) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    let mut is_escaped = false;
    header.split(move |c: char| {
        if is_escaped {
            is_escaped = false;
            return false;
        }
        match c {
            '"' => is_quoted = !is_quoted,
            '\\' if is_quoted => is_escaped = true,
            ';' => return !is_quoted,
            _ => {}
        }
        false
    })
}

/// Tells whether each parameter is a new name and a value; an empty one is allowed at the end.
fn are_well_formed(mut parameters: Vec<&str>) -> bool {
    if parameters.last().is_some_and(|last| last.trim().is_empty()) {
        parameters.pop();
    }
    let mut names: Vec<String> = Vec::with_capacity(parameters.len());
    for parameter in parameters {
        let Some((name, value)) = parameter.split_once('=') else {
            return false;
        };
        let name = name.trim_start().to_ascii_lowercase();
        let value = value.trim_end();
        let is_quoted = value.len() >= 2 && value.starts_with('"') && value.ends_with('"');
        if !is_token(&name) || !(is_quoted || is_token(value)) || names.contains(&name) {
            return false;
        }
        names.push(name);
    }
    true
}

/// Tells whether a text is a token of RFC 2045.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_graphic() && !br#"()<>@,;:\"/[]?="#.contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(content_type: &str, expected: Format) {
        assert_eq!(format_of(Some(content_type)), expected, "{content_type}");
    }

    #[test]
    fn only_a_header_that_says_so_means_openmetrics() {
        check("application/openmetrics-text", Format::OpenMetrics);
        check(" Application/OpenMetrics-Text ;", Format::OpenMetrics);
        check(
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::OpenMetrics,
        );
        check(
            "application/openmetrics-text; a=\"x;\\\"y\"; escaping=underscores",
            Format::OpenMetrics,
        );
        check("text/plain; version=0.0.4", Format::Text);
        check("text/html", Format::Text);
        check("application/json", Format::Text);
        check("", Format::Text);
        check("application/openmetrics-textual", Format::Text);
        assert_eq!(format_of(None), Format::Text);
    }

    #[test]
    fn a_damaged_header_means_text() {
        check("application/openmetrics-text; version", Format::Text);
        check("application/openmetrics-text; a=1; A=2", Format::Text);
        check("application/openmetrics-text; =1", Format::Text);
        check("application/openmetrics-text; a=\"x", Format::Text);
        check("application/openmetrics-text; a=b c", Format::Text);
    }
}
