//! Patterns of file names, as Go's `filepath.Glob` reads them.
//!
//! `*` is any part of a name, `?` one character, `[a-z]` and `[^a-z]` one of a set, and `\` takes
//! the meaning from what follows it. None of them matches a `/`.

use std::path::{Path, PathBuf};

/// The longest pattern: no path is longer (`PATH_MAX` of Linux).
pub const PATTERN_MAX: usize = 4096;

/// A pattern that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// A `[` has no `]`, a range no end, a `\` nothing after it.
    #[error("a `[` without its `]`, an empty set, or a `\\` at the end")]
    Syntax,
    /// It is longer than any path.
    #[error("it is longer than {PATTERN_MAX} bytes")]
    TooLong,
}

/// Checks a pattern without looking at any file.
pub fn check(pattern: &str) -> Result<(), GlobError> {
    if pattern.len() > PATTERN_MAX {
        return Err(GlobError::TooLong);
    }
    pattern
        .split('/')
        .try_for_each(|name| Tokens::parse(name).map(drop))
}

/// Returns what matches, sorted folder by folder; folders that cannot be read hold nothing.
pub fn expand(pattern: &str) -> Result<Vec<PathBuf>, GlobError> {
    check(pattern)?;
    let mut found = Vec::new();
    // The length is bounded, and with it the depth of this.
    expand_into(pattern, &mut found)?;
    Ok(found)
}

/// Tells whether a text has characters with a meaning in patterns.
pub fn has_meta(text: &str) -> bool {
    text.contains(['*', '?', '[', '\\'])
}

fn expand_into(pattern: &str, found: &mut Vec<PathBuf>) -> Result<(), GlobError> {
    if !has_meta(pattern) {
        let path = PathBuf::from(pattern);
        // A link that leads nowhere is there: what is behind it may only be late.
        if path.symlink_metadata().is_ok() {
            found.push(path);
        }
        return Ok(());
    }
    let (folder, name) = match pattern.rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some((folder, name)) => (folder, name),
        None => ("", pattern),
    };
    let tokens = Tokens::parse(name)?;
    let mut folders = Vec::new();
    if has_meta(folder) {
        expand_into(folder, &mut folders)?;
    } else {
        folders.push(PathBuf::from(folder));
    }
    for folder in folders {
        let listed = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            &folder
        };
        let Ok(entries) = listed.read_dir() else {
            continue;
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<String> = names.filter(|name| tokens.matches(name)).collect();
        names.sort_unstable();
        found.extend(names.into_iter().map(|name| folder.join(name)));
    }
    Ok(())
}

/// A pattern for one name.
struct Tokens(Vec<Token>);

enum Token {
    /// Any number of characters.
    Many,
    /// Any character.
    One,
    /// One character of these ranges, or of none of them.
    Set {
        is_negated: bool,
        ranges: Vec<(char, char)>,
    },
    /// This character.
    Literal(char),
}

impl Tokens {
    fn parse(pattern: &str) -> Result<Self, GlobError> {
        let mut tokens = Vec::new();
        let mut rest = pattern.chars();
        while let Some(c) = rest.next() {
            tokens.push(match c {
                '*' => Token::Many,
                '?' => Token::One,
                '[' => set(&mut rest)?,
                '\\' => Token::Literal(rest.next().ok_or(GlobError::Syntax)?),
                c => Token::Literal(c),
            });
        }
        Ok(Self(tokens))
    }

    /// Matches a whole name, in at most their lengths' product of steps.
    fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        let (mut token, mut at) = (0, 0);
        // Where to go on when it does not fit: after the last `*`, with one character more in it.
        let mut retry: Option<(usize, usize)> = None;
        loop {
            let fits = match (self.0.get(token), name.get(at)) {
                (None, None) => return true,
                (Some(Token::Many), _) => {
                    retry = Some((token, at));
                    token += 1;
                    continue;
                }
                (Some(token), Some(c)) => token.fits(*c),
                _ => false,
            };
            if fits {
                (token, at) = (token + 1, at + 1);
            } else if let Some((star, start)) = retry
                && start < name.len()
            {
                retry = Some((star, start + 1));
                (token, at) = (star + 1, start + 1);
            } else {
                return false;
            }
        }
    }
}

impl Token {
    fn fits(&self, c: char) -> bool {
        match self {
            Self::Many | Self::One => true,
            Self::Set { is_negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *is_negated
            }
            Self::Literal(literal) => *literal == c,
        }
    }
}

/// Reads a set after its `[`.
fn set(rest: &mut std::str::Chars<'_>) -> Result<Token, GlobError> {
    let mut ranges = Vec::new();
    let is_negated = rest.as_str().starts_with('^');
    if is_negated {
        rest.next();
    }
    loop {
        match rest.next() {
            Some(']') if !ranges.is_empty() => return Ok(Token::Set { is_negated, ranges }),
            low => {
                let low = member(low, rest)?;
                let mut high = low;
                if rest.as_str().starts_with('-') {
                    rest.next();
                    let end = rest.next();
                    high = member(end, rest)?;
                }
                ranges.push((low, high));
            }
        }
    }
}

fn member(c: Option<char>, rest: &mut std::str::Chars<'_>) -> Result<char, GlobError> {
    match c {
        None | Some('-' | ']') => Err(GlobError::Syntax),
        Some('\\') => rest.next().ok_or(GlobError::Syntax),
        Some(c) => Ok(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn matches(pattern: &str, name: &str, expected: bool) {
        let tokens = Tokens::parse(pattern).unwrap();
        assert_eq!(tokens.matches(name), expected, "{pattern} {name}");
    }

    #[test]
    fn names_match_as_in_go() {
        matches("", "", true);
        matches("abc", "abc", true);
        matches("abc", "ab", false);
        matches("*", "", true);
        matches("*", ".hidden", true);
        matches("*.json", "a.json", true);
        matches("*.json", "a.json.bak", false);
        matches("a*b*c", "a-b-b-c", true);
        matches("a*b*c", "a-c-b", false);
        matches("a*a*a*a*b", &"a".repeat(100), false);
        matches("?.yml", "ü.yml", true);
        matches("?.yml", ".yml", false);
        matches("[a-c]x", "bx", true);
        matches("[^a-c]x", "bx", false);
        matches("[^a-c]x", "dx", true);
        matches("[\\]a]", "]", true);
        matches("a\\*b", "a*b", true);
        matches("a\\*b", "axb", false);
    }

    #[test]
    fn bad_patterns_are_refused() {
        for pattern in [
            "[", "[]", "[]a]", "[-a]", "[a-]", "[a", "[^]", "a\\", "a/[/b",
        ] {
            assert_eq!(check(pattern), Err(GlobError::Syntax), "{pattern}");
        }
        assert_eq!(check(&"a".repeat(PATTERN_MAX + 1)), Err(GlobError::TooLong));
    }

    #[test]
    fn files_are_found_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_str().unwrap();
        for name in ["b/x.json", "b/y.json", "a/x.json", "a/x.yml"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let found = |pattern: &str| -> Vec<String> {
            let found = expand(&format!("{root}/{pattern}")).unwrap();
            let name = |path: PathBuf| path.strip_prefix(root).unwrap().display().to_string();
            found.into_iter().map(name).collect()
        };
        assert_eq!(found("b/*.json"), ["b/x.json", "b/y.json"]);
        assert_eq!(found("[ab]/x.*"), ["a/x.json", "a/x.yml", "b/x.json"]);
        assert_eq!(found("a/x.yml"), ["a/x.yml"]);
        assert_eq!(found("a/z.yml"), Vec::<String>::new());
        assert_eq!(found("c/*.yml"), Vec::<String>::new());
    }
}
