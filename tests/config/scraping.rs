//! Scrape configurations, wherever they stand, and what jobs become.

use std::time::Duration;

use prometheus_streams::config::{Config, LoadError, Overrides, Role};
use prometheus_streams::exposition::{NameEscaping, Protocol};
use prometheus_streams::http::Auth;
use prometheus_streams::model::NameValidation;

use crate::{folder, load, targets};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// URLs and labels of all targets; labels are written as `a=1 b=2`.
#[track_caller]
fn check(text: &str, expected: &[(&str, &str)]) {
    let (config, warnings) = load(text);
    assert_eq!(warnings, [""; 0]);
    let targets = targets(&config);
    let found: Vec<(String, String)> = targets
        .iter()
        .map(|target| {
            let labels = target.labels.iter();
            let labels: Vec<String> = labels
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            (target.url.to_string(), labels.join(" "))
        })
        .collect();
    let expected: Vec<(String, String)> = expected
        .iter()
        .map(|(url, labels)| ((*url).to_owned(), (*labels).to_owned()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn defaults_are_those_of_prometheus() {
    let (config, warnings) = load("scrape_configs: [{job_name: node}]\n");
    assert_eq!(warnings, [""; 0]);
    let scrape = &config.scrape.configs[0];
    assert_eq!(scrape.job_name, "node");
    assert_eq!(
        (scrape.interval, scrape.timeout),
        (seconds(60), seconds(10))
    );
    assert_eq!(
        (&*scrape.metrics_path, &*scrape.scheme),
        ("/metrics", "http")
    );
    assert_eq!(scrape.protocols, Protocol::DEFAULT);
    assert_eq!(scrape.fallback_protocol, None);
    assert!(!scrape.honor_labels && scrape.honor_timestamps && scrape.enable_compression);
    assert!(!scrape.track_timestamps_staleness && !scrape.native_histograms);
    assert!(!scrape.always_scrape_classic_histograms && !scrape.extra_scrape_metrics);
    assert_eq!(scrape.limits.body_size, 256 << 20);
    assert_eq!((scrape.limits.samples, scrape.limits.targets), (None, None));
    assert_eq!(scrape.name_validation, NameValidation::Utf8);
    assert_eq!(scrape.name_escaping, NameEscaping::AllowUtf8);
    assert!(scrape.relabel.is_empty() && scrape.metric_relabel.is_empty());
    assert!(scrape.params.is_empty() && scrape.discovery.is_empty());
    assert_eq!(
        config.require(Role::Receiver).unwrap_err().as_slice().len(),
        2
    );
}

#[test]
fn static_targets_are_relabelled() {
    check(
        "scrape_configs:\n\
         - job_name: node\n\
         \x20 static_configs:\n\
         \x20 - {targets: [a:9100, b], labels: {zone: x, __meta_rack: r1}}\n\
         \x20 relabel_configs:\n\
         \x20 - {source_labels: [__meta_rack], target_label: rack}\n\
         - job_name: probe\n\
         \x20 metrics_path: /probe\n\
         \x20 scheme: https\n\
         \x20 params: {module: [http, tcp], target: ['']}\n\
         \x20 static_configs: [{targets: ['http://x/']}]\n\
         \x20 relabel_configs:\n\
         \x20 - {source_labels: [__address__], target_label: __param_target}\n\
         \x20 - {source_labels: [__param_target], target_label: instance}\n\
         \x20 - {target_label: __address__, replacement: 'prober:9115'}\n",
        &[
            (
                "http://a:9100/metrics",
                "instance=a:9100 job=node rack=r1 zone=x",
            ),
            ("http://b/metrics", "instance=b job=node rack=r1 zone=x"),
            (
                "https://prober:9115/probe?module=http&module=tcp&target=http%3A%2F%2Fx%2F",
                "instance=http://x/ job=probe",
            ),
        ],
    );
}

#[test]
fn what_a_configuration_does_not_say_is_in_global() {
    let (config, _) = load(
        "global:\n\
         \x20 scrape_interval: 30s\n\
         \x20 scrape_timeout: 20s\n\
         \x20 sample_limit: 5\n\
         \x20 label_limit: 7\n\
         \x20 body_size_limit: 1MB\n\
         \x20 keep_dropped_targets: 3\n\
         \x20 scrape_protocols: [PrometheusText0.0.4]\n\
         \x20 extra_scrape_metrics: true\n\
         scrape_configs:\n\
         - {job_name: a}\n\
         - {job_name: b, scrape_interval: 15s, sample_limit: 9, label_limit: 0,\n\
         \x20  body_size_limit: 2MB, scrape_native_histograms: true, extra_scrape_metrics: false}\n",
    );
    let [a, b] = &*config.scrape.configs else {
        panic!("{:?}", config.scrape.configs)
    };
    assert_eq!((a.interval, a.timeout), (seconds(30), seconds(20)));
    assert_eq!((b.interval, b.timeout), (seconds(15), seconds(15)));
    assert_eq!((a.limits.samples, b.limits.samples), (Some(5), Some(9)));
    assert_eq!((a.limits.labels, b.limits.labels), (Some(7), Some(7)));
    assert_eq!((a.limits.body_size, b.limits.body_size), (1 << 20, 2 << 20));
    assert_eq!(b.limits.keep_dropped_targets, Some(3));
    // What is asked for in `global` stands even where native histograms are wanted.
    assert_eq!(b.protocols, [Protocol::PrometheusText004]);
    assert!(a.extra_scrape_metrics && !b.extra_scrape_metrics);
}

#[test]
fn keys_at_the_top_level_are_as_good_as_global() {
    let (config, _) = load(
        "scrape_interval: 30s\n\
         body_size_limit: 1MB\n\
         global: {scrape_timeout: 5s}\n\
         scrape_configs: [{job_name: a}]\n\
         jobs: {b: {targets: [{url: 'http://b'}]}}\n",
    );
    for scrape in &config.scrape.configs {
        assert_eq!((scrape.interval, scrape.timeout), (seconds(30), seconds(5)));
        assert_eq!(scrape.limits.body_size, 1 << 20);
    }
}

#[test]
fn native_histograms_are_asked_for_in_protobuf_first() {
    let (config, _) = load("scrape_configs: [{job_name: a, scrape_native_histograms: true}]\n");
    assert_eq!(config.scrape.configs[0].protocols, Protocol::DEFAULT_NATIVE);
}

#[test]
fn names_are_asked_for_as_they_are_valid() {
    #[track_caller]
    fn check(global: &str, own: &str, names: NameValidation, escaping: NameEscaping) {
        let text = format!("global: {{{global}}}\nscrape_configs: [{{job_name: a, {own}}}]\n");
        let scrape = &load(&text).0.scrape.configs[0];
        assert_eq!(
            (scrape.name_validation, scrape.name_escaping),
            (names, escaping),
            "{text}"
        );
    }
    use NameEscaping::{AllowUtf8, Dots, Underscores, Values};
    use NameValidation::{Legacy, Utf8};
    const LEGACY: &str = "metric_name_validation_scheme: legacy";
    const UTF8: &str = "metric_name_validation_scheme: utf8";
    const DOTS: &str = "metric_name_escaping_scheme: dots";
    const VALUES: &str = "metric_name_escaping_scheme: values";
    check("", "", Utf8, AllowUtf8);
    check(LEGACY, "", Legacy, Underscores);
    check("", LEGACY, Legacy, Underscores);
    check(DOTS, "", Utf8, Dots);
    check(DOTS, UTF8, Utf8, AllowUtf8);
    check(DOTS, LEGACY, Legacy, Underscores);
    check(DOTS, VALUES, Utf8, Values);
    check(LEGACY, UTF8, Utf8, AllowUtf8);
}

#[test]
fn a_body_without_a_limit_has_one() {
    let (config, warnings) = load(
        "scrape_configs:\n\
         - {job_name: a, body_size_limit: 0}\n\
         - {job_name: b, body_size_limit: 5GB}\n",
    );
    let sizes: Vec<usize> = config
        .scrape
        .configs
        .iter()
        .map(|scrape| scrape.limits.body_size)
        .collect();
    assert_eq!(sizes, [256 << 20, 1 << 30]);
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("1GB is the limit"), "{warnings:?}");
}

#[test]
fn what_has_no_effect_is_told() {
    let (_, warnings) = load(
        "global: {scrape_failure_log_file: a.log, evaluation_interval: 1m, query_log_file: b}\n\
         scrape_configs:\n\
         - {job_name: a, native_histogram_bucket_limit: 10, scrape_failure_log_file: c,\n\
         \x20  native_histogram_min_bucket_factor: 1.1, convert_classic_histograms_to_nhcb: false}\n",
    );
    assert_eq!(warnings.len(), 4, "{warnings:?}");
    assert!(
        warnings
            .iter()
            .all(|warning| warning.contains("has no effect"))
    );
}

#[test]
fn empty_keys_of_a_rule_are_empty_text() {
    let (config, _) = load(
        "scrape_configs:\n\
         - job_name: a\n\
         \x20 relabel_configs:\n\
         \x20 - {source_labels: [a, b], separator: , regex: , target_label: c, replacement: ''}\n\
         \x20 - {action: KEEP}\n",
    );
    let rules = config.scrape.configs[0].relabel.as_slice();
    let settings = rules[0].settings();
    assert_eq!(
        (&*settings.separator, settings.regex.as_deref()),
        ("", Some(""))
    );
    assert_eq!(settings.replacement, "");
    assert_eq!(rules[1].settings().action.as_str(), "keep");
}

#[test]
fn a_url_of_a_job_is_said_in_labels() {
    check(
        "jobs:\n\
         \x20 a:\n\
         \x20   targets:\n\
         \x20   - {name: x, url: 'https://h:8443/p/a%20b?b=1&a=%C3%A9'}\n\
         \x20   - {name: y, url: 'http://h:80'}\n\
         \x20   - {name: z, url: 'http://[::1]:9100/metrics?a=1&a=2&b='}\n",
        &[
            ("https://h:8443/p/a%20b?a=%C3%A9&b=1", "instance=x job=a"),
            ("http://h/", "instance=y job=a"),
            ("http://[::1]:9100/metrics?a=1&a=2&b=", "instance=z job=a"),
        ],
    );
}

#[test]
fn a_user_in_the_url_of_a_job_is_sent_as_basic_auth() {
    let (config, _) = load(
        "jobs:\n\
         \x20 a:\n\
         \x20   targets:\n\
         \x20   - {name: x, url: 'http://m%40e:p%3Aw@h/metrics'}\n\
         \x20   - {name: y, url: 'http://h/metrics'}\n",
    );
    let targets = targets(&config);
    assert_eq!(targets.len(), 2);
    assert_eq!(targets[0].url, targets[1].url);
    let Some(Auth::Basic { username, password }) = &targets[0].config.client.auth else {
        panic!("{:?}", targets[0].config.client);
    };
    assert_eq!(username.reveal().unwrap(), "m@e");
    assert_eq!(password.as_ref().unwrap().reveal().unwrap(), "p:w");
    assert_eq!(targets[1].config.client.auth, None);
}

#[test]
fn own_pages_are_no_job_of_their_own_if_there_is_one() {
    let own = "monitor_port: 99\nscrape_configs: [{job_name: prometheus_streams}]\n";
    let (config, _) = load(own);
    assert_eq!(config.scrape.configs.len(), 1);
    let (config, _) = load("monitor_port: 99\npoller_stream: {urls: a}\n");
    assert_eq!(config.scrape.configs.len(), 1);
    let problems = config.require(Role::Poller).unwrap_err();
    assert!(
        problems.to_string().contains("at least one job"),
        "{problems}"
    );
}

/// Writes a configuration beside the test data, in a folder of its own.
fn load_file(text: &str) -> Result<prometheus_streams::config::Loaded, LoadError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, text).unwrap();
    Config::load(&path)
}

#[test]
fn a_whole_prometheus_yml_is_taken() {
    let other = folder("tests/data/config/other");
    let text = format!("prometheus_config: {}/good.yml\n", other.display());
    let loaded = load_file(&text).unwrap();
    let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let ignored = "good.yml:8:1: what does not concern scraping is ignored: `runtime`, \
        `alerting`, `rule_files`, `storage`, `tracing`, `remote_read`, `otlp`; nothing needs";
    assert!(warnings[0].contains(ignored), "{warnings:?}");
    let config = loaded.config;
    let jobs: Vec<(&str, Duration)> = config
        .scrape
        .configs
        .iter()
        .map(|scrape| (&*scrape.job_name, scrape.interval))
        .collect();
    assert_eq!(jobs, [("prometheus", seconds(15)), ("node", seconds(5))]);
    // Files are relative to the file that names them.
    let auth = format!("{:?}", config.scrape.configs[1].client.auth);
    assert!(auth.contains("tests/data/config/other/token"), "{auth}");
    let endpoint = &config.remote_write[0];
    assert_eq!(endpoint.url.as_str(), "http://localhost:9090/api/v1/write");
    assert_eq!(endpoint.external_labels.get("site"), Some("usdc1"));
    assert_eq!(endpoint.external_labels.get("price"), Some("5$"));
}

#[test]
fn only_a_receiver_minds_what_is_wrong_with_remote_write_of_others() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("prometheus.yml");
    let text = "remote_write: [{url: nonsense}]\n\
        scrape_configs: [{job_name: a, static_configs: [{targets: [a]}]}]\n";
    std::fs::write(&other, text).unwrap();
    let path = folder.path().join("config.yaml");
    let streams = "poller_stream: {urls: a}\nreceiver_stream: {urls: a}\n\
        push_gateway: {url: 'http://a'}\nprometheus_config: missing.yml\n";
    std::fs::write(&path, streams).unwrap();
    let overrides = Overrides {
        prometheus: Some(&other),
        ..Overrides::default()
    };
    let config = Config::load_with(&path, overrides).unwrap().config;
    assert_eq!(config.require(Role::Poller), Ok(()));
    let problems = config.require(Role::Receiver).unwrap_err().to_string();
    assert!(
        problems.contains("prometheus.yml:1:22: `url` is not a usable URL"),
        "{problems}"
    );
}

#[test]
fn files_with_more_configurations_are_read() {
    let other = folder("tests/data/config/other");
    let text = format!(
        "scrape_interval: 42s\nscrape_config_files: ['{0}/none_*.yml', '{0}/part_b.yml']\n",
        other.display()
    );
    let config = load_file(&text).unwrap().config;
    assert_eq!(config.scrape.configs.len(), 1);
    assert_eq!(config.scrape.configs[0].interval, seconds(42));
}
