//! The bridge that guests and the machine itself share, made without losing the address the machine has.
//!
//! ```text
//!   eth0 (mac, address, routes)      ──▶      br0 (mac, address, routes) ─┬─ eth0
//!                                                                         ├─ vm-…  guest
//! ```
//! The bridge has the port's Ethernet address, so nothing on the segment notices. Whoever keeps the lease looks where
//! the port belongs ([`crate::link::speaks_on`]) and goes on there.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};

use futures_util::TryStreamExt as _;
use model::MacAddr;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage, AddressScope};
use rtnetlink::packet_route::link::BridgeStpState;
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use rtnetlink::{Error, LinkBridge, LinkUnspec, RouteMessageBuilder};

use crate::link::{Links, Port, index_of};

/// Plugs a port into a bridge and brings it up; done again it changes nothing.
///
/// # Errors
/// A sentence that names what is missing or refused.
pub(super) async fn join(links: &Links, port: &str, bridge: &str) -> Result<(), String> {
    let find = |name: &str| index_of(name).ok_or_else(|| format!("there is no port {name}"));
    let (port_index, bridge_index) = (find(port)?, find(bridge)?);
    let message = LinkUnspec::new_with_index(port_index).controller(bridge_index).up().build();
    let done = links.handle().link().set(message).execute().await;
    done.map_err(|why| format!("{port} cannot be plugged into {bridge}: {why}"))
}

/// Makes the bridge over this port; one that is there already is left as it is.
///
/// # Errors
/// A sentence that names the step; what was done stays, and doing it again goes on from there.
pub(super) async fn make(links: &Links, port: &Port, bridge: &str) -> Result<(), String> {
    let step = |what: &'static str| move |why: Error| format!("{bridge} over {}: {what}: {why}", port.name);
    if index_of(bridge).is_none() {
        let message = LinkBridge::new(bridge)
            .address(port.mac.0.to_vec())
            .stp_state(BridgeStpState::Disabled)
            .forward_delay(0)
            // Nobody on a lab's segment asks who wants which group; without an asker snooping cuts groups off.
            .mcast_snooping(false)
            .build();
        links.handle().link().add(message).execute().await.map_err(step("it cannot be made"))?;
    }
    let over = index_of(bridge).ok_or_else(|| format!("{bridge} was made and is not there"))?;
    // Read before the port changes hands: its routes may go with it.
    let addresses = addresses(links, port.index).await.map_err(step("its addresses"))?;
    let gateways = gateways(links, port.index).await.map_err(step("its routes"))?;
    links.up(over).await.map_err(step("it does not come up"))?;
    join(links, &port.name, bridge).await?;
    for message in &addresses {
        let Some(address) = address_of(message) else { continue };
        let mut add = links.handle().address().add(over, address, message.header.prefix_len).replace();
        // It moves, so nobody else has it: looking whether somebody does would keep it from use for up to a second.
        add.message_mut().header.flags |= AddressHeaderFlags::Nodad;
        add.execute().await.map_err(step("an address"))?;
    }
    for gateway in gateways {
        let route = RouteMessageBuilder::<Ipv4Addr>::new().gateway(gateway).output_interface(over).build();
        links.handle().route().add(route).replace().execute().await.map_err(step("a route"))?;
    }
    for message in addresses {
        links.handle().address().del(message).execute().await.map_err(step("an old address"))?;
    }
    Ok(())
}

/// The address of a port, where the kernel shows it.
pub(super) fn mac_of(name: &str) -> Option<MacAddr> {
    fs::read_to_string(format!("/sys/class/net/{name}/address")).ok()?.trim().parse().ok()
}

/// Addresses of a port that somebody gave it. Link-local ones the kernel makes itself, for each port its own.
async fn addresses(links: &Links, index: u32) -> Result<Vec<AddressMessage>, Error> {
    let all = links.handle().address().get().set_link_index_filter(index).execute();
    let all: Vec<_> = all.try_collect().await?;
    let given = |message: &AddressMessage| message.header.scope != AddressScope::Link;
    Ok(all.into_iter().filter(given).collect())
}

fn address_of(message: &AddressMessage) -> Option<IpAddr> {
    let local = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    local.or_else(|| {
        message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        })
    })
}

/// Gateways of the default routes over a port. Routers tell those of IPv6 again as soon as the bridge is up.
async fn gateways(links: &Links, index: u32) -> Result<Vec<Ipv4Addr>, Error> {
    let all = links.handle().route().get(RouteMessageBuilder::<Ipv4Addr>::new().build()).execute();
    let all: Vec<RouteMessage> = all.try_collect().await?;
    let ours = |message: &RouteMessage| {
        message.header.address_family == AddressFamily::Inet
            && message.header.destination_prefix_length == 0
            && message.attributes.contains(&RouteAttribute::Oif(index))
    };
    let gateway = |message: RouteMessage| {
        message.attributes.into_iter().find_map(|attribute| match attribute {
            RouteAttribute::Gateway(RouteAddress::Inet(gateway)) => Some(gateway),
            _ => None,
        })
    };
    Ok(all.into_iter().filter(ours).filter_map(gateway).collect())
}
