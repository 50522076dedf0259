//! Writing down what is seen of a boot: where one begins, its marks and its transfers.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use model::{
    AgentBeat, AgentReport, AgentView, Boot, ClientKind, FileRole, Goal, LabTime, LoaderStep, LogLine,
    LogSource, MARKS_KEPT, Mark, MarkKind, Moment, PowerOrder, PowerState, Proof, SavedPackets, ScriptAnswer,
    Sight, TalosSight, TalosStep,
};

use crate::cluster::TalosKnown;
use crate::health;
use crate::hints;
use crate::lab::{Install, Machine};
use crate::packed::PackedBoot;
use crate::park::Place;
use crate::past::{self, Room};
use crate::{loader, park, transfer, wipe};

/// Begins a boot. `powered` says whether power was seen to come on, or a packet was the first sign.
pub(crate) fn begin(machine: &mut Machine, at: Moment, powered: bool, room: Room) {
    machine.boots = machine.boots.saturating_add(1);
    machine.running = true;
    machine.silent = None;
    wipe::boot_ended(machine, "the machine started again", at.since_start);
    machine.agent = None;
    machine.clash = None;
    machine.system = None;
    machine.port = None;
    machine.talos.begin(at.since_start);
    let mut marks: Vec<Mark> = Vec::new();
    if let Some(ordered) = ordered_on(machine) {
        marks.push(Mark { at: ordered, what: MarkKind::Ordered });
    }
    if powered {
        marks.push(Mark { at: at.since_start, what: MarkKind::Powered });
    }
    if let Some(ended) = machine.boot.take() {
        past::keep_boot(&mut machine.earlier, ended, room);
    }
    machine.boot = Some(Boot {
        number: machine.boots,
        began: at,
        powered,
        firmware: None,
        ipxe: String::new(),
        marks,
        transfers: Vec::new(),
        log: Vec::new(),
        unrecorded: 0,
        files: Vec::new(),
        packets: None,
    });
}

/// When the order was given, or carried out, that this boot answers.
pub(crate) fn ordered_on(machine: &Machine) -> Option<LabTime> {
    match (machine.carried_out, machine.in_flight) {
        (Some((PowerOrder::On, at)), _) | (_, Some((_, PowerOrder::On, at))) => Some(at),
        _ => None,
    }
}

/// Adds a mark to the boot that goes on. A machine that waits for a night makes more marks than are
/// kept; its first and its latest ones tell the boot, so those between them go. Once it was ready,
/// nothing more belongs to the boot.
pub(crate) fn mark(machine: &mut Machine, at: LabTime, what: MarkKind) {
    let Some(boot) = machine.boot.as_mut().filter(|_| machine.running) else { return };
    if boot.marks.len() >= MARKS_KEPT {
        boot.unrecorded = boot.unrecorded.saturating_add(1);
        if boot.marks.iter().any(|m| matches!(m.what, MarkKind::Ready)) {
            return;
        }
        boot.marks.remove(MARKS_KEPT / 2);
    }
    boot.marks.push(Mark { at, what });
}

/// Marks a step of Talos's, the first time in this boot.
pub(crate) fn step(machine: &mut Machine, at: LabTime, step: TalosStep) {
    let what = MarkKind::Talos { step };
    if machine.live_boot().is_some_and(|boot| boot.marks.iter().all(|mark| mark.what != what)) {
        mark(machine, at, what);
    }
}

/// Who asked, if a mark is an ask.
pub(crate) const fn asker(what: &MarkKind) -> Option<ClientKind> {
    match what {
        MarkKind::Discover { client, .. } | MarkKind::Solicit { client, .. } => Some(*client),
        MarkKind::Ordered
        | MarkKind::Powered
        | MarkKind::Started
        | MarkKind::Frame
        | MarkKind::Offer
        | MarkKind::Request { .. }
        | MarkKind::Ack { .. }
        | MarkKind::Nak
        | MarkKind::Advertise
        | MarkKind::Request6 { .. }
        | MarkKind::Reply { .. }
        | MarkKind::RouterAsked { .. }
        | MarkKind::Script { .. }
        | MarkKind::Deferred
        | MarkKind::Done
        | MarkKind::Talos { .. }
        | MarkKind::Reported { .. }
        | MarkKind::Ready => None,
    }
}

/// True for programs that run before a system does: firmware and iPXE.
pub(crate) const fn is_before_system(client: ClientKind) -> bool {
    client.is_firmware() || matches!(client, ClientKind::Ipxe)
}

/// True when this machine's next ask cannot belong to the boot that goes on.
///
/// Firmware asks again and again before it is answered (EDK2: after 4, 8, 16, 32 s), and walks from PXE
/// to HTTP, so a repeated ask is a new boot only after something was taken in the old one. iPXE asks
/// once when firmware loaded it and first when it is the card's ROM, so its ask is a new boot only after
/// the image was taken. Firmware that was told to boot its disk walks through its other boot entries first,
/// and some of those are network boots, too: until a system speaks, it is the same boot.
pub(crate) fn is_new_boot(machine: &Machine, client: ClientKind) -> bool {
    let Some(boot) = machine.live_boot() else { return true };
    if told_disk(boot).is_some() && !system_spoke(boot) {
        return false;
    }
    // Firmware speaks in no boot that began without it.
    if boot.firmware == Some(ClientKind::Kexec) && client != ClientKind::Kexec && is_before_system(client) {
        return true;
    }
    match client {
        ClientKind::BiosPxe
        | ClientKind::UefiPxe
        | ClientKind::UefiHttp
        | ClientKind::RaspberryPi
        | ClientKind::UBoot
        | ClientKind::UnknownFirmware => !boot.transfers.is_empty() || machine.agent.is_some(),
        // It may have taken everything from its own cache.
        ClientKind::Loader | ClientKind::Kexec => {
            !boot.transfers.is_empty() || is_started(boot) || machine.agent.is_some()
        }
        ClientKind::Ipxe => image_taken(boot).is_some() || machine.agent.is_some(),
        ClientKind::Agent | ClientKind::Other => false,
    }
}

/// True when its kernel was started with its image in memory.
fn is_started(boot: &Boot) -> bool {
    boot.marks.iter().any(|mark| matches!(mark.what, MarkKind::Started))
}

/// When this boot was told first to boot its disk.
fn told_disk(boot: &Boot) -> Option<LabTime> {
    let disk = |what: &MarkKind| matches!(what, MarkKind::Script { answer: ScriptAnswer::Disk });
    boot.marks.iter().find(|mark| disk(&mark.what)).map(|mark| mark.at)
}

/// True once a system, and not a program before it, asked for an address or reported.
fn system_spoke(boot: &Boot) -> bool {
    boot.marks.iter().any(|m| {
        matches!(asker(&m.what), Some(ClientKind::Agent | ClientKind::Other))
            || matches!(m.what, MarkKind::Reported { .. })
    })
}

/// When the last byte of the image was taken: all of kernel and initramfs, or the UKI; or when the machine
/// was told to boot its disk, or was started with its kernel in memory, after which it takes nothing.
pub(crate) fn image_taken(boot: &Boot) -> Option<LabTime> {
    let started =
        || boot.marks.iter().find(|mark| matches!(mark.what, MarkKind::Started)).map(|mark| mark.at);
    if let Some(at) = told_disk(boot).or_else(started) {
        return Some(at);
    }
    let image = || {
        boot.transfers
            .iter()
            .filter(|t| matches!(t.role, FileRole::Kernel | FileRole::Initrd | FileRole::Uki))
    };
    // A file that was begun twice counts once it was taken once.
    let missing =
        image().any(|t| t.ended.is_none() && !image().any(|o| o.name == t.name && o.ended.is_some()));
    if missing {
        return None;
    }
    // A kernel alone is not the whole image while its initramfs has not been asked for: the loader asks
    // for one after the other. The kernel counts only with an initramfs, unless the system spoke already.
    let whole = image().any(|t| matches!(t.role, FileRole::Initrd | FileRole::Uki));
    if !whole && !system_spoke(boot) {
        return None;
    }
    image().filter_map(|t| t.ended).max()
}

/// Writes down one sight of a machine of the board.
pub(crate) fn sight(machine: &mut Machine, at: Moment, sight: &Sight, room: Room) {
    let now = at.since_start;
    match sight {
        Sight::Frame => mark(machine, now, MarkKind::Frame),
        Sight::Discover { client, secs, version, .. } => {
            asked(machine, at, *client, room);
            if *client == ClientKind::Other {
                machine.system.get_or_insert_default().asking = true;
            }
            names_itself(machine, version);
            mark(machine, now, MarkKind::Discover { client: *client, secs: *secs });
        }
        Sight::Offer { .. } => mark(machine, now, MarkKind::Offer),
        Sight::Request { client } => mark(machine, now, MarkKind::Request { client: *client }),
        Sight::Ack { client, .. } => {
            if *client == ClientKind::Other {
                renewed(machine, now);
            }
            mark(machine, now, MarkKind::Ack { client: *client });
        }
        Sight::Nak => mark(machine, now, MarkKind::Nak),
        Sight::Solicit { client, elapsed_ms, .. } => {
            asked(machine, at, *client, room);
            mark(machine, now, MarkKind::Solicit { client: *client, elapsed_ms: *elapsed_ms });
        }
        Sight::Advertise { .. } => mark(machine, now, MarkKind::Advertise),
        Sight::Request6 { client } => mark(machine, now, MarkKind::Request6 { client: *client }),
        Sight::Reply { client, .. } => mark(machine, now, MarkKind::Reply { client: *client }),
        Sight::RouterAsked { answered } => mark(machine, now, MarkKind::RouterAsked { answered: *answered }),
        Sight::ScriptAsked { answer } => script(machine, now, *answer),
        Sight::Deferred { .. } => mark(machine, now, MarkKind::Deferred),
        Sight::IpxeTold { version, features } => loader::told(machine, version, features),
        Sight::Logged { severity, text, error } => {
            said(machine, line(now, LogSource::Ipxe, *severity, text), error.as_ref(), room);
        }
        Sight::LoaderSaid { .. } => loader_said(machine, at, sight, room),
        Sight::TalosSaid { said } => hints::said(machine, now, said),
        Sight::TalosLogged { severity, service, text } => {
            hints::logged(machine, line(now, LogSource::Talos, *severity, text), service.as_deref(), room);
        }
        Sight::FileAsked { .. }
        | Sight::FileMoved { .. }
        | Sight::FileServed { .. }
        | Sight::FileBroken { .. }
        | Sight::FileAgreed { .. }
        | Sight::FileRepeated { .. } => transfer::file(machine, now, sight),
        Sight::PacketsSaved { boot, file, frames } => {
            saved(machine, *boot, SavedPackets { file: file.clone(), frames: *frames });
        }
        Sight::Done => done(machine, now),
        Sight::ConfigAsked { bytes } => machine.talos.ask(*bytes, now),
        Sight::Agent { report } => reported(machine, at, report, room),
        Sight::WipeGiven { number, boot_id } => wipe::given(machine, *number, boot_id, now),
        Sight::AgentClash { clash } => machine.clash = Some(clash.clone()),
        Sight::Beat { beat } => heard(machine, at, beat),
        // Recorded by who knows how the guest boots.
        Sight::Guest { .. } => {}
        Sight::Ailing { boot_id, ailment } => health::ails(machine, at, boot_id, ailment),
    }
}

/// What our loader tells of a boot.
fn loader_said(machine: &mut Machine, at: Moment, sight: &Sight, room: Room) {
    let Sight::LoaderSaid { severity, text, error, step } = sight else { return };
    match step {
        Some(LoaderStep::Asks) => asked(machine, at, ClientKind::Loader, room),
        Some(LoaderStep::Starts) => mark(machine, at.since_start, MarkKind::Started),
        Some(LoaderStep::Parks) => parks(machine, at, room),
        Some(LoaderStep::Fails) => park::jump_failed(machine, text, at),
        None => {}
    }
    let line = line(at.since_start, LogSource::Loader, *severity, text);
    said(machine, line, error.as_ref(), room);
}

/// Its live image has left its run, and waits in memory: a boot that begins without firmware. Whoever was to go off and
/// stays so is gone from what it ran.
fn parks(machine: &mut Machine, at: Moment, room: Room) {
    if let Some(agent) = &machine.agent {
        machine.jumps.kernel.clone_from(&agent.report.kernel);
        machine.jumps.place = Place::Image;
    }
    let stays = park::is_to_stay(machine);
    asked(machine, at, ClientKind::Kexec, room);
    if stays {
        machine.off_wanted = None;
    }
}

/// Its Talos was reset and came back by kexec: a boot that begins without firmware, and waits for the next start.
pub(crate) fn waits_in_talos(machine: &mut Machine, sight: &TalosSight, at: Moment, room: Room) {
    machine.jumps.place = Place::Talos;
    begin(machine, at, false, room);
    if let Some(boot) = &mut machine.boot {
        boot.firmware = Some(ClientKind::Kexec);
    }
    mark(machine, at.since_start, MarkKind::Script { answer: ScriptAnswer::Wait });
    machine.talos = TalosKnown::default();
    machine.talos.see(sight, at.since_start);
    machine.off_wanted = None;
}

/// Keeps the version that iPXE told, unless a longer form of it is known.
fn names_itself(machine: &mut Machine, version: &str) {
    if let Some(boot) = machine.boot.as_mut().filter(|boot| !boot.ipxe.starts_with(version)) {
        version.clone_into(&mut boot.ipxe);
    }
}

/// Its system said that it is done: an installer, if one was at work.
fn done(machine: &mut Machine, now: LabTime) {
    if let Some(install) = machine.install.as_mut().filter(|install| install.spent_in.is_some()) {
        install.done = true;
    }
    mark(machine, now, MarkKind::Done);
}

/// A loader wrote a line to its log.
fn said(machine: &mut Machine, line: LogLine, error: Option<&String>, room: Room) {
    loader::logged(machine, LogLine { error: error.cloned(), ..line }, room.lines);
}

fn line(at: LabTime, source: LogSource, severity: u8, text: &str) -> LogLine {
    LogLine { at, severity, text: text.to_owned(), error: None, source }
}

/// An agent's heartbeat, unless it is of an earlier boot.
fn heard(machine: &mut Machine, at: Moment, beat: &AgentBeat) {
    if let Some(agent) = machine.agent.as_mut().filter(|a| a.report.boot_id == beat.boot_id) {
        agent.heard = at;
        let mut beat = beat.clone();
        // Not every heartbeat tells of it.
        beat.health = beat.health.or_else(|| agent.beat.take().and_then(|last| last.health));
        agent.beat = Some(beat);
    }
}

/// The heads of a boot's packets lie on the disk.
fn saved(machine: &mut Machine, boot: u32, packets: SavedPackets) {
    if let Some(present) = machine.boot.as_mut().filter(|present| present.number == boot) {
        present.packets = Some(packets);
    } else if let Some(packed) = machine.earlier.iter_mut().find(|packed| packed.number() == boot)
        && let Some(mut failed) = packed.boot()
    {
        failed.packets = Some(packets);
        *packed = PackedBoot::of(&failed);
    }
}

/// A system has an address: anew, or still.
fn renewed(machine: &mut Machine, now: LabTime) {
    let system = machine.system.get_or_insert_default();
    let anew = system.asking || system.heard == LabTime::default();
    system.renewed |= !anew;
    system.asking = false;
    system.heard = now;
}

/// Spends an installation once its image was taken whole.
pub(crate) fn note_install(machine: &mut Machine) {
    let Some(install) = machine.install.filter(|install| install.spent_in.is_none()) else { return };
    let taken = machine.live_boot().and_then(|boot| Some((boot.number, image_taken(boot)?)));
    if let Some((boot, at)) = taken
        && at >= install.since
    {
        machine.install = Some(Install { spent_in: Some(boot), ..install });
    }
}

/// An ask may be the first sign of a boot, and a boot does what switching off was to bring about.
fn asked(machine: &mut Machine, at: Moment, client: ClientKind, room: Room) {
    let new = is_new_boot(machine, client);
    let first = new || machine.live_boot().is_some_and(|b| !b.marks.iter().any(|m| asker(&m.what).is_some()));
    if new {
        // A start that nobody ordered is a try all the same: a system that panics and starts again
        // would otherwise climb for ever. An installer that ends starts the machine again once.
        let installed = machine.install.is_some_and(|i| i.spent_in == Some(machine.boots));
        if machine.goal == Goal::Ready && ordered_on(machine).is_none() && !installed {
            machine.tries = machine.tries.saturating_add(1);
        }
        begin(machine, at, false, room);
        if machine.power != PowerState::Off {
            machine.carried_out = None;
        }
    }
    if let Some(boot) = machine.boot.as_mut() {
        // A stack that asks for itself before its boot client does tells less than that one.
        let vague = boot.firmware == Some(ClientKind::UnknownFirmware) && client.is_firmware();
        boot.firmware = boot.firmware.filter(|_| !vague).or(Some(client));
    }
    let wanted = machine.goal == Goal::Ready && machine.person != Some(PowerOrder::Off);
    if first && wanted && is_before_system(client) {
        machine.off_wanted = None;
    }
}

/// When this answer was given last, if it was given twice and nothing else was marked since.
fn same_script(boot: &Boot, answer: ScriptAnswer) -> Option<LabTime> {
    let again = |m: &Mark| matches!(&m.what, MarkKind::Script { answer: a } if *a == answer);
    let mut last = boot.marks.iter().rev().filter(|m| !matches!(m.what, MarkKind::Frame));
    let (last, before) = (last.next()?, last.next()?);
    (again(last) && again(before)).then_some(last.at)
}

/// True when a loader that waits is told the same for the third time, and took nothing in between.
pub(crate) fn repeats_script(boot: &Boot, answer: ScriptAnswer) -> bool {
    let waits = match answer {
        ScriptAnswer::Wait | ScriptAnswer::Stranger => true,
        ScriptAnswer::Boot | ScriptAnswer::Disk => false,
    };
    waits && same_script(boot, answer).is_some_and(|at| !transfer::touched_since(boot, at))
}

/// A machine that waits asks every few seconds: the first and the latest asking are kept.
fn script(machine: &mut Machine, now: LabTime, answer: ScriptAnswer) {
    machine.silent = None;
    if let Some(boot) = machine.boot.as_mut().filter(|_| machine.running)
        && same_script(boot, answer).is_some()
    {
        while boot.marks.last().is_some_and(|m| matches!(m.what, MarkKind::Frame)) {
            boot.marks.pop();
        }
        if let Some(last) = boot.marks.last_mut() {
            last.at = now;
        }
        return;
    }
    mark(machine, now, MarkKind::Script { answer });
}

fn reported(machine: &mut Machine, at: Moment, report: &Arc<AgentReport>, room: Room) {
    let same = machine.agent.as_ref().is_some_and(|a| a.report.boot_id == report.boot_id);
    if !same {
        let other_boot = machine.agent.is_some();
        if !machine.running || other_boot {
            begin(machine, at, false, room);
        }
        mark(machine, at.since_start, MarkKind::Reported { uptime_ms: report.uptime_ms });
    }
    let ailing = machine.agent.take().filter(|_| same).map_or_else(Vec::new, |agent| agent.ailing);
    // The counter hands a key on only where it is claimed for this boot.
    let proof = if report.key.is_some() { Proof::Key } else { Proof::Address };
    machine.agent = Some(AgentView { report: Arc::clone(report), beat: None, heard: at, ailing, proof });
    wipe::reported(machine, report, at.since_start);
}
