//! Our own HTTP pages.

use std::net::IpAddr;

/// Where our own pages are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The address to listen on; all, IPv4 and IPv6, if `None`.
    pub address: Option<IpAddr>,
    /// The port.
    pub port: u16,
}
