//! The log stream: lines of everybody in one bounded ring, counted, folded and read again; what is lost is counted and
//! shown at its place.
//!
//! ```text
//!  receivers ──lines──▶ intake: who is it, when was it ──▶ store: template, quota, ring ──▶ viewers, each at its pace
//! ```
//!
//! Everything up to the viewers is values in, values out: [`Intake`] reads no clock and opens no socket.

mod disk;
mod frames;
mod hash;
mod intake;
mod names;
pub mod receive;
mod ring;
mod rules;
mod skew;
mod stamp;
mod store;
mod stream;
mod tail;
mod templates;
mod view;

pub use disk::{Folder, Spent, Wear, keep};
pub use frames::{Found, Frames};
pub use intake::{Intake, Roster};
pub use ring::{Kind, Record, Ring};
pub use rules::{RULES, Rule};
pub use stamp::rfc3339;
pub use store::{Limits, Line, Source, Stage, Store, Totals, Who};
pub use stream::Stream;
pub use tail::{Found as FileFound, Position, Tail, follow};
pub use templates::{Quota, Template};
pub use view::{Asked, BadFilter, Filter};
