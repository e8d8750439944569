//! A cursor over a body: the tokens that both formats share.

use std::borrow::Cow;

use super::error::{Fault, Reason};

/// A position in a body.
pub(super) struct Scan<'a> {
    body: &'a [u8],
    /// The body up to its first byte that is not UTF-8. Checking all of it at once is far cheaper
    /// than checking each token; what lies behind such a byte is checked token by token, since
    /// comments may hold anything.
    text: &'a str,
    pub(super) at: usize,
    /// The line of `at`, counted from 1.
    pub(super) line: usize,
}

/// A quoted string: where its content stands.
pub(super) struct Quoted {
    from: usize,
    to: usize,
    has_escape: bool,
}

/// What a quoted string may hold besides text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Allow {
    /// Neither bytes 0 nor line breaks.
    Neither,
    /// Line breaks: names.
    Breaks,
    /// Bytes 0: label values of `OpenMetrics`.
    Nuls,
    /// Both: label values of the text format.
    Both,
}

/// Which backslash sequences stand for another character; any other stands for itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Escapes {
    /// `\\` and `\n`.
    Help,
    /// `\\`, `\n` and `\"`.
    String,
}

impl<'a> Scan<'a> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        let text = match std::str::from_utf8(body) {
            Ok(text) => text,
            Err(error) => body
                .get(..error.valid_up_to())
                .and_then(|valid| std::str::from_utf8(valid).ok())
                .unwrap_or_default(),
        };
        Self {
            body,
            text,
            at: 0,
            line: 1,
        }
    }

    pub(super) fn body(&self) -> &'a [u8] {
        self.body
    }

    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.body.get(self.at..).unwrap_or_default()
    }

    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    /// Steps over a byte if it is there.
    #[inline]
    pub(super) fn eat(&mut self, expected: u8) -> bool {
        let is_there = self.peek() == Some(expected);
        self.at += usize::from(is_there);
        is_there
    }

    /// Steps over bytes if they are there.
    pub(super) fn eat_all(&mut self, expected: &[u8]) -> bool {
        let is_there = self.rest().starts_with(expected);
        if is_there {
            self.at += expected.len();
        }
        is_there
    }

    /// Steps over spaces and tabs.
    #[inline]
    pub(super) fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    /// Steps over all bytes of a kind and returns them.
    #[inline]
    pub(super) fn run(&mut self, is_member: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let length = rest
            .iter()
            .position(|&byte| !is_member(byte))
            .unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    /// Steps to the end of the line and returns what was before it.
    pub(super) fn line_rest(&mut self) -> &'a [u8] {
        let rest = self.rest();
        let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    /// Steps over a line break; `false` when there is none.
    #[inline]
    pub(super) fn line_break(&mut self) -> bool {
        let is_there = self.eat(b'\n');
        self.line += usize::from(is_there);
        is_there
    }

    pub(super) fn fault(&self, reason: Reason) -> Fault {
        Fault {
            at: self.at,
            reason,
        }
    }

    /// Returns a part of the body as text.
    #[inline]
    pub(super) fn str(&self, from: usize, to: usize) -> Result<&'a str, Fault> {
        match self.text.get(from..to) {
            Some(text) => Ok(text),
            None => self.str_checked(from, to),
        }
    }

    #[cold]
    fn str_checked(&self, from: usize, to: usize) -> Result<&'a str, Fault> {
        let bytes = self.body.get(from..to).unwrap_or_default();
        std::str::from_utf8(bytes).map_err(|error| Fault {
            at: from + error.valid_up_to(),
            reason: Reason::InvalidUtf8,
        })
    }

    /// Returns the longest part of the body that is text.
    pub(super) fn str_prefix(&self, from: usize, to: usize) -> &'a str {
        match self.str(from, to) {
            Ok(text) => text,
            Err(fault) => self.str(from, fault.at).unwrap_or_default(),
        }
    }

    /// Reads a string; the opening quote is the next byte.
    #[inline]
    pub(super) fn quoted(&mut self, allow: Allow) -> Result<Quoted, Fault> {
        let open = self.at;
        self.at += 1;
        let from = self.at;
        let mut has_escape = false;
        loop {
            self.run(|byte| !matches!(byte, b'"' | b'\\' | b'\n' | 0));
            match self.peek() {
                Some(b'"') => {
                    let to = self.at;
                    self.at += 1;
                    return Ok(Quoted {
                        from,
                        to,
                        has_escape,
                    });
                }
                Some(b'\\') => {
                    has_escape = true;
                    self.at += 1;
                    self.escaped(open, allow)?;
                }
                Some(b'\n') if matches!(allow, Allow::Breaks | Allow::Both) => {
                    self.line_break();
                }
                Some(0) if matches!(allow, Allow::Nuls | Allow::Both) => self.at += 1,
                Some(0) => return Err(self.fault(Reason::NulByte)),
                _ => return Err(unterminated(open)),
            }
        }
    }

    /// Steps over what a backslash makes part of a string.
    fn escaped(&mut self, open: usize, allow: Allow) -> Result<(), Fault> {
        if matches!(allow, Allow::Nuls | Allow::Both) {
            self.run(|byte| byte == 0);
        }
        match self.peek() {
            None | Some(b'\n') => Err(unterminated(open)),
            Some(0) => Err(self.fault(Reason::NulByte)),
            Some(_) => {
                self.at += 1;
                Ok(())
            }
        }
    }

    /// Returns what a quoted string says.
    #[inline]
    pub(super) fn unquote(&self, quoted: &Quoted) -> Result<Cow<'a, str>, Fault> {
        let raw = self.str(quoted.from, quoted.to)?;
        if quoted.has_escape {
            Ok(unescape(raw, Escapes::String))
        } else {
            Ok(Cow::Borrowed(raw))
        }
    }
}

fn unterminated(open: usize) -> Fault {
    Fault {
        at: open,
        reason: Reason::UnterminatedString,
    }
}

/// Replaces backslash sequences; text without any is returned as it is.
pub(super) fn unescape(raw: &str, escapes: Escapes) -> Cow<'_, str> {
    if !raw.contains('\\') {
        return Cow::Borrowed(raw);
    }
    let mut text = String::with_capacity(raw.len());
    let mut chars = raw.chars().peekable();
    while let Some(c) = chars.next() {
        let replaced = match (c, chars.peek()) {
            ('\\', Some('\\')) => '\\',
            ('\\', Some('n')) => '\n',
            ('\\', Some('"')) if escapes == Escapes::String => '"',
            _ => {
                text.push(c);
                continue;
            }
        };
        text.push(replaced);
        chars.next();
    }
    Cow::Owned(text)
}
