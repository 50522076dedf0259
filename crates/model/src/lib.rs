#![cfg_attr(not(test), no_std)]
//! The nouns of the house: what a lab, a machine, a fact and a picture are, and nothing that acts.

extern crate alloc;

mod names;

pub use names::*;
