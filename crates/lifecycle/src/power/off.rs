//! Switching off a machine whose power port is a button: asked first, held only while it is seen to run.
//!
//! ```text
//!   its agent, or a short press ──▶ seen off
//!        └ still runs after the limit ──▶ held ──▶ seen off
//!        └ not known whether it runs ──▶ waited for, and never held: a hold of one that is off may start it
//! ```

use alloc::format;
use alloc::string::String;

use model::{Fault, FaultCode, LabTime, PowerOrder, PowerState, Rung, Span, Waiting};

use super::judge::runs_still;
use crate::lab::{Lab, Machine};
use crate::park;
use crate::rungs::{Step, switch};

/// How long its agent is given.
const BY_AGENT: Span = Span::secs(10);
/// How long a system is given after a short press of the button.
const BY_PRESS: Span = Span::secs(30);
/// How long whatever happens is given to be seen, besides the two.
const SLACK: Span = Span::secs(60);

/// When a machine that must go off since `since` is given up.
pub(crate) fn patience_ends(lab: &Lab, since: LabTime) -> LabTime {
    let silence = lab.spec.limits.first_ask.0.saturating_mul(2);
    since.after(Span(BY_AGENT.0 + BY_PRESS.0 + SLACK.0 + silence))
}

/// The next step of a machine that must go off.
pub(crate) fn go_off(lab: &Lab, machine: &Machine, since: LabTime, now: LabTime) -> Step {
    if machine.in_flight.is_some() {
        return switch(lab, machine, PowerOrder::Off, now);
    }
    let wait = |what: String, since: LabTime, until: LabTime, then: &str| {
        Step::Wait(Waiting { what, since, until, then: String::from(then) })
    };
    let patience = patience_ends(lab, since);
    if now >= patience {
        let code = match machine.power {
            PowerState::Unknown | PowerState::Changing => FaultCode::PowerUnknown,
            PowerState::On | PowerState::Off => FaultCode::PowerUnseen,
        };
        let text = format!("it was not seen to go off in {}: {}", now.since(since), machine.evidence);
        return Step::GiveUp(Fault { code, text });
    }
    let listens = machine.rung == Rung::Ready && machine.agent.is_some();
    let parked = park::switches_itself_off(lab, machine);
    let by_agent = since.after(BY_AGENT);
    let who = parked.or_else(|| listens.then_some("agent"));
    if let Some(who) = who.filter(|_| now < by_agent) {
        return wait(format!("its {who} to switch it off"), since, by_agent, "see whether it went off");
    }
    let Some(asked) = asked(machine, since) else {
        return match machine.power {
            PowerState::On => switch(lab, machine, PowerOrder::Soft, now),
            PowerState::Off => Step::Rest,
            PowerState::Unknown | PowerState::Changing => wait(
                format!("whether it runs to be seen ({})", machine.evidence),
                since,
                patience,
                "give it up",
            ),
        };
    };
    if now < asked {
        let begun = machine.senses.press.map_or(since, |press| press.at);
        return wait(String::from("what runs on it to stop"), begun, asked, "see whether it went off");
    }
    let holds = machine.carried_out.is_some_and(|(order, at)| order == PowerOrder::Off && at >= since);
    if holds || runs_still(lab, machine, asked, now) {
        return switch(lab, machine, PowerOrder::Off, now);
    }
    wait(format!("it to be seen off ({})", machine.evidence), since, patience, "give it up")
}

/// Until when it has been asked to stop, since it must go off; none when nobody asked it.
fn asked(machine: &Machine, since: LabTime) -> Option<LabTime> {
    let by_agent = machine.senses.parted.filter(|at| *at >= since).map(|_| since.after(BY_AGENT));
    let press = machine.senses.press.filter(|press| press.at >= since);
    let by_press = press.map(|press| press.at.after(BY_PRESS));
    // A board that gives no short press now can hold at once.
    let refused =
        machine.refused.as_ref().filter(|(order, _, at)| *order == PowerOrder::Soft && *at >= since);
    let refused = refused.map(|(.., at)| *at);
    let held = press.filter(|press| press.order == PowerOrder::Off).map(|press| press.at);
    held.or(refused).or(by_press).or(by_agent)
}
