//! The cluster: what its API server tells of nodes and pods, and manifests applied to it.
//!
//! | what | file |
//! |---|---|
//! | where the server is, whom to trust, who we are | `kubeconfig.rs` |
//! | one question over HTTP and TLS | `client/` |
//! | nodes and pods, kept up to date | `watch/` |
//! | manifests in waves, scale, prune, bundles | `apply/` |
//!
//! Only the fields that somebody looks at are read from what the server sends; the rest is never kept.

pub mod apply;
mod client;
mod kubeconfig;
mod trouble;
pub mod watch;

pub use client::{Client, Dial, Dialed, Duplex, Tcp};
pub use kubeconfig::Access;
pub use trouble::{Cause, Status, Trouble};
pub use watch::Watch;
