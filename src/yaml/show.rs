//! How a key or a value is shown in a message: never so that a secret could be in it.

/// Characters of a value or key that a problem shows.
const SHOWN_MAX: usize = 60;

/// Makes a name fit for a message: one line, not long, and nothing after the first character that
/// no key has.
///
/// Where the colon or the space after it was forgotten, as in `{password:secret}`, the value is
/// part of what YAML takes for the key. It must not be shown.
pub fn printable(key: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    shortened(key, key.chars().take_while(|c| plain(*c)).count())
}

/// Makes a value fit for a message: one line, not long, and of a URL the scheme alone, since the
/// rest may hold a password.
pub fn shown(value: &str) -> String {
    let end = value.find("://").map_or(value.len(), |at| at + "://".len());
    let start = value.get(..end).unwrap_or_default();
    let plain = |c: &char| !c.is_control();
    shortened(value, start.chars().take_while(plain).count())
}

fn shortened(text: &str, count: usize) -> String {
    let count = count.min(SHOWN_MAX);
    let mut short: String = text.chars().take(count).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_no_value_that_was_taken_for_a_key() {
        assert_eq!(printable("password:hunter2"), "password…");
        assert_eq!(printable("password hunter2"), "password…");
        assert_eq!(printable("a\nb"), "a…");
        assert_eq!(shown("\u{1b}[31m"), "…");
        assert_eq!(shown("https://me:hunter2@host"), "https://…");
        assert_eq!(shown(&"x".repeat(61)).chars().count(), 61);
    }
}
