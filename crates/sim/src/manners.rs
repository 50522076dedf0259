//! Bad manners: what real machines did to other people's labs, on request.

use model::MacAddr;

/// One way to misbehave. Where somebody reported it, the issue is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// So many frames in a thousand are lost, both ways (a bad cable; tinkerbell/tinkerbell#728).
    LosesFrames(u16),
    /// So many sent frames in a thousand arrive twice (a bridge that just learnt its ports).
    DuplicatesFrames(u16),
    /// So many sent frames in a thousand are late by up to so many milliseconds, and so overtaken.
    DelaysFrames {
        /// How many in a thousand.
        per_mille: u16,
        /// Latest, in milliseconds.
        up_to_ms: u64,
    },
    /// POST takes so many milliseconds longer (warewulf/warewulf#210: POST is what hurts).
    SlowFirmware(u64),
    /// Powered, but never asks: no link, or its boot order ends at a disk
    /// (siderolabs/sidero#1205).
    NeverAsks,
    /// Stays at "iPXE initialising devices..." (ipxe/ipxe#541, siderolabs/sidero#447).
    HangsInLoader,
    /// The kernel starts and is never heard of (ipxe/ipxe#1397 at its worst).
    HangsInKernel,
    /// Firmware that takes one complete offer and never merges two (garybowers/bootimus#77).
    RefusesMergedOffer,
    /// Firmware and loader leave option 97 out (danderson/pixiecore#21).
    NoOption97,
    /// Drops replies that carry options in `file` and `sname` (option 52), as ROMs do that read
    /// the fields as names only (garybowers/bootimus#51 is of this family).
    IgnoresOverload,
    /// The agent says nothing more so many milliseconds after its first hello; the machine runs on.
    AgentFallsSilentAfter(u64),
    /// Resets once, so many milliseconds after the agent's first hello.
    RebootsAfter(u64),
    /// The agent is told to switch off and does not.
    IgnoresPowerOff,
    /// Sends broken messages before each honest DHCP one: cut short, options that overrun, a
    /// hardware address longer than its field, options that repeat without end.
    SendsGarbage,
    /// Writes another machine's address into its DHCP messages, under its own Ethernet address.
    LiesAboutMac(MacAddr),
}

/// The manners of one machine, ready to be asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Manners(Vec<Manner>);

impl Manners {
    pub(crate) const fn new(list: Vec<Manner>) -> Self {
        Self(list)
    }

    /// True when it has this manner.
    pub(crate) fn has(&self, manner: Manner) -> bool {
        self.0.contains(&manner)
    }

    /// What the first manner that fits says.
    pub(crate) fn find<T>(&self, pick: impl Fn(Manner) -> Option<T>) -> Option<T> {
        self.0.iter().copied().find_map(pick)
    }

    pub(crate) fn loss(&self) -> u16 {
        self.find(|m| if let Manner::LosesFrames(n) = m { Some(n) } else { None }).unwrap_or(0)
    }

    pub(crate) fn duplicates(&self) -> u16 {
        self.find(|m| if let Manner::DuplicatesFrames(n) = m { Some(n) } else { None }).unwrap_or(0)
    }

    /// How many in a thousand are late, and by how much at most.
    pub(crate) fn delays(&self) -> (u16, u64) {
        self.find(|m| match m {
            Manner::DelaysFrames { per_mille, up_to_ms } => Some((per_mille, up_to_ms)),
            _ => None,
        })
        .unwrap_or((0, 0))
    }

    pub(crate) fn slowness(&self) -> u64 {
        self.find(|m| if let Manner::SlowFirmware(n) = m { Some(n) } else { None }).unwrap_or(0)
    }

    pub(crate) fn silent_after(&self) -> Option<u64> {
        self.find(|m| if let Manner::AgentFallsSilentAfter(n) = m { Some(n) } else { None })
    }

    pub(crate) fn reboots_after(&self) -> Option<u64> {
        self.find(|m| if let Manner::RebootsAfter(n) = m { Some(n) } else { None })
    }

    pub(crate) fn claimed_mac(&self) -> Option<MacAddr> {
        self.find(|m| if let Manner::LiesAboutMac(mac) = m { Some(mac) } else { None })
    }
}
