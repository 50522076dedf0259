//! Whether the power of the whole board may be cut now, by the published picture alone: what displays and people are told.
//!
//! "Yes" needs evidence for every machine; whatever is not known is a no, with its reason.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use model::{Goal, MachineView, NodeWord, Phase, PowerState, Snapshot, Span, Stranger};

/// How long a machine that is not on the board counts as running after it was seen: silent systems ask for their address
/// again after half a lease, and leases of an hour are what most labs give.
const STRANGER_RUNS: Span = Span::secs(3600);
/// Machines that are named one by one as a reason.
const NAMED: usize = 3;

/// Whether a cut of the board's power would hurt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cut {
    /// It would hurt nothing; why, for a person.
    May(String),
    /// It would, or nobody knows; why, for a person.
    MayNot(String),
}

impl Cut {
    /// True where it would hurt nothing.
    #[must_use]
    pub const fn is_safe(&self) -> bool {
        matches!(self, Self::May(_))
    }

    /// Why, for a person.
    #[must_use]
    pub fn because(&self) -> &str {
        match self {
            Self::May(why) | Self::MayNot(why) => why,
        }
    }
}

/// Judges a picture. It is safe to cut when nobody wants anything of any machine, no machine that is not on the board was
/// seen lately, and each machine was seen off, or only waits in its loader, where nothing is written.
#[must_use]
pub fn may_cut(picture: &Snapshot) -> Cut {
    let lab = &picture.lab;
    if lab.phase != Phase::Idle {
        return Cut::MayNot(format!("the lab is {}", lab.phase));
    }
    if !lab.counter_up {
        return Cut::MayNot(String::from("the boot counter is away, so nobody hears what starts"));
    }
    let now = picture.at.since_start;
    let runs = |stranger: &&Stranger| now.since(stranger.seen.since_start) < STRANGER_RUNS;
    if let Some(stranger) = lab.strangers.iter().rev().find(runs) {
        let ago = now.since(stranger.seen.since_start);
        return Cut::MayNot(format!("{}, which is not on the board, was seen {ago} ago", stranger.mac));
    }
    let machines = || picture.machines.iter().filter(|machine| machine.is_in_hand());
    let mut hurt = machines().filter_map(|machine| hurts(machine));
    if let Some(first) = hurt.next() {
        let others: usize = hurt.clone().count();
        let next: Vec<String> = hurt.take(NAMED - 1).collect();
        let mut why = first;
        for one in &next {
            why.push_str("; ");
            why.push_str(one);
        }
        let left = others.saturating_sub(next.len());
        if left > 0 {
            why.push_str(&format!("; and {left} more"));
        }
        return Cut::MayNot(why);
    }
    let waiting = machines().filter(|machine| machine.power.state != PowerState::Off).count();
    Cut::May(match (machines().count(), waiting) {
        (0, _) => String::from("the board has no machines"),
        (_, 0) => String::from("every machine was seen off"),
        (_, 1) => String::from("one waits in its loader, the others were seen off"),
        (_, waiting) => format!("{waiting} wait in their loaders, the others were seen off"),
    })
}

/// Why a cut would hurt this machine, or may; none where it would not.
fn hurts(machine: &MachineView) -> Option<String> {
    let name = machine.node.to_string();
    if machine.goal == Goal::Ready {
        return Some(format!("{name} shall run"));
    }
    // What is not seen is not known, whatever the state says.
    if machine.power.seen.is_none() {
        return Some(format!("{name} was never seen"));
    }
    match (machine.power.state, machine.word) {
        (PowerState::Off, NodeWord::Off | NodeWord::Bad) => None,
        // Its loader waits for a decision: no disk is open.
        (PowerState::On, NodeWord::Parked | NodeWord::Waiting) => None,
        (PowerState::Off | PowerState::On, word) => Some(format!("{name} is {word}")),
        (PowerState::Changing, _) => Some(format!("{name} is being switched")),
        (PowerState::Unknown, _) => Some(format!("nobody knows whether {name} runs")),
    }
}
