//! The cluster's client against the simulated API server: over streams in memory, under paused time.
//!
//! A test fails when the cure it stands for is taken away; the comment at each says which line that is.
#![expect(clippy::unwrap_used, reason = "a test may stop")]
#![expect(clippy::panic, reason = "a test may stop")]

#[path = "cluster/apply.rs"]
mod apply;
#[path = "cluster/bench.rs"]
mod bench;
#[path = "cluster/manners.rs"]
mod manners;
#[path = "cluster/watch.rs"]
mod watch;
