//! The steps from a certificate to the next one, and to what the CA says today.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Event;
use super::authority::Authority;
use super::ca::{self, Ca, Renewed, Submitted};
use super::certificate::Signed;
use super::enrollment::{Enrollment, Known, Outcome};
use super::error::{Document, EnrollError};
use super::files::{Files, read};
use super::key::Key;
use crate::model::Secret;
use crate::tls::{self, Pem};

impl Enrollment {
    /// Fetches what the CA says today, renews the certificate if its end is near, and waits for as
    /// long as `timeout` says if the CA has to sign.
    pub async fn renew(
        &self,
        timeout: Duration,
        stop: &CancellationToken,
    ) -> Result<Outcome, EnrollError> {
        self.repeat(timeout, stop, async || {
            self.refresh().await?;
            match self.renew_once(self.settings.renew_before).await? {
                Some(signed) => Ok(Outcome::Enrolled(signed)),
                None => Ok(Outcome::Unsigned),
            }
        })
        .await
    }

    /// Fetches the CA's certificates and revocation lists; what is new takes the old one's place.
    pub async fn refresh(&self) -> Result<(), EnrollError> {
        let files = Files::wait(&self.settings.ssl_dir).await?;
        let known = self.known(&files).await?;
        let ca = self.ca(&known, Document::Authority)?;
        let text = ca.authority().await?;
        let mut authority = known.authority;
        let mut refused = Ok(());
        if text != authority.text {
            match self.succeed(&authority, &text, &ca) {
                Ok(next) => {
                    files.store_ca(&next.text)?;
                    let bundle = next.bundle();
                    self.tell(&Event::CaReplaced { bundle });
                    authority = next;
                }
                // What we have is still good for the lists.
                Err(error) => refused = Err(error),
            }
        }
        let new = self
            .fetch_revocations(&authority, Some(&known.revocations))
            .await?;
        // A file that is written is read by every connection.
        if new.text != known.revocations.text {
            files.store_crl(&new.text)?;
        }
        self.tell(&Event::CrlStored);
        refused
    }

    /// Renews the certificate if it ends `before`; `None`: the CA has yet to sign.
    pub(super) async fn renew_once(&self, before: Duration) -> Result<Option<Signed>, EnrollError> {
        let files = Files::wait(&self.settings.ssl_dir).await?;
        let path = self.settings.ssl_dir.cert();
        let Some(text) = read(&path)? else {
            return Err(EnrollError::NotEnrolled(path));
        };
        let own = self.own(&text)?;
        let remaining = own.remaining(self.clock.now_ms());
        if remaining > before {
            return Ok(Some(own));
        }
        let known = self.known(&files).await?;
        let key = self.key(&files)?;
        let ca = self.ca(&known, Document::Certificate)?;
        if let Some(newer) = self.newer(&own, &key, &known, &ca, &files).await? {
            return Ok(Some(newer));
        }
        if !remaining.is_zero()
            && let Some(newer) = self.ask_for_next(&own, &key, &known, &files).await?
        {
            return Ok(Some(newer));
        }
        match self.submit(&ca, &key, &files).await? {
            Submitted::Taken | Submitted::Waiting => {
                self.newer(&own, &key, &known, &ca, &files).await
            }
            Submitted::Revoked => Err(self.revoked()),
            Submitted::Signed { words } => Err(EnrollError::NoRenewal {
                certname: self.certname().to_owned(),
                words,
            }),
        }
    }

    /// Reads what is known of the CA.
    async fn known(&self, files: &Files<'_>) -> Result<Known, EnrollError> {
        let path = self.settings.ssl_dir.ca();
        if read(&path)?.is_none() {
            return Err(EnrollError::NotEnrolled(self.settings.ssl_dir.cert()));
        }
        self.meet(files).await
    }

    /// Takes the certificate that the CA has signed since, if it is a later one.
    async fn newer(
        &self,
        own: &Signed,
        key: &Key,
        known: &Known,
        ca: &Ca<'_>,
        files: &Files<'_>,
    ) -> Result<Option<Signed>, EnrollError> {
        let Some(text) = ca.certificate(self.certname()).await? else {
            return Ok(None);
        };
        let is_newer = Signed::parse(text.as_bytes()).is_ok_and(|signed| signed.is_newer(own));
        if !is_newer {
            return Ok(None);
        }
        self.accept(&text, key, known, ca, files).map(Some)
    }

    /// Asks as Puppet 8 does: with the certificate that is still good.
    async fn ask_for_next(
        &self,
        own: &Signed,
        key: &Key,
        known: &Known,
        files: &Files<'_>,
    ) -> Result<Option<Signed>, EnrollError> {
        let ssl = &self.settings.ssl_dir;
        let identified = tls::Settings {
            cert: Some(Pem::File(ssl.cert())),
            key: Some(Secret::File(ssl.key())),
            ..self.tls(&known.authority, Some(&known.revocations))
        };
        let ca = Ca::new(&self.settings, identified, Document::Renewal)?;
        let text = match ca.renew().await? {
            Renewed::Certificate(text) => text,
            Renewed::NotOffered => return Ok(None),
        };
        let place = ca.place("certificate_renewal");
        let signed = self.judge(&text, key, known, place.clone())?;
        if signed.not_after <= own.not_after {
            return Err(EnrollError::Unfit {
                place,
                detail: "it ends no later than the one that we have".to_owned(),
            });
        }
        files.store_cert(&text)?;
        self.tell(&Event::CertificateStored(signed.clone()));
        Ok(Some(signed))
    }

    /// Judges the certificates that a CA that we trust wants to have from now on.
    fn succeed(&self, old: &Authority, text: &str, ca: &Ca<'_>) -> Result<Authority, EnrollError> {
        let place = ca.place(ca::AUTHORITY);
        let new = self.parse_authority(text, place)?;
        // Our own certificate has to be good with them, or we would lock ourselves out.
        let own = read(&self.settings.ssl_dir.cert())?;
        let own = own.and_then(|text| Signed::parse(text.as_bytes()).ok());
        let now_ms = self.clock.now_ms();
        if let Some(own) = own
            && old.verify(&own, None, now_ms).is_ok()
            && let Err(error) = new.verify(&own, None, now_ms)
        {
            return Err(EnrollError::Unfit {
                place: format!("`{}`", self.settings.ssl_dir.cert().display()),
                detail: format!(
                    "with the CA's new certificates, {}",
                    super::authority::why(&error)
                ),
            });
        }
        Ok(new)
    }
}
