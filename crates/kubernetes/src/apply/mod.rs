//! Manifests, applied server-side in waves.
//!
//! ```text
//!   files ──▶ documents ──▶ namespaces and definitions ──▶ wait for Established ──▶ the rest, in order
//! ```
//!
//! Everything that can be refused before the first write is refused before it, all of it at once. The manager of the
//! fields is `labinator`; what another manager set to something else is a conflict that names it.

mod bundle;
mod documents;
mod kinds;
mod prune;
mod scale;

use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::client::{Client, Question};
use crate::trouble::{Status, Trouble};
use crate::watch::{Expected, escaped};
use kinds::{Kinds, Resource};

pub use bundle::{Bundle, BundleError, Rendered, Run};
pub use documents::{Manifest, Manifests, Place};
pub use prune::{LABEL, Pruned};
pub use scale::{ScaleError, scale};

/// The manager of the fields we set.
pub const MANAGER: &str = "labinator";
/// For a definition to be established: a kube-apiserver takes about a second.
const ESTABLISHING: Duration = Duration::from_secs(60);
/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(250);
/// A server that is busy is asked so many times for one object.
const TRIES: u32 = 5;

/// What to do when another manager has set a field to something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnConflict {
    /// Leave it, and say who.
    #[default]
    Refuse,
    /// Take the field over, and say from whom.
    TakeOver,
}

/// How to apply.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// What to do about fields of others.
    pub on_conflict: OnConflict,
    /// Ask the server what it would do, and change nothing.
    pub dry_run: bool,
    /// The name of the set, written on each object as a label so that what leaves the set can be found.
    pub set: Option<String>,
}

/// Fields of another manager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// Who set them.
    pub manager: String,
    /// Which, as the server writes them.
    pub fields: Vec<String>,
}

/// Why an object was not applied.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The file is not what a manifest is.
    #[error("{place}: {what}")]
    Document {
        /// Where.
        place: Place,
        /// What is wrong there.
        what: String,
        /// What to do.
        advice: String,
    },
    /// The server has no such kind, and no definition of the set adds it.
    #[error("{place}: {object}: this server has no kind {kind} in {api_version}")]
    KindUnknown {
        /// Where.
        place: Place,
        /// Which object.
        object: String,
        /// Its `apiVersion`.
        api_version: String,
        /// Its kind.
        kind: String,
    },
    /// Others have set fields to something else.
    #[error("{place}: {object}: {}", told(.foreign))]
    Conflict {
        /// Where.
        place: Place,
        /// Which object.
        object: String,
        /// Who, and which fields.
        foreign: Vec<Foreign>,
    },
    /// The server refuses the object.
    #[error("{place}: {object}: {}", said(.status))]
    Rejected {
        /// Where.
        place: Place,
        /// Which object.
        object: String,
        /// In the server's words.
        status: Box<Status>,
    },
    /// The definition is there and not established within the limit.
    #[error("{place}: {object} is not established after {} s: {why}", ESTABLISHING.as_secs())]
    NotEstablished {
        /// Where.
        place: Place,
        /// Which object.
        object: String,
        /// What its conditions say.
        why: String,
    },
    /// The way to the server failed.
    #[error("{place}: {object}: {trouble}")]
    Server {
        /// Where.
        place: Place,
        /// Which object.
        object: String,
        /// What is wrong.
        trouble: Trouble,
    },
}

fn told(foreign: &[Foreign]) -> String {
    let each: Vec<String> =
        foreign.iter().map(|f| format!("`{}` has set {}", f.manager, f.fields.join(", "))).collect();
    each.join("; ")
}

fn said(status: &Status) -> String {
    if status.causes.is_empty() {
        return status.to_string();
    }
    let causes: Vec<String> = status.causes.iter().map(|c| format!("{}: {}", c.field, c.message)).collect();
    format!("{} {}: {}", status.code, status.reason, causes.join("; "))
}

impl Refusal {
    /// Stable word for logs and tests.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Document { .. } => "manifest",
            Self::KindUnknown { .. } => "manifest-kind",
            Self::Conflict { .. } => "manifest-conflict",
            Self::Rejected { .. } => "manifest-rejected",
            Self::NotEstablished { .. } => "manifest-not-established",
            Self::Server { trouble, .. } => trouble.code(),
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::Document { advice, .. } => advice.clone(),
            Self::KindUnknown { .. } => {
                "add the definition of this kind to the set, or correct apiVersion and kind".to_owned()
            }
            Self::Conflict { .. } => {
                "leave the field out and it stays theirs, or apply again and take it over".to_owned()
            }
            Self::Rejected { .. } => "correct the field that the server names".to_owned(),
            Self::NotEstablished { .. } => "see `kubectl describe crd` for what it waits for".to_owned(),
            Self::Server { trouble, .. } => trouble.advice(),
        }
    }
}

/// What was done.
#[derive(Debug, Clone, Default)]
pub struct Applied {
    /// How many objects were applied.
    pub objects: usize,
    /// Fields taken over from others, by object.
    pub taken: Vec<(String, Foreign)>,
    /// What the set makes run.
    pub expected: Expected,
}

/// Applies a set. The first wave is namespaces and definitions; the rest follows when the definitions are established.
/// An object that is refused does not keep the others of its wave from being tried, and keeps the next wave back.
///
/// # Errors
/// Every object that was refused.
pub async fn apply(client: &Client, manifests: &Manifests, plan: &Plan) -> Result<Applied, Vec<Refusal>> {
    let mut kinds = Kinds::default();
    let mut applied = Applied::default();
    for manifest in manifests.all() {
        applied.expected.add(&manifest.object);
    }
    let (first, rest): (Vec<&Manifest>, Vec<&Manifest>) =
        manifests.in_order().into_iter().partition(|m| m.is_first());
    // What the server does not know and no definition of this set adds is refused before anything is written.
    check(client, &mut kinds, manifests).await?;
    wave(client, &mut kinds, &mut applied, (&first, plan)).await?;
    if !plan.dry_run {
        established(client, &first).await?;
        if first.iter().any(|manifest| manifest.kind == documents::DEFINITION) {
            kinds.forget();
        }
    }
    wave(client, &mut kinds, &mut applied, (&rest, plan)).await?;
    Ok(applied)
}

async fn check(client: &Client, kinds: &mut Kinds, manifests: &Manifests) -> Result<(), Vec<Refusal>> {
    let mut refusals = Vec::new();
    for manifest in manifests.all() {
        if manifests.defines(manifest) {
            continue;
        }
        if let Err(refusal) = found(client, kinds, manifest).await {
            let hopeless = matches!(refusal, Refusal::Server { .. });
            refusals.push(refusal);
            if hopeless {
                break;
            }
        }
    }
    if refusals.is_empty() { Ok(()) } else { Err(refusals) }
}

async fn found(client: &Client, kinds: &mut Kinds, manifest: &Manifest) -> Result<Resource, Refusal> {
    let (place, object) = (manifest.place.clone(), manifest.called());
    match kinds.find(client, &manifest.api_version, &manifest.kind).await {
        Ok(Some(resource)) => Ok(resource),
        Ok(None) => Err(Refusal::KindUnknown {
            place,
            object,
            api_version: manifest.api_version.clone(),
            kind: manifest.kind.clone(),
        }),
        Err(trouble) => Err(Refusal::Server { place, object, trouble }),
    }
}

async fn wave(
    client: &Client,
    kinds: &mut Kinds,
    applied: &mut Applied,
    (manifests, plan): (&[&Manifest], &Plan),
) -> Result<(), Vec<Refusal>> {
    let mut refusals = Vec::new();
    for manifest in manifests {
        // Nothing of a kind that this set itself defines can be tried without writing the definition.
        let resource = match found(client, kinds, manifest).await {
            Ok(resource) => resource,
            Err(Refusal::KindUnknown { .. }) if plan.dry_run => continue,
            Err(refusal) => {
                let hopeless = matches!(refusal, Refusal::Server { .. });
                refusals.push(refusal);
                if hopeless {
                    break;
                }
                continue;
            }
        };
        match one(client, &resource, manifest, plan).await {
            Ok(taken) => {
                applied.objects += 1;
                applied.taken.extend(taken.into_iter().map(|foreign| (manifest.called(), foreign)));
            }
            Err(refusal) => {
                let hopeless = matches!(refusal, Refusal::Server { .. });
                refusals.push(refusal);
                if hopeless {
                    break;
                }
            }
        }
    }
    if refusals.is_empty() { Ok(()) } else { Err(refusals) }
}

/// Applies one object; what was taken over from others.
async fn one(
    client: &Client,
    resource: &Resource,
    manifest: &Manifest,
    plan: &Plan,
) -> Result<Vec<Foreign>, Refusal> {
    let refused = |trouble: Trouble| {
        let (place, object) = (manifest.place.clone(), manifest.called());
        match trouble {
            Trouble::Refused(status) if is_conflict(&status) => {
                Refusal::Conflict { place, object, foreign: foreign(&status) }
            }
            Trouble::Refused(status) => Refusal::Rejected { place, object, status },
            trouble => Refusal::Server { place, object, trouble },
        }
    };
    let mut object = Value::clone(&manifest.object);
    if let Some(set) = &plan.set {
        prune::label(&mut object, set);
    }
    let body = Arc::new(object.to_string().into_bytes());
    let asked = |force: bool| {
        let mut path = resource.path(manifest.namespace(), Some(&manifest.name));
        path.push_str(&format!("?fieldManager={MANAGER}&force={force}"));
        if plan.dry_run {
            path.push_str("&dryRun=All");
        }
        Question {
            method: Method::PATCH,
            path,
            body: Some(("application/apply-patch+yaml", Vec::clone(&body))),
        }
    };
    match patiently(client, &asked(false)).await {
        Ok(()) => Ok(Vec::new()),
        Err(Trouble::Refused(status)) if is_conflict(&status) && plan.on_conflict == OnConflict::TakeOver => {
            patiently(client, &asked(true)).await.map_err(refused)?;
            Ok(foreign(&status))
        }
        Err(trouble) => Err(refused(trouble)),
    }
}

/// Asks again while the server is busy, or one of its webhooks is not there yet.
async fn patiently(client: &Client, question: &Question) -> Result<(), Trouble> {
    let mut tries = 0;
    loop {
        let Err(trouble) = client.ask_bytes(question).await else { return Ok(()) };
        tries += 1;
        let passes = trouble.status().is_some_and(|status| matches!(status.code, 429 | 500 | 503 | 504));
        if !passes || tries >= TRIES {
            return Err(trouble);
        }
        sleep(trouble.asked_to_wait().unwrap_or_else(|| LOOK * 2_u32.pow(tries))).await;
    }
}

fn is_conflict(status: &Status) -> bool {
    status.code == 409 && status.causes.iter().any(|cause| cause.reason == "FieldManagerConflict")
}

/// The managers a conflict names: `conflict with "kubectl" using apps/v1`.
fn foreign(status: &Status) -> Vec<Foreign> {
    let mut all: Vec<Foreign> = Vec::new();
    for cause in status.causes.iter().filter(|cause| cause.reason == "FieldManagerConflict") {
        let manager = cause.message.split('"').nth(1).unwrap_or(&cause.message).to_owned();
        match all.iter_mut().find(|foreign| foreign.manager == manager) {
            Some(foreign) => foreign.fields.push(cause.field.clone()),
            None => all.push(Foreign { manager, fields: vec![cause.field.clone()] }),
        }
    }
    all
}

/// Waits for the definitions among these to be established.
async fn established(client: &Client, manifests: &[&Manifest]) -> Result<(), Vec<Refusal>> {
    let until = Instant::now() + ESTABLISHING;
    for manifest in manifests.iter().filter(|manifest| manifest.kind == documents::DEFINITION) {
        let path =
            format!("/apis/{}/customresourcedefinitions/{}", manifest.api_version, escaped(&manifest.name));
        let question = Question::get(path);
        loop {
            let definition: Value = match client.ask(&question).await {
                Ok(definition) => definition,
                Err(trouble) => {
                    let (place, object) = (manifest.place.clone(), manifest.called());
                    return Err(vec![Refusal::Server { place, object, trouble }]);
                }
            };
            match standing(&definition) {
                Ok(()) => break,
                Err(why) if Instant::now() >= until => {
                    let (place, object) = (manifest.place.clone(), manifest.called());
                    return Err(vec![Refusal::NotEstablished { place, object, why }]);
                }
                Err(_) => sleep(LOOK).await,
            }
        }
    }
    Ok(())
}

/// Whether a definition is established; otherwise what its conditions say.
fn standing(definition: &Value) -> Result<(), String> {
    let conditions = definition.pointer("/status/conditions").and_then(Value::as_array);
    let conditions = conditions.map(Vec::as_slice).unwrap_or_default();
    let word = |condition: &Value, name: &str| {
        condition.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let is = |kind: &str| {
        conditions
            .iter()
            .any(|condition| word(condition, "type") == kind && word(condition, "status") == "True")
    };
    if is("Established") {
        return Ok(());
    }
    let wrong = conditions.iter().find(|condition| word(condition, "status") == "False");
    Err(wrong.map_or_else(
        || "the server has not looked at it yet".to_owned(),
        |c| format!("{}: {}", word(c, "reason"), word(c, "message")),
    ))
}
