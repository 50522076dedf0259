//! What things of matchbox are called in a lab file.

use std::collections::{BTreeMap, BTreeSet};

use model::NAME_LIMIT;
use serde_json::{Map, Value};

use crate::config::GIVEN;

/// Words that mean something to our templates.
const RESERVED: [&str; 27] = [
    "and",
    "block",
    "break",
    "call",
    "continue",
    "debug",
    "dict",
    "do",
    "elif",
    "else",
    "endfor",
    "endif",
    "false",
    "filter",
    "for",
    "if",
    "in",
    "is",
    "loop",
    "macro",
    "namespace",
    "none",
    "not",
    "or",
    "range",
    "set",
    "true",
];

/// A variable's name, as our templates can have it.
pub(super) fn variable(name: &str) -> String {
    let mut ours: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if !ours.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        ours.insert(0, '_');
    }
    if GIVEN.contains(&ours.as_str()) || RESERVED.contains(&ours.to_lowercase().as_str()) {
        ours.push('_');
    }
    ours
}

/// What each variable is called; the names of two that would be called alike are the error.
pub(super) fn variables(
    all: &Map<String, Value>,
    own_mac: bool,
) -> Result<BTreeMap<String, String>, (String, String)> {
    let mut called: BTreeMap<String, String> = BTreeMap::new();
    for name in all.keys() {
        // The address of a group's selector is the machine's own.
        let ours = if own_mac && name == "mac" { name.clone() } else { variable(name) };
        if let Some((other, _)) = called.iter().find(|(_, taken)| **taken == ours) {
            return Err((other.clone(), name.clone()));
        }
        called.insert(name.clone(), ours);
    }
    Ok(called)
}

/// A name of the lab file that nobody has: letters, digits and `-`.
pub(super) fn fresh(wanted: &str, taken: &BTreeSet<String>) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let text: String = wanted.chars().map(plain).collect();
    let parts: Vec<&str> = text.split('-').filter(|part| !part.is_empty()).collect();
    let text: String = parts.join("-").chars().take(NAME_LIMIT).collect();
    let text = text.trim_end_matches('-');
    let text = if text.is_empty() { "unnamed" } else { text };
    numbered(text, NAME_LIMIT, |name| taken.contains(name))
}

/// A name under which a file can be served, that nobody has.
pub(super) fn served(wanted: &str, taken: impl Fn(&str) -> bool) -> String {
    let wanted = wanted.rsplit('/').next().unwrap_or_default();
    let wanted = wanted.strip_suffix(".tmpl").unwrap_or(wanted);
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' };
    let text: String = wanted.chars().map(plain).collect();
    let text = text.trim_start_matches(['.', '-']);
    let text = if text.is_empty() || text == crate::config::DONE { "file" } else { text };
    // The ending tells what is inside: of a long name the beginning is cut.
    let from = text.len().saturating_sub(SERVED);
    let text = text.get(from..).unwrap_or(text).trim_start_matches(['.', '-']);
    if !taken(text) {
        return text.to_owned();
    }
    let (stem, ending) = text.split_once('.').map_or((text, String::new()), |(a, b)| (a, format!(".{b}")));
    let mut numbers = (2_u32..).map(|number| format!("{stem}-{number}{ending}"));
    numbers.find(|name| !taken(name)).unwrap_or_default()
}

/// Room for a number stays below the 64 characters that a served name may have.
const SERVED: usize = 56;

fn numbered(text: &str, limit: usize, taken: impl Fn(&str) -> bool) -> String {
    if !taken(text) {
        return text.to_owned();
    }
    let mut numbers = (2_u32..).map(|number| {
        let end = format!("-{number}");
        let stem: String = text.chars().take(limit.saturating_sub(end.len())).collect();
        format!("{}{end}", stem.trim_end_matches('-'))
    });
    numbers.find(|name| !taken(name)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_becomes_one_that_a_lab_file_can_have() {
        assert_eq!(
            ["etcd_name", "etcd-name", "ip", "2nd", "for", "Mac", "é"].map(variable),
            ["etcd_name", "etcd_name", "ip_", "_2nd", "for_", "Mac", "_"]
        );
        let taken = BTreeSet::from(["worker".to_owned(), "a".repeat(24)]);
        assert_eq!(fresh("Worker", &taken), "worker-2");
        assert_eq!(fresh("us-central1_a.Zone", &taken), "us-central1-a-zone");
        assert_eq!(fresh(&"a".repeat(40), &taken), format!("{}-2", "a".repeat(22)));
        assert_eq!(fresh("--", &taken), "unnamed");
        assert_eq!(served("a/worker.yaml.tmpl", |_| false), "worker.yaml");
        assert_eq!(served("worker.ign", |name| name == "worker.ign"), "worker-2.ign");
        assert_eq!(served("done", |_| false), "file");
        assert_eq!(served("ignition: x?.ign", |_| false), "ignition__x_.ign");
    }

    #[test]
    fn two_variables_that_would_be_called_alike_are_told() {
        let all = serde_json::json!({ "a-b": 1, "a_b": 2 });
        assert!(variables(all.as_object().unwrap(), false).is_err());
        let all = serde_json::json!({ "mac": "x" });
        assert_eq!(variables(all.as_object().unwrap(), true).unwrap()["mac"], "mac");
        assert_eq!(variables(all.as_object().unwrap(), false).unwrap()["mac"], "mac_");
    }
}
