//! Our own HTTP pages: `/metrics`, `/-/healthy`, `/-/ready`.
//!
//! In: the registry, whether the part is ready, and a web configuration, if there is one. Out:
//! pages for a Prometheus and a load balancer, to those who may see them. It only shows; nothing
//! can be changed here. Requests are small and bounded in number and time.

mod connection;
mod password;
mod server;
mod web;

pub use password::{PasswordHash, User};
pub use server::{Admin, AdminError, Readiness};
pub use web::{RateLimit, ReadWeb, Web};

use std::net::IpAddr;

/// Where our own pages are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The address to listen on; all, IPv4 and IPv6, if `None`.
    pub address: Option<IpAddr>,
    /// The port.
    pub port: u16,
}
