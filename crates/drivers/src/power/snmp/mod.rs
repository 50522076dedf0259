//! Strips of outlets that speak SNMP: one number is set to switch, and one is read.
//!
//! Setting the same number twice does the same once, so what was lost is sent again.

mod agent;
mod outlets;

use std::time::Duration;

use model::{PortReading, PortSense, SnmpDevice, SnmpVersion};
use wire::snmp::{Kind, Oid, Pdu, Status, Value, Version};

use super::credentials::Credentials;
use super::device::{Act, Cure, Device, DeviceError, Manner, Ports, Taken, Told};
use super::devices::Reveal;
use agent::{Agent, NoAnswer};
use outlets::Outlets;

/// How often the outlets are read while nobody orders anything.
const POLL: Duration = Duration::from_secs(10);
/// Management cards show what they did after a moment.
const SHOWS: Duration = Duration::from_secs(5);
/// Every try of a few questions.
const LIMIT: Duration = Duration::from_secs(30);
/// Names in one question: an answer to twice as many fits into 1500 bytes.
const AT_ONCE: usize = 16;

/// The strip.
#[derive(Debug)]
pub(super) struct Snmp {
    device: SnmpDevice,
    outlets: Outlets,
    credentials: Credentials,
    agent: Option<Agent>,
    /// What it says it is, once it was asked.
    about: Option<String>,
    /// It said once that it measures nothing.
    blind: bool,
}

impl Snmp {
    pub(super) fn new(device: &SnmpDevice, reveal: &Reveal) -> Self {
        let credentials = Credentials::new(Some(device.credentials.clone()), reveal);
        let outlets = Outlets::of(&device.outlets);
        Self { device: device.clone(), outlets, credentials, agent: None, about: None, blind: false }
    }

    fn agent(&mut self) -> Result<&mut Agent, DeviceError> {
        if self.agent.is_none() {
            let community = self.credentials.text()?.unwrap_or_default();
            let version = match self.device.version {
                SnmpVersion::One => Version::One,
                SnmpVersion::TwoC => Version::TwoC,
            };
            self.agent = Some(Agent::new(&self.device.host, version, community.into_bytes()));
        }
        self.agent.as_mut().ok_or_else(|| DeviceError::lost("snmp", "it is not there"))
    }

    async fn ask(&mut self, make: impl FnOnce(i32) -> Pdu) -> Result<Pdu, DeviceError> {
        let agent = self.agent()?;
        let asked = agent.ask(make).await;
        let host = agent.host();
        asked.map_err(|why| match why {
            NoAnswer::Unreached(why) => DeviceError::lost("unreached", format!("{host}: {why}")),
            // An agent says nothing to who has the wrong word, and locks nobody out.
            NoAnswer::Silent { tries } => DeviceError::doubt(
                "silent",
                format!(
                    "{host} does not answer ({tries} datagrams): is it there, does it take the community, and \
                     questions from this address?"
                ),
            ),
        })
    }

    /// Values of names, in their order.
    async fn get(&mut self, names: &[Oid]) -> Result<Vec<Value>, DeviceError> {
        let mut values = Vec::with_capacity(names.len());
        let mut rest = names;
        let mut size = AT_ONCE;
        while !rest.is_empty() {
            let (some, more) = rest.split_at(size.min(rest.len()));
            let answer = self.ask(|id| Pdu::ask(Kind::Get, id, some.iter().cloned())).await?;
            if answer.status == Status::TOO_BIG && size > 1 {
                size /= 2;
                continue;
            }
            if answer.status != Status::OK {
                let at = usize::try_from(answer.index).ok().and_then(|index| some.get(index.checked_sub(1)?));
                return Err(self.no(answer.status, at));
            }
            // An answer is to these names, in this order, or to something else.
            if !answer.values.iter().map(|(name, _)| name).eq(some) {
                let why = format!("{} answers with other names than it was asked for", self.device.host);
                return Err(DeviceError::lost("not-understood", why));
            }
            values.extend(answer.values.into_iter().map(|(_, value)| value));
            rest = more;
        }
        Ok(values)
    }

    fn no(&self, status: Status, name: Option<&Oid>) -> DeviceError {
        let host = &self.device.host;
        let name = name.map(|name| format!(" of {name}")).unwrap_or_default();
        match status {
            Status::GENERAL | Status(13..=15) => {
                DeviceError::doubt("snmp-status", format!("{host} says{name} {status}"))
            }
            Status::NO_SUCH_NAME => {
                let cure = "is there such an outlet, and may this community see and switch it?";
                DeviceError::refused("no-such-port", format!("{host} says{name} {status}; {cure}"))
            }
            _ => {
                let cure = "may this community write?";
                DeviceError::refused("snmp-status", format!("{host} says{name} {status}; {cure}"))
            }
        }
    }

    /// What it says it is (`sysDescr`, RFC 3418), in one line.
    async fn about(&mut self) -> String {
        if self.about.is_none() {
            let said = match Oid::new(&[1, 3, 6, 1, 2, 1, 1, 1, 0]) {
                Some(name) => self.get(&[name]).await.unwrap_or_default(),
                None => Vec::new(),
            };
            let text = said.first().and_then(Value::octets).map(String::from_utf8_lossy);
            let line = text.iter().flat_map(|text| text.split_whitespace()).collect::<Vec<_>>().join(" ");
            self.about = Some(line.chars().filter(|c| !c.is_control()).take(80).collect());
        }
        match self.about.as_deref() {
            None | Some("") => format!("outlets by SNMP at {}", self.device.host),
            Some(said) => format!("{said}, by SNMP at {}", self.device.host),
        }
    }

    /// Milliwatts of these outlets, as far as it measures.
    async fn milliwatts(&mut self, ports: &[String]) -> Vec<Option<u32>> {
        let names: Option<Vec<Oid>> = ports.iter().map(|port| self.outlets.watts(port)).collect();
        let Some(names) = names.filter(|_| !self.blind) else { return vec![None; ports.len()] };
        // What switches and does not measure says so in one way or another; it is not asked again.
        let values = match self.get(&names).await {
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
        let answer = self.ask(|id| Pdu::set(id, name.clone(), value)).await?;
        if answer.status == Status::OK {
            Ok(Taken::AT_ONCE)
        } else {
            Err(self.no(answer.status, Some(&name)))
        }
    }

    async fn read(&mut self, ports: &[String]) -> Result<Told, DeviceError> {
        let names = ports.iter().map(|port| self.outlets.state(port).ok_or_else(|| no_outlet(port)));
        let names = names.collect::<Result<Vec<Oid>, DeviceError>>()?;
        let values = self.get(&names).await?;
        let milliwatts = self.milliwatts(ports).await;
        let mut told = Told { about: self.about().await, ..Told::default() };
        for ((port, value), milliwatts) in ports.iter().zip(&values).zip(milliwatts) {
            let Some(on) = self.outlets.is_on(value) else {
                let host = &self.device.host;
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
        if let Some(agent) = &mut self.agent {
            agent.forget();
        }
        self.about = None;
    }
}
