//! Drivers of power devices as the lab file has them: one table entry each, with its options, what they look like, and
//! how they become a [`DeviceKind`].
//!
//! A new driver is an entry in [`KINDS`], a variant of [`DeviceKind`], and a `Device` in `drivers::power`. Reading,
//! complaints and the schema of the lab file follow from the entry.

mod local;
mod mqtt;
mod network;
mod reads;
pub(super) mod snmp;

use model::DeviceKind;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::file::PowerFile;
use super::yaml::Entry;

pub(super) use network::{address, certificate, host};
pub(super) use reads::{Read, device, is_port, is_port_of, secret_ref};

/// One driver.
#[derive(Debug)]
pub(super) struct Kind {
    /// Its name in the lab file.
    pub(super) word: &'static str,
    /// One sentence, for editors.
    pub(super) about: &'static str,
    /// Its options besides `stagger`, `protect` and `standby`.
    pub(super) options: &'static [Opt],
    /// What its ports are called.
    pub(super) ports: PortNames,
    /// Makes it of its options. `None` when one of them was wrong, which was said then.
    pub(super) build: fn(&mut Read<'_>) -> Option<DeviceKind>,
}

/// What the ports of a device are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PortNames {
    /// Numbers from 1 to this one.
    UpTo(u16),
    /// Whatever its owner calls them.
    Any,
}

/// One option of a driver.
#[derive(Debug)]
pub(super) struct Opt {
    /// Its key.
    pub(super) key: &'static str,
    /// What could be written, for one that must be there.
    pub(super) needed: Option<&'static str>,
    /// What it looks like.
    pub(super) shape: Shape,
    /// One sentence, for editors.
    pub(super) about: &'static str,
}

/// What an option looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// One word or line.
    Text,
    /// A list of words: a program and its arguments.
    Words,
    /// A whole number.
    Number,
    /// `secret:NAME` or `file:PATH`.
    Secret,
    /// One of these words.
    Choice(&'static [&'static str]),
}

/// An option as it was typed.
#[derive(Debug, Clone)]
pub struct Given {
    pub(super) key: &'static str,
    pub(super) entry: Entry,
}

/// All drivers of devices, by name.
pub(super) const KINDS: &[Kind] = &[
    Kind {
        word: "relayinator",
        about: "relay board on a serial line whose relays are wired to power buttons",
        options: &[Opt {
            key: "device",
            needed: Some("/dev/serial/by-id/usb-…"),
            shape: Shape::Text,
            about: "Serial port, such as `/dev/serial/by-id/usb-…`, or `tcp://HOST:PORT` of one elsewhere.",
        }],
        ports: PortNames::UpTo(8),
        build: |read| {
            let device = read.text("device")?;
            let right = device.value.starts_with("/dev/") || device.value.starts_with("tcp://");
            if !right {
                read.wrong(
                    format!("`{}` is not a serial port", device.value),
                    device.place,
                    "a path below /dev, or `tcp://HOST:PORT`",
                    "`ls /dev/serial/by-id` lists what is plugged in, by names that stay",
                );
            }
            right.then_some(DeviceKind::Relayinator { device: device.value })
        },
    },
    Kind {
        word: "command",
        about: "programs of the owner's that switch and tell",
        options: &[
            Opt {
                key: "on",
                needed: Some("[/usr/local/bin/plug, on, \"{port}\"]"),
                shape: Shape::Words,
                about: "Program and arguments that switch a port on; `{port}` becomes the port. No shell sees them.",
            },
            Opt {
                key: "off",
                needed: Some("[/usr/local/bin/plug, off, \"{port}\"]"),
                shape: Shape::Words,
                about: "Program and arguments that switch a port off.",
            },
            Opt {
                key: "status",
                needed: None,
                shape: Shape::Words,
                about: "Program and arguments that print `on`, `off` or `unknown`.",
            },
        ],
        ports: PortNames::Any,
        build: |read| {
            let (on, off) = (read.words("on"), read.words("off"));
            let status = read.maybe_words("status")?;
            Some(DeviceKind::Command { on: on?, off: off?, status })
        },
    },
    network::IPMI,
    network::REDFISH,
    network::TASMOTA,
    network::SHELLY,
    network::ESPHOME,
    network::HOME_ASSISTANT,
    network::WEBHOOK,
    network::WAKE_ON_LAN,
    snmp::SNMP,
    mqtt::MQTT,
    mqtt::ZIGBEE2MQTT,
    network::PROXMOX,
    network::AMT,
    local::LIBVIRT,
    local::UHUBCTL,
    local::RELAYS,
    local::GPIO,
];

/// Every key that some driver has.
pub(super) fn keys() -> Vec<&'static str> {
    let mut keys: Vec<&str> = KINDS.iter().flat_map(|kind| kind.options).map(|option| option.key).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// The words after `driver:`.
pub(super) fn words() -> Vec<&'static str> {
    let own = ["virtual", "manual"];
    own.into_iter().chain(KINDS.iter().map(|kind| kind.word)).collect()
}

/// The kind with this name.
pub(super) fn kind(word: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.word == word)
}

/// Adds options to the properties of a schema; of those with one name the first.
pub(super) fn describe(properties: &mut serde_json::Value, options: impl Iterator<Item = &'static Opt>) {
    let Some(all) = properties.as_object_mut() else { return };
    for option in options {
        let mut schema = option.shape.schema();
        schema.insert("description".to_owned(), option.about.into());
        all.entry(option.key).or_insert_with(|| schema.to_value());
    }
}

impl Shape {
    pub(super) fn schema(self) -> Schema {
        match self {
            Self::Text => json_schema!({ "type": "string" }),
            Self::Words => json_schema!({ "type": "array", "minItems": 1, "items": { "type": "string" } }),
            Self::Number => json_schema!({ "type": "integer", "minimum": 0 }),
            Self::Secret => json_schema!({ "type": "string", "pattern": "^(secret:[a-z0-9-]+|file:/.+)$" }),
            Self::Choice(words) => json_schema!({ "type": "string", "enum": words }),
        }
    }
}

impl JsonSchema for PowerFile {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PowerFile".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let span = r"^([0-9]+(ms|s|m|h))+$";
        let memory = r"^[0-9]+ ?[MG]iB$";
        let drivers: Vec<String> =
            KINDS.iter().map(|kind| format!("`{}`: {}.", kind.word, kind.about)).collect();
        let about = format!(
            "`virtual`: machines of this computer with real firmware. `manual`: a person presses the button. {}",
            drivers.join(" ")
        );
        let mut properties = serde_json::json!({
            "driver": { "type": "string", "enum": words(), "description": about },
            "memory": {
                "type": "string", "pattern": memory,
                "description": "Memory of each virtual machine, such as `512MiB`."
            },
            "stagger": {
                "type": "string", "pattern": span,
                "description": "Pause between two machines that are switched on, such as `500ms`."
            },
            "disk": {
                "type": "string", "pattern": memory,
                "description":
                    "Disk of each virtual machine, `/dev/vda`, such as `10GiB`. It takes only the room that is written to."
            },
            "protect": {
                "type": "array", "items": { "type": ["string", "integer"] },
                "description": "Ports that nobody may switch, such as the boss's own."
            },
            "standby": {
                "type": "string", "pattern": "^[0-9]+(\\.[0-9]+)? ?W$",
                "description": "A machine that takes this much or less is off, such as `3W`; for devices that measure."
            }
        });
        describe(&mut properties, KINDS.iter().flat_map(|kind| kind.options));
        json_schema!({
            "description": "How machines are switched.",
            "type": "object",
            "properties": properties,
            "required": ["driver"],
            "additionalProperties": false
        })
    }
}
