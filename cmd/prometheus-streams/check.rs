//! `prometheus-streams check`

use std::io;
use std::path::Path;
use std::process::ExitCode;

use prometheus_streams::config::{self, Config, LoadError, Loaded, Problems, Role};
use prometheus_streams::service::{EXIT_FAILED, EXIT_USAGE};
use prometheus_streams::telemetry::chain;

use crate::print;

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
    match checked {
        Ok(Loaded { warnings, .. }) => {
            drop(print(&mut io::stdout(), &config::render(&warnings)));
            let count = match warnings.len() {
                0 => "is good".to_owned(),
                1 => "is good, with 1 warning".to_owned(),
                count => format!("is good, with {count} warnings"),
            };
            drop(print(
                &mut io::stdout(),
                &format!("{} {count}\n", file.display()),
            ));
            ExitCode::SUCCESS
        }
        Err(LoadError::Problems(problems)) => {
            drop(print(
                &mut io::stdout(),
                &config::render(problems.as_slice()),
            ));
            ExitCode::from(EXIT_FAILED)
        }
        Err(error @ LoadError::CannotRead { .. }) => {
            drop(print(&mut io::stderr(), &format!("{}\n", chain(&error))));
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
