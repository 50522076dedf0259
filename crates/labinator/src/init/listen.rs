//! The ear on the segment: opens the packet port, provokes servers as a client would, and feeds the picture.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};

use model::MacAddr;
use netboot::{PacketPort, PacketSocket};
use socket2::{Domain, Protocol, Socket, Type};
use wire::dhcp::{Message, MessageType, OptionCode};
use wire::ndp::solicitation;

use super::segment::Segment;
use super::vendors::Vendors;
use crate::cli::Failure;

/// Largest frame looked at.
const FRAME: usize = 2048;
/// How often servers are asked while listening.
const ASK_EVERY: Duration = Duration::from_secs(3);

/// An ear on one interface.
#[derive(Debug)]
pub(super) struct Ear {
    port: PacketPort,
    asking: Option<UdpSocket>,
    vendors: Vendors,
    pub(super) segment: Segment,
    began: Instant,
    asked: Option<Instant>,
    solicited: bool,
}

impl Ear {
    /// Opens it. With `probe` it also asks for an address and for routers, as any client does, and takes neither.
    ///
    /// # Errors
    /// Says which right is missing, or that there is no such interface.
    pub(super) fn open(interface: &str, probe: bool) -> Result<Self, Failure> {
        let socket = PacketSocket::open(interface).map_err(|why| refused(interface, &why))?;
        let port = PacketPort::new(socket).map_err(|why| refused(interface, &why))?;
        let asking = probe.then(|| client_port(interface)).transpose().unwrap_or_else(|why| {
            tracing::warn!("other DHCP servers are not asked, only listened for: UDP port 68: {why}");
            None
        });
        let segment = Segment::of(port.mac());
        let (began, vendors) = (Instant::now(), Vendors::known());
        Ok(Self { port, asking, vendors, segment, began, asked: None, solicited: !probe })
    }

    /// Milliseconds since it was opened.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Listens until something was heard, or a moment passed. Safe to cancel.
    pub(super) async fn hear(&mut self) {
        self.ask();
        let mut frame = [0; FRAME];
        // A port can be refused while its interface is down; the next call tries again.
        let heard = tokio::time::timeout(Duration::from_millis(500), self.port.receive(&mut frame)).await;
        match heard {
            Ok(Ok(count)) => {
                let (now, vendors) = (self.now(), &self.vendors);
                let bytes = frame.get(..count).unwrap_or_default();
                self.segment.take(bytes, now, |mac| vendors.of(mac).to_owned());
                self.solicit();
            }
            Ok(Err(_)) => tokio::time::sleep(Duration::from_millis(200)).await,
            Err(_) => {}
        }
    }

    /// Asks nobody any more: from now on the server of this segment may be ours.
    pub(super) fn only_listen(&mut self) {
        self.asking = None;
        self.solicited = true;
    }

    /// Listens for a time.
    pub(super) async fn listen(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.hear().await;
        }
    }

    fn ask(&mut self) {
        let Some(socket) = &self.asking else { return };
        if self.asked.is_some_and(|at| at.elapsed() < ASK_EVERY) {
            return;
        }
        self.asked = Some(Instant::now());
        for vendor_class in [None, Some(b"PXEClient:Arch:00007:UNDI:003016".as_slice())] {
            let Ok(bytes) = discover(self.port.mac(), vendor_class).encode(1400) else { continue };
            let to = SocketAddrV4::new(Ipv4Addr::BROADCAST, 67);
            if let Err(why) = socket.send_to(&bytes, to) {
                tracing::debug!("a DHCPDISCOVER was not sent: {why}");
            }
        }
    }

    /// The port can speak once it has heard.
    fn solicit(&mut self) {
        if !self.solicited {
            self.solicited = self.port.send(&solicitation(self.port.mac())).is_ok();
        }
    }
}

/// A DHCPDISCOVER that wants to know, not to have: nothing is requested afterwards.
fn discover(mac: MacAddr, vendor_class: Option<&[u8]>) -> Message {
    let transaction = std::process::id() ^ u32::from(vendor_class.is_some());
    let mut message = Message::request(MessageType::Discover, mac, transaction);
    message.broadcast = true;
    message.options.set(OptionCode::PARAMETER_LIST, [1, 3, 6, 51, 54, 66, 67]);
    if let Some(class) = vendor_class {
        message.options.set(OptionCode::VENDOR_CLASS, class);
        message.options.set_u16(OptionCode::ARCHITECTURES, 7);
    }
    message
}

fn client_port(interface: &str) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.set_broadcast(true)?;
    socket.bind_device(Some(interface.as_bytes()))?;
    socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68).into())?;
    Ok(socket.into())
}

fn refused(interface: &str, why: &io::Error) -> Failure {
    match why.kind() {
        io::ErrorKind::PermissionDenied => Failure::with_advice(
            format!("listening on {interface} needs the right CAP_NET_RAW"),
            "run it as root, or name everything by flags and add --no-listen",
        ),
        io::ErrorKind::NotFound => {
            Failure::with_advice(format!("there is no interface {interface}"), "`ip link` lists them")
        }
        _ if why.raw_os_error() == Some(19) => {
            Failure::with_advice(format!("there is no interface {interface}"), "`ip link` lists them")
        }
        _ => Failure::failed(format!("{interface}: {why}")),
    }
}
