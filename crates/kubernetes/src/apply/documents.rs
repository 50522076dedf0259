//! Manifests as they are written: YAML of several documents, JSON, and lists, each object with its place.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use super::Refusal;

pub(super) const DEFINITION: &str = "CustomResourceDefinition";
/// What Helm marks with this is run by Helm at moments that do not exist here.
const HOOK: &str = "helm.sh/hook";
/// Deepest nesting and most values of a file.
const DEPTH: usize = 64;
const NODES: usize = 1_000_000;

/// Where an object is written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, as it was named.
    pub file: String,
    /// Which document of it, from 1.
    pub document: usize,
    /// Line its document begins at, from 1.
    pub line: usize,
    /// Which item of a list, from 1.
    pub item: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: document {} (line {})", self.file, self.document, self.line)?;
        match self.item {
            Some(item) => write!(f, ", item {item}"),
            None => Ok(()),
        }
    }
}

/// One object to apply.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// Where it is written.
    pub place: Place,
    /// `apps/v1`.
    pub api_version: String,
    /// `Deployment`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// All of it.
    pub object: Value,
}

impl Manifest {
    /// Its namespace, where it names one.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.object.pointer("/metadata/namespace").and_then(Value::as_str)
    }

    /// `Deployment default/web`.
    #[must_use]
    pub fn called(&self) -> String {
        match self.namespace() {
            Some(namespace) => format!("{} {namespace}/{}", self.kind, self.name),
            None => format!("{} {}", self.kind, self.name),
        }
    }

    /// Whether others cannot be applied before it.
    pub(super) fn is_first(&self) -> bool {
        matches!(self.kind.as_str(), "Namespace" | DEFINITION)
    }

    /// The order within a wave: what others refer to comes before them, and what stands in the way of writes last.
    fn rank(&self) -> usize {
        const ORDER: [&str; 17] = [
            "Namespace",
            DEFINITION,
            "PriorityClass",
            "StorageClass",
            "ServiceAccount",
            "ClusterRole",
            "ClusterRoleBinding",
            "Role",
            "RoleBinding",
            "ResourceQuota",
            "LimitRange",
            "Secret",
            "ConfigMap",
            "PersistentVolume",
            "PersistentVolumeClaim",
            "Service",
            "NetworkPolicy",
        ];
        const LAST: [&str; 3] = [
            "MutatingWebhookConfiguration",
            "ValidatingWebhookConfiguration",
            "ValidatingAdmissionPolicyBinding",
        ];
        if LAST.contains(&self.kind.as_str()) {
            return ORDER.len() + 1;
        }
        ORDER.iter().position(|kind| *kind == self.kind).unwrap_or(ORDER.len())
    }
}

/// A set of objects, each once.
#[derive(Debug, Clone, Default)]
pub struct Manifests {
    all: Vec<Manifest>,
}

impl Manifests {
    /// Reads files: name and content of each.
    ///
    /// # Errors
    /// Every document that is not an object that can be applied, and every object that is there twice.
    pub fn read<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Result<Self, Vec<Refusal>> {
        let (mut all, mut refusals) = (Vec::new(), Vec::new());
        for (file, content) in files {
            for (place, document) in documents(file, content) {
                match document {
                    Ok(object) => unfold(place, object, &mut all, &mut refusals),
                    Err(refusal) => refusals.push(refusal),
                }
            }
        }
        let mut seen = BTreeSet::new();
        for manifest in &all {
            let group = manifest.api_version.rsplit_once('/').map_or("", |(group, _)| group);
            if !seen.insert((group, manifest.called())) {
                refusals.push(Refusal::Document {
                    place: manifest.place.clone(),
                    what: format!("{} is in the set twice", manifest.called()),
                    advice: "take one of the two out".to_owned(),
                });
            }
        }
        if refusals.is_empty() { Ok(Self { all }) } else { Err(refusals) }
    }

    /// The objects as they were written.
    #[must_use]
    pub fn all(&self) -> &[Manifest] {
        &self.all
    }

    /// The objects in the order they are applied in; equals stay as they were written.
    #[must_use]
    pub fn in_order(&self) -> Vec<&Manifest> {
        let mut ordered: Vec<&Manifest> = self.all.iter().collect();
        ordered.sort_by_key(|manifest| manifest.rank());
        ordered
    }

    /// Whether the kind of this object is defined by another of the set.
    pub(super) fn defines(&self, manifest: &Manifest) -> bool {
        let word = |object: &Value, at: &str| {
            object.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        self.all.iter().filter(|other| other.kind == DEFINITION).any(|definition| {
            let group = word(&definition.object, "/spec/group");
            let versions = definition.object.pointer("/spec/versions").and_then(Value::as_array);
            word(&definition.object, "/spec/names/kind") == manifest.kind
                && versions
                    .into_iter()
                    .flatten()
                    .any(|version| format!("{group}/{}", word(version, "/name")) == manifest.api_version)
        })
    }
}

/// The documents of a file. A line of `---` at its left edge parts them wherever it stands.
fn documents(file: &str, content: &[u8]) -> Vec<(Place, Result<Value, Refusal>)> {
    let at = |document, line| Place { file: file.to_owned(), document, line, item: None };
    let Ok(text) = std::str::from_utf8(content) else {
        let place = at(1, 1);
        let refusal = Refusal::Document {
            place: place.clone(),
            what: "it is not UTF-8 text".to_owned(),
            advice: "manifests are YAML or JSON".to_owned(),
        };
        return vec![(place, Err(refusal))];
    };
    let mut parts: Vec<(usize, String)> = vec![(1, String::new())];
    for (number, line) in text.trim_start_matches('\u{feff}').split_inclusive('\n').enumerate() {
        let marks = line
            .strip_prefix("---")
            .filter(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        match (marks, parts.last_mut()) {
            (Some(rest), _) => parts.push((number + 1, format!("   {rest}"))),
            (None, Some((_, part))) => part.push_str(line),
            (None, None) => {}
        }
    }
    let written =
        |part: &str| part.lines().any(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    let written = parts.into_iter().filter(|(_, part)| written(part));
    written
        .enumerate()
        .map(|(index, (line, part))| {
            let place = at(index + 1, line);
            let value = read(&part).map_err(|(why, below)| Refusal::Document {
                place: Place { line: place.line + below, ..place.clone() },
                what: why,
                advice: "correct the YAML; a template must be rendered first".to_owned(),
            });
            (place, value)
        })
        .collect()
}

/// Reads one document; what is wrong with it, and how many lines below its first.
fn read(text: &str) -> Result<Value, (String, usize)> {
    let options = serde_saphyr::options! {
        with_snippet: false,
        budget: serde_saphyr::budget! { max_depth: DEPTH, max_nodes: NODES, max_events: 2 * NODES },
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|why| {
        let below = why.location().and_then(|at| usize::try_from(at.line()).ok()).unwrap_or(1);
        (unplaced(&why.to_string()), below.saturating_sub(1))
    })
}

/// A sentence of the YAML library without its own place, which counts from the document's first line.
fn unplaced(text: &str) -> String {
    let end = text.rfind(" at line ").filter(|at| !text[*at..].contains('\n'));
    let text = end.and_then(|end| text.get(..end)).unwrap_or(text);
    let begins = text.strip_prefix("error: line ").and_then(|rest| rest.split_once(": "));
    begins.map_or(text, |(_, rest)| rest).to_owned()
}

/// Takes lists apart and looks at what every object must have.
fn unfold(place: Place, object: Value, all: &mut Vec<Manifest>, refusals: &mut Vec<Refusal>) {
    if object.is_null() {
        return;
    }
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
    if let (true, Some(Value::Array(items))) = (kind.ends_with("List"), object.get("items")) {
        for (index, item) in items.iter().enumerate() {
            let place = Place { item: Some(index + 1), ..place.clone() };
            unfold(place, item.clone(), all, refusals);
        }
        return;
    }
    match judged(&place, object) {
        Ok(manifest) => all.push(manifest),
        Err((what, advice)) => refusals.push(Refusal::Document { place, what, advice: advice.to_owned() }),
    }
}

fn judged(place: &Place, object: Value) -> Result<Manifest, (String, &'static str)> {
    let word = |at: &str| object.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    if !object.is_object() {
        return Err(("this is not an object".to_owned(), "a manifest has apiVersion, kind and metadata"));
    }
    for field in ["apiVersion", "kind"] {
        if word(&format!("/{field}")).is_empty() {
            return Err((format!("`{field}` is missing"), "every object says what it is"));
        }
    }
    let (api_version, kind, name) = (word("/apiVersion"), word("/kind"), word("/metadata/name"));
    if name.is_empty() {
        let generated = !word("/metadata/generateName").is_empty();
        let advice = if generated {
            "what is applied has a name of its own; `generateName` makes another object each time"
        } else {
            "give it one"
        };
        return Err((format!("{kind}: `metadata.name` is missing"), advice));
    }
    let manifest = Manifest { place: place.clone(), api_version, kind, name, object };
    let annotations = manifest.object.pointer("/metadata/annotations");
    if let Some(hook) = annotations.and_then(|all| all.get(HOOK)) {
        let hook = hook.as_str().unwrap_or("hook");
        return Err((
            format!("{} is a Helm hook (`{HOOK}: {hook}`)", manifest.called()),
            "hooks run only inside Helm: render with `--no-hooks`, or apply the object without the annotation",
        ));
    }
    // Left over from `kubectl get -o yaml`; the server would take them for wishes.
    for field in ["managedFields", "resourceVersion", "uid"] {
        if manifest.object.pointer(&format!("/metadata/{field}")).is_some_and(|value| !value.is_null()) {
            return Err((
                format!("{}: `metadata.{field}` is set by the server", manifest.called()),
                "take it out: this was read from a cluster",
            ));
        }
    }
    Ok(manifest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Manifests, Vec<String>> {
        Manifests::read([("a.yaml", text.as_bytes())])
            .map_err(|all| all.iter().map(|refusal| format!("{refusal} / {}", refusal.advice())).collect())
    }

    #[test]
    fn documents_lists_and_json_are_read_with_their_places() {
        let text = "# nothing but this\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  text: |\n    a\n    ---\n    b\n\
                    --- # the next\n{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [{\"apiVersion\": \"v1\", \
                    \"kind\": \"Secret\", \"metadata\": {\"name\": \"b\", \"namespace\": \"n\"}}]}\n---\n---\n";
        let manifests = read(text).unwrap();
        let places: Vec<String> =
            manifests.all().iter().map(|m| format!("{} {}", m.place, m.called())).collect();
        assert_eq!(
            places,
            ["a.yaml: document 1 (line 2) ConfigMap a", "a.yaml: document 2 (line 11), item 1 Secret n/b"]
        );
        assert_eq!(manifests.all()[0].object["data"]["text"], "a\n---\nb\n");
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let text = "kind: Pod\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Pod\nmetadata: {generateName: a-}\n---\n\
                    apiVersion: v1\nkind: Pod\nmetadata: {name: h, annotations: {helm.sh/hook: pre-install}}\n---\n- a\n---\n\
                    apiVersion: v1\nkind: Pod\nmetadata: {name: u, uid: x}\n---\na: [\n---\n\
                    apiVersion: v1\nkind: Pod\nmetadata: {name: t}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: t}\n";
        let refusals = read(text).unwrap_err();
        let wanted = [
            "document 1 (line 1): `apiVersion` is missing",
            "document 2 (line 3): Pod: `metadata.name` is missing",
            "document 3 (line 7): Pod h is a Helm hook (`helm.sh/hook: pre-install`)",
            "document 4 (line 11): this is not an object",
            "document 5 (line 13): Pod u: `metadata.uid` is set by the server",
            "document 6 (line 18): unclosed bracket",
            "document 8 (line 23): Pod t is in the set twice",
        ];
        assert_eq!(refusals.len(), wanted.len(), "{refusals:#?}");
        for (refusal, wanted) in refusals.iter().zip(wanted) {
            assert!(refusal.contains(wanted), "{refusal}");
        }
    }

    #[test]
    fn what_others_need_comes_first() {
        let object = |kind: &str| format!("---\napiVersion: v1\nkind: {kind}\nmetadata: {{name: a}}\n");
        let kinds =
            ["Deployment", "ValidatingWebhookConfiguration", "Service", "ClusterRole", "Widget", "Namespace"];
        let manifests = read(&kinds.map(object).concat()).unwrap();
        let order: Vec<&str> = manifests.in_order().iter().map(|m| m.kind.as_str()).collect();
        let wanted =
            ["Namespace", "ClusterRole", "Service", "Deployment", "Widget", "ValidatingWebhookConfiguration"];
        assert_eq!(order, wanted);
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for n in 1..12 {
            let before = format!("*a{}", n - 1);
            text.push_str(&format!("a{n}: &a{n} [{}]\n", [before.as_str(); 10].join(",")));
        }
        assert_eq!(read(&text).unwrap_err().len(), 1);
    }
}
