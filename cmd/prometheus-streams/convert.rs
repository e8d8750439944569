//! `prometheus-streams convert`

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use prometheus_streams::config::{self, LoadError, Role};
use prometheus_streams::convert::{self, ConvertError, Converted, Source};
use prometheus_streams::service::{EXIT_FAILED, EXIT_USAGE};
use prometheus_streams::telemetry::chain;

use crate::check::Program;
use crate::print;

/// What to convert.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Where to write the result; without it, to standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Overwrite the output if it is there already
    #[arg(long)]
    force: bool,
    /// Write only what this program needs; of a prometheus.yml, the poller's part is the default
    #[arg(long, value_name = "PROGRAM")]
    role: Option<Program>,
    /// The file: the ancestor's, a prometheus.yml, or one of our own
    file: PathBuf,
}

/// Converts a file; problems are in the words of `check`, on stderr, since stdout is the result's.
pub(crate) fn run(options: &Options) -> ExitCode {
    let text = match config::text_of(&options.file) {
        Ok(text) => text,
        Err(LoadError::Problems(problems)) => return refuse(&config::render(problems.as_slice())),
        Err(error @ LoadError::CannotRead { .. }) => {
            drop(print(&mut io::stderr(), &format!("{}\n", chain(&error))));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let file = options.file.to_string_lossy();
    let source = Source {
        text: &text,
        file: &file,
        role: options.role.map(Role::from),
    };
    match convert::convert(&source) {
        Ok(converted) => match deliver(&converted, options) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => refuse(&format!("{error:#}\n")),
        },
        Err(ConvertError::Problems(problems)) => refuse(&config::render(problems.as_slice())),
        Err(error @ ConvertError::Meaning(_)) => refuse(&format!("{}\n", chain(&error))),
    }
}

fn refuse(words: &str) -> ExitCode {
    drop(print(&mut io::stderr(), words));
    ExitCode::from(EXIT_FAILED)
}

/// Writes the result where it was asked for, and says what its reader should know.
fn deliver(converted: &Converted, options: &Options) -> Result<()> {
    let Some(path) = &options.output else {
        // A reader that has seen enough closes the pipe, which is no failure.
        drop(print(&mut io::stdout(), &converted.text));
        return Ok(());
    };
    write(path, &converted.text, options.force)?;
    let mut words = String::new();
    if !converted.is_changed {
        words.push_str("nothing had to be changed\n");
    }
    if converted.has_relative_paths && folder(path) != folder(&options.file) {
        words.push_str("relative paths in it begin at its own folder: move these files as well\n");
    }
    drop(print(&mut io::stderr(), &words));
    Ok(())
}

/// The folder of a file, by another name as well.
fn folder(path: &Path) -> Option<PathBuf> {
    let folder = path.parent()?;
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    folder.canonicalize().ok()
}

/// Writes a file that may hold secrets; one that is there keeps its owner and its mode.
fn write(path: &Path, text: &str, force: bool) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let name = path.display();
    let opened = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o640)
        .open(path);
    let mut file: File = match opened {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && force => OpenOptions::new()
            .write(true)
            .truncate(true)
            .open(path)
            .with_context(|| format!("cannot overwrite `{name}`"))?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            anyhow::bail!("`{name}` is there already; `--force` overwrites it")
        }
        opened => opened.with_context(|| format!("cannot create `{name}`"))?,
    };
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(|| format!("cannot write `{name}`"))
}
