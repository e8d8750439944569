//! Signed certificates.

use std::fmt;
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;

use crate::tls::pem::{Damage, blocks};

/// What a certificate says, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The certificate itself.
    pub(super) der: CertificateDer<'static>,
    /// The public half of its key.
    pub(super) info: Vec<u8>,
    /// Its number at the CA, as `puppetserver ca list` shows it.
    pub serial: String,
    /// From when on it is good, in seconds since the Unix epoch.
    pub not_before: i64,
    /// Until when it is good.
    pub not_after: i64,
}

impl Signed {
    /// Reads the first certificate of a PEM text.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let mut found = certificates(text)?.into_iter();
        let der = found.next().ok_or("it holds no certificate")?;
        let (_, parsed) =
            X509Certificate::from_der(&der).map_err(|_malformed| "its content is damaged")?;
        let (info, serial) = (
            parsed.public_key().raw.to_vec(),
            parsed.raw_serial_as_string(),
        );
        let validity = parsed.validity();
        let (not_before, not_after) = (
            validity.not_before.timestamp(),
            validity.not_after.timestamp(),
        );
        Ok(Self {
            der,
            info,
            serial,
            not_before,
            not_after,
        })
    }

    /// Tells how long it is still good.
    pub(super) fn remaining(&self, now_ms: i64) -> Duration {
        let seconds = self.not_after.saturating_sub(now_ms.div_euclid(1000));
        Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
    }

    /// Tells for how long it is good in all.
    pub(super) fn lifetime(&self) -> Duration {
        let seconds = self.not_after.saturating_sub(self.not_before);
        Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
    }

    /// Tells whether it is better than another one of the same key.
    pub(super) fn is_newer(&self, other: &Self) -> bool {
        self.serial != other.serial && self.not_after > other.not_after
    }
}

/// Reads all certificates of a PEM text; says in which line it is damaged.
pub(super) fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let labeled = blocks_of("CERTIFICATE", text)?;
    Ok(labeled.into_iter().map(CertificateDer::from).collect())
}

/// Reads all blocks of one kind.
pub(super) fn blocks_of(label: &str, text: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let found = blocks(text);
    let found = found.map_err(|Damage { line, what }| format!("line {line}: {what}"))?;
    let labeled = found.into_iter().filter(|block| block.label == label);
    Ok(labeled.map(|block| block.der).collect())
}

impl fmt::Display for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "certificate {}, good until {}",
            self.serial,
            Shown(self.not_after)
        )
    }
}

/// A point in time, shown to the minute.
pub(super) struct Shown(pub(super) i64);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match ASN1Time::from_timestamp(self.0) {
            Ok(time) => write!(f, "{time}"),
            Err(_far_away) => write!(f, "{} seconds after 1970", self.0),
        }
    }
}
