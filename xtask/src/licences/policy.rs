//! Reads the lists of `deny.toml` that the check uses: one entry on each line of a list.

/// What may be in the build.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Policy {
    licences: Vec<String>,
    /// Crates that may have one licence more.
    exceptions: Vec<(String, String)>,
    bans: Vec<(String, String)>,
    registries: Vec<String>,
}

impl Policy {
    /// Why a crate may not be used, if it may not.
    pub(super) fn banned(&self, name: &str) -> Option<&str> {
        self.bans.iter().find(|(banned, _)| banned == name).map(|(_, reason)| reason.as_str())
    }

    /// Whether the list names this licence, for all crates or for this one.
    pub(super) fn allows_licence(&self, of: &str, name: &str) -> bool {
        let excepted =
            || self.exceptions.iter().any(|(crate_name, allowed)| crate_name == of && allowed == name);
        self.licences.iter().any(|allowed| allowed == name) || excepted()
    }

    /// Cargo writes `registry+URL` or `sparse+URL`.
    pub(super) fn allows_source(&self, source: &str) -> bool {
        let address = source.strip_prefix("registry+").unwrap_or(source);
        self.registries.iter().any(|allowed| allowed == address)
    }
}

/// Reads the three lists; other settings are for cargo-deny alone.
///
/// # Errors
/// The line and what is wrong: an entry that is not understood, or a list that is missing.
pub(super) fn parse(text: &str) -> Result<Policy, (usize, String)> {
    let mut policy = Policy::default();
    let mut section = String::new();
    let mut list: Option<String> = None;
    for (line, text) in text.lines().enumerate().map(|(index, text)| (index + 1, text.trim())) {
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        if list.is_some() && text == "]" {
            list = None;
        } else if let Some(name) = &list {
            read_entry(&mut policy, name, text).map_err(|what| (line, what))?;
        } else if let Some(name) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name.clone_into(&mut section);
        } else if let Some(key) = text.strip_suffix("= [") {
            list = Some(format!("{section}.{}", key.trim()));
        }
    }
    let lists = [
        ("licenses.allow", policy.licences.is_empty()),
        ("bans.deny", policy.bans.is_empty()),
        ("sources.allow-registry", policy.registries.is_empty()),
    ];
    match lists.iter().find(|(_, empty)| *empty) {
        Some((name, _)) => Err((1, format!("the list `{name}` is missing or empty"))),
        None => Ok(policy),
    }
}

fn read_entry(policy: &mut Policy, list: &str, text: &str) -> Result<(), String> {
    let not_understood = || format!("`{text}` in the list `{list}` is not understood");
    match list {
        "licenses.allow" => policy.licences.push(first_quoted(text).ok_or_else(not_understood)?),
        "licenses.exceptions" => {
            let (name, allowed) =
                quoted_after(text, "crate").zip(quoted_after(text, "allow")).ok_or_else(not_understood)?;
            policy.exceptions.push((name, allowed));
        }
        "sources.allow-registry" => policy.registries.push(first_quoted(text).ok_or_else(not_understood)?),
        "bans.deny" => {
            let name = quoted_after(text, "crate").ok_or_else(not_understood)?;
            let reason =
                quoted_after(text, "reason").ok_or_else(|| format!("the ban of `{name}` needs a reason"))?;
            policy.bans.push((name, reason));
        }
        _ => {}
    }
    Ok(())
}

fn quoted_after(text: &str, key: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("{key} = "))?;
    first_quoted(rest)
}

fn first_quoted(text: &str) -> Option<String> {
    let (_, rest) = text.split_once('"')?;
    let (word, _) = rest.split_once('"')?;
    Some(word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
[graph]
targets = ["x86_64-unknown-linux-gnu"]

[licenses]
allow = [
  "MIT", # ours
  "Apache-2.0 WITH LLVM-exception",
]
exceptions = [
  { crate = "ucs2", allow = ["MPL-2.0"] },
]

[bans]
multiple-versions = "allow"
deny = [
  { crate = "openssl-sys", reason = "one TLS stack" },
]

[sources]
allow-registry = [
  "https://github.com/rust-lang/crates.io-index",
]
"#;

    #[test]
    fn the_three_lists_are_read() {
        let policy = parse(GOOD).unwrap();
        let allows = |name| policy.allows_licence("any", name);
        assert!(allows("MIT") && allows("Apache-2.0 WITH LLVM-exception"));
        assert!(!allows("ours") && !allows("MPL-2.0") && policy.allows_licence("ucs2", "MPL-2.0"));
        assert_eq!(policy.banned("openssl-sys"), Some("one TLS stack"));
        assert_eq!(policy.banned("rustls"), None);
        assert!(policy.allows_source("registry+https://github.com/rust-lang/crates.io-index"));
        assert!(!policy.allows_source("git+https://example.org/x"));
    }

    #[test]
    fn a_missing_list_and_a_ban_without_a_reason_are_errors() {
        assert_eq!(parse("").unwrap_err().1, "the list `licenses.allow` is missing or empty");
        let silent = GOOD.replace(", reason = \"one TLS stack\"", "");
        assert_eq!(parse(&silent).unwrap_err(), (17, "the ban of `openssl-sys` needs a reason".to_owned()));
        let broken = GOOD.replace("\"MIT\", # ours", "MIT,");
        assert_eq!(parse(&broken).unwrap_err().0, 7);
    }
}
