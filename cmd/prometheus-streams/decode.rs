//! `prometheus-streams decode`

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use prometheus_streams::inspect::{Lane, Style};
use prometheus_streams::service::{EXIT_FAILED, EXIT_USAGE};

use crate::print;

/// NATS takes no larger message, whatever its settings.
const MESSAGE_MAX: u64 = 64 << 20;

/// Prints the messages of a lane.
pub(crate) fn run(files: &[PathBuf], style: Style) -> ExitCode {
    let mut payloads = Vec::with_capacity(files.len());
    for file in files {
        match read(file) {
            Ok(payload) => payloads.push(payload),
            Err(error) => {
                let text = format!("cannot read `{}`: {error}\n", file.display());
                drop(print(&mut io::stderr(), &text));
                return ExitCode::from(EXIT_USAGE);
            }
        }
    }
    let mut lane = Lane::default();
    // Shapes may patch one another, so there may be more to learn in the next round.
    while payloads.len() > 1 {
        let learned = payloads.iter().filter(|payload| lane.learn_shapes(payload));
        if learned.count() == 0 {
            break;
        }
    }
    let mut is_good = true;
    for payload in &payloads {
        let shown = match lane.show(payload, style) {
            Ok(shown) => print(&mut io::stdout(), &shown),
            Err(error) => {
                is_good = false;
                let shown = print(&mut io::stdout(), error.shown());
                drop(print(&mut io::stderr(), &format!("{error}\n")));
                shown
            }
        };
        if shown.is_err() {
            break;
        }
    }
    if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(EXIT_FAILED)
    }
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut payload = Vec::new();
    if file == Path::new("-") {
        io::stdin().take(MESSAGE_MAX).read_to_end(&mut payload)?;
    } else {
        File::open(file)?
            .take(MESSAGE_MAX)
            .read_to_end(&mut payload)?;
    }
    Ok(payload)
}
