//! Follows a cluster: all watches of a role on one side, groups on the other.

use std::path::Path;
use std::time::Duration;

use futures_util::stream::{SelectAll, StreamExt as _};
use kube::Client;
use tokio::time::sleep;

use super::client::{OWN_NAMESPACE, connect, own_namespace};
use super::error::KubernetesError;
use super::store::{Origin, Store};
use super::watch::{Told, Watch, watches};
use super::{Access, Settings};
use crate::discover::catalog::Count;
use crate::discover::source::{Output, Running, Source};
use crate::retry::{Backoff, Retry};

/// How long we wait before we try to set up the client again; a mounted file may come late.
const CONNECT_BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// What happens within this time of a change is told with it: a deployment changes many pods.
const GATHER: Duration = Duration::from_millis(100);

/// A source that follows one cluster.
pub(in crate::discover) struct Kubernetes(Settings);

impl Kubernetes {
    /// Builds the source; nothing is asked until it is run.
    pub(in crate::discover) fn new(settings: Settings) -> Self {
        Self(settings)
    }

    async fn follow(self, mut out: Output) {
        let (client, namespaces) = self.connect(&mut out).await;
        let watches = watches(&client, &self.0, &namespaces);
        Follower::new(watches, &self.0, out).run().await;
    }

    async fn connect(&self, out: &mut Output) -> (Client, Vec<String>) {
        let (min, max) = CONNECT_BACKOFF;
        let mut backoff = Backoff::new(min, max);
        loop {
            match try_connect(&self.0).await {
                Ok(connected) => {
                    out.succeeded("");
                    return connected;
                }
                Err(error) => {
                    out.failed("", error.into()).await;
                    out.complete().await;
                }
            }
            sleep(backoff.next(Retry::Yes)).await;
        }
    }
}

async fn try_connect(settings: &Settings) -> Result<(Client, Vec<String>), KubernetesError> {
    let mut namespaces = settings.namespaces.clone();
    if settings.own_namespace && settings.access == Access::InCluster {
        namespaces.push(own_namespace(Path::new(OWN_NAMESPACE))?);
    }
    namespaces.sort_unstable();
    namespaces.dedup();
    Ok((connect(settings).await?, namespaces))
}

impl Source for Kubernetes {
    fn kind(&self) -> &'static str {
        "kubernetes"
    }

    fn run(self: Box<Self>, out: Output) -> Running {
        Box::pin((*self).follow(out))
    }
}

/// Puts what the watches tell into the store, and tells the groups.
struct Follower {
    told: SelectAll<futures_util::stream::BoxStream<'static, (usize, Told)>>,
    watches: Vec<State>,
    store: Store,
    count: Count,
    out: Output,
    is_complete: bool,
}

/// How far a watch has come.
struct State {
    name: String,
    /// Lists begun so far.
    round: u32,
    /// Whether a list has ended.
    is_synced: bool,
    /// Whether a list has ended or something has failed.
    has_answered: bool,
}

impl Follower {
    fn new(watches: Vec<Watch>, settings: &Settings, out: Output) -> Self {
        let mut told = SelectAll::new();
        let mut states = Vec::with_capacity(watches.len());
        for (index, watch) in watches.into_iter().enumerate() {
            told.push(watch.told.map(move |told| (index, told)).boxed());
            states.push(State {
                name: watch.name,
                round: 0,
                is_synced: false,
                has_answered: false,
            });
        }
        Self {
            told,
            watches: states,
            store: Store::new(settings.role, settings.attach),
            count: Count::default(),
            out,
            is_complete: false,
        }
    }

    async fn run(mut self) {
        loop {
            let Some(first) = self.told.next().await else {
                // No watch ever ends.
                return std::future::pending().await;
            };
            self.take(first).await;
            let gathered = sleep(GATHER);
            tokio::pin!(gathered);
            loop {
                tokio::select! {
                    biased;
                    () = &mut gathered => break,
                    Some(next) = self.told.next() => self.take(next).await,
                }
            }
            self.tell().await;
        }
    }

    async fn take(&mut self, (watch, told): (usize, Told)) {
        let Some(state) = self.watches.get_mut(watch) else {
            return;
        };
        let origin = Origin {
            watch,
            round: state.round,
        };
        match told {
            Told::Began => state.round = state.round.wrapping_add(1),
            Told::Listed(id, object) => self.store.put(id, object, origin),
            Told::Ended => {
                (state.is_synced, state.has_answered) = (true, true);
                self.out.succeeded(&state.name);
                self.store.remove_older(origin);
            }
            Told::Changed(id, object) => {
                self.out.succeeded(&state.name);
                self.store.put(id, object, origin);
            }
            Told::Gone(id) => {
                self.out.succeeded(&state.name);
                self.store.remove(&id);
            }
            Told::Failed(error) => {
                state.has_answered = true;
                self.out.failed(&state.name, error.into()).await;
            }
            Told::Expired => {
                tracing::debug!(
                    what = state.name,
                    "a version is no longer kept; listing again"
                );
            }
            Told::Nothing => {}
        }
    }

    /// Tells the groups that have changed, once everything has been listed.
    async fn tell(&mut self) {
        if self.watches.iter().all(|state| state.is_synced) {
            let mut groups = self.store.groups();
            let mut refused = None;
            groups.retain(|group| match self.count.admit(group) {
                Ok(()) => true,
                Err(error) => {
                    refused = Some(error);
                    false
                }
            });
            self.out.send(groups).await;
            if let Some(error) = refused {
                self.out.failed("", error).await;
            }
        }
        if !self.is_complete && self.watches.iter().all(|state| state.has_answered) {
            self.is_complete = true;
            self.out.complete().await;
        }
    }
}
