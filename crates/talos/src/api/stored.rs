//! Any resource of a node as it is stored, and which kinds of them there are: the node says so itself
//! (`ResourceDefinitions.meta.cosi.dev`), so that no list of ours can be behind its release.

use prost_types::Timestamp;
use serde::Deserialize;
use tonic::Code;

use super::error::NodeError;
use super::node::Node;
use super::proto::cosi::{GetReq, ListReq, Res, STATE_GET, STATE_LIST};
use crate::mistake::nearest;

/// Where a node keeps what kinds there are.
const DEFINITIONS: (&str, &str) = ("meta", "ResourceDefinitions.meta.cosi.dev");

/// A kind of resource, as a node defines it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Definition {
    /// Its whole name, for example `HostnameStatuses.net.talos.dev`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The namespace it is looked for in where nobody names one.
    pub default_namespace: String,
    /// Every shorter name that it has.
    #[serde(default)]
    pub all_aliases: Vec<String>,
    /// What a table shows of it beside its name.
    #[serde(default)]
    pub print_columns: Vec<Column>,
    /// `sensitive` where only an administrator may read it.
    #[serde(default)]
    pub sensitivity: String,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Column {
    /// What stands above it.
    pub name: String,
    /// Where its value is in the specification, as kubectl writes paths: `{.status.ready}`.
    pub json_path: String,
}

/// A resource as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Where it is.
    pub namespace: String,
    /// Its kind.
    pub kind: String,
    /// Its name among those of its kind.
    pub id: String,
    /// Counts its changes.
    pub version: String,
    /// The controller that keeps it; empty where it is nobody's.
    pub owner: String,
    /// `running` or `tearingDown`.
    pub phase: String,
    /// When it was made and when it was changed, by the node's clock.
    pub times: [Option<Timestamp>; 2],
    /// What it says, in YAML.
    pub yaml: String,
}

/// A word that names no kind, or several.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KindError {
    /// No kind has this name.
    #[error("`{word}` is no kind of resource that this node has")]
    Unknown {
        /// What was asked for.
        word: String,
        /// The name that is the least different.
        nearest: Option<String>,
    },
    /// Several have it.
    #[error("`{word}` names several kinds: {}", kinds.join(", "))]
    Ambiguous {
        /// What was asked for.
        word: String,
        /// Their whole names.
        kinds: Vec<String>,
    },
}

impl KindError {
    /// Stable word for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "talos/kind-unknown",
            Self::Ambiguous { .. } => "talos/kind-ambiguous",
        }
    }

    /// What to do.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::Unknown { nearest: Some(nearest), .. } => {
                format!("did you mean `{nearest}`? `resourcedefinitions` lists all")
            }
            Self::Unknown { nearest: None, .. } => "`resourcedefinitions` lists all".to_owned(),
            Self::Ambiguous { .. } => "give the whole name of one".to_owned(),
        }
    }
}

/// The kind that a word names: by its whole name or by one of its aliases, in any case of letters.
///
/// # Errors
/// None or several have that name.
pub fn definition<'a>(all: &'a [Definition], word: &str) -> Result<&'a Definition, KindError> {
    let typed = word.to_lowercase();
    let named = |one: &&Definition| one.kind.to_lowercase() == typed || one.all_aliases.contains(&typed);
    let found: Vec<&Definition> = all.iter().filter(named).collect();
    match found.as_slice() {
        [one] => Ok(one),
        [] => {
            let names = all.iter().flat_map(|one| &one.all_aliases).map(String::as_str);
            let nearest = nearest(&typed, names).map(str::to_owned);
            Err(KindError::Unknown { word: word.to_owned(), nearest })
        }
        several => {
            let kinds = several.iter().map(|one| one.kind.clone()).collect();
            Err(KindError::Ambiguous { word: word.to_owned(), kinds })
        }
    }
}

impl Node {
    /// The kinds of resources that it has, in maintenance too.
    ///
    /// # Errors
    /// See [`NodeError`].
    pub async fn definitions(&self) -> Result<Vec<Definition>, NodeError> {
        let (namespace, kind) = DEFINITIONS;
        let all = self.resources::<Definition>(namespace, kind).await?;
        Ok(all.into_iter().map(|one| one.spec).collect())
    }

    /// The resources of a kind as they are stored, by id; with an id, that one alone.
    ///
    /// # Errors
    /// See [`NodeError`]; with an id, one that is not there is refused as `NotFound`.
    pub async fn stored(
        &self,
        namespace: &str,
        kind: &str,
        id: Option<&str>,
    ) -> Result<Vec<Stored>, NodeError> {
        let (namespace, kind) = (namespace.to_owned(), kind.to_owned());
        if let Some(id) = id {
            let request = GetReq { namespace, r#type: kind, id: id.to_owned() };
            let reply = self.reading(&STATE_GET, request).await?;
            return Ok(vec![Stored::of(reply.resource.unwrap_or_default())]);
        }
        let mut stream = self.following(&STATE_LIST, ListReq { namespace, r#type: kind }).await?;
        let mut all = Vec::new();
        while let Some(reply) = self.next("resources", &mut stream).await? {
            all.push(Stored::of(reply.resource.unwrap_or_default()));
        }
        all.sort_by(|a, b| (&a.namespace, &a.id).cmp(&(&b.namespace, &b.id)));
        Ok(all)
    }
}

impl Stored {
    fn of(resource: Res) -> Self {
        let known = resource.metadata.unwrap_or_default();
        Self {
            namespace: known.namespace,
            kind: known.r#type,
            id: known.id,
            version: known.version,
            owner: known.owner,
            phase: known.phase,
            times: [known.created, known.updated],
            yaml: resource.spec.unwrap_or_default().yaml_spec,
        }
    }
}

impl NodeError {
    /// True where the node answered that what was asked for is not there.
    #[must_use]
    pub const fn is_absent(&self) -> bool {
        matches!(self, Self::Refused { status: Code::NotFound, .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(kind: &str, aliases: &[&str]) -> Definition {
        Definition {
            kind: kind.to_owned(),
            default_namespace: "network".to_owned(),
            all_aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
            print_columns: vec![],
            sensitivity: String::new(),
        }
    }

    #[test]
    fn a_word_names_one_kind_or_is_answered_with_the_nearest() {
        let all = [
            kind("HostnameStatuses.net.talos.dev", &["hostnamestatuses", "hostnamestatus", "hostname"]),
            kind("Members.cluster.talos.dev", &["members", "member"]),
            kind("EtcdMembers.etcd.talos.dev", &["etcdmembers", "etcdmember", "member"]),
        ];
        for word in ["hostname", "HostnameStatus", "hostnamestatuses.net.talos.dev"] {
            assert_eq!(definition(&all, word).unwrap().kind, "HostnameStatuses.net.talos.dev", "{word}");
        }
        let unknown = definition(&all, "membres").unwrap_err();
        assert_eq!(unknown.advice(), "did you mean `member`? `resourcedefinitions` lists all");
        assert_eq!(definition(&all, "zzzzzzzzzz").unwrap_err().advice(), "`resourcedefinitions` lists all");
        let several = definition(&all, "member").unwrap_err();
        assert!(several.to_string().contains("Members.cluster.talos.dev, EtcdMembers.etcd.talos.dev"));
        assert_eq!(several.code(), "talos/kind-ambiguous");
    }
}
