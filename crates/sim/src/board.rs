//! The power ports of a lab that does not exist: they obey, refuse, are slow, lose presses, and people
//! touch them.

use std::collections::BTreeMap;

use model::{Outcome, PowerOrder, PowerState};

use crate::dice::Dice;

/// How one port behaves. The default obeys at once and tells the truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PortConfig {
    /// What acting takes, in milliseconds; a relay 20, a smart plug up to seconds.
    pub slow_ms: u64,
    /// Orders that are answered with "done" and change nothing, in a thousand (Sidero's tests call
    /// these silent failures).
    pub lost_per_mille: u16,
    /// What it says to every order, where it refuses.
    pub refuses: Option<&'static str>,
    /// True for a port that cannot see whether its machine runs.
    pub blind: bool,
}

/// What a board reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PowerReport {
    /// The port acts on its machine now; pass it on to the segment.
    Acts {
        /// Which port, from 0.
        port: usize,
        /// Which way.
        order: PowerOrder,
    },
    /// An order came to its end.
    Ended {
        /// The number [`PowerBoard::order`] gave.
        ticket: u64,
        /// What the port says about it. "Done" is what it says, not what is.
        outcome: Outcome,
    },
}

#[derive(Debug)]
struct Pending {
    port: usize,
    order: PowerOrder,
    ticket: u64,
}

/// A board with ports. Commands in, reports out, time as an argument.
#[derive(Debug)]
pub struct PowerBoard {
    ports: Vec<PortConfig>,
    dice: Dice,
    pending: BTreeMap<(u64, u64), Pending>,
    reports: Vec<PowerReport>,
    tickets: u64,
}

impl PowerBoard {
    /// A board with these ports.
    #[must_use]
    pub const fn new(ports: Vec<PortConfig>, seed: u64) -> Self {
        Self { ports, dice: Dice::new(seed), pending: BTreeMap::new(), reports: Vec::new(), tickets: 0 }
    }

    /// Asks a port to switch and gives a number under which the outcome is reported. Orders to one
    /// port end in the order they came when the port is equally slow to all.
    pub fn order(&mut self, port: usize, order: PowerOrder, now: u64) -> u64 {
        self.tickets += 1;
        let ticket = self.tickets;
        let slow = self.ports.get(port).map_or(0, |p| p.slow_ms);
        self.pending.insert((now + slow, ticket), Pending { port, order, ticket });
        ticket
    }

    /// A person presses the machine's own button, or pulls its plug: no order, no outcome.
    pub fn touch(&mut self, port: usize, order: PowerOrder) {
        self.reports.push(PowerReport::Acts { port, order });
    }

    /// The board loses its own supply for a moment: orders under way end in failure and every
    /// machine on it goes dark.
    pub fn reset(&mut self) {
        for (_, pending) in std::mem::take(&mut self.pending) {
            let outcome = failed("board-reset", "the power board was restarted");
            self.reports.push(PowerReport::Ended { ticket: pending.ticket, outcome });
        }
        for port in 0..self.ports.len() {
            self.reports.push(PowerReport::Acts { port, order: PowerOrder::Off });
        }
    }

    /// What the port tells about its machine, given whether it really runs.
    #[must_use]
    pub fn see(&self, port: usize, runs: bool) -> PowerState {
        match self.ports.get(port) {
            Some(config) if !config.blind => {
                if runs {
                    PowerState::On
                } else {
                    PowerState::Off
                }
            }
            _ => PowerState::Unknown,
        }
    }

    /// When [`PowerBoard::poll`] has something to do; a past moment means now.
    #[must_use]
    pub fn wake_at(&self) -> Option<u64> {
        if self.reports.is_empty() { self.pending.first_key_value().map(|((at, _), _)| *at) } else { Some(0) }
    }

    /// Lets time pass and takes what happened.
    pub fn poll(&mut self, now: u64) -> Vec<PowerReport> {
        while let Some(entry) = self.pending.first_entry()
            && entry.key().0 <= now
        {
            let Pending { port, order, ticket } = entry.remove();
            let outcome = match self.ports.get(port) {
                None => failed("no-such-port", "the board has no such port"),
                Some(PortConfig { refuses: Some(why), .. }) => failed("refused", why),
                Some(config) => {
                    if !self.dice.happens(config.lost_per_mille) {
                        self.reports.push(PowerReport::Acts { port, order });
                    }
                    Outcome::Done
                }
            };
            self.reports.push(PowerReport::Ended { ticket, outcome });
        }
        std::mem::take(&mut self.reports)
    }
}

fn failed(code: &str, why: &str) -> Outcome {
    Outcome::Failed { code: code.to_owned(), why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_port_acts_when_its_time_comes() {
        let mut board = PowerBoard::new(vec![PortConfig { slow_ms: 500, ..PortConfig::default() }], 1);
        let ticket = board.order(0, PowerOrder::On, 1000);
        assert!(board.poll(1499).is_empty());
        assert_eq!(board.wake_at(), Some(1500));
        let acts = PowerReport::Acts { port: 0, order: PowerOrder::On };
        assert_eq!(board.poll(1500), vec![acts, PowerReport::Ended { ticket, outcome: Outcome::Done }]);
    }

    #[test]
    fn a_lost_press_says_done_and_does_nothing() {
        let mut board =
            PowerBoard::new(vec![PortConfig { lost_per_mille: 1000, ..PortConfig::default() }], 1);
        let ticket = board.order(0, PowerOrder::On, 0);
        assert_eq!(board.poll(0), vec![PowerReport::Ended { ticket, outcome: Outcome::Done }]);
    }

    #[test]
    fn a_refusing_port_names_its_reason_and_a_missing_one_its_absence() {
        let config = PortConfig { refuses: Some("contact welded"), ..PortConfig::default() };
        let mut board = PowerBoard::new(vec![config], 1);
        board.order(0, PowerOrder::Off, 0);
        board.order(9, PowerOrder::Off, 0);
        let codes: Vec<String> = board
            .poll(0)
            .into_iter()
            .filter_map(|r| match r {
                PowerReport::Ended { outcome: Outcome::Failed { code, .. }, .. } => Some(code),
                _ => None,
            })
            .collect();
        assert_eq!(codes, ["refused", "no-such-port"]);
    }

    #[test]
    fn a_reset_board_drops_its_orders_and_its_machines() {
        let slow = PortConfig { slow_ms: 9000, ..PortConfig::default() };
        let mut board = PowerBoard::new(vec![slow, slow], 1);
        let ticket = board.order(1, PowerOrder::On, 0);
        board.reset();
        let reports = board.poll(1);
        assert!(
            matches!(&reports[0], PowerReport::Ended { ticket: t, outcome: Outcome::Failed { .. } } if *t == ticket)
        );
        assert_eq!(reports.len(), 3);
        assert_eq!(board.wake_at(), None);
    }

    #[test]
    fn a_blind_port_knows_nothing() {
        let blind = PortConfig { blind: true, ..PortConfig::default() };
        let board = PowerBoard::new(vec![blind, PortConfig::default()], 1);
        assert_eq!(board.see(0, true), PowerState::Unknown);
        assert_eq!(board.see(1, true), PowerState::On);
        assert_eq!(board.see(1, false), PowerState::Off);
    }
}
