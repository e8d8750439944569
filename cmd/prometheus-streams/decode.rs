//! `prometheus-streams decode`

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::ExitCode;

use prometheus_streams::inspect::{self, Style};
use prometheus_streams::service::{EXIT_FAILED, EXIT_USAGE};
use prometheus_streams::wire;

use crate::print;

/// NATS takes no larger message, whatever its settings.
const MESSAGE_MAX: u64 = 64 << 20;

/// Prints a message.
pub(crate) fn run(file: &Path, style: Style) -> ExitCode {
    let payload = match read(file) {
        Ok(payload) => payload,
        Err(error) => {
            let text = format!("cannot read `{}`: {error}\n", file.display());
            drop(print(&mut io::stderr(), &text));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match wire::decode(&payload) {
        Ok(frame) => {
            drop(print(
                &mut io::stdout(),
                &inspect::frame(&frame, None, style),
            ));
            ExitCode::SUCCESS
        }
        Err(error) => {
            drop(print(
                &mut io::stderr(),
                &format!("cannot decode the message: {error}\n"),
            ));
            ExitCode::from(EXIT_FAILED)
        }
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
