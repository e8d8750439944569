//! NATS, an exporter and a Pushgateway.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::exposition::{Page, read};
use super::{Lab, Process, free_port, get, wait_until};

/// How long a server may take to start, on a machine with other things to do.
const START: Duration = Duration::from_secs(30);

/// Which `nats-server` to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// The distribution's, 2.9 on Debian 12: the oldest that we support.
    Packaged,
    /// The newest, as `scripts/install-deps.sh` fetches it.
    Newest,
}

impl Version {
    /// Returns the path of the server.
    pub(crate) fn program(self) -> PathBuf {
        match self {
            // Debian keeps it where a user's PATH does not look.
            Self::Packaged if Path::new("/usr/sbin/nats-server").exists() => {
                "/usr/sbin/nats-server".into()
            }
            Self::Packaged => "nats-server".into(),
            Self::Newest => tools().join("nats-server-2.15"),
        }
    }
}

/// Returns the folder of programs that no package brings.
fn tools() -> PathBuf {
    std::env::var_os("PROMETHEUS_STREAMS_TOOLS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools"),
        PathBuf::from,
    )
}

/// A NATS server with `JetStream`; its port and its store outlive its process.
pub(crate) struct NatsServer {
    /// Where clients connect to.
    pub(crate) port: u16,
    address: &'static str,
    version: Version,
    monitor: u16,
    store: PathBuf,
    config: Option<PathBuf>,
    /// Whether the configuration file is all that says what JetStream there is; some servers refuse
    /// to be told twice.
    is_whole: bool,
    log: PathBuf,
    process: Option<Process>,
}

impl NatsServer {
    /// Starts a server and waits until it is ready.
    pub(crate) async fn start(lab: &Lab, version: Version) -> Self {
        let mut server = Self::prepare(lab, version);
        server.restart(lab).await;
        server
    }

    /// The same at every address of a network that is ours alone.
    pub(crate) async fn start_everywhere(lab: &Lab, version: Version) -> Self {
        let mut server = Self::prepare(lab, version);
        server.address = "0.0.0.0";
        server.restart(lab).await;
        server
    }

    /// The same with a configuration file of this text.
    pub(crate) async fn start_with(lab: &Lab, version: Version, config: &str) -> Self {
        let mut server = Self::prepare(lab, version);
        let file = lab.file("nats", "conf");
        std::fs::write(&file, config).unwrap();
        server.config = Some(file);
        server.restart(lab).await;
        server
    }

    /// The same with a configuration file that is there; it says as well what `JetStream` there is.
    pub(crate) async fn start_from(lab: &Lab, version: Version, file: PathBuf) -> Self {
        let mut server = Self::prepare(lab, version);
        server.config = Some(file);
        server.is_whole = true;
        server.restart(lab).await;
        server
    }

    /// Chooses a port and a store without starting anything.
    pub(crate) fn prepare(lab: &Lab, version: Version) -> Self {
        Self {
            port: free_port(),
            address: "127.0.0.1",
            version,
            monitor: free_port(),
            store: lab.folder("nats"),
            config: None,
            is_whole: false,
            log: lab.log("nats"),
            process: None,
        }
    }

    /// Kills the server if it runs, and starts it again on the same port and store.
    pub(crate) async fn restart(&mut self, lab: &Lab) {
        self.stop();
        let mut command = Command::new(self.version.program());
        command
            .args(["-a", self.address, "-p", &self.port.to_string()])
            .args(["-m", &self.monitor.to_string()]);
        if !self.is_whole {
            command.arg("-js").arg("-sd").arg(&self.store);
        }
        if let Some(config) = &self.config {
            command.arg("-c").arg(config);
        }
        let log = self.log.clone();
        self.process = Some(Process::spawn_with_log(lab, "nats", &mut command, log));
        let monitor = self.monitor;
        let page = if self.is_whole {
            "/healthz"
        } else {
            "/healthz?js-enabled-only=true"
        };
        wait_until(START, "nats-server starts", async || {
            get(monitor, page).await
        })
        .await;
    }

    /// Writes another configuration, for the next start.
    pub(crate) fn rewrite(&self, config: &str) {
        std::fs::write(self.config.as_ref().unwrap(), config).unwrap();
    }

    /// Returns a page of what the server says about itself.
    pub(crate) async fn page(&self, path: &str) -> Result<String, String> {
        get(self.monitor, path).await
    }

    /// Kills the server.
    pub(crate) fn stop(&mut self) {
        self.process = None;
    }

    /// Returns the id of its process; 0 if it does not run.
    pub(crate) fn id(&self) -> u32 {
        self.process.as_ref().map_or(0, Process::id)
    }

    /// Returns its process while it runs.
    pub(crate) fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }

    /// Returns its address for a configuration file.
    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }
}

/// A real exporter.
pub(crate) struct NodeExporter {
    /// Where it listens.
    pub(crate) port: u16,
    process: Process,
}

impl NodeExporter {
    /// Starts it and waits until it is ready.
    pub(crate) async fn start(lab: &Lab) -> Self {
        let port = free_port();
        let mut command = Command::new("prometheus-node-exporter");
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        // Other tests mount folders and make network devices meanwhile: of two who look a moment
        // apart only one would see them.
        command.args([
            "--collector.filesystem.mount-points-exclude=^/(dev|proc|run|sys|tmp|var)($|/)",
            "--collector.netdev.device-exclude=^(veth|ve-|vb-).*",
            "--collector.netclass.ignored-devices=^(veth|ve-|vb-).*",
        ]);
        let process = Process::spawn(lab, "node-exporter", &mut command);
        wait_until(START, "the exporter starts", async || {
            get(port, "/metrics").await
        })
        .await;
        Self { port, process }
    }

    /// Returns its page as text.
    pub(crate) async fn page(&self) -> String {
        get(self.port, "/metrics").await.unwrap()
    }

    /// Returns the id of its process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}

/// A real Pushgateway.
pub(crate) struct Pushgateway {
    /// Where it listens.
    pub(crate) port: u16,
    process: Process,
}

impl Pushgateway {
    /// Starts it and waits until it is ready.
    pub(crate) async fn start(lab: &Lab) -> Self {
        let port = free_port();
        let mut command = Command::new("prometheus-pushgateway");
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        // Debian's would read and write a file of the whole machine.
        command.arg("--persistence.file=");
        let process = Process::spawn(lab, "pushgateway", &mut command);
        wait_until(START, "the Pushgateway starts", async || {
            get(port, "/-/ready").await
        })
        .await;
        Self { port, process }
    }

    /// Returns its address for a configuration file.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns what it exposes.
    pub(crate) async fn page(&self) -> Result<Page, String> {
        Ok(read(&get(self.port, "/metrics").await?))
    }

    /// Returns the id of its process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}
