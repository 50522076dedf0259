//! The DHCP port over real sockets: refusals, returns, strangers and silence.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

mod stand;

use std::net::Ipv4Addr;

use model::{DhcpMode, Notice, Sight, Sighting};
use netboot::Up;
use stand::{NODE1, NODE1_IP, STRANGER, Stand, table, until};
use tokio::net::UdpSocket;
use wire::dhcp::{Message, MessageType, OptionCode, Options};

#[tokio::test(flavor = "multi_thread")]
async fn an_address_of_another_is_refused_and_one_given_back_is_free() {
    let stand = Stand::with_board();
    let mut request = Message::request(MessageType::Request, STRANGER, 5);
    request.options.set_address(OptionCode::REQUESTED_ADDRESS, NODE1_IP);
    let nak = stand.exchange(&request).await.unwrap();
    assert_eq!(nak.kind(), Some(MessageType::Nak));

    let held = stand.lease(STRANGER, Options::new()).await.yiaddr;
    assert_eq!(stand.counter.ledger().leases().len(), 1);
    let mut release = Message::request(MessageType::Release, STRANGER, 6);
    release.ciaddr = held;
    let socket = UdpSocket::bind((stand::BOSS, 0)).await.unwrap();
    socket.send_to(&release.encode(1500).unwrap(), stand.dhcp).await.unwrap();
    until(|| stand.counter.ledger().leases().is_empty().then_some(())).await;
    assert_eq!(stand.counter.who_has(held.into()), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_with_another_server_is_watched_in_silence() {
    let stand = Stand::start(4);
    let mut core = stand.core().await;
    let mut board = table(&stand.shelf(), 1);
    board.network.dhcp = DhcpMode::Off;
    core.publish(board).await;
    assert_eq!(stand.exchange(&Message::request(MessageType::Discover, NODE1, 1)).await, None);
    let seen = |up: &Up| match up {
        Up::Sighting(Sighting { mac, sight: Sight::Discover { .. }, .. }) => Some(*mac),
        _ => None,
    };
    assert_eq!(core.find(seen).await, NODE1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_pool_only_machines_of_the_board_are_answered() {
    let stand = Stand::start(4);
    let mut board = table(&stand.shelf(), 1);
    board.network.pool = None;
    stand.counter.publish(board).unwrap();
    assert_eq!(stand.exchange(&Message::request(MessageType::Discover, STRANGER, 1)).await, None);
    let offer = stand.exchange(&Message::request(MessageType::Discover, NODE1, 2)).await.unwrap();
    assert_eq!(offer.yiaddr, NODE1_IP);
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_is_counted_and_told_at_each_doubling() {
    let stand = Stand::with_board();
    let mut core = stand.core().await;
    let socket = UdpSocket::bind((stand::BOSS, 0)).await.unwrap();
    for _ in 0..5 {
        socket.send_to(b"not dhcp", stand.dhcp).await.unwrap();
    }
    let mut told = Vec::new();
    core.find(|up| {
        if let Up::Notice(Notice::Malformed { protocol, count }) = up {
            assert_eq!(protocol, "dhcp");
            told.push(*count);
        }
        (told.last() == Some(&4)).then_some(())
    })
    .await;
    assert_eq!(told, [1, 2, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn before_any_table_ipxe_is_asked_to_come_back_and_dhcp_is_silent() {
    let stand = Stand::start(4);
    assert_eq!(stand.exchange(&Message::request(MessageType::Discover, NODE1, 1)).await, None);
    let script = stand.get(Ipv4Addr::LOCALHOST, "/boot/02-00-00-00-00-01.ipxe").await;
    assert_eq!((script.status, script.header("retry-after")), (503, Some("2")));
}
