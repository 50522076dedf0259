//! Proxmox VE and Intel AMT, from the lab's order to the machine and back. No real one was asked: the simulators follow
//! the makers' pages.
#![expect(clippy::unwrap_used, reason = "a test may stop")]
#![expect(clippy::panic, reason = "a test may stop")]
#![expect(clippy::indexing_slicing, reason = "a test may stop")]

mod bench;
#[expect(dead_code, reason = "the parts of other tests are used as they are")]
mod makers;

use bench::{Driven, failed, kept};
use makers::{Maker, Plug};
use model::{DeviceKind, DeviceSight, Outcome, PortReading, PortSense, PowerOrder, WebDevice, WebDialect};

const PROXMOX: (WebDialect, &str) = (WebDialect::Proxmox, "lab@pve!boss=pass");
const AMT: (WebDialect, &str) = (WebDialect::Amt, "admin:pass");

fn drive(plug: &Plug, (dialect, secret): (WebDialect, &str), ports: &[&str]) -> Driven {
    let device =
        WebDevice { url: plug.url(), credentials: Some(kept("host")), certificate: None, watts: None };
    Driven::new(DeviceKind::Web { dialect, device }, ports, &[("host", secret)])
}

const fn machine(on: bool) -> PortReading {
    PortReading { sense: PortSense::Machine(on), milliwatts: None }
}

#[tokio::test]
async fn machines_are_started_stopped_and_asked_to_stop() {
    for (maker, how, port, about) in
        [(Maker::Proxmox, PROXMOX, "101", "Proxmox VE at"), (Maker::Amt, AMT, "1", "Intel AMT at")]
    {
        let plug = Plug::new(maker, Some("pass")).await;
        let mut driven = drive(&plug, how, &[port]);
        match driven.sight().await {
            DeviceSight::Answers { about: said } => {
                assert!(said.starts_with(about), "{said}");
            }
            other => panic!("{maker:?}: {other:?}"),
        }
        assert_eq!(driven.reading().await, machine(false), "{maker:?}");
        for (order, runs) in [
            (PowerOrder::On, true),
            // What is so already stays so.
            (PowerOrder::On, true),
            (PowerOrder::Soft, false),
            (PowerOrder::On, true),
            (PowerOrder::Off, false),
        ] {
            assert_eq!(driven.order(port, order).await, Outcome::Done, "{maker:?} {order}");
            assert_eq!(plug.relays()[0], runs, "{maker:?} {order}");
        }
        assert_eq!(failed(driven.order(port, PowerOrder::Press).await).0, "not-supported");
        plug.state.lock().unwrap().dropped = 1;
        assert_eq!(driven.order(port, PowerOrder::On).await, Outcome::Done, "{maker:?}");
        assert_eq!(plug.state.lock().unwrap().wrong, 0, "{maker:?}");
    }
}

#[tokio::test]
async fn a_wrong_token_or_password_is_shown_once_and_never_again() {
    for (maker, how, port) in [(Maker::Proxmox, PROXMOX, "101"), (Maker::Amt, AMT, "1")] {
        let plug = Plug::new(maker, Some("other")).await;
        let mut driven = drive(&plug, how, &[port]);
        let (code, why) = driven.lost().await;
        assert!(code == "credentials" && why.contains("does not take the"), "{maker:?}: {code}: {why}");
        for _ in 0..3 {
            assert_eq!(failed(driven.order(port, PowerOrder::On).await).0, "credentials");
        }
        let state = plug.state.lock().unwrap();
        assert_eq!((state.wrong, state.relays[0]), (1, false), "{maker:?}: {:?}", state.asked);
    }
    let plug = Plug::new(Maker::Proxmox, Some("pass")).await;
    let mut driven = drive(&plug, (WebDialect::Proxmox, "root:pass"), &["101"]);
    let (code, why) = driven.lost().await;
    assert!(code == "no-secret" && why.contains("`USER@REALM!NAME=`"), "{code}: {why}");
    assert_eq!(plug.state.lock().unwrap().asked, [""; 0]);
}

#[tokio::test]
async fn a_machine_that_moved_is_found_where_it_is_now_and_one_that_is_none_is_named() {
    let plug = Plug::new(Maker::Proxmox, Some("pass")).await;
    let mut driven = drive(&plug, PROXMOX, &["101", "102"]);
    assert_eq!(driven.reading().await, machine(false));
    plug.state.lock().unwrap().moved = true;
    assert_eq!(driven.order("101", PowerOrder::On).await, Outcome::Done);
    assert_eq!(driven.order("102", PowerOrder::On).await, Outcome::Done);
    assert_eq!(plug.relays(), [true, true]);
    let mut driven = drive(&plug, PROXMOX, &["7"]);
    let (code, why) = driven.lost().await;
    assert!(code == "no-such-port" && why.contains("has no machine 7"), "{code}: {why}");
}

#[tokio::test]
async fn an_order_that_amt_refuses_is_told_with_its_result() {
    let plug = Plug::new(Maker::Amt, Some("pass")).await;
    let mut driven = drive(&plug, AMT, &["1"]);
    driven.reading().await;
    plug.state.lock().unwrap().result = 4099;
    let (code, why) = failed(driven.order("1", PowerOrder::On).await);
    assert!(code == "amt-result" && why.contains("(result 4099); it is off"), "{code}: {why}");
}
