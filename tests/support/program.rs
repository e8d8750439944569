//! Our own programs and their configuration files.

use std::ffi::OsString;
use std::fs;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use super::exposition::{Page, read};
use super::{Lab, Process, free_port, get};

/// A running poller or receiver.
pub(crate) struct Program {
    process: Process,
    /// Where its own pages are.
    pub(crate) monitor: u16,
    role: Role,
    config: PathBuf,
    arguments: &'static [&'static str],
}

#[derive(Debug, Clone, Copy)]
enum Role {
    Poller,
    Receiver,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Poller => "prometheus-streams-poller",
            Self::Receiver => "prometheus-streams-receiver",
        }
    }
}

impl Program {
    /// Starts a poller; `config` is completed with a port for its own pages.
    pub(crate) fn poller(lab: &Lab, config: Value) -> Self {
        Self::start(lab, Role::Poller, config, &[])
    }

    /// Starts a poller with more arguments.
    pub(crate) fn poller_with(
        lab: &Lab,
        config: Value,
        arguments: &'static [&'static str],
    ) -> Self {
        Self::start(lab, Role::Poller, config, arguments)
    }

    /// Starts a receiver; `config` is completed with a port for its own pages.
    pub(crate) fn receiver(lab: &Lab, config: Value) -> Self {
        Self::start(lab, Role::Receiver, config, &[])
    }

    /// Starts a poller or a receiver with a whole configuration file as it stands, under another
    /// program if there is one; its own pages are where the file says.
    pub(crate) fn start_as_it_stands(
        lab: &Lab,
        name: &str,
        config: &Path,
        under: &[&str],
    ) -> Process {
        let mut words: Vec<OsString> = under.iter().map(OsString::from).collect();
        words.push(program(name).into());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg("--config").arg(config);
        Process::spawn(lab, name, &mut command)
    }

    fn start(lab: &Lab, role: Role, config: Value, arguments: &'static [&'static str]) -> Self {
        let monitor = free_port();
        let path = lab.file(role.name(), "yaml");
        fs::write(&path, complete(config, monitor)).unwrap();
        let process = spawn(lab, role, &path, arguments);
        Self {
            process,
            monitor,
            role,
            config: path,
            arguments,
        }
    }

    /// Writes another configuration, which the program reads when it is told to.
    pub(crate) fn rewrite(&self, config: Value) {
        self.rewrite_text(&complete(config, self.monitor));
    }

    /// Writes any text in place of the configuration.
    pub(crate) fn rewrite_text(&self, text: &str) {
        fs::write(&self.config, text).unwrap();
    }

    /// Starts the program again with the same configuration, after its end.
    pub(crate) fn restart(&mut self, lab: &Lab) {
        self.process.kill();
        self.process = spawn(lab, self.role, &self.config, self.arguments);
    }

    /// Returns the program's own metrics.
    pub(crate) async fn metrics(&self) -> Result<Page, String> {
        Ok(read(&get(self.monitor, "/metrics").await?))
    }

    /// Adds up the program's own series of that name that have all these labels.
    pub(crate) async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let page = self.metrics().await.unwrap_or_default();
        page.sum(&format!("prometheus_streams_{name}"), labels)
            .unwrap_or(0.0)
    }

    /// Runs one of the programs to its end and returns what it printed.
    pub(crate) fn output(name: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(program(name));
        command.args(arguments).output().unwrap()
    }
}

impl Deref for Program {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Program {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// Adds where the program's own pages are, unless the configuration says so, if only by null.
fn complete(mut config: Value, monitor: u16) -> String {
    config["monitor_port"] = monitor.into();
    if config.get("monitor_address").is_none() {
        config["monitor_address"] = "127.0.0.1".into();
    }
    config.to_string()
}

fn spawn(lab: &Lab, role: Role, config: &Path, arguments: &[&str]) -> Process {
    let mut command = Command::new(program(role.name()));
    command.arg("--config").arg(config).args(arguments);
    Process::spawn(lab, role.name(), &mut command)
}

/// Returns the path of one of our programs: Cargo builds tests and examples one folder below.
pub(crate) fn program(name: &str) -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let path = this.ancestors().nth(2).unwrap().join(name);
    assert!(path.exists(), "{} is not built", path.display());
    path
}

/// A target in a poller's configuration.
pub(crate) struct SiteTarget {
    /// The label `instance`.
    pub(crate) name: String,
    /// Where it is scraped.
    pub(crate) url: String,
}

impl SiteTarget {
    /// Names a target.
    pub(crate) fn new(name: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            url: url.into(),
        }
    }
}

/// Returns a target that nobody answers for, where it is no matter what is scraped.
pub(crate) fn nobody() -> [SiteTarget; 1] {
    [SiteTarget::new(
        "nobody",
        format!("http://127.0.0.1:{}/", free_port()),
    )]
}

/// Returns the configuration of a poller with the one job `sim`, scraped each second.
pub(crate) fn poller_config(identity: &str, nats: &str, targets: &[SiteTarget]) -> Value {
    let target = |target: &SiteTarget| json!({"name": target.name, "url": target.url});
    let targets = targets.iter().map(target).collect::<Vec<_>>();
    json!({
        "identity": identity,
        "scrape_interval": "1s",
        "poller_stream": {"urls": nats, "topic": "prometheus"},
        "jobs": {"sim": {"targets": targets}},
    })
}

/// Returns the configuration of a receiver without a sink.
pub(crate) fn receiver_config(nats: &str) -> Value {
    json!({
        "identity": "centre",
        "receiver_stream": {"urls": nats, "topic": "prometheus", "client_id": "receiver"},
    })
}
