//! A lab behind a switch: buttons that tell nothing, links that do, and ports that are cut.

use std::time::Duration;

use labinator::desk::{Desk, Look};
use lifecycle::Request;
use model::{
    DeviceKind, DeviceSpec, Fact, LabSpec, LinkReading, Origin, Phase, PortRef, PowerDriver, PowerState,
    SecretRef, Span, SwitchKind, SwitchSpec,
};
use sim::Kind;
use sim::net::Lab;
use tokio::time::sleep;

use crate::house::{House, LOOK_EVERY, Plan};
use crate::machine;
use crate::stand::node;

/// What machines have on the link while they are off: none, and that of Wake-on-LAN.
const STANDBY: [Option<u32>; 2] = [None, Some(10)];

/// A relay board whose relays are wired to buttons, and a switch that machine N hangs on by its port N.
fn wired(spec: &mut LabSpec) {
    let device = DeviceSpec {
        kind: DeviceKind::Relayinator { device: "/dev/ttyUSB0".to_owned() },
        stagger: Span(0),
        protect: [].into(),
        standby: None,
    };
    for driver in spec.power.values_mut() {
        *driver = PowerDriver::Device(device.clone());
    }
    let credentials = SecretRef::Kept("switch".to_owned());
    let switch = SwitchSpec {
        kind: SwitchKind::WebPages { url: "http://10.0.0.2".to_owned(), credentials },
        boss: Some("8".to_owned()),
        uplink: None,
        protect: [].into(),
        every: Span(500),
    };
    spec.switch.insert("core".parse().unwrap(), switch);
    for (number, node) in (1..).zip(spec.board.nodes.values_mut()) {
        let number: u8 = number;
        node.port = Some(PortRef { driver: "core".parse().unwrap(), port: number.to_string() });
        node.zone = Some(number);
    }
}

/// Tells of links as the driver of a switch does: what changed.
pub(crate) async fn watch(lab: Lab, desk: Desk, machines: usize) {
    let mut told = vec![None; machines];
    loop {
        for (at, last) in told.iter_mut().enumerate() {
            let off = lab.phase(at) == sim::Phase::Off;
            let standby = STANDBY[at % STANDBY.len()];
            let link = match (lab.inspect(|segment| segment.is_cut(at)), off) {
                (true, _) => LinkReading::default(),
                (false, true) => LinkReading { enabled: true, mbit: standby, lost: false },
                (false, false) => LinkReading { enabled: true, mbit: Some(1000), lost: false },
            };
            if last.replace(link) != Some(link) {
                let fact = Fact::LinkSeen { node: node(u8::try_from(at + 1).unwrap()), link };
                if desk.tell(fact).await.is_err() {
                    return;
                }
            }
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Every machine is seen so.
async fn all_are(house: &House, state: PowerState, limit: Duration) {
    let is = move |look: Look<'_>| look.lab.machines.values().all(|machine| machine.power == state);
    assert!(house.until(limit, is).await.is_some(), "{:?}", house.standings().await);
}

/// Two machines that are known to be off: one by its missing link, the other by a person.
async fn house() -> House {
    let house = House::open(Plan {
        alter: wired,
        ..Plan::of(vec![machine(1, Kind::UefiPxe), machine(2, Kind::BiosIpxeRom)])
    })
    .await;
    let first = |look: Look<'_>| look.lab.machines[&node(1)].power == PowerState::Off;
    let took = house.until(Duration::from_secs(60), first).await.unwrap();
    assert!(took >= Duration::from_secs(15), "off needs silence, too: {took:?}");
    let other = house.desk.look(|look| look.lab.machines[&node(2)].power).await.unwrap();
    assert_eq!(
        other,
        PowerState::Unknown,
        "a link of 10 Mbit/s is none of a machine that is off, until that is known"
    );
    let said = Request::Confirm { node: node(2).to_string(), state: PowerState::Off, by: Origin::Cli };
    house.desk.ask(said).await.unwrap();
    all_are(&house, PowerState::Off, Duration::from_secs(5)).await;
    house
}

#[tokio::test(start_paused = true)]
async fn buttons_behind_a_switch_go_from_cold_to_ready_and_off_is_silence_and_the_link_of_a_machine_that_is_off()
 {
    let house = house().await;
    house.start().await;
    let ready = |look: Look<'_>| look.lab.phase == Phase::Ready;
    assert!(house.until(Duration::from_secs(180), ready).await.is_some(), "{:?}", house.standings().await);
    all_are(&house, PowerState::On, Duration::from_secs(1)).await;
    house.stop().await;
    let took =
        house.until(Duration::from_secs(120), |look: Look<'_>| look.lab.phase == Phase::Idle).await.unwrap();
    assert!(took >= Duration::from_secs(15), "off was judged before the silence was long enough: {took:?}");
    all_are(&house, PowerState::Off, Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_zone_that_is_cut_for_minutes_is_not_off_not_pressed_and_not_started_anew() {
    let house = house().await;
    house.start().await;
    let ready = |look: Look<'_>| look.lab.phase == Phase::Ready;
    assert!(house.until(Duration::from_secs(180), ready).await.is_some());
    let before = house.desk.look(|look| look.lab.commands).await.unwrap();
    let what = vec!["zone:1".to_owned()];
    let cut = Request::Cut { what, span: Span::secs(600), by: Origin::Cli };
    house.desk.ask(cut).await.unwrap();
    let lost = |look: Look<'_>| look.lab.phase == Phase::Degraded;
    assert!(house.until(Duration::from_secs(60), lost).await.is_some(), "its agent is missed");
    let off = |look: Look<'_>| look.lab.machines[&node(1)].power == PowerState::Off;
    assert_eq!(house.until(Duration::from_secs(500), off).await, None, "a cut is no off");
    assert_eq!(house.overdue().await, [""; 0]);
    let waits = house.desk.look(|look| look.waits.get(&node(1)).map(|wait| wait.what.clone())).await.unwrap();
    assert_eq!(waits.as_deref(), Some("core/1, its switch port, to be enabled again"));
    assert!(house.until(Duration::from_secs(120), ready).await.is_some(), "{:?}", house.standings().await);
    // It goes on for as long as a lost agent would have been waited for.
    assert_eq!(house.until(Duration::from_secs(600), move |look: Look<'_>| !ready(look)).await, None);
    let standing = house.standing(1).await;
    assert_eq!((standing.boots, standing.fault), (1, None), "it was not started anew");
    let orders = house.desk.look(|look| look.lab.commands).await.unwrap();
    assert_eq!(orders - before, 2, "the port was disabled and enabled, and nothing else was ordered");
}
