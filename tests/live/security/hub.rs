//! The sample of a hub in `config/hub`, as it stands but for addresses, paths and passwords.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::header::HeaderMap;
use async_nats::{
    Client, ConnectOptions, Event, Message, RequestErrorKind, StatusCode, Subscriber,
};
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::SOON;
use crate::auth::Certificates;
use crate::support::{Lab, NatsServer, Version, free_port, wait_until};

/// The users of the sample, and hashes of their passwords, which are [`password`].
const USERS: [(&str, &str); 7] = [
    (
        "sys",
        "$2a$04$abcdefghijklmnopqrstuuaW94CIN2l.9vJEv6XJuxKEj/9vWzkrm",
    ),
    (
        "receiver",
        "$2a$04$abcdefghijklmnopqrstuu1wpCzscyC2oJaOL2OiW7O4iYhVGpmZ2",
    ),
    (
        "operator",
        "$2a$04$abcdefghijklmnopqrstuuc3GdrS6anFd1pAW8ITcz99rLyVUlgKi",
    ),
    (
        "admin",
        "$2a$04$abcdefghijklmnopqrstuu1GhKl60Pj0m2HK5OrEcdWomn0D3SOiy",
    ),
    (
        "usdc1",
        "$2a$04$abcdefghijklmnopqrstuuBLd9EniMVt3eE/fICPVCE9LiiQZxOgW",
    ),
    (
        "usdc1-script",
        "$2a$04$abcdefghijklmnopqrstuu77G0wumNljXoFY4D1/C88/I4obrZJOm",
    ),
    (
        "usdc2",
        "$2a$04$abcdefghijklmnopqrstuuCzqFCxv8OEMo90TEt3H527Ycc2j25ay",
    ),
];

/// A user without any permissions, in the account of a site: what accounts alone hold back.
pub(super) const BARE: &str = "bare";

/// How long an answer may take that is expected.
const ANSWER: Duration = Duration::from_secs(10);

/// The server's code for `JetStream not enabled for account`.
const NO_JETSTREAM: u64 = 10_039;

pub(super) fn password(user: &str) -> String {
    format!("{user}-hunter2")
}

/// The running hub.
pub(super) struct Hub {
    pub(super) nats: NatsServer,
    pub(super) certificates: Certificates,
    /// The outermost configuration file.
    file: PathBuf,
}

impl Hub {
    /// Starts it with the sample's configuration, and [`BARE`] added to USDC1.
    pub(super) async fn start(lab: &Lab, version: Version) -> Self {
        let certificates = Certificates::make(lab);
        let key = format!("{}.key", certificates.client);
        fs::set_permissions(key, Permissions::from_mode(0o600)).unwrap();
        let file = write(lab, &certificates);
        let nats = NatsServer::start_from(lab, version, file.clone()).await;
        Self {
            nats,
            certificates,
            file,
        }
    }

    /// Changes one of its files while it runs, and has it read them again.
    pub(super) fn change(&self, name: &str, old: &str, new: &str) {
        let file = self.file.with_file_name(name);
        let mut text = fs::read_to_string(&file).unwrap();
        replace(&mut text, old, new);
        fs::write(&file, text).unwrap();
        self.nats.process().unwrap().hang_up();
    }

    /// Opens its port for leaf nodes and starts one that is the site USDC1, and that needs no
    /// password of its clients.
    pub(super) async fn leaf(&mut self, lab: &Lab, version: Version) -> NatsServer {
        let mut text = fs::read_to_string(&self.file).unwrap();
        let (before, rest) = text.split_once("# leafnodes {").unwrap();
        let (block, after) = rest.split_once("# }\n").unwrap();
        let block = block.replace("\n#", "\n");
        text = format!("{before}leafnodes {{{block}}}\n{after}");
        let port = free_port();
        replace(&mut text, "0.0.0.0:7422", &format!("127.0.0.1:{port}"));
        fs::write(&self.file, text).unwrap();
        let site = self.file.with_file_name("sites/USDC1.conf");
        let mut text = fs::read_to_string(&site).unwrap();
        replace(&mut text, "[\"STANDARD\"]", "[\"STANDARD\", \"LEAFNODE\"]");
        fs::write(&site, text).unwrap();
        self.nats.restart(lab).await;
        let Certificates { ca, client, .. } = &self.certificates;
        let password = password("usdc1");
        let config = format!(
            "leafnodes {{ remotes: [{{ url: \"tls://usdc1:{password}@127.0.0.1:{port}\", \
             tls {{ ca_file: \"{ca}\", cert_file: \"{client}.pem\", key_file: \"{client}.key\" }} \
             }}] }}\n"
        );
        let file = lab.file("leaf", "conf");
        fs::write(&file, config).unwrap();
        NatsServer::start_from(lab, version, file).await
    }

    /// Connects as one of its users.
    pub(super) async fn connect(&self, user: &str) -> Probe {
        let Certificates { ca, client, .. } = &self.certificates;
        let errors = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&errors);
        let client = ConnectOptions::with_user_and_password(user.to_owned(), password(user))
            .require_tls(true)
            .add_root_certificates(ca.into())
            .add_client_certificate(
                format!("{client}.pem").into(),
                format!("{client}.key").into(),
            )
            .request_timeout(Some(ANSWER))
            .event_callback(move |event| {
                if let Event::ServerError(error) = event {
                    noted.lock().unwrap().push(error.to_string().to_lowercase());
                }
                std::future::ready(())
            })
            .connect(self.url())
            .await;
        Probe {
            user: user.to_owned(),
            client: client.unwrap(),
            errors,
        }
    }

    pub(super) fn url(&self) -> String {
        format!("tls://127.0.0.1:{}", self.nats.port)
    }

    /// Writes one of the sample's files for our programs, with `changes`, and what it names.
    pub(super) fn program_file(
        &self,
        lab: &Lab,
        name: &str,
        user: &str,
        changes: &[(&str, &str)],
    ) -> PathBuf {
        let Certificates { ca, client, .. } = &self.certificates;
        let folder = lab.folder(name);
        let mut text = sample(name);
        replace(&mut text, "tls://hub.example.net:4222", &self.url());
        let secrets = lab.file(user, "password");
        write_secret(&secrets, &password(user));
        let of_key = |line: &str, key: &str| line.trim_start().starts_with(&format!("{key}: "));
        let lines = text.lines().map(|line| {
            let files = [
                ("ca", ca.clone()),
                ("cert", format!("{client}.pem")),
                ("key", format!("{client}.key")),
            ];
            let file = files.iter().find(|(key, _)| of_key(line, key));
            match file {
                Some((key, path)) => format!("    {key}: {path}\n"),
                None if line.ends_with("nats.password") => {
                    format!("  password_file: {}\n", secrets.display())
                }
                None => format!("{line}\n"),
            }
        });
        let mut text = lines.collect::<String>();
        for (old, new) in changes {
            replace(&mut text, old, new);
        }
        let file = folder.join(name);
        fs::write(&file, text).unwrap();
        file
    }
}

/// Writes a file that only its owner can read.
pub(super) fn write_secret(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

fn sample(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/hub");
    fs::read_to_string(folder.join(name)).unwrap()
}

#[track_caller]
fn replace(text: &mut String, old: &str, new: &str) {
    assert!(text.contains(old), "`{old}` is not in the sample any more");
    *text = text.replace(old, new);
}

/// Writes the server's files and returns the outermost.
fn write(lab: &Lab, certificates: &Certificates) -> PathBuf {
    let folder = lab.folder("hub");
    fs::create_dir(folder.join("sites")).unwrap();
    for name in [
        "hub.conf",
        "central.conf",
        "operators.conf",
        "sites/USDC1.conf",
        "sites/USDC2.conf",
    ] {
        let mut text = with_passwords(&sample(name));
        if name == "hub.conf" {
            let Certificates { ca, server, .. } = certificates;
            replace(&mut text, "/etc/nats/tls/hub.pem", &format!("{server}.pem"));
            replace(&mut text, "/etc/nats/tls/hub.key", &format!("{server}.key"));
            replace(&mut text, "/etc/nats/tls/ca.pem", ca);
            let store = folder.join("store");
            replace(&mut text, "/var/lib/nats", store.to_str().unwrap());
        }
        if name == "sites/USDC1.conf" {
            let bare = format!(
                "users: [\n{{ user: {BARE}, password: {} }}\n",
                password(BARE)
            );
            replace(&mut text, "users: [\n", &bare);
        }
        fs::write(folder.join(name), text).unwrap();
    }
    folder.join("hub.conf")
}

fn with_passwords(text: &str) -> String {
    let mut user = String::new();
    let mut lines = String::new();
    for line in text.lines() {
        if let Some((_, rest)) = line.split_once("user: \"") {
            rest.split('"').next().unwrap().clone_into(&mut user);
        }
        let known = USERS.iter().find(|(name, _)| *name == user);
        match (line.split_once("password: \"$2a$"), known) {
            (Some((before, rest)), Some((_, hash))) => {
                let (_, after) = rest.split_once('"').unwrap();
                lines.push_str(&[before, "password: \"", hash, "\"", after].concat());
            }
            (Some(_), None) => panic!("the sample has a new user: {line}"),
            (None, _) => lines.push_str(line),
        }
        lines.push('\n');
    }
    lines
}

/// A connection as one of the users, which tries what it may and what it may not.
pub(super) struct Probe {
    user: String,
    pub(super) client: Client,
    /// What the server has complained of.
    errors: Arc<Mutex<Vec<String>>>,
}

impl Probe {
    /// Sends a request and returns its answer.
    pub(super) async fn ask(&self, subject: &str, payload: impl Into<Bytes>) -> Message {
        let answer = self.client.request(subject.to_owned(), payload.into());
        let answer = answer.await;
        answer.unwrap_or_else(|error| panic!("{}: {subject}: {error}", self.user))
    }

    /// The same with JSON; an error in the answer is returned as such.
    pub(super) async fn api(&self, subject: &str, payload: &Value) -> Result<Value, String> {
        let answer = self.ask(subject, payload.to_string()).await;
        let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
        match answer.get("error") {
            None => Ok(answer),
            Some(error) => Err(error.to_string()),
        }
    }

    /// Publishes a message and returns what the stream answers.
    pub(super) async fn publish(&self, subject: &str, id: &str, payload: &str) -> Value {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", id);
        let sent = self.client.request_with_headers(
            subject.to_owned(),
            headers,
            payload.to_owned().into(),
        );
        let answer = sent
            .await
            .unwrap_or_else(|error| panic!("{}: {subject}: {error}", self.user));
        serde_json::from_slice(&answer.payload).unwrap()
    }

    /// Pulls a message from a consumer; it comes with the subject under which it was stored.
    pub(super) async fn pull(&self, consumer: &str) -> Message {
        let inbox = self.client.new_inbox();
        let mut answers = self.client.subscribe(inbox.clone()).await.unwrap();
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.PROMETHEUS.{consumer}");
        let sent = self.client.publish_with_reply(subject, inbox, Bytes::new());
        sent.await.unwrap();
        let answer = tokio::time::timeout(ANSWER, answers.next()).await;
        answer.unwrap().unwrap()
    }

    /// Checks that the server refuses a message, by name, and that nothing answers to it.
    pub(super) async fn may_not_publish(&self, subject: &str, payload: &Value) {
        let inbox = self.client.new_inbox();
        let mut answers = self.client.subscribe(inbox.clone()).await.unwrap();
        let sent =
            self.client
                .publish_with_reply(subject.to_owned(), inbox, payload.to_string().into());
        sent.await.unwrap();
        self.is_refused("publish", subject).await;
        // The server answers in order: an answer would have been here before.
        self.client.flush().await.unwrap();
        let answer = tokio::time::timeout(Duration::ZERO, answers.next()).await;
        assert!(answer.is_err(), "{}: {subject}: {answer:?}", self.user);
    }

    /// Checks that the server refuses a subscription, by name.
    pub(super) async fn may_not_subscribe(&self, subject: &str) {
        let subscribed = self.client.subscribe(subject.to_owned()).await;
        let subscriber = subscribed.unwrap();
        self.client.flush().await.unwrap();
        self.is_refused("subscription", subject).await;
        drop(subscriber);
    }

    /// Checks that a request reaches nobody, though the user may send it: it stays in the account.
    pub(super) async fn reaches_nobody(&self, subject: &str, payload: &Value) {
        let answer = self
            .client
            .request(subject.to_owned(), payload.to_string().into());
        match answer.await {
            Err(error) if error.kind() == RequestErrorKind::NoResponders => {}
            // The server answers for an account that has no JetStream.
            Ok(answer) if is_no_jetstream(&answer.payload) => {}
            answer => panic!("{}: {subject}: {answer:?}", self.user),
        }
    }

    /// The same where the server may say nothing at all, once it has answered something later.
    pub(super) async fn is_not_answered(&self, subject: &str, payload: &Value) {
        let inbox = self.client.new_inbox();
        let mut answers = self.client.subscribe(inbox.clone()).await.unwrap();
        let payload = payload.to_string().into();
        let sent = self
            .client
            .publish_with_reply(subject.to_owned(), inbox, payload);
        sent.await.unwrap();
        // Whatever the server says to this, it comes later.
        drop(self.api("$JS.API.INFO", &json!({})).await);
        let answer = tokio::time::timeout(Duration::ZERO, answers.next()).await;
        if let Ok(Some(answer)) = answer {
            let is_nobody = answer.status == Some(StatusCode::NO_RESPONDERS);
            let is_good = is_nobody || is_no_jetstream(&answer.payload);
            assert!(is_good, "{}: {subject}: {answer:?}", self.user);
        }
    }

    /// Listens; the server knows of it on return.
    pub(super) async fn listen(&self, subject: &str) -> Subscriber {
        let subscriber = self.client.subscribe(subject.to_owned()).await.unwrap();
        self.client.flush().await.unwrap();
        subscriber
    }

    /// Returns how many messages the stream has, by subject.
    pub(super) async fn subjects(&self, filter: &str) -> Value {
        let info = self
            .api(
                "$JS.API.STREAM.INFO.PROMETHEUS",
                &json!({"subjects_filter": filter}),
            )
            .await;
        info.unwrap()["state"]["subjects"].clone()
    }

    /// Returns what the server has complained of.
    pub(super) fn complaints(&self) -> Vec<String> {
        self.errors.lock().unwrap().clone()
    }

    async fn is_refused(&self, what: &str, subject: &str) {
        let quoted = format!("{what} to \"{}\"", subject.to_lowercase());
        let label = format!("{}: {quoted} is refused", self.user);
        wait_until(SOON, &label, async || {
            let errors = self.complaints();
            let is_told = errors.iter().any(|error| error.contains(&quoted));
            if is_told {
                Ok(())
            } else {
                Err(format!("{errors:?}"))
            }
        })
        .await;
    }
}

fn is_no_jetstream(payload: &[u8]) -> bool {
    let answer = serde_json::from_slice(payload).unwrap_or(Value::Null);
    answer["error"]["err_code"] == NO_JETSTREAM
}

/// Makes the stream as `central.conf` says.
pub(super) async fn create_stream(admin: &Probe) {
    let republish = json!({"src": "prometheus.>", "dest": "prometheus-copy.>"});
    create(admin, "prometheus.>", "file", &republish).await;
}

/// Makes the operators' stream as `operators.conf` says.
pub(super) async fn create_copy(operator: &Probe) {
    create(operator, "prometheus-copy.>", "memory", &Value::Null).await;
}

async fn create(probe: &Probe, subjects: &str, storage: &str, republish: &Value) {
    let config = json!({
        "name": "PROMETHEUS", "subjects": [subjects], "storage": storage,
        "retention": "limits", "discard": "old", "max_age": 600_000_000_000_u64,
        "duplicate_window": 120_000_000_000_u64, "num_replicas": 1, "republish": republish,
    });
    let created = probe.api("$JS.API.STREAM.CREATE.PROMETHEUS", &config).await;
    created.unwrap();
}
