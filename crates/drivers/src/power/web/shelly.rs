//! Shelly: generation 1 (paths of its own, Basic) and 2 and later (RPC, Digest with SHA-256); each says which it is.
//! Written by the maker's API documentation for Gen1 (release 1.14) and Gen2+ (release 1.x).

use serde_json::Value;

use super::super::credentials::Credentials;
use super::super::device::{Act, DeviceError, Told};
use super::plug::{Dialect, encoded, supply};
use super::{Login, Question, Web};

/// A plug, relay or strip.
#[derive(Debug, Default)]
pub(in crate::power) struct Shelly {
    /// What it said it is.
    kind: Option<Kind>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Kind {
    first: bool,
    about: String,
}

impl Shelly {
    /// Which kind it is: it says so to everybody, also where it wants a password for the rest.
    async fn kind(&mut self, web: &mut Web) -> Result<Kind, DeviceError> {
        if let Some(kind) = &self.kind {
            return Ok(kind.clone());
        }
        let said = web.json(&Question::get("/shelly")).await?;
        let kind = kind(&said).ok_or_else(|| web.garbled("/shelly", &said.to_string()))?;
        self.kind = Some(kind.clone());
        Ok(kind)
    }
}

fn kind(said: &Value) -> Option<Kind> {
    match said.get("gen").and_then(Value::as_u64) {
        Some(generation) if generation >= 2 => {
            let model = said.get("app").or_else(|| said.get("model")).and_then(Value::as_str).unwrap_or("");
            Some(Kind { first: false, about: format!("Shelly {model}, generation {generation}") })
        }
        _ => {
            let model = said.get("type")?.as_str()?;
            Some(Kind { first: true, about: format!("Shelly {model}, generation 1") })
        }
    }
}

/// State and watts of a relay, of `/status` of generation 1.
fn first(status: &Value, port: &str) -> Option<(bool, Option<f64>)> {
    let number: usize = port.parse().ok()?;
    let on = status.pointer(&format!("/relays/{number}/ison"))?.as_bool()?;
    let meter = status.pointer(&format!("/meters/{number}"));
    let valid = meter.and_then(|meter| meter.get("is_valid")).and_then(Value::as_bool).unwrap_or(true);
    let watts = meter.filter(|_| valid).and_then(|meter| meter.get("power")).and_then(Value::as_f64);
    Some((on, watts))
}

/// State and watts of a relay, of `Switch.GetStatus` of generation 2.
fn second(status: &Value) -> Option<(bool, Option<f64>)> {
    Some((status.get("output")?.as_bool()?, status.get("apower").and_then(Value::as_f64)))
}

impl Dialect for Shelly {
    fn login(&mut self, credentials: &Credentials) -> Result<Login, DeviceError> {
        credentials.login(Some("admin"))
    }

    async fn act(&mut self, web: &mut Web, port: &str, act: Act) -> Result<(), DeviceError> {
        let on = act.supply()?;
        let port = encoded(port);
        let (path, key) = match self.kind(web).await?.first {
            true => (format!("/relay/{port}?turn={}", if on { "on" } else { "off" }), "ison"),
            false => (format!("/rpc/Switch.Set?id={port}&on={on}"), "was_on"),
        };
        let answer = web.json(&Question::get(path.clone())).await?;
        match answer.get(key).and_then(Value::as_bool) {
            Some(_) => Ok(()),
            None => Err(web.garbled(&path, &answer.to_string())),
        }
    }

    async fn read(&mut self, web: &mut Web, ports: &[String]) -> Result<Told, DeviceError> {
        let kind = self.kind(web).await?;
        let mut told = Told { about: format!("{} at {}", kind.about, web.origin()), ..Told::default() };
        let whole = match kind.first {
            true => web.json(&Question::get("/status")).await?,
            false => Value::Null,
        };
        for port in ports {
            let read = match kind.first {
                true => first(&whole, port),
                false => {
                    let path = format!("/rpc/Switch.GetStatus?id={}", encoded(port));
                    second(&web.json(&Question::get(path)).await?)
                }
            };
            let Some((on, watts)) = read else {
                let why = format!("{} ({}) tells nothing of a relay {port}", web.origin(), kind.about);
                return Err(DeviceError::refused("no-such-port", why));
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
    fn each_generation_says_which_it_is() {
        let old = json!({ "type": "SHPLG-S", "mac": "B929CC000000", "auth": true, "fw": "20230913" });
        let told = kind(&old).unwrap();
        assert_eq!((told.first, told.about.as_str()), (true, "Shelly SHPLG-S, generation 1"));
        let new = json!({ "id": "shellyplugsg3-aa", "model": "S3PL-00112EU", "gen": 3, "app": "PlugSG3", "auth_en": true });
        let told = kind(&new).unwrap();
        assert_eq!((told.first, told.about.as_str()), (false, "Shelly PlugSG3, generation 3"));
        assert_eq!(kind(&json!({ "name": "x" })), None);
    }

    #[test]
    fn relays_and_meters_are_read_as_they_are_documented() {
        let old = json!({
            "relays": [{ "ison": true, "source": "http" }, { "ison": false }],
            "meters": [{ "power": 8.5, "is_valid": true }, { "power": 3.0, "is_valid": false }]
        });
        assert_eq!(first(&old, "0"), Some((true, Some(8.5))));
        assert_eq!(first(&old, "1"), Some((false, None)), "a meter that says it is not valid");
        assert_eq!((first(&old, "2"), first(&old, "x")), (None, None));
        let new = json!({ "id": 0, "source": "init", "output": false, "apower": 0.0, "voltage": 230.2 });
        assert_eq!(second(&new), Some((false, Some(0.0))));
        assert_eq!(second(&json!({ "id": 0, "output": true })), Some((true, None)), "one without a meter");
        assert_eq!(second(&json!({ "code": -105, "message": "not found" })), None);
    }
}
