//! TLS of one client: that of its files, or one that never changes.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;

use crate::tls::{self, Live, TlsError};

pub(super) use crate::tls::Current;

/// Protocols as TLS names them, the better one first.
const HTTP2_OR_1: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// What we trust and who we are.
#[derive(Debug)]
pub(super) struct Trust {
    server_name: Option<ServerName<'static>>,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Live(Box<Live>),
    Fixed(Current),
}

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
            server_name: name.transpose()?,
            source: Source::Live(Box::new(Live::new(given, protocols(enable_http2)))),
        };
        if settings.is_some() {
            trust.current()?;
        }
        Ok(trust)
    }

    /// Takes a configuration that never changes.
    pub(super) fn fixed(mut config: ClientConfig) -> Self {
        config.alpn_protocols = protocols(true);
        Self {
            server_name: None,
            source: Source::Fixed(Current {
                config: Arc::new(config),
                generation: 0,
            }),
        }
    }

    /// Tells whether files stand behind it, which may change.
    pub(super) fn has_files(&self) -> bool {
        match &self.source {
            Source::Live(live) => live.has_files(),
            Source::Fixed(_) => false,
        }
    }

    /// Returns the name to ask a server for, if it is not that of its address.
    pub(super) fn server_name(&self) -> Option<&ServerName<'static>> {
        self.server_name.as_ref()
    }

    /// Returns what holds now; files that changed are read anew.
    pub(super) fn current(&self) -> Result<Current, TlsError> {
        match &self.source {
            Source::Live(live) => live.current(),
            Source::Fixed(current) => Ok(current.clone()),
        }
    }
}

fn protocols(enable_http2: bool) -> Vec<Vec<u8>> {
    let protocols = HTTP2_OR_1.iter().skip(usize::from(!enable_http2));
    protocols.map(|name| name.to_vec()).collect()
}
