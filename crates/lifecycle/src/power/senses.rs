//! What was seen that tells of a machine's power, each with its time. Nothing here decides.

use alloc::string::String;
use alloc::vec::Vec;

use model::{DeviceSight, LabTime, LinkReading, PortReading, PowerOrder, PowerState};
use serde::{Deserialize, Serialize};

/// What was seen of a machine whose power device cannot be taken at its word.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Senses {
    /// What its power device told of its port last, and since when it is so.
    pub reading: Option<(PortReading, LabTime)>,
    /// What the switch told of its port last, and since when it is so.
    pub link: Option<(LinkReading, LabTime)>,
    /// When it was last heard: a frame of its own, a request, its agent.
    pub heard: Option<LabTime>,
    /// What a person said last.
    pub said: Option<(PowerState, LabTime)>,
    /// The last press of its button, as far as it was carried out or may have been.
    pub press: Option<Press>,
    /// When it was heard last while it was to go off and its agent had been told.
    #[serde(default)]
    pub parted: Option<LabTime>,
    /// Speeds of its link while it is off, in megabits a second, 0 for none; learned when it was known to be off.
    pub standby: Vec<u32>,
    /// Fastest link with which it was heard, in megabits a second.
    #[serde(default)]
    pub running: Option<u32>,
}

/// Speeds that are remembered: what wakes by network differs after an orderly stop and after a cut.
const STANDBYS: usize = 4;

impl Senses {
    /// Whether this link is one of a machine that is off; none while that is not known.
    #[must_use]
    pub fn is_standby(&self, mbit: Option<u32>) -> Option<bool> {
        let speed = mbit.unwrap_or_default();
        match (self.standby.as_slice(), speed) {
            ([], 0) => Some(true),
            ([], _) => None,
            (known, speed)
                if known.contains(&speed) && self.running.is_none_or(|running| speed < running) =>
            {
                Some(true)
            }
            (known, speed) if known.iter().all(|off| speed > *off) => Some(false),
            _ => None,
        }
    }

    pub(crate) fn learn(&mut self, mbit: u32) {
        self.standby.retain(|known| *known != mbit);
        if self.standby.len() >= STANDBYS {
            self.standby.remove(0);
        }
        self.standby.push(mbit);
    }
}

/// A press of a button that was carried out, or may have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Press {
    /// What it was for.
    pub order: PowerOrder,
    /// When its end was told.
    pub at: LabTime,
    /// What was known of the machine before.
    pub from: PowerState,
    /// False where nobody knows whether it was done.
    pub sure: bool,
}

/// What is known of a power device as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceKnown {
    /// What it says it is.
    pub about: String,
    /// Since when it does not answer, with code and reason.
    pub lost: Option<(LabTime, String, String)>,
    /// When it last began anew, and how that was seen.
    pub restarted: Option<(LabTime, String)>,
}

impl DeviceKnown {
    /// Records what was seen of it.
    pub(crate) fn see(&mut self, sight: &DeviceSight, at: LabTime) {
        match sight {
            DeviceSight::Answers { about } => {
                if !about.is_empty() {
                    self.about.clone_from(about);
                }
                self.lost = None;
            }
            DeviceSight::Restarted { how } => self.restarted = Some((at, how.clone())),
            DeviceSight::Lost { code, why } => {
                let since = self.lost.as_ref().map_or(at, |(since, ..)| *since);
                self.lost = Some((since, code.clone(), why.clone()));
            }
        }
    }
}
