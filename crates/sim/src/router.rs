//! A router that runs OpenWrt, as its ubus shows it: settings that are staged, applied with a rollback and confirmed, radios
//! that hear networks, and a Wi-Fi uplink that comes only with the right password.

use serde_json::{Map, Value, json};

use crate::ubus::{Called, Ubus};

/// A network in the air.
#[derive(Debug, Clone)]
pub struct Air {
    /// Its name.
    pub ssid: String,
    /// Its password; none for an open one.
    pub password: Option<String>,
    /// How strong it is heard, in dBm.
    pub signal: i64,
}

/// The settings of one file: section by section, each with its type and its values.
type Config = Map<String, Value>;

/// The router.
#[derive(Debug, Clone)]
pub struct Router {
    /// Its door.
    pub ubus: Ubus,
    /// What its radio hears.
    pub air: Vec<Air>,
    /// Interfaces that were switched off by hand.
    pub down: Vec<String>,
    /// Looks at its interfaces until a Wi-Fi that is joined has an address.
    pub slow: u32,
    saved: Map<String, Value>,
    staged: Map<String, Value>,
    /// What is gone back to unless somebody confirms.
    before: Option<Map<String, Value>>,
    looked: u32,
}

impl Router {
    /// One with a radio, a lan and a wan.
    #[must_use]
    pub fn new(user: &str, password: &str) -> Self {
        let section = |kind: &str, values: Value| {
            let mut values = values;
            if let Some(values) = values.as_object_mut() {
                values.insert(".type".to_owned(), Value::from(kind));
            }
            values
        };
        let saved = json!({
            "wireless": { "radio0": section("wifi-device", json!({ "type": "mac80211", "band": "2g" })) },
            "network": {
                "lan": section("interface", json!({ "proto": "static", "ipaddr": "10.0.0.1" })),
                "wan": section("interface", json!({ "proto": "dhcp" })),
            },
            "firewall": {
                "cfg02dc81": section("zone", json!({ "name": "lan", "network": ["lan"], "input": "ACCEPT", "output": "ACCEPT", "forward": "ACCEPT" })),
                "cfg03dc81": section("zone", json!({ "name": "wan", "network": "wan wan6", "input": "REJECT", "output": "ACCEPT", "forward": "REJECT" })),
            },
        });
        let saved = saved.as_object().cloned().unwrap_or_default();
        Self {
            ubus: Ubus::new(user, password),
            air: Vec::new(),
            down: Vec::new(),
            slow: 2,
            staged: saved.clone(),
            saved,
            before: None,
            looked: 0,
        }
    }

    /// Answers the body of a POST to `/ubus`.
    pub fn answer(&mut self, body: &[u8]) -> Value {
        let mut ubus = std::mem::take(&mut self.ubus);
        let answer = ubus.answer(body, |object, method, arguments| self.call(object, method, arguments));
        self.ubus = ubus;
        answer
    }

    /// A value that holds now, such as `/wireless/labinator_sta/ssid`.
    #[must_use]
    pub fn setting(&self, pointer: &str) -> Option<Value> {
        Value::Object(self.saved.clone()).pointer(pointer).cloned()
    }

    /// True while a change waits for its confirmation.
    #[must_use]
    pub const fn is_unconfirmed(&self) -> bool {
        self.before.is_some()
    }

    /// Nobody confirmed in time.
    pub fn rolls_back(&mut self) {
        if let Some(before) = self.before.take() {
            self.staged.clone_from(&before);
            self.saved = before;
        }
    }

    fn call(&mut self, object: &str, method: &str, arguments: &Value) -> Called {
        let text = |key: &str| arguments.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        match (object, method) {
            ("system", "board") => Called::Gives(json!({
                "kernel": "6.6.86", "hostname": "wally", "model": "FriendlyElec NanoPi R3S",
                "release": { "distribution": "OpenWrt", "version": "24.10.1", "description": "OpenWrt 24.10.1 r28597" },
            })),
            ("system", "info") => Called::Gives(json!({
                "uptime": 86_400, "load": [6_000, 4_000, 2_000], "memory": { "total": 2_000_000_000_u64, "free": 1_500_000_000_u64 },
            })),
            ("network.interface", "dump") => Called::Gives(self.interfaces()),
            ("network.device", "status") => Called::Gives(json!({
                "up": true, "statistics": { "rx_bytes": 1_000, "tx_bytes": 2_000, "rx_errors": 3, "rx_dropped": 4 },
            })),
            ("luci-rpc", "getDHCPLeases") => Called::Gives(json!({ "dhcp_leases": [
                { "expires": 3_000, "hostname": "node1", "macaddr": "52:54:00:AA:00:01", "ipaddr": "10.0.0.11" },
            ] })),
            ("iwinfo", "scan") if text("device") == "radio0" => Called::Gives(self.heard()),
            ("uci", _) => self.uci(method, arguments),
            (object, "up" | "down") => match object.strip_prefix("network.interface.") {
                Some(name) if self.has_interface(name) => {
                    self.down.retain(|down| down != name);
                    if method == "down" {
                        self.down.push(name.to_owned());
                    }
                    Called::Gives(Value::Null)
                }
                Some(_) | None => Called::Missing,
            },
            _ => Called::Missing,
        }
    }

    fn has_interface(&self, name: &str) -> bool {
        self.saved.get("network").and_then(Value::as_object).is_some_and(|all| all.contains_key(name))
    }

    fn heard(&self) -> Value {
        let heard = self.air.iter().enumerate().map(|(at, air)| {
            let encryption = match air.password {
                None => json!({ "enabled": false }),
                Some(_) => {
                    json!({ "enabled": true, "wpa": [2], "authentication": ["psk"], "ciphers": ["ccmp"] })
                }
            };
            json!({
                "ssid": air.ssid, "bssid": format!("02:00:00:00:00:{at:02X}"), "mode": "Master", "channel": 6,
                "signal": air.signal, "quality": 40, "quality_max": 70, "encryption": encryption,
            })
        });
        json!({ "results": heard.collect::<Vec<Value>>() })
    }

    fn interfaces(&mut self) -> Value {
        let all = self.saved.get("network").and_then(Value::as_object).cloned().unwrap_or_default();
        let joined = self.joins();
        let one = |name: &String| {
            let up = !self.down.contains(name) && (name != "wwan" || joined);
            let (device, address) = match name.as_str() {
                "lan" => ("br-lan", "10.0.0.1"),
                "wwan" => ("phy0-sta0", "172.16.9.23"),
                _ => ("eth0", "192.0.2.17"),
            };
            let mut shown = json!({ "interface": name, "up": up, "proto": "dhcp", "uptime": 60 });
            if let (true, Some(shown)) = (up, shown.as_object_mut()) {
                shown.insert("l3_device".to_owned(), Value::from(device));
                shown.insert("ipv4-address".to_owned(), json!([{ "address": address, "mask": 24 }]));
                shown.insert(
                    "route".to_owned(),
                    json!([{ "target": "0.0.0.0", "mask": 0, "nexthop": "192.0.2.1" }]),
                );
            }
            shown
        };
        let shown: Vec<Value> = all.keys().map(one).collect();
        self.looked += 1;
        json!({ "interface": shown })
    }

    /// Whether its station is in a network that is there, with the password that it wants, and for long enough.
    fn joins(&self) -> bool {
        let station = self.setting("/wireless/labinator_sta").unwrap_or_default();
        let value = |key: &str| station.get(key).and_then(Value::as_str).map(str::to_owned);
        let here = self.air.iter().find(|air| Some(&air.ssid) == value("ssid").as_ref());
        here.is_some_and(|air| air.password == value("key")) && self.looked >= self.slow
    }

    fn uci(&mut self, method: &str, arguments: &Value) -> Called {
        let text = |key: &str| arguments.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let values = || arguments.get("values").and_then(Value::as_object).cloned().unwrap_or_default();
        let config = text("config");
        match method {
            "get" => {
                let all = self.staged.get(&config).and_then(Value::as_object).cloned().unwrap_or_default();
                let kind = text("type");
                let of_kind = all
                    .into_iter()
                    .filter(|(_, section)| section.get(".type").and_then(Value::as_str) == Some(&kind));
                Called::Gives(json!({ "values": of_kind.collect::<Config>() }))
            }
            "add" => {
                let Some(all) = self.staged.get_mut(&config).and_then(Value::as_object_mut) else {
                    return Called::Status(4);
                };
                let mut section = values();
                section.insert(".type".to_owned(), Value::from(text("type")));
                all.insert(text("name"), Value::Object(section));
                Called::Gives(json!({ "section": text("name") }))
            }
            "set" => {
                let section = self.staged.get_mut(&config).and_then(|all| all.get_mut(text("section")));
                let Some(section) = section.and_then(Value::as_object_mut) else { return Called::Status(4) };
                section.extend(values());
                Called::Gives(Value::Null)
            }
            "delete" => {
                let section = self.staged.get_mut(&config).and_then(|all| all.get_mut(text("section")));
                let gone = section.and_then(Value::as_object_mut).and_then(|all| all.remove(&text("option")));
                if gone.is_some() { Called::Gives(Value::Null) } else { Called::Status(4) }
            }
            "apply" => {
                // A second change while one waits is refused, as rpcd does it.
                if self.before.is_some() {
                    return Called::Status(6);
                }
                self.before = Some(self.saved.clone());
                self.saved = self.staged.clone();
                self.looked = 0;
                Called::Gives(Value::Null)
            }
            "confirm" if self.before.take().is_some() => Called::Gives(Value::Null),
            "rollback" if self.before.is_some() => {
                self.rolls_back();
                Called::Gives(Value::Null)
            }
            "confirm" | "rollback" => Called::Status(5),
            _ => Called::Missing,
        }
    }
}
