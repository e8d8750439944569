//! Which servers are trusted.

use super::*;

struct Puppet {
    root: Authority,
    between: Authority,
}

impl Puppet {
    fn new() -> Self {
        let root = Authority::root("Puppet Root CA");
        let between = root.intermediate("Puppet CA", 2);
        Self { root, between }
    }

    fn bundle(&self) -> String {
        format!("{}{}", self.between.pem, self.root.pem)
    }

    fn settings(&self, crl: Option<String>) -> Settings {
        Settings {
            ca: Some(inline(self.bundle())),
            crl: crl.map(Pem::Inline),
            ..Settings::default()
        }
    }
}

/// Returns what a client with these settings says of a server.
fn said(settings: &Settings, server: &ServerConfig) -> String {
    let client = client_config(settings).unwrap();
    match handshake(&client, server) {
        Ok(_) => "good".to_owned(),
        Err(error) => error,
    }
}

#[track_caller]
fn check(settings: &Settings, server: &ServerConfig, expected: &str) {
    let said = said(settings, server);
    assert!(said.contains(expected), "{said}");
}

#[test]
fn a_bundle_of_two_authorities_and_two_lists_is_checked_as_a_whole() {
    let puppet = Puppet::new();
    let Puppet { root, between } = &puppet;
    let leaf = between.certify("nats.example", 5);
    let short = server(&leaf, &[], None);
    let long = server(&leaf, &[between], None);
    let lists = |of_root: &[u64], of_between: &[u64]| {
        let both = format!("{}{}", between.revoke(of_between), root.revoke(of_root));
        puppet.settings(Some(both))
    };
    for server in [&short, &long] {
        check(&puppet.settings(None), server, "good");
        check(&lists(&[], &[]), server, "good");
        // Numbers are each authority's own.
        check(&lists(&[5], &[2]), server, "good");
        check(&lists(&[], &[4, 5]), server, "Revoked");
        check(&lists(&[2], &[]), server, "Revoked");
        let only = |list: String| puppet.settings(Some(list));
        check(
            &only(between.revoke(&[])),
            server,
            "UnknownRevocationStatus",
        );
        check(&only(root.revoke(&[])), server, "UnknownRevocationStatus");
        let late = format!("{}{}", between.revoke_until(&[], 2002), root.revoke(&[]));
        check(&only(late), server, "revocation list expired");
    }
}

#[test]
fn an_authority_below_a_root_that_is_not_there_is_trusted_by_itself() {
    let Puppet { between, .. } = Puppet::new();
    let leaf = between.certify("nats.example", 5);
    let server = server(&leaf, &[], None);
    let settings = |crl: Option<String>| Settings {
        ca: Some(inline(&*between.pem)),
        crl: crl.map(Pem::Inline),
        ..Settings::default()
    };
    check(&settings(None), &server, "good");
    check(&settings(Some(between.revoke(&[]))), &server, "good");
    check(&settings(Some(between.revoke(&[5]))), &server, "Revoked");
}

#[test]
fn a_list_that_somebody_else_signed_is_worth_nothing() {
    let (puppet, other) = (Puppet::new(), Puppet::new());
    let leaf = puppet.between.certify("nats.example", 5);
    let server = server(&leaf, &[], None);
    let lists = format!("{}{}", other.between.revoke(&[]), other.root.revoke(&[]));
    let said = said(&puppet.settings(Some(lists)), &server);
    assert_ne!(said, "good");
}

#[test]
fn who_is_not_trusted_is_refused() {
    let (puppet, other) = (Puppet::new(), Puppet::new());
    let leaf = puppet.between.certify("nats.example", 5);
    let good = server(&leaf, &[&puppet.between], None);
    check(&other.settings(None), &good, "invalid peer certificate");
    let late = puppet.between.certify_for("nats.example", 6, (2000, 2001));
    let late = server(&late, &[&puppet.between], None);
    check(&puppet.settings(None), &late, "certificate expired");
    let early = puppet.between.certify_for("nats.example", 6, (2998, 2999));
    let early = server(&early, &[&puppet.between], None);
    check(&puppet.settings(None), &early, "not valid yet");
    let named = puppet.between.certify("other.example", 7);
    let named = server(&named, &[&puppet.between], None);
    check(&puppet.settings(None), &named, "not valid for name");
    let mut settings = puppet.settings(None);
    settings.server_name = Some("other.example".to_owned());
    check(&settings, &named, "good");
    check(&settings, &good, "not valid for name");
    let careless = Settings {
        insecure_skip_verify: true,
        ..other.settings(Some(other.root.revoke(&[5])))
    };
    check(&careless, &late, "good");
}

#[test]
fn only_versions_that_are_allowed_are_spoken() {
    let puppet = Puppet::new();
    let leaf = puppet.between.certify("nats.example", 5);
    let old = ServerConfig::builder_with_protocol_versions(&[&rustls::version::TLS12])
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der.clone()], leaf.key_der())
        .unwrap();
    check(&puppet.settings(None), &old, "good");
    let newest = Settings {
        min_version: Some(Version::Tls13),
        ..puppet.settings(None)
    };
    check(&newest, &old, "Tls12NotOffered");
}
