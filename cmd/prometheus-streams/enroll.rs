//! `prometheus-streams enroll`

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use prometheus_streams::clock::Clock;
use prometheus_streams::config::{Config, parse_seconds_or_duration};
use prometheus_streams::enroll::{
    self, Address, Attributes, Enrollment, Event, Fingerprint, Outcome, Settings, Trust,
};
use prometheus_streams::model::Secret;
use prometheus_streams::service::{self, EXIT_FAILED, EXIT_USAGE};
use prometheus_streams::telemetry::chain;
use prometheus_streams::tls::{self, SslDir};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::print;

/// The largest file of attributes; there is not much to say in one.
const ATTRIBUTES_MAX: u64 = 1 << 20;

/// Whom to enroll, and where.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Name of the certificate, in lower case; unique at the CA
    ///
    /// Without it, that of the `enroll` block of --config, or else this host's name.
    identity: Option<String>,
    /// Folder for the files, laid out as a Puppet agent's ssldir; made if it is missing
    ///
    /// Files that root makes are given to the owner of the folder that they stand in.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Address of the Puppet CA [default: puppet:8140]
    #[arg(long, value_name = "HOST:PORT")]
    ca: Option<Address>,
    /// SHA-256 fingerprint of the CA's root certificate, or of the whole file of its certificates
    ///
    /// As `openssl x509 -noout -fingerprint -sha256` prints it for the root certificate, or
    /// `sha256sum` for the CA's `ca_crt.pem`. Without it and --ca-file the CA that answers first
    /// is trusted.
    #[arg(long, value_name = "SHA256:HEX", conflicts_with = "ca_file")]
    ca_fingerprint: Option<Fingerprint>,
    /// File with the CA's certificates, in place of asking the CA for them
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Trusted fact for the certificate, such as `pp_role=poller`; can be given more than once
    ///
    /// One of Puppet's names, or an object identifier below 1.3.6.1.4.1.34380.1.
    #[arg(long, value_name = "NAME=VALUE")]
    extension: Vec<String>,
    /// File of extensions and challenge, as a Puppet agent's `csr_attributes.yaml`
    #[arg(long, value_name = "FILE")]
    csr_attributes: Option<PathBuf>,
    /// Challenge for the CA's autosigning policy; others on this host can see it in the list of
    /// processes, unlike that of --challenge-file
    #[arg(long, value_name = "TEXT", conflicts_with = "challenge_file")]
    challenge: Option<String>,
    /// File with the challenge for the CA's autosigning policy
    #[arg(long, value_name = "FILE")]
    challenge_file: Option<PathBuf>,
    /// Further name of a server, such as nats.example.net or IP:192.0.2.1; can be given more than
    /// once, and the CA has to allow it
    #[arg(long, value_name = "NAME")]
    dns_alt_name: Vec<String>,
    /// How long to wait between two looks for the certificate; with 0, look once and fail [default:
    /// 2m]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    waitforcert: Option<Duration>,
    /// How long to wait in all for the CA to sign [default: 30m]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,
    /// Fetch the CA's certificates and revocation lists anew, and renew the certificate if it ends
    /// soon
    #[arg(long)]
    renew: bool,
    /// How long before its end a certificate is renewed; a long time renews it now [default: 30d]
    #[arg(long, value_name = "TIME", value_parser = duration, requires = "renew")]
    renew_before: Option<Duration>,
}

fn duration(text: &str) -> Result<Duration, &'static str> {
    parse_seconds_or_duration(text).ok_or("write seconds, such as `120`, or a time such as `2m`")
}

/// Enrolls, and prints each step.
pub(crate) fn run(program: &service::Options, options: &Options) -> ExitCode {
    tls::install_provider();
    let settings = match settings(program, options) {
        Ok(settings) => settings,
        Err(error) => {
            drop(print(&mut io::stderr(), &format!("{error:#}\n")));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let enrolled = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
        .and_then(|runtime| runtime.block_on(enroll(settings, options)));
    match enrolled {
        Ok(code) => code,
        Err(error) => {
            drop(print(&mut io::stderr(), &format!("{error:#}\n")));
            ExitCode::from(EXIT_FAILED)
        }
    }
}

async fn enroll(settings: Settings, options: &Options) -> Result<ExitCode> {
    let timeout = options.timeout.unwrap_or(enroll::TIMEOUT);
    let certname = settings.ssl_dir.certname().to_owned();
    let enrollment = Enrollment::new(settings, Clock::system(), tell);
    let enrollment = enrollment.map_err(|error| anyhow::Error::msg(chain(&error)))?;
    let stop = CancellationToken::new();
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    let stopping = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        stopping.cancel();
    });
    let outcome = if options.renew {
        enrollment.renew(timeout, &stop).await
    } else {
        enrollment.enroll(timeout, &stop).await
    };
    match outcome.map_err(|error| anyhow::Error::msg(chain(&error)))? {
        Outcome::Enrolled(signed) => {
            let line = format!("`{certname}` is enrolled: {signed}\n");
            drop(print(&mut io::stdout(), &line));
            Ok(ExitCode::SUCCESS)
        }
        Outcome::Unsigned => bail!(
            "the certificate `{certname}` is not signed yet; `puppetserver ca sign --certname \
             {certname}` at the CA does it, then run this command again"
        ),
        Outcome::Stopped => bail!("stopped"),
    }
}

/// Prints a step; what an operator should look at goes to where errors go.
fn tell(event: &Event) {
    let line = format!("{event}\n");
    if event.is_warning() {
        drop(print(&mut io::stderr(), &line));
    } else {
        drop(print(&mut io::stdout(), &line));
    }
}

/// Puts together what the configuration and the command line say; the latter has the last word.
fn settings(program: &service::Options, options: &Options) -> Result<Settings> {
    let configured = match &program.config {
        Some(file) => Config::load_with(file, program.overrides())?.config.enroll,
        None => None,
    };
    let known = configured.as_ref().map(|settings| &settings.ssl_dir);
    let certname = match (&options.identity, known) {
        (Some(identity), _) => identity.clone(),
        (None, Some(known)) => known.certname().to_owned(),
        (None, None) => host()?,
    };
    let dir = options.dir.as_deref().or_else(|| known.map(SslDir::dir));
    let dir = dir.context("no folder for the files; name it with --dir DIR")?;
    let ssl_dir = SslDir::new(dir, certname);
    let mut settings = match configured {
        Some(settings) => Settings {
            ssl_dir,
            ..settings
        },
        None => Settings::new(ssl_dir),
    };
    if let Some(ca) = &options.ca {
        settings.ca = ca.clone();
    }
    if let Some(fingerprint) = options.ca_fingerprint {
        settings.trust = Trust::Fingerprint(fingerprint);
    }
    if let Some(file) = &options.ca_file {
        settings.trust = Trust::File(file.clone());
    }
    if let Some(wait) = options.waitforcert {
        settings.wait = wait;
    }
    if let Some(before) = options.renew_before {
        settings.renew_before = before;
    }
    add(&mut settings.attributes, options)?;
    Ok(settings)
}

fn add(attributes: &mut Attributes, options: &Options) -> Result<()> {
    if let Some(file) = &options.csr_attributes {
        let text = read(file)?;
        let added = attributes.add_file(&text);
        added.with_context(|| format!("cannot use `{}`", file.display()))?;
    }
    for extension in &options.extension {
        attributes.add_extension(extension)?;
    }
    for name in &options.dns_alt_name {
        attributes.add_alt_name(name)?;
    }
    if let Some(challenge) = &options.challenge {
        attributes.set_challenge(Secret::Inline(challenge.as_str().into()));
    }
    if let Some(file) = &options.challenge_file {
        attributes.set_challenge(Secret::File(file.clone()));
    }
    Ok(())
}

fn read(file: &Path) -> Result<String> {
    let cannot = || format!("cannot read `{}`", file.display());
    let length = std::fs::metadata(file).with_context(cannot)?.len();
    if length > ATTRIBUTES_MAX {
        bail!("`{}` has more than {ATTRIBUTES_MAX} bytes", file.display());
    }
    std::fs::read_to_string(file).with_context(cannot)
}

/// Returns this host's name, as Puppet takes it for a certificate's.
fn host() -> Result<String> {
    let name = rustix::system::uname();
    let name = name.nodename().to_string_lossy().to_lowercase();
    let advice =
        || format!("this host's name `{name}` is none; name the certificate: enroll IDENTITY");
    enroll::check_certname(&name).with_context(advice)?;
    Ok(name)
}
