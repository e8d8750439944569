//! What the service manager is told: `sd_notify(3)` of systemd.
//!
//! | we say | when |
//! | --- | --- |
//! | `READY=1` | the part works, or has tried for [`PATIENCE`]: NATS may be away for long |
//! | `RELOADING=1` | the configuration is read again; `READY=1` ends that |
//! | `STOPPING=1` | the program was told to stop |
//! | `STATUS=…` | any of these, and when NATS goes or comes back |
//! | `WATCHDOG=1` | at half of the interval that systemd asked for |
//!
//! Without `NOTIFY_SOCKET` nothing is said. The life of the program asks for each ping from its own
//! loop, and a task sends it: so a ping proves that both the loop and the runtime go on. The socket
//! is never waited for by anybody else; when systemd does not read, what does not fit is left out.

use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram as StdDatagram};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::net::UnixDatagram;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tracing::{debug, warn};

use crate::admin::Readiness;
use crate::bus::Bus;
use crate::config::Role;

/// A part that is not ready after this time, because NATS is away, is told to be up all the same:
/// longer than a poller waits before it scrapes without NATS, and far shorter than systemd's own
/// limit of 90 seconds, after which it would kill what only waits.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Messages on their way to the socket: a whole life has fewer but for pings, and of those one is
/// as good as many.
const QUEUE: usize = 16;

/// How long the last messages may take; a service manager that is alive reads at once.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// How often we look whether NATS is there, without a watchdog that asks for more.
const LOOK_PERIOD: Duration = Duration::from_secs(5);

/// The shortest time between pings, whatever the service manager asks for.
const PERIOD_MIN: Duration = Duration::from_millis(10);

/// Which connection the part works with, once it has one.
#[derive(Debug, Clone, Default)]
pub struct Link(Arc<OnceLock<Bus>>);

impl Link {
    /// Names the connection; the first one stays.
    pub fn set(&self, bus: &Bus) {
        drop(self.0.set(bus.clone()));
    }

    /// Tells whether there is a connection now; `None` if the part has not come so far.
    fn is_connected(&self) -> Option<bool> {
        self.0.get().map(Bus::is_connected)
    }
}

/// What systemd set in our environment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Manager {
    /// A path, or an abstract address behind an `@`.
    socket: Option<OsString>,
    /// The service is killed when it is silent for so long.
    watchdog: Option<Duration>,
}

impl Manager {
    /// Reads it.
    pub(super) fn from_environment() -> Self {
        Self::read(|name| std::env::var_os(name))
    }

    fn read(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let number = |name| variable(name)?.to_str()?.parse::<u64>().ok();
        // A watchdog may be meant for another process, whose environment we inherited.
        let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|usec| is_ours && *usec > 0);
        Self {
            socket: variable("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()),
            watchdog: watchdog.map(Duration::from_micros),
        }
    }
}

/// Tells the service manager how the program fares.
pub(super) struct Notify {
    role: Role,
    queue: Option<mpsc::Sender<String>>,
    sending: Option<JoinHandle<()>>,
    looks: Interval,
    has_watchdog: bool,
    state: State,
    ready: Readiness,
    link: Link,
    /// The last one told.
    status: &'static str,
}

/// Where the program is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Starting,
    Up,
    Reloading,
    Stopping,
}

impl Notify {
    /// Opens the socket, if there is one; a program that cannot say how it fares works all the same.
    pub(super) fn open(role: Role, manager: &Manager) -> Self {
        let opened = manager.socket.as_ref().and_then(|path| match dial(path) {
            Ok(socket) => {
                // We write, the task reads; when it is full, see `say`.
                let (queue_tx, queue_rx) = mpsc::channel(QUEUE);
                Some((queue_tx, tokio::spawn(send(socket, queue_rx))))
            }
            Err(error) => {
                let error = error.to_string();
                warn!(error, "cannot reach the service manager at NOTIFY_SOCKET");
                None
            }
        });
        let (queue, sending) = opened.unzip();
        let period = manager.watchdog.map_or(LOOK_PERIOD, |watchdog| {
            (watchdog / 2).clamp(PERIOD_MIN, LOOK_PERIOD)
        });
        let mut looks = interval(period);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            role,
            queue,
            sending,
            looks,
            has_watchdog: manager.watchdog.is_some(),
            state: State::Starting,
            ready: Readiness::default(),
            link: Link::default(),
            status: "",
        }
    }

    /// Follows a part that begins to run, until the next one does.
    pub(super) fn follow(&mut self, ready: &Readiness, link: &Link) {
        self.ready = ready.clone();
        self.link = link.clone();
    }

    /// Returns when it is time to [look](Self::look); never if nobody is told.
    pub(super) async fn time_to_look(&mut self) {
        match self.queue {
            Some(_) => drop(self.looks.tick().await),
            None => std::future::pending().await,
        }
    }

    /// Pings, and tells whether NATS is there when that has changed.
    pub(super) fn look(&mut self) {
        if self.has_watchdog {
            self.say("WATCHDOG=1".to_owned());
        }
        let status = self.status();
        if status != self.status {
            self.say(format!("STATUS={status}"));
            self.status = status;
        }
    }

    /// The part works, or waits for NATS.
    pub(super) fn up(&mut self) {
        self.enter(State::Up, "READY=1");
    }

    /// The configuration is read again, which lasts until [`Self::reloaded`] or [`Self::up`].
    pub(super) fn reloading(&mut self) {
        if self.state != State::Starting {
            // Microseconds, by which systemd tells this reload from one before it.
            let now = clock_gettime(ClockId::Monotonic);
            let now = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
            let message = format!("RELOADING=1\nMONOTONIC_USEC={now}");
            self.enter(State::Reloading, &message);
        }
    }

    /// The part goes on, with what was read or without.
    pub(super) fn reloaded(&mut self) {
        if self.state == State::Reloading {
            self.up();
        }
    }

    /// The program was told to stop; nothing takes that back.
    pub(super) fn stopping(&mut self) {
        self.enter(State::Stopping, "STOPPING=1");
    }

    /// Waits until all was said, since the runtime would take what still waits with it.
    pub(super) async fn close(self) {
        drop(self.queue);
        if let Some(sending) = self.sending {
            // Whoever does not read by now is not waited for.
            drop(tokio::time::timeout(CLOSE_TIMEOUT, sending).await);
        }
    }

    /// Tells whether that was said.
    pub(super) fn is_stopping(&self) -> bool {
        self.state == State::Stopping
    }

    fn enter(&mut self, state: State, message: &str) {
        if !self.is_stopping() {
            self.state = state;
            self.status = self.status();
            self.say(format!("{message}\nSTATUS={}", self.status));
        }
    }

    fn status(&self) -> &'static str {
        let (is_ready, is_connected) = (self.ready.is_ready(), self.link.is_connected());
        match (self.state, is_ready, is_connected, self.role) {
            (State::Starting, ..) => "starting",
            (State::Reloading, ..) => "reading the configuration again",
            (State::Stopping, ..) => "stopping in order",
            // It may wait for its certificate to be signed.
            (State::Up, _, None, _) => "still starting",
            (State::Up, true, Some(true), Role::Poller) => "scraping",
            (State::Up, true, Some(false), Role::Poller) => "scraping; waiting for NATS",
            (State::Up, true, Some(true), Role::Receiver) => "delivering",
            (State::Up, false, Some(true), _) => "waiting for the stream",
            (State::Up, _, Some(false), _) => "waiting for NATS",
        }
    }

    fn say(&self, message: String) {
        let Some(queue) = &self.queue else { return };
        if queue.try_send(message).is_err() {
            debug!("the service manager does not read what it is told");
        }
    }
}

async fn send(socket: UnixDatagram, mut queue: mpsc::Receiver<String>) {
    while let Some(message) = queue.recv().await {
        if let Err(error) = socket.send(message.as_bytes()).await {
            let error = error.to_string();
            debug!(error, "cannot tell the service manager");
        }
    }
}

fn dial(path: &OsString) -> io::Result<UnixDatagram> {
    let address = match path.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(path)?,
    };
    let socket = StdDatagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.set_nonblocking(true)?;
    UnixDatagram::from_std(socket)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config;

    /// Reads the next message, which must come soon.
    async fn next(ear: &UnixDatagram) -> String {
        let mut buffer = [0; 512];
        let received = tokio::time::timeout(Duration::from_secs(30), ear.recv(&mut buffer));
        let length = received.await.unwrap().unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    fn open(path: &Path, watchdog: Option<Duration>) -> Notify {
        let socket = Some(path.into());
        Notify::open(Role::Poller, &Manager { socket, watchdog })
    }

    #[tokio::test]
    async fn each_step_of_a_life_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let ear = UnixDatagram::bind(&path).unwrap();
        let mut notify = open(&path, None);
        let ready = Readiness::default();
        let link = Link::default();
        notify.follow(&ready, &link);
        // Before it is up, a reload is no news.
        notify.reloading();
        notify.reloaded();
        notify.up();
        assert_eq!(next(&ear).await, "READY=1\nSTATUS=still starting");
        crate::tls::install_provider();
        let text = "poller_stream: {urls: nats://127.0.0.1:9}";
        let config = config::check(text, "test.yaml").unwrap().config;
        let settings = config.poller_stream.unwrap();
        link.set(&Bus::connect(settings, "test").await.unwrap());
        notify.look();
        notify.look();
        assert_eq!(next(&ear).await, "STATUS=waiting for NATS");
        ready.set(true);
        notify.look();
        assert_eq!(next(&ear).await, "STATUS=scraping; waiting for NATS");
        notify.reloading();
        let told = next(&ear).await;
        let (first, rest) = told.split_once("\nMONOTONIC_USEC=").unwrap();
        assert_eq!(first, "RELOADING=1");
        let (usec, status) = rest.split_once('\n').unwrap();
        assert!(usec.parse::<u64>().unwrap() > 0);
        assert_eq!(status, "STATUS=reading the configuration again");
        notify.reloaded();
        let told = next(&ear).await;
        assert_eq!(told, "READY=1\nSTATUS=scraping; waiting for NATS");
        notify.stopping();
        assert_eq!(next(&ear).await, "STOPPING=1\nSTATUS=stopping in order");
        notify.up();
        notify.reloading();
        notify.stopping();
        notify.say("last".to_owned());
        notify.close().await;
        let mut buffer = [0; 4];
        assert_eq!(ear.try_recv(&mut buffer).unwrap(), 4);
        assert_eq!(&buffer, b"last");
    }

    #[tokio::test]
    async fn pings_come_at_half_the_interval_of_the_watchdog() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let ear = UnixDatagram::bind(&path).unwrap();
        let mut notify = open(&path, Some(Duration::from_millis(100)));
        assert_eq!(notify.looks.period(), Duration::from_millis(50));
        for expected in ["WATCHDOG=1", "STATUS=starting", "WATCHDOG=1", "WATCHDOG=1"] {
            if expected == "WATCHDOG=1" {
                notify.time_to_look().await;
                notify.look();
            }
            assert_eq!(next(&ear).await, expected);
        }
    }

    #[tokio::test]
    async fn an_abstract_address_works() {
        let name = format!("prometheus-streams-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let ear = StdDatagram::bind_addr(&address).unwrap();
        ear.set_nonblocking(true).unwrap();
        let ear = UnixDatagram::from_std(ear).unwrap();
        open(Path::new(&format!("@{name}")), None).stopping();
        assert!(next(&ear).await.starts_with("STOPPING=1\n"));
    }

    #[tokio::test]
    async fn a_socket_that_is_not_there_or_not_read_harms_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let mut notify = open(&path, Some(Duration::from_secs(1)));
        assert!(notify.queue.is_none());
        notify.up();
        let _ear = UnixDatagram::bind(&path).unwrap();
        let mut notify = open(&path, Some(Duration::from_secs(1)));
        for _ in 0..10_000 {
            notify.look();
        }
    }

    #[track_caller]
    fn check_environment(variables: &[(&str, String)], expected: &Manager) {
        let manager = Manager::read(|name| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| value.into())
        });
        assert_eq!(manager, *expected, "{variables:?}");
    }

    #[test]
    fn the_environment_says_where_and_how_often() {
        let us = std::process::id().to_string();
        let socket = ("NOTIFY_SOCKET", "/run/systemd/notify".to_owned());
        let usec = ("WATCHDOG_USEC", "60000000".to_owned());
        let told = |watchdog| Manager {
            socket: Some("/run/systemd/notify".into()),
            watchdog,
        };
        let minute = Some(Duration::from_secs(60));
        check_environment(&[], &Manager::default());
        check_environment(&[("NOTIFY_SOCKET", String::new())], &Manager::default());
        check_environment(std::slice::from_ref(&socket), &told(None));
        check_environment(&[socket.clone(), usec.clone()], &told(minute));
        let ours = [socket.clone(), usec.clone(), ("WATCHDOG_PID", us)];
        check_environment(&ours, &told(minute));
        let others = [socket.clone(), usec, ("WATCHDOG_PID", "1".to_owned())];
        check_environment(&others, &told(None));
        for bad in ["", "0", "-1", "soon"] {
            let bad = ("WATCHDOG_USEC", bad.to_owned());
            check_environment(&[socket.clone(), bad], &told(None));
        }
    }
}
