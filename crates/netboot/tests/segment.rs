//! The counter on a segment of its own: raw frames on a virtual cable, inside a network namespace.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

mod stand;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::Command;
use std::sync::Arc;

use model::{ClientKind, MacAddr, Notice, Sight, Sighting};
use netboot::{Bench, BindConfig, PacketPort, PacketSocket, Settings, Sockets, Up};
use stand::{Folder, entry, network, until, within};
use wire::dhcp::{Message, MessageType, OptionCode};
use wire::frame::{Checksum, Frame, Udp4};
use wire::ndp::{Routing, solicitation};

const BOSS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// Set for the second half of the test, which must never touch the interfaces of a real machine.
const INSIDE: &str = "LABINATOR_INSIDE";
const NODE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 11);

fn run(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).status().is_ok_and(|status| status.success())
}

#[test]
fn the_sniffer_and_the_raw_replies_work_on_a_cable() {
    if !run("unshare", &["--user", "--map-root-user", "--net", "true"]) {
        eprintln!("LEFT OUT: this machine makes no network namespaces for this user");
        return;
    }
    let me = std::env::current_exe().unwrap();
    let inside = ["--exact", "inside_the_namespace", "--ignored", "--nocapture"];
    let inside_mark = format!("{INSIDE}=1");
    let namespace = ["--user", "--map-root-user", "--net", "env", &inside_mark, me.to_str().unwrap()];
    assert!(run("unshare", &[&namespace[..], &inside[..]].concat()));
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
    let sockets = Sockets::bind(&BindConfig::on("lab0", BOSS)).unwrap();
    let loaders = folder.0.join("loaders");
    std::fs::create_dir_all(&loaders).unwrap();
    let settings =
        Settings { state: folder.0.join("state"), loaders, shelf: folder.0.join("store"), transfers: 1 };
    let (bench, _) = Bench::open(sockets, &settings).unwrap();
    let boss_mac = bench.mac().unwrap();
    let counter = Arc::clone(bench.counter());
    let network = model::NetworkSpec {
        interface: "lab0".to_owned(),
        subnet: Ipv4Addr::new(10, 77, 0, 0),
        boss: BOSS,
        pool: None,
        ..network()
    };
    let node = entry("node1", mac, NODE, model::BootAnswer::Wait { retry_seconds: 3 });
    let lab = "cable".parse().unwrap();
    counter.publish(model::BootTable { number: 1, lab, network, nodes: vec![Arc::new(node)] }).unwrap();
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
