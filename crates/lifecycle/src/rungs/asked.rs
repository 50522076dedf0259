//! Rung *asked*: address, loader, script and image, until the last byte is taken.

use alloc::format;
use alloc::string::String;

use model::{Boot, ClientKind, FaultCode, LabTime, MarkKind, ScriptAnswer, Span, TalosStep, Waiting};

use super::{Step, next_try, wait_or_fail};
use crate::lab::{Lab, Machine};
use crate::loader;
use crate::record::asker;

pub(super) fn climb(lab: &Lab, machine: &Machine, now: LabTime) -> Step {
    let Some(boot) = machine.live_boot() else { return Step::Rest };
    let first = boot.marks.iter().find(|m| asker(&m.what).is_some()).map_or(boot.began.since_start, |m| m.at);
    // A machine that waited before the scenario was chosen has its time from then.
    let since = lab.run.as_ref().map_or(first, |run| first.max(run.since.since_start));
    let wait = Waiting {
        what: what(boot, now),
        since,
        until: since.after(lab.spec.limits.fetch),
        then: next_try(lab, machine),
    };
    let mut seen = last_seen(boot);
    if let Some(error) = loader::complaint(boot) {
        seen = format!("{seen}; {error}");
    }
    wait_or_fail(wait, FaultCode::FetchStalled, &seen, now)
}

/// How long an offer is waited for in the words of firmware that collects offers.
const COLLECTS: Span = Span::secs(5);

/// When the words for the step in hand become others only because time passes.
pub(crate) fn turns_at(machine: &Machine) -> Option<LabTime> {
    let boot = machine.live_boot()?;
    let uefi = matches!(boot.firmware, Some(ClientKind::UefiPxe | ClientKind::UefiHttp));
    let last = boot.marks.iter().rev().find(|m| !matches!(m.what, MarkKind::Frame))?;
    (uefi && matches!(last.what, MarkKind::Offer)).then(|| last.at.after(COLLECTS))
}

/// The step in hand, in words.
pub(crate) fn what(boot: &Boot, now: LabTime) -> String {
    if let Some(moving) = boot.transfers.iter().rev().find(|t| t.ended.is_none() && t.broken.is_none()) {
        return format!("{}, {} of {} kB", moving.name, moving.bytes / 1000, moving.size / 1000);
    }
    let Some(last) = boot.marks.iter().rev().find(|m| !matches!(m.what, MarkKind::Frame)) else {
        return String::from("its next step");
    };
    let ago = now.since(last.at);
    match &last.what {
        MarkKind::Discover { client, .. } | MarkKind::Solicit { client, .. } => {
            format!("{client} to take an address")
        }
        MarkKind::Offer => match boot.firmware {
            Some(ClientKind::UefiPxe | ClientKind::UefiHttp) if ago < COLLECTS => {
                String::from("firmware collects offers (4 s timer, EDK2)")
            }
            Some(_) | None => String::from("it to take the offered address"),
        },
        MarkKind::Advertise => String::from("it to take the offered IPv6 address"),
        MarkKind::Request { .. }
        | MarkKind::Ack { .. }
        | MarkKind::Request6 { .. }
        | MarkKind::Reply { .. } => String::from("its loader to be asked for"),
        MarkKind::RouterAsked { answered: true } => String::from("its loader to go on"),
        MarkKind::RouterAsked { answered: false } => String::from("a router to answer it (nobody did)"),
        MarkKind::Script { answer: ScriptAnswer::Boot } => String::from("its image to be asked for"),
        MarkKind::Script { answer: ScriptAnswer::Disk } => String::from("the system on its disk"),
        MarkKind::Script { answer: ScriptAnswer::Wait | ScriptAnswer::Stranger } => {
            String::from("its loader to ask again")
        }
        MarkKind::Deferred => String::from("its turn: others are being served"),
        MarkKind::Nak => String::from("it to ask for another address"),
        MarkKind::Ordered
        | MarkKind::Powered
        | MarkKind::Started
        | MarkKind::Frame
        | MarkKind::Done
        | MarkKind::Talos { .. }
        | MarkKind::Reported { .. }
        | MarkKind::Ready => String::from("its next step"),
    }
}

/// The last thing seen of a boot, in words.
pub(crate) fn last_seen(boot: &Boot) -> String {
    let transfer = boot.transfers.iter().max_by_key(|t| t.ended.unwrap_or(t.asked));
    let mark = boot.marks.iter().rev().find(|m| !matches!(m.what, MarkKind::Frame));
    match (transfer, mark) {
        (Some(t), m) if m.is_none_or(|m| m.at <= t.ended.unwrap_or(t.asked)) => match (&t.broken, t.ended) {
            (Some(why), _) => format!("{} broke off: {why}", t.name),
            (None, Some(_)) => format!("it took {}", t.name),
            (None, None) => format!("{}, {} of {} kB", t.name, t.bytes / 1000, t.size / 1000),
        },
        (_, Some(m)) => match &m.what {
            MarkKind::Ordered => String::from("it was ordered on"),
            MarkKind::Powered => String::from("power came on"),
            MarkKind::Started => String::from("its kernel was started"),
            MarkKind::Frame => String::from("a frame"),
            MarkKind::Discover { client, .. } => format!("a DISCOVER of {client}"),
            MarkKind::Offer => String::from("our offer"),
            MarkKind::Request { client } => format!("a REQUEST of {client}"),
            MarkKind::Ack { client } => format!("{client} got its address"),
            MarkKind::Nak => String::from("our NAK"),
            MarkKind::Solicit { client, .. } => format!("a SOLICIT of {client}"),
            MarkKind::Advertise => String::from("our ADVERTISE"),
            MarkKind::Request6 { client } => format!("a DHCPv6 REQUEST of {client}"),
            MarkKind::Reply { client } => format!("{client} got its IPv6 address"),
            MarkKind::RouterAsked { .. } => String::from("a router solicitation"),
            MarkKind::Script { answer: ScriptAnswer::Disk } => String::from("it was told to boot its disk"),
            MarkKind::Script { .. } => String::from("it took its script"),
            MarkKind::Deferred => String::from("it was asked to come back"),
            MarkKind::Done => String::from("it said that it is done"),
            MarkKind::Reported { .. } => String::from("its agent reported"),
            MarkKind::Talos { step: TalosStep::Waits } => String::from("it waited for its config"),
            MarkKind::Talos { step: TalosStep::Given } => String::from("its config was pushed"),
            MarkKind::Talos { step: TalosStep::Known } => String::from("it was known by its identity"),
            MarkKind::Talos { step: TalosStep::Joined } => String::from("the cluster knew it"),
            MarkKind::Ready => String::from("it was ready"),
        },
        (_, None) => String::from("nothing in this boot"),
    }
}
