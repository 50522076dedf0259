//! Plugs that do not exist, on loopback: they answer as their makers' documentation says, and ask who we are as theirs do.

mod controllers;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// Which maker's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Maker {
    Tasmota,
    ShellyFirst,
    ShellySecond,
    Esphome,
    HomeAssistant,
    Hook,
    Proxmox,
    Amt,
}

/// How it is.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) relays: Vec<bool>,
    pub(crate) watts: Vec<f64>,
    /// Questions as they came: method and path.
    pub(crate) asked: Vec<String>,
    /// Proofs and passwords that were wrong.
    pub(crate) wrong: usize,
    /// Answers that are not given: the connection is closed instead.
    pub(crate) dropped: usize,
    /// Orders that are answered and not carried out, as of a relay that sticks.
    pub(crate) sticks: bool,
    /// A machine is on another node than it was.
    pub(crate) moved: bool,
    /// What AMT answers to an order, where it is not well.
    pub(crate) result: u32,
    /// Nonces are old after this many uses, where it is not 0.
    pub(crate) nonce_lasts: usize,
    nonces: usize,
    used: usize,
}

pub(crate) struct Plug {
    pub(crate) address: SocketAddr,
    pub(crate) state: Arc<Mutex<State>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Plug {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Asked {
    method: String,
    path: String,
    authorization: Option<String>,
    /// What it says its body is.
    kind: Option<String>,
    body: String,
}

type Said = (u16, Vec<String>, String);

impl Plug {
    /// One with two relays, and a password where it is told to have one.
    pub(crate) async fn new(maker: Maker, password: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = State { relays: vec![false; 2], watts: vec![0.0; 2], ..State::default() };
        let state = Arc::new(Mutex::new(state));
        let inside = state.clone();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                serve(stream, maker, password, &inside).await;
            }
        });
        Self { address, state, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn relays(&self) -> Vec<bool> {
        self.state.lock().unwrap().relays.clone()
    }
}

async fn serve(
    mut stream: tokio::net::TcpStream,
    maker: Maker,
    password: Option<&'static str>,
    state: &Mutex<State>,
) {
    let Some(asked) = read(&mut stream).await else { return };
    let (status, headers, body) = {
        let mut state = state.lock().unwrap();
        state.asked.push(format!("{} {}", asked.method, asked.path));
        if state.dropped > 0 {
            state.dropped -= 1;
            return;
        }
        answer(&mut state, maker, password, &asked)
    };
    let mut out =
        format!("HTTP/1.1 {status} Said\r\nContent-Length: {}\r\nConnection: close\r\n", body.len());
    for header in headers {
        write!(out, "{header}\r\n").unwrap();
    }
    stream.write_all(format!("{out}\r\n{body}").as_bytes()).await.unwrap_or_default();
    stream.shutdown().await.unwrap_or_default();
}

async fn read(stream: &mut tokio::net::TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    let head = loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
    };
    let text = String::from_utf8(bytes[..head].to_vec()).unwrap();
    let field = |name: &str| {
        let line = text.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")));
        line.map(|line| line.split_once(':').unwrap().1.trim().to_owned())
    };
    let length: usize = field("content-length").map_or(0, |length| length.parse().unwrap());
    while bytes.len() < head + 4 + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let mut words = text.split(' ');
    Some(Asked {
        method: words.next()?.to_owned(),
        path: words.next()?.to_owned(),
        authorization: field("authorization"),
        kind: field("content-type"),
        body: String::from_utf8(bytes[head + 4..].to_vec()).unwrap(),
    })
}

fn answer(state: &mut State, maker: Maker, password: Option<&str>, asked: &Asked) -> Said {
    let open = matches!(maker, Maker::ShellyFirst | Maker::ShellySecond) && asked.path == "/shelly";
    if let Some(password) = password.filter(|_| !open)
        && let Some(refused) = refused(state, maker, password, asked)
    {
        return refused;
    }
    let (status, body) = match maker {
        Maker::Tasmota => tasmota(state, &asked.path),
        Maker::ShellyFirst => shelly_first(state, &asked.path),
        Maker::ShellySecond => shelly_second(state, &asked.path),
        Maker::Esphome => esphome(state, asked),
        Maker::HomeAssistant => home_assistant(state, asked),
        Maker::Hook => return hook(state, asked),
        Maker::Proxmox => return controllers::proxmox(state, asked),
        Maker::Amt => return controllers::amt(state, asked),
    };
    (status, vec!["Content-Type: application/json".to_owned()], body.to_string())
}

fn hash(text: &str) -> String {
    digest(&SHA256, text.as_bytes())
        .as_ref()
        .iter()
        .fold(String::new(), |all, byte| all + &format!("{byte:02x}"))
}

fn md5(text: &str) -> String {
    use md5::Digest as _;
    md5::Md5::digest(text.as_bytes()).iter().fold(String::new(), |all, byte| all + &format!("{byte:02x}"))
}

/// Refuses who has not the password, as the maker's firmware does.
fn refused(state: &mut State, maker: Maker, password: &str, asked: &Asked) -> Option<Said> {
    let basic = "Basic realm=\"plug\"";
    let said = asked.authorization.as_deref();
    match maker {
        Maker::Tasmota => {
            let right = asked.path.contains(&format!("user=admin&password={password}&"));
            state.wrong += usize::from(!right);
            let warning = json!({ "WARNING": "Need user=<username>&password=<password>" });
            (!right).then(|| (200, vec![], warning.to_string()))
        }
        Maker::Proxmox => {
            let right = said == Some(&format!("PVEAPIToken=lab@pve!boss={password}"));
            state.wrong += usize::from(!right);
            (!right).then(|| (401, vec![], String::new()))
        }
        Maker::Amt => {
            let realm = "Digest:048A0000000000000000000000000000";
            let right = said.is_some_and(|said| proof(said, (realm, state.nonces), (md5, password), asked));
            if right {
                return None;
            }
            state.wrong += usize::from(said.is_some());
            state.nonces += 1;
            let challenge = format!(
                "WWW-Authenticate: Digest realm=\"{realm}\", nonce=\"n{}\",stale=\"false\",qop=\"auth\"",
                state.nonces
            );
            Some((401, vec![challenge], String::new()))
        }
        Maker::HomeAssistant => {
            let right = said == Some(&format!("Bearer {password}"));
            state.wrong += usize::from(!right);
            (!right).then(|| (401, vec![], "401: Unauthorized".to_owned()))
        }
        Maker::ShellyFirst | Maker::Esphome | Maker::Hook => {
            let right = base64(&format!("admin:{password}"));
            let right = said == Some(&format!("Basic {right}"));
            state.wrong += usize::from(said.is_some() && !right);
            (!right).then(|| (401, vec![format!("WWW-Authenticate: {basic}")], String::new()))
        }
        Maker::ShellySecond => {
            let realm = "shellyplugsg3-aabbccddeeff";
            let old = state.nonce_lasts > 0 && state.used >= state.nonce_lasts;
            let right = said.is_some_and(|said| proof(said, (realm, state.nonces), (hash, password), asked));
            if right && !old {
                state.used += 1;
                return None;
            }
            state.wrong += usize::from(said.is_some() && !right);
            state.nonces += 1;
            state.used = 0;
            let stale = if right { ", stale=true" } else { "" };
            let challenge = format!(
                "WWW-Authenticate: Digest qop=\"auth\", realm=\"{realm}\", nonce=\"n{}\", algorithm=SHA-256{stale}",
                state.nonces
            );
            Some((401, vec![challenge], String::new()))
        }
    }
}

/// Whether a digest was made with the password, the last nonce and a count (RFC 7616 section 3.4.1).
fn proof(
    said: &str,
    (realm, nonces): (&str, usize),
    (hash, password): (fn(&str) -> String, &str),
    asked: &Asked,
) -> bool {
    let field = |name: &str| {
        let rest = said.split(&format!("{name}=")).nth(1).unwrap_or_default();
        rest.split([',', ' ']).next().unwrap_or_default().trim_matches('"').to_owned()
    };
    let who = hash(&format!("admin:{realm}:{password}"));
    let what = hash(&format!("{}:{}", asked.method, asked.path));
    let middle = format!("n{nonces}:{}:{}:auth", field("nc"), field("cnonce"));
    said.starts_with("Digest ")
        && field(" uri") == asked.path
        && field("response") == hash(&format!("{who}:{middle}:{what}"))
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn set(state: &mut State, relay: usize, on: bool) -> bool {
    if let Some(relay) = state.relays.get_mut(relay).filter(|_| !state.sticks) {
        *relay = on;
    }
    state.relays.get(relay).copied().unwrap_or_default()
}

fn word(on: bool) -> &'static str {
    if on { "ON" } else { "OFF" }
}

fn tasmota(state: &mut State, path: &str) -> (u16, Value) {
    let command = path.split("cmnd=").nth(1).unwrap_or_default().replace("%20", " ");
    let body = match command.split(' ').collect::<Vec<_>>().as_slice() {
        ["State"] => json!({
            "Time": "2026-11-27T12:00:00", "Uptime": "0T00:10:00", "UptimeSec": 600,
            "POWER1": word(state.relays[0]), "POWER2": word(state.relays[1])
        }),
        ["Status", "10"] => json!({ "StatusSNS": {
            "Time": "2026-11-27T12:00:00", "ENERGY": { "Total": 1.5, "Power": state.watts }
        }}),
        [power, to] if power.starts_with("Power") => {
            let number: usize = power["Power".len()..].parse().unwrap();
            let known = (1..=state.relays.len()).contains(&number);
            if known {
                let on = set(state, number - 1, *to == "On");
                json!({ format!("POWER{number}"): word(on) })
            } else {
                json!({ "Command": "Unknown" })
            }
        }
        other => panic!("{other:?}"),
    };
    (200, body)
}

fn shelly_first(state: &mut State, path: &str) -> (u16, Value) {
    if path == "/shelly" {
        return (
            200,
            json!({ "type": "SHSW-25", "mac": "B929CC000000", "auth": true, "fw": "20230913-112003/v1.14.0" }),
        );
    }
    if path == "/status" {
        let relays: Vec<Value> =
            state.relays.iter().map(|on| json!({ "ison": on, "source": "http" })).collect();
        let meters: Vec<Value> =
            state.watts.iter().map(|w| json!({ "power": w, "is_valid": true })).collect();
        return (200, json!({ "relays": relays, "meters": meters, "uptime": 600 }));
    }
    let (relay, turn) = path.strip_prefix("/relay/").unwrap().split_once("?turn=").unwrap();
    let on = set(state, relay.parse().unwrap(), turn == "on");
    (200, json!({ "ison": on, "has_timer": false, "source": "http" }))
}

fn shelly_second(state: &mut State, path: &str) -> (u16, Value) {
    if path == "/shelly" {
        return (
            200,
            json!({ "id": "shellyplugsg3-aabbccddeeff", "gen": 3, "app": "PlugSG3", "auth_en": true }),
        );
    }
    let id = path.split("id=").nth(1).unwrap().split('&').next().unwrap();
    let number: usize = id.parse().unwrap();
    let Some(&before) = state.relays.get(number) else {
        return (
            500,
            json!({ "code": -105, "message": format!("Argument 'id', value {number} not found!") }),
        );
    };
    if path.starts_with("/rpc/Switch.GetStatus?") {
        let watts = state.watts[number];
        return (
            200,
            json!({ "id": number, "source": "init", "output": before, "apower": watts, "voltage": 230.1 }),
        );
    }
    assert!(path.starts_with("/rpc/Switch.Set?"), "{path}");
    set(state, number, path.ends_with("&on=true"));
    (200, json!({ "was_on": before }))
}

fn esphome(state: &mut State, asked: &Asked) -> (u16, Value) {
    let parts: Vec<&str> = asked.path.split('/').skip(1).collect();
    match (asked.method.as_str(), parts.as_slice()) {
        ("GET", ["switch", "node1"]) => {
            let on = state.relays[0];
            (200, json!({ "id": "switch-node1", "value": on, "state": word(on) }))
        }
        ("GET", ["sensor", "node1_power"]) => {
            let watts = state.watts[0];
            (200, json!({ "id": "sensor-node1_power", "value": watts, "state": format!("{watts} W") }))
        }
        ("POST", ["switch", "node1", turn]) => {
            set(state, 0, *turn == "turn_on");
            (200, json!({}))
        }
        _ => (404, json!({})),
    }
}

fn home_assistant(state: &mut State, asked: &Asked) -> (u16, Value) {
    let entity = |name: &str, state: String, attributes: Value| {
        (
            200,
            json!({ "entity_id": name, "state": state, "attributes": attributes, "last_changed": "2026-11-27" }),
        )
    };
    match asked.path.as_str() {
        "/api/states/switch.node1" => {
            entity("switch.node1", word(state.relays[0]).to_lowercase(), json!({ "friendly_name": "node1" }))
        }
        "/api/states/sensor.node1_power" => {
            let watts = json!({ "unit_of_measurement": "kW" });
            entity("sensor.node1_power", format!("{}", state.watts[0] / 1000.0), watts)
        }
        "/api/services/homeassistant/turn_on" | "/api/services/homeassistant/turn_off" => {
            let body: Value = serde_json::from_str(&asked.body).unwrap();
            assert_eq!((asked.method.as_str(), &body), ("POST", &json!({ "entity_id": "switch.node1" })));
            set(state, 0, asked.path.ends_with("_on"));
            (200, json!([]))
        }
        _ => (404, json!({ "message": "Entity not found." })),
    }
}

fn hook(state: &mut State, asked: &Asked) -> Said {
    let said = match format!("{} {}", asked.method, asked.path).as_str() {
        "POST /plug/a%2Fb/on" => word(set(state, 0, true)),
        "GET /plug?name=a%2Fb&to=off" => word(set(state, 0, false)),
        "GET /plug/a%2Fb" => word(state.relays[0]),
        other => panic!("{other}"),
    };
    (200, vec![], format!("{said}\n"))
}
