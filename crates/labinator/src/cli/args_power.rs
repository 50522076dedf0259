//! What can be typed after `labinator power`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum};
use model::{NodeName, PowerState};

/// What can be done with power.
#[derive(Debug, Clone, Subcommand)]
pub enum PowerVerb {
    /// Switch on
    On(PowerArgs),
    /// Switch off
    Off(PowerArgs),
    /// Ask what runs there to stop: a short press, or what its controller has for that
    Soft(PowerArgs),
    /// Press the button for a moment, whatever that does: for whoever stands before the machine
    Press(PowerArgs),
    /// Show what is known of the power, how, and for how long
    Status(PowerStatus),
    /// Say whether a machine runs, after a look at it
    Set(PowerSet),
}

/// What to switch.
#[derive(Debug, Clone, Args)]
pub struct PowerArgs {
    /// A machine, or `all`; with --device a port of that device
    #[arg(value_name = "NODE")]
    pub which: String,
    /// Which device, without a lab.
    #[command(flatten)]
    pub device: DeviceArgs,
    /// With --device, where ports are buttons: what you see of the machine there. A press does the opposite of what is
    /// wanted where that is guessed wrong
    #[arg(long, value_enum, requires = "device")]
    pub seen: Option<Saw>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// What to show.
#[derive(Debug, Clone, Args)]
pub struct PowerStatus {
    /// A machine; with --device a port of that device [default: all]
    #[arg(value_name = "NODE")]
    pub which: Option<String>,
    /// Which device, without a lab.
    #[command(flatten)]
    pub device: DeviceArgs,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// A device that is spoken to directly, without a lab and without a controller.
#[derive(Debug, Clone, Default, Args)]
pub struct DeviceArgs {
    /// Speak to this device directly, without a lab: a driver and where its device is, such as `relayinator=/dev/ttyUSB0`
    /// or `tasmota=http://10.0.0.33`
    #[arg(long, value_name = "DRIVER[=ADDRESS]")]
    pub device: Option<TypedDevice>,
    /// With --device: a further option of the driver as the lab file has it, such as `credentials=file:/etc/plug`; may be
    /// given again
    #[arg(long = "with", value_name = "OPTION=VALUE", requires = "device")]
    pub with: Vec<Setting>,
    /// With --device: the state folder that keeps `secret:NAME` [default: that of the controller]
    #[arg(long, value_name = "DIR", requires = "device")]
    pub state: Option<PathBuf>,
}

/// A driver, and where its device is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypedDevice {
    /// The driver's name, as a lab file has it.
    pub driver: String,
    /// Where the device is; absent where options say that.
    pub address: Option<String>,
}

impl FromStr for TypedDevice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (driver, address) = match text.split_once('=') {
            Some((driver, address)) => (driver, Some(address.to_owned())),
            None => (text, None),
        };
        match driver {
            "" => Err("a driver and its address: relayinator=/dev/ttyUSB0".to_owned()),
            driver => Ok(Self { driver: driver.to_owned(), address }),
        }
    }
}

/// An option of a driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its key.
    pub key: String,
    /// What it is.
    pub value: String,
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let right = |key: &str| {
            !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        };
        match text.split_once('=') {
            Some((key, value)) if right(key) => Ok(Self { key: key.to_owned(), value: value.to_owned() }),
            Some(_) | None => Err("an option and its value: credentials=file:/etc/labinator/plug".to_owned()),
        }
    }
}

/// What a person saw.
#[derive(Debug, Clone, Args)]
pub struct PowerSet {
    /// Which machine
    pub node: NodeName,
    /// What you saw
    #[arg(value_enum)]
    pub state: Saw,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// What can be seen of a machine's power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Saw {
    /// It runs
    On,
    /// It is off
    Off,
    /// Nobody knows: what was said before is forgotten
    Unknown,
}

impl From<Saw> for PowerState {
    fn from(saw: Saw) -> Self {
        match saw {
            Saw::On => Self::On,
            Saw::Off => Self::Off,
            Saw::Unknown => Self::Unknown,
        }
    }
}
