//! Taking a mapping apart: what is known is handed out, what is left over is a mistake.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::mistake::Mistake;
use super::words::{listed, nearest};
use super::yaml::{Entry, Looks, Node, Place, Value};

/// The mistakes found so far.
pub(super) type Found = Vec<Mistake>;

/// A value with the place where it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typed<T> {
    /// What was typed.
    pub value: T,
    /// Where.
    pub place: Place,
}

impl<T> Typed<T> {
    pub(super) const fn new(value: T, place: Place) -> Self {
        Self { value, place }
    }
}

/// Named things in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entries<T>(pub Vec<(Typed<String>, T)>);

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: JsonSchema> JsonSchema for Entries<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("EntriesOf{}", T::schema_name()).into()
    }
    fn json_schema(to: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "type": "object",
            "additionalProperties": to.subschema_for::<T>(),
            "propertyNames": { "pattern": NAME_PATTERN }
        })
    }
}

/// Shape of a name, for editors; the sentence about a wrong one comes from [`model::NameError`].
pub(super) const NAME_PATTERN: &str = "^[a-z0-9]([a-z0-9-]{0,22}[a-z0-9])?$";

/// A mapping that is being taken apart.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    /// What the mapping is called in a sentence: `network`, `node1`.
    name: &'a str,
    /// Where to point when something is missing: its key.
    pub(super) place: Place,
    /// What is there, without second copies.
    entries: Vec<&'a Entry>,
    /// Every key that was asked for.
    asked: Vec<&'static str>,
    /// Keys that must be there and are not, each with what could be written.
    missing: Vec<(&'static str, &'static str)>,
}

impl<'a> Fields<'a> {
    /// Opens the mapping below the key `name`; says so when it is something else or has a key twice.
    pub(super) fn open(name: &'a str, place: Place, node: &'a Node, found: &mut Found) -> Option<Self> {
        let mut entries: Vec<&Entry> = Vec::new();
        match &node.value {
            Value::Map(all) => {
                for entry in all {
                    if let Some(first) = entries.iter().find(|e| e.key == entry.key) {
                        found.push(
                            Mistake::new(
                                format!("`{}` is written twice", entry.key),
                                entry.key_place,
                                "the second time",
                            )
                            .other(first.key_place, "first written here"),
                        );
                    } else {
                        entries.push(entry);
                    }
                }
            }
            Value::Nothing => {}
            Value::Word(..) | Value::List(_) => {
                let what = node.value.called();
                found.push(
                    Mistake::new(format!("`{name}` is a mapping"), node.place, format!("this is {what}"))
                        .help("write `key: value` lines below it, indented by two spaces"),
                );
                return None;
            }
        }
        Some(Self { name, place, entries, asked: Vec::new(), missing: Vec::new() })
    }

    /// The value of `key`; absent when it was left out or left empty.
    pub(super) fn node(&mut self, key: &'static str) -> Option<&'a Entry> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        self.entries
            .iter()
            .find(|e| e.key == key)
            .copied()
            .filter(|e| !matches!(e.value.value, Value::Nothing))
    }

    /// Like [`Self::node`], and a mistake when it is absent. `example` is what could be written.
    pub(super) fn needed(&mut self, key: &'static str, example: &'static str) -> Option<&'a Entry> {
        let entry = self.node(key);
        if entry.is_none() {
            self.missing.push((key, example));
        }
        entry
    }

    /// One word or line of text.
    pub(super) fn text(&mut self, key: &'static str, found: &mut Found) -> Option<Typed<String>> {
        self.node(key).and_then(|e| text_of(key, &e.value, found))
    }

    /// One word or line of text that must be there.
    pub(super) fn needed_text(
        &mut self,
        key: &'static str,
        example: &'static str,
        found: &mut Found,
    ) -> Option<Typed<String>> {
        self.needed(key, example).and_then(|e| text_of(key, &e.value, found))
    }

    /// A whole number.
    pub(super) fn number(&mut self, key: &'static str, found: &mut Found) -> Option<Typed<u64>> {
        self.node(key).and_then(|e| number_of(key, &e.value, found))
    }

    /// A whole number that must be there.
    pub(super) fn needed_number(
        &mut self,
        key: &'static str,
        example: &'static str,
        found: &mut Found,
    ) -> Option<Typed<u64>> {
        self.needed(key, example).and_then(|e| number_of(key, &e.value, found))
    }

    /// True when one of `keys` was written.
    pub(super) fn has_any(&self, keys: &[&str]) -> bool {
        self.entries.iter().any(|e| keys.contains(&e.key.as_str()))
    }

    /// Complains about everything that nobody asked for. `later` are keys that later versions know.
    pub(super) fn close(mut self, later: &[&str], found: &mut Found) {
        for entry in &self.entries {
            let key = entry.key.as_str();
            if self.asked.contains(&key) {
                continue;
            }
            if later.contains(&key) {
                found.push(Mistake::new(
                    format!("`{key}` is not supported by this version"),
                    entry.key_place,
                    "a later version will read this",
                ));
                continue;
            }
            // A misspelt key is one mistake, not a missing key and an unknown one.
            if let Some(meant) = nearest(key, self.missing.iter().map(|(key, _)| *key)) {
                self.missing.retain(|(key, _)| *key != meant);
            }
            found.push(
                Mistake::new(
                    format!("`{key}` is not a key of {}", self.called()),
                    entry.key_place,
                    "not known here",
                )
                .nearest(key, self.asked.iter().copied(), "keys"),
            );
        }
        if let Some(mistake) = self.missing_keys() {
            found.push(mistake);
        }
    }

    fn missing_keys(&self) -> Option<Mistake> {
        let (first, _) = self.missing.first()?;
        let keys = listed(self.missing.iter().map(|(key, _)| *key));
        let examples: Vec<String> =
            self.missing.iter().map(|(key, example)| format!("{key}: {example}")).collect();
        let mistake = if self.name.is_empty() {
            Mistake::of_file(format!("the lab file needs {keys}"))
        } else {
            let label = match self.missing.len() {
                1 => format!("without `{first}`"),
                _ => "without these".to_owned(),
            };
            Mistake::new(format!("`{}` needs {keys}", self.name), self.place, label)
        };
        let between = if self.name.is_empty() { "`, `" } else { ", " };
        Some(mistake.help(format!("for example `{}`", examples.join(between))))
    }

    fn called(&self) -> String {
        if self.name.is_empty() { "a lab file".to_owned() } else { format!("`{}`", self.name) }
    }
}

/// A scalar as it was typed, whatever it looks like.
pub(super) fn text_of(key: &str, node: &Node, found: &mut Found) -> Option<Typed<String>> {
    match &node.value {
        Value::Word(text, _) => Some(Typed::new(text.clone(), node.place)),
        Value::Nothing | Value::List(_) | Value::Map(_) => {
            let what = node.value.called();
            found.push(Mistake::new(format!("`{key}` is a text"), node.place, format!("this is {what}")));
            None
        }
    }
}

/// A whole number, not negative.
pub(super) fn number_of(key: &str, node: &Node, found: &mut Found) -> Option<Typed<u64>> {
    let label = match &node.value {
        Value::Word(text, Looks::Number) => match text.parse() {
            Ok(number) => return Some(Typed::new(number, node.place)),
            Err(_) => "this is another kind of number".to_owned(),
        },
        Value::Word(text, Looks::Text) if text.parse::<u64>().is_ok() => {
            "this is a number in quotes".to_owned()
        }
        Value::Nothing | Value::Word(..) | Value::List(_) | Value::Map(_) => {
            format!("this is {}", node.value.called())
        }
    };
    found.push(Mistake::new(format!("`{key}` is a whole number"), node.place, label));
    None
}

/// A list of texts.
pub(super) fn texts_of(key: &str, node: &Node, found: &mut Found) -> Option<Typed<Vec<Typed<String>>>> {
    match &node.value {
        Value::List(items) => {
            let all = items.iter().filter_map(|item| text_of(key, item, found)).collect();
            Some(Typed::new(all, node.place))
        }
        Value::Nothing | Value::Word(..) | Value::Map(_) => {
            let label = format!("this is {}", node.value.called());
            found.push(
                Mistake::new(format!("`{key}` is a list"), node.place, label)
                    .help(format!("for example `{key}: [first, second]`")),
            );
            None
        }
    }
}
