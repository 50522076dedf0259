//! What consoles said last: in memory, in bounds, and what was lost is counted.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::{AgentKey, NodeName};
use tokio::sync::watch;

/// Bytes kept of each console.
const KEPT: usize = 128 << 10;

/// The consoles of all guests.
#[derive(Debug, Clone, Default)]
pub struct Consoles(Arc<Mutex<BTreeMap<NodeName, Console>>>);

#[derive(Debug, Default)]
struct Console {
    bytes: VecDeque<u8>,
    /// Bytes that came since this core began.
    end: u64,
    /// Bytes that the machine wrote and that never came here.
    lost: u64,
    /// Whose log it is told from, and from where on it goes on there.
    source: Option<(AgentKey, u64)>,
    news: watch::Sender<u64>,
}

/// A part of a console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Number of its first byte, counted since this core began. More than was asked for where that is not kept any more,
    /// less where it was of another core.
    pub from: u64,
    /// The bytes; none while there is nothing new.
    pub bytes: Vec<u8>,
    /// Bytes that the machine wrote and that never came here.
    pub lost: u64,
}

impl Consoles {
    fn all(&self) -> MutexGuard<'_, BTreeMap<NodeName, Console>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is kept of a console from byte `from` on, at most `most`; `None` where nothing ever came of it.
    #[must_use]
    pub fn read(&self, node: &NodeName, from: u64, most: usize) -> Option<Part> {
        let all = self.all();
        let console = all.get(node)?;
        let kept = u64::try_from(console.bytes.len()).unwrap_or_default();
        let oldest = console.end.saturating_sub(kept);
        let from = if from < oldest || from > console.end { oldest } else { from };
        let skip = usize::try_from(from.saturating_sub(oldest)).unwrap_or(usize::MAX);
        let bytes = console.bytes.iter().skip(skip).take(most).copied().collect();
        Some(Part { from, bytes, lost: console.lost })
    }

    /// Told the number of the next byte whenever some come; `None` as in [`Consoles::read`].
    #[must_use]
    pub fn news(&self, node: &NodeName) -> Option<watch::Receiver<u64>> {
        self.all().get(node).map(|console| console.news.subscribe())
    }

    /// There is such a console, though nothing came of it yet.
    pub(crate) fn expect(&self, node: &NodeName) {
        self.all().entry(node.clone()).or_default();
    }

    /// So many bytes will never come here.
    pub(crate) fn lose(&self, node: &NodeName, count: u64) {
        self.all().entry(node.clone()).or_default().lost += count;
    }

    /// Where the log of this agent goes on.
    pub(super) fn wanted(&self, node: &NodeName, agent: &AgentKey) -> u64 {
        let all = self.all();
        let source = all.get(node).and_then(|console| console.source);
        source.filter(|(whose, _)| whose == agent).map_or(0, |(_, at)| at)
    }

    /// The log of this agent goes on at `at`; what lies before that and was wanted is lost.
    pub(super) fn begin(&self, node: &NodeName, agent: AgentKey, at: u64) {
        let mut all = self.all();
        let console = all.entry(node.clone()).or_default();
        let wanted = console.source.filter(|(whose, _)| *whose == agent).map_or(0, |(_, at)| at);
        console.lost += at.saturating_sub(wanted);
        console.source = Some((agent, at));
    }

    /// These bytes came next.
    pub(crate) fn append(&self, node: &NodeName, bytes: &[u8]) {
        let mut all = self.all();
        let console = all.entry(node.clone()).or_default();
        let count = u64::try_from(bytes.len()).unwrap_or_default();
        console.end += count;
        if let Some((_, at)) = &mut console.source {
            *at += count;
        }
        console.bytes.extend(bytes);
        let over = console.bytes.len().saturating_sub(KEPT);
        drop(console.bytes.drain(..over));
        let end = console.end;
        console.news.send_replace(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_out_is_what_came_in_but_for_what_is_counted_as_lost() {
        let (consoles, node) = (Consoles::default(), "vm1".parse().unwrap());
        assert_eq!(consoles.read(&node, 0, 10), None);
        let (agent, next) = (AgentKey([1; 32]), AgentKey([2; 32]));
        // A line to the agent that breaks at odd places, and a log that forgets.
        let (mut said, mut lost, mut read) = (Vec::new(), 0_u64, Vec::new());
        let mut at = 0_u64;
        for round in 0..2000_u64 {
            let piece: Vec<u8> = (0..round % 97).map(|n| (n % 251) as u8).collect();
            if round % 13 == 0 {
                assert_eq!(consoles.wanted(&node, &agent), at);
                let gap = round % 5;
                consoles.begin(&node, agent, at + gap);
                (at, lost) = (at + gap, lost + gap);
            }
            consoles.append(&node, &piece);
            at += piece.len() as u64;
            said.extend_from_slice(&piece);
            if round % 7 == 0 {
                let part = consoles.read(&node, read.len() as u64, usize::MAX).unwrap();
                assert_eq!((part.from, part.lost), (read.len() as u64, lost));
                read.extend(part.bytes);
            }
        }
        read.extend(consoles.read(&node, read.len() as u64, usize::MAX).unwrap().bytes);
        assert!(read == said);
        // Another boot of the hypervisor has a log of its own.
        assert_eq!(consoles.wanted(&node, &next), 0);
        let late = consoles.read(&node, 0, usize::MAX).unwrap();
        assert_eq!(
            (late.from, late.bytes.len()),
            (said.len() as u64 - (128 << 10).min(said.len() as u64), said.len().min(128 << 10))
        );
    }

    #[test]
    fn a_console_keeps_its_last_words_and_a_reader_of_another_core_begins_with_them() {
        let (consoles, node) = (Consoles::default(), "vm1".parse().unwrap());
        consoles.append(&node, &vec![b'a'; KEPT]);
        consoles.append(&node, b"end");
        let all = consoles.read(&node, 0, usize::MAX).unwrap();
        assert_eq!((all.from, all.bytes.len()), (3, KEPT));
        assert!(all.bytes.ends_with(b"end"));
        assert_eq!(consoles.read(&node, u64::MAX, usize::MAX).unwrap().from, 3);
        assert_eq!(consoles.read(&node, KEPT as u64 + 3, usize::MAX).unwrap().bytes, b"");
        let told = consoles.news(&node).unwrap();
        assert_eq!(*told.borrow(), KEPT as u64 + 3);
    }
}
