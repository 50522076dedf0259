//! What a rendered text must be, as far as its name tells: Ignition is JSON, cloud-init is YAML.

use std::ops::Range;

use serde::de::IgnoredAny;

use super::template::line_of;

/// First line of cloud-init's own configuration.
const CLOUD_CONFIG: &str = "#cloud-config";
/// What cloud-init takes as user data or vendor data besides `#cloud-config`, by the first characters.
const USER_DATA: [&str; 10] = [
    CLOUD_CONFIG,
    "#!",
    "#include",
    "## template: jinja",
    "#cloud-boothook",
    "#part-handler",
    "#cloud-config-archive",
    "#cloud-config-jsonp",
    "Content-Type:",
    "MIME-Version:",
];

/// What is wrong with a text, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) what: String,
    pub(super) at: Range<usize>,
}

/// Judges a rendered text by the name it is served under.
pub(super) fn judge(name: &str, text: &str) -> Option<Wrong> {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    match (name, ending) {
        ("user-data" | "vendor-data", _) => user_data(name, text),
        ("meta-data" | "network-config", _) | (_, "yaml" | "yml") => yaml(text),
        (_, "ign") => ignition(text),
        (_, "json") => json(text),
        _ => None,
    }
}

fn wrong(what: impl Into<String>, at: Range<usize>) -> Option<Wrong> {
    Some(Wrong { what: what.into(), at })
}

fn user_data(name: &str, text: &str) -> Option<Wrong> {
    if text.trim().is_empty() {
        return None;
    }
    if !USER_DATA.iter().any(|begin| text.starts_with(begin)) {
        let what = format!("cloud-init would ignore this {name}: its first line is not `{CLOUD_CONFIG}`");
        return wrong(what, line_of(text, 1));
    }
    let config = text.starts_with(CLOUD_CONFIG) && !text.starts_with("#cloud-config-");
    if config { yaml(text) } else { None }
}

fn yaml(text: &str) -> Option<Wrong> {
    // A template may hold anything; depth and aliases are bounded by the library's own budget.
    let error = serde_saphyr::from_str::<IgnoredAny>(text).err()?;
    let line = error.location().map_or(1, |at| usize::try_from(at.line()).unwrap_or(usize::MAX));
    wrong(format!("this is no YAML: {}", first_line(&error.to_string())), line_of(text, line))
}

fn json(text: &str) -> Option<Wrong> {
    let error = serde_json::from_str::<IgnoredAny>(text).err()?;
    wrong(format!("this is no JSON: {error}"), line_of(text, error.line()))
}

/// Ignition refuses a configuration that does not say its version (specification 3, `ignition.version`).
fn ignition(text: &str) -> Option<Wrong> {
    if let Some(fault) = json(text) {
        return Some(fault);
    }
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    let version = value.pointer("/ignition/version").and_then(serde_json::Value::as_str);
    match version {
        Some(version) if version.starts_with(['2', '3']) => None,
        Some(version) => wrong(format!("Ignition knows no version `{version}`"), line_of(text, 1)),
        None => wrong("Ignition refuses what has no `ignition.version`, such as \"3.4.0\"", line_of(text, 1)),
    }
}

fn first_line(text: &str) -> &str {
    text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_name_promises_is_checked() {
        assert_eq!(judge("user-data", "#cloud-config\nhostname: a\n"), None);
        assert_eq!(judge("user-data", "#!/bin/sh\necho: [\n"), None);
        assert_eq!(judge("vendor-data", ""), None);
        assert_eq!(judge("config.ign", r#"{"ignition":{"version":"3.4.0"}}"#), None);
        assert_eq!(judge("preseed.cfg", "d-i anything [ goes"), None);
        let told = |name, text: &str| judge(name, text).unwrap().what;
        assert!(told("user-data", "hostname: a\n").contains("#cloud-config"));
        assert!(told("user-data", "#cloud-config\na: [\n").contains("no YAML"));
        assert!(told("meta-data", "a: b: c\n").contains("no YAML"));
        assert!(told("config.ign", "{}").contains("ignition.version"));
        assert!(told("config.ign", r#"{"ignition":{"version":"9.0"}}"#).contains("`9.0`"));
        assert!(told("config.ign", "{\n  \"a\": 1,\n}").contains("no JSON"));
    }

    #[test]
    fn the_place_is_the_line() {
        let text = "{\n  \"a\": 1,\n}";
        let wrong = judge("x.json", text).unwrap();
        assert_eq!(&text[wrong.at], "}");
    }
}
