//! Parts of a picture that is too large to be read at once: some machines, in an order, page by page.

use std::sync::Arc;

use api::{MachinePage, WordCount};
use model::{MachineView, NodeWord, Snapshot};
use serde::Deserialize;

/// Machines of a page unless told.
const PAGE: usize = 100;
/// Machines of a page at most.
const LARGEST_PAGE: usize = 1000;

/// In which order machines are told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// By row, then column.
    #[default]
    Board,
    /// What a person must look at first.
    Trouble,
}

/// Which machines are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Wanted {
    /// So many at most.
    pub limit: Option<usize>,
    /// Behind the machine with this name.
    pub after: Option<String>,
    /// A part of the name, the MAC or the IP address.
    pub node: Option<String>,
    /// In this zone.
    pub zone: Option<u8>,
    /// With this word.
    pub word: Option<NodeWord>,
    /// In this order.
    #[serde(default)]
    pub order: Order,
}

impl Wanted {
    fn fits(&self, machine: &MachineView) -> bool {
        let named = |text: &String| {
            machine.node.as_str().contains(text.as_str())
                || machine.mac.to_string().contains(text.as_str())
                || machine.ip.to_string().contains(text.as_str())
        };
        self.zone.is_none_or(|zone| machine.zone == Some(zone))
            && self.word.is_none_or(|word| machine.word == word)
            && self.node.as_ref().is_none_or(named)
    }
}

/// One page of a picture.
#[must_use]
pub fn page(picture: &Snapshot, wanted: &Wanted) -> MachinePage {
    let mut fitting: Vec<&Arc<MachineView>> = picture.machines.iter().filter(|m| wanted.fits(m)).collect();
    if wanted.order == Order::Trouble {
        fitting.sort_by_key(|machine| rank(machine.word));
    }
    let after = wanted.after.as_ref().and_then(|name| fitting.iter().position(|m| m.node.as_str() == name));
    let limit = wanted.limit.unwrap_or(PAGE).min(LARGEST_PAGE);
    let rest = fitting.get(after.map_or(0, |at| at + 1)..).unwrap_or_default();
    let machines: Vec<_> = rest.iter().take(limit).map(|machine| Arc::clone(machine)).collect();
    let next = (rest.len() > machines.len()).then(|| machines.last().map(|m| m.node.clone())).flatten();
    MachinePage {
        epoch: picture.epoch.clone(),
        through: picture.through,
        at: picture.at,
        words: count_words(&picture.machines),
        matching: u32::try_from(fitting.len()).unwrap_or(u32::MAX),
        machines,
        next,
    }
}

/// How many machines have which word, those in trouble first.
#[must_use]
pub fn count_words(machines: &[Arc<MachineView>]) -> Vec<WordCount> {
    let mut counts: Vec<WordCount> = Vec::new();
    for machine in machines {
        match counts.iter_mut().find(|known| known.word == machine.word) {
            Some(known) => known.count += 1,
            None => counts.push(WordCount { word: machine.word, count: 1 }),
        }
    }
    counts.sort_by_key(|known| rank(known.word));
    counts
}

/// How soon a person must look at a machine: what is broken, then what moves, then what is as it should be.
const fn rank(word: NodeWord) -> u8 {
    match word {
        NodeWord::Bad => 0,
        NodeWord::Degraded => 1,
        NodeWord::Unknown => 2,
        NodeWord::Stopping => 3,
        NodeWord::Starting => 4,
        NodeWord::Dhcp => 5,
        NodeWord::Waiting => 6,
        NodeWord::Loader => 7,
        NodeWord::Image => 8,
        NodeWord::Kernel => 9,
        NodeWord::Maintenance => 10,
        NodeWord::Joining => 11,
        NodeWord::Parked => 12,
        NodeWord::Off => 13,
        NodeWord::Ready => 14,
    }
}
