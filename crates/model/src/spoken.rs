//! Reading what a newer or older release says: what is not known is passed over, and named.
//!
//! A field that one does not know is nothing new to serde. But a word that one does not know, as a new order or a new
//! state, would make the whole unreadable: an agent would obey nobody, and a machine would count as lost. So what cannot
//! be read is left out by itself, a field or an entry of a list, as if it had not been said.

use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{AgentBeat, AgentReport, AgentWelcome};

/// What agent and counter say to each other.
pub trait Spoken: Default + Serialize + DeserializeOwned {
    /// Without these there is nothing to listen to.
    const NEEDED: &'static [&'static str];
}

impl Spoken for AgentReport {
    const NEEDED: &'static [&'static str] = &["mac", "boot_id"];
}

impl Spoken for AgentBeat {
    const NEEDED: &'static [&'static str] = &["mac", "boot_id"];
}

impl Spoken for AgentWelcome {
    const NEEDED: &'static [&'static str] = &[];
}

/// Reads a body, and names what in it was not understood and left out.
///
/// # Errors
/// It is no JSON object, or lacks what is needed.
pub fn read_spoken<T: Spoken>(body: &[u8]) -> Result<(T, Vec<String>), serde_json::Error> {
    let strict = match serde_json::from_slice(body) {
        Ok(whole) => return Ok((whole, Vec::new())),
        Err(why) => why,
    };
    let Ok(Value::Object(said)) = serde_json::from_slice(body) else { return Err(strict) };
    let Ok(Value::Object(mut known)) = serde_json::to_value(T::default()) else { return Err(strict) };
    if T::NEEDED.iter().any(|name| !fits::<T>(&known, name, said.get(*name).unwrap_or(&Value::Null))) {
        return Err(strict);
    }
    let mut unknown = Vec::new();
    for (name, value) in said {
        if fits::<T>(&known, &name, &value) {
            known.insert(name, value);
        } else if let Value::Array(all) = value {
            let before = all.len();
            let one = |entry: &Value| fits::<T>(&known, &name, &Value::Array([entry.clone()].into()));
            let kept: Vec<Value> = all.into_iter().filter(one).collect();
            unknown.push(format!("{} of {before} {name}", before - kept.len()));
            // Of a list of which nothing is understood nothing was said.
            if !kept.is_empty() {
                known.insert(name, Value::Array(kept));
            }
        } else {
            unknown.push(match value {
                Value::String(word) => format!("{name} `{}`", word.chars().take(40).collect::<String>()),
                _ => name.as_str().to_owned(),
            });
        }
    }
    Ok((serde_json::from_value(Value::Object(known))?, unknown))
}

fn fits<T: Spoken>(known: &Map<String, Value>, name: &str, value: &Value) -> bool {
    let mut with = known.clone();
    with.insert(name.to_owned(), value.clone());
    serde_json::from_value::<T>(Value::Object(with)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AgentOrder;

    fn read<T: Spoken>(text: &str) -> (T, Vec<String>) {
        read_spoken(text.as_bytes()).unwrap()
    }

    #[test]
    fn an_order_that_is_not_known_is_not_carried_out_and_is_named() {
        let (welcome, unknown): (AgentWelcome, _) =
            read(r#"{"node":"node1","order":"dance","report_again":false,"guests":{"a":1},"tempo":4}"#);
        assert_eq!((welcome.node, welcome.order), (Some("node1".parse().unwrap()), AgentOrder::Stay));
        assert_eq!(welcome.guests, None, "nothing is said of guests: what runs goes on");
        assert_eq!(unknown, ["guests", "order `dance`"]);
    }

    #[test]
    fn of_a_list_what_is_understood_is_kept() {
        let one = r#"{"node":"g1","mac":"02:00:00:00:00:01","host":"node1","host_boot":"b","state":"running",
            "order":1,"starts":1,"ended":null,"evidence":""}"#;
        let other = one.replace("running", "dreaming");
        let beat = std::format!(
            r#"{{"mac":"02:00:00:00:00:09","boot_id":"b","uptime_ms":1,"load_milli":0,"memory_available_mib":1,
                "guests":[{other},{one}]}}"#
        );
        let (beat, unknown): (AgentBeat, _) = read(&beat);
        assert_eq!((beat.guests.len(), unknown), (1, [String::from("1 of 2 guests")].into()));
    }

    #[test]
    fn without_what_is_needed_nothing_is_heard() {
        for wrong in ["", "[]", "{}", r#"{"mac":"x","boot_id":"b"}"#, r#"{"mac":"02:00:00:00:00:09"}"#] {
            assert!(read_spoken::<AgentBeat>(wrong.as_bytes()).is_err(), "{wrong}");
        }
        let (beat, unknown): (AgentBeat, _) = read(r#"{"mac":"02:00:00:00:00:09","boot_id":"b"}"#);
        assert_eq!(
            (beat.boot_id.as_str(), unknown.len()),
            ("b", 0),
            "numbers that a later release no longer says"
        );
    }
}
