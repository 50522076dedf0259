//! Everything a server holds, as one JSON value: what a control plane has on its disk.

use serde_json::{Value, json};

use super::cluster::{Cluster, Step, text};
use super::kinds::Kind;
use super::store::Key;

impl Cluster {
    /// Everything it holds. What is due is not written: it follows from the objects.
    pub(super) fn written(&self) -> Value {
        let objects = self.store.everything();
        let objects = objects.map(|(key, object)| json!([key.resource, key.namespace, key.name, **object]));
        json!({
            "version": self.store.version(),
            "addresses": self.addresses,
            "objects": objects.collect::<Vec<_>>(),
        })
    }

    /// Takes the place of what it holds by what was written. A past is not kept: a watch from then begins anew.
    pub(super) fn read_back(&mut self, written: &Value) {
        let words = |object: &Value, index: usize| {
            object.get(index).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let objects = written.get("objects").and_then(Value::as_array);
        let objects = objects.into_iter().flatten().filter_map(|object| {
            let key = Key::new(&words(object, 0), &words(object, 1), &words(object, 2));
            Some((key, object.get(3)?.clone()))
        });
        let number = |name: &str| written.get(name).and_then(Value::as_u64).unwrap_or_default();
        self.store.replace(objects.collect(), number("version"));
        self.addresses = u32::try_from(number("addresses")).unwrap_or_default();
        let established = |definition: &&Value| {
            let conditions = definition.pointer("/status/conditions").and_then(Value::as_array);
            conditions.into_iter().flatten().any(|one| text(one, "/type") == "Established")
        };
        let definitions = self.store.all("customresourcedefinitions.apiextensions.k8s.io", None);
        let definitions = definitions.map(|(_, definition)| &**definition).filter(established);
        self.kinds.extend(definitions.flat_map(Kind::defined_by).collect::<Vec<_>>());
        self.go_on();
    }

    /// Pods that were on their way go on from where they were.
    fn go_on(&mut self) {
        let pods: Vec<(Key, String, Step)> = self
            .store
            .all("pods", None)
            .filter_map(|(key, pod)| {
                let state = pod.pointer("/status/containerStatuses/0/state")?;
                let does = text(pod, "/metadata/annotations/labinator.sim~1does");
                let ends = text(pod, "/spec/restartPolicy") != "Always" || does == "fail" || does == "end";
                let ready = pod.pointer("/status/containerStatuses/0/ready") == Some(&json!(true));
                let step = match (state.get("waiting"), state.get("running"), does) {
                    (Some(_), _, "no-image") | (_, Some(_), "never-ready") => return None,
                    (Some(_), ..) => Step::Start,
                    (_, Some(_), "crash") => Step::Crash,
                    (_, Some(_), _) if ends => Step::Finish,
                    (_, Some(_), _) if !ready => Step::Ready,
                    _ => return None,
                };
                Some((key.clone(), text(pod, "/metadata/uid").to_owned(), step))
            })
            .collect();
        for (key, uid, step) in pods {
            let due = self.soon(200, 1500);
            self.due.insert(uid, (due, key, step));
        }
    }
}
