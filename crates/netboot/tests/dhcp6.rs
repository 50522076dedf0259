//! IPv6 end to end in the counter: router, address, loader and script, over frames and over real sockets.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

mod stand;

use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::path::Path;
use std::sync::Arc;

use hickory_proto::op::{MessageType as DnsMessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use model::{BootTable, ClientKind, DnsSpec, Ipv6Spec, MacAddr, Notice, NtpMode, Sight};
use netboot::dns::{Names, Verdict};
use netboot::ledger::{Holder, Lease6, Ledger};
use netboot::{Bench, BindConfig, BindConfig6, Cable, Counter, Loaders, Parts, Settings, Sockets, Up};
use stand::{Answer, BOSS, Folder, NODE1, table, within};
use store::Disk;
use store::lossy::LossyFiles;
use store::shelf::Shelf;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use wire::dhcp6::{
    ALL_SERVERS, ALL_SERVERS_MAC, CLIENT_PORT, Duid, Ia, Message, MessageType, OptionCode, SERVER_PORT,
};
use wire::frame::{Frame, Udp6};
use wire::ndp::{Routing, link_local, solicitation};

const BOSS_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xfe]);

fn address(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

/// The board of the other tests with IPv6: the first node boots, the second waits.
fn board(shelf: &Shelf) -> BootTable {
    let mut board = table(shelf, 1);
    board.network.ipv6 = Some(Ipv6Spec {
        prefix: address("fd00::"),
        boss: address("fd00::1"),
        pool: None,
        dns: vec![address("fd00::53")],
        router: false,
        autonomous: false,
    });
    for (node, last) in board.nodes.iter_mut().zip(["fd00::11", "fd00::12"]) {
        Arc::make_mut(node).ip6 = Some(address(last));
    }
    board
}

fn loaders() -> Loaders {
    let mut loaders = Loaders::default();
    loaders.add("snponly.efi", vec![0x4d; 3000]);
    loaders
}

fn counter(folder: &Folder) -> Arc<Counter> {
    let state = folder.0.join("state");
    std::fs::create_dir_all(&state).unwrap();
    let shelf = Shelf::new(folder.0.join("store"));
    let parts = Parts {
        files: Arc::new(Disk),
        state,
        loaders: loaders(),
        shelf: Shelf::new(folder.0.join("store")),
        http_port: 80,
        transfers: 4,
    };
    let counter = Counter::open(parts).unwrap().0;
    counter.publish(board(&shelf)).unwrap();
    counter
}

/// A message as OVMF's PXE client writes it: it calls itself by a UUID, so only its addresses tell who it is.
fn pxe(kind: MessageType, server: Option<&Duid>) -> Message {
    let mut message = Message::new(kind, 7, &Duid::of_uuid([5; 16]));
    if let Some(server) = server {
        message.options.push(OptionCode::SERVER_ID, server.as_bytes());
    }
    message.options.push(OptionCode::IA_NA, Ia::new(1).value(""));
    message.options.push(OptionCode::ARCHITECTURES, [0, 7]);
    message.options.push(OptionCode::VENDOR_CLASS, *b"\0\0\x01\x57\0\x09PXEClient");
    message
}

/// A datagram of the first node's.
fn frame(from: (Ipv6Addr, u16), to: (Ipv6Addr, u16), payload: &[u8]) -> Vec<u8> {
    let at = |(address, port)| SocketAddrV6::new(address, port, 0, 0);
    let to_mac = if to.0 == ALL_SERVERS { ALL_SERVERS_MAC } else { BOSS_MAC };
    let (from, to) = (at(from), at(to));
    Udp6 { to_mac, from_mac: NODE1, from, to, payload, checksum_good: true }.build().unwrap()
}

/// The one datagram among the answers.
fn datagram(frames: &[Vec<u8>]) -> (SocketAddrV6, SocketAddrV6, Vec<u8>) {
    let [one] = frames else { panic!("{} frames", frames.len()) };
    match Frame::parse(one).unwrap() {
        Frame::Udp6(udp) => {
            assert!(udp.checksum_good && udp.to_mac == NODE1 && udp.from_mac == BOSS_MAC);
            (udp.from, udp.to, udp.payload.to_vec())
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_machine_that_knows_only_ipv6_gets_router_address_loader_and_is_seen_step_by_step() {
    let folder = Folder::new();
    let counter = counter(&folder);
    let mut cable = Cable::new(Arc::clone(&counter), BOSS_MAC);

    let answers = cable.on_frame(&solicitation(NODE1), 1).await;
    let Ok(Frame::Icmp6(icmp)) = Frame::parse(answers.first().unwrap()) else { panic!("no ICMPv6") };
    let Some(Routing::Advertisement(router)) = Routing::parse(&icmp) else { panic!("no advertisement") };
    assert!(router.managed && router.other && router.lifetime_seconds == 0);
    assert_eq!(router.name_servers, [address("fd00::53")]);
    let [prefix] = router.prefixes.as_slice() else { panic!("{router:?}") };
    assert_eq!((prefix.network, prefix.length, prefix.autonomous), (address("fd00::"), 64, false));

    let own = (link_local(NODE1), CLIENT_PORT);
    let ask = |message: &Message| frame(own, (ALL_SERVERS, SERVER_PORT), &message.encode());
    let (_, to, offer) = datagram(&cable.on_frame(&ask(&pxe(MessageType::Solicit, None)), 2).await);
    assert_eq!((*to.ip(), to.port()), own);
    let offer = Message::decode(&offer).unwrap();
    assert_eq!(offer.kind, MessageType::Advertise);
    assert_eq!(offer.options.text(OptionCode::BOOT_URL), Some("tftp://[fd00::1]/snponly.efi"));
    let request = pxe(MessageType::Request, offer.server().as_ref());
    let (_, _, reply) = datagram(&cable.on_frame(&ask(&request), 3).await);
    let given = Message::decode(&reply).unwrap().options.associations().remove(0);
    assert_eq!(given.addresses.first().unwrap().address, address("fd00::11"));
    let lease = Lease6 {
        holder: Holder::Machine(NODE1),
        address: address("fd00::11"),
        host_name: "node1".to_owned(),
        seconds: 3600,
    };
    assert_eq!(counter.ledger().leases6(), [lease]);
    assert_eq!(counter.who_has(address("fd00::11").into()), Some(NODE1));
    assert_eq!(counter.who_has(link_local(NODE1).into()), Some(NODE1));

    let own = (address("fd00::11"), 2000);
    let asked = frame(own, (address("fd00::1"), 69), b"\0\x01snponly.efi\0octet\0blksize\x001448\0");
    let (door, _, agreed) = datagram(&cable.on_frame(&asked, 4).await);
    assert_eq!((*door.ip(), agreed.as_slice()), (address("fd00::1"), b"\0\x06blksize\x001448\0".as_slice()));
    let block = cable.on_frame(&frame(own, (*door.ip(), door.port()), &[0, 4, 0, 0]), 5).await;
    assert_eq!(datagram(&block).2.len(), 1452);

    let seen: Vec<Sight> = counter
        .sights()
        .take()
        .into_iter()
        .filter_map(|up| match up {
            Up::Sighting(seen) if seen.mac == NODE1 => Some(seen.sight),
            _ => None,
        })
        .collect();
    let client = ClientKind::UefiPxe;
    let has = |wanted: &dyn Fn(&Sight) -> bool| assert!(seen.iter().any(wanted), "{seen:?}");
    has(&|sight| matches!(sight, Sight::Solicit { client: of, arch: Some(7), .. } if *of == client));
    has(&|sight| *sight == Sight::Advertise { address: address("fd00::11") });
    has(&|sight| *sight == Sight::Request6 { client });
    has(&|sight| *sight == Sight::Reply { address: Some(address("fd00::11")), client });
    has(&|sight| matches!(sight, Sight::FileAsked { name, .. } if name == "snponly.efi"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ports_of_ipv6_answer_beside_those_of_ipv4_and_name_the_boss_as_they_were_reached() {
    let folder = Folder::new();
    let config = BindConfig {
        six: Some(BindConfig6 { address: Ipv6Addr::LOCALHOST, dhcp: 0 }),
        dns: Some(0),
        ntp: Some(0),
        ..BindConfig::bare(BOSS)
    };
    let sockets = Sockets::bind(&config).unwrap();
    let six = sockets.six.as_ref().unwrap();
    let (dhcp, http) = (six.dhcp.local_addr().unwrap(), six.http.local_addr().unwrap());
    let names = six.dns.as_ref().unwrap().0.local_addr().unwrap();
    let clock = six.ntp.as_ref().unwrap().local_addr().unwrap();
    // They go over to the counter's process like the others.
    let (parent, child) = std::os::unix::net::UnixStream::pair().unwrap();
    sockets.send_over(&parent).unwrap();
    let sockets = Sockets::receive_from(&child).unwrap();
    let shelf = Shelf::new(folder.0.join("store"));
    let settings = Settings {
        state: folder.0.join("state"),
        loaders: folder.0.join("state"),
        shelf: folder.0.join("store"),
        own_loaders: None,
        transfers: 4,
    };
    std::fs::create_dir_all(&settings.state).unwrap();
    let (bench, _) = Bench::open(sockets, &settings).unwrap();
    let counter = Arc::clone(bench.counter());
    let mut table = board(&shelf);
    table.network.domain = Some("lab.internal".to_owned());
    table.network.names =
        Some(DnsSpec { domain: "lab.internal".to_owned(), forward: Vec::new(), ingress: Vec::new() });
    table.network.ntp = NtpMode::Trust;
    counter.publish(table).unwrap();
    let running = tokio::spawn(bench.run());

    let socket = UdpSocket::bind(("::1", 0)).await.unwrap();
    // On loopback no address tells who it is, but an identifier made of an Ethernet address does.
    let mut asked = Message::new(MessageType::Solicit, 9, &Duid::of_mac(NODE1));
    asked.options.push(OptionCode::IA_NA, Ia::new(1).value(""));
    asked.options.push(OptionCode::USER_CLASS, *b"\0\x04iPXE");
    socket.send_to(&asked.encode(), dhcp).await.unwrap();
    let mut buffer = [0; 1500];
    let count = within(socket.recv(&mut buffer)).await.unwrap();
    let offer = Message::decode(buffer.get(..count).unwrap()).unwrap();
    let url = offer.options.text(OptionCode::BOOT_URL).unwrap().to_owned();
    assert!(url.starts_with("http://[fd00::1]:") && url.ends_with("/boot/02-00-00-00-00-01.ipxe"), "{url}");

    let time = [&[0, 1, 0, 16][..], &address("fd00::1").octets()].concat();
    assert_eq!(offer.options.get(OptionCode::TIME_SERVER), Some(time.as_slice()));
    assert_eq!(offer.options.get(OptionCode::SEARCH), Some(&b"\x03lab\x08internal\0"[..]));

    let get = async |path: &str| {
        let mut stream = TcpStream::connect(http).await.unwrap();
        let ask = format!("GET {path} HTTP/1.1\r\nHost: boss\r\nConnection: close\r\n\r\n");
        stream.write_all(ask.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        within(stream.read_to_end(&mut bytes)).await.unwrap();
        Answer::parse(&bytes).text()
    };
    let script = get("/boot/02-00-00-00-00-01.ipxe").await;
    assert!(
        script.contains("kernel http://[fd00::1]:") && script.contains("labinator.boss=http://[fd00::1]:"),
        "{script}"
    );
    // The other loaders are told the same address.
    let grub = get("/grub/grub.cfg-01-02-00-00-00-00-01").await;
    assert!(
        grub.contains("'(tftp,fd00::1)/f/") && grub.contains("labinator.boss=http://[fd00::1]:"),
        "{grub}"
    );
    let pxelinux = get("/pxelinux.cfg/01-02-00-00-00-00-01").await;
    assert!(pxelinux.contains("KERNEL http://[fd00::1]:"), "{pxelinux}");

    names_and_time(&socket, names, clock).await;
    running.abort();
}

/// Both ports are asked and answer.
async fn names_and_time(socket: &UdpSocket, names: SocketAddr, clock: SocketAddr) {
    let mut buffer = [0; 1500];
    let mut question = hickory_proto::op::Message::new(7, DnsMessageType::Query, OpCode::Query);
    question.add_query(Query::query(Name::from_ascii("boss.lab.internal.").unwrap(), RecordType::AAAA));
    socket.send_to(&question.to_vec().unwrap(), names).await.unwrap();
    let count = within(socket.recv(&mut buffer)).await.unwrap();
    let answer = hickory_proto::op::Message::from_vec(buffer.get(..count).unwrap()).unwrap();
    let told = answer.answers.iter().map(|record| record.data.to_string()).collect::<Vec<_>>();
    assert_eq!(told, ["fd00::1"]);

    let mut question = [0; wire::ntp::SIZE];
    // Version 4, a client.
    question[0] = 0x23;
    socket.send_to(&question, clock).await.unwrap();
    let count = within(socket.recv(&mut buffer)).await.unwrap();
    // Version 4, a server, whatever its leap warning.
    assert_eq!((count, buffer[0] & 0x3f), (wire::ntp::SIZE, 0x24));
}

#[test]
fn names_are_for_the_labs_prefix_and_for_nobody_elses() {
    let folder = Folder::new();
    let mut table = board(&Shelf::new(folder.0.join("store")));
    table.network.names =
        Some(DnsSpec { domain: "lab.internal".to_owned(), forward: Vec::new(), ingress: Vec::new() });
    let names = Names::of(&table).unwrap();
    let mut question = hickory_proto::op::Message::new(7, DnsMessageType::Query, OpCode::Query);
    question.add_query(Query::query(Name::from_ascii("node1.lab.internal.").unwrap(), RecordType::AAAA));
    let question = question.to_vec().unwrap();
    for (from, code) in [
        ("fd00::99", ResponseCode::NoError),
        ("fd01::99", ResponseCode::Refused),
        ("fe80::1", ResponseCode::Refused),
    ] {
        let Verdict::Answer(answer) = names.take(&question, address(from).into()) else { panic!("{from}") };
        assert_eq!(answer.metadata.response_code, code, "{from}");
    }
}

#[test]
fn a_ledger_of_the_version_before_opens_and_takes_leases_of_both_kinds() {
    let files = LossyFiles::default();
    let path = Path::new("/state/ledger");
    {
        let mut log = store::log::Log::open(Arc::new(files.clone()), path).unwrap().log;
        // As it was written before there was IPv6.
        for record in [
            r#"{"lease":{"mac":"02:00:00:00:00:01","address":"10.0.0.11","host_name":"node1","seconds":600}}"#,
            r#"{"claim":{"key":{"node":"node1","run":1,"boot":1,"kind":"nonce"},"value":"ab"}}"#,
            r#"{"freed":{"address":"10.0.0.12"}}"#,
        ] {
            log.append(record.as_bytes()).unwrap();
        }
        log.sync().unwrap();
    }
    let open = || Ledger::open(Arc::new(files.clone()), path).unwrap().0;
    let of = |holder: Holder, last: &str| Lease6 {
        holder,
        address: address(last),
        host_name: String::new(),
        seconds: 600,
    };
    let (machine, duid) = (Holder::Machine(NODE1), Duid::of_mac(NODE1));
    let guest = Holder::Client { duid, iaid: 3, mac: None };
    let ledger = open();
    assert_eq!((ledger.leases().len(), ledger.leases6().len()), (1, 0));
    assert_eq!(
        ledger.write6(vec![of(machine.clone(), "fd00::11"), of(guest.clone(), "fd00::1:1")]).unwrap(),
        2
    );
    assert_eq!(ledger.write6(vec![of(machine.clone(), "fd00::11")]).unwrap(), 0, "a renewal costs nothing");
    // One holder has one address.
    ledger.write6(vec![of(guest.clone(), "fd00::1:2")]).unwrap();
    let held: Vec<_> = ledger.leases6().into_iter().map(|lease| lease.address).collect();
    assert_eq!(held, [address("fd00::11"), address("fd00::1:2")]);
    drop(ledger);
    let ledger = open();
    assert_eq!(ledger.leases6(), [of(machine, "fd00::11"), of(guest, "fd00::1:2")]);
    ledger.free6(address("fd00::11")).unwrap();
    drop(ledger);
    assert_eq!((open().leases().len(), open().leases6().len()), (1, 1));
}

/// Notices that wait for the core.
fn notices(counter: &Counter) -> Vec<Notice> {
    let notice = |up| if let Up::Notice(notice) = up { Some(notice) } else { None };
    counter.sights().take().into_iter().filter_map(notice).collect()
}

#[tokio::test]
async fn a_machine_that_follows_another_server_gives_that_server_away() {
    let folder = Folder::new();
    let counter = counter(&folder);
    let mut cable = Cable::new(Arc::clone(&counter), BOSS_MAC);
    let other = Duid::of_mac(MacAddr([2, 9, 9, 9, 9, 9]));
    let request = pxe(MessageType::Request, Some(&other)).encode();
    let asked = frame((link_local(NODE1), CLIENT_PORT), (ALL_SERVERS, SERVER_PORT), &request);
    for moment in [1, 2, 59_000] {
        assert!(cable.on_frame(&asked, moment).await.is_empty());
    }
    let follows = Notice::ForeignChoice6 { mac: NODE1, duid: "00030001020909090909".to_owned() };
    assert_eq!(notices(&counter).as_slice(), std::slice::from_ref(&follows), "once a minute");
    cable.on_frame(&asked, 60_001).await;
    assert_eq!(notices(&counter), [follows]);
}

#[tokio::test]
async fn another_server_that_is_heard_is_named_and_a_relay_that_passes_our_answers_on_is_not() {
    let folder = Folder::new();
    let counter = counter(&folder);
    let mut cable = Cable::new(Arc::clone(&counter), BOSS_MAC);
    let stranger = MacAddr([2, 9, 9, 9, 9, 9]);
    let (ours, theirs) = (Duid::of_server(address("fd00::1")), Duid::of_mac(stranger));
    for (kind, server) in
        [(MessageType::Reply, &ours), (MessageType::Solicit, &theirs), (MessageType::Advertise, &theirs)]
    {
        let at = |ip, port| SocketAddrV6::new(ip, port, 0, 0);
        let (from, to) = (at(link_local(stranger), SERVER_PORT), at(link_local(NODE1), CLIENT_PORT));
        let payload = pxe(kind, Some(server)).encode();
        let heard =
            Udp6 { to_mac: NODE1, from_mac: stranger, from, to, payload: &payload, checksum_good: true };
        assert!(cable.on_frame(&heard.build().unwrap(), 1).await.is_empty());
    }
    let named = Notice::ForeignDhcp6 {
        mac: stranger,
        address: link_local(stranger),
        duid: "00030001020909090909".to_owned(),
    };
    assert_eq!(notices(&counter), [named]);
}

#[tokio::test]
async fn a_machine_that_solicits_without_end_is_told_of_and_costs_nobody_else_an_answer() {
    let folder = Folder::new();
    let counter = counter(&folder);
    let mut cable = Cable::new(Arc::clone(&counter), BOSS_MAC);
    let solicit = pxe(MessageType::Solicit, None).encode();
    let asked = frame((link_local(NODE1), CLIENT_PORT), (ALL_SERVERS, SERVER_PORT), &solicit);
    let mut answers = 0;
    for _ in 0..100 {
        answers += cable.on_frame(&asked, 5).await.len();
    }
    assert_eq!(answers, 40);
    assert_eq!(notices(&counter), [Notice::Flooding { mac: NODE1, count: 1 }]);
    // The same card under another name, and the same name on another card.
    let mut renamed = pxe(MessageType::Solicit, None);
    renamed.options = wire::dhcp6::Options::new();
    renamed.options.push(OptionCode::CLIENT_ID, Duid::of_uuid([6; 16]).as_bytes());
    renamed.options.push(OptionCode::IA_NA, Ia::new(1).value(""));
    let renamed = frame((link_local(NODE1), CLIENT_PORT), (ALL_SERVERS, SERVER_PORT), &renamed.encode());
    assert_eq!(cable.on_frame(&renamed, 5).await.len(), 1);
    let from = SocketAddrV6::new(link_local(stand::NODE2), CLIENT_PORT, 0, 0);
    let to = SocketAddrV6::new(ALL_SERVERS, SERVER_PORT, 0, 0);
    let (to_mac, from_mac, payload) = (ALL_SERVERS_MAC, stand::NODE2, solicit.as_slice());
    let other = Udp6 { to_mac, from_mac, from, to, payload, checksum_good: true }.build().unwrap();
    assert_eq!(cable.on_frame(&other, 5).await.len(), 1);
}
