//! TLS of one client: built when it is first needed, and anew when its files change.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;

use crate::tls::{self, Pem, TlsError};

/// Protocols as TLS names them, the better one first.
const HTTP2_OR_1: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// TLS, as it is now.
#[derive(Debug, Clone)]
pub(super) struct Current {
    pub(super) config: Arc<ClientConfig>,
    /// Changes with the files.
    pub(super) generation: u32,
}

/// What we trust and who we are.
#[derive(Debug)]
pub(super) struct Trust {
    settings: tls::Settings,
    enable_http2: bool,
    server_name: Option<ServerName<'static>>,
    files: Vec<PathBuf>,
    state: Mutex<Option<State>>,
}

#[derive(Debug)]
struct State {
    current: Current,
    stamps: Vec<Option<Stamp>>,
}

/// What tells one content of a file from another, without reading it.
type Stamp = (SystemTime, u64, u64);

impl Trust {
    /// Checks settings; what is only the system's store is not looked at before it is needed, so
    /// that a machine without one can still speak `http`.
    pub(super) fn new(
        settings: Option<&tls::Settings>,
        enable_http2: bool,
    ) -> Result<Self, TlsError> {
        let given = settings.cloned().unwrap_or_default();
        let name = given.server_name.clone().map(|name| {
            ServerName::try_from(name.clone()).map_err(|_invalid| TlsError::ServerName(name))
        });
        let trust = Self {
            files: files(&given),
            server_name: name.transpose()?,
            settings: given,
            enable_http2,
            state: Mutex::new(None),
        };
        if settings.is_some() {
            trust.current()?;
        }
        Ok(trust)
    }

    /// Takes a configuration that never changes.
    pub(super) fn fixed(config: ClientConfig) -> Self {
        let current = Current {
            config: Arc::new(with_protocols(config, true)),
            generation: 0,
        };
        let stamps = Vec::new();
        Self {
            settings: tls::Settings::default(),
            enable_http2: true,
            server_name: None,
            files: Vec::new(),
            state: Mutex::new(Some(State { current, stamps })),
        }
    }

    /// Tells whether files stand behind it, which may change.
    pub(super) fn has_files(&self) -> bool {
        !self.files.is_empty()
    }

    /// Returns the name to ask a server for, if it is not that of its address.
    pub(super) fn server_name(&self) -> Option<&ServerName<'static>> {
        self.server_name.as_ref()
    }

    /// Returns what holds now; files that changed are read anew.
    ///
    /// While they cannot be used there is no TLS: what they held is not what the operator wants.
    pub(super) fn current(&self) -> Result<Current, TlsError> {
        let stamps: Vec<Option<Stamp>> = self.files.iter().map(stamp).collect();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = state.as_ref().filter(|state| state.stamps == stamps) {
            return Ok(state.current.clone());
        }
        let config = with_protocols(tls::client_config(&self.settings)?, self.enable_http2);
        let last = state.as_ref().map(|state| state.current.generation);
        let current = Current {
            config: Arc::new(config),
            generation: last.map_or(0, |last| last.wrapping_add(1)),
        };
        *state = Some(State {
            current: current.clone(),
            stamps,
        });
        Ok(current)
    }
}

fn with_protocols(mut config: ClientConfig, enable_http2: bool) -> ClientConfig {
    let protocols = HTTP2_OR_1.iter().skip(usize::from(!enable_http2));
    config.alpn_protocols = protocols.map(|name| name.to_vec()).collect();
    config
}

fn files(settings: &tls::Settings) -> Vec<PathBuf> {
    let pem = [&settings.ca, &settings.cert].into_iter().flatten();
    let pem = pem.filter_map(|pem| match pem {
        Pem::File(path) => Some(path.as_path()),
        Pem::Inline(_) => None,
    });
    let key = settings.key.iter().filter_map(|key| key.path());
    pem.chain(key).map(std::path::Path::to_owned).collect()
}

fn stamp(path: &PathBuf) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    // The third tells a file that was moved here from one that was copied with its time.
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}
