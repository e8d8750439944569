//! `prometheus-streams check`

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use prometheus_streams::clock::Clock;
use prometheus_streams::config::{self, Config, LoadError, Problems, Role};
use prometheus_streams::discover::{self, Discovery, Groups};
use prometheus_streams::scrape::{self, explain};
use prometheus_streams::service::{self, EXIT_FAILED, EXIT_USAGE};
use prometheus_streams::telemetry::{self, chain};
use prometheus_streams::tls;

use crate::print;

/// What to check.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Check as well that there is all that this program needs
    #[arg(long, value_name = "PROGRAM")]
    r#for: Option<Program>,
    /// Take a secret that everybody on this machine can read for a problem, as `strict: true` does
    #[arg(long)]
    strict: bool,
    /// Print the targets after discovery and relabelling, and what is none and why
    #[arg(long)]
    targets: bool,
    /// Print what each rule does to one target; its instance, or its address before relabelling
    #[arg(long, value_name = "JOB/INSTANCE")]
    relabel: Option<String>,
    /// Scrape one target once and print what would be published; its instance, or its address
    /// before relabelling
    #[arg(long, value_name = "JOB/INSTANCE")]
    scrape: Option<String>,
    /// The file
    file: PathBuf,
}

/// The longest that a source of targets may take to answer.
const SOURCE_TIMEOUT: Duration = Duration::from_secs(30);

/// A program that a file can be for.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Program {
    /// The poller
    Poller,
    /// The receiver
    Receiver,
}

impl From<Program> for Role {
    fn from(program: Program) -> Self {
        match program {
            Program::Poller => Self::Poller,
            Program::Receiver => Self::Receiver,
        }
    }
}

/// Prints what is wrong with a file; problems are what was asked for, so they go to stdout.
pub(crate) fn run(program: &service::Options, options: &Options) -> ExitCode {
    let overrides = program.overrides();
    let loaded = if options.strict {
        Config::load_strictly(&options.file, overrides)
    } else {
        Config::load_with(&options.file, overrides)
    };
    let checked = loaded.and_then(|loaded| {
        require(&loaded.config, options.r#for)?;
        let mut warnings = loaded.verify_files()?;
        warnings.splice(..0, loaded.warnings);
        Ok((loaded.config, warnings))
    });
    match checked {
        Ok((config, warnings)) => {
            drop(print(&mut io::stdout(), &config::render(&warnings)));
            if options.targets || options.relabel.is_some() || options.scrape.is_some() {
                return explain(&config, options);
            }
            let count = match warnings.len() {
                0 => "is good".to_owned(),
                1 => "is good, with 1 warning".to_owned(),
                count => format!("is good, with {count} warnings"),
            };
            drop(print(
                &mut io::stdout(),
                &format!("{} {count}\n", options.file.display()),
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
    program.map_or(Ok(()), |program| config.require(program.into()))
}

/// Asks every source once, and prints what becomes of what they list.
fn explain(config: &Config, options: &Options) -> ExitCode {
    tls::install_provider();
    let explained = tokio::runtime::Runtime::new()
        .context("cannot start the runtime")
        .and_then(|runtime| runtime.block_on(explain_all(config, options)));
    match explained {
        Ok(code) => code,
        Err(error) => {
            drop(print(&mut io::stderr(), &format!("{error:#}\n")));
            ExitCode::from(EXIT_FAILED)
        }
    }
}

async fn explain_all(config: &Config, options: &Options) -> Result<ExitCode> {
    // Nobody reads what is counted here.
    let metrics = telemetry::Metrics::new().register("discover", |registry| {
        discover::Metrics::register(registry, Clock::system())
    });
    let mut is_good = true;
    let mut is_relabeled = options.relabel.is_none();
    let mut is_scraped = options.scrape.is_none();
    for scrape in &config.scrape.configs {
        let of_job = |wanted: &Option<String>| {
            let rest = wanted.as_ref()?.strip_prefix(&*scrape.job_name)?;
            rest.strip_prefix('/').map(str::to_owned)
        };
        let (relabel, probe) = (of_job(&options.relabel), of_job(&options.scrape));
        if !options.targets && relabel.is_none() && probe.is_none() {
            // Single targets were asked for, and they are of other jobs.
            continue;
        }
        let (groups, failures) = discover_once(scrape, &metrics).await?;
        for (kind, error) in failures {
            is_good = false;
            let line = format!("job `{}`, {kind}: {}\n", scrape.job_name, chain(&error));
            drop(print(&mut io::stderr(), &line));
        }
        if options.targets {
            drop(print(&mut io::stdout(), &explain::list(scrape, &groups)));
        }
        let steps = relabel.and_then(|name| explain::relabelling(scrape, &groups, &name));
        if let Some(text) = steps {
            is_relabeled = true;
            drop(print(&mut io::stdout(), &text));
        }
        let Some(name) = probe.filter(|_| !is_scraped) else {
            continue;
        };
        let scraped = explain::scrape_once(scrape, &groups, &name).await;
        let scraped = scraped
            .with_context(|| format!("cannot set up the HTTP client of job `{}`", scrape.job_name));
        if let Some((text, was_good)) = scraped? {
            is_scraped = true;
            is_good &= was_good;
            drop(print(&mut io::stdout(), &text));
        }
    }
    if !is_relabeled || !is_scraped {
        is_good = false;
        let line = "no source lists such a target; `--targets` shows all\n";
        drop(print(&mut io::stderr(), line));
    }
    Ok(if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(EXIT_FAILED)
    })
}

async fn discover_once(
    scrape: &Arc<scrape::Config>,
    metrics: &discover::Metrics,
) -> Result<(Groups, Vec<(String, discover::DiscoverError)>)> {
    let discovery = Discovery::new(&scrape.job_name, &scrape.discovery, metrics.clone())
        .with_context(|| format!("cannot discover targets of job `{}`", scrape.job_name))?;
    Ok(discovery.once(SOURCE_TIMEOUT).await)
}
