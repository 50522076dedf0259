//! TFTP: the sender against the receiver over a bad network, and the rules of each RFC.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may stop")]

use proptest::prelude::*;
use wire::tftp::{
    Blocks, End, ErrorCode, Fetch, FetchEnd, FetchSettings, Limits, Mode, Packet, PacketError, Request, Step,
    Transfer,
};

fn ask(block: Option<u16>, window: Option<u16>) -> Request {
    Request { block, window, ..Request::octet("f") }
}

fn ack(number: u16) -> Vec<u8> {
    Packet::Ack(number).encode()
}

fn blocks(step: Step) -> Vec<(u16, u64, u64)> {
    let Step::Blocks(blocks) = step else { panic!("{step:?}") };
    let number = |header: [u8; 4]| u16::from_be_bytes([header[2], header[3]]);
    blocks.map(|block| (number(block.header), block.range.start, block.range.end)).collect()
}

fn option_ack(step: &Step) -> Vec<(String, String)> {
    let Step::Packet(bytes) = step else { panic!("{step:?}") };
    match Packet::decode(bytes) {
        Ok(Packet::OptionAck(pairs)) => pairs,
        other => panic!("{other:?}"),
    }
}

fn pairs(text: &[(&str, &str)]) -> Vec<(String, String)> {
    text.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

#[test]
fn a_request_without_options_gets_512_bytes_at_a_time() {
    let (mut transfer, step) = Transfer::new(&ask(None, None), 1000, Limits::default(), 0);
    assert_eq!(blocks(step), [(1, 0, 512)]);
    assert_eq!(blocks(transfer.on_packet(&ack(1), 1)), [(2, 512, 1000)]);
    assert_eq!(transfer.on_packet(&ack(2), 2), Step::End(End::Complete));
    assert_eq!(transfer.wake_at(), None);
    assert_eq!(transfer.statistics().bytes, 1000);
}

#[test]
fn a_file_of_whole_blocks_ends_with_an_empty_one() {
    for size in [0, 512, 1024] {
        let (mut transfer, mut step) = Transfer::new(&ask(None, None), size, Limits::default(), 0);
        let mut last = (0, 0, 0);
        while let Step::Blocks(_) = step {
            last = blocks(step)[0];
            step = transfer.on_packet(&ack(last.0), 0);
        }
        assert_eq!(last, (u16::try_from(size / 512 + 1).unwrap(), size, size));
        assert_eq!(step, Step::End(End::Complete));
    }
}

#[test]
fn only_what_was_asked_for_is_agreed_to_and_within_limits() {
    let bytes = b"\0\x01f\0OCTET\0BlkSize\x0065464\0WINDOWSIZE\x0065535\0tsize\x000\0multicast\0\0";
    let Packet::Read(request) = Packet::decode(bytes).unwrap() else { panic!("no request") };
    let (transfer, step) = Transfer::new(&request, 5000, Limits::default(), 0);
    assert_eq!(option_ack(&step), pairs(&[("tsize", "5000"), ("blksize", "1468"), ("windowsize", "64")]));
    assert_eq!((transfer.block_size(), transfer.window_size()), (1468, 64));
}

#[test]
fn impossible_option_values_are_not_agreed_to() {
    let bytes = b"\0\x01f\0octet\0blksize\x007\0windowsize\x000\0timeout\x00256\0tsize\0x\0";
    let Packet::Read(request) = Packet::decode(bytes).unwrap() else { panic!("no request") };
    assert_eq!(request, Request::octet("f"));
}

#[test]
fn netascii_is_read_and_mail_is_refused() {
    let netascii = Packet::decode(b"\0\x01f\0NetAscii\0").unwrap();
    assert_eq!(netascii, Packet::Read(Request { mode: Mode::Netascii, ..Request::octet("f") }));
    assert_eq!(Packet::decode(b"\0\x01f\0mail\0"), Err(PacketError::Mode));
    assert_eq!(Packet::decode(b"\0\x01f\0octet"), Err(PacketError::Short));
    assert_eq!(Packet::decode(b"\0\x01\0octet\0"), Err(PacketError::NoName));
    assert_eq!(Packet::decode(b"\0\x09"), Err(PacketError::Operation(9)));
    let many = [&b"\0\x01f\0octet\0"[..], &b"a\0b\0".repeat(100)].concat();
    assert_eq!(Packet::decode(&many), Err(PacketError::TooManyOptions));
}

#[test]
fn a_window_goes_out_in_one_step_and_a_gap_is_repeated_from_behind_the_ack() {
    let (mut transfer, _) = Transfer::new(&ask(Some(1000), Some(4)), 10_000, Limits::default(), 0);
    let Step::Blocks(first) = transfer.on_packet(&ack(0), 0) else { panic!("no blocks") };
    assert_eq!(first.range(), 0..4000);
    assert_eq!(first.count(), 4);
    let step = transfer.on_packet(&ack(2), 1);
    assert_eq!(blocks(step).iter().map(|b| b.0).collect::<Vec<_>>(), [3, 4, 5, 6]);
    let statistics = transfer.statistics();
    assert_eq!((statistics.blocks, statistics.repeats, statistics.bytes), (6, 2, 2000));
}

#[test]
fn a_stale_ack_is_never_answered() {
    let (mut transfer, _) = Transfer::new(&ask(None, None), 5000, Limits::default(), 0);
    transfer.on_packet(&ack(1), 0);
    for number in [1, 0, 3, 65535] {
        assert_eq!(transfer.on_packet(&ack(number), 0), Step::Wait, "ACK {number}");
    }
    assert_eq!(transfer.on_packet(b"junk", 0), Step::Wait);
    assert_eq!(transfer.statistics().stale, 5);
    assert_eq!(blocks(transfer.on_packet(&ack(2), 0))[0].0, 3);
}

#[test]
fn edk2_reads_the_size_and_breaks_off_cleanly() {
    let settings = FetchSettings::edk2("snponly.efi", true);
    let (mut fetch, request) = Fetch::new(settings, 0);
    let Packet::Read(request) = Packet::decode(&request).unwrap() else { panic!("no request") };
    let (mut transfer, step) = Transfer::new(&request, 256_512, Limits::default(), 0);
    let Step::Packet(option_ack) = step else { panic!("no OACK") };
    let answer = fetch.on_packet(&option_ack, 0);
    assert_eq!(answer.end, Some(FetchEnd::Probed { size: Some(256_512) }));
    assert_eq!(transfer.on_packet(&answer.send.unwrap(), 0), Step::End(End::Probed));
    assert_eq!((transfer.wake_at(), transfer.on_time(99_999)), (None, Step::Wait));
}

#[test]
fn a_client_that_gives_up_later_is_told_apart_from_a_probe() {
    let (mut transfer, _) = Transfer::new(&ask(Some(1000), None), 5000, Limits::default(), 0);
    transfer.on_packet(&ack(0), 0);
    transfer.on_packet(&ack(1), 0);
    let step = transfer.on_packet(&Packet::error(ErrorCode(3), "disk full"), 0);
    assert_eq!(step, Step::End(End::Refused { code: ErrorCode(3), message: "disk full".to_owned() }));
}

#[test]
fn silence_is_bounded_and_waits_double() {
    let waits = |mut transfer: Transfer| {
        let mut waits = Vec::new();
        let mut now = 0;
        loop {
            let wake = transfer.wake_at().unwrap();
            waits.push(wake - now);
            now = wake;
            match transfer.on_time(now) {
                Step::Blocks(_) => {}
                Step::End(End::Silent) => return (waits, transfer.statistics()),
                other => panic!("{other:?}"),
            }
        }
    };
    let (mut transfer, _) = Transfer::new(&ask(None, None), 5000, Limits::default(), 0);
    let (knocked, statistics) = waits(transfer.clone());
    assert_eq!((knocked, statistics.repeats), (vec![1000, 2000, 4000, 8000], 3));
    transfer.on_packet(&ack(1), 0);
    let (begun, statistics) = waits(transfer);
    assert_eq!(begun, [1000, 2000, 4000, 8000, 8000, 8000, 8000]);
    assert_eq!((statistics.repeats, statistics.gaps), (6, 6));
}

#[test]
fn a_client_that_asks_for_a_timeout_gets_its_own() {
    let request = Request { timeout_seconds: Some(3), ..Request::octet("f") };
    let (mut transfer, step) = Transfer::new(&request, 10, Limits::default(), 0);
    assert_eq!(option_ack(&step), pairs(&[("timeout", "3")]));
    assert_eq!(transfer.wake_at(), Some(3000));
    assert!(matches!(transfer.on_time(3000), Step::Packet(_)), "the OACK again");
    assert_eq!(transfer.wake_at(), Some(6000));
}

#[test]
fn block_numbers_wrap_past_65535() {
    let size = 70_000u64 * 8 + 3;
    let (mut transfer, _) = Transfer::new(&ask(Some(8), Some(64)), size, Limits::default(), 0);
    let mut step = transfer.on_packet(&ack(0), 0);
    let mut next = 0u64;
    while let Step::Blocks(window) = step {
        let mut last = 0;
        for block in window {
            assert_eq!(block.range.start, next);
            next = block.range.end;
            last = u16::from_be_bytes([block.header[2], block.header[3]]);
        }
        step = transfer.on_packet(&ack(last), 0);
    }
    assert_eq!((step, next), (Step::End(End::Complete), size));
}

#[test]
fn a_server_that_agrees_to_more_than_was_asked_is_broken() {
    let (mut fetch, _) = Fetch::new(FetchSettings::edk2("f", false), 0);
    let greedy = Packet::OptionAck(pairs(&[("blksize", "9000")])).encode();
    assert_eq!(fetch.on_packet(&greedy, 0).end, Some(FetchEnd::Broken));
    let (mut fetch, _) = Fetch::new(FetchSettings::edk2("f", false), 0);
    let refusal = Packet::error(ErrorCode::NOT_FOUND, "no such file");
    assert_eq!(fetch.on_packet(&refusal, 0).end, Some(FetchEnd::Refused(ErrorCode::NOT_FOUND)));
}

#[test]
fn a_gap_is_reported_once_however_many_blocks_follow_it() {
    let (mut fetch, _) = Fetch::new(FetchSettings::edk2("f", false), 0);
    let agreed = Packet::OptionAck(pairs(&[("blksize", "8"), ("windowsize", "4")])).encode();
    assert_eq!(fetch.on_packet(&agreed, 0).send, Some(ack(0)));
    let data = |block| Packet::Data { block, data: b"8 bytes." }.encode();
    assert_eq!(fetch.on_packet(&data(1), 0).send, None);
    assert_eq!(fetch.on_packet(&data(3), 0).send, Some(ack(1)));
    assert_eq!(fetch.on_packet(&data(4), 0).send, None, "said once");
    assert_eq!(fetch.on_packet(&data(2), 0).data, b"8 bytes.");
}

#[test]
fn a_silent_server_is_given_up() {
    let (mut fetch, first) = Fetch::new(FetchSettings::edk2("f", false), 0);
    let mut repeats = 0;
    while let Some(wake) = fetch.wake_at() {
        let step = fetch.on_time(wake);
        match step.send {
            Some(bytes) => assert_eq!(bytes, first),
            None => assert_eq!(step.end, Some(FetchEnd::Silent)),
        }
        repeats += 1;
    }
    assert_eq!(repeats, 7);
}

/// What the network does to the next packet.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Arrive,
    Vanish,
    Twice,
    Late,
}

fn any_fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = prop_oneof![
        8 => Just(Fate::Arrive),
        1 => Just(Fate::Vanish),
        1 => Just(Fate::Twice),
        1 => Just(Fate::Late),
    ];
    proptest::collection::vec(fate, 0..60)
}

/// Passes packets through the network, in the order they come out. One fate per packet; when the
/// fates run out, everything arrives.
fn through(fates: &mut Vec<Fate>, held: &mut Vec<Vec<u8>>, packets: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    for packet in packets {
        match fates.pop().unwrap_or(Fate::Arrive) {
            Fate::Arrive => out.push(packet),
            Fate::Vanish => {}
            Fate::Twice => out.extend([packet.clone(), packet]),
            Fate::Late => held.push(packet),
        }
    }
    // Late packets come behind the next batch.
    if !out.is_empty() {
        out.append(held);
    }
    out
}

fn wire_form(step: Step, content: &[u8], ended: &mut Option<End>) -> Vec<Vec<u8>> {
    let data = |blocks: Blocks| {
        blocks.map(|block| {
            let range =
                usize::try_from(block.range.start).unwrap()..usize::try_from(block.range.end).unwrap();
            [&block.header, &content[range]].concat()
        })
    };
    match step {
        Step::Wait => Vec::new(),
        Step::Packet(bytes) => vec![bytes],
        Step::Blocks(blocks) => data(blocks).collect(),
        Step::End(end) => {
            *ended = Some(end);
            Vec::new()
        }
    }
}

proptest! {
    #[test]
    fn every_file_arrives_whole_over_a_bad_network(
        size in 0usize..6000,
        block in 8u16..600,
        window in 1u16..20,
        mut down in any_fates(),
        mut up in any_fates(),
    ) {
        let content: Vec<u8> = (0u8..=250).map(|n| n.wrapping_mul(31)).cycle().take(size).collect();
        let request = Request { size: Some(0), ..ask(Some(block), Some(window)) };
        let settings = FetchSettings { request: request.clone(), probe: false, wait_ms: 1500, retries: 100 };
        let limits = Limits { retries: 100, greetings: 100, ..Limits::default() };
        let (mut fetch, _) = Fetch::new(settings, 0);
        let (mut transfer, step) = Transfer::new(&request, size as u64, limits, 0);
        let (mut ended, mut arrived, mut fetched) = (None, Vec::new(), None);
        let (mut held_down, mut held_up) = (Vec::new(), Vec::new());
        let mut to_client = wire_form(step, &content, &mut ended);
        let mut now = 0;
        let mut sent = 0usize;
        for _ in 0..5000 {
            let mut to_server = Vec::new();
            for packet in through(&mut down, &mut held_down, to_client) {
                let step = fetch.on_packet(&packet, now);
                arrived.extend_from_slice(step.data);
                fetched = fetched.or(step.end);
                to_server.extend(step.send);
            }
            to_client = Vec::new();
            for packet in through(&mut up, &mut held_up, to_server) {
                let step = transfer.on_packet(&packet, now);
                to_client.extend(wire_form(step, &content, &mut ended));
            }
            if fetched.is_some() {
                break;
            }
            if to_client.is_empty() {
                now = fetch.wake_at().unwrap().min(transfer.wake_at().unwrap_or(u64::MAX));
                let from_client = fetch.on_time(now).send;
                to_client.extend(wire_form(transfer.on_time(now), &content, &mut ended));
                for packet in through(&mut up, &mut held_up, from_client.into_iter().collect()) {
                    let step = transfer.on_packet(&packet, now);
                    to_client.extend(wire_form(step, &content, &mut ended));
                }
            }
            sent += to_client.len();
        }
        prop_assert_eq!(fetched, Some(FetchEnd::Complete));
        prop_assert_eq!(arrived, content);
        // What is lost, late or doubled costs a bounded number of windows; a storm of repeats would not.
        let needed = size / usize::from(block) + 1;
        prop_assert!(sent <= needed + 130 * usize::from(window), "{sent} packets for {needed} blocks");
    }

    #[test]
    fn no_packet_stops_us(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(packet) = Packet::decode(&bytes) {
            let again = packet.encode();
            prop_assert!(Packet::decode(&again).is_ok());
        }
    }

    #[test]
    fn no_request_stops_us(tail in proptest::collection::vec(any::<u8>(), 0..100), operation in 0u8..8) {
        let bytes = [&[0, operation], &tail[..]].concat();
        let _read = Packet::decode(&bytes);
    }

    #[test]
    fn no_packets_in_any_order_stop_a_transfer(size in 0u64..100_000, packets in proptest::collection::vec((any::<u16>(), any::<bool>(), 0u64..20_000), 0..100)) {
        let (mut transfer, _) = Transfer::new(&ask(Some(512), Some(8)), size, Limits::default(), 0);
        let mut now = 0;
        for (number, quiet, wait) in packets {
            now += wait;
            let step = if quiet { transfer.on_time(now) } else { transfer.on_packet(&ack(number % 300), now) };
            if let Step::Blocks(blocks) = step {
                for block in blocks {
                    prop_assert!(block.range.end <= size && block.range.start <= block.range.end);
                }
            }
        }
    }
}
