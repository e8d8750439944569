//! The control program; also runs the two others, as the ancestor's single program did.

mod check;
mod convert;
mod decode;
mod enroll;
mod generate;
mod tail;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use prometheus_streams::config::Role;
use prometheus_streams::inspect::Style;
use prometheus_streams::{poller, receiver, service};

/// Message-bus federation for Prometheus metrics over NATS JetStream
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(flatten)]
    options: service::Options,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Scrape targets and publish them onto NATS JetStream
    Poller,
    /// Consume scrapes from NATS JetStream and deliver them to the sinks
    Receiver,
    /// Read a configuration file and print every problem in it
    ///
    /// With --targets, --relabel or --scrape it also asks every source of targets once, and tells
    /// what becomes of what they list. Exits with 0 when the file is good, with 1 when it has
    /// problems or a source or the scrape fails, and with 2 when it cannot be read.
    Check(check::Options),
    /// Write a configuration of the ancestor, or a prometheus.yml, in the recommended form
    ///
    /// The result means the same; that is checked before anything is written. Comments are kept
    /// where that is possible. Exits with 0 when it is done, with 1 when the file has problems or
    /// the output is there already, and with 2 when the file cannot be read.
    Convert(convert::Options),
    /// Print stored messages as exposition text with their headers
    ///
    /// A frame may need frames of its lane before it, from the last key frame on, and the shapes
    /// that they name. Without them its header is printed, and the records that need nothing.
    /// Exits with 0 when all could be decoded, with 1 when not and with 2 when a file cannot be
    /// read.
    Decode {
        /// Print expositions as the targets wrote them
        #[arg(long)]
        raw: bool,
        /// The messages' payloads: frames of one lane in their order, and messages of shapes;
        /// `-` for standard input
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Get a certificate from a Puppet CA
    ///
    /// Makes a key, submits a request, and waits until an operator has signed it at the CA with
    /// `puppetserver ca sign --certname IDENTITY`, as `puppet agent --waitforcert` does. The files
    /// are those that `tls: {scheme: puppet}` uses. It can be repeated at any point; a key that is
    /// there is used and never overwritten. Exits with 0 when the certificate is there, with 1 when
    /// it is not, and with 2 when the command line makes no sense.
    Enroll(Box<enroll::Options>),
    /// Follow the live stream as text, without touching any consumer's position
    ///
    /// Connects as `receiver_stream` of the configuration says, or else as `poller_stream`.
    Tail(tail::Options),
    /// Write man pages and completions of all programs into a folder
    #[command(hide = true)]
    Generate {
        /// The folder
        #[arg(long)]
        dir: PathBuf,
    },
}

fn main() -> ExitCode {
    let Arguments { options, command } = Arguments::parse();
    match command {
        Command::Poller => service::exit_code(service::run(Role::Poller, &options, poller::run)),
        Command::Receiver => {
            service::exit_code(service::run(Role::Receiver, &options, receiver::run))
        }
        Command::Check(check) => check::run(&options, &check),
        Command::Convert(convert) => convert::run(&convert),
        Command::Decode { raw, files } => decode::run(&files, style(raw)),
        Command::Enroll(enroll) => enroll::run(&options, &enroll),
        Command::Tail(tail) => tail::run(&options, &tail),
        Command::Generate { dir } => generate::run(&Arguments::command(), &dir),
    }
}

fn style(raw: bool) -> Style {
    if raw { Style::Raw } else { Style::Labeled }
}

/// Prints to a stream; a reader who has seen enough closes the pipe, which is no failure.
fn print(out: &mut impl io::Write, text: &str) -> io::Result<()> {
    out.write_all(text.as_bytes()).and_then(|()| out.flush())
}
