//! Router solicitations and advertisements (RFC 4861): answer the first, name who sends the second.

use alloc::vec::Vec;
use core::fmt;
use core::net::Ipv6Addr;

use model::MacAddr;

use crate::cursor::Cursor;
use crate::frame::Icmp6;

const ROUTER_SOLICITATION: u8 = 133;
const ROUTER_ADVERTISEMENT: u8 = 134;
/// All nodes of the link (RFC 4291 section 2.7.1).
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// Ethernet group of [`ALL_NODES`].
pub const ALL_NODES_MAC: MacAddr = group_mac(ALL_NODES);
/// All routers of the link (RFC 4291 section 2.7.1).
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
/// Options read from one advertisement; RFC 4861 sets no limit, a stranger needs one.
const MOST_OPTIONS: usize = 64;

/// A neighbour discovery message about routers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Routing {
    /// Somebody asks for a router.
    Solicitation(Solicitation),
    /// A router makes itself known.
    Advertisement(Advertisement),
}

impl Routing {
    /// Reads a router message out of an ICMPv6 frame. `None` for everything else, and for messages that
    /// RFC 4861 section 6.1 tells to drop: forwarded (hop limit below 255), damaged, code other than 0.
    #[must_use]
    pub fn parse(frame: &Icmp6<'_>) -> Option<Self> {
        if frame.hop_limit != 255 || frame.code != 0 || !frame.checksum_good {
            return None;
        }
        match frame.kind {
            ROUTER_SOLICITATION => {
                let mut body = Cursor::new(frame.body);
                body.u32()?;
                let told = options(body).find_map(|(kind, value)| match (kind, value) {
                    (1, &[a, b, c, d, e, f, ..]) => Some(MacAddr([a, b, c, d, e, f])),
                    _ => None,
                });
                let mac = told.unwrap_or(frame.from_mac);
                Some(Self::Solicitation(Solicitation { mac, address: frame.from }))
            }
            ROUTER_ADVERTISEMENT => Advertisement::read(frame).map(Self::Advertisement),
            _ => None,
        }
    }
}

/// A router solicitation: iPXE sends it at once and old versions wait 16 s for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Solicitation {
    /// Who asks: the source link-layer address option, or the sender of the frame.
    pub mac: MacAddr,
    /// From which address; unspecified before it has one.
    pub address: Ipv6Addr,
}

/// A prefix a router advertises (RFC 4861 section 4.6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    /// The network.
    pub network: Ipv6Addr,
    /// Its length in bits.
    pub length: u8,
    /// True when hosts may make addresses from it.
    pub autonomous: bool,
    /// How long it is valid, in seconds.
    pub valid_seconds: u32,
}

/// A router advertisement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertisement {
    /// Ethernet address it came from.
    pub mac: MacAddr,
    /// The router's link-local address.
    pub router: Ipv6Addr,
    /// Seconds it may be used as a default router; 0 says never.
    pub lifetime_seconds: u16,
    /// "Managed" flag: ask DHCPv6 for addresses.
    pub managed: bool,
    /// "Other" flag: ask DHCPv6 for everything else. Old iPXE then waits for it too.
    pub other: bool,
    /// Prefixes.
    pub prefixes: Vec<Prefix>,
    /// Recursive name servers (RFC 8106 section 5.1). iPXE of 2019 prefers these to DHCP's.
    pub name_servers: Vec<Ipv6Addr>,
}

impl Advertisement {
    fn read(frame: &Icmp6<'_>) -> Option<Self> {
        let mut body = Cursor::new(frame.body);
        body.u8()?;
        let flags = body.u8()?;
        let lifetime_seconds = body.u16()?;
        body.take(8)?;
        let mut found = Self {
            mac: frame.from_mac,
            router: frame.from,
            lifetime_seconds,
            managed: flags & 0x80 != 0,
            other: flags & 0x40 != 0,
            prefixes: Vec::new(),
            name_servers: Vec::new(),
        };
        for (kind, value) in options(body) {
            match kind {
                3 => found.prefixes.extend(prefix(value)),
                25 => {
                    let addresses = value.get(6..).unwrap_or_default();
                    let addresses = addresses.as_chunks::<16>().0;
                    found.name_servers.extend(addresses.iter().map(|a| Ipv6Addr::from(*a)));
                }
                _ => {}
            }
        }
        Some(found)
    }

    /// True when it changes nothing for anybody: no router, no prefix, no name server, no DHCPv6.
    #[must_use]
    pub const fn is_bare(&self) -> bool {
        self.lifetime_seconds == 0
            && !self.managed
            && !self.other
            && self.prefixes.is_empty()
            && self.name_servers.is_empty()
    }
}

impl fmt::Display for Advertisement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "router {} ({})", self.mac, self.router)?;
        if self.lifetime_seconds > 0 {
            write!(f, ", default route for {} s", self.lifetime_seconds)?;
        }
        for prefix in &self.prefixes {
            write!(f, ", prefix {}/{}", prefix.network, prefix.length)?;
        }
        for server in &self.name_servers {
            write!(f, ", name server {server}")?;
        }
        if self.managed || self.other {
            f.write_str(", sends hosts to DHCPv6")?;
        }
        Ok(())
    }
}

/// Whom a bare advertisement is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Everybody on the link.
    All,
    /// The one who asked.
    One(Solicitation),
}

/// What a boss that serves IPv6 announces (RFC 4861 section 4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// The link's prefix; its length is 64 bits. Machines reach each other in it directly.
    pub prefix: Ipv6Addr,
    /// True when machines may make addresses of it by themselves (section 4.6.2, flag A).
    pub autonomous: bool,
    /// Seconds the boss is a default router for; 0 says that it is none.
    pub lifetime_seconds: u16,
    /// Recursive name servers (RFC 8106 section 5.1).
    pub name_servers: Vec<Ipv6Addr>,
}

/// Seconds a prefix stays valid and preferred (RFC 4861 section 6.2.1, the defaults: 30 days and 7).
const PREFIX_VALID: u32 = 2_592_000;
const PREFIX_PREFERRED: u32 = 604_800;
/// Seconds a name server may be used: three times the longest pause between two announcements (RFC 8106 section 5.1).
const NAME_SERVER_SECONDS: u32 = 1800;

impl Announcement {
    /// The frame. It tells to ask DHCPv6 for addresses and for everything else.
    #[must_use]
    pub fn frame(&self, boss: MacAddr, to: Audience) -> Vec<u8> {
        // Current hop limit 64, flags M and O; reachable and retransmission timers unspecified.
        let mut body = alloc::vec![64, 0xc0];
        body.extend_from_slice(&self.lifetime_seconds.to_be_bytes());
        body.extend_from_slice(&[0; 8]);
        let [a, b, c, d, e, f] = boss.0;
        body.extend_from_slice(&[1, 1, a, b, c, d, e, f]);
        body.extend_from_slice(&[3, 4, 64, if self.autonomous { 0xc0 } else { 0x80 }]);
        body.extend_from_slice(&PREFIX_VALID.to_be_bytes());
        body.extend_from_slice(&PREFIX_PREFERRED.to_be_bytes());
        body.extend_from_slice(&[0; 4]);
        body.extend_from_slice(&self.prefix.octets());
        // One option holds 127 addresses; a lab has one or two.
        let servers = self.name_servers.iter().take(8);
        if let Ok(count @ 1..) = u8::try_from(servers.len()) {
            body.extend_from_slice(&[25, 1 + 2 * count, 0, 0]);
            body.extend_from_slice(&NAME_SERVER_SECONDS.to_be_bytes());
            servers.for_each(|address| body.extend_from_slice(&address.octets()));
        }
        advertisement(boss, to, &body)
    }
}

/// A router advertisement frame that says "there is no router here": lifetime 0, no prefix, no name
/// server (RFC 4861 section 4.2, 24 bytes of ICMPv6). It ends iPXE's wait and disturbs no IPv6 user.
/// An asker without an address yet is answered by multicast, as section 6.2.6 demands.
#[must_use]
pub fn bare_advertisement(boss: MacAddr, to: Audience) -> Vec<u8> {
    let [a, b, c, d, e, f] = boss.0;
    // Hop limit, flags, lifetime, reachable and retransmission timers: all unspecified. Then our address.
    advertisement(boss, to, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, a, b, c, d, e, f])
}

fn advertisement(boss: MacAddr, to: Audience, body: &[u8]) -> Vec<u8> {
    let (to_mac, to) = match to {
        Audience::One(asker) if !asker.address.is_unspecified() => (asker.mac, asker.address),
        // The group address with the asker's own Ethernet address: valid for it, unseen by the rest.
        Audience::One(asker) => (asker.mac, ALL_NODES),
        Audience::All => (ALL_NODES_MAC, ALL_NODES),
    };
    let frame = Icmp6 {
        to_mac,
        from_mac: boss,
        from: link_local(boss),
        to,
        hop_limit: 255,
        kind: ROUTER_ADVERTISEMENT,
        code: 0,
        body,
        checksum_good: true,
    };
    frame.build().unwrap_or_default()
}

/// A router solicitation frame to all routers, as iPXE sends it (RFC 4861 section 4.1).
#[must_use]
pub fn solicitation(from: MacAddr) -> Vec<u8> {
    let [a, b, c, d, e, f] = from.0;
    let body = [0, 0, 0, 0, 1, 1, a, b, c, d, e, f];
    let frame = Icmp6 {
        to_mac: group_mac(ALL_ROUTERS),
        from_mac: from,
        from: link_local(from),
        to: ALL_ROUTERS,
        hop_limit: 255,
        kind: ROUTER_SOLICITATION,
        code: 0,
        body: &body,
        checksum_good: true,
    };
    frame.build().unwrap_or_default()
}

/// The Ethernet group that a multicast address is sent to (RFC 2464 section 7).
#[must_use]
pub const fn group_mac(group: Ipv6Addr) -> MacAddr {
    let [.., a, b, c, d] = group.octets();
    MacAddr([0x33, 0x33, a, b, c, d])
}

/// The link-local address made from an Ethernet address (RFC 4291 appendix A).
#[must_use]
pub const fn link_local(mac: MacAddr) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac.0;
    let pair = u16::from_be_bytes;
    Ipv6Addr::new(0xfe80, 0, 0, 0, pair([a ^ 2, b]), pair([c, 0xff]), pair([0xfe, d]), pair([e, f]))
}

/// The Ethernet address an address was made from (RFC 4291 appendix A), whatever its prefix; `None` for one that
/// was made otherwise, as by RFC 7217.
#[must_use]
pub const fn mac_of(address: Ipv6Addr) -> Option<MacAddr> {
    match address.octets() {
        [_, _, _, _, _, _, _, _, a, b, c, 0xff, 0xfe, d, e, f] => Some(MacAddr([a ^ 2, b, c, d, e, f])),
        _ => None,
    }
}

fn prefix(value: &[u8]) -> Option<Prefix> {
    let mut value = Cursor::new(value);
    let length = value.u8()?;
    let flags = value.u8()?;
    let valid_seconds = value.u32()?;
    value.take(8)?;
    let network = Ipv6Addr::from(value.array::<16>()?);
    Some(Prefix { network, length, autonomous: flags & 0x40 != 0, valid_seconds })
}

/// Type and value of each option; stops at the first one that is cut short or has length 0.
fn options(mut body: Cursor<'_>) -> impl Iterator<Item = (u8, &[u8])> {
    core::iter::from_fn(move || {
        let kind = body.u8()?;
        let eights = usize::from(body.u8()?);
        let value = body.take((eights * 8).checked_sub(2)?)?;
        Some((kind, value))
    })
    .take(MOST_OPTIONS)
}
