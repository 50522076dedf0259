//! Power: behind one door for the whole lab, one task per virtual machine and one per device.
//!
//! ```text
//!   PowerCommand ──▶ Power ──▶ queue of the port or device ──▶ driver ──▶ DriverReport::Finished (what was done)
//!                                                                └──────▶ PowerSeen, PortRead, DeviceSeen (what is seen)
//! ```
//!
//! A driver of a device is a [`device::Device`]; its [`owner`] is the task.

pub(crate) mod address;
mod command;
mod console;
pub(crate) mod credentials;
pub(crate) mod device;
mod devices;
mod gpio;
mod guard;
mod guests;
pub mod ipmi;
mod libvirt;
mod machine;
mod manual;
mod mqtt;
pub(crate) mod owner;
mod process;
mod qemu;
mod relayinator;
mod relays;
mod snmp;
pub(crate) mod standing;
pub(crate) mod tty;
mod uhubctl;
mod virtual_node;
mod wake;
pub(crate) mod web;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use model::{
    CommandId, DeviceSight, DeviceSpec, DriverName, LabSpec, LinkReading, NodeName, NodeSpec, Outcome,
    PortReading, PortRef, PowerDriver, PowerOrder, PowerState,
};
use tokio::sync::mpsc;

use crate::here::{Here, Seat};
use crate::process::ProcessError;

use guard::Guard;
use owner::Ordered;

pub use console::CONSOLE_FILE;
pub use devices::Reveal;
pub use machine::{Machine, tap_name};
pub use qemu::missing;
pub use relayinator::kept_for_board;

/// Orders that may wait for one port. A person who presses more often than this is told so.
const QUEUE: usize = 8;

/// A wish for a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PowerCommand {
    /// Its number, given back with the outcome.
    pub id: CommandId,
    /// Which machine.
    pub node: NodeName,
    /// The machine's power port.
    pub port: PortRef,
    /// Which way.
    pub order: PowerOrder,
}

/// What a driver says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DriverReport {
    /// A command came to its end. That a machine was switched says nothing about whether it runs.
    Finished {
        /// Which command.
        id: CommandId,
        /// What became of it.
        outcome: Outcome,
    },
    /// Power was seen.
    PowerSeen {
        /// Of which machine.
        node: NodeName,
        /// On, off or unknown.
        state: PowerState,
        /// How that is known.
        evidence: String,
    },
    /// A device told of a port; anew only when it changed.
    PortRead {
        /// Of which machine.
        node: NodeName,
        /// What.
        reading: PortReading,
    },
    /// A switch told of the port that a machine is plugged into; anew only when it changed.
    LinkSeen {
        /// Of which machine.
        node: NodeName,
        /// What.
        link: LinkReading,
    },
    /// A device answers, began anew, or is lost.
    DeviceSeen {
        /// Which.
        driver: DriverName,
        /// What was seen.
        sight: DeviceSight,
    },
}

/// Why the drivers of a lab cannot work here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PowerError {
    /// A program is missing.
    #[error(transparent)]
    Program(#[from] ProcessError),
    /// A file of a package is missing.
    #[error("{path} is missing: apt-get install -y {package}", path = .path.display())]
    NoFile {
        /// Which.
        path: PathBuf,
        /// The Debian package it comes from.
        package: &'static str,
    },
    /// The state folder cannot be used.
    #[error("{path}: {source}", path = .path.display())]
    State {
        /// Which folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl PowerError {
    /// Stable word for logs and scripts.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Program(error) => error.code(),
            Self::NoFile { .. } => "power-file-missing",
            Self::State { .. } => "power-state",
        }
    }
}

/// The door to every power port of a lab.
#[derive(Debug, Clone)]
pub struct Power {
    ports: BTreeMap<PortRef, mpsc::Sender<(CommandId, PowerOrder)>>,
    devices: BTreeMap<DriverName, mpsc::Sender<Ordered>>,
    guard: Guard,
}

impl Power {
    /// Starts the drivers of a lab. Virtual machines that run already, left by an earlier core, are found
    /// again. Every machine's power is reported once at the start.
    ///
    /// Consoles and screens of virtual machines are reached by `here`.
    /// The tasks end when this door and all its clones are dropped; virtual machines run on.
    ///
    /// # Errors
    /// [`PowerError`]: something a driver needs is missing; nothing was started then.
    pub fn spawn(
        spec: &LabSpec,
        here: &Here,
        reveal: &Reveal,
        reports: &mpsc::Sender<DriverReport>,
    ) -> Result<Self, PowerError> {
        let mut plans = Vec::new();
        for (name, driver) in &spec.power {
            let nodes = spec.board.nodes.iter().filter(|(_, node)| node.power.driver == *name);
            plans.push(plan((name, driver), nodes, here)?);
        }
        let mut power = Self { ports: BTreeMap::new(), devices: BTreeMap::new(), guard: Guard::default() };
        let segment = Arc::new(wake::Segment::of(spec));
        for plan in plans {
            plan.spawn(&mut power, &segment, reveal, reports);
        }
        Ok(power)
    }

    /// Drives one device without a lab, for whoever types an order; each of its ports goes by the name of a machine. What
    /// it tells is reported once when it is first read.
    ///
    /// The task ends when this door is dropped, after that reading.
    #[must_use]
    pub fn of_device(
        (driver, device): (DriverName, &DeviceSpec),
        ports: Vec<(String, NodeName)>,
        reveal: &Reveal,
        reports: &mpsc::Sender<DriverReport>,
    ) -> Self {
        let mut power = Self { ports: BTreeMap::new(), devices: BTreeMap::new(), guard: Guard::default() };
        let segment = Arc::new(wake::Segment::nowhere());
        let plan = Plan::Device { driver, device: device.clone(), nodes: ports };
        plan.spawn(&mut power, &segment, reveal, reports);
        power
    }

    /// The lab sees a machine so now. Buttons of machines that are seen otherwise than when they were ordered to be
    /// pressed are not pressed.
    pub fn saw(&self, node: &NodeName, state: PowerState) {
        self.guard.saw(node, state);
    }

    /// Hands a command over. It never waits.
    ///
    /// # Errors
    /// The outcome to record when the port is not there or has too many orders waiting.
    pub fn order(&self, command: &PowerCommand) -> Result<(), Outcome> {
        let failed = |code: &str, why: String| Err(Outcome::Failed { code: code.to_owned(), why });
        let full = match (self.devices.get(&command.port.driver), self.ports.get(&command.port)) {
            (Some(queue), _) => {
                let port = command.port.port.clone();
                let ordered = Ordered { id: command.id, port, act: command.order.into() };
                queue.try_send(ordered).map_err(|why| matches!(why, mpsc::error::TrySendError::Full(_)))
            }
            (None, Some(queue)) => {
                let sent = queue.try_send((command.id, command.order));
                sent.map_err(|why| matches!(why, mpsc::error::TrySendError::Full(_)))
            }
            (None, None) => return failed("no-such-port", format!("no driver has a port {}", command.port)),
        };
        match full {
            Ok(()) => Ok(()),
            Err(true) => failed("port-busy", format!("{} still has {QUEUE} orders to do", command.port)),
            Err(false) => failed("driver-gone", format!("the driver of {} has ended", command.port)),
        }
    }
}

/// A driver that has all it needs and is not started yet.
enum Plan {
    Device { driver: DriverName, device: DeviceSpec, nodes: Vec<(String, NodeName)> },
    Manual { nodes: Vec<(NodeName, PortRef)> },
    Guests { ports: Vec<PortRef> },
    Virtual { programs: qemu::Installed, stagger: Duration, nodes: Vec<(PortRef, Machine, Seat)> },
}

fn plan<'a>(
    (name, driver): (&DriverName, &PowerDriver),
    nodes: impl Iterator<Item = (&'a NodeName, &'a NodeSpec)>,
    here: &Here,
) -> Result<Plan, PowerError> {
    match driver {
        PowerDriver::Device(device) => {
            let nodes = nodes.map(|(node, spec)| (spec.power.port.clone(), node.clone())).collect();
            Ok(Plan::Device { driver: name.clone(), device: device.clone(), nodes })
        }
        PowerDriver::Manual => {
            Ok(Plan::Manual { nodes: nodes.map(|(name, node)| (name.clone(), node.power.clone())).collect() })
        }
        PowerDriver::Guests => {
            Ok(Plan::Guests { ports: nodes.map(|(_, node)| node.power.clone()).collect() })
        }
        PowerDriver::Virtual { memory, stagger, disk } => {
            let mut machines = Vec::new();
            for (name, node) in nodes {
                let Some(seat) = here.seat(name) else { continue };
                process::prepare(&seat.folder)?;
                machines.push((node.power.clone(), Machine::of(name, node, (*memory, *disk)), seat.clone()));
            }
            let programs = qemu::Installed::find(machines.iter().map(|(_, machine, _)| machine.firmware))?;
            Ok(Plan::Virtual { programs, stagger: Duration::from_millis(stagger.0), nodes: machines })
        }
    }
}

impl Plan {
    fn spawn(
        self,
        power: &mut Power,
        segment: &Arc<wake::Segment>,
        reveal: &Reveal,
        reports: &mpsc::Sender<DriverReport>,
    ) {
        let ports = &mut power.ports;
        match self {
            Self::Device { driver, device, nodes } => {
                let (orders, queue) = mpsc::channel(QUEUE.saturating_mul(nodes.len().max(1)));
                let (guard, segment) = (power.guard.clone(), segment.clone());
                let around = devices::Around { guard, reports: reports.clone(), segment };
                devices::spawn((driver.clone(), &device), nodes, around, reveal, queue);
                power.devices.insert(driver, orders);
            }
            Self::Manual { nodes } => {
                for (node, port) in nodes {
                    let (orders, queue) = mpsc::channel(QUEUE);
                    tokio::spawn(manual::run(node, queue, reports.clone()));
                    ports.insert(port, orders);
                }
            }
            Self::Guests { ports: guests } => {
                for port in guests {
                    let (orders, queue) = mpsc::channel(QUEUE);
                    tokio::spawn(guests::run(queue, reports.clone()));
                    ports.insert(port, orders);
                }
            }
            Self::Virtual { programs, stagger, nodes } => {
                let turn = virtual_node::Turn::new(stagger);
                for (port, machine, seat) in nodes {
                    let (orders, queue) = mpsc::channel(QUEUE);
                    let node = virtual_node::VirtualNode::new(machine, seat, &programs, &turn, reports);
                    tokio::spawn(node.run(queue));
                    ports.insert(port, orders);
                }
            }
        }
    }
}
