//! Man pages and completions of all programs, for whoever makes packages.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args as _, Command};
use clap_complete::Shell;
use prometheus_streams::service;
use prometheus_streams::telemetry::chain;

/// The programs that run one part only, each with the subcommand that does the same.
const PARTS: [(&str, &str); 2] = [
    ("prometheus-streams-poller", "poller"),
    ("prometheus-streams-receiver", "receiver"),
];

/// Writes into `man`, `bash`, `zsh` and `fish` below a folder.
pub(super) fn run(program: &Command, dir: &Path) -> ExitCode {
    match write_all(program, dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let text = format!("{}\n", chain(error.as_ref()));
            // There is nobody left to tell when this fails.
            drop(super::print(&mut io::stderr(), &text));
            ExitCode::from(service::EXIT_FAILED)
        }
    }
}

fn write_all(program: &Command, dir: &Path) -> anyhow::Result<()> {
    let programs = parts(program).chain([program.clone()]).collect::<Vec<_>>();
    let man = folder(dir, "man")?;
    for program in programs.iter().rev() {
        // Pages of the subcommands, too; a part's own page comes last, in place of its subcommand's.
        clap_mangen::generate_to(program.clone(), &man)
            .with_context(|| format!("cannot write man pages into `{}`", man.display()))?;
    }
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let completions = folder(dir, &shell.to_string())?;
        for mut program in programs.iter().cloned() {
            let name = program.get_name().to_owned();
            let path = clap_complete::generate_to(shell, &mut program, &name, &completions)
                .with_context(|| format!("cannot write into `{}`", completions.display()))?;
            if matches!(shell, Shell::Bash) {
                // bash-completion looks for a file of the program's name.
                fs::rename(&path, path.with_extension(""))
                    .with_context(|| format!("cannot rename `{}`", path.display()))?;
            }
        }
    }
    Ok(())
}

/// The programs that run one part: they take the options of all programs and nothing else.
fn parts(program: &Command) -> impl Iterator<Item = Command> {
    PARTS.iter().filter_map(|(name, part)| {
        let about = program.find_subcommand(part)?.get_about()?.clone();
        let version = env!("CARGO_PKG_VERSION");
        let command = Command::new(*name).version(version);
        // The options bring a text about themselves.
        Some(service::Options::augment_args(command).about(about))
    })
}

fn folder(dir: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let folder = dir.join(name);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    Ok(folder)
}
