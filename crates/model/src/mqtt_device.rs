//! Switches behind an MQTT broker, and what they are asked with.

use alloc::string::String;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::SecretRef;

/// Switches behind a broker. `{port}` in a topic becomes the port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MqttDevice {
    /// Where the broker is: `mqtt://HOST` or `mqtts://HOST`, with a port where that is not 1883 or 8883.
    pub url: String,
    /// Where `USER:PASSWORD` is kept.
    #[serde(default)]
    pub credentials: Option<SecretRef>,
    /// SHA-256 of the broker's certificate, for mqtts: `sha256:` and 64 hexadecimal digits.
    #[serde(default)]
    pub certificate: Option<String>,
    /// What is said and heard.
    pub topics: MqttTopics,
}

/// What is said and heard of switches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "way", rename_all = "kebab-case")]
pub enum MqttTopics {
    /// As `Zigbee2MQTT` does. A port is a device's name, or `NAME:ENDPOINT` of one with several outlets.
    Zigbee2mqtt {
        /// What stands before every topic.
        base: String,
    },
    /// As the lab file says.
    Own {
        /// Where it is told.
        set: String,
        /// Where it tells.
        state: String,
        /// Where it is said whether the device is there: `online` or anything else.
        availability: Option<String>,
        /// What is said to switch on, and heard of one that is on.
        on: String,
        /// What is said to switch off, and heard of one that is off.
        off: String,
        /// Which field of it is meant, where a state is JSON.
        key: Option<String>,
        /// Which field is the power that it takes, in watts.
        watts: Option<String>,
    },
}
