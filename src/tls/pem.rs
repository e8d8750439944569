//! PEM (RFC 7468): blocks of base64 between two lines, with any text around them.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Base64 as openssl reads it: some writers leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What editors of another system put in front of UTF-8 text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The same for UTF-16, in which no line would be found.
const UTF16_MARKS: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];

/// One block.
#[derive(Debug, PartialEq, Eq)]
pub struct Block {
    /// What it says that it is, such as `CERTIFICATE`.
    pub label: String,
    /// The line where it begins, from 1.
    pub line: usize,
    /// Whether its header says that it is encrypted.
    pub is_encrypted: bool,
    /// What stands between the lines, decoded.
    pub der: Vec<u8>,
}

/// What is wrong with a text; it quotes nothing but labels.
#[derive(Debug, PartialEq, Eq)]
pub struct Damage {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub what: String,
}

/// Finds the blocks of a text.
pub fn blocks(text: &[u8]) -> Result<Vec<Block>, Damage> {
    if UTF16_MARKS.iter().any(|mark| text.starts_with(mark)) {
        return Err(damage(1, "the text is UTF-16; save it as UTF-8"));
    }
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let mut blocks = Vec::new();
    let mut open: Option<Open> = None;
    for (line, text) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        let text = text.trim_ascii();
        if text.starts_with(b"-----BEGIN") {
            if let Some(open) = open {
                return Err(open.endless());
            }
            open = Some(Open {
                label: label(text, b"-----BEGIN ", line)?,
                line,
                is_encrypted: false,
                base64: Vec::new(),
            });
        } else if text.starts_with(b"-----END") {
            let label = label(text, b"-----END ", line)?;
            let Some(open) = open.take() else {
                let what = format!("the block `{label}` ends without a beginning");
                return Err(damage(line, &what));
            };
            blocks.push(open.close(&label, line)?);
        } else if let Some(open) = &mut open {
            open.add(text, line)?;
        }
    }
    match open {
        Some(open) => Err(open.endless()),
        None => Ok(blocks),
    }
}

/// A block whose end has not come yet.
struct Open {
    label: String,
    line: usize,
    is_encrypted: bool,
    base64: Vec<u8>,
}

impl Open {
    fn add(&mut self, text: &[u8], line: usize) -> Result<(), Damage> {
        // Headers of RFC 1421, which openssl writes for keys under a password.
        if text.contains(&b':') {
            self.is_encrypted |= text.starts_with(b"Proc-Type:") && text.ends_with(b"ENCRYPTED");
            return Ok(());
        }
        let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
        if !text.iter().all(is_base64) {
            let what = format!("the block `{}` has a line that is not base64", self.label);
            return Err(damage(line, &what));
        }
        self.base64.extend_from_slice(text);
        Ok(())
    }

    fn close(self, label: &str, line: usize) -> Result<Block, Damage> {
        if self.label != label {
            let what = format!("the block begins as `{}` and ends as `{label}`", self.label);
            return Err(damage(line, &what));
        }
        // A password's parameters stand among the headers; nobody will decrypt it.
        let der = match BASE64.decode(&self.base64) {
            Ok(der) if !der.is_empty() => der,
            Ok(_) => {
                let what = format!("the block `{label}` that begins here is empty");
                return Err(damage(self.line, &what));
            }
            Err(_) => {
                let what = format!("the base64 of the block `{label}` that begins here is damaged");
                return Err(damage(self.line, &what));
            }
        };
        Ok(Block {
            label: self.label,
            line: self.line,
            is_encrypted: self.is_encrypted,
            der,
        })
    }

    fn endless(&self) -> Damage {
        let what = format!(
            "the block `{}` that begins here has no end; the text is cut short",
            self.label
        );
        damage(self.line, &what)
    }
}

fn label(text: &[u8], prefix: &[u8], line: usize) -> Result<String, Damage> {
    let label = text
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_suffix(b"-----"))
        .filter(|label| label.iter().all(|byte| matches!(byte, b' '..=b'~')))
        .and_then(|label| std::str::from_utf8(label).ok());
    match label {
        Some(label) => Ok(label.to_owned()),
        None => Err(damage(line, "a line that bounds a block is damaged")),
    }
}

fn damage(line: usize, what: &str) -> Damage {
    Damage {
        line,
        what: what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &[u8], expected: &[(&str, usize, &[u8])]) {
        let found = blocks(text).unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|block| (&*block.label, block.line, &*block.der))
            .collect();
        assert_eq!(found, expected);
    }

    #[track_caller]
    fn refused(text: &[u8], line: usize, what: &str) {
        let damage = blocks(text).unwrap_err();
        assert_eq!((damage.line, &*damage.what), (line, what));
    }

    const ONE: &str = "-----BEGIN X-----\naGVs\nbG8=\n-----END X-----\n";

    #[test]
    fn finds_blocks_however_lines_end_and_whatever_stands_around() {
        check(b"", &[]);
        check(b"hello: \xff\x00\n", &[]);
        check(ONE.as_bytes(), &[("X", 1, b"hello")]);
        check(ONE.trim_end().as_bytes(), &[("X", 1, b"hello")]);
        check(ONE.replace('\n', "\r\n").as_bytes(), &[("X", 1, b"hello")]);
        check(ONE.replace('\n', " \t\n").as_bytes(), &[("X", 1, b"hello")]);
        check(format!("\u{feff}{ONE}").as_bytes(), &[("X", 1, b"hello")]);
        check(ONE.replace('=', "").as_bytes(), &[("X", 1, b"hello")]);
        let two = format!("subject=CN = a\n{ONE}issuer=CN = b\n{ONE}");
        check(two.as_bytes(), &[("X", 2, b"hello"), ("X", 7, b"hello")]);
    }

    #[test]
    fn tells_in_which_line_it_is_damaged() {
        let endless = "the block `X` that begins here has no end; the text is cut short";
        refused(b"\n-----BEGIN X-----\naGVs\n", 2, endless);
        refused(format!("-----BEGIN X-----\n{ONE}").as_bytes(), 1, endless);
        refused(
            b"-----END X-----",
            1,
            "the block `X` ends without a beginning",
        );
        let cut = "a line that bounds a block is damaged";
        refused(b"-----BEGIN X---", 1, cut);
        refused(b"-----BEGIN X-----\naGVs\n-----END X", 3, cut);
        refused(
            b"-----BEGIN X-----\naGVs\n-----END Y-----",
            3,
            "the block begins as `X` and ends as `Y`",
        );
        refused(
            b"-----BEGIN X-----\naGVs\n???\n-----END X-----",
            3,
            "the block `X` has a line that is not base64",
        );
        refused(
            b"-----BEGIN X-----\naGVsb\n-----END X-----",
            1,
            "the base64 of the block `X` that begins here is damaged",
        );
        refused(
            b"-----BEGIN X-----\n-----END X-----",
            1,
            "the block `X` that begins here is empty",
        );
        refused(b"\xff\xfe-\0", 1, "the text is UTF-16; save it as UTF-8");
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(
            pieces in proptest::collection::vec(
                proptest::sample::select(vec![
                    "-----BEGIN ", "-----END ", "-----", "X", "\n", "\r", "aGVs", "=", ":", "\u{feff}",
                ]),
                0..40,
            ),
            bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..40),
        ) {
            drop(blocks(pieces.concat().as_bytes()));
            drop(blocks(&bytes));
        }
    }

    #[test]
    fn notices_a_header_that_says_encrypted() {
        let text =
            b"-----BEGIN X-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: A,1\n\naGVs\n-----END X-----";
        let found = blocks(text).unwrap();
        assert!(found[0].is_encrypted);
        assert!(!blocks(ONE.as_bytes()).unwrap()[0].is_encrypted);
    }
}
