//! Text to documents, with the place of every key and value.
//!
//! The grammar is serde-saphyr's event parser; what a scalar means, anchors, merge keys and all limits are
//! here, because go-yaml decides them and a node must see what we saw.

use std::collections::BTreeMap;
use std::iter::Peekable;

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};

use super::error::{Problem, YamlError};
use super::place::{Path, Place, Places};
use super::resolve::{self, Resolved};
use super::value::{Map, Value};

/// Most bytes that are read: several times what a node takes in one message of its API.
pub const BYTES_LIMIT: usize = 16 << 20;
/// Deepest nesting: a Kubernetes schema inside a manifest inside a config stays under half of it.
pub const DEPTH_LIMIT: usize = 64;
/// Most values of all documents, an alias counted as what it stands for and 64 bytes of its text as one more.
pub const VALUES_LIMIT: usize = 500_000;

/// One document of a file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Document {
    /// What it says; [`Value::Null`] when it holds nothing but comments.
    pub value: Value,
    /// Where each part was written.
    pub places: Places,
}

/// Reads all documents of a text.
///
/// # Errors
/// The first place where the text is not YAML, uses what a config cannot hold, or passes a limit.
pub fn parse(text: &str) -> Result<Vec<Document>, YamlError> {
    if text.len() > BYTES_LIMIT {
        return Err(Problem::TooLarge { bytes: text.len() }.at(Place { line: 1, column: 1 }));
    }
    let options = serde_saphyr::granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: DEPTH_LIMIT,
        block_nesting_limit: DEPTH_LIMIT,
    };
    let mut reader = Reader {
        events: Parser::new_from_str_with_options(text, options).peekable(),
        anchors: BTreeMap::new(),
        open: Vec::new(),
        values: 0,
        places: BTreeMap::new(),
        path: Path::default(),
    };
    let mut documents = Vec::new();
    loop {
        let (event, _) = reader.next()?;
        match event {
            Event::DocumentStart(..) => documents.push(reader.document()?),
            Event::StreamEnd => return Ok(documents),
            // Where the stream starts and documents end.
            _ => {}
        }
    }
}

/// Reads a text of one document; nothing but comments is [`Value::Null`].
///
/// # Errors
/// As [`parse`], and where a second document begins.
pub fn parse_one(text: &str) -> Result<Document, YamlError> {
    let mut documents = parse(text)?.into_iter();
    let first = documents.next().unwrap_or_default();
    match documents.next() {
        None => Ok(first),
        Some(second) => Err(Problem::SecondDocument.at(second.places.root())),
    }
}

type Events<'a> = Peekable<Parser<'a, serde_saphyr::granit_parser::StrInput<'a>>>;

struct Reader<'a> {
    events: Events<'a>,
    /// What each anchor of this document stands for, and what an alias of it counts.
    anchors: BTreeMap<usize, (Value, usize)>,
    /// Anchors of the collections that are being read.
    open: Vec<usize>,
    values: usize,
    places: BTreeMap<Path, Place>,
    path: Path,
}

fn place(span: &Span) -> Place {
    Place {
        line: u32::try_from(span.start.line()).unwrap_or(u32::MAX),
        column: u32::try_from(span.start.col()).unwrap_or(u32::MAX).saturating_add(1),
    }
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), YamlError> {
        match self.events.next() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(complaint(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn document(&mut self) -> Result<Document, YamlError> {
        self.anchors.clear();
        let (event, span) = self.next()?;
        let value = self.value(event, &span)?;
        let places = Places::new(std::mem::take(&mut self.places));
        Ok(Document { value, places })
    }

    fn value(&mut self, event: Event<'a>, span: &Span) -> Result<Value, YamlError> {
        let at = place(span);
        self.count(1, at)?;
        if self.path.len() > DEPTH_LIMIT {
            return Err(Problem::TooDeep.at(at));
        }
        self.places.entry(self.path.clone()).or_insert(at);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar(&text, style, tag.as_deref(), at)?;
                self.keep(anchor, &value);
                Ok(value)
            }
            Event::SequenceStart(_, anchor, tag) => {
                collection_tag(tag.as_deref(), "seq", at)?;
                self.open.push(anchor);
                let value = Value::List(self.list()?);
                self.open.pop();
                self.keep(anchor, &value);
                Ok(value)
            }
            Event::MappingStart(_, anchor, tag) => {
                collection_tag(tag.as_deref(), "map", at)?;
                self.open.push(anchor);
                let value = Value::Map(self.map()?);
                self.open.pop();
                self.keep(anchor, &value);
                Ok(value)
            }
            Event::Alias(id) if self.open.contains(&id) => Err(Problem::AliasOfItself.at(at)),
            Event::Alias(id) => match self.anchors.get(&id).cloned() {
                Some((value, values)) => {
                    self.count(values, at)?;
                    self.deep_enough(&value, at)?;
                    Ok(value)
                }
                None => Err(Problem::AliasUnknown.at(at)),
            },
            _ => Err(Problem::NotYaml("a value was expected".to_owned()).at(at)),
        }
    }

    fn list(&mut self) -> Result<Vec<Value>, YamlError> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(items);
            }
            self.path.push_index(items.len());
            let item = self.value(event, &span)?;
            self.path.pop();
            items.push(item);
        }
    }

    fn map(&mut self) -> Result<Map, YamlError> {
        let mut map = Map::new();
        let mut merged = Vec::new();
        loop {
            let (event, span) = self.next()?;
            let at = place(&span);
            let Some((key, style)) = self.key(event, at)? else { break };
            if style == ScalarStyle::Plain && key == "<<" {
                let (event, span) = self.next()?;
                merged.push((self.value(event, &span)?, place(&span)));
                continue;
            }
            self.path.push_key(&key);
            if map.contains_key(&key) {
                let first = self.places.get(&self.path).copied().unwrap_or_default();
                return Err(Problem::KeyTwice { key, first }.at(at));
            }
            self.places.insert(self.path.clone(), at);
            let (event, span) = self.next()?;
            let value = self.value(event, &span)?;
            self.path.pop();
            map.insert(key, value);
        }
        for (value, at) in merged {
            merge(&mut map, value, at)?;
        }
        Ok(map)
    }

    /// The next key, and how it was written; nothing at the end of the mapping.
    fn key(&mut self, event: Event<'a>, at: Place) -> Result<Option<(String, ScalarStyle)>, YamlError> {
        match event {
            Event::MappingEnd => Ok(None),
            Event::Scalar(text, style, anchor, tag) => {
                self.count(1, at)?;
                let value = scalar(&text, style, tag.as_deref(), at)?;
                if value.is_null() {
                    return Err(Problem::KeyNotText { found: "nothing" }.at(at));
                }
                self.keep(anchor, &value);
                Ok(Some((text.into_owned(), style)))
            }
            Event::Alias(id) => match self.anchors.get(&id).map(|(value, _)| value) {
                Some(value) if !value.is_null() => match value.text() {
                    Some(text) => Ok(Some((text.into_owned(), ScalarStyle::DoubleQuoted))),
                    None => Err(Problem::KeyNotText { found: value.called() }.at(at)),
                },
                Some(_) => Err(Problem::KeyNotText { found: "nothing" }.at(at)),
                None => Err(Problem::AliasUnknown.at(at)),
            },
            Event::SequenceStart(..) => Err(Problem::KeyNotText { found: "a list" }.at(at)),
            _ => Err(Problem::KeyNotText { found: "a mapping" }.at(at)),
        }
    }

    fn keep(&mut self, anchor: usize, value: &Value) {
        if anchor != 0 {
            self.anchors.insert(anchor, (value.clone(), weight(value)));
        }
    }

    fn count(&mut self, values: usize, at: Place) -> Result<(), YamlError> {
        self.values = self.values.saturating_add(values);
        if self.values > VALUES_LIMIT { Err(Problem::TooMany.at(at)) } else { Ok(()) }
    }

    /// An alias brings the depth of what it stands for.
    fn deep_enough(&self, value: &Value, at: Place) -> Result<(), YamlError> {
        if self.path.len().saturating_add(depth(value)) > DEPTH_LIMIT {
            return Err(Problem::TooDeep.at(at));
        }
        Ok(())
    }
}

/// What an alias of this counts.
fn weight(value: &Value) -> usize {
    let of_text = |text: &str| text.len() / 64;
    let inside = match value {
        Value::List(items) => items.iter().map(weight).fold(0, usize::saturating_add),
        Value::Map(map) => {
            map.iter().map(|(key, v)| weight(v).saturating_add(of_text(key))).fold(0, usize::saturating_add)
        }
        Value::String(text) | Value::Plain(text) => of_text(text),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => 0,
    };
    inside.saturating_add(1)
}

fn depth(value: &Value) -> usize {
    let inside = match value {
        Value::List(items) => items.iter().map(depth).max(),
        Value::Map(map) => map.iter().map(|(_, v)| depth(v)).max(),
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::String(_)
        | Value::Plain(_) => return 0,
    };
    inside.unwrap_or_default().saturating_add(1)
}

/// Takes over what a merge key names; a key that is there keeps its value, as does the first of several.
fn merge(map: &mut Map, from: Value, at: Place) -> Result<(), YamlError> {
    let sources = match from {
        Value::List(sources) => sources,
        one => vec![one],
    };
    for source in sources {
        let found = source.called();
        let Value::Map(source) = source else { return Err(Problem::MergeOf { found }.at(at)) };
        for (key, value) in source {
            if !map.contains_key(&key) {
                map.insert(key, value);
            }
        }
    }
    Ok(())
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>, at: Place) -> Result<Value, YamlError> {
    let Some(tag) = tag else {
        return Ok(if style == ScalarStyle::Plain { typed(text) } else { Value::String(text.to_owned()) });
    };
    let refused = || Problem::Tag { tag: tag.original() }.at(at);
    let value = match tag.core_suffix() {
        Some("str") => Value::String(text.to_owned()),
        None if tag.original() == "!" => Value::String(text.to_owned()),
        Some("int" | "float" | "bool" | "null") => typed(text),
        _ => return Err(refused()),
    };
    let fits = match (tag.core_suffix(), resolve::resolve(text)) {
        (Some("int"), found) => matches!(found, Resolved::Int(_) | Resolved::Big),
        (Some("float"), found) => matches!(found, Resolved::Int(_) | Resolved::Float(_)),
        (Some("bool"), found) => matches!(found, Resolved::Bool(_)),
        (Some("null"), found) => matches!(found, Resolved::Null),
        _ => true,
    };
    if fits { Ok(value) } else { Err(refused()) }
}

/// A number is one only if writing it gives what was typed.
fn typed(text: &str) -> Value {
    let value = match resolve::resolve(text) {
        Resolved::Null => Value::Null,
        Resolved::Bool(truth) => Value::Bool(truth),
        Resolved::Int(n) => Value::Int(n),
        Resolved::Float(n) => Value::Float(n),
        Resolved::Big | Resolved::Timestamp => return Value::Plain(text.to_owned()),
        Resolved::Merge | Resolved::Text => return Value::String(text.to_owned()),
    };
    match value {
        Value::Int(_) | Value::Float(_) if value.text().is_none_or(|t| t != text) => {
            Value::Plain(text.to_owned())
        }
        value => value,
    }
}

fn collection_tag(tag: Option<&Tag>, expected: &str, at: Place) -> Result<(), YamlError> {
    match tag {
        Some(tag) if tag.core_suffix() != Some(expected) => Err(Problem::Tag { tag: tag.original() }.at(at)),
        _ => Ok(()),
    }
}

/// Says what the parser found.
fn complaint(error: &ScanError) -> YamlError {
    use serde_saphyr::granit_parser::ErrorKind;
    let at = Place {
        line: u32::try_from(error.marker().line()).unwrap_or(u32::MAX),
        column: u32::try_from(error.marker().col()).unwrap_or(u32::MAX).saturating_add(1),
    };
    match error.kind() {
        ErrorKind::UnknownAnchor => Problem::AliasUnknown.at(at),
        _ => {
            let said = error.info();
            if said.contains("nesting") || said.contains("recursion") {
                return Problem::TooDeep.at(at);
            }
            Problem::NotYaml(said).at(at)
        }
    }
}
