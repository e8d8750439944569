use super::*;
use crate::model::NameValidation;

#[test]
fn replace_writes_what_was_captured() {
    let part = |r: &mut RuleSettings| {
        r.source_labels = sources(&["a", "b"]);
        r.regex = Some("f(.*);(.*)r".into());
        r.target_label = "c".into();
        r.replacement = "$2-${1}x$$".into();
    };
    check("a=foo b=bar", vec![rule(part)], "a=foo b=bar c=ba-oox$");
    check("a=moo b=bar", vec![rule(part)], "a=moo b=bar");
}

#[test]
fn replace_with_nothing_but_defaults_copies() {
    let copy = rule(|r| {
        r.source_labels = sources(&["a"]);
        r.target_label = "b".into();
    });
    check("a=1 b=2", vec![copy.clone()], "a=1 b=1");
    // No value is a value, too: it removes the target label.
    check("b=2", vec![copy], "");
}

#[test]
fn replace_sets_a_constant_even_without_sources() {
    let set = rule(|r| {
        r.target_label = "a".into();
        r.replacement = "x".into();
    });
    check("b=2", vec![set], "a=x b=2");
    let clear = rule(|r| {
        r.target_label = "b".into();
        r.replacement = String::new();
    });
    check("a=1 b=2", vec![clear], "a=1");
}

#[test]
fn the_name_of_the_target_label_may_be_captured() {
    let named = |scheme: NameValidation| {
        rule(move |r| {
            r.source_labels = sources(&["a"]);
            r.regex = Some("(?P<name>[^=]*)=(.*)".into());
            r.target_label = "x_${name}".into();
            r.replacement = "$2".into();
            r.names = scheme;
        })
    };
    let mut labels = Builder::new([("a", "zone.id=7")]);
    assert!(Rules::new(vec![named(NameValidation::Utf8)]).apply(&mut labels));
    assert_eq!(labels.get("x_zone.id"), "7");
    let mut labels = Builder::new([("a", "zone.id=7")]);
    assert!(Rules::new(vec![named(NameValidation::Legacy)]).apply(&mut labels));
    assert_eq!(
        labels,
        Builder::new([("a", "zone.id=7")]),
        "no valid name, nothing is set"
    );
}

#[test]
fn a_target_label_that_expands_to_nothing_is_not_set() {
    let empty = rule(|r| {
        r.source_labels = sources(&["a"]);
        r.target_label = "$2".into();
        r.replacement = "x".into();
    });
    check("a=1", vec![empty], "a=1");
}

#[test]
fn patterns_match_the_whole_value_and_newlines() {
    let keep = |pattern: &'static str| {
        rule(move |r| {
            r.source_labels = sources(&["a"]);
            r.action = Action::Keep;
            r.regex = Some(pattern.into());
        })
    };
    check("a=foobar", vec![keep("foo")], "-");
    check("a=foobar", vec![keep("foo.*")], "a=foobar");
    check("a=foobar", vec![keep("bar|foo")], "-");
    check("a=foo", vec![keep("bar|foo")], "a=foo");
    let mut labels = Builder::new([("a", "x\ny")]);
    assert!(Rules::new(vec![keep("x.y")]).apply(&mut labels));
    assert!(Rules::new(vec![keep(".*")]).apply(&mut labels));
    assert!(!Rules::new(vec![keep("(?-s:x.y)")]).apply(&mut labels));
}

#[test]
fn drop_and_keep() {
    let by = |action: Action| {
        rule(move |r| {
            r.source_labels = sources(&["a", "missing"]);
            r.action = action;
            r.regex = Some("x;".into());
        })
    };
    check("a=x", vec![by(Action::Keep)], "a=x");
    check("a=y", vec![by(Action::Keep)], "-");
    check("a=x", vec![by(Action::Drop)], "-");
    check("a=y", vec![by(Action::Drop)], "a=y");
}

#[test]
fn nothing_follows_a_drop() {
    let drop = rule(|r| {
        r.action = Action::Drop;
        r.regex = Some(String::new());
    });
    let set = rule(|r| {
        r.target_label = "a".into();
        r.replacement = "x".into();
    });
    check("b=1", vec![drop.clone(), set.clone()], "-");
    assert_eq!(
        Rules::new(vec![drop, set])
            .explain(&Builder::default())
            .len(),
        1
    );
}

#[test]
fn equal_labels_are_kept_or_dropped() {
    let by = |action: Action| {
        rule(move |r| {
            r.source_labels = sources(&["a"]);
            r.target_label = "b".into();
            r.action = action;
        })
    };
    check("a=1 b=1", vec![by(Action::KeepEqual)], "a=1 b=1");
    check("a=1 b=2", vec![by(Action::KeepEqual)], "-");
    check("a=1 b=1", vec![by(Action::DropEqual)], "-");
    check("a=1 b=2", vec![by(Action::DropEqual)], "a=1 b=2");
    check("c=1", vec![by(Action::DropEqual)], "-");
}

/// Of `echo -n TEXT | md5sum` the last eight bytes count.
#[test]
fn hashmod_divides_the_end_of_the_md5_sum() {
    let by = |modulus: u64, names: &'static [&'static str]| {
        rule(move |r| {
            r.source_labels = sources(names);
            r.target_label = "m".into();
            r.action = Action::HashMod;
            r.modulus = modulus;
        })
    };
    check(
        "a=foo",
        vec![by(u64::MAX, &["a"])],
        "a=foo m=17145033699835028696",
    );
    check(
        "a=foo b=bar",
        vec![by(1000, &["a", "b"])],
        "a=foo b=bar m=750",
    );
    check("", vec![by(8, &["a"])], "m=6");
}

#[test]
fn labelmap_copies_by_name() {
    let map = rule(|r| {
        r.action = Action::LabelMap;
        r.regex = Some("__meta_(my.*)".into());
    });
    check(
        "__meta_my_a=1 __meta_b=2",
        vec![map],
        "__meta_b=2 __meta_my_a=1 my_a=1",
    );
    let prefix = rule(|r| {
        r.action = Action::LabelMap;
        r.regex = Some("a".into());
        r.replacement = "x_${0}_y".into();
    });
    check("a=1 aa=2", vec![prefix], "a=1 aa=2 x_a_y=1");
}

#[test]
fn labels_are_removed_by_name() {
    let by = |action: Action| {
        rule(move |r| {
            r.action = action;
            r.regex = Some("a.*".into());
        })
    };
    check("a=1 ab=2 b=3", vec![by(Action::LabelDrop)], "b=3");
    check("a=1 ab=2 b=3", vec![by(Action::LabelKeep)], "a=1 ab=2");
}

#[test]
fn letters_change_case_one_by_one() {
    let by = |action: Action| {
        rule(move |r| {
            r.source_labels = sources(&["a", "b"]);
            r.separator = String::new();
            r.target_label = "c".into();
            r.action = action;
        })
    };
    check(
        "a=Foo b=BAR",
        vec![by(Action::Lowercase)],
        "a=Foo b=BAR c=foobar",
    );
    check(
        "a=Foo b=bar",
        vec![by(Action::Uppercase)],
        "a=Foo b=bar c=FOOBAR",
    );
    check(
        "a=Straßeﬁ",
        vec![by(Action::Uppercase)],
        "a=Straßeﬁ c=STRAßEﬁ",
    );
    check("a=ᾳ b=é", vec![by(Action::Uppercase)], "a=ᾳ b=é c=ᾼÉ");
    check("a=ΣΑΣ b=İ", vec![by(Action::Lowercase)], "a=ΣΑΣ b=İ c=σασi");
}

#[test]
fn templates_are_those_of_go() {
    #[track_caller]
    fn expands(replacement: &str, expected: &str) {
        let rule = rule(|r| {
            r.source_labels = sources(&["a"]);
            r.regex = Some("(?P<first>.)(.)?(x)?.*".into());
            r.target_label = "b".into();
            r.replacement = replacement.into();
        });
        let mut labels = Builder::new([("a", "123")]);
        assert!(Rules::new(vec![rule]).apply(&mut labels));
        assert_eq!(labels.get("b"), expected, "{replacement}");
    }
    expands("$1", "1");
    expands("$0", "123");
    expands("${2}$1", "21");
    expands("$first-$second", "1-");
    expands("${first}st", "1st");
    // The longest name is meant, and there is none of that name.
    expands("$1x-", "-");
    expands("$firstst.", ".");
    expands("$01.", ".");
    expands("$9.", ".");
    // Took no part.
    expands("<$3>", "<>");
    expands("$$1", "$1");
    expands("$$$1", "$1");
    expands("a$", "a$");
    expands("$-$ ${", "$-$ ${");
    expands("${1", "${1");
    expands("${}x", "${}x");
    expands("${1-2}", "${1-2}");
    expands("", "");
}

#[test]
fn of_two_groups_with_one_name_the_one_that_took_part_counts() {
    let either = rule(|r| {
        r.source_labels = sources(&["a"]);
        r.regex = Some("x(?P<n>.)|y(?P<n>.)".into());
        r.target_label = "b".into();
        r.replacement = "$n".into();
    });
    check("a=x1", vec![either.clone()], "a=x1 b=1");
    check("a=y2", vec![either], "a=y2 b=2");
}

#[test]
fn explains_each_step() {
    let rules = Rules::new(vec![
        rule(|r| {
            r.source_labels = sources(&["__address__"]);
            r.regex = Some("(.*):.*".into());
            r.target_label = "host".into();
        }),
        rule(|r| {
            r.action = Action::LabelDrop;
            r.regex = Some("nothing".into());
        }),
        rule(|r| {
            r.source_labels = sources(&["host"]);
            r.action = Action::Drop;
            r.regex = Some("a".into());
        }),
    ]);
    let steps = rules.explain(&Builder::new([("__address__", "a:1")]));
    let text: Vec<String> = steps.iter().map(ToString::to_string).collect();
    let expected = [
        "1. replace source_labels=[__address__] regex=`(.*):.*` target_label=host replacement=\"$1\"",
        "   value: \"a:1\"",
        "   + host=\"a\"",
        "2. labeldrop regex=`nothing`",
        "   no change",
        "3. drop source_labels=[host] regex=`a`",
        "   value: \"a\"",
        "   dropped",
    ];
    assert_eq!(text.join("\n"), expected.join("\n"));
}
