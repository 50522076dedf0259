//! Selectors: which objects a list or a watch is about.

use serde_json::Value;

/// A label and a field selector, read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Selector {
    labels: Vec<(String, Test)>,
    fields: Vec<(String, String, bool)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Absent,
}

impl Selector {
    /// Reads `labelSelector` and `fieldSelector` as they stand in a query.
    ///
    /// # Errors
    /// The part that could not be read.
    pub(super) fn read(labels: &str, fields: &str) -> Result<Self, String> {
        let mut selector = Self::default();
        for part in parts(labels) {
            selector
                .labels
                .push(label(part.trim()).ok_or_else(|| format!("unable to parse requirement: {part}"))?);
        }
        for part in fields.split(',').filter(|part| !part.is_empty()) {
            let (name, value, equal) = if let Some((name, value)) = part.split_once("!=") {
                (name, value, false)
            } else {
                let (name, value) =
                    part.split_once('=').ok_or_else(|| format!("invalid selector: {part}"))?;
                (name, value.trim_start_matches('='), true)
            };
            selector.fields.push((name.to_owned(), value.to_owned(), equal));
        }
        Ok(selector)
    }

    /// Whether this object is meant.
    pub(super) fn matches(&self, object: &Value) -> bool {
        let labels = object.pointer("/metadata/labels");
        let label = |name: &str| labels?.get(name)?.as_str();
        let field = |name: &str| {
            let value = object.pointer(&format!("/{}", name.replace('.', "/")));
            match value {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Null) | None => String::new(),
                Some(other) => other.to_string(),
            }
        };
        self.labels.iter().all(|(name, test)| match (test, label(name)) {
            (Test::Exists, found) => found.is_some(),
            (Test::Absent, found) => found.is_none(),
            (Test::In(values), found) => found.is_some_and(|found| values.iter().any(|value| value == found)),
            (Test::NotIn(values), found) => {
                found.is_none_or(|found| values.iter().all(|value| value != found))
            }
        }) && self.fields.iter().all(|(name, value, equal)| (field(name) == *value) == *equal)
    }

    /// Whether a `matchLabels` selector of a workload means these labels.
    pub(super) fn of_workload(object: &Value) -> Vec<(String, String)> {
        let labels = object.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
        labels.into_iter().flatten().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
    }
}

/// Splits at commas that stand outside parentheses.
fn parts(text: &str) -> Vec<&str> {
    let (mut depth, mut from, mut parts) = (0_u32, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.extend(text.get(from..at));
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.extend(text.get(from..));
    parts.retain(|part| !part.trim().is_empty());
    parts
}

fn label(part: &str) -> Option<(String, Test)> {
    let set = |text: &str| -> Option<Vec<String>> {
        let inside = text.trim().strip_prefix('(')?.strip_suffix(')')?;
        Some(inside.split(',').map(|value| value.trim().to_owned()).collect())
    };
    let named = |name: &str, test| Some((name.trim().to_owned(), test));
    if let Some(name) = part.strip_prefix('!') {
        return named(name, Test::Absent);
    }
    if let Some((name, values)) = part.split_once(" notin ") {
        return named(name, Test::NotIn(set(values)?));
    }
    if let Some((name, values)) = part.split_once(" in ") {
        return named(name, Test::In(set(values)?));
    }
    if let Some((name, value)) = part.split_once("!=") {
        return named(name, Test::NotIn(vec![value.trim().to_owned()]));
    }
    if let Some((name, value)) = part.split_once('=') {
        return named(name, Test::In(vec![value.trim_start_matches('=').trim().to_owned()]));
    }
    (!part.contains(' ')).then(|| (part.to_owned(), Test::Exists))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_form_of_selector_is_read() {
        let pod = json!({"metadata": {"name": "p", "labels": {"app": "web", "tier": "front"}},
            "spec": {"nodeName": "n1"}});
        for (labels, fields, matches) in [
            ("", "", true),
            ("app=web,tier in (front, back)", "", true),
            ("app==web,!gone", "spec.nodeName=n1", true),
            ("app!=web", "", false),
            ("tier notin (front)", "", false),
            ("other!=x,app", "metadata.name!=q", true),
            ("missing", "", false),
            ("", "metadata.name=q", false),
            ("", "spec.nothing=", true),
        ] {
            let selector = Selector::read(labels, fields).unwrap();
            assert_eq!(selector.matches(&pod), matches, "{labels} {fields}");
        }
        assert!(Selector::read("a b", "").is_err());
        assert!(Selector::read("a in x", "").is_err());
        assert!(Selector::read("", "metadata.name").is_err());
    }
}
