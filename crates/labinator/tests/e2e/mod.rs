//! What tests against real programs share: a house with namespaces of its own, a controller in it, clients at its bridge.
#![expect(dead_code, reason = "each test file uses its own part")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]
#![expect(clippy::print_stdout, reason = "what was not tested")]

pub(crate) mod client;
pub(crate) mod controller;
pub(crate) mod ground;
pub(crate) mod house;
pub(crate) mod lab;
pub(crate) mod live;
pub(crate) mod machines;
pub(crate) mod processes;
