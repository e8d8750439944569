//! A real Prometheus beside us: from the same files and servers come the same targets with the
//! same labels, whatever happens to the files and servers.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use prometheus_streams::clock::Clock;
use prometheus_streams::discover::{self, Discovery, Groups, Settings, file, http};
use prometheus_streams::{telemetry, tls};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::{Lab, Prometheus, run, wait_until};
use crate::{SCENARIO, SOON};

/// How often both look.
const INTERVAL: Duration = Duration::from_secs(1);

type Labels = BTreeMap<String, String>;

/// A server that lists targets: status, content type, body.
#[derive(Clone)]
struct Lister {
    url: String,
    answer: Arc<Mutex<(u16, &'static str, String)>>,
}

const JSON: &str = "application/json; charset=utf-8";

impl Lister {
    async fn start(body: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/list?of=targets", listener.local_addr().unwrap());
        let answer = Arc::new(Mutex::new((200, JSON, body.to_owned())));
        let current = Arc::clone(&answer);
        let respond = async move || {
            let (status, content_type, body) = current.lock().unwrap().clone();
            let status = StatusCode::from_u16(status).unwrap();
            (status, [("content-type", content_type)], body).into_response()
        };
        let router = Router::new().fallback(respond);
        tokio::spawn(async { axum::serve(listener, router).await });
        Self { url, answer }
    }

    fn set(&self, status: u16, content_type: &'static str, body: &str) {
        *self.answer.lock().unwrap() = (status, content_type, body.to_owned());
    }
}

/// Both of us, on the same sources.
struct Pair {
    prometheus: Prometheus,
    groups: watch::Receiver<Option<Groups>>,
    registry: telemetry::Metrics,
    _stop: DropGuard,
}

impl Pair {
    async fn start(lab: &Lab, folder: &Path, lister: &Lister) -> Self {
        tls::install_provider();
        let (shown, url) = (folder.display(), &lister.url);
        let files = ["json", "yml"].map(|ending| format!("{shown}/*.{ending}"));
        let config = format!(
            "scrape_configs:\n- job_name: job\n  scrape_interval: 1h\n  \
             file_sd_configs:\n  - files: ['{}', '{}']\n    refresh_interval: 1s\n  \
             http_sd_configs:\n  - url: '{url}'\n    refresh_interval: 1s\n",
            files[0], files[1]
        );
        let prometheus = Prometheus::start_with(lab, &config).await;
        let registry = telemetry::Metrics::new();
        let metrics = registry.register("discover", |registry| {
            discover::Metrics::register(registry, Clock::system())
        });
        let settings = [
            Settings::File(file::Settings {
                files: files.to_vec(),
                refresh_interval: INTERVAL,
            }),
            Settings::Http(Box::new(http::Settings {
                url: url.parse().unwrap(),
                written: url.clone(),
                client: prometheus_streams::http::Settings::default(),
                refresh_interval: INTERVAL,
            })),
        ];
        let discovery = Discovery::new("job", &settings, metrics).unwrap();
        let (sender, groups) = watch::channel(None);
        let stop = CancellationToken::new();
        tokio::spawn(discovery.run(sender, stop.clone()));
        Self {
            prometheus,
            groups,
            registry,
            _stop: stop.drop_guard(),
        }
    }

    fn ours(&self) -> Vec<Labels> {
        let groups = self.groups.borrow().clone().unwrap_or_default();
        let mut targets = Vec::new();
        for group in groups.iter() {
            for target in &group.targets {
                let labels = group.labels.iter().chain(target).cloned();
                targets.push(labels.filter(|(_, value)| !value.is_empty()).collect());
            }
        }
        targets.sort();
        targets
    }

    async fn theirs(&self) -> Result<Vec<Labels>, String> {
        // What every target of a scrape configuration has is not discovery's.
        let is_found = |name: &str| {
            name == "__address__" || name.starts_with("__meta_") || !name.starts_with("__")
        };
        let mut targets = Vec::new();
        for labels in self.prometheus.discovered().await? {
            let labels = labels.into_iter();
            let found =
                labels.filter(|(name, value)| is_found(name) && name != "job" && !value.is_empty());
            targets.push(found.collect::<Labels>());
        }
        targets.sort();
        Ok(targets)
    }

    /// Waits until both have as many targets, and the same ones.
    async fn agree(&self, what: &str, count: usize) {
        wait_until(SOON, what, async || {
            let (ours, theirs) = (self.ours(), self.theirs().await?);
            if ours == theirs && ours.len() == count {
                return Ok(());
            }
            Err(format!(
                "not {count} of both:\nours {ours:#?}\ntheirs {theirs:#?}"
            ))
        })
        .await;
    }

    /// Waits until a kind has failed more often than now.
    async fn fails(&self, kind: &str) {
        let failures = || {
            let name = "prometheus_streams_discover_failures_total";
            let start = format!("{name}{{job=\"job\",kind=\"{kind}\"}} ");
            let page = self.registry.encode().unwrap();
            let line = page.lines().find_map(|line| line.strip_prefix(&start));
            line.unwrap().parse::<u64>().unwrap()
        };
        let before = failures();
        wait_until(SOON, "failures", async || match failures() {
            now if now > before + 1 => Ok(()),
            now => Err(format!("{now} failures")),
        })
        .await;
    }
}

const TWO: &str =
    r#"[{"targets": ["h1:80", "h2:80"], "labels": {"zone": "z", "n": ""}}, {"targets": ["h3"]}]"#;

#[test]
fn the_same_targets_as_a_prometheus() {
    run(SCENARIO, async |lab| {
        let folder = lab.folder("targets");
        let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
        let remove = |name: &str| fs::remove_file(folder.join(name)).unwrap();
        write(
            "a.json",
            r#"[{"targets": ["f1:80", "[::1]:80"], "labels": {"zone": "ü"}}]"#,
        );
        write(
            "b.yml",
            "- targets: [f2:80, f3]\n  labels: {number: 007, truth: yes, nothing: ~}\n- {}\n",
        );
        let lister = Lister::start(TWO).await;
        let pair = Pair::start(lab, &folder, &lister).await;
        pair.agree("at first", 7).await;

        write("c.yml", "- targets: ['f4:80']\n");
        write("a.json", r#"[{"targets": ["f1:80"]}]"#);
        lister.set(
            200,
            "application/json",
            r#"[{"targets": ["h1:80", "h4:80"]}]"#,
        );
        pair.agree("after changes", 6).await;

        write("a.json", "[{\"targets\": [\"f1:80\", \"f9:80\"]");
        write("c.yml", "- targets: ['f8:80']\n  label: {}\n");
        lister.set(500, JSON, "[]");
        pair.fails("file").await;
        pair.fails("http").await;
        pair.agree("while all fail", 6).await;

        lister.set(200, "text/plain", "[]");
        pair.fails("http").await;
        pair.agree("when the content type is wrong", 6).await;

        lister.set(200, JSON, "[null]");
        remove("a.json");
        write("c.yml", "");
        pair.fails("http").await;
        pair.agree("when files are gone and empty", 4).await;

        lister.set(200, JSON, "[]");
        remove("b.yml");
        pair.agree("when nothing is left", 0).await;

        lister.set(200, JSON, TWO);
        write("b.yml", "- targets: [f2:80]\n");
        pair.agree("when it all comes back", 4).await;
    });
}
