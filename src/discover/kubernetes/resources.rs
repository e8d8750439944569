//! How each kind of object is asked for, and what becomes of it: the types that kube reads.
//!
//! They are smaller than those of `k8s-openapi`: whatever no label tells is not even read.

use std::borrow::Cow;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, Node as NodeObject};
use kube::Resource;
use kube::core::{ClusterResourceScope, NamespaceResourceScope, ObjectMeta, PartialObjectMeta};
use serde::Deserialize;

use super::objects::{
    Controller, Endpoint, EndpointPort, EndpointSlice, Endpoints, Id, Ingress, IngressSpec, Kind,
    Meta, Node, NodeSpec, NodeStatus, Object, Pod, PodSpec, PodStatus, Service, ServiceSpec,
    ServiceStatus, Subset,
};
use crate::discover::catalog::null_as_default;

/// An object as it is read, on its way to what is kept of it.
pub(super) trait Watched: Sized {
    /// Its kind.
    const KIND: Kind;

    /// Names the object and makes what is kept; `None` if it has no name, which no object lacks.
    fn keep(self) -> Option<(Id, Object)>;

    /// Names the object.
    fn id(meta: &ObjectMeta) -> Option<Id> {
        let name = meta.name.as_deref()?;
        Some(match &meta.namespace {
            Some(namespace) => Id::within(Self::KIND, namespace, name),
            None => Id::new(Self::KIND, name),
        })
    }
}

/// Declares what is read of a kind, and where it stands in the API.
macro_rules! resource {
    (
        $name:ident: $kind:literal, $group:literal, $plural:literal, $scope:ty,
        { $($field:ident: $type:ty),* }
    ) => {
        #[derive(Debug, Clone, Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub(super) struct $name {
            metadata: ObjectMeta,
            $(#[serde(default, deserialize_with = "null_as_default")] $field: $type,)*
        }

        impl Resource for $name {
            type DynamicType = ();
            type Scope = $scope;

            fn kind((): &()) -> Cow<'_, str> {
                $kind.into()
            }

            fn group((): &()) -> Cow<'_, str> {
                $group.into()
            }

            fn version((): &()) -> Cow<'_, str> {
                "v1".into()
            }

            fn plural((): &()) -> Cow<'_, str> {
                $plural.into()
            }

            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

resource!(NodeResource: "Node", "", "nodes", ClusterResourceScope, {
    spec: NodeSpec, status: NodeStatus
});
resource!(PodResource: "Pod", "", "pods", NamespaceResourceScope, {
    spec: PodSpec, status: PodStatus
});
resource!(ServiceResource: "Service", "", "services", NamespaceResourceScope, {
    spec: ServiceSpec, status: ServiceStatus
});
resource!(EndpointsResource: "Endpoints", "", "endpoints", NamespaceResourceScope, {
    subsets: Vec<Subset>
});
resource!(
    EndpointSliceResource: "EndpointSlice", "discovery.k8s.io", "endpointslices",
    NamespaceResourceScope,
    { address_type: String, endpoints: Vec<Endpoint>, ports: Vec<EndpointPort> }
);
resource!(
    IngressResource: "Ingress", "networking.k8s.io", "ingresses", NamespaceResourceScope,
    { spec: IngressSpec }
);

impl Watched for NodeResource {
    const KIND: Kind = Kind::Node;

    fn keep(self) -> Option<(Id, Object)> {
        let id = Self::id(&self.metadata)?;
        let node = Node {
            meta: Meta::new(self.metadata),
            spec: self.spec,
            status: self.status,
        };
        Some((id, Object::Node(Box::new(node))))
    }
}

impl Watched for PodResource {
    const KIND: Kind = Kind::Pod;

    fn keep(mut self) -> Option<(Id, Object)> {
        let id = Self::id(&self.metadata)?;
        let pod = Pod {
            uid: self.metadata.uid.take().unwrap_or_default().into(),
            controller: Controller::of(&self.metadata),
            meta: Meta::new(self.metadata),
            spec: self.spec,
            status: self.status,
        };
        Some((id, Object::Pod(Box::new(pod))))
    }
}

impl Watched for ServiceResource {
    const KIND: Kind = Kind::Service;

    fn keep(self) -> Option<(Id, Object)> {
        let id = Self::id(&self.metadata)?;
        let service = Service {
            meta: Meta::new(self.metadata),
            spec: self.spec,
            status: self.status,
        };
        Some((id, Object::Service(Box::new(service))))
    }
}

impl Watched for EndpointsResource {
    const KIND: Kind = Kind::Endpoints;

    fn keep(self) -> Option<(Id, Object)> {
        let id = Self::id(&self.metadata)?;
        let endpoints = Endpoints {
            meta: Meta::new(self.metadata),
            subsets: self.subsets,
        };
        Some((id, Object::Endpoints(Box::new(endpoints))))
    }
}

impl Watched for EndpointSliceResource {
    const KIND: Kind = Kind::EndpointSlice;

    fn keep(self) -> Option<(Id, Object)> {
        let id = Self::id(&self.metadata)?;
        let slice = EndpointSlice {
            meta: Meta::new(self.metadata),
            address_type: self.address_type.into(),
            endpoints: self.endpoints,
            ports: self.ports,
        };
        Some((id, Object::EndpointSlice(Box::new(slice))))
    }
}

impl Watched for IngressResource {
    const KIND: Kind = Kind::Ingress;

    fn keep(self) -> Option<(Id, Object)> {
        let id = Self::id(&self.metadata)?;
        let ingress = Ingress {
            meta: Meta::new(self.metadata),
            spec: self.spec,
        };
        Some((id, Object::Ingress(Box::new(ingress))))
    }
}

impl Watched for PartialObjectMeta<NodeObject> {
    const KIND: Kind = Kind::Node;

    fn keep(self) -> Option<(Id, Object)> {
        let id = Self::id(&self.metadata)?;
        Some((id, Object::Meta(Box::new(Meta::new(self.metadata)))))
    }
}

impl Watched for PartialObjectMeta<Namespace> {
    const KIND: Kind = Kind::Namespace;

    fn keep(self) -> Option<(Id, Object)> {
        let id = Self::id(&self.metadata)?;
        Some((id, Object::Meta(Box::new(Meta::new(self.metadata)))))
    }
}

impl Watched for PartialObjectMeta<ReplicaSet> {
    const KIND: Kind = Kind::ReplicaSet;

    fn keep(self) -> Option<(Id, Object)> {
        let id = Self::id(&self.metadata)?;
        let controller = Controller::of(&self.metadata);
        Some((id, Object::Owned(controller.map(Box::new))))
    }
}

impl Watched for PartialObjectMeta<Job> {
    const KIND: Kind = Kind::Job;

    fn keep(self) -> Option<(Id, Object)> {
        let id = Self::id(&self.metadata)?;
        let controller = Controller::of(&self.metadata);
        Some((id, Object::Owned(controller.map(Box::new))))
    }
}
