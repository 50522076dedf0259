//! Relays on a serial port: which board, and what its relays are wired to.

use alloc::string::String;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Relays on a serial port. Ports are its relays, by its own numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RelaysDevice {
    /// The serial port, such as `/dev/serial/by-id/usb-…`, or `tcp://HOST:PORT` of one elsewhere.
    pub device: String,
    /// Speed of the line, in bits a second.
    pub baud: u32,
    /// How it is spoken to.
    pub board: RelayBoard,
    /// What its relays are wired to.
    pub wiring: RelayWiring,
}

/// How relays on a serial port are spoken to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "words", rename_all = "kebab-case")]
pub enum RelayBoard {
    /// LCUS boards with CH340, relays from 1: four bytes an order.
    Lcus,
    /// Numato Lab's boards, relays from 0: words.
    Numato,
    /// Words of the owner's. `{port}` becomes the port.
    Own {
        /// Sent to close a relay.
        on: String,
        /// Sent to open it.
        off: String,
    },
}

/// What a relay is wired to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RelayWiring {
    /// The machine's supply: a closed relay gives it.
    Supply,
    /// The machine's power button: a closed relay presses it.
    Button,
}
