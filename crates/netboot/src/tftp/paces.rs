//! The next window and block of each machine, in memory: by its Ethernet address where that is known.

use std::collections::HashMap;
use std::net::IpAddr;

use model::{MacAddr, TftpTerms};
use wire::tftp::{Limits, Pace, Statistics, Transfer};

/// Machines remembered. Beyond them all begin anew, which costs each a transfer or two at the first window.
const KEPT: usize = 32_768;

/// Who a pace belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Whose {
    /// A machine.
    Machine(MacAddr),
    /// Whoever has this address.
    Address(IpAddr),
}

impl Whose {
    pub(crate) fn of(mac: Option<MacAddr>, host: IpAddr) -> Self {
        mac.map_or(Self::Address(host), Self::Machine)
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Paces(HashMap<Whose, Pace>);

impl Paces {
    /// What a new transfer may have. `path` is the largest block that the way there is known to carry; `running` are
    /// the client's other transfers: one of which no block is taken teaches before it is over, because firmware may
    /// ask again before we have lost patience with it.
    pub(crate) fn limits<'a>(
        &mut self,
        whose: Whose,
        path: Option<u16>,
        running: impl Iterator<Item = &'a Transfer>,
    ) -> Limits {
        for transfer in running {
            self.change(whose, |pace| {
                pace.narrow(transfer.terms(), transfer.statistics());
            });
        }
        let pace = self.0.get(&whose).copied().unwrap_or_default();
        let standard = Limits::default();
        let block = path.unwrap_or(standard.block);
        let block = pace.block().map_or(block, |narrow| narrow.min(block));
        Limits { block, window: pace.window(), ..standard }
    }

    /// Learns from a transfer that is over.
    pub(crate) fn learn(&mut self, whose: Whose, terms: TftpTerms, statistics: Statistics) {
        self.change(whose, |pace| pace.learn(terms, statistics));
    }

    fn change(&mut self, whose: Whose, change: impl FnOnce(&mut Pace)) {
        let before = self.0.get(&whose).copied().unwrap_or_default();
        let mut pace = before;
        change(&mut pace);
        if pace != before {
            if self.0.len() >= KEPT {
                self.0.clear();
            }
            self.0.insert(whose, pace);
        }
    }
}
