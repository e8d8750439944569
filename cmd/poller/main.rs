//! The poller: scrapes a site's targets and publishes them onto NATS `JetStream`.

use std::process::ExitCode;

use clap::Parser;
use prometheus_streams::config::Role;
use prometheus_streams::{poller, service};

/// Scrapes a site's targets and publishes them onto NATS JetStream
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(flatten)]
    options: service::Options,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    service::exit_code(service::run(Role::Poller, &arguments.options, poller::run))
}
