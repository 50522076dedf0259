//! Clients without an address that broadcast at a steady rate, and how long each of their exchanges takes.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{HELD_PER_MILLE, TRIED};
use crate::workspace::Outcome;

/// How long after the last DISCOVER answers are waited for.
const GRACE: Duration = Duration::from_secs(1);
/// Where everybody listens.
const TO: &str = "255.255.255.255:67";

/// What is asked of the clients.
#[derive(Debug)]
pub(super) struct Load {
    rate: u32,
    seconds: u32,
    crowd: u8,
}

/// How it went.
#[derive(Debug)]
pub(super) struct Found {
    asked: u64,
    done: u64,
    /// Milliseconds from DISCOVER to ACK.
    pub(super) p50: f64,
    pub(super) p99: f64,
}

impl Found {
    pub(super) fn read(value: &Value) -> Outcome<Self> {
        let number = |key: &str| value.get(key).and_then(Value::as_f64).ok_or("a number is missing");
        let count = |key: &str| value.get(key).and_then(Value::as_u64).ok_or("a count is missing");
        Ok(Self { asked: count("asked")?, done: count("done")?, p50: number("p50")?, p99: number("p99")? })
    }

    pub(super) fn held(&self, rate: u32) -> bool {
        let wanted = u64::from(rate) * u64::from(TRIED);
        self.asked * 100 >= wanted * 95 && self.done * 1000 >= self.asked * HELD_PER_MILLE
    }
}

impl Load {
    pub(super) fn read(words: &[String]) -> Outcome<Self> {
        let [rate, seconds, crowd] = words else { return Err("load takes rate, seconds and crowd".into()) };
        Ok(Self { rate: rate.parse()?, seconds: seconds.parse()?, crowd: crowd.parse()? })
    }

    /// Asks and answers until the time is over; one line of JSON.
    pub(super) fn run(&self) -> Outcome<Value> {
        let socket = UdpSocket::bind("0.0.0.0:68")?;
        socket.set_broadcast(true)?;
        socket.set_nonblocking(true)?;
        let begun = Instant::now();
        let all = u64::from(self.rate) * u64::from(self.seconds);
        let last = Duration::from_secs(self.seconds.into());
        let mut sent = 0_u64;
        let mut waiting: HashMap<u32, Instant> = HashMap::new();
        let mut took: Vec<f64> = Vec::new();
        let mut buffer = [0; 1500];
        while begun.elapsed() < last + GRACE {
            let due = (begun.elapsed().as_secs_f64() * f64::from(self.rate)).min(lossy(all));
            // A burst of a few, then a look at what came back.
            let mut burst = 0;
            while lossy(sent) < due && sent < all && burst < 16 {
                let xid = u32::try_from(sent)?;
                if send(&socket, &self.discover(xid)) {
                    waiting.insert(xid, Instant::now());
                    sent += 1;
                }
                burst += 1;
            }
            let mut heard = false;
            while let Some(answer) = receive(&socket, &mut buffer)? {
                heard = true;
                match answer.kind {
                    2 => drop(send(&socket, &self.request(&answer))),
                    5 => took.extend(waiting.remove(&answer.xid).map(|since| ms(since.elapsed()))),
                    _ => {}
                }
            }
            if sent == all && waiting.is_empty() {
                break;
            }
            if !heard && burst == 0 {
                std::thread::park_timeout(Duration::from_micros(50));
            }
        }
        took.sort_unstable_by(f64::total_cmp);
        let at = |part: usize| took.get((took.len() * part / 100).min(took.len().saturating_sub(1))).copied();
        Ok(json!({
            "asked": sent, "done": took.len(),
            "p50": at(50).unwrap_or(1000.0), "p99": at(99).unwrap_or(1000.0),
        }))
    }

    /// RFC 2131 figure 1, with the broadcast flag.
    fn message(&self, xid: u32, options: &[u8]) -> Vec<u8> {
        let mut packet = vec![1, 1, 6, 0];
        packet.extend(xid.to_be_bytes());
        packet.extend([0, 0, 0x80, 0]);
        packet.extend([0; 16]);
        packet.extend([0x06, self.crowd]);
        packet.extend(xid.to_be_bytes());
        packet.extend([0; 10 + 64 + 128]);
        packet.extend([0x63, 0x82, 0x53, 0x63]);
        packet.extend(options);
        packet.push(255);
        packet.resize(packet.len().max(300), 0);
        packet
    }

    fn discover(&self, xid: u32) -> Vec<u8> {
        self.message(xid, &[53, 1, 1, 55, 4, 1, 3, 6, 51])
    }

    fn request(&self, offer: &Answer) -> Vec<u8> {
        let mut options = vec![53, 1, 3, 50, 4];
        options.extend(offer.address);
        options.extend([54, 4]);
        options.extend(offer.server);
        options.extend([55, 4, 1, 3, 6, 51]);
        self.message(offer.xid, &options)
    }
}

/// What a server said.
struct Answer {
    kind: u8,
    xid: u32,
    address: [u8; 4],
    server: [u8; 4],
}

impl Answer {
    fn read(packet: &[u8]) -> Option<Self> {
        let array = |at: usize| packet.get(at..at + 4)?.try_into().ok();
        let option = |wanted: u8| {
            let mut rest = packet.get(240..)?;
            while let [code, length, after @ ..] = rest {
                let (value, next) = after.split_at_checked((*length).into())?;
                if *code == wanted {
                    return Some(value);
                }
                rest = next;
            }
            None
        };
        (packet.first() == Some(&2)).then_some(())?;
        Some(Self {
            kind: *option(53)?.first()?,
            xid: u32::from_be_bytes(array(4)?),
            address: array(16)?,
            server: option(54)?.try_into().ok()?,
        })
    }
}

fn send(socket: &UdpSocket, packet: &[u8]) -> bool {
    // A full queue: it is tried again, late.
    socket.send_to(packet, TO).is_ok()
}

fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> Outcome<Option<Answer>> {
    loop {
        match socket.recv(buffer) {
            Ok(count) => {
                if let Some(answer) = Answer::read(buffer.get(..count).unwrap_or_default()) {
                    return Ok(Some(answer));
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}

/// Counts here stay far below 2^53.
#[expect(clippy::cast_precision_loss, clippy::as_conversions, reason = "counts below 2^53")]
fn lossy(count: u64) -> f64 {
    count as f64
}
