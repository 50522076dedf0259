//! What a client asks before it asks for anything: groups, resources, and an OpenAPI v3 that names the operations.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::answer::{Answer, no_such_path};
use super::kinds::Kind;

/// Answers a path that is about the server itself; `None` when it is about objects.
pub(super) fn answer(path: &[&str], kinds: &[Kind], version: &str) -> Option<Answer> {
    let body = match path {
        ["version"] => self::version(version),
        ["api"] => json!({"kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": ""}]}),
        ["apis"] => json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups(kinds)}),
        ["api", version] => return Some(resources(kinds, "", version)),
        ["apis", group] => {
            let found = groups(kinds).into_iter().find(|found| found.get("name").is_some_and(|n| n == group));
            return Some(found.map_or_else(no_such_path, Answer::ok));
        }
        ["apis", group, version] => return Some(resources(kinds, group, version)),
        ["openapi", "v3"] => openapi_paths(kinds),
        ["openapi", "v3", "api", version] => openapi(kinds, "", version),
        ["openapi", "v3", "apis", group, version] => openapi(kinds, group, version),
        _ => return None,
    };
    Some(Answer::ok(body))
}

fn version(version: &str) -> Value {
    let mut numbers = version.trim_start_matches('v').split('.');
    let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    json!({
        "major": major, "minor": minor, "gitVersion": version, "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "", "platform": "linux/amd64",
    })
}

/// Versions of each group but the core.
fn grouped(kinds: &[Kind]) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut groups: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for kind in kinds.iter().filter(|kind| !kind.group.is_empty()) {
        groups.entry(&kind.group).or_default().insert(&kind.version);
    }
    groups
}

fn groups(kinds: &[Kind]) -> Vec<Value> {
    grouped(kinds)
        .into_iter()
        .map(|(group, versions)| {
            let versions: Vec<Value> = versions
                .into_iter()
                .rev()
                .map(|version| json!({"groupVersion": format!("{group}/{version}"), "version": version}))
                .collect();
            json!({"kind": "APIGroup", "apiVersion": "v1", "name": group, "preferredVersion": versions.first(),
                "versions": versions})
        })
        .collect()
}

fn of<'a>(kinds: &'a [Kind], group: &str, version: &str) -> impl Iterator<Item = &'a Kind> {
    kinds.iter().filter(move |kind| kind.group == group && kind.version == version)
}

fn resources(kinds: &[Kind], group: &str, version: &str) -> Answer {
    let resources: Vec<Value> = of(kinds, group, version).flat_map(Kind::entries).collect();
    if resources.is_empty() {
        return no_such_path();
    }
    let whole = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    Answer::ok(
        json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": whole, "resources": resources}),
    )
}

fn openapi_paths(kinds: &[Kind]) -> Value {
    let mut paths = Map::new();
    for kind in kinds {
        let below = if kind.group.is_empty() { "api" } else { "apis" };
        let path = format!("{below}/{}", kind.api_version());
        let url = format!("/openapi/v3/{path}?hash=1");
        paths.insert(path, json!({"serverRelativeURL": url}));
    }
    json!({"paths": paths})
}

/// Enough for a client to see that writes are checked by the server (`fieldValidation`) and applied by it.
fn openapi(kinds: &[Kind], group: &str, version: &str) -> Value {
    let mut paths = Map::new();
    for kind in of(kinds, group, version) {
        let below = if group.is_empty() { "/api" } else { "/apis" };
        let within = if kind.namespaced { "namespaces/{namespace}/" } else { "" };
        let query = |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}});
        let operation = json!({
            "parameters": [query("dryRun"), query("fieldManager"), query("fieldValidation"), query("force")],
            "responses": {"200": {"description": "OK"}},
            "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": kind.kind},
        });
        let path = format!("{below}/{}/{within}{}/{{name}}", kind.api_version(), kind.plural);
        paths.insert(
            path,
            json!({"get": operation, "put": operation, "patch": operation, "delete": operation}),
        );
    }
    json!({"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "unversioned"}, "paths": paths,
        "components": {"schemas": {}}})
}
