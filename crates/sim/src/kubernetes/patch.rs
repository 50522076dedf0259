//! Patches: merge patch (RFC 7386), and the strategic one of Kubernetes, which merges lists by their keys.

use serde_json::{Map, Value};

use super::fields::{keys_of, step_of};

/// Merges by RFC 7386.
pub(super) fn merge(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(fields) = target.as_object_mut() else { return };
    for (name, value) in patch {
        if value.is_null() {
            fields.remove(name);
        } else {
            merge(fields.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

/// Merges strategically: objects as by RFC 7386, lists with keys item by item, `$patch: delete` and `replace`,
/// `$retainKeys`, `$deleteFromPrimitiveList`. `$setElementOrder` is followed by nobody who reads us.
pub(super) fn strategic(target: &mut Value, patch: &Value) {
    at(target, patch, &mut Vec::new());
}

fn at(target: &mut Value, patch: &Value, path: &mut Vec<String>) {
    match patch {
        Value::Object(wanted) => {
            if !target.is_object() || wanted.get("$patch").is_some_and(|how| how == "replace") {
                *target = Value::Object(Map::new());
            }
            let Some(fields) = target.as_object_mut() else { return };
            if let Some(keep) = wanted.get("$retainKeys").and_then(Value::as_array) {
                fields.retain(|name, _| keep.iter().any(|kept| kept == name));
            }
            for (name, value) in wanted {
                if let Some(list) = name.strip_prefix("$deleteFromPrimitiveList/") {
                    let gone = value.as_array().map(Vec::as_slice).unwrap_or_default();
                    if let Some(items) = fields.get_mut(list).and_then(Value::as_array_mut) {
                        items.retain(|item| !gone.contains(item));
                    }
                } else if name.starts_with('$') {
                    // How, not what.
                } else if value.is_null() {
                    fields.remove(name);
                } else {
                    path.push(format!("f:{name}"));
                    at(fields.entry(name.clone()).or_insert(Value::Null), value, path);
                    path.pop();
                }
            }
        }
        Value::Array(wanted) => match (keys_of(path), target.as_array_mut()) {
            (Some(keys), Some(items)) => merge_items(items, wanted, (keys, path)),
            _ => *target = Value::Array(wanted.clone()),
        },
        _ => *target = patch.clone(),
    }
}

fn merge_items(items: &mut Vec<Value>, wanted: &[Value], (keys, path): (&[&str], &mut Vec<String>)) {
    if wanted.iter().any(|item| item.get("$patch").is_some_and(|how| how == "replace")) {
        items.clear();
    }
    // The patch names an item by the first of its keys.
    let key = keys.first().copied().unwrap_or_default();
    for wish in wanted {
        let Some(name) = wish.get(key) else { continue };
        let found = items.iter().position(|item| item.get(key) == Some(name));
        if wish.get("$patch").is_some_and(|how| how == "delete") {
            if let Some(index) = found {
                items.remove(index);
            }
            continue;
        }
        let index = found.unwrap_or_else(|| {
            items.push(Value::Object(Map::new()));
            items.len() - 1
        });
        path.push(step_of(wish, keys).unwrap_or_default());
        if let Some(item) = items.get_mut(index) {
            at(item, wish, path);
        }
        path.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_merge_patch_replaces_lists_and_takes_nulls_out() {
        let mut target = json!({"a": {"b": 1, "c": [1, 2]}, "d": 1});
        merge(&mut target, &json!({"a": {"c": [3]}, "d": null}));
        assert_eq!(target, json!({"a": {"b": 1, "c": [3]}}));
    }

    #[test]
    fn a_strategic_patch_finds_a_container_by_its_name() {
        let containers = json!([{"name": "a", "image": "1"}, {"name": "b", "image": "2", "args": ["x"]}]);
        let mut target = json!({"spec": {"containers": containers}});
        let patch = json!({"spec": {"$setElementOrder/containers": [], "containers": [
            {"name": "b", "image": "3", "args": null}, {"name": "a", "$patch": "delete"}, {"name": "c"}]}});
        strategic(&mut target, &patch);
        assert_eq!(target, json!({"spec": {"containers": [{"name": "b", "image": "3"}, {"name": "c"}]}}));
    }

    #[test]
    fn a_strategic_patch_replaces_where_it_says_so() {
        let mut target =
            json!({"spec": {"strategy": {"type": "A", "rollingUpdate": {"x": 1}}, "finalizers": ["a", "b"]}});
        let patch = json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "B"},
            "$deleteFromPrimitiveList/finalizers": ["a"]}});
        strategic(&mut target, &patch);
        assert_eq!(target, json!({"spec": {"strategy": {"type": "B"}, "finalizers": ["b"]}}));
    }
}
