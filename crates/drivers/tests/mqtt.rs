//! Switches behind a broker, from the lab's order to the plug and back: kept states, last wills, orders that are lost, and
//! a broker that says no.
#![expect(clippy::unwrap_used, reason = "a test may stop")]
#![expect(clippy::panic, reason = "a test may stop")]

mod bench;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bench::{Driven, failed, kept};
use model::{DeviceKind, DeviceSight, MqttDevice, MqttTopics, Outcome, PortReading, PortSense, PowerOrder};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use wire::mqtt::{Code, Message, Packet, Surely, matches};

/// What a hub is like: a broker with `Zigbee2MQTT` beside it, in one.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "ways to be unwell, each by itself")]
struct State {
    /// Its plugs.
    plugs: BTreeMap<String, bool>,
    /// What is kept, by topic.
    kept: BTreeMap<String, Vec<u8>>,
    /// Orders that are not taken: the connection ends instead.
    dropped: usize,
    /// Plugs take orders and stay as they are.
    sticks: bool,
    /// What it says to who connects.
    says: Option<Code>,
    /// It is no broker at all.
    is_web: bool,
    /// What it heard: topic and payload.
    heard: Vec<(String, String)>,
    /// How often somebody connected.
    connected: usize,
    /// Listening is refused.
    deaf: bool,
}

struct Hub {
    address: String,
    state: Arc<Mutex<State>>,
    tell: broadcast::Sender<Message>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn said(topic: &str, payload: &[u8], retained: bool) -> Message {
    Message { topic: topic.to_owned(), payload: payload.to_vec(), retained, surely: Surely::Perhaps }
}

impl State {
    /// A message came: plugs do what they are told, and say how they are.
    fn obey(&mut self, message: &Message) -> Option<Message> {
        self.heard.push((message.topic.clone(), String::from_utf8(message.payload.clone()).unwrap()));
        let (name, deed) = message.topic.strip_prefix("zigbee2mqtt/")?.rsplit_once('/')?;
        let plug = self.plugs.get_mut(name)?;
        match (deed, message.payload.as_slice()) {
            ("set", br#"{"state":"ON"}"#) => *plug = if self.sticks { *plug } else { true },
            ("set", br#"{"state":"OFF"}"#) => *plug = if self.sticks { *plug } else { false },
            ("get", br#"{"state":""}"#) => {}
            other => panic!("{other:?}"),
        }
        let word = if *plug { "ON" } else { "OFF" };
        let state =
            format!(r#"{{"linkquality":98,"power":{},"state":"{word}"}}"#, if *plug { 40 } else { 0 });
        Some(said(&format!("zigbee2mqtt/{name}"), state.as_bytes(), false))
    }
}

impl Hub {
    async fn new(plugs: &[(&str, bool)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let plugs = plugs.iter().map(|(name, on)| ((*name).to_owned(), *on)).collect();
        let kept = [("zigbee2mqtt/bridge/state".to_owned(), br#"{"state":"online"}"#.to_vec())].into();
        let state = Arc::new(Mutex::new(State { plugs, kept, ..State::default() }));
        let (tell, _) = broadcast::channel(16);
        let (inside, news) = (state.clone(), tell.clone());
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, inside.clone(), news.subscribe()));
            }
        });
        Self { address, state, tell, task }
    }

    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap())
    }

    /// Somebody else says something.
    fn say(&self, topic: &str, payload: &str) {
        self.with(|state| state.kept.insert(topic.to_owned(), payload.as_bytes().to_vec()));
        self.tell.send(said(topic, payload.as_bytes(), false)).unwrap();
    }

    fn drive(&self, topics: MqttTopics, ports: &[&str]) -> Driven {
        let device = MqttDevice {
            url: format!("mqtt://{}", self.address),
            credentials: Some(kept("hub")),
            certificate: None,
            topics,
        };
        Driven::new(DeviceKind::Mqtt(Box::new(device)), ports, &[("hub", "lab:pass")])
    }

    fn zigbee(&self, ports: &[&str]) -> Driven {
        self.drive(MqttTopics::Zigbee2mqtt { base: "zigbee2mqtt".to_owned() }, ports)
    }
}

/// One client. What it is told by others comes as long as it listens.
async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>, mut news: broadcast::Receiver<Message>) {
    let mut came = Vec::new();
    let mut wants: Vec<String> = Vec::new();
    if state.lock().unwrap().is_web {
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<html>Bad Request</html>").await.unwrap();
        return;
    }
    loop {
        while let Some((packet, size)) = Packet::decode(&came).unwrap() {
            came.drain(..size);
            let Some(out) = answer(&state, &packet, &mut wants) else { return };
            if stream.write_all(&out).await.is_err() {
                return;
            }
        }
        tokio::select! {
            read = stream.read_buf(&mut came) => match read {
                Ok(1..) => {}
                _ => return,
            },
            message = news.recv() => {
                let message = message.unwrap();
                if wants.iter().any(|filter| matches(filter, &message.topic)) {
                    stream.write_all(&Packet::Message(message).encode()).await.unwrap_or_default();
                }
            }
        }
    }
}

fn answer(state: &Mutex<State>, packet: &Packet, wants: &mut Vec<String>) -> Option<Vec<u8>> {
    let mut state = state.lock().unwrap();
    let mut out = Vec::new();
    match packet {
        Packet::Connect { login, .. } => {
            state.connected += 1;
            let right = login.as_ref().is_some_and(|(user, word)| user == "lab" && word == b"pass");
            let code = state.says.unwrap_or(if right { Code::OK } else { Code::PASSWORD });
            out.push(Packet::Connected(code));
        }
        Packet::Subscribe { id, filters } => {
            // As some brokers do: what was kept comes before the answer.
            let kept = state.kept.iter().filter(|(topic, _)| filters.iter().any(|f| matches(f, topic)));
            out.extend(kept.map(|(topic, payload)| Packet::Message(said(topic, payload, true))));
            wants.clone_from(filters);
            out.push(Packet::Subscribed { id: *id, granted: vec![!state.deaf; filters.len()] });
        }
        Packet::Message(message) => {
            if state.dropped > 0 {
                state.dropped -= 1;
                return None;
            }
            let heard =
                state.obey(message).filter(|said| wants.iter().any(|filter| matches(filter, &said.topic)));
            let Surely::Once { id, .. } = message.surely else { panic!("{message:?}") };
            // An answer to somebody else's packet, the state, and then the answer.
            out.push(Packet::Taken(id.wrapping_add(7)));
            out.extend(heard.map(Packet::Message));
            out.push(Packet::Taken(id));
        }
        Packet::Ping => out.push(Packet::Pong),
        other => panic!("{other:?}"),
    }
    Some(out.iter().flat_map(Packet::encode).collect())
}

const fn supply(on: bool, milliwatts: Option<u32>) -> PortReading {
    PortReading { sense: PortSense::Supply(on), milliwatts }
}

#[tokio::test]
async fn a_plug_of_zigbee2mqtt_is_asked_switched_and_heard() {
    let hub = Hub::new(&[("rack/plug1", false), ("plug2", true)]).await;
    let mut driven = hub.zigbee(&["rack/plug1", "plug2"]);
    match driven.sight().await {
        DeviceSight::Answers { about } => {
            assert!(about.starts_with("Zigbee2MQTT behind mqtt://127"), "{about}");
        }
        other => panic!("{other:?}"),
    }
    // Nothing was kept of it: it was asked.
    assert_eq!(driven.reading().await, supply(false, Some(0)));
    assert_eq!(driven.order("rack/plug1", PowerOrder::On).await, Outcome::Done);
    assert_eq!(driven.order("plug2", PowerOrder::Off).await, Outcome::Done);
    let plugs = hub.with(|state| state.plugs.clone());
    assert_eq!(plugs, [("plug2".to_owned(), false), ("rack/plug1".to_owned(), true)].into());
    let heard = hub.with(|state| state.heard.clone());
    let order = ("zigbee2mqtt/rack/plug1/set".to_owned(), r#"{"state":"ON"}"#.to_owned());
    assert_eq!(heard.iter().filter(|heard| **heard == order).count(), 1, "{heard:?}");
    let (code, _) = failed(driven.order("plug2", PowerOrder::Press).await);
    assert_eq!(code, "not-supported");
    assert_eq!(hub.with(|state| state.connected), 1);
}

#[tokio::test]
async fn what_somebody_else_switches_is_heard_and_a_last_will_makes_it_unknown() {
    let hub = Hub::new(&[("plug1", false)]).await;
    let mut driven = hub.zigbee(&["plug1"]);
    assert_eq!(driven.reading().await, supply(false, Some(0)));
    hub.with(|state| state.plugs.insert("plug1".to_owned(), true));
    hub.say("zigbee2mqtt/plug1", r#"{"state":"ON","power":41}"#);
    assert_eq!(driven.reading().await, supply(true, Some(41_000)));
    // The plug is out of reach; then what speaks for it ends.
    for topic in ["zigbee2mqtt/plug1/availability", "zigbee2mqtt/bridge/state"] {
        hub.say(topic, r#"{"state":"offline"}"#);
        assert_eq!(driven.reading().await, PortReading::default(), "{topic}");
        hub.say(topic, r#"{"state":"online"}"#);
        assert_eq!(driven.reading().await.sense, PortSense::Supply(true), "{topic}");
    }
    // What came back was asked anew: its state may be old.
    hub.say("zigbee2mqtt/bridge/state", "offline");
    assert_eq!(driven.reading().await, PortReading::default());
    hub.with(|state| state.plugs.insert("plug1".to_owned(), false));
    hub.say("zigbee2mqtt/bridge/state", "online");
    loop {
        if driven.reading().await.sense == PortSense::Supply(false) {
            break;
        }
    }
}

fn own() -> MqttTopics {
    MqttTopics::Own {
        set: "cmnd/{port}/POWER".to_owned(),
        state: "stat/{port}/POWER".to_owned(),
        availability: Some("tele/{port}/LWT".to_owned()),
        on: "ON".to_owned(),
        off: "OFF".to_owned(),
        key: None,
        watts: None,
    }
}

#[tokio::test]
async fn what_was_kept_counts_unless_a_will_was_kept_beside_it() {
    let hub = Hub::new(&[]).await;
    hub.with(|state| {
        state.kept.insert("stat/desk/POWER".to_owned(), b"ON".to_vec());
        state.kept.insert("stat/door/POWER".to_owned(), b"OFF".to_vec());
        state.kept.insert("tele/door/LWT".to_owned(), b"Offline".to_vec());
    });
    let mut driven = hub.drive(own(), &["desk"]);
    assert_eq!(driven.reading().await, supply(true, None));
    let mut driven = hub.drive(own(), &["door"]);
    assert_eq!(driven.reading().await, PortReading::default());
}

#[tokio::test]
async fn an_order_that_was_lost_with_the_connection_is_said_again() {
    let hub = Hub::new(&[("plug1", false)]).await;
    let mut driven = hub.zigbee(&["plug1"]);
    driven.reading().await;
    hub.with(|state| state.dropped = 1);
    assert_eq!(driven.order("plug1", PowerOrder::On).await, Outcome::Done);
    assert!(hub.with(|state| state.plugs["plug1"]));
    assert_eq!(hub.with(|state| state.connected), 2);
}

#[tokio::test]
async fn a_plug_that_sticks_is_not_taken_for_one_that_switched() {
    let hub = Hub::new(&[("plug1", false)]).await;
    let mut driven = hub.zigbee(&["plug1"]);
    driven.reading().await;
    hub.with(|state| state.sticks = true);
    let (code, why) = failed(driven.order("plug1", PowerOrder::On).await);
    assert!(code == "not-confirmed" && why.contains("still says off"), "{code}: {why}");
}

#[tokio::test]
async fn a_broker_that_says_no_is_asked_once_and_what_is_none_is_named() {
    for (code, deaf, wanted) in [
        (Code::PASSWORD, false, "does not take the user or the password"),
        (Code::NOT_ALLOWED, false, "does not let this client in"),
        (Code::OK, true, "does not let us listen to zigbee2mqtt/bridge/state"),
    ] {
        let hub = Hub::new(&[("plug1", false)]).await;
        hub.with(|state| (state.says, state.deaf) = (Some(code), deaf));
        let mut driven = hub.zigbee(&["plug1"]);
        let (code, why) = driven.lost().await;
        assert!(code == "credentials" && why.contains(wanted), "{code}: {why}");
        for _ in 0..3 {
            let (code, _) = failed(driven.order("plug1", PowerOrder::On).await);
            assert_eq!(code, "credentials");
        }
        assert_eq!(hub.with(|state| state.connected), 1);
    }
    let hub = Hub::new(&[]).await;
    hub.with(|state| state.is_web = true);
    let mut driven = hub.zigbee(&["plug1"]);
    let (code, why) = driven.lost().await;
    assert!(code == "not-understood" && why.contains("is it a broker?"), "{code}: {why}");
    // One that is not there at all.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let device =
        MqttDevice { url: format!("mqtt://{address}"), credentials: None, certificate: None, topics: own() };
    let mut driven = Driven::new(DeviceKind::Mqtt(Box::new(device)), &["desk"], &[]);
    assert_eq!(driven.lost().await.0, "unreached");
}
