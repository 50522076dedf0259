//! What passes a segment's bridge, whoever serves: when a machine was given its address, and when it asked for a file.

use std::io::{BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::segment::mac;
use crate::workspace::Outcome;

/// Answers of DHCP servers, and the segments that begin an HTTP question (`GET ` behind the TCP header).
const FILTER: &str = "udp src port 67 or (tcp dst port 80 and tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x47455420)";
/// Bytes kept of a packet: the options of a DHCP answer lie behind byte 282.
const HEAD: &str = "640";
/// Head of a capture file, and of each packet in it (draft-ietf-opsawg-pcap).
const FILE_HEAD: usize = 24;
const PACKET_HEAD: usize = 16;

/// Something that passed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Passed {
    /// A DHCPACK to this machine.
    Ack { mac: String },
    /// A question for this path, from this address.
    Get { from: String, path: String },
}

/// A watch at the bridge; it ends when dropped.
pub(super) struct Watch {
    child: Child,
    seen: Arc<Mutex<Vec<(u64, Passed)>>>,
}

impl Watch {
    /// Begins to watch, and returns once nothing more is missed.
    ///
    /// # Errors
    /// tcpdump does not start.
    pub(super) fn start() -> Outcome<Self> {
        let mut command = Command::new("tcpdump");
        command.args(["-i", "br0", "-n", "-U", "-s", HEAD, "-w", "-", FILTER]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let mut pipe = BufReader::new(child.stdout.take().ok_or("no pipe")?);
        let seen = Arc::<Mutex<Vec<(u64, Passed)>>>::default();
        let kept = Arc::clone(&seen);
        let (begun, ready) = channel();
        std::thread::spawn(move || {
            // The head is written when the socket stands.
            let mut head = [0; FILE_HEAD];
            if pipe.read_exact(&mut head).is_err() || begun.send(()).is_err() {
                return;
            }
            while let Some((at, frame)) = packet(&mut pipe) {
                if let Some(passed) = read(&frame) {
                    kept.lock().unwrap_or_else(PoisonError::into_inner).push((at, passed));
                }
            }
        });
        let watch = Self { child, seen };
        ready.recv_timeout(Duration::from_secs(20)).map_err(|_| "tcpdump does not watch the bridge")?;
        Ok(watch)
    }

    fn first(&self, since: u64, is: impl Fn(&Passed) -> bool) -> Option<u64> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().find(|(at, passed)| *at >= since && is(passed)).map(|(at, _)| *at)
    }

    /// When machine `number` was given an address first after `since`, both in milliseconds since 1970.
    pub(super) fn acked(&self, number: u8, since: u64) -> Option<u64> {
        let mine = mac(number);
        self.first(since, |passed| matches!(passed, Passed::Ack { mac } if *mac == mine))
    }

    /// When it asked for a kernel first.
    pub(super) fn kernel(&self, number: u8, since: u64) -> Option<u64> {
        let mine = format!("10.77.0.{}", 10 + number);
        self.first(since, |passed| {
            matches!(passed, Passed::Get { from, path } if *from == mine && path.ends_with("/vmlinuz"))
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}

/// The next packet of a capture in this machine's byte order, with its time.
fn packet(pipe: &mut impl Read) -> Option<(u64, Vec<u8>)> {
    let mut head = [0; PACKET_HEAD];
    pipe.read_exact(&mut head).ok()?;
    let word = |at: usize| head.get(at..)?.first_chunk::<4>().map(|four| u32::from_ne_bytes(*four));
    let mut frame = vec![0; usize::try_from(word(8)?).ok()?];
    pipe.read_exact(&mut frame).ok()?;
    Some((u64::from(word(0)?) * 1000 + u64::from(word(4)?) / 1000, frame))
}

fn read(frame: &[u8]) -> Option<Passed> {
    const ETHERNET: usize = 14;
    let ip = frame.get(ETHERNET..)?;
    let length = usize::from(ip.first()? & 0x0f) * 4;
    let rest = ip.get(length..)?;
    match ip.get(9)? {
        17 => acked(rest.get(8..)?),
        6 => {
            let from = ip.get(12..)?.first_chunk::<4>()?;
            let payload = rest.get(usize::from(rest.get(12)? >> 4) * 4..)?;
            let text = String::from_utf8_lossy(payload);
            let path = text.strip_prefix("GET ")?.split(' ').next()?.to_owned();
            Some(Passed::Get { from: from.map(|byte| byte.to_string()).join("."), path })
        }
        _ => None,
    }
}

/// The machine that a DHCP message acknowledges (RFC 2131 section 2; option 53 with 5).
fn acked(message: &[u8]) -> Option<Passed> {
    let mac = message.get(28..)?.first_chunk::<6>()?;
    let mut options = message.get(240..)?;
    loop {
        match options {
            [0, rest @ ..] => options = rest,
            [53, 1, kind, ..] => {
                let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
                return (*kind == 5).then_some(Passed::Ack { mac });
            }
            [255, ..] | [] | [_] => return None,
            [_, length, rest @ ..] => options = rest.get(usize::from(*length)..)?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(protocol: u8, rest: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; 14];
        frame.extend([0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 77, 0, 13, 10, 77, 0, 1]);
        frame.extend(rest);
        frame
    }

    #[test]
    fn an_ack_names_its_machine_and_an_offer_is_none() {
        let mut message = vec![0; 8 + 240];
        message[8 + 28..8 + 34].copy_from_slice(&[0x52, 0x54, 0, 0x77, 0, 3]);
        for (kind, found) in [(5, true), (2, false)] {
            let mut whole = message.clone();
            whole.extend([0, 54, 4, 10, 77, 0, 1, 53, 1, kind, 255]);
            let passed = read(&framed(17, &whole));
            assert_eq!(passed, found.then(|| Passed::Ack { mac: mac(3) }));
        }
    }

    #[test]
    fn a_question_tells_its_path_and_who_asks() {
        let mut segment = vec![0; 20];
        segment[12] = 0x50;
        segment.extend(b"GET /files/ab/vmlinuz HTTP/1.1\r\nHost: x\r\n");
        let wanted = Passed::Get { from: "10.77.0.13".to_owned(), path: "/files/ab/vmlinuz".to_owned() };
        assert_eq!(read(&framed(6, &segment)), Some(wanted));
        assert_eq!(read(&framed(6, &segment[..20])), None, "a bare acknowledgement");
    }

    #[test]
    fn a_packet_of_a_capture_has_its_time_and_its_bytes() {
        let words = [7_u32, 5_000, 3, 60];
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        bytes.extend([1, 2, 3]);
        assert_eq!(packet(&mut bytes.as_slice()), Some((7_005, vec![1, 2, 3])));
        assert_eq!(packet(&mut &bytes[..17]), None);
    }
}
