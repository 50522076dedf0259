//! Gate *powering down*: nothing is switched on while a machine of the run still runs something else.

use alloc::vec::Vec;

use model::{Goal, NodeName};

use crate::lab::Lab;

/// Whether machines may be switched on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Gate {
    /// They may.
    Open,
    /// Not before these have been seen off.
    Shut(Vec<NodeName>),
}

/// Looks at the gate. It opens once in a run and stays open: repairing one machine later stops no other.
pub(crate) fn powering_down(lab: &Lab) -> Gate {
    if lab.active_run().is_none_or(|run| run.released) {
        return Gate::Open;
    }
    let running: Vec<NodeName> = lab
        .machines
        .values()
        .filter(|m| m.goal == Goal::Ready && m.off_wanted.is_some() && !m.bad)
        .map(|m| m.node.clone())
        .collect();
    if running.is_empty() { Gate::Open } else { Gate::Shut(running) }
}
