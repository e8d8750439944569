//! Files in their new form: they mean what they meant, and stay as they are from then on.

use std::fs;
use std::path::Path;

use prometheus_streams::config::{Config, Role};
use prometheus_streams::convert::{self, Converted, Source};
use prometheus_streams::scrape;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;

use crate::{files, folder, targets};

const FILE: &str = "/etc/prometheus-streams/config.yaml";

fn source<'a>(text: &'a str, file: &'a str, role: Option<Role>) -> Source<'a> {
    Source { text, file, role }
}

#[track_caller]
fn converted(text: &str, file: &str, role: Option<Role>) -> Converted {
    match convert::convert(&source(text, file, role)) {
        Ok(converted) => converted,
        Err(error) => panic!("{text}\n{error}"),
    }
}

#[track_caller]
fn loaded(text: &str, file: &str) -> Config {
    match prometheus_streams::config::check(text, file) {
        Ok(loaded) => loaded.config,
        Err(problems) => panic!("{text}\n{problems}"),
    }
}

/// What is scraped and how, without how it is written: sorted.
fn scraped(config: &Config) -> Vec<(String, scrape::Config)> {
    let targets = targets(config).into_iter().map(|target| {
        let rest = scrape::Config {
            job_name: String::new(),
            metrics_path: String::new(),
            scheme: String::new(),
            params: Vec::new(),
            discovery: Vec::new(),
            ..scrape::Config::clone(&target.config)
        };
        let text = format!(
            "{} {:?} {:?} {:?}",
            target.url, target.labels, target.interval, target.timeout
        );
        (text, rest)
    });
    let mut targets: Vec<_> = targets.collect();
    targets.sort_by(|one, other| one.0.cmp(&other.0));
    targets
}

#[track_caller]
fn assert_same(before: &Config, after: &Config, text: &str) {
    let rest = |config: &Config| {
        let mut config = config.clone();
        config.scrape = scrape::Settings::default();
        config
    };
    assert_eq!(rest(before), rest(after), "{text}");
    assert_eq!(scraped(before), scraped(after), "{text}");
}

/// Converts a text of our own or of the ancestor, checks what must hold of each, and returns it.
#[track_caller]
fn check(text: &str, file: &str) -> Converted {
    let first = converted(text, file, None);
    assert_same(&loaded(text, file), &loaded(&first.text, file), &first.text);
    let again = converted(&first.text, file, None);
    assert_eq!(again.text, first.text, "it was converted once more");
    assert!(!again.is_changed);
    first
}

/// Compares with a file that holds what is expected; `UPDATE_EXPECTED=1` writes it.
#[track_caller]
fn check_expected(found: &str, name: &str) {
    let path = folder("tests/data/config/converted").join(name);
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(&path, found).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, expected, "{}", path.display());
}

#[test]
fn every_sample_means_the_same_and_stays_as_it_is() {
    for name in ["config", "tests/data/config/good"] {
        for path in files(name) {
            let text = fs::read_to_string(&path).unwrap();
            check(&text, &path.to_string_lossy());
        }
    }
}

#[test]
fn the_ancestors_sample_is_written_as_we_would_write_it() {
    let path = folder("tests/data/config/good/ancestor.yaml");
    let text = fs::read_to_string(&path).unwrap();
    let file = path.to_string_lossy();
    check_expected(&check(&text, &file).text, "ancestor.yaml");
    for (role, name) in [
        (Role::Poller, "ancestor-poller.yaml"),
        (Role::Receiver, "ancestor-receiver.yaml"),
    ] {
        let part = converted(&text, &file, Some(role));
        check_expected(&part.text, name);
        let config = loaded(&part.text, &file);
        config.require(role).unwrap();
        let whole = loaded(&text, &file).for_role(role);
        assert_same(&whole, &config.for_role(role), &part.text);
        assert!(!converted(&part.text, &file, Some(role)).is_changed);
    }
}

const AWKWARD: &str = r"# Our site.
---
identity: USDC1   # not yours
max_age: 80 # seconds
tls:
  scheme: manual
  identity: usdc1.example.net
  ca: /etc/ssl/ca.pem

# Our cluster.
poller_stream:
  # Of old.
  cluster_id: dc1_stream
  urls: nats://nats.dc1.example.net:4222
  password: hunter2
  user: me

# What is polled.
jobs:
  # The brokers.
  choria:
    scrape_interval: 15s
    targets:
      # The first.
      - name: one
        url: https://a.example.net:8222/choria/prometheus  # behind a proxy
      - {name: two, url: 'http://me:hunter2@b.example.net/other?format=prometheus'}
# At the margin.
      - url: http://c.example.net:9100/metrics?x=1&x=2
      - url: http://[::1]:9100/metrics
  plain:
    targets:
      - url: http://d.example.net:9100/metrics
      # Next to it.
      - url: http://e.example.net:9100/metrics
  empty:
    targets: []
# The end.
";

#[test]
fn comments_and_all_forms_of_urls_are_kept() {
    let found = check(AWKWARD, FILE);
    check_expected(&found.text, "awkward.yaml");
    for comment in AWKWARD.lines().filter_map(|line| line.split_once("# ")) {
        assert!(
            found.text.contains(comment.1),
            "{}\n{}",
            comment.1,
            found.text
        );
    }
}

#[test]
fn a_text_in_brackets_is_written_anew() {
    let text = "{identity: a, verbose: true, max_age: 80, poller_stream: {urls: h, cluster_id: c}, \
                jobs: {j: {targets: [{url: 'http://h:1/'}]}}}\n";
    let found = check(text, FILE);
    check_expected(&found.text, "brackets.yaml");
}

#[test]
fn anchors_are_resolved_where_lines_cannot_stay() {
    let text = "management: &tls\n  ca: a.pem\npoller_stream:\n  urls: h\n  tls: *tls\n";
    let found = check(text, FILE);
    assert!(found.has_relative_paths);
    assert!(
        found
            .text
            .contains("Comments of the source could not be kept")
    );
    assert!(found.text.contains("    ca: a.pem\n"), "{}", found.text);
}

#[test]
fn jobs_join_the_scrape_configs_that_are_there() {
    let text = "# Old.\njobs:\n  a:\n    targets:\n    - url: http://h:1/\nscrape_configs:\n- job_name: b\n  \
                static_configs:\n  - targets: ['h:2']\n";
    let found = check(text, FILE);
    assert!(
        found.text.contains("\n# Old.\n- job_name: a\n"),
        "{}",
        found.text
    );
    assert!(found.text.contains("\n- job_name: b\n"), "{}", found.text);
}

const PROMETHEUS: &str = "\
# The Prometheus of a site.
global:
  scrape_interval: 15s # often
  scrape_failure_log_file: failures.log
  external_labels:
    dc: usdc1

rule_files:
  - rules/*.yml
alerting:
  alertmanagers:
    - static_configs:
        - targets: [alerts:9093]

# Who writes.
remote_write:
  - url: http://prometheus.example.net:9090/api/v1/write
    basic_auth:
      username: me
      password: hunter2
    queue_config:
      capacity: 1000

scrape_configs:
  # Nodes, in quotes.
  - job_name: \"node\"
    file_sd_configs: [{files: ['targets/*.json']}]
    relabel_configs:
      - {source_labels: [a], target_label: b}
";

#[test]
fn a_prometheus_yml_is_shared_out_between_both_roles() {
    let lab = tempfile::tempdir().unwrap();
    let path = lab.path().join("prometheus.yml");
    fs::write(&path, PROMETHEUS).unwrap();
    let file = path.to_string_lossy();
    let own = lab.path().join("own.yaml");
    for (role, stream, name) in [
        (Role::Poller, "poller_stream", "prometheus-poller.yaml"),
        (
            Role::Receiver,
            "receiver_stream",
            "prometheus-receiver.yaml",
        ),
    ] {
        let found = converted(PROMETHEUS, &file, Some(role));
        check_expected(&found.text, name);
        assert!(found.has_relative_paths == (role == Role::Poller));
        let client = if role == Role::Receiver {
            "  client_id: prometheus_receiver\n"
        } else {
            ""
        };
        let skeleton = format!(
            "prometheus_config: prometheus.yml\n{stream}:\n  urls: nats://localhost:4222\n{client}"
        );
        fs::write(&own, skeleton).unwrap();
        let mut before = Config::load(&own).unwrap().config;
        let after = loaded(&found.text, &file);
        before.file.clone_from(&after.file);
        after.require(role).unwrap();
        let (before, after) = (before.for_role(role), after.for_role(role));
        assert_eq!(before, after, "{}", found.text);
        assert!(!converted(&found.text, &file, Some(role)).is_changed);
        assert!(!converted(&found.text, &file, None).is_changed);
    }
    assert_eq!(
        converted(PROMETHEUS, &file, None),
        converted(PROMETHEUS, &file, Some(Role::Poller))
    );
}

#[test]
fn a_whole_prometheus_yml_is_converted_for_both_roles() {
    let path = folder("tests/data/config/other/good.yml");
    let text = fs::read_to_string(&path).unwrap();
    let file = path.to_string_lossy();
    for role in [Role::Poller, Role::Receiver] {
        let found = converted(&text, &file, Some(role));
        loaded(&found.text, &file).require(role).unwrap();
        assert!(!converted(&found.text, &file, Some(role)).is_changed);
    }
}

#[test]
fn every_bad_file_is_refused_in_the_words_of_check() {
    for path in files("tests/data/config/bad") {
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        let file = path.to_string_lossy();
        let problems = prometheus_streams::config::check(&text, &file).unwrap_err();
        let error = convert::convert(&source(&text, &file, None)).unwrap_err();
        let words = error.to_string();
        let is_same = words == problems.to_string();
        // Some are a `prometheus.yml` by their keys; then its own table of keys speaks.
        let speaks = words.starts_with(&*file);
        assert!(is_same || speaks, "{file}\n{words}\n{problems}");
    }
}

#[test]
fn what_a_role_lacks_is_said() {
    let error = convert::convert(&source("identity: a\n", FILE, Some(Role::Receiver)));
    let words = error.unwrap_err().to_string();
    assert!(
        words.contains("a receiver needs `receiver_stream`"),
        "{words}"
    );
    let lab = tempfile::tempdir().unwrap();
    let path = lab.path().join("prometheus.yml");
    fs::write(&path, "scrape_configs: []\n").unwrap();
    let file = path.to_string_lossy();
    let error = convert::convert(&source("scrape_configs: []\n", &file, Some(Role::Receiver)));
    let words = error.unwrap_err().to_string();
    assert!(words.contains("somewhere to deliver to"), "{words}");
}

/// Files of the ancestor as people may write them.
fn ancestor() -> impl Strategy<Value = String> {
    let name = proptest::option::of("[a-z0-9 .:#'\"{}\\[\\]&*!|>%@`,-]{1,8}");
    let url = (
        "https?",
        proptest::option::of("[a-z]{1,3}(:[a-z%4-6]{1,4})?"),
        "[a-z]{1,4}(\\.example)?|\\[::1\\]|10\\.0\\.0\\.[1-9]",
        proptest::option::of(1_u16..),
        "(/[a-zA-Z0-9_%.:=&-]{0,6}){0,3}",
        proptest::option::of("[a-c](=[a-z0-9+%]{0,3})?(&[a-c]=[a-z]{0,2}){0,2}"),
    );
    let url = url.prop_map(|(scheme, user, host, port, path, query)| {
        let user = user.map(|user| format!("{user}@")).unwrap_or_default();
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        format!("{scheme}://{user}{host}{port}{path}{query}")
    });
    let target = (name, url).prop_map(|(name, url)| {
        let quoted = serde_json::to_string(&url).unwrap();
        match name {
            Some(name) => {
                let name = serde_json::to_string(&name).unwrap();
                format!("      # about it\n      - name: {name}\n        url: {quoted} # so\n")
            }
            None => format!("      - url: {quoted}\n"),
        }
    });
    let job = (
        "[a-zA-Z0-9 _.:'-]{1,6}",
        proptest::option::of(1_u8..90),
        proptest::collection::vec(target, 0..5),
    );
    let job = job.prop_map(|(name, interval, targets)| {
        let name = serde_json::to_string(&name).unwrap();
        let interval = interval.map(|seconds| format!("    scrape_interval: {seconds}s\n"));
        let interval = interval.unwrap_or_default();
        format!("  {name}:\n{interval}    targets:\n{}", targets.concat())
    });
    let lines = proptest::sample::subsequence(
        vec![
            "verbose: true\n",
            "debug: false\n",
            "logfile: a.log\n",
            "\n# Seconds.\nmax_age: 80\n",
            "monitor_port: 10000\n",
            "poller_stream:\n    cluster_id: c  # c\n    urls: nats://h:4222\n",
            "receiver_stream: {cluster_id: 'c', urls: h, client_id: x}\n",
            "push_gateway:\n  url: http://h:9091\n  publisher_label: true\n",
            "management:\n  name: app\n  brokers:\n  - a:1\n  - b:1\n\n",
            "tls:\n  identity: x\n  scheme: manual\n  ca: /a.pem\n",
            "global: {sample_limit: 5, metric_name_validation_scheme: legacy}\n",
            "scrape_timeout: 5s\n",
        ],
        0..12,
    );
    let jobs = proptest::collection::vec(job, 0..4);
    (lines, jobs).prop_map(|(lines, jobs)| {
        let jobs = if jobs.is_empty() {
            String::new()
        } else {
            format!("# Jobs.\njobs:\n{}", jobs.concat())
        };
        format!("identity: USDC1\n{}{jobs}", lines.concat())
    })
}

proptest! {
    #[test]
    fn arbitrary_files_of_the_ancestor_mean_the_same(text in ancestor()) {
        // Names may be given twice, and paths may be none.
        if prometheus_streams::config::check(&text, FILE).is_ok() {
            check(&text, FILE);
        }
    }

    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        drop(convert::convert(&source(&text, FILE, None)));
    }
}

#[test]
fn most_arbitrary_files_of_the_ancestor_are_good() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut good = 0;
    for _ in 0..200 {
        let text = ancestor().new_tree(&mut runner).unwrap().current();
        good += usize::from(prometheus_streams::config::check(&text, FILE).is_ok());
    }
    assert!(
        good >= 50,
        "{good} of 200 are good: the others test nothing"
    );
}

#[test]
fn the_program_writes_no_file_over_another() {
    let lab = tempfile::tempdir().unwrap();
    let output = lab.path().join("new.yaml");
    let run = |file: &Path, more: &[&str]| {
        std::process::Command::new(env!("CARGO_BIN_EXE_prometheus-streams"))
            .arg("convert")
            .arg(file)
            .args(["--output", &output.to_string_lossy()])
            .args(more)
            .output()
            .unwrap()
    };
    let bad = folder("tests/data/config/bad/all_at_once.yaml");
    let refused = run(&bad, &[]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("all_at_once.yaml:"));
    assert!(!output.exists(), "nothing is written of a bad file");
    assert_eq!(run(Path::new("/nowhere.yaml"), &[]).status.code(), Some(2));

    let good = folder("tests/data/config/good/ancestor.yaml");
    assert_eq!(run(&good, &[]).status.code(), Some(0));
    let first = fs::read_to_string(&output).unwrap();
    fs::write(&output, "mine").unwrap();
    let refused = run(&good, &[]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("`--force`"));
    assert_eq!(fs::read_to_string(&output).unwrap(), "mine");
    assert_eq!(run(&good, &["--force"]).status.code(), Some(0));
    assert_eq!(fs::read_to_string(&output).unwrap(), first);
}
