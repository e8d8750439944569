//! The quick ways against the slow one.

use proptest::prelude::*;

use super::super::matcher::Matcher;
use super::super::template::Template;
use super::*;

/// Patterns of which most have a shorter way.
fn pattern() -> impl Strategy<Value = String> {
    let word = prop::sample::select(&["a", "b", "ab", "", "x.y", r"x\.y", "é", "a-b", " "][..]);
    let list = prop::collection::vec(word, 1..12).prop_map(|words| words.join("|"));
    let special = prop::sample::select(&[".*", "(.*)", "(?:.*)", ".+", "(.+)", "(?:.+)"][..]);
    prop_oneof![
        list.clone(),
        list.clone().prop_map(|list| format!("(?:{list})")),
        list.prop_map(|list| format!("({list})")),
        special.prop_map(str::to_owned),
    ]
}

fn value() -> impl Strategy<Value = String> {
    let part = prop::sample::select(&["", "a", "b", "ab", "x.y", "xzy", "é", "a-b", "\n", "|"][..]);
    prop::collection::vec(part, 0..3).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn short_ways_mean_the_same(pattern in pattern(), value in value()) {
        let (short, slow) = (Matcher::new(&pattern).unwrap(), Matcher::by_regex(&pattern).unwrap());
        prop_assert_eq!(short.names(), slow.names());
        prop_assert_eq!(short.is_match(&value), slow.is_match(&value));
        let template = Template::new("<$0|$1|$2>", short.names());
        let expand = |matcher: &Matcher| matcher.find(&value).map(|found| {
            let mut text = String::new();
            template.expand(&found, &mut text);
            text
        });
        prop_assert_eq!(expand(&short), expand(&slow));
        prop_assert_eq!(short.replace(&value, &template), slow.replace(&value, &template));
    }

    #[test]
    fn arbitrary_patterns_never_panic(pattern in any::<String>(), value in any::<String>()) {
        if let Ok(matcher) = Matcher::new(&pattern) {
            matcher.is_match(&value);
        }
    }

    #[test]
    fn arbitrary_pieces_never_panic(
        pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..12),
        value in value(),
    ) {
        let pattern = pieces.concat();
        if let Ok(matcher) = Matcher::new(&pattern) {
            matcher.is_match(&value);
            // What is accepted is so by its own grammar: what it means must not depend on the way.
            prop_assert!(Matcher::by_regex(&pattern).is_ok());
        }
    }

    /// The set is a sorted map, whatever is done to it.
    #[test]
    fn a_builder_is_a_map(
        steps in prop::collection::vec((0..5_usize, prop::sample::select(&["", "1", "2"][..])), 0..30)
    ) {
        let names = ["a", "b", "c", "d", ""];
        let mut builder = Builder::default();
        let mut map = std::collections::BTreeMap::new();
        for (name, value) in steps {
            builder.set(names[name], value);
            if value.is_empty() || names[name].is_empty() {
                map.remove(names[name]);
            } else {
                map.insert(names[name], value);
            }
            prop_assert_eq!(builder.get(names[name]), map.get(names[name]).copied().unwrap_or(""));
        }
        prop_assert!(builder.iter().eq(map));
    }
}

const PIECES: [&str; 32] = [
    "a",
    "b",
    "é",
    ".",
    "*",
    "+",
    "?",
    "{2}",
    "{,",
    "{",
    "}",
    "(",
    "(?:",
    "(?i)",
    "(?P<x>",
    ")",
    "|",
    "[",
    "[^",
    "]",
    "-",
    "&&",
    "\\d",
    "\\b",
    "\\B",
    "\\Q",
    "\\E",
    "\\pL",
    "[:alpha:]",
    "^",
    "$",
    "\\",
];
