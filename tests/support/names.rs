//! A name server.

use std::fs;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::{Lab, Process, free_port, wait_until};

/// How long the server may take to start, on a machine with other things to do.
const START: Duration = Duration::from_secs(30);

/// A question for the type SOA of `example.test.`, as RFC 1035 writes it.
const QUESTION: &[u8] =
    b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x04test\x00\x00\x06\x00\x01";

/// Knot for the zone `example.test`; its port outlives its process.
pub(crate) struct NameServer {
    /// Where it listens, over UDP and TCP.
    pub(crate) port: u16,
    folder: PathBuf,
    process: Option<Process>,
}

impl NameServer {
    /// Starts a server with these records, and waits until it is ready.
    pub(crate) async fn start(lab: &Lab, records: &str) -> Self {
        let mut server = Self {
            port: free_port(),
            folder: lab.folder("knot"),
            process: None,
        };
        server.restart(lab, records).await;
        server
    }

    /// Starts it again with other records.
    pub(crate) async fn restart(&mut self, lab: &Lab, records: &str) {
        self.stop();
        let (folder, port) = (self.folder.display(), self.port);
        let zone = format!(
            "$ORIGIN example.test.\n$TTL 1\n@ SOA ns hostmaster 1 60 60 60 1\n@ NS ns\nns A 127.0.0.1\n{records}"
        );
        fs::write(self.folder.join("example.zone"), zone).unwrap();
        let config = format!(
            "server:\n  rundir: \"{folder}\"\n  listen: 127.0.0.1@{port}\n\
             database:\n  storage: \"{folder}\"\n\
             log:\n- target: stderr\n  any: info\n\
             zone:\n- domain: example.test\n  file: \"{folder}/example.zone\"\n  \
             zonefile-load: whole\n  journal-content: none\n"
        );
        let file = self.folder.join("knot.conf");
        fs::write(&file, config).unwrap();
        // Debian keeps servers where a user's PATH does not look.
        let program = PathBuf::from("/usr/sbin/knotd");
        let program = if program.exists() {
            program
        } else {
            "knotd".into()
        };
        let mut command = Command::new(program);
        command.arg("-c").arg(file);
        self.process = Some(Process::spawn(lab, "knot", &mut command));
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        wait_until(START, "knot starts", async || {
            let ask = || {
                client.send_to(QUESTION, ("127.0.0.1", port))?;
                client.recv(&mut [0; 512])
            };
            ask().map_err(|error| error.to_string())
        })
        .await;
    }

    /// Kills the server.
    pub(crate) fn stop(&mut self) {
        self.process = None;
    }
}
