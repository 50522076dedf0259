//! Plugs over HTTP, from the lab's order to the relay and back: each maker's, with wrong passwords, lost answers and
//! relays that stick. No real plug was asked: the simulators follow the makers' documentation.
#![expect(clippy::unwrap_used, reason = "a test may stop")]
#![expect(clippy::panic, reason = "a test may stop")]
#![expect(clippy::indexing_slicing, reason = "a test may stop")]

mod bench;
#[expect(dead_code, reason = "the parts of other tests are used as they are")]
mod makers;

use bench::{Driven, failed, kept};
use makers::{Maker, Plug};
use model::{DeviceKind, DeviceSight, Outcome, PortReading, PortSense, PowerOrder, WebDevice, WebDialect};

/// Everything one maker's plug is tried with.
struct Case {
    maker: Maker,
    dialect: WebDialect,
    port: &'static str,
    watts: Option<&'static str>,
    /// What is kept as its secret.
    secret: &'static str,
    about: &'static str,
}

const fn case(
    (maker, dialect): (Maker, WebDialect),
    (port, watts): (&'static str, Option<&'static str>),
    (secret, about): (&'static str, &'static str),
) -> Case {
    Case { maker, dialect, port, watts, secret, about }
}

const CASES: [Case; 5] = [
    case((Maker::Tasmota, WebDialect::Tasmota), ("1", None), ("pass", "Tasmota at")),
    case(
        (Maker::ShellyFirst, WebDialect::Shelly),
        ("0", None),
        ("admin:pass", "Shelly SHSW-25, generation 1"),
    ),
    case((Maker::ShellySecond, WebDialect::Shelly), ("0", None), ("pass", "Shelly PlugSG3, generation 3")),
    case(
        (Maker::Esphome, WebDialect::Esphome),
        ("node1", Some("{port}_power")),
        ("admin:pass", "ESPHome at"),
    ),
    case(
        (Maker::HomeAssistant, WebDialect::HomeAssistant),
        ("switch.node1", Some("sensor.{port}_power")),
        ("pass", "Home Assistant at"),
    ),
];

impl Case {
    fn drive(&self, plug: &Plug, secret: &str) -> Driven {
        let device = WebDevice {
            url: plug.url(),
            credentials: Some(kept("plug")),
            certificate: None,
            watts: self.watts.map(ToOwned::to_owned),
        };
        Driven::new(DeviceKind::Web { dialect: self.dialect, device }, &[self.port], &[("plug", secret)])
    }
}

fn supply(on: bool, milliwatts: u32) -> PortReading {
    PortReading { sense: PortSense::Supply(on), milliwatts: Some(milliwatts) }
}

#[tokio::test]
async fn every_makers_plug_is_switched_and_its_watts_are_read() {
    for case in &CASES {
        let plug = Plug::new(case.maker, Some("pass")).await;
        plug.state.lock().unwrap().watts[0] = 0.5;
        let mut driven = case.drive(&plug, case.secret);
        match driven.sight().await {
            DeviceSight::Answers { about } => assert!(about.starts_with(case.about), "{about}"),
            other => panic!("{:?}: {other:?}", case.maker),
        }
        assert_eq!(driven.reading().await, supply(false, 500), "{:?}", case.maker);
        plug.state.lock().unwrap().watts[0] = 42.0;
        assert_eq!(driven.order(case.port, PowerOrder::On).await, Outcome::Done, "{:?}", case.maker);
        assert_eq!(plug.relays(), [true, false]);
        let told = driven.passed.iter().any(|report| format!("{report:?}").contains("42000"));
        assert!(told, "{:?}: {:?}", case.maker, driven.passed);
        assert_eq!(driven.order(case.port, PowerOrder::Off).await, Outcome::Done, "{:?}", case.maker);
        assert_eq!(plug.relays(), [false, false]);
        let (code, _) = failed(driven.order(case.port, PowerOrder::Soft).await);
        assert_eq!(code, "not-supported", "{:?}", case.maker);
        assert_eq!(plug.state.lock().unwrap().wrong, 0, "{:?}", case.maker);
    }
}

#[tokio::test]
async fn a_wrong_password_is_shown_once_and_never_again() {
    for case in &CASES {
        let plug = Plug::new(case.maker, Some("other")).await;
        let mut driven = case.drive(&plug, case.secret);
        let (code, why) = driven.lost().await;
        assert!(
            code == "credentials" && why.contains("does not take the"),
            "{:?}: {code}: {why}",
            case.maker
        );
        for _ in 0..3 {
            let (code, _) = failed(driven.order(case.port, PowerOrder::On).await);
            assert_eq!(code, "credentials", "{:?}", case.maker);
        }
        let state = plug.state.lock().unwrap();
        assert_eq!((state.wrong, state.relays[0]), (1, false), "{:?}: {:?}", case.maker, state.asked);
    }
}

#[tokio::test]
async fn an_answer_that_is_lost_is_asked_for_again() {
    for case in &CASES {
        let plug = Plug::new(case.maker, Some("pass")).await;
        let mut driven = case.drive(&plug, case.secret);
        driven.reading().await;
        plug.state.lock().unwrap().dropped = 1;
        assert_eq!(driven.order(case.port, PowerOrder::On).await, Outcome::Done, "{:?}", case.maker);
        assert_eq!(plug.relays(), [true, false]);
    }
}

#[tokio::test]
async fn a_relay_that_sticks_is_not_taken_for_one_that_switched() {
    let case = &CASES[0];
    let plug = Plug::new(case.maker, None).await;
    let mut driven = case.drive(&plug, case.secret);
    driven.reading().await;
    plug.state.lock().unwrap().sticks = true;
    let (code, why) = failed(driven.order(case.port, PowerOrder::On).await);
    assert!(code == "not-confirmed" && why.contains("still says off"), "{code}: {why}");
}

#[tokio::test]
async fn a_nonce_that_got_old_costs_a_question_and_no_wrong_proof() {
    let case = &CASES[2];
    let plug = Plug::new(case.maker, Some("pass")).await;
    plug.state.lock().unwrap().nonce_lasts = 2;
    let mut driven = case.drive(&plug, case.secret);
    for order in [PowerOrder::On, PowerOrder::Off, PowerOrder::On] {
        assert_eq!(driven.order(case.port, order).await, Outcome::Done);
    }
    let state = plug.state.lock().unwrap();
    assert_eq!((state.wrong, state.relays[0]), (0, true));
}

#[tokio::test]
async fn a_relay_that_is_not_there_is_named() {
    for (number, port, said) in [(0, "7", "has it such a relay?"), (1, "7", "tells nothing of a relay 7")] {
        let case = &CASES[number];
        let plug = Plug::new(case.maker, Some("pass")).await;
        let mut driven = Case { port, ..case_of(case) }.drive(&plug, case.secret);
        let (code, why) = match number {
            0 => failed(driven.order(port, PowerOrder::On).await),
            _ => driven.lost().await,
        };
        assert!(code == "no-such-port" && why.contains(said), "{:?}: {code}: {why}", case.maker);
    }
}

const fn case_of(case: &Case) -> Case {
    let Case { maker, dialect, port, watts, secret, about } = *case;
    Case { maker, dialect, port, watts, secret, about }
}

#[tokio::test]
async fn addresses_of_the_owners_are_asked_with_the_port_in_them() {
    let plug = Plug::new(Maker::Hook, Some("pass")).await;
    let url = plug.url();
    let kind = DeviceKind::Webhook {
        on: format!("{url}/plug/{{port}}/on"),
        off: format!("GET {url}/plug?name={{port}}&to=off"),
        status: Some(format!("{url}/plug/{{port}}")),
        credentials: Some(kept("hook")),
        certificate: None,
    };
    let mut driven = Driven::new(kind, &["a/b"], &[("hook", "admin:pass")]);
    assert_eq!(driven.reading().await.sense, PortSense::Machine(false));
    assert_eq!(driven.order("a/b", PowerOrder::On).await, Outcome::Done);
    assert!(plug.relays()[0]);
    assert_eq!(driven.order("a/b", PowerOrder::Off).await, Outcome::Done);
    assert!(!plug.relays()[0]);
}
