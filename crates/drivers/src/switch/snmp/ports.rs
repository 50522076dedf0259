//! Ports of a switch by IF-MIB (RFC 2863): what they are called, and what is asked and read of them.

use std::collections::BTreeSet;

use model::{SPEED_UNTOLD, SnmpPorts, SnmpVersion};
use wire::snmp::{Oid, Value};

use crate::power::device::DeviceError;
use crate::snmp::Talk;

/// `ifEntry`, and columns of it.
const ENTRY: &[u32] = &[1, 3, 6, 1, 2, 1, 2, 2, 1];
const DESCRIPTION: u32 = 2;
const TYPE: u32 = 3;
const SPEED: u32 = 5;
const ADMIN: u32 = 7;
const OPERATION: u32 = 8;
const CHANGED: u32 = 9;
/// `ifName` and `ifHighSpeed`, in megabits a second.
const NAME: &[u32] = &[1, 3, 6, 1, 2, 1, 31, 1, 1, 1, 1];
const HIGH_SPEED: &[u32] = &[1, 3, 6, 1, 2, 1, 31, 1, 1, 1, 15];
/// `sysUpTime.0`.
const UP: &[u32] = &[1, 3, 6, 1, 2, 1, 1, 3, 0];
/// `dot1dBasePortIfIndex` (RFC 4188): which interface a port of the bridge is.
const BRIDGE: &[u32] = &[1, 3, 6, 1, 2, 1, 17, 1, 4, 1, 2];
/// Interfaces that are Ethernet (`IANAifType`): ethernetCsmacd, fastEther, fastEtherFX, gigabitEthernet.
const ETHERNET: &[i64] = &[6, 62, 69, 117];

/// A column, of numbers that are right.
pub(super) fn name(numbers: &[u32]) -> Result<Oid, DeviceError> {
    Oid::new(numbers).ok_or_else(|| DeviceError::lost("snmp", "a name is too long"))
}

fn column(number: u32) -> Result<Oid, DeviceError> {
    name(&[ENTRY, &[number]].concat())
}

/// One port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Port {
    /// As the lab file has it.
    pub(super) name: String,
    /// What the switch calls it.
    pub(super) called: String,
    /// Its number among interfaces.
    pub(super) index: u32,
    /// Its number among ports of the bridge.
    pub(super) bridge: Option<u32>,
}

/// What stays as it is while the switch runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) ports: Vec<Port>,
    /// What is asked: the time since it started, then each port's columns.
    pub(super) questions: Vec<Oid>,
    /// It tells speeds in megabits.
    pub(super) high: bool,
    /// It has numbers of a bridge's ports.
    pub(super) bridges: bool,
}

/// What was read of one port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) enabled: bool,
    pub(super) mbit: Option<u32>,
    /// When its link changed, in hundredths of a second of the switch's clock.
    pub(super) changed: Option<i64>,
}

fn text(value: &Value) -> String {
    let text = value.octets().map(String::from_utf8_lossy).unwrap_or_default();
    text.trim_matches(|c: char| c.is_control() || c.is_whitespace()).to_owned()
}

fn of_index(rows: Vec<(Vec<u32>, Value)>) -> impl Iterator<Item = (u32, Value)> {
    rows.into_iter().filter_map(|(index, value)| match index.as_slice() {
        [index] => Some((*index, value)),
        _ => None,
    })
}

/// What the switch calls these interfaces: by `ifName`, else by `ifDescr`; nothing where neither tells them apart.
async fn names(talk: &mut Talk, indices: &[u32]) -> Result<Vec<(u32, String)>, DeviceError> {
    for which in [name(NAME)?, column(DESCRIPTION)?] {
        let told = of_index(talk.column(&which).await?).map(|(index, value)| (index, text(&value)));
        let names: Vec<(u32, String)> =
            told.filter(|(index, name)| indices.contains(index) && !name.is_empty()).collect();
        let different: BTreeSet<&str> = names.iter().map(|(_, name)| name.as_str()).collect();
        if different.len() == indices.len() {
            return Ok(names);
        }
    }
    Ok(Vec::new())
}

impl Known {
    /// Reads them.
    pub(super) async fn read(talk: &mut Talk, called: SnmpPorts) -> Result<Self, DeviceError> {
        let mut indices = Vec::new();
        for (index, kind) in of_index(talk.column(&column(TYPE)?).await?) {
            if kind.number().is_some_and(|kind| ETHERNET.contains(&kind)) {
                indices.push(index);
            }
        }
        let names = names(talk, &indices).await?;
        let bridge: Vec<(u32, u32)> = of_index(talk.column(&name(BRIDGE)?).await?)
            .filter_map(|(port, index)| Some((port, u32::try_from(index.number()?).ok()?)))
            .collect();
        let mut ports = Vec::new();
        for index in indices {
            let own = names.iter().find(|(of, _)| *of == index).map(|(_, name)| name.clone());
            let number = bridge.iter().find(|(_, of)| *of == index).map(|(port, _)| *port);
            let name = match (called, number) {
                (SnmpPorts::Names, _) => own.clone().unwrap_or_else(|| index.to_string()),
                (SnmpPorts::Numbers, Some(number)) => number.to_string(),
                // It is no port of the bridge: a switch has one to be managed by.
                (SnmpPorts::Numbers, None) => continue,
            };
            ports.push(Port { name, called: own.unwrap_or_default(), index, bridge: number });
        }
        if ports.is_empty() {
            let host = talk.host();
            let why = match called {
                SnmpPorts::Names => format!("{host} tells of no Ethernet port (IF-MIB)"),
                SnmpPorts::Numbers => {
                    format!("{host} tells of no numbers of ports (BRIDGE-MIB); leave out `ports: numbers`")
                }
            };
            return Err(DeviceError::lost("no-ports", why));
        }
        let high = match (talk.version(), ports.first()) {
            (SnmpVersion::TwoC, Some(port)) => {
                let asked = talk.get(&[name(&[HIGH_SPEED, &[port.index]].concat())?]).await?;
                asked.first().is_some_and(Value::is_there)
            }
            (SnmpVersion::One, _) | (_, None) => false,
        };
        let mut questions = vec![name(UP)?];
        for port in &ports {
            for number in [ADMIN, OPERATION, CHANGED] {
                questions.push(name(&[ENTRY, &[number, port.index]].concat())?);
            }
            questions.push(match high {
                true => name(&[HIGH_SPEED, &[port.index]].concat())?,
                false => name(&[ENTRY, &[SPEED, port.index]].concat())?,
            });
        }
        Ok(Self { bridges: !bridge.is_empty(), ports, questions, high })
    }

    /// Answers that belong to one port.
    pub(super) const fn columns(&self) -> usize {
        4
    }

    /// What one port's answers say; none of what is not understood.
    pub(super) fn reading(&self, values: &[Value]) -> Option<Reading> {
        let [admin, operation, changed, speed] = values else { return None };
        let enabled = match admin.number()? {
            1 => true,
            // down, testing
            2 | 3 => false,
            _ => return None,
        };
        // up; dormant is a link whose other end has yet to say who it is.
        let link = matches!(operation.number()?, 1 | 5);
        let per = if self.high { 1 } else { 1_000_000 };
        // The largest number says that it is too small for this speed.
        let told = speed.number().filter(|told| *told < i64::from(u32::MAX)).map(|told| told / per);
        let mbit = told.and_then(|told| u32::try_from(told).ok()).filter(|mbit| *mbit > 0);
        let mbit = (link && enabled).then(|| mbit.unwrap_or(SPEED_UNTOLD));
        Some(Reading { enabled, mbit, changed: changed.number() })
    }

    /// What is set to disable or enable a port.
    pub(super) fn order(&self, port: &str) -> Option<Oid> {
        let port = self.ports.iter().find(|known| known.name == port)?;
        Oid::new(&[ENTRY, &[ADMIN, port.index]].concat())
    }

    /// The port with this number among those of the bridge. A switch without such numbers counts interfaces.
    pub(super) fn bridge(&self, number: u32) -> Option<&Port> {
        self.ports
            .iter()
            .find(|port| if self.bridges { port.bridge == Some(number) } else { port.index == number })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_a_port_become_a_link_or_none() {
        let slow = Known::default();
        let high = Known { high: true, ..Known::default() };
        let read = |known: &Known, admin, operation, speed| {
            let values =
                [Value::Integer(admin), Value::Integer(operation), Value::Ticks(7), Value::Gauge(speed)];
            known.reading(&values).map(|reading| (reading.enabled, reading.mbit))
        };
        assert_eq!(read(&slow, 1, 1, 100_000_000), Some((true, Some(100))));
        assert_eq!(read(&high, 1, 1, 2500), Some((true, Some(2500))));
        assert_eq!(read(&high, 1, 5, 10), Some((true, Some(10))));
        for no_link in [2, 3, 4, 6, 7] {
            assert_eq!(read(&high, 1, no_link, 1000), Some((true, None)), "{no_link}");
        }
        // An agent that has not looked yet still calls the link of a disabled port up.
        assert_eq!(read(&high, 2, 1, 1000), Some((false, None)));
        assert_eq!(read(&high, 3, 1, 1000), Some((false, None)));
        // Faster than the number can say, and not said.
        assert_eq!(read(&slow, 1, 1, u32::MAX), Some((true, Some(SPEED_UNTOLD))));
        assert_eq!(read(&high, 1, 1, 0), Some((true, Some(SPEED_UNTOLD))));
        assert_eq!(read(&high, 9, 1, 1000), None);
        assert_eq!(
            high.reading(&[Value::NoInstance, Value::Integer(1), Value::Ticks(0), Value::Gauge(1)]),
            None
        );
        assert_eq!(high.reading(&[Value::Integer(1)]), None);
    }
}
