//! A switch inside an OpenWrt device: its ports by `luci-rpc`, `ip`, `bridge` and `swconfig`.

use serde_json::{Map, Value, json};

use super::Switch;
use super::door::{Asked, Reply};
use crate::ubus::{Called, Ubus};

/// How its ports are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DeviceKind {
    /// Each is an interface.
    #[default]
    Dsa,
    /// They are those of `switch0`.
    Swconfig,
}

/// Such a device.
#[derive(Debug, Clone, Default)]
pub struct OpenWrt {
    /// The switch in it.
    pub switch: Switch,
    /// Its door.
    pub ubus: Ubus,
    /// How its ports are kept.
    pub kind: DeviceKind,
    /// True where `ip-bridge` is installed.
    pub bridge: bool,
    /// Orders that wait for `apply`, of swconfig.
    waiting: Vec<(String, bool)>,
}

impl OpenWrt {
    /// A device whose user is `root`.
    #[must_use]
    pub fn new(kind: DeviceKind, password: &str) -> Self {
        let ports: &[&str] = match kind {
            DeviceKind::Dsa => &["lan1", "lan2", "lan3", "lan4", "wan"],
            DeviceKind::Swconfig => &["0", "1", "2", "3", "4"],
        };
        let switch = Switch::new(ports.iter().copied());
        Self { switch, ubus: Ubus::new("root", password), kind, bridge: true, ..Self::default() }
    }

    /// Answers one question.
    pub fn answer(&mut self, asked: &Asked) -> Reply {
        if asked.path != "/ubus" {
            return Reply { status: 404, body: "not found".to_owned() };
        }
        let Self { switch, ubus, kind, bridge, waiting } = self;
        let answer = ubus.answer(asked.body.as_bytes(), |object, method, arguments| match (object, method) {
            ("luci-rpc", "getNetworkDevices") => Called::Gives(devices(switch, *kind)),
            ("file", "exec") => {
                let word = |at: usize| {
                    let words = arguments.get("params").and_then(Value::as_array);
                    words.and_then(|words| words.get(at)).and_then(Value::as_str).unwrap_or_default()
                };
                let program = arguments.get("command").and_then(Value::as_str).unwrap_or_default();
                match (program, *kind) {
                    ("/sbin/ip", DeviceKind::Dsa) => {
                        let there = word(0) == "link" && switch.set(word(3), word(4) == "up");
                        ended(if there { 0 } else { 1 }, "", "ip: can't find device")
                    }
                    ("/usr/sbin/bridge", _) if *bridge => ended(0, &bridge_fdb(switch), ""),
                    ("/sbin/swconfig", DeviceKind::Swconfig) => match (word(2), word(4)) {
                        ("show", _) => ended(0, &shown(switch), ""),
                        ("port", "set") if word(5) == "disable" => {
                            waiting.push((word(3).to_owned(), word(6) == "0"));
                            ended(0, "", "")
                        }
                        ("set", _) if word(3) == "apply" => {
                            for (port, on) in std::mem::take(waiting) {
                                switch.set(&port, on);
                            }
                            ended(0, "", "")
                        }
                        _ => ended(1, "", "Unknown command"),
                    },
                    // What is not there is status 4 to rpcd.
                    _ => Called::Status(4),
                }
            }
            _ => Called::Missing,
        });
        Reply { status: 200, body: answer.to_string() }
    }
}

fn ended(code: i64, stdout: &str, stderr: &str) -> Called {
    Called::Gives(json!({ "code": code, "stdout": stdout, "stderr": if code == 0 { "" } else { stderr } }))
}

fn devices(switch: &Switch, kind: DeviceKind) -> Value {
    let mut all = Map::new();
    all.insert("br-lan".to_owned(), json!({ "devtype": "bridge", "up": true, "flags": { "up": true } }));
    for port in switch.ports.iter().filter(|_| kind == DeviceKind::Dsa) {
        let link = json!({ "speed": port.link().map_or(-1, i64::from), "carrier": port.link().is_some() });
        let device =
            json!({ "devtype": "dsa", "up": port.enabled, "flags": { "up": port.enabled }, "link": link });
        all.insert(port.name.clone(), device);
    }
    Value::Object(all)
}

fn bridge_fdb(switch: &Switch) -> String {
    let mut text = String::from("33:33:00:00:00:01 dev lan1 self permanent\n");
    for port in &switch.ports {
        for mac in &port.heard {
            text += &format!("{mac} dev {} master br-lan\n", port.name);
        }
    }
    text
}

fn shown(switch: &Switch) -> String {
    let mut text = String::from("Global attributes:\n\tenable_vlan: 1\n");
    for port in &switch.ports {
        let link = port.link().map_or_else(
            || "link:down".to_owned(),
            |mbit| format!("link:up speed:{mbit}baseT full-duplex auto"),
        );
        let disable = u8::from(!port.enabled);
        let name = &port.name;
        text += &format!("Port {name}:\n\tdisable: {disable}\n\tpvid: 1\n\tlink: port:{name} {link}\n");
    }
    text + "VLAN 1:\n\tports: 0 1 2 3 4t\n"
}
