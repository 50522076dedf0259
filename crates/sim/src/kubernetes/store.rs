//! The objects and what changed: one number for every write, and a bounded past for those who watch.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::{Value, json};

/// Where an object is: its resource, its namespace (empty where there is none), its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) resource: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Key {
    pub(super) fn new(resource: &str, namespace: &str, name: &str) -> Self {
        Self { resource: resource.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

/// One write.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) version: u64,
    pub(super) resource: String,
    /// What was there before; a selector may have matched it and match no longer.
    pub(super) before: Option<Arc<Value>>,
    /// What is there now.
    pub(super) after: Option<Arc<Value>>,
}

/// The objects.
#[derive(Debug)]
pub(super) struct Store {
    objects: BTreeMap<Key, Arc<Value>>,
    version: u64,
    past: VecDeque<Change>,
    kept: usize,
    /// Versions up to this one have no past any more.
    forgotten: u64,
}

impl Store {
    /// An empty one that remembers so many changes.
    pub(super) const fn new(kept: usize) -> Self {
        Self { objects: BTreeMap::new(), version: 1, past: VecDeque::new(), kept, forgotten: 0 }
    }

    pub(super) const fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Arc<Value>> {
        self.objects.get(key)
    }

    /// Everything of a resource, in a namespace or in all.
    pub(super) fn all<'a>(
        &'a self,
        resource: &str,
        namespace: Option<&str>,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<Value>)> + use<'a> {
        let resource = resource.to_owned();
        let namespace = namespace.map(str::to_owned);
        let first = Key::new(&resource, namespace.as_deref().unwrap_or_default(), "");
        self.objects.range(first..).take_while(move |(key, _)| {
            key.resource == resource && namespace.as_ref().is_none_or(|wanted| key.namespace == *wanted)
        })
    }

    /// Every object.
    pub(super) fn everything(&self) -> impl Iterator<Item = (&Key, &Arc<Value>)> {
        self.objects.iter()
    }

    /// Writes an object under a new version. Nothing happens when nothing would change.
    pub(super) fn put(&mut self, key: Key, mut object: Value) -> Arc<Value> {
        let before = self.objects.get(&key).cloned();
        if let Some(before) = &before {
            set_version(&mut object, before.pointer("/metadata/resourceVersion").cloned());
            if **before == object {
                return Arc::clone(before);
            }
        }
        self.version += 1;
        set_version(&mut object, Some(json!(self.version.to_string())));
        let object = Arc::new(object);
        let resource = key.resource.clone();
        self.objects.insert(key, Arc::clone(&object));
        self.remember(Change { version: self.version, resource, before, after: Some(Arc::clone(&object)) });
        object
    }

    /// Takes an object out. What watchers are shown has the version of its end.
    pub(super) fn remove(&mut self, key: &Key) -> Option<Arc<Value>> {
        let before = self.objects.remove(key)?;
        self.version += 1;
        let mut last = Value::clone(&before);
        set_version(&mut last, Some(json!(self.version.to_string())));
        let last = Arc::new(last);
        self.remember(Change {
            version: self.version,
            resource: key.resource.clone(),
            before: Some(Arc::clone(&last)),
            after: None,
        });
        Some(last)
    }

    /// What changed after this version; `None` when that is no longer known.
    pub(super) fn since(&self, version: u64) -> Option<impl Iterator<Item = &Change>> {
        if version < self.forgotten {
            return None;
        }
        let first = self.past.partition_point(|change| change.version <= version);
        Some(self.past.range(first..))
    }

    /// Holds these objects and no others from now on, without a past.
    pub(super) fn replace(&mut self, objects: Vec<(Key, Value)>, version: u64) {
        self.objects = objects.into_iter().map(|(key, object)| (key, Arc::new(object))).collect();
        self.version = self.version.max(version);
        self.forget();
    }

    /// Forgets the past, as etcd does when it is compacted.
    pub(super) fn forget(&mut self) {
        self.past.clear();
        self.version += 1;
        self.forgotten = self.version;
    }

    fn remember(&mut self, change: Change) {
        self.past.push_back(change);
        while self.past.len() > self.kept {
            if let Some(gone) = self.past.pop_front() {
                self.forgotten = gone.version;
            }
        }
    }
}

fn set_version(object: &mut Value, version: Option<Value>) {
    if let (Some(meta), Some(version)) = (object.get_mut("metadata").and_then(Value::as_object_mut), version)
    {
        meta.insert("resourceVersion".to_owned(), version);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(store: &mut Store, name: &str, value: u64) -> u64 {
        store.put(Key::new("a", "", name), json!({"metadata": {"name": name}, "value": value}));
        store.version()
    }

    #[test]
    fn the_same_object_again_is_no_change() {
        let mut store = Store::new(10);
        let version = put(&mut store, "x", 1);
        assert_eq!(put(&mut store, "x", 1), version);
        assert!(put(&mut store, "x", 2) > version);
    }

    #[test]
    fn a_version_that_was_forgotten_has_no_past() {
        let mut store = Store::new(2);
        let versions: Vec<u64> = (0..4).map(|n| put(&mut store, "x", n)).collect();
        assert!(store.since(versions[0]).is_none());
        assert_eq!(store.since(versions[1]).unwrap().count(), 2);
        assert_eq!(store.since(versions[3]).unwrap().count(), 0);
        store.forget();
        assert!(store.since(versions[3]).is_none());
        assert_eq!(store.since(store.version()).unwrap().count(), 0);
    }

    #[test]
    fn a_namespace_is_listed_without_its_neighbours() {
        let mut store = Store::new(10);
        for (resource, namespace) in [("a", "x"), ("a", "y"), ("b", "x")] {
            store.put(Key::new(resource, namespace, "n"), json!({"metadata": {}}));
        }
        assert_eq!(store.all("a", Some("x")).count(), 1);
        assert_eq!(store.all("a", None).count(), 2);
    }
}
