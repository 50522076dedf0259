//! The one place that knows the YAML library: text in, a tree with places out.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};

use super::mistake::Mistake;

/// Bytes of the file from `start` to before `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Place {
    /// First byte.
    pub start: usize,
    /// Byte after the last.
    pub end: usize,
}

/// What a plain scalar looks like before anybody says what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Looks {
    /// Text, or anything in quotes.
    Text,
    /// A number.
    Number,
    /// `true` or `false`.
    Bool,
}

/// A value of the file.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// Nothing was written, or `null`.
    Nothing,
    /// A scalar, as it was typed.
    Word(String, Looks),
    /// A list.
    List(Vec<Node>),
    /// A mapping in the order of the file; a key that is written twice is in it twice.
    Map(Vec<Entry>),
}

impl Value {
    /// What to call it in a sentence.
    pub(super) const fn called(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Word(_, Looks::Text) => "text",
            Self::Word(_, Looks::Number) => "a number",
            Self::Word(_, Looks::Bool) => "true or false",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

/// One line of a mapping.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_place: Place,
    pub(super) value: Node,
}

/// Deepest nesting that is read: the deepest key of a lab file is on level 6.
const DEPTH_LIMIT: usize = 24;

/// Reads one document.
///
/// # Errors
/// The first place where the text is not YAML, or is more than a lab file can be.
pub(super) fn read(source: &str) -> Result<Node, Mistake> {
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        strict_booleans: true,
        emit_comments: false,
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_LIMIT,
            max_events: 200_000,
            max_nodes: 100_000,
            max_aliases: 2_000,
        },
    };
    serde_saphyr::from_str_with_options::<Spanned<Raw>>(source, options)
        .map(|raw| placed(raw, source))
        .map_err(|e| complaint(&e, source))
}

fn place_of(location: serde_saphyr::Location) -> Place {
    let span = location.span();
    let start = span.byte_offset().and_then(|o| usize::try_from(o).ok()).unwrap_or_default();
    let length = span.byte_len().and_then(|n| usize::try_from(n).ok()).unwrap_or_default();
    Place { start, end: start.saturating_add(length) }
}

/// Gives numbers back the text they were typed as: `1.10` is no longer that after it was a float.
fn placed(raw: Spanned<Raw>, source: &str) -> Node {
    let place = place_of(raw.referenced);
    let typed = place_of(raw.defined);
    let as_typed = |parsed: String| match source.get(typed.start..typed.end) {
        Some(text) if !text.is_empty() => text.to_owned(),
        _ => parsed,
    };
    let value = match raw.value {
        Raw::Nothing => Value::Nothing,
        Raw::Bool(b) => Value::Word(as_typed(b.to_string()), Looks::Bool),
        Raw::Number(n) => Value::Word(as_typed(n), Looks::Number),
        Raw::Text(text) => Value::Word(text, Looks::Text),
        Raw::List(items) => Value::List(items.into_iter().map(|item| placed(item, source)).collect()),
        Raw::Map(entries) => Value::Map(
            entries
                .into_iter()
                .map(|(key, value)| Entry {
                    key_place: place_of(key.referenced),
                    key: key.value,
                    value: placed(value, source),
                })
                .collect(),
        ),
    };
    Node { place, value }
}

/// Says what the library found in the words of somebody who edits a lab file.
fn complaint(error: &serde_saphyr::Error, source: &str) -> Mistake {
    use serde_saphyr::Error;
    let error = error.without_snippet();
    let at = error.location().map(|l| place_in(source, l.line(), l.column())).unwrap_or_default();
    let whole = error.to_string();
    let said = whole.split(" at line ").next().unwrap_or(&whole).to_owned();
    let mistake = |title: &str, label: &str| Mistake::new(title, at, label);
    match error {
        Error::MultipleDocuments { .. } => {
            mistake("a lab file is one document", "a second one begins here").help("remove the `---`")
        }
        Error::UnknownAnchor { .. } => {
            mistake("this alias leads nowhere", "no anchor of this name comes before")
        }
        Error::NullIntoString { .. } => mistake("this key has no name", "a key is a word"),
        Error::Unexpected { expected: "string scalar", .. } => {
            mistake("this key is not a word", "a key is a word")
        }
        _ if said.contains("budget")
            || said.contains("recursion limit")
            || said.contains("limit exceeded") =>
        {
            mistake("this is more than a lab file holds", &said)
                .help("at most 24 levels of nesting, 100,000 values and 2,000 aliases are read")
        }
        _ if said.contains("recursive") => {
            mistake("this alias contains itself", "an alias of what is around it")
        }
        _ if indent_of(source, at.start).contains('\t') => {
            mistake("a tab cannot indent a line", "YAML indents with spaces only")
                .help("two spaces for each level")
        }
        _ if said.contains("mapping values are not allowed") => {
            mistake("a `:` cannot stand here", "a second key begins where a value was")
                .help("indent the line like its neighbours; text with a `: ` inside needs quotes")
        }
        _ if said.contains("unclosed quote") => mistake("a quote is not closed", "it is opened here"),
        _ if said.contains("expected ',' or '}'") || said.contains("illegal placement of ':'") => {
            mistake("a bracket is not closed", "the next key comes while a `{` or `[` is open")
                .help("look for a missing `}`, `]` or `,` in the line before")
        }
        _ => mistake("this is not YAML", &said),
    }
}

/// An error's location has no bytes: they are counted from its line and column (both from 1, characters).
fn place_in(source: &str, line: u64, column: u64) -> Place {
    let count = |n: u64| usize::try_from(n.saturating_sub(1)).unwrap_or(usize::MAX);
    let begin: usize = source.split_inclusive('\n').take(count(line)).map(str::len).sum();
    let text = source.get(begin..).and_then(|rest| rest.lines().next()).unwrap_or_default();
    let start = begin.saturating_add(text.chars().take(count(column)).map(char::len_utf8).sum());
    let width = source.get(start..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
    Place { start, end: start.saturating_add(width) }
}

/// The white space before the first other character of the line that holds byte `at`.
fn indent_of(source: &str, at: usize) -> &str {
    let at = at.min(source.len());
    let begin = source.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |n| n.saturating_add(1));
    let line = source.get(begin..).unwrap_or_default();
    let end = line.find(|c: char| c != ' ' && c != '\t').unwrap_or(line.len());
    line.get(..end).unwrap_or_default()
}

/// A value as the library hands it over.
enum Raw {
    Nothing,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Spanned<Self>>),
    Map(Vec<(Spanned<String>, Spanned<Self>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, v: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Raw, E> {
        Ok(Raw::Number(v.to_string()))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Raw, E> {
        Ok(Raw::Number(v.to_string()))
    }

    fn visit_i128<E>(self, v: i128) -> Result<Raw, E> {
        Ok(Raw::Number(v.to_string()))
    }

    fn visit_u128<E>(self, v: u128) -> Result<Raw, E> {
        Ok(Raw::Number(v.to_string()))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Raw, E> {
        Ok(Raw::Number(v.to_string()))
    }

    fn visit_str<E>(self, v: &str) -> Result<Raw, E> {
        Ok(Raw::Text(v.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Nothing)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Nothing)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}
