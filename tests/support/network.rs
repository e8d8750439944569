//! Two networks of our own with one link between them: the site's and the centre's.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::AsFd as _;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::runtime::Builder;
use tokio::time::Instant;

use super::lab::is_skipped;
use super::{Lab, Process};

/// Where the centre's end of the link is, as the site sees it.
pub(crate) const CENTRE: &str = "192.0.2.1";

/// The site's end.
const SITE: &str = "192.0.2.2";

/// How long a network may take to come up.
const START: Duration = Duration::from_secs(10);

/// A network namespace, gone when dropped.
pub(crate) struct Network {
    path: String,
    holder: Process,
}

impl Network {
    /// Makes a network that has nothing but a loopback; `None` where we may not.
    fn start(lab: &Lab, name: &str) -> Option<Self> {
        let own = fs::read_link("/proc/self/ns/net").unwrap();
        let mut command = Command::new("unshare");
        command.args(["--net", "sleep", "infinity"]);
        let mut holder = Process::spawn(lab, name, &mut command);
        let path = format!("/proc/{}/ns/net", holder.id());
        let deadline = Instant::now() + START;
        while fs::read_link(&path).is_ok_and(|there| there == own) {
            holder.alive().ok()?;
            assert!(Instant::now() < deadline, "no network for {name}");
            std::thread::yield_now();
        }
        let network = Self { path, holder };
        network.ip(&["link", "set", "lo", "up"]).ok()?;
        Some(network)
    }

    /// Runs `ip` inside.
    fn ip(&self, arguments: &[&str]) -> Result<(), String> {
        let arguments = [&["ip"], arguments].concat();
        let output = self.command("nsenter", &arguments);
        if output.status.success() {
            Ok(())
        } else {
            let errors = String::from_utf8_lossy(&output.stderr);
            Err(format!("{arguments:?}: {errors}"))
        }
    }

    fn command(&self, nsenter: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(nsenter);
        command.arg(format!("--net={}", self.path)).args(arguments);
        command.output().unwrap()
    }

    /// Moves this thread inside, and whatever it starts.
    fn enter(&self) {
        let namespace = File::open(&self.path).unwrap();
        let kind = Some(LinkNameSpaceType::Network);
        move_into_link_name_space(namespace.as_fd(), kind).unwrap();
    }

    /// Does something inside, on a thread of its own.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let entered = || {
            self.enter();
            work()
        };
        std::thread::scope(|scope| scope.spawn(entered).join().unwrap())
    }

    /// Asks a page of a server inside.
    pub(crate) fn get(&self, port: u16, path: &str) -> Result<String, String> {
        self.inside(|| {
            let ask = || {
                let mut connection = TcpStream::connect(("127.0.0.1", port))?;
                connection.set_read_timeout(Some(START))?;
                write!(connection, "GET {path} HTTP/1.0\r\n\r\n")?;
                let mut answer = String::new();
                connection.read_to_string(&mut answer)?;
                Ok(answer)
            };
            let answer = ask().map_err(|error: std::io::Error| error.to_string())?;
            let (_, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
            Ok(body.to_owned())
        })
    }
}

/// The link between the site and the centre.
pub(crate) struct Wire {
    /// Where the poller and its targets are.
    pub(crate) site: Network,
    centre: Arc<Network>,
}

impl Wire {
    fn start(lab: &Lab) -> Option<Self> {
        let centre = Network::start(lab, "centre-network")?;
        let site = Network::start(lab, "site-network")?;
        let peer = site.holder.id().to_string();
        let add = ["link", "add", "far", "type", "veth", "peer", "name", "near"];
        centre.ip(&[&add[..], &["netns", &peer]].concat()).ok()?;
        for (network, end, address) in [(&centre, "far", CENTRE), (&site, "near", SITE)] {
            let address = format!("{address}/24");
            network
                .ip(&["address", "add", &address, "dev", end])
                .unwrap();
            network.ip(&["link", "set", end, "up"]).unwrap();
        }
        let centre = Arc::new(centre);
        Some(Self { site, centre })
    }

    /// Lets every packet vanish, or none.
    pub(crate) fn cut(&self, is_cut: bool) {
        let state = if is_cut { "down" } else { "up" };
        self.centre.ip(&["link", "set", "far", state]).unwrap();
    }
}

/// Runs a scenario in the centre's network, with a site behind a link.
///
/// Where the system gives us no network of our own, that is said, and nothing is run.
#[track_caller]
#[expect(clippy::print_stderr, reason = "says why a scenario was not run")]
pub(crate) fn run_apart(limit: Duration, scenario: impl AsyncFnOnce(&Lab, &Wire) + Send) {
    if is_skipped() {
        return;
    }
    let lab = Lab::new();
    let Some(wire) = Wire::start(&lab) else {
        eprintln!("not run, since this system gives us no network namespace; run it as root");
        return;
    };
    let centre = Arc::clone(&wire.centre);
    let finished = wire.centre.inside(|| {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(2).enable_all();
        let runtime = builder.on_thread_start(move || centre.enter()).build();
        runtime.unwrap().block_on(async {
            let scenario = Box::pin(scenario(&lab, &wire));
            tokio::time::timeout(limit, scenario).await.is_ok()
        })
    });
    assert!(finished, "the scenario takes longer than {limit:?}");
}
