//! Parked in Talos: it is told to wipe what it keeps of its cluster and to start again by kexec, and then waits for its next
//! config.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

use model::{
    ConfigCarrier, Goal, Image, LabTime, Moment, Outcome, Proof, ScenarioName, Span, TalosSight, TalosSpec,
    TalosStage, Waiting,
};

use super::{Place, is_in_memory, jump_failed};
use crate::cluster::Order;
use crate::lab::{Lab, Machine};
use crate::rungs::Step;

/// How long a Talos may take to say that it resets itself.
const RESET: Span = Span::secs(60);

/// What the release of a Talos is called among kernels, where it is one of those that a scenario asks for.
fn kernel_of(spec: &TalosSpec, release: &str) -> Option<String> {
    let rest = release.strip_prefix(spec.version.as_str())?;
    (rest.is_empty() || rest.starts_with('.')).then(|| format!("Talos {release}"))
}

/// True for a machine of a cluster whose Talos may be told to forget it, by an identity that both sides proved. One that
/// was upgraded to another release would be of no use to the next start.
pub(super) fn may_be_reset(lab: &Lab, machine: &Machine) -> bool {
    let Some((_, spec)) = lab.cluster_of(machine).filter(|(_, spec)| spec.park_by_reset) else {
        return false;
    };
    let TalosSight::Known { version, stage, .. } = &machine.talos.sight else { return false };
    let Some(kernel) = kernel_of(spec, version) else { return false };
    let failed = machine.jumps.failed.as_ref().is_some_and(|failed| failed.kernel == kernel);
    let quiet = matches!(stage, TalosStage::Running | TalosStage::Booting);
    let ours = machine.goal == Goal::Ready && machine.talos.applied.is_some() && !machine.talos.adopted;
    ours && quiet && !failed && !machine.good.is_empty()
}

/// True for a machine that waits in its Talos for a scenario that wants the same one: what its network gives it would be
/// the image with which it was ready last. What Talos reads from its kernel line only is not there.
pub(super) fn fits(lab: &Lab, scenario: &ScenarioName, machine: &Machine) -> bool {
    let scenario_of = lab.spec.scenarios.get(scenario).filter(|spec| spec.is_member(&machine.node));
    let Some(spec) = scenario_of.and_then(|scenario| scenario.talos.as_ref()) else { return false };
    let plain = spec.carrier == ConfigCarrier::Push && spec.proof < Proof::Key && spec.inline.is_none();
    let release = machine.jumps.kernel.strip_prefix("Talos ");
    let same = release.is_some_and(|release| kernel_of(spec, release).is_some());
    let image = lab.usual_image_in(scenario, machine).filter(|image| !image.is_disk());
    let digests =
        |image: &Arc<Image>| image.for_efi().map(|asset| asset.digest).eq(machine.good.iter().copied());
    plain && same && image.is_some_and(digests)
}

/// True for a machine that is parked in its Talos.
pub(crate) fn waits(machine: &Machine) -> bool {
    machine.jumps.place == Place::Talos && is_in_memory(machine)
}

/// What its reset begins with, where its Talos is to park it: which Talos that is.
pub(crate) fn begins(machine: &mut Machine) {
    if let TalosSight::Known { version, .. } = &machine.talos.sight
        && machine.park.is_some_and(|park| park.place == Place::Talos)
    {
        machine.jumps.kernel = format!("Talos {version}");
    }
}

/// Its run is over. A Talos that was reset and never waited is not reset again until a person switches the machine.
pub(crate) fn was_in_vain(machine: &mut Machine, at: Moment) {
    let refused = |order: &Order| matches!(order.ended, Some((Outcome::Failed { .. }, _)));
    let obeyed = machine.talos.reset.as_ref().is_some_and(|order| !refused(order));
    let tried = obeyed && machine.park.is_some_and(|park| park.place == Place::Talos);
    if tried && !waits(machine) {
        jump_failed(machine, "it was reset, and did not come back to wait for the next start", at);
    }
}

/// True for a machine whose Talos is to be reset, and to wait for the next start.
pub(crate) fn is_to_be_reset(machine: &Machine) -> bool {
    machine.goal == Goal::Off
        && machine.off_wanted.is_some()
        && machine.park.is_some_and(|park| park.place == Place::Talos)
}

/// When a Talos that is to be reset must wait for the next start at the latest; when it refused, where it did.
pub(crate) fn ends(lab: &Lab, machine: &Machine) -> Option<LabTime> {
    let since = machine.off_wanted.filter(|_| is_to_be_reset(machine))?;
    let ended = machine.talos.reset.as_ref().and_then(|order| order.ended.as_ref());
    Some(match ended {
        Some((Outcome::Failed { .. }, at)) => *at,
        Some((Outcome::Done | Outcome::Unknown, _)) | None => since.after(RESET).after(lab.spec.limits.start),
    })
}

/// The wait for a Talos that is to wipe what it keeps of its cluster and to start again; none once it will not.
pub(crate) fn resets(lab: &Lab, machine: &Machine, now: LabTime) -> Option<Step> {
    let until = ends(lab, machine).filter(|until| now < *until && machine.in_flight.is_none())?;
    let wait = |what: &str, since: LabTime, until: LabTime| Waiting {
        what: String::from(what),
        since,
        until,
        then: String::from("switch it off by its power port"),
    };
    let Some(order) = &machine.talos.reset else {
        let wait = wait("its Talos to be reset", now, now.after(RESET));
        return Some(Step::Reset(wait));
    };
    match &order.ended {
        None if now < order.given.after(RESET) => {
            Some(Step::Wait(wait("its Talos to be reset", order.given, order.given.after(RESET))))
        }
        None => Some(Step::Unanswered(order.id)),
        Some((_, at)) => {
            let what = "its Talos to start again and to wait for the next start";
            Some(Step::Wait(wait(what, *at, until)))
        }
    }
}
