//! What our programs need of a machine: no user in particular, no capability, no port, and few
//! system calls.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;

use super::delivery::Site;
use super::hub::Hub;
use crate::support::{
    Lab, NatsServer, Process, Program, Version, nobody, poller_config, run, wait_until,
};
use crate::{SCENARIO, SOON};

/// The user that owns nothing.
const NOBODY: u32 = 65_534;

/// Programs get no new rights and keep none; only root can give up being root.
const AS_NOBODY: [&str; 8] = [
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
    "--no-new-privs",
    "--inh-caps=-all",
    "--bounding-set=-all",
    "--reset-env",
];

/// `python3` as the distribution has it, and what it runs.
const UNDER_FILTER: [&str; 2] = [
    "/usr/bin/python3",
    concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/live/security/under_filter.py"
    ),
];

/// The signal that ends a process which calls what it may not.
const SIGSYS: i32 = 31;

/// The state of a TCP socket that listens, as the kernel writes it.
const LISTENING: &str = "0A";

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Gives everything below a folder to [`NOBODY`].
fn give_away(path: &Path) {
    std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            give_away(&entry.unwrap().path());
        }
    }
}

/// The line of `/proc/PID/status` that begins so.
fn status(process: &Process, field: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    line.unwrap().trim().to_owned()
}

/// The ports on which a process listens.
fn ports(process: &Process) -> Vec<u16> {
    let folder = format!("/proc/{}", process.id());
    let mut sockets = HashSet::new();
    for entry in fs::read_dir(format!("{folder}/fd")).unwrap() {
        // A descriptor may have been closed by now.
        let link = fs::read_link(entry.unwrap().path()).unwrap_or_default();
        let link = link.to_string_lossy().into_owned();
        let inode = link.strip_prefix("socket:[");
        sockets.extend(
            inode
                .and_then(|rest| rest.strip_suffix(']'))
                .map(str::to_owned),
        );
    }
    assert!(!sockets.is_empty(), "it has no connection either");
    let mut ports = Vec::new();
    for table in ["tcp", "tcp6"] {
        let text = fs::read_to_string(format!("{folder}/net/{table}")).unwrap();
        for line in text.lines().skip(1) {
            let fields = line.split_whitespace().collect::<Vec<_>>();
            if fields[3] == LISTENING && sockets.contains(fields[9]) {
                let (_, port) = fields[1].rsplit_once(':').unwrap();
                ports.push(u16::from_str_radix(port, 16).unwrap());
            }
        }
    }
    // Datagrams would come to a port without any listening; and a socket file is a way in as well.
    for (table, inode) in [("udp", 9), ("udp6", 9), ("unix", 6)] {
        let text = fs::read_to_string(format!("{folder}/net/{table}")).unwrap();
        for line in text.lines().skip(1) {
            let fields = line.split_whitespace().collect::<Vec<_>>();
            let is_unix_path = table == "unix" && fields.len() <= 7;
            let is_ours = fields
                .get(inode)
                .is_some_and(|inode| sockets.contains(*inode));
            assert!(!is_ours || is_unix_path, "{table}: {line}");
        }
    }
    ports
}

#[test]
fn both_programs_run_as_nobody_and_without_any_capability() {
    run(SCENARIO, async |lab| {
        let hub = Hub::start(lab, Version::Packaged).await;
        let under: &[&str] = if is_root() {
            &AS_NOBODY
        } else {
            &["setpriv", "--no-new-privs"]
        };
        let mut site = Site::prepare(lab, hub).await;
        if is_root() {
            give_away(lab.path());
        }
        site.start(lab, under);
        site.endpoint.receives(&site.instance(), 3, SOON).await;
        for process in [site.poller(), site.receiver()] {
            assert_eq!(status(process, "NoNewPrivs:"), "1");
            assert_eq!(status(process, "CapEff:"), "0000000000000000");
            if is_root() {
                assert_eq!(
                    status(process, "Uid:").split_whitespace().next(),
                    Some("65534")
                );
                assert_eq!(status(process, "CapBnd:"), "0000000000000000");
                assert_eq!(status(process, "Groups:"), "");
            }
        }
        site.ends_in_order().await;
    });
}

#[test]
fn nothing_listens_unless_the_configuration_names_a_port() {
    run(SCENARIO, async |lab| {
        let hub = Hub::start(lab, Version::Packaged).await;
        let mut site = Site::prepare(lab, hub).await;
        site.start(lab, &[]);
        site.endpoint.receives(&site.instance(), 3, SOON).await;
        for process in [site.poller(), site.receiver()] {
            assert_eq!(ports(process), [0_u16; 0]);
        }
        let nats = NatsServer::start(lab, Version::Packaged).await;
        let other = Program::poller(lab, poller_config("USDC1", &nats.url(), &nobody()));
        wait_until(SOON, "its own pages are there", async || {
            other.metrics().await.map(drop)
        })
        .await;
        assert_eq!(ports(&other), [other.monitor]);
    });
}

#[test]
fn both_programs_need_only_the_system_calls_of_a_service() {
    run(SCENARIO, async |lab| {
        let hub = Hub::start(lab, Version::Packaged).await;
        let mut site = Site::prepare(lab, hub).await;
        site.start(lab, &UNDER_FILTER);
        site.endpoint.receives(&site.instance(), 3, SOON).await;
        for process in [site.poller(), site.receiver()] {
            // 2: a filter of the process's own.
            assert_eq!(status(process, "Seccomp:"), "2");
            process.hang_up();
        }
        site.endpoint.receives(&site.instance(), 3, SOON).await;
        // The spool is used and read again.
        site.hub.nats.stop();
        wait_until(SOON, "frames are spooled", async || {
            let log = site.poller().log();
            if log.contains("lost the connection") {
                Ok(())
            } else {
                Err(log)
            }
        })
        .await;
        let served = site.targets.served(0);
        wait_until(SOON, "it goes on scraping", async || {
            let now = site.targets.served(0);
            if now > served + 3 {
                Ok(())
            } else {
                Err(format!("{now}"))
            }
        })
        .await;
        site.hub.nats.restart(lab).await;
        site.endpoint.receives(&site.instance(), 5, SOON).await;
        site.ends_in_order().await;
        // The filter does end those who call what they may not.
        let chroot = Command::new(UNDER_FILTER[0])
            .args([UNDER_FILTER[1], "/usr/sbin/chroot", "/", "/bin/true"])
            .status();
        assert_eq!(chroot.unwrap().signal(), Some(SIGSYS));
    });
}

#[test]
fn what_is_written_is_for_the_owner_and_a_group_at_most() {
    run(SCENARIO, async |lab: &Lab| {
        let nats = NatsServer::start(lab, Version::Packaged).await;
        let (spool, log) = (lab.path().join("spool"), lab.path().join("own.log"));
        let mut config = poller_config("USDC1", &nats.url(), &nobody());
        config["spool"] = serde_json::json!({"dir": spool});
        config["logfile"] = log.to_str().into();
        let poller = Program::poller(lab, config);
        wait_until(SOON, "it runs", async || poller.metrics().await.map(drop)).await;
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        assert_eq!(mode(&spool), 0o700);
        let files = fs::read_dir(&spool).unwrap();
        let files = files.map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
        assert!(!files.is_empty());
        for file in files {
            assert_eq!(mode(&file) & 0o077, 0, "{}", file.display());
        }
        assert_eq!(mode(&log) & 0o137, 0);
    });
}
