use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, MX, NS, SRV, TXT};
use hickory_proto::rr::{Name, Record as Answer};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};

use super::*;
use crate::telemetry::chain;

/// What a server does with a question for a name.
#[derive(Clone)]
enum Doing {
    Answers(Vec<RData>),
    Refuses(ResponseCode),
    /// Over UDP it says that there is more; over TCP it has these records.
    CutsShort(Vec<RData>),
    SendsGarbage,
    SaysNothing,
}

/// A server for a few names; others do not exist. It keeps what it was asked for.
struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

type Zone = Arc<Vec<(String, Doing)>>;

fn respond(query: &[u8], zone: &Zone, is_tcp: bool) -> (String, Option<Vec<u8>>) {
    let query = Message::from_vec(query).unwrap();
    let question = query.queries[0].clone();
    let name = question.name.to_ascii();
    let known = zone.iter().find(|(known, _)| *known == name);
    let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
    answer.add_query(question.clone());
    let mut add = |records: &[RData]| {
        let record = |data: &RData| Answer::from_rdata(question.name.clone(), 1, data.clone());
        answer.add_answers(records.iter().map(record));
    };
    match known.map(|(_, doing)| doing) {
        None => answer.metadata.response_code = ResponseCode::NXDomain,
        Some(Doing::Answers(records)) => add(records),
        Some(Doing::Refuses(code)) => answer.metadata.response_code = *code,
        Some(Doing::CutsShort(records)) if is_tcp => add(records),
        Some(Doing::CutsShort(_)) => answer.metadata.truncation = true,
        Some(Doing::SendsGarbage) => return (name, Some(b"garbage".to_vec())),
        Some(Doing::SaysNothing) => return (name, None),
    }
    (name, Some(answer.to_vec().unwrap()))
}

impl Server {
    async fn start(zone: &[(&str, Doing)]) -> Self {
        let zone = zone
            .iter()
            .map(|(name, doing)| ((*name).to_owned(), doing.clone()));
        let zone: Zone = Arc::new(zone.collect());
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            // The port may be taken over TCP.
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
                break (udp, tcp);
            }
        };
        let address = udp.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (seen, zone_of_tcp) = (Arc::clone(&asked), Arc::clone(&zone));
        tokio::spawn(async move {
            let mut query = [0; 512];
            loop {
                let (length, peer) = udp.recv_from(&mut query).await.unwrap();
                let (name, answer) = respond(&query[..length], &zone, false);
                seen.lock().unwrap().push(name);
                if let Some(answer) = answer {
                    udp.send_to(&answer, peer).await.unwrap();
                }
            }
        });
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = tcp.accept().await.unwrap();
                let length = stream.read_u16().await.unwrap();
                let mut query = vec![0; usize::from(length)];
                stream.read_exact(&mut query).await.unwrap();
                let answer = respond(&query, &zone_of_tcp, true).1.unwrap();
                let length = u16::try_from(answer.len()).unwrap();
                let framed = [&length.to_be_bytes()[..], &answer].concat();
                stream.write_all(&framed).await.unwrap();
            }
        });
        Self { address, asked }
    }
}

/// Looks names up where the system's servers are these; all have one port, so there is one server
/// that answers, and others at addresses where nobody listens.
struct Lab {
    folder: TempDir,
    port: u16,
}

impl Lab {
    fn new(server: &Server, resolv_conf: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("resolv.conf"), resolv_conf).unwrap();
        let port = server.address.port();
        Self { folder, port }
    }

    async fn look_up(&self, name: &str, record: Record) -> Result<Vec<Group>, DiscoverError> {
        let settings = Settings {
            names: vec![name.to_owned()],
            record,
            port: 9100,
            refresh_interval: Duration::from_secs(30),
            resolver: Resolver {
                file: self.folder.path().join("resolv.conf"),
                port: self.port,
            },
        };
        Names::new(&settings).refresh().await.pop().unwrap().groups
    }

    /// The targets of a name, each as its labels without their common prefix.
    async fn targets(&self, name: &str, record: Record) -> Vec<String> {
        let groups = self.look_up(name, record).await.unwrap();
        assert_eq!(groups.len(), 1);
        assert_eq!(&*groups[0].source, name);
        let label = |(name, value): &(String, String)| {
            format!("{}={value}", name.trim_start_matches("__meta_dns_"))
        };
        let target =
            |labels: &Vec<(String, String)>| labels.iter().map(label).collect::<Vec<_>>().join(" ");
        groups[0].targets.iter().map(target).collect()
    }

    async fn fails(&self, name: &str, expected: &str) {
        let error = chain(&self.look_up(name, Record::A).await.unwrap_err());
        assert!(error.contains(expected), "{expected} in {error}");
    }
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn a(address: &str) -> RData {
    RData::A(A(address.parse().unwrap()))
}

const LOCAL: &str = "nameserver 127.0.0.1\n";

#[tokio::test]
async fn every_type_of_record_becomes_targets() {
    let server = Server::start(&[
        (
            "a.example.",
            Doing::Answers(vec![
                RData::CNAME(CNAME(name("b.example."))),
                a("192.0.2.2"),
                a("192.0.2.1"),
                a("192.0.2.2"),
            ]),
        ),
        (
            "aaaa.example.",
            Doing::Answers(vec![RData::AAAA(
                "2001:db8::1".parse::<std::net::Ipv6Addr>().unwrap().into(),
            )]),
        ),
        (
            "_srv._tcp.example.",
            Doing::Answers(vec![RData::SRV(SRV::new(
                1,
                2,
                8080,
                name("Host.example."),
            ))]),
        ),
        (
            "mx.example.",
            Doing::Answers(vec![RData::MX(MX::new(5, name("mail.example.")))]),
        ),
        (
            "ns.example.",
            Doing::Answers(vec![RData::NS(NS(name("ns1.example.")))]),
        ),
        (
            "txt.example.",
            Doing::Answers(vec![RData::TXT(TXT::new(vec!["text".to_owned()]))]),
        ),
    ])
    .await;
    let lab = Lab::new(&server, LOCAL);
    assert_eq!(
        lab.targets("a.example", Record::A).await,
        [
            "name=a.example __address__=192.0.2.1:9100",
            "name=a.example __address__=192.0.2.2:9100"
        ]
    );
    assert_eq!(
        lab.targets("aaaa.example", Record::Aaaa).await,
        ["name=aaaa.example __address__=[2001:db8::1]:9100"]
    );
    assert_eq!(
        lab.targets("_srv._tcp.example.", Record::Srv).await,
        [
            "name=_srv._tcp.example. srv_record_target=Host.example. srv_record_port=8080 __address__=Host.example:8080"
        ]
    );
    assert_eq!(
        lab.targets("mx.example", Record::Mx).await,
        ["name=mx.example mx_record_target=mail.example. __address__=mail.example:9100"]
    );
    assert_eq!(
        lab.targets("ns.example", Record::Ns).await,
        ["name=ns.example ns_record_target=ns1.example. __address__=ns1.example:9100"]
    );
    assert!(lab.targets("txt.example", Record::A).await.is_empty());
}

#[tokio::test]
async fn a_name_that_does_not_exist_has_no_targets() {
    let server = Server::start(&[("empty.example.", Doing::Answers(Vec::new()))]).await;
    let lab = Lab::new(&server, LOCAL);
    assert!(lab.targets("nobody.example", Record::A).await.is_empty());
    assert!(lab.targets("empty.example", Record::A).await.is_empty());
}

#[tokio::test]
async fn search_domains_are_tried_until_a_name_exists() {
    let server = Server::start(&[
        ("host.two.example.", Doing::Answers(vec![a("192.0.2.1")])),
        ("host.three.example.", Doing::Answers(vec![a("192.0.2.3")])),
    ])
    .await;
    let lab = Lab::new(
        &server,
        &format!("{LOCAL}search one.example two.example three.example\n"),
    );
    assert_eq!(
        lab.targets("host", Record::A).await,
        ["name=host __address__=192.0.2.1:9100"]
    );
    assert_eq!(
        *server.asked.lock().unwrap(),
        ["host.one.example.", "host.two.example."]
    );
}

#[tokio::test]
async fn a_candidate_that_nobody_can_tell_about_leaves_the_name_unknown() {
    let server = Server::start(&[
        ("host.one.example.", Doing::Refuses(ResponseCode::ServFail)),
        ("other.one.example.", Doing::Refuses(ResponseCode::Refused)),
        ("other.two.example.", Doing::Answers(vec![a("192.0.2.1")])),
    ])
    .await;
    let lab = Lab::new(&server, &format!("{LOCAL}search one.example two.example\n"));
    lab.fails("host", "no server can tell about `host.one.example.`")
        .await;
    assert_eq!(lab.targets("other", Record::A).await.len(), 1);
}

#[tokio::test]
async fn another_server_is_asked_when_one_cannot_tell() {
    let server = Server::start(&[("host.", Doing::Answers(vec![a("192.0.2.1")]))]).await;
    // Nobody listens at the first.
    let lab = Lab::new(&server, "nameserver 127.0.0.2\nnameserver 127.0.0.1\n");
    assert_eq!(lab.targets("host", Record::A).await.len(), 1);
    let lab = Lab::new(&server, "nameserver 127.0.0.2\nnameserver 127.0.0.3\n");
    lab.fails("host", "refused").await;
}

#[tokio::test]
async fn an_answer_that_is_too_long_for_udp_is_fetched_over_tcp() {
    let many: Vec<RData> = (0..600)
        .map(|n| a(&format!("192.0.{}.{}", n / 256, n % 256)))
        .collect();
    let server = Server::start(&[("many.", Doing::CutsShort(many))]).await;
    let lab = Lab::new(&server, LOCAL);
    assert_eq!(lab.targets("many", Record::A).await.len(), 600);
}

#[tokio::test]
async fn silence_and_garbage_are_failures() {
    let server =
        Server::start(&[("mute.", Doing::SaysNothing), ("mad.", Doing::SendsGarbage)]).await;
    let lab = Lab::new(&server, LOCAL);
    let (mute, mad) = tokio::join!(
        lab.fails("mute", "no usable answer within 2s"),
        lab.fails("mad", "no usable answer within 2s"),
    );
    let ((), ()) = (mute, mad);
}

#[tokio::test]
async fn what_is_wrong_with_the_system_is_told() {
    let server = Server::start(&[]).await;
    let lab = Lab::new(&server, "search example\n");
    lab.fails("host", "`resolv.conf` names no server").await;
    lab.fails("a..b", "not a name that the DNS can have").await;
    std::fs::remove_file(lab.folder.path().join("resolv.conf")).unwrap();
    lab.fails("host", "No such file or directory").await;
}

#[test]
fn names_are_checked() {
    for good in [
        "host",
        "_http._tcp.example.com.",
        "a-b.c",
        "bücher.example",
        "*.x",
        ".",
    ] {
        assert!(is_name(good), "{good}");
    }
    for bad in [
        "",
        "a..b",
        ".a",
        &"x".repeat(64),
        &"x.".repeat(130),
        "a b\n",
    ] {
        assert!(!is_name(bad), "{bad}");
    }
}
