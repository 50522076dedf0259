//! Switches behind an MQTT broker.

use model::{DeviceKind, MqttDevice, MqttTopics};
use wire::mqtt::is_topic;

use super::network::{certificate, needed, option};
use super::{Kind, Opt, PortNames, Read, Shape};

const URL: Opt = needed(
    "broker",
    "mqtt://10.0.0.5",
    Shape::Text,
    "Where the broker is: `mqtt://HOST` or `mqtts://HOST`, with a port where that is not 1883 or 8883.",
);
const CREDENTIALS: Opt =
    option("credentials", Shape::Secret, "Where `USER:PASSWORD` is kept: `secret:NAME` or `file:/PATH`.");
const CERTIFICATE: Opt = option(
    "certificate",
    Shape::Text,
    "SHA-256 of the broker's certificate, for mqtts: `sha256:` and 64 hexadecimal digits.",
);

/// Plugs behind `Zigbee2MQTT`.
pub(super) const ZIGBEE2MQTT: Kind = Kind {
    word: "zigbee2mqtt",
    about: "plugs behind Zigbee2MQTT",
    options: &[
        URL,
        CREDENTIALS,
        CERTIFICATE,
        option("base-topic", Shape::Text, "What stands before every topic; `zigbee2mqtt` unless told."),
    ],
    ports: PortNames::Any,
    build: |read| {
        let base = read.maybe("base-topic", topic)?;
        let base = base.unwrap_or_else(|| "zigbee2mqtt".to_owned());
        device(read, MqttTopics::Zigbee2mqtt { base })
    },
};

/// Topics of the owner's.
pub(super) const MQTT: Kind = Kind {
    word: "mqtt",
    about: "switches behind an MQTT broker, by topics of the owner's",
    options: &[
        URL,
        CREDENTIALS,
        CERTIFICATE,
        needed(
            "set-topic",
            "\"cmnd/{port}/POWER\"",
            Shape::Text,
            "Where a switch is told; `{port}` becomes the port.",
        ),
        needed("state-topic", "\"stat/{port}/POWER\"", Shape::Text, "Where it tells how it is."),
        option(
            "availability-topic",
            Shape::Text,
            "Where it is said whether it is there: `online`, or anything else.",
        ),
        option(
            "on-payload",
            Shape::Text,
            "What is said to switch on, and heard of one that is on; `ON` unless told.",
        ),
        option("off-payload", Shape::Text, "The same of off; `OFF` unless told."),
        option("state-key", Shape::Text, "Which field says on or off, where a state is JSON."),
        option("watts-key", Shape::Text, "Which field of the state is the power, in watts."),
    ],
    ports: PortNames::Any,
    build: |read| {
        let (set, state) = (port_topic(read, "set-topic"), port_topic(read, "state-topic"));
        let availability = read.maybe("availability-topic", topic)?;
        let word = |read: &mut Read<'_>, key, otherwise: &str| {
            Some(read.maybe(key, Read::text)?.map_or_else(|| otherwise.to_owned(), |typed| typed.value))
        };
        let (on, off) = (word(read, "on-payload", "ON")?, word(read, "off-payload", "OFF")?);
        if on == off {
            let place = read.place("off-payload").or_else(|| read.place("on-payload"))?;
            let help = "a switch that is on and one that is off must say different things";
            read.wrong("on and off have the same payload".to_owned(), place, "the same word", help);
            return None;
        }
        let key = read.maybe("state-key", Read::text)?.map(|typed| typed.value);
        let watts = read.maybe("watts-key", Read::text)?.map(|typed| typed.value);
        device(read, MqttTopics::Own { set: set?, state: state?, availability, on, off, key, watts })
    },
};

fn device(read: &mut Read<'_>, topics: MqttTopics) -> Option<DeviceKind> {
    let url = broker(read);
    let credentials = read.maybe("credentials", Read::secret)?;
    let certificate = certificate(read)?;
    Some(DeviceKind::Mqtt(Box::new(MqttDevice { url: url?, credentials, certificate, topics })))
}

fn broker(read: &mut Read<'_>) -> Option<String> {
    let typed = read.text("broker")?;
    let rest = typed.value.strip_prefix("mqtt://").or_else(|| typed.value.strip_prefix("mqtts://"));
    let right = rest.is_some_and(|host| !host.is_empty() && !host.contains(['@', '/', ' ']));
    if !right {
        let title = format!("`{}` is no broker", typed.value);
        let help = "for example `mqtt://10.0.0.5`; user and password belong into `credentials`";
        read.wrong(title, typed.place, "not `mqtt://HOST` or `mqtts://HOST`", help);
    }
    right.then_some(typed.value)
}

/// A topic.
fn topic(read: &mut Read<'_>, key: &'static str) -> Option<String> {
    let typed = read.text(key)?;
    let right = is_topic(&typed.value);
    if !right {
        let title = format!("`{}` is no topic", typed.value);
        read.wrong(title, typed.place, "empty, or with `+` or `#`", "one topic is needed, not many");
    }
    right.then_some(typed.value)
}

/// A topic with `{port}` in it, so that every port has its own.
fn port_topic(read: &mut Read<'_>, key: &'static str) -> Option<String> {
    let place = read.place(key);
    let topic = topic(read, key)?;
    if !topic.contains("{port}") {
        let title = format!("`{key}` is the same for every port");
        read.wrong(title, place?, "without `{port}`", "for example `\"home/{port}/set\"`");
        return None;
    }
    Some(topic)
}
