//! Pictures and sentences for a terminal. Pure: a value goes in, text comes out.

mod doctor;
mod explain;
mod paint;
mod plan;
mod replay;
mod sentence;
mod status;
mod trace;

pub use doctor::render_doctor;
pub use explain::render_explain;
pub use paint::{Paint, bytes, clock, counted, cut, seconds, wrap};
pub use plan::{render_plan, render_power, render_scenarios};
pub use replay::render_replay;
pub(crate) use sentence::notice;
pub use sentence::{Names, sentence};
pub use status::{render_machine, render_page, render_status};
pub use trace::render_trace;
