//! What is in stock: images with their generations, loaders, caches, and how old each is.

use model::{NodeName, WallTime};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Everything that machines boot from, or that images are made of, with its age.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stock {
    /// Images, by name.
    pub images: Vec<StoredImage>,
    /// Loaders and caches.
    pub others: Vec<Aged>,
}

/// An image with its generations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StoredImage {
    /// Its name, as scenarios have it.
    pub name: String,
    /// Newest first; one of them is good, and that one is booted.
    pub generations: Vec<Generation>,
    /// How old the good one is.
    pub aged: Aged,
}

/// What a generation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GenerationState {
    /// Machines boot it.
    Good,
    /// Machines booted it before.
    LastGood,
    /// One machine tries it.
    Candidate,
    /// It was tried and did not stay.
    Refused,
}

/// One generation of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Generation {
    /// Its number; 0 for an image without generations.
    pub number: u32,
    /// What it is.
    pub state: GenerationState,
    /// When it was made, or found to be current last.
    pub since: WallTime,
    /// Whole days since then.
    pub days: u32,
    /// Bytes of its files.
    pub size: u64,
    /// How many packages are inside; 0 where nobody knows.
    pub packages: u32,
    /// Its kernel, or the system that was fetched.
    pub kernel: String,
    /// Who signed it, for a person.
    pub signed: String,
    /// How far the trial of a candidate is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<TrialProgress>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}

/// How far a trial is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrialProgress {
    /// Good starts so far.
    pub starts: u32,
    /// Good starts after which it is promoted.
    pub after: u32,
    /// The machine that tries it; the first of the scenario when none was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeName>,
}

/// What something in stock is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AgedKind {
    /// A boot image.
    Image,
    /// A network boot program.
    Loader,
    /// Fetched packages that images are made of.
    Cache,
}

/// Something that grows old.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Aged {
    /// What it is.
    pub kind: AgedKind,
    /// Its name.
    pub name: String,
    /// When it was made, or found to be current last.
    pub since: WallTime,
    /// Whole days since then.
    pub days: u32,
    /// True when it should be renewed: it is older than 30 days.
    pub old: bool,
    /// The command that renews it.
    pub help: String,
}
