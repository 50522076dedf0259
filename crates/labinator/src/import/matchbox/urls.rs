//! Addresses of matchbox itself inside kernel arguments and templates: what they ask for.

use std::ops::Range;

/// What matchbox renders for a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Endpoint {
    Ignition,
    Cloud,
    Generic,
    Metadata,
}

impl Endpoint {
    /// Its path, and its folder.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ignition => "ignition",
            Self::Cloud => "cloud",
            Self::Generic => "generic",
            Self::Metadata => "metadata",
        }
    }

    fn of(path: &str) -> Option<Self> {
        let all = [Self::Ignition, Self::Cloud, Self::Generic, Self::Metadata];
        all.into_iter().find(|one| path.strip_prefix('/') == Some(one.name()))
    }
}

/// What an address asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wanted {
    /// Something rendered for a machine, with the query as it is written.
    Rendered(Endpoint, String),
    /// A file below the assets.
    Asset(String),
    /// Something else of the same host.
    Other(String),
}

/// An address and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) at: Range<usize>,
    pub(super) host: String,
    pub(super) wanted: Wanted,
}

/// Every address with a path of matchbox in a text, whoever the host is; and everything else of `hosts`.
pub(super) fn find(text: &str, hosts: &[String]) -> Vec<Found> {
    let mut all = Vec::new();
    let mut from = 0;
    while let Some((at, scheme)) = next(text, from) {
        let rest = text.get(at + scheme..).unwrap_or_default();
        let length = length(rest);
        let whole = rest.get(..length).unwrap_or_default();
        from = at + scheme + length;
        // GRUB writes `(http;HOST)/PATH`.
        let (host, tail) = match text.get(at..at + 1) {
            Some("(") => match rest.split_once(')') {
                Some((host, tail)) => (host, tail.get(..self::length(tail)).unwrap_or_default()),
                None => continue,
            },
            _ => whole.find(['/', '?']).map_or((whole, ""), |cut| whole.split_at(cut)),
        };
        if text.get(at..at + 1) == Some("(") {
            from = at + scheme + host.len() + 1 + tail.len();
        }
        let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
        let is_known = hosts.iter().any(|known| known.eq_ignore_ascii_case(host));
        let wanted = match (Endpoint::of(path), path.strip_prefix("/assets/")) {
            (Some(endpoint), _) if is_known || hosts.is_empty() => {
                Wanted::Rendered(endpoint, query.replace("\\u0026", "&").replace("&amp;", "&"))
            }
            (_, Some(path)) if is_known => Wanted::Asset(decoded(path)),
            _ if is_known => Wanted::Other(path.to_owned()),
            _ => continue,
        };
        all.push(Found { at: at..from, host: host.to_owned(), wanted });
    }
    all
}

/// Hosts that these texts ask for something that only matchbox renders.
pub(super) fn hosts<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut all: Vec<String> =
        texts.flat_map(|text| find(text, &[])).map(|found| found.host.to_lowercase()).collect();
    all.sort();
    all.dedup();
    all
}

fn next(text: &str, from: usize) -> Option<(usize, usize)> {
    let rest = text.get(from..)?;
    let found = ["http://", "https://", "(http;"].into_iter();
    found.filter_map(|scheme| Some((from + rest.find(scheme)?, scheme.len()))).min()
}

/// How far an address goes. What is computed inside of it (`${..}`, `{{..}}`, `$(..)`) belongs to it.
fn length(text: &str) -> usize {
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let inner = [("${", "}"), ("{{", "}}"), ("$(", ")")];
        let computed = inner.into_iter().find(|(open, _)| rest.starts_with(open));
        if let Some((_, close)) = computed {
            let Some(end) = rest.find(close) else { return at };
            at += end + close.len();
            continue;
        }
        if rest.starts_with("\\u0026") {
            at += 6;
            continue;
        }
        let c = rest.chars().next().unwrap_or(' ');
        if c.is_whitespace() || c.is_control() || "\"'`<>()[]{}|;\\".contains(c) {
            return at;
        }
        at += c.len_utf8();
    }
    at
}

/// A parameter of a query as it is written: its name and its value.
pub(super) fn parameters(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// True for a value that somebody fills in later: iPXE, a template, a shell.
pub(super) fn is_computed(value: &str) -> bool {
    value.contains('$') || value.contains("{{") || value.contains('`')
}

/// Escapes of a URL undone (RFC 3986 section 2.1); `+` is a space in a query.
pub(super) fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escape = after.get(..2).filter(|_| *first == b'%').and_then(|two| std::str::from_utf8(two).ok());
        match escape.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<(String, Wanted)> {
        let hosts = ["matchbox.lan:8080".to_owned()];
        find(text, &hosts).into_iter().map(|found| (text[found.at].to_owned(), found.wanted)).collect()
    }

    #[test]
    fn addresses_are_found_with_what_is_computed_inside_of_them() {
        let text = "a=http://matchbox.lan:8080/ignition?uuid=${uuid}&mac=${mac:hexhyp} b=http://Matchbox.lan:8080/assets/a%20b/c.img;x";
        let found = told(text);
        assert_eq!(found[0].0, "http://matchbox.lan:8080/ignition?uuid=${uuid}&mac=${mac:hexhyp}");
        assert_eq!(
            found[0].1,
            Wanted::Rendered(Endpoint::Ignition, "uuid=${uuid}&mac=${mac:hexhyp}".to_owned())
        );
        assert_eq!(found[1].1, Wanted::Asset("a b/c.img".to_owned()));
        let text = r#"{"url":"http://matchbox.lan:8080/generic?mac={{.mac}}\u0026os=done"}"#;
        assert_eq!(told(text)[0].1, Wanted::Rendered(Endpoint::Generic, "mac={{.mac}}&os=done".to_owned()));
        let text = "curl \"http://matchbox.lan:8080/metadata?mac=$(cat /x)\" -o x; wget http://matchbox.lan:8080/boot.ipxe http://other/ignition";
        assert_eq!(told(text)[0].1, Wanted::Rendered(Endpoint::Metadata, "mac=$(cat /x)".to_owned()));
        assert_eq!(told(text)[1].1, Wanted::Other("/boot.ipxe".to_owned()));
        assert_eq!(told(text).len(), 2);
        let grub = "(http;matchbox.lan:8080)/assets/vmlinuz";
        assert_eq!(told(grub), [(grub.to_owned(), Wanted::Asset("vmlinuz".to_owned()))]);
    }

    #[test]
    fn hosts_are_those_that_are_asked_for_what_only_matchbox_renders() {
        let args = [
            "x=http://a:8080/ignition?mac=${mac}",
            "y=http://b/assets/x",
            "z=https://A:8080/generic",
            "w=http://c/x",
        ];
        assert_eq!(hosts(args.into_iter()), ["a:8080"]);
    }
}
