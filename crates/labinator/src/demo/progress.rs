//! What a person at the terminal sees of a snapshot: one line a machine, and what has become of the lab.

use model::{
    ClientKind, ImageRef, LabSpec, MachineView, NodeWord, Phase, Snapshot, Span, VirtualFirmware, Waterfall,
};

use crate::image::SIMULATED_TALOS;

/// Width of a machine's bar in characters.
const BAR: usize = 15;

/// What has become of the lab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Enough machines are ready, this long after the start.
    Ready(Span),
    /// Too few can become ready.
    Failed(String),
}

/// The lab's fate, once there is one.
#[must_use]
pub fn verdict(snapshot: &Snapshot) -> Option<Verdict> {
    let lab = &snapshot.lab;
    match lab.phase {
        Phase::Ready => {
            let began = lab.run_since.map_or(lab.phase_since, |began| began);
            Some(Verdict::Ready(lab.phase_since.since_start.since(began.since_start)))
        }
        Phase::Failed => Some(Verdict::Failed(lab.phase_because.clone())),
        Phase::Idle | Phase::PoweringDown | Phase::Booting | Phase::Degraded | Phase::Stopping => None,
    }
}

/// What is said before anything moves.
#[must_use]
pub fn banner(spec: &LabSpec, scenario: &str, link: Option<&str>) -> Vec<String> {
    let nodes: Vec<_> = spec.board.nodes.values().filter(|node| node.guest.is_none()).collect();
    let count = |wanted| nodes.iter().filter(|node| node.firmware == Some(wanted)).count();
    let kinds = [
        (count(VirtualFirmware::Bios), "BIOS"),
        (count(VirtualFirmware::UefiPxe), "UEFI PXE"),
        (count(VirtualFirmware::UefiHttp), "UEFI HTTP"),
    ];
    let kinds: Vec<_> = kinds.iter().filter(|(n, _)| *n > 0).map(|(n, kind)| format!("{n} {kind}")).collect();
    let mut zones: Vec<_> = nodes.iter().filter_map(|node| node.zone).collect();
    zones.sort_unstable();
    zones.dedup();
    let lab = format!(
        "  lab        {} · {} · {} · firmware: {}",
        spec.lab,
        counted(nodes.len(), "node"),
        counted(zones.len(), "zone"),
        kinds.join(", ")
    );
    let page = link.map(|link| format!("  page       {link}"));
    page.into_iter().chain([lab]).chain(cluster(spec, scenario)).chain(guests(spec, scenario)).collect()
}

/// What the scenario becomes, where it is a cluster, and on which Talos.
fn cluster(spec: &LabSpec, scenario: &str) -> Option<String> {
    let (name, scenario) = spec.scenarios.iter().find(|(name, _)| name.as_str() == scenario)?;
    let talos = scenario.talos.as_ref()?;
    let workers = scenario.members().count().saturating_sub(talos.control_plane.len());
    let which = match &scenario.image {
        ImageRef::Named(image) if image == SIMULATED_TALOS => {
            "simulated, and so is its Kubernetes".to_owned()
        }
        ImageRef::Named(image) => format!("image {image}"),
        ImageRef::Files { kernel, .. } => format!("genuine, {}", kernel.as_deref().unwrap_or_default()),
    };
    Some(format!(
        "  cluster    {name} · {} · {} · Talos {}: {which}",
        counted(talos.control_plane.len(), "control plane"),
        counted(workers, "worker"),
        talos.version
    ))
}

/// What the scenario's machines run, where they run guests.
fn guests(spec: &LabSpec, scenario: &str) -> Option<String> {
    let (_, scenario) = spec.scenarios.iter().find(|(name, _)| name.as_str() == scenario)?;
    let memory = scenario.guests.values().next()?.memory.0;
    Some(format!(
        "  guests     {} of {memory} MiB in {}: emulated in what is emulated, which takes minutes",
        counted(scenario.guests.len(), "guest"),
        counted(scenario.hypervisors.len(), "hypervisor"),
    ))
}

fn counted(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// The table: a line a machine, then one for the lab. No line is longer than `width` characters.
#[must_use]
pub fn rows(snapshot: &Snapshot, width: usize) -> Vec<String> {
    let names = snapshot.machines.iter().map(|m| m.node.as_str().len()).max().unwrap_or(0);
    let mut lines: Vec<String> = snapshot.machines.iter().map(|m| row(m, snapshot, names)).collect();
    lines.push(foot(snapshot));
    lines.iter().map(|line| cut(line, width)).collect()
}

fn row(machine: &MachineView, snapshot: &Snapshot, names: usize) -> String {
    let boot = machine.boot.as_ref();
    let firmware = boot.and_then(|boot| boot.firmware).map(firmware).unwrap_or_default();
    let took = boot.map(|boot| Span(boot.total_ms).to_string()).unwrap_or_default();
    let text = format!(
        "  {:<names$}  ▕{}▏ {:<8} {took:>9}   {firmware:<10}  {}",
        machine.node.as_str(),
        bar(machine),
        machine.word.to_string(),
        detail(machine, snapshot),
    );
    text.trim_end().to_owned()
}

/// QEMU's BIOS machines speak to us through their card's ROM, which is iPXE.
fn firmware(kind: ClientKind) -> String {
    match kind {
        ClientKind::Ipxe => "BIOS iPXE".to_owned(),
        other => other.to_string(),
    }
}

fn bar(machine: &MachineView) -> String {
    let moved = machine.boot.as_ref().and_then(moving).unwrap_or((0, 0));
    let filled = match machine.word {
        NodeWord::Off | NodeWord::Unknown => 0,
        NodeWord::Starting => 2,
        NodeWord::Dhcp => 4,
        NodeWord::Loader | NodeWord::Waiting | NodeWord::Parked => 5,
        // From 6 to 12, by bytes.
        NodeWord::Image => 6 + share(moved, 6),
        NodeWord::Kernel => 13,
        NodeWord::Maintenance => 14,
        NodeWord::Joining => 15,
        NodeWord::Ready | NodeWord::Degraded | NodeWord::Stopping | NodeWord::Bad => BAR,
    };
    let (full, empty) = match machine.word {
        NodeWord::Bad => ("×", "×"),
        NodeWord::Degraded | NodeWord::Stopping => ("▒", "░"),
        NodeWord::Off
        | NodeWord::Starting
        | NodeWord::Dhcp
        | NodeWord::Waiting
        | NodeWord::Parked
        | NodeWord::Loader
        | NodeWord::Image
        | NodeWord::Kernel
        | NodeWord::Maintenance
        | NodeWord::Joining
        | NodeWord::Ready
        | NodeWord::Unknown => ("█", "░"),
    };
    full.repeat(filled) + &empty.repeat(BAR.saturating_sub(filled))
}

fn share((bytes, size): (u64, u64), of: usize) -> usize {
    let wide = u64::try_from(of).unwrap_or(0).saturating_mul(bytes.min(size));
    usize::try_from(wide.checked_div(size).unwrap_or(0)).unwrap_or(of)
}

/// Bytes of the bar that is still open, where bytes move in it.
fn moving(boot: &Waterfall) -> Option<(u64, u64)> {
    boot.bars.iter().rev().find(|bar| bar.open && bar.size > 0).map(|bar| (bar.bytes, bar.size))
}

fn detail(machine: &MachineView, snapshot: &Snapshot) -> String {
    if let (NodeWord::Bad, Some(fault)) = (machine.word, &machine.fault) {
        return fault.text.clone();
    }
    let boot = machine.boot.as_ref();
    if machine.word == NodeWord::Image
        && let Some((bytes, size)) = boot.and_then(moving)
    {
        return format!("{} of {} MB", bytes / 1_000_000, size / 1_000_000);
    }
    if machine.word == NodeWord::Ready {
        let bars = boot.map(|boot| boot.bars.as_slice()).unwrap_or_default();
        let parts: Vec<_> = bars.iter().map(|bar| format!("{} {}", bar.stage, tenths(bar.took_ms))).collect();
        return parts.join(" · ");
    }
    machine.waiting.as_ref().map_or_else(String::new, |waiting| {
        let left = waiting.until.since(snapshot.at.since_start);
        format!("waiting: {} · limit in {} s", waiting.what, left.0.div_ceil(1000))
    })
}

fn tenths(ms: u64) -> String {
    format!("{}.{}", ms / 1000, ms % 1000 / 100)
}

fn foot(snapshot: &Snapshot) -> String {
    let lab = &snapshot.lab;
    match verdict(snapshot) {
        Some(Verdict::Ready(took)) => format!("  Ready in {took}."),
        Some(Verdict::Failed(why)) => format!("  Failed: {why}"),
        None => {
            let ready = snapshot.machines.iter().filter(|m| m.word == NodeWord::Ready).count();
            let began = lab.run_since.unwrap_or(snapshot.at).since_start;
            let took = snapshot.at.since_start.since(began);
            format!("  {} · {ready} of {} ready · {took}", lab.phase, snapshot.machines.len())
        }
    }
}

/// Cuts a line that would wrap: a wrapped line breaks drawing over.
fn cut(line: &str, width: usize) -> String {
    if line.chars().count() <= width {
        return line.to_owned();
    }
    line.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}
