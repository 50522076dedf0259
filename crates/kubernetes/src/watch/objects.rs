//! Nodes and pods as the server sends them: only the fields that are looked at.
//!
//! Every field may be missing or `null`, as Go writes empty ones. Names are those of `core/v1` and `meta/v1`.

use std::collections::BTreeMap;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};

use super::picture::{Node, Picture, Pod, PodName};

/// A kind that is watched.
pub(super) trait Watched: DeserializeOwned + Send + 'static {
    /// What is kept of one.
    type Kept: Send;
    /// Where it is listed, in all namespaces.
    const PATH: &'static str;
    /// What the link of this kind is called.
    const NAME: &'static str;

    /// Its metadata.
    fn meta(&self) -> &Meta;
    /// What is kept, under its name.
    fn kept(self) -> Self::Kept;
    /// Puts it into the picture; `added` when the server says that it is new.
    fn put(picture: &mut Picture, kept: Self::Kept, added: bool);
    /// Takes it out of the picture.
    fn remove(picture: &mut Picture, meta: &Meta);
    /// Makes these the only ones.
    fn replace(picture: &mut Picture, all: Vec<Self::Kept>, left_out: usize);
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Meta {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) uid: String,
    pub(super) resource_version: String,
    pub(super) deletion_timestamp: Option<IgnoredAny>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) owner_references: Vec<Owner>,
    #[serde(rename = "continue")]
    pub(super) next: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Owner {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) controller: bool,
}

/// A page of a list.
#[derive(Debug, Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
pub(super) struct List<T> {
    #[serde(default)]
    pub(super) metadata: Meta,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) items: Vec<T>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NodeObject {
    pub(super) metadata: Meta,
    pub(super) spec: NodeSpec,
    pub(super) status: NodeStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NodeSpec {
    pub(super) unschedulable: bool,
    #[serde(deserialize_with = "or_empty")]
    pub(super) taints: Vec<Taint>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Taint {
    pub(super) effect: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct NodeStatus {
    #[serde(deserialize_with = "or_empty")]
    pub(super) conditions: Vec<Condition>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) addresses: Vec<Address>,
    pub(super) node_info: NodeInfo,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct NodeInfo {
    pub(super) kubelet_version: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Address {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) address: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Condition {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) status: String,
    pub(super) reason: String,
    pub(super) message: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PodObject {
    pub(super) metadata: Meta,
    pub(super) spec: PodSpec,
    pub(super) status: PodStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PodSpec {
    pub(super) node_name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PodStatus {
    pub(super) phase: String,
    pub(super) reason: String,
    #[serde(deserialize_with = "or_empty")]
    pub(super) conditions: Vec<Condition>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) init_container_statuses: Vec<Container>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) container_statuses: Vec<Container>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Container {
    pub(super) ready: bool,
    pub(super) restart_count: u32,
    pub(super) state: ContainerState,
    pub(super) last_state: ContainerState,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ContainerState {
    pub(super) waiting: Option<Why>,
    pub(super) terminated: Option<Why>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Why {
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) exit_code: i64,
}

/// Go writes an empty list or map as `null`.
fn or_empty<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

impl Watched for NodeObject {
    type Kept = Node;
    const PATH: &'static str = "/api/v1/nodes";
    const NAME: &'static str = "nodes";

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn kept(self) -> Node {
        Node::from(self)
    }

    fn put(picture: &mut Picture, kept: Node, added: bool) {
        picture.put_node(kept, added);
    }

    fn remove(picture: &mut Picture, meta: &Meta) {
        picture.remove_node(&meta.name);
    }

    fn replace(picture: &mut Picture, all: Vec<Node>, left_out: usize) {
        picture.replace_nodes(all, left_out);
    }
}

impl Watched for PodObject {
    type Kept = Pod;
    const PATH: &'static str = "/api/v1/pods";
    const NAME: &'static str = "pods";

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn kept(self) -> Pod {
        Pod::from(self)
    }

    fn put(picture: &mut Picture, kept: Pod, added: bool) {
        picture.put_pod(kept, added);
    }

    fn remove(picture: &mut Picture, meta: &Meta) {
        picture.remove_pod(&PodName { namespace: meta.namespace.clone(), name: meta.name.clone() });
    }

    fn replace(picture: &mut Picture, all: Vec<Pod>, left_out: usize) {
        picture.replace_pods(all, left_out);
    }
}
