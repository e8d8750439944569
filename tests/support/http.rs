//! The least of HTTP: one request on one connection, and a server's half of a connection.

use std::fmt::Write as _;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// Limit for a whole request to a server on this machine.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Gets a page of a server on `127.0.0.1`; anything but 200 is an error.
pub(crate) async fn get(port: u16, path: &str) -> Result<String, String> {
    let (status, body) = request(port, "GET", path, b"").await?;
    if status == 200 {
        Ok(body)
    } else {
        Err(format!("`{path}` answers {status}: {body}"))
    }
}

/// Sends a request to a server on `127.0.0.1` and returns the status and the body.
pub(crate) async fn request(
    port: u16,
    method: &str,
    path: &str,
    body: &[u8],
) -> Result<(u16, String), String> {
    let exchange = exchange(port, method, path, body);
    match tokio::time::timeout(TIMEOUT, exchange).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(format!("port {port}: {error}")),
        Err(_elapsed) => Err(format!("port {port}: no answer to `{path}`")),
    }
}

async fn exchange(
    port: u16,
    method: &str,
    path: &str,
    body: &[u8],
) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    // Version 1.0, so that the answer is neither chunked nor followed by another one.
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| std::io::Error::other("the answer is not HTTP"))?;
    Ok((status, body.to_owned()))
}

/// A request as a server reads it.
pub(crate) struct Received {
    /// The path with its query.
    pub(crate) path: String,
    /// The headers, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl Received {
    /// Returns a header's value, empty if there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }
}

/// A server's half of one connection.
pub(crate) struct Connection {
    reader: BufReader<OwnedReadHalf>,
    is_last: bool,
    /// Takes raw bytes, for answers that are no HTTP.
    pub(crate) writer: OwnedWriteHalf,
}

impl Connection {
    /// Takes over an accepted connection.
    pub(crate) fn new(stream: TcpStream) -> std::io::Result<Self> {
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        Ok(Self {
            reader: BufReader::new(reader),
            is_last: false,
            writer,
        })
    }

    /// Reads the next request; `None` at the end of the connection.
    pub(crate) async fn next(&mut self) -> Option<Received> {
        if self.is_last {
            return None;
        }
        let mut line = String::new();
        self.reader.read_line(&mut line).await.ok()?;
        // Version 1.0 knows one request on a connection.
        self.is_last = line.trim_end().ends_with("HTTP/1.0");
        let path = line.split(' ').nth(1)?.to_owned();
        let mut headers = Vec::new();
        loop {
            line.clear();
            self.reader.read_line(&mut line).await.ok()?;
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut received = Received {
            path,
            headers,
            body: Vec::new(),
        };
        let length = received.header("content-length").parse().unwrap_or(0);
        received.body.resize(length, 0);
        self.reader.read_exact(&mut received.body).await.ok()?;
        Some(received)
    }

    /// Answers; the connection stays open for another request.
    pub(crate) async fn answer(
        &mut self,
        status: u16,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<()> {
        let mut head = format!("HTTP/1.1 {status} -\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in headers {
            write!(head, "{name}: {value}\r\n").map_err(std::io::Error::other)?;
        }
        head.push_str("\r\n");
        let mut message = head.into_bytes();
        message.extend_from_slice(body);
        self.writer.write_all(&message).await
    }
}
