//! A config that its machine fetches: laid ready once the machine asked for it, for this boot and some minutes.

use alloc::format;
use alloc::string::String;

use model::{CONFIG_LAID_READY, Fault, FaultCode, LabTime, Outcome, Waiting};

use super::Step;
use super::talos::{AFTER_FAILURE, PUSH, PUSHES, SETTLE};
use crate::lab::Machine;

/// The next step of a machine that may have its config.
pub(super) fn lay_ready(machine: &Machine, now: LabTime) -> Step {
    let talos = &machine.talos;
    let fail = |text: String| Step::Fail(Fault { code: FaultCode::ConfigLost, text });
    let wait = |what: String, since: LabTime, until: LabTime, then: &str| {
        Step::Wait(Waiting { what, since, until, then: String::from(then) })
    };
    let Some(asks) = talos.asks else {
        return fail(String::from(
            "it waits for a push, and its scenario lets it fetch its config: it did not ask",
        ));
    };
    let offer = || {
        let what = String::from("its config to be laid ready");
        let then = String::from("look what became of it");
        Step::Offer(Waiting { what, since: now, until: now.after(PUSH), then })
    };
    // What was laid ready for an earlier boot says nothing about this one.
    let Some((last, first)) = talos.push.as_ref().zip(talos.offered) else { return offer() };
    let Some((outcome, ended)) = &last.ended else {
        let until = last.given.after(PUSH);
        return if now < until {
            wait(String::from("its config to be laid ready"), last.given, until, "look what became of it")
        } else {
            Step::Unanswered(last.id)
        };
    };
    let over = first.after(CONFIG_LAID_READY);
    let (why, again) = match outcome {
        Outcome::Failed { code, why } if code == "refused" => {
            let text = format!("its config cannot be made: {why}");
            return Step::GiveUp(Fault { code: FaultCode::ConfigRefused, text });
        }
        Outcome::Failed { why, .. } => (why.as_str(), ended.after(AFTER_FAILURE)),
        Outcome::Done | Outcome::Unknown if asks <= *ended && now < over => {
            return wait(String::from("it to fetch its config"), *ended, over, "start it again");
        }
        Outcome::Done | Outcome::Unknown => ("it asks for its config again", asks.after(SETTLE)),
    };
    if talos.pushes >= PUSHES || now >= over {
        let text =
            format!("its config was laid ready {} times and not fetched; the last time: {why}", talos.pushes);
        return fail(text);
    }
    if now < again {
        return wait(
            format!("its config to be laid ready again: {why}"),
            *ended,
            again,
            "lay it ready again",
        );
    }
    offer()
}
