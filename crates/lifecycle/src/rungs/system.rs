//! An operating system without our agent: what is seen of it after its image, and what is waited for.
//!
//! ```text
//! image taken ─┬─▶ address asked, /done called, or port open ─▶ ready ─(silent)─▶ up ─▶ started again
//!              └─▶ installer: done, or told to boot its disk ─▶ the same, of the system on the disk
//! ```

use alloc::format;
use alloc::string::String;

use model::{
    Boot, ClientKind, FaultCode, LabTime, MarkKind, Readiness, Rung, ScriptAnswer, Span, SystemSpec, Waiting,
};

use super::{Step, next_try, wait_or_fail};
use crate::lab::{Lab, Machine};
use crate::record::image_taken;

fn spec(lab: &Lab) -> Option<&SystemSpec> {
    lab.scenario().map(|scenario| &scenario.system)
}

fn marked(boot: &Boot, from: LabTime, is: impl Fn(&MarkKind) -> bool) -> Option<LabTime> {
    boot.marks.iter().find(|mark| mark.at >= from && is(&mark.what)).map(|mark| mark.at)
}

/// How long an address lasts that nobody renews, from then on.
fn lease(lab: &Lab) -> Span {
    Span::secs(u64::from(lab.spec.network.lease_seconds))
}

/// True while the installer of this boot works: it took the image, and neither said that it is done nor
/// was told to boot its disk.
pub(crate) fn is_installing(machine: &Machine, boot: &Boot) -> bool {
    let Some(install) = &machine.install else { return false };
    let over =
        |what: &MarkKind| matches!(what, MarkKind::Done | MarkKind::Script { answer: ScriptAnswer::Disk });
    install.spent_in == Some(boot.number) && marked(boot, install.since, over).is_none()
}

/// From when on signs belong to the system that is wanted, and not to its installer.
fn begins(machine: &Machine, boot: &Boot) -> Option<LabTime> {
    if is_installing(machine, boot) {
        return None;
    }
    let taken = image_taken(boot)?;
    let installed_here = machine.install.as_ref().is_some_and(|i| i.spent_in == Some(boot.number));
    let done = installed_here.then(|| marked(boot, taken, |what| matches!(what, MarkKind::Done)));
    Some(done.flatten().unwrap_or(taken))
}

/// True once an installation said that it is done, where that is all that is wanted.
pub(super) fn is_done(lab: &Lab, machine: &Machine) -> bool {
    machine.install.is_some_and(|install| install.done)
        && spec(lab).is_some_and(|spec| spec.ready == Readiness::Done)
}

/// How far up a machine is that took its image, or was told to boot its disk.
pub(super) fn seen(lab: &Lab, machine: &Machine, boot: &Boot, now: LabTime) -> Rung {
    if is_done(lab, machine) {
        return Rung::Ready;
    }
    let (Some(spec), Some(from)) = (spec(lab), begins(machine, boot)) else { return Rung::Fetched };
    let ready = |so: bool| if so { Rung::Ready } else { Rung::Fetched };
    match spec.ready {
        Readiness::Fetched => Rung::Ready,
        Readiness::Done => ready(marked(boot, from, |what| matches!(what, MarkKind::Done)).is_some()),
        Readiness::Address => {
            let got = |what: &MarkKind| {
                let other = ClientKind::Other;
                matches!(what, MarkKind::Ack { client } | MarkKind::Reply { client } if *client == other)
            };
            let has = marked(boot, from, got).is_some();
            let lost = lab.counter_up && fades_at(lab, machine).is_some_and(|at| now >= at);
            if has && lost { Rung::Up } else { ready(has) }
        }
        Readiness::Port { .. } => match machine.port {
            Some((true, _)) => Rung::Ready,
            Some((false, _)) if matches!(machine.rung, Rung::Ready | Rung::Up) => Rung::Up,
            Some((false, _)) | None => Rung::Fetched,
        },
    }
}

/// When a system that renewed its address before has not renewed it in time.
pub(super) fn fades_at(lab: &Lab, machine: &Machine) -> Option<LabTime> {
    let system = machine.system.as_ref().filter(|system| system.renewed)?;
    (spec(lab)?.ready == Readiness::Address).then_some(())?;
    Some(system.heard.max(lab.listening).after(lease(lab)).after(Span(1)))
}

/// The wait between the whole image and ready.
pub(super) fn starts(lab: &Lab, machine: &Machine, boot: &Boot, now: LabTime) -> Step {
    let taken = image_taken(boot).unwrap_or(machine.entered.since_start);
    let limits = &lab.spec.limits;
    if is_installing(machine, boot) {
        let wait = Waiting {
            what: String::from("its installer to end: to say that it is done, or to start again"),
            since: taken,
            until: taken.after(limits.install),
            then: next_try(lab, machine),
        };
        return wait_or_fail(wait, FaultCode::InstallStalled, &super::last_seen(boot), now);
    }
    let ready = spec(lab).map(|spec| spec.ready).unwrap_or_default();
    let what = match ready {
        Readiness::Address | Readiness::Fetched => String::from("its system to ask for an address"),
        Readiness::Done => String::from("its system to say that it is done (/n/<mac>/done)"),
        Readiness::Port { port } => format!("its system to accept connections on port {port}"),
    };
    let limit = spec(lab).and_then(|spec| spec.within).unwrap_or(limits.start);
    let since = begins(machine, boot).unwrap_or(taken);
    let wait = Waiting { what, since, until: since.after(limit), then: next_try(lab, machine) };
    wait_or_fail(wait, FaultCode::KernelSilent, &super::last_seen(boot), now)
}

/// The wait of a system that was ready and is not heard any more.
pub(super) fn lost(lab: &Lab, machine: &Machine, now: LabTime) -> Step {
    let limits = &lab.spec.limits;
    let ready = spec(lab).map(|spec| spec.ready).unwrap_or_default();
    let (what, since, last) = match (ready, machine.port, &machine.system) {
        (Readiness::Port { port }, Some((_, at)), _) => {
            (format!("port {port} to accept connections again"), at, String::from("it refused or was silent"))
        }
        (_, _, Some(system)) => {
            let last = format!("its address renewed {} ago", now.since(system.heard));
            (String::from("its system to renew its address"), fades_at(lab, machine).unwrap_or(now), last)
        }
        (_, _, None) => (String::from("its system to be heard again"), now, String::from("nothing")),
    };
    let wait = Waiting { what, since, until: since.after(limits.lost), then: next_try(lab, machine) };
    wait_or_fail(wait, FaultCode::AgentLost, &last, now)
}
