//! `$patch: delete`: what a patch takes away, found in the patch and carried out on a config.

use super::PatchError;
use crate::kinds::{self, Shape};
use crate::load::{Document, DocumentId};
use crate::yaml::{Map, Path, Place, Places, Step, Value};

/// Something to take away from a document.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Deletion {
    /// Keys from the root; the last may be a position, which only says that an item of a list is meant.
    path: Path,
    /// The key and its value by which the item of a list is found.
    item: Option<(String, String)>,
    /// Where the patch says so.
    place: Place,
}

impl Deletion {
    /// Whether the whole document is meant.
    pub(super) fn is_whole(&self) -> bool {
        self.path.is_empty()
    }
}

/// Takes all `$patch: delete` out of a document of a patch; what is left of it may be nothing.
pub(super) fn extract(value: &mut Value, places: &Places) -> Result<Vec<Deletion>, PatchError> {
    let mut found = Vec::new();
    let whole = walk(value, &Path::root(), false, places, &mut found)?;
    if whole || only_names(value) {
        *value = Value::Null;
    }
    Ok(found)
}

/// Whether nothing is left but what the legacy document is called.
fn only_names(value: &Value) -> bool {
    value.as_map().is_some_and(|map| {
        map.iter().all(|(key, value)| matches!(key, "version" | "kind" | "name") && value.is_scalar())
    })
}

/// Says whether the value is to be removed from what holds it.
fn walk(
    value: &mut Value,
    path: &Path,
    is_item: bool,
    places: &Places,
    found: &mut Vec<Deletion>,
) -> Result<bool, PatchError> {
    match value {
        Value::Map(map) if map.get("$patch").is_some_and(|p| p.as_str() == Some("delete")) => {
            found.push(deletion(map, path, is_item, places)?);
            Ok(true)
        }
        Value::Map(map) => {
            if map.contains_key("$patch") {
                let at = path.key("$patch");
                return Err(PatchError::Directive { place: places.of(&at), path: at });
            }
            let before = map.len();
            let mut kept = Map::new();
            for (key, mut value) in std::mem::take(map) {
                if !walk(&mut value, &path.key(&key), false, places, found)? {
                    kept.insert(key, value);
                }
            }
            *map = kept;
            Ok(before > 0 && map.is_empty())
        }
        Value::List(items) => {
            let before = items.len();
            let mut kept = Vec::new();
            for (at, mut item) in std::mem::take(items).into_iter().enumerate() {
                if !walk(&mut item, &path.index(at), true, places, found)? {
                    kept.push(item);
                }
            }
            *items = kept;
            Ok(before > 0 && items.is_empty())
        }
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::String(_)
        | Value::Plain(_) => Ok(false),
    }
}

fn deletion(map: &Map, path: &Path, is_item: bool, places: &Places) -> Result<Deletion, PatchError> {
    let place = places.of(&path.key("$patch"));
    let lists = path.steps().iter().filter(|s| matches!(s, Step::Index(_))).count();
    if lists > usize::from(is_item) {
        return Err(PatchError::DeleteInsideItem { path: path.clone(), place });
    }
    let item = if is_item {
        let by = map.iter().find(|(key, _)| *key != "$patch");
        let Some((key, value)) = by.and_then(|(key, value)| Some((key, value.text()?))) else {
            return Err(PatchError::ItemWithoutKey { path: path.clone(), place });
        };
        Some((key.to_owned(), value.into_owned()))
    } else {
        None
    };
    Ok(Deletion { path: path.clone(), item, place })
}

/// Carries a deletion out; the caller removes whole documents.
pub(super) fn apply(deletion: &Deletion, document: &mut Document) -> Result<(), PatchError> {
    let missing = |id: &DocumentId| PatchError::NothingToDelete {
        document: Box::new(id.clone()),
        path: deletion.path.clone(),
        item: deletion.item.clone(),
        place: deletion.place,
    };
    let keys: Vec<&str> = deletion
        .path
        .steps()
        .iter()
        .filter_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Index(_) => None,
        })
        .collect();
    let Some((last, before)) = keys.split_last() else { return Ok(()) };
    let mut map = &mut document.value;
    let mut shape = Shape::Struct(document.kind.shape);
    for key in before {
        shape = shape_of(&shape, key);
        map = map.get_mut(key).and_then(Value::as_map_mut).ok_or_else(|| missing(&document.id))?;
    }
    let Some((by, wanted)) = &deletion.item else {
        // A key that Talos knows may be unset already.
        let known = matches!(&shape, Shape::Struct(name) if kinds::field(name, last).is_some());
        return if map.remove(last).is_some() || known { Ok(()) } else { Err(missing(&document.id)) };
    };
    let Some(Value::List(items)) = map.get_mut(last) else { return Err(missing(&document.id)) };
    let at = items.iter().position(|item| {
        item.as_map().and_then(|m| m.get(by)).and_then(Value::text).is_some_and(|text| text == *wanted)
    });
    match at {
        Some(at) => {
            items.remove(at);
            if items.is_empty() {
                map.remove(last);
            }
            Ok(())
        }
        None => Err(missing(&document.id)),
    }
}

fn shape_of(shape: &Shape, key: &str) -> Shape {
    match shape {
        Shape::Struct(name) => kinds::field(name, key).map_or(Shape::Any, |f| f.shape.clone()),
        Shape::Map(inside) => inside.as_ref().clone(),
        _ => Shape::Any,
    }
}
