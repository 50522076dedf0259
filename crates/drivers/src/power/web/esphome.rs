//! `ESPHome`'s web server: one address an entity. Written by its page `Web Server API` as of release 2026.
//!
//! Without `captive_portal` or an event stream it is all plain requests: `/switch/ID/turn_on`, `/switch/ID`, `/sensor/ID`.

use serde_json::Value;

use super::super::credentials::Credentials;
use super::super::device::{Act, DeviceError, Told};
use super::plug::{Dialect, encoded, supply};
use super::{Login, Question, Web};

/// A device with `ESPHome`.
#[derive(Debug)]
pub(in crate::power) struct Esphome {
    /// Id of the sensor that tells watts; `{port}` becomes the port.
    watts: Option<String>,
}

impl Esphome {
    pub(in crate::power) const fn new(watts: Option<String>) -> Self {
        Self { watts }
    }
}

fn is_on(answer: &Value) -> Option<bool> {
    let value = answer.get("value").and_then(Value::as_bool);
    value.or_else(|| match answer.get("state")?.as_str()? {
        "ON" => Some(true),
        "OFF" => Some(false),
        _ => None,
    })
}

impl Dialect for Esphome {
    fn login(&mut self, credentials: &Credentials) -> Result<Login, DeviceError> {
        credentials.login(None)
    }

    async fn act(&mut self, web: &mut Web, port: &str, act: Act) -> Result<(), DeviceError> {
        let word = if act.supply()? { "turn_on" } else { "turn_off" };
        web.expect(&Question::post(format!("/switch/{}/{word}", encoded(port)), "")).await.map(|_| ())
    }

    async fn read(&mut self, web: &mut Web, ports: &[String]) -> Result<Told, DeviceError> {
        let mut told = Told { about: format!("ESPHome at {}", web.origin()), ..Told::default() };
        for port in ports {
            let path = format!("/switch/{}", encoded(port));
            let answer = web.json(&Question::get(path.clone())).await?;
            let on = is_on(&answer).ok_or_else(|| web.garbled(&path, &answer.to_string()))?;
            let watts = match &self.watts {
                None => None,
                Some(sensor) => {
                    let path = format!("/sensor/{}", encoded(&sensor.replace("{port}", port)));
                    web.json(&Question::get(path)).await?.get("value").and_then(Value::as_f64)
                }
            };
            told.ports.push((port.clone(), supply(on, watts)));
        }
        Ok(told)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_switch_is_read_with_and_without_its_value() {
        assert_eq!(is_on(&json!({ "id": "switch-node1", "value": true, "state": "ON" })), Some(true));
        assert_eq!(is_on(&json!({ "id": "switch-node1", "state": "OFF" })), Some(false));
        assert_eq!(is_on(&json!({ "id": "sensor-power", "value": 3.5, "state": "3.5 W" })), None);
    }
}
