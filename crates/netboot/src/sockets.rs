//! The counter's sockets: bound by a parent with rights, handed over a Unix socket to a process without them.

use std::borrow::Cow;
use std::fmt;
use std::fs;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};

use model::{MacAddr, TALOS_EVENTS_PORT, TALOS_LINES_PORT};
use rustix::net::sockopt::set_socket_recv_buffer_size_force;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};
use socket2::{Domain, Protocol, Socket, Type};

use crate::heads::HeadSocket;
use crate::packet::PacketSocket;
use crate::sockets6::{BindConfig6, Sockets6};

/// Receive buffer of each UDP port in bytes: every machine of a rack may ask in the same second, and whoever answers may
/// have to wait for a processor.
const BUFFER: usize = 4 << 20;
/// Priority of what is sent (`SO_PRIORITY`, socket(7)): the highest that needs no right, before images in the queue of
/// the card.
const PRIORITY: u32 = 6;
/// Connections the kernel keeps until they are accepted.
const BACKLOG: i32 = 256;
/// Most descriptors of one hand-over.
const MOST: usize = 24;

/// Where to listen. Port 0 asks the system for a free one, as tests do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindConfig {
    /// Interface of the lab. `None` binds to no interface and sniffs nothing.
    pub interface: Option<String>,
    /// Address to serve files on: the boss's own.
    pub address: Ipv4Addr,
    /// UDP port of DHCP; `None` where another server answers.
    pub dhcp: Option<u16>,
    /// UDP port of the PXE boot server, where another DHCP server gives the addresses.
    pub boot_server: Option<u16>,
    /// UDP port of TFTP.
    pub tftp: u16,
    /// TCP port of the boot HTTP.
    pub http: u16,
    /// The same over IPv6; `None` where the lab has none.
    pub six: Option<BindConfig6>,
    /// UDP and TCP port of names; `None` where the boss is no name server.
    pub dns: Option<u16>,
    /// UDP port of time; `None` where the boss serves none. One that is taken costs only the time: whoever has it
    /// serves it better.
    pub ntp: Option<u16>,
    /// UDP port of iPXE's log; `None` where there is none. One that is taken costs only the log.
    pub log: Option<u16>,
    /// TCP ports of what Talos pushes; `None` where no machine boots it. One that is taken costs only what it tells.
    pub feed: Option<FeedPorts>,
}

/// TCP ports of what Talos pushes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedPorts {
    /// Of the event sink.
    pub events: u16,
    /// Of lines of logs.
    pub lines: u16,
}

impl Default for FeedPorts {
    /// Those that the boot table names.
    fn default() -> Self {
        Self { events: TALOS_EVENTS_PORT, lines: TALOS_LINES_PORT }
    }
}

impl BindConfig {
    /// The well-known ports on an interface.
    #[must_use]
    pub fn on(interface: &str, address: Ipv4Addr) -> Self {
        Self {
            interface: Some(interface.to_owned()),
            dhcp: Some(67),
            tftp: 69,
            http: 80,
            log: Some(514),
            ..Self::bare(address)
        }
    }

    /// TFTP and boot HTTP alone, on no interface in particular and on ports that the system chooses.
    #[must_use]
    pub const fn bare(address: Ipv4Addr) -> Self {
        Self {
            interface: None,
            address,
            dhcp: None,
            boot_server: None,
            tftp: 0,
            http: 0,
            six: None,
            dns: None,
            ntp: None,
            log: None,
            feed: None,
        }
    }
}

/// A socket that could not be had.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else listens there.
    #[error("{what} is taken{}", Holder(by))]
    Taken {
        /// Port and protocol.
        what: String,
        /// Who has it, where that can be seen: process id and name.
        by: Option<String>,
    },
    /// Ports below 1024 and packet sockets need a right.
    #[error("{what} needs rights this process does not have")]
    Forbidden {
        /// Port and protocol.
        what: String,
    },
    /// There is no such interface or address on this machine.
    #[error("{what}: {source}")]
    Absent {
        /// What was looked for.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// Anything else.
    #[error("{what}: {source}")]
    Io {
        /// Port and protocol.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

impl BindError {
    /// The same, with the interface that is not there.
    fn on(self, device: Option<&str>) -> Self {
        match (self, device) {
            (Self::Absent { what, source }, Some(device)) => {
                Self::Absent { what: format!("{what} on {device}"), source }
            }
            (error, _) => error,
        }
    }

    /// A stable word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Taken { .. } => "port-taken",
            Self::Forbidden { .. } => "port-forbidden",
            Self::Absent { .. } => "interface-absent",
            Self::Io { .. } => "port-io",
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Taken { .. } => "stop the other server, or tell it to leave the lab's interface alone",
            Self::Forbidden { .. } => {
                "run as root, or give CAP_NET_BIND_SERVICE, CAP_NET_RAW and CAP_NET_ADMIN"
            }
            Self::Absent { .. } => "look at `ip address`: interface and address of the lab file must exist",
            Self::Io { .. } => "look at the kernel's log",
        }
    }
}

struct Holder<'a>(&'a Option<String>);

impl fmt::Display for Holder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(who) => write!(f, " by {who}"),
            None => Ok(()),
        }
    }
}

/// The bound sockets.
#[derive(Debug)]
pub struct Sockets {
    /// DHCP, where we are the server.
    pub dhcp: Option<UdpSocket>,
    /// PXE boot server, beside another DHCP server.
    pub boot_server: Option<UdpSocket>,
    /// TFTP.
    pub tftp: UdpSocket,
    /// Boot HTTP.
    pub http: TcpListener,
    /// Names.
    pub dns: Option<(UdpSocket, TcpListener)>,
    /// Time.
    pub ntp: Option<UdpSocket>,
    /// iPXE's log.
    pub log: Option<UdpSocket>,
    /// Talos's event sink.
    pub events: Option<TcpListener>,
    /// Lines of Talos's logs.
    pub lines: Option<TcpListener>,
    /// Frames of the lab's interface.
    pub packets: Option<PacketSocket>,
    /// Heads of all its frames, to look at after a failed start. Boots do not need it.
    pub heads: Option<HeadSocket>,
    /// Where lines that machines send are handed on; not bound but given.
    pub heard: Option<UnixDatagram>,
    /// The same over IPv6, where the lab has it.
    pub six: Option<Sockets6>,
}

/// What travels beside the descriptors.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Manifest {
    /// What each descriptor is, in order.
    names: Vec<Cow<'static, str>>,
    /// Ethernet address of the interface that is sniffed.
    mac: Option<MacAddr>,
}

/// Descriptors that came over, until each is taken by its name.
struct Delivery {
    sockets: Vec<(Cow<'static, str>, OwnedFd)>,
}

impl Delivery {
    fn take<T: From<OwnedFd>>(&mut self, name: &str) -> Option<T> {
        let at = self.sockets.iter().position(|(this, _)| this == name)?;
        Some(self.sockets.swap_remove(at).1.into())
    }

    fn expect<T: From<OwnedFd>>(&mut self, name: &str) -> io::Result<T> {
        let missing = || io::Error::new(io::ErrorKind::InvalidData, format!("the {name} socket is missing"));
        self.take(name).ok_or_else(missing)
    }
}

impl Sockets {
    /// Binds everything.
    ///
    /// # Errors
    /// [`BindError`] names the port and, where another process holds it, that process.
    pub fn bind(config: &BindConfig) -> Result<Self, BindError> {
        let device = config.interface.as_deref();
        let beside = |port: u16| {
            let at = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port);
            // Loopback has no broadcasts: without an interface only this machine's own clients can ask.
            let at = if device.is_none() { SocketAddrV4::new(config.address, port) } else { at };
            let at = SocketAddr::V4(at);
            udp(at, device, true).map_err(|error| named(error, Transport::Udp, at).on(device))
        };
        let tftp = SocketAddr::from((config.address, config.tftp));
        let http = SocketAddr::from((config.address, config.http));
        let packets = device.map(|device| {
            PacketSocket::open(device).map_err(|source| {
                let what = format!("the packet socket on {device}");
                match source.kind() {
                    io::ErrorKind::PermissionDenied => BindError::Forbidden { what },
                    io::ErrorKind::NotFound => BindError::Absent { what, source },
                    _ if source.raw_os_error() == Some(19) => BindError::Absent { what, source },
                    _ => BindError::Io { what, source },
                }
            })
        });
        Ok(Self {
            dhcp: config.dhcp.map(beside).transpose()?,
            boot_server: config.boot_server.map(beside).transpose()?,
            tftp: udp(tftp, None, false).map_err(|error| named(error, Transport::Udp, tftp))?,
            http: tcp(http).map_err(|error| named(error, Transport::Tcp, http))?,
            dns: config.dns.map(|port| names(config.address.into(), port)).transpose()?,
            ntp: config.ntp.and_then(|port| spare("time", config.address.into(), port)),
            log: config.log.and_then(|port| spare("iPXE's log", config.address.into(), port)),
            events: config.feed.and_then(|ports| spare_tcp("Talos's events", config.address, ports.events)),
            lines: config.feed.and_then(|ports| spare_tcp("Talos's logs", config.address, ports.lines)),
            packets: packets.transpose()?,
            heard: None,
            heads: device.and_then(|device| {
                let opened = HeadSocket::open(device);
                opened.inspect_err(|why| tracing::warn!("heads of packets are not kept: {why}")).ok()
            }),
            six: config.six.as_ref().map(|six| Sockets6::bind(config, six)).transpose()?,
        })
    }

    /// Hands the sockets to the process at the other end.
    ///
    /// # Errors
    /// As the system says.
    pub fn send_over(&self, stream: &UnixStream) -> io::Result<()> {
        let mut named = vec![("tftp", self.tftp.as_fd()), ("http", self.http.as_fd())];
        named.extend(self.dhcp.as_ref().map(|socket| ("dhcp", socket.as_fd())));
        named.extend(self.boot_server.as_ref().map(|socket| ("boot-server", socket.as_fd())));
        if let Some((datagrams, connections)) = &self.dns {
            named.extend([("dns", datagrams.as_fd()), ("dns-tcp", connections.as_fd())]);
        }
        named.extend(self.ntp.as_ref().map(|socket| ("ntp", socket.as_fd())));
        named.extend(self.log.as_ref().map(|socket| ("log", socket.as_fd())));
        named.extend(self.heard.as_ref().map(|socket| ("heard", socket.as_fd())));
        named.extend(self.events.as_ref().map(|socket| ("events", socket.as_fd())));
        named.extend(self.lines.as_ref().map(|socket| ("lines", socket.as_fd())));
        if let Some(packets) = &self.packets {
            named.extend([("frames", packets.frames.as_fd()), ("group", packets.group.as_fd())]);
        }
        named.extend(self.heads.as_ref().map(|heads| ("heads", heads.0.as_fd())));
        if let Some(six) = &self.six {
            named.extend([
                ("dhcp6", six.dhcp.as_fd()),
                ("tftp6", six.tftp.as_fd()),
                ("http6", six.http.as_fd()),
            ]);
            if let Some((datagrams, connections)) = &six.dns {
                named.extend([("dns6", datagrams.as_fd()), ("dns6-tcp", connections.as_fd())]);
            }
            named.extend(six.ntp.as_ref().map(|socket| ("ntp6", socket.as_fd())));
        }
        let (names, descriptors): (Vec<_>, Vec<_>) =
            named.into_iter().map(|(name, descriptor)| (Cow::Borrowed(name), descriptor)).unzip();
        let mac = self.packets.as_ref().map(|packets| packets.mac);
        let mut text = serde_json::to_vec(&Manifest { names, mac })?;
        text.push(b'\n');
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut rights = SendAncillaryBuffer::new(&mut space);
        if !rights.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(io::Error::other("too many sockets for one message"));
        }
        let sent = sendmsg(stream, &[IoSlice::new(&text)], &mut rights, SendFlags::NOSIGNAL)?;
        if sent == text.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }

    /// Takes the sockets a parent sends.
    ///
    /// # Errors
    /// `UnexpectedEof` when the parent is gone, `InvalidData` when what comes are not a counter's sockets.
    pub fn receive_from(stream: &UnixStream) -> io::Result<Self> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut rights = RecvAncillaryBuffer::new(&mut space);
        let mut text = [0; 1024];
        let got =
            recvmsg(stream, &mut [IoSliceMut::new(&mut text)], &mut rights, RecvFlags::CMSG_CLOEXEC)?.bytes;
        if got == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let descriptors = rights
            .drain()
            .filter_map(|message| match message {
                RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
                _ => None,
            })
            .flatten();
        let manifest: Manifest = serde_json::from_slice(text.get(..got).unwrap_or_default())?;
        let mut delivery = Delivery { sockets: manifest.names.into_iter().zip(descriptors).collect() };
        Ok(Self {
            tftp: delivery.expect("tftp")?,
            http: delivery.expect("http")?,
            dhcp: delivery.take("dhcp"),
            heads: delivery.take("heads").map(HeadSocket),
            boot_server: delivery.take("boot-server"),
            six: match delivery.take("dhcp6") {
                Some(dhcp) => {
                    let (tftp, http) = (delivery.expect("tftp6")?, delivery.expect("http6")?);
                    let dns = match delivery.take("dns6") {
                        Some(datagrams) => Some((datagrams, delivery.expect("dns6-tcp")?)),
                        None => None,
                    };
                    Some(Sockets6 { dhcp, tftp, http, dns, ntp: delivery.take("ntp6") })
                }
                None => None,
            },
            dns: match delivery.take("dns") {
                Some(datagrams) => Some((datagrams, delivery.expect("dns-tcp")?)),
                None => None,
            },
            ntp: delivery.take("ntp"),
            log: delivery.take("log"),
            heard: delivery.take("heard"),
            events: delivery.take("events"),
            lines: delivery.take("lines"),
            packets: match manifest.mac {
                Some(mac) => {
                    let (frames, group) = (delivery.expect("frames")?, delivery.expect("group")?);
                    Some(PacketSocket { frames, group, mac })
                }
                None => None,
            },
        })
    }
}

/// Both ports of names, which have one number. With port 0 the second follows the first.
pub(crate) fn names(address: IpAddr, port: u16) -> Result<(UdpSocket, TcpListener), BindError> {
    let at = SocketAddr::from((address, port));
    let connections = tcp(at).map_err(|error| named(error, Transport::Tcp, at))?;
    let port = connections.local_addr().map_or(port, |at| at.port());
    let at = SocketAddr::from((address, port));
    let datagrams = udp(at, None, false).map_err(|error| named(error, Transport::Udp, at))?;
    Ok((datagrams, connections))
}

/// A UDP port that a lab boots without, such as one that a daemon of this machine has.
pub(crate) fn spare(what: &str, address: IpAddr, port: u16) -> Option<UdpSocket> {
    let at = SocketAddr::from((address, port));
    let bound = udp(at, None, false).map_err(|error| named(error, Transport::Udp, at));
    bound.map_err(|error| tracing::warn!("no port for {what}: {error}; {}", error.advice())).ok()
}

/// As [`spare`], of TCP.
fn spare_tcp(what: &str, address: Ipv4Addr, port: u16) -> Option<TcpListener> {
    let at = SocketAddr::from((address, port));
    let bound = tcp(at).map_err(|error| named(error, Transport::Tcp, at));
    bound.map_err(|error| tracing::warn!("no port for {what}: {error}; {}", error.advice())).ok()
}

pub(crate) fn udp(at: SocketAddr, device: Option<&str>, of_dhcp: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(at), Type::DGRAM, Some(Protocol::UDP))?;
    if at.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if let Some(device) = device {
        socket.bind_device(Some(device.as_bytes()))?;
    }
    if of_dhcp {
        socket.set_broadcast(true)?;
    }
    make_room(&socket, at.port());
    socket.set_nonblocking(true)?;
    socket.bind(&at.into())?;
    Ok(socket.into())
}

/// Asks for room for a burst. Nothing depends on it, so what is refused is only told.
fn make_room(socket: &Socket, port: u16) {
    // Beyond `net.core.rmem_max` only with CAP_NET_ADMIN.
    if set_socket_recv_buffer_size_force(socket, BUFFER).is_err()
        && let Err(why) = socket.set_recv_buffer_size(BUFFER)
    {
        tracing::warn!("UDP port {port} has no larger buffer: {why}");
    }
    if let Err(why) = socket.set_priority(PRIORITY) {
        tracing::debug!("what UDP port {port} sends waits like everything else: {why}");
    }
    // The kernel counts its own bookkeeping too, and says twice what was asked for (socket(7), SO_RCVBUF).
    match socket.recv_buffer_size() {
        Ok(got) if got / 2 < BUFFER => tracing::info!(
            "UDP port {port} got a buffer of {} KiB and asked for {}: `labinator doctor --fix sockets` makes room",
            got / 2 / 1024,
            BUFFER / 1024
        ),
        Ok(_) | Err(_) => {}
    }
}

pub(crate) fn tcp(at: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(at), Type::STREAM, Some(Protocol::TCP))?;
    if at.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&at.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Transport {
    Udp,
    Tcp,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        })
    }
}

pub(crate) fn named(source: io::Error, transport: Transport, at: SocketAddr) -> BindError {
    let what = format!("{transport} port {at}");
    match source.kind() {
        io::ErrorKind::AddrInUse => BindError::Taken { what, by: holder(transport, at.port()) },
        io::ErrorKind::PermissionDenied => BindError::Forbidden { what },
        io::ErrorKind::AddrNotAvailable => BindError::Absent { what, source },
        // ENODEV: the interface to bind to does not exist.
        _ if source.raw_os_error() == Some(19) => BindError::Absent { what, source },
        _ => BindError::Io { what, source },
    }
}

/// Who listens on a port: its inode in the kernel's socket table, then whose descriptor that is.
fn holder(transport: Transport, port: u16) -> Option<String> {
    let tables = match transport {
        Transport::Udp => ["/proc/net/udp", "/proc/net/udp6"],
        Transport::Tcp => ["/proc/net/tcp", "/proc/net/tcp6"],
    };
    let inodes: Vec<String> = tables
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| inodes_on(&table, port))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    fs::read_dir("/proc").ok()?.filter_map(Result::ok).find_map(|process| {
        let id: u32 = process.file_name().to_str()?.parse().ok()?;
        let descriptors = fs::read_dir(process.path().join("fd")).ok()?;
        let holds = descriptors.filter_map(Result::ok).any(|descriptor| {
            let target = fs::read_link(descriptor.path()).unwrap_or_default();
            inodes.iter().any(|inode| target.as_os_str() == inode.as_str())
        });
        let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
        holds.then(|| format!("{} (process {id})", name.trim()))
    })
}

/// Inodes of the sockets on a local port, from the text of `/proc/net/udp` or `/proc/net/tcp` (proc(5)). Of TCP only
/// listening sockets (state 0A) count.
fn inodes_on(table: &str, port: u16) -> Vec<String> {
    let wanted = format!("{port:04X}");
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut columns = line.split_whitespace();
            let local = columns.nth(1)?;
            let state = columns.nth(1)?;
            let inode = columns.nth(5)?;
            let listens = matches!(state, "07" | "0A");
            (listens && local.rsplit(':').next() == Some(wanted.as_str())).then(|| inode.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_udp_port_has_as_much_room_as_the_kernel_gives() {
        let socket = udp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), None, false).unwrap();
        let socket = socket2::SockRef::from(&socket);
        let most: usize = fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap().trim().parse().unwrap();
        // Root gets what it asks for, everybody else at most what the kernel allows.
        let got = socket.recv_buffer_size().unwrap() / 2;
        assert!(got >= BUFFER.min(most), "{got} of {BUFFER}, with {most} allowed");
        assert_eq!(socket.priority().unwrap(), PRIORITY);
    }

    #[test]
    fn the_socket_table_of_the_kernel_is_read_by_port() {
        let table = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
            2: 00000000:0043 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 12345 2 0 0\n\
            3: 0100007F:0044 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 12346 2 0 0\n";
        assert_eq!(inodes_on(table, 67), ["12345"]);
        assert!(inodes_on(table, 69).is_empty());
    }
}
