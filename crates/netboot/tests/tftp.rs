//! The TFTP port over real sockets: probes, tricks, strays and lost packets.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may stop")]

mod stand;

use std::net::Ipv4Addr;

use model::{BootTable, Sight, Sighting, TftpPorts};
use netboot::Up;
use stand::{NODE1, NODE1_IP, Stand, kernel, put, refused, within};
use tokio::net::UdpSocket;
use wire::tftp::{ErrorCode, FetchEnd, FetchSettings, Mode, Packet, Request, netascii};

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
    let ask = Packet::Read(Request { timeout_seconds: Some(1), ..Request::octet("snponly.efi") });
    socket.send_to(&ask.encode(), stand.tftp).await.unwrap();
    let mut buffer = [0; 1500];
    let (_, from) = within(socket.recv_from(&mut buffer)).await.unwrap();
    for block in [0, 1] {
        socket.send_to(&Packet::Ack(block).encode(), from).await.unwrap();
        within(socket.recv_from(&mut buffer)).await.unwrap();
    }
    drop(socket);
    let broken = |up: &Up| match up {
        Up::Sighting(Sighting { mac: NODE1, sight: Sight::FileBroken { bytes, .. }, .. }) => Some(*bytes),
        _ => None,
    };
    assert_eq!(core.find(broken).await, 512);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_no_block_and_asks_again_is_offered_smaller_ones() {
    let stand = Stand::with_board();
    let mut buffer = [0; 1500];
    let wish = Request { block: Some(1468), timeout_seconds: Some(1), ..Request::octet("snponly.efi") };
    // Each time from another port, while the transfer before is still being sent.
    for offered in ["1468", "1228", "512"] {
        let socket = UdpSocket::bind((NODE1_IP, 0)).await.unwrap();
        socket.send_to(&Packet::Read(wish.clone()).encode(), stand.tftp).await.unwrap();
        let (count, from) = within(socket.recv_from(&mut buffer)).await.unwrap();
        let Ok(Packet::OptionAck(pairs)) = Packet::decode(&buffer[..count]) else { panic!("no OACK") };
        assert!(pairs.contains(&("blksize".to_owned(), offered.to_owned())), "{pairs:?}");
        socket.send_to(&Packet::Ack(0).encode(), from).await.unwrap();
        // The first block, and the first block again.
        for _ in 0..2 {
            let (count, _) = within(socket.recv_from(&mut buffer)).await.unwrap();
            assert!(matches!(Packet::decode(&buffer[..count]), Ok(Packet::Data { block: 1, .. })));
        }
    }
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

#[tokio::test(flavor = "multi_thread")]
async fn single_port_mode_answers_from_port_69_with_whole_blocks_and_windows() {
    let stand = Stand::start(4);
    let mut table: BootTable = stand::table(&stand.shelf(), 1);
    table.network.tftp = TftpPorts::SinglePort;
    stand.counter.publish(table).unwrap();
    for window in [None, Some(16)] {
        let request = Request { block: Some(1468), window, size: Some(0), ..Request::octet("undionly.kpxe") };
        let (end, content, size, from) = stand.fetch_seeing(NODE1_IP, settings(request)).await;
        assert_eq!((end, size, from), (FetchEnd::Complete, Some(97_782), stand.tftp));
        assert!(content == vec![0xeb; 97_782]);
    }
    let missing = Packet::Read(Request::octet("none")).encode();
    assert_eq!(refused(&stand.tftp_once(&missing).await.unwrap()), 1);
    // Two clients at once do not get into each other's way.
    let both =
        ["undionly.kpxe", "snponly.efi"].map(|file| Request { block: Some(512), ..Request::octet(file) });
    let [one, two] = both.map(settings);
    let (one, two) = tokio::join!(stand.fetch_seeing(NODE1_IP, one), stand.fetch_seeing(NODE1_IP, two));
    assert_eq!((one.1.len(), two.1.len()), (97_782, 146_800));
}

#[tokio::test(flavor = "multi_thread")]
async fn contents_of_the_shelf_are_fetched_by_digest_with_any_block_size() {
    let stand = Stand::with_board();
    let path = format!("/f/{}/vmlinuz", put(&stand.shelf(), "vmlinuz", &kernel()).digest);
    for (block, window) in [(1468, Some(16)), (1024, None), (8192, Some(3)), (65_464, Some(2))] {
        let request = Request { block: Some(block), window, size: Some(0), ..Request::octet(&path) };
        let (end, content, size) = stand.fetch(NODE1_IP, settings(request)).await;
        assert_eq!((end, size), (FetchEnd::Complete, Some(3_333_333)), "block {block}");
        assert!(content == kernel(), "block {block}");
    }
    let nothing = Packet::Read(Request::octet(&format!("/f/{}/vmlinuz", "0".repeat(64)))).encode();
    assert_eq!(refused(&stand.tftp_once(&nothing).await.unwrap()), 1);
    let text = Request { mode: Mode::Netascii, ..Request::octet(&path) };
    assert_eq!(refused(&stand.tftp_once(&Packet::Read(text).encode()).await.unwrap()), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn netascii_is_translated_and_its_size_is_that_of_the_translation() {
    let folder = stand::Folder::new();
    let loaders = folder.0.join("loaders");
    std::fs::create_dir_all(&loaders).unwrap();
    let bytes: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    std::fs::write(loaders.join("odd.bin"), &bytes).unwrap();
    let stand = Stand::start_in(folder, 4);
    let request = Request { mode: Mode::Netascii, size: Some(0), ..Request::octet("odd.bin") };
    let (end, content, size) = stand.fetch(NODE1_IP, settings(request)).await;
    let translated = netascii(&bytes);
    assert_eq!((end, size), (FetchEnd::Complete, u64::try_from(translated.len()).ok()));
    assert!(content == translated && content.len() > bytes.len());
    let (_, content, _) = stand.fetch(NODE1_IP, settings(Request::octet("odd.bin"))).await;
    assert!(content == bytes, "octet is not mixed up with it");
}

/// The window of the OACK to a request for 64 blocks at a time, and how the transfer is gone on with.
async fn window(stand: &Stand, source: Ipv4Addr, acks: &[u16]) -> u16 {
    let socket = UdpSocket::bind((source, 0)).await.unwrap();
    let ask = Request { window: Some(64), block: Some(512), ..Request::octet("snponly.efi") };
    socket.send_to(&Packet::Read(ask).encode(), stand.tftp).await.unwrap();
    let mut buffer = [0; 1500];
    let (count, from) = within(socket.recv_from(&mut buffer)).await.unwrap();
    let Ok(Packet::OptionAck(pairs)) = Packet::decode(&buffer[..count]) else { panic!("no OACK") };
    let told = pairs.iter().find(|(name, _)| name == "windowsize").unwrap().1.parse().unwrap();
    for ack in acks {
        socket.send_to(&Packet::Ack(*ack).encode(), from).await.unwrap();
        within(socket.recv_from(&mut buffer)).await.unwrap();
    }
    let enough = Packet::error(ErrorCode::OTHER, "enough");
    socket.send_to(&enough, from).await.unwrap();
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_lost_packets_gets_half_the_window_next_time_and_another_machine_does_not() {
    let stand = Stand::with_board();
    assert_eq!(window(&stand, NODE1_IP, &[0, 16]).await, 16);
    // The last word of a transfer and the next request come to different ports: either may be read first.
    let settles = async |expected: u16| {
        within(async { while window(&stand, NODE1_IP, &[]).await != expected {} }).await;
    };
    settles(20).await;
    assert_eq!(window(&stand, NODE1_IP, &[0, 19]).await, 20);
    settles(10).await;
    assert_eq!(window(&stand, stand::NODE2_IP, &[]).await, 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_sent_twice_from_one_port_starts_one_transfer() {
    let stand = Stand::with_board();
    let socket = UdpSocket::bind((NODE1_IP, 0)).await.unwrap();
    let ask = Packet::Read(Request { size: Some(0), ..Request::octet("snponly.efi") }).encode();
    let mut buffer = [0; 1500];
    let mut answers = Vec::new();
    for _ in 0..2 {
        socket.send_to(&ask, stand.tftp).await.unwrap();
        let (count, from) = within(socket.recv_from(&mut buffer)).await.unwrap();
        answers.push((from, buffer[..count].to_vec()));
    }
    assert_eq!(answers[0], answers[1], "the same answer from the same port");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_that_only_knock_keep_nobody_out() {
    let stand = Stand::with_board();
    let mut knockers = Vec::new();
    for number in 0..1000_u16 {
        let [high, low] = number.to_be_bytes();
        let socket = UdpSocket::bind((Ipv4Addr::new(127, 1, high, low), 0)).await.unwrap();
        let ask = Packet::Read(Request { size: Some(0), ..Request::octet("snponly.efi") });
        socket.send_to(&ask.encode(), stand.tftp).await.unwrap();
        knockers.push(socket);
    }
    let (end, content, _) = stand.fetch(NODE1_IP, FetchSettings::edk2("snponly.efi", false)).await;
    assert_eq!((end, content.len()), (FetchEnd::Complete, 146_800));
    // Those whose request was not lost in the crowd are being served: the last one answers for them.
    let mut buffer = [0; 1500];
    within(knockers.last().unwrap().recv_from(&mut buffer)).await.unwrap();
}
