//! An HTTP server that answers as a test wants it to.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use url::Url;

use crate::messages::WriteRequest;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Method, path and version.
    pub(crate) first_line: String,
    /// The header lines, in lower case.
    pub(crate) headers: String,
    pub(crate) body: Vec<u8>,
}

/// What is done with a request.
pub(crate) enum Reply {
    /// A status, header lines each with its line end, and a body.
    Answer(u16, &'static str, &'static str),
    /// These bytes, then the connection is closed.
    Raw(&'static [u8]),
    /// Nothing, for ever.
    Hang,
}

pub(crate) const OK: Reply = Reply::Answer(200, "", "");

pub(crate) struct Scripted {
    pub(crate) url: Url,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

type Script = Box<dyn Fn(usize, &Request) -> Reply + Send + Sync>;

struct Shared {
    script: Script,
    requests: Mutex<Vec<Request>>,
    open: AtomicUsize,
    open_most: AtomicUsize,
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Scripted {
    /// Starts a server; the script gets each request and its number.
    pub(crate) async fn start(
        script: impl Fn(usize, &Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script: Box::new(script),
            requests: Mutex::default(),
            open: AtomicUsize::new(0),
            open_most: AtomicUsize::new(0),
        });
        let accepting = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&accepting);
                tokio::spawn(async move { shared.serve(stream).await });
            }
        });
        let url = Url::parse(&format!("http://{address}/write")).unwrap();
        Self { url, shared, task }
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// The most requests that were under way at the same time.
    pub(crate) fn open_most(&self) -> usize {
        self.shared.open_most.load(Ordering::SeqCst)
    }
}

impl Shared {
    async fn serve(&self, mut stream: TcpStream) {
        let Some(request) = read(&mut stream).await else {
            return;
        };
        let open = self.open.fetch_add(1, Ordering::SeqCst) + 1;
        self.open_most.fetch_max(open, Ordering::SeqCst);
        let number = {
            let mut requests = self.requests.lock().unwrap();
            requests.push(request.clone());
            requests.len() - 1
        };
        let reply = (self.script)(number, &request);
        // Lets other requests arrive, if there are any.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        self.open.fetch_sub(1, Ordering::SeqCst);
        let answer = match reply {
            Reply::Answer(status, headers, body) => format!(
                "HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}",
                body.len()
            )
            .into_bytes(),
            Reply::Raw(bytes) => bytes.to_vec(),
            Reply::Hang => return std::future::pending().await,
        };
        drop(stream.write_all(&answer).await);
        drop(stream.shutdown().await);
    }
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).ok()?;
    let (first_line, headers) = head.split_once("\r\n")?;
    let headers = headers.to_ascii_lowercase();
    let length = headers
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.map_or(0, |length| length.parse().unwrap());
    while bytes.len() < head_end + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body = bytes.split_off(head_end);
    Some(Request {
        first_line: first_line.to_owned(),
        headers,
        body,
    })
}

impl Request {
    /// Decodes a write request: `name:value@time` for each series but those about the scrape.
    pub(crate) fn written(&self) -> Vec<String> {
        let raw = snap::raw::Decoder::new()
            .decompress_vec(&self.body)
            .unwrap();
        let request = WriteRequest::decode(&raw[..]).unwrap();
        let mut written = Vec::new();
        for series in &request.timeseries {
            let name = series
                .labels
                .iter()
                .find(|label| label.name == "__name__")
                .unwrap();
            if name.value == "up" || name.value.starts_with("scrape_") {
                continue;
            }
            let sample = &series.samples[0];
            let value = match sample.value.to_bits() {
                0x7ff0_0000_0000_0002 => "stale".to_owned(),
                _ => sample.value.to_string(),
            };
            written.push(format!("{}:{value}@{}", name.value, sample.timestamp));
        }
        written
    }
}
