//! TFTP from the side: requests, what was agreed, and how far the blocks came.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

use model::{Carrier, FileRole, MacAddr, Sight};
use wire::tftp;

use super::MOST;
use super::glance::Datagram;

#[derive(Debug)]
struct Transfer {
    mac: MacAddr,
    name: String,
    size: u64,
    block: u64,
    /// Blocks sent, counted over the wrap of their numbers; the last one ever, and those sent again.
    furthest: u64,
    repeats: u32,
    /// The length of the last block, once it was sent.
    last: Option<u64>,
    begun: bool,
}

/// Transfers by the client's address: it takes a port of its own for each.
#[derive(Debug, Default)]
pub(super) struct Files {
    transfers: BTreeMap<SocketAddrV4, Transfer>,
    /// Sizes that probes were told: the request that follows often does not ask again.
    sizes: BTreeMap<(MacAddr, String), u64>,
}

impl Files {
    pub(super) fn take(
        &mut self,
        udp: &Datagram<'_>,
        holder: impl Fn(Ipv4Addr) -> Option<MacAddr>,
    ) -> Option<(MacAddr, Sight)> {
        if udp.to.port() == tftp::PORT {
            self.request(udp, holder);
            return None;
        }
        if let Some(transfer) = self.transfers.get_mut(&udp.to) {
            let over = matches!(operation(udp.payload), Some(5));
            let sight = transfer.on_server(udp);
            let mac = transfer.mac;
            if transfer.size > 0 && self.sizes.len() < MOST {
                self.sizes.insert((mac, transfer.name.clone()), transfer.size);
            }
            if over {
                self.transfers.remove(&udp.to);
            }
            return Some((mac, sight?));
        }
        let transfer = self.transfers.get_mut(&udp.from)?;
        let (mac, sight) = (transfer.mac, transfer.on_client(udp)?);
        if matches!(sight, Sight::FileServed { .. } | Sight::FileBroken { .. }) {
            self.transfers.remove(&udp.from);
        }
        Some((mac, sight))
    }

    fn request(&mut self, udp: &Datagram<'_>, holder: impl Fn(Ipv4Addr) -> Option<MacAddr>) {
        if operation(udp.payload) != Some(1) || self.transfers.len() >= MOST {
            return;
        }
        let name = udp.payload.get(2..).unwrap_or_default().split(|byte| *byte == 0).next();
        let name = String::from_utf8_lossy(name.unwrap_or_default()).into_owned();
        let mac = holder(*udp.from.ip()).unwrap_or(udp.from_mac);
        let fresh = Transfer {
            mac,
            size: self.sizes.get(&(mac, name.clone())).copied().unwrap_or(0),
            name,
            block: u64::from(tftp::STANDARD_BLOCK),
            furthest: 0,
            repeats: 0,
            last: None,
            begun: false,
        };
        self.transfers.insert(udp.from, fresh);
    }
}

fn operation(payload: &[u8]) -> Option<u16> {
    payload.first_chunk().map(|b| u16::from_be_bytes(*b))
}

/// What a file is for, going by its name.
pub(super) fn role_of(name: &str) -> FileRole {
    let path = name.split('?').next().unwrap_or_default();
    let base = path.rsplit(['/', '\\']).next().unwrap_or_default().to_ascii_lowercase();
    let is = |parts: &[&str]| parts.iter().any(|part| base.contains(part));
    if base.ends_with(".ipxe") || is(&["pxelinux.cfg", "grub.cfg", ".pxe.cfg"]) {
        FileRole::Script
    } else if is(&["ipxe", "undionly", "snp", "pxelinux", "grub", "shim", "bootx64", "bootaa64", "lpxe"]) {
        FileRole::Loader
    } else if is(&["initr", "rootfs", ".cpio"]) || base.ends_with(".img") {
        FileRole::Initrd
    } else if is(&["vmlinu", "bzimage", "kernel"]) || base == "linux" {
        FileRole::Kernel
    } else if base.ends_with(".efi") || base.ends_with(".uki") {
        FileRole::Uki
    } else {
        FileRole::Other
    }
}

impl Transfer {
    fn bytes(&self) -> u64 {
        match self.last {
            Some(last) => self.furthest.saturating_sub(1) * self.block + last,
            None => self.furthest * self.block,
        }
    }

    fn on_server(&mut self, udp: &Datagram<'_>) -> Option<Sight> {
        match operation(udp.payload)? {
            3 => self.block(udp),
            5 => {
                let why = udp.payload.get(4..).unwrap_or_default().split(|byte| *byte == 0).next();
                let why = format!("refused: {}", String::from_utf8_lossy(why.unwrap_or_default()));
                Some(Sight::FileBroken { name: self.name.clone(), bytes: self.bytes(), why })
            }
            6 => {
                let words = udp.payload.get(2..).unwrap_or_default();
                let mut words = words.split(|byte| *byte == 0).map(String::from_utf8_lossy);
                while let (Some(name), Some(value)) = (words.next(), words.next()) {
                    match (name.to_ascii_lowercase().as_str(), value.parse()) {
                        ("tsize", Ok(size)) => self.size = size,
                        ("blksize", Ok(block)) => self.block = block,
                        _ => {}
                    }
                }
                None
            }
            _ => None,
        }
    }

    fn block(&mut self, udp: &Datagram<'_>) -> Option<Sight> {
        let number = udp.payload.get(2..)?.first_chunk().map(|b| u16::from_be_bytes(*b))?;
        let length = u64::try_from(udp.length.checked_sub(4)?).ok()?;
        let [.., high, low] = self.furthest.to_be_bytes();
        // Ahead of the furthest within half of all numbers is new; the rest was sent before.
        let ahead = number.wrapping_sub(u16::from_be_bytes([high, low]));
        if (1..0x8000).contains(&ahead) {
            self.furthest += u64::from(ahead);
            if length < self.block {
                self.last = Some(length);
            }
        } else {
            self.repeats = self.repeats.saturating_add(1);
        }
        if std::mem::replace(&mut self.begun, true) {
            return None;
        }
        let (role, name) = (role_of(&self.name), self.name.clone());
        Some(Sight::FileAsked { role, name, carrier: Carrier::Tftp, size: self.size })
    }

    fn on_client(&self, udp: &Datagram<'_>) -> Option<Sight> {
        let name = self.name.clone();
        match operation(udp.payload)? {
            4 => {
                let number = udp.payload.get(2..)?.first_chunk().map(|b| u16::from_be_bytes(*b))?;
                let [.., high, low] = self.furthest.to_be_bytes();
                let ends = self.last.is_some() && number == u16::from_be_bytes([high, low]);
                ends.then(|| Sight::FileServed { name, bytes: self.bytes(), repeats: self.repeats })
            }
            // Before the first block it only wanted to know the size.
            5 if self.begun => {
                Some(Sight::FileBroken { name, bytes: self.bytes(), why: "the client gave up".to_owned() })
            }
            _ => None,
        }
    }
}
