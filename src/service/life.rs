//! A program over all its reloads.

use std::future::Future;
use std::path::Path;
use std::pin::pin;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::enrolled::enrolled;
use super::notify::{Link, Notify, PATIENCE};
use super::reload::{Outcome, ReloadMetrics, Reloads, Request, ScrapeReload};
use super::{Context, Ending, Options, ServiceError, load, warn_of};
use crate::admin::{Admin, Readiness};
use crate::clock::Clock;
use crate::config::{self, Config, Loaded, Role};
use crate::telemetry::{LogHandle, Metrics, chain};
use crate::tls;

/// New scrape configurations on their way to the part: one, since the next request is looked at
/// when the part has answered.
const SCRAPE_RELOADS: usize = 1;

/// A program from its start to its end.
pub(super) struct Life<'l> {
    pub(super) role: Role,
    pub(super) options: &'l Options,
    pub(super) file: &'l Path,
    pub(super) stop: CancellationToken,
    pub(super) reloads: Reloads,
    pub(super) requests: mpsc::Receiver<Request>,
    pub(super) metrics: ReloadMetrics,
    pub(super) log: LogHandle,
    pub(super) notify: Notify,
}

/// How a part has run with one configuration.
struct Run {
    result: Result<Ending, ServiceError>,
    /// Whether it had begun to work.
    was_ready: bool,
    /// The configuration with which it shall start anew, and who asked for it.
    next: Option<(Config, Request)>,
}

impl Run {
    /// It could not even begin.
    fn never(error: ServiceError) -> Self {
        Self {
            result: Err(error),
            was_ready: false,
            next: None,
        }
    }
}

/// A reload that the part has been told of.
struct Told {
    config: Config,
    request: Request,
    outcome: oneshot::Receiver<Outcome>,
}

impl Life<'_> {
    /// Runs the part, again after each reload that it cannot take while it runs.
    pub(super) async fn lead<F, E>(
        &mut self,
        mut config: Config,
        part: impl Fn(Context) -> F,
    ) -> Result<Ending, ServiceError>
    where
        F: Future<Output = Result<Ending, E>>,
        E: std::error::Error + Send + Sync + 'static,
    {
        let mut ending = Ending::Clean;
        // What to go back to when the part cannot run with the new one.
        let mut old: Option<Config> = None;
        let mut asker: Option<Request> = None;
        loop {
            let run = self.run(&mut config, asker.take(), &part).await;
            match (run.result, old.take(), run.next) {
                (Ok(last), _, next) => {
                    if last == Ending::Unclean {
                        ending = last;
                    }
                    let Some((next, request)) = next else {
                        return Ok(ending);
                    };
                    old = Some(std::mem::replace(&mut config, next));
                    asker = Some(request);
                }
                (Err(error), Some(old), next) if !run.was_ready => {
                    error!(
                        error = chain(&error),
                        "cannot run with the new configuration; the old one goes on"
                    );
                    self.metrics.failed();
                    config = old;
                    if let Some((next, request)) = next {
                        config = next;
                        asker = Some(request);
                    }
                }
                (Err(error), ..) => return Err(error),
            }
            if self.stop.is_cancelled() {
                return Ok(ending);
            }
            info!("starting anew");
        }
    }

    /// Runs the part with one configuration, until it ends or has to start anew.
    async fn run<F, E>(
        &mut self,
        config: &mut Config,
        mut asker: Option<Request>,
        part: impl Fn(Context) -> F,
    ) -> Run
    where
        F: Future<Output = Result<Ending, E>>,
        E: std::error::Error + Send + Sync + 'static,
    {
        self.log.set_level(config.log.level);
        let metrics = Metrics::new();
        self.metrics.register(&metrics);
        metrics.register("tls", |registry| {
            tls::Metrics::register(registry, config.tls_of(self.role));
        });
        let stop = self.stop.child_token();
        let ready = Readiness::default();
        let pages = match self.open_pages(config, &metrics, &ready, &stop) {
            Ok(pages) => pages,
            Err(error) => {
                answer(asker, Err(chain(&error)));
                return Run::never(error);
            }
        };
        let (scrapes_tx, reloads) = mpsc::channel(SCRAPE_RELOADS);
        let link = Link::default();
        let context = Context {
            config: config.clone(),
            reloads,
            metrics,
            clock: Clock::system(),
            stop: stop.clone(),
            ready: ready.clone(),
            link: link.clone(),
        };
        self.notify.follow(&ready, &link);
        let mut up = pin!(tokio::time::timeout(PATIENCE, ready.wait()));
        let mut is_up = false;
        let mut running = pin!(enrolled(context, &part));
        let mut next: Option<(Config, Request)> = None;
        let mut told: Option<Told> = None;
        let result = loop {
            tokio::select! {
                // The end is told before it comes.
                biased;
                () = self.stop.cancelled(), if !self.notify.is_stopping() => self.notify.stopping(),
                result = &mut running => break result,
                () = self.notify.time_to_look() => self.notify.look(),
                _ready_or_late = &mut up, if !is_up => {
                    is_up = true;
                    self.notify.up();
                }
                () = ready.wait(), if asker.is_some() => {
                    self.metrics.succeeded(&Clock::system());
                    answer(asker.take(), Ok(()));
                }
                outcome = outcome_of(&mut told) => {
                    if let Some(told) = told.take() {
                        self.end_reload(config, told, outcome);
                    }
                }
                Some(request) = self.requests.recv(), if next.is_none() && told.is_none() => {
                    self.notify.reloading();
                    match self.look(config, request, &scrapes_tx) {
                        Look::Done => self.notify.reloaded(),
                        Look::Told(new) => told = Some(*new),
                        Look::Anew(new, request) => {
                            info!("stopping in order, to start anew with the new configuration");
                            next = Some((*new, request));
                            stop.cancel();
                        }
                    }
                }
            }
        };
        stop.cancel();
        close(pages, told).await;
        if let Err(error) = &result {
            answer(asker, Err(chain(error)));
        }
        Run {
            result: result.map_err(|error| ServiceError::Part(Box::new(error))),
            was_ready: ready.is_ready(),
            next,
        }
    }

    /// Takes up what the part has taken.
    fn end_reload(&mut self, config: &mut Config, told: Told, outcome: Outcome) {
        match &outcome {
            Ok(()) => {
                *config = told.config;
                self.log.set_level(config.log.level);
                self.metrics.succeeded(&Clock::system());
            }
            Err(_) => self.metrics.failed(),
        }
        told.request.answer(outcome);
        self.notify.reloaded();
    }

    fn open_pages(
        &self,
        config: &Config,
        metrics: &Metrics,
        ready: &Readiness,
        stop: &CancellationToken,
    ) -> Result<Option<JoinHandle<()>>, ServiceError> {
        let Some(settings) = config.admin else {
            return Ok(None);
        };
        let mut admin = Admin::open(settings, metrics.clone(), ready.clone())?;
        if let Some(file) = &config.web_config {
            admin = admin.secured_by(file, |file| {
                config::web_config(file).map_err(|error| chain(&error))
            })?;
        }
        if self.options.enable_lifecycle {
            let reloads = self.reloads.clone();
            admin = admin.reload_by(move || {
                let reloads = reloads.clone();
                Box::pin(async move { reloads.request().await })
            });
        }
        Ok(Some(tokio::spawn(admin.run(stop.clone()))))
    }

    /// Reads the file again.
    fn look(
        &self,
        config: &mut Config,
        request: Request,
        scrapes: &mpsc::Sender<ScrapeReload>,
    ) -> Look {
        info!(config = %self.file.display(), "reading the configuration again");
        let new = match load(self.role, self.options, self.file) {
            Ok(Loaded {
                config, warnings, ..
            }) => {
                warn_of(&warnings);
                config
            }
            Err(error) => {
                error!(
                    error = chain(&error),
                    "the new configuration is refused; the old one goes on"
                );
                self.metrics.failed();
                request.answer(Err(chain(&error)));
                return Look::Done;
            }
        };
        if !config.is_alike(&new, self.role) {
            return Look::Anew(Box::new(new), request);
        }
        if self.role == Role::Receiver || config.scrape == new.scrape {
            if config.log.level == new.log.level {
                info!("nothing has changed");
            } else {
                self.log.set_level(new.log.level);
                info!(level = ?new.log.level, "only how much is logged has changed");
            }
            config.log = new.log;
            self.metrics.succeeded(&Clock::system());
            request.answer(Ok(()));
            return Look::Done;
        }
        let (answer, outcome) = oneshot::channel();
        let reload = ScrapeReload::new(new.scrape.clone(), answer);
        match scrapes.try_send(reload) {
            Ok(()) => Look::Told(Box::new(Told {
                config: new,
                request,
                outcome,
            })),
            Err(_full) => Look::Anew(Box::new(new), request),
        }
    }
}

/// What a look at the file leads to.
enum Look {
    /// Nothing more.
    Done,
    /// The part was told.
    Told(Box<Told>),
    /// The part has to start anew.
    Anew(Box<Config>, Request),
}

/// Waits for the end of our own pages, and answers a reload that came to nothing.
async fn close(pages: Option<JoinHandle<()>>, told: Option<Told>) {
    if let Some(pages) = pages {
        drop(pages.await);
    }
    let outcome = Err("the program is stopping".to_owned());
    answer(told.map(|told| told.request), outcome);
}

fn answer(asker: Option<Request>, outcome: Outcome) {
    if let Some(asker) = asker {
        asker.answer(outcome);
    }
}

/// Returns what came of a reload that the part was told of; never if there is none.
async fn outcome_of(told: &mut Option<Told>) -> Outcome {
    match told {
        Some(told) => {
            let outcome = (&mut told.outcome).await;
            outcome.unwrap_or_else(|_ended| Err("the program is stopping".to_owned()))
        }
        None => std::future::pending().await,
    }
}
