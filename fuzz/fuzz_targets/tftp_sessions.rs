//! Any clients at any times: the table of TFTP transfers stays within its bounds, tells of each once, and empties.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use libfuzzer_sys::fuzz_target;
use wire::tftp::{Arrival, Limits, Packet, Peer, Request, Room, Sessions, Step, Transfer, Turn};

fuzz_target!(|bytes: &[u8]| {
    let room = Room { all: 8, each: 3, half_open: 5 };
    let mut sessions = Sessions::new(room);
    let (mut now, mut begun, mut over) = (0_u64, 0, 0);
    for step in bytes.chunks_exact(4) {
        let &[what, client, value, wait] = step else { return };
        now += u64::from(wait) * 20;
        let (host, port) = (IpAddr::from(Ipv4Addr::new(10, 0, 0, client >> 4)), u16::from(client & 3));
        // In single-port mode every transfer has door 0.
        let peer = Peer { host, port, door: client >> 2 & 1 };
        let turn = match what % 5 {
            0 => {
                let request = Request {
                    window: (value & 1 != 0).then_some(u16::from(value)),
                    size: (value & 2 != 0).then_some(0),
                    ..Request::octet(if value & 4 != 0 { "a" } else { "b" })
                };
                match sessions.arrive(host, port, &request, now) {
                    Arrival::New { left } => {
                        let (transfer, _) = Transfer::new(&request, 5000, Limits::default(), now);
                        let door = left.map_or(peer.door, |door| door ^ 1);
                        sessions.begin(Peer { door, ..peer }, request, transfer, ());
                        begun += 1;
                    }
                    Arrival::Repeat(door, step) => assert!(door < 2 && !matches!(step, Step::End(_))),
                    Arrival::Stale | Arrival::Full => {}
                }
                None
            }
            1 => sessions.on_packet(peer, &Packet::Ack(u16::from(value)).encode(), now),
            2 => sessions.on_packet(peer, step, now),
            3 => sessions.on_packet(peer, &[0, 5, 0, value, 0], now),
            _ => sessions.on_time(now).map(|(_, turn)| turn),
        };
        over += u32::from(matches!(turn, Some(Turn::Over(..))));
        while sessions.next_gone().is_some() {
            over += 1;
        }
        assert!(sessions.len() <= room.all && sessions.half_open() <= room.half_open);
    }
    let mut steps = 0;
    while let Some(wake) = sessions.wake_at() {
        over += u32::from(matches!(sessions.on_time(wake), Some((_, Turn::Over(..)))));
        steps += 1;
        assert!(steps < 1000, "the table never empties");
    }
    assert!(sessions.is_empty());
    assert_eq!(begun, over);
});
