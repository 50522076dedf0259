//! What left a set: found by the set's label, and deleted when somebody asks for it.

use std::collections::BTreeSet;

use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::documents::Manifests;
use super::kinds::{Kinds, Resource};
use crate::client::{Client, Question};
use crate::trouble::Trouble;
use crate::watch::escaped;

/// The label that names the set an object was applied with.
pub const LABEL: &str = "labinator.dev/set";

/// Kinds that are looked through beside those of the set itself.
const ALWAYS: [(&str, &str); 13] = [
    ("v1", "ConfigMap"),
    ("v1", "Secret"),
    ("v1", "Service"),
    ("v1", "ServiceAccount"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "DaemonSet"),
    ("apps/v1", "StatefulSet"),
    ("batch/v1", "Job"),
    ("batch/v1", "CronJob"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole"),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
    ("rbac.authorization.k8s.io/v1", "Role"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
];
/// Kinds whose end takes other people's things with it; these are named and left.
const NEVER: [&str; 4] =
    ["Namespace", "CustomResourceDefinition", "PersistentVolume", "PersistentVolumeClaim"];

/// What left a set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Deleted.
    pub deleted: Vec<String>,
    /// Left where they are, because more would go with them.
    pub left: Vec<String>,
}

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    items: Option<Vec<Found>>,
}

#[derive(Deserialize)]
struct Found {
    metadata: FoundMeta,
}

#[derive(Deserialize)]
struct FoundMeta {
    name: String,
    namespace: Option<String>,
    uid: String,
}

/// Writes the set's name on an object.
pub(super) fn label(object: &mut Value, set: &str) {
    if let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        let labels = meta.entry("labels").or_insert_with(|| json!({}));
        if !labels.is_object() {
            *labels = json!({});
        }
        if let Some(labels) = labels.as_object_mut() {
            labels.insert(LABEL.to_owned(), json!(set));
        }
    }
}

impl Manifests {
    /// Deletes what was applied with this set's name and is in it no longer.
    ///
    /// # Errors
    /// [`Trouble`]; what was deleted before it stays deleted, and asking again goes on.
    pub async fn prune(&self, client: &Client, set: &str) -> Result<Pruned, Trouble> {
        let mut kinds: BTreeSet<(&str, &str)> = ALWAYS.into_iter().collect();
        kinds.extend(self.all().iter().map(|m| (m.api_version.as_str(), m.kind.as_str())));
        kinds.extend([("v1", "Namespace"), ("v1", "PersistentVolume"), ("v1", "PersistentVolumeClaim")]);
        kinds.insert(("apiextensions.k8s.io/v1", "CustomResourceDefinition"));
        let mut pruned = Pruned::default();
        let mut known = Kinds::default();
        for (api_version, kind) in kinds {
            let Some(resource) = known.find(client, api_version, kind).await? else { continue };
            self.prune_kind(client, (&resource, kind), set, &mut pruned).await?;
        }
        Ok(pruned)
    }

    async fn prune_kind(
        &self,
        client: &Client,
        (resource, kind): (&Resource, &str),
        set: &str,
        pruned: &mut Pruned,
    ) -> Result<(), Trouble> {
        let selector = escaped(&format!("{LABEL}={set}"));
        let path = format!("{}?labelSelector={selector}", resource.everywhere());
        let list: List = client.ask(&Question::get(path)).await?;
        let group = |api_version: &str| {
            api_version.rsplit_once('/').map_or_else(String::new, |(group, _)| group.to_owned())
        };
        for found in list.items.unwrap_or_default() {
            let meta = found.metadata;
            let kept = self.all().iter().any(|manifest| {
                let namespace = manifest.namespace().or_else(|| resource.namespaced.then_some("default"));
                manifest.kind == kind
                    && manifest.name == meta.name
                    && group(&manifest.api_version) == group(&resource.api_version)
                    && namespace.filter(|_| resource.namespaced) == meta.namespace.as_deref()
            });
            if kept {
                continue;
            }
            let called = meta.namespace.as_ref().map_or_else(
                || format!("{kind} {}", meta.name),
                |namespace| format!("{kind} {namespace}/{}", meta.name),
            );
            if NEVER.contains(&kind) {
                pruned.left.push(called);
                continue;
            }
            // The uid: another object of the same name, made meanwhile, is not ours to delete.
            let options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background",
                "preconditions": {"uid": meta.uid}});
            let question = Question {
                method: Method::DELETE,
                path: resource.path(meta.namespace.as_deref(), Some(&meta.name)),
                body: Some(("application/json", options.to_string().into_bytes())),
            };
            match client.ask_bytes(&question).await {
                Ok(_) => pruned.deleted.push(called),
                // Gone, or another one by now.
                Err(trouble) if trouble.status().is_some_and(|status| matches!(status.code, 404 | 409)) => {}
                Err(trouble) => return Err(trouble),
            }
        }
        Ok(())
    }
}
