//! The boot table: what the counter answers each machine, decided beforehand and published whole.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, Ipv6Addr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    AgentOrder, Digest, DiskBoot, GuestWish, LabName, LoaderChoice, MacAddr, NetworkSpec, NodeName, WipeOrder,
};

/// A file that can be served, named by its content.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Asset {
    /// File name for people and logs.
    pub name: String,
    /// What is in it.
    pub digest: Digest,
    /// Size in bytes.
    pub size: u64,
}

/// What can be booted: at least a kernel or a UKI.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Image {
    /// Kernel for loaders that take a command line.
    pub kernel: Option<Asset>,
    /// Initramfs files, in order.
    pub initrd: Vec<Asset>,
    /// The same as one EFI program, for firmware that boots over HTTP by itself.
    pub uki: Option<Asset>,
    /// Kernel arguments of the image.
    pub args: String,
    /// True when our agent is inside and will report.
    pub agent: bool,
}

impl Image {
    /// What an EFI loader takes of it, in order: kernel and initramfs, or the UKI; nothing where there is neither.
    pub fn for_efi(&self) -> impl Iterator<Item = &Asset> {
        // iPXE's own form of a BIOS program is no EFI program.
        let kernel = self.kernel.as_ref().filter(|kernel| !kernel.name.ends_with(".lkrn"));
        let initrd = if kernel.is_some() { self.initrd.as_slice() } else { &[] };
        kernel.or(self.uki.as_ref()).into_iter().chain(initrd)
    }

    /// True for a machine that boots its own disk: there is nothing to take.
    #[must_use]
    pub const fn is_disk(&self) -> bool {
        self.kernel.is_none() && self.uki.is_none()
    }
}

/// What one machine is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum BootAnswer {
    /// Nothing is decided: a loader that asks and waits.
    Wait {
        /// Seconds until it asks again.
        retry_seconds: u16,
    },
    /// Boot this.
    Run {
        /// The image.
        image: Arc<Image>,
        /// Arguments of this machine, after the image's own.
        args: String,
    },
    /// Boot your own disk.
    Disk {
        /// How.
        how: DiskBoot,
    },
}

/// One line of the boot table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BootEntry {
    /// Which node.
    pub node: NodeName,
    /// Its Ethernet address.
    pub mac: MacAddr,
    /// Its reserved address.
    #[schemars(with = "String")]
    pub ip: Ipv4Addr,
    /// Its reserved IPv6 address, where the lab has IPv6.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub ip6: Option<Ipv6Addr>,
    /// A further name that leads to it, whole: the control plane's, where it is part of one.
    #[serde(default)]
    pub also: Option<String>,
    /// Run of the scenario this answer belongs to; 0 before the first.
    pub run: u32,
    /// Number of the boot this answer belongs to.
    pub boot: u32,
    /// What it is answered.
    pub answer: BootAnswer,
    /// Why, in words a console can show.
    pub because: String,
    /// What its agent is told with the next heartbeat.
    pub order: AgentOrder,
    /// What its agent shall run, where it is a hypervisor of the run.
    #[serde(default)]
    pub guests: Option<Arc<Vec<GuestWish>>>,
    /// What it can fetch below its own address, by name. Whoever is on the segment can read it.
    #[serde(default)]
    pub files: Arc<BTreeMap<String, Asset>>,
    /// Set while the answer installs: once its image was taken whole, the machine boots its disk, also
    /// when no core is there to say so.
    #[serde(default)]
    pub install: Option<InstallTicket>,
    /// True when Talos is to fetch its config: its kernel line gets a word that is good for this boot alone.
    #[serde(default)]
    pub pulls: bool,
    /// A disk that its agent is to wipe: for the boot that it names alone, as a claim of the ledger.
    #[serde(default)]
    pub wipe: Option<WipeOrder>,
    /// What its firmware is given to boot from the network.
    #[serde(default)]
    pub loader: LoaderChoice,
    /// When our loader, waiting, switches its machine off by itself: milliseconds of the boss's `CLOCK_BOOTTIME`.
    #[serde(default)]
    pub off_at: Option<u64>,
    /// True where its agent shall leave the run and wait in memory, until [`off_at`](Self::off_at).
    #[serde(default)]
    pub parks: bool,
    /// Digests of the image with which it was ready last, as [`Image::for_efi`] has them: what it may start where no
    /// controller answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub good: Vec<Digest>,
}

/// One installation of one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InstallTicket {
    /// Counts what was asked for: another number means that a person asked again.
    pub number: u32,
    /// How the disk is booted afterwards.
    pub then: DiskBoot,
}

/// Everything the counter needs to answer the lab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BootTable {
    /// Counts up with each publication of a core.
    pub number: u64,
    /// Which lab.
    pub lab: LabName,
    /// Addresses to give out.
    pub network: NetworkSpec,
    /// One line per node of the board, by name. Shared, so that a change copies one.
    pub nodes: Vec<Arc<BootEntry>>,
}

/// The lines of a boot table that are not as they were: a fleet's table is too large to be sent for each
/// machine that boots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TableChange {
    /// Number of the table it changes.
    pub after: u64,
    /// Number of the table it leads to.
    pub number: u64,
    /// The lines that are new, by name; each takes the place of its node's old one.
    pub nodes: Vec<Arc<BootEntry>>,
}

impl BootTable {
    /// What leads from `before` to this table; `None` when lines alone cannot.
    #[must_use]
    pub fn change_from(&self, before: &Self) -> Option<TableChange> {
        let same_nodes = before.nodes.len() == self.nodes.len();
        if before.lab != self.lab || before.network != self.network || !same_nodes {
            return None;
        }
        let mut nodes = Vec::new();
        for (old, new) in before.nodes.iter().zip(&self.nodes) {
            if Arc::ptr_eq(old, new) {
                continue;
            }
            if old.node != new.node {
                return None;
            }
            if old != new {
                nodes.push(Arc::clone(new));
            }
        }
        Some(TableChange { after: before.number, number: self.number, nodes })
    }

    /// This table with a change; `None` when the change belongs to another one.
    #[must_use]
    pub fn changed(&self, change: &TableChange) -> Option<Self> {
        if change.after != self.number {
            return None;
        }
        let mut table = self.clone();
        table.number = change.number;
        for entry in &change.nodes {
            let at = table.nodes.binary_search_by(|old| old.node.cmp(&entry.node)).ok()?;
            *table.nodes.get_mut(at)? = Arc::clone(entry);
        }
        Some(table)
    }

    /// Lets lines that boot the same image share it, as they did before they were sent.
    pub fn share_images(&mut self) {
        let mut known: Vec<Arc<Image>> = Vec::new();
        self.nodes.iter_mut().for_each(|entry| share_image(entry, &mut known));
    }
}

impl TableChange {
    /// As [`BootTable::share_images`].
    pub fn share_images(&mut self) {
        let mut known: Vec<Arc<Image>> = Vec::new();
        self.nodes.iter_mut().for_each(|entry| share_image(entry, &mut known));
    }
}

fn share_image(entry: &mut Arc<BootEntry>, known: &mut Vec<Arc<Image>>) {
    if let BootAnswer::Run { image, .. } = &mut Arc::make_mut(entry).answer {
        match known.iter().find(|old| **old == *image) {
            Some(old) => *image = Arc::clone(old),
            None => known.push(Arc::clone(image)),
        }
    }
}
