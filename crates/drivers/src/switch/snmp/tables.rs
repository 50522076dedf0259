//! Who hangs on which port: what a switch learned of addresses (RFC 4188, RFC 4363), and what neighbours say of
//! themselves (LLDP-MIB, IEEE 802.1AB-2005).

use std::collections::{BTreeMap, BTreeSet};

use model::{MacAddr, Neighbour};
use wire::snmp::Value;

use super::ports::{Known, Port, name};
use crate::power::device::DeviceError;
use crate::snmp::Talk;

/// `dot1qTpFdbPort` and `dot1qTpFdbStatus`: behind them the number of a VLAN's table, and an address.
const PORTS_BY_VLAN: &[u32] = &[1, 3, 6, 1, 2, 1, 17, 7, 1, 2, 2, 1, 2];
const STATUS_BY_VLAN: &[u32] = &[1, 3, 6, 1, 2, 1, 17, 7, 1, 2, 2, 1, 3];
/// `dot1dTpFdbPort` and `dot1dTpFdbStatus`: behind them an address.
const PORTS: &[u32] = &[1, 3, 6, 1, 2, 1, 17, 4, 3, 1, 2];
const STATUS: &[u32] = &[1, 3, 6, 1, 2, 1, 17, 4, 3, 1, 3];
/// Status of an address that was heard.
const LEARNED: i64 = 3;

/// `lldpRemEntry`: behind a column a time, the number of our port, and a number.
const REMOTE: &[u32] = &[1, 0, 8802, 1, 1, 2, 1, 4, 1, 1];
const CHASSIS_KIND: u32 = 4;
const CHASSIS: u32 = 5;
const PORT_KIND: u32 = 6;
const PORT: u32 = 7;
const PORT_TEXT: u32 = 8;
const SYSTEM: u32 = 9;
/// `LldpChassisIdSubtype` and `LldpPortIdSubtype` of an Ethernet address.
const CHASSIS_IS_MAC: i64 = 4;
const PORT_IS_MAC: i64 = 3;
/// `lldpLocPortId` and `lldpLocPortDesc`: what our ports are called there.
const OWN_ID: &[u32] = &[1, 0, 8802, 1, 1, 2, 1, 3, 7, 1, 3];
const OWN_TEXT: &[u32] = &[1, 0, 8802, 1, 1, 2, 1, 3, 7, 1, 4];
/// Longest name that is kept of a neighbour, in characters.
const LONGEST: usize = 64;

fn mac(numbers: &[u32]) -> Option<MacAddr> {
    let numbers: [u32; 6] = numbers.try_into().ok()?;
    let mut bytes = [0; 6];
    for (byte, number) in bytes.iter_mut().zip(numbers) {
        *byte = u8::try_from(number).ok()?;
    }
    Some(MacAddr(bytes))
}

/// Addresses that were heard, each on its port; none of a switch that has neither table.
pub(super) async fn addresses(
    talk: &mut Talk,
    known: &Known,
) -> Result<Option<Vec<(String, MacAddr)>>, DeviceError> {
    let mut rows = talk.column(&name(PORTS_BY_VLAN)?).await?;
    let mut status = STATUS_BY_VLAN;
    if rows.is_empty() {
        (rows, status) = (talk.column(&name(PORTS)?).await?, STATUS);
    }
    if rows.is_empty() {
        return Ok(known.bridges.then(Vec::new));
    }
    let status: BTreeMap<Vec<u32>, Value> = talk.column(&name(status)?).await?.into_iter().collect();
    let mut all = BTreeSet::new();
    for (index, port) in rows {
        let learned = status.get(&index).and_then(Value::number).is_none_or(|status| status == LEARNED);
        let at = index.len().saturating_sub(6);
        let heard = index.get(at..).and_then(mac);
        let port = port.number().and_then(|port| known.bridge(u32::try_from(port).ok()?));
        if let (true, Some(heard), Some(port)) = (learned, heard, port) {
            // One machine may be in several VLANs.
            all.insert((port.name.clone(), heard));
        }
    }
    Ok(Some(all.into_iter().collect()))
}

fn words(value: Option<&Value>) -> String {
    let text = value.and_then(Value::octets).map(String::from_utf8_lossy).unwrap_or_default();
    text.chars().filter(|c| !c.is_control()).take(LONGEST).collect::<String>().trim().to_owned()
}

/// One column of what neighbours say, by our port's number and theirs. The time in front is left out: a neighbour that
/// says something new has another one in each column that is asked.
type Column = BTreeMap<(u32, u32), Value>;

async fn remote(talk: &mut Talk, number: u32) -> Result<Column, DeviceError> {
    let rows = talk.column(&name(&[REMOTE, &[number]].concat())?).await?;
    let one = |(index, value): (Vec<u32>, Value)| match index.as_slice() {
        [_, port, number] => Some(((*port, *number), value)),
        _ => None,
    };
    Ok(rows.into_iter().filter_map(one).collect())
}

/// The port that LLDP has under this number: by the name that it has there, else by its number in the bridge, else by
/// its number among interfaces. The standard leaves it to the switch.
fn own<'a>(known: &'a Known, number: u32, names: &[BTreeMap<u32, String>]) -> Option<&'a Port> {
    let called = |port: &&Port| {
        names
            .iter()
            .filter_map(|names| names.get(&number))
            .any(|name| !name.is_empty() && *name == port.called)
    };
    let by_index = || known.ports.iter().find(|port| port.index == number);
    known.ports.iter().find(called).or_else(|| known.bridge(number)).or_else(by_index)
}

/// Who is at the other end, by his own word.
pub(super) async fn neighbours(
    talk: &mut Talk,
    known: &Known,
) -> Result<Vec<(String, Neighbour)>, DeviceError> {
    let chassis = remote(talk, CHASSIS).await?;
    if chassis.is_empty() {
        return Ok(Vec::new());
    }
    let chassis_kind = remote(talk, CHASSIS_KIND).await?;
    let (port_kind, ports) = (remote(talk, PORT_KIND).await?, remote(talk, PORT).await?);
    let (texts, systems) = (remote(talk, PORT_TEXT).await?, remote(talk, SYSTEM).await?);
    let mut names = Vec::new();
    for column in [OWN_ID, OWN_TEXT] {
        let rows = talk.column(&name(column)?).await?;
        let one = |(index, value): (Vec<u32>, Value)| Some((*index.first()?, words(Some(&value))));
        names.push(rows.into_iter().filter_map(one).collect::<BTreeMap<u32, String>>());
    }
    let address = |kinds: &Column, wanted: i64, values: &Column, key: &(u32, u32)| {
        let is = kinds.get(key).and_then(Value::number) == Some(wanted);
        let bytes: [u8; 6] = values.get(key).filter(|_| is)?.octets()?.try_into().ok()?;
        Some(MacAddr(bytes))
    };
    let mut all = Vec::new();
    for key in chassis.keys() {
        let Some(port) = own(known, key.0, &names) else { continue };
        let end = address(&port_kind, PORT_IS_MAC, &ports, key);
        let macs: BTreeSet<MacAddr> =
            [address(&chassis_kind, CHASSIS_IS_MAC, &chassis, key), end].into_iter().flatten().collect();
        let text = words(texts.get(key));
        let called = match (text.is_empty(), end) {
            (false, _) => text,
            (true, Some(mac)) => mac.to_string(),
            (true, None) => words(ports.get(key)),
        };
        let neighbour =
            Neighbour { name: words(systems.get(key)), port: called, macs: macs.into_iter().collect() };
        all.push((port.name.clone(), neighbour));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_six_bytes() {
        assert_eq!(mac(&[2, 0, 0, 0, 0, 255]), Some(MacAddr([2, 0, 0, 0, 0, 255])));
        assert_eq!(mac(&[2, 0, 0, 0, 0, 256]), None);
        assert_eq!(mac(&[2, 0, 0, 0, 0]), None);
    }

    #[test]
    fn lldp_has_its_own_numbers_of_our_ports() {
        let port = |number: u32, index, bridge| Port {
            name: number.to_string(),
            called: format!("ge{number}"),
            index,
            bridge: Some(bridge),
        };
        let known =
            Known { ports: vec![port(1, 101, 1), port(2, 102, 2)], bridges: true, ..Known::default() };
        let find = |number, names: &[BTreeMap<u32, String>]| {
            own(&known, number, names).map(|port| port.name.as_str())
        };
        assert_eq!(find(7, &[BTreeMap::from([(7, "ge2".to_owned())])]), Some("2"));
        assert_eq!(find(2, &[BTreeMap::from([(2, String::new())])]), Some("2"));
        assert_eq!(find(101, &[]), Some("1"));
        assert_eq!(find(9, &[]), None);
    }
}
