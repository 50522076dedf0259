//! `talosconfig`: which clusters a person administers, and the certificates for it.
//!
//! A file is changed in place: other contexts, and fields that are not known here, stay as they are.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::WallTime;
use zeroize::Zeroizing;

use crate::pki::{Authority, Identity, Leaf, PkiError, Random};
use crate::yaml::{Map, Value, YamlError, emit, parse_one};

/// The role of who may do everything.
pub const ADMIN: &str = "os:admin";

/// A cluster, and who one is there.
#[derive(Debug, Clone)]
pub struct Context {
    /// Where the machine API is asked; port 50000 where none is said.
    pub endpoints: Vec<String>,
    /// The nodes that are meant unless somebody says otherwise.
    pub nodes: Vec<String>,
    /// PEM of the authority that nodes prove themselves with.
    pub authority: String,
    /// Certificate and key of the client.
    pub identity: Identity,
}

impl Context {
    /// An administrator's context with a new certificate.
    ///
    /// # Errors
    /// There are no random bytes.
    pub fn mint(
        os: &Authority,
        roles: &[&str],
        endpoints: Vec<String>,
        now: WallTime,
        random: &mut dyn Random,
    ) -> Result<Self, PkiError> {
        let identity = os.issue(&Leaf::talos_client(roles), now, random)?;
        Ok(Self { endpoints, nodes: Vec::new(), authority: os.certificate().to_pem(), identity })
    }
}

/// Where a context came to lie in a file that had others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merged {
    /// Beside the others, under its name.
    Added,
    /// In the place of one for the same cluster: its authority is the same.
    Renewed,
    /// Under this name, because another cluster has its own.
    Renamed(String),
}

/// A file.
#[derive(Debug, Clone)]
pub struct TalosConfig {
    root: Map,
}

/// Why a `talosconfig` cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TalosConfigError {
    /// It is not YAML.
    #[error(transparent)]
    Yaml(#[from] YamlError),
    /// It is YAML and no `talosconfig`.
    #[error("{0} where a mapping of contexts is expected")]
    Shape(&'static str),
    /// It has no such context.
    #[error("there is no context `{name}`; there are: {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// The names that are there.
        known: String,
    },
    /// A field is missing, or is not base64 of PEM.
    #[error("context `{context}`: {field} is missing or is not base64 of a PEM text")]
    Field {
        /// The context.
        context: String,
        /// `ca`, `crt` or `key`.
        field: &'static str,
    },
    /// Certificate and key cannot be used.
    #[error("context `{context}`: {why}")]
    Pki {
        /// The context.
        context: String,
        /// What is wrong.
        why: PkiError,
    },
}

impl TalosConfigError {
    /// A stable word for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Yaml(error) => error.code(),
            Self::Shape(_) => "not_a_talosconfig",
            Self::Unknown { .. } => "unknown_context",
            Self::Field { .. } => "bad_context",
            Self::Pki { why, .. } => why.code(),
        }
    }

    /// What the person who reads it can do.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::Yaml(error) => error.advice(),
            Self::Shape(_) => "give a file that has `context:` and `contexts:`".to_owned(),
            Self::Unknown { .. } => "name one of them".to_owned(),
            Self::Field { .. } => {
                "make the context anew: `labinator talos gen config` writes one from secrets.yaml".to_owned()
            }
            Self::Pki { why, .. } => why.advice().to_owned(),
        }
    }
}

impl Default for TalosConfig {
    fn default() -> Self {
        Self { root: Map::new().with("context", "").with("contexts", Map::new()) }
    }
}

impl TalosConfig {
    /// Reads a file; an empty one has no contexts.
    ///
    /// # Errors
    /// Not YAML, or not a `talosconfig`.
    pub fn from_yaml(text: &str) -> Result<Self, TalosConfigError> {
        let mut root = match parse_one(text)?.value {
            Value::Map(root) => root,
            Value::Null => Map::new(),
            other => return Err(TalosConfigError::Shape(other.called())),
        };
        for (key, empty) in [("context", Value::from("")), ("contexts", Value::empty_map())] {
            if root.get(key).is_none_or(Value::is_null) {
                root.insert(key, empty);
            }
        }
        if let Some(other) = root.get("contexts").filter(|contexts| contexts.as_map().is_none()) {
            return Err(TalosConfigError::Shape(other.called()));
        }
        Ok(Self { root })
    }

    /// The file's text. It holds keys: mode 0600.
    #[must_use]
    pub fn to_yaml(&self) -> Zeroizing<String> {
        Zeroizing::new(emit(&Value::Map(self.root.clone())))
    }

    /// Names of the contexts.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.root.get("contexts").and_then(Value::as_map).into_iter().flat_map(Map::keys)
    }

    /// The name of the context that is meant when none is said.
    #[must_use]
    pub fn current(&self) -> &str {
        self.root.get("context").and_then(Value::as_str).unwrap_or_default()
    }

    /// The context of a name, or the current one.
    ///
    /// # Errors
    /// There is none of that name, or it cannot be used.
    pub fn context(&self, name: Option<&str>) -> Result<Context, TalosConfigError> {
        let name = name.unwrap_or_else(|| self.current());
        let found = self.root.get("contexts").and_then(|contexts| contexts.at([name]));
        let context = found.and_then(Value::as_map).ok_or_else(|| TalosConfigError::Unknown {
            name: name.to_owned(),
            known: self.names().collect::<Vec<_>>().join(", "),
        })?;
        let pem = |field| {
            let pem = pem_of(context, field);
            pem.ok_or_else(|| TalosConfigError::Field { context: name.to_owned(), field })
        };
        let identity = Identity::from_pem(&pem("crt")?, &pem("key")?)
            .map_err(|why| TalosConfigError::Pki { context: name.to_owned(), why })?;
        // Old files name one endpoint, as `target`.
        let target = context.get("target").and_then(Value::as_str).filter(|text| !text.is_empty());
        let endpoints = target.map(ToOwned::to_owned).into_iter().chain(texts(context, "endpoints"));
        Ok(Context {
            endpoints: endpoints.collect(),
            nodes: texts(context, "nodes").collect(),
            authority: pem("ca")?.to_string(),
            identity,
        })
    }

    /// Puts a context in and makes it the current one. Nothing else is lost: a context of that name is replaced
    /// only when its authority is the same, so only when it is the same cluster's.
    pub fn merge(&mut self, name: &str, context: &Context) -> Merged {
        let mut made = Map::new().with("endpoints", list(&context.endpoints));
        if !context.nodes.is_empty() {
            made.insert("nodes", list(&context.nodes));
        }
        let (certificate, key) = context.identity.to_pem();
        for (field, pem) in [("ca", &context.authority), ("crt", &certificate), ("key", &*key)] {
            made.insert(field, STANDARD.encode(pem));
        }
        let mut merged = Merged::Added;
        let mut place = name.to_owned();
        if let Some(contexts) = self.root.entry_map("contexts") {
            let authority =
                |name: &str| contexts.get(name).map(|there| there.as_map().and_then(|c| pem_of(c, "ca")));
            let mut number = 1;
            while let Some(there) = authority(&place) {
                if there.is_some_and(|pem| *pem == context.authority) {
                    merged = Merged::Renewed;
                    break;
                }
                place = format!("{name}-{number}");
                merged = Merged::Renamed(place.clone());
                number += 1;
            }
            contexts.insert(place.as_str(), made);
            contexts.sort();
        }
        self.root.insert("context", place);
        merged
    }
}

fn pem_of(context: &Map, field: &str) -> Option<Zeroizing<String>> {
    let text = context.get(field)?.as_str()?;
    String::from_utf8(STANDARD.decode(text).ok()?).ok().map(Zeroizing::new)
}

fn texts<'a>(context: &'a Map, field: &str) -> impl Iterator<Item = String> + 'a {
    let list = context.get(field).and_then(Value::as_list).unwrap_or_default();
    list.iter().filter_map(|item| item.as_str().map(ToOwned::to_owned))
}

fn list(texts: &[String]) -> Value {
    Value::List(texts.iter().map(|text| Value::from(text.as_str())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::{KeyKind, Seeded};

    const NOW: WallTime = WallTime(1_795_672_800_000);

    fn cluster(seed: u8) -> Authority {
        Authority::mint(KeyKind::Ed25519, Some("talos"), NOW, &mut Seeded::new([seed; 32])).unwrap()
    }

    fn context(os: &Authority, seed: u8) -> Context {
        Context::mint(os, &[ADMIN], vec!["10.0.0.2".to_owned()], NOW, &mut Seeded::new([seed; 32])).unwrap()
    }

    #[test]
    fn a_context_is_read_as_it_was_put_in() {
        let mut file = TalosConfig::default();
        assert_eq!(file.merge("lab", &context(&cluster(1), 9)), Merged::Added);
        let text = file.to_yaml();
        assert!(text.starts_with(
            "context: lab\ncontexts:\n    lab:\n        endpoints:\n            - 10.0.0.2\n        ca: "
        ));
        let again = TalosConfig::from_yaml(&text).unwrap();
        assert_eq!(again.to_yaml(), text);
        let read = again.context(None).unwrap();
        assert_eq!(read.endpoints, ["10.0.0.2"]);
        assert_eq!(read.identity.certificate.organizations(), [ADMIN]);
        assert_eq!(read.authority, cluster(1).certificate().to_pem());
        assert_eq!(again.context(Some("other")).unwrap_err().code(), "unknown_context");
    }

    #[test]
    fn no_context_of_another_cluster_is_lost() {
        let mut file = TalosConfig::default();
        file.merge("lab", &context(&cluster(1), 9));
        let first = file.context(Some("lab")).unwrap().identity.certificate;
        assert_eq!(file.merge("lab", &context(&cluster(2), 9)), Merged::Renamed("lab-1".to_owned()));
        assert_eq!(file.merge("lab", &context(&cluster(3), 9)), Merged::Renamed("lab-2".to_owned()));
        assert_eq!(file.current(), "lab-2");
        assert_eq!(file.context(Some("lab")).unwrap().identity.certificate, first);
        assert_eq!(file.merge("lab", &context(&cluster(1), 8)), Merged::Renewed);
        assert_ne!(file.context(Some("lab")).unwrap().identity.certificate, first);
        assert_eq!(file.names().collect::<Vec<_>>(), ["lab", "lab-1", "lab-2"]);
    }

    #[test]
    fn what_is_not_known_here_stays() {
        let text = "context: a\ncontexts:\n    a:\n        endpoints: []\n        auth:\n            siderov1:\n                identity: me\n        proxy-url: http://p\nnew: [1]\n";
        let mut file = TalosConfig::from_yaml(text).unwrap();
        file.merge("b", &context(&cluster(1), 9));
        let text = file.to_yaml();
        for kept in ["identity: me", "proxy-url: http://p", "new:"] {
            assert!(text.contains(kept), "{kept} in {}", text.as_str());
        }
        assert_eq!(file.context(Some("a")).unwrap_err().code(), "bad_context");
    }

    #[test]
    fn an_empty_file_has_no_contexts_and_other_files_are_refused() {
        assert_eq!(TalosConfig::from_yaml("").unwrap().names().count(), 0);
        assert_eq!(TalosConfig::from_yaml("- 1\n").unwrap_err().code(), "not_a_talosconfig");
        assert_eq!(TalosConfig::from_yaml("contexts: x\n").unwrap_err().code(), "not_a_talosconfig");
        assert_eq!(TalosConfig::from_yaml("a: [\n").unwrap_err().code(), "yaml-broken");
    }
}
