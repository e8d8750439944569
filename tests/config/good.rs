//! What good files mean.

use std::path::PathBuf;
use std::time::Duration;

use prometheus_streams::bus::Storage;
use prometheus_streams::config::{self, Config, Role};
use prometheus_streams::http;
use prometheus_streams::model::Labels;
use prometheus_streams::sink::pushgateway::OnFailure;
use prometheus_streams::sink::remote_write::Besides;
use prometheus_streams::spool;
use prometheus_streams::telemetry::Level;

use crate::{folder, load, targets};

fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

#[test]
fn the_sample_of_the_ancestor_loads() {
    let path = folder("tests/data/config/good/ancestor.yaml");
    let loaded = Config::load(&path).unwrap();
    let config = loaded.config;
    assert_eq!(config.identity, "USDC1");
    assert_eq!(config.max_age, Some(seconds(80)));
    assert_eq!(config.log.level, Level::Info);
    assert_eq!(
        config.log.file,
        Some("/var/log/prometheus-streams.log".into())
    );
    let admin = config.admin.unwrap();
    assert_eq!((admin.port, admin.address), (10_000, None));

    let stream = config.poller_stream.as_ref().unwrap();
    assert_eq!(stream.urls, ["nats://nats.dc1.example.net:4222"]);
    assert_eq!(
        (&*stream.stream, &*stream.topic),
        ("dc1_stream", "prometheus")
    );
    assert_eq!(
        (&stream.client_id, &stream.auth, &stream.tls),
        (&None, &None, &None)
    );
    let stream = config.receiver_stream.as_ref().unwrap();
    assert_eq!(stream.client_id.as_deref(), Some("prometheus_receiver"));
    assert_eq!(stream.stream, "global_stream");

    let gateway = config.push_gateway.as_ref().unwrap();
    assert_eq!(
        gateway.url.as_str(),
        "http://prometheus.dc2.example.net:9091/"
    );
    assert!(gateway.publisher_label);
    assert!(config.remote_write.is_empty());

    let targets = targets(&config);
    let labels: Vec<_> = targets
        .iter()
        .map(|t| (t.labels.job(), t.labels.instance()))
        .collect();
    let expected = [
        ("choria", "choria1"),
        ("choria", "choria2"),
        ("choria", "choria3"),
        ("prometheus_streams", "USDC1"),
    ];
    assert_eq!(labels, expected);
    assert_eq!(
        targets[0].url.as_str(),
        "http://choria1.dc1.example.net:8222/choria/prometheus"
    );
    assert_eq!(
        (targets[0].interval, targets[0].timeout),
        (seconds(60), seconds(10))
    );
    assert_eq!(targets[0].config.limits.body_size, 256 << 20);
    assert_eq!(targets[3].url.as_str(), "http://localhost:10000/metrics");
    assert_eq!(config.require(Role::Poller), Ok(()));
    assert_eq!(config.require(Role::Receiver), Ok(()));

    let warnings: Vec<String> = loaded
        .warnings
        .iter()
        .map(|w| format!("{}:{} {}", w.line, w.path, w.what))
        .collect();
    let expected = [
        "10:poller_stream.cluster_id `cluster_id` has no meaning on JetStream; it is used as the stream's name",
        "15:receiver_stream.cluster_id `cluster_id` has no meaning on JetStream; it is used as the stream's name",
        "21:management `management` has no effect yet",
    ];
    assert_eq!(warnings, expected);
}

#[test]
fn defaults_are_those_of_the_reference() {
    let (config, warnings) = load(
        "poller_stream: {urls: nats.example.net}\n\
         push_gateway: {url: 'http://gateway:9091/prefix/'}\n\
         remote_write: [{url: 'http://prometheus:9090/api/v1/write'}]\n",
    );
    assert_eq!(warnings, [""; 0]);
    assert!(!config.identity.is_empty());
    assert_eq!(
        (config.max_age, config.admin, config.log.file),
        (None, None, None)
    );
    assert!(config.scrape.configs.is_empty());
    let stream = config.poller_stream.unwrap();
    assert_eq!(stream.urls, ["nats://nats.example.net:4222"]);
    assert_eq!(
        (&*stream.stream, &*stream.topic),
        ("PROMETHEUS", "prometheus")
    );
    assert_eq!(
        (stream.manage, stream.replicas, stream.storage),
        (true, 1, Storage::File)
    );
    assert_eq!(stream.max_age, seconds(600));
    let gateway = config.push_gateway.unwrap();
    assert_eq!(gateway.url.path(), "/prefix/");
    assert_eq!(
        (gateway.on_failure, gateway.publisher_label),
        (OnFailure::Delete, false)
    );
    assert_eq!((gateway.timeout, gateway.concurrency), (seconds(10), 16));
    assert_eq!(gateway.min_backoff, Duration::from_millis(100));
    assert_eq!(
        (gateway.max_backoff, gateway.http),
        (seconds(5), http::Settings::default())
    );
    let endpoint = &config.remote_write[0];
    assert_eq!(endpoint.name, "remote-write-796c595b");
    assert_eq!(
        (endpoint.timeout, endpoint.publisher_label),
        (seconds(30), false)
    );
    assert_eq!(
        (endpoint.concurrency, endpoint.max_samples_per_send),
        (8, 2000)
    );
    assert_eq!(endpoint.batch_send_deadline, Duration::from_millis(100));
    assert_eq!(endpoint.min_backoff, Duration::from_millis(30));
    assert_eq!(
        (endpoint.max_backoff, endpoint.retry_on_http_429),
        (seconds(5), true)
    );
    assert!(endpoint.external_labels.is_empty());
    assert_eq!(endpoint.besides, Besides::default());
    let (config, _) = load(
        "remote_write: [{url: 'http://a', send_exemplars: true, send_native_histograms: true}]\n",
    );
    let both = Besides {
        exemplars: true,
        native_histograms: true,
    };
    assert_eq!(config.remote_write[0].besides, both);
}

#[test]
fn the_host_name_is_the_identity_when_there_is_none() {
    let (config, _) = load("verbose: true\n");
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(config.identity, name.trim());
}

#[test]
fn numbers_and_strings_stand_for_each_other() {
    #[track_caller]
    fn check(text: &str, max_age: Option<u64>) {
        let (config, _) = load(&format!("max_age: {text}\n"));
        assert_eq!(config.max_age, max_age.map(seconds), "{text}");
    }
    check("80", Some(80));
    check("\"80\"", Some(80));
    check("80s", Some(80));
    check("'1m20s'", Some(80));
    check("!!str 80", Some(80));
    check("0", None);
    check("0s", None);
    check("", None);
    check("~", None);
    let (config, _) = load("identity: 12\nmonitor_port: '10000'\ndebug: 'yes'\n");
    assert_eq!(config.identity, "12");
    assert_eq!(config.admin.unwrap().port, 10_000);
    assert_eq!(config.log.level, Level::Debug);
}

#[test]
fn a_site_is_silent_after_five_minutes_unless_the_file_says_otherwise() {
    #[track_caller]
    fn check(text: &str, expected: Option<u64>, warning: &str) {
        let (config, warnings) = load(text);
        assert_eq!(config.site_timeout, expected.map(seconds));
        assert_eq!(warnings.is_empty(), warning.is_empty(), "{warnings:?}");
        assert!(warnings.iter().all(|found| found.contains(warning)));
    }
    check("debug: true\n", Some(300), "");
    check("site_timeout: 2m\n", Some(120), "");
    check("site_timeout: 0s\n", None, "");
    let warning = ":1:15: `site_timeout` is shorter than two heartbeats";
    check("site_timeout: 119s\n", Some(119), warning);
}

#[test]
fn relabel_rules_of_an_endpoint_are_read() {
    let (config, warnings) = load(
        "remote_write:\n- url: http://h/w\n  write_relabel_configs:\n  - regex: go_.*\n    \
         source_labels: [__name__]\n    action: drop\n- url: http://i/w\n",
    );
    assert_eq!(warnings, [""; 0]);
    let rules: Vec<usize> = config
        .remote_write
        .iter()
        .map(|endpoint| endpoint.write_relabel.as_slice().len())
        .collect();
    assert_eq!(rules, [1, 0]);
}

#[test]
fn an_endpoint_follows_the_gateway_with_the_publisher_label() {
    let (config, _) = load(
        "push_gateway: {url: 'http://a', publisher_label: true}\n\
         external_labels: {site: EU, empty: '', number: 7}\n\
         remote_write: [{url: 'http://a'}, {url: 'http://b', publisher_label: false, name: b}]\n",
    );
    let labels: Vec<bool> = config
        .remote_write
        .iter()
        .map(|e| e.publisher_label)
        .collect();
    assert_eq!(labels, [true, false]);
    let expected = Labels::new([("site", "EU"), ("number", "7")]);
    assert!(
        config
            .remote_write
            .iter()
            .all(|endpoint| endpoint.external_labels == expected)
    );
}

#[test]
fn keys_without_effect_are_warned_of() {
    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let (_, warnings) = load(text);
        assert_eq!(warnings.len(), expected.len(), "{warnings:?}");
        for (warning, expected) in warnings.iter().zip(expected) {
            assert!(warning.contains(expected), "{warning}");
        }
    }
    check(
        "remote_write: [{url: 'http://a', queue_config: {capacity: 1, min_shards: 1}}]\n",
        &[
            ":1:49: `capacity` has no effect",
            ":1:62: `min_shards` has no effect",
        ],
    );
    check(
        "tls: {identity: a, cache: b, ssl_dir: c}\n",
        &["`identity`", "`cache`", "`ssl_dir`"],
    );
    check(
        "tls: {scheme: puppet, identity: a, ca: b, cert: c, key: d, crl: e, cache: f}\n",
        &["`ca`", "`cert`", "`key`", "`crl`", "`cache`"],
    );
    check(
        "tls: {insecure_skip_verify: true, crl: e}\n",
        &["`crl` has no effect: with `insecure_skip_verify`"],
    );
    check("monitor_address: ::1\n", &["`monitor_port` is not set"]);
    check(
        "jobs: {a: , b: {targets: []}}\n",
        &["job `a` has no targets", "job `b` has no targets"],
    );
}

#[test]
fn a_spool_needs_only_a_folder() {
    #[track_caller]
    fn check(text: &str, expected: Option<&spool::Settings>) {
        let (config, warnings) = load(&format!("spool: {text}\n"));
        assert_eq!(warnings, [""; 0]);
        assert_eq!(config.spool.as_ref(), expected, "{text}");
    }
    let dir = PathBuf::from("/etc/prometheus-streams/queue");
    let defaults = spool::Settings {
        dir,
        max_size: 1 << 30,
        max_age: seconds(24 * 3600),
        fsync: spool::Fsync::Batched,
    };
    check("", None);
    check("{dir: queue}", Some(&defaults));
    let other = spool::Settings {
        dir: "/var/spool/x".into(),
        max_size: 16 << 20,
        max_age: seconds(1),
        fsync: spool::Fsync::Never,
    };
    check(
        "{dir: /var/spool/x, max_size: 16MB, max_age: 1s, fsync: never}",
        Some(&other),
    );
    let fsync = spool::Fsync::Always;
    check(
        "{dir: queue, fsync: always}",
        Some(&spool::Settings { fsync, ..defaults }),
    );
}

#[test]
fn frames_are_chained_unless_that_is_switched_off() {
    for (text, expected) in [
        ("identity: a", true),
        ("wire: {}", true),
        ("wire: {chain: true}", true),
        ("wire: {chain: false}", false),
    ] {
        assert_eq!(load(text).0.chain, expected, "{text}");
    }
}

#[test]
fn a_job_has_its_own_schedule_by_the_rules_of_prometheus() {
    #[track_caller]
    fn check(global: &str, job: &str, interval: u64, timeout: u64) {
        let text = format!("{global}\njobs: {{a: {{{job} targets: [{{url: 'http://a'}}]}}}}\n");
        let (config, _) = load(&text);
        let target = &targets(&config)[0];
        assert_eq!(
            (target.interval, target.timeout),
            (seconds(interval), seconds(timeout))
        );
    }
    check("", "", 60, 10);
    check("scrape_interval: 5s", "", 5, 5);
    check("scrape_interval: 5s", "scrape_interval: 30s,", 30, 5);
    check("scrape_timeout: 20s", "scrape_interval: 15s,", 15, 15);
    check(
        "scrape_timeout: 20s",
        "scrape_interval: 15s, scrape_timeout: 3s,",
        15,
        3,
    );
    let (config, _) = load("jobs: {a: {body_size_limit: 1KB, targets: [{url: 'http://a'}]}}\n");
    assert_eq!(config.scrape.configs[0].limits.body_size, 1024);
}

#[test]
fn a_target_without_a_name_has_host_and_port() {
    #[track_caller]
    fn check(url: &str, instance: &str) {
        let (config, _) = load(&format!("jobs: {{a: {{targets: [{{url: '{url}'}}]}}}}\n"));
        assert_eq!(targets(&config)[0].labels.instance(), instance);
    }
    check("http://host/metrics", "host:80");
    check("https://host/metrics", "host:443");
    check("http://me:pw@host:9100", "host:9100");
    check("http://[2001:db8::1]:9100/metrics", "[2001:db8::1]:9100");
}

#[test]
fn the_own_pages_are_scraped_where_they_are() {
    #[track_caller]
    fn check(address: &str, url: &str) {
        let text = format!("identity: A\nmonitor_port: 99\nmonitor_address: {address}\n");
        let (config, _) = load(&text);
        let target = &targets(&config)[0];
        assert_eq!(
            target.labels,
            Labels::of_target("prometheus_streams", "A").into()
        );
        assert_eq!(target.url.as_str(), url);
    }
    check("", "http://localhost:99/metrics");
    check("127.0.0.2", "http://127.0.0.2:99/metrics");
    check("0.0.0.0", "http://127.0.0.1:99/metrics");
    check("'[::1]'", "http://[::1]:99/metrics");
    check("'::'", "http://[::1]:99/metrics");
    let own = "monitor_port: 99\njobs: {prometheus_streams: {targets: [{url: 'http://a'}]}}\n";
    let (config, _) = load(own);
    assert_eq!(targets(&config).len(), 1);
    assert_eq!(load("monitor_port: 0\n").0.admin, None);
}

#[test]
fn aliases_and_merged_mappings_are_followed() {
    let (config, _) = load(
        "jobs:\n\
         \x20 a: &common\n\
         \x20   scrape_interval: 30s\n\
         \x20   targets: [&t {url: 'http://a'}]\n\
         \x20 b:\n\
         \x20   <<: *common\n\
         \x20   scrape_interval: 15s\n\
         \x20 c:\n\
         \x20   <<: [*common]\n\
         \x20   targets: [{<<: *t, name: x}]\n",
    );
    let targets = targets(&config);
    let targets: Vec<_> = targets
        .iter()
        .map(|t| (t.labels.job(), t.labels.instance(), t.interval.as_secs()))
        .collect();
    assert_eq!(
        targets,
        [("a", "a:80", 30), ("b", "a:80", 15), ("c", "x", 30)]
    );
}

#[test]
fn a_role_says_what_it_lacks() {
    #[track_caller]
    fn check(text: &str, role: Role, expected: &str) {
        let (config, _) = load(text);
        let problems = config.require(role).unwrap_err();
        let text = config::render(problems.as_slice());
        assert!(text.contains(expected), "{text}");
    }
    let own_pages_only = "monitor_port: 99\npoller_stream: {urls: a}\n";
    check(
        own_pages_only,
        Role::Poller,
        "config.yaml:1:1: a poller needs at least one job",
    );
    check(
        "debug: true\n",
        Role::Poller,
        "a poller needs `poller_stream`",
    );
    check(
        "debug: true\n",
        Role::Receiver,
        "a receiver needs `receiver_stream`",
    );
    let no_sink = "receiver_stream: {urls: a}\n";
    check(
        no_sink,
        Role::Receiver,
        "a receiver needs somewhere to deliver to",
    );
}

#[test]
fn windows_lines_and_a_byte_order_mark_are_taken() {
    let (config, _) = load("\u{feff}identity: A\r\ndebug: true\r\n");
    assert_eq!((&*config.identity, config.log.level), ("A", Level::Debug));
}

#[test]
fn a_variable_is_never_expanded() {
    let (config, _) = load("identity: ${HOME}\nexternal_labels: {a: $HOME}\n");
    assert_eq!(config.identity, "${HOME}");
}
