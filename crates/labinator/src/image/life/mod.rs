//! The life of an image: generations beside each other, of which one is in use.
//!
//! ```text
//! IMAGES/NAME/generations.json   which generation is what; replaced whole
//! IMAGES/NAME/7/                 a generation: image.json, image.sig and its files; never changed once it is there
//! IMAGES/NAME/.new/              one that is being made
//! ```
//!
//! A new generation takes its place by a rename, and is known once `generations.json` names it. Whatever ends this
//! program between any two steps, the generation in use is whole and stays in use. An image from before there were
//! generations lies in the folder itself and counts as generation 0.

mod home;
mod state;

pub use home::{Home, Part, in_use};
pub use state::{Candidate, Generations, Refused};
