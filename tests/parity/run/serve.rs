//! The HTTP server behind all scripted targets.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use socket2::SockRef;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::exchange::exchange;
use super::script::{Answer, Ask, TEXT, Way};
use crate::support::{Connection, Received};

/// Longer than any scraper waits.
const SILENCE: Duration = Duration::from_secs(10);

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// The Prometheus that scrapes.
    Reference,
    /// Our poller.
    Ours,
}

impl Side {
    /// Both.
    pub(super) const ALL: [Self; 2] = [Self::Reference, Self::Ours];

    fn of(request: &Received) -> Self {
        if request.header("user-agent").starts_with("Prometheus/") {
            Self::Reference
        } else {
            Self::Ours
        }
    }

    /// Returns its place in an array of two.
    pub(super) fn index(self) -> usize {
        match self {
            Self::Reference => 0,
            Self::Ours => 1,
        }
    }
}

/// Where a target's pages come from.
pub(super) enum Source {
    /// They are made.
    Made(fn(&Ask<'_>) -> Answer),
    /// They are those of a real exporter at a port and a path, each fetched once for both.
    Recorded(u16, &'static str, Mutex<Vec<Vec<u8>>>),
}

impl Source {
    /// Records what an exporter on this machine exposes.
    pub(super) fn recorded(port: u16, path: &'static str) -> Self {
        Self::Recorded(port, path, Mutex::default())
    }
}

struct Target {
    source: Source,
    counts: [AtomicU64; 2],
}

/// Targets by the first step of their path.
pub(super) struct Server {
    targets: HashMap<String, Target>,
    gate: Gate,
    begun_ms: i64,
}

/// Stands before the target `refused`: while closed, who asks is noted and sent away.
#[derive(Default)]
pub(super) struct Gate {
    is_open: AtomicBool,
    seen: std::sync::Mutex<[Option<Instant>; 2]>,
}

impl Gate {
    /// Lets everybody pass from now on.
    pub(super) fn open(&self) {
        self.is_open.store(true, Ordering::SeqCst);
    }

    /// Returns when one side has come last.
    pub(super) fn seen(&self, side: Side) -> Option<Instant> {
        self.seen.lock().unwrap()[side.index()]
    }

    fn passes(&self, side: Side) -> bool {
        self.seen.lock().unwrap()[side.index()] = Some(Instant::now());
        self.is_open.load(Ordering::SeqCst)
    }
}

impl Server {
    /// Takes the targets; nobody is answered before [`Server::serve`].
    pub(super) fn new(
        sources: impl IntoIterator<Item = (String, Source)>,
        begun_ms: i64,
    ) -> Arc<Self> {
        let target = |(name, source)| {
            let counts = [AtomicU64::new(0), AtomicU64::new(0)];
            (name, Target { source, counts })
        };
        let targets = sources.into_iter().map(target).collect();
        Arc::new(Self {
            targets,
            gate: Gate::default(),
            begun_ms,
        })
    }

    /// Returns what stands before the target `refused`.
    pub(super) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Returns how many scrapes of a target one side has made.
    pub(super) fn count(&self, name: &str, side: Side) -> u64 {
        let target = self.targets.get(name);
        target.map_or(0, |target| {
            target.counts[side.index()].load(Ordering::SeqCst)
        })
    }

    /// Answers until it is dropped, and so are the connections.
    pub(super) async fn serve(self: Arc<Self>, listener: TcpListener) {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(Arc::clone(&self).converse(stream));
            while connections.try_join_next().is_some() {}
        }
    }

    async fn converse(self: Arc<Self>, stream: TcpStream) {
        let Ok(mut connection) = Connection::new(stream) else {
            return;
        };
        while let Some(request) = connection.next().await {
            let answer = self.answer(&request).await;
            if answer.way == Way::Reset {
                // Without linger, so that it does not look like one that ends.
                let socket: &TcpStream = connection.writer.as_ref();
                drop(SockRef::from(socket).set_linger(Some(Duration::ZERO)));
                return;
            }
            // An error means that the scraper went away.
            if !matches!(send(&mut connection, &request, answer).await, Ok(true)) {
                return;
            }
        }
    }

    async fn answer(&self, request: &Received) -> Answer {
        let path = request.path.trim_start_matches('/');
        let name = path.split(['/', '?']).next().unwrap_or_default();
        let Some(target) = self.targets.get(name) else {
            return Answer {
                status: 404,
                ..Answer::text("")
            };
        };
        let side = Side::of(request);
        if name == "refused" && !self.gate.passes(side) {
            return Answer::text("").sent(Way::Reset);
        }
        let count = &target.counts[side.index()];
        // The second half of a redirect belongs to the same scrape.
        let number = if path.contains("/again") {
            count.load(Ordering::SeqCst)
        } else {
            count.fetch_add(1, Ordering::SeqCst) + 1
        };
        match &target.source {
            Source::Made(script) => script(&Ask {
                number,
                path: &request.path,
                headers: &request.headers,
                begun_ms: self.begun_ms,
            }),
            Source::Recorded(port, path, pages) => {
                let mut pages = pages.lock().await;
                let number = usize::try_from(number).unwrap();
                while pages.len() < number {
                    let head = format!("GET {path} HTTP/1.0\r\nAccept: {TEXT}\r\n\r\n");
                    let (_, body) = exchange(*port, &head, b"").await.unwrap();
                    let count = format!("scrape_count {}\n", pages.len() + 1);
                    pages.push([count.as_bytes(), &body].concat());
                }
                Answer::text(pages[number - 1].clone()).sent(Way::Gzip)
            }
        }
    }
}

/// Sends an answer; tells whether the connection can be used again.
async fn send(
    connection: &mut Connection,
    request: &Received,
    answer: Answer,
) -> std::io::Result<bool> {
    let mut answer = answer;
    tokio::time::sleep(answer.delay).await;
    if answer.way == Way::Silent {
        tokio::time::sleep(SILENCE).await;
        return Ok(false);
    }
    // Writing to a string cannot fail.
    let mut head = format!("HTTP/1.1 {} -\r\n", answer.status);
    if let Some(media) = answer.content_type {
        write!(head, "Content-Type: {media}\r\n").unwrap();
    }
    if let Some(location) = &answer.location {
        write!(head, "Location: {location}\r\n").unwrap();
    }
    if answer.is_last {
        head.push_str("Connection: close\r\n");
    }
    if answer.way == Way::Gzip && request.header("accept-encoding").contains("gzip") {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&answer.body)?;
        answer.body = encoder.finish()?;
        head.push_str("Content-Encoding: gzip\r\n");
    }
    let half = answer.body.len() / 2;
    if answer.way == Way::Chunked {
        head.push_str("Transfer-Encoding: chunked\r\n\r\n");
        let mut message = head.into_bytes();
        for part in [&answer.body[..half], &answer.body[half..]] {
            if !part.is_empty() {
                message.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
                message.extend_from_slice(part);
                message.extend_from_slice(b"\r\n");
            }
        }
        message.extend_from_slice(b"0\r\n\r\n");
        connection.writer.write_all(&message).await?;
        return Ok(true);
    }
    write!(head, "Content-Length: {}\r\n\r\n", answer.body.len()).unwrap();
    let is_whole = !matches!(answer.way, Way::Stalls | Way::Truncated);
    let body = if is_whole {
        &*answer.body
    } else {
        &answer.body[..half]
    };
    connection
        .writer
        .write_all(&[head.as_bytes(), body].concat())
        .await?;
    if answer.way == Way::Stalls {
        tokio::time::sleep(SILENCE).await;
    }
    Ok(is_whole && !answer.is_last)
}
