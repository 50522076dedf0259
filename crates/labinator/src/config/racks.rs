//! A rack, written once, becomes its machines: each as if it had been written by itself, with the rack's places.

use std::net::Ipv4Addr;

use model::MacAddr;

use super::fields::{Found, Typed};
use super::file::{NodeFile, RackFile};
use super::mistake::Mistake;

/// The machines of a rack, by name.
pub(super) type Rack = Vec<(Typed<String>, NodeFile)>;

/// Machines of one rack at most: as many as cells a board can have.
const MOST: u64 = 255 * 255;

/// The machines of a rack; empty when something in it is wrong, which was said then.
pub(super) fn expand(name: &Typed<String>, rack: &RackFile, found: &mut Found) -> Rack {
    let before = found.len();
    let count = count(name, rack, found);
    let macs = rack.mac.as_ref().map(|macs| addresses(macs, count, found)).unwrap_or_default();
    let power = rack.power.as_ref().and_then(|power| numbered(power, found));
    if found.len() > before {
        return Vec::new();
    }
    let columns = rack.columns.as_ref().map_or(u64::MAX, |columns| columns.value.max(1));
    let first_ip = rack.ip.as_ref().map(|ip| (ip.place, ip.value.parse::<Ipv4Addr>(), &ip.value));
    (0..count)
        .zip(macs)
        .map(|(n, mac)| {
            let at = rack.at.as_ref().map(|at| {
                let steps = [n % columns, n / columns];
                let cell = at.value.iter().zip(steps);
                Typed::new(
                    cell.map(|(first, step)| Typed::new(first.value.saturating_add(step), first.place))
                        .collect(),
                    at.place,
                )
            });
            let ip = first_ip.as_ref().map(|(place, first, text)| {
                let counted = first.as_ref().ok().and_then(|first| {
                    first.to_bits().checked_add(u32::try_from(n).ok()?).map(Ipv4Addr::from_bits)
                });
                Typed::new(counted.map_or_else(|| (*text).clone(), |ip| ip.to_string()), *place)
            });
            let port = power.as_ref().map(|(typed, stem, number)| {
                Typed::new(format!("{stem}{}", number.saturating_add(n)), typed.place)
            });
            let node = NodeFile {
                place: rack.place,
                at,
                zone: rack.zone.clone(),
                mac: Some(mac),
                ip,
                power: port,
                memory: rack.memory.clone(),
                firmware: rack.firmware.clone(),
                ..NodeFile::default()
            };
            (Typed::new(format!("{}-{}", name.value, n + 1), name.place), node)
        })
        .collect()
}

fn count(name: &Typed<String>, rack: &RackFile, found: &mut Found) -> u64 {
    let listed = rack.mac.as_ref().map(|macs| macs.value.len()).filter(|n| *n > 1);
    let listed = listed.and_then(|n| u64::try_from(n).ok());
    match (&rack.count, listed) {
        (Some(count), Some(listed)) if count.value != listed => {
            let title =
                format!("`{}` has {} machines and {listed} Ethernet addresses", name.value, count.value);
            let mac = rack.mac.as_ref().map_or(count.place, |mac| mac.place);
            found.push(Mistake::new(title, count.place, "not as many").other(mac, "the addresses"));
            0
        }
        (Some(count), _) if count.value == 0 || count.value > MOST => {
            let title = format!("`count` cannot be {}", count.value);
            found.push(Mistake::new(title, count.place, format!("from 1 to {MOST}")));
            0
        }
        (Some(count), _) => count.value,
        (None, Some(listed)) => listed,
        (None, None) if rack.mac.is_none() => 0,
        (None, None) => {
            let title = format!("`{}` does not say how many machines it has", name.value);
            found.push(
                Mistake::new(title, rack.place, "`count` is missing")
                    .help("`count: 40`, or a list of Ethernet addresses after `mac`"),
            );
            0
        }
    }
}

/// One address for each machine: as listed, or counted up from the one that is there.
fn addresses(macs: &Typed<Vec<Typed<String>>>, count: u64, found: &mut Found) -> Vec<Typed<String>> {
    let [first] = macs.value.as_slice() else { return macs.value.clone() };
    // A wrong address is said where every address is judged.
    let Ok(MacAddr([a, b, c, d, e, f])) = first.value.parse::<MacAddr>() else { return vec![first.clone()] };
    let number = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
    let last = number.saturating_add(count);
    if last >> 24 != number >> 24 {
        let label = format!("{count} addresses from here on leave the maker's block");
        found.push(
            Mistake::new("the Ethernet addresses of a rack run out", first.place, label)
                .help("write the addresses as a list"),
        );
        return Vec::new();
    }
    (number..last)
        .map(|number| {
            let [_, _, a, b, c, d, e, f] = number.to_be_bytes();
            Typed::new(MacAddr([a, b, c, d, e, f]).to_string(), first.place)
        })
        .collect()
}

/// A port that ends in a number, taken apart.
fn numbered<'a>(typed: &'a Typed<String>, found: &mut Found) -> Option<(&'a Typed<String>, &'a str, u64)> {
    let stem = typed.value.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = typed.value.get(stem.len()..).unwrap_or_default();
    match digits.parse() {
        Ok(number) if stem.contains('/') => Some((typed, stem, number)),
        _ => {
            let title = format!("`{}` is not the power port of a first machine", typed.value);
            found.push(
                Mistake::new(title, typed.place, "not DRIVER/… with a number at its end")
                    .help("for example `boxes/1`: the second machine hangs on `boxes/2`"),
            );
            None
        }
    }
}
