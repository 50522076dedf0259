//! Strategic merge: a document of a patch into the document with its id, as Talos's types decide.
//!
//! Mappings merge, lists grow, a scalar that is not zero wins. Which lists are replaced, which find their
//! items by a key, and where a written zero counts stands in the table of kinds.

use crate::kinds::{self, Field, Shape};
use crate::yaml::{Map, Path, Value};

/// A value of free form cannot become one of another type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mismatch {
    pub(super) path: Path,
    pub(super) left: &'static str,
    pub(super) right: &'static str,
}

/// Merges a mapping with known keys.
pub(super) fn merge_struct(left: &mut Map, right: &Map, shape: &str, path: &Path) -> Result<(), Mismatch> {
    for (key, value) in right.iter() {
        let here = path.key(key);
        match kinds::field(shape, key) {
            Some(field) => merge_field(left, value, field, &here)?,
            None if value.is_null() => {}
            None => {
                left.insert(key, value.clone());
            }
        }
    }
    Ok(())
}

fn merge_field(left: &mut Map, right: &Value, field: &Field, path: &Path) -> Result<(), Mismatch> {
    if right.is_null() || counts_as_unset(right, &field.shape) {
        return Ok(());
    }
    match left.get_mut(field.key).filter(|there| !there.is_null()) {
        None => {
            left.insert(field.key, right.clone());
            Ok(())
        }
        Some(there) if !field.by.is_empty() => keyed(there, right, field, path),
        Some(there) if field.replace => {
            *there = right.clone();
            Ok(())
        }
        Some(there) => merge(there, right, &field.shape, path),
    }
}

/// Whether Go cannot tell the value from one that was never written.
fn counts_as_unset(value: &Value, shape: &Shape) -> bool {
    match shape {
        Shape::Text { explicit: false } | Shape::Url => value.text().is_some_and(|t| t.is_empty()),
        Shape::Int { explicit: false } => value.as_int() == Some(0),
        Shape::Span => value.text().is_some_and(|t| {
            t.is_empty() || t.trim_end_matches(|c: char| c.is_ascii_alphabetic()).bytes().all(|b| b == b'0')
        }),
        Shape::Text { .. }
        | Shape::Int { .. }
        | Shape::Bool
        | Shape::Bytes
        | Shape::Any
        | Shape::Args
        | Shape::List(_)
        | Shape::Map(_)
        | Shape::Struct(_) => false,
    }
}

fn merge(left: &mut Value, right: &Value, shape: &Shape, path: &Path) -> Result<(), Mismatch> {
    match (shape, left, right) {
        (Shape::Struct(name), Value::Map(left), Value::Map(right)) => merge_struct(left, right, name, path),
        (Shape::Map(inside), Value::Map(left), Value::Map(right)) => {
            for (key, value) in right.iter() {
                match left.get_mut(key).filter(|there| !there.is_null()) {
                    Some(_) if value.is_null() || counts_as_unset(value, inside) => {}
                    Some(there) => merge(there, value, inside, &path.key(key))?,
                    None => {
                        left.insert(key, value.clone());
                    }
                }
            }
            Ok(())
        }
        (Shape::Args, Value::Map(left), Value::Map(right)) => {
            for (key, value) in right.iter() {
                left.insert(key, value.clone());
            }
            Ok(())
        }
        (Shape::List(_), Value::List(left), Value::List(right)) => {
            left.extend(right.iter().cloned());
            Ok(())
        }
        (Shape::Any, left, right) => merge_free(left, right, path),
        (Shape::Url, Value::String(left), Value::String(right)) => {
            *left = merge_url(left, right);
            Ok(())
        }
        (_, left, right) => {
            *left = right.clone();
            Ok(())
        }
    }
}

/// Free form: types are what was typed, and must stay.
fn merge_free(left: &mut Value, right: &Value, path: &Path) -> Result<(), Mismatch> {
    let (was, is) = (left.called(), right.called());
    match (left, right) {
        (Value::Map(left), Value::Map(right)) => {
            for (key, value) in right.iter() {
                match left.get_mut(key).filter(|there| !there.is_null()) {
                    Some(there) => merge_free(there, value, &path.key(key))?,
                    None => {
                        left.insert(key, value.clone());
                    }
                }
            }
            Ok(())
        }
        (Value::List(left), Value::List(right)) => {
            left.extend(right.iter().cloned());
            Ok(())
        }
        (Value::String(_), Value::String(right)) if right.is_empty() => Ok(()),
        (Value::Int(_), Value::Int(0)) => Ok(()),
        (left, right) if family(left) == family(right) => {
            *left = right.clone();
            Ok(())
        }
        _ => Err(Mismatch { path: path.clone(), left: was, right: is }),
    }
}

/// Types among which a scalar of free form may change.
const fn family(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Int(_) | Value::Float(_) | Value::Plain(_) => 2,
        Value::String(_) => 3,
        Value::List(_) => 4,
        Value::Map(_) => 5,
    }
}

/// Talos merges the fields of Go's URL: what the patch leaves out stays, so a path survives a new host.
fn merge_url(left: &str, right: &str) -> String {
    let (left, right) = (Url::of(left), Url::of(right));
    let pick = |right: Option<&str>, left: Option<&str>, mark: &str, before: bool| {
        let part = right.filter(|r| !r.is_empty()).or(left).unwrap_or_default();
        match (part.is_empty(), before) {
            (true, _) => String::new(),
            (false, true) => format!("{mark}{part}"),
            (false, false) => format!("{part}{mark}"),
        }
    };
    [
        pick(right.scheme, left.scheme, "://", false),
        pick(right.host, left.host, "", true),
        pick(right.path, left.path, "", true),
        pick(right.query, left.query, "?", true),
        pick(right.fragment, left.fragment, "#", true),
    ]
    .concat()
}

/// The parts of a URL as they are written.
struct Url<'a> {
    scheme: Option<&'a str>,
    host: Option<&'a str>,
    path: Option<&'a str>,
    query: Option<&'a str>,
    fragment: Option<&'a str>,
}

impl<'a> Url<'a> {
    fn of(text: &'a str) -> Self {
        let (text, fragment) = text.split_once('#').map_or((text, None), |(t, f)| (t, Some(f)));
        let (text, query) = text.split_once('?').map_or((text, None), |(t, q)| (t, Some(q)));
        let Some((scheme, rest)) = text.split_once("://") else {
            return Self { scheme: None, host: None, path: Some(text), query, fragment };
        };
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        Self { scheme: Some(scheme), host: Some(host), path: Some(path), query, fragment }
    }
}

/// A list whose items are found by a key.
fn keyed(left: &mut Value, right: &Value, field: &Field, path: &Path) -> Result<(), Mismatch> {
    let (Value::List(left), Value::List(right)) = (left, right) else { return Ok(()) };
    let item_shape = match &field.shape {
        Shape::List(item) => item.as_ref(),
        other => other,
    };
    for (at, item) in right.iter().enumerate() {
        let identity = field.by.iter().find_map(|key| {
            let value = item.as_map()?.get(key)?;
            let set = !value.is_null() && value.text().is_none_or(|t| !t.is_empty());
            set.then_some((*key, value))
        });
        let there = identity.and_then(|(key, value)| {
            left.iter_mut().find(|l| l.as_map().and_then(|l| l.get(key)).is_some_and(|l| same(l, value)))
        });
        match there {
            Some(there) if field.replace => *there = item.clone(),
            Some(there) => merge(there, item, item_shape, &path.index(at))?,
            None => left.push(item.clone()),
        }
    }
    Ok(())
}

/// Whether two values say the same: order of keys and spelling of numbers do not count, nor what is unset.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Map(a), Value::Map(b)) => {
            let set = |m: &Map| m.iter().filter(|(_, v)| !v.is_null()).count();
            set(a) == set(b)
                && a.iter()
                    .filter(|(_, v)| !v.is_null())
                    .all(|(key, v)| b.get(key).is_some_and(|w| same(v, w)))
        }
        (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Int(_) | Value::Plain(_), Value::Int(_) | Value::Plain(_)) => {
            match (a.as_int(), b.as_int()) {
                (Some(a), Some(b)) => a == b,
                _ => a == b,
            }
        }
        _ => a == b,
    }
}
