//! One name's records, by Prometheus's rules.
//!
//! * The name is completed with each search domain, and the first candidate that exists counts,
//!   even without a record of the type.
//! * A candidate is asked of one server after the other, until one says that it exists or that it
//!   does not. Everything else (no answer, SERVFAIL, REFUSED) says nothing.
//! * Where no candidate exists and all were answered, the name has no records. Where some were not
//!   answered, nothing is known.
//!
//! The resolver of the system is no help here: it does not tell the last two apart.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::ProtoError;
use hickory_proto::op::{Edns, Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::resolv::ResolvConf;

/// How long a server may take for each step, as in Prometheus's resolver.
const STEP: Duration = Duration::from_secs(2);

/// The largest answer over UDP that we ask for, as Prometheus does.
const UDP_BYTES_MAX: u16 = 4096;

/// Why nothing is known of a name.
#[derive(Debug, thiserror::Error)]
pub enum DnsError {
    /// The system's list of servers cannot be read.
    #[error("cannot read `{}`", path.display())]
    ResolvConf {
        /// Its path.
        path: PathBuf,
        /// The cause, one for all names.
        source: Arc<io::Error>,
    },
    /// The system has no server.
    #[error("`resolv.conf` names no server")]
    NoServer,
    /// The DNS has no such names.
    #[error("`{0}` is not a name that the DNS can have")]
    Name(String),
    /// No server could tell about one of the candidates.
    #[error("no server can tell about `{candidate}`; the last one is {server}")]
    NoAnswer {
        /// The name with its search domain.
        candidate: String,
        /// The last server that was asked.
        server: SocketAddr,
        /// What was wrong with it.
        source: ServerError,
    },
}

/// Why a server could not tell.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// It does not answer.
    #[error("no usable answer within {}s", .0.as_secs())]
    Timeout(Duration),
    /// It cannot be reached.
    #[error(transparent)]
    Network(#[from] io::Error),
    /// The question cannot be written, or the answer not be read.
    #[error("not a DNS message: {0}")]
    Message(String),
    /// It answers another question.
    #[error("the answer is to another question")]
    Foreign,
    /// It says that it cannot tell.
    #[error("it answers `{0}`")]
    Code(ResponseCode),
    /// Even without a limit there is no room.
    #[error("the answer is cut short even over TCP")]
    Truncated,
}

/// Returns the records of a name; none if it does not exist or has none of the type.
pub(super) async fn with_search_path(
    name: &str,
    record: RecordType,
    conf: &ResolvConf,
) -> Result<Vec<RData>, DnsError> {
    let mut failure = None;
    for candidate in conf.candidates(name) {
        match from_any_server(&candidate, record, conf).await {
            Ok(Some(records)) => return Ok(records),
            Ok(None) => {}
            // A later one may exist.
            Err(error) => failure = Some(error),
        }
    }
    failure.map_or(Ok(Vec::new()), Err)
}

/// Returns the records of a full name, or `None` if it does not exist.
async fn from_any_server(
    candidate: &str,
    record: RecordType,
    conf: &ResolvConf,
) -> Result<Option<Vec<RData>>, DnsError> {
    let name = question(candidate).map_err(|_unusable| DnsError::Name(candidate.to_owned()))?;
    let mut failure = DnsError::NoServer;
    for server in &conf.servers {
        match ask(*server, &name, record).await {
            Ok(answer) => {
                let records = answer.answers.into_iter().map(|record| record.data);
                let exists = answer.metadata.response_code == ResponseCode::NoError;
                return Ok(exists.then(|| records.collect()));
            }
            Err(source) => {
                failure = DnsError::NoAnswer {
                    candidate: candidate.to_owned(),
                    server: *server,
                    source,
                };
            }
        }
    }
    Err(failure)
}

/// Returns a name as it is asked for.
pub(super) fn question(name: &str) -> Result<Name, ProtoError> {
    let mut question = if name.is_ascii() {
        Name::from_ascii(name)?
    } else {
        Name::from_utf8(name)?
    };
    question.set_fqdn(true);
    Ok(question)
}

/// Asks one server, and returns an answer that says whether the name exists.
async fn ask(server: SocketAddr, name: &Name, record: RecordType) -> Result<Message, ServerError> {
    let mut query = Message::query();
    query.metadata.recursion_desired = true;
    query.add_query(Query::query(name.clone(), record));
    let mut edns = Edns::new();
    edns.set_max_payload(UDP_BYTES_MAX).set_version(0);
    query.set_edns(edns);
    let mut answer = over_udp(server, &query).await?;
    if answer.metadata.truncation {
        query.edns = None;
        answer = over_tcp(server, &query).await?;
        if answer.metadata.truncation {
            return Err(ServerError::Truncated);
        }
    }
    match answer.metadata.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain => Ok(answer),
        code => Err(ServerError::Code(code)),
    }
}

async fn over_udp(server: SocketAddr, query: &Message) -> Result<Message, ServerError> {
    let any = match server {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    // A port of its own for each question, which whoever wants to answer it falsely has to guess.
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(&written(query)?).await?;
    let receiving = async {
        let mut datagram = vec![0; usize::from(UDP_BYTES_MAX)];
        loop {
            let length = socket.recv(&mut datagram).await?;
            let bytes = datagram.get(..length).unwrap_or_default();
            // What is not the answer may be a late or a false one; the right one may still come.
            if let Ok(answer) = read(bytes, query) {
                return Ok(answer);
            }
        }
    };
    in_time(receiving).await
}

async fn over_tcp(server: SocketAddr, query: &Message) -> Result<Message, ServerError> {
    let question = written(query)?;
    let length = u16::try_from(question.len()).unwrap_or(u16::MAX);
    let framed = [&length.to_be_bytes()[..], &question].concat();
    let mut stream = in_time(async { Ok(TcpStream::connect(server).await?) }).await?;
    in_time(async { Ok(stream.write_all(&framed).await?) }).await?;
    let answer = in_time(async {
        let length = stream.read_u16().await?;
        let mut answer = vec![0; usize::from(length)];
        stream.read_exact(&mut answer).await?;
        Ok(answer)
    });
    read(&answer.await?, query)
}

async fn in_time<T>(step: impl Future<Output = Result<T, ServerError>>) -> Result<T, ServerError> {
    timeout(STEP, step)
        .await
        .unwrap_or(Err(ServerError::Timeout(STEP)))
}

fn written(query: &Message) -> Result<Vec<u8>, ServerError> {
    query
        .to_vec()
        .map_err(|error| ServerError::Message(error.to_string()))
}

/// Reads the answer to a query.
fn read(bytes: &[u8], query: &Message) -> Result<Message, ServerError> {
    let answer =
        Message::from_vec(bytes).map_err(|error| ServerError::Message(error.to_string()))?;
    let is_ours = answer.metadata.id == query.metadata.id
        && answer.metadata.message_type == MessageType::Response
        // A server that cannot read a question need not repeat it.
        && (answer.queries.is_empty() || answer.queries == query.queries);
    is_ours.then_some(answer).ok_or(ServerError::Foreign)
}
