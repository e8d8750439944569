//! Real servers on free ports, and deliveries to give to sinks.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderMap, Method};
use prometheus_streams::clock::Clock;
use prometheus_streams::exposition::{Entry, Parser};
use prometheus_streams::http::{Client, Settings};
use prometheus_streams::model::{FailureReason, Format, Labels, Outcome, Tally, Text};
use prometheus_streams::relabel::Rules;
use prometheus_streams::sink::{Delivery, State, pushgateway, remote_write};
use prometheus_streams::wire::{Body, Columns, Scrape, Shape};
use tempfile::TempDir;
use url::Url;

/// How long a condition may take to come true.
const PATIENCE: Duration = Duration::from_secs(30);

/// Set to skip the tests that need a real server.
const SKIP: &str = "PROMETHEUS_STREAMS_SKIP_LIVE";

/// Checks how much a sink has left out for a reason.
#[track_caller]
pub(crate) fn check_removed(sink: &remote_write::RemoteWrite, reason: &str, count: u64) {
    let removed = sink.removed();
    assert!(removed.contains(&(reason, count)), "{removed:?}");
}

/// A server of our own, killed at the end.
pub(crate) struct Server {
    child: Mutex<Child>,
    pub(crate) url: Url,
    _folder: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap();
        drop(child.kill());
        drop(child.wait());
    }
}

impl Server {
    pub(crate) async fn pushgateway() -> Option<Self> {
        // Without the second one, Debian's gateway keeps its groups in a folder of the system.
        let arguments = |address: &str, _folder: &str| {
            vec![
                format!("--web.listen-address={address}"),
                "--persistence.file=".to_owned(),
            ]
        };
        Self::start("prometheus-pushgateway", "/-/ready", arguments).await
    }

    pub(crate) async fn prometheus() -> Option<Self> {
        Self::prometheus_with("global: {}\n").await
    }

    /// Starts a Prometheus with a configuration; it stores native histograms and exemplars.
    pub(crate) async fn prometheus_with(text: &str) -> Option<Self> {
        let arguments = |address: &str, folder: &str| {
            let config = format!("{folder}/prometheus.yml");
            std::fs::write(&config, text).unwrap();
            vec![
                "--enable-feature=native-histograms,exemplar-storage".to_owned(),
                format!("--web.listen-address={address}"),
                "--web.enable-remote-write-receiver".to_owned(),
                format!("--config.file={config}"),
                format!("--storage.tsdb.path={folder}/data"),
            ]
        };
        Self::start("prometheus", "/-/ready", arguments).await
    }

    pub(crate) async fn victoria_metrics() -> Option<Self> {
        let arguments = |address: &str, folder: &str| {
            vec![
                format!("-httpListenAddr={address}"),
                format!("-storageDataPath={folder}/data"),
                "-search.latencyOffset=0".to_owned(),
                "-search.disableCache".to_owned(),
            ]
        };
        Self::start("victoria-metrics", "/health", arguments).await
    }

    /// Starts a server and waits for it; `None` if such tests are to be skipped.
    async fn start(
        program: &str,
        ready: &str,
        arguments: impl Fn(&str, &str) -> Vec<String>,
    ) -> Option<Self> {
        if std::env::var_os(SKIP).is_some() {
            return None;
        }
        // The port is free when we look; if another program takes it first, the server ends.
        for _ in 0..5 {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let address = listener.local_addr().unwrap().to_string();
            drop(listener);
            let folder = tempfile::tempdir().unwrap();
            let child = Command::new(program)
                .args(arguments(&address, folder.path().to_str().unwrap()))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap_or_else(|error| panic!("cannot run `{program}` ({error}): install it"));
            let url = Url::parse(&format!("http://{address}/")).unwrap();
            let server = Self {
                child: Mutex::new(child),
                url,
                _folder: folder,
            };
            let is_up = wait_for(program, async || match get(&server.url, ready).await {
                Some((200, _)) => Some(true),
                _ => server
                    .child
                    .lock()
                    .unwrap()
                    .try_wait()
                    .unwrap()
                    .map(|_ended| false),
            });
            if is_up.await {
                return Some(server);
            }
        }
        panic!("`{program}` does not start");
    }

    /// Asks for the value of a query at a time, by labels.
    pub(crate) async fn query(&self, query: &str, time_ms: i64) -> BTreeMap<String, f64> {
        let mut url = self.url.join("api/v1/query").unwrap();
        let time = format!("{}.{:03}", time_ms / 1000, time_ms % 1000);
        url.query_pairs_mut()
            .append_pair("query", query)
            .append_pair("time", &time);
        let target = format!("{}?{}", url.path(), url.query().unwrap());
        let (status, text) = get(&self.url, &target).await.unwrap();
        assert_eq!(status, 200, "{text}");
        let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
        let series = answer["data"]["result"].as_array().unwrap().iter();
        let series = series.map(|series| {
            let labels = series["metric"].as_object().unwrap().iter();
            let labels =
                labels.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()));
            let value = series["value"][1].as_str().unwrap().parse().unwrap();
            (show_labels(&labels.collect()), value)
        });
        series.collect()
    }
}

/// Labels as one text, sorted.
pub(crate) fn show_labels(labels: &BTreeMap<String, String>) -> String {
    let pairs = labels.iter().map(|(name, value)| format!("{name}={value}"));
    pairs.collect::<Vec<_>>().join(" ")
}

/// The series of an exposition, with some labels added; what has a time of its own is left out.
pub(crate) fn series_of(text: &str, added: &[(&str, &str)]) -> BTreeMap<String, f64> {
    let mut parser = Parser::new(text.as_bytes(), Format::Text);
    let mut all = BTreeMap::new();
    while let Some(entry) = parser.next() {
        let Entry::Sample(sample) = entry.unwrap() else {
            continue;
        };
        let exposed = sample
            .labels
            .iter()
            .map(|label| (&*label.name, &*label.value));
        let labels = exposed
            .chain([("__name__", sample.name)])
            .chain(added.iter().copied());
        let labels = labels.filter(|(_, value)| !value.is_empty());
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        all.insert(show_labels(&labels.collect()), sample.value);
    }
    all
}

/// Compares values by their bits, but takes any NaN for any other.
#[track_caller]
pub(crate) fn assert_same(found: &BTreeMap<String, f64>, expected: &BTreeMap<String, f64>) {
    let bits = |values: &BTreeMap<String, f64>| -> BTreeMap<String, u64> {
        let canonical = |value: f64| if value.is_nan() { f64::NAN } else { value };
        values
            .iter()
            .map(|(name, value)| (name.clone(), canonical(*value).to_bits()))
            .collect()
    };
    assert_eq!(bits(found), bits(expected));
}

/// Fetches a page; `None` if nobody answers.
pub(crate) async fn get(base: &Url, path: &str) -> Option<(u16, String)> {
    let client = Client::build(Settings::default(), PATIENCE).unwrap();
    let url = base.join(path).unwrap();
    let (headers, body) = (HeaderMap::new(), bytes::Bytes::new());
    let answer = client
        .send(Method::GET, url, headers, body, 64 << 20)
        .await
        .ok()?;
    Some((
        answer.status.as_u16(),
        String::from_utf8_lossy(&answer.body).into_owned(),
    ))
}

/// Asks again and again until there is an answer.
pub(crate) async fn wait_for<T>(what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
    let mut interval = tokio::time::interval(Duration::from_millis(20));
    let answer = async {
        loop {
            interval.tick().await;
            if let Some(answer) = ask().await {
                return answer;
            }
        }
    };
    let answer = tokio::time::timeout(PATIENCE, answer).await;
    answer.unwrap_or_else(|_elapsed| panic!("gave up waiting for {what}"))
}

pub(crate) fn now_ms() -> i64 {
    Clock::system().now_ms()
}

pub(crate) fn gateway_settings(url: &Url) -> pushgateway::Settings {
    pushgateway::Settings {
        url: url.clone(),
        publisher_label: false,
        on_failure: pushgateway::OnFailure::Delete,
        concurrency: 4,
        timeout: Duration::from_secs(10),
        min_backoff: Duration::from_millis(10),
        max_backoff: Duration::from_millis(100),
        http: Settings::default(),
    }
}

pub(crate) fn endpoint_settings(url: Url) -> remote_write::Settings {
    remote_write::Settings {
        name: "endpoint".to_owned(),
        url,
        timeout: Duration::from_secs(10),
        publisher_label: false,
        external_labels: Labels::default(),
        write_relabel: Rules::default(),
        besides: remote_write::Besides::default(),
        concurrency: 2,
        max_samples_per_send: 2000,
        batch_send_deadline: Duration::from_millis(10),
        min_backoff: Duration::from_millis(10),
        max_backoff: Duration::from_millis(100),
        retry_on_http_429: true,
        http: Settings::default(),
    }
}

pub(crate) fn delivery(instance: &str, time_ms: i64, outcome: Outcome<Body>) -> Delivery {
    let target = Arc::new(Labels::of_target("job/1", instance));
    Delivery {
        publisher: Arc::from("site"),
        scrape: Arc::new(Scrape {
            target,
            time_ms,
            outcome,
        }),
        state: State::Pending,
    }
}

/// A scrape that brought `text`.
pub(crate) fn exposed(instance: &str, time_ms: i64, text: &str) -> Delivery {
    let outcome = Outcome::Exposed {
        body: Body::Text(Text {
            text: text.to_owned().into(),
            format: Format::Text,
        }),
        duration: Duration::from_millis(250),
    };
    delivery(instance, time_ms, outcome)
}

/// A scrape that brought the values of `text`, whose shape is built anew.
pub(crate) fn valued(instance: &str, time_ms: i64, text: &str) -> Delivery {
    let mut delivery = exposed(instance, time_ms, text);
    let scrape = Scrape::clone(&delivery.scrape);
    let target = Arc::clone(&scrape.target);
    delivery.scrape = Arc::new(scrape.map(|_| {
        let shape = Shape::build(target, text.as_bytes(), Format::Text).unwrap();
        let column = shape.template().clone();
        let shape = Arc::new(shape);
        Body::Columns(Columns { shape, column })
    }));
    delivery
}

/// The same of a target with reserved labels.
pub(crate) fn with_reserved(mut delivery: Delivery, reserved: &[(&str, &str)]) -> Delivery {
    let mut scrape = Scrape::clone(&delivery.scrape);
    let own = scrape.target.iter();
    let labels: Vec<_> = own.chain(reserved.iter().copied()).collect();
    scrape.target = Arc::new(Labels::new(labels));
    delivery.scrape = Arc::new(scrape);
    delivery
}

/// A scrape that failed.
pub(crate) fn failed(instance: &str, time_ms: i64) -> Delivery {
    let outcome = Outcome::Failed {
        reason: FailureReason::Refused,
        duration: Duration::from_millis(500),
        tally: Tally::default(),
    };
    delivery(instance, time_ms, outcome)
}

/// The states of a batch: `delivered`, `pending`, `dropped` or the reason of a rejection.
pub(crate) fn states(batch: &[Delivery]) -> Vec<&str> {
    let word = |delivery: &Delivery| match delivery.state {
        State::Pending => "pending",
        State::Delivered => "delivered",
        State::Dropped => "dropped",
        State::Rejected { reason, .. } => reason,
    };
    batch.iter().map(word).collect()
}
