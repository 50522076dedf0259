//! Where a machine stands still: the last step that went well, and what it said when the next one did not.

use std::fmt;

use crate::machine::Machine;
use crate::step::{Phase, Step};

/// Why a machine is not up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stuck {
    /// Where it is.
    pub phase: Phase,
    /// The last step that went well, in this boot.
    pub last_good: Step,
    /// What failed after it, in the firmware's words.
    pub failed: Option<String>,
}

impl Machine {
    /// Why it is not up; `None` for one whose agent was welcomed in this boot, and for one that never had power.
    #[must_use]
    pub fn stuck(&self) -> Option<Stuck> {
        let began = |step: &Step| matches!(step, Step::PoweredOn | Step::Reset);
        let start = self.history().iter().rposition(|(_, step)| began(step))?;
        let boot = self.history().get(start..)?;
        if boot.iter().any(|(_, step)| *step == Step::AgentWelcomed) {
            return None;
        }
        let good = boot.iter().rposition(|(_, step)| step.is_good())?;
        let (_, last_good) = boot.get(good)?;
        let failed = boot.iter().skip(good).rev().find_map(|(_, step)| match step {
            Step::Failed(why) => Some(why.clone()),
            Step::Hung(place) => Some((*place).to_owned()),
            Step::Unanswered(teller) => Some(format!("{teller:?} got no address")),
            Step::Unanswered6(teller) => Some(format!("{teller:?} got no IPv6 address")),
            _ => None,
        });
        Some(Stuck { phase: self.phase(), last_good: last_good.clone(), failed })
    }
}

impl Step {
    /// True for a step that brings a machine further, false for asking, waiting and failing.
    const fn is_good(&self) -> bool {
        match self {
            Self::PoweredOn
            | Self::Reset
            | Self::Bound { .. }
            | Self::Bound6 { .. }
            | Self::RouterKnown { answered: true }
            | Self::SizeProbed(_)
            | Self::FileFetched { .. }
            | Self::UrlFetched { .. }
            | Self::LoaderStarted
            | Self::ScriptStarted(_)
            | Self::KernelStarted { .. }
            | Self::AgentWelcomed
            | Self::WipeBegun
            | Self::Wiped
            | Self::BeatAccepted => true,
            Self::PowerLost
            | Self::ShutDown
            | Self::Tries(_)
            | Self::Discovered { .. }
            | Self::Unanswered(_)
            | Self::Solicited6 { .. }
            | Self::Unanswered6(_)
            | Self::Solicited
            | Self::RouterKnown { answered: false }
            | Self::AskedBootServer(_)
            | Self::FileAsked(_)
            | Self::UrlAsked(_)
            | Self::ToldToWait { .. }
            | Self::Failed(_)
            | Self::ToldPowerOff
            | Self::ToldToPark
            | Self::Hung(_)
            | Self::Stranded => false,
        }
    }
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} after {}", self.phase, self.last_good)?;
        match &self.failed {
            Some(why) => write!(f, ": {why}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PoweredOn => f.write_str("power on"),
            Self::PowerLost => f.write_str("power lost"),
            Self::ShutDown => f.write_str("shut down"),
            Self::Reset => f.write_str("reset"),
            Self::Tries(entry) => write!(f, "boot entry {entry}"),
            Self::Discovered { by, secs } => write!(f, "{by:?} asks for an address (secs {secs})"),
            Self::Bound { by, address } => write!(f, "{by:?} has {address}"),
            Self::Unanswered(by) => write!(f, "{by:?} got no address"),
            Self::Solicited6 { by } => write!(f, "{by:?} asks for an IPv6 address"),
            Self::Bound6 { by, address: Some(address) } => write!(f, "{by:?} has {address}"),
            Self::Bound6 { by, address: None } => write!(f, "{by:?} was told the rest over DHCPv6"),
            Self::Unanswered6(by) => write!(f, "{by:?} got no IPv6 address"),
            Self::Solicited => f.write_str("asks for a router"),
            Self::RouterKnown { answered: true } => f.write_str("a router answered"),
            Self::RouterKnown { answered: false } => f.write_str("no router answered"),
            Self::AskedBootServer(server) => write!(f, "asks {server}:4011"),
            Self::FileAsked(name) => write!(f, "asks for {name}"),
            Self::SizeProbed(size) => write!(f, "{size} bytes announced"),
            Self::FileFetched { name, bytes, .. } => write!(f, "{name}, {bytes} bytes"),
            Self::UrlAsked(url) => write!(f, "asks for {url}"),
            Self::UrlFetched { url, bytes } => write!(f, "{url}, {bytes} bytes"),
            Self::ToldToWait { url, seconds } => write!(f, "told to wait {seconds} s for {url}"),
            Self::Failed(why) => f.write_str(why),
            Self::LoaderStarted => f.write_str("loader started"),
            Self::ScriptStarted(url) => write!(f, "script {url}"),
            Self::KernelStarted { .. } => f.write_str("kernel started"),
            Self::AgentWelcomed => f.write_str("agent welcomed"),
            Self::BeatAccepted => f.write_str("heartbeat"),
            Self::WipeBegun => f.write_str("begins to wipe its disk"),
            Self::Wiped => f.write_str("its disk is wiped"),
            Self::ToldPowerOff => f.write_str("told to switch off"),
            Self::ToldToPark => f.write_str("told to wait in memory"),
            Self::Hung(place) => write!(f, "hangs at {place}"),
            Self::Stranded => f.write_str("nothing left to boot from"),
        }
    }
}
