//! Sightings on their way to the core: a bounded queue that merges per machine when nobody takes them.

use std::collections::{BTreeMap, HashMap};
use std::mem::{Discriminant, discriminant};
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::{MacAddr, Notice, Sight, Sighting};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::clock::boottime_ms;

/// Sightings kept for a core that is away.
pub const SIGHTS_KEPT: usize = 4096;
/// Sightings of strangers that may come at once.
const STRANGERS_AT_ONCE: u64 = 2048;
/// Sightings of strangers a second in the long run.
const STRANGERS_A_SECOND: u64 = 500;

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
    /// A start failed: save the heads of this machine's packets; [`Sight::PacketsSaved`] tells when it is done.
    SavePackets {
        /// Which machine.
        mac: MacAddr,
        /// Number of the boot that failed; 0 when none was seen to begin.
        boot: u32,
        /// Name of the file.
        file: String,
    },
    /// A start succeeded: the heads of its packets are of no use.
    ForgetPackets {
        /// Which machine.
        mac: MacAddr,
    },
}

/// What one line says more than another of the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Subject {
    Machine(MacAddr, Discriminant<Sight>),
    Notice(Discriminant<Notice>),
}

impl Subject {
    fn of(line: &Up) -> Option<Self> {
        match line {
            Up::Sighting(seen) => Some(Self::Machine(seen.mac, discriminant(&seen.sight))),
            Up::Notice(notice) => Some(Self::Notice(discriminant(notice))),
            Up::Hello { .. } | Up::Published { .. } => None,
        }
    }
}

#[derive(Debug, Default)]
struct Queue {
    /// By number, oldest first. Numbers go down for what is given back.
    lines: BTreeMap<i64, Up>,
    /// Reports of agents come once per boot and are the last to go.
    reports: BTreeMap<i64, Up>,
    latest: HashMap<Subject, i64>,
    merged: u64,
    merged_told: u64,
}

impl Queue {
    fn len(&self) -> usize {
        self.lines.len() + self.reports.len()
    }

    fn last(&self) -> i64 {
        let last = |lines: &BTreeMap<i64, Up>| lines.last_key_value().map_or(0, |(number, _)| *number);
        last(&self.lines).max(last(&self.reports))
    }

    fn first(&self) -> i64 {
        let first = |lines: &BTreeMap<i64, Up>| lines.first_key_value().map_or(1, |(number, _)| *number);
        first(&self.lines).min(first(&self.reports))
    }

    fn put(&mut self, line: Up) {
        let subject = Subject::of(&line);
        if self.len() >= SIGHTS_KEPT {
            self.make_room(subject);
        }
        let number = self.last() + 1;
        if let Some(subject) = subject {
            self.latest.insert(subject, number);
        }
        self.insert(number, line);
    }

    fn insert(&mut self, number: i64, line: Up) {
        let lines = if is_report(&line) { &mut self.reports } else { &mut self.lines };
        lines.insert(number, line);
    }

    /// The one before of the same machine and kind says less than a new one does; without such a one the oldest goes.
    fn make_room(&mut self, subject: Option<Subject>) {
        let same = subject.and_then(|subject| self.latest.get(&subject).copied());
        let gone =
            same.and_then(|number| self.lines.remove(&number).or_else(|| self.reports.remove(&number)));
        if gone.is_none() {
            let oldest = self.lines.pop_first().or_else(|| self.reports.pop_first());
            if let Some((number, line)) = oldest
                && let Some(subject) = Subject::of(&line)
                && self.latest.get(&subject) == Some(&number)
            {
                self.latest.remove(&subject);
            }
        }
        self.merged += 1;
    }
}

/// What machines that are not on the board may have told of them: enough to see them, too little to drown the board.
#[derive(Debug)]
struct Strangers {
    left: u64,
    at: u64,
}

impl Default for Strangers {
    fn default() -> Self {
        Self { left: STRANGERS_AT_ONCE, at: 0 }
    }
}

impl Strangers {
    fn allow(&mut self, now: u64) -> bool {
        let more = now.saturating_sub(self.at).saturating_mul(STRANGERS_A_SECOND) / 1000;
        if more > 0 {
            self.left = self.left.saturating_add(more).min(STRANGERS_AT_ONCE);
            self.at = now;
        }
        match self.left.checked_sub(1) {
            Some(left) => self.left = left,
            None => return false,
        }
        true
    }
}

/// The queue. Putting never waits.
#[derive(Debug, Default)]
pub struct Sights {
    queue: Mutex<Queue>,
    strangers: Mutex<Strangers>,
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

    /// Many at once. Of machines for which `is_stranger` holds only so many a second are told; the rest is counted as
    /// merged.
    pub(crate) fn see_all(&self, seen: Vec<Sighting>, is_stranger: impl Fn(MacAddr) -> bool) {
        if seen.is_empty() {
            return;
        }
        let mut strangers = self.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut queue = self.queue();
        for sighting in seen {
            if is_stranger(sighting.mac) && !strangers.allow(sighting.boottime_ms) {
                queue.merged += 1;
            } else {
                queue.put(Up::Sighting(sighting));
            }
        }
        drop(queue);
        drop(strangers);
        self.news.notify_one();
    }

    fn put(&self, line: Up) {
        self.queue().put(line);
        self.news.notify_one();
    }

    /// Takes all that waits, oldest first, with a word on how much was merged since the last time.
    #[must_use]
    pub fn take(&self) -> Vec<Up> {
        let mut queue = self.queue();
        let mut all = std::mem::take(&mut queue.lines);
        all.append(&mut queue.reports);
        queue.latest.clear();
        let merged = (queue.merged != queue.merged_told).then_some(queue.merged);
        queue.merged_told = queue.merged;
        drop(queue);
        let mut lines: Vec<Up> = all.into_values().collect();
        lines.extend(merged.map(|count| Up::Notice(Notice::Merged { count })));
        lines
    }

    /// Puts back what could not be delivered, before what came since.
    pub fn give_back(&self, lines: Vec<Up>) {
        let mut queue = self.queue();
        let room = SIGHTS_KEPT.saturating_sub(queue.len());
        let lost = lines.len().saturating_sub(room);
        queue.merged += u64::try_from(lost).unwrap_or(u64::MAX);
        let mut number = queue.first();
        for line in lines.into_iter().skip(lost).rev() {
            number -= 1;
            queue.insert(number, line);
        }
    }

    /// Waits until something is there.
    pub async fn ready(&self) {
        while self.queue().len() == 0 {
            self.news.notified().await;
        }
    }
}

fn is_report(line: &Up) -> bool {
    matches!(line, Up::Sighting(Sighting { sight: Sight::Agent { .. }, .. }))
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

    #[test]
    fn a_crowd_of_strangers_leaves_room_for_the_board() {
        let sights = Sights::default();
        let ours = MacAddr([2, 0, 0, 0, 0, 1]);
        for number in 0..20_000_u16 {
            let [high, low] = number.to_be_bytes();
            let mac = MacAddr([6, 0, 0, 0, high, low]);
            let seen = |mac| Sighting { mac, boottime_ms: u64::from(number / 100), sight: Sight::Nak };
            let all = if number == 7 { vec![seen(mac), seen(ours)] } else { vec![seen(mac)] };
            sights.see_all(all, |mac| mac != ours);
        }
        let lines = sights.take();
        assert!(lines.len() < 2_300, "{}", lines.len());
        assert!(lines.iter().any(|line| matches!(line, Up::Sighting(seen) if seen.mac == ours)));
        assert!(matches!(lines.last(), Some(Up::Notice(Notice::Merged { count })) if *count > 17_000));
    }

    #[test]
    fn what_is_given_back_comes_first_again() {
        let sights = Sights::default();
        let of = |n| MacAddr([2, 0, 0, 0, 0, n]);
        (1..=3).for_each(|n| sights.see(of(n), Sight::Nak));
        let lines = sights.take();
        sights.see(of(4), Sight::Nak);
        sights.give_back(lines);
        let order: Vec<u8> = sights
            .take()
            .iter()
            .filter_map(|line| match line {
                Up::Sighting(seen) => Some(seen.mac.0[5]),
                _ => None,
            })
            .collect();
        assert_eq!(order, [1, 2, 3, 4]);
    }
}
