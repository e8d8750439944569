//! Prometheus and VictoriaMetrics as ends of a remote write.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use url::form_urlencoded::byte_serialize;

use super::exposition::Labels;
use super::{Lab, Process, free_port, get, request, wait_until};

/// How long a server may take to start, on a machine with other things to do.
const START: Duration = Duration::from_secs(30);

/// Samples by series: time in milliseconds and value, oldest first.
pub(crate) type Stored = BTreeMap<Labels, Vec<(i64, f64)>>;

/// A Prometheus that scrapes nothing and takes remote writes, without an out-of-order window.
pub(crate) struct Prometheus {
    /// Where it listens.
    pub(crate) port: u16,
    process: Process,
}

impl Prometheus {
    /// Starts it and waits until it is ready.
    pub(crate) async fn start(lab: &Lab) -> Self {
        Self::start_with(lab, "global: {}\n").await
    }

    /// The same with a configuration file of this text.
    pub(crate) async fn start_with(lab: &Lab, text: &str) -> Self {
        let port = free_port();
        let config = lab.file("prometheus", "yml");
        fs::write(&config, text).unwrap();
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                lab.folder("prometheus").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(["--web.enable-remote-write-receiver", "--log.level=warn"])
            // A check of a long run asks for more samples at once than is usual.
            .arg("--query.max-samples=200000000");
        let process = Process::spawn(lab, "prometheus", &mut command);
        wait_until(START, "Prometheus starts", async || {
            get(port, "/-/ready").await
        })
        .await;
        Self { port, process }
    }

    /// Returns the address to write to.
    pub(crate) fn write_url(&self) -> String {
        format!("http://127.0.0.1:{}/api/v1/write", self.port)
    }

    /// Returns the labels of its active targets before relabelling.
    pub(crate) async fn discovered(&self) -> Result<Vec<Labels>, String> {
        let answer = get(self.port, "/api/v1/targets?state=active").await?;
        let answer = parse(&answer)?;
        let targets = answer.pointer("/data/activeTargets");
        let targets = targets.and_then(Value::as_array).ok_or("no targets")?;
        Ok(targets
            .iter()
            .map(|target| labels(&target["discoveredLabels"]))
            .collect())
    }

    /// Returns every sample that a range selector such as `up[10m]` finds.
    pub(crate) async fn samples(&self, selector: &str) -> Result<Stored, String> {
        let query = byte_serialize(selector.as_bytes()).collect::<String>();
        let answer = get(self.port, &format!("/api/v1/query?query={query}")).await?;
        let answer = parse(&answer)?;
        let result = answer.pointer("/data/result").and_then(Value::as_array);
        let mut stored = Stored::new();
        for series in result.ok_or("no result")? {
            let labels = labels(&series["metric"]);
            let values = series["values"].as_array().ok_or("no values")?;
            stored.insert(labels, values.iter().map(pair).collect());
        }
        Ok(stored)
    }

    /// Returns what an instant query finds, now or at a time in milliseconds: series that have
    /// ended by then are not there.
    pub(crate) async fn at(
        &self,
        query: &str,
        time_ms: Option<i64>,
    ) -> Result<BTreeMap<Labels, f64>, String> {
        let query = byte_serialize(query.as_bytes()).collect::<String>();
        let time = time_ms.map(|time| format!("&time={}.{:03}", time / 1000, time % 1000));
        let time = time.unwrap_or_default();
        let answer = get(self.port, &format!("/api/v1/query?query={query}{time}")).await?;
        let answer = parse(&answer)?;
        let result = answer.pointer("/data/result").and_then(Value::as_array);
        let series = result.ok_or("no result")?.iter();
        Ok(series
            .map(|series| (labels(&series["metric"]), pair(&series["value"]).1))
            .collect())
    }

    /// Returns the id of its process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}

/// A single VictoriaMetrics.
pub(crate) struct VictoriaMetrics {
    /// Where it listens.
    pub(crate) port: u16,
    _process: Process,
}

impl VictoriaMetrics {
    /// Starts it and waits until it is ready.
    pub(crate) async fn start(lab: &Lab) -> Self {
        let port = free_port();
        let mut command = Command::new("victoria-metrics");
        command
            .arg(format!("-httpListenAddr=127.0.0.1:{port}"))
            .arg(format!(
                "-storageDataPath={}",
                lab.folder("victoria").display()
            ))
            .args(["-loggerLevel=WARN", "-memory.allowedPercent=5"]);
        let process = Process::spawn(lab, "victoria-metrics", &mut command);
        wait_until(START, "VictoriaMetrics starts", async || {
            get(port, "/health").await
        })
        .await;
        Self {
            port,
            _process: process,
        }
    }

    /// Returns the address to write to.
    pub(crate) fn write_url(&self) -> String {
        format!("http://127.0.0.1:{}/api/v1/write", self.port)
    }

    /// Gives it a page in the text format, with one more label for every series.
    pub(crate) async fn import(&self, page: &str, label: (&str, &str)) {
        let (name, value) = label;
        let path = format!("/api/v1/import/prometheus?extra_label={name}={value}");
        let (status, body) = request(self.port, "POST", &path, page.as_bytes())
            .await
            .unwrap();
        assert_eq!(status, 204, "{body}");
    }

    /// Returns every sample of the series that a selector such as `{job="x"}` finds.
    pub(crate) async fn samples(&self, selector: &str) -> Result<Stored, String> {
        let selector = byte_serialize(selector.as_bytes()).collect::<String>();
        let path = format!("/api/v1/export?match[]={selector}");
        let mut stored = Stored::new();
        for line in get(self.port, &path).await?.lines() {
            let line = parse(line)?;
            let values = line["values"].as_array().ok_or("no values")?;
            let times = line["timestamps"].as_array().ok_or("no timestamps")?;
            let times = times.iter().map(|time| time.as_i64().unwrap());
            let samples = times.zip(values.iter().map(number));
            stored.insert(labels(&line["metric"]), samples.collect());
        }
        Ok(stored)
    }
}

fn parse(json: &str) -> Result<Value, String> {
    serde_json::from_str(json).map_err(|error| format!("{error}: {json}"))
}

fn labels(metric: &Value) -> Labels {
    let metric = metric.as_object().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    metric
        .map(|(name, value)| (name.clone(), text(value)))
        .collect()
}

/// Reads `[seconds, "value"]`.
fn pair(pair: &Value) -> (i64, f64) {
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds fit for ages")]
    let time_ms = (pair[0].as_f64().unwrap() * 1000.0).round() as i64;
    (time_ms, number(&pair[1]))
}

/// Reads a number, which JSON cannot hold in full: `NaN` and infinities come as strings or null.
fn number(value: &Value) -> f64 {
    match value {
        Value::String(text) => match text.as_str() {
            "Infinity" => f64::INFINITY,
            "-Infinity" => f64::NEG_INFINITY,
            text => text.parse().unwrap(),
        },
        Value::Null => f64::NAN,
        value => value.as_f64().unwrap(),
    }
}
