//! Beside another DHCP server, over real sockets: what to boot from both ports, and whose address is whose.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

mod stand;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use model::{DhcpMode, MacAddr, Notice, Sight, Sighting};
use netboot::Up;
use stand::{BOSS, NODE1, NODE1_IP, STRANGER, Stand, table, within};
use tokio::net::UdpSocket;
use wire::dhcp::{AGENT_VENDOR_CLASS, ControllerMark, Message, MessageType, OptionCode, boss_url};

const GIVEN: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 66);
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 250);

fn beside() -> Stand {
    let stand = Stand::start(4);
    let mut board = table(&stand.shelf(), 1);
    board.network.dhcp = DhcpMode::Proxy;
    board.network.pool = None;
    stand.counter.publish(board).unwrap();
    stand
}

fn uefi(kind: MessageType, mac: MacAddr) -> Message {
    let mut message = Message::request(kind, mac, 3);
    message.options.set(OptionCode::VENDOR_CLASS, *b"PXEClient:Arch:00007:UNDI:003000");
    message.options.set_u16(OptionCode::ARCHITECTURES, 7);
    message
}

fn took(mac: MacAddr, address: Ipv4Addr) -> Message {
    let mut request = uefi(MessageType::Request, mac);
    request.options.set_address(OptionCode::SERVER_ID, OTHER);
    request.options.set_address(OptionCode::REQUESTED_ADDRESS, address);
    request
}

async fn ask(port: SocketAddr, message: &Message) -> Message {
    let socket = UdpSocket::bind((BOSS, 0)).await.unwrap();
    socket.send_to(&message.encode(1500).unwrap(), port).await.unwrap();
    let mut buffer = [0; 1500];
    let (count, from) = within(socket.recv_from(&mut buffer)).await.unwrap();
    assert_eq!(from, port, "the answer comes from the port that was asked");
    Message::decode(buffer.get(..count).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ports_say_what_to_boot_and_no_lease_is_written() {
    let stand = beside();
    let offer = ask(stand.dhcp, &uefi(MessageType::Discover, STRANGER)).await;
    assert_eq!((offer.kind(), offer.yiaddr), (Some(MessageType::Offer), Ipv4Addr::UNSPECIFIED));
    assert_eq!(offer.file, b"snponly.efi");
    let mark = offer.options.get(OptionCode::CONTROLLER).and_then(ControllerMark::read).unwrap();
    assert_eq!(mark.lab, "bench");
    let mut request = uefi(MessageType::Request, NODE1);
    request.ciaddr = GIVEN;
    let ack = ask(stand.boot_server, &request).await;
    assert_eq!((ack.kind(), ack.file.as_slice()), (Some(MessageType::Ack), &b"snponly.efi"[..]));
    assert_eq!((ack.ciaddr, ack.yiaddr), (GIVEN, Ipv4Addr::UNSPECIFIED));
    assert!(stand.counter.ledger().leases().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_with_an_address_of_another_server_is_told_where_to_report() {
    let stand = beside();
    let mut asks = Message::request(MessageType::Inform, STRANGER, 3);
    asks.options.set(OptionCode::VENDOR_CLASS, AGENT_VENDOR_CLASS);
    asks.ciaddr = GIVEN;
    let ack = ask(stand.dhcp, &asks).await;
    assert_eq!((ack.kind(), ack.yiaddr), (Some(MessageType::Ack), Ipv4Addr::UNSPECIFIED));
    let told = boss_url(&ack).unwrap();
    assert!(told.starts_with(&format!("http://{BOSS}")), "{told}");
    assert_eq!(told, stand.counter.base_url(&stand.counter.board().unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn uefi_is_offered_its_file_with_option_43_and_without() {
    let stand = beside();
    let socket = UdpSocket::bind((BOSS, 0)).await.unwrap();
    let question = uefi(MessageType::Discover, NODE1);
    socket.send_to(&question.encode(1500).unwrap(), stand.dhcp).await.unwrap();
    let mut with_43 = Vec::new();
    for _ in 0..2 {
        let mut buffer = [0; 1500];
        let count = within(socket.recv(&mut buffer)).await.unwrap();
        let offer = Message::decode(buffer.get(..count).unwrap()).unwrap();
        assert_eq!(offer.file, b"snponly.efi");
        with_43.push(offer.options.has(OptionCode::VENDOR_SPECIFIC));
    }
    assert_eq!(with_43, [true, false]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_learnt_from_the_request_for_it_and_wins_over_the_boards() {
    let stand = beside();
    let mut core = stand.core().await;
    let socket = UdpSocket::bind((BOSS, 0)).await.unwrap();
    socket.send_to(&took(NODE1, GIVEN).encode(1500).unwrap(), stand.dhcp).await.unwrap();
    let learnt = core
        .find(|up| match up {
            Up::Sighting(Sighting { mac: NODE1, sight: Sight::Ack { address, .. }, .. }) => Some(*address),
            _ => None,
        })
        .await;
    assert_eq!(learnt, GIVEN);
    assert_eq!(stand.counter.who_has(GIVEN.into()), Some(NODE1));
    // Another machine got what the board reserves for node 1: here the other server decides.
    assert_eq!(stand.counter.who_has(NODE1_IP.into()), Some(NODE1));
    socket.send_to(&took(STRANGER, NODE1_IP).encode(1500).unwrap(), stand.dhcp).await.unwrap();
    stand::until(|| (stand.counter.who_has(NODE1_IP.into()) == Some(STRANGER)).then_some(())).await;
    let script = stand.get(NODE1_IP, "/boot.ipxe").await;
    assert!(script.status == 200 || script.status == 404, "{}", script.head);
    // What is not of the lab's subnet is not remembered.
    let far = Ipv4Addr::new(192, 168, 9, 9);
    socket.send_to(&took(STRANGER, far).encode(1500).unwrap(), stand.dhcp).await.unwrap();
    ask(stand.dhcp, &uefi(MessageType::Discover, STRANGER)).await;
    assert_eq!(stand.counter.who_has(far.into()), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_another_server_is_told_where_we_are_the_only_one() {
    let stand = Stand::with_board();
    let mut core = stand.core().await;
    let socket = UdpSocket::bind((BOSS, 0)).await.unwrap();
    for _ in 0..3 {
        socket.send_to(&took(NODE1, GIVEN).encode(1500).unwrap(), stand.dhcp).await.unwrap();
    }
    ask(stand.dhcp, &uefi(MessageType::Discover, NODE1)).await;
    let mut told = 0;
    core.find(|up| {
        match up {
            Up::Notice(Notice::ForeignChoice { mac, server }) => {
                assert_eq!((*mac, *server), (NODE1, OTHER));
                told += 1;
            }
            Up::Sighting(Sighting { sight: Sight::Offer { .. }, .. }) => return Some(()),
            _ => {}
        }
        None
    })
    .await;
    assert_eq!(told, 1, "the first packet tells, the next ones say nothing new");
    assert_eq!(stand.counter.who_has(GIVEN.into()), None, "its addresses are none of ours");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_asks_without_end_is_left_unread_and_named_and_others_are_served() {
    let stand = Stand::with_board();
    let mut core = stand.core().await;
    let noisy = MacAddr([2, 0, 0, 0, 7, 7]);
    let socket = UdpSocket::bind((BOSS, 0)).await.unwrap();
    let bytes = Message::request(MessageType::Discover, noisy, 1).encode(1500).unwrap();
    for _ in 0..400 {
        socket.send_to(&bytes, stand.dhcp).await.unwrap();
    }
    let offer = ask(stand.dhcp, &uefi(MessageType::Discover, NODE1)).await;
    assert_eq!(offer.yiaddr, NODE1_IP);
    core.find(|up| {
        matches!(up, Up::Notice(Notice::Flooding { mac, count: 1 }) if *mac == noisy).then_some(())
    })
    .await;
    let mut answers = 0;
    let mut buffer = [0; 1500];
    while tokio::time::timeout(Duration::from_millis(300), socket.recv(&mut buffer)).await.is_ok() {
        answers += 1;
    }
    assert!((1..200).contains(&answers), "{answers} answers to 400 questions");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_architecture_without_a_loader_gets_an_address_and_is_told_once() {
    let stand = Stand::with_board();
    let mut core = stand.core().await;
    let mut arm = uefi(MessageType::Discover, NODE1);
    arm.options.set(OptionCode::VENDOR_CLASS, *b"PXEClient:Arch:00011:UNDI:003000");
    arm.options.set_u16(OptionCode::ARCHITECTURES, 11);
    for _ in 0..2 {
        let offer = ask(stand.dhcp, &arm).await;
        assert!(offer.yiaddr == NODE1_IP && offer.file.is_empty());
    }
    // One that can also run x86-64 gets that.
    arm.options.set(OptionCode::ARCHITECTURES, [0, 11, 0, 7]);
    assert_eq!(ask(stand.dhcp, &arm).await.file, b"snponly.efi");
    let mut told = Vec::new();
    core.find(|up| {
        if let Up::Notice(Notice::LoaderMissing { arch, names }) = up {
            told.push((*arch, names.clone()));
        }
        // The third offer is the last thing told.
        matches!(up, Up::Sighting(Sighting { sight: Sight::Discover { arch: Some(11), .. }, .. }))
            .then_some(())
    })
    .await;
    let names = vec!["snponly-arm64.efi".to_owned(), "ipxe-arm64.efi".to_owned()];
    stand::until(|| {
        told.extend(stand.counter.sights().take().into_iter().filter_map(|up| match up {
            Up::Notice(Notice::LoaderMissing { arch, names }) => Some((arch, names)),
            _ => None,
        }));
        (!told.is_empty()).then_some(())
    })
    .await;
    assert_eq!(told, [(11, names)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raspberry_pi_and_u_boot_get_the_server_and_find_their_own_files() {
    let stand = Stand::with_board();
    let pi = MacAddr([0xdc, 0xa6, 0x32, 0, 0, 1]);
    let mut discover = uefi(MessageType::Discover, pi);
    discover.options.set(OptionCode::VENDOR_CLASS, *b"PXEClient:Arch:00000:UNDI:002001");
    discover.options.set_u16(OptionCode::ARCHITECTURES, 0);
    let offer = ask(stand.dhcp, &discover).await;
    assert_eq!((offer.siaddr, offer.file.as_slice()), (BOSS, &b""[..]));
    let menu = offer.options.get(OptionCode::VENDOR_SPECIFIC).unwrap();
    assert!(menu.windows(17).any(|text| text == b"Raspberry Pi Boot"));
    discover.options.set(OptionCode::VENDOR_CLASS, *b"U-Boot.armv8");
    discover.options.set_u16(OptionCode::ARCHITECTURES, 0x16);
    let offer = ask(stand.dhcp, &discover).await;
    assert!(offer.siaddr == BOSS && !offer.options.has(OptionCode::VENDOR_SPECIFIC));
}
