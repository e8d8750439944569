//! Enrollment while a program runs: at its start, and as time goes by.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::certificate::Signed;
use super::enrollment::{Enrollment, Outcome};
use super::error::EnrollError;
use super::{Event, Metrics, Settings};
use crate::clock::Clock;
use crate::retry::{Backoff, Retry};
use crate::telemetry::chain;

/// Waits after a failure; a CA that is away is asked again soon, and then every hour.
const RETRY_MIN: Duration = Duration::from_secs(60);
const RETRY_MAX: Duration = Duration::from_secs(60 * 60);

/// At the start, while nothing else can work, the first tries follow soon.
const START_MIN: Duration = Duration::from_secs(1);

/// Keeps one name enrolled.
#[derive(Debug)]
pub struct Keeper {
    enrollment: Enrollment,
    metrics: Metrics,
    /// When the CA was last asked for what it says today, in milliseconds since the Unix epoch.
    refreshed: AtomicI64,
}

impl Keeper {
    /// Takes settings whose name was checked; nothing is done yet.
    pub fn new(settings: Settings, clock: Clock, metrics: Metrics) -> Self {
        Self {
            enrollment: Enrollment::checked(settings, clock, log),
            metrics,
            refreshed: AtomicI64::new(0),
        }
    }

    /// Returns as soon as there is a certificate to begin with, or at `stop`.
    ///
    /// Only what is missing is fetched: a program starts without the CA if all is here. What fails
    /// is tried again for ever, because the remedy often lies with the CA.
    pub async fn begin(&self, stop: &CancellationToken) {
        let wait = self.enrollment.settings.wait.max(START_MIN);
        let mut backoff = Backoff::new(START_MIN, wait);
        let mut last = String::new();
        let mut is_waiting = false;
        while !stop.is_cancelled() {
            let Some(tried) = stop.run_until_cancelled(self.enrollment.attempt()).await else {
                return;
            };
            let delay = match tried {
                Ok(Some(signed)) => {
                    self.has(&signed);
                    return;
                }
                // Renewal has its own words for it, and the program may as well say that it cannot
                // connect.
                Err(EnrollError::Expired { not_after, .. }) => {
                    self.metrics.expires(not_after);
                    return;
                }
                Ok(None) => {
                    if !is_waiting {
                        let certname = self.enrollment.certname().to_owned();
                        log(&Event::Waiting {
                            certname,
                            delay: wait,
                        });
                    }
                    is_waiting = true;
                    last.clear();
                    backoff.reset();
                    wait
                }
                Err(error) => {
                    self.failed(&error, &mut last);
                    backoff.next(Retry::Yes)
                }
            };
            stop.run_until_cancelled(tokio::time::sleep(delay)).await;
        }
    }

    /// Fetches what the CA says once in a while, and renews the certificate before its end, until
    /// `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let settings = &self.enrollment.settings;
        // Whoever wants to know more often is not kept waiting longer.
        let mut backoff = Backoff::new(RETRY_MIN.min(settings.refresh), RETRY_MAX);
        let mut last = String::new();
        let mut delay = self.until_next();
        loop {
            if stop
                .run_until_cancelled(tokio::time::sleep(delay))
                .await
                .is_none()
            {
                return;
            }
            let Some(turn) = stop.run_until_cancelled(self.turn()).await else {
                return;
            };
            delay = match turn {
                Ok(Outcome::Enrolled(_)) => {
                    if !last.is_empty() {
                        info!("the CA answers as it should again");
                    }
                    last.clear();
                    backoff.reset();
                    self.until_next().max(START_MIN)
                }
                Ok(Outcome::Unsigned | Outcome::Stopped) => {
                    last.clear();
                    backoff.reset();
                    settings.wait.max(START_MIN)
                }
                Err(error) => {
                    self.failed(&error, &mut last);
                    backoff.next(Retry::Yes)
                }
            };
        }
    }

    async fn turn(&self) -> Result<Outcome, EnrollError> {
        if self.until_refresh().is_zero() {
            self.enrollment.refresh().await?;
            let now_ms = self.enrollment.clock.now_ms();
            self.refreshed.store(now_ms, Ordering::Relaxed);
            self.metrics.refreshed(now_ms);
        }
        let before = self.own();
        let margin = before
            .as_ref()
            .map_or(Duration::ZERO, |own| self.margin(own));
        let Some(signed) = self.enrollment.renew_once(margin).await? else {
            return Ok(Outcome::Unsigned);
        };
        if before.is_some_and(|before| before.serial != signed.serial) {
            self.metrics.renewed();
        }
        self.has(&signed);
        Ok(Outcome::Enrolled(signed))
    }

    fn has(&self, signed: &Signed) {
        self.metrics.expires(signed.not_after);
    }

    /// Counts each failure, and says what has changed.
    fn failed(&self, failure: &EnrollError, last: &mut String) {
        self.metrics.failed(failure.document());
        let text = chain(failure);
        if *last != text {
            error!(error = text, "enrollment cannot go on; it is tried again");
            *last = text;
        }
    }

    fn own(&self) -> Option<Signed> {
        let path = self.enrollment.settings.ssl_dir.cert();
        let text = super::files::read(&path).ok().flatten()?;
        self.enrollment.own(&text).ok()
    }

    /// Returns how long there is nothing to do.
    fn until_next(&self) -> Duration {
        let now_ms = self.enrollment.clock.now_ms();
        let until_renewal = self.own().map(|own| {
            let remaining = own.remaining(now_ms);
            remaining.saturating_sub(self.margin(&own))
        });
        self.until_refresh().min(until_renewal.unwrap_or_default())
    }

    /// Returns how long before its end a certificate is renewed; one that lives hardly longer than
    /// that would be renewed again and again.
    fn margin(&self, own: &Signed) -> Duration {
        let wanted = self.enrollment.settings.renew_before;
        wanted.min(own.lifetime() / 2)
    }

    fn until_refresh(&self) -> Duration {
        let refresh = self.enrollment.settings.refresh;
        let left = |age| refresh.saturating_sub(age);
        self.age().map_or(Duration::ZERO, left)
    }

    /// Returns how long ago the CA was asked; before that, how old the revocation lists are.
    fn age(&self) -> Option<Duration> {
        let now_ms = u64::try_from(self.enrollment.clock.now_ms()).ok()?;
        let now = Duration::from_millis(now_ms);
        let refreshed = u64::try_from(self.refreshed.load(Ordering::Relaxed)).ok()?;
        if refreshed > 0 {
            return Some(now.saturating_sub(Duration::from_millis(refreshed)));
        }
        let path = self.enrollment.settings.ssl_dir.crl();
        let modified = std::fs::metadata(path)
            .and_then(|file| file.modified())
            .ok()?;
        let modified = modified.duration_since(UNIX_EPOCH).ok()?;
        Some(now.saturating_sub(modified))
    }
}

fn log(event: &Event) {
    match event {
        // Once a day, with nothing to tell.
        Event::CrlStored => tracing::debug!(step = %event, "enrollment"),
        event if event.is_warning() => warn!(step = %event, "enrollment"),
        event => info!(step = %event, "enrollment"),
    }
}
