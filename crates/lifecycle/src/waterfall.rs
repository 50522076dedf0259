//! Where the seconds of a boot went: marks and transfers become bars, and slow bars get their cause.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use model::{
    Bar, Boot, ClientKind, FileRole, LabTime, MarkKind, ScriptAnswer, Span, Stage, TalosStep, Transfer,
    Waterfall,
};

use crate::hints;
use crate::lab::Machine;
use crate::loader;
use crate::record::{asker, image_taken};

/// EDK2 collects offers until its first timer fires (`PxeBcDhcp4.c`, `HttpBootDhcp4.c`): 4, then 8, 16, 32 s.
const EDK2_OFFER_TIMER: Span = Span::secs(4);

/// The bars of a machine's last boot; none before its first one. `now` closes what is still going on.
#[must_use]
pub fn waterfall(machine: &Machine, now: LabTime) -> Option<Waterfall> {
    machine.boot.as_ref().map(|boot| waterfall_of(machine, boot, now))
}

/// The bars of one of a machine's boots.
#[must_use]
pub fn waterfall_of(machine: &Machine, boot: &Boot, now: LabTime) -> Waterfall {
    let mut points = Points::of(boot);
    let installer = installer(machine, boot);
    let live = machine.live_boot().is_some_and(|live| live.number == boot.number);
    let heard = machine.talos.heard.as_ref().filter(|_| live);
    if installer.is_some() || heard.is_some() || points.is_talos() {
        // The address that an installer or Talos asks for is no agent's.
        points.os_discover = None;
    }
    let open = live && points.ready.is_none();
    let began = boot.began.since_start;
    let start = points.ordered.unwrap_or(began);
    let end = points.ready.or_else(|| open.then_some(now)).unwrap_or_else(|| points.last.unwrap_or(began));
    let mut bars = points.bars(boot, start, end, open);
    let alike = || machine.past.iter().filter(|p| p.firmware == boot.firmware && p.number < boot.number);
    for bar in &mut bars {
        bar.median_ms = median(alike().filter_map(|p| p.took(bar.stage)).collect());
        let own = installer.clone().filter(|_| bar.stage == Stage::Kernel);
        let says = heard.filter(|_| bar.open && bar.stage >= Stage::Kernel).and_then(hints::in_short);
        bar.note = own.or(says).or_else(|| cause(bar, boot, &points));
    }
    Waterfall {
        number: boot.number,
        began: boot.began,
        firmware: boot.firmware,
        ipxe: boot.ipxe.clone(),
        total_ms: end.since(start).0,
        open,
        bars,
        median_ms: median(alike().map(|p| p.total_ms.into()).collect()),
        median_of: u16::try_from(alike().count()).unwrap_or(u16::MAX),
    }
}

/// What the installer of this boot does or did, where it was given one.
fn installer(machine: &Machine, boot: &Boot) -> Option<String> {
    let install = machine.install.filter(|install| install.spent_in == Some(boot.number))?;
    let over =
        |what: &MarkKind| matches!(what, MarkKind::Done | MarkKind::Script { answer: ScriptAnswer::Disk });
    let end = boot.marks.iter().find(|mark| mark.at >= install.since && over(&mark.what));
    let live = machine.live_boot().is_some_and(|live| live.number == boot.number);
    Some(String::from(match (end, live) {
        (Some(mark), _) if matches!(mark.what, MarkKind::Done) => {
            "its installer worked until it said that it is done"
        }
        (Some(_), _) => "its installer worked until the machine started again",
        (None, true) => "installing: its installer is at work",
        (None, false) => "its installer did not say that it is done",
    }))
}

/// `once`, or how many times.
pub(crate) fn times(count: usize) -> String {
    if count == 1 { String::from("once") } else { format!("{count} times") }
}

fn median(mut values: Vec<u64>) -> Option<u64> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

/// The points in time that part one stage from the next.
#[derive(Debug, Default)]
struct Points {
    ordered: Option<LabTime>,
    powered: Option<LabTime>,
    discover: Option<LabTime>,
    offer: Option<LabTime>,
    ack: Option<LabTime>,
    loader_asked: Option<LabTime>,
    loader_served: Option<LabTime>,
    ipxe_discover: Option<LabTime>,
    script_wait: Option<LabTime>,
    script_boot: Option<LabTime>,
    image_asked: Option<LabTime>,
    image_served: Option<LabTime>,
    os_discover: Option<LabTime>,
    reported: Option<LabTime>,
    uptime: Option<Span>,
    waits: Option<LabTime>,
    given: Option<LabTime>,
    known: Option<LabTime>,
    ready: Option<LabTime>,
    last: Option<LabTime>,
}

impl Points {
    fn of(boot: &Boot) -> Self {
        let mut p = Self::default();
        for mark in &boot.marks {
            let at = Some(mark.at);
            p.last = p.last.max(at);
            match &mark.what {
                MarkKind::Ordered => p.ordered = at,
                MarkKind::Powered => p.powered = at,
                MarkKind::Discover { client: ClientKind::Agent | ClientKind::Other, .. }
                | MarkKind::Solicit { client: ClientKind::Agent | ClientKind::Other, .. } => {
                    p.os_discover = p.os_discover.or(at);
                }
                MarkKind::Discover { client, .. } | MarkKind::Solicit { client, .. } => {
                    p.discover = p.discover.or(at);
                    if *client == ClientKind::Ipxe {
                        p.ipxe_discover = p.ipxe_discover.or(at);
                    }
                }
                MarkKind::Offer | MarkKind::Advertise => p.offer = p.offer.or(at),
                MarkKind::Ack { client: ClientKind::Agent | ClientKind::Other }
                | MarkKind::Reply { client: ClientKind::Agent | ClientKind::Other } => {}
                MarkKind::Ack { .. } | MarkKind::Reply { .. } => p.ack = p.ack.or(at),
                MarkKind::Script { answer: ScriptAnswer::Boot | ScriptAnswer::Disk } => {
                    p.script_boot = p.script_boot.or(at);
                }
                MarkKind::Script { answer: ScriptAnswer::Wait | ScriptAnswer::Stranger } => {
                    p.script_wait = p.script_wait.or(at);
                }
                MarkKind::Reported { uptime_ms } => {
                    p.reported = p.reported.or(at);
                    p.uptime = Some(Span(*uptime_ms));
                }
                MarkKind::Talos { step } => p.step(*step, at),
                MarkKind::Ready => p.ready = at,
                MarkKind::Frame
                | MarkKind::Started
                | MarkKind::Request { .. }
                | MarkKind::Request6 { .. }
                | MarkKind::Nak
                | MarkKind::RouterAsked { .. }
                | MarkKind::Done
                | MarkKind::Deferred => {}
            }
        }
        for transfer in &boot.transfers {
            let (asked, ended) = (Some(transfer.asked), transfer.ended);
            p.last = p.last.max(ended).max(asked);
            match transfer.role {
                FileRole::Loader => {
                    p.loader_asked = p.loader_asked.or(asked);
                    p.loader_served = ended.or(p.loader_served);
                }
                FileRole::Kernel | FileRole::Initrd | FileRole::Uki => {
                    p.image_asked = p.image_asked.or(asked);
                }
                FileRole::Script | FileRole::Seed | FileRole::Other => {}
            }
        }
        p.image_served = image_taken(boot);
        p
    }

    const fn step(&mut self, step: TalosStep, at: Option<LabTime>) {
        match step {
            TalosStep::Waits => self.waits = at,
            TalosStep::Given => self.given = at,
            TalosStep::Known => self.known = at,
            TalosStep::Joined => {}
        }
    }

    const fn is_talos(&self) -> bool {
        self.waits.is_some() || self.given.is_some() || self.known.is_some()
    }

    fn bars(&self, boot: &Boot, start: LabTime, end: LabTime, open: bool) -> Vec<Bar> {
        // Each stage from its first sign; it lasts until the next stage that was seen begins.
        let ipxe_began =
            self.loader_served.filter(|_| self.image_asked.is_none_or(|i| Some(i) > self.loader_served));
        let signs = [
            (Stage::Power, self.ordered),
            // Where power was not seen, the first packet is the beginning, and this bar has no length.
            (Stage::Firmware, self.powered.or(Some(boot.began.since_start))),
            (Stage::Dhcp, self.discover),
            (Stage::Loader, self.loader_asked),
            (
                Stage::Ipxe,
                ipxe_began.or_else(|| {
                    self.ack.filter(|_| self.loader_asked.is_none() && self.ipxe_discover.is_some())
                }),
            ),
            (Stage::Wait, self.script_wait),
            (Stage::Image, self.script_boot.or(self.image_asked)),
            (Stage::Kernel, self.image_served),
            (Stage::Agent, self.os_discover.or(self.reported)),
            (Stage::Maintenance, self.waits),
            (Stage::Installing, self.given),
            (Stage::Joining, self.known),
        ];
        // Packets come in any order, and late; a stage never begins before the one it follows.
        let mut reached = start;
        let mut seen: Vec<(Stage, LabTime)> = Vec::with_capacity(signs.len());
        for (stage, at) in signs {
            if let Some(at) = at {
                reached = at.max(reached).min(end);
                seen.push((stage, reached));
            }
        }
        let mut bars = Vec::with_capacity(seen.len());
        for (i, (stage, at)) in seen.iter().enumerate() {
            let next = seen.get(i + 1).map_or(end, |(_, next)| *next);
            let (bytes, size) = moved(boot, *stage);
            bars.push(Bar {
                stage: *stage,
                from_ms: at.since(start).0,
                took_ms: next.since(*at).0,
                open: open && i + 1 == seen.len(),
                bytes,
                size,
                note: None,
                median_ms: None,
            });
        }
        bars
    }
}

fn moved(boot: &Boot, stage: Stage) -> (u64, u64) {
    let roles: &[FileRole] = match stage {
        Stage::Loader => &[FileRole::Loader],
        Stage::Image => &[FileRole::Kernel, FileRole::Initrd, FileRole::Uki],
        Stage::Power
        | Stage::Firmware
        | Stage::Dhcp
        | Stage::Ipxe
        | Stage::Wait
        | Stage::Kernel
        | Stage::Agent
        | Stage::Maintenance
        | Stage::Installing
        | Stage::Joining => &[],
    };
    // The same file asked for twice counts once, by its best try.
    let mut best: Vec<&Transfer> = Vec::new();
    for transfer in boot.transfers.iter().filter(|t| roles.contains(&t.role)) {
        match best.iter_mut().find(|b| b.name == transfer.name) {
            Some(known) if known.bytes < transfer.bytes => *known = transfer,
            Some(_) => {}
            None => best.push(transfer),
        }
    }
    (best.iter().map(|t| t.bytes).sum(), best.iter().map(|t| t.size).sum())
}

/// Why a stage took as long as it did, where the packets say so.
fn cause(bar: &Bar, boot: &Boot, points: &Points) -> Option<String> {
    let uefi = matches!(boot.firmware, Some(ClientKind::UefiPxe | ClientKind::UefiHttp));
    let took = Span(bar.took_ms);
    match bar.stage {
        Stage::Power => Some(format!("order to power seen, {took}")),
        Stage::Firmware => {
            (!boot.powered).then(|| String::from("power was not seen; counted from the first packet"))
        }
        Stage::Dhcp => dhcp_cause(took, boot, points, uefi),
        Stage::Loader => loader_cause(boot),
        Stage::Ipxe => ipxe_cause(bar, boot, points),
        Stage::Wait => Some(String::from("asked and waited until a scenario was chosen")),
        Stage::Image => image_cause(bar, boot),
        Stage::Kernel => points.uptime.zip(points.reported).map(|(uptime, reported)| {
            let kernel_began = LabTime(reported.0.saturating_sub(uptime.0));
            let handed_over = points.image_served.map(|at| kernel_began.since(at)).unwrap_or_default();
            format!("kernel began {handed_over} after the last byte")
        }),
        Stage::Agent | Stage::Maintenance | Stage::Installing | Stage::Joining => None,
    }
}

fn dhcp_cause(took: Span, boot: &Boot, points: &Points, uefi: bool) -> Option<String> {
    let of_firmware = |m: &&model::Mark| asker(&m.what).is_some_and(ClientKind::is_firmware);
    let solicits = |m: &&model::Mark| matches!(m.what, MarkKind::Solicit { .. });
    if boot.marks.iter().find(of_firmware).as_ref().is_some_and(solicits) {
        return dhcp6_cause(boot, points);
    }
    let asks = boot.marks.iter().filter(of_firmware).count();
    let Some(offer) = points.offer else {
        return Some(format!("asked {}, not answered", times(asks)));
    };
    if uefi && asks > 1 && took > EDK2_OFFER_TIMER {
        let ladder = [4, 8, 16, 32];
        let steps: Vec<String> = ladder.iter().take(asks).map(|s| format!("{s}")).collect();
        return Some(format!("firmware asked {asks} times: its ladder is {} s", steps.join(", ")));
    }
    if uefi && took >= Span(3_000) {
        return Some(format!(
            "{took}: the firmware collects offers until its 4 s timer fires (EDK2); nothing can shorten it"
        ));
    }
    let answered = points.discover.map(|at| offer.since(at)).unwrap_or_default();
    (answered > Span(500)).then(|| format!("the first offer left {answered} after the first DISCOVER"))
}

/// Over IPv6 EDK2 takes an ADVERTISE of the highest preference at once. Unanswered, it asks four times and doubles its
/// wait from 4 s (`PxeBcDhcp6.c`); with its address, it looks for a second holder and for a route before it goes on.
fn dhcp6_cause(boot: &Boot, points: &Points) -> Option<String> {
    let asks_to_boot = |m: &&model::Mark| {
        asker(&m.what).is_some_and(|client| client.is_firmware() && client != ClientKind::UnknownFirmware)
    };
    let asks = boot.marks.iter().filter(asks_to_boot).count();
    let Some(offer) = points.offer else {
        return Some(format!("asked {} over IPv6, not answered", times(asks)));
    };
    let answered = points.discover.map(|at| offer.since(at)).unwrap_or_default();
    if answered >= EDK2_OFFER_TIMER {
        return Some(format!(
            "the first ADVERTISE left {answered} after the first SOLICIT; the firmware doubles its wait from 4 s (EDK2)"
        ));
    }
    let after = points.loader_asked.or(points.image_asked).zip(points.ack).map(|(next, ack)| next.since(ack));
    after.filter(|after| *after >= Span(3_000)).map(|after| {
        format!(
            "{after} of it after its first REPLY: the firmware makes sure of its address and a route (EDK2)"
        )
    })
}

fn loader_cause(boot: &Boot) -> Option<String> {
    let loaders = || boot.transfers.iter().filter(|t| t.role == FileRole::Loader);
    let repeats: u32 = loaders().map(|t| t.repeats).sum();
    if repeats > 0 {
        return Some(format!("{repeats} blocks had to be sent again"));
    }
    // EDK2 opens the file, reads its size, aborts, and opens it again: the broken first try is no fault.
    loaders().next_back().and_then(|t| t.broken.as_ref()).map(|why| format!("broken off: {why}"))
}

fn ipxe_cause(bar: &Bar, boot: &Boot, points: &Points) -> Option<String> {
    if let Some(error) = loader::complaint(boot) {
        return Some(error);
    }
    let took = Span(bar.took_ms);
    if took < Span(2_500) {
        return None;
    }
    // iPXE solicits again and again; the firmware before it may have done so too.
    let began = points.ordered.unwrap_or(boot.began.since_start).after(Span(bar.from_ms));
    let ended = began.after(took);
    let mut asked = boot
        .marks
        .iter()
        .filter(|m| m.at >= began && m.at <= ended && matches!(m.what, MarkKind::RouterAsked { .. }))
        .peekable();
    let first = asked.peek().map(|m| m.at);
    let answered = asked.any(|m| matches!(m.what, MarkKind::RouterAsked { answered: true }));
    if let (Some(first), false) = (first, answered) {
        return Some(format!("no answer to its router solicitation for {}", ended.since(first)));
    }
    points.ipxe_discover.zip(points.loader_served).map(|(discover, served)| {
        format!("the loader needed {} until its own DISCOVER", discover.since(served))
    })
}

fn image_cause(bar: &Bar, boot: &Boot) -> Option<String> {
    let deferred = boot.marks.iter().filter(|m| matches!(m.what, MarkKind::Deferred)).count();
    if deferred > 0 {
        return Some(format!("asked to come back {} while others were served", times(deferred)));
    }
    if let Some(why) = boot
        .transfers
        .iter()
        .rev()
        .find(|t| matches!(t.role, FileRole::Kernel | FileRole::Initrd | FileRole::Uki))
        .and_then(|t| t.broken.as_ref())
    {
        return Some(format!("broken off: {why}"));
    }
    let rate = bar.bytes.checked_div(bar.took_ms).map(|per_ms| per_ms / 1_000);
    rate.filter(|_| bar.bytes > 0).map(|mb| match mb {
        0 => format!("{} kB", bar.bytes / 1_000),
        mb => format!("{} MB at {mb} MB/s", bar.bytes / 1_000_000),
    })
}
