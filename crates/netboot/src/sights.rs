//! Sightings on their way to the core: a bounded queue that merges per machine when nobody takes them.

use std::collections::VecDeque;
use std::mem::discriminant;
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::{MacAddr, Notice, Sight, Sighting};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::clock::boottime_ms;

/// Sightings kept for a core that is away.
pub const SIGHTS_KEPT: usize = 4096;

/// One line from the counter to the core.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Up {
    /// First line of each connection.
    Hello {
        /// Version of the counter.
        version: String,
        /// Number of the boot table it holds.
        table: Option<u64>,
    },
    /// A boot table is in force.
    Published {
        /// Its number.
        number: u64,
        /// False when the disk did not take it: a restarted counter would answer by the one before.
        kept: bool,
    },
    /// Something was seen of a machine.
    Sighting(Sighting),
    /// Something was seen that belongs to no machine of the board.
    Notice(Notice),
}

/// One line from the core to the counter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Down {
    /// Answer by this table from now on.
    Publish(model::BootTable),
}

#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<Up>,
    merged: u64,
    merged_told: u64,
}

/// The queue. Putting never waits.
#[derive(Debug, Default)]
pub struct Sights {
    queue: Mutex<Queue>,
    news: Notify,
}

impl Sights {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something was seen of this machine, now.
    pub fn see(&self, mac: MacAddr, sight: Sight) {
        self.see_at(mac, sight, boottime_ms());
    }

    /// Something was seen of this machine at this time (`CLOCK_BOOTTIME`, milliseconds).
    pub fn see_at(&self, mac: MacAddr, sight: Sight, boottime_ms: u64) {
        self.put(Up::Sighting(Sighting { mac, boottime_ms, sight }));
    }

    /// Something was noticed that belongs to no machine.
    pub fn notice(&self, notice: Notice) {
        self.put(Up::Notice(notice));
    }

    fn put(&self, line: Up) {
        let mut queue = self.queue();
        if queue.lines.len() >= SIGHTS_KEPT {
            // The one before it of the same machine and kind says less than this one does; without such a one
            // the oldest goes. Reports of agents come once per boot and are the last to go.
            let same = queue.lines.iter().position(|old| supersedes(&line, old));
            let victim = same.or_else(|| queue.lines.iter().position(|old| !is_report(old))).unwrap_or(0);
            queue.lines.remove(victim);
            queue.merged += 1;
        }
        queue.lines.push_back(line);
        drop(queue);
        self.news.notify_one();
    }

    /// Takes all that waits, oldest first, with a word on how much was merged since the last time.
    #[must_use]
    pub fn take(&self) -> Vec<Up> {
        let mut queue = self.queue();
        let mut lines: Vec<_> = queue.lines.drain(..).collect();
        if queue.merged != queue.merged_told {
            queue.merged_told = queue.merged;
            lines.push(Up::Notice(Notice::Merged { count: queue.merged }));
        }
        lines
    }

    /// Puts back what could not be delivered, before what came since.
    pub fn give_back(&self, lines: Vec<Up>) {
        let mut queue = self.queue();
        let room = SIGHTS_KEPT.saturating_sub(queue.lines.len());
        let lost = lines.len().saturating_sub(room);
        queue.merged += u64::try_from(lost).unwrap_or(u64::MAX);
        for line in lines.into_iter().skip(lost).rev() {
            queue.lines.push_front(line);
        }
    }

    /// Waits until something is there.
    pub async fn ready(&self) {
        while self.queue().lines.is_empty() {
            self.news.notified().await;
        }
    }
}

fn is_report(line: &Up) -> bool {
    matches!(line, Up::Sighting(Sighting { sight: Sight::Agent { .. }, .. }))
}

fn supersedes(new: &Up, old: &Up) -> bool {
    match (new, old) {
        (Up::Sighting(new), Up::Sighting(old)) => {
            new.mac == old.mac && discriminant(&new.sight) == discriminant(&old.sight)
        }
        (Up::Notice(new), Up::Notice(old)) => discriminant(new) == discriminant(old),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_keeps_the_latest_of_each_machine_and_counts_the_rest() {
        let sights = Sights::default();
        let other = MacAddr([2, 0, 0, 0, 0, 2]);
        sights.see(other, Sight::Nak);
        for bytes in 0..10_000 {
            let mac = MacAddr([2, 0, 0, 0, 0, 1]);
            sights.see(mac, Sight::FileMoved { name: "vmlinuz".to_owned(), bytes });
        }
        let lines = sights.take();
        assert_eq!(lines.len(), SIGHTS_KEPT + 1);
        assert!(matches!(&lines[0], Up::Sighting(seen) if seen.mac == other), "another machine's stays");
        assert!(
            matches!(&lines[SIGHTS_KEPT - 1], Up::Sighting(Sighting { sight: Sight::FileMoved { bytes, .. }, .. })
            if *bytes == 9_999)
        );
        assert!(matches!(&lines[SIGHTS_KEPT], Up::Notice(Notice::Merged { count: 5_905 })));
        assert!(sights.take().is_empty());
    }
}
