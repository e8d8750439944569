use super::*;
use crate::model::NameValidation;

#[track_caller]
fn refused(change: impl FnOnce(&mut RuleSettings), key: &str, expected: &str) {
    let mut settings = RuleSettings::default();
    change(&mut settings);
    let error = Rule::new(settings.clone()).err();
    let error = error.unwrap_or_else(|| panic!("{settings:?} is accepted"));
    assert!(error.to_string().contains(expected), "{error}");
    assert_eq!(error.key(), key);
}

fn settings(action: Action, target: &str) -> RuleSettings {
    RuleSettings {
        source_labels: sources(&["a"]),
        action,
        target_label: target.to_owned(),
        ..RuleSettings::default()
    }
}

#[track_caller]
fn target(action: Action, names: NameValidation, target: &str, is_valid: bool) {
    let mut settings = settings(action, target);
    settings.names = names;
    settings.modulus = u64::from(action == Action::HashMod);
    let found = Rule::new(settings);
    assert_eq!(found.is_ok(), is_valid, "{action} {target}: {found:?}");
}

#[test]
fn hashmod_needs_a_modulus() {
    refused(
        |r| *r = settings(Action::HashMod, "m"),
        "modulus",
        "`modulus`",
    );
}

#[test]
fn six_actions_need_a_target_label() {
    use Action::{DropEqual, HashMod, KeepEqual, Lowercase, Replace, Uppercase};
    for action in [Replace, Lowercase, Uppercase, KeepEqual, DropEqual, HashMod] {
        let bad = |r: &mut RuleSettings| {
            *r = settings(action, "");
            r.modulus = 1;
        };
        refused(bad, "target_label", "needs `target_label`");
    }
}

#[test]
fn target_labels_are_names() {
    use NameValidation::{Legacy, Utf8};
    for action in [
        Action::Replace,
        Action::Lowercase,
        Action::KeepEqual,
        Action::HashMod,
    ] {
        target(action, Legacy, "a_9", true);
        target(action, Legacy, "a.b", false);
        target(action, Legacy, "9a", false);
        target(action, Utf8, "a.b", true);
    }
    for text in [
        "$1", "${1}", "a_$1", "${a}_b", "$1$2", "a${1}9", "$a_b", "_$1",
    ] {
        target(Action::Replace, Legacy, text, true);
        target(Action::Replace, Utf8, text, true);
    }
    for text in ["$", "${", "${}", "${1", "a-$1", "9$1", "$1.b", "$$1", "a$"] {
        target(Action::Replace, Legacy, text, false);
        target(Action::Replace, Utf8, text, true);
    }
    target(Action::Lowercase, Legacy, "$1", false);
    target(Action::Lowercase, Utf8, "$1", true);
}

#[test]
fn some_actions_take_no_replacement() {
    use Action::{DropEqual, KeepEqual, Lowercase, Uppercase};
    for action in [Lowercase, Uppercase, KeepEqual, DropEqual] {
        let bad = |r: &mut RuleSettings| {
            *r = settings(action, "b");
            r.replacement = "x".into();
        };
        refused(bad, "replacement", "takes no `replacement`");
    }
}

#[test]
fn comparing_takes_two_keys_alone() {
    for action in [Action::KeepEqual, Action::DropEqual] {
        let changes: [fn(&mut RuleSettings); 3] = [
            |r| r.regex = Some(DEFAULT_PATTERN.into()),
            |r| r.modulus = 1,
            |r| r.separator = ",".into(),
        ];
        for change in changes {
            let bad = |r: &mut RuleSettings| {
                *r = settings(action, "b");
                change(r);
            };
            refused(
                bad,
                "action",
                "takes `source_labels` and `target_label` and no other keys",
            );
        }
    }
}

#[test]
fn removing_by_name_takes_a_pattern_alone() {
    for action in [Action::LabelDrop, Action::LabelKeep] {
        let changes: [fn(&mut RuleSettings); 5] = [
            |r| r.source_labels = sources(&["a"]),
            |r| r.target_label = "b".into(),
            |r| r.modulus = 1,
            |r| r.separator = ",".into(),
            |r| r.replacement = "x".into(),
        ];
        for change in changes {
            let bad = |r: &mut RuleSettings| {
                r.action = action;
                change(r);
            };
            refused(bad, "action", "takes `regex` and no other keys");
        }
    }
}

#[test]
fn labelmap_makes_names() {
    let map = |replacement: &'static str, names| {
        move |r: &mut RuleSettings| {
            r.action = Action::LabelMap;
            r.replacement = replacement.into();
            r.names = names;
        }
    };
    refused(
        map("a-$1", NameValidation::Legacy),
        "replacement",
        "`a-$1` is no valid `replacement`",
    );
    refused(
        map("", NameValidation::Utf8),
        "replacement",
        "is no valid `replacement`",
    );
    rule(map("a-$1", NameValidation::Utf8));
    rule(map("a_${1}", NameValidation::Legacy));
}

#[test]
fn bad_patterns_are_refused() {
    refused(
        |r| r.regex = Some("(".into()),
        "regex",
        "`regex` is not a regular expression",
    );
}

#[test]
fn actions_are_read_in_any_case() {
    assert_eq!(Action::parse("LabelMap"), Some(Action::LabelMap));
    assert_eq!(Action::parse("labelmap "), None);
    for action in Action::ALL {
        assert_eq!(Action::parse(action.as_str()), Some(action));
    }
}
