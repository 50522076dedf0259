//! Places for image transfers, and the queue in front of them: first come, first served, by machine.
//!
//! ```text
//!  ask ─▶ holds a place already ──────────────────────────────▶ goes on in it
//!     ├─▶ a place is free and nobody was here before it ──────▶ takes it
//!     └─▶ has its place in the queue, which it keeps as long as it asks again within 12 s
//!  last transfer of a machine ends ─▶ its place is kept 2 s for the next file ─▶ the head of the queue
//!     └─▶ it has its whole image, or hung up after asking for the last of it ───▶ the head of the queue
//! ```
//!
//! A place belongs to a machine, not to a file: between its kernel and its initramfs nobody gets in, and a boot that has
//! begun is finished first. A place that falls free is kept for the head of the queue until that one asks, so nobody
//! who asks more often gets in earlier.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// How long a machine keeps its place between two files.
const KEPT: Duration = Duration::from_secs(2);
/// How long the queue keeps a machine that does not ask again. More than the longest wait it is asked for.
const GONE: Duration = Duration::from_secs(12);
/// Most seconds a machine is asked to wait before it asks again.
const LONGEST: u64 = 5;
/// Pause between two looks of a client that waits in its connection: places also fall free by time.
const LOOK: Duration = Duration::from_millis(500);

/// All places.
#[derive(Debug)]
pub(crate) struct Places {
    most: usize,
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct State {
    machines: HashMap<IpAddr, Held>,
    /// Who waits, by number, the first to come first.
    queue: BTreeMap<u64, IpAddr>,
    waiting: HashMap<IpAddr, Waiting>,
    serial: u64,
}

#[derive(Debug)]
struct Held {
    transfers: usize,
    /// When its last transfer ended.
    idle: Instant,
    /// It has asked for the last file of its image.
    last: bool,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    number: u64,
    asked: Instant,
}

/// A machine's place, for one transfer of it.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    machine: IpAddr,
    /// The end of the file was sent.
    done: bool,
}

impl Place {
    fn new(places: &Arc<Places>, machine: IpAddr) -> Self {
        Self { places: Arc::clone(places), machine, done: false }
    }

    /// What is fetched in it is the last file of the machine's image.
    pub(super) fn for_the_last(self, last: bool) -> Self {
        self.places.state().expect(self.machine, last);
        self
    }

    /// The end of the file was sent.
    pub(super) fn done(&mut self) {
        self.done = true;
    }
}

impl Places {
    /// So many.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, state: Mutex::default(), freed: Notify::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place for this machine, or puts it into the queue: the seconds after which it should ask again.
    pub(crate) fn ask(places: &Arc<Self>, machine: IpAddr, now: Instant) -> Result<Place, u64> {
        places.state().ask(places.most, machine, now)?;
        Ok(Place::new(places, machine))
    }

    /// A place for one that cannot wait, over the number where it must be: those who can wait will.
    pub(crate) fn insist(places: &Arc<Self>, machine: IpAddr, now: Instant) -> Place {
        places.state().admit(machine, now);
        Place::new(places, machine)
    }

    /// Waits for a place at most so long: then the seconds after which it should ask again.
    pub(crate) async fn wait(places: &Arc<Self>, machine: IpAddr, limit: Duration) -> Result<Place, u64> {
        let end = Instant::now() + limit;
        loop {
            let freed = places.freed.notified();
            let now = Instant::now();
            match Self::ask(places, machine, now) {
                Ok(place) => return Ok(place),
                Err(seconds) if now >= end => return Err(seconds),
                // Either way it is time to look again.
                Err(_) => drop(tokio::time::timeout_at(end.min(now + LOOK), freed).await),
            }
        }
    }

    /// The last connection of a machine ended.
    pub(super) fn hung_up(&self, machine: IpAddr) {
        if self.state().hung_up(machine) {
            self.freed.notify_waiters();
        }
    }
}

impl State {
    fn ask(&mut self, most: usize, machine: IpAddr, now: Instant) -> Result<(), u64> {
        self.machines.retain(|_, held| held.transfers > 0 || now.duration_since(held.idle) < KEPT);
        let free = most.saturating_sub(self.machines.len());
        if self.machines.contains_key(&machine) || self.is_among_first(machine, free, now) {
            self.admit(machine, now);
            return Ok(());
        }
        let number = self.waiting.get(&machine).map_or(self.serial, |waiting| waiting.number);
        if number == self.serial {
            self.serial += 1;
            self.queue.insert(number, machine);
        }
        self.waiting.insert(machine, Waiting { number, asked: now });
        let head = self.queue.keys().next().copied().unwrap_or(number);
        let rounds = (number - head) / u64::try_from(most.max(1)).unwrap_or(u64::MAX);
        Err((rounds + 1).min(LONGEST))
    }

    fn admit(&mut self, machine: IpAddr, now: Instant) {
        if let Some(waiting) = self.waiting.remove(&machine) {
            self.queue.remove(&waiting.number);
        }
        self.machines.entry(machine).or_insert(Held { transfers: 0, idle: now, last: false }).transfers += 1;
    }

    fn expect(&mut self, machine: IpAddr, last: bool) {
        if let Some(held) = self.machines.get_mut(&machine) {
            held.last = last;
        }
    }

    /// A transfer ended; `done` when the end of its file was sent.
    fn leave(&mut self, machine: IpAddr, done: bool, now: Instant) {
        let Some(held) = self.machines.get_mut(&machine) else { return };
        held.transfers = held.transfers.saturating_sub(1);
        held.idle = now;
        if done && held.last && held.transfers == 0 {
            self.machines.remove(&machine);
        }
    }

    /// True when that gave a place free.
    fn hung_up(&mut self, machine: IpAddr) -> bool {
        let over = self.machines.get(&machine).is_some_and(|held| held.last && held.transfers == 0);
        over && self.machines.remove(&machine).is_some()
    }

    /// True when it would be served now if `free` places went to those who have waited longest.
    fn is_among_first(&mut self, machine: IpAddr, free: usize, now: Instant) -> bool {
        let mut before = 0;
        let mut gone = Vec::new();
        for (number, other) in &self.queue {
            if before == free || *other == machine {
                break;
            }
            if self.waiting.get(other).is_none_or(|waiting| now.duration_since(waiting.asked) >= GONE) {
                gone.push((*number, *other));
            } else {
                before += 1;
            }
        }
        for (number, other) in gone {
            self.queue.remove(&number);
            self.waiting.remove(&other);
        }
        before < free
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.state().leave(self.machine, self.done, Instant::now());
        self.places.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(number: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, number])
    }

    /// A house with a clock of its own.
    struct House {
        state: State,
        most: usize,
        now: Instant,
    }

    impl House {
        fn of(most: usize) -> Self {
            Self { state: State::default(), most, now: Instant::now() }
        }

        fn ask(&mut self, number: u8) -> Result<(), u64> {
            self.state.ask(self.most, machine(number), self.now)
        }

        fn leave(&mut self, number: u8) {
            self.state.leave(machine(number), false, self.now);
        }
    }

    #[test]
    fn those_who_wait_get_in_in_the_order_they_came_however_often_others_ask() {
        let mut house = House::of(1);
        house.ask(1).unwrap();
        for number in 2..=5 {
            assert!(house.ask(number).is_err());
        }
        for next in 2..=5 {
            house.leave(next - 1);
            house.now += KEPT;
            for eager in next + 1..=9 {
                assert!(house.ask(eager).is_err(), "{eager} before {next}");
            }
            house.ask(next).unwrap();
        }
    }

    #[test]
    fn a_machine_keeps_its_place_between_two_files_and_not_for_longer() {
        let mut house = House::of(1);
        house.ask(1).unwrap();
        assert_eq!(house.ask(2), Err(1));
        house.leave(1);
        house.ask(1).unwrap();
        house.ask(1).unwrap();
        house.leave(1);
        house.now += KEPT;
        assert!(house.ask(2).is_err(), "one of its two transfers goes on");
        house.leave(1);
        assert!(house.ask(2).is_err());
        house.now += KEPT;
        assert_eq!(house.ask(2), Ok(()));
    }

    #[test]
    fn a_place_is_not_kept_for_a_machine_that_wants_nothing_more() {
        let mut house = House::of(1);
        house.ask(1).unwrap();
        house.state.leave(machine(1), true, house.now);
        assert!(house.ask(2).is_err(), "1 has its kernel");
        house.ask(1).unwrap();
        house.ask(1).unwrap();
        house.state.expect(machine(1), true);
        house.state.leave(machine(1), true, house.now);
        assert!(house.ask(2).is_err(), "another of its transfers goes on");
        house.state.leave(machine(1), true, house.now);
        assert_eq!(house.ask(2), Ok(()), "1 has its whole image");
        house.leave(2);
        assert!(!house.state.hung_up(machine(2)), "between kernel and initramfs GRUB hangs up");
        assert!(house.ask(3).is_err());
        house.ask(2).unwrap();
        house.state.expect(machine(2), true);
        assert!(!house.state.hung_up(machine(2)), "of two connections one goes on");
        house.leave(2);
        assert!(house.state.hung_up(machine(2)));
        assert_eq!(house.ask(3), Ok(()));
    }

    #[test]
    fn one_that_went_away_holds_up_nobody() {
        let mut house = House::of(1);
        house.ask(1).unwrap();
        assert!(house.ask(2).is_err());
        house.now += GONE / 2;
        assert!(house.ask(3).is_err());
        house.leave(1);
        house.now += GONE / 2;
        assert_eq!(house.ask(3), Ok(()), "2 did not come back");
        assert!(house.state.waiting.is_empty() && house.state.queue.is_empty());
    }

    #[test]
    fn those_further_back_are_asked_to_wait_longer() {
        let mut house = House::of(2);
        house.ask(1).unwrap();
        house.ask(2).unwrap();
        let waits: Vec<u64> = (3..17).map(|number| house.ask(number).unwrap_err()).collect();
        assert_eq!(waits, [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 5, 5, 5, 5]);
        assert_eq!(house.ask(5), Err(2), "the same answer to the same one");
    }

    #[tokio::test]
    async fn a_client_that_waits_in_its_connection_gets_in_when_a_place_falls_free() {
        let places = Places::new(1);
        let mut first = Places::ask(&places, machine(1), Instant::now()).unwrap().for_the_last(true);
        assert_eq!(Places::wait(&places, machine(2), Duration::ZERO).await.map(drop), Err(1));
        let waits = {
            let places = Arc::clone(&places);
            tokio::spawn(async move { Places::wait(&places, machine(2), Duration::from_secs(3600)).await })
        };
        first.done();
        drop(first);
        drop(tokio::time::timeout(Duration::from_secs(60), waits).await.unwrap().unwrap().unwrap());
    }
}
