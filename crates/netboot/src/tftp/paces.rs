//! The next window of each machine, in memory: by its Ethernet address where that is known.

use std::collections::HashMap;
use std::net::IpAddr;

use model::MacAddr;
use wire::tftp::{Pace, Statistics};

/// Machines remembered. Beyond them all begin anew, which costs each a transfer or two at the first window.
const KEPT: usize = 32_768;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Whose {
    Machine(MacAddr),
    Address(IpAddr),
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Paces(HashMap<Whose, Pace>);

impl Paces {
    fn whose(mac: Option<MacAddr>, host: IpAddr) -> Whose {
        mac.map_or(Whose::Address(host), Whose::Machine)
    }

    pub(super) fn of(&self, mac: Option<MacAddr>, host: IpAddr) -> Pace {
        self.0.get(&Self::whose(mac, host)).copied().unwrap_or_default()
    }

    pub(super) fn learn(&mut self, mac: Option<MacAddr>, host: IpAddr, window: u16, statistics: Statistics) {
        let mut pace = self.of(mac, host);
        let before = pace;
        pace.learn(window, statistics);
        if pace != before {
            if self.0.len() >= KEPT {
                self.0.clear();
            }
            self.0.insert(Self::whose(mac, host), pace);
        }
    }
}
