//! The steps from a name to a certificate.

use std::fmt;
use std::io;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::authority::{Authority, Revocations, why};
use super::ca::{self, Ca, Submitted};
use super::certificate::Signed;
use super::error::{Document, EnrollError};
use super::files::{Files, read};
use super::key::{Key, KeyError};
use super::{Event, Fingerprint, Settings, Trust, check_certname, request};
use crate::clock::Clock;
use crate::model::Secret;
use crate::retry::{Backoff, Retry, Retryable};
use crate::telemetry::chain;
use crate::tls::{self, Pem, TlsError};

/// Waits after failures that may pass, such as a CA that starts.
const BACKOFF_MIN: Duration = Duration::from_secs(1);

/// What came of trying.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The certificate is here, and is good.
    Enrolled(Signed),
    /// The CA has the request, and has not signed it.
    Unsigned,
    /// It was told to stop.
    Stopped,
}

/// Tells what goes on.
type Tell = dyn Fn(&Event) + Send + Sync;

/// One name's way to its certificate; each step can be repeated.
pub struct Enrollment {
    pub(super) settings: Settings,
    pub(super) clock: Clock,
    tell: Box<Tell>,
}

/// What is needed to speak to the CA, and to judge what it says.
pub(super) struct Known {
    pub(super) authority: Authority,
    pub(super) revocations: Revocations,
}

impl fmt::Debug for Enrollment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enrollment")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Enrollment {
    /// Checks the name; nothing is done yet.
    pub fn new(
        settings: Settings,
        clock: Clock,
        tell: impl Fn(&Event) + Send + Sync + 'static,
    ) -> Result<Self, EnrollError> {
        check_certname(settings.ssl_dir.certname())?;
        Ok(Self::checked(settings, clock, tell))
    }

    pub(super) fn checked(
        settings: Settings,
        clock: Clock,
        tell: impl Fn(&Event) + Send + Sync + 'static,
    ) -> Self {
        Self {
            settings,
            clock,
            tell: Box::new(tell),
        }
    }

    /// Takes all steps, and waits for the CA to sign for as long as `timeout` says.
    ///
    /// Without any time to wait, what may pass is a failure as well.
    pub async fn enroll(
        &self,
        timeout: Duration,
        stop: &CancellationToken,
    ) -> Result<Outcome, EnrollError> {
        self.repeat(timeout, stop, async || match self.attempt().await? {
            Some(signed) => Ok(Outcome::Enrolled(signed)),
            None => Ok(Outcome::Unsigned),
        })
        .await
    }

    /// Tries until there is an answer that stays, or the time is over.
    pub(super) async fn repeat(
        &self,
        timeout: Duration,
        stop: &CancellationToken,
        attempt: impl AsyncFn() -> Result<Outcome, EnrollError>,
    ) -> Result<Outcome, EnrollError> {
        let end = Instant::now() + timeout;
        let mut backoff = Backoff::new(BACKOFF_MIN, self.settings.wait.max(BACKOFF_MIN));
        loop {
            let Some(tried) = stop.run_until_cancelled(attempt()).await else {
                return Ok(Outcome::Stopped);
            };
            let left = end.saturating_duration_since(Instant::now());
            let delay = match &tried {
                Ok(Outcome::Unsigned) if !self.settings.wait.is_zero() => {
                    backoff.reset();
                    self.settings.wait.min(left)
                }
                Err(error) if error.retry() != Retry::No => backoff.next(error.retry()).min(left),
                _ => return tried,
            };
            if left.is_zero() || self.settings.wait.is_zero() {
                return tried;
            }
            match &tried {
                Err(error) => self.tell(&Event::Failed {
                    error: chain(error),
                    delay,
                }),
                Ok(_) => self.tell(&Event::Waiting {
                    certname: self.certname().to_owned(),
                    delay,
                }),
            }
            if stop
                .run_until_cancelled(tokio::time::sleep(delay))
                .await
                .is_none()
            {
                return Ok(Outcome::Stopped);
            }
        }
    }

    /// Takes all steps once; `None`: the CA has yet to sign.
    pub(super) async fn attempt(&self) -> Result<Option<Signed>, EnrollError> {
        let files = Files::wait(&self.settings.ssl_dir).await?;
        if let Some(signed) = self.look()? {
            return Ok(Some(signed));
        }
        let known = self.meet(&files).await?;
        let key = self.key(&files)?;
        let ca = self.ca(&known, Document::Certificate)?;
        if let Some(text) = ca.certificate(self.certname()).await? {
            return self.accept(&text, &key, &known, &ca, &files).map(Some);
        }
        match self.submit(&ca, &key, &files).await? {
            Submitted::Taken | Submitted::Waiting | Submitted::Signed { .. } => {}
            Submitted::Revoked => return Err(self.revoked()),
        }
        // A CA that signs by itself has done so by now.
        match ca.certificate(self.certname()).await? {
            Some(text) => self.accept(&text, &key, &known, &ca, &files).map(Some),
            None => Ok(None),
        }
    }

    /// Returns our certificate if everything is here already; nobody is asked.
    pub(super) fn look(&self) -> Result<Option<Signed>, EnrollError> {
        let ssl = &self.settings.ssl_dir;
        let Some(cert) = read(&ssl.cert())? else {
            return Ok(None);
        };
        let (Some(ca), Some(crl)) = (read(&ssl.ca())?, read(&ssl.crl())?) else {
            return Ok(None);
        };
        let authority = self.authority_of(&ca)?;
        let Ok(revocations) = authority.revocations(&crl) else {
            // They are fetched anew.
            return Ok(None);
        };
        let signed = self.own(&cert)?;
        let now_ms = self.clock.now_ms();
        if signed.remaining(now_ms).is_zero() {
            return Err(EnrollError::Expired {
                cert: ssl.cert(),
                not_after: signed.not_after,
            });
        }
        let place = format!("`{}`", ssl.cert().display());
        self.verify(
            &signed,
            &Known {
                authority,
                revocations,
            },
            place,
        )?;
        Ok(Some(signed))
    }

    /// Reads our certificate, and checks that it is for our key.
    pub(super) fn own(&self, text: &str) -> Result<Signed, EnrollError> {
        let ssl = &self.settings.ssl_dir;
        let signed = Signed::parse(text.as_bytes()).map_err(|detail| EnrollError::Malformed {
            place: format!("`{}`", ssl.cert().display()),
            detail,
        })?;
        let key = self.stored_key()?;
        if key.is_none_or(|key| key.info() != signed.info) {
            return Err(EnrollError::Unpaired {
                cert: ssl.cert(),
                key: ssl.key(),
            });
        }
        Ok(signed)
    }

    /// Reads what is known of the CA, or asks it and decides whether to trust it.
    pub(super) async fn meet(&self, files: &Files<'_>) -> Result<Known, EnrollError> {
        let ssl = &self.settings.ssl_dir;
        if let Some(text) = read(&ssl.ca())? {
            let authority = self.authority_of(&text)?;
            let revocations = self.revocations(&authority, files).await?;
            return Ok(Known {
                authority,
                revocations,
            });
        }
        let authority = match &self.settings.trust {
            Trust::File(path) => {
                let text = read(path)?.ok_or_else(|| EnrollError::NoAuthority(path.clone()))?;
                self.parse_authority(&text, format!("`{}`", path.display()))?
            }
            Trust::FirstUse | Trust::Fingerprint(_) => {
                let anyone = tls::Settings {
                    insecure_skip_verify: true,
                    ..tls::Settings::default()
                };
                let ca = Ca::new(&self.settings, anyone, Document::Authority)?;
                let text = ca.authority().await?;
                self.parse_authority(&text, ca.place(ca::AUTHORITY))?
            }
        };
        // What the CA itself cannot prove to be is not written down.
        let revocations = self.fetch_revocations(&authority, None).await?;
        files.store_ca(&authority.text)?;
        files.store_crl(&revocations.text)?;
        self.tell(&Event::CaTrusted {
            ca: self.settings.ca.clone(),
            trust: self.settings.trust.clone(),
            root: authority.root(),
            bundle: authority.bundle(),
        });
        Ok(Known {
            authority,
            revocations,
        })
    }

    /// Checks the certificates that were stored once against what is given now.
    pub(super) fn authority_of(&self, text: &str) -> Result<Authority, EnrollError> {
        let known = self.settings.ssl_dir.ca();
        let authority = self.parse_authority(text, format!("`{}`", known.display()))?;
        if let Trust::File(given) = &self.settings.trust
            && let Some(expected) = read(given)?
            && expected.trim() != text.trim()
        {
            let expected = self.parse_authority(&expected, format!("`{}`", given.display()))?;
            // The CA may have further certificates by now, but only below the same root.
            if authority.check(expected.root()).is_err() {
                let given = given.clone();
                return Err(EnrollError::OtherAuthority { known, given });
            }
        }
        Ok(authority)
    }

    pub(super) fn parse_authority(
        &self,
        text: &str,
        place: String,
    ) -> Result<Authority, EnrollError> {
        let authority = Authority::parse(text).and_then(|authority| {
            if let Trust::Fingerprint(expected) = &self.settings.trust {
                authority.check(*expected)?;
            }
            Ok(authority)
        });
        authority.map_err(|source| EnrollError::Authority {
            place,
            source: Box::new(source),
        })
    }

    /// Returns the revocation lists that are here, or fetches them.
    async fn revocations(
        &self,
        authority: &Authority,
        files: &Files<'_>,
    ) -> Result<Revocations, EnrollError> {
        let path = self.settings.ssl_dir.crl();
        if let Some(text) = read(&path)? {
            // Lists of a CA that has gone are fetched anew.
            if let Ok(revocations) = authority.revocations(&text) {
                return Ok(revocations);
            }
        }
        let revocations = self.fetch_revocations(authority, None).await?;
        files.store_crl(&revocations.text)?;
        self.tell(&Event::CrlStored);
        Ok(revocations)
    }

    /// Fetches revocation lists; the CA is checked against those that are known.
    pub(super) async fn fetch_revocations(
        &self,
        authority: &Authority,
        known: Option<&Revocations>,
    ) -> Result<Revocations, EnrollError> {
        let ca = self.connect(authority, known, Document::Revocations)?;
        let text = ca.revocations().await?;
        let place = ca.place(ca::REVOCATIONS);
        let revocations = authority.revocations(&text);
        revocations.map_err(|source| EnrollError::Revocations {
            place,
            source: Box::new(source),
        })
    }

    /// Prepares to ask the CA.
    pub(super) fn ca(&self, known: &Known, document: Document) -> Result<Ca<'_>, EnrollError> {
        self.connect(&known.authority, Some(&known.revocations), document)
    }

    fn connect(
        &self,
        authority: &Authority,
        known: Option<&Revocations>,
        document: Document,
    ) -> Result<Ca<'_>, EnrollError> {
        let tls = self.tls(authority, known);
        Ca::new(&self.settings, tls, document)
    }

    /// Returns whom to trust; lists that are out of date say nothing.
    pub(super) fn tls(&self, authority: &Authority, known: Option<&Revocations>) -> tls::Settings {
        let now = tls::seconds(&self.clock);
        let is_current = |known: &&Revocations| known.next_update.is_none_or(|next| now < next);
        let current = known.filter(is_current);
        if known.is_some() && current.is_none() {
            self.tell(&Event::CrlOutdated);
        }
        tls::Settings {
            ca: Some(Pem::Inline(authority.text.clone())),
            crl: current.map(|known| Pem::Inline(known.text.clone())),
            ..tls::Settings::default()
        }
    }

    /// Reads our key, if there is one.
    fn stored_key(&self) -> Result<Option<Key>, EnrollError> {
        let path = self.settings.ssl_dir.key();
        match Key::read(&Secret::File(path.clone())) {
            Ok(key) => Ok(Some(key)),
            Err(KeyError::Read(TlsError::Read { source, .. }))
                if source.kind() == io::ErrorKind::NotFound =>
            {
                Ok(None)
            }
            Err(source) => Err(EnrollError::Key {
                path,
                source: Box::new(source),
            }),
        }
    }

    /// Reads our key, or makes one.
    pub(super) fn key(&self, files: &Files<'_>) -> Result<Key, EnrollError> {
        if let Some(key) = self.stored_key()? {
            return Ok(key);
        }
        let path = self.settings.ssl_dir.key();
        let made = Key::make().and_then(|text| {
            let key = Key::read(&Secret::Inline(text.as_str().into()))?;
            Ok((key, text))
        });
        let (key, text) = made.map_err(|source| EnrollError::Key {
            path: path.clone(),
            source: Box::new(source),
        })?;
        files.create_key(&text)?;
        self.tell(&Event::KeyMade(path));
        Ok(key)
    }

    /// Submits a request, unless the CA has it already.
    pub(super) async fn submit(
        &self,
        ca: &Ca<'_>,
        key: &Key,
        files: &Files<'_>,
    ) -> Result<Submitted, EnrollError> {
        let certname = self.certname();
        // A CA that takes a second request would have it signed a second time.
        if let Some(waiting) = self.waiting(ca, key).await? {
            return Ok(waiting);
        }
        let text = request::make(certname, key, &self.settings.attributes)?;
        let submitted = ca.submit(certname, &text).await?;
        if submitted == Submitted::Taken {
            files.store_request(&text)?;
            self.tell(&Event::RequestSent {
                certname: certname.to_owned(),
                fingerprint: fingerprint_of(&text),
            });
        }
        Ok(submitted)
    }

    /// Looks whether the CA has a request already, and by whom.
    async fn waiting(&self, ca: &Ca<'_>, key: &Key) -> Result<Option<Submitted>, EnrollError> {
        let certname = self.certname();
        let Some(text) = ca.request(certname).await? else {
            return Ok(None);
        };
        match request::is_by(key, text.as_bytes()) {
            Some(true) => Ok(Some(Submitted::Waiting)),
            Some(false) => Err(EnrollError::OtherRequest {
                certname: certname.to_owned(),
                key: self.settings.ssl_dir.key(),
            }),
            None => Ok(None),
        }
    }

    /// Checks a certificate from the CA, and stores it.
    pub(super) fn accept(
        &self,
        text: &str,
        key: &Key,
        known: &Known,
        ca: &Ca<'_>,
        files: &Files<'_>,
    ) -> Result<Signed, EnrollError> {
        let place = ca.place(&format!("certificate/{}", self.certname()));
        let signed = self.judge(text, key, known, place)?;
        files.store_cert(text)?;
        self.tell(&Event::CertificateStored(signed.clone()));
        Ok(signed)
    }

    /// Checks a certificate from the CA.
    pub(super) fn judge(
        &self,
        text: &str,
        key: &Key,
        known: &Known,
        place: String,
    ) -> Result<Signed, EnrollError> {
        let signed = Signed::parse(text.as_bytes()).map_err(|detail| EnrollError::Malformed {
            place: place.clone(),
            detail,
        })?;
        if signed.info != key.info() {
            return Err(EnrollError::OtherKey {
                certname: self.certname().to_owned(),
                key: self.settings.ssl_dir.key(),
            });
        }
        self.verify(&signed, known, place)?;
        Ok(signed)
    }

    fn verify(&self, signed: &Signed, known: &Known, place: String) -> Result<(), EnrollError> {
        let now_ms = self.clock.now_ms();
        let verified = known
            .authority
            .verify(signed, Some(&known.revocations), now_ms);
        verified.map_err(|error| match &error {
            rustls::Error::InvalidCertificate(rustls::CertificateError::Revoked) => self.revoked(),
            other => EnrollError::Unfit {
                place,
                detail: why(other),
            },
        })
    }

    pub(super) fn revoked(&self) -> EnrollError {
        EnrollError::Revoked {
            certname: self.certname().to_owned(),
            dir: self.settings.ssl_dir.dir().to_owned(),
        }
    }

    pub(super) fn certname(&self) -> &str {
        self.settings.ssl_dir.certname()
    }

    pub(super) fn tell(&self, event: &Event) {
        (self.tell)(event);
    }
}

/// Returns the fingerprint of a request, as `puppetserver ca list` shows it.
fn fingerprint_of(text: &str) -> Fingerprint {
    let blocks = tls::pem::blocks(text.as_bytes()).unwrap_or_default();
    let der = blocks.first().map_or(text.as_bytes(), |block| &block.der);
    Fingerprint::of(der)
}
