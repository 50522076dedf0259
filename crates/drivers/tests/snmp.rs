//! Outlets by SNMP, from the lab's order to the number that is set and back: with answers that are lost, garbage, and
//! words that are wrong.
#![expect(clippy::unwrap_used, reason = "a test may stop")]
#![expect(clippy::indexing_slicing, reason = "a test may stop")]
#![expect(clippy::panic, reason = "a test may stop")]

mod bench;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bench::{Driven, failed, kept};
use model::{
    DeviceKind, DeviceSight, Outcome, PortReading, PortSense, PowerOrder, SnmpDevice, SnmpOutlets,
    SnmpVersion,
};
use tokio::net::UdpSocket;
use wire::snmp::{Kind, Message, Oid, Pdu, Status, Value, Version};

const APC: &str = "1.3.6.1.4.1.318.1.1.";

/// What a strip knows, and its manners.
#[derive(Debug, Default)]
struct State {
    things: BTreeMap<Oid, Value>,
    /// Datagrams that it does not hear.
    deaf: usize,
    /// Before each answer it says something that is none.
    babbles: bool,
    /// It takes orders and does not carry them out.
    sticks: bool,
    /// Names in one answer, at most.
    room: Option<usize>,
    heard: Vec<Message>,
}

/// A strip of APC's second generation that does not exist.
struct Strip {
    address: String,
    state: Arc<Mutex<State>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Strip {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn name(rest: &str) -> Oid {
    format!("{APC}{rest}").parse().unwrap()
}

impl State {
    /// An order's effect, as the firmware has it: 1 is on and 2 is off; its state is 2 and 1.
    fn set(&mut self, to: &Oid, value: &Value) -> Status {
        let Some([outlet]) = to.after(&name("26.9.2.4.1.5")) else { return Status(17) };
        let state = name("26.9.2.3.1.5").with(&[*outlet]).unwrap();
        let wanted = match value {
            Value::Integer(1) => Value::Integer(2),
            Value::Integer(2) => Value::Integer(1),
            _ => return Status(10),
        };
        match self.things.get_mut(&state) {
            None => return Status(18),
            Some(_) if self.sticks => {}
            Some(is) => *is = wanted,
        }
        Status::OK
    }

    fn answer(&mut self, asked: &Message) -> Option<Pdu> {
        if asked.community != b"private" {
            return None;
        }
        let mut answer = Pdu { kind: Kind::Response, ..asked.pdu.clone() };
        if self.room.is_some_and(|room| asked.pdu.values.len() > room) {
            answer.status = Status::TOO_BIG;
            return Some(answer);
        }
        for (at, (of, value)) in (1..).zip(&mut answer.values) {
            if asked.pdu.kind == Kind::Set {
                answer.status = self.set(of, value);
                answer.index = if answer.status == Status::OK { 0 } else { at };
                continue;
            }
            match (self.things.get(of), asked.version) {
                (Some(known), _) => *value = known.clone(),
                (None, Version::TwoC) => *value = Value::NoInstance,
                (None, Version::One) => {
                    (answer.status, answer.index) = (Status::NO_SUCH_NAME, at);
                    break;
                }
            }
        }
        Some(answer)
    }
}

impl Strip {
    /// One with two outlets, of which the second takes 40 watts and is on.
    async fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap().to_string();
        let things = [
            ("26.9.2.3.1.5.1", Value::Integer(1)),
            ("26.9.2.3.1.5.2", Value::Integer(2)),
            ("26.9.4.3.1.7.1", Value::Integer(0)),
            ("26.9.4.3.1.7.2", Value::Integer(40)),
        ];
        let mut things: BTreeMap<Oid, Value> = things.map(|(of, value)| (name(of), value)).into();
        let about = b"APC Web/SNMP Management Card\r\n(MB:v4.1.0)".to_vec();
        things.insert("1.3.6.1.2.1.1.1.0".parse().unwrap(), Value::Octets(about));
        let state = Arc::new(Mutex::new(State { things, ..State::default() }));
        let inside = state.clone();
        let task = tokio::spawn(async move {
            let mut buffer = [0; 2048];
            loop {
                let (size, from) = socket.recv_from(&mut buffer).await.unwrap();
                let Some(out) = Self::hear(&inside, buffer.get(..size).unwrap()) else { continue };
                for datagram in out {
                    socket.send_to(&datagram, from).await.unwrap();
                }
            }
        });
        Self { address, state, task }
    }

    fn hear(state: &Mutex<State>, bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
        let mut state = state.lock().unwrap();
        let asked = Message::decode(bytes).unwrap();
        state.heard.push(asked.clone());
        if state.deaf > 0 {
            state.deaf -= 1;
            return None;
        }
        let pdu = state.answer(&asked)?;
        let right = Message { pdu, ..asked }.encode();
        if !state.babbles {
            return Some(vec![right]);
        }
        // Half of it, an answer to somebody else, and the question itself come first.
        let half = right.get(..right.len() / 2).unwrap().to_vec();
        let mut other = Message::decode(&right).unwrap();
        other.pdu.id += 1;
        for (_, value) in &mut other.pdu.values {
            *value = Value::Integer(77);
        }
        Some(vec![half, b"\x30\x84\xff\xff\xff\xff".to_vec(), other.encode(), bytes.to_vec(), right])
    }

    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap())
    }

    fn is_on(&self, outlet: u32) -> bool {
        self.with(|state| state.things[&name(&format!("26.9.2.3.1.5.{outlet}"))] == Value::Integer(2))
    }

    fn drive(&self, version: SnmpVersion, ports: &[&str], community: &str) -> Driven {
        let device = SnmpDevice {
            host: self.address.clone(),
            credentials: kept("pdu"),
            version,
            outlets: SnmpOutlets::ApcRpdu2,
        };
        Driven::new(DeviceKind::Snmp(Box::new(device)), ports, &[("pdu", community)])
    }
}

const fn supply(on: bool, milliwatts: Option<u32>) -> PortReading {
    PortReading { sense: PortSense::Supply(on), milliwatts }
}

#[tokio::test]
async fn an_outlet_is_switched_and_its_watts_are_read_in_both_versions() {
    for version in [SnmpVersion::One, SnmpVersion::TwoC] {
        let strip = Strip::new().await;
        let mut driven = strip.drive(version, &["1", "2"], "private");
        match driven.sight().await {
            DeviceSight::Answers { about } => {
                let said = format!("APC Web/SNMP Management Card (MB:v4.1.0), by SNMP at {}", strip.address);
                assert_eq!(about, said);
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(driven.reading().await, supply(false, Some(0)));
        assert_eq!(driven.order("1", PowerOrder::On).await, Outcome::Done);
        assert_eq!((strip.is_on(1), strip.is_on(2)), (true, true));
        assert_eq!(driven.order("2", PowerOrder::Off).await, Outcome::Done);
        assert_eq!((strip.is_on(1), strip.is_on(2)), (true, false));
        let (code, _) = failed(driven.order("1", PowerOrder::Soft).await);
        assert_eq!(code, "not-supported");
        // The bytes of an order: what is set to what.
        let orders = strip.with(|state| state.heard.clone()).into_iter().filter(|m| m.pdu.kind == Kind::Set);
        let orders: Vec<_> = orders.map(|message| message.pdu.values).collect();
        let order = |outlet: u32, to| vec![(name(&format!("26.9.2.4.1.5.{outlet}")), Value::Integer(to))];
        assert_eq!(orders, [order(1, 1), order(2, 2)]);
    }
}

#[tokio::test]
async fn what_is_lost_is_sent_again_and_garbage_is_no_answer() {
    let strip = Strip::new().await;
    strip.with(|state| state.babbles = true);
    let mut driven = strip.drive(SnmpVersion::TwoC, &["1", "2"], "private");
    assert_eq!(driven.reading().await, supply(false, Some(0)));
    strip.with(|state| state.deaf = 2);
    assert_eq!(driven.order("1", PowerOrder::On).await, Outcome::Done);
    assert!(strip.is_on(1));
    let orders: Vec<i32> = strip.with(|state| {
        state.heard.iter().filter(|m| m.pdu.kind == Kind::Set).map(|message| message.pdu.id).collect()
    });
    // The same question each time.
    assert!(orders.len() == 3 && orders.iter().all(|id| *id == orders[0]), "{orders:?}");
}

#[tokio::test]
async fn an_outlet_that_sticks_is_not_taken_for_one_that_switched() {
    let strip = Strip::new().await;
    let mut driven = strip.drive(SnmpVersion::TwoC, &["1"], "private");
    driven.reading().await;
    strip.with(|state| state.sticks = true);
    let (code, why) = failed(driven.order("1", PowerOrder::On).await);
    assert!(code == "not-confirmed" && why.contains("still says off"), "{code}: {why}");
}

#[tokio::test]
async fn a_strip_that_measures_nothing_is_asked_for_watts_once() {
    for version in [SnmpVersion::One, SnmpVersion::TwoC] {
        let strip = Strip::new().await;
        strip.with(|state| state.things.retain(|of, _| of.after(&name("26.9.4.3.1.7")).is_none()));
        let mut driven = strip.drive(version, &["1", "2"], "private");
        assert_eq!(driven.reading().await, supply(false, None));
        assert_eq!(driven.order("1", PowerOrder::On).await, Outcome::Done);
        let asked = strip.with(|state| {
            let of_watts =
                |m: &&Message| m.pdu.values.iter().any(|(of, _)| of.after(&name("26.9.4.3")).is_some());
            state.heard.iter().filter(of_watts).count()
        });
        assert_eq!(asked, 1, "{version:?}");
    }
}

#[tokio::test]
async fn a_strip_with_little_room_is_asked_in_pieces() {
    let strip = Strip::new().await;
    strip.with(|state| {
        state.room = Some(3);
        for outlet in 1..=20 {
            state.things.insert(name(&format!("26.9.2.3.1.5.{outlet}")), Value::Integer(2));
        }
    });
    let ports: Vec<String> = (1..=20).map(|port| port.to_string()).collect();
    let ports: Vec<&str> = ports.iter().map(String::as_str).collect();
    let mut driven = strip.drive(SnmpVersion::TwoC, &ports, "private");
    assert_eq!(driven.reading().await.sense, PortSense::Supply(true));
}

#[tokio::test]
async fn a_wrong_community_a_missing_outlet_and_one_that_may_not_be_set_are_named() {
    let strip = Strip::new().await;
    let mut driven = strip.drive(SnmpVersion::TwoC, &["1"], "public");
    let (code, why) = driven.lost().await;
    assert!(code == "silent" && why.contains("does it take the community"), "{code}: {why}");
    assert!(!strip.is_on(1));

    for version in [SnmpVersion::One, SnmpVersion::TwoC] {
        let mut driven = strip.drive(version, &["7"], "private");
        let (code, why) = driven.lost().await;
        assert_eq!(code, "no-such-port", "{version:?}: {why}");
    }
    let mut driven = strip.drive(SnmpVersion::TwoC, &["left"], "private");
    let (code, why) = failed(driven.order("left", PowerOrder::On).await);
    assert!(code == "no-such-port" && why.contains("`left` is no outlet"), "{code}: {why}");

    // It may be read, and not be switched.
    let device = SnmpDevice {
        host: strip.address.clone(),
        credentials: kept("pdu"),
        version: SnmpVersion::TwoC,
        outlets: SnmpOutlets::Own {
            set: format!("{APC}26.9.2.3.1.5.{{port}}"),
            state: format!("{APC}26.9.2.3.1.5.{{port}}"),
            on: 2,
            off: 1,
            is_on: 2,
            is_off: 1,
        },
    };
    let mut driven = Driven::new(DeviceKind::Snmp(Box::new(device)), &["1"], &[("pdu", "private")]);
    let (code, why) = failed(driven.order("1", PowerOrder::On).await);
    assert!(code == "snmp-status" && why.contains("notWritable"), "{code}: {why}");
}
