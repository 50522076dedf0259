//! Patches of machine configs, as `talosctl` takes them: strategic merge and JSON 6902, from a file or inline.
//!
//! ```text
//!   text ── a list at its root? ── yes ─▶ JSON 6902: one document only
//!                              └── no ──▶ strategic: per document, first what is deleted, then the merge
//! ```

mod delete;
mod json;
mod merge;

use std::path::PathBuf;

pub use json::{JsonFault, Operation};

use crate::load::{self, Config, Document, DocumentId, Loaded};
use crate::mistake::{Fault, Mistake};
use crate::release::Minor;
use crate::yaml::{self, Path, Place, Value};

/// A patch that was read.
#[derive(Debug, Clone, PartialEq)]
pub enum Patch {
    /// Documents to merge.
    Strategic(Vec<Part>),
    /// Operations of RFC 6902.
    Json(Vec<Operation>),
}

/// What a document of a strategic patch does.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    id: DocumentId,
    deletions: Vec<delete::Deletion>,
    /// What is merged after the deletions; nothing if the document only deletes.
    merged: Option<Document>,
    place: Place,
}

/// Why a patch cannot be read or applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatchError {
    /// A file that cannot be read.
    #[error("{path}: {said}")]
    File {
        /// The file.
        path: String,
        /// What the system says.
        said: String,
    },
    /// Words that Talos does not know, and the like.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Mistakes(Vec<Mistake>),
    /// Nothing in it.
    #[error("the patch is empty")]
    Empty,
    /// `$patch` with another word.
    #[error("{place}, {path}: only `$patch: delete` is known")]
    Directive {
        /// The field.
        path: Path,
        /// Where.
        place: Place,
    },
    /// A deletion below an item of a list.
    #[error("{place}, {path}: what is inside an item of a list cannot be deleted")]
    DeleteInsideItem {
        /// The field.
        path: Path,
        /// Where.
        place: Place,
    },
    /// An item to delete that nothing identifies.
    #[error("{place}, {path}: an item to delete needs a key that says which")]
    ItemWithoutKey {
        /// The field.
        path: Path,
        /// Where.
        place: Place,
    },
    /// A deletion that says `kind` without `apiVersion`, or the other way round.
    #[error("{place}: a document to delete from needs `apiVersion` and `kind`")]
    DeleteWithoutKind {
        /// Where.
        place: Place,
    },
    /// The document that holds everything.
    #[error("{place}: the document with `machine` and `cluster` cannot be deleted")]
    DeleteRoot {
        /// Where.
        place: Place,
    },
    /// A deletion that finds nothing.
    #[error("{place}: {document} has nothing to delete at {path}{}", item_text(.item.as_ref()))]
    NothingToDelete {
        /// The document.
        document: Box<DocumentId>,
        /// The field.
        path: Path,
        /// The item that was looked for.
        item: Option<(String, String)>,
        /// Where the patch asks for it.
        place: Place,
    },
    /// Two types that do not merge.
    #[error("{document}, {path}: {right} cannot be merged into {left}")]
    Mismatch {
        /// The document.
        document: Box<DocumentId>,
        /// The field.
        path: Path,
        /// What is there.
        left: &'static str,
        /// What the patch brings.
        right: &'static str,
    },
    /// JSON 6902 on many documents.
    #[error("a JSON 6902 patch needs a config of one document, this one has {documents}")]
    JsonOnManyDocuments {
        /// How many there are.
        documents: usize,
    },
    /// A JSON patch that cannot be read or carried out.
    #[error("{place}: {fault}")]
    Json {
        /// Where the operation stands in the patch.
        place: Place,
        /// What is wrong.
        fault: JsonFault,
    },
}

fn item_text(item: Option<&(String, String)>) -> String {
    item.map(|(key, value)| format!(" with `{key}: {value}`")).unwrap_or_default()
}

impl PatchError {
    /// A name for programs, stable over releases.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::File { .. } => "patch-file",
            Self::Mistakes(mistakes) => mistakes.first().map_or("patch-mistakes", Mistake::code),
            Self::Empty => "patch-empty",
            Self::Directive { .. } => "patch-directive",
            Self::DeleteInsideItem { .. } => "patch-delete-inside-item",
            Self::ItemWithoutKey { .. } => "patch-item-without-key",
            Self::DeleteWithoutKind { .. } => "patch-delete-without-kind",
            Self::DeleteRoot { .. } => "patch-delete-root",
            Self::NothingToDelete { .. } => "patch-nothing-to-delete",
            Self::Mismatch { .. } => "patch-mismatch",
            Self::JsonOnManyDocuments { .. } => "patch-json-on-many-documents",
            Self::Json { .. } => "patch-json",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::File { .. } => {
                "name a file that can be read, or write the patch itself with a line break or space in it"
                    .to_owned()
            }
            Self::Mistakes(mistakes) => mistakes.iter().map(Mistake::advice).collect::<Vec<_>>().join("\n"),
            Self::Empty => "write at least one document or operation".to_owned(),
            Self::Directive { .. } => "write `$patch: delete`, or leave it out".to_owned(),
            Self::DeleteInsideItem { .. } => {
                "delete the whole item by its first key, and give it anew in a later patch".to_owned()
            }
            Self::ItemWithoutKey { .. } => "write its key first, as `- interface: eth0`".to_owned(),
            Self::DeleteWithoutKind { .. } => "add both".to_owned(),
            Self::DeleteRoot { .. } => "delete the fields that are meant".to_owned(),
            Self::NothingToDelete { .. } => "remove the deletion, or look for its spelling".to_owned(),
            Self::Mismatch { .. } => {
                "delete the old value first, with `$patch: delete` in a patch before".to_owned()
            }
            Self::JsonOnManyDocuments { .. } => {
                "write it as a strategic patch: one operation cannot say which document it means".to_owned()
            }
            Self::Json { .. } => {
                "compare the path with the config: `/` between keys, `~1` for a `/` in one".to_owned()
            }
        }
    }
}

/// Where a patch that was given on a command line or in a lab file comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file to read.
    File(PathBuf),
    /// The patch itself.
    Inline(String),
}

impl Source {
    /// `@file` is a file, and so is a word that can be no patch: without a space, a line break and a bracket first.
    #[must_use]
    pub fn of(argument: &str) -> Self {
        match argument.strip_prefix('@') {
            Some(file) => Self::File(file.into()),
            None if !argument.contains(['\n', ' ']) && !argument.starts_with(['[', '{']) => {
                Self::File(argument.into())
            }
            None => Self::Inline(argument.to_owned()),
        }
    }

    /// Reads the patch's text.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn read(&self) -> Result<String, PatchError> {
        match self {
            Self::Inline(text) => Ok(text.clone()),
            Self::File(path) => std::fs::read_to_string(path).map_err(|error| PatchError::File {
                path: path.display().to_string(),
                said: error.to_string(),
            }),
        }
    }
}

impl Patch {
    /// Reads a patch for nodes of this release; without one, every word of every release is known.
    ///
    /// # Errors
    /// Every unknown word at once, or the first thing that is no patch.
    pub fn parse(text: &str, release: Option<Minor>) -> Result<Self, PatchError> {
        let documents =
            yaml::parse(text).map_err(|e| PatchError::Mistakes(vec![load::nowhere(e.at, Fault::Yaml(e))]))?;
        if let [yaml::Document { value: Value::List(items), places }] = documents.as_slice() {
            let operations =
                json::read(items, places).map_err(|(place, fault)| PatchError::Json { place, fault })?;
            return if operations.is_empty() { Err(PatchError::Empty) } else { Ok(Self::Json(operations)) };
        }
        let mut parts = Vec::new();
        let mut mistakes = Vec::new();
        for document in documents {
            if let Some(part) = part(document, release, &mut mistakes)? {
                parts.push(part);
            }
        }
        if !mistakes.is_empty() {
            return Err(PatchError::Mistakes(mistakes));
        }
        if parts.is_empty() { Err(PatchError::Empty) } else { Ok(Self::Strategic(parts)) }
    }
}

fn part(
    document: yaml::Document,
    release: Option<Minor>,
    mistakes: &mut Vec<Mistake>,
) -> Result<Option<Part>, PatchError> {
    let yaml::Document { mut value, places } = document;
    let place = places.root();
    let id = delete_target(&value);
    let deletions = delete::extract(&mut value, &places)?;
    let mut loaded = Loaded::default();
    load::document(value, places, release, &mut loaded);
    mistakes.append(&mut loaded.mistakes);
    let merged = loaded.config.documents.pop();
    if deletions.is_empty() {
        return Ok(merged.map(|document| Part {
            id: document.id.clone(),
            deletions,
            merged: Some(document),
            place,
        }));
    }
    let id = id.ok_or(PatchError::DeleteWithoutKind { place })?;
    if id.kind == crate::kinds::V1ALPHA1 && deletions.iter().any(delete::Deletion::is_whole) {
        return Err(PatchError::DeleteRoot { place });
    }
    // A document that only deleted has nothing to bring where it finds none.
    let merged = merged.filter(|d| d.value.keys().any(|key| !matches!(key, "apiVersion" | "kind" | "name")));
    Ok(Some(Part { id, deletions, merged, place }))
}

/// The document that a deletion is about.
fn delete_target(value: &Value) -> Option<DocumentId> {
    let map = value.as_map()?;
    let text = |key: &str| map.get(key).and_then(Value::text).unwrap_or_default().into_owned();
    match (text("apiVersion"), text("kind")) {
        (version, kind) if version.is_empty() && kind.is_empty() => Some(DocumentId {
            api_version: String::new(),
            kind: crate::kinds::V1ALPHA1.to_owned(),
            name: String::new(),
        }),
        (version, kind) if version.is_empty() || kind.is_empty() => None,
        (api_version, kind) => Some(DocumentId { api_version, kind, name: text("name") }),
    }
}

/// Applies patches in their order.
///
/// # Errors
/// The first patch that cannot be applied; the config is unchanged then.
pub fn apply(config: &Config, patches: &[Patch], release: Option<Minor>) -> Result<Config, PatchError> {
    let mut patched = config.clone();
    for patch in patches {
        match patch {
            Patch::Strategic(parts) => {
                for part in parts {
                    strategic(&mut patched, part)?;
                }
            }
            Patch::Json(operations) => json_patch(&mut patched, operations, release)?,
        }
    }
    Ok(patched)
}

fn strategic(config: &mut Config, part: &Part) -> Result<(), PatchError> {
    let at = config.documents.iter().position(|d| d.id == part.id);
    if part.deletions.iter().any(delete::Deletion::is_whole) {
        // Nothing to delete is no mistake: a patch for several nodes may meet one that never had it.
        if let Some(at) = at {
            config.documents.remove(at);
        }
        return Ok(());
    }
    if let Some(document) = at.and_then(|at| config.documents.get_mut(at)) {
        for deletion in &part.deletions {
            delete::apply(deletion, document)?;
        }
        if let Some(right) = &part.merged {
            merge::merge_struct(&mut document.value, &right.value, document.kind.shape, &Path::root())
                .map_err(|m| PatchError::Mismatch {
                    document: Box::new(document.id.clone()),
                    path: m.path,
                    left: m.left,
                    right: m.right,
                })?;
        }
    } else if let Some(right) = &part.merged {
        // Its lines are those of the patch, which nobody would look for in the config.
        config.documents.push(Document { places: yaml::Places::default(), ..right.clone() });
    }
    Ok(())
}

fn json_patch(
    config: &mut Config,
    operations: &[Operation],
    release: Option<Minor>,
) -> Result<(), PatchError> {
    let [document] = config.documents.as_slice() else {
        return Err(PatchError::JsonOnManyDocuments { documents: config.documents.len() });
    };
    let mut value = Value::Map(document.value.clone());
    for operation in operations {
        json::apply(operation, &mut value)
            .map_err(|fault| PatchError::Json { place: operation.place, fault })?;
    }
    let mut loaded = Loaded::default();
    load::document(value, document.places.clone(), release, &mut loaded);
    *config = loaded.into_result().map_err(PatchError::Mistakes)?;
    Ok(())
}

#[cfg(test)]
mod tests;
