//! Bytes at rest: the append log under journal and ledger, and the shelf of content named by its SHA-256.
//!
//! | file | what |
//! |---|---|
//! | `files.rs` | the file layer everything durable goes through, and the real one |
//! | `lossy.rs` | the same layer in memory, with power cuts and a full disk on request (for tests) |
//! | `log.rs`, `log/`, `line.rs` | the append log, its on-disk form `v1`, and how a new file takes its place |
//! | `shelf.rs`, `digest.rs` | content by SHA-256 |

mod digest;
mod files;
mod line;
pub mod log;
pub mod lossy;
pub mod shelf;

pub use digest::{Digest, DigestError, Summing};
pub use files::{Disk, Files, OpenFile};
