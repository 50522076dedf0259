//! The lab on one screen: one line per machine with its bar, its word and what it waits for.

use std::sync::Arc;

use api::{MachinePage, WordCount};
use model::{
    ClientKind, Goal, MachineView, NodeWord, Notice, Phase, Proof, Snapshot, Span, Stage, Waterfall,
};

use super::paint::{Paint, bytes, counted, cut, seconds};
use super::sentence::notice;
use crate::paging::count_words;

/// Characters of a bar.
const BAR: usize = 15;

/// Machines that are shown one by one; of more, only those a person must look at.
const SHOWN_WHOLE: usize = 60;
/// Of those, so many.
const SHOWN_TROUBLE: usize = 20;

/// Addresses that are named one by one.
const ADDRESSES: usize = 6;

/// Room below which a reason is written on the next line.
const DETAIL: usize = 32;

/// The whole picture, each line at most `width` characters, with a line break at its end.
#[must_use]
pub fn render_status(picture: &Snapshot, width: usize, color: bool) -> String {
    let paint = Paint(color);
    let mut lines = vec![heading(picture, width, paint)];
    if !picture.lab.phase_because.is_empty() {
        lines.push(format!("  {}", paint.faint(&cut(&picture.lab.phase_because, width.saturating_sub(2)))));
    }
    if let Some(waiting) = &picture.lab.waiting {
        let left = waiting.until.since(picture.at.since_start);
        let text = format!("waiting for {}; in {}, {}", waiting.what, short(left), waiting.then);
        lines.push(format!("  {}", paint.faint(&cut(&text, width.saturating_sub(2)))));
    }
    lines.push(String::new());
    let machines: Vec<_> = picture.machines.iter().filter(|machine| machine.is_in_hand()).cloned().collect();
    if machines.len() > SHOWN_WHOLE {
        lines.extend(summary(&machines, width, paint));
    } else {
        lines.extend(machine_lines(&machines, width, paint));
    }
    if machines.is_empty() {
        lines.push("  no machines".to_owned());
    }
    let remarks = remarks(picture, width, paint);
    if !remarks.is_empty() {
        lines.push(String::new());
        lines.extend(remarks);
    }
    lines.push(String::new());
    lines.join("\n")
}

/// A page of machines, with what there is besides.
#[must_use]
pub fn render_page(page: &MachinePage, width: usize, color: bool) -> String {
    let paint = Paint(color);
    let mut lines = machine_lines(&page.machines, width, paint);
    let words: Vec<String> = page.words.iter().map(|w| format!("{} {}", w.count, w.word)).collect();
    lines.push(String::new());
    let shown = format!("{} of {} machines asked for", page.machines.len(), page.matching);
    lines.push(format!("  {}", paint.faint(&cut(&format!("{shown}; the lab: {}", words.join(", ")), width))));
    if let Some(next) = &page.next {
        lines.push(format!("  {}", paint.faint(&format!("the next page: add `--from {next}`"))));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn machine_lines(machines: &[Arc<MachineView>], width: usize, paint: Paint) -> Vec<String> {
    let name_width = machines.iter().map(|m| m.node.as_str().len()).max().unwrap_or(0);
    let line = |machine: &Arc<MachineView>| {
        format!("  {}", machine_line(machine, (name_width, width.saturating_sub(2)), paint))
    };
    machines.iter().map(line).collect()
}

/// A lab that fits no screen: how many machines have which word, then those a person must look at.
fn summary(machines: &[Arc<MachineView>], width: usize, paint: Paint) -> Vec<String> {
    let mut lines = Vec::new();
    let most = machines.len().max(1);
    for WordCount { word, count } in count_words(machines) {
        let share = usize::try_from(count).unwrap_or(0) * BAR / most;
        let bar = format!("{}{}", "█".repeat(share.min(BAR)), "░".repeat(BAR.saturating_sub(share)));
        lines.push(format!("  ▕{bar}▏ {count:>6}  {word}"));
    }
    let troubled = |m: &&Arc<MachineView>| matches!(m.word, NodeWord::Bad | NodeWord::Degraded);
    let trouble: Vec<_> = machines.iter().filter(troubled).cloned().collect();
    if !trouble.is_empty() {
        lines.push(String::new());
        let (first, rest) = trouble.split_at(trouble.len().min(SHOWN_TROUBLE));
        lines.extend(machine_lines(first, width, paint));
        if !rest.is_empty() {
            lines.push(format!("  … and {} in trouble", counted(rest.len(), "other machine")));
        }
    }
    lines.push(String::new());
    lines.push(format!(
        "  {}",
        paint.faint("one by one: `labinator status --word bad`, `--zone 3`, `--node rack7`")
    ));
    lines
}

fn heading(picture: &Snapshot, width: usize, paint: Paint) -> String {
    let lab = &picture.lab;
    let wanted = picture.machines.iter().filter(|m| m.goal == Goal::Ready).count();
    let ready = picture.machines.iter().filter(|m| m.word == NodeWord::Ready).count();
    let since = picture.at.since_start.since(lab.phase_since.since_start);
    let mut parts = vec![lab.name.to_string()];
    parts.extend(lab.scenario.as_ref().map(ToString::to_string));
    let phase = lab.phase.to_string();
    parts.push(format!("{phase} for {}", short(since)));
    if wanted > 0 {
        parts.push(format!("{ready} of {wanted} ready"));
    }
    parts.extend(lab.pods.as_ref().map(|pods| {
        let (done, all) = (pods.counts.done(), pods.counts.all());
        format!("{done} of {} ready or done", counted(usize::try_from(all).unwrap_or(usize::MAX), "pod"))
    }));
    if lab.run > 0 {
        parts.push(format!("run {}", lab.run));
    }
    let plain = cut(&parts.join(" · "), width);
    let painted = match lab.phase {
        Phase::Ready => paint.well(&phase),
        Phase::Failed => paint.broken(&phase),
        Phase::Degraded => paint.doubtful(&phase),
        Phase::PoweringDown | Phase::Booting | Phase::Stopping => paint.moving(&phase),
        Phase::Idle => phase.clone(),
    };
    plain.replacen(&format!("· {phase} for"), &format!("· {painted} for"), 1)
}

/// A span without decimals once it is longer than two minutes.
fn short(span: Span) -> String {
    match span.0 / 1000 {
        s @ 0..120 => format!("{s} s"),
        s @ 120..3600 => format!("{} min {} s", s / 60, s % 60),
        s => format!("{} h {} min", s / 3600, s / 60 % 60),
    }
}

/// One machine on one line, or on two where `width` leaves no room for its reason.
#[must_use]
pub fn render_machine(machine: &MachineView, width: usize, color: bool) -> String {
    machine_line(machine, (machine.node.as_str().len(), width), Paint(color))
}

fn machine_line(machine: &MachineView, (name_width, width): (usize, usize), paint: Paint) -> String {
    let boot = machine.boot.as_ref();
    let time = match boot {
        Some(boot) if machine.word != NodeWord::Off => format!("{} s", seconds(boot.total_ms)),
        Some(_) | None => String::new(),
    };
    let firmware = boot.and_then(|b| b.firmware).map(firmware_word).unwrap_or_default();
    let head = format!("{:name_width$}  ▕{}▏ ", machine.node, bar(machine));
    let word = format!("{:<8}", machine.word);
    let middle = format!(" {time:>8}   {firmware:<10}  ");
    let used = head.chars().count() + word.chars().count() + middle.chars().count();
    let detail = detail(machine);
    // On a narrow terminal the reason has a line of its own: it is what a person looks for.
    let room = width.saturating_sub(used);
    let detail = if room < DETAIL && !detail.is_empty() {
        format!("\n      {}", cut(&detail, width.saturating_sub(6)))
    } else {
        cut(&detail, room)
    };
    let word = match machine.word {
        NodeWord::Ready => paint.well(&word),
        NodeWord::Bad => paint.broken(&word),
        NodeWord::Degraded | NodeWord::Unknown => paint.doubtful(&word),
        NodeWord::Off | NodeWord::Parked => paint.faint(&word),
        NodeWord::Starting
        | NodeWord::Dhcp
        | NodeWord::Waiting
        | NodeWord::Loader
        | NodeWord::Image
        | NodeWord::Kernel
        | NodeWord::Maintenance
        | NodeWord::Joining
        | NodeWord::Stopping => paint.moving(&word),
    };
    let line = format!("{head}{word}{middle}{detail}");
    line.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

const fn firmware_word(kind: ClientKind) -> &'static str {
    match kind {
        ClientKind::BiosPxe => "BIOS PXE",
        ClientKind::UefiPxe => "UEFI PXE",
        ClientKind::UefiHttp => "UEFI HTTP",
        ClientKind::Ipxe => "iPXE",
        ClientKind::RaspberryPi => "Raspberry Pi",
        ClientKind::UBoot => "U-Boot",
        ClientKind::Agent => "agent",
        ClientKind::Loader => "loader",
        ClientKind::Kexec => "kexec",
        ClientKind::UnknownFirmware => "unknown",
        ClientKind::Other => "other",
    }
}

fn bar(machine: &MachineView) -> String {
    let filled = match machine.word {
        NodeWord::Off | NodeWord::Unknown => 0,
        NodeWord::Starting => 2,
        NodeWord::Stopping => 1,
        NodeWord::Dhcp => 4,
        NodeWord::Waiting | NodeWord::Parked | NodeWord::Loader => 6,
        NodeWord::Image => 7 + image_progress(machine, 4),
        NodeWord::Kernel => 12,
        NodeWord::Maintenance => 13,
        NodeWord::Joining => 14,
        NodeWord::Ready | NodeWord::Degraded => BAR,
        NodeWord::Bad => reached(machine),
    };
    let filled = filled.min(BAR);
    format!("{}{}", "█".repeat(filled), "░".repeat(BAR - filled))
}

/// How far a machine came that was given up.
fn reached(machine: &MachineView) -> usize {
    let last = machine.boot.as_ref().and_then(|b| b.bars.last()).map(|b| b.stage);
    match last {
        None => 1,
        Some(Stage::Power | Stage::Firmware) => 2,
        Some(Stage::Dhcp) => 4,
        Some(Stage::Loader | Stage::Ipxe | Stage::Wait) => 6,
        Some(Stage::Image) => 7 + image_progress(machine, 5),
        Some(Stage::Kernel | Stage::Agent | Stage::Maintenance) => 13,
        Some(Stage::Installing | Stage::Joining) => 14,
    }
}

fn image_progress(machine: &MachineView, parts: u64) -> usize {
    image_bar(machine)
        .and_then(|(done, size)| done.min(size).checked_mul(parts)?.checked_div(size))
        .and_then(|n| usize::try_from(n).ok())
        .unwrap_or(0)
}

fn image_bar(machine: &MachineView) -> Option<(u64, u64)> {
    let bars = &machine.boot.as_ref()?.bars;
    bars.iter().rev().find(|b| b.stage == Stage::Image && b.size > 0).map(|b| (b.bytes, b.size))
}

fn detail(machine: &MachineView) -> String {
    if let (NodeWord::Bad, Some(fault)) = (machine.word, &machine.fault) {
        return format!("{}: {}", fault.code, fault.text);
    }
    if let (NodeWord::Image, Some((done, size))) = (machine.word, image_bar(machine)) {
        let done =
            if size >= 1_000_000 { (done / 1_000_000).to_string() } else { (done / 1_000).to_string() };
        return format!("{done} of {}", bytes(size));
    }
    if let Some(waiting) = &machine.waiting {
        let limit = waiting.until.since(waiting.since);
        let limit = if limit.0 == 0 { String::new() } else { format!(" · limit {}", short(limit)) };
        return format!("waiting: {}{limit}", waiting.what);
    }
    match (machine.word, &machine.boot) {
        (NodeWord::Ready, Some(boot)) => stages(boot),
        (NodeWord::Off | NodeWord::Unknown, _) => machine.power.evidence.clone(),
        _ => machine.fault.as_ref().map(|f| format!("{}: {}", f.code, f.text)).unwrap_or_default(),
    }
}

/// The seconds of a boot in one line: `firmware 2.2 · dhcp 0.0 · …`.
fn stages(boot: &Waterfall) -> String {
    let parts: Vec<String> =
        boot.bars.iter().map(|bar| format!("{} {}", bar.stage, seconds(bar.took_ms))).collect();
    parts.join(" · ")
}

/// Where configs were pushed to, and how surely these machines were known: one line for each level.
fn given(machines: &[Arc<MachineView>]) -> Vec<String> {
    let level = |machine: &Arc<MachineView>| machine.talos.as_ref().and_then(|talos| talos.proof);
    let levels = [Proof::Address, Proof::Place, Proof::Key].into_iter();
    let lines = levels.filter_map(|proof| {
        let to: Vec<_> = machines.iter().filter(|machine| level(machine) == Some(proof)).collect();
        let shown: Vec<String> = to.iter().take(ADDRESSES).map(|machine| machine.ip.to_string()).collect();
        let more = match to.len().saturating_sub(ADDRESSES) {
            0 => String::new(),
            more => format!(" and {}", counted(more, "other")),
        };
        let shown = shown.join(", ");
        (!to.is_empty()).then(|| format!("config given to {shown}{more}, proven by {proof}"))
    });
    lines.collect()
}

/// What is wrong with the segment or the boss, and who asks without being on the board.
fn remarks(picture: &Snapshot, width: usize, paint: Paint) -> Vec<String> {
    let mut lines = Vec::new();
    let room = width.saturating_sub(4);
    if !picture.lab.counter_up {
        lines.push(format!("  {} the boot counter is not connected: no machine can boot", paint.broken("✗")));
    }
    lines.extend(
        given(&picture.machines).iter().map(|text| format!("  {}", paint.faint(&cut(text, room + 2)))),
    );
    for one in &picture.lab.notices {
        let mark = if matches!(one, Notice::LedgerWell) { paint.well("✓") } else { paint.doubtful("!") };
        lines.push(format!("  {mark} {}", cut(&notice(one), room)));
    }
    let strangers = &picture.lab.strangers;
    for stranger in strangers.iter().rev().take(4) {
        let ago = short(picture.at.since_start.since(stranger.seen.since_start));
        let text = format!("{} is not on the board ({}, seen {ago} ago)", stranger.mac, stranger.client);
        lines.push(format!("  {} {}", paint.doubtful("?"), cut(&text, room)));
    }
    if strangers.len() > 4 {
        lines.push(format!("  … and {} more", counted(strangers.len() - 4, "stranger")));
    }
    lines
}
