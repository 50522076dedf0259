//! Hypervisors with guests in a whole lab, and their bad days: each ends where it began, or in an honest word why not.
#![expect(clippy::panic, reason = "a test may stop")]

use std::time::Duration;

use labinator::desk::Look;
use model::{FaultCode, GuestCause, GuestEnd, GuestState, Phase, PowerOrder, PowerState, Rung};
use sim::{Config, Ipxe, Kind, Manner, Segment, Step};

use crate::house::{House, Plan};
use crate::machine;
use crate::stand::{mac, node, power};

const BOOT: Duration = Duration::from_secs(180);
/// What a guest that is lost may take until its next boot begins.
const AGAIN: Duration = Duration::from_secs(30);

/// So many hypervisors, numbered from 1, with so many guests each, numbered on from there: the guests of the first come
/// first.
fn plan(hosts: u8, each: u8, manners: impl Fn(u8) -> Vec<Manner>) -> Plan {
    let kinds = [Kind::BiosIpxeRom, Kind::UefiPxe];
    let metal = (1..=hosts)
        .map(|number| machine(number, kinds[usize::from(number) % kinds.len()]).with(manners(number)));
    let guest = |number: u8| {
        let seed = u64::from(number);
        (Config::new(mac(number), Kind::BiosIpxeRom, Ipxe::Of2019, seed), (number - hosts - 1) / each + 1)
    };
    let guests = (hosts + 1..=hosts + hosts * each).map(guest).collect();
    let plan = Plan::of(metal.collect());
    Plan { guests, enough: u16::from(hosts + hosts * each), ..plan }
}

async fn ready(plan: Plan) -> House {
    let house = House::open(plan).await;
    house.start().await;
    let settled = house.until_settled(BOOT).await;
    assert_eq!(settled, Some(Phase::Ready), "{:#?}", house.standings().await);
    house
}

/// Waits until the lab is ready with this many boots of a machine.
async fn until_boots(house: &House, number: u8, boots: u32, limit: Duration) -> Duration {
    let again = move |look: Look<'_>| {
        let machine = &look.lab.machines[&node(number)];
        look.lab.phase == Phase::Ready && machine.rung == Rung::Ready && machine.boots == boots
    };
    let took = house.until(limit, again).await;
    took.unwrap_or_else(|| panic!("node{number} is not ready for the {boots}. time"))
}

/// When a machine's kernels began, in milliseconds of the lab.
fn kernels(segment: &Segment, number: u8) -> Vec<u64> {
    let machine = segment.machine(usize::from(number) - 1).unwrap();
    let begun = machine.history().iter().filter(|(_, step)| matches!(step, Step::KernelStarted { .. }));
    begun.map(|(at, _)| *at).collect()
}

/// When a machine went off last.
fn went_off(segment: &Segment, number: u8) -> u64 {
    let machine = segment.machine(usize::from(number) - 1).unwrap();
    let off = |step: &Step| matches!(step, Step::PowerLost | Step::ShutDown);
    machine.history().iter().rfind(|(_, step)| off(step)).unwrap().0
}

fn end(cause: GuestCause, evidence: &str) -> GuestEnd {
    GuestEnd { cause, evidence: evidence.to_owned() }
}

async fn guest(house: &House, number: u8) -> model::GuestSeen {
    house.desk.look(move |look| look.lab.machines[&node(number)].guest.clone()).await.unwrap().unwrap()
}

#[tokio::test(start_paused = true)]
async fn six_hypervisors_and_eighteen_guests_go_from_cold_to_ready_and_down_guests_first() {
    let house = ready(plan(6, 3, |_| Vec::new())).await;
    assert_eq!(house.standings().await.len(), 24);
    for standing in house.standings().await {
        assert_eq!((standing.rung, standing.boots, standing.tries), (Rung::Ready, 1, 0), "{standing:?}");
    }
    // What three guests boot came to their hypervisor once.
    house.lab.inspect(|segment| {
        for host in 0..6 {
            let steps = segment.machine(host).unwrap().history();
            let began = steps.iter().position(|(_, step)| *step == Step::AgentWelcomed).unwrap();
            let fetched = steps.iter().skip(began).filter(|(_, step)| match step {
                Step::UrlAsked(url) => url.contains("/f/"),
                _ => false,
            });
            assert_eq!(fetched.count(), 2, "kernel and initramfs");
        }
    });
    let left = house.until(Duration::from_secs(600), |look| look.lab.phase != Phase::Ready).await;
    assert_eq!(left, None);
    house.stop().await;
    let idle = |look: Look<'_>| look.lab.phase == Phase::Idle;
    let took = house.until(Duration::from_secs(120), idle).await.unwrap();
    assert!(took < Duration::from_secs(30), "{took:?}");
    assert!((0..24).all(|at| house.lab.phase(at) == sim::Phase::Off));
    house.lab.inspect(|segment| {
        for guest in 7..=24 {
            let host = (guest - 7) / 3 + 1;
            assert!(went_off(segment, guest) < went_off(segment, host), "node{guest} on node{host}");
        }
    });
}

#[tokio::test(start_paused = true)]
async fn a_hypervisor_that_starts_again_in_a_ready_lab_brings_its_guests_back_alone() {
    let house = ready(plan(3, 3, |_| Vec::new())).await;
    house.lab.reset(0);
    until_boots(&house, 4, 2, BOOT).await;
    for (number, standing) in (1..).zip(house.standings().await) {
        // The first, and its guests.
        let boots = if matches!(number, 1 | 4..=6) { 2 } else { 1 };
        assert_eq!((standing.boots, standing.bad, standing.fault), (boots, false, None), "node{number}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_guest_that_is_lost_comes_back_and_says_by_what_it_was_lost() {
    let house = ready(plan(2, 2, |_| Vec::new())).await;
    let cases = [
        end(GuestCause::QemuDied, "signal 9"),
        end(GuestCause::OutOfMemory, "Out of memory: Killed process 812 (qemu-system-x86)"),
        end(GuestCause::Panicked, "Kernel panic - not syncing: VFS: Unable to mount root fs"),
        end(GuestCause::PoweredOff, "guest-shutdown"),
    ];
    for (boots, lost) in (2..).zip(cases) {
        let began = house.lab.inspect(|segment| kernels(segment, 3).len());
        let at = house.lab.now();
        house.lab.end_guest(2, lost.clone());
        let again = |segment: &Segment| kernels(segment, 3).len() > began;
        assert!(house.lab.wait_until(AGAIN, again).await, "{lost:?}");
        let after = house.lab.inspect(|segment| *kernels(segment, 3).last().unwrap()) - at;
        assert!(after <= 10_000, "{after} ms, {lost:?}");
        until_boots(&house, 3, boots, BOOT).await;
        let seen = guest(&house, 3).await;
        assert_eq!((seen.state, seen.ended, seen.starts), (GuestState::Running, Some(lost), boots));
    }
    // Nobody else noticed.
    for number in [1, 2, 4, 5, 6] {
        assert_eq!(house.standing(number).await.boots, 1, "node{number}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_guest_that_ends_again_and_again_is_bad_because_and_a_person_brings_it_back() {
    // The boss's own tries are more than the hypervisor bears.
    let alter = |spec: &mut model::LabSpec| spec.limits.tries = 10;
    let house = ready(Plan { alter, ..plan(1, 2, |_| Vec::new()) }).await;
    let bad = |look: Look<'_>| look.lab.machines[&node(2)].bad;
    let mut ends = 0;
    while house.until(Duration::from_secs(1), bad).await.is_none() {
        let before = house.lab.inspect(|segment| kernels(segment, 2).len());
        house.lab.end_guest(1, end(GuestCause::QemuDied, "qemu: could not load PC BIOS"));
        ends += 1;
        assert!(ends <= 6, "it is started for ever");
        // It may also be given up now.
        house.lab.wait_until(AGAIN, |segment| kernels(segment, 2).len() > before).await;
    }
    let standing = house.standing(2).await;
    let fault = standing.fault.unwrap();
    assert_eq!(fault.code, FaultCode::CrashLooping, "{}", fault.text);
    assert!(fault.text.contains("could not load PC BIOS"), "{}", fault.text);
    assert_eq!(ends, 6);
    assert_eq!(house.standing(3).await.rung, Rung::Ready);
    // Nothing starts it any more, until somebody says so.
    let begun = house.lab.inspect(|segment| kernels(segment, 2).len());
    assert!(
        !house.lab.wait_until(Duration::from_secs(900), |segment| kernels(segment, 2).len() > begun).await
    );
    house.desk.ask(power(2, PowerOrder::On)).await.unwrap();
    let well = |look: Look<'_>| look.lab.machines[&node(2)].rung == Rung::Ready;
    assert!(house.until(BOOT, well).await.is_some(), "{:?}", house.standing(2).await);
}

#[tokio::test(start_paused = true)]
async fn while_the_boss_is_dead_guests_run_on_and_what_is_lost_comes_back_by_the_last_wish() {
    let mut house = ready(plan(2, 2, |_| Vec::new())).await;
    let away = Duration::from_secs(600);
    let lost = async |lab: &sim::net::Lab| {
        // Well after the last heartbeat was answered.
        assert!(!lab.wait_until(Duration::from_secs(60), |segment| kernels(segment, 3).len() > 1).await);
        lab.end_guest(2, end(GuestCause::QemuDied, "signal 9"));
        assert!(lab.wait_until(AGAIN, |segment| kernels(segment, 3).len() == 2).await, "nobody started it");
    };
    house.without_a_boss(away, lost).await;
    until_boots(&house, 3, 2, BOOT).await;
    let left = house.until(Duration::from_secs(300), |look| look.lab.phase != Phase::Ready).await;
    assert_eq!(left, None, "{:#?}", house.standings().await);
    for (number, standing) in (1..).zip(house.standings().await) {
        let boots = if number == 3 { 2 } else { 1 };
        assert_eq!((standing.boots, standing.fault), (boots, None), "node{number}");
        assert_eq!(
            house.lab.inspect(|segment| kernels(segment, number).len()),
            usize::try_from(boots).unwrap()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_hypervisor_that_loses_its_power_while_the_boss_is_dead_climbs_with_its_guests_afterwards() {
    let mut house = ready(plan(2, 2, |_| Vec::new())).await;
    let pulled = async |lab: &sim::net::Lab| {
        lab.switch(0, PowerOrder::Off);
        let off = |segment: &Segment| segment.machine(2).unwrap().phase() == sim::Phase::Off;
        assert!(lab.wait_until(AGAIN, off).await, "a guest without a machine");
    };
    house.without_a_boss(Duration::from_secs(600), pulled).await;
    until_boots(&house, 3, 2, Duration::from_secs(600)).await;
    until_boots(&house, 4, 2, Duration::from_secs(60)).await;
    assert_eq!(house.lab.see(0), PowerState::On);
    for number in [2, 5, 6] {
        assert_eq!(house.standing(number).await.boots, 1, "node{number}");
    }
}

#[tokio::test(start_paused = true)]
async fn guests_for_which_there_is_no_room_wait_and_say_so_until_there_is_some() {
    let full = |number| if number == 1 { vec![Manner::NoRoomUntil(90_000)] } else { Vec::new() };
    let house = House::open(plan(2, 2, full)).await;
    house.start().await;
    let says = |look: Look<'_>| {
        let seen = look.lab.machines[&node(3)].guest.as_ref();
        let full = |end: &GuestEnd| end.cause == GuestCause::NoRoom && end.evidence.contains("no space left");
        seen.is_some_and(|seen| seen.state == GuestState::Refused && seen.ended.as_ref().is_some_and(full))
    };
    assert!(house.until(BOOT, says).await.is_some(), "{:?}", house.standing(3).await);
    // The guests of the other do not wait for it.
    let others = |look: Look<'_>| [5, 6].iter().all(|n| look.lab.machines[&node(*n)].rung == Rung::Ready);
    assert!(house.until(Duration::from_secs(60), others).await.is_some());
    assert!(house.lab.now() < 90_000);
    assert_eq!(house.until_settled(BOOT).await, Some(Phase::Ready), "{:#?}", house.standings().await);
    assert_eq!(house.standing(3).await.tries, 0);
}

#[tokio::test(start_paused = true)]
async fn what_reads_as_another_content_is_not_started_and_both_digests_are_named() {
    let house = House::open(plan(1, 2, |_| vec![Manner::DamagesContents(1)])).await;
    house.start().await;
    assert_eq!(house.until_settled(BOOT).await, Some(Phase::Failed));
    for number in [2, 3] {
        let fault = house.standing(number).await.fault.unwrap();
        assert_eq!(fault.code, FaultCode::GuestRefused);
        let digests = fault.text.split(|c: char| !c.is_ascii_hexdigit()).filter(|word| word.len() == 64);
        assert_eq!(digests.count(), 2, "{}", fault.text);
    }
    house.lab.inspect(|segment| assert!(kernels(segment, 2).is_empty() && kernels(segment, 3).is_empty()));
    // Another order is another try.
    house.desk.ask(power(2, PowerOrder::On)).await.unwrap();
    let well = |look: Look<'_>| look.lab.machines[&node(2)].rung == Rung::Ready;
    assert!(house.until(BOOT, well).await.is_some(), "{:?}", house.standing(2).await);
}

#[tokio::test(start_paused = true)]
async fn an_older_agent_runs_no_guests_and_they_say_what_they_wait_for_in_vain() {
    let house = House::open(plan(1, 1, |_| vec![Manner::AgentIsOlder])).await;
    house.start().await;
    assert_eq!(house.until_settled(Duration::from_secs(600)).await, Some(Phase::Failed));
    assert_eq!(house.standing(1).await.rung, Rung::Ready);
    let standing = house.standing(2).await;
    assert!(standing.bad, "{standing:?}");
    assert_eq!(standing.fault.unwrap().code, FaultCode::PowerUnseen);
}

/// Whatever happens to hypervisors and guests, once it is over the lab is ready again, or says of each machine why not.
#[tokio::test(start_paused = true)]
async fn after_any_order_of_losses_the_lab_is_ready_again_or_says_why_not() {
    for seed in 1..=12_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut dice = |sides: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % sides
        };
        let mut house = ready(plan(2, 2, |_| Vec::new())).await;
        for _ in 0..8 {
            let guest = usize::try_from(2 + dice(4)).unwrap();
            match dice(6) {
                0 => house.lab.reset(usize::try_from(dice(2)).unwrap()),
                1 => house.lab.switch(usize::try_from(dice(2)).unwrap(), PowerOrder::Off),
                2 => house.lab.reset(guest),
                3 => {
                    let away = Duration::from_millis(dice(60_000));
                    house.without_a_boss(away, async |_| {}).await;
                }
                _ => house.lab.end_guest(guest, end(GuestCause::QemuDied, "signal 9")),
            }
            tokio::time::sleep(Duration::from_millis(dice(40_000))).await;
            assert_eq!(house.overdue().await, Vec::<String>::new(), "seed {seed}");
        }
        let over = |look: Look<'_>| {
            look.lab.machines.values().all(|m| m.rung == Rung::Ready || (m.bad && m.fault.is_some()))
        };
        let over = house.until(Duration::from_secs(1800), over).await;
        assert!(over.is_some(), "seed {seed}: {:#?}", house.standings().await);
    }
}
