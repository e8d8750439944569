//! What the live tests, the demo and the whole-program bench share.
//!
//! In: nothing but the programs on this machine. Out: real servers and our own programs on free
//! loopback ports, simulated targets, a recording remote-write endpoint and a link that can be
//! cut. Everything lives in a [`Lab`]: one temporary folder, one list of log files, whose ends are
//! shown when a scenario fails. This module alone knows how the servers are started and asked; it
//! never sleeps to wait for something that it can ask for, and never touches a process that it
//! did not start.

mod bus;
mod endpoint;
mod exposition;
mod http;
mod lab;
mod names;
mod network;
mod pki;
mod process;
mod program;
mod proxy;
mod puppet_ca;
mod remote_write;
mod servers;
mod store;
mod targets;
mod writer;

pub(crate) use bus::{Bus, Stored as StoredMessage};
pub(crate) use endpoint::{Answer, Arrived, Endpoint};
pub(crate) use exposition::{Page, read};
pub(crate) use http::{Connection, Received, get, request};
pub(crate) use lab::{Lab, free_port, run, setting, wait_until};
pub(crate) use names::NameServer;
pub(crate) use network::{CENTRE, Wire, run_apart};
pub(crate) use pki::Pki;
pub(crate) use process::Process;
pub(crate) use program::{Program, SiteTarget, nobody, poller_config, program, receiver_config};
pub(crate) use proxy::{Link, Proxy};
pub(crate) use puppet_ca::PuppetCa;
pub(crate) use servers::{NatsServer, NodeExporter, Pushgateway, Version};
pub(crate) use store::{Prometheus, Stored, VictoriaMetrics};
pub(crate) use targets::{Behavior, Targets, value};
pub(crate) use writer::LaneWriter;
