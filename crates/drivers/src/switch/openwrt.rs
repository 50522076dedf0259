//! OpenWrt as a switch: ports that are interfaces (DSA), or those of `swconfig`.
//!
//! | what | DSA | swconfig |
//! |---|---|---|
//! | how ports stand | `luci-rpc getNetworkDevices`: those of type `dsa`, flag `up`, carrier and speed | `swconfig dev switch0 show` |
//! | a port | `ip link set dev lan1 down` | `swconfig dev switch0 port 1 set disable 1`, then `apply` |
//! | who hangs where | `bridge fdb show`, where `ip-bridge` is installed | not told |

use std::collections::BTreeMap;
use std::time::Duration;

use model::{MacAddr, SPEED_UNTOLD};
use serde_json::{Value, json};

use super::device::{Look, Manner, Seen, Switch, mirrors_not};
use crate::openwrt::ubus::Ubus;
use crate::power::device::{Cure, DeviceError};

/// Such a switch.
#[derive(Debug)]
pub(super) struct OpenWrt {
    ubus: Ubus,
    /// The name of its switch, of swconfig.
    swconfig: Option<String>,
}

impl OpenWrt {
    pub(super) const fn new(ubus: Ubus, swconfig: Option<String>) -> Self {
        Self { ubus, swconfig }
    }
}

/// Ports that are interfaces.
fn interfaces(devices: &Value) -> Vec<Seen> {
    let devices = devices.as_object().into_iter().flatten();
    let ports = devices.filter(|(_, device)| device.get("devtype").and_then(Value::as_str) == Some("dsa"));
    let seen = ports.map(|(name, device)| {
        let is = |path: &str| device.pointer(path).and_then(Value::as_bool).unwrap_or(false);
        let speed =
            device.pointer("/link/speed").and_then(Value::as_i64).and_then(|mbit| u32::try_from(mbit).ok());
        // A link whose speed is not told is one all the same.
        let mbit = is("/link/carrier").then(|| speed.filter(|mbit| *mbit > 0).unwrap_or(SPEED_UNTOLD));
        Seen { port: name.clone(), enabled: is("/flags/up") || is("/up"), mbit, bounced: false }
    });
    seen.collect()
}

/// Ports of `swconfig dev … show`.
fn ports(text: &str) -> Vec<Seen> {
    let mut ports: BTreeMap<u16, Seen> = BTreeMap::new();
    let mut at = None;
    for line in text.lines() {
        let words = line.trim();
        if let Some(number) = line.strip_prefix("Port ").and_then(|rest| rest.trim().strip_suffix(':')) {
            at = number.parse::<u16>().ok();
        } else if line.starts_with("VLAN ") {
            at = None;
        }
        let Some(number) = at else { continue };
        let seen = ports.entry(number).or_insert_with(|| Seen {
            port: number.to_string(),
            enabled: true,
            mbit: None,
            bounced: false,
        });
        if let Some(value) = words.strip_prefix("disable:") {
            seen.enabled = value.trim() == "0";
        } else if words.starts_with("link:") && words.contains("link:up") {
            let speed = words.split_whitespace().find_map(|word| word.strip_prefix("speed:"));
            let digits: String = speed.unwrap_or_default().chars().take_while(char::is_ascii_digit).collect();
            seen.mbit = Some(digits.parse().unwrap_or(SPEED_UNTOLD));
        }
    }
    ports.into_values().collect()
}

/// Addresses of `bridge fdb show`: `02:… dev lan1 master br-lan`. Those of the bridge itself are left out.
fn addresses(text: &str) -> Vec<(String, MacAddr)> {
    let one = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let mac = words.first()?.parse::<MacAddr>().ok()?;
        let at = words.iter().position(|word| *word == "dev")?;
        let port = words.get(at.saturating_add(1))?;
        let learned = !words.iter().any(|word| matches!(*word, "permanent" | "self"));
        (learned && words.contains(&"master")).then(|| ((*port).to_owned(), mac))
    };
    text.lines().filter_map(one).collect()
}

impl Switch for OpenWrt {
    fn manner(&self) -> Manner {
        Manner { shows: Duration::from_secs(3), limit: Duration::from_secs(8) }
    }

    async fn look(&mut self) -> Result<Look, DeviceError> {
        let ports = match &self.swconfig {
            None => interfaces(&self.ubus.call("luci-rpc", "getNetworkDevices", &json!({})).await?),
            Some(name) => ports(&self.ubus.run("/sbin/swconfig", &["dev", name, "show"]).await?),
        };
        if ports.is_empty() {
            let what = match &self.swconfig {
                None => {
                    "no port that is an interface (DSA): has it a switch of swconfig? Then write `swconfig: switch0`"
                }
                Some(_) => "no ports of that switch",
            };
            return Err(DeviceError::lost("no-ports", format!("{} tells of {what}", self.ubus.url())));
        }
        Ok(Look { about: format!("OpenWrt with {} ports at {}", ports.len(), self.ubus.url()), ports })
    }

    async fn set(&mut self, port: &str, on: bool) -> Result<(), DeviceError> {
        match &self.swconfig {
            None => {
                let way = if on { "up" } else { "down" };
                self.ubus.run("/sbin/ip", &["link", "set", "dev", port, way]).await?;
            }
            Some(name) => {
                let disable = if on { "0" } else { "1" };
                self.ubus
                    .run("/sbin/swconfig", &["dev", name, "port", port, "set", "disable", disable])
                    .await?;
                self.ubus.run("/sbin/swconfig", &["dev", name, "set", "apply"]).await?;
            }
        }
        Ok(())
    }

    async fn macs(&mut self) -> Result<Option<Vec<(String, MacAddr)>>, DeviceError> {
        if self.swconfig.is_some() {
            return Ok(None);
        }
        match self.ubus.run("/usr/sbin/bridge", &["fdb", "show"]).await {
            Ok(text) => Ok(Some(addresses(&text))),
            // `ip-bridge` is not installed, or may not be run.
            Err(error) if error.cure == Cure::Refused => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn mirror(&mut self, _: Option<(&str, &str)>) -> Result<(), DeviceError> {
        Err(mirrors_not())
    }

    fn forget(&mut self) {
        self.ubus.forget();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(port: &str, enabled: bool, mbit: Option<u32>) -> Seen {
        Seen { port: port.to_owned(), enabled, mbit, bounced: false }
    }

    #[test]
    fn interfaces_of_a_switch_are_told_from_others() {
        let devices = json!({
            "br-lan": { "devtype": "bridge", "up": true, "flags": { "up": true }, "link": { "carrier": true } },
            "lan1": { "devtype": "dsa", "up": true, "flags": { "up": true },
                      "link": { "speed": 1000, "duplex": "full", "carrier": true } },
            "lan2": { "devtype": "dsa", "up": true, "flags": { "up": true }, "link": { "speed": -1, "carrier": false } },
            "lan3": { "devtype": "dsa", "up": false, "flags": { "up": false }, "link": { "carrier": false } },
            "lan4": { "devtype": "dsa", "flags": { "up": true }, "link": { "carrier": true } },
        });
        let wanted = [
            seen("lan1", true, Some(1000)),
            seen("lan2", true, None),
            seen("lan3", false, None),
            seen("lan4", true, Some(1)),
        ];
        assert_eq!(interfaces(&devices), wanted);
        for garbage in [json!(null), json!([]), json!({ "lan1": 3 }), json!({ "lan1": { "devtype": 1 } })] {
            assert_eq!(interfaces(&garbage), []);
        }
    }

    #[test]
    fn ports_of_swconfig_are_read_as_it_prints_them() {
        let text = "Global attributes:\n\tenable_vlan: 1\nPort 0:\n\tdisable: 0\n\tpvid: 1\n\
                    \tlink: port:0 link:up speed:1000baseT full-duplex txflow rxflow auto\n\
                    Port 1:\n\tdisable: 1\n\tlink: port:1 link:down\nPort 2:\n\tmib: Port 2 MIB counters\nTxByte : 1\n\
                    \tlink: port:2 link:up speed:100baseT full-duplex\nVLAN 1:\n\tlink: no port\n";
        let wanted = [seen("0", true, Some(1000)), seen("1", false, None), seen("2", true, Some(100))];
        assert_eq!(ports(text), wanted);
        assert_eq!(ports("Port x:\nlink: link:up\n"), []);
    }

    #[test]
    fn learned_addresses_are_told_from_the_bridges_own() {
        let text = "02:00:00:00:00:01 dev lan1 master br-lan\n02:00:00:00:00:fe dev lan1 master br-lan permanent\n\
                    33:33:00:00:00:01 dev lan1 self permanent\n02:00:00:00:00:02 dev lan2 self\nrubbish\n";
        assert_eq!(addresses(text), [("lan1".to_owned(), MacAddr([2, 0, 0, 0, 0, 1]))]);
    }
}
