#![cfg_attr(not(test), no_std)]
//! The relay board's own firmware, without the chip it runs on: bytes, time and lit LEDs go in, closed relays and answers
//! come out. `no_std`, no memory that is asked for, and nothing but `core`.
//!
//! | what | file |
//! |---|---|
//! | presses, senses, answers | `board.rs` |
//! | frames on the line, the same file that the driver is built with | `crates/wire/src/relay/frames.rs` |

mod board;
#[path = "../../../crates/wire/src/relay/frames.rs"]
pub mod frames;

pub use board::{Board, DARK_MS};
