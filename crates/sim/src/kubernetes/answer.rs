//! What the server answers: objects, and refusals in the words of Kubernetes.

use serde_json::{Value, json};

use super::cluster::set;
use super::kinds::Kind;

/// An answer that is no watch.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) code: u16,
    pub(super) body: Value,
}

impl Answer {
    pub(super) const fn ok(body: Value) -> Self {
        Self { code: 200, body }
    }
}

/// A refusal: the kind `Status` of `meta/v1`.
pub(super) fn refusal(code: u16, reason: &str, message: &str) -> Answer {
    refusal_with(code, reason, message, json!({}))
}

/// A refusal with details.
pub(super) fn refusal_with(code: u16, reason: &str, message: &str, details: Value) -> Answer {
    let mut body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    });
    set(&mut body, &["details"], details);
    Answer { code, body }
}

/// 404 for an object.
pub(super) fn not_found(kind: &Kind, name: &str) -> Answer {
    let message = format!("{} \"{name}\" not found", kind.resource());
    refusal_with(404, "NotFound", &message, json!({"name": name, "group": kind.group, "kind": kind.plural}))
}

/// 404 for a path.
pub(super) fn no_such_path() -> Answer {
    refusal(404, "NotFound", "the server could not find the requested resource")
}

/// 422 for a field.
pub(super) fn invalid(kind: &Kind, name: &str, (field, what): (&str, &str)) -> Answer {
    let message = format!("{}.{} \"{name}\" is invalid: {field}: {what}", kind.kind, kind.group);
    let cause = json!({"reason": "FieldValueInvalid", "message": what, "field": field});
    let details = json!({"name": name, "group": kind.group, "kind": kind.kind, "causes": [cause]});
    refusal_with(422, "Invalid", &message, details)
}

/// 410: the version is too old.
pub(super) fn gone(message: &str) -> Answer {
    refusal(410, "Expired", message)
}
