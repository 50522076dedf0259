//! Packet sockets, and the kernel's filters of what they get (classic BPF).

use std::io;
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, eth, recvfrom, socket_with};
use socket2::{SockFilter, SockRef};

/// `struct sock_filter` of linux/filter.h: code, steps to skip if it holds and if not, operand.
pub(crate) type Step = (u16, u8, u8, u32);

// Codes (linux/bpf_common.h).
pub(crate) const LOAD_BYTE: u16 = 0x30;
pub(crate) const LOAD_HALF: u16 = 0x28;
pub(crate) const LOAD_WORD: u16 = 0x20;
pub(crate) const LOAD_LENGTH: u16 = 0x80;
pub(crate) const LOAD_BYTE_INDEXED: u16 = 0x50;
pub(crate) const LOAD_HALF_INDEXED: u16 = 0x48;
/// Four times the low half of a byte: the length of an IPv4 header.
pub(crate) const INDEX_BY_IP_HEADER: u16 = 0xb1;
pub(crate) const INDEX_BY: u16 = 0x01;
pub(crate) const IF_EQUAL: u16 = 0x15;
pub(crate) const IF_GREATER: u16 = 0x25;
pub(crate) const IF_SET: u16 = 0x45;
pub(crate) const RETURN: u16 = 0x06;
// Loads relative to SKF_AD_OFF ask the kernel instead of the frame (linux/filter.h).
pub(crate) const PACKET_TYPE: u32 = 0xffff_f000 + 4;
pub(crate) const INTERFACE: u32 = 0xffff_f000 + 8;
pub(crate) const RANDOM: u32 = 0xffff_f000 + 56;
/// A packet type: our own frame on its way out.
pub(crate) const OUTGOING: u32 = 4;

/// Opens a packet socket that gets only what the filter lets in. Needs `CAP_NET_RAW`.
///
/// # Errors
/// As the system says.
pub(crate) fn open(filter: &[Step]) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, flags, Some(eth::ALL))?;
    let steps: Vec<_> = filter.iter().map(|&(code, yes, no, k)| SockFilter::new(code, yes, no, k)).collect();
    SockRef::from(&socket).attach_filter(&steps)?;
    // Frames that came before the filter may be of any interface.
    let mut byte = [0; 1];
    while recvfrom(&socket, &mut byte[..], RecvFlags::empty()).is_ok() {}
    Ok(socket)
}

/// The kernel's side of a filter, and frames to try it with.
#[cfg(test)]
pub(crate) mod trial {
    use super::*;

    /// What the kernel would keep of a frame of this packet type on this card, in bytes. `random` is what it draws.
    pub(crate) fn kept(program: &[Step], frame: &[u8], kind: u32, card: u32, random: u32) -> u32 {
        let (mut a, mut x, mut at) = (0_u32, 0_u32, 0);
        let load = |from: u32, count: usize| {
            let from = usize::try_from(from).unwrap();
            frame.get(from..from + count).map(|bytes| bytes.iter().fold(0, |sum, b| sum << 8 | u32::from(*b)))
        };
        loop {
            let (code, yes, no, k) = program[at];
            at += 1;
            let jump = |holds: bool| usize::from(if holds { yes } else { no });
            match code {
                LOAD_WORD if k == INTERFACE => a = card,
                LOAD_WORD if k == RANDOM => a = random,
                LOAD_BYTE if k == PACKET_TYPE => a = kind,
                LOAD_LENGTH => a = u32::try_from(frame.len()).unwrap(),
                INDEX_BY => x = k,
                INDEX_BY_IP_HEADER => match load(k, 1) {
                    Some(byte) => x = (byte & 15) * 4,
                    None => return 0,
                },
                IF_EQUAL => at += jump(a == k),
                IF_GREATER => at += jump(a > k),
                IF_SET => at += jump(a & k != 0),
                RETURN => return k,
                _ => {
                    let (from, count) = match code {
                        LOAD_BYTE => (k, 1),
                        LOAD_HALF => (k, 2),
                        LOAD_BYTE_INDEXED => (x + k, 1),
                        LOAD_HALF_INDEXED => (x + k, 2),
                        _ => unreachable!("code {code:#x}"),
                    };
                    match load(from, count) {
                        Some(found) => a = found,
                        None => return 0,
                    }
                }
            }
        }
    }

    /// An Ethernet frame with an IPv4 header, as its protocol's bytes follow.
    pub(crate) fn ipv4(protocol: u32, rest: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; 12];
        frame.extend([0x08, 0, 0x45]);
        frame.resize(14 + 20, 0);
        frame[23] = u8::try_from(protocol).unwrap();
        frame.extend(rest);
        frame
    }

    pub(crate) fn ipv6(protocol: u32, rest: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; 12];
        frame.extend([0x86, 0xdd, 0x60]);
        frame.resize(14 + 40, 0);
        frame[20] = u8::try_from(protocol).unwrap();
        frame.extend(rest);
        frame
    }

    pub(crate) fn udp(to: u16, payload: usize) -> Vec<u8> {
        let mut packet = vec![0x12, 0x34];
        packet.extend(to.to_be_bytes());
        packet.extend(u16::try_from(payload + 8).unwrap().to_be_bytes());
        packet.resize(8 + payload, 0);
        packet
    }

    pub(crate) fn tcp(flags: u8, payload: usize) -> Vec<u8> {
        let mut packet = vec![0; 20 + payload];
        packet[13] = flags;
        packet
    }
}
