//! What becomes of targets, by Prometheus's rules.

use std::time::Duration;

use super::*;
use crate::http;
use crate::model::{Labels, NameValidation};
use crate::relabel::{Action, Rule, RuleSettings, Rules};
use crate::scrape::{Limits, NameEscaping, Protocol};

fn config() -> Config {
    Config {
        job_name: "node".into(),
        interval: Duration::from_secs(60),
        timeout: Duration::from_secs(10),
        metrics_path: "/metrics".into(),
        scheme: "http".into(),
        params: Vec::new(),
        honor_labels: false,
        honor_timestamps: true,
        track_timestamps_staleness: false,
        protocols: vec![Protocol::PrometheusText004],
        fallback_protocol: None,
        enable_compression: true,
        limits: Limits {
            body_size: 1 << 20,
            samples: None,
            targets: None,
            labels: None,
            label_name_length: None,
            label_value_length: None,
            keep_dropped_targets: None,
        },
        name_validation: NameValidation::Utf8,
        name_escaping: NameEscaping::AllowUtf8,
        native_histograms: false,
        always_scrape_classic_histograms: false,
        extra_scrape_metrics: false,
        client: http::Settings::default(),
        relabel: Rules::default(),
        metric_relabel: Rules::default(),
        discovery: Vec::new(),
    }
}

/// Writes the replacement into a label, if the source label matches.
fn set(source: &str, regex: &str, target: &str, replacement: &str) -> Rule {
    Rule::new(RuleSettings {
        source_labels: vec![source.into()],
        regex: Some(regex.into()),
        target_label: target.into(),
        replacement: replacement.into(),
        ..RuleSettings::default()
    })
    .unwrap()
}

fn drop_where(source: &str, regex: &str) -> Rule {
    Rule::new(RuleSettings {
        source_labels: vec![source.into()],
        regex: Some(regex.into()),
        action: Action::Drop,
        ..RuleSettings::default()
    })
    .unwrap()
}

fn pairs(text: &str) -> Vec<(String, String)> {
    let pairs = text.split_whitespace();
    let pairs = pairs.filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// A group of one target for each text; labels are written as `a=1 b=2`.
fn group(labels: &str, targets: &[&str]) -> Arc<Group> {
    Arc::new(Group {
        source: "0".into(),
        labels: pairs(labels),
        targets: targets.iter().map(|target| pairs(target)).collect(),
    })
}

fn run(config: Config, group: Arc<Group>) -> Targets {
    targets(&Arc::new(config), &[group])
}

/// One target, and the URL and the labels that it must have.
#[track_caller]
fn check(config: Config, group_labels: &str, target: &str, url: &str, labels: &str) {
    let found = run(config, group(group_labels, &[target]));
    assert_eq!(found.kept.len(), 1, "{found:?}");
    assert_eq!(found.kept[0].url.as_str(), url);
    assert_eq!(*found.kept[0].labels, Labels::new(pairs(labels)));
}

/// One target that is invalid.
#[track_caller]
fn invalid(rules: Vec<Rule>, target: &str, expected: &str) {
    let config = Config {
        relabel: Rules::new(rules),
        ..config()
    };
    let found = run(config, group("", &[target]));
    assert_eq!(found.kept.len(), 0, "{found:?}");
    assert_eq!(found.invalid.len(), 1, "{found:?}");
    assert_eq!(found.invalid[0].error.to_string(), expected);
}

#[test]
fn a_target_has_the_labels_of_its_group_and_of_its_configuration() {
    check(
        config(),
        "zone=a dc=1",
        "__address__=h:9100 zone=b",
        "http://h:9100/metrics",
        "job=node instance=h:9100 zone=b dc=1",
    );
}

#[test]
fn an_empty_label_of_a_target_takes_away_that_of_its_group() {
    check(
        config(),
        "zone=a",
        "__address__=h zone=",
        "http://h/metrics",
        "job=node instance=h",
    );
}

#[test]
fn no_port_is_added() {
    check(
        config(),
        "",
        "__address__=h",
        "http://h/metrics",
        "job=node instance=h",
    );
    let https = Config {
        scheme: "https".into(),
        ..config()
    };
    check(
        https,
        "",
        "__address__=h",
        "https://h/metrics",
        "job=node instance=h",
    );
    check(
        config(),
        "",
        "__address__=[::1]:9100",
        "http://[::1]:9100/metrics",
        "job=node instance=[::1]:9100",
    );
}

#[test]
fn labels_of_the_target_win_over_the_configuration() {
    let target = "__address__=h:1 job=other instance=i __scheme__=https __metrics_path__=/p \
        __scrape_interval__=30s __scrape_timeout__=500ms __param_a=2 __meta_x=1 __tmp=3";
    let config = Config {
        params: vec![
            ("a".into(), vec!["1".into(), "3".into()]),
            ("b".into(), vec!["x y".into()]),
        ],
        ..config()
    };
    let found = run(config.clone(), group("", &[target]));
    let kept = &found.kept[0];
    assert_eq!(kept.interval, Duration::from_secs(30));
    assert_eq!(kept.timeout, Duration::from_millis(500));
    check(
        config,
        "",
        target,
        "https://h:1/p?a=2&a=3&b=x+y",
        "job=other instance=i",
    );
}

#[test]
fn rules_see_and_change_everything() {
    let config = Config {
        relabel: Rules::new(vec![
            set("__meta_name", "(.+)", "name", "$1"),
            set("__address__", "(.*)", "__param_target", "$1"),
            set("__param_target", "(.*)", "instance", "$1"),
            set("", "", "__address__", "prober:9115"),
            set("__scrape_interval__", "1m", "__scrape_interval__", "90s"),
        ]),
        ..config()
    };
    let found = run(config.clone(), group("", &["__address__=h __meta_name=n"]));
    assert_eq!(found.kept[0].interval, Duration::from_secs(90));
    let url = "http://prober:9115/metrics?target=h";
    check(
        config,
        "",
        "__address__=h __meta_name=n",
        url,
        "job=node instance=h name=n",
    );
}

#[test]
fn paths_and_parameters_are_escaped_as_go_does() {
    let odd = Config {
        metrics_path: "/a b?c%d/é!".into(),
        params: vec![("match[]".into(), vec!["{job=~\".+\"}".into(), "~*".into()])],
        ..config()
    };
    let url =
        "http://h/a%20b%3Fc%25d/%C3%A9%21?match%5B%5D=%7Bjob%3D~%22.%2B%22%7D&match%5B%5D=~%2A";
    check(odd, "", "__address__=h", url, "job=node instance=h");
    let relative = Config {
        metrics_path: "probe".into(),
        ..config()
    };
    check(
        relative,
        "",
        "__address__=h",
        "http://h/probe",
        "job=node instance=h",
    );
}

#[test]
fn a_parameter_stays_though_its_label_is_removed() {
    let config = Config {
        params: vec![("a".into(), vec!["1".into()])],
        relabel: Rules::new(vec![set("", "", "__param_a", "")]),
        ..config()
    };
    check(
        config,
        "",
        "__address__=h",
        "http://h/metrics?a=1",
        "job=node instance=h",
    );
}

#[test]
fn what_cannot_be_scraped_is_invalid() {
    invalid(vec![], "a=1", "no address");
    invalid(
        vec![set("", "", "__address__", "")],
        "__address__=h",
        "no address",
    );
    invalid(
        vec![],
        "__address__=http://h/metrics",
        "`http://h/metrics` is not a valid hostname",
    );
    invalid(vec![], "__address__=h/p", "`h/p` is not a valid hostname");
    invalid(
        vec![],
        "__address__=h __scrape_interval__=0s",
        "scrape interval cannot be 0",
    );
    invalid(
        vec![],
        "__address__=h __scrape_timeout__=0",
        "scrape timeout cannot be 0",
    );
    invalid(
        vec![],
        "__address__=h __scrape_interval__=1x",
        "error parsing scrape interval `1x`: not a valid duration string",
    );
    invalid(
        vec![set("", "", "__scrape_timeout__", "")],
        "__address__=h",
        "error parsing scrape timeout ``: empty duration string",
    );
    invalid(
        vec![],
        "__address__=h __scrape_timeout__=61s",
        "scrape timeout cannot be greater than scrape interval (`61s` > `1m`)",
    );
    invalid(
        vec![],
        "__address__=h __scheme__=ftp",
        "unsupported protocol scheme `ftp`",
    );
    invalid(
        vec![],
        "__address__=h:x",
        "address `h:x` cannot be part of a URL: invalid port number",
    );
    invalid(
        vec![],
        "__address__=user@h",
        "address `user@h` cannot be part of a URL: invalid domain character",
    );
    invalid(
        vec![],
        "__address__=h __unix_socket__=x",
        "`__unix_socket__` is set, which is not supported",
    );
    invalid(
        vec![],
        "__address__=h __convert_classic_histograms_to_nhcb__=true",
        "`__convert_classic_histograms_to_nhcb__` is set, which is not supported",
    );
    invalid(
        vec![],
        "__address__=h __scrape_native_histograms__=maybe",
        "error parsing `__scrape_native_histograms__`: `maybe` is neither `true` nor `false`",
    );
}

#[test]
fn relabelling_switches_histograms_for_a_target() {
    let target = "__address__=h __scrape_native_histograms__=true \
        __always_scrape_classic_histograms__=1";
    let found = run(config(), group("", &[target, "__address__=i"]));
    let switches = |target: &Target| {
        (
            target.native_histograms,
            target.always_scrape_classic_histograms,
        )
    };
    assert_eq!(switches(&found.kept[0]), (true, true));
    assert_eq!(switches(&found.kept[1]), (false, false));
}

#[test]
fn a_target_that_is_found_twice_is_scraped_once() {
    let found = targets(
        &Arc::new(config()),
        &[
            group("", &["__address__=h", "__address__=h"]),
            group("", &["__address__=h __meta_a=1"]),
        ],
    );
    assert_eq!((found.kept.len(), found.invalid.len()), (1, 0), "{found:?}");
}

#[test]
fn of_targets_with_equal_labels_the_first_is_scraped() {
    let found = run(
        config(),
        group("instance=i", &["__address__=h", "__address__=g"]),
    );
    assert_eq!((found.kept.len(), found.invalid.len()), (1, 1), "{found:?}");
    assert_eq!(found.kept[0].url.as_str(), "http://h/metrics");
    assert_eq!(found.invalid[0].error, PopulateError::SameLabels);
    assert_eq!(found.invalid[0].origin.index, 1);
}

#[test]
fn dropped_targets_are_counted_and_some_are_kept_to_be_shown() {
    let mut config = config();
    config.relabel = Rules::new(vec![drop_where("__address__", "h.*")]);
    let all = group(
        "",
        &[
            "__address__=h1",
            "__address__=x",
            "__address__=h2",
            "__address__=h3",
        ],
    );
    let found = run(config.clone(), Arc::clone(&all));
    assert_eq!(
        (found.kept.len(), found.dropped.len(), found.dropped_count),
        (1, 3, 3)
    );
    config.limits.keep_dropped_targets = Some(2);
    let found = run(config.clone(), all);
    assert_eq!(
        (found.kept.len(), found.dropped.len(), found.dropped_count),
        (1, 2, 3)
    );
    let discovered = found.dropped[1].discovered(&config);
    assert_eq!(discovered.get("__address__"), "h2");
    assert_eq!(discovered.get("__scrape_interval__"), "1m");
    assert!(config.relabel.explain(&discovered)[0].is_dropped);
}

#[test]
fn more_targets_than_the_limit_are_too_many() {
    let mut config = config();
    config.limits.targets = Some(2);
    let two = group("", &["__address__=a", "__address__=b", "__address__=b"]);
    assert!(!run(config.clone(), two).is_over_limit);
    let three = group("", &["__address__=a", "__address__=b", "__address__=c"]);
    let found = run(config, three);
    assert!(found.is_over_limit);
    assert_eq!(found.kept.len(), 3);
}

#[test]
fn reserved_labels_tell_how_to_read_series() {
    let base = config();
    let rules = Rules::new(vec![drop_where("__name__", "x")]);
    let limits = Limits {
        samples: Some(500),
        ..base.limits
    };
    let half = Duration::from_millis(500);
    let plain = "job=node instance=h ";
    let check = |config: Config, more: &str| {
        check(
            config,
            "",
            "__address__=h",
            "http://h/metrics",
            &format!("{plain}{more}"),
        );
    };
    check(
        Config {
            honor_labels: true,
            ..base.clone()
        },
        "__honor_labels__=true",
    );
    check(
        Config {
            metric_relabel: rules,
            ..base.clone()
        },
        "__honor_labels__=true __metric_relabel__=true",
    );
    check(
        Config {
            track_timestamps_staleness: true,
            ..base.clone()
        },
        "__track_timestamps_staleness__=true",
    );
    check(
        Config {
            extra_scrape_metrics: true,
            timeout: half,
            ..base.clone()
        },
        "__scrape_timeout__=0.5",
    );
    check(
        Config {
            extra_scrape_metrics: true,
            limits,
            ..base
        },
        "__scrape_timeout__=10 __scrape_sample_limit__=500",
    );
}

#[test]
fn what_becomes_of_targets_is_told() {
    let config = Arc::new(Config {
        relabel: Rules::new(vec![
            set("__meta_zone", "(.+)", "zone", "$1"),
            drop_where("__address__", "b"),
        ]),
        limits: Limits {
            targets: Some(0),
            ..config().limits
        },
        ..config()
    });
    let groups = [group(
        "__meta_zone=z",
        &["__address__=a", "__address__=b", "x=1"],
    )];
    let text = crate::scrape::explain::list(&config, &groups);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "job `node`: 1 kept, 1 dropped, 1 invalid");
    assert_eq!(lines[1], "  `target_limit` is 0: every scrape fails");
    let target = r#"http://a/metrics every 1m within 10s {instance="a", job="node", zone="z"}"#;
    assert_eq!(lines[2].trim(), target);
    let dropped = "  dropped by rule 2, drop source_labels=[__address__] regex=`b`: {__address__";
    assert!(lines[3].starts_with(dropped), "{text}");
    assert!(lines[4].starts_with("  invalid: no address: {__"), "{text}");

    let explained = |name: &str| crate::scrape::explain::relabelling(&config, &groups, name);
    let text = explained("a").unwrap();
    assert!(
        text.contains("\n1. replace source_labels=[__meta_zone]"),
        "{text}"
    );
    assert!(text.contains("\n   + zone=\"z\"\n"), "{text}");
    assert!(text.ends_with(&format!("target: {target}\n")), "{text}");
    assert!(
        explained("b")
            .unwrap()
            .ends_with("   dropped\nno target: dropped\n")
    );
    assert_eq!(explained("c"), None);
}
