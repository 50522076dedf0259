//! YAML as Talos reads and writes it: a tree that keeps its order, a parser with places, an emitter that
//! writes go-yaml v3's bytes.
//!
//! A config that Labinator makes must equal the one that Talos makes, so nothing here is a matter of taste:
//! what a scalar means and how it is quoted follows go-yaml (`resolve`), indentation too (`emit`).

mod emit;
mod error;
mod parse;
mod place;
mod resolve;
mod sort;
mod value;

pub use emit::{emit, emit_all};
pub use error::{Problem, YamlError};
pub use parse::{BYTES_LIMIT, DEPTH_LIMIT, Document, VALUES_LIMIT, parse, parse_one};
pub use place::{Path, Place, Places, Step};
pub use value::{Map, Value};

#[cfg(test)]
mod tests;
