//! What a router's answers say.

use serde::Serialize;
use serde_json::Value;

/// What a router is and does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RouterState {
    /// Its name.
    pub name: String,
    /// What it is.
    pub model: String,
    /// Its system.
    pub release: String,
    /// Seconds since it was started.
    pub uptime: u64,
    /// Bytes of memory that are free, and all of them.
    pub memory: (u64, u64),
    /// Its networks.
    pub interfaces: Vec<Interface>,
    /// Addresses that it lends.
    pub leases: Vec<Lease>,
    /// Zones of its firewall.
    pub zones: Vec<Zone>,
}

/// A network of a router.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Interface {
    /// Its name, such as `wan`.
    pub name: String,
    /// Whether it works.
    pub up: bool,
    /// The device under it; empty where there is none.
    pub device: String,
    /// How it gets its address: `dhcp`, `static` and so on.
    pub proto: String,
    /// Its first IPv4 address, with the length of its prefix.
    pub address: Option<String>,
    /// Where everything else is sent through it.
    pub gateway: Option<String>,
    /// Seconds since it works.
    pub uptime: u64,
    /// Bytes that came and went.
    pub bytes: (u64, u64),
    /// Frames that came and were bad, and that were dropped.
    pub troubles: (u64, u64),
}

/// An address that a router lends.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Lease {
    /// To whom.
    pub mac: String,
    /// Which.
    pub address: String,
    /// What it calls itself; may be empty.
    pub name: String,
    /// Seconds for which it is lent still.
    pub expires: u64,
}

/// A zone of a firewall.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Zone {
    /// Its name, such as `lan`.
    pub name: String,
    /// Its section in the settings.
    pub section: String,
    /// Its networks.
    pub networks: Vec<String>,
    /// What becomes of what comes to the router, leaves it, and goes through it: `ACCEPT`, `REJECT`, `DROP`.
    pub rules: (String, String, String),
}

/// A Wi-Fi network around a router.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct WifiNetwork {
    /// Its name, as it says it: any text of a stranger's.
    pub ssid: String,
    /// The station that is heard best.
    pub bssid: String,
    /// Which radio hears it.
    pub radio: String,
    /// Its channel.
    pub channel: u64,
    /// How strong it is heard, in dBm: the nearer to 0, the stronger.
    pub signal: i64,
    /// What guards it: `none`, `WPA2 psk` and so on.
    pub guarded: String,
    wpa: Vec<u64>,
    sae: bool,
}

impl WifiNetwork {
    /// True where it wants a password.
    #[must_use]
    pub fn is_secured(&self) -> bool {
        self.guarded != "none"
    }

    /// OpenWrt's word for the strongest that it offers.
    pub(super) fn encryption(&self) -> &'static str {
        match (self.is_secured(), self.sae, self.wpa.contains(&2)) {
            (false, _, _) => "none",
            (true, true, true) => "sae-mixed",
            (true, true, false) => "sae",
            (true, false, true) => "psk2",
            (true, false, false) => "psk",
        }
    }
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn number(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or_default()
}

pub(super) fn state(board: &Value, info: &Value) -> Option<RouterState> {
    board.get("hostname")?;
    Some(RouterState {
        name: text(board, "/hostname"),
        model: text(board, "/model"),
        release: text(board, "/release/description"),
        uptime: number(info, "/uptime"),
        memory: (number(info, "/memory/free"), number(info, "/memory/total")),
        ..RouterState::default()
    })
}

pub(super) fn interfaces(dump: &Value) -> Option<Vec<Interface>> {
    let all = dump.get("interface")?.as_array()?.iter();
    Some(all.map(interface).collect())
}

fn interface(one: &Value) -> Interface {
    let routes = one.get("route").and_then(Value::as_array).into_iter().flatten();
    let default = routes.filter(|route| text(route, "/target") == "0.0.0.0" && number(route, "/mask") == 0);
    let address = one.pointer("/ipv4-address/0");
    Interface {
        name: text(one, "/interface"),
        up: one.get("up").and_then(Value::as_bool).unwrap_or_default(),
        device: text(one, "/l3_device"),
        proto: text(one, "/proto"),
        address: address.map(|address| format!("{}/{}", text(address, "/address"), number(address, "/mask"))),
        gateway: default.map(|route| text(route, "/nexthop")).next(),
        uptime: number(one, "/uptime"),
        ..Interface::default()
    }
}

impl Interface {
    /// Adds what its device counts.
    pub(super) fn count(&mut self, device: &Value) {
        let counted = |name: &str| number(device, &format!("/statistics/{name}"));
        self.bytes = (counted("rx_bytes"), counted("tx_bytes"));
        self.troubles = (counted("rx_errors"), counted("rx_dropped"));
    }
}

pub(super) fn leases(answer: &Value) -> Vec<Lease> {
    let all = answer.get("dhcp_leases").and_then(Value::as_array).into_iter().flatten();
    all.map(|lease| Lease {
        mac: text(lease, "/macaddr").to_lowercase(),
        address: text(lease, "/ipaddr"),
        name: text(lease, "/hostname"),
        expires: number(lease, "/expires"),
    })
    .collect()
}

/// Names of the sections in an answer of `uci get`.
pub(super) fn sections(answer: &Value) -> Vec<String> {
    answer
        .get("values")
        .and_then(Value::as_object)
        .map(|all| all.keys().cloned().collect())
        .unwrap_or_default()
}

pub(super) fn zones(answer: &Value) -> Vec<Zone> {
    let all = answer.get("values").and_then(Value::as_object).into_iter().flatten();
    let mut zones: Vec<Zone> = all.map(|(section, zone)| zone_of(section, zone)).collect();
    zones.sort_by(|a, b| a.name.cmp(&b.name));
    zones
}

fn zone_of(section: &str, zone: &Value) -> Zone {
    // A list, or one text with blanks in it: both are written.
    let networks = match zone.get("network") {
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Some(Value::String(all)) => all.split_whitespace().map(str::to_owned).collect(),
        Some(_) | None => Vec::new(),
    };
    Zone {
        name: text(zone, "/name"),
        section: section.to_owned(),
        networks,
        rules: (text(zone, "/input"), text(zone, "/output"), text(zone, "/forward")),
    }
}

pub(super) fn networks(radio: &str, answer: &Value) -> Option<Vec<WifiNetwork>> {
    let all = answer.get("results")?.as_array()?.iter();
    let all = all.map(|heard| {
        let list =
            |pointer: &str| heard.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
        let wpa: Vec<u64> = list("/encryption/wpa").iter().filter_map(Value::as_u64).collect();
        let words: Vec<String> =
            list("/encryption/authentication").iter().filter_map(Value::as_str).map(str::to_owned).collect();
        let enabled = heard.pointer("/encryption/enabled").and_then(Value::as_bool).unwrap_or_default();
        let releases: Vec<String> = wpa.iter().map(|release| format!("WPA{release}")).collect();
        let guarded = match (enabled, releases.is_empty()) {
            (false, _) => "none".to_owned(),
            (true, true) => "WEP".to_owned(),
            (true, false) => format!("{} {}", releases.join("/"), words.join("/")),
        };
        WifiNetwork {
            ssid: text(heard, "/ssid"),
            bssid: text(heard, "/bssid"),
            radio: radio.to_owned(),
            channel: number(heard, "/channel"),
            signal: heard.get("signal").and_then(Value::as_i64).unwrap_or(-100),
            guarded,
            sae: words.iter().any(|word| word == "sae"),
            wpa,
        }
    });
    // One that hides its name cannot be asked for by it.
    Some(all.filter(|network| !network.ssid.is_empty()).collect())
}

/// The strongest station of each network, the strongest network first.
pub(super) fn strongest(mut found: Vec<WifiNetwork>) -> Vec<WifiNetwork> {
    found.sort_by(|a, b| b.signal.cmp(&a.signal).then_with(|| a.ssid.cmp(&b.ssid)));
    let mut seen = std::collections::BTreeSet::new();
    found.retain(|network| seen.insert(network.ssid.clone()));
    found
}
