//! The programs that we are measured against, as their users would run them.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::support::{Lab, Process, Targets, free_port, get, wait_until};

/// How long a program may take to start.
const START: Duration = Duration::from_secs(30);

/// A scraper that writes to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// VictoriaMetrics's.
    Vmagent,
    /// Prometheus without its own storage.
    PrometheusAgent,
}

impl Peer {
    /// Starts it on the first `count` of the targets.
    pub(crate) async fn start(
        self,
        lab: &Lab,
        fleet: (&Targets, usize, u64),
        write_url: &str,
    ) -> Process {
        let port = free_port();
        let (targets, count, interval) = fleet;
        let mut config = format!(
            "global: {{scrape_interval: {interval}s, scrape_timeout: {interval}s}}\n\
             scrape_configs:\n- job_name: sim\n  static_configs:\n"
        );
        for n in 0..count {
            // The instance is a label of its own, as our poller has it.
            writeln!(
                config,
                "  - {{targets: ['{}'], labels: {{instance: target{n}, __metrics_path__: /{n}}}}}",
                targets.address
            )
            .unwrap();
        }
        if self == Self::PrometheusAgent {
            writeln!(config, "remote_write: [{{url: '{write_url}'}}]").unwrap();
        }
        let file = lab.file("scrape", "yml");
        fs::write(&file, config).unwrap();
        let file = file.display();
        let folder = lab.folder("queue");
        let folder = folder.display();
        let (program, arguments) = match self {
            Self::Vmagent => (
                "vmagent",
                vec![
                    format!("-promscrape.config={file}"),
                    format!("-remoteWrite.url={write_url}"),
                    format!("-remoteWrite.tmpDataPath={folder}"),
                    format!("-httpListenAddr=127.0.0.1:{port}"),
                    "-loggerLevel=WARN".to_owned(),
                ],
            ),
            Self::PrometheusAgent => (
                "prometheus",
                vec![
                    "--enable-feature=agent".to_owned(),
                    format!("--config.file={file}"),
                    format!("--storage.agent.path={folder}"),
                    format!("--web.listen-address=127.0.0.1:{port}"),
                    "--log.level=warn".to_owned(),
                ],
            ),
        };
        let process = Process::spawn(lab, program, Command::new(program).args(arguments));
        wait_until(START, "the scraper starts", async || {
            get(port, "/metrics").await
        })
        .await;
        process
    }
}
