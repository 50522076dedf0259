//! Wipes from the request to what the disk holds afterwards: the agent is simulated down to its seals, and reads its
//! disk back.
#![expect(clippy::panic, reason = "a test may stop")]

use std::time::Duration;

use labinator::desk::DeskError;
use lifecycle::{Refusal, Request, WipeRefusal};
use model::{DiskLabel, LabelState, Origin, Phase, PowerState, Proof, Rung, WipeState};
use sim::{Disk, Kind, Manner, Segment, Step};

use crate::house::{House, Plan};
use crate::machine;
use crate::stand::node;

/// What a wipe of the simulator takes, and the heartbeats around it.
const WIPE: Duration = Duration::from_secs(30);
const BOOT: Duration = Duration::from_secs(120);

/// A disk that a lab wiped once, with another system on it since.
fn of_lab(lab: &str) -> Disk {
    let label = DiskLabel { lab: lab.parse().unwrap(), node: node(1), number: 7, state: LabelState::Wiped };
    Disk::new("S1").labelled(label)
}

/// A lab of one machine with this disk, ready.
async fn ready(disk: Disk, manners: impl Into<Vec<Manner>>) -> House {
    let config = machine(1, Kind::BiosIpxeRom).with(manners).on_disk(disk);
    let house = House::open(Plan::of(vec![config])).await;
    house.start().await;
    assert_eq!(house.until_settled(BOOT).await, Some(Phase::Ready));
    house
}

async fn ask(house: &House, confirm: Option<&str>) -> Result<(), WipeRefusal> {
    let confirm = confirm.map(str::to_owned);
    let request = Request::Wipe { node: node(1).to_string(), disk: None, confirm, by: Origin::Cli };
    match house.desk.ask(request).await {
        Ok(_) => Ok(()),
        Err(DeskError::Refused(Refusal::Wipe(why))) => Err(why),
        Err(other) => panic!("{other:?}"),
    }
}

/// How wipe `number` of the machine ended, within the limit.
async fn ended(house: &House, number: u32, limit: Duration) -> WipeState {
    let over = move |look: labinator::desk::Look<'_>| {
        let wipe = look.lab.machines[&node(1)].wipe.as_ref();
        wipe.is_some_and(|wipe| wipe.number == number && wipe.ended.is_some())
    };
    assert!(house.until(limit, over).await.is_some(), "wipe {number} does not end: {:?}", told(house).await);
    told(house).await.unwrap()
}

async fn told(house: &House) -> Option<WipeState> {
    house.desk.look(|look| look.lab.machines[&node(1)].wipe.as_ref()?.told.clone()).await.unwrap()
}

/// What `labinator explain` says was seen.
async fn seen(house: &House) -> String {
    let look = house.desk.look(|look| {
        let machine = &look.lab.machines[&node(1)];
        lifecycle::explain(look.lab, machine, None, look.now).seen.join("\n")
    });
    look.await.unwrap()
}

fn disk(house: &House) -> Disk {
    house.lab.inspect(|segment| segment.machine(0).unwrap().disk().clone())
}

fn has_done(segment: &Segment, wanted: &Step) -> usize {
    segment.machine(0).unwrap().history().iter().filter(|(_, step)| step == wanted).count()
}

#[tokio::test(start_paused = true)]
async fn a_recorded_disk_is_wiped_by_an_agent_known_by_its_key_and_said_to_be_when_it_was_read_back() {
    let house = ready(of_lab("bench"), []).await;
    let proof = house.desk.look(|look| look.lab.machines[&node(1)].agent.as_ref().map(|agent| agent.proof));
    assert_eq!(proof.await.unwrap(), Some(Proof::Key));
    assert!(disk(&house).holds_something());
    ask(&house, None).await.unwrap();
    let begun = |segment: &Segment| segment.machine(0).unwrap().disk().label().unwrap().number == 1;
    assert!(house.lab.wait_until(WIPE, begun).await);
    // Half of it is done, and nobody says more.
    assert_eq!(disk(&house).label().unwrap().state, LabelState::Begun);
    assert!(!matches!(told(&house).await, Some(WipeState::Wiped { .. })));
    // Switching it off would leave it so: it waits.
    house.stop().await;
    let WipeState::Wiped { report } = ended(&house, 1, WIPE).await else {
        panic!("{:?}", told(&house).await)
    };
    assert_eq!(report.places, 3);
    assert!(!disk(&house).holds_something());
    let label = disk(&house).label().cloned().unwrap();
    assert_eq!((label.number, label.state), (1, LabelState::Wiped));
    let idle = |look: labinator::desk::Look<'_>| look.lab.phase == Phase::Idle;
    house.until(Duration::from_secs(60), idle).await.unwrap();
    assert_eq!(house.lab.see(0), PowerState::Off);
    assert_eq!(house.standing(1).await.boots, 1, "nobody switched it meanwhile");
    house.lab.inspect(|segment| assert_eq!(has_done(segment, &Step::Wiped), 1));
}

#[tokio::test(start_paused = true)]
async fn a_disk_of_nobody_or_of_another_lab_is_not_touched_without_its_serial() {
    for (there, owner) in [(Disk::new("S1"), None), (of_lab("attic"), Some("attic"))] {
        let house = ready(there, []).await;
        for typed in [None, Some("S2"), Some("sda")] {
            let refused = ask(&house, typed).await.unwrap_err();
            assert_eq!(refused.code(), "disk_unconfirmed", "{refused}");
            let WipeRefusal::Unconfirmed { owner: told, .. } = refused else { panic!("{refused}") };
            assert_eq!(told.as_ref().map(|lab| lab.as_str()), owner);
        }
        // A few heartbeats later still nothing was begun.
        let beats = |segment: &Segment| has_done(segment, &Step::BeatAccepted) > 4;
        assert!(house.lab.wait_until(BOOT, beats).await);
        house.lab.inspect(|segment| assert_eq!(has_done(segment, &Step::WipeBegun), 0));
        assert!(disk(&house).holds_something());
        ask(&house, Some("S1")).await.unwrap();
        assert!(matches!(ended(&house, 1, WIPE).await, WipeState::Wiped { .. }));
        assert!(!disk(&house).holds_something());
        // It is this lab's from now on.
        ask(&house, None).await.unwrap();
        assert!(matches!(ended(&house, 2, WIPE).await, WipeState::Wiped { .. }));
    }
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_was_put_in_after_the_report_is_refused_by_the_agent_and_not_touched() {
    let house = ready(of_lab("bench"), []).await;
    let other = Disk::new("S9").labelled(of_lab("attic").label().cloned().unwrap());
    house.lab.change_disk(0, other);
    ask(&house, None).await.unwrap();
    let WipeState::Failed { touched, why } = ended(&house, 1, WIPE).await else { panic!("it was wiped") };
    assert!(!touched && why.contains("no disk of this machine has the serial"), "{why}");
    assert!(disk(&house).holds_something() && disk(&house).label().unwrap().lab.as_str() == "attic");
    // The same disk by its serial, in another lab meanwhile: the record of this lab does not count any more.
    house.lab.change_disk(0, of_lab("attic"));
    ask(&house, None).await.unwrap();
    let WipeState::Failed { touched, why } = ended(&house, 2, WIPE).await else { panic!("it was wiped") };
    assert!(!touched && why.contains("belongs to lab attic"), "{why}");
    assert!(disk(&house).holds_something());
    assert!(seen(&house).await.contains("nothing of it was touched"), "{}", seen(&house).await);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_dies_midway_and_comes_again_is_not_given_its_order_and_says_what_it_found() {
    let house = ready(of_lab("bench"), []).await;
    ask(&house, None).await.unwrap();
    assert!(house.lab.wait_until(WIPE, |segment| has_done(segment, &Step::WipeBegun) == 1).await);
    // Process 1 of its image: when it dies, the machine starts again.
    house.lab.reset(0);
    let WipeState::Failed { touched, why } = ended(&house, 1, BOOT).await else { panic!("it was wiped") };
    assert!(touched && why.contains("half wiped"), "{why}");
    let again = |look: labinator::desk::Look<'_>| {
        let machine = &look.lab.machines[&node(1)];
        machine.boots == 2 && machine.rung == Rung::Ready
    };
    house.until(BOOT, again).await.unwrap();
    let beats = |segment: &Segment| has_done(segment, &Step::BeatAccepted) > 8;
    assert!(house.lab.wait_until(BOOT, beats).await);
    house.lab.inspect(|segment| assert_eq!(has_done(segment, &Step::WipeBegun), 1));
    assert!(disk(&house).holds_something());
    assert!(
        seen(&house).await.contains("sda (serial S1, 256 GB) was found half wiped"),
        "{}",
        seen(&house).await
    );
    // Asked again, the present boot does it to the end.
    ask(&house, None).await.unwrap();
    assert!(matches!(ended(&house, 2, WIPE).await, WipeState::Wiped { .. }));
    assert!(!disk(&house).holds_something());
    assert!(!seen(&house).await.contains("half wiped"));
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_says_it_did_and_did_not_is_found_out_by_reading_back() {
    let house = ready(of_lab("bench").keeping(), []).await;
    ask(&house, None).await.unwrap();
    let WipeState::Failed { touched, why } = ended(&house, 1, WIPE).await else { panic!("it was believed") };
    assert!(touched && why.contains("byte 512") && why.contains("EFI PART"), "{why}");
    assert!(seen(&house).await.contains("wiping sda (serial S1, 256 GB) failed"), "{}", seen(&house).await);
    let known = house.desk.look(|look| look.lab.machines[&node(1)].disks.first().map(|disk| disk.wiped));
    assert_eq!(known.await.unwrap(), Some(None), "it counts as wiped");
    // The machine goes on, and may be switched again.
    house.stop().await;
    let idle = |look: labinator::desk::Look<'_>| look.lab.phase == Phase::Idle;
    house.until(Duration::from_secs(60), idle).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn before_use_the_labs_disks_are_wiped_and_one_that_lies_costs_its_machine_and_no_other() {
    let machines = vec![
        machine(1, Kind::BiosIpxeRom).on_disk(of_lab("bench")),
        machine(2, Kind::UefiPxe).on_disk(of_lab("bench").keeping()),
        machine(3, Kind::BiosIpxeRom).on_disk(of_lab("attic")),
    ];
    let alter =
        |spec: &mut model::LabSpec| spec.scenarios.values_mut().for_each(|s| s.wipe_before_use = true);
    let house = House::open(Plan { enough: 1, alter, ..Plan::of(machines) }).await;
    house.start().await;
    let one = |look: labinator::desk::Look<'_>| look.lab.machines[&node(1)].rung == Rung::Ready;
    house.until(BOOT, one).await.unwrap();
    assert!(!disk(&house).holds_something(), "it is ready before its disk was wiped");
    // The liar is ordered as often as anything is tried, and then waits for a person, as the stranger does at once.
    let tried = |look: labinator::desk::Look<'_>| {
        let machine = &look.lab.machines[&node(2)];
        machine.wipes == 3 && machine.open_wipe().is_none()
    };
    house.until(Duration::from_secs(300), tried).await.unwrap();
    let settled = house.until(Duration::from_secs(90), |look| {
        look.lab.machines[&node(2)].wipes > 3 || look.lab.machines[&node(3)].wipes > 0
    });
    assert_eq!(settled.await, None, "it is wiped without a person's word");
    for (number, expected) in [(2, "a wipe of sda"), (3, "a person's word about sda")] {
        assert_ne!(house.standing(number).await.rung, Rung::Ready);
        let waits = house.desk.look(move |look| look.waits.get(&node(number)).map(|wait| wait.what.clone()));
        let waits = waits.await.unwrap().unwrap_or_default();
        assert!(waits.contains(expected), "{waits}");
    }
    let stranger = house.lab.inspect(|segment| segment.machine(2).unwrap().disk().clone());
    assert!(stranger.holds_something() && stranger.label().unwrap().lab.as_str() == "attic");
}

#[tokio::test(start_paused = true)]
async fn an_agent_older_than_its_boss_is_ready_as_ever_and_is_not_asked_for_what_it_cannot_do() {
    let house = ready(of_lab("bench"), [Manner::AgentIsOlder]).await;
    let proof = house.desk.look(|look| look.lab.machines[&node(1)].agent.as_ref().map(|agent| agent.proof));
    assert_eq!(proof.await.unwrap(), Some(Proof::Address));
    let refused = ask(&house, None).await.unwrap_err();
    assert_eq!(refused.code(), "disks_unknown", "{refused}");
    // It hears what it does not know and goes on; it is told to go off in words that it has always known.
    house.stop().await;
    let idle = |look: labinator::desk::Look<'_>| look.lab.phase == Phase::Idle;
    let took = house.until(Duration::from_secs(60), idle).await.unwrap();
    assert!(took < Duration::from_secs(10), "{took:?}");
    house.lab.inspect(|segment| assert_eq!(has_done(segment, &Step::ShutDown), 1));
}
