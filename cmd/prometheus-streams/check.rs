//! `prometheus-streams check`

use std::io;
use std::path::Path;
use std::process::ExitCode;

use prometheus_streams::config::{self, Config, LoadError, Loaded, Problems, Role};
use prometheus_streams::service::{EXIT_FAILED, EXIT_USAGE};
use prometheus_streams::telemetry::chain;

/// A program that a file can be for.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Program {
    /// The poller
    Poller,
    /// The receiver
    Receiver,
}

/// Prints what is wrong with a file; problems are what was asked for, so they go to stdout.
pub(crate) fn run(file: &Path, program: Option<Program>) -> ExitCode {
    let checked = Config::load(file).and_then(|loaded| {
        require(&loaded.config, program)?;
        Ok(loaded)
    });
    // A reader who has seen enough closes the pipe; that is no failure.
    match checked {
        Ok(Loaded { warnings, .. }) => {
            print(&mut io::stdout(), &config::render(&warnings));
            let count = match warnings.len() {
                0 => "is good".to_owned(),
                1 => "is good, with 1 warning".to_owned(),
                count => format!("is good, with {count} warnings"),
            };
            print(&mut io::stdout(), &format!("{} {count}\n", file.display()));
            ExitCode::SUCCESS
        }
        Err(LoadError::Problems(problems)) => {
            print(&mut io::stdout(), &config::render(problems.as_slice()));
            ExitCode::from(EXIT_FAILED)
        }
        Err(error @ LoadError::CannotRead { .. }) => {
            print(&mut io::stderr(), &format!("{}\n", chain(&error)));
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn require(config: &Config, program: Option<Program>) -> Result<(), Problems> {
    match program {
        None => Ok(()),
        Some(Program::Poller) => config.require(Role::Poller),
        Some(Program::Receiver) => config.require(Role::Receiver),
    }
}

fn print(out: &mut impl io::Write, text: &str) {
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}
