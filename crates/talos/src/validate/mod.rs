//! What a node would refuse after it took the config: values that contradict each other, or their machine.
//!
//! | part | file |
//! |---|---|
//! | the machine: type, authorities, installation, features, versions | `machine.rs` |
//! | the cluster: endpoint, CNI, discovery, manifests | `cluster.rs` |
//! | the interfaces of the machine | `network.rs` |
//! | documents: their own fields, and their twins in `machine` and `cluster` | `documents.rs` |
//!
//! Source: Talos v1.9.6 to v1.14.0-rc.1, what its machinery validates before anything is applied. Every
//! mistake is found at once.

mod cluster;
mod documents;
mod machine;
mod network;

use crate::load::{Config, Document, load};
use crate::mistake::{Fault, Mistake};
use crate::release::Minor;
use crate::yaml::{Path, Place, Value};

/// On what a node runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// A machine, also a virtual one, that installs itself to a disk.
    #[default]
    Metal,
    /// A machine of a provider, whose disk has Talos already.
    Cloud,
    /// A container.
    Container,
}

/// For what a config is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asked {
    /// On what the node runs.
    pub mode: Mode,
    /// Its Talos; nothing where that is not known, then only what no release takes is refused.
    pub release: Option<Minor>,
}

/// Reads a config and finds everything that is wrong with it, in the order of the text.
#[must_use]
pub fn check(text: &str, asked: Asked) -> Vec<Mistake> {
    let mut loaded = load(text, asked.release);
    // A text that could not be read has no document that could lack something.
    if !loaded.mistakes.iter().any(|m| matches!(m.fault, Fault::Yaml(_) | Fault::Empty)) {
        loaded.mistakes.append(&mut validate(&loaded.config, asked));
    }
    loaded.mistakes.sort_by_key(|m| m.place);
    loaded.mistakes
}

/// Finds what is wrong between the fields and documents of a config that was read.
#[must_use]
pub fn validate(config: &Config, asked: Asked) -> Vec<Mistake> {
    let mut found = Found { mistakes: Vec::new() };
    // Documents alone are a config for a node that has the rest.
    if let Some(document) = config.v1alpha1() {
        let machine = Machine::of(document);
        machine::check(&machine, config, asked, &mut found);
        cluster::check(&machine, config, asked, &mut found);
        network::check(&machine, &mut found);
    }
    documents::check(config, asked, &mut found);
    found.mistakes
}

/// Where mistakes are gathered.
struct Found {
    mistakes: Vec<Mistake>,
}

impl Found {
    /// A mistake at a field that is written `machine.install.disk`.
    fn add(&mut self, document: &Document, field: &str, fault: Fault) {
        let path = if field.is_empty() { Path::root() } else { Path::of_keys(field.split('.')) };
        self.mistakes.push(document.mistake(path, fault));
    }

    fn missing(&mut self, document: &Document, what: &'static str, reason: &'static str) {
        let path = Path::of_keys(what.split('.'));
        self.mistakes.push(document.mistake(path, Fault::Missing { what, reason }));
    }

    fn forbidden(&mut self, document: &Document, what: &'static str, reason: &'static str) {
        self.add(document, what, Fault::Forbidden { what, reason });
    }

    fn value(&mut self, document: &Document, path: Path, found: &str, expected: impl Into<String>) {
        let fault = Fault::Value { found: found.to_owned(), expected: expected.into() };
        self.mistakes.push(document.mistake(path, fault));
    }

    /// A mistake of the whole config.
    fn whole(&mut self, fault: Fault) {
        self.mistakes.push(Mistake { document: None, path: Path::root(), place: Place::default(), fault });
    }
}

/// What a machine is to its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    ControlPlane,
    Worker,
    Unknown,
}

/// The document with `machine` and `cluster`, and what everybody asks of it.
struct Machine<'a> {
    document: &'a Document,
    role: Role,
}

impl<'a> Machine<'a> {
    fn of(document: &'a Document) -> Self {
        let role = match document.at(["machine", "type"]).and_then(Value::as_str) {
            Some("controlplane" | "init") => Role::ControlPlane,
            Some("worker" | "join") => Role::Worker,
            _ => Role::Unknown,
        };
        Self { document, role }
    }

    /// The value of a field that is written `machine.install.disk`; nothing where `null` is.
    fn at(&self, field: &str) -> Option<&'a Value> {
        self.document.at(field.split('.')).filter(|v| !v.is_null())
    }

    /// The text of a field, if there is some.
    fn text(&self, field: &str) -> Option<String> {
        self.at(field)?.text().map(std::borrow::Cow::into_owned).filter(|t| !t.is_empty())
    }

    fn is_true(&self, field: &str) -> bool {
        self.at(field).and_then(Value::as_bool) == Some(true)
    }

    fn list(&self, field: &str) -> &'a [Value] {
        self.at(field).and_then(Value::as_list).unwrap_or_default()
    }
}

/// Whether something was written: not an empty text, list or mapping.
fn is_set(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::List(items)) => !items.is_empty(),
        Some(Value::Map(map)) => map.iter().any(|(_, v)| is_set(Some(v))),
        Some(Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Plain(_)) => true,
    }
}

/// The text of a key of a mapping.
fn text_of(value: &Value, key: &str) -> Option<String> {
    value.as_map()?.get(key)?.text().map(std::borrow::Cow::into_owned).filter(|t| !t.is_empty())
}

/// `10.0.0.1` or `10.0.0.0/8`.
fn is_address_or_prefix(text: &str) -> bool {
    match text.split_once('/') {
        None => text.parse::<std::net::IpAddr>().is_ok(),
        Some(_) => is_prefix(text),
    }
}

/// `10.0.0.0/8` or `fd00::/8`.
fn is_prefix(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let most = match address.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V4(_)) => 32,
        Ok(std::net::IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    bits.bytes().all(|b| b.is_ascii_digit()) && bits.parse::<u8>().is_ok_and(|bits| bits <= most)
}

/// Scheme, host, port and path of a URL; nothing where one of the first two is missing.
fn url_parts(text: &str) -> Option<(&str, &str, Option<u16>, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port.parse().ok()?)),
        _ => (authority, None),
    };
    let plain = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    if scheme.is_empty() || plain.is_empty() || host.contains(' ') {
        return None;
    }
    Some((scheme, plain, port, path))
}

/// `10.0.0.1:5045` or `[fd00::1]:5045`.
fn is_host_and_port(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty()
            && port.parse::<u16>().is_ok()
            && (!host.contains(':') || (host.starts_with('[') && host.ends_with(']')))
    })
}

#[cfg(test)]
mod tests;
