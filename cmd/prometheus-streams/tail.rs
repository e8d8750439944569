//! `prometheus-streams tail`

use std::collections::HashMap;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use prometheus_streams::bus::{Bus, Incoming, Kind, LaneId, Phase, Subject};
use prometheus_streams::config::{Config, Loaded};
use prometheus_streams::inspect::{self, Style};
use prometheus_streams::service::{self, EXIT_FAILED};
use prometheus_streams::telemetry::{self, Level, LogSettings};
use prometheus_streams::tls;
use prometheus_streams::wire::{DecodeSpace, LaneDecoder, LaneFrame, Record, ShapeStore};
use tokio::sync::mpsc;

use crate::{print, style};

/// Messages that were read and not yet printed; when it is full, reading waits.
const QUEUE: usize = 64;

/// What to follow.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only this site
    #[arg(long, value_name = "NAME")]
    publisher: Option<String>,
    /// Only this job
    #[arg(long, value_name = "NAME")]
    job: Option<String>,
    /// Only this instance
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
    /// Print expositions as the targets wrote them
    #[arg(long)]
    raw: bool,
}

/// Follows the stream until the reader goes away or something fails.
pub(crate) fn run(program: &service::Options, options: &Options) -> ExitCode {
    tls::install_provider();
    let followed = tokio::runtime::Runtime::new()
        .context("cannot start the runtime")
        .and_then(|runtime| runtime.block_on(follow(program, options)));
    match followed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(print(&mut io::stderr(), &format!("{error:#}\n")));
            ExitCode::from(EXIT_FAILED)
        }
    }
}

async fn follow(program: &service::Options, options: &Options) -> Result<()> {
    let file = program.config.as_deref();
    let file = file.context("no configuration file; name it with --config FILE")?;
    let Loaded { config, .. } = Config::load_with(file, program.overrides())?;
    let settings = config.receiver_stream.or(config.poller_stream);
    let settings =
        settings.context("the file has neither `receiver_stream` nor `poller_stream`")?;
    // Why there is no connection is worth a line on standard error, whatever the file says.
    let level = if program.debug {
        Level::Debug
    } else {
        Level::Warn
    };
    telemetry::init_log(&LogSettings { level, file: None })?;
    let topic = settings.topic.clone();
    let bus = Bus::connect(settings, "prometheus-streams tail").await?;
    bus.connected().await;
    // The connection writes, the printer reads; when it is full, messages stay in the stream.
    let (incoming_tx, mut incoming_rx) = mpsc::channel(QUEUE);
    let following = bus.follow(options.publisher.as_deref(), incoming_tx);
    let mut lanes = Lanes::default();
    let printing = async {
        while let Some(message) = incoming_rx.recv().await {
            if print(&mut io::stdout(), &lanes.show(&message, &topic, options)).is_err() {
                return;
            }
        }
    };
    tokio::select! {
        followed = following => Ok(followed?),
        () = printing => Ok(()),
    }
}

/// What the next messages are decoded with.
#[derive(Default)]
struct Lanes {
    shapes: ShapeStore,
    decoders: HashMap<LaneId, LaneDecoder>,
    space: DecodeSpace,
}

impl Lanes {
    /// Returns what is to be seen of a message; nothing if it was not asked for.
    fn show(&mut self, message: &Incoming, topic: &str, options: &Options) -> String {
        let is_new = message.phase == Phase::Live;
        let Ok(subject) = Subject::parse(&message.subject, topic) else {
            return format!("# {} is no subject of ours\n", message.subject);
        };
        let failed = |error: &dyn std::error::Error| {
            if is_new {
                format!("# {} cannot be decoded: {error}\n", message.subject)
            } else {
                String::new()
            }
        };
        let Subject { lane, kind } = subject;
        match kind {
            Kind::Text if !is_new => String::new(),
            Kind::Text => {
                let text = String::from_utf8_lossy(&message.payload);
                format!("# plain text on {}\n{text}\n", message.subject)
            }
            Kind::Shape => match self.shapes.read(&message.payload) {
                Ok(_) => String::new(),
                Err(error) => failed(&error),
            },
            Kind::Key | Kind::Delta => {
                let publisher = Arc::clone(&lane.publisher);
                let decoder = self.decoders.entry(lane).or_default();
                let space = &mut self.space;
                match decoder.decode_in(&message.payload, &self.shapes, space) {
                    Ok(frame) if is_new => show(frame, &publisher, options),
                    Ok(_) => String::new(),
                    Err(error) => failed(&error),
                }
            }
        }
    }
}

fn show(frame: LaneFrame, publisher: &str, options: &Options) -> String {
    let style: Style = style(options.raw);
    let mut shown = String::new();
    let mut part = None;
    for entry in frame.entries {
        match entry.into_record() {
            Err(of) => part = Some(of),
            Ok(record) => {
                let part = part.take();
                if is_wanted(&record, options) {
                    shown.extend(part.map(inspect::part));
                    let record = record.map(|body| body.to_text());
                    shown.push_str(&inspect::record(&record, Some(publisher), style));
                }
            }
        }
    }
    shown
}

fn is_wanted(record: &Record, options: &Options) -> bool {
    let matches =
        |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
    match record {
        Record::Scrape(scrape) => {
            matches(&options.job, scrape.target.job())
                && matches(&options.instance, scrape.target.instance())
        }
        Record::Heartbeat(_) => options.job.is_none() && options.instance.is_none(),
    }
}
