//! The manners of one machine, ready to be asked.

use std::net::Ipv4Addr;

use model::MacAddr;
use wire::dhcp6::Duid;

use super::Manner;

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

    /// How long nothing passes after the firmware took the card.
    pub(crate) fn link_rest(&self) -> u64 {
        self.find(|m| if let Manner::LinkRests(ms) = m { Some(ms) } else { None }).unwrap_or(0)
    }

    /// How long nothing passes after a loader's own driver took the card.
    pub(crate) fn retraining(&self) -> u64 {
        self.find(|m| if let Manner::LoaderRetrains(ms) = m { Some(ms) } else { None }).unwrap_or(0)
    }

    /// Largest IP packet that gets through.
    pub(crate) fn path_mtu(&self) -> Option<u16> {
        self.find(|m| if let Manner::PathMtu(mtu) = m { Some(mtu) } else { None })
    }

    /// How long a frame takes to be read, and how many may wait.
    pub(crate) fn driver(&self) -> Option<(u64, usize)> {
        self.find(|m| match m {
            Manner::SlowDriver { per_frame_ms, ring } => Some((per_frame_ms, usize::from(ring))),
            _ => None,
        })
    }

    pub(crate) fn slowness(&self) -> u64 {
        self.find(|m| if let Manner::SlowFirmware(n) = m { Some(n) } else { None }).unwrap_or(0)
    }

    pub(crate) fn slow_hand_over(&self) -> u64 {
        self.find(|m| if let Manner::SlowHandOver(n) = m { Some(n) } else { None }).unwrap_or(0)
    }

    pub(crate) fn reboots_every(&self) -> Option<u64> {
        self.find(|m| if let Manner::RebootsForEver(ms) = m { Some(ms) } else { None })
    }

    pub(crate) fn haste(&self) -> Option<u64> {
        self.find(|m| if let Manner::Hasty(ms) = m { Some(ms) } else { None })
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

    pub(crate) fn second_port(&self) -> Option<MacAddr> {
        self.find(|m| if let Manner::AsksOnTwoPorts(mac) = m { Some(mac) } else { None })
    }

    pub(crate) fn later_mac(&self) -> Option<MacAddr> {
        self.find(|m| if let Manner::ChangesMac(mac) = m { Some(mac) } else { None })
    }

    /// The identifier it has where that should be one of its own.
    pub(crate) fn odd_duid(&self, mac: MacAddr) -> Option<Duid> {
        let kind = self.find(|m| if let Manner::OddDuid(kind) = m { Some(kind) } else { None })?;
        let [high, low] = kind.to_be_bytes();
        let [a, b, c, d, e, f] = mac.0;
        // Another card of the same board, as many a maker numbers them.
        let other = [a, b, c, d, e, f ^ 3];
        let rest = match kind {
            // Hardware type, time, address.
            1 => [&[0, 1, 0x2c, 0, 0, 0][..], &other].concat(),
            3 => [&[0, 1][..], &other].concat(),
            4 => vec![0xff; 16],
            // An enterprise number, or nothing anybody has given a meaning; then what tells machines apart.
            _ => [&[0, 0, 0x7e, 0xd9][..], &mac.0].concat(),
        };
        Duid::new(&[&[high, low][..], &rest].concat())
    }

    pub(crate) fn relay(&self) -> Option<Ipv4Addr> {
        self.find(|m| if let Manner::BehindRelay(relay) = m { Some(relay) } else { None })
    }
}
