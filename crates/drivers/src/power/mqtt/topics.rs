//! What is said and heard of switches behind a broker: those of `Zigbee2MQTT`, and the lab file's own.

use std::collections::BTreeMap;

use model::{MqttTopics, PortReading, PortSense};
use serde_json::Value;
use wire::mqtt::is_topic;

use super::super::web::milliwatts;

/// What becomes the port in a topic.
const PORT: &str = "{port}";

/// What was heard of one switch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Known {
    on: Option<bool>,
    milliwatts: Option<u32>,
    /// Whether it is said to be there; absent where nobody says.
    there: Option<bool>,
}

/// The switches, and what is known of them.
#[derive(Debug)]
pub(super) struct Switches {
    topics: MqttTopics,
    known: BTreeMap<String, Known>,
    /// Whether what speaks for them is there, as its last will says.
    bridge: Option<bool>,
}

/// What a message brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// Nothing.
    None,
    /// Something changed.
    Changed,
    /// What speaks for the switches is back, so that what it said before is old.
    Back,
}

/// Name and endpoint of a port of `Zigbee2MQTT`.
fn endpoint(port: &str) -> (&str, String) {
    match port.rsplit_once(':') {
        Some((name, endpoint)) => (name, format!("_{endpoint}")),
        None => (port, String::new()),
    }
}

/// Whether it says that somebody is there: `online` by itself or as `{"state": "online"}`, in whatever case. Anything
/// else, a last will among it, says no.
fn is_online(payload: &[u8]) -> bool {
    let text = String::from_utf8_lossy(payload);
    let field = serde_json::from_slice::<Value>(payload).ok();
    let field = field.as_ref().and_then(|value| value.get("state")?.as_str());
    field.unwrap_or_else(|| text.trim()).eq_ignore_ascii_case("online")
}

/// A field's word, whatever kind of JSON it is.
fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

impl Switches {
    pub(super) fn new(topics: MqttTopics, ports: Vec<String>) -> Self {
        let known = ports.into_iter().map(|port| (port, Known::default())).collect();
        Self { topics, known, bridge: None }
    }

    /// Nothing is known any more.
    pub(super) fn forget(&mut self) {
        self.bridge = None;
        for known in self.known.values_mut() {
            *known = Known::default();
        }
    }

    pub(super) fn ports(&self) -> impl Iterator<Item = &String> {
        self.known.keys()
    }

    /// All that is listened to.
    pub(super) fn filters(&self) -> Vec<String> {
        let mut all = Vec::new();
        if let MqttTopics::Zigbee2mqtt { base } = &self.topics {
            all.push(format!("{base}/bridge/state"));
        }
        for port in self.known.keys() {
            all.push(self.state_of(port));
            all.extend(self.availability_of(port));
        }
        all.sort_unstable();
        all.dedup();
        all
    }

    fn state_of(&self, port: &str) -> String {
        match &self.topics {
            MqttTopics::Zigbee2mqtt { base } => format!("{base}/{}", endpoint(port).0),
            MqttTopics::Own { state, .. } => state.replace(PORT, port),
        }
    }

    fn availability_of(&self, port: &str) -> Option<String> {
        match &self.topics {
            MqttTopics::Zigbee2mqtt { base } => Some(format!("{base}/{}/availability", endpoint(port).0)),
            MqttTopics::Own { availability, .. } => Some(availability.as_ref()?.replace(PORT, port)),
        }
    }

    /// Where to say what, to switch a port; `None` of a port that makes no topic.
    pub(super) fn order(&self, port: &str, on: bool) -> Option<(String, String)> {
        let (topic, said) = match &self.topics {
            MqttTopics::Zigbee2mqtt { base } => {
                let (name, endpoint) = endpoint(port);
                let word = if on { "ON" } else { "OFF" };
                let said = serde_json::json!({ format!("state{endpoint}"): word });
                (format!("{base}/{name}/set"), said.to_string())
            }
            MqttTopics::Own { set, on: yes, off: no, .. } => {
                (set.replace(PORT, port), if on { yes.clone() } else { no.clone() })
            }
        };
        is_topic(&topic).then_some((topic, said))
    }

    /// Where to say what, so that a port's state is said anew, where that can be asked for.
    pub(super) fn question(&self, port: &str) -> Option<(String, String)> {
        let MqttTopics::Zigbee2mqtt { base } = &self.topics else { return None };
        let (name, endpoint) = endpoint(port);
        let said = serde_json::json!({ format!("state{endpoint}"): "" });
        let topic = format!("{base}/{name}/get");
        is_topic(&topic).then_some((topic, said.to_string()))
    }

    /// Takes a message in.
    pub(super) fn hear(&mut self, topic: &str, payload: &[u8]) -> News {
        if let MqttTopics::Zigbee2mqtt { base } = &self.topics
            && topic.strip_prefix(base.as_str()) == Some("/bridge/state")
        {
            let before = self.bridge.replace(is_online(payload));
            return match (before, self.bridge) {
                (Some(false), Some(true)) => News::Back,
                (before, now) if before != now => News::Changed,
                _ => News::None,
            };
        }
        let mut news = News::None;
        let ports: Vec<String> = self.known.keys().cloned().collect();
        for port in ports {
            let is_state = self.state_of(&port) == topic;
            let is_availability = self.availability_of(&port).as_deref() == Some(topic);
            let heard = is_state.then(|| self.heard(&port, payload));
            let Some(known) = self.known.get_mut(&port) else { continue };
            let before = known.clone();
            if let Some((on, taken)) = heard {
                known.on = on;
                known.milliwatts = taken.or(known.milliwatts);
            }
            if is_availability {
                known.there = Some(is_online(payload));
            }
            news = if before == *known { news } else { News::Changed };
        }
        news
    }

    /// What a state says: on, off, or neither; and the power.
    fn heard(&self, port: &str, payload: &[u8]) -> (Option<bool>, Option<u32>) {
        let json = serde_json::from_slice::<Value>(payload).ok();
        let field = |key: &str| json.as_ref().and_then(|json| json.get(key));
        let watts = |key: &str| milliwatts(field(key)?.as_f64()?);
        let (said, yes, no, taken) = match &self.topics {
            MqttTopics::Zigbee2mqtt { .. } => {
                let (_, endpoint) = endpoint(port);
                let said = field(&format!("state{endpoint}")).map(word);
                (said, "ON", "OFF", watts(&format!("power{endpoint}")))
            }
            MqttTopics::Own { on, off, key, watts: power, .. } => {
                let said = match key {
                    Some(key) => field(key).map(word),
                    None => std::str::from_utf8(payload).ok().map(|text| text.trim().to_owned()),
                };
                (said, on.as_str(), off.as_str(), power.as_deref().and_then(watts))
            }
        };
        let on = match said.as_deref() {
            Some(said) if said == yes => Some(true),
            Some(said) if said == no => Some(false),
            _ => None,
        };
        (on, taken)
    }

    /// Whether something was heard of a port's state since it was forgotten.
    pub(super) fn is_known(&self, port: &str) -> bool {
        self.known.get(port).is_some_and(|known| known.on.is_some())
    }

    /// What is known of a port. Of what is gone, nothing: a state that was kept says how it was once.
    pub(super) fn reading(&self, port: &str) -> PortReading {
        let gone = |there: Option<bool>| there == Some(false);
        match self.known.get(port) {
            Some(known) if !gone(known.there) && !gone(self.bridge) => PortReading {
                sense: known.on.map_or(PortSense::Nothing, PortSense::Supply),
                milliwatts: known.milliwatts,
            },
            _ => PortReading::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zigbee(ports: &[&str]) -> Switches {
        let topics = MqttTopics::Zigbee2mqtt { base: "zigbee2mqtt".to_owned() };
        Switches::new(topics, ports.iter().map(|port| (*port).to_owned()).collect())
    }

    fn supply(on: bool, milliwatts: Option<u32>) -> PortReading {
        PortReading { sense: PortSense::Supply(on), milliwatts }
    }

    #[test]
    fn zigbee2mqtt_is_spoken_to_as_its_pages_say() {
        let mut all = zigbee(&["rack/plug1", "strip:l2"]);
        assert_eq!(
            all.filters(),
            [
                "zigbee2mqtt/bridge/state",
                "zigbee2mqtt/rack/plug1",
                "zigbee2mqtt/rack/plug1/availability",
                "zigbee2mqtt/strip",
                "zigbee2mqtt/strip/availability",
            ]
        );
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(all.order("rack/plug1", true), pair("zigbee2mqtt/rack/plug1/set", "{\"state\":\"ON\"}"));
        assert_eq!(all.order("strip:l2", false), pair("zigbee2mqtt/strip/set", "{\"state_l2\":\"OFF\"}"));
        assert_eq!(all.question("strip:l2"), pair("zigbee2mqtt/strip/get", "{\"state_l2\":\"\"}"));
        assert_eq!(all.order("a/#", true), None);

        let state = br#"{"state":"ON","power":12.5,"linkquality":120}"#;
        assert_eq!(all.hear("zigbee2mqtt/rack/plug1", state), News::Changed);
        assert_eq!(all.reading("rack/plug1"), supply(true, Some(12_500)));
        assert_eq!(all.hear("zigbee2mqtt/rack/plug1", state), News::None);
        assert_eq!(all.hear("zigbee2mqtt/strip", br#"{"state_l1":"ON","state_l2":"OFF"}"#), News::Changed);
        assert_eq!(all.reading("strip:l2"), supply(false, None));
        assert_eq!(all.hear("zigbee2mqtt/other", state), News::None);
    }

    #[test]
    fn who_is_gone_is_unknown_whatever_was_kept_of_it() {
        let mut all = zigbee(&["plug1"]);
        all.hear("zigbee2mqtt/plug1", br#"{"state":"OFF"}"#);
        // Releases before 2 say it without JSON.
        for (topic, gone, back) in [
            ("zigbee2mqtt/plug1/availability", &br#"{"state":"offline"}"#[..], &br#"{"state":"online"}"#[..]),
            ("zigbee2mqtt/plug1/availability", b"offline", b"online"),
            ("zigbee2mqtt/bridge/state", br#"{"state":"offline"}"#, br#"{"state":"online"}"#),
            ("zigbee2mqtt/bridge/state", b"offline", b"online"),
        ] {
            assert_eq!(all.hear(topic, gone), News::Changed, "{topic}");
            assert_eq!(all.reading("plug1"), PortReading::default(), "{topic}");
            let news = all.hear(topic, back);
            assert_eq!(news, if topic.contains("bridge") { News::Back } else { News::Changed }, "{topic}");
            assert_eq!(all.reading("plug1"), supply(false, None), "{topic}");
        }
        all.forget();
        assert!(!all.is_known("plug1"));
    }

    #[test]
    fn states_of_ones_own_are_words_or_a_field_of_json() {
        let own = |key: Option<&str>| MqttTopics::Own {
            set: "cmnd/{port}/POWER".to_owned(),
            state: "stat/{port}/POWER".to_owned(),
            availability: Some("tele/{port}/LWT".to_owned()),
            on: if key.is_some() { "true" } else { "ON" }.to_owned(),
            off: if key.is_some() { "false" } else { "OFF" }.to_owned(),
            key: key.map(ToOwned::to_owned),
            watts: key.map(|_| "apower".to_owned()),
        };
        let mut words = Switches::new(own(None), vec!["desk".to_owned()]);
        assert_eq!(words.order("desk", true), Some(("cmnd/desk/POWER".to_owned(), "ON".to_owned())));
        assert_eq!((words.question("desk"), words.filters().len()), (None, 2));
        for (said, wanted) in
            [(&b"ON"[..], Some(true)), (b" OFF\n", Some(false)), (b"on", None), (b"", None), (b"\xff", None)]
        {
            words.hear("stat/desk/POWER", said);
            let sense = wanted.map_or(PortSense::Nothing, PortSense::Supply);
            assert_eq!(words.reading("desk").sense, sense, "{said:?}");
        }
        words.hear("stat/desk/POWER", b"ON");
        words.hear("tele/desk/LWT", b"Offline");
        assert_eq!(words.reading("desk"), PortReading::default());
        words.hear("tele/desk/LWT", b"Online");
        assert_eq!(words.reading("desk"), supply(true, None));
        let mut json = Switches::new(own(Some("output")), vec!["desk".to_owned()]);
        json.hear("stat/desk/POWER", br#"{"id":0,"output":true,"apower":8.9}"#);
        assert_eq!(json.reading("desk"), supply(true, Some(8_900)));
        json.hear("stat/desk/POWER", br#"{"id":0}"#);
        assert_eq!(json.reading("desk").sense, PortSense::Nothing);
    }
}
