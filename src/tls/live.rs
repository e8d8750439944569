//! TLS that follows its files: they are looked at when a connection is made, and read when they
//! have changed.
//!
//! Whom to trust is never guessed: while the CA's certificates or the revocation lists cannot be
//! read, nobody is trusted. Our own certificate and key are two files, which nobody can replace at
//! one moment: while they do not fit, the last ones that did are shown.

use std::error::Error as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustls::client::danger::{ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tracing::{info, warn};

use super::client::{assemble, provider, single};
use super::error::TlsError;
use super::own::Own;
use super::signatures::{Signatures, signatures_as};
use super::verify::{complaints, verifier};
use super::{Pem, Settings, seconds};
use crate::clock::Clock;

/// TLS, as it is now.
#[derive(Debug, Clone)]
pub struct Current {
    /// What a connection is made with.
    pub config: Arc<ClientConfig>,
    /// Changes with the files.
    pub generation: u32,
}

/// What we trust and who we are, by files that may change.
#[derive(Debug)]
pub struct Live {
    settings: Settings,
    protocols: Vec<Vec<u8>>,
    files: Vec<PathBuf>,
    clock: Clock,
    state: Mutex<Option<State>>,
}

#[derive(Debug)]
struct State {
    current: Current,
    verifier: Arc<dyn ServerCertVerifier>,
    own: Option<Own>,
    /// Whether it was said that our certificate is out of time.
    has_complained: bool,
    stamps: Vec<Option<Stamp>>,
}

/// What tells one content of a file from another, without reading it.
type Stamp = (SystemTime, u64, u64);

impl Live {
    /// Takes settings without looking at their files; `protocols` are offered by ALPN.
    pub fn new(settings: Settings, protocols: Vec<Vec<u8>>) -> Self {
        Self {
            files: files(&settings),
            settings,
            protocols,
            clock: Clock::system(),
            state: Mutex::new(None),
        }
    }

    /// Tells whether files stand behind it, which may change.
    pub fn has_files(&self) -> bool {
        !self.files.is_empty()
    }

    /// Returns what holds now; files that changed are read anew.
    pub fn current(&self) -> Result<Current, TlsError> {
        self.with_state(|state| state.current.clone())
    }

    /// Builds a configuration that looks at the files at each handshake.
    pub fn following(self: &Arc<Self>) -> Result<ClientConfig, TlsError> {
        self.current()?;
        let following = Arc::new(Following {
            live: Arc::clone(self),
            signatures: Signatures(provider()),
        });
        let own: Arc<dyn ResolvesClientCert> = Arc::<Following>::clone(&following);
        let own = self.settings.cert.is_some().then_some(own);
        let mut config = assemble(&self.settings, following, own)?;
        // A session that goes on where it was shows no certificate: neither a revoked one would be
        // noticed, nor would our new one be seen.
        config.resumption = Resumption::disabled();
        config.alpn_protocols.clone_from(&self.protocols);
        Ok(config)
    }

    fn with_state<T>(&self, take: impl FnOnce(&State) -> T) -> Result<T, TlsError> {
        // Looked at before they are read, so that a change in between is seen the next time.
        let stamps: Vec<Option<Stamp>> = self.files.iter().map(stamp).collect();
        let mut guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = match guard.take() {
            Some(state) if state.stamps == stamps => state,
            last => match self.load(last.as_ref(), stamps) {
                Ok(state) => state,
                Err(error) => {
                    // What it was is still needed, for the pair and the generation.
                    *guard = last;
                    return Err(error);
                }
            },
        };
        if !state.has_complained
            && let Some(own) = &state.own
            && let Some(problem) = own.complaint(seconds(&self.clock))
        {
            state.has_complained = true;
            warn!(problem, "our certificate is out of time");
        }
        Ok(take(guard.insert(state)))
    }

    fn load(&self, last: Option<&State>, stamps: Vec<Option<Stamp>>) -> Result<State, TlsError> {
        let verifier = verifier(&self.settings, &provider())?;
        if self.settings.crl.is_some() {
            let now = seconds(&self.clock);
            for problem in complaints(&self.settings, now).unwrap_or_default() {
                warn!(problem, "certificates or revocation lists need attention");
            }
        }
        let own = match (Own::read(&self.settings), last.map(|last| &last.own)) {
            (Ok(own), _) => own,
            (Err(error), Some(Some(own))) => {
                let error = worded(&error);
                warn!(
                    error,
                    "cannot use our certificate as it is now; the last good one stays in use"
                );
                Some(own.clone())
            }
            (Err(error), _) => return Err(error),
        };
        let shown = own.as_ref().map(single);
        let mut config = assemble(&self.settings, Arc::clone(&verifier), shown)?;
        config.alpn_protocols.clone_from(&self.protocols);
        if let Some(last) = last {
            let stamps = last.stamps.iter().zip(&stamps);
            let changed = self.files.iter().zip(stamps);
            let changed = changed.filter(|(_, (old, new))| old != new);
            let changed: Vec<String> = changed
                .map(|(file, _)| file.display().to_string())
                .collect();
            info!(files = changed.join(", "), "TLS files have changed");
        }
        Ok(State {
            current: Current {
                config: Arc::new(config),
                generation: last.map_or(0, |last| last.current.generation.wrapping_add(1)),
            },
            verifier,
            own,
            has_complained: false,
            stamps,
        })
    }
}

/// Judges and answers by the files as they are at the handshake.
#[derive(Debug)]
struct Following {
    live: Arc<Live>,
    signatures: Signatures,
}

impl ServerCertVerifier for Following {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verifier = self.live.with_state(|state| Arc::clone(&state.verifier));
        verifier
            .map_err(|error| rustls::Error::General(worded(&error)))?
            .verify_server_cert(end_entity, intermediates, name, ocsp, now)
    }

    signatures_as!(signatures);
}

impl ResolvesClientCert for Following {
    fn resolve(&self, _issuers: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        // Where whom to trust cannot be read, the handshake fails at the server's certificate.
        let own = self.live.with_state(|state| state.own.clone()).ok()?;
        own.map(|own| own.key)
    }

    fn has_certs(&self) -> bool {
        self.live.settings.cert.is_some()
    }
}

fn worded(error: &TlsError) -> String {
    match error.source() {
        None => error.to_string(),
        Some(cause) => format!("{error}: {cause}"),
    }
}

fn files(settings: &Settings) -> Vec<PathBuf> {
    let pem = [&settings.ca, &settings.cert, &settings.crl];
    let pem = pem.into_iter().flatten().filter_map(Pem::path);
    let key = settings.key.iter().filter_map(|key| key.path());
    pem.chain(key).map(std::path::Path::to_owned).collect()
}

fn stamp(path: &PathBuf) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    // The third tells a file that was moved here from one that was copied with its time.
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}
