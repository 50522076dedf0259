//! The number of a workload's pods, set through its `scale`.

use hyper::Method;
use serde_json::{Value, json};

use super::MANAGER;
use super::kinds::Kinds;
use crate::client::{Client, Question};
use crate::trouble::Trouble;
use crate::watch::{Workload, escaped};

/// Why a workload was not scaled.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ScaleError {
    /// More than the lab allows.
    #[error("{wanted} pods are more than the {most} that this lab allows")]
    TooMany {
        /// How many were asked for.
        wanted: u32,
        /// How many may be.
        most: u32,
    },
    /// This kind has no scale.
    #[error("a {0} cannot be scaled")]
    NoScale(String),
    /// The server says no, or the way to it failed.
    #[error(transparent)]
    Trouble(#[from] Trouble),
}

impl ScaleError {
    /// Stable word for logs and tests.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooMany { .. } => "scale-too-many",
            Self::NoScale(_) => "scale-kind",
            Self::Trouble(trouble) => trouble.code(),
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::TooMany { most, .. } => format!("ask for {most} or fewer"),
            Self::NoScale(_) => "Deployments, ReplicaSets and StatefulSets can".to_owned(),
            Self::Trouble(trouble) => trouble.advice(),
        }
    }
}

/// Sets a workload to so many pods, at most so many. Asking twice is the same as asking once; whether they became
/// ready, the watch tells. What it was before comes back.
///
/// # Errors
/// [`ScaleError`].
pub async fn scale(client: &Client, workload: &Workload, wanted: u32, most: u32) -> Result<u32, ScaleError> {
    if wanted > most {
        return Err(ScaleError::TooMany { wanted, most });
    }
    let api_version = match workload.kind.as_str() {
        "Deployment" | "ReplicaSet" | "StatefulSet" => "apps/v1",
        other => return Err(ScaleError::NoScale(other.to_owned())),
    };
    let resource = Kinds::default().find(client, api_version, &workload.kind).await?;
    let resource = resource.ok_or_else(|| ScaleError::NoScale(workload.kind.clone()))?;
    let path = resource.path(Some(&workload.namespace), Some(&workload.name));
    let scale: Value = client.ask(&Question::get(format!("{path}/scale"))).await?;
    let before = scale.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or_default();
    let patch = json!({"spec": {"replicas": wanted}}).to_string().into_bytes();
    // A merge patch without a version never meets a conflict, so nothing has to be tried again.
    let question = Question {
        method: Method::PATCH,
        path: format!("{path}/scale?fieldManager={}", escaped(MANAGER)),
        body: Some(("application/merge-patch+json", patch)),
    };
    client.ask_bytes(&question).await?;
    Ok(u32::try_from(before).unwrap_or(u32::MAX))
}
