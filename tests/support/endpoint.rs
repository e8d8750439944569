//! A remote-write endpoint that writes down what it is sent, and misbehaves on command.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prometheus_streams::clock::Clock;
use prost::Message as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::exposition::Labels;
use super::http::{Connection, Received, request};
use super::remote_write::{TimeSeries, WriteRequest};
use super::{Prometheus, wait_until};

/// How the endpoint answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Takes everything.
    Accept,
    /// Takes nothing and says so.
    Status(u16),
    /// Says nothing, until told to do otherwise.
    Hang,
    /// Answers with bytes that are no HTTP.
    Garbage,
}

/// A sample as it arrived.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrived {
    /// The sample's own time.
    pub(crate) time_ms: i64,
    /// Its value, bit for bit.
    pub(crate) value: f64,
    /// When it came.
    pub(crate) seen_ms: i64,
}

/// Samples by series, in the order of their arrival.
pub(crate) type Series = BTreeMap<Labels, Vec<Arrived>>;

/// The endpoint; stopped when dropped.
pub(crate) struct Endpoint {
    port: u16,
    shared: Arc<Shared>,
    answers: watch::Sender<Answer>,
    task: JoinHandle<()>,
}

struct Shared {
    series: Mutex<Series>,
    problems: Mutex<Vec<String>>,
    requests: AtomicU64,
    /// The real endpoint behind this one.
    behind: Option<u16>,
}

impl Endpoint {
    /// Starts an endpoint that takes everything.
    pub(crate) async fn start() -> Self {
        Self::build(None).await
    }

    /// Starts an endpoint that passes on what it is sent, and notes what was taken.
    pub(crate) async fn start_before(prometheus: &Prometheus) -> Self {
        Self::build(Some(prometheus.port)).await
    }

    async fn build(behind: Option<u16>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            series: Mutex::default(),
            problems: Mutex::default(),
            requests: AtomicU64::new(0),
            behind,
        });
        let (answers, _) = watch::channel(Answer::Accept);
        let task = tokio::spawn(accept(listener, Arc::clone(&shared), answers.clone()));
        Self {
            port,
            shared,
            answers,
            task,
        }
    }

    /// Returns the address to write to.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/api/v1/write", self.port)
    }

    /// Changes how requests are answered from now on.
    pub(crate) fn set(&self, answer: Answer) {
        self.answers.send_replace(answer);
    }

    /// Returns how many requests came, however they were answered.
    pub(crate) fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// Looks at everything that was taken.
    pub(crate) fn look<T>(&self, at: impl FnOnce(&Series) -> T) -> T {
        at(&self.shared.series.lock().unwrap())
    }

    /// Waits until so many more scrapes of a target have arrived.
    pub(crate) async fn receives(&self, instance: &str, more: usize, limit: Duration) {
        let count = || self.samples("sim_scrapes_total", instance).len();
        let goal = count() + more;
        wait_until(limit, "scrapes arrive", async || {
            let count = count();
            if count >= goal {
                Ok(())
            } else {
                Err(format!("{count} of {goal}"))
            }
        })
        .await;
    }

    /// Returns the samples of one series of one target, by the target's `instance`.
    pub(crate) fn samples(&self, name: &str, instance: &str) -> Vec<Arrived> {
        self.look(|series| {
            let has = |labels: &Labels, key: &str, value: &str| {
                labels.get(key).is_some_and(|found| found == value)
            };
            let mut matching = series.iter().filter(|(labels, _)| {
                has(labels, "__name__", name) && has(labels, "instance", instance)
            });
            let samples = matching.next().map(|(_, samples)| samples.clone());
            assert!(matching.next().is_none(), "two `{name}` of `{instance}`");
            samples.unwrap_or_default()
        })
    }

    /// Returns what was wrong with the requests themselves.
    pub(crate) fn problems(&self) -> Vec<String> {
        self.shared.problems.lock().unwrap().clone()
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, answers: watch::Sender<Answer>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        if let Ok(connection) = Connection::new(stream) {
            let serve = serve(connection, Arc::clone(&shared), answers.subscribe());
            connections.spawn(serve);
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(
    mut connection: Connection,
    shared: Arc<Shared>,
    mut answers: watch::Receiver<Answer>,
) {
    while let Some(received) = connection.next().await {
        shared.requests.fetch_add(1, Ordering::SeqCst);
        let answer = *answers.borrow_and_update();
        let sent = match answer {
            Answer::Accept => match shared.pass_on(&received).await {
                Ok((204, _)) => {
                    shared.store(&received);
                    connection.answer(204, &[], b"").await
                }
                Ok((status, body)) => connection.answer(status, &[], body.as_bytes()).await,
                Err(_broken) => return,
            },
            Answer::Status(status) => connection.answer(status, &[], b"not now\n").await,
            Answer::Hang => {
                // The connection is closed without an answer once the command is taken back; an
                // error means that the endpoint is gone, with the same end.
                drop(answers.changed().await);
                return;
            }
            Answer::Garbage => {
                let garbage = b"\x00\xffnonsense\r\n\r\n\x13\x37";
                drop(connection.writer.write_all(garbage).await);
                return;
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

impl Shared {
    /// Asks the real endpoint, if there is one.
    async fn pass_on(&self, received: &Received) -> Result<(u16, String), String> {
        match self.behind {
            Some(port) => request(port, "POST", &received.path, &received.body).await,
            None => Ok((204, String::new())),
        }
    }

    fn store(&self, received: &Received) {
        let seen_ms = Clock::system().now_ms();
        match decode(received) {
            Ok(request) => {
                let mut series = self.series.lock().unwrap();
                for one in request.timeseries {
                    if let Err(problem) = check(&one) {
                        self.problems.lock().unwrap().push(problem);
                    }
                    let labels = one.labels.into_iter();
                    let labels = labels.map(|label| (label.name, label.value)).collect();
                    let samples = one.samples.into_iter().map(|sample| Arrived {
                        time_ms: sample.timestamp,
                        value: sample.value,
                        seen_ms,
                    });
                    series.entry(labels).or_default().extend(samples);
                }
            }
            Err(problem) => self.problems.lock().unwrap().push(problem),
        }
    }
}

fn decode(received: &Received) -> Result<WriteRequest, String> {
    for (name, expected) in [
        ("content-encoding", "snappy"),
        ("content-type", "application/x-protobuf"),
        ("x-prometheus-remote-write-version", "0.1.0"),
    ] {
        let value = received.header(name);
        if value != expected {
            return Err(format!("header `{name}` is `{value}`"));
        }
    }
    if !received
        .header("user-agent")
        .starts_with("prometheus-streams/")
    {
        return Err("no user agent".to_owned());
    }
    let bytes = snap::raw::Decoder::new().decompress_vec(&received.body);
    let bytes = bytes.map_err(|error| format!("body: {error}"))?;
    WriteRequest::decode(bytes.as_slice()).map_err(|error| format!("body: {error}"))
}

/// What the specification demands of labels: sorted, no name twice, none empty.
fn check(series: &TimeSeries) -> Result<(), String> {
    let names = series.labels.iter().map(|label| &label.name);
    if !names.is_sorted_by(|a, b| a < b) {
        return Err(format!("labels are not sorted: {:?}", series.labels));
    }
    let mut labels = series.labels.iter();
    if labels.any(|label| label.name.is_empty() || label.value.is_empty()) {
        return Err(format!("a label is empty: {:?}", series.labels));
    }
    if series.samples.is_empty() {
        return Err(format!("no samples: {:?}", series.labels));
    }
    Ok(())
}
