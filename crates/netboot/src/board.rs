//! The boot table as the sockets look things up in it: by Ethernet address, by IP address, by content.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use model::{
    Asset, BootAnswer, BootEntry, BootTable, Digest, FileRole, Image, Ipv6Spec, MacAddr, NetworkSpec,
    TableChange,
};

use crate::counter::Over;

/// A published boot table with its indices. Never changed: the next one replaces it whole, and shares with it
/// what is as it was.
#[derive(Debug)]
pub struct Board {
    table: BootTable,
    places: Arc<Places>,
    roles: Arc<HashMap<Digest, FileRole>>,
}

/// Which line of the table belongs to which address.
#[derive(Debug)]
struct Places {
    by_mac: HashMap<MacAddr, usize>,
    by_ip: HashMap<IpAddr, usize>,
}

impl Places {
    fn of(table: &BootTable) -> Self {
        let mut by_mac = HashMap::with_capacity(table.nodes.len());
        let mut by_ip = HashMap::with_capacity(table.nodes.len());
        for (index, entry) in table.nodes.iter().enumerate() {
            by_mac.insert(entry.mac, index);
            by_ip.insert(IpAddr::V4(entry.ip), index);
            if let Some(six) = entry.ip6 {
                by_ip.insert(IpAddr::V6(six), index);
            }
        }
        Self { by_mac, by_ip }
    }
}

impl Board {
    /// Indexes a table.
    #[must_use]
    pub fn new(table: BootTable) -> Self {
        let mut roles = HashMap::new();
        note_roles(&mut roles, &table.nodes);
        Self { places: Arc::new(Places::of(&table)), roles: Arc::new(roles), table }
    }

    /// This board with a change; `None` when the change belongs to another table.
    #[must_use]
    pub fn changed(&self, change: &TableChange) -> Option<Self> {
        let table = self.table.changed(change)?;
        let moved = change.nodes.iter().any(|entry| {
            self.entry(entry.mac)
                .is_none_or(|old| old.node != entry.node || old.ip != entry.ip || old.ip6 != entry.ip6)
        });
        let places = if moved { Arc::new(Places::of(&table)) } else { Arc::clone(&self.places) };
        let mut roles = Arc::clone(&self.roles);
        let unknown = |asset: &Asset| !self.roles.contains_key(&asset.digest);
        let news = |entry: &Arc<BootEntry>| {
            image(entry).is_some_and(|image| assets(image).any(|(asset, _)| unknown(asset)))
                || entry.files.values().any(unknown)
        };
        if change.nodes.iter().any(news) {
            note_roles(Arc::make_mut(&mut roles), &change.nodes);
        }
        Some(Self { table, places, roles })
    }

    /// The table itself.
    #[must_use]
    pub fn table(&self) -> &BootTable {
        &self.table
    }

    /// True when the same machines have the same addresses as on `other`, in the same network.
    #[must_use]
    pub fn places_like(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.places, &other.places) && self.table.network == other.table.network
    }

    /// The line of the machine with this Ethernet address.
    #[must_use]
    pub fn entry(&self, mac: MacAddr) -> Option<&BootEntry> {
        self.line(self.places.by_mac.get(&mac))
    }

    /// The line of the machine this address is reserved for.
    #[must_use]
    pub fn entry_by_ip(&self, address: IpAddr) -> Option<&BootEntry> {
        self.line(self.places.by_ip.get(&address))
    }

    fn line(&self, index: Option<&usize>) -> Option<&BootEntry> {
        index.and_then(|index| self.table.nodes.get(*index)).map(Arc::as_ref)
    }

    /// The boss as a machine reaches it that came with this protocol.
    pub(crate) fn boss_over(&self, over: Over) -> IpAddr {
        let network = &self.table().network;
        match (over, &network.ipv6) {
            (Over::Six, Some(six)) => six.boss.into(),
            (Over::Six, None) | (Over::Four, _) => network.boss.into(),
        }
    }

    /// What this content is for, in the images that are being booted.
    #[must_use]
    pub fn role(&self, digest: Digest) -> FileRole {
        self.roles.get(&digest).copied().unwrap_or(FileRole::Other)
    }

    /// True when a machine that has this content has its whole image: nothing else of it is fetched before it runs.
    #[must_use]
    pub fn completes(&self, entry: &BootEntry, digest: Digest) -> bool {
        image(entry).is_some_and(|image| {
            let last = image.initrd.last().or(image.kernel.as_ref());
            last.is_some_and(|asset| asset.digest == digest)
                || image.uki.as_ref().is_some_and(|asset| asset.digest == digest)
        })
    }
}

/// Where machines of the lab are. Names and time are served there only.
#[derive(Debug, Clone)]
pub(crate) struct Reach {
    /// Subnets of IPv4 as network and mask: the lab's own, and those behind relays.
    four: Vec<(u32, u32)>,
    six: Option<Ipv6Spec>,
}

impl Reach {
    pub(crate) fn of(network: &NetworkSpec) -> Self {
        Self { four: subnets(network), six: network.ipv6.clone() }
    }

    /// True for an address of the lab, and for this machine's own.
    pub(crate) fn holds(&self, from: IpAddr) -> bool {
        match from.to_canonical() {
            IpAddr::V4(from) => {
                from.is_loopback() || self.four.iter().any(|(net, mask)| from.to_bits() & mask == *net)
            }
            IpAddr::V6(from) => from.is_loopback() || self.six.as_ref().is_some_and(|six| six.holds(from)),
        }
    }
}

fn subnets(network: &NetworkSpec) -> Vec<(u32, u32)> {
    let own = (network.boss.to_bits() & network.mask().to_bits(), network.mask().to_bits());
    let behind = network.relays.iter().map(|relayed| {
        let host_bits = 32_u32.saturating_sub(u32::from(relayed.prefix));
        let mask = u32::MAX.checked_shl(host_bits).unwrap_or(0);
        (relayed.subnet.to_bits() & mask, mask)
    });
    std::iter::once(own).chain(behind).collect()
}

fn image(entry: &BootEntry) -> Option<&Arc<Image>> {
    match &entry.answer {
        BootAnswer::Run { image, .. } => Some(image),
        BootAnswer::Wait { .. } | BootAnswer::Disk { .. } => None,
    }
}

fn assets(image: &Image) -> impl Iterator<Item = (&Asset, FileRole)> {
    // A kernel that has no initramfs is the whole image.
    let role = if image.initrd.is_empty() { FileRole::Uki } else { FileRole::Kernel };
    let kernel = image.kernel.iter().map(move |asset| (asset, role));
    let initrd = image.initrd.iter().map(|asset| (asset, FileRole::Initrd));
    let uki = image.uki.iter().map(|asset| (asset, FileRole::Uki));
    kernel.chain(initrd).chain(uki)
}

fn note_roles(roles: &mut HashMap<Digest, FileRole>, nodes: &[Arc<BootEntry>]) {
    // The lines of a run share their image: each is looked at once.
    let mut last: Option<&Arc<Image>> = None;
    for entry in nodes {
        for asset in entry.files.values() {
            roles.entry(asset.digest).or_insert(FileRole::Seed);
        }
        if let Some(image) = image(entry)
            && !last.is_some_and(|last| Arc::ptr_eq(last, image))
        {
            roles.extend(assets(image).map(|(asset, role)| (asset.digest, role)));
            last = Some(image);
        }
    }
}
