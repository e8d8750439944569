//! Judges the other side's certificate.
//!
//! With revocation lists every certificate below the root must be covered by a list of its issuer
//! that has not expired, and be on none: as openssl with `CRL_CHECK_ALL`, and so Puppet. A
//! CA that another one in the same file has signed is no root then, since its own revocation
//! would go unnoticed.

use std::sync::{Arc, OnceLock};

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, ServerName, UnixTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use x509_parser::revocation_list::CertificateRevocationList;

use super::error::TlsError;
use super::own::facts;
use super::read::{Found, certificates, place_of, revocation_lists};
use super::signatures::{Signatures, signatures_as};
use super::{Pem, Settings};

type Certificates = Vec<Found<CertificateDer<'static>>>;

/// Builds what judges certificates by these settings.
pub(super) fn verifier(
    settings: &Settings,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    let verifier: Arc<dyn ServerCertVerifier> = if settings.insecure_skip_verify {
        Arc::new(AnyCertificate {
            signatures: Signatures(Arc::clone(provider)),
        })
    } else {
        trusting(settings, provider)?
    };
    match &settings.server_name {
        None => Ok(verifier),
        Some(name) => {
            let name = ServerName::try_from(name.clone())
                .map_err(|_invalid| TlsError::ServerName(name.clone()))?;
            Ok(Arc::new(OtherName { name, verifier }))
        }
    }
}

/// Says what of the settings' files is out of time, or is not checked.
pub(super) fn complaints(settings: &Settings, now: i64) -> Result<Vec<String>, TlsError> {
    let mut complaints = Vec::new();
    if settings.insecure_skip_verify {
        return Ok(complaints);
    }
    if let Some(ca) = &settings.ca {
        for found in certificates(ca, settings)? {
            let Some((subject, _, end)) = facts(&found.der) else {
                continue;
            };
            if end.timestamp() < now {
                let (place, line) = (place_of(ca), found.line);
                let text = format!("CA `{subject}` in {place}, line {line}, has expired: {end}");
                complaints.push(text);
            }
        }
    }
    let Some(crl) = &settings.crl else {
        return Ok(complaints);
    };
    let Some(lists) = revocation_lists(crl, settings)? else {
        let place = place_of(crl);
        let text = format!("there is no {place}: no certificate is taken for revoked");
        complaints.push(text);
        return Ok(complaints);
    };
    for found in lists {
        let Ok((_, list)) = CertificateRevocationList::from_der(&found.der) else {
            continue;
        };
        if let Some(end) = list.next_update().filter(|end| end.timestamp() < now) {
            let (issuer, place, line) = (list.issuer(), place_of(crl), found.line);
            complaints.push(format!(
                "the revocation list of `{issuer}` in {place}, line {line}, has expired: {end}; \
                 who has its certificate from there is refused"
            ));
        }
    }
    Ok(complaints)
}

fn trusting(
    settings: &Settings,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    let lists = match &settings.crl {
        Some(crl) => revocation_lists(crl, settings)?,
        None => None,
    };
    let lists = lists.unwrap_or_default();
    let mut place = "the system's store".to_owned();
    let mut between = Vec::new();
    let roots = match &settings.ca {
        Some(ca) => {
            place = place_of(ca);
            let mut given = certificates(ca, settings)?;
            if !lists.is_empty() {
                (given, between) = split(given);
            }
            Arc::new(roots(given, &place)?)
        }
        None => system_roots(),
    };
    if roots.is_empty() {
        return Err(TlsError::Missing {
            what: "trusted certificate",
            place,
            instead: String::new(),
        });
    }
    let lists = lists.into_iter().map(|found| found.der);
    let lists: Vec<CertificateRevocationListDer<'static>> = lists.collect();
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider))
        .with_crls(lists)
        .enforce_revocation_expiration()
        .build();
    let verifier = verifier.map_err(|error| TlsError::Roots {
        place: settings.crl.as_ref().map_or(place, place_of),
        detail: error.to_string(),
    })?;
    Ok(if between.is_empty() {
        verifier
    } else {
        Arc::new(WithIntermediates { between, verifier })
    })
}

/// Reads certificates of authorities.
pub(super) fn roots_of(ca: &Pem) -> Result<RootCertStore, TlsError> {
    roots(certificates(ca, &Settings::default())?, &place_of(ca))
}

fn roots(given: Certificates, place: &str) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for Found { line, der } in given {
        roots.add(der).map_err(|error| TlsError::Damaged {
            place: place.to_owned(),
            line,
            what: format!("the certificate cannot be trusted: {error}"),
        })?;
    }
    Ok(roots)
}

/// Parts certificates into those to trust and those that others among them have signed.
fn split(given: Certificates) -> (Certificates, Vec<CertificateDer<'static>>) {
    let names = |found: &Found<CertificateDer<'_>>| {
        let (_, certificate) = X509Certificate::from_der(&found.der).ok()?;
        let subject = certificate.subject().as_raw().to_vec();
        Some((subject, certificate.issuer().as_raw().to_vec()))
    };
    let subjects: Vec<Vec<u8>> = given.iter().filter_map(|one| Some(names(one)?.0)).collect();
    let is_root = |found: &Found<CertificateDer<'_>>| {
        let Some((subject, issuer)) = names(found) else {
            return true;
        };
        subject == issuer || !subjects.contains(&issuer)
    };
    let (roots, between): (Certificates, Certificates) = given.into_iter().partition(is_root);
    if roots.is_empty() {
        // They have signed each other: there is no end to go up to.
        return (between, Vec::new());
    }
    (roots, between.into_iter().map(|found| found.der).collect())
}

/// Returns the certificates that the system trusts, read once: some hundred kilobytes, which every
/// client would have otherwise. A store that is empty may be filled later.
pub(super) fn system_roots() -> Arc<RootCertStore> {
    static READ: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    if let Some(roots) = READ.get() {
        return Arc::clone(roots);
    }
    let mut roots = RootCertStore::empty();
    // Some systems hold certificates that no longer parse: the others are still good.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let roots = Arc::new(roots);
    if roots.is_empty() {
        return roots;
    }
    Arc::clone(READ.get_or_init(|| roots))
}

/// Verifies a certificate against a name other than the one connected to.
#[derive(Debug)]
struct OtherName {
    name: ServerName<'static>,
    verifier: Arc<dyn ServerCertVerifier>,
}

impl ServerCertVerifier for OtherName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.verifier
            .verify_server_cert(end_entity, intermediates, &self.name, ocsp, now)
    }

    signatures_as!(verifier);
}

/// Knows of certificates between a server's and the roots that the server need not send.
#[derive(Debug)]
struct WithIntermediates {
    between: Vec<CertificateDer<'static>>,
    verifier: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for WithIntermediates {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let between = self.between.iter().chain(intermediates);
        let between: Vec<CertificateDer<'_>> = between
            .map(|der| CertificateDer::from(der.as_ref()))
            .collect();
        self.verifier
            .verify_server_cert(end_entity, &between, name, ocsp, now)
    }

    signatures_as!(verifier);
}

/// Takes any certificate; signatures are still checked, so that the handshake means something.
#[derive(Debug)]
struct AnyCertificate {
    signatures: Signatures,
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    signatures_as!(signatures);
}
