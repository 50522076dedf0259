//! TFTP, all transfers together: who may begin, what is let go, and what the next window is.

use std::net::{IpAddr, Ipv4Addr};

use model::TftpTerms;
use proptest::prelude::*;
use wire::tftp::{
    Arrival, End, Limits, Pace, Packet, Peer, Request, Room, Sessions, Statistics, Step, Transfer, Turn,
    netascii,
};

fn host(number: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, number).into()
}

fn ask(file: &str) -> Request {
    Request { size: Some(0), ..Request::octet(file) }
}

fn ack(number: u16) -> Vec<u8> {
    Packet::Ack(number).encode()
}

/// A request of 10,000 bytes, taken in as a service would.
fn knock(sessions: &mut Sessions<u32>, host: IpAddr, port: u16, file: &str, now: u64) -> Arrival {
    let arrival = sessions.arrive(host, port, &ask(file), now);
    if let Arrival::New { left } = arrival {
        let (transfer, _) = Transfer::new(&ask(file), 10_000, Limits::default(), now);
        let door = left.map_or(1, |door| door % 2 + 1);
        sessions.begin(Peer { host, port, door }, ask(file), transfer, u32::from(port));
    }
    arrival
}

#[test]
fn a_request_that_is_repeated_before_the_answer_came_gets_the_same_answer_again() {
    let mut sessions = Sessions::new(Room::default());
    assert_eq!(knock(&mut sessions, host(1), 2000, "a", 0), Arrival::New { left: None });
    let Arrival::Repeat(1, Step::Packet(bytes)) = knock(&mut sessions, host(1), 2000, "a", 400) else {
        panic!("no repetition")
    };
    assert!(matches!(Packet::decode(&bytes), Ok(Packet::OptionAck(_))));
    assert_eq!(sessions.len(), 1);
    let peer = Peer { host: host(1), port: 2000, door: 1 };
    assert!(matches!(sessions.on_packet(peer, &ack(0), 500), Some(Turn::On(Step::Blocks(_)))));
    // A copy of the request that the network held back.
    assert_eq!(knock(&mut sessions, host(1), 2000, "a", 600), Arrival::Stale);
    assert_eq!(sessions.on_packet(Peer { door: 2, ..peer }, &ack(1), 600), None, "another door's transfer");
}

#[test]
fn a_client_that_begins_anew_from_the_same_port_is_served_anew_by_another_door() {
    for (file, later) in [("another", 10), ("a", 5000)] {
        let mut sessions = Sessions::new(Room::default());
        knock(&mut sessions, host(1), 2000, "a", 0);
        let peer = Peer { host: host(1), port: 2000, door: 1 };
        sessions.on_packet(peer, &ack(0), 5);
        sessions.on_packet(peer, &ack(1), 5);
        assert_eq!(knock(&mut sessions, host(1), 2000, file, later), Arrival::New { left: Some(1) });
        let (gone, end, statistics, _) = sessions.next_gone().unwrap();
        assert_eq!((gone, end, statistics.bytes), (peer, End::Abandoned, 512));
        assert_eq!(sessions.len(), 1);
        assert_eq!(sessions.on_packet(peer, &ack(2), later), None);
    }
}

#[test]
fn a_host_whose_places_are_taken_loses_its_oldest_probe_and_never_a_transfer_that_moves() {
    let mut sessions = Sessions::new(Room { each: 3, ..Room::default() });
    for port in 1..=4 {
        knock(&mut sessions, host(1), port, "a", u64::from(port));
    }
    assert_eq!(sessions.len(), 3);
    assert_eq!(sessions.next_gone().map(|(peer, end, ..)| (peer.port, end)), Some((1, End::Probed)));
    for port in 2..=4 {
        sessions.on_packet(Peer { host: host(1), port, door: 1 }, &ack(0), 10);
    }
    assert_eq!(knock(&mut sessions, host(1), 5, "a", 11), Arrival::Full);
    assert_eq!(
        knock(&mut sessions, host(2), 5, "a", 11),
        Arrival::New { left: None },
        "another host is welcome"
    );
}

#[test]
fn a_thousand_that_only_knock_are_bounded_in_number_and_time_and_keep_nobody_out() {
    let mut sessions = Sessions::new(Room { all: 100, each: 8, half_open: 50 });
    for n in 0..1000_u16 {
        let arrival = knock(&mut sessions, host(u8::try_from(n % 200).unwrap()), n, "a", u64::from(n));
        assert!(matches!(arrival, Arrival::New { .. }), "{n}");
        assert!(sessions.len() <= 50 && sessions.half_open() <= 50);
    }
    let mut gone = 0;
    while sessions.next_gone().is_some() {
        gone += 1;
    }
    assert_eq!(gone, 950);
    let mut now = 0;
    while let Some(wake) = sessions.wake_at() {
        now = wake;
        sessions.on_time(now);
    }
    assert!(sessions.is_empty() && now < 20_000, "after {now} ms");
}

#[test]
fn a_full_house_of_moving_transfers_says_nothing_until_one_ends() {
    let mut sessions = Sessions::new(Room { all: 2, each: 2, half_open: 2 });
    for n in 1..=2 {
        knock(&mut sessions, host(n), 9, "a", 0);
        sessions.on_packet(Peer { host: host(n), port: 9, door: 1 }, &ack(0), 0);
    }
    assert_eq!(knock(&mut sessions, host(3), 9, "a", 1), Arrival::Full);
    let bye = Packet::error(wire::tftp::ErrorCode::OTHER, "bye");
    let turn = sessions.on_packet(Peer { host: host(1), port: 9, door: 1 }, &bye, 2);
    assert!(matches!(turn, Some(Turn::Over(End::Probed, _, 9))), "{turn:?}");
    assert_eq!(knock(&mut sessions, host(3), 9, "a", 3), Arrival::New { left: None });
}

#[test]
fn the_next_window_grows_by_steps_after_clean_transfers_and_is_halved_by_loss() {
    let clean = Statistics { blocks: 180, ..Statistics::default() };
    let lossy = Statistics { gaps: 1, ..clean };
    let of = |window| TftpTerms { block: 1468, window };
    let mut pace = Pace::default();
    assert_eq!(pace.window(), 16);
    pace.learn(of(4), clean);
    assert_eq!(pace.window(), 20, "a small window that went well is a good sign, too");
    pace.learn(of(20), lossy);
    assert_eq!(pace.window(), 10);
    pace.learn(of(4), lossy);
    assert_eq!(pace.window(), 2, "half of what was lost with");
    pace.learn(of(2), lossy);
    pace.learn(of(1), lossy);
    assert_eq!(pace.window(), 1);
    pace.learn(of(1), clean);
    assert_eq!(pace.window(), 5, "never stuck at the bottom");
    for _ in 0..100 {
        pace.learn(of(pace.window()), clean);
    }
    assert_eq!(pace.window(), 64);
    pace.learn(of(64), Statistics { gaps: 1, blocks: 20_000, ..clean });
    assert_eq!(pace.window(), 64, "one in thousands is bad luck");
    pace.learn(of(1), lossy);
    assert_eq!(pace.window(), 64, "lock-step says nothing of windows");
}

#[test]
fn blocks_that_nobody_took_are_smaller_next_time_and_say_nothing_of_the_window() {
    let (blocks, once) = (4, Statistics { blocks: 4, ..Statistics::default() });
    let untaken = Statistics { repeats: 4, gaps: 1, ..once };
    let of = |block| TftpTerms { block, window: blocks };
    let mut pace = Pace::default();
    pace.learn(of(1468), once);
    assert_eq!(pace.block(), None, "sent once: the machine may just have been switched off");
    pace.learn(of(1468), Statistics { taken: 1, bytes: 1468, ..untaken });
    assert_eq!(pace.block(), None, "one came through: its path carries them");
    let window = pace.window();
    for (block, next) in [(8932, 1468), (1468, 1228), (1468, 1228), (1228, 512), (1468, 512), (512, 512)] {
        pace.learn(of(block), untaken);
        assert_eq!(pace.block(), Some(next), "after {block}");
    }
    assert_eq!(pace.window(), window);
}

#[test]
fn an_error_after_blocks_that_were_not_taken_is_no_probe() {
    let request = Request { block: Some(1468), ..Request::octet("a") };
    let gives_up = Packet::error(wire::tftp::ErrorCode::OTHER, "timeout");
    for (again, end) in [(false, End::Probed), (true, refused("timeout"))] {
        let (mut transfer, _) = Transfer::new(&request, 100_000, Limits::default(), 0);
        transfer.on_packet(&ack(0), 0);
        if again {
            assert!(matches!(transfer.on_time(1000), Step::Blocks(_)));
        }
        assert_eq!(transfer.statistics().is_untaken(), again);
        assert_eq!(transfer.on_packet(&gives_up, 1001), Step::End(end));
    }
}

fn refused(message: &str) -> End {
    End::Refused { code: wire::tftp::ErrorCode::OTHER, message: message.to_owned() }
}

#[test]
fn an_acknowledgement_inside_a_window_and_a_silence_are_gaps() {
    let request = Request { window: Some(4), ..Request::octet("a") };
    let (mut transfer, _) = Transfer::new(&request, 100_000, Limits::default(), 0);
    transfer.on_packet(&ack(0), 0);
    transfer.on_packet(&ack(4), 1);
    assert_eq!(transfer.statistics().gaps, 0);
    transfer.on_packet(&ack(6), 2);
    assert_eq!(transfer.statistics().gaps, 1);
    transfer.on_time(5000);
    assert_eq!(transfer.statistics().gaps, 2);
}

#[test]
fn netascii_is_what_a_terminal_of_the_network_writes() {
    assert_eq!(netascii(b"a\nb\r\nc\rd"), b"a\r\nb\r\0\r\nc\r\0d");
}

proptest! {
    #[test]
    fn whatever_comes_the_house_stays_within_its_bounds_and_empties_in_the_end(
        steps in proptest::collection::vec((0u8..4, 0u8..6, 0u16..6, 0u64..3000), 0..300)
    ) {
        let room = Room { all: 6, each: 3, half_open: 4 };
        let mut sessions = Sessions::new(room);
        let (mut now, mut begun, mut over) = (0, 0, 0);
        for (what, from, port, wait) in steps {
            now += wait;
            let peer = Peer { host: host(from), port, door: 1 };
            match what {
                0 => begun += u32::from(matches!(knock(&mut sessions, host(from), port, "a", now), Arrival::New { .. })),
                1 => over += u32::from(matches!(sessions.on_packet(peer, &ack(port), now), Some(Turn::Over(..)))),
                2 => over += u32::from(matches!(
                    sessions.on_packet(peer, &Packet::error(wire::tftp::ErrorCode::OTHER, "x"), now), Some(Turn::Over(..)))),
                _ => while let Some((_, turn)) = sessions.on_time(now) {
                    over += u32::from(matches!(turn, Turn::Over(..)));
                },
            }
            prop_assert!(sessions.len() <= room.all && sessions.half_open() <= room.half_open);
        }
        while let Some(wake) = sessions.wake_at() {
            if let Some((_, Turn::Over(..))) = sessions.on_time(wake) {
                over += 1;
            }
        }
        while sessions.next_gone().is_some() {
            over += 1;
        }
        prop_assert!(sessions.is_empty());
        prop_assert_eq!(begun, over, "each that began is told of once");
    }
}
