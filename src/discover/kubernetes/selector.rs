//! Checks selectors before a server refuses them.

/// Characters of a label's value.
const VALUE_MAX: usize = 63;

/// Checks a field selector: `name=value`, `name==value` or `name!=value`, separated by commas.
pub fn check_field_selector(text: &str) -> Result<(), String> {
    for term in split_terms(text) {
        let is_term = term.is_empty() || term.contains('=');
        if !is_term {
            return Err(format!(
                "`{term}` is neither `name=value` nor `name!=value`"
            ));
        }
    }
    Ok(())
}

/// Splits at commas that no backslash stands before.
fn split_terms(text: &str) -> Vec<String> {
    let mut terms = vec![String::new()];
    let mut is_escaped = false;
    for c in text.chars() {
        if c == ',' && !is_escaped {
            terms.push(String::new());
        } else if let Some(term) = terms.last_mut() {
            term.push(c);
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    terms
}

/// Checks a label selector: requirements such as `name`, `!name`, `name=value`, `name!=value`,
/// `name in (a, b)`, `name notin (a, b)`, `name>1`, separated by commas.
pub fn check_label_selector(text: &str) -> Result<(), String> {
    let tokens = tokens(text);
    let mut rest = tokens.as_slice();
    if rest.is_empty() {
        return Ok(());
    }
    loop {
        rest = requirement(rest)?;
        match rest {
            [] => return Ok(()),
            [Token::Sign(","), after @ ..] if !after.is_empty() => rest = after,
            [token, ..] => return Err(format!("`{}` is not expected there", token.text())),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    Sign(&'a str),
}

impl Token<'_> {
    fn text(&self) -> &str {
        match self {
            Self::Word(text) | Self::Sign(text) => text,
        }
    }
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    const SIGNS: [&str; 9] = ["==", "!=", "=", "!", ",", "(", ")", ">", "<"];
    let is_sign = |c: char| "=!,()<>".contains(c);
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
        let end = match sign {
            Some(sign) => sign.len(),
            None => rest
                .find(|c: char| is_sign(c) || c.is_whitespace())
                .unwrap_or(rest.len()),
        };
        let (token, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
        tokens.push(if sign.is_some() {
            Token::Sign(token)
        } else {
            Token::Word(token)
        });
        rest = after.trim_start();
    }
    tokens
}

/// Checks one requirement, and returns what stands after it.
fn requirement<'a, 't>(tokens: &'t [Token<'a>]) -> Result<&'t [Token<'a>], String> {
    use Token::{Sign, Word};
    match tokens {
        [Sign("!"), Word(name), rest @ ..] => check_name(name).map(|()| rest),
        [Word(name), Word("in" | "notin"), Sign("("), rest @ ..] => {
            check_name(name)?;
            set(rest)
        }
        [Word(name), Sign("=" | "==" | "!="), rest @ ..] => {
            check_name(name)?;
            match rest {
                [Word(value), rest @ ..] => check_value(value).map(|()| rest),
                // The empty value.
                rest => Ok(rest),
            }
        }
        [Word(name), Sign(">" | "<"), rest @ ..] => {
            check_name(name)?;
            match rest {
                [Word(value), rest @ ..] if value.parse::<i64>().is_ok() => Ok(rest),
                _ => Err("`>` and `<` compare with a whole number".to_owned()),
            }
        }
        [Word(name), rest @ ..] => check_name(name).map(|()| rest),
        [token, ..] => Err(format!("`{}` is not expected there", token.text())),
        [] => Err("it ends where the name of a label should be".to_owned()),
    }
}

/// Checks what stands behind an opening parenthesis.
fn set<'a, 't>(tokens: &'t [Token<'a>]) -> Result<&'t [Token<'a>], String> {
    let mut rest = tokens;
    loop {
        rest = match rest {
            [Token::Word(value), rest @ ..] => check_value(value).map(|()| rest)?,
            // Nothing between commas is the empty value.
            rest => rest,
        };
        match rest {
            [Token::Sign(","), after @ ..] => rest = after,
            [Token::Sign(")"), after @ ..] => return Ok(after),
            _ => return Err("a list of values ends with `)`".to_owned()),
        }
    }
}

/// Checks the name of a label, with or without the domain that it belongs to.
fn check_name(text: &str) -> Result<(), String> {
    let (domain, name) = match text.split_once('/') {
        None => (None, text),
        Some((domain, name)) => (Some(domain), name),
    };
    let is_domain = |domain: &str| {
        let is_label = |label: &str| is_framed(label, |c| c == '-') && label.len() <= VALUE_MAX;
        domain.len() <= 253 && domain.split('.').all(is_label)
    };
    let is_name = name.len() <= VALUE_MAX && is_framed(name, |c| "-_.".contains(c));
    if is_name && domain.is_none_or(is_domain) {
        Ok(())
    } else {
        Err(format!("`{text}` is not the name of a label"))
    }
}

fn check_value(text: &str) -> Result<(), String> {
    let is_value = text.len() <= VALUE_MAX && is_framed(text, |c| "-_.".contains(c));
    if is_value {
        Ok(())
    } else {
        Err(format!("`{text}` is not the value of a label"))
    }
}

/// Tells whether a text begins and ends with a letter or digit, with some other characters between.
fn is_framed(text: &str, is_inner: impl Fn(char) -> bool) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric();
    text.starts_with(plain)
        && text.ends_with(plain)
        && text.chars().all(|c| plain(c) || is_inner(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_label(text: &str, is_right: bool) {
        let checked = check_label_selector(text);
        assert_eq!(checked.is_ok(), is_right, "{text}: {checked:?}");
    }

    #[test]
    fn label_selectors_of_all_forms_are_taken() {
        check_label("", true);
        check_label("app", true);
        check_label("!app", true);
        check_label("app.kubernetes.io/name=web,tier!=x", true);
        check_label("a == b , c in (d,e), f notin (g), h, !i", true);
        check_label("a=", true);
        check_label("a=,b", true);
        check_label("a in (,)", true);
        check_label("n>1,n<7", true);
        check_label("in in (in)", true);
    }

    #[test]
    fn wrong_label_selectors_are_refused() {
        check_label("a,", false);
        check_label(",a", false);
        check_label("a b", false);
        check_label("a in b", false);
        check_label("a in (b", false);
        check_label("a!b", false);
        check_label("a=b=c", false);
        check_label("-a", false);
        check_label("a/b/c", false);
        check_label("a=b/c", false);
        check_label("n>x", false);
        check_label("=a", false);
        check_label("größe", false);
        check_label(&format!("a={}", "x".repeat(64)), false);
    }

    #[track_caller]
    fn check_field(text: &str, is_right: bool) {
        assert_eq!(check_field_selector(text).is_ok(), is_right, "{text}");
    }

    #[test]
    fn field_selectors_are_comparisons() {
        check_field("", true);
        check_field("metadata.name=a,status.phase!=Failed,spec.x==y", true);
        check_field("a=b\\,c", true);
        check_field("metadata.name", false);
        check_field("a=b,c", false);
    }
}
