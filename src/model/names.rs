//! Which names of metrics and labels are valid.

/// `metric_name_validation_scheme`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum NameValidation {
    /// All of UTF-8.
    #[default]
    Utf8,
    /// ASCII letters, digits, underscores, and colons in names of metrics.
    Legacy,
}

impl NameValidation {
    /// Tells whether a label may have this name.
    pub fn is_label_name(self, name: &str) -> bool {
        match self {
            Self::Utf8 => !name.is_empty(),
            Self::Legacy => is_legacy(name, |byte| byte == b'_'),
        }
    }

    /// Tells whether a metric may have this name.
    pub fn is_metric_name(self, name: &str) -> bool {
        match self {
            Self::Utf8 => !name.is_empty(),
            Self::Legacy => is_legacy(name, |byte| matches!(byte, b'_' | b':')),
        }
    }
}

fn is_legacy(name: &str, is_mark: impl Fn(u8) -> bool) -> bool {
    let is_start = |byte: u8| byte.is_ascii_alphabetic() || is_mark(byte);
    let first = name.bytes().next();
    first.is_some_and(is_start)
        && name
            .bytes()
            .all(|byte| is_start(byte) || byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In order: a label, then a metric by the legacy scheme; then both in UTF-8.
    #[track_caller]
    fn check(name: &str, expected: [bool; 3]) {
        let (legacy, utf8) = (NameValidation::Legacy, NameValidation::Utf8);
        let found = [
            legacy.is_label_name(name),
            legacy.is_metric_name(name),
            utf8.is_label_name(name),
        ];
        assert_eq!(found, expected, "{name}");
        assert_eq!(utf8.is_metric_name(name), utf8.is_label_name(name));
    }

    #[test]
    fn names_are_valid_by_their_scheme() {
        check("a", [true, true, true]);
        check("_a9", [true, true, true]);
        check("a:b", [false, true, true]);
        check(":a", [false, true, true]);
        check("9a", [false, false, true]);
        check("a.b", [false, false, true]);
        check("größe", [false, false, true]);
        check("", [false, false, false]);
    }
}
