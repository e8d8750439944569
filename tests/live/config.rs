//! A bad configuration: every problem at once, exit status 1, nothing started.

use std::fs;
use std::net::TcpStream;

use crate::SCENARIO;
use crate::support::{Behavior, Bus, Lab, NatsServer, Program, Targets, Version, free_port, run};

/// The sample of the system that this one continues, which must load as it stands.
const ANCESTOR: &str = r#"---
verbose: true
debug: false
logfile: /var/log/prometheus-streams.log
identity: USDC1
scrape_interval: 60s
max_age: 80
monitor_port: 10000
poller_stream:
  cluster_id: dc1_stream
  urls: nats://nats.dc1.example.net:4222
  topic: prometheus
receiver_stream:
  client_id: prometheus_receiver
  cluster_id: global_stream
  urls: nats://nats.dc2.example.net:4222
  topic: prometheus
push_gateway:
  url: http://prometheus.dc2.example.net:9091
  publisher_label: true
management:
  name: app
  logfile: "/var/log/app/backplane.log"
  loglevel: warn
  brokers:
    - choria1.example.net:4222
    - choria2.example.net:4222
jobs:
  choria:
      targets:
        - name: choria1
          url: http://choria1.dc1.example.net:8222/choria/prometheus
        - name: choria2
          url: http://choria2.dc1.example.net:8222/choria/prometheus
        - name: choria3
          url: http://choria3.dc1.example.net:8222/choria/prometheus
"#;

#[test]
fn the_ancestors_sample_is_good() {
    let (status, text) = check_file(ANCESTOR);
    assert_eq!(status, Some(0), "{text}");
}

#[test]
fn a_file_that_is_not_there_cannot_be_read() {
    let output = Program::output("prometheus-streams", &["check", "/nowhere/at/all.yaml"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn every_problem_is_told_with_its_line() {
    let bad = "identity: USDC1\n\
               scrape_interval: soon\n\
               poller_stream:\n  urls: nats://127.0.0.1:4222\n  topik: prometheus\n\
               jobs:\n  a:\n    targets:\n      - url: 'not a url'\n";
    let (status, text) = check_file(bad);
    assert_eq!(status, Some(1), "{text}");
    for problem in [":2:", "soon", ":5:", "topik", "topic", ":9:14:", "URL"] {
        assert!(text.contains(problem), "`{problem}` is not told:\n{text}");
    }
}

#[test]
fn one_scrape_shows_what_would_be_published() {
    run(SCENARIO, async |lab| {
        let targets = Targets::start(vec![
            Behavior::Fixed("go_threads 7\nold{a=\"1\"} 2\n".into()),
            Behavior::Fixed("good 1\nbad{ 2\n".into()),
        ])
        .await;
        let config = lab.file("explained", "yaml");
        let target = |number: usize| {
            format!(
                "      - targets: ['{}']\n        labels: {{instance: t{number}, __metrics_path__: /{number}}}\n",
                targets.address
            )
        };
        let text = format!(
            "identity: USDC1\n\
             scrape_configs:\n\
             \x20 - job_name: sim\n\
             \x20   fallback_scrape_protocol: PrometheusText0.0.4\n\
             \x20   metric_relabel_configs:\n\
             \x20     - {{source_labels: [__name__], regex: go_.*, action: drop}}\n\
             \x20     - {{source_labels: [__name__], regex: old, target_label: __name__, replacement: new}}\n\
             \x20   static_configs:\n{}{}",
            target(0),
            target(1)
        );
        fs::write(&config, text).unwrap();
        let file = config.to_str().unwrap();
        let scrape = async |name: &str| {
            let arguments = ["check", "--scrape", name, file].map(str::to_owned);
            let output = tokio::task::spawn_blocking(move || {
                let arguments = arguments.each_ref().map(|argument| &**argument);
                Program::output("prometheus-streams", &arguments)
            });
            let output = output.await.unwrap();
            let text = [output.stdout, output.stderr].concat();
            (output.status.code(), String::from_utf8(text).unwrap())
        };
        let (status, text) = scrape("sim/t0").await;
        assert_eq!(status, Some(0), "{text}");
        assert!(text.contains("\nnew{a=\"1\"} 2\n"), "{text}");
        assert!(!text.contains("go_threads"), "{text}");
        let (status, text) = scrape("sim/t1").await;
        assert_eq!(status, Some(1), "{text}");
        for word in ["up 0", "bad_syntax", "line 2"] {
            assert!(text.contains(word), "no `{word}`: {text}");
        }
        let (status, text) = scrape("sim/t2").await;
        assert_eq!(status, Some(1), "{text}");
        assert!(text.contains("no source lists such a target"), "{text}");
    });
}

#[test]
fn a_bad_file_starts_nothing() {
    run(SCENARIO, async |lab| {
        let nats = NatsServer::start(lab, Version::Packaged).await;
        let stream = format!("{{urls: '{}', topic: prometheus}}", nats.url());
        let sink = "push_gateway: {url: 'http://127.0.0.1:9'}";
        for bad in [
            "this is: not: yaml: [".to_owned(),
            "\u{0}\u{1}\u{2}".to_owned(),
            "[]".to_owned(),
            String::new(),
            format!("poller_stream: {stream}\nreceiver_stream: {stream}\n{sink}\nunheard_of: 1"),
            format!("poller_stream: {stream}\nreceiver_stream: {stream}\n{sink}\nmax_age: never"),
            "push_gateway: {url: ':::'}\njobs: {}".to_owned(),
            format!(
                "receiver_stream: {stream}\npush_gateway: {{url: 'no url'}}\n\
                     poller_stream: {stream}"
            ),
            format!(
                "poller_stream: {stream}\nreceiver_stream: {stream}\n{sink}\njobs: {{a: {{targets: \
                 [{{name: x, url: 'http://127.0.0.1:1/'}}, {{name: x, url: 'http://127.0.0.1:2/'}}]}}}}"
            ),
        ] {
            refused(lab, &bad);
        }
        // Nobody came as far as the stream.
        let bus = Bus::connect(&nats.url()).await;
        assert!(bus.info().await.is_err());
    });
}

#[track_caller]
fn refused(lab: &Lab, bad: &str) {
    let port = free_port();
    let path = lab.file("bad", "yaml");
    fs::write(&path, format!("monitor_port: {port}\n{bad}")).unwrap();
    let path = path.to_str().unwrap();
    for program in ["prometheus-streams-poller", "prometheus-streams-receiver"] {
        let output = Program::output(program, &["--config", path]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{program}: {bad}\n{text}");
        assert!(!text.trim().is_empty(), "{bad}");
        assert!(!text.contains("panicked"), "{bad}: {text}");
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    }
}

fn check_file(text: &str) -> (Option<i32>, String) {
    let lab = Lab::new();
    let path = lab.file("checked", "yaml");
    fs::write(&path, text).unwrap();
    let output = Program::output("prometheus-streams", &["check", path.to_str().unwrap()]);
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    (output.status.code(), text)
}
