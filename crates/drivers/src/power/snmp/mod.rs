//! Strips of outlets that speak SNMP: one number is set to switch, and one is read.

mod outlets;

use std::time::Duration;

use model::{PortReading, PortSense, SnmpDevice};
use wire::snmp::{Oid, Value};

use super::device::{Act, Cure, Device, DeviceError, Manner, Ports, Taken, Told};
use super::devices::Reveal;
use crate::snmp::Talk;
use outlets::Outlets;

/// How often the outlets are read while nobody orders anything.
const POLL: Duration = Duration::from_secs(10);
/// Management cards show what they did after a moment.
const SHOWS: Duration = Duration::from_secs(5);
/// Every try of a few questions.
const LIMIT: Duration = Duration::from_secs(30);

/// The strip.
#[derive(Debug)]
pub(super) struct Snmp {
    outlets: Outlets,
    talk: Talk,
    /// It said once that it measures nothing.
    blind: bool,
}

impl Snmp {
    pub(super) fn new(device: &SnmpDevice, reveal: &Reveal) -> Self {
        let SnmpDevice { host, credentials, version, outlets } = device;
        let talk = Talk::new(host, *version, credentials.clone(), "an outlet", reveal);
        Self { outlets: Outlets::of(outlets), talk, blind: false }
    }

    /// Milliwatts of these outlets, as far as it measures.
    async fn milliwatts(&mut self, ports: &[String]) -> Vec<Option<u32>> {
        let names: Option<Vec<Oid>> = ports.iter().map(|port| self.outlets.watts(port)).collect();
        let Some(names) = names.filter(|_| !self.blind) else { return vec![None; ports.len()] };
        // What switches and does not measure says so in one way or another; it is not asked again.
        let values = match self.talk.get(&names).await {
            Ok(values) => values,
            Err(error) if error.cure == Cure::Refused => Vec::new(),
            Err(_lost) => return vec![None; ports.len()],
        };
        self.blind = !values.iter().any(Value::is_there);
        let watts = |value: &Value| u32::try_from(value.number()?).ok()?.checked_mul(1000);
        let read = values.iter().map(watts);
        read.chain(std::iter::repeat(None)).take(ports.len()).collect()
    }
}

fn no_outlet(port: &str) -> DeviceError {
    let why = format!("`{port}` is no outlet: a number, or numbers with dots between them");
    DeviceError::refused("no-such-port", why)
}

impl Device for Snmp {
    fn manner(&self) -> Manner {
        Manner { ports: Ports::Switches, gap: Duration::ZERO, poll: Some(POLL), shows: SHOWS, limit: LIMIT }
    }

    async fn act(&mut self, port: &str, act: Act) -> Result<Taken, DeviceError> {
        let on = act.supply()?;
        let (name, value) = self.outlets.order(port, on).ok_or_else(|| no_outlet(port))?;
        self.talk.set(&name, value).await?;
        Ok(Taken::AT_ONCE)
    }

    async fn read(&mut self, ports: &[String]) -> Result<Told, DeviceError> {
        let names = ports.iter().map(|port| self.outlets.state(port).ok_or_else(|| no_outlet(port)));
        let names = names.collect::<Result<Vec<Oid>, DeviceError>>()?;
        let values = self.talk.get(&names).await?;
        let milliwatts = self.milliwatts(ports).await;
        let mut told = Told { about: self.talk.about("outlets").await, ..Told::default() };
        for ((port, value), milliwatts) in ports.iter().zip(&values).zip(milliwatts) {
            let Some(on) = self.outlets.is_on(value) else {
                let host = self.talk.host();
                let (code, why) = match value.is_there() {
                    true => (
                        "not-understood",
                        format!("{host} says of outlet {port} {value}, neither on nor off"),
                    ),
                    false => ("no-such-port", format!("{host} says of outlet {port} {value}")),
                };
                return Err(DeviceError::refused(code, why));
            };
            told.ports.push((port.clone(), PortReading { sense: PortSense::Supply(on), milliwatts }));
        }
        Ok(told)
    }

    fn forget(&mut self) {
        self.talk.forget();
    }
}
