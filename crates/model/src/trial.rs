//! A new generation of an image, tried by one machine before all have it.

use alloc::string::String;
use alloc::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Image, NodeName};

/// A generation to be tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Candidate {
    /// Name of the image.
    pub name: String,
    /// Which generation of it.
    pub generation: u32,
    /// Good starts after which all machines have it.
    pub after: u32,
    /// Good starts that were counted when this was found.
    pub starts: u32,
    /// The machine that tries it; the first that boots the image when none is named.
    pub node: Option<NodeName>,
    /// The image in whose place it is tried.
    pub instead_of: Image,
    /// What it is.
    pub image: Arc<Image>,
}

/// How a trial stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TrialState {
    /// One machine tries it.
    Tried,
    /// It started well often enough: all machines get it.
    Promoted,
    /// It did not start: no machine gets it any more.
    Refused,
}

/// The trial of a generation, for people and for whoever keeps the images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrialView {
    /// Name of the image.
    pub image: String,
    /// Which generation of it.
    pub generation: u32,
    /// Good starts so far.
    pub starts: u32,
    /// Good starts after which all machines have it.
    pub after: u32,
    /// How it stands.
    pub state: TrialState,
    /// Why, for a person.
    pub because: String,
    /// The machine that would try it next, in the scenario in hand.
    pub node: Option<NodeName>,
}
