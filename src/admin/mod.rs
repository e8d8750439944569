//! Our own HTTP pages: `/metrics`, `/-/healthy`, `/-/ready`.
//!
//! In: the registry and whether the part is ready. Out: pages for a Prometheus and a load
//! balancer. It only shows; nothing can be changed here. Requests are small and bounded in
//! number and time.

mod server;

pub use server::{Admin, AdminError, Readiness};

use std::net::IpAddr;

/// Where our own pages are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The address to listen on; all, IPv4 and IPv6, if `None`.
    pub address: Option<IpAddr>,
    /// The port.
    pub port: u16,
}
