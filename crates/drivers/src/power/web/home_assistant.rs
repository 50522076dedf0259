//! Home Assistant's REST API: whatever it can switch, by the entity's name. Written by its developer documentation
//! (`REST API`) as of 2026.

use serde_json::{Value, json};

use super::super::credentials::Credentials;
use super::super::device::{Act, DeviceError, Told};
use super::plug::{Dialect, encoded, supply};
use super::{Login, Question, Web};
use model::PortReading;

/// A Home Assistant.
#[derive(Debug)]
pub(in crate::power) struct HomeAssistant {
    /// Entity that tells watts; `{port}` becomes the entity's name without its domain.
    watts: Option<String>,
}

impl HomeAssistant {
    pub(in crate::power) const fn new(watts: Option<String>) -> Self {
        Self { watts }
    }

    async fn state(web: &mut Web, entity: &str) -> Result<Value, DeviceError> {
        let answer = web.ask(&Question::get(format!("/api/states/{}", encoded(entity)))).await?;
        if answer.status == hyper::StatusCode::NOT_FOUND {
            let why = format!("{} has no entity `{entity}`", web.origin());
            return Err(DeviceError::refused("no-such-port", why));
        }
        answer.json().ok_or_else(|| web.garbled("/api/states", &answer.shown()))
    }
}

/// What an entity's state tells; `unavailable` and `unknown` tell nothing.
fn is_on(state: &Value) -> Option<bool> {
    match state.get("state")?.as_str()? {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

/// Watts, in whichever unit the sensor has.
fn watts(state: &Value) -> Option<f64> {
    let number: f64 = state.get("state")?.as_str()?.parse().ok()?;
    match state.pointer("/attributes/unit_of_measurement").and_then(Value::as_str) {
        Some("kW") => Some(number * 1000.0),
        Some("mW") => Some(number / 1000.0),
        Some("W") | None => Some(number),
        Some(_) => None,
    }
}

impl Dialect for HomeAssistant {
    fn login(&mut self, credentials: &Credentials) -> Result<Login, DeviceError> {
        credentials.token()
    }

    async fn act(&mut self, web: &mut Web, port: &str, act: Act) -> Result<(), DeviceError> {
        let word = if act.supply()? { "turn_on" } else { "turn_off" };
        // An entity that is not there is answered with success, and nothing happens.
        Self::state(web, port).await?;
        let body = json!({ "entity_id": port }).to_string();
        web.expect(&Question::post(format!("/api/services/homeassistant/{word}"), body)).await.map(|_| ())
    }

    async fn read(&mut self, web: &mut Web, ports: &[String]) -> Result<Told, DeviceError> {
        let mut told = Told { about: format!("Home Assistant at {}", web.origin()), ..Told::default() };
        for port in ports {
            let state = Self::state(web, port).await?;
            let taken = match &self.watts {
                None => None,
                Some(sensor) => {
                    let name = port.split_once('.').map_or(port.as_str(), |(_, name)| name);
                    watts(&Self::state(web, &sensor.replace("{port}", name)).await?)
                }
            };
            let reading = is_on(&state).map_or_else(PortReading::default, |on| supply(on, taken));
            told.ports.push((port.clone(), reading));
        }
        Ok(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_are_read_in_their_units_and_what_is_unavailable_tells_nothing() {
        let state = |state: &str| json!({ "entity_id": "switch.node1", "state": state, "attributes": {} });
        assert_eq!(is_on(&state("on")), Some(true));
        assert_eq!(is_on(&state("off")), Some(false));
        assert_eq!((is_on(&state("unavailable")), is_on(&state("unknown"))), (None, None));
        let sensor = |state: &str, unit: &str| json!({ "state": state, "attributes": { "unit_of_measurement": unit } });
        assert_eq!(watts(&sensor("12.5", "W")), Some(12.5));
        assert_eq!(watts(&sensor("0.25", "kW")), Some(250.0));
        assert_eq!((watts(&sensor("1", "kWh")), watts(&sensor("unavailable", "W"))), (None, None));
    }
}
