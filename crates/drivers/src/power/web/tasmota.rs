//! Tasmota: commands as web requests, answers in JSON. Written by its documentation (`Commands`, `JSON Status
//! Responses`) as of releases 9 to 14.

use serde_json::Value;

use super::super::credentials::Credentials;
use super::super::device::{Act, DeviceError, Told};
use super::plug::{Dialect, encoded, supply};
use super::{Login, Question, Web};

/// A plug or strip with Tasmota.
#[derive(Debug, Default)]
pub(in crate::power) struct Tasmota {
    /// `user=…&password=…&`: Tasmota takes them in the query and nowhere else.
    who: Option<String>,
    /// It said once that it measures nothing.
    blind: bool,
}

impl Tasmota {
    async fn command(&self, web: &mut Web, command: &str) -> Result<Value, DeviceError> {
        let who = self.who.as_deref().unwrap_or_default();
        let answer = web.json(&Question::get(format!("/cm?{who}cmnd={}", encoded(command)))).await?;
        // Releases before 13 refuse with 200.
        if answer.get("WARNING").is_some() {
            return Err(DeviceError::locked(format!("{} does not take the password", web.origin())));
        }
        if let Some(why) = answer.get("Command").and_then(Value::as_str) {
            let why = format!("{} answers `{command}` with `{why}`: has it such a relay?", web.origin());
            return Err(DeviceError::refused("no-such-port", why));
        }
        Ok(answer)
    }
}

/// Whether a relay is on, of an answer with `POWER` or `POWER<n>`.
fn relay(answer: &Value, port: &str) -> Option<bool> {
    // With one relay there is no number.
    let named = answer.get(format!("POWER{port}"));
    let value = named.or_else(|| answer.get("POWER").filter(|_| port == "1"))?;
    match value.as_str()? {
        "ON" => Some(true),
        "OFF" => Some(false),
        _ => None,
    }
}

/// What a relay takes: of several relays each may have its meter, or all one.
fn watts(status: &Value, port: &str) -> Option<f64> {
    let power = status.pointer("/StatusSNS/ENERGY/Power")?;
    match power {
        Value::Array(all) => all.get(port.parse::<usize>().ok()?.checked_sub(1)?)?.as_f64(),
        one => one.as_f64().filter(|_| port == "1"),
    }
}

impl Dialect for Tasmota {
    fn login(&mut self, credentials: &Credentials) -> Result<Login, DeviceError> {
        self.who = credentials
            .user(Some("admin"))?
            .map(|(user, password)| format!("user={}&password={}&", encoded(&user), encoded(&password)));
        Ok(Login::Nobody)
    }

    async fn act(&mut self, web: &mut Web, port: &str, act: Act) -> Result<(), DeviceError> {
        let word = if act.supply()? { "On" } else { "Off" };
        let answer = self.command(web, &format!("Power{port} {word}")).await?;
        match relay(&answer, port) {
            Some(_) => Ok(()),
            None => Err(web.garbled("Power", &answer.to_string())),
        }
    }

    async fn read(&mut self, web: &mut Web, ports: &[String]) -> Result<Told, DeviceError> {
        let state = self.command(web, "State").await?;
        let status = match self.blind {
            true => Value::Null,
            false => self.command(web, "Status 10").await?,
        };
        self.blind = self.blind || status.pointer("/StatusSNS/ENERGY").is_none();
        let mut told = Told { about: format!("Tasmota at {}", web.origin()), ..Told::default() };
        for port in ports {
            let Some(on) = relay(&state, port) else {
                let why = format!(
                    "{} tells nothing of a relay {port}, or by other words than ON and OFF (`StateText`): {state}",
                    web.origin()
                );
                return Err(DeviceError::refused("not-understood", why));
            };
            told.ports.push((port.clone(), supply(on, watts(&status, port))));
        }
        Ok(told)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn relays_and_meters_are_read_as_they_are_documented() {
        let one =
            json!({ "Time": "2026-11-27T12:00:00", "UptimeSec": 11, "POWER": "ON", "Wifi": { "RSSI": 60 } });
        assert_eq!((relay(&one, "1"), relay(&one, "2")), (Some(true), None));
        let two = json!({ "POWER1": "OFF", "POWER2": "ON" });
        assert_eq!((relay(&two, "1"), relay(&two, "2")), (Some(false), Some(true)));
        assert_eq!(relay(&json!({ "POWER": "AN" }), "1"), None, "somebody's StateText");
        let sensors = |power: Value| json!({ "StatusSNS": { "ENERGY": { "Total": 3.1, "Power": power } } });
        assert_eq!(watts(&sensors(json!(42)), "1"), Some(42.0));
        assert_eq!((watts(&sensors(json!(42)), "2"), watts(&json!({ "StatusSNS": {} }), "1")), (None, None));
        let both = sensors(json!([5, 7.5]));
        assert_eq!((watts(&both, "1"), watts(&both, "2"), watts(&both, "3")), (Some(5.0), Some(7.5), None));
    }
}
