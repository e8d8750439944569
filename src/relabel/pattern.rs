//! Regular expressions: from the syntax of RE2, as Go reads it, to that of the `regex` crate.
//!
//! Both know the same constructs and match in the same order, but they do not write all of them
//! alike, and some are read by both with different meanings. So every construct is read here by
//! RE2's rules and written anew in a form that has one meaning only:
//!
//! | RE2 | written as |
//! | --- | --- |
//! | `\d` `\s` `\w` and their opposites: ASCII | classes of ASCII characters |
//! | `\b`: between ASCII words | `(?-u:\b)` |
//! | `\Q…\E` | each character by its number |
//! | octal numbers such as `\012` | `\x{a}` |
//! | in a class, `[`, `&&`, `--`, `~~` are plain characters | each by its number |
//! | a brace that begins no repetition is a plain character | by its number |
//! | more than 1000 repetitions, or one repetition of another, are refused | refused |
//! | named groups | groups without a name; the names are kept beside |
//! | flags `i`, `m`, `s`, `U` and no others | the same |

use std::iter::Peekable;
use std::str::Chars;

use regex::{Regex, RegexBuilder};

/// Bytes that a compiled expression may take; Go's own limit is of this order. `\pL{100}` needs
/// less than one of them.
const COMPILED_MAX: usize = 64 << 20;

/// A repetition may not ask for more (RE2).
const REPEAT_MAX: u32 = 1000;

/// Characters that mean something in a pattern.
const SPECIAL: &str = r"\.+*?()|[]{}^$";

/// Why a pattern cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// A backslash before something that has no such form.
    #[error("invalid escape sequence: `\\{0}`")]
    Escape(String),
    /// A class that is not closed.
    #[error("missing closing `]`")]
    OpenClass,
    /// A range, or the name of a class, that makes no sense.
    #[error("invalid character class range: `{0}`")]
    ClassRange(String),
    /// A repetition of a repetition.
    #[error("invalid nested repetition operator: `{0}`")]
    NestedRepetition(String),
    /// A repetition of too much.
    #[error("invalid repeat count: `{{{0}}}` (at most 1000)")]
    RepeatCount(String),
    /// A group that RE2 does not have: look-around, for example.
    #[error("invalid or unsupported Perl syntax: `{0}`")]
    Group(String),
    /// Too large once it is compiled.
    #[error("expression is too large")]
    TooLarge,
    /// What the `regex` crate says.
    #[error("{0}")]
    Syntax(String),
}

/// A pattern in the syntax of the `regex` crate.
#[derive(Debug)]
pub(super) struct Translated {
    pub(super) regex: String,
    /// The groups' names by number, empty where there is none.
    pub(super) names: Vec<String>,
}

/// Returns the alternatives of a pattern that is nothing but plain text with `|` in it.
pub(super) fn literals(pattern: &str) -> Option<Vec<String>> {
    // A group would be captured; one that is not is only there for the sake of `|`.
    let inner = pattern
        .strip_prefix("(?:")
        .and_then(|rest| rest.strip_suffix(')'));
    let mut literals = vec![String::new()];
    let mut chars = inner.unwrap_or(pattern).chars();
    while let Some(c) = chars.next() {
        let literal = match c {
            '|' => {
                literals.push(String::new());
                continue;
            }
            '\\' => chars.next().filter(char::is_ascii_punctuation)?,
            c if SPECIAL.contains(c) => return None,
            c => c,
        };
        literals.last_mut()?.push(literal);
    }
    Some(literals)
}

/// Compiles a translated pattern.
pub(super) fn compile(regex: &str) -> Result<Regex, PatternError> {
    RegexBuilder::new(regex)
        .size_limit(COMPILED_MAX)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => PatternError::TooLarge,
            error => {
                // The last line says what is wrong; those before show the pattern as translated.
                let text = error.to_string();
                let last = text.lines().last().unwrap_or_default();
                let last = last.strip_prefix("error: ").unwrap_or(last);
                PatternError::Syntax(last.to_owned())
            }
        })
}

/// Translates a pattern, anchored at both ends and with a dot that matches newlines.
pub(super) fn translate(pattern: &str) -> Result<Translated, PatternError> {
    // The anchors are put around the text as Prometheus does, before anything of it is read.
    let anchored = format!("^(?s:{pattern})$");
    let mut reader = Reader {
        chars: anchored.chars().peekable(),
        out: String::with_capacity(anchored.len().saturating_mul(2)),
        names: vec![String::new()],
    };
    reader.pattern()?;
    Ok(Translated {
        regex: reader.out,
        names: reader.names,
    })
}

struct Reader<'a> {
    chars: Peekable<Chars<'a>>,
    out: String,
    names: Vec<String>,
}

/// What an escape stands for.
enum Escape {
    Char(char),
    /// A class, as it is written within brackets, and whether it is meant.
    Class(&'static str, bool),
    /// A class of Unicode, with everything that it is written with.
    Unicode(String),
}

impl Reader<'_> {
    fn pattern(&mut self) -> Result<(), PatternError> {
        let mut is_repeated = false;
        while let Some(c) = self.chars.next() {
            let was_repeated = std::mem::replace(&mut is_repeated, false);
            match c {
                '*' | '+' | '?' => {
                    is_repeated = self.repeat(&c.to_string(), was_repeated)?;
                }
                '{' => match self.counts()? {
                    Some(counts) => is_repeated = self.repeat(&counts, was_repeated)?,
                    None => self.literal('{'),
                },
                '(' => self.group()?,
                ')' | '|' | '^' | '$' | '.' => self.out.push(c),
                '[' => self.class()?,
                '\\' => self.escape()?,
                c => self.literal(c),
            }
        }
        Ok(())
    }

    fn repeat(&mut self, operator: &str, was_repeated: bool) -> Result<bool, PatternError> {
        let mut operator = operator.to_owned();
        if self.chars.next_if_eq(&'?').is_some() {
            operator.push('?');
        }
        if was_repeated {
            return Err(PatternError::NestedRepetition(operator));
        }
        self.out.push_str(&operator);
        Ok(true)
    }

    /// Reads what follows a brace, if it is a repetition.
    fn counts(&mut self) -> Result<Option<String>, PatternError> {
        let mut ahead = self.chars.clone();
        let mut inner = String::new();
        loop {
            match ahead.next() {
                Some('}') => break,
                Some(c) if c.is_ascii_digit() || c == ',' => inner.push(c),
                _ => return Ok(None),
            }
        }
        let (least, most) = match inner.split_once(',') {
            None => (&*inner, Some(&*inner)),
            Some((least, "")) => (least, None),
            Some((least, most)) => (least, Some(most)),
        };
        let is_number = |text: &str| {
            let is_short = text == "0" || !text.starts_with('0');
            !text.is_empty() && is_short && !text.contains(',')
        };
        if !is_number(least) || !most.is_none_or(is_number) {
            return Ok(None);
        }
        let count = |text: &str| {
            text.parse::<u32>()
                .ok()
                .filter(|count| *count <= REPEAT_MAX)
        };
        let is_allowed = match (count(least), most.map(count)) {
            (Some(_), None) => true,
            (Some(least), Some(Some(most))) => least <= most,
            _ => false,
        };
        if !is_allowed {
            return Err(PatternError::RepeatCount(inner));
        }
        self.chars = ahead;
        Ok(Some(format!("{{{inner}}}")))
    }

    fn group(&mut self) -> Result<(), PatternError> {
        if self.chars.next_if_eq(&'?').is_none() {
            self.names.push(String::new());
            self.out.push('(');
            return Ok(());
        }
        let mut ahead = self.chars.clone();
        let is_named = match (ahead.next(), ahead.next()) {
            (Some('<'), _) => {
                self.chars.next();
                true
            }
            (Some('P'), Some('<')) => {
                self.chars.next();
                self.chars.next();
                true
            }
            _ => false,
        };
        if !is_named {
            return self.flags();
        }
        let mut name = String::new();
        loop {
            match self.chars.next() {
                Some('>') if !name.is_empty() => break,
                Some(c) if c.is_ascii_alphanumeric() || c == '_' => name.push(c),
                _ => return Err(PatternError::Group(format!("(?P<{name}"))),
            }
        }
        // Two groups may have one name: the one that took part counts.
        self.names.push(name);
        self.out.push('(');
        Ok(())
    }

    /// Reads what follows `(?`, up to the colon or the closing parenthesis.
    fn flags(&mut self) -> Result<(), PatternError> {
        let (mut on, mut off) = (String::new(), String::new());
        let mut is_negated = false;
        let mut read = "(?".to_owned();
        let end = loop {
            let Some(c) = self.chars.next() else {
                return Err(PatternError::Group(read));
            };
            read.push(c);
            match c {
                'i' | 'm' | 's' | 'U' if is_negated => off.push(c),
                'i' | 'm' | 's' | 'U' => on.push(c),
                '-' if !is_negated => is_negated = true,
                ':' | ')' if !is_negated || !off.is_empty() => break c,
                _ => return Err(PatternError::Group(read)),
            }
        };
        // Here a flag may be given twice, and the minus wins; there both are errors.
        let once = |flags: &str| -> String {
            let is_given = |flag: &char| flags.contains(*flag);
            ['i', 'm', 's', 'U'].into_iter().filter(is_given).collect()
        };
        on.retain(|flag| !off.contains(flag));
        let (on, off) = (once(&on), once(&off));
        let minus = if off.is_empty() { "" } else { "-" };
        if end == ')' && on.is_empty() && off.is_empty() {
            return Ok(());
        }
        self.push_all(["(?", &format!("{on}{minus}"), &off]);
        self.out.push(end);
        Ok(())
    }

    /// Reads what follows a backslash outside of a class.
    fn escape(&mut self) -> Result<(), PatternError> {
        match self.chars.peek() {
            Some('A') => self.out.push_str(r"\A"),
            Some('z') => self.out.push_str(r"\z"),
            Some('b') => self.out.push_str(r"(?-u:\b)"),
            // The one of ASCII could match within a character, so the crate does not have it; in
            // ASCII text both are the same.
            Some('B') => self.out.push_str(r"\B"),
            Some('Q') => {
                self.chars.next();
                self.quoted();
                return Ok(());
            }
            _ => {
                match self.escaped()? {
                    Escape::Char(c) => self.literal(c),
                    Escape::Class(inner, true) => self.push_all(["[", inner, "]"]),
                    Escape::Class(inner, false) => self.push_all(["[^", inner, "]"]),
                    Escape::Unicode(class) => self.out.push_str(&class),
                }
                return Ok(());
            }
        }
        self.chars.next();
        Ok(())
    }

    fn quoted(&mut self) {
        while let Some(c) = self.chars.next() {
            if c == '\\' && self.chars.next_if_eq(&'E').is_some() {
                return;
            }
            self.literal(c);
        }
    }

    /// Reads what follows a backslash and may stand in a class as well.
    fn escaped(&mut self) -> Result<Escape, PatternError> {
        let refused = |text: String| Err(PatternError::Escape(text));
        let Some(c) = self.chars.next() else {
            return refused(String::new());
        };
        let one = match c {
            'd' => return Ok(Escape::Class(DIGIT, true)),
            'D' => return Ok(Escape::Class(DIGIT, false)),
            's' => return Ok(Escape::Class(SPACE, true)),
            'S' => return Ok(Escape::Class(SPACE, false)),
            'w' => return Ok(Escape::Class(WORD, true)),
            'W' => return Ok(Escape::Class(WORD, false)),
            'p' | 'P' => return self.unicode(c == 'P'),
            'a' => '\x07',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            'x' => return self.hexadecimal().map(Escape::Char),
            '0'..='7' => return self.octal(c).map(Escape::Char),
            c if c.is_ascii_punctuation() || c == ' ' || c.is_ascii_control() => c,
            c => return refused(c.to_string()),
        };
        Ok(Escape::Char(one))
    }

    fn octal(&mut self, first: char) -> Result<char, PatternError> {
        let digit = |c: char| c.to_digit(8);
        let mut number = digit(first).unwrap_or_default();
        let has_more = self.chars.peek().is_some_and(|c| digit(*c).is_some());
        // One digit that is not zero would refer back to a group, which RE2 cannot.
        if first != '0' && !has_more {
            return Err(PatternError::Escape(first.to_string()));
        }
        for _ in 0..2 {
            let Some(c) = self.chars.next_if(|c| digit(*c).is_some()) else {
                break;
            };
            number = number * 8 + digit(c).unwrap_or_default();
        }
        char::from_u32(number).ok_or_else(|| PatternError::Escape(first.to_string()))
    }

    fn hexadecimal(&mut self) -> Result<char, PatternError> {
        let mut digits = String::new();
        if self.chars.next_if_eq(&'{').is_some() {
            while let Some(c) = self.chars.next_if(|c| *c != '}') {
                digits.push(c);
            }
            self.chars.next();
        } else {
            digits.extend(self.chars.next());
            digits.extend(self.chars.next());
            if digits.len() != 2 {
                return Err(PatternError::Escape(format!("x{digits}")));
            }
        }
        let is_number = digits.chars().all(|c| c.is_ascii_hexdigit());
        let number = u32::from_str_radix(&digits, 16)
            .ok()
            .and_then(char::from_u32);
        number
            .filter(|_| is_number)
            .ok_or_else(|| PatternError::Escape(format!("x{digits}")))
    }

    /// Reads the name of a class of Unicode.
    fn unicode(&mut self, is_negated: bool) -> Result<Escape, PatternError> {
        let mut name = String::new();
        match self.chars.next() {
            Some('{') => {
                while let Some(c) = self.chars.next_if(|c| *c != '}') {
                    name.push(c);
                }
                if self.chars.next().is_none() {
                    return Err(PatternError::ClassRange(format!(r"\p{{{name}")));
                }
            }
            Some(c) => name.push(c),
            None => return Err(PatternError::ClassRange(r"\p".to_owned())),
        }
        let is_negated = is_negated != name.starts_with('^');
        let bare = name.trim_start_matches('^');
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if bare.is_empty() || !bare.chars().all(is_name) {
            return Err(PatternError::ClassRange(format!(r"\p{{{name}}}")));
        }
        let letter = if is_negated { 'P' } else { 'p' };
        Ok(Escape::Unicode(format!(r"\{letter}{{{bare}}}")))
    }

    /// Reads a class; its opening bracket is behind us.
    fn class(&mut self) -> Result<(), PatternError> {
        self.out.push('[');
        if self.chars.next_if_eq(&'^').is_some() {
            self.out.push('^');
        }
        let mut is_first = true;
        loop {
            let c = self.chars.next().ok_or(PatternError::OpenClass)?;
            if c == ']' && !is_first {
                self.out.push(']');
                return Ok(());
            }
            is_first = false;
            if c == '[' && self.chars.peek() == Some(&':') && self.posix()? {
                continue;
            }
            let low = match self.class_char(c)? {
                Escape::Char(low) => low,
                Escape::Class(inner, true) => {
                    self.out.push_str(inner);
                    continue;
                }
                Escape::Class(inner, false) => {
                    self.push_all(["[^", inner, "]"]);
                    continue;
                }
                Escape::Unicode(class) => {
                    self.out.push_str(&class);
                    continue;
                }
            };
            self.literal(low);
            self.range(low)?;
        }
    }

    fn class_char(&mut self, c: char) -> Result<Escape, PatternError> {
        if c == '\\' {
            self.escaped()
        } else {
            Ok(Escape::Char(c))
        }
    }

    /// Reads the rest of a range, if one begins with the character that was just read.
    fn range(&mut self, low: char) -> Result<(), PatternError> {
        let mut ahead = self.chars.clone();
        let is_range = ahead.next() == Some('-') && ahead.peek().is_some_and(|c| *c != ']');
        if !is_range {
            return Ok(());
        }
        self.chars.next();
        let c = self.chars.next().ok_or(PatternError::OpenClass)?;
        match self.class_char(c)? {
            Escape::Char(high) if high >= low => {
                self.out.push('-');
                self.literal(high);
                Ok(())
            }
            Escape::Char(high) => Err(PatternError::ClassRange(format!("{low}-{high}"))),
            _ => Err(PatternError::ClassRange(format!("{low}-\\"))),
        }
    }

    /// Reads a class such as `[:alpha:]`; its first bracket is behind us.
    fn posix(&mut self) -> Result<bool, PatternError> {
        let mut ahead = self.chars.clone();
        ahead.next();
        let mut name = String::new();
        loop {
            match ahead.next() {
                Some(':') if ahead.peek() == Some(&']') => break,
                Some(c) => name.push(c),
                // Never closed: the bracket is a plain character.
                None => return Ok(false),
            }
        }
        ahead.next();
        if !POSIX.contains(&name.trim_start_matches('^')) || name.starts_with("^^") {
            return Err(PatternError::ClassRange(format!("[:{name}:]")));
        }
        self.push_all(["[:", &name, ":]"]);
        self.chars = ahead;
        Ok(true)
    }

    fn push_all(&mut self, parts: [&str; 3]) {
        self.out.extend(parts);
    }

    /// Writes a character that stands for itself, in a class or not.
    fn literal(&mut self, c: char) {
        if c.is_ascii() && !c.is_ascii_alphanumeric() {
            let number = format!("{:x}", u32::from(c));
            self.push_all([r"\x{", &number, "}"]);
        } else {
            self.out.push(c);
        }
    }
}

const DIGIT: &str = "0-9";
const SPACE: &str = r"\t\n\x0c\r\x20";
const WORD: &str = "0-9A-Za-z_";

/// Classes of POSIX, which are ASCII in both.
const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];
