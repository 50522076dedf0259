//! What nodes tell without being asked and without proving who they are: events pushed to a sink, kernel and service logs.
//!
//! | what | file |
//! |---|---|
//! | that it is a hint and no proof | `hint.rs` |
//! | the nine kinds of event | `event.rs` |
//! | a line of a log | `line.rs` |
//! | the sink that nodes call | `sink.rs` |
//!
//! The same events read over a connection with certificates on both sides come from [`crate::api::EventFeed`].

mod event;
mod hint;
mod line;
mod sink;

pub use event::{Event, EventError, Fault, SequenceStep, Step};
pub use hint::Hint;
pub use line::{Line, LineError, Lines};
pub use sink::{Pushed, serve};
