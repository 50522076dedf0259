//! The boot table as the sockets look things up in it: by Ethernet address, by IP address, by content.

use std::collections::HashMap;
use std::net::IpAddr;

use model::{Asset, BootAnswer, BootEntry, BootTable, Digest, FileRole, Image, MacAddr};

/// A published boot table with its indices. Never changed: the next one replaces it whole.
#[derive(Debug)]
pub struct Board {
    table: BootTable,
    by_mac: HashMap<MacAddr, usize>,
    by_ip: HashMap<IpAddr, usize>,
    roles: HashMap<Digest, FileRole>,
}

impl Board {
    /// Indexes a table.
    #[must_use]
    pub fn new(table: BootTable) -> Self {
        let mut by_mac = HashMap::with_capacity(table.nodes.len());
        let mut by_ip = HashMap::with_capacity(table.nodes.len());
        let mut roles = HashMap::new();
        for (index, entry) in table.nodes.iter().enumerate() {
            by_mac.insert(entry.mac, index);
            by_ip.insert(IpAddr::V4(entry.ip), index);
            if let Some(six) = entry.ip6 {
                by_ip.insert(IpAddr::V6(six), index);
            }
            for asset in entry.files.values() {
                roles.entry(asset.digest).or_insert(FileRole::Seed);
            }
            if let BootAnswer::Run { image, .. } = &entry.answer {
                note_roles(&mut roles, image);
            }
        }
        Self { table, by_mac, by_ip, roles }
    }

    /// The table itself.
    #[must_use]
    pub fn table(&self) -> &BootTable {
        &self.table
    }

    /// The line of the machine with this Ethernet address.
    #[must_use]
    pub fn entry(&self, mac: MacAddr) -> Option<&BootEntry> {
        self.by_mac.get(&mac).and_then(|index| self.table.nodes.get(*index))
    }

    /// The line of the machine this address is reserved for.
    #[must_use]
    pub fn entry_by_ip(&self, address: IpAddr) -> Option<&BootEntry> {
        self.by_ip.get(&address).and_then(|index| self.table.nodes.get(*index))
    }

    /// What this content is for, in the images that are being booted.
    #[must_use]
    pub fn role(&self, digest: Digest) -> FileRole {
        self.roles.get(&digest).copied().unwrap_or(FileRole::Other)
    }
}

fn note_roles(roles: &mut HashMap<Digest, FileRole>, image: &Image) {
    let mut note = |asset: &Asset, role| roles.insert(asset.digest, role);
    if let Some(kernel) = &image.kernel {
        // A kernel that has no initramfs is the whole image.
        note(kernel, if image.initrd.is_empty() { FileRole::Uki } else { FileRole::Kernel });
    }
    for initrd in &image.initrd {
        note(initrd, FileRole::Initrd);
    }
    if let Some(uki) = &image.uki {
        note(uki, FileRole::Uki);
    }
}
