//! A machine config of many documents: which they are, and whether a node knows every word of them.
//!
//! A node refuses a whole config for one unknown kind or key, after it has been powered on and asked. Here the
//! same is refused before, with the line.

use std::fmt;

use crate::kinds::{self, Kind, Shape, V1ALPHA1};
use crate::mistake::{Fault, Mistake, nearest};
use crate::release::Minor;
use crate::yaml::{self, Map, Path, Place, Places, Value};

/// What tells documents apart. Two with one id merge when one is a patch, and are a mistake otherwise.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentId {
    /// `apiVersion`; empty for the document with `machine` and `cluster`.
    pub api_version: String,
    /// `kind`; `v1alpha1` for that document.
    pub kind: String,
    /// `name`; empty where a kind has none.
    pub name: String,
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        if !self.name.is_empty() {
            write!(f, " {}", self.name)?;
        }
        Ok(())
    }
}

/// One document.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Which it is.
    pub id: DocumentId,
    /// What Talos calls it.
    pub kind: &'static Kind,
    /// What it says.
    pub value: Map,
    /// Where it was written; nothing is known of what a patch brought.
    pub places: Places,
}

impl Document {
    /// What lies at the end of these keys.
    #[must_use]
    pub fn at<'a>(&self, keys: impl IntoIterator<Item = &'a str>) -> Option<&Value> {
        let mut keys = keys.into_iter();
        self.value.get(keys.next()?)?.at(keys)
    }

    /// A mistake at a field of this document.
    #[must_use]
    pub fn mistake(&self, path: Path, fault: Fault) -> Mistake {
        let place = self.places.of(&path);
        Mistake { document: Some(self.id.clone()), path, place, fault }
    }
}

/// All documents of a config.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Config {
    /// In the order in which they were written.
    pub documents: Vec<Document>,
}

impl Config {
    /// The document with `machine` and `cluster`.
    #[must_use]
    pub fn v1alpha1(&self) -> Option<&Document> {
        self.of_kind(V1ALPHA1).next()
    }

    /// The documents of a kind.
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Document> {
        self.documents.iter().filter(move |d| d.kind.name == kind)
    }

    /// The config as Talos writes it: known keys in Talos's order, keys of the user sorted, text quoted where
    /// a number was typed for it. Comments are gone.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        let values: Vec<Value> = self
            .documents
            .iter()
            .map(|document| {
                let mut value = Value::Map(document.value.clone());
                in_order(&mut value, &Shape::Struct(document.kind.shape));
                value
            })
            .collect();
        yaml::emit_all(&values)
    }
}

/// What was read, and everything that is wrong with it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Loaded {
    /// The documents whose kind is known.
    pub config: Config,
    /// In the order of the text.
    pub mistakes: Vec<Mistake>,
}

impl Loaded {
    /// The config if nothing is wrong with it.
    ///
    /// # Errors
    /// Every mistake.
    pub fn into_result(self) -> Result<Config, Vec<Mistake>> {
        if self.mistakes.is_empty() { Ok(self.config) } else { Err(self.mistakes) }
    }
}

/// Reads a config for a node of this release; without a release every word of every release is known.
#[must_use]
pub fn load(text: &str, release: Option<Minor>) -> Loaded {
    let mut loaded = read(text, release);
    let mut first: Vec<(DocumentId, u32)> = Vec::new();
    for document in &loaded.config.documents {
        match first.iter().find(|(id, _)| *id == document.id) {
            Some((_, line)) => {
                loaded.mistakes.push(document.mistake(Path::root(), Fault::DocumentTwice { first: *line }));
            }
            None => first.push((document.id.clone(), document.places.root().line)),
        }
    }
    if loaded.config.documents.is_empty() && loaded.mistakes.is_empty() {
        loaded.mistakes.push(nowhere(Place { line: 1, column: 1 }, Fault::Empty));
    }
    loaded.mistakes.sort_by_key(|m| m.place);
    loaded
}

/// Reads documents, of which one may be there twice, as in a patch.
pub(crate) fn read(text: &str, release: Option<Minor>) -> Loaded {
    let mut loaded = Loaded::default();
    match yaml::parse(text) {
        Ok(documents) => {
            for yaml::Document { value, places } in documents {
                document(value, places, release, &mut loaded);
            }
        }
        Err(error) => loaded.mistakes.push(nowhere(error.at, Fault::Yaml(error))),
    }
    loaded
}

pub(crate) const fn nowhere(place: Place, fault: Fault) -> Mistake {
    Mistake { document: None, path: Path::root(), place, fault }
}

/// Takes one document in.
pub(crate) fn document(value: Value, places: Places, release: Option<Minor>, loaded: &mut Loaded) {
    let value = match value {
        // Nothing but comments, as Talos skips them.
        Value::Null => return,
        Value::Map(map) => map,
        other => {
            let fault = Fault::NotADocument { found: other.called() };
            loaded.mistakes.push(nowhere(places.root(), fault));
            return;
        }
    };
    let text = |key: &str| value.get(key).and_then(Value::text).unwrap_or_default().into_owned();
    let mut refuse = |key: &str, fault: Fault| {
        let path = if key.is_empty() { Path::root() } else { Path::root().key(key) };
        loaded.mistakes.push(Mistake { document: None, place: places.of(&path), path, fault });
    };
    let (kind_name, api_version) = (text("kind"), text("apiVersion"));
    if kind_name.is_empty() {
        let legacy = ["machine", "cluster", "debug", "persist"].iter().any(|key| value.contains_key(key))
            || text("version") == V1ALPHA1;
        if !legacy {
            refuse("", Fault::KindMissing);
            return;
        }
    } else if api_version != V1ALPHA1 {
        refuse("apiVersion", Fault::ApiVersion { found: api_version });
        return;
    }
    let name = if kind_name.is_empty() { V1ALPHA1 } else { kind_name.as_str() };
    let Some(kind) = kinds::kind(name).filter(|k| kind_name.is_empty() || k.name != V1ALPHA1) else {
        let near = nearest(name, kinds::kinds().map(|k| k.name));
        refuse("kind", Fault::KindUnknown { kind: kind_name, near });
        return;
    };
    if let (Some(release), Some(since)) = (release, kind.since.filter(|s| release.is_some_and(|r| r < *s))) {
        refuse("kind", Fault::KindTooNew { kind: kind.name, since, release });
    }
    let id = DocumentId {
        api_version: if kind_name.is_empty() { String::new() } else { api_version },
        kind: kind.name.to_owned(),
        name: if kind.named { text("name") } else { String::new() },
    };
    let document = Document { id, kind, value, places };
    let mut check = Check { document: &document, release, mistakes: Vec::new() };
    check.map(&document.value, kind.shape, &Path::root());
    loaded.mistakes.append(&mut check.mistakes);
    loaded.config.documents.push(document);
}

/// Compares a document with the keys that are known.
struct Check<'a> {
    document: &'a Document,
    release: Option<Minor>,
    mistakes: Vec<Mistake>,
}

impl Check<'_> {
    fn refuse(&mut self, path: &Path, fault: Fault) {
        self.mistakes.push(self.document.mistake(path.clone(), fault));
    }

    fn map(&mut self, map: &Map, shape: &str, path: &Path) {
        for (key, value) in map.iter() {
            let here = path.key(key);
            if path.is_empty() && matches!(key, "apiVersion" | "kind") && self.document.kind.name != V1ALPHA1
            {
                continue;
            }
            if key == "$patch" {
                self.refuse(&here, Fault::PatchInConfig);
                continue;
            }
            let Some(field) = kinds::field(shape, key) else {
                let near = nearest(key, kinds::fields(shape).iter().map(|f| f.key));
                self.refuse(&here, Fault::KeyUnknown { key: key.to_owned(), near });
                continue;
            };
            match (self.release, field.since, field.until) {
                (Some(release), Some(since), _) if release < since => {
                    self.refuse(&here, Fault::KeyTooNew { key: field.key, since, release });
                }
                (Some(release), _, Some(until)) if release > until => {
                    self.refuse(&here, Fault::KeyGone { key: field.key, until, release });
                }
                _ => {}
            }
            self.value(value, &field.shape, &here);
        }
    }

    fn value(&mut self, value: &Value, shape: &Shape, path: &Path) {
        match (shape, value) {
            (Shape::Any, _) | (_, Value::Null) => {}
            (Shape::Struct(name), Value::Map(map)) => self.map(map, name, path),
            (Shape::Map(inside), Value::Map(map)) => {
                for (key, value) in map.iter() {
                    self.value(value, inside, &path.key(key));
                }
            }
            (Shape::List(inside), Value::List(items)) => {
                for (at, item) in items.iter().enumerate() {
                    self.value(item, inside, &path.index(at));
                }
            }
            (Shape::Args, Value::Map(_)) | (Shape::Bool, Value::Bool(_)) => {}
            (Shape::Int { .. }, value) if value.as_int().is_some() => {}
            (Shape::Text { .. } | Shape::Url | Shape::Span | Shape::Bytes, value) if value.is_scalar() => {}
            (shape, value) => {
                self.refuse(path, Fault::Type { expected: shape.called(), found: value.called() });
            }
        }
    }
}

/// Puts keys where Talos puts them, and makes text of what was typed for text.
pub(crate) fn in_order(value: &mut Value, shape: &Shape) {
    match (shape, value) {
        (Shape::Struct(name), Value::Map(map)) => {
            let mut ordered = Map::new();
            for key in ["apiVersion", "kind"].into_iter().chain(kinds::fields(name).iter().map(|f| f.key)) {
                if let Some(mut value) = map.remove(key) {
                    if let Some(field) = kinds::field(name, key) {
                        in_order(&mut value, &field.shape);
                    }
                    if let (&"ClusterInlineManifest", "contents", Value::String(text)) =
                        (name, key, &mut value)
                    {
                        // Talos reads them so.
                        *text = text.trim_start_matches(['\t', '\n', '\u{b}', '\u{c}', '\r']).to_owned();
                    }
                    ordered.insert(key, value);
                }
            }
            // What no table knows stays behind the rest.
            for (key, value) in std::mem::take(map) {
                ordered.insert(key, value);
            }
            *map = ordered;
        }
        (Shape::Map(inside), Value::Map(map)) => {
            map.sort();
            map.iter_mut().for_each(|(_, value)| in_order(value, inside));
        }
        (Shape::List(inside), Value::List(items)) => {
            items.iter_mut().for_each(|item| in_order(item, inside));
        }
        (Shape::Args, Value::Map(map)) => {
            map.sort();
            map.iter_mut().for_each(|(_, value)| in_order(value, &Shape::Text { explicit: false }));
        }
        (Shape::Any, value) => sorted(value),
        (Shape::Text { .. }, value) if !matches!(value, Value::Null | Value::String(_)) => {
            if let Some(text) = value.text().map(std::borrow::Cow::into_owned) {
                *value = Value::String(text);
            }
        }
        _ => {}
    }
}

/// Free form is a Go map, whose keys are written in order.
fn sorted(value: &mut Value) {
    match value {
        Value::Map(map) => {
            map.sort();
            map.iter_mut().for_each(|(_, value)| sorted(value));
        }
        Value::List(items) => items.iter_mut().for_each(sorted),
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::String(_)
        | Value::Plain(_) => {}
    }
}
