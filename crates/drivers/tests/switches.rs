//! Drivers of switches, through the door that the lab uses, against switches that do not exist.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

#[path = "switches/bench.rs"]
mod bench;

use std::time::{Duration, Instant};

use bench::{Driven, failed, lost, plugged};
use model::{BOSS_PORT, LinkReading, MacAddr, Outcome, SecretRef, SwitchKind};
use sim::switch::door::{Door, Mood};
use sim::switch::{DeviceKind, OpenWrt, Pages};

/// MD5 of `adminkept`, by `md5sum`.
const PROOF: &str = "950b78b15b43bc49db7b0cd55088a9b3";

fn secret() -> SecretRef {
    SecretRef::Kept("switch".to_owned())
}

async fn pages() -> (Door<Pages>, SwitchKind) {
    let door = Door::open(Pages::new(PROOF), Pages::answer).await.unwrap();
    let kind = SwitchKind::WebPages { url: door.url(), credentials: secret() };
    (door, kind)
}

async fn openwrt(kind: DeviceKind) -> (Door<OpenWrt>, SwitchKind) {
    let door = Door::open(OpenWrt::new(kind, "kept"), OpenWrt::answer).await.unwrap();
    let swconfig = (kind == DeviceKind::Swconfig).then(|| "switch0".to_owned());
    let spec = SwitchKind::OpenWrt { url: door.url(), credentials: secret(), certificate: None, swconfig };
    (door, spec)
}

const fn link(enabled: bool, mbit: Option<u32>) -> LinkReading {
    LinkReading { enabled, mbit, lost: false }
}

#[tokio::test]
async fn pages_tell_links_within_a_second_and_ports_are_cut_and_restored() {
    let (door, kind) = pages().await;
    door.with(|pages| pages.switch.plug("1", plugged(1, 1000)));
    let mut driven = Driven::new(kind, &["1", "2"], "kept");
    assert_eq!(driven.link(1).await, link(true, Some(1000)));
    assert_eq!(driven.link(2).await, link(true, None));
    let pulled = Instant::now();
    door.with(|pages| pages.switch.plug("1", plugged(1, 0)));
    assert_eq!(driven.link(1).await, link(true, None));
    assert!(pulled.elapsed() < Duration::from_secs(1), "{:?}", pulled.elapsed());
    door.with(|pages| pages.switch.plug("1", plugged(1, 10)));
    assert_eq!(driven.link(1).await, link(true, Some(10)));
    assert_eq!(driven.set("1", false).await, Outcome::Done);
    assert!(!door.with(|pages| pages.switch.port("1").unwrap().enabled));
    assert_eq!(driven.set("1", true).await, Outcome::Done);
    assert!(door.with(|pages| pages.switch.port("1").unwrap().enabled));
    // One login for all of that.
    assert_eq!(door.with(|pages| (pages.logins, pages.strangers)), (1, 0));
}

#[tokio::test]
async fn pages_that_forgot_us_are_told_once_more_and_a_wrong_password_never_again() {
    let (door, kind) = pages().await;
    let mut driven = Driven::new(kind.clone(), &["1"], "admin:kept");
    assert_eq!(driven.link(1).await, link(true, None));
    door.with(Pages::restart);
    door.with(|pages| pages.switch.plug("1", plugged(1, 100)));
    assert_eq!(driven.link(1).await, link(true, Some(100)));
    assert_eq!(door.with(|pages| pages.logins), 2);
    drop(driven);
    let (door, kind) = pages().await;
    let mut driven = Driven::new(kind, &["1"], "not it");
    let (code, why) = lost(driven.sight().await);
    assert_eq!(code, "credentials");
    assert!(why.contains("does not take the password"), "{why}");
    assert_eq!(failed(driven.set("1", false).await).0, "credentials");
    assert_eq!(door.with(|pages| (pages.logins, pages.switch.orders.len())), (1, 0));
}

#[tokio::test]
async fn addresses_are_read_over_several_pages_and_the_boss_guards_its_port() {
    let (door, kind) = pages().await;
    let boss = MacAddr([2, 0, 0, 0, 0, 0xfe]);
    door.with(|pages| {
        for (port, last) in (1..=7_u8).map(|number| (number.to_string(), number)) {
            pages.switch.plug(&port, plugged(last, 1000));
        }
        pages.switch.plug("5", sim::switch::Plugged { macs: vec![boss], mbit: 1000, speaks: true });
    });
    let mut driven = Driven::new(kind, &["1", "2"], "kept");
    let seen = driven.look().await;
    let heard: usize = seen.ports.iter().map(|port| port.macs.as_ref().unwrap().len()).sum();
    assert_eq!(heard, 7, "{seen:?}");
    let (code, why) = failed(driven.set("5", false).await);
    assert_eq!(code, BOSS_PORT);
    assert!(why.contains("the boss itself"), "{why}");
    assert_eq!(driven.set("4", false).await, Outcome::Done);
    // Firmware without such pages tells nothing of addresses, and cannot mirror.
    door.with(|pages| pages.rich = false);
    assert_eq!(driven.look().await.ports[0].macs, None);
    assert_eq!(driven.mirror(Some(("1", "8"))).await.unwrap_err().0, "not-supported");
    door.with(|pages| pages.rich = true);
    driven.mirror(Some(("1", "8"))).await.unwrap();
    assert_eq!(door.with(|pages| pages.switch.mirror.clone()), Some(("1".to_owned(), "8".to_owned())));
    driven.mirror(None).await.unwrap();
    assert_eq!(door.with(|pages| pages.switch.mirror.clone()), None);
}

#[tokio::test]
async fn garbage_and_broken_connections_make_a_switch_lost_and_no_link_down() {
    let (door, kind) = pages().await;
    door.with(|pages| pages.switch.plug("1", plugged(1, 1000)));
    let mut driven = Driven::new(kind, &["1"], "kept");
    assert_eq!(driven.link(1).await, link(true, Some(1000)));
    door.is(Mood::Babbles("<html><table><tr><td>Port 1<td>Ena"));
    let lost = driven.link(1).await;
    assert!(lost.lost && !lost.enabled, "{lost:?}");
    door.is(Mood::Well);
    assert_eq!(driven.link(1).await, link(true, Some(1000)));
    door.is(Mood::Drops);
    assert!(driven.link(1).await.lost);
    door.is(Mood::Well);
    assert_eq!(driven.link(1).await, link(true, Some(1000)));
}

#[tokio::test]
async fn ports_that_are_interfaces_are_switched_by_their_names() {
    let (door, kind) = openwrt(DeviceKind::Dsa).await;
    door.with(|device| device.switch.plug("lan1", plugged(1, 1000)));
    let mut driven = Driven::new(kind, &["lan1", "lan2"], "kept");
    assert_eq!(driven.link(1).await, link(true, Some(1000)));
    let pulled = Instant::now();
    door.with(|device| device.switch.plug("lan1", plugged(1, 0)));
    assert_eq!(driven.link(1).await, link(true, None));
    assert!(pulled.elapsed() < Duration::from_secs(1), "{:?}", pulled.elapsed());
    door.with(|device| device.switch.plug("lan1", plugged(1, 1000)));
    assert_eq!(driven.set("lan1", false).await, Outcome::Done);
    assert_eq!(driven.set("lan1", true).await, Outcome::Done);
    let seen = driven.look().await;
    assert_eq!(seen.ports.iter().find(|port| port.port == "lan1").unwrap().macs.as_ref().unwrap().len(), 1);
    door.with(|device| device.bridge = false);
    assert_eq!(driven.look().await.ports[0].macs, None);
    assert_eq!(failed(driven.set("lan9", false).await).0, "program-failed");
}

#[tokio::test]
async fn ports_of_swconfig_are_disabled_and_applied() {
    let (door, kind) = openwrt(DeviceKind::Swconfig).await;
    door.with(|device| device.switch.plug("2", plugged(1, 100)));
    let mut driven = Driven::new(kind, &["2"], "root:kept");
    assert_eq!(driven.link(1).await, link(true, Some(100)));
    assert_eq!(driven.set("2", false).await, Outcome::Done);
    assert_eq!(driven.link(1).await, link(false, None));
    assert_eq!(driven.set("2", true).await, Outcome::Done);
    assert_eq!(driven.look().await.ports[0].macs, None, "swconfig tells nobody's address");
}

#[tokio::test]
async fn a_session_that_ran_out_is_made_anew_and_a_user_without_rights_is_named() {
    let (door, kind) = openwrt(DeviceKind::Dsa).await;
    let mut driven = Driven::new(kind, &["lan1"], "kept");
    assert_eq!(driven.link(1).await, link(true, None));
    door.with(|device| device.ubus.restart());
    door.with(|device| device.switch.plug("lan1", plugged(1, 1000)));
    assert_eq!(driven.link(1).await, link(true, Some(1000)));
    assert_eq!(door.with(|device| device.ubus.logins), 2);
    door.with(|device| device.ubus.forbidden = vec!["file".to_owned()]);
    let (code, why) = failed(driven.set("lan1", false).await);
    assert_eq!(code, "not-allowed");
    assert!(why.contains("/usr/share/rpcd/acl.d"), "{why}");
    let (door, kind) = openwrt(DeviceKind::Dsa).await;
    let mut driven = Driven::new(kind, &["lan1"], "not it");
    assert_eq!(lost(driven.sight().await).0, "credentials");
    assert_eq!(failed(driven.set("lan1", false).await).0, "credentials");
    assert_eq!(door.with(|device| device.ubus.wrong), 1, "a wrong password is told once");
}
