//! Sightings on their way to the core: a bounded queue that merges per machine when nobody takes them.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::mem::{Discriminant, discriminant};
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::{AgentChannel, AgentKey, MacAddr, NodeName, Notice, Sight, Sighting};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::clock::boottime_ms;
use crate::own::LoaderTrust;
use crate::pull::ConfigOffer;

/// Lines kept at least for a core that is away.
pub const SIGHTS_KEPT: usize = 4096;
/// Lines kept for each machine of the board: a boot has about twenty, and the last one counts.
const KEPT_EACH: usize = 24;
/// Sightings of strangers that may come at once.
const STRANGERS_AT_ONCE: u64 = 2048;
/// Sightings of strangers a second in the long run.
const STRANGERS_A_SECOND: u64 = 100;

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
        /// The key that it would sign answers to loaders with.
        #[serde(default)]
        loader_key: Option<AgentKey>,
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
#[expect(clippy::large_enum_variant, reason = "one at a time is read, done and dropped")]
pub enum Down {
    /// Answer by this table from now on.
    Publish(model::BootTable),
    /// Answer by the last table with this change from now on.
    Amend(model::TableChange),
    /// A start failed: save the heads of this machine's packets; [`Sight::PacketsSaved`] tells when it is done.
    SavePackets {
        /// Which machine.
        mac: MacAddr,
        /// Number of the boot that failed; 0 when none was seen to begin.
        boot: u32,
        /// Name of the file.
        file: String,
    },
    /// Lay a config ready for one boot of one machine. It stays in memory.
    OfferConfig(ConfigOffer),
    /// Forget the config that is laid ready for this machine.
    WithdrawConfig {
        /// Which machine.
        node: NodeName,
    },
    /// Answer loaders in the lab's name from now on.
    TrustLoader(LoaderTrust),
    /// Agents reach the core here from now on, until the line ends.
    Channel(AgentChannel),
    /// A start succeeded: the heads of its packets are of no use.
    ForgetPackets {
        /// Which machine.
        mac: MacAddr,
    },
}

/// What makes a line say the same as an older one, only better: its machine, its kind, and the file it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Subject(MacAddr, Discriminant<Sight>, u64);

/// How a line stands when there is no room for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Worth {
    /// Each replaces the one before it at once: only the last one says anything.
    Latest,
    /// Goes when there is no room: no rung stands on it.
    Colour,
    /// A rung of its machine stands on it: replaced by a newer one of the same, else the last to go.
    Rung,
}

#[derive(Debug, Default)]
struct Queue {
    /// In order; a line that was merged away leaves its place empty.
    lines: VecDeque<Option<Up>>,
    /// Number of the line in front.
    front: u64,
    /// Lines that are there.
    live: usize,
    /// Lines below this number are not looked at again when room is made.
    swept: u64,
    latest: HashMap<Subject, u64>,
    room: usize,
    merged: u64,
    merged_told: u64,
}

impl Queue {
    fn put(&mut self, line: Up) {
        let subject = subject(&line);
        let older = subject.and_then(|subject| self.latest.get(&subject).copied());
        if let Some(older) = older
            && worth(&line) == Worth::Latest
        {
            // In its old place, so that a download does not push others out.
            if let Some(place) = self.place(older) {
                *place = Some(line);
                return;
            }
        }
        if self.live >= self.room.max(SIGHTS_KEPT) {
            let victim = older.filter(|number| self.place(*number).is_some_and(|place| place.is_some()));
            if let Some(number) = victim.or_else(|| self.least()) {
                self.drop_line(number);
                self.merged += 1;
            }
        }
        let number = self.front + u64::try_from(self.lines.len()).unwrap_or(u64::MAX);
        if let Some(subject) = subject {
            self.latest.insert(subject, number);
        }
        self.lines.push_back(Some(line));
        self.live += 1;
    }

    fn place(&mut self, number: u64) -> Option<&mut Option<Up>> {
        let at = usize::try_from(number.checked_sub(self.front)?).ok()?;
        self.lines.get_mut(at)
    }

    /// The oldest line that no rung stands on, else the oldest.
    fn least(&mut self) -> Option<u64> {
        let end = self.front + u64::try_from(self.lines.len()).unwrap_or(u64::MAX);
        self.swept = self.swept.max(self.front);
        while self.swept < end {
            let number = self.swept;
            self.swept += 1;
            if self
                .place(number)
                .is_some_and(|place| place.as_ref().is_some_and(|line| worth(line) != Worth::Rung))
            {
                return Some(number);
            }
        }
        let at = self.lines.iter().position(Option::is_some)?;
        Some(self.front + u64::try_from(at).unwrap_or(u64::MAX))
    }

    fn drop_line(&mut self, number: u64) {
        let Some(gone) = self.place(number).and_then(Option::take) else { return };
        self.live = self.live.saturating_sub(1);
        if let Some(subject) = subject(&gone)
            && self.latest.get(&subject) == Some(&number)
        {
            self.latest.remove(&subject);
        }
        while matches!(self.lines.front(), Some(None)) {
            self.lines.pop_front();
            self.front += 1;
        }
    }

    fn take(&mut self) -> Vec<Up> {
        let lines = std::mem::take(&mut self.lines).into_iter().flatten().collect();
        self.forget();
        lines
    }

    fn forget(&mut self) {
        self.lines.clear();
        self.front = 0;
        self.swept = 0;
        self.live = 0;
        self.latest.clear();
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

    /// Makes room for a board of so many machines.
    pub(crate) fn make_room(&self, machines: usize) {
        self.queue().room = machines.saturating_mul(KEPT_EACH);
    }

    fn put(&self, line: Up) {
        let mut queue = self.queue();
        queue.put(line);
        // Who waits wakes at the first line; to be told of each would cost more than to carry it.
        let first = queue.live == 1;
        drop(queue);
        if first {
            self.news.notify_one();
        }
    }

    /// Takes all that waits, oldest first, with a word on how much was merged since the last time.
    #[must_use]
    pub fn take(&self) -> Vec<Up> {
        let mut queue = self.queue();
        let mut lines = queue.take();
        if queue.merged != queue.merged_told {
            queue.merged_told = queue.merged;
            lines.push(Up::Notice(Notice::Merged { count: queue.merged }));
        }
        lines
    }

    /// Puts back what could not be delivered, before what came since. Where there is no room for all, what came
    /// later counts for more, as ever.
    pub fn give_back(&self, lines: Vec<Up>) {
        let mut queue = self.queue();
        let since = queue.take();
        lines.into_iter().chain(since).for_each(|line| queue.put(line));
    }

    /// Waits until something is there.
    pub async fn ready(&self) {
        while self.queue().live == 0 {
            self.news.notified().await;
        }
    }
}

fn subject(line: &Up) -> Option<Subject> {
    let Up::Sighting(seen) = line else { return None };
    let file = match &seen.sight {
        Sight::FileAsked { name, .. }
        | Sight::FileAgreed { name, .. }
        | Sight::FileMoved { name, .. }
        | Sight::FileServed { name, .. }
        | Sight::FileBroken { name, .. }
        | Sight::FileRepeated { name, .. }
        | Sight::Deferred { name }
        | Sight::Logged { text: name, .. }
        | Sight::LoaderSaid { text: name, .. }
        | Sight::TalosLogged { text: name, .. } => {
            let mut hasher = DefaultHasher::new();
            name.hash(&mut hasher);
            hasher.finish()
        }
        Sight::Frame
        | Sight::Discover { .. }
        | Sight::Offer { .. }
        | Sight::Request { .. }
        | Sight::Ack { .. }
        | Sight::Nak
        | Sight::Solicit { .. }
        | Sight::Advertise { .. }
        | Sight::Request6 { .. }
        | Sight::Reply { .. }
        | Sight::RouterAsked { .. }
        | Sight::PacketsSaved { .. }
        | Sight::ScriptAsked { .. }
        | Sight::ConfigAsked { .. }
        | Sight::Done
        | Sight::IpxeTold { .. }
        | Sight::TalosSaid { .. }
        | Sight::Agent { .. }
        | Sight::AgentClash { .. }
        | Sight::Beat { .. }
        | Sight::WipeGiven { .. }
        | Sight::Guest { .. } => 0,
        Sight::Ailing { ailment, .. } => {
            let mut hasher = DefaultHasher::new();
            ailment.code().hash(&mut hasher);
            hasher.finish()
        }
    };
    Some(Subject(seen.mac, discriminant(&seen.sight), file))
}

fn worth(line: &Up) -> Worth {
    let Up::Sighting(seen) = line else { return Worth::Colour };
    match &seen.sight {
        Sight::FileMoved { .. } | Sight::Beat { .. } | Sight::TalosSaid { .. } => Worth::Latest,
        Sight::Frame
        | Sight::Offer { .. }
        | Sight::Request { .. }
        | Sight::Nak
        | Sight::Advertise { .. }
        | Sight::Request6 { .. }
        | Sight::RouterAsked { .. }
        | Sight::FileAgreed { .. }
        | Sight::FileRepeated { .. }
        | Sight::Logged { error: None, .. }
        | Sight::LoaderSaid { error: None, step: None, .. }
        | Sight::TalosLogged { .. }
        | Sight::Deferred { .. } => Worth::Colour,
        Sight::Discover { .. }
        | Sight::Ack { .. }
        | Sight::FileAsked { .. }
        | Sight::FileServed { .. }
        | Sight::FileBroken { .. }
        | Sight::ScriptAsked { .. }
        | Sight::Solicit { .. }
        | Sight::Reply { .. }
        | Sight::PacketsSaved { .. }
        | Sight::ConfigAsked { .. }
        | Sight::Done
        | Sight::IpxeTold { .. }
        | Sight::Logged { error: Some(_), .. }
        | Sight::LoaderSaid { error: Some(_), .. }
        | Sight::LoaderSaid { step: Some(_), .. }
        | Sight::Ailing { .. }
        | Sight::Agent { .. }
        | Sight::WipeGiven { .. }
        | Sight::AgentClash { .. }
        | Sight::Guest { .. } => Worth::Rung,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(number: u16) -> MacAddr {
        let [high, low] = number.to_be_bytes();
        MacAddr([2, 0, 0, 0, high, low])
    }

    fn sights(lines: &[Up]) -> Vec<(MacAddr, &Sight)> {
        let seen = lines.iter().filter_map(|line| match line {
            Up::Sighting(seen) => Some((seen.mac, &seen.sight)),
            Up::Hello { .. } | Up::Published { .. } | Up::Notice(_) => None,
        });
        seen.collect()
    }

    #[test]
    fn of_a_download_only_the_last_word_waits() {
        let queue = Sights::default();
        queue.see(machine(2), Sight::Nak);
        for bytes in 0..10_000 {
            queue.see(machine(1), Sight::FileMoved { name: "vmlinuz".to_owned(), bytes });
        }
        let lines = queue.take();
        let moved = Sight::FileMoved { name: "vmlinuz".to_owned(), bytes: 9_999 };
        assert_eq!(sights(&lines), [(machine(2), &Sight::Nak), (machine(1), &moved)]);
        assert!(queue.take().is_empty());
    }

    #[test]
    fn a_full_queue_lets_go_of_what_no_rung_stands_on_and_counts_it() {
        let queue = Sights::default();
        let served = |name: &str| Sight::FileServed { name: name.to_owned(), bytes: 1, repeats: 0 };
        queue.see(machine(0), served("vmlinuz"));
        queue.see(machine(0), served("initrd"));
        for number in 1..=4_000 {
            queue.see(machine(number), Sight::Nak);
        }
        for number in 1..=3_000 {
            let (address, client) = (std::net::Ipv4Addr::LOCALHOST, model::ClientKind::Ipxe);
            queue.see(machine(number), Sight::Ack { address, client });
        }
        let lines = queue.take();
        let seen = sights(&lines);
        assert_eq!(seen[..2], [(machine(0), &served("vmlinuz")), (machine(0), &served("initrd"))]);
        assert_eq!(seen.iter().filter(|(_, sight)| matches!(sight, Sight::Ack { .. })).count(), 3_000);
        assert_eq!(seen.len(), SIGHTS_KEPT);
        assert_eq!(lines.last(), Some(&Up::Notice(Notice::Merged { count: 7_002 - 4_096 })));
    }

    #[test]
    fn a_fleet_that_boots_while_the_core_is_away_loses_nothing() {
        let queue = Sights::default();
        queue.make_room(13_500);
        for number in 0..13_500 {
            queue.see(machine(number), Sight::Nak);
            queue.see(machine(number), Sight::ScriptAsked { answer: model::ScriptAnswer::Boot });
        }
        let lines = queue.take();
        assert_eq!(lines.len(), 27_000, "and no word of merging");
        queue.give_back(lines);
        queue.see(machine(1), Sight::Frame);
        let lines = queue.take();
        assert_eq!((lines.len(), sights(&lines)[27_000]), (27_001, (machine(1), &Sight::Frame)));
    }

    #[test]
    fn of_one_machine_that_talks_for_a_night_the_latest_of_each_kind_stays() {
        let queue = Sights::default();
        for secs in 0..20_000 {
            let client = model::ClientKind::Ipxe;
            queue.see(
                machine(1),
                Sight::Discover { client, arch: None, secs, uuid: None, version: String::new() },
            );
            queue.see(machine(1), Sight::ScriptAsked { answer: model::ScriptAnswer::Wait });
        }
        let lines = queue.take();
        assert_eq!(sights(&lines).len(), SIGHTS_KEPT);
        assert!(matches!(sights(&lines)[SIGHTS_KEPT - 2].1, Sight::Discover { secs: 19_999, .. }));
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
