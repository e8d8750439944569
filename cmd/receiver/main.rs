//! The receiver: consumes scrapes from NATS `JetStream` and delivers them to its sinks.

use std::process::ExitCode;

use clap::Parser;
use prometheus_streams::config::Role;
use prometheus_streams::{receiver, service};

/// Consumes scrapes from NATS JetStream and delivers them to its sinks
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(flatten)]
    options: service::Options,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    service::exit_code(service::run(
        Role::Receiver,
        &arguments.options,
        receiver::run,
    ))
}
