//! Machine configs for control planes and workers, as Talos's own generator writes them, for each version
//! contract from 1.9 to 1.14.
//!
//! | part | file |
//! |---|---|
//! | what is asked for, and whether it can be had | `input.rs` |
//! | the first document, `v1alpha1` | `machine.rs`, `cluster.rs` |
//! | documents beside it | `documents.rs`, from 1.14 on for Kubernetes too: `kubernetes.rs` |

mod cluster;
mod documents;
mod input;
mod kubernetes;
mod machine;

use zeroize::Zeroizing;

use crate::release::Minor;
use crate::secrets::{Incomplete, Secrets};
use crate::yaml::{Map, Value, emit_all};

pub use input::{Endpoint, Input, InputError, Options};

/// What a machine is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Runs etcd and the API server.
    ControlPlane,
    /// Runs pods.
    Worker,
}

impl Role {
    /// The word in `machine.type`, and the name of the file.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::ControlPlane => "controlplane",
            Self::Worker => "worker",
        }
    }
}

/// The config of a role, as documents.
///
/// # Errors
/// A control plane needs the service account key.
pub fn documents(input: &Input<'_>, secrets: &Secrets, role: Role) -> Result<Vec<Value>, Incomplete> {
    let service_account = match (role, &secrets.service_account) {
        (Role::ControlPlane, None) => return Err(Incomplete),
        (Role::ControlPlane, Some(key)) => key.reveal().as_str(),
        (Role::Worker, _) => "",
    };
    let making = Making { input, secrets, role, service_account };
    let root = Map::new()
        .with("version", "v1alpha1")
        .with("debug", false)
        .with("persist", true)
        .with("machine", making.machine())
        .with("cluster", making.cluster());
    let mut all = vec![Value::Map(root)];
    all.extend(making.documents().into_iter().map(Value::Map));
    Ok(all)
}

/// The config of a role, as the text that a node takes. It holds keys: nobody but the node may see it.
///
/// # Errors
/// As [`documents`].
pub fn text(input: &Input<'_>, secrets: &Secrets, role: Role) -> Result<Zeroizing<String>, Incomplete> {
    Ok(Zeroizing::new(emit_all(&documents(input, secrets, role)?)))
}

/// Everything that one config is made from.
struct Making<'a> {
    input: &'a Input<'a>,
    secrets: &'a Secrets,
    role: Role,
    /// PEM; empty for a worker.
    service_account: &'a str,
}

impl Making<'_> {
    const fn options(&self) -> &Options {
        self.input.options
    }

    /// Kubernetes, discovery, kubelet and sysctls have documents of their own.
    fn in_documents(&self) -> bool {
        self.input.contract >= Minor::V1_14
    }

    fn is_control_plane(&self) -> bool {
        self.role == Role::ControlPlane
    }

    /// An image of Kubernetes.
    fn image(&self, name: &str) -> String {
        format!("{name}:v{}", self.input.kubernetes)
    }
}

/// A list of texts.
fn list<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> Value {
    Value::List(items.into_iter().map(|item| Value::from(item.as_ref())).collect())
}
