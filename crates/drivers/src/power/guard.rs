//! The last look before a button is pressed: what the lab has seen of the machine since the order was given.
//!
//! Between deciding and pressing lie the queue and the stagger of a device. A machine that somebody else switched on
//! meanwhile would be switched off by the press that was to switch it on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use model::{NodeName, Outcome, PowerState};

use super::device::Act;
use super::owner::failed;

/// What was seen last of each machine, shared between the lab and the owners of devices.
#[derive(Debug, Clone, Default)]
pub(super) struct Guard(Arc<Mutex<BTreeMap<NodeName, PowerState>>>);

impl Guard {
    /// The lab saw this.
    pub(super) fn saw(&self, node: &NodeName, state: PowerState) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(node.clone(), state);
    }

    /// Why this button is not pressed now; absent when nothing speaks against it.
    pub(super) fn objects(&self, node: &NodeName, act: Act) -> Option<Outcome> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(node).copied()?;
        match (act, state) {
            // Who presses by hand is told what is seen, and knows what it does.
            (Act::Press, _) => None,
            (Act::On, PowerState::Off) | (Act::Off | Act::Soft, PowerState::On) => None,
            (Act::On, PowerState::On) | (Act::Off | Act::Soft, PowerState::Off) => Some(Outcome::Done),
            (Act::On | Act::Off | Act::Soft, PowerState::Unknown | PowerState::Changing) => {
                let why = format!(
                    "whether {node} runs is not known any more, so its button was not pressed: a press does the \
                     opposite of what is wanted where that is guessed wrong"
                );
                Some(failed("power-unknown", why))
            }
        }
    }
}
