//! What of a fact is worth writing down, given what is known: what a machine only repeats while it waits is not.
//!
//! | repeated | what it still changes |
//! |---|---|
//! | the same script, asked for by a loader that waits, and its transfer | when it asked last |
//! | an address renewed by a system that is up | when it was heard |
//! | a report of the same boot with the same words | when it was heard |
//! | asks in a boot whose marks are full | which of them are kept |
//! | whatever a machine that is not on the board does after its first ask | when it was seen |
//! | what a machine ails from, told before in this boot | nothing |
//! | a notice that stands | which one is the newest |
//! | pods of a cluster whose troubles are the same | how many do what |
//!
//! A core that starts again judges the same without them: a property holds this file to it.

use model::{ClientKind, Fact, FileRole, Keeping, MARKS_KEPT, MacAddr, MarkKind, Sight};

use crate::health;
use crate::lab::{Lab, Machine};
use crate::record;
use crate::transfer;
use crate::wipe;

/// Among so many of the last marks one of the same kind is looked for.
const LATELY: usize = 8;

/// How carefully a fact is to be kept in this lab, before it is absorbed.
#[must_use]
pub fn keeping(lab: &Lab, fact: &Fact) -> Keeping {
    let repeated = match fact {
        Fact::Sighted { mac, sight } => match lab.by_mac.get(mac).and_then(|node| lab.machines.get(node)) {
            Some(machine) => repeats(machine, sight),
            None => repeats_of_stranger(lab, *mac, sight),
        },
        Fact::Noticed { notice } => lab.notices.contains(notice),
        Fact::PodsSeen { pods, .. } => {
            let known = lab.cluster().and_then(|(cluster, _)| cluster.pods.as_ref());
            known.is_some_and(|known| known.tells_the_same(pods))
        }
        Fact::CoreStarted { .. }
        | Fact::ImagesFound { .. }
        | Fact::CandidatesFound { .. }
        | Fact::TrialCounted { .. }
        | Fact::CounterSeen { .. }
        | Fact::StartAccepted { .. }
        | Fact::AdoptAccepted { .. }
        | Fact::StopAccepted { .. }
        | Fact::PowerAccepted { .. }
        | Fact::InstallAccepted { .. }
        | Fact::WipeAccepted { .. }
        | Fact::CutAccepted { .. }
        | Fact::CutEnded { .. }
        | Fact::WipeGivenUp { .. }
        | Fact::LoaderSilent { .. }
        | Fact::ParkEnded { .. }
        | Fact::DiskLoaderChanged { .. }
        | Fact::PortSeen { .. }
        | Fact::SecretsReady { .. }
        | Fact::TalosSeen { .. }
        | Fact::MemberSeen { .. }
        | Fact::ManifestsRead { .. }
        | Fact::NodePodsSeen { .. }
        | Fact::Issued { .. }
        | Fact::Finished { .. }
        | Fact::PowerSeen { .. }
        | Fact::PortRead { .. }
        | Fact::DeviceSeen { .. }
        | Fact::LinkSeen { .. }
        | Fact::StandbyLearned { .. }
        | Fact::PowerConfirmed { .. }
        | Fact::Published { .. }
        | Fact::Entered { .. }
        | Fact::Faulted { .. }
        | Fact::PhaseEntered { .. } => false,
    };
    if repeated { Keeping::Fleeting } else { fact.keeping() }
}

/// Only who it is and what it boots is known of a stranger.
fn repeats_of_stranger(lab: &Lab, mac: MacAddr, sight: &Sight) -> bool {
    match sight {
        Sight::Discover { client, .. } | Sight::Solicit { client, .. } => {
            lab.strangers.iter().any(|known| known.mac == mac && known.client == *client)
        }
        Sight::Frame
        | Sight::Offer { .. }
        | Sight::Request { .. }
        | Sight::Ack { .. }
        | Sight::Nak
        | Sight::Advertise { .. }
        | Sight::Request6 { .. }
        | Sight::Reply { .. }
        | Sight::RouterAsked { .. }
        | Sight::FileAsked { .. }
        | Sight::FileAgreed { .. }
        | Sight::FileMoved { .. }
        | Sight::FileServed { .. }
        | Sight::FileBroken { .. }
        | Sight::FileRepeated { .. }
        | Sight::PacketsSaved { .. }
        | Sight::ScriptAsked { .. }
        | Sight::IpxeTold { .. }
        | Sight::Logged { .. }
        | Sight::LoaderSaid { .. }
        | Sight::TalosSaid { .. }
        | Sight::TalosLogged { .. }
        | Sight::Deferred { .. }
        | Sight::ConfigAsked { .. }
        | Sight::Done
        | Sight::Agent { .. }
        | Sight::AgentClash { .. }
        | Sight::Beat { .. }
        | Sight::Ailing { .. }
        | Sight::WipeGiven { .. }
        | Sight::Guest { .. } => true,
    }
}

fn repeats(machine: &Machine, sight: &Sight) -> bool {
    if let Sight::Guest { guest } = sight {
        return machine.guest.as_ref() == Some(guest);
    }
    let Some(boot) = machine.live_boot() else { return false };
    let marked = |what: MarkKind| is_chatter(machine, &what);
    match sight {
        // One that was not heard for long is told: it waits after all.
        Sight::ScriptAsked { answer } => machine.silent.is_none() && record::repeats_script(boot, *answer),
        Sight::FileAsked { role: FileRole::Script, name, .. } => transfer::repeats_script(boot, name),
        Sight::FileAgreed { name, .. }
        | Sight::FileServed { name, .. }
        | Sight::FileRepeated { name, .. }
        | Sight::FileBroken { name, .. } => transfer::is_repeated_script(boot, name),
        Sight::Ailing { boot_id, ailment } => health::is_known(machine, boot_id, ailment),
        Sight::Agent { report } => machine.agent.as_ref().is_some_and(|agent| agent.report == *report),
        Sight::AgentClash { clash } => machine.clash.as_ref() == Some(clash),
        // What is taken anew, and not renewed, tells of another start of the system.
        Sight::Ack { client: ClientKind::Other, .. } | Sight::Request { client: ClientKind::Other } => {
            is_ready(machine) && machine.system.is_some_and(|system| system.renewed && !system.asking)
        }
        Sight::Ack { client: ClientKind::Agent, .. }
        | Sight::Request { client: ClientKind::Agent }
        | Sight::Request6 { client: ClientKind::Agent | ClientKind::Other }
        | Sight::Reply { client: ClientKind::Agent | ClientKind::Other, .. } => is_ready(machine),
        Sight::Discover { client, secs, .. } => {
            asks_again(machine, *client) && marked(MarkKind::Discover { client: *client, secs: *secs })
        }
        Sight::Solicit { client, elapsed_ms, .. } => {
            asks_again(machine, *client)
                && marked(MarkKind::Solicit { client: *client, elapsed_ms: *elapsed_ms })
        }
        Sight::Offer { .. } => marked(MarkKind::Offer),
        Sight::Request { client } => marked(MarkKind::Request { client: *client }),
        Sight::Ack { client, .. } => marked(MarkKind::Ack { client: *client }),
        Sight::Nak => marked(MarkKind::Nak),
        Sight::Advertise { .. } => marked(MarkKind::Advertise),
        Sight::Request6 { client } => marked(MarkKind::Request6 { client: *client }),
        Sight::Reply { client, .. } => marked(MarkKind::Reply { client: *client }),
        Sight::RouterAsked { answered } => marked(MarkKind::RouterAsked { answered: *answered }),
        Sight::ConfigAsked { bytes } => bytes.is_none() && !machine.talos.asks_news(),
        Sight::Deferred { .. } => marked(MarkKind::Deferred),
        Sight::Frame
        | Sight::FileAsked { .. }
        | Sight::FileMoved { .. }
        | Sight::PacketsSaved { .. }
        | Sight::IpxeTold { .. }
        | Sight::Logged { .. }
        | Sight::LoaderSaid { .. }
        | Sight::TalosSaid { .. }
        | Sight::TalosLogged { .. }
        | Sight::Done
        | Sight::WipeGiven { .. }
        | Sight::Guest { .. } => false,
        Sight::Beat { beat } => wipe::repeats(machine, beat),
    }
}

fn is_ready(machine: &Machine) -> bool {
    machine.live_boot().is_some_and(|boot| boot.marks.iter().any(|m| matches!(m.what, MarkKind::Ready)))
}

/// An ask of a program before the system that neither begins a boot nor tells anything else.
fn asks_again(machine: &Machine, client: ClientKind) -> bool {
    record::is_before_system(client)
        && !record::is_new_boot(machine, client)
        && machine.off_wanted.is_none()
        && machine.live_boot().is_some_and(|boot| boot.firmware.is_some())
}

/// A mark of a kind that was there lately, in a boot that has as many as are kept.
fn is_chatter(machine: &Machine, what: &MarkKind) -> bool {
    machine.live_boot().is_some_and(|boot| {
        let lately = boot.marks.iter().rev().take(LATELY);
        boot.marks.len() >= MARKS_KEPT && lately.into_iter().any(|mark| is_alike(&mark.what, what))
    })
}

/// The same kind of the same program; how long it has been asking is another matter.
fn is_alike(one: &MarkKind, other: &MarkKind) -> bool {
    match (one, other) {
        (MarkKind::Discover { client: a, .. }, MarkKind::Discover { client: b, .. })
        | (MarkKind::Solicit { client: a, .. }, MarkKind::Solicit { client: b, .. }) => a == b,
        (one, other) => one == other,
    }
}
