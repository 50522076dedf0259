//! A request, understood: which kind, which object, and what is wanted of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::answer::{Answer, gone, no_such_path, not_found, refusal};
use super::cluster::{Cluster, text};
use super::discovery;
use super::kinds::Kind;
use super::manner::Manner;
use super::select::Selector;
use super::store::{Change, Key};
use super::table::table;

/// A request, as far as it matters.
#[derive(Debug, Clone, Default)]
pub(super) struct Call {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: BTreeMap<String, String>,
    pub(super) accept: String,
    pub(super) content_type: String,
    /// Who asks, by its user agent: the manager of fields where the request names none.
    pub(super) agent: String,
    /// It comes with a token.
    pub(super) token: bool,
    pub(super) body: Vec<u8>,
}

impl Call {
    pub(super) fn asked(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    fn wants_table(&self) -> bool {
        self.accept.contains("as=Table")
    }
}

/// What a request is about.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) kind: Kind,
    /// None where the path names no namespace.
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
    /// `status`, `scale`, or empty.
    pub(super) part: String,
}

impl Place {
    pub(super) fn key(&self, name: &str) -> Key {
        let namespace = if self.kind.namespaced { self.namespace.as_deref().unwrap_or_default() } else { "" };
        Key::new(&self.kind.resource(), namespace, name)
    }
}

/// A watch that was granted.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "what a client asked for, each for itself")]
pub(super) struct Watching {
    kind: Kind,
    namespace: Option<String>,
    selector: Selector,
    /// The last version its client knows.
    pub(super) version: u64,
    pub(super) bookmarks: bool,
    /// Milliseconds after which it ends.
    pub(super) lasts: u64,
    table: bool,
    /// What is there already, for a client that knows no version.
    first: Vec<Arc<Value>>,
    /// Its client wants to be told where that ends (`sendInitialEvents`, a list in the form of a watch).
    marks_end: bool,
}

/// What comes back.
#[derive(Debug)]
pub(super) enum Reply {
    /// One answer.
    Answer(Answer),
    /// Events until it ends.
    Watch(Box<Watching>),
}

impl Cluster {
    /// Answers a request. Whoever asks has been let in.
    pub(super) fn call(&mut self, call: &Call) -> Reply {
        let path: Vec<&str> = call.path.split('/').filter(|step| !step.is_empty()).collect();
        if let [probe] = path.as_slice()
            && ["healthz", "livez", "readyz"].contains(probe)
        {
            return Reply::Answer(Answer::ok(json!("ok")));
        }
        if let Some(answer) = discovery::answer(&path, &self.kinds, &self.version) {
            return Reply::Answer(answer);
        }
        let Some(place) = self.place(&path) else { return Reply::Answer(no_such_path()) };
        if call.method == "GET" {
            return self.read(call, &place);
        }
        let answer = self.write(call, &place);
        self.tend();
        Reply::Answer(answer)
    }

    /// Reads a path: `/api/v1/namespaces/N/pods/NAME/PART`, `/apis/GROUP/VERSION/..`.
    fn place(&self, path: &[&str]) -> Option<Place> {
        let (group, version, rest) = match path {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        let (namespace, rest) = match rest {
            // `namespaces/N` and `namespaces/N/status` are about the namespace itself.
            ["namespaces", namespace, rest @ ..] if !matches!(rest, [] | ["status" | "finalize"]) => {
                (Some((*namespace).to_owned()), rest)
            }
            _ => (None, rest),
        };
        let (plural, name, part) = match rest {
            [plural] => (plural, None, ""),
            [plural, name] => (plural, Some((*name).to_owned()), ""),
            [plural, name, part] => (plural, Some((*name).to_owned()), *part),
            _ => return None,
        };
        let known = |kind: &&Kind| kind.group == group && kind.version == version && kind.plural == *plural;
        let kind = self.kinds.iter().find(known)?.clone();
        let fits = match part {
            "" | "status" | "finalize" => true,
            "scale" => kind.scales,
            _ => false,
        };
        // An object in a namespace is never named without it.
        let whole = kind.namespaced == namespace.is_some() || (kind.namespaced && name.is_none());
        (fits && whole).then(|| Place { kind, namespace, name, part: part.to_owned() })
    }

    fn read(&self, call: &Call, place: &Place) -> Reply {
        let Some(name) = &place.name else {
            let selector = match Selector::read(call.asked("labelSelector"), call.asked("fieldSelector")) {
                Ok(selector) => selector,
                Err(why) => return Reply::Answer(refusal(400, "BadRequest", &why)),
            };
            return if ["true", "1"].contains(&call.asked("watch")) {
                self.watch(call, place, selector)
            } else {
                Reply::Answer(self.list(call, place, &selector))
            };
        };
        let Some(object) = self.store.get(&place.key(name)) else {
            return Reply::Answer(not_found(&place.kind, name));
        };
        if place.part == "scale" {
            return Reply::Answer(Answer::ok(scale_of(object)));
        }
        if call.wants_table() {
            let meta = json!({"resourceVersion": text(object, "/metadata/resourceVersion")});
            let rows = [Arc::clone(object)];
            return Reply::Answer(Answer::ok(table(&place.kind, &rows, (meta, self.now))));
        }
        Reply::Answer(Answer::ok(Value::clone(object)))
    }

    fn list(&self, call: &Call, place: &Place, selector: &Selector) -> Answer {
        let limit: usize = call.asked("limit").parse().unwrap_or(0);
        // A page begins behind the object that the one before ended with, at the version of the first page.
        let (version, after) = match call.asked("continue").split_once('|') {
            Some(_) if self.manners.has(Manner::ForgetsPages) => {
                return gone(
                    "The provided continue parameter is too old to display a consistent list result.",
                );
            }
            Some((version, after)) => (version.parse().unwrap_or(0), after.to_owned()),
            None => (self.store.version(), String::new()),
        };
        let resource = place.kind.resource();
        let spot = |key: &Key| format!("{}/{}", key.namespace, key.name);
        let mut found: Vec<(String, Arc<Value>)> = self
            .store
            .all(&resource, place.namespace.as_deref())
            .filter(|(key, object)| spot(key) > after && selector.matches(object))
            .map(|(key, object)| (spot(key), Arc::clone(object)))
            .collect();
        let mut meta = json!({"resourceVersion": version.to_string()});
        if limit > 0 && found.len() > limit {
            let left = found.len() - limit;
            found.truncate(limit);
            let last = found.last().map(|(spot, _)| spot.as_str()).unwrap_or_default();
            meta = json!({"resourceVersion": version.to_string(), "continue": format!("{version}|{last}"),
                "remainingItemCount": left});
        }
        let objects: Vec<Arc<Value>> = found.into_iter().map(|(_, object)| object).collect();
        if call.wants_table() {
            return Answer::ok(table(&place.kind, &objects, (meta, self.now)));
        }
        let items: Vec<Value> = objects.iter().map(|object| Value::clone(object)).collect();
        Answer::ok(json!({"kind": format!("{}List", place.kind.kind), "apiVersion": place.kind.api_version(),
            "metadata": meta, "items": items}))
    }

    fn watch(&self, call: &Call, place: &Place, selector: Selector) -> Reply {
        let asked = call.asked("resourceVersion");
        let marks_end = call.asked("sendInitialEvents") == "true";
        let (version, first) = match asked {
            _ if marks_end => (self.store.version(), self.there(place, &selector)),
            "" | "0" => (self.store.version(), self.there(place, &selector)),
            _ => match asked.parse::<u64>() {
                Ok(version) => (version, Vec::new()),
                Err(_) => return Reply::Answer(refusal(400, "BadRequest", "invalid resource version")),
            },
        };
        if self.store.since(version).is_none() {
            return Reply::Answer(gone(&format!(
                "too old resource version: {version} ({})",
                self.store.version()
            )));
        }
        let seconds: u64 = call.asked("timeoutSeconds").parse().unwrap_or(1800);
        Reply::Watch(Box::new(Watching {
            kind: place.kind.clone(),
            namespace: place.namespace.clone(),
            selector,
            version,
            bookmarks: call.asked("allowWatchBookmarks") == "true",
            lasts: seconds.saturating_mul(1000),
            table: call.wants_table(),
            first,
            marks_end,
        }))
    }

    /// What a selector means now.
    fn there(&self, place: &Place, selector: &Selector) -> Vec<Arc<Value>> {
        let all = self.store.all(&place.kind.resource(), place.namespace.as_deref());
        all.filter(|(_, object)| selector.matches(object)).map(|(_, object)| Arc::clone(object)).collect()
    }

    /// The lines of a watch that are due, and how far it has come.
    ///
    /// # Errors
    /// Its version is no longer known: the line that says so.
    pub(super) fn events(&self, watching: &mut Watching) -> Result<Vec<Value>, Value> {
        let resource = watching.kind.resource();
        let (as_table, kind_of) = (watching.table, watching.kind.clone());
        let line = |kind: &str, object: &Arc<Value>| {
            let object = if as_table {
                table(&kind_of, std::slice::from_ref(object), (json!({}), self.now))
            } else {
                Value::clone(object)
            };
            json!({"type": kind, "object": object})
        };
        let mut lines: Vec<Value> = watching.first.iter().map(|object| line("ADDED", object)).collect();
        if std::mem::take(&mut watching.marks_end) {
            let mut end = self.bookmark(watching);
            super::cluster::set(
                &mut end,
                &["object", "metadata", "annotations"],
                json!({"k8s.io/initial-events-end": "true"}),
            );
            lines.push(end);
        }
        let Some(changes) = self.store.since(watching.version) else {
            let status = gone("too old resource version").body;
            return Err(json!({"type": "ERROR", "object": status}));
        };
        let matches = |object: &Option<Arc<Value>>| {
            object.clone().filter(|object| {
                let inside =
                    watching.namespace.as_ref().is_none_or(|n| text(object, "/metadata/namespace") == n);
                inside && watching.selector.matches(object)
            })
        };
        for Change { resource: of, before, after, .. } in changes {
            if *of != resource {
                continue;
            }
            match (matches(before), matches(after)) {
                (None, Some(now)) => lines.push(line("ADDED", &now)),
                (Some(_), Some(now)) => lines.push(line("MODIFIED", &now)),
                // One that no selector matches any more is shown as it is now.
                (Some(was), None) => lines.push(line("DELETED", after.as_ref().unwrap_or(&was))),
                (None, None) => {}
            }
        }
        watching.version = self.store.version();
        watching.first.clear();
        Ok(lines)
    }

    /// A line that tells the version and nothing else.
    pub(super) fn bookmark(&self, watching: &Watching) -> Value {
        json!({"type": "BOOKMARK", "object": {"kind": watching.kind.kind, "apiVersion": watching.kind.api_version(),
            "metadata": {"resourceVersion": watching.version.max(self.store.version()).to_string()}}})
    }
}

/// The kind `Scale` of `autoscaling/v1` of a workload.
pub(super) fn scale_of(object: &Value) -> Value {
    let at = |path: &str| object.pointer(path).cloned();
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {"name": at("/metadata/name"), "namespace": at("/metadata/namespace"), "uid": at("/metadata/uid"),
            "resourceVersion": at("/metadata/resourceVersion"), "creationTimestamp": at("/metadata/creationTimestamp")},
        "spec": {"replicas": at("/spec/replicas").unwrap_or_else(|| json!(1))},
        "status": {"replicas": at("/status/replicas").unwrap_or_else(|| json!(0)),
            "selector": Cluster::selector_text(object)},
    })
}
