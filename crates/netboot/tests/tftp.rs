//! The TFTP port over real sockets: probes, tricks, strays and lost packets.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

mod stand;

use model::{Sight, Sighting};
use netboot::Up;
use stand::{NODE1, NODE1_IP, Stand, refused, within};
use tokio::net::UdpSocket;
use wire::tftp::{FetchEnd, FetchSettings, Packet, Request};

fn settings(request: Request) -> FetchSettings {
    FetchSettings { request, probe: false, wait_ms: 1000, retries: 3 }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_block_size_and_window_carries_the_same_bytes() {
    let stand = Stand::with_board();
    for (block, window) in [(None, None), (Some(512), None), (Some(1468), Some(4)), (Some(1428), Some(64))] {
        let request = Request { block, window, ..Request::octet("undionly.kpxe") };
        let (end, content, _) = stand.fetch(NODE1_IP, settings(request)).await;
        assert_eq!(end, FetchEnd::Complete);
        assert!(content == vec![0xeb; 97_782], "block {block:?}, window {window:?}");
    }
    // A multiple of the block size ends with an empty block.
    let request = Request { block: Some(1468), ..Request::octet("snponly.efi") };
    let (end, content, _) = stand.fetch(NODE1_IP, settings(request)).await;
    assert_eq!((end, content.len()), (FetchEnd::Complete, 146_800));
}

#[tokio::test(flavor = "multi_thread")]
async fn tricks_and_wishes_to_write_are_refused_and_strays_get_no_answer() {
    let stand = Stand::with_board();
    let ask = |file: &str| Packet::Read(Request::octet(file)).encode();
    assert_eq!(refused(&stand.tftp_once(&ask("../../etc/passwd")).await.unwrap()), 2);
    assert_eq!(refused(&stand.tftp_once(&ask("/boot/../../state/ledger")).await.unwrap()), 2);
    assert_eq!(refused(&stand.tftp_once(&ask("none")).await.unwrap()), 1);
    let write = Packet::Write(Request::octet("snponly.efi")).encode();
    assert_eq!(refused(&stand.tftp_once(&write).await.unwrap()), 2);
    assert_eq!(stand.tftp_once(&Packet::Ack(1).encode()).await, None);
    assert_eq!(stand.tftp_once(b"\xff\xff nonsense").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_leave_no_transfer_behind_however_many_there_are() {
    let stand = Stand::with_board();
    for _ in 0..300 {
        let (end, ..) = stand.fetch(NODE1_IP, FetchSettings::edk2("snponly.efi", true)).await;
        assert!(matches!(end, FetchEnd::Probed { size: Some(146_800) }));
    }
    let (end, ..) = stand.fetch(NODE1_IP, FetchSettings::edk2("snponly.efi", false)).await;
    assert_eq!(end, FetchEnd::Complete);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_vanishes_is_told_of_as_a_broken_file() {
    let stand = Stand::with_board();
    let mut core = stand.core().await;
    let socket = UdpSocket::bind((NODE1_IP, 0)).await.unwrap();
    socket.send_to(&Packet::Read(Request::octet("snponly.efi")).encode(), stand.tftp).await.unwrap();
    let mut buffer = [0; 1500];
    let (_, from) = within(socket.recv_from(&mut buffer)).await.unwrap();
    socket.send_to(&Packet::Ack(1).encode(), from).await.unwrap();
    within(socket.recv_from(&mut buffer)).await.unwrap();
    drop(socket);
    let broken = |up: &Up| match up {
        Up::Sighting(Sighting { mac: NODE1, sight: Sight::FileBroken { bytes, .. }, .. }) => Some(*bytes),
        _ => None,
    };
    assert_eq!(core.find(broken).await, 512);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_acknowledgement_costs_one_wait_and_no_byte() {
    let stand = Stand::with_board();
    let socket = UdpSocket::bind((NODE1_IP, 0)).await.unwrap();
    let ask = Packet::Read(Request { timeout_seconds: Some(1), ..Request::octet("snponly.efi") });
    socket.send_to(&ask.encode(), stand.tftp).await.unwrap();
    let mut buffer = [0; 1500];
    let (count, from) = within(socket.recv_from(&mut buffer)).await.unwrap();
    let first = buffer[..count].to_vec();
    let (count, again) = within(socket.recv_from(&mut buffer)).await.unwrap();
    assert_eq!((&buffer[..count], again), (first.as_slice(), from));
    socket.send_to(&Packet::Ack(0).encode(), from).await.unwrap();
    let (count, _) = within(socket.recv_from(&mut buffer)).await.unwrap();
    assert!(matches!(Packet::decode(&buffer[..count]), Ok(Packet::Data { block: 1, .. })));
}
