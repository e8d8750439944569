//! Simulated targets: good ones whose values tell which scrape they belong to, and bad ones.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::http::Connection;

/// The size of the body that never ends, should anybody read it to the end.
const ENDLESS_BYTES: usize = 10 << 30;

/// What a target answers.
#[derive(Clone)]
pub(crate) enum Behavior {
    /// `sim_scrapes_total` with the number of this scrape, from 1, and so many more series whose
    /// values follow from it: see [`value`].
    Counters(usize),
    /// As [`Behavior::Counters`] with one series, but it takes this long to answer.
    Slow(Duration),
    /// A page made for each scrape from its number, from 1.
    Made(Arc<dyn Fn(u64) -> String + Send + Sync>),
    /// Always the same page.
    Fixed(Arc<str>),
    /// Never anything.
    Hang,
    /// A body of 10 GB.
    Endless,
    /// A compressed body that grows to 10 GB.
    GzipBomb,
    /// Bytes that are no HTTP.
    Garbage,
    /// Random bytes as the body of a good answer.
    GarbageBody,
    /// A web page.
    Html,
    /// Half of the promised body.
    HalfWay,
    /// A redirect to itself.
    RedirectLoop,
    /// An error status.
    Status(u16),
    /// A good body, one byte at a time.
    Drip,
}

/// Returns what series `n` of a [`Behavior::Counters`] target holds in scrape `number`.
pub(crate) fn value(number: u64, n: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts of a short run")]
    let (number, n) = (number as f64, n as f64);
    number + n / 7.0
}

/// An HTTP server with one path for each target; stopped when dropped.
pub(crate) struct Targets {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    targets: Vec<Target>,
}

struct Target {
    behavior: Behavior,
    served: AtomicU64,
}

impl Targets {
    /// Starts the targets on IPv4.
    pub(crate) async fn start(behaviors: Vec<Behavior>) -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST.into(), behaviors).await
    }

    /// Starts the targets on an address of this machine.
    pub(crate) async fn start_at(ip: IpAddr, behaviors: Vec<Behavior>) -> Self {
        let listener = TcpListener::bind((ip, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let targets = behaviors.into_iter().map(|behavior| Target {
            behavior,
            served: AtomicU64::new(0),
        });
        let shared = Arc::new(Shared {
            targets: targets.collect(),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self {
            address,
            shared,
            task,
        }
    }

    /// Returns the address of target `n`.
    pub(crate) fn url(&self, n: usize) -> String {
        format!("http://{}/{n}", self.address)
    }

    /// Returns how many scrapes of target `n` were answered or at least begun.
    pub(crate) fn served(&self, n: usize) -> u64 {
        self.shared.targets[n].served.load(Ordering::SeqCst)
    }
}

impl Drop for Targets {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Connections end with the server: a set that is dropped aborts what is in it.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        if let Ok(connection) = Connection::new(stream) {
            connections.spawn(serve(connection, Arc::clone(&shared)));
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(mut connection: Connection, shared: Arc<Shared>) {
    while let Some(received) = connection.next().await {
        let number = received.path.trim_start_matches('/').parse::<usize>();
        let Some(target) = number.ok().and_then(|n| shared.targets.get(n)) else {
            return;
        };
        // An error means that the scraper went away, which many are made to do.
        if target
            .answer(&mut connection, &received.path)
            .await
            .is_err()
        {
            return;
        }
    }
}

impl Target {
    async fn answer(&self, connection: &mut Connection, path: &str) -> std::io::Result<()> {
        const TEXT: (&str, &str) = ("Content-Type", "text/plain; version=0.0.4");
        let number = self.served.fetch_add(1, Ordering::SeqCst) + 1;
        let gone = || std::io::Error::other("nothing more on this connection");
        match &self.behavior {
            Behavior::Counters(series) => {
                let page = counters(number, *series);
                connection.answer(200, &[TEXT], page.as_bytes()).await
            }
            Behavior::Slow(delay) => {
                tokio::time::sleep(*delay).await;
                connection
                    .answer(200, &[TEXT], counters(number, 1).as_bytes())
                    .await
            }
            Behavior::Made(page) => {
                connection
                    .answer(200, &[TEXT], page(number).as_bytes())
                    .await
            }
            Behavior::Fixed(page) => connection.answer(200, &[TEXT], page.as_bytes()).await,
            Behavior::Hang => std::future::pending().await,
            Behavior::Endless => endless(connection).await,
            Behavior::GzipBomb => gzip_bomb(connection).await,
            Behavior::Garbage => {
                connection
                    .writer
                    .write_all(&[0xfe, 0, 7, 13, 10, 255, b'x'])
                    .await?;
                Err(gone())
            }
            Behavior::GarbageBody => {
                let body = (0..4096_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]);
                connection
                    .answer(200, &[TEXT], &body.collect::<Vec<_>>())
                    .await
            }
            Behavior::Html => {
                let page = b"<!DOCTYPE html>\n<html><body><h1>It works!</h1></body></html>\n";
                connection
                    .answer(200, &[("Content-Type", "text/html")], page)
                    .await
            }
            Behavior::HalfWay => {
                let half = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf_a_page 1\nhal";
                connection.writer.write_all(half).await?;
                Err(gone())
            }
            Behavior::RedirectLoop => connection.answer(302, &[("Location", path)], b"").await,
            Behavior::Status(status) => connection.answer(*status, &[TEXT], b"# sorry\n").await,
            Behavior::Drip => drip(connection).await,
        }
    }
}

/// Returns the page of a [`Behavior::Counters`] target.
pub(crate) fn counters(number: u64, series: usize) -> String {
    let mut page = format!(
        "# HELP sim_scrapes_total Scrapes so far.\n# TYPE sim_scrapes_total counter\n\
         sim_scrapes_total {number}\n# TYPE sim_value gauge\n"
    );
    for n in 0..series {
        let value = value(number, n);
        // Writing to a string cannot fail.
        writeln!(page, "sim_value{{n=\"{n}\",path=\"/a \\\"b\\\"\"}} {value}").unwrap();
    }
    page
}

async fn endless(connection: &mut Connection) -> std::io::Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {ENDLESS_BYTES}\r\n\r\n");
    connection.writer.write_all(head.as_bytes()).await?;
    let piece = "endless_series_of_a_mad_target{a=\"b\"} 12345678\n".repeat(1000);
    for _ in 0..ENDLESS_BYTES / piece.len() {
        connection.writer.write_all(piece.as_bytes()).await?;
    }
    Ok(())
}

async fn gzip_bomb(connection: &mut Connection) -> std::io::Result<()> {
    let head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n";
    connection.writer.write_all(head).await?;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let piece = vec![b'\n'; 1 << 20];
    for _ in 0..ENDLESS_BYTES / piece.len() {
        encoder.write_all(&piece)?;
        let compressed = std::mem::take(encoder.get_mut());
        connection.writer.write_all(&compressed).await?;
    }
    Ok(())
}

async fn drip(connection: &mut Connection) -> std::io::Result<()> {
    let page = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\ndripping_total 1\n";
    for byte in page {
        connection.writer.write_all(&[*byte]).await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    std::future::pending().await
}
