//! Power devices: how each is reached, and what it tells of its ports.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{MqttDevice, MqttTopics, RelayWiring, RelaysDevice, SnmpDevice, Span, WebDevice, WebDialect};

/// Code of an order that a device refused after it pressed the button otherwise: it believed the machine in the other
/// state. What is seen of the machine after that counts.
pub const OUT_OF_STEP: &str = "out-of-step";

/// A device that switches machines: a relay board, a plug, a controller inside the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeviceSpec {
    /// How it is spoken to.
    #[serde(flatten)]
    pub kind: DeviceKind,
    /// Pause between two machines that are switched on by it, in milliseconds: they share a supply.
    pub stagger: Span,
    /// Ports that nobody may switch: what hangs on them is no machine of the lab, or is the boss itself.
    #[serde(default)]
    pub protect: BTreeSet<String>,
    /// A machine that takes this much or less, in milliwatts, is off. Absent where nothing measures, or nobody said.
    #[serde(default)]
    pub standby: Option<u32>,
}

/// How a power device is spoken to, one variant a driver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum DeviceKind {
    /// The original relay board, whose relays are wired to power buttons; and boards of ours that speak frames on the
    /// same line.
    Relayinator {
        /// The serial port, such as `/dev/serial/by-id/usb-…`.
        device: String,
    },
    /// Programs of the owner's. `{port}` in an argument becomes the port.
    Command {
        /// Switches on.
        on: Vec<String>,
        /// Switches off.
        off: Vec<String>,
        /// Prints `on`, `off` or `unknown`; absent where nothing can tell.
        #[serde(default)]
        status: Option<Vec<String>>,
    },
    /// The controller inside a server, by IPMI 2.0 over the network. It has one machine: the port is `1`.
    Ipmi {
        /// Where it is: a name or address, and `:PORT` where that is not 623.
        host: String,
        /// Where `USER:PASSWORD` is kept.
        credentials: SecretRef,
        /// Cipher suite of its sessions: 3 or 17.
        suite: u8,
    },
    /// A device that speaks HTTP.
    Web {
        /// In which way.
        dialect: WebDialect,
        /// Where, and as whom.
        #[serde(flatten)]
        device: WebDevice,
    },
    /// Addresses that are asked for, one for each deed. `{port}` in one becomes the port.
    Webhook {
        /// Switches on: an address, or `GET` or `POST` and an address.
        on: String,
        /// Switches off.
        off: String,
        /// Answers `on`, `off` or `unknown`; absent where nothing can tell.
        #[serde(default)]
        status: Option<String>,
        /// Where `USER:PASSWORD` or a token is kept.
        #[serde(default)]
        credentials: Option<SecretRef>,
        /// SHA-256 of the certificate, for https.
        #[serde(default)]
        certificate: Option<String>,
    },
    /// Outlets that are switched by SNMP.
    Snmp(Box<SnmpDevice>),
    /// Switches behind an MQTT broker.
    Mqtt(Box<MqttDevice>),
    /// Magic packets on the lab's own wire. They wake machines; what stops one is its agent. A port may have any name.
    WakeOnLan,
    /// Virtual machines of a libvirt, by their names.
    Libvirt {
        /// Where it is, as `virsh -c` takes it.
        uri: String,
    },
    /// Ports of USB hubs that switch them one by one: `LOCATION:PORT`, such as `1-1.4:2`.
    Uhubctl,
    /// Relays on a serial port.
    Relays(Box<RelaysDevice>),
    /// Pins of this computer, across power buttons: `PIN`, or `PIN:PIN` where the second senses the power LED.
    Gpio {
        /// The chip, such as `gpiochip0`.
        chip: String,
        /// True where a pin presses when it is low.
        active_low: bool,
    },
}

impl DeviceKind {
    /// The driver's name, as the lab file has it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Relayinator { .. } => "relayinator",
            Self::Command { .. } => "command",
            Self::Ipmi { .. } => "ipmi",
            Self::Web { dialect, .. } => dialect.word(),
            Self::Webhook { .. } => "webhook",
            Self::Snmp(_) => "snmp",
            Self::Mqtt(device) => match device.topics {
                MqttTopics::Zigbee2mqtt { .. } => "zigbee2mqtt",
                MqttTopics::Own { .. } => "mqtt",
            },
            Self::WakeOnLan => "wake-on-lan",
            Self::Libvirt { .. } => "libvirt",
            Self::Uhubctl => "uhubctl",
            Self::Relays(_) => "relays",
            Self::Gpio { .. } => "gpio",
        }
    }

    /// True where its ports are buttons: what a press does depends on whether the machine runs.
    #[must_use]
    pub fn presses(&self) -> bool {
        match self {
            Self::Relayinator { .. } | Self::Gpio { .. } => true,
            Self::Relays(device) => matches!(device.wiring, RelayWiring::Button),
            Self::Command { .. }
            | Self::Ipmi { .. }
            | Self::Web { .. }
            | Self::Webhook { .. }
            | Self::Snmp(_)
            | Self::Mqtt(_)
            | Self::WakeOnLan
            | Self::Libvirt { .. }
            | Self::Uhubctl => false,
        }
    }
}

/// Where a password or token is kept. It is never written in the lab file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SecretRef {
    /// In the sealed store of the state folder, under this name: `secret:NAME`.
    Kept(String),
    /// In a file that only its owner reads: `file:/etc/…`.
    File(String),
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept(name) => write!(f, "secret:{name}"),
            Self::File(path) => write!(f, "file:{path}"),
        }
    }
}

/// What a device tells of one port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PortReading {
    /// What it senses, or believes.
    pub sense: PortSense,
    /// What the machine takes, in milliwatts, where that is measured.
    #[serde(default)]
    pub milliwatts: Option<u32>,
}

/// What a device knows of a port, and how well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "sense", content = "on", rename_all = "kebab-case")]
pub enum PortSense {
    /// Nothing.
    #[default]
    Nothing,
    /// What it did last, which says nothing about the machine.
    Believed(bool),
    /// Whether the machine's supply is connected: one without supply is off, one with supply may run.
    Supply(bool),
    /// Whether the machine runs: its power LED, its own controller, its hypervisor.
    Machine(bool),
}

/// What is seen of a power device as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "device", rename_all = "kebab-case")]
pub enum DeviceSight {
    /// It answers.
    Answers {
        /// What it says it is.
        about: String,
    },
    /// It began anew: what it believed of its ports is forgotten, and buttons may have been pressed by that.
    Restarted {
        /// How that was seen.
        how: String,
    },
    /// It does not answer, or not as it should.
    Lost {
        /// Stable word of the reason.
        code: String,
        /// For a person.
        why: String,
    },
}

/// Megabits a second of a link whose speed a switch does not tell: slower than any that is, so that nothing is taken for
/// the link of a machine that runs by that.
pub const SPEED_UNTOLD: u32 = 1;

/// What a switch tells of the port that a machine is plugged into.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LinkReading {
    /// False while the switch keeps the port off: then the link says nothing about the machine.
    pub enabled: bool,
    /// Speed of the link in megabits a second; absent where there is none.
    pub mbit: Option<u32>,
    /// True while the switch itself does not answer: then nothing is known of the link, and `enabled` is false, for
    /// silence says nothing either.
    #[serde(default)]
    pub lost: bool,
}

impl fmt::Display for LinkReading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.enabled, self.mbit) {
            _ if self.lost => f.write_str("its switch does not answer"),
            (false, _) => f.write_str("its switch port is off"),
            (true, None) => f.write_str("no link"),
            (true, Some(SPEED_UNTOLD)) => f.write_str("a link whose speed is not told"),
            (true, Some(mbit)) => write!(f, "link at {mbit} Mbit/s"),
        }
    }
}

impl fmt::Display for PortSense {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "nothing",
            Self::Believed(true) => "that it believes it on",
            Self::Believed(false) => "that it believes it off",
            Self::Supply(true) => "that its supply is connected",
            Self::Supply(false) => "that its supply is cut",
            Self::Machine(true) => "that it runs",
            Self::Machine(false) => "that it is off",
        })
    }
}

impl fmt::Display for PortReading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sense.fmt(f)?;
        match self.milliwatts {
            Some(taken) => write!(f, ", {}.{} W", taken / 1000, taken % 1000 / 100),
            None => Ok(()),
        }
    }
}

impl fmt::Display for DeviceSight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answers { about } if about.is_empty() => f.write_str("it answers"),
            Self::Answers { about } => write!(f, "it answers ({about})"),
            Self::Restarted { how } => write!(f, "it began anew: {how}"),
            Self::Lost { code, why } => write!(f, "lost: {why} ({code})"),
        }
    }
}
