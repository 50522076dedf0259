//! The address that this machine has already: by the firmware's PXE client, or in the path it was started from by HTTP.
#![expect(unsafe_code, reason = "the firmware's records are looked at and not taken from it")]

use core::net::{IpAddr, Ipv4Addr};

use model::MacAddr;
use uefi::Handle;
use uefi::boot::{self, OpenProtocolAttributes, OpenProtocolParams, ScopedProtocol};
use uefi::proto::ProtocolPointer;
use uefi::proto::device_path::{DevicePath, DeviceSubType, DeviceType, LoadedImageDevicePath};
use uefi::proto::loaded_image::LoadedImage;
use uefi::proto::network::pxe::BaseCode;
use uefi::proto::network::snp::SimpleNetwork;
use wire::loader::Medium;

use crate::identity;

/// Option 3 of DHCP (RFC 2132): routers.
const ROUTER: u8 = 3;

/// An address and the port it belongs to.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) medium: Medium,
    pub(crate) address: Ipv4Addr,
    pub(crate) prefix: u8,
    pub(crate) gateway: Option<Ipv4Addr>,
    /// Who gave the boot file.
    pub(crate) server: Option<Ipv4Addr>,
    /// The network port.
    pub(crate) port: Handle,
    pub(crate) mac: MacAddr,
}

/// What this program was started with, if that was a network.
pub(crate) fn find() -> Option<Lease> {
    let image = looked_at::<LoadedImage>(boot::image_handle())?;
    let device = image.device()?;
    let mac = looked_at::<DevicePath>(device).and_then(|path| mac_in(&path))?;
    let port = port_of(mac, device)?;
    by_pxe(device, port, mac).or_else(|| by_path(device, port, mac))
}

/// Looks at a protocol without taking it from anybody.
pub(crate) fn looked_at<P: ProtocolPointer + ?Sized>(handle: Handle) -> Option<ScopedProtocol<P>> {
    let params = OpenProtocolParams { handle, agent: boot::image_handle(), controller: None };
    // SAFETY: it is used while no driver is stopped: of network cards only what they say of themselves is read, and the
    // disk below this program stays for as long as this program runs.
    unsafe { boot::open_protocol(params, OpenProtocolAttributes::GetProtocol).ok() }
}

/// The port of that address which the firmware's own stack stands on: the boot clients put the same one on handles of
/// their own, which go away with them.
fn port_of(mac: MacAddr, device: Handle) -> Option<Handle> {
    let all = boot::find_handles::<SimpleNetwork>().unwrap_or_default();
    let same =
        |handle: &Handle| identity::look(*handle).and_then(|port| identity::mac_of(&port)) == Some(mac);
    all.into_iter().filter(same).min_by_key(|handle| (length_of(*handle), *handle == device))
}

/// Nodes of the path of a handle: what stands on something else has more.
pub(crate) fn length_of(handle: Handle) -> usize {
    looked_at::<DevicePath>(handle).map_or(usize::MAX, |path| path.node_iter().count())
}

fn mac_in(path: &DevicePath) -> Option<MacAddr> {
    let mac = path
        .node_iter()
        .find(|node| node.full_type() == (DeviceType::MESSAGING, DeviceSubType::MESSAGING_MAC_ADDRESS))?;
    mac.data().first_chunk::<6>().map(|bytes| MacAddr(*bytes))
}

/// The cached acknowledgement of the PXE client.
fn by_pxe(device: Handle, port: Handle, mac: MacAddr) -> Option<Lease> {
    let client = looked_at::<BaseCode>(device)?;
    let mode = client.mode();
    let (IpAddr::V4(address), IpAddr::V4(mask)) = (mode.station_ip(), mode.subnet_mask()) else {
        return None;
    };
    if !mode.started() || !mode.dhcp_ack_received() || address.is_unspecified() {
        return None;
    }
    let packet: &[u8; 1472] = mode.dhcp_ack().as_ref();
    let ack = wire::dhcp::Message::decode(packet).ok();
    let gateway = ack.as_ref().and_then(|ack| ack.options.get(wire::dhcp::OptionCode(ROUTER)));
    let server = ack.as_ref().map(|ack| ack.siaddr).filter(|server| !server.is_unspecified());
    Some(Lease {
        medium: Medium::Pxe,
        address,
        prefix: prefix(mask),
        gateway: gateway.and_then(|bytes| bytes.first_chunk::<4>()).map(|bytes| Ipv4Addr::from(*bytes)),
        server,
        port,
        mac,
    })
}

/// The address in the path of an HTTP boot (UEFI 2.10 section 10.3.4.12).
fn by_path(device: Handle, port: Handle, mac: MacAddr) -> Option<Lease> {
    let own = looked_at::<LoadedImageDevicePath>(boot::image_handle());
    let found = own.and_then(|path| address_in(&path));
    let (address, server, gateway, mask) =
        found.or_else(|| looked_at::<DevicePath>(device).and_then(|path| address_in(&path)))?;
    let some = |address: Ipv4Addr| Some(address).filter(|address| !address.is_unspecified());
    Some(Lease {
        medium: Medium::Http,
        address: some(address)?,
        prefix: prefix(mask),
        gateway: some(gateway),
        server: some(server),
        port,
        mac,
    })
}

/// Local and remote address, gateway and mask.
fn address_in(path: &DevicePath) -> Option<(Ipv4Addr, Ipv4Addr, Ipv4Addr, Ipv4Addr)> {
    let node = path
        .node_iter()
        .find(|node| node.full_type() == (DeviceType::MESSAGING, DeviceSubType::MESSAGING_IPV4))?;
    let at = |from: usize| {
        let four = node.data().get(from..).and_then(|rest| rest.first_chunk::<4>());
        four.map_or(Ipv4Addr::UNSPECIFIED, |bytes| Ipv4Addr::from(*bytes))
    };
    Some((at(0), at(4), at(15), at(19)))
}

/// Length of a mask.
fn prefix(mask: Ipv4Addr) -> u8 {
    u8::try_from(mask.to_bits().leading_ones()).unwrap_or(32)
}
