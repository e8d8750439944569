//! Enrollment against a CA that answers as a Puppet server does.

mod keeping;
#[path = "../../../tests/support/puppet_ca.rs"]
mod puppet_ca;
mod refused;
mod renewing;
mod steps;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::{Address, EnrollError, Enrollment, Event, Outcome, Settings, Signed, Trust};
use crate::clock::Clock;
use crate::telemetry::chain;
use crate::tls::SslDir;
use puppet_ca::PuppetCa;

const NAME: &str = "usdc1.example.net";

/// Between two looks; nothing waits for it longer than it takes.
const WAIT: Duration = Duration::from_millis(20);

/// How long something may take that takes a moment on an idle machine.
const SOON: Duration = Duration::from_secs(60);

const DAY: i64 = 24 * 3600;

/// A CA, an empty ssldir, and what was told.
struct Site {
    ca: PuppetCa,
    folder: TempDir,
    settings: Settings,
    told: Arc<Mutex<Vec<Event>>>,
}

impl Site {
    async fn start() -> Self {
        crate::tls::install_provider();
        let ca = PuppetCa::start().await;
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings {
            ca: ca.address().parse::<Address>().unwrap(),
            wait: Duration::ZERO,
            ..Settings::new(SslDir::new(folder.path().join("ssl"), NAME))
        };
        Self {
            ca,
            folder,
            settings,
            told: Arc::default(),
        }
    }

    /// A site whose certificate is there.
    async fn enrolled() -> Self {
        let site = Self::start().await;
        site.ca.state().signs_at_once = true;
        site.signed().await;
        site.ca.state().signs_at_once = false;
        site
    }

    fn enrollment(&self) -> Enrollment {
        let told = Arc::clone(&self.told);
        let tell = move |event: &Event| told.lock().unwrap().push(event.clone());
        Enrollment::new(self.settings.clone(), Clock::system(), tell).unwrap()
    }

    /// An enrollment whose request the CA signs once it is told that it waits.
    fn signed_when_it_waits(&self) -> Enrollment {
        let (ca, told) = (self.ca.clone(), Arc::clone(&self.told));
        let tell = move |event: &Event| {
            told.lock().unwrap().push(event.clone());
            if matches!(event, Event::Waiting { .. }) && ca.has_request(NAME) {
                ca.sign(NAME);
            }
        };
        Enrollment::new(self.settings.clone(), Clock::system(), tell).unwrap()
    }

    /// Tries once.
    async fn enroll(&self) -> Result<Outcome, EnrollError> {
        let stop = CancellationToken::new();
        self.enrollment().enroll(Duration::ZERO, &stop).await
    }

    async fn signed(&self) -> Signed {
        match self.enroll().await {
            Ok(Outcome::Enrolled(signed)) => signed,
            other => panic!("not enrolled: {}", shown(&other)),
        }
    }

    /// Tries once to renew.
    async fn renew(&self) -> Result<Outcome, EnrollError> {
        let stop = CancellationToken::new();
        self.enrollment().renew(Duration::ZERO, &stop).await
    }

    fn trust(&mut self, trust: Trust) {
        self.settings.trust = trust;
    }

    fn ssl(&self) -> &SslDir {
        &self.settings.ssl_dir
    }

    fn told(&self) -> Vec<Event> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.ca.state().asked)
    }

    /// Returns how many requests the CA was given; like [`Self::asked`] it begins anew then.
    fn submitted(&self) -> usize {
        let asked = self.asked();
        asked
            .iter()
            .filter(|asked| asked.starts_with("PUT"))
            .count()
    }

    /// Answers the next requests so.
    fn answer(&self, answers: &[(u16, &str)]) {
        let answers = answers
            .iter()
            .map(|(status, text)| (*status, (*text).to_owned()));
        self.ca.state().answers.extend(answers);
    }
}

fn text(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap()
}

fn shown(result: &Result<Outcome, EnrollError>) -> String {
    match result {
        Ok(outcome) => format!("{outcome:?}"),
        Err(error) => chain(error),
    }
}

/// Checks that an error says something.
#[track_caller]
fn says(result: &Result<Outcome, EnrollError>, expected: &str) {
    let shown = shown(result);
    assert!(result.is_err() && shown.contains(expected), "{shown}");
}
