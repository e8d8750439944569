//! Every way to identify oneself to a real server, and TLS.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair as TlsKey};
use serde_json::{Value, json};

use crate::support::{
    Behavior, Lab, NatsServer, Program, SiteTarget, Targets, Version, poller_config, run,
    wait_until,
};
use crate::{SCENARIO, SOON};

/// Runs a poller with `auth` in its stream settings against a server with `server` in its
/// configuration, and returns when scrapes are stored.
async fn publishes(lab: &Lab, version: Version, server: &str, auth: Value) {
    let nats = NatsServer::start_with(lab, version, server).await;
    let targets = Targets::start(vec![Behavior::Counters(5)]).await;
    let poller = Program::poller(lab, config(&nats, &targets, &auth));
    wait_until(SOON, "scrapes are published", async || {
        let published = poller.metric("poller_published_total", &[]).await;
        if published >= 2.0 {
            Ok(())
        } else {
            Err(format!("{published} published"))
        }
    })
    .await;
}

/// The same, and returns when the poller has said that it is refused.
async fn is_refused(lab: &Lab, version: Version, server: &str, auth: Value) {
    let nats = NatsServer::start_with(lab, version, server).await;
    let targets = Targets::start(vec![Behavior::Counters(5)]).await;
    let poller = Program::poller(lab, config(&nats, &targets, &auth));
    wait_until(SOON, "the poller says that it cannot connect", async || {
        let log = poller.log();
        if log.contains("cannot connect to NATS") {
            Ok(())
        } else {
            Err(log)
        }
    })
    .await;
    assert!(!poller.log().contains("hunter2"), "a secret is in the log");
}

fn config(nats: &NatsServer, targets: &Targets, auth: &Value) -> Value {
    let target = SiteTarget::new("one", targets.url(0));
    let mut config = poller_config("USDC1", &nats.url(), &[target]);
    for (key, value) in auth.as_object().unwrap() {
        config["poller_stream"][key] = value.clone();
    }
    config
}

#[test]
fn user_and_password() {
    let server = r#"authorization { user: site, password: "hunter2" }"#;
    run(SCENARIO, async |lab| {
        let good = json!({"user": "site", "password": "hunter2"});
        publishes(lab, Version::Packaged, server, good.clone()).await;
        publishes(lab, Version::Newest, server, good).await;
        let file = lab.path().join("password");
        fs::write(&file, "hunter2\n").unwrap();
        let from_file = json!({"user": "site", "password_file": file});
        publishes(lab, Version::Packaged, server, from_file).await;
        let wrong = json!({"user": "site", "password": "hunter22"});
        is_refused(lab, Version::Packaged, server, wrong).await;
    });
}

#[test]
fn token() {
    run(SCENARIO, async |lab| {
        let server = r#"authorization { token: "hunter2" }"#;
        publishes(lab, Version::Packaged, server, json!({"token": "hunter2"})).await;
        publishes(lab, Version::Newest, server, json!({"token": "hunter2"})).await;
    });
}

#[test]
fn nkey_seed_file() {
    run(SCENARIO, async |lab| {
        let key = KeyPair::new_user();
        let server = format!(
            "authorization {{ users: [{{ nkey: {} }}] }}",
            key.public_key()
        );
        let file = lab.path().join("site.nk");
        fs::write(&file, key.seed().unwrap()).unwrap();
        let auth = json!({"nkey_file": file});
        publishes(lab, Version::Packaged, &server, auth.clone()).await;
        publishes(lab, Version::Newest, &server, auth).await;
    });
}

#[test]
fn credentials_file() {
    run(SCENARIO, async |lab| {
        let (server, account) = operator_mode();
        let file = lab.path().join("site.creds");
        fs::write(&file, credentials(&KeyPair::new_user(), &account)).unwrap();
        let auth = json!({"credentials_file": file});
        publishes(lab, Version::Packaged, &server, auth.clone()).await;
        publishes(lab, Version::Newest, &server, auth).await;
    });
}

/// Returns the configuration of a server that trusts an operator, and an account of that.
pub(crate) fn operator_mode() -> (String, KeyPair) {
    let (operator, system) = (KeyPair::new_operator(), KeyPair::new_account());
    let account = KeyPair::new_account();
    let limits = json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1,
        "wildcards": true, "conn": -1, "leaf": -1,
        "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1,
    });
    let no_jetstream = json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1,
        "wildcards": true, "conn": -1, "leaf": -1,
    });
    let of_operator = json!({
        "type": "operator", "version": 2, "system_account": system.public_key(),
    });
    let of_account = json!({"type": "account", "version": 2, "limits": limits});
    let of_system = json!({"type": "account", "version": 2, "limits": no_jetstream});
    let server = format!(
        "operator: {}\nsystem_account: {}\nresolver: MEMORY\n\
         resolver_preload: {{ {}: {}, {}: {} }}",
        jwt(&operator, &operator, &of_operator),
        system.public_key(),
        account.public_key(),
        jwt(&account, &operator, &of_account),
        system.public_key(),
        jwt(&system, &operator, &of_system),
    );
    (server, account)
}

/// Returns the text of a credentials file for a user of an account.
pub(crate) fn credentials(user: &KeyPair, account: &KeyPair) -> String {
    let claims = json!({"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1});
    format!(
        "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
        jwt(user, account, &claims),
        user.seed().unwrap(),
    )
}

/// A NATS token for `subject`, signed by `issuer`.
fn jwt(subject: &KeyPair, issuer: &KeyPair, claims: &Value) -> String {
    let header = json!({"typ": "JWT", "alg": "ed25519-nkey"});
    let body = json!({
        "jti": "none", "iat": 1_700_000_000, "name": "test",
        "iss": issuer.public_key(), "sub": subject.public_key(), "nats": claims,
    });
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(&header), encode(&body));
    let signature = URL_SAFE_NO_PAD.encode(issuer.sign(signed.as_bytes()).unwrap());
    format!("{signed}.{signature}")
}

/// A certificate authority and what it has signed, in files.
pub(crate) struct Certificates {
    pub(crate) ca: String,
    pub(crate) server: String,
    pub(crate) client: String,
}

impl Certificates {
    pub(crate) fn make(lab: &Lab) -> Self {
        let key = TlsKey::generate().unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = lab.path().join("ca.pem");
        fs::write(&ca, params.self_signed(&key).unwrap().pem()).unwrap();
        let issuer = Issuer::new(params, key);
        let sign = |name: &str, host: &str| {
            let key = TlsKey::generate().unwrap();
            let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
            let certificate = params.signed_by(&key, &issuer).unwrap();
            let path = lab.path().join(name);
            fs::write(path.with_extension("pem"), certificate.pem()).unwrap();
            fs::write(path.with_extension("key"), key.serialize_pem()).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let (server, client) = (
            sign("server", "127.0.0.1"),
            sign("client", "site.example.net"),
        );
        Self {
            ca: ca.to_str().unwrap().to_owned(),
            server,
            client,
        }
    }

    fn server_config(&self) -> String {
        let Self { ca, server, .. } = self;
        format!(
            "tls {{ cert_file: \"{server}.pem\", key_file: \"{server}.key\", \
             ca_file: \"{ca}\", verify: true }}"
        )
    }

    fn tls(&self) -> Value {
        let Self { ca, client, .. } = self;
        json!({
            "scheme": "file", "ca": ca,
            "cert": format!("{client}.pem"), "key": format!("{client}.key"),
        })
    }
}

#[test]
fn mutual_tls() {
    run(SCENARIO, async |lab| {
        let certificates = Certificates::make(lab);
        let server = certificates.server_config();
        let tls = json!({"tls": certificates.tls()});
        publishes(lab, Version::Packaged, &server, tls.clone()).await;
        publishes(lab, Version::Newest, &server, tls).await;
    });
}

#[test]
fn a_server_that_nobody_vouches_for_is_refused() {
    run(SCENARIO, async |lab| {
        let (ours, theirs) = (Certificates::make(lab), lab.folder("theirs"));
        fs::create_dir_all(&theirs).unwrap();
        let mut tls = ours.tls();
        let other = TlsKey::generate().unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = theirs.join("ca.pem");
        fs::write(&ca, params.self_signed(&other).unwrap().pem()).unwrap();
        tls["ca"] = ca.to_str().unwrap().into();
        is_refused(
            lab,
            Version::Packaged,
            &ours.server_config(),
            json!({"tls": tls}),
        )
        .await;
    });
}
