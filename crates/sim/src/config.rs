//! What a simulated machine is.

use model::{Inventory, MacAddr, MachineUuid};

use crate::{Disk, Manner};

/// Which firmware a machine starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A card's own PXE ROM under BIOS (PXE 2.1): wants one complete offer, TFTP in lock-step.
    BiosPxe,
    /// iPXE of 2019 burnt into the card, as QEMU's `virtio-net` under SeaBIOS has it: it is
    /// told a script's URL and never needs another loader.
    BiosIpxeRom,
    /// EDK2's PXE client, then its HTTP client, in the order OVMF tries them.
    UefiPxe,
    /// EDK2's HTTP client alone, with PXE switched off in the setup.
    UefiHttp,
}

/// Which iPXE runs: the one of the ROM, or the one a loader file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ipxe {
    /// `1.0.0+git-20190125` as Debian 12 ships it: waits 15.75 s for an IPv6 router.
    Of2019,
    /// 2.0: waits 3.875 s, and under UEFI asks for `autoexec.ipxe` beside the file it came from.
    Of2025,
}

/// What a machine does when nothing is left to boot from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stranding {
    /// Says "No bootable device" and stays on, silent, until somebody switches it.
    #[default]
    Silent,
    /// Resets itself after so many milliseconds, as boards with a boot watchdog do.
    Reboots(u64),
}

/// Everything a machine is, before it is switched on.
#[derive(Debug, Clone)]
pub struct Config {
    /// Ethernet address of its only port.
    pub mac: MacAddr,
    /// SMBIOS UUID, in text order.
    pub uuid: MachineUuid,
    /// Its firmware.
    pub kind: Kind,
    /// The iPXE its loader file turns out to be; [`Kind::BiosIpxeRom`] has its own.
    pub ipxe: Ipxe,
    /// Names every draw of chance this machine makes.
    pub seed: u64,
    /// How it misbehaves.
    pub manners: Vec<Manner>,
    /// Memory the kernel manages, in MiB.
    pub memory_mib: u32,
    /// Logical processors.
    pub cpus: u16,
    /// The disk it has when it is switched on first.
    pub disk: Disk,
    /// What it does when nothing boots.
    pub stranding: Stranding,
}

impl Config {
    /// A machine of 8 GiB and 4 processors without bad manners. Its UUID is made from the MAC and the
    /// seed, so that two machines of one test differ.
    #[must_use]
    pub fn new(mac: MacAddr, kind: Kind, ipxe: Ipxe, seed: u64) -> Self {
        let [a, b, c, d, e, f] = mac.0;
        let [s, t, u, v, ..] = seed.to_le_bytes();
        Self {
            mac,
            uuid: MachineUuid([0x5a, s, t, u, v, 1, 0x40, 2, 0x80, 3, a, b, c, d, e, f]),
            kind,
            ipxe,
            seed,
            manners: Vec::new(),
            memory_mib: 8192,
            cpus: 4,
            disk: Disk::new(&format!("SSD{d:02X}{e:02X}{f:02X}")),
            stranding: Stranding::Silent,
        }
    }

    /// The same machine with these manners.
    #[must_use]
    pub fn with(mut self, manners: impl Into<Vec<Manner>>) -> Self {
        self.manners = manners.into();
        self
    }

    /// The same machine with this disk.
    #[must_use]
    pub fn on_disk(mut self, disk: Disk) -> Self {
        self.disk = disk;
        self
    }

    /// What its agent reports of the box with this disk in it.
    pub(crate) fn inventory(&self, disk: &Disk) -> Inventory {
        let [.., d, e, f] = self.mac.0;
        Inventory {
            firmware: if self.is_uefi() { "uefi" } else { "bios" }.to_owned(),
            product: "Labinator Simulated Box".to_owned(),
            serial: format!("SIM{d:02X}{e:02X}{f:02X}"),
            uuid: self.uuid.to_string(),
            cpu: "Simulated CPU @ 1.00GHz".to_owned(),
            cpus: self.cpus,
            memory_mib: self.memory_mib,
            disks: vec![disk.reported()],
            nics: vec![model::Nic {
                name: "eth0".to_owned(),
                mac: self.mac,
                driver: "r8169".to_owned(),
                speed_mbps: Some(1000),
            }],
        }
    }

    pub(crate) const fn is_uefi(&self) -> bool {
        matches!(self.kind, Kind::UefiPxe | Kind::UefiHttp)
    }
}
