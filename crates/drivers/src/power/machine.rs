//! A virtual machine as the lab describes it.

use model::{MacAddr, Mebibytes, NodeName, NodeSpec, VirtualFirmware};

/// A virtual machine to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Its name; also its SMBIOS serial number.
    pub name: NodeName,
    /// Its Ethernet address.
    pub mac: MacAddr,
    /// Its firmware.
    pub firmware: VirtualFirmware,
    /// Its memory.
    pub memory: Mebibytes,
    /// Size of its disk, where it has one.
    pub disk: Option<Mebibytes>,
}

impl Machine {
    pub(super) fn of(
        name: &NodeName,
        node: &NodeSpec,
        (memory, disk): (Mebibytes, Option<Mebibytes>),
    ) -> Self {
        Self {
            name: name.clone(),
            mac: node.mac,
            firmware: node.firmware.unwrap_or(VirtualFirmware::Bios),
            memory: node.memory.unwrap_or(memory),
            disk,
        }
    }

    /// The SMBIOS UUID: a version 8 UUID (RFC 9562 section 5.8) that ends in the Ethernet address, so that
    /// it stays when everything else about the machine is forgotten.
    pub(super) fn uuid(&self) -> String {
        let [a, b, c, d, e, f] = self.mac.0;
        format!("6c616269-6e61-8f72-8000-{a:02x}{b:02x}{c:02x}{d:02x}{e:02x}{f:02x}")
    }
}

/// Name of the tap port a virtual machine with this address is plugged into: at most 15 characters, as
/// Linux allows (`IFNAMSIZ`).
#[must_use]
pub fn tap_name(mac: MacAddr) -> String {
    let [_, _, c, d, e, f] = mac.0;
    format!("tap-{c:02x}{d:02x}{e:02x}{f:02x}")
}
