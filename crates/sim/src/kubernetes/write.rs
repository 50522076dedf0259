//! Writes: create, update, patch, apply, delete, and what is refused.

use serde_json::{Value, json};

use super::answer::{Answer, invalid, no_such_path, not_found, refusal, refusal_with};
use super::cluster::{Cluster, name_of, number, set, text};
use super::fields::{self, apply, note_update, spoken};
use super::kinds::Kind;
use super::moment;
use super::patch::{merge, strategic};
use super::rest::{Call, Place, scale_of};
use super::store::Key;

impl Cluster {
    pub(super) fn write(&mut self, call: &Call, place: &Place) -> Answer {
        let result = match (call.method.as_str(), &place.name) {
            ("POST", None) => self.post(call, place),
            ("PUT", Some(name)) => self.put(call, place, name),
            ("PATCH", Some(name)) => self.patch(call, place, name),
            ("DELETE", Some(name)) => self.delete(call, place, name),
            ("DELETE", None) => self.delete_all(call, place),
            _ => Err(refusal(
                405,
                "MethodNotAllowed",
                "the server does not allow this method on the requested resource",
            )),
        };
        result.unwrap_or_else(|no| no)
    }

    /// What `POST` of this object is answered.
    pub(super) fn create_whole(&mut self, object: &Value) -> Answer {
        let Some(kind) = self.kind(text(object, "/apiVersion"), text(object, "/kind")) else {
            return no_such_path();
        };
        let namespace = kind.namespaced.then(|| match text(object, "/metadata/namespace") {
            "" => "default".to_owned(),
            named => named.to_owned(),
        });
        let place = Place { kind, namespace, name: None, part: String::new() };
        let call = Call {
            method: "POST".to_owned(),
            agent: "sim/1".to_owned(),
            body: object.to_string().into_bytes(),
            ..Call::default()
        };
        let answer = self.write(&call, &place);
        self.tend();
        answer
    }

    /// What `DELETE` of this object is answered.
    pub(super) fn delete_whole(
        &mut self,
        (api_version, kind): (&str, &str),
        namespace: &str,
        name: &str,
    ) -> Answer {
        let Some(kind) = self.kind(api_version, kind) else { return no_such_path() };
        let namespace = kind.namespaced.then(|| namespace.to_owned());
        let place = Place { kind, namespace, name: Some(name.to_owned()), part: String::new() };
        let call = Call { method: "DELETE".to_owned(), ..Call::default() };
        let answer = self.write(&call, &place);
        self.tend();
        answer
    }

    fn post(&mut self, call: &Call, place: &Place) -> Result<Answer, Answer> {
        let mut object = self.body(call, place)?;
        if name_of(&object).is_empty() {
            let stem = text(&object, "/metadata/generateName").to_owned();
            if stem.is_empty() {
                return Err(invalid(
                    &place.kind,
                    "",
                    ("metadata.name", "Required value: name or generateName is required"),
                ));
            }
            let name = format!("{stem}{}", self.suffix(5));
            set(&mut object, &["metadata", "name"], json!(name));
        }
        let name = name_of(&object).to_owned();
        if self.store.get(&place.key(&name)).is_some() {
            let message = format!("{} \"{name}\" already exists", place.kind.resource());
            let details = json!({"name": name, "group": place.kind.group, "kind": place.kind.plural});
            return Err(refusal_with(409, "AlreadyExists", &message, details));
        }
        self.insert(call, place, object)
    }

    /// Puts a new object in.
    fn insert(&mut self, call: &Call, place: &Place, mut object: Value) -> Result<Answer, Answer> {
        self.judge(place, &object)?;
        self.born(&place.kind, &mut object);
        if !call.content_type.contains("apply-patch") {
            note_update(None, &mut object, (&manager(call), &moment::written(self.now)));
        }
        let name = name_of(&object).to_owned();
        Ok(Answer { code: 201, body: self.keep(call, place.key(&name), object) })
    }

    fn keep(&mut self, call: &Call, key: Key, object: Value) -> Value {
        if call.asked("dryRun") == "All" {
            return object;
        }
        Value::clone(&self.store.put(key, object))
    }

    /// The body as an object of this kind, in this namespace.
    fn body(&self, call: &Call, place: &Place) -> Result<Value, Answer> {
        let bad = |why: &str| refusal(400, "BadRequest", why);
        // A kube-apiserver reads protobuf and CBOR too.
        if !["", "application/json", "application/apply-patch+yaml"]
            .contains(&call.content_type.split(';').next().unwrap_or_default())
        {
            let message = format!("this server reads JSON, not {}", call.content_type);
            return Err(refusal(415, "UnsupportedMediaType", &message));
        }
        let mut object: Value = serde_json::from_slice(&call.body).map_err(|why| {
            bad(&format!("the object provided is unrecognized (must be of type {}): {why}", place.kind.kind))
        })?;
        if !object.get("metadata").is_some_and(Value::is_object) {
            set(&mut object, &["metadata"], json!({}));
        }
        for (field, wanted) in [("apiVersion", place.kind.api_version()), ("kind", place.kind.kind.clone())] {
            let given = text(&object, &format!("/{field}"));
            if !given.is_empty() && given != wanted {
                return Err(bad(&format!(
                    "the {field} in the data ({given}) does not match the expected {field} ({wanted})"
                )));
            }
        }
        let Some(namespace) = place.namespace.as_ref().filter(|_| place.kind.namespaced) else {
            return Ok(object);
        };
        let given = text(&object, "/metadata/namespace");
        if !given.is_empty() && given != namespace {
            return Err(bad(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        set(&mut object, &["metadata", "namespace"], json!(namespace));
        Ok(object)
    }

    /// Refuses what a server refuses of an object before it is kept.
    fn judge(&self, place: &Place, object: &Value) -> Result<(), Answer> {
        let (kind, name) = (&place.kind, name_of(object));
        let no = |field: &str, what: &str| Err(invalid(kind, name, (field, what)));
        let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
        let loose = kind.group == "rbac.authorization.k8s.io";
        if !loose && (!name.chars().all(word) || name.starts_with(['-', '.']) || name.ends_with(['-', '.'])) {
            return no(
                "metadata.name",
                &format!(
                    "Invalid value: \"{name}\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.'"
                ),
            );
        }
        if let Some(namespace) = place.namespace.as_ref().filter(|_| kind.namespaced) {
            let Some(there) = self.store.get(&Key::new("namespaces", "", namespace)) else {
                let message = format!("namespaces \"{namespace}\" not found");
                return Err(refusal_with(
                    404,
                    "NotFound",
                    &message,
                    json!({"name": namespace, "kind": "namespaces"}),
                ));
            };
            if there.pointer("/metadata/deletionTimestamp").is_some() {
                let message = format!(
                    "{} \"{name}\" is forbidden: unable to create new content in namespace {namespace} because it is being terminated",
                    kind.resource()
                );
                return Err(refusal(403, "Forbidden", &message));
            }
        }
        let template = match kind.kind.as_str() {
            "Pod" => "",
            "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" | "Job" if !kind.custom => {
                "/spec/template"
            }
            "CustomResourceDefinition" => {
                let wanted =
                    format!("{}.{}", text(object, "/spec/names/plural"), text(object, "/spec/group"));
                if name != wanted {
                    return no(
                        "metadata.name",
                        &format!("Invalid value: \"{name}\": must be spec.names.plural+\".\"+spec.group"),
                    );
                }
                return Ok(());
            }
            _ => return Ok(()),
        };
        let containers = object.pointer(&format!("{template}/spec/containers")).and_then(Value::as_array);
        let path = format!("{template}/spec/containers").trim_start_matches('/').replace('/', ".");
        match containers {
            None => return no(&path, "Required value"),
            Some(containers) if containers.is_empty() => return no(&path, "Required value"),
            Some(containers) => {
                for (index, container) in containers.iter().enumerate() {
                    if text(container, "/name").is_empty() {
                        return no(&format!("{path}[{index}].name"), "Required value");
                    }
                }
            }
        }
        let selector = object.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
        let labels = object.pointer(&format!("{template}/metadata/labels"));
        let selects = ["Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"].contains(&kind.kind.as_str());
        match selector {
            None if selects => no("spec.selector", "Required value"),
            Some(selector)
                if selects && selector.iter().any(|(k, v)| labels.and_then(|l| l.get(k)) != Some(v)) =>
            {
                no(
                    "spec.template.metadata.labels",
                    "Invalid value: `selector` does not match template `labels`",
                )
            }
            _ => Ok(()),
        }
    }

    fn live(&self, place: &Place, name: &str) -> Result<Value, Answer> {
        self.store
            .get(&place.key(name))
            .map(|live| Value::clone(live))
            .ok_or_else(|| not_found(&place.kind, name))
    }

    fn put(&mut self, call: &Call, place: &Place, name: &str) -> Result<Answer, Answer> {
        if place.part == "scale" {
            return self.scale(call, place, name);
        }
        let object = self.body(call, place)?;
        let live = self.live(place, name)?;
        let given = text(&object, "/metadata/resourceVersion");
        if !given.is_empty() && given != text(&live, "/metadata/resourceVersion") {
            return Err(stale(&place.kind, name));
        }
        self.replace(call, place, (live, object))
    }

    fn patch(&mut self, call: &Call, place: &Place, name: &str) -> Result<Answer, Answer> {
        if place.part == "scale" {
            return self.scale(call, place, name);
        }
        if call.content_type.starts_with("application/apply-patch+yaml") {
            return self.apply(call, place, name);
        }
        let live = self.live(place, name)?;
        let patch: Value = serde_json::from_slice(&call.body)
            .map_err(|why| refusal(400, "BadRequest", &format!("error decoding patch: {why}")))?;
        let mut object = live.clone();
        match call.content_type.split(';').next().unwrap_or_default() {
            "application/merge-patch+json" => merge(&mut object, &patch),
            "application/strategic-merge-patch+json" if !place.kind.custom => strategic(&mut object, &patch),
            other => {
                let message = format!(
                    "the body of the request was in an unknown format - accepted media types include: application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml; not {other}"
                );
                return Err(refusal(415, "UnsupportedMediaType", &message));
            }
        }
        let given = text(&object, "/metadata/resourceVersion");
        if given != text(&live, "/metadata/resourceVersion") {
            return Err(stale(&place.kind, name));
        }
        self.replace(call, place, (live, object))
    }

    /// Puts an object in the place of another, and keeps what only the server may change.
    fn replace(
        &mut self,
        call: &Call,
        place: &Place,
        (live, mut object): (Value, Value),
    ) -> Result<Answer, Answer> {
        for field in [
            "uid",
            "creationTimestamp",
            "generation",
            "resourceVersion",
            "managedFields",
            "deletionTimestamp",
        ] {
            if let Some(value) = live.pointer(&format!("/metadata/{field}")) {
                set(&mut object, &["metadata", field], value.clone());
            }
        }
        // The status has a door of its own, and that door leads nowhere else.
        let (from, to) =
            if place.part == "status" { (&object, live.clone()) } else { (&live, object.clone()) };
        let mut next = to;
        match from.get("status") {
            Some(status) => set(&mut next, &["status"], status.clone()),
            None => {
                if let Some(fields) = next.as_object_mut() {
                    fields.remove("status");
                }
            }
        }
        self.judge(place, &next)?;
        note_update(Some(&live), &mut next, (&manager(call), &moment::written(self.now)));
        let body = self.finish(call, place, (&live, next));
        Ok(Answer::ok(body))
    }

    /// Counts a new generation, keeps the object, and lets one go whose last finalizer went.
    fn finish(&mut self, call: &Call, place: &Place, (live, mut next): (&Value, Value)) -> Value {
        if live.get("spec") != next.get("spec") {
            set(&mut next, &["metadata", "generation"], json!(number(live, "/metadata/generation", 1) + 1));
        }
        let key = place.key(name_of(&next));
        let free = next.pointer("/metadata/finalizers").and_then(Value::as_array).is_none_or(Vec::is_empty);
        let waits = place.kind.kind != "Pod" && place.kind.kind != "Namespace";
        if next.pointer("/metadata/deletionTimestamp").is_some()
            && free
            && waits
            && call.asked("dryRun") != "All"
        {
            drop(self.remove(&key));
            return next;
        }
        self.keep(call, key, next)
    }

    fn apply(&mut self, call: &Call, place: &Place, name: &str) -> Result<Answer, Answer> {
        if call.asked("fieldManager").is_empty() {
            let what = "Required value: is required for apply patch";
            return Err(refusal(
                422,
                "Invalid",
                &format!("PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: {what}"),
            ));
        }
        let mut wanted = self.body(call, place)?;
        if wanted
            .pointer("/metadata/managedFields")
            .is_some_and(|fields| fields != &json!(null) && fields != &json!([]))
        {
            return Err(refusal(400, "BadRequest", "metadata.managedFields must be nil"));
        }
        set(&mut wanted, &["metadata", "name"], json!(name));
        let time = moment::written(self.now);
        let who = (call.asked("fieldManager"), time.as_str());
        let force = call.asked("force") == "true";
        let live = self.store.get(&place.key(name)).map(|live| Value::clone(live));
        let Some(live) = live else {
            let mut bare = json!({"apiVersion": place.kind.api_version(), "kind": place.kind.kind,
                "metadata": {"name": name}});
            if let Some(namespace) = wanted.pointer("/metadata/namespace") {
                set(&mut bare, &["metadata", "namespace"], namespace.clone());
            }
            let object = apply(&bare, &wanted, who, force).map_err(|_| no_such_path())?;
            return self.insert(call, place, object);
        };
        let next =
            apply(&live, &wanted, who, force).map_err(|conflicts| conflict(&place.kind, &conflicts))?;
        self.judge(place, &next)?;
        // Applying the same again changes nothing, not even the time.
        if fields::leaves(&next) == fields::leaves(&live) && same_owners(&next, &live) {
            return Ok(Answer::ok(live));
        }
        Ok(Answer::ok(self.finish(call, place, (&live, next))))
    }

    fn scale(&mut self, call: &Call, place: &Place, name: &str) -> Result<Answer, Answer> {
        let live = self.live(place, name)?;
        let wish: Value = serde_json::from_slice(&call.body)
            .map_err(|why| refusal(400, "BadRequest", &format!("error decoding: {why}")))?;
        let given = text(&wish, "/metadata/resourceVersion");
        if !given.is_empty() && given != text(&live, "/metadata/resourceVersion") {
            return Err(stale(&place.kind, name));
        }
        let replicas = wish.pointer("/spec/replicas").cloned().unwrap_or_else(|| json!(0));
        if replicas.as_u64().is_none_or(|replicas| replicas > u64::from(u32::MAX / 2)) {
            let what = format!("Invalid value: {replicas}: must be greater than or equal to 0");
            return Err(invalid(&place.kind, name, ("spec.replicas", &what)));
        }
        let mut next = live.clone();
        set(&mut next, &["spec", "replicas"], replicas);
        note_update(Some(&live), &mut next, (&manager(call), &moment::written(self.now)));
        let body = self.finish(call, place, (&live, next));
        Ok(Answer::ok(scale_of(&body)))
    }

    fn delete(&mut self, call: &Call, place: &Place, name: &str) -> Result<Answer, Answer> {
        let live = self.live(place, name)?;
        let options: Value = serde_json::from_slice(&call.body).unwrap_or_default();
        let uid = text(&live, "/metadata/uid");
        let only = text(&options, "/preconditions/uid");
        if !only.is_empty() && only != uid {
            return Err(stale(&place.kind, name));
        }
        if call.asked("dryRun") == "All" {
            return Ok(Answer::ok(live));
        }
        let policy = [text(&options, "/propagationPolicy"), call.asked("propagationPolicy")];
        if policy.contains(&"Orphan") {
            self.set_free(uid);
        }
        let key = place.key(name);
        self.end(&key);
        Ok(Answer::ok(self.store.get(&key).map_or_else(
            || {
                json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                    "details": {"name": name, "group": place.kind.group, "kind": place.kind.plural, "uid": uid}})
            },
            |left| Value::clone(left),
        )))
    }

    /// Those that belong to this owner belong to nobody any more.
    fn set_free(&mut self, uid: &str) {
        let owned: Vec<Key> = self
            .store
            .everything()
            .filter(|(_, object)| super::cluster::controller(object) == Some(uid))
            .map(|(key, _)| key.clone())
            .collect();
        for key in owned {
            self.change(&key, |object| set(object, &["metadata", "ownerReferences"], json!([])));
        }
    }

    fn delete_all(&mut self, call: &Call, place: &Place) -> Result<Answer, Answer> {
        let selector =
            super::select::Selector::read(call.asked("labelSelector"), call.asked("fieldSelector"))
                .map_err(|why| refusal(400, "BadRequest", &why))?;
        let all: Vec<Key> = self
            .store
            .all(&place.kind.resource(), place.namespace.as_deref())
            .filter(|(_, object)| selector.matches(object))
            .map(|(key, _)| key.clone())
            .collect();
        for key in all {
            self.end(&key);
        }
        Ok(Answer::ok(json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"})))
    }
}

/// Who sets fields by this request.
fn manager(call: &Call) -> String {
    match call.asked("fieldManager") {
        "" => call.agent.split('/').next().unwrap_or_default().to_owned(),
        named => named.to_owned(),
    }
}

/// Whether the same managers own the same fields, whenever they did.
fn same_owners(a: &Value, b: &Value) -> bool {
    let timeless = |object: &Value| {
        let mut owners = fields::owners(object);
        for owner in &mut owners {
            owner.time.clear();
        }
        owners.sort_by(|a, b| (&a.manager, &a.operation).cmp(&(&b.manager, &b.operation)));
        owners
    };
    timeless(a) == timeless(b)
}

fn stale(kind: &Kind, name: &str) -> Answer {
    let message = format!(
        "Operation cannot be fulfilled on {} \"{name}\": the object has been modified; please apply your changes to the latest version and try again",
        kind.resource()
    );
    refusal_with(409, "Conflict", &message, json!({"name": name, "group": kind.group, "kind": kind.plural}))
}

/// The refusal of an apply, in the words of the API server: each manager once, with its fields.
fn conflict(kind: &Kind, conflicts: &[fields::Conflict]) -> Answer {
    let with = |conflict: &fields::Conflict| {
        let owner = &conflict.owner;
        if owner.operation == "Apply" {
            return format!("conflict with \"{}\"", owner.manager);
        }
        format!("conflict with \"{}\" using {} at {}", owner.manager, kind.api_version(), owner.time)
    };
    let causes: Vec<Value> = conflicts
        .iter()
        .map(|c| json!({"reason": "FieldManagerConflict", "message": with(c), "field": spoken(&c.path)}))
        .collect();
    let first = conflicts.first().map(with).unwrap_or_default();
    let spoken: Vec<String> = conflicts.iter().map(|c| spoken(&c.path)).collect();
    let message = if let [only] = spoken.as_slice() {
        format!("Apply failed with 1 conflict: {first}: {only}")
    } else {
        format!("Apply failed with {} conflicts: {first}:\n- {}", spoken.len(), spoken.join("\n- "))
    };
    refusal_with(409, "Conflict", &message, json!({"causes": causes}))
}
