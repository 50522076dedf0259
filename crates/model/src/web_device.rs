//! Power devices that speak HTTP, and what they are asked with.

use alloc::string::String;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::SecretRef;

/// Which of the makers' ways a device speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WebDialect {
    /// Tasmota's commands over HTTP; ports are its relays, from 1.
    Tasmota,
    /// Shelly, of either kind: generation 1, and 2 and later, which it says itself; ports are its relays, from 0.
    Shelly,
    /// `ESPHome`'s web server; ports are its switches, by their ids.
    Esphome,
    /// Home Assistant's REST API; ports are its entities.
    HomeAssistant,
    /// Redfish; the port is a system of it, by its id, or `1` for the only one.
    Redfish,
    /// Proxmox VE; ports are its machines, by their numbers.
    Proxmox,
    /// Intel AMT, which has one machine.
    Amt,
}

impl WebDialect {
    /// The driver's name, as the lab file has it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Tasmota => "tasmota",
            Self::Shelly => "shelly",
            Self::Esphome => "esphome",
            Self::HomeAssistant => "home-assistant",
            Self::Redfish => "redfish",
            Self::Proxmox => "proxmox",
            Self::Amt => "amt",
        }
    }
}

/// A device that speaks HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WebDevice {
    /// Where it is: `http://HOST` or `https://HOST`, with a port and a path where it has them.
    pub url: String,
    /// Where `USER:PASSWORD` is kept, or a password or token alone.
    #[serde(default)]
    pub credentials: Option<SecretRef>,
    /// SHA-256 of its certificate, for https: `sha256:` and 64 hexadecimal digits.
    #[serde(default)]
    pub certificate: Option<String>,
    /// What tells the power that a port takes, where the device has that apart; `{port}` becomes the port.
    #[serde(default)]
    pub watts: Option<String>,
}
