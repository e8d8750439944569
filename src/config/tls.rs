//! TLS: the ancestor's `tls` block, and Prometheus's `tls_config`.

use super::block::Block;
use super::problem::Report;
use super::yaml::Kind;
use crate::model::Secret;
use crate::tls::{Pem, Settings, Version};

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

/// Reads the ancestor's block, where certificates are always files.
pub(super) fn read(block: &Block<'_>, report: &mut Report) -> Settings {
    if block.choice("scheme", &SCHEMES, report) == Some(Scheme::Puppet) {
        if let Some(value) = block.value("scheme") {
            let remedy = "use scheme `file` with `ca`, `cert` and `key`";
            report.problem(&value.place, "scheme `puppet` is not supported yet", remedy);
        }
    } else {
        for key in ["identity", "ssl_dir", "cache"] {
            let is_text = block
                .value(key)
                .is_none_or(|value| value.scalar("a string", report).is_some());
            if is_text {
                block.no_effect(key, "scheme `file` names every file", report);
            }
        }
    }
    let settings = Settings {
        ca: block.file("ca", report).map(Pem::File),
        cert: block.file("cert", report).map(Pem::File),
        key: block.secret_file("key", report).map(Secret::File),
        min_version: block.choice("min_version", &VERSIONS, report),
        ..common(block, report)
    };
    check(block, &settings, ["`cert`", "`key`"], report);
    settings
}

/// Reads Prometheus's `tls_config`.
pub(super) fn read_tls_config(block: &Block<'_>, report: &mut Report) -> Settings {
    let settings = Settings {
        ca: pem(block, "ca", "ca_file", report),
        cert: pem(block, "cert", "cert_file", report),
        key: block.secret_or_file("key", "key_file", report),
        min_version: min_version(block, report),
        max_version: block.choice("max_version", &VERSIONS, report),
        ..common(block, report)
    };
    check(
        block,
        &settings,
        ["`cert` or `cert_file`", "`key` or `key_file`"],
        report,
    );
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
fn min_version(block: &Block<'_>, report: &mut Report) -> Option<Version> {
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
