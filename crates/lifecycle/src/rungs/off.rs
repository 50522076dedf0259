//! Rung *off*: the machine is switched on, once, and then seen to run.

use alloc::format;
use alloc::string::String;

use model::{Fault, FaultCode, LabTime, PowerOrder, PowerState, Span, Waiting};

use super::{Step, is_by_hand, next_try};
use crate::guests;
use crate::lab::{Lab, Machine};
use crate::power;

/// Time between a driver's refusal and the next try.
const AFTER_REFUSAL: Span = Span::secs(3);

pub(super) fn climb(lab: &Lab, machine: &Machine, now: LabTime) -> Step {
    if let Some(step) = guests::before_on(lab, machine, now) {
        return step;
    }
    if is_by_hand(lab, machine) {
        // Nobody can say that a button was not pressed: the machine is waited for as long as it takes,
        // and the limit only says when the wait is worth a second look.
        let since = lab.run.as_ref().map_or(now, |run| run.since.since_start);
        let limit = lab.spec.limits.first_ask;
        let rounds = now.since(since).0 / limit.0.max(1) + 1;
        return Step::Wait(Waiting {
            what: String::from("somebody to switch it on"),
            since,
            until: since.after(Span(limit.0.saturating_mul(rounds))),
            then: String::from("go on waiting"),
        });
    }
    let idle = machine.in_flight.is_none() && machine.carried_out.is_none() && machine.refused.is_none();
    if idle && machine.tries >= lab.spec.limits.tries {
        return Step::Fail(Fault {
            code: FaultCode::PowerUnseen,
            text: format!("it was switched on {} times and went off by itself", machine.tries),
        });
    }
    switch(lab, machine, PowerOrder::On, now)
}

/// Gives an order once, waits for the driver's answer, then for the result to be seen.
pub(crate) fn switch(lab: &Lab, machine: &Machine, order: PowerOrder, now: LabTime) -> Step {
    let limit = power::judge::answers_within(lab, machine);
    let port = lab.node(&machine.node).map(|node| format!("{}", node.power)).unwrap_or_default();
    let waiting =
        |what: String, since: LabTime, then: String| Waiting { what, since, until: since.after(limit), then };
    if let Some((id, flying, since)) = machine.in_flight {
        let wait = waiting(
            format!("{port} to answer the order \"{flying}\""),
            since,
            String::from("look what became of it"),
        );
        return if now < wait.until { Step::Wait(wait) } else { Step::Unanswered(id) };
    }
    if let Some((refused, why, since)) = &machine.refused
        && *refused == order
    {
        if machine.tries >= lab.spec.limits.tries {
            return Step::Fail(Fault {
                code: FaultCode::PowerRefused,
                text: format!("{port} refused to switch it {order}: {why}"),
            });
        }
        let again = since.after(AFTER_REFUSAL);
        if now < again {
            return Step::Wait(Waiting {
                what: format!("{port}, which refused: {why}"),
                since: *since,
                until: again,
                then: String::from("ask it again"),
            });
        }
    }
    if let Some((done, since)) = machine.carried_out
        && done == order
    {
        let until = since.after(power::judge::patience(lab, machine));
        let wait =
            Waiting { until, ..waiting(format!("it to be seen {order}"), since, next_try(lab, machine)) };
        return super::wait_or_fail(wait, FaultCode::PowerUnseen, &machine.evidence, now);
    }
    if let Some(step) = not_pressed(lab, machine, order, now) {
        return step;
    }
    Step::Switch(
        order,
        waiting(
            format!("{port} to answer the order \"{order}\""),
            now,
            String::from("look what became of it"),
        ),
    )
}

/// A button is pressed only where it is known what that does: a press of a machine that runs switches it off.
fn not_pressed(lab: &Lab, machine: &Machine, order: PowerOrder, now: LabTime) -> Option<Step> {
    if !power::judge::presses(lab, machine) || order == PowerOrder::Press {
        return None;
    }
    if Some(machine.power) == order.result() {
        return Some(Step::Rest);
    }
    match machine.power {
        PowerState::On | PowerState::Off => None,
        PowerState::Unknown | PowerState::Changing => {
            let run = lab.run.as_ref().map(|run| run.since.since_start);
            let seen = machine.power_seen.map(|at| at.since_start);
            let since = [run, seen].into_iter().flatten().max().unwrap_or(now);
            let wait = Waiting {
                what: format!("whether it runs to be seen ({})", machine.evidence),
                since,
                until: since.after(lab.spec.limits.first_ask),
                then: String::from("give it up until a person has looked"),
            };
            if now < wait.until {
                return Some(Step::Wait(wait));
            }
            let text =
                format!("whether it runs is not known, so its button was not pressed: {}", machine.evidence);
            Some(Step::GiveUp(Fault { code: FaultCode::PowerUnknown, text }))
        }
    }
}
