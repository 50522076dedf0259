//! Machines that wait in their live image and start the next one by kexec; and those that then are never heard of.

use std::time::Duration;

use model::{ClientKind, LabSpec, Phase, PowerState, Span};
use sim::{Kind, Manner, Step};

use crate::house::{House, Plan};
use crate::machine;
use crate::stand::{all, node};

fn parks(spec: &mut LabSpec, seconds: u64) {
    spec.scenarios.get_mut(&all()).unwrap().park = Some(Span::secs(seconds));
}

async fn house(manners: &[Manner], alter: fn(&mut LabSpec)) -> House {
    let config = machine(1, Kind::BiosIpxeRom).with(manners);
    let house = House::open(Plan { alter, ..Plan::of(vec![config]) }).await;
    house.start().await;
    assert_eq!(house.until_settled(Duration::from_secs(120)).await, Some(Phase::Ready));
    house
}

/// Its run ends, and it waits in memory.
async fn is_parked(house: &House) {
    house.stop().await;
    let parked = |look: labinator::desk::Look<'_>| {
        let machine = &look.lab.machines[&node(1)];
        let jump = machine.live_boot().is_some_and(|boot| boot.firmware == Some(ClientKind::Kexec));
        look.lab.phase == Phase::Idle && machine.park.is_some() && jump
    };
    house.until(Duration::from_secs(60), parked).await.unwrap();
    assert_eq!(house.lab.see(0), PowerState::On);
}

/// How often something happened to the machine.
fn times(house: &House, is: fn(&Step) -> bool) -> usize {
    let mut count = 0;
    house.lab.inspect(|segment| {
        count = segment.machines()[0].history().iter().filter(|(_, step)| is(step)).count();
    });
    count
}

const POWERED: fn(&Step) -> bool = |step| matches!(step, Step::PoweredOn | Step::Reset);
const STARTED: fn(&Step) -> bool = |step| matches!(step, Step::KernelStarted { .. });

#[tokio::test(start_paused = true)]
async fn the_next_start_of_a_parked_image_takes_neither_power_nor_firmware() {
    let house = house(&[Manner::Kexecs], |spec| parks(spec, 1800)).await;
    for start in 2..4 {
        is_parked(&house).await;
        house.start().await;
        let ready = |look: labinator::desk::Look<'_>| look.lab.phase == Phase::Ready;
        let took = house.until(Duration::from_secs(60), ready).await.unwrap();
        assert!(took < Duration::from_secs(10), "{took:?}");
        assert_eq!((times(&house, POWERED), times(&house, STARTED)), (1, start));
        let standing = house.standing(1).await;
        assert_eq!((standing.boots, standing.fault), (u32::try_from(start).unwrap(), None));
    }
}

#[tokio::test(start_paused = true)]
async fn a_kernel_that_does_not_survive_kexec_is_started_cold_and_never_so_again() {
    let house = house(&[Manner::Kexecs, Manner::KexecHangs], |spec| parks(spec, 1800)).await;
    is_parked(&house).await;
    house.start().await;
    let ready = |look: labinator::desk::Look<'_>| look.lab.phase == Phase::Ready;
    house.until(Duration::from_secs(600), ready).await.unwrap();
    assert_eq!((times(&house, POWERED), times(&house, STARTED)), (2, 2));
    let failed = house.desk.look(|look| look.lab.machines[&node(1)].jumps.failed.clone()).await.unwrap();
    assert_eq!(failed.unwrap().boot, 2);

    house.stop().await;
    let idle = |look: labinator::desk::Look<'_>| look.lab.phase == Phase::Idle;
    house.until(Duration::from_secs(60), idle).await.unwrap();
    assert_eq!((house.lab.see(0), times(&house, |step| *step == Step::ToldToPark)), (PowerState::Off, 1));
}

#[tokio::test(start_paused = true)]
async fn a_parked_image_goes_off_when_its_time_is_over_also_with_the_boss_away() {
    let mut house = house(&[Manner::Kexecs], |spec| parks(spec, 60)).await;
    is_parked(&house).await;
    let off = |look: labinator::desk::Look<'_>| look.lab.machines[&node(1)].power == PowerState::Off;
    let took = house.until(Duration::from_secs(120), off).await.unwrap();
    assert!((55..75).contains(&took.as_secs()), "{took:?}");

    house.start().await;
    assert_eq!(house.until_settled(Duration::from_secs(120)).await, Some(Phase::Ready));
    is_parked(&house).await;
    house
        .without_a_boss(Duration::from_secs(90), async |lab| {
            assert_eq!(lab.see(0), PowerState::On);
        })
        .await;
    assert_eq!(house.lab.see(0), PowerState::Off);
    assert_eq!(times(&house, |step| *step == Step::ShutDown), 2);
}
