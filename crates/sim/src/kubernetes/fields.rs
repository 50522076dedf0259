//! Who set which field: `managedFields`, and server-side apply by them.
//!
//! A field is a path; an item of a list that has keys (containers by name, ports by number) is one step of it,
//! any other list is a whole. What apply does is described in Kubernetes's page "Server-Side Apply".

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// A step of a path, as `fieldsV1` writes it: `f:name` or `k:{"name":"web"}`.
pub(super) type Path = Vec<String>;

/// Lists whose items have keys: the last two fields that lead to them, and the keys.
const KEYED: &[(&str, &[&str])] = &[
    ("spec.containers", &["name"]),
    ("spec.initContainers", &["name"]),
    ("spec.ephemeralContainers", &["name"]),
    ("spec.volumes", &["name"]),
    ("spec.imagePullSecrets", &["name"]),
    ("spec.topologySpreadConstraints", &["topologyKey", "whenUnsatisfiable"]),
    ("spec.hostAliases", &["ip"]),
    ("containers.ports", &["containerPort", "protocol"]),
    ("containers.env", &["name"]),
    ("containers.volumeMounts", &["mountPath"]),
    ("initContainers.env", &["name"]),
    ("initContainers.volumeMounts", &["mountPath"]),
    ("initContainers.ports", &["containerPort", "protocol"]),
    ("spec.ports", &["port", "protocol"]),
    ("status.conditions", &["type"]),
    ("status.containerStatuses", &["name"]),
    ("metadata.ownerReferences", &["uid"]),
];

/// Default of a key that was left out.
fn default_of(key: &str) -> Option<Value> {
    (key == "protocol").then(|| json!("TCP"))
}

/// The keys of the list at this path, where it has any.
pub(super) fn keys_of(path: &[String]) -> Option<&'static [&'static str]> {
    let mut names = path.iter().rev().filter_map(|step| step.strip_prefix("f:"));
    let (last, before) = (names.next()?, names.next().unwrap_or_default());
    let place = format!("{before}.{last}");
    KEYED.iter().find(|(known, _)| *known == place).map(|(_, keys)| *keys)
}

/// The step that names an item of a keyed list.
pub(super) fn step_of(item: &Value, keys: &[&str]) -> Option<String> {
    let mut named = Map::new();
    for key in keys {
        let value = item.get(*key).cloned().or_else(|| default_of(key))?;
        named.insert((*key).to_owned(), value);
    }
    Some(format!("k:{}", Value::Object(named)))
}

/// The fields an object sets, each with its value. Metadata that the server sets is left out, and the status too.
pub(super) fn leaves(object: &Value) -> BTreeMap<Path, Value> {
    let mut found = BTreeMap::new();
    let Some(object) = object.as_object() else { return found };
    for (name, value) in object {
        match name.as_str() {
            "apiVersion" | "kind" | "status" => {}
            "metadata" => {
                for part in ["labels", "annotations", "finalizers", "ownerReferences"] {
                    if let Some(value) = value.get(part) {
                        let path = vec!["f:metadata".to_owned(), format!("f:{part}")];
                        collect(value, path, &mut found);
                    }
                }
            }
            _ => collect(value, vec![format!("f:{name}")], &mut found),
        }
    }
    found
}

fn collect(value: &Value, path: Path, found: &mut BTreeMap<Path, Value>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                let mut path = path.clone();
                path.push(format!("f:{name}"));
                collect(value, path, found);
            }
        }
        Value::Array(items) => {
            let steps = keys_of(&path)
                .map(|keys| items.iter().map(|item| step_of(item, keys)).collect::<Option<Vec<_>>>());
            match steps {
                Some(Some(steps)) => {
                    for (item, step) in items.iter().zip(steps) {
                        let mut path = path.clone();
                        path.push(step);
                        collect(item, path, found);
                    }
                }
                Some(None) | None => {
                    found.insert(path, value.clone());
                }
            }
        }
        _ => {
            found.insert(path, value.clone());
        }
    }
}

/// One entry of `managedFields`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) manager: String,
    /// `Apply` or `Update`.
    pub(super) operation: String,
    pub(super) fields: BTreeSet<Path>,
    pub(super) time: String,
}

/// Reads `managedFields`.
pub(super) fn owners(object: &Value) -> Vec<Owner> {
    let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array);
    entries
        .into_iter()
        .flatten()
        .map(|entry| {
            let word = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            let mut fields = BTreeSet::new();
            if let Some(tree) = entry.get("fieldsV1") {
                paths(tree, &mut Vec::new(), &mut fields);
            }
            Owner { manager: word("manager"), operation: word("operation"), fields, time: word("time") }
        })
        .collect()
}

fn paths(tree: &Value, path: &mut Path, found: &mut BTreeSet<Path>) {
    let steps: Vec<_> = tree.as_object().into_iter().flatten().filter(|(step, _)| *step != ".").collect();
    if steps.is_empty() && !path.is_empty() {
        found.insert(path.clone());
    }
    for (step, below) in steps {
        path.push(step.clone());
        paths(below, path, found);
        path.pop();
    }
}

/// Writes `managedFields`.
pub(super) fn set_owners(object: &mut Value, owners: &[Owner]) {
    let api_version = object.get("apiVersion").cloned().unwrap_or_default();
    let entries: Vec<Value> = owners
        .iter()
        .filter(|owner| !owner.fields.is_empty())
        .map(|owner| {
            let mut tree = json!({});
            for path in &owner.fields {
                let mut at = &mut tree;
                for step in path {
                    let Some(fields) = at.as_object_mut() else { break };
                    at = fields.entry(step.clone()).or_insert_with(|| json!({}));
                }
            }
            json!({
                "manager": owner.manager, "operation": owner.operation, "apiVersion": api_version,
                "time": owner.time, "fieldsType": "FieldsV1", "fieldsV1": tree,
            })
        })
        .collect();
    if let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        if entries.is_empty() {
            meta.remove("managedFields");
        } else {
            meta.insert("managedFields".to_owned(), Value::Array(entries));
        }
    }
}

/// A field somebody else has set to something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Conflict {
    pub(super) owner: Owner,
    pub(super) path: Path,
}

/// Applies a configuration over what is there, for a manager at a time.
///
/// # Errors
/// The fields others have set to something else, unless it is forced.
pub(super) fn apply(
    live: &Value,
    wanted: &Value,
    (manager, time): (&str, &str),
    force: bool,
) -> Result<Value, Vec<Conflict>> {
    let (have, want) = (leaves(live), leaves(wanted));
    let mut owners = owners(live);
    let mine = |owner: &Owner| owner.manager == manager && owner.operation == "Apply";
    let mut conflicts = Vec::new();
    for (path, value) in &want {
        if have.get(path) == Some(value) {
            continue;
        }
        for owner in owners.iter_mut().filter(|owner| !mine(owner)) {
            let taken: Vec<Path> = owner
                .fields
                .iter()
                .filter(|owned| owned.starts_with(path) || path.starts_with(owned))
                .cloned()
                .collect();
            for path in taken {
                conflicts.push(Conflict { owner: owner.clone(), path: path.clone() });
                owner.fields.remove(&path);
            }
        }
    }
    if !force && !conflicts.is_empty() {
        return Err(conflicts);
    }
    let before: BTreeSet<Path> =
        owners.iter().find(|owner| mine(owner)).map(|owner| owner.fields.clone()).unwrap_or_default();
    let mut result = live.clone();
    let others: BTreeSet<&Path> = owners.iter().filter(|o| !mine(o)).flat_map(|o| &o.fields).collect();
    let left = before.iter().filter(|path| !want.contains_key(*path) && !others.contains(path));
    // The keys of an item go last, and with them the item: without them nothing else of it would be found.
    let (keys, plain): (Vec<&Path>, Vec<&Path>) = left.partition(|path| item_of_key(path).is_some());
    for path in plain {
        remove(&mut result, path);
    }
    for item in keys.into_iter().filter_map(|path| item_of_key(path)) {
        if is_bare(&result, item) {
            remove(&mut result, item);
        }
    }
    for (path, value) in &want {
        set(&mut result, path, value.clone());
    }
    owners.retain(|owner| !mine(owner));
    owners.push(Owner {
        manager: manager.to_owned(),
        operation: "Apply".to_owned(),
        fields: want.into_keys().collect(),
        time: time.to_owned(),
    });
    set_owners(&mut result, &owners);
    Ok(result)
}

/// Notes who changed what, after a write that was no apply.
pub(super) fn note_update(before: Option<&Value>, after: &mut Value, (manager, time): (&str, &str)) {
    let old = before.map(leaves).unwrap_or_default();
    let new = leaves(after);
    let changed: BTreeSet<Path> = new
        .iter()
        .filter(|(path, value)| old.get(*path) != Some(*value))
        .map(|(path, _)| path.clone())
        .collect();
    let mut owners = before.map(owners).unwrap_or_default();
    for owner in &mut owners {
        let theirs = owner.manager == manager && owner.operation == "Update";
        owner.fields.retain(|path| new.contains_key(path) && (theirs || !changed.contains(path)));
    }
    if !changed.is_empty() {
        match owners.iter_mut().find(|owner| owner.manager == manager && owner.operation == "Update") {
            Some(owner) => {
                owner.fields.extend(changed);
                time.clone_into(&mut owner.time);
            }
            None => owners.push(Owner {
                manager: manager.to_owned(),
                operation: "Update".to_owned(),
                fields: changed,
                time: time.to_owned(),
            }),
        }
    }
    set_owners(after, &owners);
}

/// The item of a keyed list that a step names.
fn item_at(items: &[Value], step: &str, path: &[String]) -> Option<usize> {
    let keys = keys_of(path)?;
    items.iter().position(|item| step_of(item, keys).as_deref() == Some(step))
}

fn set(object: &mut Value, path: &[String], value: Value) {
    let mut at = object;
    for (depth, step) in path.iter().enumerate() {
        let here = path.get(..depth).unwrap_or_default();
        if let Some(name) = step.strip_prefix("f:") {
            if !at.is_object() {
                *at = json!({});
            }
            let Some(fields) = at.as_object_mut() else { return };
            at = fields.entry(name.to_owned()).or_insert(Value::Null);
        } else {
            if !at.is_array() {
                *at = json!([]);
            }
            let Some(items) = at.as_array_mut() else { return };
            let index = item_at(items, step, here).unwrap_or_else(|| {
                items.push(
                    step.strip_prefix("k:").and_then(|k| serde_json::from_str(k).ok()).unwrap_or_default(),
                );
                items.len() - 1
            });
            let Some(item) = items.get_mut(index) else { return };
            at = item;
        }
    }
    *at = value;
}

/// The path of the item whose key this field is.
fn item_of_key(path: &[String]) -> Option<&[String]> {
    let (last, item) = path.split_last()?;
    let (_, list) = item.split_last()?;
    let name = last.strip_prefix("f:")?;
    keys_of(list)?.contains(&name).then_some(item)
}

/// Whether nothing is left of an item but its keys.
fn is_bare(object: &Value, item: &[String]) -> bool {
    let Some((_, list)) = item.split_last() else { return false };
    let keys = keys_of(list).unwrap_or_default();
    let mut at = Some(object);
    for (depth, step) in item.iter().enumerate() {
        at = match (at, step.strip_prefix("f:")) {
            (Some(Value::Array(items)), None) => {
                item_at(items, step, item.get(..depth).unwrap_or_default()).and_then(|index| items.get(index))
            }
            (Some(fields), Some(name)) => fields.get(name),
            (Some(_) | None, _) => None,
        };
    }
    at.and_then(Value::as_object)
        .is_some_and(|fields| fields.keys().all(|name| keys.contains(&name.as_str())))
}

/// Takes a field out, and what became empty around it.
fn remove(object: &mut Value, path: &[String]) {
    remove_below(object, path, 0);
}

fn remove_below(at: &mut Value, path: &[String], depth: usize) -> bool {
    let Some(step) = path.get(depth) else { return true };
    match at {
        Value::Object(fields) => {
            let Some(name) = step.strip_prefix("f:") else { return false };
            let gone = fields.get_mut(name).is_some_and(|below| remove_below(below, path, depth + 1));
            if gone {
                fields.remove(name);
            }
            gone && fields.is_empty()
        }
        Value::Array(items) => {
            let Some(index) = item_at(items, step, path.get(..depth).unwrap_or_default()) else {
                return false;
            };
            let gone = items.get_mut(index).is_some_and(|below| remove_below(below, path, depth + 1));
            if gone {
                items.remove(index);
            }
            gone && items.is_empty()
        }
        _ => false,
    }
}

/// A path as a conflict names it: `.spec.template.spec.containers[name="web"].image`.
pub(super) fn spoken(path: &[String]) -> String {
    let mut text = String::new();
    for step in path {
        if let Some(name) = step.strip_prefix("f:") {
            text.push('.');
            text.push_str(name);
        } else {
            let keys: Map<String, Value> =
                step.strip_prefix("k:").and_then(|keys| serde_json::from_str(keys).ok()).unwrap_or_default();
            let keys: Vec<String> = keys.iter().map(|(name, value)| format!("{name}={value}")).collect();
            text.push_str(&format!("[{}]", keys.join(",")));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: (&str, &str) = ("me", "t");

    fn web(replicas: u64, image: &str) -> Value {
        let containers = json!([{"name": "web", "image": image}]);
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
            "spec": {"replicas": replicas, "template": {"spec": {"containers": containers}}}})
    }

    #[test]
    fn a_field_that_somebody_else_changed_is_a_conflict_until_it_is_forced() {
        let live = apply(&web(0, ""), &web(1, "a"), ("other", "t"), true).unwrap();
        let conflicts = apply(&live, &web(2, "a"), ME, false).unwrap_err();
        assert_eq!(conflicts.len(), 1);
        assert_eq!(spoken(&conflicts[0].path), ".spec.replicas");
        assert_eq!(conflicts[0].owner.manager, "other");
        let forced = apply(&live, &web(2, "a"), ME, true).unwrap();
        assert_eq!(forced.pointer("/spec/replicas"), Some(&json!(2)));
        let again = apply(&forced, &web(3, "a"), ME, false).unwrap();
        assert_eq!(again.pointer("/spec/replicas"), Some(&json!(3)), "it is mine now");
        assert!(apply(&again, &web(3, "b"), ME, false).is_err(), "the image is still shared");
    }

    #[test]
    fn the_same_value_is_shared_and_no_conflict() {
        let live = apply(&web(1, "a"), &web(1, "a"), ("other", "t"), false).unwrap();
        let both = apply(&live, &web(1, "a"), ME, false).unwrap();
        assert_eq!(owners(&both).len(), 2);
    }

    #[test]
    fn what_is_no_longer_applied_goes_unless_somebody_else_has_it() {
        let mut wanted = web(1, "a");
        wanted["spec"]["paused"] = json!(true);
        wanted["spec"]["template"]["spec"]["containers"][0]["env"] = json!([{"name": "A", "value": "1"}]);
        let live = apply(&json!({"metadata": {"name": "web"}}), &wanted, ME, false).unwrap();
        let after = apply(&live, &web(1, "a"), ME, false).unwrap();
        assert!(after.pointer("/spec/paused").is_none());
        assert!(after.pointer("/spec/template/spec/containers/0/env").is_none(), "{after}");
        assert_eq!(after.pointer("/spec/template/spec/containers/0/image"), Some(&json!("a")));
        let shared = apply(&live, &wanted, ("other", "t"), false).unwrap();
        let after = apply(&shared, &web(1, "a"), ME, false).unwrap();
        assert_eq!(after.pointer("/spec/paused"), Some(&json!(true)));
    }

    #[test]
    fn an_update_takes_the_fields_it_changes() {
        let live = apply(&json!({"metadata": {}}), &web(1, "a"), ME, false).unwrap();
        let mut scaled = live.clone();
        scaled["spec"]["replicas"] = json!(5);
        note_update(Some(&live), &mut scaled, ("kubectl", "t"));
        let conflicts = apply(&scaled, &web(1, "a"), ME, false).unwrap_err();
        assert_eq!((conflicts[0].owner.manager.as_str(), conflicts.len()), ("kubectl", 1));
    }
}
