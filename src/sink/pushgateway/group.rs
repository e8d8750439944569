//! The path of a group.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use url::Url;

use crate::sink::labels::TargetLabels;

/// The labels that come first in a path, where they are there; `job` must.
const LEADING: [&str; 3] = ["job", "instance", "publisher"];

/// Returns the address of a target's group: its labels are the grouping key.
pub(super) fn group_url(base: &Url, labels: &TargetLabels<'_>) -> Url {
    let mut path = base.path().trim_end_matches('/').to_owned();
    path.push_str("/metrics");
    let value_of = |name: &str| {
        let pairs = labels.target().iter();
        pairs
            .filter(|(known, _)| *known == name)
            .map(|(_, value)| *value)
            .next()
    };
    for name in LEADING {
        match value_of(name) {
            Some(value) => push_pair(&mut path, name, value),
            // The gateway refuses it in words, which is better than a path of another meaning.
            None if name == "job" => push_pair(&mut path, name, ""),
            None => {}
        }
    }
    for (name, value) in labels.target() {
        if !LEADING.contains(name) {
            push_pair(&mut path, name, value);
        }
    }
    let mut url = base.clone();
    url.set_path(&path);
    url
}

/// Appends a label; a value that a path cannot carry unchanged goes in base64.
///
/// A slash would end the value, an empty one would vanish, and dots alone are resolved by clients,
/// proxies and servers, however they are written.
fn push_pair(path: &mut String, name: &str, value: &str) {
    path.push('/');
    push_escaped(path, name);
    if value.is_empty() {
        path.push_str("@base64/=");
    } else if value.contains('/') || matches!(value, "." | "..") {
        path.push_str("@base64/");
        URL_SAFE_NO_PAD.encode_string(value, path);
    } else {
        path.push('/');
        push_escaped(path, value);
    }
}

/// Appends text, each byte but the unreserved ones of RFC 3986 as `%XX`.
fn push_escaped(path: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            write!(path, "%{byte:02X}").unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Labels;

    #[track_caller]
    fn check(target: &[(&'static str, &'static str)], publisher: Option<&str>, expected: &str) {
        let target = Labels::new(target.iter().copied());
        let none = Labels::default();
        let labels = TargetLabels::new(&target, publisher, &none);
        for (base, prefix) in [("http://h:9091", ""), ("http://h:9091/a/b/", "/a/b")] {
            let url = group_url(&Url::parse(base).unwrap(), &labels);
            assert_eq!(url.path(), format!("{prefix}{expected}"));
        }
    }

    #[test]
    fn job_and_instance_come_first() {
        check(
            &[("job", "node"), ("instance", "a:1")],
            None,
            "/metrics/job/node/instance/a%3A1",
        );
        check(
            &[
                ("zone", "z"),
                ("alpha", "a"),
                ("job", "node"),
                ("instance", "i"),
            ],
            Some("USDC1"),
            "/metrics/job/node/instance/i/publisher/USDC1/alpha/a/zone/z",
        );
        check(&[("job", "node")], None, "/metrics/job/node");
    }

    #[test]
    fn what_a_path_cannot_carry_goes_in_base64() {
        check(&[("job", "a/b")], None, "/metrics/job@base64/YS9i");
        check(&[("job", "a/?>")], None, "/metrics/job@base64/YS8_Pg");
        check(&[("job", "..")], None, "/metrics/job@base64/Li4");
        check(&[("job", ".")], None, "/metrics/job@base64/Lg");
        check(&[], None, "/metrics/job@base64/=");
    }

    #[test]
    fn other_values_are_escaped() {
        check(
            &[("job", "ä %?#\\")],
            None,
            "/metrics/job/%C3%A4%20%25%3F%23%5C",
        );
        check(&[("job", "%2e%2e")], None, "/metrics/job/%252e%252e");
        check(&[("job", "\n+;=")], None, "/metrics/job/%0A%2B%3B%3D");
        check(
            &[("job", "j"), ("instance", "[::1]:90")],
            None,
            "/metrics/job/j/instance/%5B%3A%3A1%5D%3A90",
        );
    }
}
