//! From settings to certificates, keys and revocation lists.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use rustls_pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer, PrivatePkcs1KeyDer,
    PrivatePkcs8KeyDer, PrivateSec1KeyDer,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use x509_parser::revocation_list::CertificateRevocationList;

use super::error::{TlsError, place};
use super::pem::{Block, blocks};
use super::{Pem, Settings};
use crate::model::Secret;

/// The largest file: a revocation list of some hundred thousand certificates.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// What errors call each kind of content.
pub(super) const CERTIFICATE: &str = "certificate";
const PRIVATE_KEY: &str = "private key";
const REVOCATION_LIST: &str = "revocation list";

/// The label of openssl's older versions is as good.
const CERTIFICATE_LABELS: [&str; 2] = ["CERTIFICATE", "X509 CERTIFICATE"];

/// Something that was read, and the line where it began.
#[derive(Debug)]
pub(super) struct Found<T> {
    pub(super) line: usize,
    pub(super) der: T,
}

/// Reads certificates, at least one.
pub(super) fn certificates(
    pem: &Pem,
    settings: &Settings,
) -> Result<Vec<Found<CertificateDer<'static>>>, TlsError> {
    let text = text(pem, CERTIFICATE, settings)?;
    let place = place_of(pem);
    let blocks = read(&text, &place)?;
    let instead = instead(&blocks);
    let mut found = Vec::new();
    for block in blocks {
        if !CERTIFICATE_LABELS.contains(&&*block.label) {
            continue;
        }
        match X509Certificate::from_der(&block.der) {
            Ok(([], _)) => found.push(Found {
                line: block.line,
                der: block.der.into(),
            }),
            _ => return Err(unusable(place, block.line, "no X.509 certificate")),
        }
    }
    if found.is_empty() {
        return Err(TlsError::Missing {
            what: CERTIFICATE,
            place,
            instead,
        });
    }
    Ok(found)
}

/// Reads revocation lists, at least one; `None`: an ssldir has none yet.
pub(super) fn revocation_lists(
    pem: &Pem,
    settings: &Settings,
) -> Result<Option<Vec<Found<CertificateRevocationListDer<'static>>>>, TlsError> {
    let text = match text(pem, REVOCATION_LIST, settings) {
        Err(TlsError::NotEnrolled { .. }) => return Ok(None),
        text => text?,
    };
    let place = place_of(pem);
    let blocks = read(&text, &place)?;
    let instead = instead(&blocks);
    let mut found = Vec::new();
    for block in blocks {
        if block.label != "X509 CRL" {
            continue;
        }
        match CertificateRevocationList::from_der(&block.der) {
            Ok(([], _)) => found.push(Found {
                line: block.line,
                der: block.der.into(),
            }),
            _ => return Err(unusable(place, block.line, "no X.509 revocation list")),
        }
    }
    if found.is_empty() {
        return Err(TlsError::Missing {
            what: REVOCATION_LIST,
            place,
            instead,
        });
    }
    Ok(Some(found))
}

/// Reads the one private key of a setting.
pub(super) fn private_key(
    key: &Secret,
    settings: &Settings,
) -> Result<Found<PrivateKeyDer<'static>>, TlsError> {
    let text = match key {
        Secret::Inline(text) => text.as_bytes().to_vec(),
        Secret::File(path) => file(path, PRIVATE_KEY, settings)?,
    };
    let place = place_of_key(key);
    let blocks = read(&text, &place)?;
    let instead = instead(&blocks);
    let is_key = |block: &Block| block.label.ends_with("PRIVATE KEY");
    let mut keys: Vec<Block> = blocks.into_iter().filter(is_key).collect();
    if keys.len() > 1 {
        let lines = keys.iter().map(|block| block.line).collect();
        return Err(TlsError::ManyKeys { place, lines });
    }
    let Some(Block {
        label,
        line,
        is_encrypted,
        der,
    }) = keys.pop()
    else {
        return Err(TlsError::Missing {
            what: PRIVATE_KEY,
            place,
            instead,
        });
    };
    if is_encrypted || label == "ENCRYPTED PRIVATE KEY" {
        let path = key.path().unwrap_or_else(|| Path::new("key.pem"));
        let (from, to) = (path.display(), path.with_extension("plain.pem"));
        let remedy = format!("openssl pkey -in {from} -out {}", to.display());
        return Err(TlsError::Encrypted {
            place,
            line,
            remedy,
        });
    }
    let der = match &*label {
        "PRIVATE KEY" => PrivatePkcs8KeyDer::from(der).into(),
        "RSA PRIVATE KEY" => PrivatePkcs1KeyDer::from(der).into(),
        "EC PRIVATE KEY" => PrivateSec1KeyDer::from(der).into(),
        _ => {
            let what = format!("a key of kind `{label}` is not for TLS");
            return Err(TlsError::Damaged { place, line, what });
        }
    };
    Ok(Found { line, der })
}

/// Returns how PEM text is named in a sentence.
pub(super) fn place_of(pem: &Pem) -> String {
    place(pem.path(), "the configuration")
}

/// Returns how a key is named in a sentence.
pub(super) fn place_of_key(key: &Secret) -> String {
    place(key.path(), "`key`")
}

fn text(pem: &Pem, what: &'static str, settings: &Settings) -> Result<Vec<u8>, TlsError> {
    match pem {
        Pem::Inline(text) => Ok(text.clone().into_bytes()),
        Pem::File(path) => file(path, what, settings),
    }
}

fn file(path: &Path, what: &'static str, settings: &Settings) -> Result<Vec<u8>, TlsError> {
    let mut bytes = Vec::new();
    // One byte more than allowed tells a file that is too large from one that just fits.
    let read =
        File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    let path = path.to_owned();
    match (read, &settings.ssl_dir) {
        (Ok(length), _) if length as u64 > FILE_BYTES_MAX => Err(TlsError::TooLarge {
            what,
            path,
            limit: FILE_BYTES_MAX,
        }),
        (Ok(_), _) => Ok(bytes),
        (Err(error), Some(dir)) if error.kind() == io::ErrorKind::NotFound => {
            Err(TlsError::NotEnrolled {
                what,
                path,
                certname: dir.certname().to_owned(),
                dir: dir.dir().to_owned(),
            })
        }
        (Err(error), _) if error.kind() == io::ErrorKind::PermissionDenied => {
            let user = user();
            Err(TlsError::Forbidden { what, path, user })
        }
        (Err(source), _) => Err(TlsError::Read { what, path, source }),
    }
}

/// Names the user who runs this program.
fn user() -> String {
    let id = rustix::process::geteuid().as_raw();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let own: u32 = fields.nth(1)?.parse().ok()?;
        (own == id).then_some(name)
    });
    name.map_or_else(|| id.to_string(), |name| format!("`{name}`"))
}

fn read(text: &[u8], place: &str) -> Result<Vec<Block>, TlsError> {
    blocks(text).map_err(|damage| TlsError::Damaged {
        place: place.to_owned(),
        line: damage.line,
        what: damage.what,
    })
}

/// Says what stands where something else should.
fn instead(blocks: &[Block]) -> String {
    match blocks.first() {
        None => String::new(),
        Some(block) => format!(", but a `{}` in line {}", block.label, block.line),
    }
}

fn unusable(place: String, line: usize, what: &str) -> TlsError {
    TlsError::Damaged {
        place,
        line,
        what: format!("the block that begins here is {what}"),
    }
}
