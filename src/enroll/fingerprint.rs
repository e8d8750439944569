//! SHA-256 fingerprints.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// Bytes of a SHA-256 digest.
const LENGTH: usize = 32;

/// The SHA-256 digest of a certificate, or of a whole file of them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; LENGTH]);

/// A text that is no fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FingerprintError {
    /// It has the length of another digest.
    #[error(
        "this is no SHA-256 fingerprint, it has {digits} hexadecimal digits; ask for one with `-sha256`"
    )]
    OtherDigest {
        /// How many digits it has.
        digits: usize,
    },
    /// It is something else.
    #[error(
        "a fingerprint has 64 hexadecimal digits, with or without colons, such as `SHA256:5E:2B:…`"
    )]
    Malformed,
}

impl Fingerprint {
    /// Computes the fingerprint of bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    /// Reads what `openssl x509 -fingerprint -sha256`, `sha256sum` and `puppet` print.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let digest = text
            .rsplit_once('=')
            .map_or(text, |(_label, digest)| digest);
        let lower = digest.to_ascii_lowercase();
        let lower = lower
            .strip_prefix("sha256:")
            .or_else(|| lower.strip_prefix("(sha256) "))
            .unwrap_or(&lower);
        let mut nibbles = Vec::with_capacity(2 * LENGTH);
        for c in lower.chars().filter(|c| *c != ':') {
            let digit = c.to_digit(16).ok_or(FingerprintError::Malformed)?;
            nibbles.push(u8::try_from(digit).unwrap_or_default());
            if nibbles.len() > 4 * LENGTH {
                return Err(FingerprintError::Malformed);
            }
        }
        // MD5, SHA-1, SHA-224, SHA-384 and SHA-512.
        if matches!(nibbles.len(), 32 | 40 | 56 | 96 | 128) {
            return Err(FingerprintError::OtherDigest {
                digits: nibbles.len(),
            });
        }
        let (pairs, rest) = nibbles.as_chunks::<2>();
        let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
        match <[u8; LENGTH]>::try_from(bytes) {
            Ok(bytes) if rest.is_empty() => Ok(Self(bytes)),
            _ => Err(FingerprintError::Malformed),
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SHA256")?;
        for byte in self.0 {
            write!(f, ":{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_forms_that_tools_print() {
        let expected = Fingerprint::of(b"abc");
        let shown = expected.to_string();
        assert!(shown.starts_with("SHA256:BA:78:16:BF:"), "{shown}");
        let colons = shown.strip_prefix("SHA256:").unwrap();
        let plain = colons.replace(':', "");
        for text in [
            shown.clone(),
            colons.to_owned(),
            plain.clone(),
            plain.to_lowercase(),
            format!("sha256 Fingerprint={colons}\n"),
            format!("SHA256:{plain}"),
            format!("(SHA256) {colons}"),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_fingerprint() {
        for text in [
            "",
            "SHA256:",
            "xyz",
            &"a".repeat(63),
            &"a".repeat(65),
            &"g".repeat(64),
        ] {
            let error = text.parse::<Fingerprint>().unwrap_err();
            assert_eq!(error, FingerprintError::Malformed, "{text}");
        }
        let error = "a".repeat(40).parse::<Fingerprint>().unwrap_err();
        assert_eq!(error, FingerprintError::OtherDigest { digits: 40 });
        assert!("a".repeat(100_000).parse::<Fingerprint>().is_err());
    }
}
