//! Simulated machines against a small scripted server: they climb as their firmware does, and misbehave as told.
#![expect(clippy::unwrap_used, reason = "a test may stop")]
#![expect(clippy::indexing_slicing, reason = "a test may stop")]

mod capture;
mod climb;
mod links;
mod mangled;
mod manners;
mod running;
mod stand;
