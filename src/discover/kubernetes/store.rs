//! What is known of a cluster, and which groups have to be made again when an object changes.
//!
//! While a group is made, each other object that was looked up is noted, whether it was there or
//! not. When that object comes, changes or goes, the group is made again. So no role needs a list
//! of its own of what may follow from what.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::objects::{Controller, Id, Kind, Meta, Object, Pod, Service};
use super::{Attach, Role};
use crate::discover::Group;
use crate::discover::catalog::gone;

/// Objects by their names.
#[derive(Debug)]
pub(super) struct Store {
    role: Role,
    attach: Attach,
    objects: HashMap<Id, Held>,
    /// Which groups were made with a look at an object.
    readers: HashMap<Id, HashSet<Arc<str>>>,
    /// The other direction, to forget it.
    reads: HashMap<Arc<str>, Vec<Id>>,
    /// Objects of the role whose groups have to be made again.
    dirty: BTreeSet<Arc<str>>,
}

/// An object, and when it was last listed.
#[derive(Debug)]
struct Held {
    object: Object,
    /// Which of the watches told of it.
    watch: usize,
    /// In which of that watch's lists.
    round: u32,
}

/// Where an object was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) watch: usize,
    pub(super) round: u32,
}

impl Store {
    pub(super) fn new(role: Role, attach: Attach) -> Self {
        Self {
            role,
            attach,
            objects: HashMap::new(),
            readers: HashMap::new(),
            reads: HashMap::new(),
            dirty: BTreeSet::new(),
        }
    }

    /// Takes an object that is new or may have changed.
    pub(super) fn put(&mut self, id: Id, object: Object, origin: Origin) {
        let Origin { watch, round } = origin;
        if let Some(held) = self.objects.get_mut(&id)
            && held.object == object
        {
            (held.watch, held.round) = (watch, round);
            return;
        }
        self.touch(&id);
        let held = Held {
            object,
            watch,
            round,
        };
        self.objects.insert(id, held);
    }

    /// Takes away an object.
    pub(super) fn remove(&mut self, id: &Id) {
        if self.objects.remove(id).is_some() {
            self.touch(id);
        }
    }

    /// Takes away what a watch has told of in earlier lists than this one.
    pub(super) fn remove_older(&mut self, than: Origin) {
        let is_older = |held: &Held| held.watch == than.watch && held.round != than.round;
        let objects = self.objects.iter();
        let older = objects.filter(|(_, held)| is_older(held));
        let older: Vec<Id> = older.map(|(id, _)| id.clone()).collect();
        for id in older {
            self.remove(&id);
        }
    }

    fn touch(&mut self, id: &Id) {
        if id.kind == self.role.kind() {
            self.dirty.insert(Arc::clone(&id.key));
        }
        let readers = self.readers.get(id).into_iter().flatten();
        self.dirty.extend(readers.cloned());
    }

    /// Makes the groups of all that has changed since the last time.
    pub(super) fn groups(&mut self) -> Vec<Arc<Group>> {
        let dirty = std::mem::take(&mut self.dirty);
        let mut groups = Vec::with_capacity(dirty.len());
        for key in dirty {
            self.forget_reads(&key);
            let id = Id::new(self.role.kind(), Arc::clone(&key));
            let source: Arc<str> = self.role.source(&key).into();
            let Some(held) = self.objects.get(&id) else {
                groups.push(gone(&source));
                continue;
            };
            let mut look = Look {
                objects: &self.objects,
                attach: self.attach,
                reads: BTreeSet::new(),
            };
            let group = group(&held.object, source, &mut look);
            let reads: Vec<Id> = look.reads.into_iter().collect();
            for read in &reads {
                let readers = self.readers.entry(read.clone()).or_default();
                readers.insert(Arc::clone(&key));
            }
            if !reads.is_empty() {
                self.reads.insert(key, reads);
            }
            groups.extend(group.map(Arc::new));
        }
        groups
    }

    fn forget_reads(&mut self, key: &Arc<str>) {
        for read in self.reads.remove(key).into_iter().flatten() {
            if let Some(readers) = self.readers.get_mut(&read) {
                readers.remove(key);
                if readers.is_empty() {
                    self.readers.remove(&read);
                }
            }
        }
    }
}

/// Makes the group of an object; `None`: the last one stays.
fn group(object: &Object, source: Arc<str>, look: &mut Look<'_>) -> Option<Group> {
    Some(match object {
        Object::Node(node) => return super::node::group(node, source),
        Object::Pod(pod) => super::pod::group(pod, source, look),
        Object::Service(service) => super::service::group(service, source, look),
        Object::Endpoints(endpoints) => super::endpoints::group(endpoints, source, look),
        Object::EndpointSlice(slice) => super::endpointslice::group(slice, source, look),
        Object::Ingress(ingress) => super::ingress::group(ingress, source, look),
        Object::Meta(_) | Object::Owned(_) => return None,
    })
}

/// Looks up other objects while a group is made, and notes which.
#[derive(Debug)]
pub(super) struct Look<'a> {
    objects: &'a HashMap<Id, Held>,
    pub(super) attach: Attach,
    reads: BTreeSet<Id>,
}

impl<'a> Look<'a> {
    fn read(&mut self, id: Id) -> Option<&'a Object> {
        let held = self.objects.get(&id);
        self.reads.insert(id);
        held.map(|held| &held.object)
    }

    /// Finds a pod.
    pub(super) fn pod(&mut self, namespace: &str, name: &str) -> Option<&'a Pod> {
        match self.read(Id::within(Kind::Pod, namespace, name))? {
            Object::Pod(pod) => Some(pod),
            _ => None,
        }
    }

    /// Finds a service.
    pub(super) fn service(&mut self, namespace: &str, name: &str) -> Option<&'a Service> {
        match self.read(Id::within(Kind::Service, namespace, name))? {
            Object::Service(service) => Some(service),
            _ => None,
        }
    }

    /// Finds the metadata of a node or namespace.
    pub(super) fn meta(&mut self, kind: Kind, name: &str) -> Option<&'a Meta> {
        match self.read(Id::new(kind, name))? {
            Object::Meta(meta) => Some(meta),
            _ => None,
        }
    }

    /// Finds the controller of a replica set or job.
    pub(super) fn controller(
        &mut self,
        kind: Kind,
        namespace: &str,
        name: &str,
    ) -> Option<&'a Controller> {
        match self.read(Id::within(kind, namespace, name))? {
            Object::Owned(controller) => controller.as_deref(),
            _ => None,
        }
    }
}

impl Role {
    /// Returns the kind of object that the role's groups are made of.
    fn kind(self) -> Kind {
        match self {
            Self::Node => Kind::Node,
            Self::Pod => Kind::Pod,
            Self::Service => Kind::Service,
            Self::Endpoints => Kind::Endpoints,
            Self::EndpointSlice => Kind::EndpointSlice,
            Self::Ingress => Kind::Ingress,
        }
    }

    /// Names the group of an object, as Prometheus does.
    fn source(self, key: &str) -> String {
        let prefix = match self {
            Self::Service => "svc",
            role => role.name(),
        };
        format!("{prefix}/{key}")
    }
}
