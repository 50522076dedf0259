//! A Kubernetes API server that does not exist, true on the wire for `kubectl` and other clients, with a scheduler,
//! kubelets and controllers behind it.
//!
//! | what | file |
//! |---|---|
//! | sockets, TLS, HTTP | `serve.rs`, `trust.rs` |
//! | paths, lists and watches | `rest.rs`, `select.rs`, `table.rs`, `discovery.rs` |
//! | writes | `write.rs`, `patch.rs`, `fields.rs`, `answer.rs` |
//! | objects and their past | `store.rs`, `kinds.rs`, `written.rs` |
//! | what happens by itself | `cluster.rs`, `workloads.rs`, `schedule.rs`, `kubelet.rs` |
//! | bad manners | `manner.rs` |
//!
//! Outside `serve`, nothing reads a clock: time is an argument, and the same seed gives the same history.
//! Not simulated: admission, quotas, RBAC (whoever has a certificate of the authority may do everything),
//! validation of custom resources by their schema, bodies that are not JSON (`kubectl create namespace` sends
//! protobuf; `kubectl apply` and `create -f` do not), and network traffic.

mod answer;
mod cluster;
mod discovery;
mod fields;
mod kinds;
mod kubelet;
mod manner;
mod moment;
mod patch;
mod rest;
mod schedule;
mod select;
mod serve;
mod static_pods;
mod store;
mod table;
mod trust;
mod workloads;
mod write;
mod written;

pub use cluster::Member;
pub use manner::Manner;
pub use serve::{Server, Settings};
pub use trust::{Identity, TrustError};
