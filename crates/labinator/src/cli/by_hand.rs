//! A power device spoken to directly: no lab file, no controller, the drivers that those have.
//!
//! What the lab knows of its machines is not known here. A port that is a button is pressed only where the device senses
//! the machine, or whoever types says what is seen of it.

use std::time::Duration;

use api::ErrorBody;
use drivers::power::{DriverReport, Power, PowerCommand};
use model::{
    CommandId, DeviceSight, DeviceSpec, DriverName, NodeName, Outcome, PortReading, PortRef, PortSense,
    PowerOrder, PowerState,
};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::args_power::{DeviceArgs, PowerArgs, PowerStatus, Saw};
use super::failure::Failure;
use super::out::{self, Look};
use super::power::ALL;
use super::verbs::shown;
use crate::start::state_folder;
use crate::{config, device_secrets};

/// How long a device may be silent; more than any driver's own limits with their repetitions.
const LIMIT: Duration = Duration::from_secs(180);
/// Reports that may wait.
const REPORTS: usize = 64;
/// The device's name here, for orders to it.
const DEVICE: &str = "device";

/// One port, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Port {
    port: String,
    /// What the device tells of it; absent where it tells nothing.
    reading: Option<PortReading>,
}

/// What is printed of a device.
#[derive(Debug, Serialize)]
struct Seen {
    /// What it says it is.
    about: String,
    ports: Vec<Port>,
}

/// Shows what a device tells.
pub(super) async fn status(args: &PowerStatus, look: Look) -> Result<(), Failure> {
    let (spec, all) = typed(&args.device, look)?;
    let ports = match (args.which.as_deref().unwrap_or(ALL), all) {
        (ALL, Some(all)) => all,
        (ALL, None) => {
            let why = format!("which port? those of a `{}` have names of their own", spec.kind.word());
            return Err(Failure::Usage(why));
        }
        (port, all) => vec![known(port, all.as_deref(), &spec)?],
    };
    let mut hand = Hand::new(&args.device, &spec, ports)?;
    // Its first look comes before it sees that nobody orders anything.
    hand.power = None;
    while hand.next().await?.is_some() {}
    let seen = hand.seen()?;
    shown(&seen, args.json, || told(&seen))
}

/// Switches a port.
pub(super) async fn switch(args: &PowerArgs, order: PowerOrder, look: Look) -> Result<(), Failure> {
    let (spec, all) = typed(&args.device, look)?;
    if args.which == ALL {
        let why = "`all` is for a lab, which knows what may be switched together; name one port";
        return Err(Failure::Usage(why.to_owned()));
    }
    let port = known(&args.which, all.as_deref(), &spec)?;
    if spec.protect.contains(&port) {
        return Err(refused("protected", format!("`{port}` is protected"), "take another port"));
    }
    let mut hand = Hand::new(&args.device, &spec, vec![port.clone()])?;
    if spec.kind.presses() && order != PowerOrder::Press {
        hand.learns(args.seen, &port).await?;
    }
    match hand.does(order, &port).await? {
        Outcome::Done => {}
        Outcome::Unknown => {
            let why = format!("{port} was told {order}, and nobody knows whether that was done");
            return Err(Failure::with_advice(why, "look at the machine before you order anything else"));
        }
        Outcome::Failed { code, why } => return Err(Failure::failed(format!("{why} ({code})"))),
    }
    let seen = hand.seen()?;
    if !args.json && !look.quiet {
        out::line(&format!("{port}: {order}"))?;
    }
    if args.json || !look.quiet { shown(&seen, args.json, || told(&seen)) } else { Ok(()) }
}

fn typed(args: &DeviceArgs, look: Look) -> Result<config::Device, Failure> {
    let Some(device) = &args.device else { return Err(Failure::Usage("which device?".to_owned())) };
    let with: Vec<_> = args.with.iter().map(|setting| (setting.key.clone(), setting.value.clone())).collect();
    config::device(&device.driver, device.address.as_deref(), &with)
        .map_err(|mistakes| Failure::Usage(mistakes.render(look.color, look.width.max(100))))
}

fn known(port: &str, all: Option<&[String]>, spec: &DeviceSpec) -> Result<String, Failure> {
    match all {
        Some(all) if !all.iter().any(|known| known == port) => Err(Failure::Usage(format!(
            "a `{}` has no port `{port}`: its ports are 1 to {}",
            spec.kind.word(),
            all.len()
        ))),
        Some(_) | None => Ok(port.to_owned()),
    }
}

fn refused(code: &str, message: String, advice: &str) -> Failure {
    Failure::Refused(ErrorBody { code: code.to_owned(), message, advice: advice.to_owned() })
}

/// What is printed for people: a line a port.
fn told(seen: &Seen) -> String {
    let width = seen.ports.iter().map(|port| port.port.len()).max().unwrap_or_default();
    let mut text = String::new();
    if !seen.about.is_empty() {
        text.push_str(&format!("{}\n", seen.about));
    }
    for Port { port, reading } in &seen.ports {
        let tells = reading.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
        text.push_str(&format!("{port:width$}  tells {tells}\n"));
    }
    text
}

/// A device that is driven, and what it told so far.
struct Hand {
    driver: DriverName,
    power: Option<Power>,
    reports: mpsc::Receiver<DriverReport>,
    /// Each port goes by the name of a machine that is not there.
    ports: Vec<(String, NodeName)>,
    readings: Vec<(NodeName, PortReading)>,
    about: String,
    /// It answers, or does not and why; nothing while nothing was seen.
    stands: Option<Result<(), String>>,
}

impl Hand {
    fn new(args: &DeviceArgs, spec: &DeviceSpec, ports: Vec<String>) -> Result<Self, Failure> {
        let named = |(number, port)| {
            let name = format!("port{number}").parse::<NodeName>();
            name.map(|name| (port, name)).map_err(|why| Failure::failed(why.to_string()))
        };
        let ports: Vec<_> = (1..).zip(ports).map(named).collect::<Result<_, Failure>>()?;
        let driver: DriverName =
            DEVICE.parse().map_err(|why: model::NameError| Failure::failed(why.to_string()))?;
        let reveal = device_secrets::reveal(&args.state.clone().unwrap_or_else(state_folder));
        let (tell, reports) = mpsc::channel(REPORTS);
        let power = Power::of_device((driver.clone(), spec), ports.clone(), &reveal, &tell);
        let (readings, about) = (Vec::new(), String::new());
        Ok(Self { driver, power: Some(power), reports, ports, readings, about, stands: None })
    }

    fn node(&self, port: &str) -> Option<NodeName> {
        self.ports.iter().find(|(name, _)| name == port).map(|(_, node)| node.clone())
    }

    /// Takes the next report; none when the device is driven no more.
    async fn next(&mut self) -> Result<Option<DriverReport>, Failure> {
        let Ok(report) = timeout(LIMIT, self.reports.recv()).await else {
            let why = format!("the device said nothing for {} s", LIMIT.as_secs());
            return Err(Failure::TimedOut(why));
        };
        match &report {
            Some(DriverReport::PortRead { node, reading }) => {
                self.readings.retain(|(known, _)| known != node);
                self.readings.push((node.clone(), *reading));
            }
            Some(DriverReport::DeviceSeen { sight: DeviceSight::Answers { about }, .. }) => {
                self.stands = Some(Ok(()));
                self.about.clone_from(about);
            }
            Some(DriverReport::DeviceSeen { sight: DeviceSight::Lost { code, why }, .. }) => {
                self.stands = Some(Err(format!("{why} ({code})")));
            }
            Some(
                DriverReport::DeviceSeen { sight: DeviceSight::Restarted { .. }, .. }
                | DriverReport::Finished { .. }
                | DriverReport::LinkSeen { .. }
                | DriverReport::PowerSeen { .. },
            )
            | None => {}
        }
        Ok(report)
    }

    /// What is known of the machine before its button is pressed: what the device senses, or what a person says.
    async fn learns(&mut self, seen: Option<Saw>, port: &str) -> Result<(), Failure> {
        let Some(node) = self.node(port) else { return Ok(()) };
        let mut state = seen.map(PowerState::from);
        while state.is_none() {
            match self.next().await? {
                Some(DriverReport::PortRead { node: of, reading }) if of == node => {
                    let PortSense::Machine(on) = reading.sense else { break };
                    state = Some(if on { PowerState::On } else { PowerState::Off });
                }
                Some(DriverReport::DeviceSeen { sight: DeviceSight::Lost { code, why }, .. }) => {
                    return Err(Failure::failed(format!("{why} ({code})")));
                }
                Some(_) => {}
                None => break,
            }
        }
        match state {
            Some(state) if state != PowerState::Unknown => {
                if let Some(power) = &self.power {
                    power.saw(&node, state);
                }
                Ok(())
            }
            Some(_) | None => Err(refused(
                "power_unknown",
                format!(
                    "whether the machine at {port} runs is not known, and a press may do the opposite of what you want"
                ),
                "look at it and say `--seen on` or `--seen off`; or `power press`, which presses whatever that does",
            )),
        }
    }

    /// Orders, and waits for the end of it.
    async fn does(&mut self, order: PowerOrder, port: &str) -> Result<Outcome, Failure> {
        let Some((power, node)) = self.power.as_ref().zip(self.node(port)) else {
            return Ok(Outcome::Unknown);
        };
        let id = CommandId(1);
        let at = PortRef { driver: self.driver.clone(), port: port.to_owned() };
        if let Err(outcome) = power.order(&PowerCommand { id, node, port: at, order }) {
            return Ok(outcome);
        }
        loop {
            match self.next().await? {
                Some(DriverReport::Finished { id: of, outcome }) if of == id => return Ok(outcome),
                Some(_) => {}
                None => return Ok(Outcome::Unknown),
            }
        }
    }

    /// What was told.
    fn seen(self) -> Result<Seen, Failure> {
        if let Some(Err(why)) = self.stands {
            return Err(Failure::failed(why));
        }
        let reading = |node: &NodeName| {
            self.readings.iter().find(|(known, _)| known == node).map(|(_, reading)| *reading)
        };
        let ports = self.ports.iter().map(|(port, node)| Port { port: port.clone(), reading: reading(node) });
        Ok(Seen { ports: ports.collect(), about: self.about })
    }
}
