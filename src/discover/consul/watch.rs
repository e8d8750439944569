//! Asks Consul with blocking queries, and tells what changed.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use super::Settings;
use super::documents::{Agent, Context, Instance, Services, group};
use crate::discover::catalog::{CatalogError, Count, Question, Reply, ask, gone};
use crate::discover::source::{Output, Running, Source};
use crate::discover::{DiscoverError, Group};
use crate::http::{AuthError, Client, ClientError, redact};

/// How long Consul may hold a question back until something changes, as in Prometheus.
const WAIT: Duration = Duration::from_secs(120);

/// What is added to it: Consul waits up to a sixteenth longer, so that not all answers fall
/// together.
const WAIT_MARGIN: Duration = Duration::from_secs(15);

/// How long we wait after a failure, as Prometheus does.
const RETRY_INTERVAL: Duration = Duration::from_secs(15);

/// Answers on their way from the watchers: the reader only compares and hands on. A watcher that
/// is ahead of it waits, and so does its next question.
const ANSWERS: usize = 16;

/// Which version of a list was read last: `X-Consul-Index`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Index(u64);

impl Index {
    /// Takes the index of an answer, and tells whether the answer is news.
    ///
    /// One that goes backwards says that the server was restored or replaced: the next question
    /// starts anew, since waiting for a number that was passed already could miss a change. A
    /// server without an index cannot hold a question back, so each of its answers is news.
    fn take(&mut self, found: u64) -> bool {
        let is_news = found == 0 || found != self.0;
        self.0 = if found < self.0 { 0 } else { found };
        is_news
    }
}

/// What is asked again and again.
#[derive(Debug, Clone)]
enum Subject {
    /// The names of all services.
    Catalog,
    /// The instances of a service; the number tells a watcher from an earlier one of this name.
    Service(Arc<str>, u64),
}

/// What a watcher found.
enum Found {
    Catalog(Services),
    Service(Group),
}

/// What a watcher sends: `None` if the time was up without a change.
type Answer = (Subject, Result<Option<Found>, CatalogError>);

/// A source that watches one Consul.
pub(in crate::discover) struct Consul {
    settings: Settings,
    client: Client,
}

impl Consul {
    /// Builds the source; nothing is asked until it is run.
    pub(in crate::discover) fn new(settings: Settings) -> Result<Self, CatalogError> {
        let timeout = WAIT.saturating_add(WAIT_MARGIN);
        let client = Client::build(settings.http.clone(), timeout);
        let client = client.map_err(CatalogError::Client)?;
        Ok(Self { settings, client })
    }

    async fn watch(self, mut out: Output) {
        let mut asker = Asker {
            settings: self.settings,
            client: self.client,
            datacenter: String::new(),
        };
        asker.datacenter = asker.know_datacenter(&mut out).await;
        let (answers_tx, mut answers_rx) = mpsc::channel(ANSWERS);
        let mut watchers = Watchers {
            asker: Arc::new(asker),
            out,
            answers: answers_tx,
            services: HashMap::new(),
            count: Count::default(),
            begun: 0,
            is_catalog_known: true,
        };
        // Held until the end: dropping it ends the watcher.
        let _catalog = watchers.begin();
        loop {
            watchers.complete_if_known().await;
            match answers_rx.recv().await {
                Some(answer) => watchers.take(answer).await,
                None => return,
            }
        }
    }
}

impl Source for Consul {
    fn kind(&self) -> &'static str {
        "consul"
    }

    fn run(self: Box<Self>, out: Output) -> Running {
        Box::pin((*self).watch(out))
    }
}

/// One watcher for each service, and what they have in common.
struct Watchers {
    asker: Arc<Asker>,
    out: Output,
    answers: mpsc::Sender<Answer>,
    services: HashMap<Arc<str>, Watched>,
    count: Count,
    /// Watchers begun so far.
    begun: u64,
    /// Whether the list of services has been asked for once, or need not be.
    is_catalog_known: bool,
}

/// A service that is watched.
struct Watched {
    number: u64,
    has_answered: bool,
    /// Ends the watcher when dropped.
    _task: AbortOnDropHandle<()>,
}

impl Watchers {
    /// Begins with the list of services, or with the services themselves if all are named.
    fn begin(&mut self) -> Option<AbortOnDropHandle<()>> {
        let settings = &self.asker.settings;
        let needs_catalog =
            settings.services.is_empty() || !settings.tags.is_empty() || settings.filter.is_some();
        if needs_catalog {
            self.is_catalog_known = false;
            return Some(self.spawn(Subject::Catalog));
        }
        let names: BTreeSet<Arc<str>> = settings
            .services
            .iter()
            .map(|name| (**name).into())
            .collect();
        for name in names {
            self.watch(name);
        }
        None
    }

    fn spawn(&self, subject: Subject) -> AbortOnDropHandle<()> {
        let watcher = watch(Arc::clone(&self.asker), subject, self.answers.clone());
        AbortOnDropHandle::new(tokio::spawn(watcher))
    }

    fn watch(&mut self, name: Arc<str>) {
        self.begun = self.begun.wrapping_add(1);
        let watched = Watched {
            number: self.begun,
            has_answered: false,
            _task: self.spawn(Subject::Service(Arc::clone(&name), self.begun)),
        };
        self.services.insert(name, watched);
    }

    async fn complete_if_known(&self) {
        let mut services = self.services.values();
        if self.is_catalog_known && services.all(|watched| watched.has_answered) {
            self.out.complete().await;
        }
    }

    async fn take(&mut self, (subject, found): Answer) {
        let part = match subject {
            Subject::Catalog => {
                self.is_catalog_known = true;
                Arc::from("")
            }
            Subject::Service(name, number) => {
                // The service may be gone already while its answer was on the way.
                let watched = self.services.get_mut(&name);
                let Some(watched) = watched.filter(|watched| watched.number == number) else {
                    return;
                };
                watched.has_answered = true;
                name
            }
        };
        let taken = match found {
            Err(error) => Err(error.into()),
            Ok(None) => Ok(()),
            Ok(Some(Found::Catalog(services))) => {
                self.take_catalog(&services).await;
                Ok(())
            }
            Ok(Some(Found::Service(group))) => self.take_group(group).await,
        };
        match taken {
            Ok(()) => self.out.succeeded(&part),
            Err(error) => self.out.failed(&part, error).await,
        }
    }

    async fn take_group(&mut self, group: Group) -> Result<(), DiscoverError> {
        self.count.admit(&group)?;
        self.out.send(vec![Arc::new(group)]).await;
        Ok(())
    }

    /// Begins to watch services that are new, and forgets those that are gone.
    ///
    /// One that has lost its tags is watched on, as in Prometheus: its instances are then none.
    async fn take_catalog(&mut self, services: &Services) {
        for (name, tags) in services {
            let is_known = self.services.contains_key(name.as_str());
            let tags = tags.as_deref().unwrap_or_default();
            if !is_known && self.asker.settings.is_wanted(name, tags) {
                self.watch(name.as_str().into());
            }
        }
        let mut vanished = Vec::new();
        self.services.retain(|name, _| {
            let is_there = services.contains_key(&**name);
            if !is_there {
                vanished.push(gone(name));
            }
            is_there
        });
        for group in &vanished {
            self.out.forget(&group.source);
            // Nothing is fewer than before, so this cannot be too many.
            self.count.admit(group).unwrap_or_default();
        }
        self.out.send(vanished).await;
    }
}

impl Settings {
    fn is_wanted(&self, name: &str, tags: &[String]) -> bool {
        let is_named = self.services.is_empty() || self.services.iter().any(|known| known == name);
        is_named && self.tags.iter().all(|tag| tags.contains(tag))
    }
}

/// Asks the same again and again, each time for what changed since the last answer.
async fn watch(asker: Arc<Asker>, subject: Subject, answers: mpsc::Sender<Answer>) {
    // An answer may take longer than the interval, and then the next question follows at once.
    let period = asker
        .settings
        .refresh_interval
        .max(Duration::from_millis(1));
    let mut ticks = interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut index = Index::default();
    loop {
        let found = asker.ask(&subject, &mut index).await;
        let has_failed = found.is_err();
        if answers.send((subject.clone(), found)).await.is_err() {
            return;
        }
        if has_failed {
            sleep(RETRY_INTERVAL).await;
        }
        ticks.tick().await;
    }
}

/// Knows Consul's addresses and headers.
#[derive(Debug)]
struct Asker {
    settings: Settings,
    client: Client,
    datacenter: String,
}

impl Asker {
    /// Returns the datacenter: Consul answers for the agent's own, and does not say its name.
    async fn know_datacenter(&self, out: &mut Output) -> String {
        if let Some(datacenter) = &self.settings.datacenter {
            return datacenter.clone();
        }
        loop {
            match self.own_datacenter().await {
                Ok(datacenter) => {
                    out.succeeded("");
                    return datacenter;
                }
                Err(error) => {
                    out.failed("", error.into()).await;
                    out.complete().await;
                }
            }
            sleep(RETRY_INTERVAL).await;
        }
    }

    async fn own_datacenter(&self) -> Result<String, CatalogError> {
        let url = self.url(&["agent", "self"]);
        let agent: Agent = self.send(&url).await?.document()?;
        Ok(agent.config.datacenter)
    }

    async fn ask(
        &self,
        subject: &Subject,
        index: &mut Index,
    ) -> Result<Option<Found>, CatalogError> {
        match subject {
            Subject::Catalog => {
                let mut url = self.url(&["catalog", "services"]);
                add_filter(&mut url, self.settings.filter.as_deref());
                let services = self.ask_for_change(url, index).await?;
                Ok(services.map(Found::Catalog))
            }
            Subject::Service(name, _) => {
                let mut url = self.url(&["health", "service", name]);
                for tag in &self.settings.tags {
                    url.query_pairs_mut().append_pair("tag", tag);
                }
                add_filter(&mut url, self.settings.health_filter.as_deref());
                let context = Context {
                    service: name,
                    datacenter: &self.datacenter,
                    tag_separator: &self.settings.tag_separator,
                };
                let instances: Option<Vec<Instance>> = self.ask_for_change(url, index).await?;
                Ok(instances.map(|instances| Found::Service(group(&instances, context))))
            }
        }
    }

    /// Asks a blocking query; `None` if nothing changed within [`WAIT`].
    async fn ask_for_change<T: DeserializeOwned>(
        &self,
        mut url: Url,
        index: &mut Index,
    ) -> Result<Option<T>, CatalogError> {
        {
            let mut query = url.query_pairs_mut();
            if index.0 != 0 {
                query.append_pair("index", &index.0.to_string());
            }
            query.append_pair("wait", &format!("{}ms", WAIT.as_millis()));
            if self.settings.allow_stale {
                query.append_pair("stale", "");
            }
            for (key, value) in &self.settings.node_meta {
                query.append_pair("node-meta", &format!("{key}:{value}"));
            }
        }
        let reply = self.send(&url).await?;
        let mut next = *index;
        if !next.take(index_of(&reply)?) {
            return Ok(None);
        }
        let document = reply.document()?;
        // Only now: what could not be read is asked for again.
        *index = next;
        Ok(Some(document))
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.settings.server.clone();
        // Cannot fail: an address of an HTTP server always has a path.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(path);
        }
        let places = [
            ("dc", &self.settings.datacenter),
            ("ns", &self.settings.namespace),
            ("partition", &self.settings.partition),
        ];
        for (key, value) in places {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(key, value);
            }
        }
        url
    }

    async fn send(&self, url: &Url) -> Result<Reply, CatalogError> {
        let mut headers = HeaderMap::new();
        if let Some(token) = self.token().map_err(|source| CatalogError::NoAnswer {
            url: redact(url),
            source: ClientError::Auth(source),
        })? {
            headers.insert("x-consul-token", token);
        }
        let question = Question {
            url,
            headers,
            body: None,
            timeout: WAIT.saturating_add(WAIT_MARGIN),
        };
        ask(&self.client, question).await
    }

    fn token(&self) -> Result<Option<HeaderValue>, AuthError> {
        let Some(token) = &self.settings.token else {
            return Ok(None);
        };
        let value = HeaderValue::from_str(&token.reveal()?);
        let mut value = value.map_err(|_secret| AuthError::NotAHeader)?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

fn add_filter(url: &mut Url, filter: Option<&str>) {
    if let Some(filter) = filter {
        url.query_pairs_mut().append_pair("filter", filter);
    }
}

/// Reads the version of what was answered; 0 if the server does not say.
fn index_of(reply: &Reply) -> Result<u64, CatalogError> {
    const HEADER: &str = "x-consul-index";
    let Some(value) = reply.headers.get(HEADER) else {
        return Ok(0);
    };
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| reply.bad_header(HEADER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_index(last: u64, found: u64, is_news: bool, next: u64) {
        let mut index = Index(last);
        assert_eq!(index.take(found), is_news, "news");
        assert_eq!(index.0, next, "next");
    }

    #[test]
    fn an_index_that_grows_is_news() {
        check_index(0, 7, true, 7);
        check_index(7, 9, true, 9);
        check_index(7, 7, false, 7);
    }

    #[test]
    fn an_index_that_goes_backwards_is_news_and_starts_anew() {
        check_index(9, 7, true, 0);
    }

    #[test]
    fn without_an_index_each_answer_is_news() {
        check_index(0, 0, true, 0);
        check_index(9, 0, true, 0);
    }
}
