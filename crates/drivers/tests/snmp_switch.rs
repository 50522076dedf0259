//! Switches by SNMP, through the door that the lab uses, against a switch that does not exist and its manners.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

#[path = "switches/bench.rs"]
mod bench;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bench::{Driven, failed, lost, plugged};
use model::{
    BOSS_PORT, LinkReading, MacAddr, Neighbour, Outcome, SPEED_UNTOLD, SecretRef, SnmpPorts, SnmpVersion,
    SwitchKind,
};
use sim::switch::door::Post;
use sim::switch::snmp::{Habit, Manners, Snmp};

const PORTS: [&str; 8] = ["ge1", "ge2", "ge3", "ge4", "ge5", "ge6", "ge7", "ge8"];

async fn switch(manners: Manners) -> Post<Snmp> {
    let mut snmp = Snmp::new(PORTS, "private");
    snmp.manners = manners;
    Post::open(snmp, Snmp::answer).await.unwrap()
}

fn kind(post: &Post<Snmp>, version: SnmpVersion, ports: SnmpPorts) -> SwitchKind {
    let credentials = SecretRef::Kept("switch".to_owned());
    SwitchKind::Snmp { host: post.address.to_string(), credentials, version, ports, traps: None }
}

fn by_name(post: &Post<Snmp>) -> SwitchKind {
    kind(post, SnmpVersion::TwoC, SnmpPorts::Names)
}

const fn link(enabled: bool, mbit: Option<u32>) -> LinkReading {
    LinkReading { enabled, mbit, lost: false }
}

fn mac(last: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, last])
}

#[tokio::test]
async fn links_are_seen_within_a_second_and_ports_are_cut_and_restored_in_both_versions() {
    for (version, called) in [(SnmpVersion::One, ["3", "4"]), (SnmpVersion::TwoC, ["ge3", "ge4"])] {
        let post = switch(Manners::of([Habit::Babbles])).await;
        let ports = if version == SnmpVersion::One { SnmpPorts::Numbers } else { SnmpPorts::Names };
        post.with(|snmp| snmp.switch.plug("ge3", plugged(3, 2500)));
        let mut driven = Driven::new(kind(&post, version, ports), &called, "private");
        // Version 1 has no number for fast links but the one in bits.
        assert_eq!(driven.link(1).await, link(true, Some(2500)));
        assert_eq!(driven.link(2).await, link(true, None));
        let pulled = Instant::now();
        post.with(|snmp| snmp.switch.plug("ge3", plugged(3, 0)));
        assert_eq!(driven.link(1).await, link(true, None));
        assert!(pulled.elapsed() < Duration::from_secs(1), "{:?}", pulled.elapsed());
        post.with(|snmp| snmp.switch.plug("ge3", plugged(3, 10)));
        assert_eq!(driven.link(1).await, link(true, Some(10)));
        let first = called.first().unwrap();
        assert_eq!(driven.set(first, false).await, Outcome::Done);
        assert_eq!(driven.link(1).await, link(false, None));
        assert!(!post.with(|snmp| snmp.switch.port("ge3").unwrap().enabled));
        assert_eq!(driven.set(first, true).await, Outcome::Done);
        assert!(post.with(|snmp| snmp.switch.port("ge3").unwrap().enabled));
        let seen = driven.look().await;
        assert!(
            seen.about.starts_with("A switch that does not exist Software 1.0, by SNMP at"),
            "{}",
            seen.about
        );
        // What it is managed by is no port.
        assert_eq!(seen.ports.len(), 8);
    }
}

#[tokio::test]
async fn addresses_and_neighbours_are_told_and_the_boss_guards_its_port() {
    for habits in [vec![], vec![Habit::Plain]] {
        let post = switch(Manners { room: Some(9), ..Manners::of(habits) }).await;
        post.with(|snmp| {
            for (port, last) in PORTS.iter().zip(1..=4) {
                snmp.switch.plug(port, plugged(last, 1000));
            }
            snmp.switch.plug("ge5", plugged(0xfe, 1000));
            let says = Neighbour { name: "node2".to_owned(), port: "eth0".to_owned(), macs: vec![mac(2)] };
            snmp.neighbours.push(("ge2".to_owned(), says));
        });
        let mut driven = Driven::new(by_name(&post), &["ge1", "ge2"], "private");
        let seen = driven.look().await;
        let heard: Vec<&[MacAddr]> = seen.ports.iter().map(|port| port.macs.as_deref().unwrap()).collect();
        let (one, two, three, four, boss) = ([mac(1)], [mac(2)], [mac(3)], [mac(4)], [mac(0xfe)]);
        let none: &[MacAddr] = &[];
        assert_eq!(heard, [&one[..], &two, &three, &four, &boss, none, none, none]);
        let neighbours: Vec<usize> = seen.ports.iter().map(|port| port.neighbours.len()).collect();
        assert_eq!(neighbours, [0, 1, 0, 0, 0, 0, 0, 0]);
        let named = seen.ports.get(1).and_then(|port| port.neighbours.first()).unwrap();
        assert_eq!((named.name.as_str(), named.port.as_str(), &named.macs), ("node2", "eth0", &vec![mac(2)]));
        let (code, why) = failed(driven.set("ge5", false).await);
        assert!(code == BOSS_PORT && why.contains("the boss itself"), "{code}: {why}");
        assert_eq!(driven.set("ge4", false).await, Outcome::Done);
        // Who hung there vanished with the link.
        let seen = driven.look().await;
        assert_eq!(seen.ports.get(3).unwrap().macs.as_deref(), Some(none));
    }
    // A switch that has no tables does not tell; it does not say that nobody is there.
    let post = switch(Manners::of([Habit::Mute])).await;
    let mut driven = Driven::new(by_name(&post), &["ge1"], "private");
    assert_eq!(driven.look().await.ports.first().unwrap().macs, None);
    assert_eq!(driven.mirror(Some(("ge1", "ge8"))).await.unwrap_err().0, "not-supported");
}

#[tokio::test]
async fn lost_datagrams_small_answers_and_poor_agents_are_put_up_with() {
    let manners = Manners { deaf: 2, room: Some(3), ..Manners::default() };
    let post = switch(manners).await;
    post.with(|snmp| snmp.switch.plug("ge1", plugged(1, 100)));
    let mut driven = Driven::new(by_name(&post), &["ge1"], "private");
    assert_eq!(driven.link(1).await, link(true, Some(100)));
    post.with(|snmp| snmp.manners.deaf = 2);
    assert_eq!(driven.set("ge1", false).await, Outcome::Done);
    drop(driven);
    // No names, no numbers but those of chips, no fast speeds.
    let post = switch(Manners::of([Habit::Old])).await;
    post.with(|snmp| {
        snmp.switch.plug("ge1", plugged(1, 100));
        snmp.switch.plug("ge2", plugged(2, 10_000));
    });
    let mut driven = Driven::new(by_name(&post), &["chip 0 port 1", "chip 0 port 2"], "private");
    assert_eq!(driven.link(1).await, link(true, Some(100)));
    assert_eq!(driven.link(2).await, link(true, Some(SPEED_UNTOLD)));
    drop(driven);
    // All are called the same: then by their numbers among interfaces.
    let post = switch(Manners::of([Habit::Old, Habit::Alike, Habit::Mute])).await;
    let mut driven = Driven::new(by_name(&post), &["10002"], "private");
    assert_eq!(driven.link(1).await, link(true, None));
    drop(driven);
    let mut driven = Driven::new(kind(&post, SnmpVersion::TwoC, SnmpPorts::Numbers), &["2"], "private");
    let (code, why) = lost(driven.sight().await);
    assert!(code == "no-ports" && why.contains("leave out `ports: numbers`"), "{code}: {why}");
}

#[tokio::test]
async fn a_table_without_end_makes_a_switch_lost_and_not_us() {
    for version in [SnmpVersion::One, SnmpVersion::TwoC] {
        let post = switch(Manners::of([Habit::Circles])).await;
        let mut driven = Driven::new(kind(&post, version, SnmpPorts::Names), &["ge1"], "private");
        let (code, why) = lost(driven.sight().await);
        assert!(code == "not-understood" && why.contains("no step forward"), "{code}: {why}");
        let heard = post.with(|snmp| snmp.heard);
        assert!(heard < 100, "{heard}");
        post.with(|snmp| snmp.manners.habits.clear());
        assert!(driven.link(1).await.lost);
        assert_eq!(driven.link(1).await, link(true, None));
    }
}

#[tokio::test]
async fn wrong_words_and_readers_are_told_what_is_wrong() {
    let post = switch(Manners::of([Habit::ReadOnly])).await;
    let mut driven = Driven::new(by_name(&post), &["ge1"], "private");
    let (code, why) = failed(driven.set("ge1", false).await);
    assert!(code == "snmp-status" && why.contains("may this community write?"), "{code}: {why}");
    let (code, why) = failed(driven.set("ge9", false).await);
    assert!(code == "no-such-port" && why.contains("it has ge1, ge2"), "{code}: {why}");
    // It takes the order, and does not do it.
    post.with(|snmp| {
        snmp.manners.habits.clear();
        snmp.switch.deaf = 1;
    });
    assert_eq!(driven.set("ge1", false).await, Outcome::Done);
    assert_eq!(post.with(|snmp| snmp.switch.orders.len()), 2);
    drop(driven);
    let mut driven = Driven::new(by_name(&post), &["ge1"], "public");
    let (code, why) = lost(driven.sight().await);
    assert!(code == "silent" && why.contains("does it take the community"), "{code}: {why}");
}

#[tokio::test]
async fn a_switch_that_starts_anew_and_counts_otherwise_is_read_again() {
    let post = switch(Manners::default()).await;
    post.with(|snmp| snmp.switch.plug("ge2", plugged(2, 1000)));
    let mut driven = Driven::new(by_name(&post), &["ge1", "ge2"], "private");
    assert_eq!(driven.link(2).await, link(true, Some(1000)));
    assert_eq!(driven.set("ge2", false).await, Outcome::Done);
    assert_eq!(driven.link(2).await, link(false, None));
    post.with(Snmp::restart);
    assert_eq!(driven.link(2).await, link(true, Some(1000)));
    assert_eq!(driven.set("ge1", false).await, Outcome::Done);
    let enabled = |name| post.with(|snmp| snmp.switch.port(name).unwrap().enabled);
    assert_eq!((enabled("ge1"), enabled("ge2")), (false, true));
}

#[tokio::test]
async fn a_link_that_bounced_between_two_looks_is_told_and_a_restless_clock_is_not_believed() {
    let post = switch(Manners::default()).await;
    post.with(|snmp| snmp.switch.plug("ge1", plugged(1, 1000)));
    let mut driven = Driven::new(by_name(&post), &["ge1"], "private");
    assert_eq!(driven.link(1).await, link(true, Some(1000)));
    driven.look().await;
    post.with(|snmp| snmp.flap("ge1"));
    assert_eq!(driven.link(1).await, link(true, None));
    assert_eq!(driven.link(1).await, link(true, Some(1000)));
    drop(driven);
    let post = switch(Manners::of([Habit::Restless])).await;
    post.with(|snmp| snmp.switch.plug("ge1", plugged(1, 1000)));
    let mut driven = Driven::new(by_name(&post), &["ge1"], "private");
    assert_eq!(driven.link(1).await, link(true, Some(1000)));
    for _ in 0..10 {
        driven.look().await;
    }
    post.with(|snmp| snmp.switch.plug("ge1", plugged(1, 10)));
    // Twice it was believed; then only what is seen counts.
    let mut told = Vec::new();
    while told.last() != Some(&link(true, Some(10))) {
        told.push(driven.link(1).await);
    }
    assert!(told.len() <= 5, "{told:?}");
}

#[tokio::test]
async fn a_trap_makes_us_look_at_once_and_nobody_elses_does() {
    let post = switch(Manners::default()).await;
    let at: SocketAddr = {
        let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap()
    };
    post.with(|snmp| snmp.switch.plug("ge1", plugged(1, 1000)));
    let SwitchKind::Snmp { host, credentials, version, ports, .. } = by_name(&post) else { panic!("it is") };
    let kind = SwitchKind::Snmp { host, credentials, version, ports, traps: Some(at) };
    // Without a trap nobody would look for an hour.
    let mut driven = Driven::every(kind, &["ge1"], "private", 3_600_000);
    assert_eq!(driven.link(1).await, link(true, Some(1000)));
    let heard = || post.with(|snmp| snmp.heard);
    let before = heard();
    post.with(|snmp| snmp.switch.plug("ge1", plugged(1, 0)));
    // Others' words, other traps and garbage are no hint.
    let mut strange = post.with(|snmp| snmp.trap(false));
    let place = strange.windows(7).position(|seven| seven == b"private").unwrap();
    if let Some(byte) = strange.get_mut(place) {
        *byte = b'P';
    }
    post.says(at, &strange).await.unwrap();
    post.says(at, b"\x30\x03\x02\x01\x01").await.unwrap();
    let more = tokio::time::timeout(Duration::from_secs(1), driven.link(1)).await;
    assert!(more.is_err() && heard() == before, "{more:?}");
    let sent = Instant::now();
    let trap = post.with(|snmp| snmp.trap(false));
    post.says(at, &trap).await.unwrap();
    assert_eq!(driven.link(1).await, link(true, None));
    assert!(sent.elapsed() < Duration::from_secs(1), "{:?}", sent.elapsed());
    // A hundred at once are few looks.
    let before = heard();
    for _ in 0..100 {
        post.says(at, &trap).await.unwrap();
    }
    post.with(|snmp| snmp.switch.plug("ge1", plugged(1, 100)));
    post.says(at, &trap).await.unwrap();
    assert_eq!(driven.link(1).await, link(true, Some(100)));
    let asked = heard() - before;
    assert!(asked < 20, "{asked} datagrams for a hundred traps");
}
