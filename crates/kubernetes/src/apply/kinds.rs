//! Which path a kind is found at: what the server says of its groups, asked once each.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::client::{Client, Question};
use crate::trouble::Trouble;
use crate::watch::escaped;

/// Where objects of a kind are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resource {
    pub(super) api_version: String,
    pub(super) plural: String,
    pub(super) namespaced: bool,
}

impl Resource {
    /// The path of an object, or of all in a namespace; without a namespace those of `default`.
    pub(super) fn path(&self, namespace: Option<&str>, name: Option<&str>) -> String {
        let mut path = self.everywhere_stem();
        if self.namespaced {
            path.push_str(&format!("/namespaces/{}", escaped(namespace.unwrap_or("default"))));
        }
        path.push_str(&format!("/{}", self.plural));
        if let Some(name) = name {
            path.push_str(&format!("/{}", escaped(name)));
        }
        path
    }

    /// The path of all objects, in every namespace.
    pub(super) fn everywhere(&self) -> String {
        format!("{}/{}", self.everywhere_stem(), self.plural)
    }

    fn everywhere_stem(&self) -> String {
        let below = if self.api_version.contains('/') { "apis" } else { "api" };
        format!("/{below}/{}", self.api_version)
    }
}

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    resources: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    #[serde(default)]
    namespaced: bool,
    kind: String,
}

/// Group versions that were asked for; one the server does not have holds nothing.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    known: BTreeMap<String, BTreeMap<String, Resource>>,
}

impl Kinds {
    /// The resource of a kind, if the server has it.
    pub(super) async fn find(
        &mut self,
        client: &Client,
        api_version: &str,
        kind: &str,
    ) -> Result<Option<Resource>, Trouble> {
        if !self.known.contains_key(api_version) {
            let kinds = ask(client, api_version).await?;
            self.known.insert(api_version.to_owned(), kinds);
        }
        Ok(self.known.get(api_version).and_then(|kinds| kinds.get(kind)).cloned())
    }

    /// Definitions came: ask again.
    pub(super) fn forget(&mut self) {
        self.known.clear();
    }
}

async fn ask(client: &Client, api_version: &str) -> Result<BTreeMap<String, Resource>, Trouble> {
    let below = if api_version.contains('/') { "apis" } else { "api" };
    // The slash between group and version is the path's own.
    let words: Vec<String> = api_version.split('/').map(escaped).collect();
    let path = format!("/{below}/{}", words.join("/"));
    let list: List = match client.ask(&Question::get(path)).await {
        Ok(list) => list,
        Err(trouble) if trouble.status().is_some_and(|status| status.code == 404) => {
            return Ok(BTreeMap::new());
        }
        Err(trouble) => return Err(trouble),
    };
    let whole = list.resources.into_iter().filter(|entry| !entry.name.contains('/'));
    Ok(whole
        .map(|entry| {
            let resource = Resource {
                api_version: api_version.to_owned(),
                plural: entry.name,
                namespaced: entry.namespaced,
            };
            (entry.kind, resource)
        })
        .collect())
}
