//! `enroll`: how our certificate is kept with a Puppet CA.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use super::block::{Block, Value};
use super::keys::Keys;
use super::problem::Report;
use crate::enroll::{Attributes, Settings, Trust, check_certname};
use crate::model::Secret;
use crate::tls::SslDir;

pub(super) const KEYS: Keys = Keys {
    block: "enroll",
    known: &[
        "ca",
        "identity",
        "ssl_dir",
        "ca_fingerprint",
        "ca_file",
        "wait",
        "renew_before",
        "crl_refresh",
        "extensions",
        "dns_alt_names",
        "challenge_file",
    ],
    foreign: &[
        ("dir", "write `ssl_dir`"),
        ("certname", "write `identity`"),
        ("server", "write `ca`, as `host:port`"),
        ("waitforcert", "write `wait`"),
        (
            "challenge",
            "put it into a file, and name it in `challenge_file`",
        ),
    ],
};

/// The shortest of all times here: anything shorter would be a load for the CA.
const LEAST: Duration = Duration::from_secs(1);

const FINGERPRINT_REMEDY: &str = "write what `sha256sum` prints for the CA's file of certificates";

/// Reads the block below the top level; `identity` is this site's, `of_tls` what `tls` uses.
pub(super) fn read(
    top: &Block<'_>,
    identity: &str,
    of_tls: Option<&SslDir>,
    report: &mut Report,
) -> Option<Settings> {
    let block = top.block("enroll", &KEYS, report)?;
    let ssl_dir = ssl_dir(&block, identity, of_tls, report);
    let defaults = Settings::new(ssl_dir);
    let trust = trust(&block, report);
    let ca = parsed(
        &block,
        "ca",
        "write host and port of the Puppet server",
        report,
    );
    let wait = block.duration("wait", LEAST, report);
    let renew_before = block.duration("renew_before", LEAST, report);
    let refresh = block.duration("crl_refresh", LEAST, report);
    let attributes = attributes(&block, report);
    Some(Settings {
        ca: ca.unwrap_or(defaults.ca),
        trust: trust.unwrap_or(defaults.trust),
        attributes,
        wait: wait.unwrap_or(defaults.wait),
        renew_before: renew_before.unwrap_or(defaults.renew_before),
        refresh: refresh.unwrap_or(defaults.refresh),
        ssl_dir: defaults.ssl_dir,
    })
}

/// Reads what to enroll, and where: what the `tls` block uses, unless something else is said.
fn ssl_dir(
    block: &Block<'_>,
    identity: &str,
    of_tls: Option<&SslDir>,
    report: &mut Report,
) -> SslDir {
    const REMEDY: &str = "write the name to enroll, such as `site.example.net`";
    let dir = block.folder("ssl_dir", report);
    let dir = dir.or_else(|| of_tls.map(|of_tls| of_tls.dir().to_owned()));
    let given = block.text("identity", report);
    let certname = given
        .or_else(|| of_tls.map(SslDir::certname))
        .unwrap_or(identity);
    if let Err(error) = check_certname(certname) {
        match block.value("identity") {
            Some(value) if given.is_some() => {
                report.problem(&value.place, error.to_string(), REMEDY);
            }
            // What is no text was reported.
            Some(_) => {}
            None => {
                let what = format!("`enroll` needs `identity`: {error}");
                report.problem(&block.place, what, REMEDY);
            }
        }
    }
    SslDir::new(dir.unwrap_or_else(SslDir::default_dir), certname)
}

fn trust(block: &Block<'_>, report: &mut Report) -> Option<Trust> {
    let fingerprint =
        parsed(block, "ca_fingerprint", FINGERPRINT_REMEDY, report).map(Trust::Fingerprint);
    let file = block.file("ca_file", report).map(Trust::File);
    if fingerprint.is_some() && file.is_some() {
        block.at_most_one(&["ca_fingerprint", "ca_file"], report);
    }
    fingerprint.or(file)
}

/// Reads a text that its type can parse.
fn parsed<T>(block: &Block<'_>, key: &str, remedy: &str, report: &mut Report) -> Option<T>
where
    T: FromStr,
    T::Err: Display,
{
    let text = block.text(key, report)?;
    match text.parse() {
        Ok(value) => Some(value),
        Err(error) => {
            let value = block.value(key)?;
            let what = format!("`{key}` cannot be used: {error}");
            report.problem(&value.place, what, remedy);
            None
        }
    }
}

fn attributes(block: &Block<'_>, report: &mut Report) -> Attributes {
    let mut attributes = Attributes::default();
    if let Some(value) = block.value("extensions") {
        for entry in value.entries("a mapping", report) {
            let place = value.place.key(&entry.key, entry.at);
            let value = Value {
                place,
                node: &entry.value,
            };
            let Some(text) = value.scalar("a string", report) else {
                continue;
            };
            if let Err(error) = attributes.extend(&entry.key, text) {
                let remedy = "write one of Puppet's names, such as `pp_role`, once";
                report.problem(&value.place, error.to_string(), remedy);
            }
        }
    }
    if let Some(value) = block.value("dns_alt_names") {
        for item in value.items("a list", report) {
            let Some(text) = item.scalar("a string", report) else {
                continue;
            };
            if let Err(error) = attributes.add_alt_name(text) {
                let remedy = "write host names, such as `nats.example.net`";
                report.problem(&item.place, error.to_string(), remedy);
            }
        }
    }
    if let Some(file) = block.secret_file("challenge_file", report) {
        attributes.set_challenge(Secret::File(file));
    }
    attributes
}
