//! The words of stories about wiping disks. Each machine that has some has `sda`, with its name as serial.

use std::sync::Arc;

use lifecycle::Request;
use model::{
    AgentBeat, AgentReport, Digest, Disk, DiskLabel, Inventory, LabelState, NodeName, Origin, Sight,
    WipeMethod, WipeReport, WipeState, WipeTold,
};

use crate::telling::{Teller, number, text};

fn count32(word: &str) -> Result<u32, String> {
    u32::try_from(number(word)?).map_err(text)
}

fn digest(serial: &str) -> Digest {
    let mut bytes = [0; 32];
    for (byte, letter) in bytes.iter_mut().zip(serial.bytes()) {
        *byte = letter;
    }
    Digest(bytes)
}

fn disk(name: &str, node: &NodeName) -> Disk {
    let serial = format!("{node}-{name}");
    Disk {
        name: name.to_owned(),
        model: "SSD".to_owned(),
        digest: Some(digest(&serial)),
        serial,
        bytes: 256_000_000_000,
        label: None,
        used: None,
    }
}

/// A report that tells of disks: `[with DISK ..] [labelled LAB begun|wiped] [used WHY]`, the last two about the first.
fn told_of(node: &NodeName, rest: &[&str]) -> Result<Vec<Disk>, String> {
    let mut disks: Vec<Disk> = Vec::new();
    let mut rest = rest;
    while let [word, more @ ..] = rest {
        rest = match (*word, more) {
            ("labelled", [lab, state, more @ ..]) => {
                let state = if *state == "begun" { LabelState::Begun } else { LabelState::Wiped };
                let label =
                    DiskLabel { lab: lab.parse().map_err(text)?, node: node.clone(), number: 1, state };
                disks.first_mut().ok_or("no disk was named before")?.label = Some(label);
                more
            }
            ("used", why) => {
                disks.first_mut().ok_or("no disk was named before")?.used = Some(why.join(" "));
                &[]
            }
            (name, more) => {
                disks.push(disk(name, node));
                more
            }
        };
    }
    Ok(disks)
}

impl Teller {
    /// A person asks for a wipe: `wipe NODE [DISK] [confirm WORD]`.
    pub(crate) fn wipes(&mut self, node: &str, rest: &[&str]) -> Result<(), String> {
        let owned = |word: &str| Some(word.to_owned());
        let (disk, confirm) = match rest {
            [] => (None, None),
            [disk] => (owned(disk), None),
            ["confirm", word] => (None, owned(word)),
            [disk, "confirm", word] => (owned(disk), owned(word)),
            _ => return Err("`wipe NODE [DISK] [confirm WORD]`".to_owned()),
        };
        self.request(&Request::Wipe { node: node.to_owned(), disk, confirm, by: Origin::Cli })
    }

    /// What a machine and its agent do about wipes; `None` when the words are about something else.
    pub(crate) fn wiping(&mut self, node: &NodeName, words: &[&str]) -> Option<Result<(), String>> {
        Some(match words {
            ["reports", boot, "with", disks @ ..] => self.reports_disks(node, boot, disks),
            ["is", "given", "wipe", count, "as", boot] => count32(count)
                .and_then(|number| self.see(node, Sight::WipeGiven { number, boot_id: (*boot).to_owned() })),
            ["wipes", count, percent] => number(percent).and_then(|done| {
                let step = "overwriting headers".to_owned();
                self.tells_of_wipe(node, count, WipeState::Wiping { step, done, of: 100 })
            }),
            ["wiped", count] => {
                let report = WipeReport {
                    method: WipeMethod::Discard,
                    passed_over: Vec::new(),
                    overwritten: 16_000_000,
                    places: 50,
                    samples: 4096,
                    took_ms: 7000,
                };
                self.tells_of_wipe(node, count, WipeState::Wiped { report })
            }
            ["fails", "wipe", count, why @ ..] => {
                self.tells_of_wipe(node, count, WipeState::Failed { touched: true, why: why.join(" ") })
            }
            _ => return None,
        })
    }

    fn reports_disks(&mut self, node: &NodeName, boot: &str, disks: &[&str]) -> Result<(), String> {
        let disks = told_of(node, disks)?;
        let spec = self.world.lab.node(node).ok_or("no such machine")?;
        let report = AgentReport {
            mac: spec.mac,
            boot_id: boot.to_owned(),
            nonce: Some("word".to_owned()),
            key: None,
            build: None,
            kexec: None,
            address: Some(spec.ip.into()),
            version: "0.1.0".to_owned(),
            kernel: "6.12.0".to_owned(),
            uptime_ms: 900,
            inventory: Inventory { disks, ..Inventory::default() },
        };
        self.agents.insert(node.clone(), boot.to_owned());
        self.see(node, Sight::Agent { report: Arc::new(report) })
    }

    /// Its agent is heard, and tells this.
    fn tells_of_wipe(&mut self, node: &NodeName, count: &str, state: WipeState) -> Result<(), String> {
        let boot_id = self.agents.get(node).ok_or("its agent is not alive")?.clone();
        let mac = self.world.lab.node(node).ok_or("no such machine")?.mac;
        let wipe = Some(WipeTold { number: count32(count)?, state });
        let beat = AgentBeat {
            mac,
            boot_id,
            uptime_ms: 0,
            load_milli: 0,
            memory_available_mib: 400,
            wipe,
            ..AgentBeat::default()
        };
        self.see(node, Sight::Beat { beat })
    }

    /// What its agent is ordered to wipe: `none`, or `NUMBER DISK as BOOT`.
    pub(crate) fn order_to_wipe(&self, node: &NodeName) -> Result<String, String> {
        let machine = self.world.lab.machines.get(node).ok_or("no such machine")?;
        let entry = lifecycle::boot_entry(&self.world.lab, machine).ok_or("it has no answer")?;
        Ok(entry.wipe.map_or_else(
            || "none".to_owned(),
            |order| format!("{} {} as {}", order.number, order.disk.name, order.boot_id),
        ))
    }
}
