use super::super::matcher::Matcher;
use super::super::pattern::{PatternError, translate};

/// A pattern, what it matches, and what it does not.
#[track_caller]
fn check(pattern: &str, matching: &[&str], others: &[&str]) {
    for matcher in [Matcher::new(pattern), Matcher::by_regex(pattern)] {
        let matcher = matcher.unwrap_or_else(|error| panic!("{pattern}: {error}"));
        for text in matching {
            assert!(matcher.is_match(text), "{pattern} must match {text:?}");
        }
        for text in others {
            assert!(!matcher.is_match(text), "{pattern} must not match {text:?}");
        }
    }
}

#[test]
fn perl_classes_are_ascii() {
    check(r"\d", &["7"], &["٣", "a"]);
    check(r"\D", &["٣", "a"], &["7"]);
    check(r"\w+", &["a_9"], &["é", "-"]);
    check(r"\W", &["é", "-"], &["a"]);
    check(r"\s", &[" ", "\t", "\n", "\r", "\x0c"], &["\x0b", "\u{a0}"]);
    check(r"\S", &["\x0b", "\u{a0}"], &[" "]);
    check(r"[\d\-x]+", &["1-x"], &["y"]);
    check(r"[^\W\d]+", &["ab"], &["1", "-"]);
    check(r"[\D]", &["a"], &["1"]);
    check(r"(?i)\w", &["K", "K"], &["é"]);
}

#[test]
fn word_borders_are_ascii() {
    check(r"a\bé", &["aé"], &[]);
    check(r"a\bb", &[], &["ab"]);
    check(r"a\Bb", &["ab"], &[]);
    check(r"\b{start}a", &[], &["a", "{start}a"]);
    check(r"a\b{start}", &["a{start}"], &["a"]);
}

#[test]
fn quoted_text_stands_for_itself() {
    check(r"\Qa.b\E", &["a.b"], &["axb"]);
    check(r"\Qa|b\Ec*", &["a|b", "a|bcc"], &["a"]);
    check(r"x\Q+\E+", &["x+", "x++"], &["xx"]);
    check(r"\Qa\b\E", &[r"a\b"], &["a"]);
}

#[test]
fn classes_have_no_operators() {
    check(r"[a[b]", &["a", "[", "b"], &["]"]);
    check(r"[a&&b]", &["a", "&", "b"], &["|"]);
    check(r"[+--b]", &["+", ",", "-", "b"], &["a"]);
    check(r"[a~~b]", &["a", "~", "b"], &["c"]);
    check(r"[]a]", &["]", "a"], &["b"]);
    check(r"[^]a]", &["b"], &["]", "a"]);
    check(r"[a-]", &["a", "-"], &["b"]);
    check(r"[-a]", &["a", "-"], &["b"]);
    check(r"[a\]b]", &["]"], &["\\"]);
    check(r"[\[\]]", &["[", "]"], &["a"]);
    check(r"[+--]", &["+", ",", "-"], &["."]);
    check(r"[\d-z]", &["5", "-", "z"], &["y"]);
    check(r"[[:alpha:]_]+", &["ab_"], &["1"]);
    check(r"[[:^digit:]]", &["a"], &["1"]);
    check(r"[[:x]", &["[", ":", "x"], &["a"]);
    check(r"[^^]", &["a"], &["^"]);
    check(r"[\p{Greek}\pN]", &["α", "7"], &["a"]);
    check(r"[ #]", &[" ", "#"], &["a"]);
}

#[test]
fn braces_that_are_no_repetition_stand_for_themselves() {
    check("a{", &["a{"], &["a"]);
    check("a{,3}", &["a{,3}"], &["aaa"]);
    check("a{x}", &["a{x}"], &["a"]);
    check("a{01}", &["a{01}"], &["a"]);
    check("a{1,2,3}", &["a{1,2,3}"], &[]);
    check("a}", &["a}"], &[]);
    check("a]", &["a]"], &[]);
    check("a{2}", &["aa"], &["a{2}", "aaa"]);
    check("a{1,}", &["a", "aaa"], &[""]);
    check("a{0,1}?", &["", "a"], &["aa"]);
    check("${a}", &[], &["${a}"]);
}

#[test]
fn characters_by_number() {
    check(r"\x41\x{1F600}", &["A😀"], &[]);
    check(r"\101\0", &["A\0"], &[]);
    check(r"\x7c\.", &["|."], &["|a", ""]);
    check(r"[\x41-\x43]", &["B"], &["D"]);
    check(r"\a\f\t\n\r\v", &["\x07\x0c\t\n\r\x0b"], &[]);
    check(r"\-\/\<\>\ ", &["-/<> "], &[]);
}

#[test]
fn classes_of_unicode() {
    check(r"\pL+", &["aé"], &["1"]);
    check(r"\PL+", &["12"], &["a"]);
    check(r"\p{Lu}", &["É"], &["é"]);
    check(r"\p{^Lu}", &["é"], &["É"]);
    check(r"\P{^Lu}", &["É"], &["é"]);
    check(r"(?i)straße", &["STRAßE", "StRaẞe"], &["strasse"]);
}

#[test]
fn groups_and_flags() {
    check("(?i)AbC", &["abc", "ABC"], &["abd"]);
    check("a(?i:B)c", &["abc", "aBc"], &["abC"]);
    check("(?:a|b)+", &["abba"], &["c"]);
    check("(?)a", &["a"], &[]);
    check("(?ii)a", &["A"], &[]);
    check("(?i-i)a", &["a"], &["A"]);
    check("(?-s).", &["a"], &["\n"]);
    check("(?U)a+", &["aa"], &[]);
    check("(?P<x>a)(?<y>b)", &["ab"], &[]);
    check("(?P<x>a)|(?P<x>b)", &["a", "b"], &["c"]);
    check("(?P<1>a)", &["a"], &[]);
    check("(?m)^a$\n^b$", &["a\nb"], &[]);
    check("a|", &["a", ""], &["b"]);
    check("", &[""], &["a"]);
    check("(|a)+", &["", "aa"], &["b"]);
}

/// The anchors stand around the text, not around what it means.
#[test]
fn a_pattern_may_reach_out_of_its_anchors() {
    check("a)|(?:b", &["a", "ax", "b", "xb"], &["x"]);
}

#[track_caller]
fn refused(pattern: &str, expected: &str) {
    let error = Matcher::new(pattern).err();
    let text = error.map(|error| error.to_string()).unwrap_or_default();
    assert!(text.contains(expected), "{pattern}: {text:?}");
}

#[test]
fn what_re2_does_not_have_is_refused() {
    refused("x{1001}", "invalid repeat count: `{1001}`");
    refused("x{2,1}", "invalid repeat count");
    refused("x{99999999999}", "invalid repeat count");
    refused("a**", "invalid nested repetition operator: `*`");
    refused("a{2}{3}", "invalid nested repetition operator");
    refused("a+?+", "invalid nested repetition operator");
    refused("(?=a)", "unsupported Perl syntax: `(?=`");
    refused("(?!a)", "unsupported Perl syntax");
    refused("(?<!a)", "unsupported Perl syntax");
    refused("(?x)a", "unsupported Perl syntax");
    refused("(?i-)a", "unsupported Perl syntax");
    refused("(?P<>x)", "unsupported Perl syntax");
    refused(r"(a)\1", r"invalid escape sequence: `\1`");
    refused(r"\y", r"invalid escape sequence: `\y`");
    refused(r"\C", "invalid escape sequence");
    refused(r"\Z", "invalid escape sequence");
    refused(r"\u0041", "invalid escape sequence");
    refused(r"[\b]", "invalid escape sequence");
    refused(r"a\", "unclosed group");
    refused("[a", "missing closing `]`");
    refused("[]", "missing closing `]`");
    refused("[a--b]", "invalid character class range: `a--`");
    refused("[z-a]", "invalid character class range: `z-a`");
    refused(r"[a-\d]", "invalid character class range");
    refused("[[:foo:]]", "invalid character class range: `[:foo:]`");
    refused(r"\p{Foo}", "");
    refused("(a", "unclosed group");
    refused("a)", "unopened group");
    refused("*a", "repetition operator missing expression");
    refused(r"\x{110000}", "invalid escape sequence");
}

#[test]
fn what_would_take_too_much_memory_is_refused() {
    refused(
        "((((a{1000}){1000}){1000}){1000})",
        "expression is too large",
    );
}

#[test]
fn the_translation_is_readable() {
    let translated = translate(r"(\d+)-(?P<x>[a\]&&])").unwrap();
    assert_eq!(
        translated.regex,
        r"^(?s:([0-9]+)\x{2d}([a\x{5d}\x{26}\x{26}]))$"
    );
    assert_eq!(translated.names, ["", "", "x"]);
    assert_eq!(
        translate("x{1001}").unwrap_err(),
        PatternError::RepeatCount("1001".into())
    );
}
