//! What the boss's log stream follows, as a lab file says it.

use alloc::string::String;
use alloc::vec::Vec;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is followed besides what machines send.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogsSpec {
    /// Files on the boss, by absolute paths, each once.
    pub files: Vec<String>,
}
