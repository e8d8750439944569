//! A link between a program and a server that can be cut and stalled.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// The state of the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    /// Bytes pass.
    Up,
    /// Connections are closed, new ones at once.
    Cut,
    /// Connections stay, nothing passes: as when packets vanish.
    Stalled,
}

/// The link; gone when dropped.
pub(crate) struct Proxy {
    /// Where it listens.
    pub(crate) port: u16,
    /// Bytes that have passed to the far end and back.
    passed: Arc<[AtomicU64; 2]>,
    link: watch::Sender<Link>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Starts a link to a port of this machine.
    pub(crate) async fn start(upstream: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (link, state) = watch::channel(Link::Up);
        let passed = Arc::<[AtomicU64; 2]>::default();
        let task = tokio::spawn(accept(listener, upstream, state, Arc::clone(&passed)));
        Self {
            port,
            passed,
            link,
            task,
        }
    }

    /// Returns the address of the link's near end, for a NATS client.
    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Returns the bytes that have passed to the far end, and those that came back.
    pub(crate) fn passed(&self) -> [u64; 2] {
        [0, 1].map(|way| self.passed[way].load(Ordering::Relaxed))
    }

    /// Changes the link's state.
    pub(crate) fn set(&self, link: Link) {
        self.link.send_replace(link);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(
    listener: TcpListener,
    upstream: u16,
    state: watch::Receiver<Link>,
    passed: Arc<[AtomicU64; 2]>,
) {
    let mut connections = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        if *state.borrow() != Link::Cut {
            connections.spawn(connect(near, upstream, state.clone(), Arc::clone(&passed)));
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn connect(
    near: TcpStream,
    upstream: u16,
    mut state: watch::Receiver<Link>,
    passed: Arc<[AtomicU64; 2]>,
) {
    let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, upstream)).await else {
        return;
    };
    let (near_reader, near_writer) = near.into_split();
    let (far_reader, far_writer) = far.into_split();
    tokio::select! {
        () = forward(near_reader, far_writer, state.clone(), &passed[0]) => {}
        () = forward(far_reader, near_writer, state.clone(), &passed[1]) => {}
        _ = state.wait_for(|link| *link == Link::Cut) => {}
    }
}

async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut state: watch::Receiver<Link>,
    passed: &AtomicU64,
) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let Ok(length @ 1..) = from.read(&mut buffer).await else {
            return;
        };
        // Waiting here is what stalls the link; it ends with the proxy.
        if state.wait_for(|link| *link == Link::Up).await.is_err() {
            return;
        }
        passed.fetch_add(length as u64, Ordering::Relaxed);
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
