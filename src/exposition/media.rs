//! Which format an HTTP answer is in.

use crate::model::Format;

/// How a body is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaType {
    /// Text format 0.0.4 or 1.0.0: they read the same.
    Text,
    /// `OpenMetrics` text.
    OpenMetrics,
    /// Delimited protobuf messages.
    Protobuf,
}

/// Why an answer cannot be read by its `Content-Type`, and no fallback was configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentTypeError {
    /// There is none.
    #[error("answer has no content type, and there is no `fallback_scrape_protocol`")]
    Missing,
    /// It is damaged.
    #[error(
        "content type `{0}` of the answer is damaged, and there is no `fallback_scrape_protocol`"
    )]
    Damaged(Box<str>),
    /// It is none of an exposition.
    #[error("content type `{0}` is not supported, and there is no `fallback_scrape_protocol`")]
    Unsupported(Box<str>),
}

/// Returns how to read an answer with a `Content-Type` header, as Prometheus 3 decides it.
///
/// What the header says counts, though never its parameters' values. The fallback is for a header
/// that is missing, empty, damaged or of another kind. An empty body needs no content type.
pub fn choose(
    content_type: Option<&str>,
    fallback: Option<MediaType>,
) -> Result<MediaType, ContentTypeError> {
    let header = content_type.unwrap_or_default();
    let error = if header.is_empty() {
        ContentTypeError::Missing
    } else {
        match media_type(header).as_deref() {
            Some("text/plain") => return Ok(MediaType::Text),
            Some("application/openmetrics-text") => return Ok(MediaType::OpenMetrics),
            Some("application/vnd.google.protobuf") => return Ok(MediaType::Protobuf),
            Some(_) => ContentTypeError::Unsupported(shown(header)),
            None => ContentTypeError::Damaged(shown(header)),
        }
    };
    fallback.ok_or(error)
}

/// Returns the text format in which to read what somebody published as text.
///
/// It is `OpenMetrics` only when the header says so and is well formed; a missing, unknown or
/// damaged one means the text format.
pub fn format_of(content_type: Option<&str>) -> Format {
    match choose(content_type, Some(MediaType::Text)) {
        Ok(MediaType::OpenMetrics) => Format::OpenMetrics,
        _ => Format::Text,
    }
}

/// Bytes of a header that an error repeats: enough for any sensible one.
const SHOWN_MAX: usize = 100;

fn shown(header: &str) -> Box<str> {
    let shown = header.chars().take(SHOWN_MAX);
    let plain = shown.map(|c| if c.is_control() { '\u{fffd}' } else { c });
    plain.collect::<String>().into()
}

/// Reads a header as Go's `mime.ParseMediaType` does: the type in small letters; `None` where
/// that or any parameter is damaged.
fn media_type(header: &str) -> Option<String> {
    let (media_type, mut rest) = match header.find(';') {
        Some(at) => header.split_at_checked(at)?,
        None => (header, ""),
    };
    let media_type = media_type.trim().to_lowercase();
    let (main, sub) = media_type.split_once('/').unwrap_or((&media_type, "-"));
    if !is_token(main) || !is_token(sub) {
        return None;
    }
    let mut known: Vec<(String, String)> = Vec::new();
    while !rest.trim_start().is_empty() {
        let Some((name, value, behind)) = parameter(rest) else {
            // A semicolon at the end is no parameter.
            return (rest.trim() == ";").then_some(media_type);
        };
        rest = behind;
        if known
            .iter()
            .any(|(other, word)| *other == name && *word != value)
        {
            return None;
        }
        known.push((name, value));
    }
    Some(media_type)
}

/// Reads a semicolon, a name in small letters, `=` and a value; returns what is behind it, too.
fn parameter(text: &str) -> Option<(String, String, &str)> {
    let rest = text.trim_start().strip_prefix(';')?.trim_start();
    let (name, rest) = token(rest)?;
    let rest = rest.trim_start().strip_prefix('=')?.trim_start();
    let (value, rest) = match rest.strip_prefix('"') {
        Some(rest) => quoted(rest)?,
        None => token(rest).map(|(value, rest)| (value.to_owned(), rest))?,
    };
    Some((name.to_ascii_lowercase(), value, rest))
}

/// Reads a string behind its opening quote.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\r' | '\n' => return None,
            // Any other backslash stands for itself: some servers send paths of files.
            '\\' => match chars.next_if(|(_, next)| is_special(*next)) {
                Some((_, escaped)) => value.push(escaped),
                None => value.push(c),
            },
            _ => value.push(c),
        }
    }
    None
}

/// Reads a token of RFC 2045.
fn token(text: &str) -> Option<(&str, &str)> {
    let length = text.find(|c| !is_token_char(c)).unwrap_or(text.len());
    text.split_at_checked(length)
        .filter(|(token, _)| !token.is_empty())
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_token_char)
}

fn is_token_char(c: char) -> bool {
    c.is_ascii_graphic() && !is_special(c)
}

fn is_special(c: char) -> bool {
    r#"()<>@,;:\"/[]?="#.contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(content_type: &str, expected: MediaType) {
        assert_eq!(choose(Some(content_type), None), Ok(expected));
        let other = Some(MediaType::Protobuf);
        assert_eq!(choose(Some(content_type), other), Ok(expected));
    }

    #[track_caller]
    fn check_error(content_type: Option<&str>, expected: &ContentTypeError) {
        assert_eq!(choose(content_type, None).as_ref(), Err(expected));
        for fallback in [MediaType::Text, MediaType::OpenMetrics, MediaType::Protobuf] {
            assert_eq!(choose(content_type, Some(fallback)), Ok(fallback));
        }
    }

    #[test]
    fn the_header_says_what_it_is() {
        check("application/openmetrics-text", MediaType::OpenMetrics);
        check(" Application/OpenMetrics-Text ;", MediaType::OpenMetrics);
        check(
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            MediaType::OpenMetrics,
        );
        check(
            "application/openmetrics-text; a=\"x;\\\"y\"; escaping=underscores",
            MediaType::OpenMetrics,
        );
        check("text/plain", MediaType::Text);
        check("text/plain; version=0.0.4", MediaType::Text);
        check(
            "text/plain; version=1.0.0; escaping=allow-utf-8",
            MediaType::Text,
        );
        check("text/plain;version=7;version=7", MediaType::Text);
        check("text/plain; a=\"C:\\dir\"", MediaType::Text);
        check("text/plain ; a = \"\"", MediaType::Text);
        check(
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; \
             encoding=delimited",
            MediaType::Protobuf,
        );
        check("application/vnd.google.protobuf", MediaType::Protobuf);
    }

    #[test]
    fn without_a_good_header_there_must_be_a_fallback() {
        check_error(None, &ContentTypeError::Missing);
        check_error(Some(""), &ContentTypeError::Missing);
        for unsupported in [
            "text/html",
            "application/json; charset=utf-8",
            "application/openmetrics-textual",
            "text",
            "application/openmetrics-text2; q=1;",
        ] {
            let error = ContentTypeError::Unsupported(unsupported.into());
            check_error(Some(unsupported), &error);
        }
        for damaged in [
            " ",
            ";",
            "text/",
            "/plain",
            "text/plain/x",
            "text plain",
            "text/plain; version",
            "text/plain; a=1; A=2",
            "text/plain; =1",
            "text/plain; a=",
            "text/plain; a=\"x",
            "text/plain; a=b c",
            "text/plain;;",
            "text/plain, text/html",
        ] {
            check_error(Some(damaged), &ContentTypeError::Damaged(damaged.into()));
        }
    }

    #[test]
    fn published_text_is_text_where_nothing_else_is_said() {
        assert_eq!(format_of(None), Format::Text);
        assert_eq!(format_of(Some("text/html")), Format::Text);
        assert_eq!(
            format_of(Some("application/openmetrics-text; a=\"x")),
            Format::Text
        );
        let openmetrics = Some("application/openmetrics-text; version=1.0.0");
        assert_eq!(format_of(openmetrics), Format::OpenMetrics);
    }

    #[test]
    fn an_error_shows_only_the_beginning_of_a_header() {
        let Err(error) = choose(Some(&"x\n".repeat(500)), None) else {
            panic!("it is taken");
        };
        assert!(error.to_string().len() < 300, "{error}");
    }
}
