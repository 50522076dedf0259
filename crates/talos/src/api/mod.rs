//! The machine API of one node: dial it, learn what it is, push its config, follow it, command it.
//!
//! | what | file |
//! |---|---|
//! | who answers, who asks | `fingerprint.rs`, `identity.rs`, `tls.rs` |
//! | one call, one connection, one node | `grpc.rs`, `line.rs`, `node.rs` |
//! | what a node is, before anything is sent | `probe.rs` |
//! | the config: one attempt, and until it is proven | `apply.rs`, `push.rs` |
//! | one bootstrap | `bootstrap.rs` |
//! | reading | `read.rs`, `resources.rs`, `stored.rs`, `etcd.rs`, `file.rs`, `kubeconfig.rs` |
//! | services | `service.rs` |
//! | streams | `events.rs`, `logs.rs` |
//! | power and versions | `power.rs`, `upgrade.rs` |
//!
//! A node is always dialled itself and no call carries routing metadata, so that nobody forwards a config.

mod apply;
mod bootstrap;
mod error;
mod etcd;
mod events;
mod file;
mod fingerprint;
pub mod grpc;
mod identity;
mod kubeconfig;
mod line;
mod logs;
mod node;
mod power;
mod probe;
pub mod proto;
mod push;
mod read;
mod resources;
mod service;
mod stored;
mod tls;
mod upgrade;

pub use apply::{Apply, ApplyMode, ApplyOutcome, Refusal};
pub use bootstrap::Bootstrap;
pub use error::NodeError;
pub use etcd::{EtcdMember, EtcdStatus};
pub use events::{EventFeed, Told};
pub use file::FileError;
pub use fingerprint::Fingerprint;
pub use identity::{Context, Identity};
pub use line::{Carrier, Dial};
pub use logs::{Extent, LogSource, Text};
pub use node::{Limits, Node};
pub use power::{Reset, Wipe};
pub use probe::{Character, Seen};
pub use push::{Push, push};
pub use read::{Disk, Service, Version};
pub use resources::{Link, MachineStatus, Ready, Resource, SystemInformation, Unmet, Volume};
pub use service::ServiceOrder;
pub use stored::{Column, Definition, KindError, Stored, definition};
