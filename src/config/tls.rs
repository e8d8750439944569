//! TLS: the ancestor's `tls` block, and Prometheus's `tls_config`.

use super::block::Block;
use super::problem::Report;
use super::yaml::Kind;
use crate::model::Secret;
use crate::tls::{Pem, Settings, SslDir, Version};

/// Where certificates come from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scheme {
    File,
    Puppet,
}

const SCHEMES: [(&str, Scheme); 3] = [
    ("file", Scheme::File),
    ("manual", Scheme::File),
    ("puppet", Scheme::Puppet),
];

const VERSIONS: [(&str, Version); 2] = [("TLS12", Version::Tls12), ("TLS13", Version::Tls13)];

/// What Prometheus may still speak, and we do not (RFC 8996).
const OLD_VERSIONS: [&str; 2] = ["TLS10", "TLS11"];

/// Reads the ancestor's block, where certificates are always files; `identity` is this site's.
pub(super) fn read(block: &Block<'_>, identity: &str, report: &mut Report) -> Settings {
    let scheme = block.choice("scheme", &SCHEMES, report);
    let files = match scheme {
        Some(Scheme::Puppet) => by_puppet(block, identity, report),
        Some(Scheme::File) | None => by_files(block, report),
    };
    no_effect(block, &["cache"], "nothing is cached", report);
    let common = common(block, report);
    let settings = Settings {
        min_version: block.choice("min_version", &VERSIONS, report),
        server_name: common.server_name,
        insecure_skip_verify: common.insecure_skip_verify,
        ..files
    };
    if settings.insecure_skip_verify && block.has("crl") {
        let why = "with `insecure_skip_verify` any certificate will do";
        block.no_effect("crl", why, report);
    }
    check(block, &settings, ["`cert`", "`key`"], report);
    report.uses_tls(&block.place, &settings);
    settings
}

fn by_files(block: &Block<'_>, report: &mut Report) -> Settings {
    let why = "scheme `file` names every file";
    no_effect(block, &["identity", "ssl_dir"], why, report);
    Settings {
        ca: block.file("ca", report).map(Pem::File),
        cert: block.file("cert", report).map(Pem::File),
        key: block.secret_file("key", report).map(Secret::File),
        crl: block.file("crl", report).map(Pem::File),
        ..Settings::default()
    }
}

/// Reads which files of an ssldir are ours.
fn by_puppet(block: &Block<'_>, identity: &str, report: &mut Report) -> Settings {
    const REMEDY: &str = "write the name that is enrolled, such as `site.example.net`";
    let why = "scheme `puppet` knows the files of its `ssl_dir`";
    no_effect(block, &["ca", "cert", "key", "crl"], why, report);
    let dir = block.folder("ssl_dir", report);
    let dir = dir.unwrap_or_else(SslDir::default_dir);
    let certname = block.text("identity", report);
    match (certname, block.value("identity")) {
        (Some(name), Some(value)) if !SslDir::is_certname(name) => {
            let expected = "a name that Puppet takes: small letters, digits, `.`, `-` and `_`";
            value.refuse(name, expected, REMEDY, report);
        }
        (None, None) if !SslDir::is_certname(identity) => {
            let what = format!(
                "`{}` needs `identity`, since that of the top level is no name that Puppet takes",
                block.place.name
            );
            report.problem(&block.place, what, REMEDY);
        }
        _ => {}
    }
    let settings = SslDir::new(dir, certname.unwrap_or(identity)).settings();
    if let Some(key) = settings.key.as_ref().and_then(Secret::path) {
        report.secret_file(&block.place, key);
    }
    settings
}

/// Warns of keys that are for another scheme; what stands there must still be text.
fn no_effect(block: &Block<'_>, keys: &[&str], why: &str, report: &mut Report) {
    for key in keys {
        let is_text = block
            .value(key)
            .is_none_or(|value| value.scalar("a string", report).is_some());
        if is_text {
            block.no_effect(key, why, report);
        }
    }
}

/// Reads Prometheus's `tls_config`.
pub(super) fn read_tls_config(block: &Block<'_>, report: &mut Report) -> Settings {
    let settings = Settings {
        ca: pem(block, "ca", "ca_file", report),
        cert: pem(block, "cert", "cert_file", report),
        key: block.secret_or_file("key", "key_file", report),
        min_version: min_version(block, report),
        max_version: max_version(block, report),
        ..common(block, report)
    };
    check(
        block,
        &settings,
        ["`cert` or `cert_file`", "`key` or `key_file`"],
        report,
    );
    report.uses_tls(&block.place, &settings);
    settings
}

fn common(block: &Block<'_>, report: &mut Report) -> Settings {
    Settings {
        server_name: server_name(block, report),
        insecure_skip_verify: block
            .boolean("insecure_skip_verify", report)
            .unwrap_or(false),
        ..Settings::default()
    }
}

/// Reads the oldest version to speak; one that is older than all of ours leaves us ours.
pub(super) fn min_version(block: &Block<'_>, report: &mut Report) -> Option<Version> {
    if let Some(value) = block.value("min_version")
        && let Kind::Scalar(text) = &value.node.kind
        && OLD_VERSIONS.contains(&&**text)
    {
        let what = format!("`{text}` is never spoken; `TLS12` is the oldest version");
        report.warn(&value.place, what, "write `TLS12`, or remove it");
        return None;
    }
    block.choice("min_version", &VERSIONS, report)
}

/// Reads the newest version to speak.
pub(super) fn max_version(block: &Block<'_>, report: &mut Report) -> Option<Version> {
    block.choice("max_version", &VERSIONS, report)
}

fn server_name(block: &Block<'_>, report: &mut Report) -> Option<String> {
    let text = block.text("server_name", report)?;
    if rustls_pki_types::ServerName::try_from(text).is_err() {
        let value = block.value("server_name")?;
        value.refuse(
            text,
            "a host name",
            "write it without scheme and port",
            report,
        );
        return None;
    }
    Some(text.to_owned())
}

fn pem(block: &Block<'_>, key: &str, file_key: &str, report: &mut Report) -> Option<Pem> {
    match block.text_or_file(key, file_key, report)? {
        Secret::Inline(text) => Some(Pem::Inline(text.into())),
        Secret::File(path) => Some(Pem::File(path)),
    }
}

fn check(block: &Block<'_>, settings: &Settings, [cert, key]: [&str; 2], report: &mut Report) {
    let missing = match (&settings.cert, &settings.key) {
        (Some(_), None) => Some(key),
        (None, Some(_)) => Some(cert),
        _ => None,
    };
    if let Some(missing) = missing {
        let what = format!("`{}` needs {missing}", block.place.name);
        let remedy = "a client certificate needs both its certificate and its key";
        report.problem(&block.place, what, remedy);
    }
    if let (Some(least), Some(most)) = (settings.min_version, settings.max_version)
        && least > most
        && let Some(value) = block.value("min_version")
    {
        let what = "`min_version` is newer than `max_version`";
        report.problem(&value.place, what, "leave one of them out");
    }
}
