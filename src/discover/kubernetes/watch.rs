//! What is watched for a role, and what kube tells of it.

use std::fmt::Debug;
use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt as _, unfold};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, Node};
use kube::core::{NamespaceResourceScope, PartialObjectMeta};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{Config, Error, Event, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::time::sleep;

use super::error::KubernetesError;
use super::objects::{Id, Object};
use super::resources::{
    EndpointSliceResource, EndpointsResource, IngressResource, NodeResource, PodResource,
    ServiceResource, Watched,
};
use super::{Role, Selector, Settings};

/// What a watch tells.
#[derive(Debug)]
pub(super) enum Told {
    /// A list begins; what it does not name is gone.
    Began,
    /// The list names an object.
    Listed(Id, Object),
    /// The list has ended.
    Ended,
    /// An object is new or has changed.
    Changed(Id, Object),
    /// An object is gone.
    Gone(Id),
    /// The version that was watched from is too old: a list follows.
    Expired,
    /// Something went wrong; it is tried again.
    Failed(KubernetesError),
    /// Nothing that concerns us.
    Nothing,
}

/// A running watch.
pub(super) struct Watch {
    /// What is watched, for logs.
    pub(super) name: String,
    pub(super) told: BoxStream<'static, Told>,
}

/// Says that the version which was asked for is no longer kept.
const GONE: u16 = 410;

/// How long we wait before a list that follows at once on one that was too old already.
const EXPIRED_PAUSE: Duration = Duration::from_secs(5);

/// Starts all watches that a role needs.
pub(super) fn watches(client: &Client, settings: &Settings, namespaces: &[String]) -> Vec<Watch> {
    let Settings { role, attach, .. } = settings;
    let role = *role;
    let within = Within {
        client,
        settings,
        namespaces,
    };
    let mut watches = match role {
        Role::Node => {
            return vec![cluster::<NodeResource>(client, settings.selector(role))];
        }
        Role::Pod => within.watch::<PodResource>(Some(role)),
        Role::Service => within.watch::<ServiceResource>(Some(role)),
        Role::Endpoints => within.watch::<EndpointsResource>(Some(role)),
        Role::EndpointSlice => within.watch::<EndpointSliceResource>(Some(role)),
        Role::Ingress => within.watch::<IngressResource>(Some(role)),
    };
    let is_behind_service = matches!(role, Role::Endpoints | Role::EndpointSlice);
    if is_behind_service {
        watches.extend(within.watch::<ServiceResource>(Some(Role::Service)));
        watches.extend(within.watch::<PodResource>(Some(Role::Pod)));
    }
    let has_pods = is_behind_service || role == Role::Pod;
    if has_pods && attach.node {
        let selector = settings.selector(Role::Node);
        watches.push(cluster::<PartialObjectMeta<Node>>(client, selector));
    }
    if attach.namespace {
        watches.push(cluster::<PartialObjectMeta<Namespace>>(client, None));
    }
    if has_pods && attach.deployment {
        watches.extend(within.watch::<PartialObjectMeta<ReplicaSet>>(None));
    }
    if has_pods && attach.cronjob {
        watches.extend(within.watch::<PartialObjectMeta<Job>>(None));
    }
    watches
}

impl Settings {
    fn selector(&self, role: Role) -> Option<&Selector> {
        self.selectors.iter().find(|selector| selector.role == role)
    }
}

/// Watches objects of a kind that has no namespaces.
fn cluster<K>(client: &Client, selector: Option<&Selector>) -> Watch
where
    K: Watched + Resource<DynamicType = ()> + Readable,
{
    watch(Api::<K>::all(client.clone()), None, selector)
}

/// Watches objects in the namespaces that are configured, or in all.
struct Within<'a> {
    client: &'a Client,
    settings: &'a Settings,
    namespaces: &'a [String],
}

impl Within<'_> {
    fn watch<K>(&self, role: Option<Role>) -> Vec<Watch>
    where
        K: Watched + Resource<DynamicType = (), Scope = NamespaceResourceScope> + Readable,
    {
        let selector = role.and_then(|role| self.settings.selector(role));
        if self.namespaces.is_empty() {
            let all = Api::<K>::all(self.client.clone());
            return vec![watch(all, None, selector)];
        }
        let namespaces = self.namespaces.iter();
        let watches = namespaces.map(|namespace| {
            let api = Api::<K>::namespaced(self.client.clone(), namespace);
            watch(api, Some(namespace), selector)
        });
        watches.collect()
    }
}

/// What kube can read of an answer.
trait Readable: Clone + Debug + DeserializeOwned + Send + 'static {}

impl<K: Clone + Debug + DeserializeOwned + Send + 'static> Readable for K {}

fn watch<K>(api: Api<K>, namespace: Option<&str>, selector: Option<&Selector>) -> Watch
where
    K: Watched + Resource<DynamicType = ()> + Readable,
{
    let mut config = Config::default();
    if let Some(Selector { label, field, .. }) = selector {
        if !label.is_empty() {
            config = config.labels(label);
        }
        if !field.is_empty() {
            config = config.fields(field);
        }
    }
    let kind = K::plural(&());
    let name = match namespace {
        Some(namespace) => format!("{kind} in {namespace}"),
        None => kind.into_owned(),
    };
    let begin = {
        let name = name.clone();
        move || {
            let name = name.clone();
            let events = watcher(api.clone(), config.clone()).default_backoff();
            events.map(move |event| told(event, &name)).boxed()
        }
    };
    Watch {
        name,
        told: restarted(begin),
    }
}

/// Begins anew when even the start of a watch says that its version is too old: kube would ask for
/// the same version for ever.
fn restarted<F>(begin: F) -> BoxStream<'static, Told>
where
    F: Fn() -> BoxStream<'static, (Told, bool)> + Send + 'static,
{
    let first = begin();
    let told = unfold(
        (begin, first, false),
        |(begin, mut events, is_stale)| async move {
            if is_stale {
                sleep(EXPIRED_PAUSE).await;
                events = begin();
            }
            let (told, is_stale) = events.next().await?;
            Some((told, (begin, events, is_stale)))
        },
    );
    told.boxed()
}

/// Turns what kube tells into what we keep, and says whether the watch has to begin anew.
fn told<K: Watched + Resource>(event: Result<Event<K>, Error>, name: &str) -> (Told, bool) {
    let told = match event {
        Ok(Event::Init) => Told::Began,
        Ok(Event::InitDone) => Told::Ended,
        Ok(Event::InitApply(object)) => match object.keep() {
            Some((id, object)) => Told::Listed(id, object),
            None => Told::Nothing,
        },
        Ok(Event::Apply(object)) => match object.keep() {
            Some((id, object)) => Told::Changed(id, object),
            None => Told::Nothing,
        },
        Ok(Event::Delete(object)) => K::id(object.meta()).map_or(Told::Nothing, Told::Gone),
        Err(Error::WatchError(status)) if status.code == GONE => Told::Expired,
        Err(Error::WatchStartFailed(kube::Error::Api(status))) if status.code == GONE => {
            return (Told::Expired, true);
        }
        Err(error) => Told::Failed(failure(&error, name)),
    };
    (told, false)
}

/// Says in our words what went wrong: kube's hold each cause twice.
fn failure(error: &Error, what: &str) -> KubernetesError {
    let (action, reason) = match error {
        Error::InitialListFailed(error) => ("list", reason(error)),
        Error::WatchStartFailed(error) | Error::WatchFailed(error) => ("watch", reason(error)),
        Error::WatchError(status) => ("watch", said(status)),
        Error::NoResourceVersion => ("watch", "the answer has no version".to_owned()),
    };
    KubernetesError::Watch {
        action,
        what: what.to_owned(),
        reason,
    }
}

fn reason(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => said(status),
        kube::Error::Service(error) => crate::telemetry::chain(&**error),
        kube::Error::HyperError(error) => crate::telemetry::chain(error),
        kube::Error::SerdeError(error) => format!("the answer cannot be read: {error}"),
        other => other.to_string(),
    }
}

/// What a server says, in one line that is not too long for a log.
fn said(status: &kube::core::Status) -> String {
    const SHOWN_MAX: usize = 300;
    let message = if status.message.is_empty() {
        &status.reason
    } else {
        &status.message
    };
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let message: String = message.chars().map(plain).take(SHOWN_MAX).collect();
    format!("{} {message}", status.code)
}
