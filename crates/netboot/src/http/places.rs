//! Places for image transfers, and the queue in front of them: first come, first served, by machine.
//!
//! ```text
//!  ask ─▶ holds a place already ──────────────────────────────▶ goes on in it
//!     ├─▶ a place is free and nobody was here before it ──────▶ takes it
//!     └─▶ has its place in the queue, which it keeps as long as it asks again within 12 s
//!  last transfer of a machine ends ─▶ its place is kept 2 s for the next file ─▶ the head of the queue
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
        Ok(Place { places: Arc::clone(places), machine })
    }

    /// A place for one that cannot wait, over the number where it must be: those who can wait will.
    pub(crate) fn insist(places: &Arc<Self>, machine: IpAddr, now: Instant) -> Place {
        places.state().admit(machine, now);
        Place { places: Arc::clone(places), machine }
    }

    /// Waits for a place at most so long, then takes one over the number.
    pub(crate) async fn wait(places: &Arc<Self>, machine: IpAddr, limit: Duration) -> Place {
        let end = Instant::now() + limit;
        loop {
            let freed = places.freed.notified();
            let now = Instant::now();
            match Self::ask(places, machine, now) {
                Ok(place) => return place,
                Err(_) if now >= end => return Self::insist(places, machine, now),
                // Either way it is time to look again.
                Err(_) => drop(tokio::time::timeout_at(end.min(now + LOOK), freed).await),
            }
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
        self.machines.entry(machine).or_insert(Held { transfers: 0, idle: now }).transfers += 1;
    }

    fn leave(&mut self, machine: IpAddr, now: Instant) {
        if let Some(held) = self.machines.get_mut(&machine) {
            held.transfers = held.transfers.saturating_sub(1);
            held.idle = now;
        }
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
        self.places.state().leave(self.machine, Instant::now());
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
            self.state.leave(machine(number), self.now);
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
    async fn a_client_that_waits_in_its_connection_gets_in_when_a_place_falls_free_or_its_patience_ends() {
        let places = Places::new(1);
        let first = Places::ask(&places, machine(1), Instant::now()).unwrap();
        drop(Places::wait(&places, machine(2), Duration::from_millis(10)).await);
        let waits = {
            let places = Arc::clone(&places);
            tokio::spawn(async move { Places::wait(&places, machine(3), Duration::from_secs(3600)).await })
        };
        drop(first);
        drop(tokio::time::timeout(Duration::from_secs(60), waits).await.unwrap());
    }
}
