//! Pushgateway: each target's last scrape as a group of its own.
//!
//! In: deliveries. Out: a PUT for each scrape, which replaces the target's group, so that a metric
//! that vanished from the target vanishes here; a DELETE when the target fails, is gone or silent;
//! and a verdict on every delivery. Pushes of different targets go out at the same time, those of
//! one target one after the other. This module alone knows the gateway's paths and what it
//! refuses; it never waits between two tries.

mod answer;
mod body;
mod group;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ::http::header::CONTENT_TYPE;
use ::http::{HeaderMap, HeaderValue, Method};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Semaphore;
use url::Url;

use super::labels::TargetLabels;
use super::removed::{Removal, Removed};
use super::targets::{TARGETS_MAX, Targets};
use super::{Batching, DeliverError, Delivery, State, TargetKey};
use crate::clock::Clock;
use crate::http::{self, Client, ClientError, ERROR_BODY_MAX};
use crate::model::{Labels, Note, Outcome, Text};
use crate::wire::{Body, Scrape};
use answer::{Request, classify};

/// A Pushgateway and how to push to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Its address, with a path prefix if it has one.
    pub url: Url,
    /// Whether the site becomes part of the grouping key.
    pub publisher_label: bool,
    /// What happens to a group whose target fails, is gone or silent.
    pub on_failure: OnFailure,
    /// Pushes at the same time.
    pub concurrency: usize,
    /// Limit for each request.
    pub timeout: Duration,
    /// The first wait after a failure.
    pub min_backoff: Duration,
    /// The longest wait after a failure.
    pub max_backoff: Duration,
    /// Authorization, TLS, headers.
    pub http: http::Settings,
}

/// What happens to a group whose target does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// It is deleted, so that the gateway never shows dead values.
    Delete,
    /// It stays as last pushed.
    Keep,
}

/// Calls at the same time; the pushes of all of them share `concurrency`, so that a batch with
/// one slow push does not keep the rest idle.
const CALLS_MAX: usize = 4;

/// Text in a batch: some dozens of targets of the usual size, enough to be busy with.
const BATCH_TEXT_BYTES: usize = 2 * 1024 * 1024;

/// A Pushgateway and which groups it has.
#[derive(Debug)]
pub struct Pushgateway {
    settings: Settings,
    client: Client,
    clock: Clock,
    /// What is known of the targets' groups; an unknown one may be there from an earlier life.
    groups: Targets<Group>,
    /// One permit for each request under way.
    permits: Semaphore,
    removed: Removed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    Present,
    Absent,
}

impl Pushgateway {
    /// Builds the sink; connects with the first delivery.
    pub fn build(settings: Settings) -> Result<Self, ClientError> {
        let client = Client::build(settings.http.clone(), settings.timeout)?;
        let permits = settings.concurrency.clamp(1, Semaphore::MAX_PERMITS);
        Ok(Self {
            settings,
            client,
            clock: Clock::system(),
            groups: Targets::new(TARGETS_MAX),
            permits: Semaphore::new(permits),
            removed: Removed::default(),
        })
    }

    /// Returns the name that metrics and logs carry.
    pub fn name(&self) -> &'static str {
        "pushgateway"
    }

    /// Tries every pending delivery once; see [`crate::sink::Sink::deliver`].
    ///
    /// Once the gateway cannot be reached, pushes that have not begun are not tried.
    pub async fn deliver(&self, batch: &mut [Delivery]) -> Result<(), DeliverError> {
        let is_unreachable = AtomicBool::new(false);
        let concurrency = self.settings.concurrency.max(1);
        let mut outcome = Ok(());
        let mut pushes = FuturesUnordered::new();
        for (key, chain) in by_target(batch) {
            if pushes.len() >= concurrency
                && let Some(pushed) = pushes.next().await
            {
                outcome = outcome.and(pushed);
            }
            pushes.push(self.deliver_target(key, chain, &is_unreachable));
        }
        while let Some(pushed) = pushes.next().await {
            outcome = outcome.and(pushed);
        }
        outcome
    }

    /// Learns which groups were made in an earlier life.
    pub fn prime(&self, publisher: &Arc<str>, scrape: &Scrape) {
        let group = match scrape.outcome {
            Outcome::Exposed { .. } => Group::Present,
            Outcome::Failed { .. } | Outcome::Gone | Outcome::Noted(_) => {
                if self.settings.on_failure == OnFailure::Keep {
                    return;
                }
                Group::Absent
            }
        };
        let key = TargetKey {
            publisher: Arc::clone(publisher),
            target: Arc::clone(&scrape.target),
        };
        self.groups.set(key, group);
    }

    /// Returns the size of batches that keep the connections busy.
    pub fn batching(&self) -> Batching {
        Batching {
            concurrency: CALLS_MAX,
            text_bytes_max: BATCH_TEXT_BYTES,
            linger: Duration::ZERO,
            min_backoff: self.settings.min_backoff,
            max_backoff: self.settings.max_backoff,
        }
    }

    /// Returns how much was left out of the scrapes, by reason.
    pub fn removed(&self) -> Vec<(&'static str, u64)> {
        self.removed.counts()
    }

    /// Delivers one target's scrapes, in order, up to the first that must wait.
    async fn deliver_target(
        &self,
        key: TargetKey,
        chain: Vec<&mut Delivery>,
        is_unreachable: &AtomicBool,
    ) -> Result<(), DeliverError> {
        for delivery in chain {
            if is_unreachable.load(Ordering::Relaxed) {
                return Ok(());
            }
            match self.deliver_one(&key, &delivery.scrape).await {
                Ok(state) => delivery.state = state,
                Err(error) => {
                    if matches!(error, DeliverError::Client(_)) {
                        is_unreachable.store(true, Ordering::Relaxed);
                    }
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    async fn deliver_one(&self, key: &TargetKey, scrape: &Scrape) -> Result<State, DeliverError> {
        let none = Labels::default();
        let publisher = self.settings.publisher_label.then_some(&*key.publisher);
        let labels = TargetLabels::new(&scrape.target, publisher, &none);
        match &scrape.outcome {
            Outcome::Exposed { body, .. } => self.push(key, body, &labels).await,
            // It belongs to no group.
            Outcome::Noted(Note::Site { .. }) => Ok(State::Delivered),
            Outcome::Failed { .. } | Outcome::Gone | Outcome::Noted(_) => {
                self.delete(key, &labels).await
            }
        }
    }

    async fn push(
        &self,
        key: &TargetKey,
        exposed: &Body,
        labels: &TargetLabels<'_>,
    ) -> Result<State, DeliverError> {
        let Text { text, format } = exposed.to_text();
        let mut body = match body::translate(&text, format, labels) {
            Ok(body) => body,
            Err(error) => {
                let (reason, detail) = ("bad_syntax", error.to_string());
                return Ok(State::Rejected { reason, detail });
            }
        };
        if let Body::Columns(columns) = exposed {
            let histograms = columns.column.histograms().len();
            body.removals.add_many(Removal::NativeHistogram, histograms);
        }
        let state = self.send(Request::Push, labels, body.text.into()).await?;
        self.removed.add(&body.removals);
        // A refused push leaves the group as it was, or makes one that says when it failed.
        self.groups.set(key.clone(), Group::Present);
        Ok(state)
    }

    async fn delete(
        &self,
        key: &TargetKey,
        labels: &TargetLabels<'_>,
    ) -> Result<State, DeliverError> {
        let is_kept = self.settings.on_failure == OnFailure::Keep;
        if is_kept || self.groups.get(key) == Some(Group::Absent) {
            return Ok(State::Delivered);
        }
        let state = self.send(Request::Delete, labels, Bytes::new()).await?;
        if state == State::Delivered {
            self.groups.set(key.clone(), Group::Absent);
        }
        Ok(state)
    }

    async fn send(
        &self,
        request: Request,
        labels: &TargetLabels<'_>,
        body: Bytes,
    ) -> Result<State, DeliverError> {
        let url = group::group_url(&self.settings.url, labels);
        let mut headers = HeaderMap::new();
        let method = match request {
            Request::Push => {
                let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
                headers.insert(CONTENT_TYPE, text);
                Method::PUT
            }
            Request::Delete => Method::DELETE,
        };
        // Fails only when the semaphore is closed, which nobody does.
        let _permit = self.permits.acquire().await.ok();
        let answer = self
            .client
            .send(method, url, headers, body, ERROR_BODY_MAX)
            .await?;
        classify(request, &answer, self.clock.now_ms())
    }
}

/// Sorts the pending deliveries by target, each target's in the order given.
fn by_target(batch: &mut [Delivery]) -> Vec<(TargetKey, Vec<&mut Delivery>)> {
    let mut chains: Vec<(TargetKey, Vec<&mut Delivery>)> = Vec::new();
    let mut places: HashMap<TargetKey, usize> = HashMap::new();
    for delivery in batch
        .iter_mut()
        .filter(|delivery| delivery.state == State::Pending)
    {
        let key = TargetKey::of(delivery);
        let place = *places.entry(key.clone()).or_insert(chains.len());
        match chains.get_mut(place) {
            Some((_, chain)) => chain.push(delivery),
            None => chains.push((key, vec![delivery])),
        }
    }
    chains
}
