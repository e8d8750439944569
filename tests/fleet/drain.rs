//! A remote-write endpoint that takes everything and keeps nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use crate::support::Connection;

/// The endpoint; stopped when dropped.
pub(crate) struct Drain {
    port: u16,
    bytes: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Drain {
    /// Starts it.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let bytes = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&bytes);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(connection) = Connection::new(stream) {
                    connections.spawn(take(connection, Arc::clone(&count)));
                }
            }
        });
        Self { port, bytes, task }
    }

    /// Returns the address to write to.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/api/v1/write", self.port)
    }

    /// Returns how many bytes of bodies came.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn take(mut connection: Connection, bytes: Arc<AtomicU64>) {
    while let Some(request) = connection.next().await {
        let length = u64::try_from(request.body.len()).unwrap();
        bytes.fetch_add(length, Ordering::Relaxed);
        if connection.answer(204, &[], b"").await.is_err() {
            return;
        }
    }
}
