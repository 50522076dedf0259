//! The counter's IPv6 sockets: DHCPv6, TFTP, boot HTTP, names and time on the boss's IPv6 address.

use std::net::{Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

use wire::dhcp6::{ALL_SERVERS, SERVER_PORT};

use crate::sockets::{BindConfig, BindError, Transport, named, names, spare, tcp, udp};

/// Where to listen over IPv6. Port 0 asks the system for a free one, as tests do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindConfig6 {
    /// Address to serve files on: the boss's own.
    pub address: Ipv6Addr,
    /// UDP port of DHCPv6.
    pub dhcp: u16,
}

impl BindConfig6 {
    /// The well-known port.
    #[must_use]
    pub const fn on(address: Ipv6Addr) -> Self {
        Self { address, dhcp: SERVER_PORT }
    }
}

/// The bound sockets.
#[derive(Debug)]
pub struct Sockets6 {
    /// DHCPv6, in the servers' group of the lab's interface.
    pub dhcp: UdpSocket,
    /// TFTP.
    pub tftp: UdpSocket,
    /// Boot HTTP.
    pub http: TcpListener,
    /// Names.
    pub dns: Option<(UdpSocket, TcpListener)>,
    /// Time.
    pub ntp: Option<UdpSocket>,
}

impl Sockets6 {
    /// Binds everything. Files, names and time are served on the ports that IPv4 has.
    ///
    /// # Errors
    /// As [`Sockets::bind`](crate::Sockets::bind).
    pub(crate) fn bind(config: &BindConfig, six: &BindConfig6) -> Result<Self, BindError> {
        let device = config.interface.as_deref();
        // Without an interface there is no group to join, and only this machine's own clients can ask.
        let host = if device.is_some() { Ipv6Addr::UNSPECIFIED } else { six.address };
        let at = SocketAddr::from((host, six.dhcp));
        let dhcp = udp(at, device, true).and_then(|socket| {
            if let Some(device) = device {
                let index = rustix::net::netdevice::name_to_index(&socket, device)?;
                socket.join_multicast_v6(&ALL_SERVERS, index)?;
            }
            Ok(socket)
        });
        let tftp = SocketAddr::from((six.address, config.tftp));
        let http = SocketAddr::from((six.address, config.http));
        Ok(Self {
            dhcp: dhcp.map_err(|error| named(error, Transport::Udp, at))?,
            tftp: udp(tftp, None, false).map_err(|error| named(error, Transport::Udp, tftp))?,
            http: tcp(http).map_err(|error| named(error, Transport::Tcp, http))?,
            dns: config.dns.map(|port| names(six.address.into(), port)).transpose()?,
            ntp: config.ntp.and_then(|port| spare("time over IPv6", six.address.into(), port)),
        })
    }
}
