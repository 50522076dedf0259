//! Each bad manner of a real machine, named after the issue it was reported in, against the real counter.
//!
//! A test fails when the cure it stands for is taken away; the comment at each says which line that is.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

#[path = "manners/bench.rs"]
mod bench;
#[path = "manners/beside.rs"]
mod beside;
#[path = "manners/dhcp.rs"]
mod dhcp;
#[path = "manners/files.rs"]
mod files;
#[path = "whole_lab/floor.rs"]
#[expect(dead_code, reason = "each test file uses its own part of the floor")]
mod floor;
#[path = "manners/loader.rs"]
mod loader;
#[path = "manners/power.rs"]
mod power;
#[path = "manners/replays.rs"]
mod replays;
#[path = "manners/six.rs"]
mod six;
