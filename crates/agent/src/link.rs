//! The network ports: which one reaches the boss, bringing it up, and what it is given.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use model::MacAddr;
use rtnetlink::{AddressMessageBuilder, Handle, LinkUnspec, RouteMessageBuilder};
use rustix::net::netdevice::name_to_index;
use socket2::{Domain, Socket, Type};
use wire::dhcp::Binding;

use crate::kernel_line::KernelLine;

/// Index of the loopback port in every Linux network namespace.
const LOOPBACK: u32 = 1;
/// Length of a lab's IPv6 prefix. DHCPv6 tells none, and a router's word may come later than the address.
const PREFIX6: u8 = 64;

/// A network port with hardware behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Port {
    /// Kernel name.
    pub(crate) name: String,
    /// Kernel index.
    pub(crate) index: u32,
    /// Ethernet address.
    pub(crate) mac: MacAddr,
    /// True when something is plugged in. A port that is down does not know.
    pub(crate) carrier: bool,
}

/// Every port of the machine whose `/sys` lies under `root`, by name.
pub(crate) fn ports(root: &Path) -> Vec<Port> {
    let folder = root.join("sys/class/net");
    let mut found: Vec<Port> = fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| port(entry.file_name().into_string().ok()?, &entry.path()))
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

fn port(name: String, path: &Path) -> Option<Port> {
    if !path.join("device").exists() {
        return None;
    }
    let word = |file: &str| fs::read_to_string(path.join(file)).ok().map(|text| text.trim().to_owned());
    let carrier = word("carrier").as_deref() == Some("1");
    Some(Port { name, index: word("ifindex")?.parse().ok()?, mac: word("address")?.parse().ok()?, carrier })
}

/// The port to ask on in round `round`: the one the loader used if the kernel line says so, else those
/// with a cable in turn.
pub(crate) fn choose<'a>(ports: &'a [Port], line: &KernelLine, round: usize) -> Option<&'a Port> {
    let told = ports.iter().find(|port| Some(port.mac) == line.port);
    let plugged: Vec<&Port> = ports.iter().filter(|port| port.carrier).collect();
    told.or_else(|| plugged.get(round.checked_rem(plugged.len())?).copied())
}

/// The port that packets of this one come in on: itself, or what it is plugged into, such as a bridge.
pub(crate) fn speaks_on(port: &Port) -> Port {
    let master = fs::read_link(format!("/sys/class/net/{}/master", port.name)).ok();
    let name = master.as_deref().and_then(Path::file_name).and_then(|name| name.to_str());
    let over = name.and_then(|name| Some((name.to_owned(), index_of(name)?)));
    over.map_or_else(|| port.clone(), |(name, index)| Port { name, index, ..port.clone() })
}

/// The kernel's number of a port in this network namespace; none where there is no such port.
pub(crate) fn index_of(name: &str) -> Option<u32> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).ok()?;
    name_to_index(&socket, name).ok()
}

/// The kernel's door for addresses and routes.
#[derive(Debug, Clone)]
pub(crate) struct Links(Handle);

impl Links {
    /// Opens the door. The task that serves it is left behind.
    ///
    /// # Errors
    /// When the kernel has no netlink socket to give.
    pub(crate) fn spawn() -> std::io::Result<Self> {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        tokio::spawn(connection);
        Ok(Self(handle))
    }

    /// The door itself, for whoever makes ports.
    pub(crate) const fn handle(&self) -> &Handle {
        &self.0
    }

    /// Brings the loopback port up.
    pub(crate) async fn loopback_up(&self) -> Result<(), rtnetlink::Error> {
        self.up(LOOPBACK).await
    }

    /// Brings a port up.
    pub(crate) async fn up(&self, index: u32) -> Result<(), rtnetlink::Error> {
        self.0.link().set(LinkUnspec::new_with_index(index).up().build()).execute().await
    }

    /// Sets the address and the default route of a lease; both may be there already.
    pub(crate) async fn set(&self, index: u32, binding: &Binding) -> Result<(), rtnetlink::Error> {
        let address = IpAddr::V4(binding.address);
        self.0.address().add(index, address, binding.prefix).replace().execute().await?;
        let Some(gateway) = binding.gateway.filter(|gateway| *gateway != binding.address) else {
            return Ok(());
        };
        let route = RouteMessageBuilder::<Ipv4Addr>::new().gateway(gateway).output_interface(index).build();
        self.0.route().add(route).replace().execute().await
    }

    /// Sets an IPv6 address; it may be there already. Routes come from routers, and the kernel listens to them.
    pub(crate) async fn set6(&self, index: u32, address: Ipv6Addr) -> Result<(), rtnetlink::Error> {
        self.0.address().add(index, IpAddr::V6(address), PREFIX6).replace().execute().await
    }

    /// Takes an IPv6 address off.
    pub(crate) async fn clear6(&self, index: u32, address: Ipv6Addr) -> Result<(), rtnetlink::Error> {
        let message = AddressMessageBuilder::<Ipv6Addr>::new().index(index).address(address, PREFIX6).build();
        self.0.address().del(message).execute().await
    }

    /// Takes the address of a lease off; its routes go with it.
    pub(crate) async fn clear(&self, index: u32, binding: &Binding) -> Result<(), rtnetlink::Error> {
        let message = AddressMessageBuilder::<Ipv4Addr>::new()
            .index(index)
            .address(binding.address, binding.prefix)
            .build();
        self.0.address().del(message).execute().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(name: &str, last: u8, carrier: bool) -> Port {
        Port { name: name.to_owned(), index: 2, mac: MacAddr([2, 0, 0, 0, 0, last]), carrier }
    }

    #[test]
    fn ports_with_a_cable_are_asked_in_turn() {
        let ports = [port("eth0", 1, false), port("eth1", 2, true), port("eth2", 3, true)];
        let line = KernelLine::default();
        let names: Vec<_> =
            (0..3).filter_map(|n| choose(&ports, &line, n)).map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["eth1", "eth2", "eth1"]);
        assert_eq!(choose(&ports[..1], &line, 0), None);
    }

    #[test]
    fn the_port_the_loader_used_is_asked_first() {
        let ports = [port("eth0", 1, true), port("eth1", 2, false)];
        let line = KernelLine { port: Some(ports[1].mac), ..KernelLine::default() };
        assert_eq!(choose(&ports, &line, 0), Some(&ports[1]));
    }
}
