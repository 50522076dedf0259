//! Readings as a lab's boss shows them, and as this machine does with a program that spins.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use proptest::prelude::*;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::*;

fn reading(
    start: Instant,
    millis: u64,
    softnet: [(u64, u64, u64); 2],
    threads: &[(u32, &str, u32, u64)],
) -> Reading {
    let line = |(cpu, (processed, dropped, squeezed))| SoftnetLine { cpu, processed, dropped, squeezed };
    let thread = |(id, name, cpu, ticks): &(u32, &str, u32, u64)| {
        (*id, Thread { name: (*name).to_owned(), process: *id, cpu: *cpu, ticks: *ticks })
    };
    let served = vec![(0, 5), (1, 100 + millis)];
    Reading {
        at: start + Duration::from_millis(millis),
        softnet: (0..).zip(softnet).map(line).collect(),
        interrupts: vec![Interrupt { irq: 125, served, names: "enp1s0".to_owned() }],
        threads: threads.iter().map(thread).collect(),
    }
}

fn port() -> Port {
    Port { name: "enp1s0".to_owned(), irqs: BTreeMap::from([(125, vec![1])]), ..Port::default() }
}

/// A second in which `labwatch` spins on processor 1, which takes the frames, and `loki` on processor 0.
fn bad_second(dropped: u64, squeezed: u64, ksoftirqd: u64) -> Vec<Reading> {
    let start = Instant::now();
    let at = |millis, part: u64| {
        let softnet = [(10, 0, 0), (1000 + 50 * part, 7 + dropped * part / 2, squeezed * part / 2)];
        let threads = [
            (9, "ksoftirqd/1", 1, 400 + ksoftirqd * part / 2),
            (70, "loki", 0, 900 + 50 * part),
            (71, "labwatch", 1, 5000 + 49 * part),
        ];
        reading(start, millis, softnet, &threads)
    };
    vec![at(0, 0), at(500, 1), at(1000, 2)]
}

#[test]
fn the_hog_beside_the_soft_interrupts_is_named_with_its_numbers() {
    let found = hogs(&bad_second(6, 120, 34), &port(), false);
    let hog = Hog {
        name: "labwatch".to_owned(),
        process: 71,
        cpu: 1,
        percent: 98,
        irqs: vec![125],
        dropped: 6,
        squeezed: 120,
        ksoftirqd: 34,
    };
    assert_eq!(found, [hog], "and loki spins where no frames are taken");
}

#[test]
fn who_spins_while_nothing_is_lost_is_nobodys_hog() {
    assert!(hogs(&bad_second(0, 1, 5), &port(), false).is_empty());
    assert_eq!(hogs(&bad_second(0, 0, 0), &port(), true).len(), 1, "unless frames were lost just before");
    assert_eq!(hogs(&bad_second(0, 0, 30), &port(), false).len(), 1, "or the kernel's own thread is busy");
}

#[test]
fn frames_are_lost_without_a_hog_when_nothing_spins() {
    let mut calm = bad_second(6, 120, 34);
    for reading in &mut calm {
        reading.threads.remove(&71);
    }
    assert!(hogs(&calm, &port(), false).is_empty());
}

#[test]
fn without_interrupts_of_its_own_a_port_is_served_where_frames_are_taken() {
    let found = hogs(&bad_second(6, 0, 0), &Port::default(), false);
    assert_eq!(found.iter().map(|hog| (hog.cpu, hog.irqs.len())).collect::<Vec<_>>(), [(1, 0)]);
}

#[test]
fn a_program_that_wanders_is_counted_where_it_was() {
    let mut wanders = bad_second(6, 0, 0);
    wanders[1].threads.get_mut(&71).unwrap().cpu = 0;
    assert!(hogs(&wanders, &port(), false).is_empty(), "half of its time was elsewhere");
}

#[test]
fn frames_go_where_least_is_done() {
    assert_eq!(quietest(&bad_second(0, 0, 0), &BTreeSet::from([1])), Some(0));
    assert_eq!(quietest(&bad_second(0, 0, 0), &BTreeSet::from([0, 1])), None);
}

#[test]
fn a_threads_name_may_look_like_its_numbers() {
    let line = "71 (a) 1 (b) R 1 1 1 0 -1 4194304 1 0 0 0 30 12 0 0 20 0 1 0 5 6 7 8 9 10 11 12 13 14 0 0 0 0 0 0 17 3 0 0";
    assert_eq!(stat(line), Some(("a) 1 (b".to_owned(), 3, 42)));
    assert_eq!(stat("71 (a) R 1"), None);
}

/// Ends its program, whatever becomes of the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn a_program_that_spins_on_this_machine_is_found_by_name_and_processor() {
    let allowed = sched_getaffinity(None).unwrap();
    let cpu = (0..CpuSet::MAX_CPU).rev().find(|cpu| allowed.is_set(*cpu)).unwrap();
    let mut one = CpuSet::new();
    one.set(cpu);
    let child = Command::new("sh").args(["-c", "while :; do :; done"]).stdin(Stdio::null()).spawn().unwrap();
    let child = Ended(child);
    let id = child.0.id();
    sched_setaffinity(rustix::process::Pid::from_raw(i32::try_from(id).unwrap()), &one).unwrap();
    let cpu = u32::try_from(cpu).unwrap();
    // What it gets of a busy machine is the machine's business; that its time is seen where it is spent, ours.
    let root = Path::new("/");
    let (start, mut readings) = (Instant::now(), vec![Reading::take(root)]);
    let had = |readings: &[Reading]| {
        let of = |r: &Reading| r.threads.get(&id).map_or(0, |thread| thread.ticks);
        of(&readings[readings.len() - 1]) - of(&readings[0])
    };
    while had(&readings) < 20 && start.elapsed() < Duration::from_secs(60) {
        readings.push(Reading::take(root));
    }
    let spun = times(&readings).into_iter().filter(|((thread, _), _)| *thread == id);
    let most = spun.max_by_key(|(_, ticks)| *ticks).unwrap();
    assert_eq!(most.0.1, cpu);
    assert!(most.1 >= 10, "{most:?}");
    let seen = &readings[readings.len() - 1].threads[&id];
    assert_eq!((seen.name.as_str(), seen.process), ("sh", id));
    // Who else was busy meanwhile is not this test's.
    readings.iter_mut().for_each(|reading| reading.threads.retain(|thread, _| *thread == id));
    // The same readings, with a wire that loses frames there and a clock that shows only the time it had.
    let port = Port { irqs: BTreeMap::from([(1, vec![cpu])]), ..Port::default() };
    let last = readings.len() - 1;
    readings[last].at = readings[0].at + Duration::from_millis(most.1 * 10);
    let line = readings[last].softnet.iter_mut().find(|line| line.cpu == cpu).unwrap();
    line.dropped += 5;
    let found = hogs(&readings, &port, false);
    assert_eq!(found.iter().map(|hog| (hog.process, hog.cpu)).collect::<Vec<_>>(), [(id, cpu)]);
}

proptest! {
    #[test]
    fn no_line_is_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let text = String::from_utf8_lossy(&bytes);
        drop(stat(&text));
        drop(stat(&format!("1 (x) {text}")));
    }
}
