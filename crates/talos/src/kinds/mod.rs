//! What Talos knows: kinds of documents and their keys, by release, and how patches merge them.
//!
//! The table is `keys.txt`; its head explains its lines.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::release::Minor;

/// What a value may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// Text; a number that was typed without quotes is taken as its characters.
    Text {
        /// An empty one that is written counts.
        explicit: bool,
    },
    /// A URL; a patch replaces the parts that it has.
    Url,
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Int {
        /// A zero that is written counts.
        explicit: bool,
    },
    /// A duration such as `1m30s`.
    Span,
    /// Bytes in base64.
    Bytes,
    /// Anything: it is meant for another program.
    Any,
    /// Arguments of a program: each is text or a list.
    Args,
    /// A list.
    List(Box<Self>),
    /// A mapping with keys of the user.
    Map(Box<Self>),
    /// A mapping with known keys.
    Struct(&'static str),
}

impl Shape {
    /// What to call it in a sentence.
    #[must_use]
    pub const fn called(&self) -> &'static str {
        match self {
            Self::Text { .. } => "text",
            Self::Url => "a URL",
            Self::Bool => "true or false",
            Self::Int { .. } => "a whole number",
            Self::Span => "a duration such as `1m30s`",
            Self::Bytes => "bytes in base64",
            Self::Any => "anything",
            Self::Args => "a mapping of arguments",
            Self::List(_) => "a list",
            Self::Map(_) | Self::Struct(_) => "a mapping",
        }
    }
}

/// A key that Talos knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The key.
    pub key: &'static str,
    /// What it holds.
    pub shape: Shape,
    /// The first release that knows it, if later than 1.9.
    pub since: Option<Minor>,
    /// The last release that knows it, if it is gone.
    pub until: Option<Minor>,
    /// A patch takes the place of what was there.
    pub replace: bool,
    /// The keys by which items of a patch find theirs.
    pub by: Vec<&'static str>,
}

/// A kind of document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    /// Its name; `v1alpha1` is the one that holds `machine` and `cluster` and has no `kind`.
    pub name: &'static str,
    /// Its mapping.
    pub shape: &'static str,
    /// The first release that knows it, if later than 1.9.
    pub since: Option<Minor>,
    /// There can be several, told apart by `name`.
    pub named: bool,
}

/// The kind of the document that has none.
pub const V1ALPHA1: &str = "v1alpha1";

struct Table {
    kinds: BTreeMap<&'static str, Kind>,
    structs: BTreeMap<&'static str, Vec<Field>>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| read(include_str!("keys.txt")));

/// The kind of this name.
#[must_use]
pub fn kind(name: &str) -> Option<&'static Kind> {
    TABLE.kinds.get(name)
}

/// All kinds, by name.
pub fn kinds() -> impl Iterator<Item = &'static Kind> {
    TABLE.kinds.values()
}

/// The keys of a mapping in the order in which Talos writes them, without `apiVersion` and `kind`.
#[must_use]
pub fn fields(shape: &str) -> &'static [Field] {
    TABLE.structs.get(shape).map(Vec::as_slice).unwrap_or_default()
}

/// The key of a mapping.
#[must_use]
pub fn field(shape: &str, key: &str) -> Option<&'static Field> {
    fields(shape).iter().find(|f| f.key == key)
}

fn read(text: &'static str) -> Table {
    let mut table = Table { kinds: BTreeMap::new(), structs: BTreeMap::new() };
    let mut shape = "";
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            shape = name;
            table.structs.insert(shape, Vec::new());
        } else if let Some(kind) = line.strip_prefix("kind ").filter(|_| shape.is_empty()) {
            let mut words = kind.split(' ');
            let (Some(name), Some(shape)) = (words.next(), words.next()) else { continue };
            let rest: Vec<_> = words.collect();
            let since = rest.iter().find_map(|w| w.parse().ok());
            table.kinds.insert(name, Kind { name, shape, since, named: rest.contains(&"named") });
        } else if let (Some(field), Some(fields)) = (read_field(line), table.structs.get_mut(shape)) {
            fields.push(field);
        }
    }
    table
}

fn read_field(line: &'static str) -> Option<Field> {
    let mut words = line.split(' ');
    let (key, shape) = (words.next()?, read_shape(words.next()?)?);
    let mut field = Field { key, shape, since: None, until: None, replace: false, by: Vec::new() };
    for word in words {
        if word == "replace" {
            field.replace = true;
        } else if let Some(keys) = word.strip_prefix("by(").and_then(|w| w.strip_suffix(')')) {
            field.by = keys.split(',').collect();
        } else if let Some((since, until)) = word.split_once('-') {
            field.since = since.parse().ok();
            field.until = Some(until.parse().ok()?);
        } else {
            field.since = Some(word.parse().ok()?);
        }
    }
    Some(field)
}

fn read_shape(text: &'static str) -> Option<Shape> {
    let inside = |prefix: &str| text.strip_prefix(prefix).and_then(|t| t.strip_suffix(')'));
    if let Some(item) = inside("list(") {
        return Some(Shape::List(Box::new(read_shape(item)?)));
    }
    if let Some(item) = inside("map(") {
        return Some(Shape::Map(Box::new(read_shape(item)?)));
    }
    if let Some(name) = text.strip_prefix('@') {
        return Some(Shape::Struct(name));
    }
    let (name, explicit) = text.strip_suffix('?').map_or((text, false), |name| (name, true));
    Some(match name {
        "text" => Shape::Text { explicit },
        "url" => Shape::Url,
        "bool" => Shape::Bool,
        "int" => Shape::Int { explicit },
        "span" => Shape::Span,
        "bytes" => Shape::Bytes,
        "any" => Shape::Any,
        "args" => Shape::Args,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::Minor::{V1_12, V1_14};

    fn names(shape: &Shape, found: &mut Vec<&'static str>) {
        match shape {
            Shape::List(item) | Shape::Map(item) => names(item, found),
            Shape::Struct(name) => found.push(name),
            _ => {}
        }
    }

    #[test]
    fn every_line_of_the_table_is_read_and_every_shape_is_there() {
        let lines = include_str!("keys.txt").lines().filter(|l| !l.is_empty() && !l.starts_with('#')).count();
        let read = TABLE.kinds.len() + TABLE.structs.values().map(|fields| 1 + fields.len()).sum::<usize>();
        assert_eq!(read, lines);
        let mut found = Vec::new();
        for field in TABLE.structs.values().flatten() {
            names(&field.shape, &mut found);
        }
        found.extend(TABLE.kinds.values().map(|k| k.shape));
        for name in found {
            assert!(TABLE.structs.contains_key(name), "{name}");
        }
    }

    #[test]
    fn releases_bring_kinds_and_keys() {
        assert_eq!(kind("HostnameConfig").unwrap().since, Some(V1_12));
        assert_eq!(kind("EventSinkConfig").unwrap().since, None);
        assert_eq!(kind("KubeletConfig").unwrap().since, Some(V1_14));
        assert!(kind("KmsgLogConfig").unwrap().named && !kind("HostnameConfig").unwrap().named);
        let install = field("InstallConfig", "grubUseUKICmdline").unwrap();
        assert_eq!(install.since, Some(V1_12));
        let podsubnets = field("ClusterNetworkConfig", "podSubnets").unwrap();
        assert!(podsubnets.replace);
        assert_eq!(field("NetworkConfig", "interfaces").unwrap().by, ["interface", "deviceSelector"]);
    }
}
