//! The counter on a segment of its own: raw frames on a virtual cable, inside a network namespace.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

mod stand;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::process::Command;
use std::sync::Arc;

use model::{ClientKind, MacAddr, Notice, Sight, Sighting};
use netboot::{Bench, BindConfig, BindConfig6, PacketPort, PacketSocket, Settings, Sockets, Up};
use stand::{Folder, entry, network, until, within};
use wire::dhcp::{Message, MessageType, OptionCode};
use wire::dhcp6;
use wire::frame::{Checksum, Frame, Udp4, Udp6};
use wire::ndp::{Routing, link_local, solicitation};

const BOSS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// Set for the second half of the test, which must never touch the interfaces of a real machine.
const INSIDE: &str = "LABINATOR_INSIDE";
const NODE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 11);

fn run(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).status().is_ok_and(|status| status.success())
}

#[test]
fn the_sniffer_and_the_raw_replies_work_on_a_cable() {
    if !in_a_namespace("inside_the_namespace") {
        eprintln!("LEFT OUT: this machine makes no network namespaces for this user");
    }
}

#[test]
fn another_dhcpv6_server_of_the_cable_is_asked_for_and_named() {
    if !in_a_namespace("inside_a_namespace_of_ipv6") {
        eprintln!("LEFT OUT: this machine makes no network namespaces for this user");
    }
}

/// Runs that test in a network of its own; false where this user can have none.
fn in_a_namespace(test: &str) -> bool {
    if !run("unshare", &["--user", "--map-root-user", "--net", "true"]) {
        return false;
    }
    let me = std::env::current_exe().unwrap();
    let inside = ["--exact", test, "--ignored", "--nocapture"];
    let inside_mark = format!("{INSIDE}=1");
    let namespace = ["--user", "--map-root-user", "--net", "env", &inside_mark, me.to_str().unwrap()];
    assert!(run("unshare", &[&namespace[..], &inside[..]].concat()));
    true
}

/// The machine's end of the cable.
struct Machine(PacketPort);

impl Machine {
    fn send_dhcp(&self, message: &Message, from_port: u16, to_port: u16) {
        let from = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, from_port);
        let to = (MacAddr::BROADCAST, SocketAddrV4::new(Ipv4Addr::BROADCAST, to_port));
        self.0.send_udp(from, to, &message.encode(1500).unwrap()).unwrap();
    }

    async fn hear<T>(&self, mut wanted: impl FnMut(&Frame<'_>) -> Option<T>) -> T {
        let mut buffer = [0; 2048];
        within(async {
            loop {
                let count = self.0.receive(&mut buffer).await.unwrap();
                if let Some(found) = wanted(&Frame::parse(buffer.get(..count).unwrap()).unwrap()) {
                    return found;
                }
            }
        })
        .await
    }
}

/// A counter on these ports.
fn bench(config: &BindConfig, folder: &Folder) -> Bench {
    let loaders = folder.0.join("loaders");
    std::fs::create_dir_all(&loaders).unwrap();
    let settings = Settings {
        state: folder.0.join("state"),
        loaders,
        shelf: folder.0.join("store"),
        own_loaders: None,
        transfers: 1,
    };
    Bench::open(Sockets::bind(config).unwrap(), &settings).unwrap().0
}

/// The boot table of a lab on the cable.
fn table(ipv6: Option<model::Ipv6Spec>, nodes: Vec<Arc<model::BootEntry>>) -> model::BootTable {
    let network = model::NetworkSpec {
        interface: "lab0".to_owned(),
        subnet: Ipv4Addr::new(10, 77, 0, 0),
        boss: BOSS,
        pool: None,
        ipv6,
        ..network()
    };
    model::BootTable { number: 1, lab: "cable".parse().unwrap(), network, nodes }
}

/// Somebody else plays DHCP server.
fn foreign_offer(to: &Message, from: MacAddr) -> Vec<u8> {
    let mut foreign = to.reply(MessageType::Offer);
    foreign.options.set_address(OptionCode::SERVER_ID, Ipv4Addr::new(10, 77, 0, 250));
    let payload = foreign.encode(1500).unwrap();
    let datagram = Udp4 {
        to_mac: MacAddr::BROADCAST,
        from_mac: from,
        from: SocketAddrV4::new(Ipv4Addr::new(10, 77, 0, 250), 67),
        to: SocketAddrV4::new(Ipv4Addr::BROADCAST, 68),
        payload: &payload,
        checksum: Checksum::Good,
    };
    datagram.build().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs inside the namespace that its sister makes"]
async fn inside_the_namespace() {
    if std::env::var_os(INSIDE).is_none() {
        return;
    }
    assert!(run("ip", &["link", "add", "lab0", "type", "veth", "peer", "name", "m0"]));
    assert!(run("ip", &["address", "add", "10.77.0.1/24", "dev", "lab0"]));
    assert!(run("ip", &["link", "set", "lab0", "up"]) && run("ip", &["link", "set", "m0", "up"]));

    let machine = Machine(PacketPort::new(PacketSocket::open("m0").unwrap()).unwrap());
    let mac = machine.0.mac();
    let folder = Folder::new();
    let bench = bench(&BindConfig::on("lab0", BOSS), &folder);
    let boss_mac = bench.mac().unwrap();
    let counter = Arc::clone(bench.counter());
    let node = entry("node1", mac, NODE, model::BootAnswer::Wait { retry_seconds: 3 });
    counter.publish(table(None, vec![Arc::new(node)])).unwrap();
    let serving = tokio::spawn(bench.run());

    // A port speaks only after it has heard: the cable's own first frames come within a second or two.
    machine.hear(|_| Some(())).await;
    let mut discover = Message::request(MessageType::Discover, mac, 1);
    discover.broadcast = false;
    discover.options.set(OptionCode::VENDOR_CLASS, b"PXEClient:Arch:00007:UNDI:003016".as_slice());
    discover.options.set_u16(OptionCode::ARCHITECTURES, 7);
    machine.send_dhcp(&discover, 68, 67);
    let offer = machine
        .hear(|frame| match frame {
            Frame::Udp4(udp) if udp.to.port() == 68 => {
                assert_eq!((udp.from_mac, udp.to_mac, *udp.to.ip()), (boss_mac, mac, NODE), "a raw unicast");
                assert_eq!((udp.from, udp.checksum), (SocketAddrV4::new(BOSS, 67), Checksum::Good));
                Some(Message::decode(udp.payload).unwrap())
            }
            _ => None,
        })
        .await;
    assert_eq!((offer.kind(), offer.yiaddr), (Some(MessageType::Offer), NODE));

    machine.0.send(&solicitation(mac)).unwrap();
    let advertisement = machine
        .hear(|frame| match frame {
            Frame::Icmp6(icmp) => match Routing::parse(icmp) {
                Some(Routing::Advertisement(found)) => Some(found),
                _ => None,
            },
            _ => None,
        })
        .await;
    assert!(advertisement.is_bare() && advertisement.mac == boss_mac);

    let other = MacAddr([2, 9, 9, 9, 9, 9]);
    machine.0.send(&foreign_offer(&discover, other)).unwrap();

    let mut seen = Vec::new();
    until(|| {
        seen.extend(counter.sights().take());
        let foreign = Notice::ForeignDhcp { mac: other, server: Ipv4Addr::new(10, 77, 0, 250) };
        seen.contains(&Up::Notice(foreign)).then_some(())
    })
    .await;
    let of_machine = |wanted: fn(&Sight) -> bool| {
        let is = |up: &Up| matches!(up, Up::Sighting(Sighting { mac: from, sight, .. }) if *from == mac && wanted(sight));
        assert_eq!(seen.iter().filter(|up| is(up)).count(), 1, "{seen:?}");
    };
    of_machine(|sight| matches!(sight, Sight::Discover { client: ClientKind::UefiPxe, arch: Some(7), .. }));
    of_machine(|sight| matches!(sight, Sight::Offer { address: NODE }));
    assert!(
        seen.iter()
            .any(|up| matches!(up, Up::Sighting(s) if s.sight == Sight::RouterAsked { answered: true }))
    );
    assert!(seen.iter().any(|up| matches!(up, Up::Sighting(s) if s.mac == mac && s.sight == Sight::Frame)));
    serving.abort();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs inside the namespace that its sister makes"]
async fn inside_a_namespace_of_ipv6() {
    if std::env::var_os(INSIDE).is_none() {
        return;
    }
    assert!(run("ip", &["link", "add", "lab0", "type", "veth", "peer", "name", "m0"]));
    // Nobody looks first whether another has an address: it is there at once.
    for port in ["lab0", "m0"] {
        std::fs::write(format!("/proc/sys/net/ipv6/conf/{port}/accept_dad"), "0").unwrap();
    }
    assert!(run("ip", &["address", "add", "10.77.0.1/24", "dev", "lab0"]));
    assert!(run("ip", &["address", "add", "fd77::1/64", "dev", "lab0", "nodad"]));
    assert!(run("ip", &["link", "set", "m0", "up"]) && run("ip", &["link", "set", "lab0", "up"]));

    let other = Machine(PacketPort::new(PacketSocket::open("m0").unwrap()).unwrap());
    let folder = Folder::new();
    let mut config = BindConfig::on("lab0", BOSS);
    let boss = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 1);
    config.six = Some(BindConfig6::on(boss));
    let bench = bench(&config, &folder);
    let counter = Arc::clone(bench.counter());
    let ipv6 = model::Ipv6Spec {
        prefix: Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 0),
        boss,
        pool: None,
        dns: Vec::new(),
        router: false,
        autonomous: false,
    };
    counter.publish(table(Some(ipv6), Vec::new())).unwrap();
    let serving = tokio::spawn(bench.run());

    // Nobody has said a word yet, and the boss asks.
    let (asker, question) = other
        .hear(|frame| match frame {
            Frame::Udp6(udp) if udp.to.port() == dhcp6::SERVER_PORT => {
                let question = dhcp6::Message::decode(udp.payload).ok()?;
                (question.kind == dhcp6::MessageType::InformationRequest)
                    .then_some(((udp.from_mac, udp.from), question))
            }
            _ => None,
        })
        .await;
    let mac = MacAddr([2, 9, 9, 9, 9, 9]);
    let duid = dhcp6::Duid::of_mac(mac);
    let mut answer = dhcp6::Message { kind: dhcp6::MessageType::Reply, ..question };
    answer.options.push(dhcp6::OptionCode::SERVER_ID, duid.as_bytes());
    let payload = answer.encode();
    let datagram = Udp6 {
        to_mac: asker.0,
        from_mac: mac,
        from: SocketAddrV6::new(link_local(mac), dhcp6::SERVER_PORT, 0, 0),
        to: SocketAddrV6::new(*asker.1.ip(), dhcp6::CLIENT_PORT, 0, 0),
        payload: &payload,
        checksum_good: true,
    };
    other.0.send(&datagram.build().unwrap()).unwrap();
    let named = Notice::ForeignDhcp6 { mac, address: link_local(mac), duid: duid.to_hex() };
    let mut seen = Vec::new();
    until(|| {
        seen.extend(counter.sights().take());
        seen.contains(&Up::Notice(named.clone())).then_some(())
    })
    .await;
    serving.abort();
}
