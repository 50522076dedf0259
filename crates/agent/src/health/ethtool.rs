//! Speeds and offloads by the kernel's ethtool family of generic netlink (Documentation/networking/ethtool-netlink.rst,
//! in kernels since 5.6): one question each, answered at once.

use std::time::Duration;

use rustix::net::{
    AddressFamily, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with, sockopt,
};

/// `nlmsghdr` and `genlmsghdr`, in bytes.
const HEAD: usize = 16;
const GENERIC_HEAD: usize = 4;
/// The kernel answers in the call that asks; this is for one that does not.
const LIMIT: Duration = Duration::from_millis(500);
/// Longest answer: a hundred link modes, each with its name.
const LONGEST: usize = 64 << 10;

// linux/netlink.h and linux/genetlink.h
const ERROR: u16 = 2;
const REQUEST: u16 = 1;
const NESTED: u16 = 0x8000;
const CONTROL: u16 = 16;
const GET_FAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;
// linux/ethtool_netlink.h: commands, then attributes
const LINKMODES_GET: u8 = 4;
const FEATURES_GET: u8 = 11;
const HEADER: u16 = 1;
const HEADER_NAME: u16 = 2;
const FEATURES_ACTIVE: u16 = 4;
const LINKMODES_OURS: u16 = 3;
const LINKMODES_PEER: u16 = 4;
const BITSET_BITS: u16 = 3;
const BIT: u16 = 1;
const BIT_NAME: u16 = 2;
const BIT_VALUE: u16 = 4;

/// What people call an offload, and the kernel's flags for it (net/ethtool/common.c).
const OFFLOADS: [(&str, &[&str]); 5] = [
    ("rx-checksum", &["rx-checksum"]),
    ("tso", &["tx-tcp-segmentation", "tx-tcp6-segmentation"]),
    ("gso", &["tx-generic-segmentation"]),
    ("gro", &["rx-gro"]),
    ("lro", &["rx-lro"]),
];

/// What was told of a port.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) offloads: Option<Vec<String>>,
    pub(super) fastest_mbps: Option<u32>,
    pub(super) peer_mbps: Option<u32>,
}

/// Asks about a port of this machine. What the kernel or the driver does not tell is absent.
pub(super) fn ask(port: &str) -> Told {
    let mut told = Told::default();
    let Some(family) =
        exchange(CONTROL, &question(CONTROL, GET_FAMILY, 1, &attribute(FAMILY_NAME, b"ethtool\0")))
            .and_then(|answer| family_of(&answer))
    else {
        return told;
    };
    let name: Vec<u8> = port.bytes().chain([0]).collect();
    let about = attribute(HEADER | NESTED, &attribute(HEADER_NAME, &name));
    let asked = |command| exchange(family, &question(family, command, 1, &about));
    told.offloads = asked(FEATURES_GET).as_deref().and_then(offloads);
    if let Some(answer) = asked(LINKMODES_GET) {
        told.fastest_mbps = fastest(&answer, LINKMODES_OURS);
        told.peer_mbps = fastest(&answer, LINKMODES_PEER);
    }
    told
}

/// One question and its answer: the attributes behind both heads. `None` for an error.
fn exchange(family: u16, question: &[u8]) -> Option<Vec<u8>> {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(netlink::GENERIC)).ok()?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(LIMIT)).ok()?;
    send(&socket, question, SendFlags::empty()).ok()?;
    let mut space = vec![0_u8; LONGEST];
    let (count, _) = recv(&socket, &mut space[..], rustix::net::RecvFlags::empty()).ok()?;
    let answer = space.get(..count)?;
    attributes_of(answer, family).map(<[u8]>::to_vec)
}

/// A message: head, generic head, attributes.
fn question(family: u16, command: u8, version: u8, attributes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEAD + GENERIC_HEAD + attributes.len()).unwrap_or(u32::MAX);
    let mut message = Vec::new();
    message.extend(length.to_ne_bytes());
    message.extend(family.to_ne_bytes());
    message.extend(REQUEST.to_ne_bytes());
    // Sequence and port: there is one question to a socket, and the kernel knows the socket's port.
    message.extend([0; 8]);
    message.extend([command, version, 0, 0]);
    message.extend(attributes);
    message
}

/// An attribute, filled up to four bytes.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
    let mut bytes = Vec::new();
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// The attributes of an answer of this family.
fn attributes_of(message: &[u8], family: u16) -> Option<&[u8]> {
    let length = usize::try_from(u32::from_ne_bytes(message.get(..4)?.try_into().ok()?)).ok()?;
    let kind = u16::from_ne_bytes(message.get(4..6)?.try_into().ok()?);
    if kind == ERROR || kind != family {
        return None;
    }
    message.get(HEAD + GENERIC_HEAD..length)
}

/// Walks over attributes: kind without its flags, and value.
struct Attributes<'a>(&'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::from(u16::from_ne_bytes(self.0.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(self.0.get(2..4)?.try_into().ok()?);
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind & 0x3fff, value))
    }
}

fn of_kind(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    Attributes(bytes).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
}

fn family_of(attributes: &[u8]) -> Option<u16> {
    Some(u16::from_ne_bytes(of_kind(attributes, FAMILY_ID)?.try_into().ok()?))
}

/// The bits of a verbose bit set: name, and whether it is set.
fn bits(set: &[u8]) -> impl Iterator<Item = (&str, bool)> {
    let bits = Attributes(of_kind(set, BITSET_BITS).unwrap_or_default());
    bits.filter(|(kind, _)| *kind == BIT).filter_map(|(_, bit)| {
        let name = std::str::from_utf8(of_kind(bit, BIT_NAME)?).ok()?.trim_end_matches('\0');
        Some((name, of_kind(bit, BIT_VALUE).is_some()))
    })
}

/// The offloads that are on. A set without a mask lists only what is on, and says so of each.
fn offloads(attributes: &[u8]) -> Option<Vec<String>> {
    let active = of_kind(attributes, FEATURES_ACTIVE)?;
    let on: Vec<&str> = bits(active).map(|(name, _)| name).collect();
    let named = OFFLOADS.iter().filter(|(_, flags)| flags.iter().any(|flag| on.contains(flag)));
    Some(named.map(|(name, _)| (*name).to_owned()).collect())
}

/// The fastest mode of a set, such as `2500baseT/Full`. Of our own modes all that the port can are listed, of the other
/// end's those that it offers.
fn fastest(attributes: &[u8], set: u16) -> Option<u32> {
    let speed = |name: &str| {
        let digits = name.find(|letter: char| !letter.is_ascii_digit())?;
        name.get(digits..)?.starts_with("base").then(|| name.get(..digits)?.parse().ok()).flatten()
    };
    bits(of_kind(attributes, set)?).filter_map(|(name, _)| speed(name)).max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(kind: u16, bits: &[(&str, bool)]) -> Vec<u8> {
        let bits: Vec<u8> = bits
            .iter()
            .flat_map(|(name, value)| {
                let mut bit = attribute(1, &7_u32.to_ne_bytes());
                bit.extend(attribute(BIT_NAME, format!("{name}\0").as_bytes()));
                bit.extend(if *value { attribute(BIT_VALUE, b"") } else { Vec::new() });
                attribute(BIT | NESTED, &bit)
            })
            .collect();
        attribute(kind | NESTED, &attribute(BITSET_BITS | NESTED, &bits))
    }

    #[test]
    fn speeds_of_both_ends_are_read_from_the_kernels_sets() {
        let modes = [("10baseT/Half", true), ("Autoneg", true), ("2500baseT/Full", false), ("TP", true)];
        let mut answer = set(LINKMODES_OURS, &modes);
        answer.extend(set(LINKMODES_PEER, &[("100baseT/Full", true), ("1000baseT/Full", true)]));
        assert_eq!(fastest(&answer, LINKMODES_OURS), Some(2500));
        assert_eq!(fastest(&answer, LINKMODES_PEER), Some(1000));
        assert_eq!(fastest(&answer, FEATURES_GET.into()), None);
    }

    #[test]
    fn offloads_have_the_names_that_people_use() {
        let on = [("tx-tcp6-segmentation", true), ("rx-gro", true), ("tx-scatter-gather", true)];
        assert_eq!(offloads(&set(FEATURES_ACTIVE, &on)).unwrap(), ["tso", "gro"]);
        assert_eq!(offloads(b""), None);
    }

    #[test]
    fn the_kernel_under_this_test_tells_the_offloads_of_loopback() {
        // The loopback port always takes segments whole, whatever the machine.
        let told = ask("lo");
        if let Some(offloads) = &told.offloads {
            assert!(offloads.iter().any(|name| name == "tso"), "{told:?}");
        } else {
            // Without CONFIG_ETHTOOL_NETLINK there is no such family; then nothing at all is told.
            assert_eq!(told, Told::default());
        }
        assert_eq!(ask("no-such-port-here"), Told::default());
    }

    proptest! {
        #[test]
        fn no_answer_is_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 0_u16..8) {
            let attributes = attributes_of(&bytes, kind).unwrap_or(&bytes);
            drop((family_of(attributes), offloads(attributes), fastest(attributes, kind)));
        }
    }
}
