//! What the programs tell the service manager, on a real socket.

use std::fs;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::net::UnixDatagram;

use crate::support::{
    Lab, NatsServer, Process, Version, nobody, poller_config, program, receiver_config, run,
};
use crate::{SCENARIO, SOON};

/// Half of the watchdog's interval: pings come this far apart.
const PING: Duration = Duration::from_millis(100);

/// A program under a service manager, which is us.
struct Service {
    process: Process,
    config: std::path::PathBuf,
    ear: UnixDatagram,
    /// Pings since the start.
    pings: usize,
}

impl Service {
    fn start(lab: &Lab, name: &str, config: &Value) -> Self {
        let path = lab.file(name, "yaml");
        fs::write(&path, config.to_string()).unwrap();
        let socket = lab.file(name, "notify");
        let ear = UnixDatagram::bind(&socket).unwrap();
        let mut command = Command::new(program(name));
        command.arg("--config").arg(&path);
        command.env("NOTIFY_SOCKET", &socket);
        command.env("WATCHDOG_USEC", (2 * PING).as_micros().to_string());
        Self {
            process: Process::spawn(lab, name, &mut command),
            config: path,
            ear,
            pings: 0,
        }
    }

    /// Reads until a message that is not a ping.
    async fn next(&mut self) -> String {
        let mut buffer = [0; 512];
        loop {
            let received = tokio::time::timeout(SOON, self.ear.recv(&mut buffer)).await;
            let Ok(received) = received else {
                panic!("nothing is told; {}", self.process.log());
            };
            let told = String::from_utf8_lossy(&buffer[..received.unwrap()]).into_owned();
            if told != "WATCHDOG=1" {
                return told;
            }
            self.pings += 1;
        }
    }

    /// Reads until a message of that start; those before it may only be of the others.
    async fn until(&mut self, start: &str, others: &[&str]) -> String {
        loop {
            let told = self.next().await;
            if told.starts_with(start) {
                return told;
            }
            assert!(
                others.iter().any(|other| told.starts_with(other)),
                "{told} before {start}"
            );
        }
    }

    /// Waits for so many more pings, and whatever comes with them.
    async fn pinged(&mut self, times: usize) {
        let mut buffer = [0; 512];
        let mut pings = 0;
        while pings < times {
            let received = tokio::time::timeout(SOON, self.ear.recv(&mut buffer)).await;
            let length = received.unwrap().unwrap();
            if &buffer[..length] == b"WATCHDOG=1" {
                pings += 1;
            }
        }
    }

    async fn ends(&mut self) {
        let pid = i32::try_from(self.process.id()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::TERM).unwrap();
        self.until("STOPPING=1", &["STATUS="]).await;
        let status = self.process.exited(SOON).await;
        assert_eq!(status.code(), Some(0), "{}", self.process.log());
    }
}

/// Both programs, with a file each.
fn both(nats: &NatsServer) -> [(&'static str, Value); 2] {
    let mut receiver = receiver_config(&nats.url());
    receiver["push_gateway"] = json!({"url": "http://127.0.0.1:9"});
    let poller = poller_config("USDC1", &nats.url(), &nobody());
    [
        ("prometheus-streams-poller", poller),
        ("prometheus-streams-receiver", receiver),
    ]
}

#[test]
fn the_service_manager_is_told_of_start_reload_and_end() {
    run(SCENARIO, async |lab| {
        let nats = NatsServer::start(lab, Version::Packaged).await;
        for (name, mut config) in both(&nats) {
            let mut service = Service::start(lab, name, &config);
            let told = service.until("READY=1", &["STATUS=starting"]).await;
            assert!(!told.contains("waiting"), "{told}");
            service.pinged(3).await;
            // Nothing new; a part that starts anew; a file that is no configuration.
            service.process.hang_up();
            service.until("RELOADING=1\nMONOTONIC_USEC=", &[]).await;
            service.until("READY=1", &[]).await;
            config["identity"] = "USDC2".into();
            fs::write(&service.config, config.to_string()).unwrap();
            service.process.hang_up();
            service.until("RELOADING=1", &["STATUS="]).await;
            service.until("READY=1", &["STATUS="]).await;
            fs::write(&service.config, "identity: [").unwrap();
            service.process.hang_up();
            service.until("RELOADING=1", &["STATUS="]).await;
            service.until("READY=1", &["STATUS="]).await;
            service.ends().await;
        }
    });
}

#[test]
fn a_program_is_up_without_nats_and_says_that_it_waits() {
    run(SCENARIO, async |lab| {
        let mut nats = NatsServer::prepare(lab, Version::Packaged);
        let mut services = Vec::new();
        for (name, config) in both(&nats) {
            let mut service = Service::start(lab, name, &config);
            let told = service.until("READY=1", &["STATUS=starting"]).await;
            assert!(told.contains("waiting for NATS"), "{told}");
            services.push(service);
        }
        nats.restart(lab).await;
        for (service, works) in services.iter_mut().zip(["scraping", "delivering"]) {
            loop {
                let told = service.next().await;
                if told == format!("STATUS={works}") {
                    break;
                }
                assert!(told.starts_with("STATUS="), "{told}");
            }
        }
        nats.stop();
        for service in &mut services {
            let told = service.next().await;
            assert!(told.contains("waiting for NATS"), "{told}");
            service.ends().await;
        }
    });
}

#[test]
fn a_program_that_cannot_start_never_says_that_it_is_up() {
    run(SCENARIO, async |lab| {
        let nats = NatsServer::prepare(lab, Version::Packaged);
        let [(name, mut config), _] = both(&nats);
        config["poller_stream"]["credentials_file"] = "missing.creds".into();
        let mut service = Service::start(lab, name, &config);
        let status = service.process.exited(SOON).await;
        assert_eq!(status.code(), Some(1), "{}", service.process.log());
        let mut buffer = [0; 512];
        while let Ok(length) = service.ear.try_recv(&mut buffer) {
            assert!(!buffer[..length].starts_with(b"READY"));
        }
    });
}
