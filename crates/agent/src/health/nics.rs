//! Network ports: link, interrupts and steering by `/sys` and `/proc`, the rest by [`ethtool`].

use std::collections::BTreeSet;
use std::path::Path;

use model::{HEALTH_EACH, IrqPlace, NicHealth};

use super::{entries, ethtool, tables, text, word};

/// Queues of one port that are looked at.
const QUEUES: usize = 64;
/// Interrupts of one port that are looked at.
const IRQS: usize = 256;

/// The ports with hardware behind them.
pub(super) fn read(root: &Path) -> Vec<NicHealth> {
    let interrupts = tables::interrupts(&text(&root.join("proc/interrupts")));
    entries(&root.join("sys/class/net"))
        .into_iter()
        .filter(|(_, path)| path.join("device").exists())
        .take(HEALTH_EACH)
        .map(|(name, path)| port(root, name, &path, &interrupts))
        .collect()
}

fn port(root: &Path, name: String, path: &Path, interrupts: &[tables::Interrupt]) -> NicHealth {
    let driver = std::fs::read_link(path.join("device/driver")).ok();
    let driver = driver.as_deref().and_then(Path::file_name).and_then(|name| name.to_str());
    let link = word(path, "carrier") == "1";
    // A folder of another machine has nobody to ask.
    let asked = if root == Path::new("/") { ethtool::ask(&name) } else { ethtool::Told::default() };
    let numbers = irqs_of(path, &name, interrupts);
    let place = |irq: &u32| IrqPlace { irq: *irq, cpus: affinity(root, *irq) };
    NicHealth {
        driver: driver.unwrap_or_default().to_owned(),
        link,
        // Without a link the kernel says -1 or refuses to read.
        speed_mbps: word(path, "speed").parse().ok().filter(|mbps| link && *mbps > 0),
        full_duplex: match word(path, "duplex").as_str() {
            "full" => Some(true),
            "half" => Some(false),
            _ => None,
        },
        fastest_mbps: asked.fastest_mbps,
        peer_mbps: asked.peer_mbps,
        offloads: asked.offloads,
        errors: ["rx_errors", "tx_errors"]
            .into_iter()
            .filter_map(|name| word(&path.join("statistics"), name).parse::<u64>().ok())
            .fold(0, u64::saturating_add),
        irqs: numbers.iter().take(HEALTH_EACH).map(place).collect(),
        rps: steering(path),
        name,
    }
}

/// The interrupts of a port whose folder in `/sys/class/net` this is, by number. They belong to the device, or to the
/// one above it: virtio's to the PCI function, those of a USB adapter to its host controller, which serves all that is
/// plugged in there. Devices of a chip tell none there, but are named in `/proc/interrupts`.
#[must_use]
pub fn irqs_of(path: &Path, name: &str, interrupts: &[tables::Interrupt]) -> BTreeSet<u32> {
    let device = std::fs::canonicalize(path.join("device")).unwrap_or_default();
    let above = device.ancestors().take_while(|folder| !folder.ends_with("devices"));
    let own: BTreeSet<u32> = above.map(irqs_at).find(|irqs| !irqs.is_empty()).unwrap_or_default();
    if !own.is_empty() {
        return own.into_iter().take(IRQS).collect();
    }
    let device = device.file_name().and_then(|name| name.to_str());
    let is_own = |word: &str| {
        let queue = |rest: &str| rest.is_empty() || rest.starts_with(['-', '.', ':', '@']);
        [Some(name), device].into_iter().flatten().any(|of| word.strip_prefix(of).is_some_and(queue))
    };
    let named = interrupts.iter().filter(|interrupt| interrupt.names.split([' ', ',']).any(is_own));
    named.map(|interrupt| interrupt.irq).take(IRQS).collect()
}

/// Message-signalled interrupts of a device, else its line.
fn irqs_at(folder: &Path) -> BTreeSet<u32> {
    let signalled: BTreeSet<u32> =
        entries(&folder.join("msi_irqs")).into_iter().filter_map(|(irq, _)| irq.parse().ok()).collect();
    let line = || word(folder, "irq").parse().ok().filter(|irq| *irq > 0);
    if signalled.is_empty() { line().into_iter().collect() } else { signalled }
}

/// Kernels before 4.13 say only where it may be served, not where it is.
fn affinity(root: &Path, irq: u32) -> String {
    let folder = root.join(format!("proc/irq/{irq}"));
    let told = ["effective_affinity_list", "smp_affinity_list"].into_iter().map(|file| word(&folder, file));
    told.into_iter().find(|list| !list.is_empty()).unwrap_or_default()
}

fn steering(path: &Path) -> String {
    let queues = entries(&path.join("queues")).into_iter().filter(|(name, _)| name.starts_with("rx-"));
    let cpus: Vec<u32> =
        queues.take(QUEUES).flat_map(|(_, queue)| tables::cpu_mask(&word(&queue, "rps_cpus"))).collect();
    tables::list_of(&cpus)
}
