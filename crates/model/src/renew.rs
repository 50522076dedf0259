//! Another build of the agent: which one the boss carries, and how an agent that is told to take it gets on.

use alloc::string::String;
use core::fmt;
use core::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{AgentKey, Digest, LabName};

/// POST on the channel: an [`AgentBuild`] that the agent shall take in its own place. 202: it does; 409 with a sentence:
/// it does not; 404: it is older than this.
pub const CHANNEL_BUILD_PATH: &str = "/v1/build";
/// Name of the agent's program where it is fetched, at `/f/DIGEST/NAME`.
pub const AGENT_PROGRAM: &str = "agent";

/// A build of the agent that the boss has on its shelf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentBuild {
    /// SHA-256 of the program.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
}

/// What an agent tells, with each heartbeat, of another build that it was told to take in this boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Renewal {
    /// SHA-256 of that build.
    pub digest: Digest,
    /// How far it is.
    #[serde(default)]
    pub state: RenewalState,
    /// Why it was refused, or is late; empty where nothing is wrong.
    #[serde(default)]
    pub why: String,
}

/// How far an agent is with another build. Whoever has taken it reports again, as that build.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RenewalState {
    /// It is fetched and checked.
    Fetching,
    /// It is whole and ran once: it takes over with the next heartbeat.
    Ready,
    /// It is not taken in this boot, and not tried again.
    Refused,
    /// Said by an agent that is newer than this.
    #[default]
    #[serde(other)]
    Other,
}

impl fmt::Display for RenewalState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fetching => "fetching",
            Self::Ready => "ready",
            Self::Refused => "refused",
            Self::Other => "other",
        })
    }
}

/// Whether agents take the build that the boss carries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AgentUpdates {
    /// At once.
    #[default]
    Auto,
    /// They stay as they are.
    Hold,
}

/// Somebody who answers an agent as its boss does, and is not the one who proved to be it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rival {
    /// Where the answer came from.
    #[schemars(with = "String")]
    pub at: IpAddr,
    /// Which lab it says it is.
    #[serde(default)]
    pub lab: Option<LabName>,
    /// The key of its core.
    #[serde(default)]
    pub key: Option<AgentKey>,
}

impl fmt::Display for Rival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} answers as a boss", self.at)?;
        if let Some(lab) = &self.lab {
            write!(f, " of lab {lab}")?;
        }
        if let Some(key) = &self.key {
            write!(f, ", with core key {}", key.short())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_of_a_newer_agent_is_read_as_another_one() {
        let text = std::format!(r#"{{"digest":"{}","state":"asleep","since":4}}"#, Digest([7; 32]));
        let read: Renewal = serde_json::from_str(&text).unwrap();
        assert_eq!((read.state, read.why.as_str()), (RenewalState::Other, ""));
        let known = Renewal { state: RenewalState::Refused, why: "because".into(), ..read };
        let text = serde_json::to_string(&known).unwrap();
        assert_eq!(serde_json::from_str::<Renewal>(&text).unwrap(), known);
    }
}
