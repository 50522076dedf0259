//! JSON patches, RFC 6902, on the tree itself: order of keys and spelling of numbers survive, and a config
//! need not travel through JSON. The whole standard is smaller than the conversion to another crate's values.

use super::merge::same;
use crate::yaml::{Map, Path, Place, Places, Value};

/// One operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    kind: OperationKind,
    path: Pointer,
    /// Where it stands in the patch.
    pub place: Place,
}

#[derive(Debug, Clone, PartialEq)]
enum OperationKind {
    Add(Value),
    Remove,
    Replace(Value),
    Move(Pointer),
    Copy(Pointer),
    Test(Value),
}

/// Why a JSON patch cannot be read or applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonFault {
    /// An operation that is no mapping.
    #[error("an operation is a mapping with `op` and `path`")]
    Shape,
    /// A word that is missing, or not text.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// An operation of another standard.
    #[error("there is no operation `{0}`")]
    Operation(String),
    /// A pointer that does not begin with `/`.
    #[error("`{0}` is no JSON pointer")]
    Pointer(String),
    /// Nothing is there.
    #[error("there is nothing at `{0}`")]
    Nothing(String),
    /// A position beyond the end.
    #[error("`{0}` is beyond the end of the list")]
    Position(String),
    /// A test that failed.
    #[error("the test of `{0}` failed: something else is there")]
    Test(String),
    /// What is moved cannot hold its new place.
    #[error("`{0}` cannot be moved into itself")]
    IntoItself(String),
}

type Pointer = Vec<String>;

fn pointer(text: &str) -> Result<Pointer, JsonFault> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let Some(rest) = text.strip_prefix('/') else { return Err(JsonFault::Pointer(text.to_owned())) };
    Ok(rest.split('/').map(|part| part.replace("~1", "/").replace("~0", "~")).collect())
}

fn written(pointer: &[String]) -> String {
    pointer.iter().map(|part| format!("/{}", part.replace('~', "~0").replace('/', "~1"))).collect()
}

/// Reads the operations of a list.
pub(super) fn read(items: &[Value], places: &Places) -> Result<Vec<Operation>, (Place, JsonFault)> {
    items
        .iter()
        .enumerate()
        .map(|(at, item)| {
            let place = places.of(&Path::root().index(at));
            operation(item, place).map_err(|fault| (place, fault))
        })
        .collect()
}

fn operation(item: &Value, place: Place) -> Result<Operation, JsonFault> {
    let map = item.as_map().ok_or(JsonFault::Shape)?;
    let text = |key: &'static str| map.get(key).and_then(Value::as_str).ok_or(JsonFault::Missing(key));
    let value = |map: &Map| map.get("value").cloned().ok_or(JsonFault::Missing("value"));
    let kind = match text("op")? {
        "add" => OperationKind::Add(value(map)?),
        "remove" => OperationKind::Remove,
        "replace" => OperationKind::Replace(value(map)?),
        "move" => OperationKind::Move(pointer(text("from")?)?),
        "copy" => OperationKind::Copy(pointer(text("from")?)?),
        "test" => OperationKind::Test(value(map)?),
        other => return Err(JsonFault::Operation(other.to_owned())),
    };
    Ok(Operation { kind, path: pointer(text("path")?)?, place })
}

/// Carries out one operation.
pub(super) fn apply(operation: &Operation, root: &mut Value) -> Result<(), JsonFault> {
    let path = operation.path.as_slice();
    match &operation.kind {
        OperationKind::Add(value) => add(root, path, value.clone()),
        OperationKind::Remove => remove(root, path).map(|_| ()),
        OperationKind::Replace(value) => {
            *find_mut(root, path)? = value.clone();
            Ok(())
        }
        OperationKind::Move(from) if path.len() > from.len() && path.starts_with(from) => {
            Err(JsonFault::IntoItself(written(from)))
        }
        OperationKind::Move(from) => {
            let value = remove(root, from)?;
            add(root, path, value)
        }
        OperationKind::Copy(from) => {
            let value = find_mut(root, from)?.clone();
            add(root, path, value)
        }
        OperationKind::Test(value) => {
            if same(find_mut(root, path)?, value) {
                Ok(())
            } else {
                Err(JsonFault::Test(written(path)))
            }
        }
    }
}

fn position(part: &str) -> Option<usize> {
    let plain = part == "0" || (!part.starts_with('0') && part.bytes().all(|b| b.is_ascii_digit()));
    if plain { part.parse().ok() } else { None }
}

fn find_mut<'a>(root: &'a mut Value, path: &[String]) -> Result<&'a mut Value, JsonFault> {
    let mut value = root;
    for part in path {
        value = match value {
            Value::Map(map) => map.get_mut(part),
            Value::List(items) => position(part).and_then(|at| items.get_mut(at)),
            _ => None,
        }
        .ok_or_else(|| JsonFault::Nothing(written(path)))?;
    }
    Ok(value)
}

fn add(root: &mut Value, path: &[String], value: Value) -> Result<(), JsonFault> {
    let Some((last, before)) = path.split_last() else {
        *root = value;
        return Ok(());
    };
    match find_mut(root, before)? {
        Value::Map(map) => {
            map.insert(last.as_str(), value);
            Ok(())
        }
        Value::List(items) if last == "-" => {
            items.push(value);
            Ok(())
        }
        Value::List(items) => match position(last).filter(|at| *at <= items.len()) {
            Some(at) => {
                items.insert(at, value);
                Ok(())
            }
            None => Err(JsonFault::Position(written(path))),
        },
        _ => Err(JsonFault::Nothing(written(before))),
    }
}

fn remove(root: &mut Value, path: &[String]) -> Result<Value, JsonFault> {
    let nothing = || JsonFault::Nothing(written(path));
    let Some((last, before)) = path.split_last() else { return Err(nothing()) };
    match find_mut(root, before)? {
        Value::Map(map) => map.remove(last).ok_or_else(nothing),
        Value::List(items) => {
            let at = position(last).filter(|at| *at < items.len()).ok_or_else(nothing)?;
            Ok(items.remove(at))
        }
        _ => Err(nothing()),
    }
}
