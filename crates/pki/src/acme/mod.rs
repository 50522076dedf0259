//! Certificates for other servers by the protocol that their clients have (ACME, RFC 8555), without a socket, a disk or a
//! clock: requests go in as bytes, answers come out, and what has to be looked at in the world comes out as [`Work`].
//!
//! ```text
//! bytes ─▶ jws (whose key signed it) ─▶ office (nonces, what is asked) ─▶ book (accounts, orders, certificates)
//!                                          │        ▲
//!                                          └▶ Work ─┘ settled: the world was looked at
//! ```

mod book;
mod jws;
mod office;
mod problem;
mod rules;

pub use book::{Book, Part, State};
pub use jws::{By, Envelope, Jwk};
pub use office::{Answer, Ask, Body, House, Office, Verb, Work};
pub use problem::{Kind, Problem};
