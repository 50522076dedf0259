//! The socket and the clock around the DHCP client.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket as StdUdpSocket};
use std::time::Duration;

use rustix::rand::{GetRandomFlags, getrandom};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until};
use wire::dhcp::{
    AGENT_VENDOR_CLASS, Binding, CLIENT_PORT, Client, ClientSettings, ClientStep, OptionCode, SERVER_PORT,
    Sending,
};

use super::{FIRST_WAIT_MS, Held, LONGEST_WAIT_MS, PATIENCE, Tell, Trouble, millis_since, plugged_port};
use crate::console::Console;
use crate::kernel_line::{BOOT_HTTP_PORT, KernelLine};
use crate::link::{Links, Port};

/// Asks on one port. Returns when that port gave nothing for [`PATIENCE`] and another may.
pub(super) async fn keep_once(
    console: &Console,
    line: &KernelLine,
    held: &Tell,
    round: usize,
) -> Result<(), Trouble> {
    let links = Links::spawn()?;
    links.loopback_up().await?;
    let port = plugged_port(console, &links, line, round).await?;
    let socket = open(&port)?;
    let mut asker = Asker { client: Client::new(settings(&port)?, 0), socket, clock: Instant::now() };
    let mut asking_since = asker.clock;
    let mut set: Option<Binding> = None;
    console.say(&format!("{} ({}) asks for an address", port.name, port.mac));
    loop {
        let step = tokio::select! {
            step = asker.step() => step?,
            () = sleep_until(asking_since + PATIENCE), if set.is_none() => {
                console.say(&format!("{}: nobody gives an address", port.name));
                return Ok(());
            }
        };
        match step {
            ClientStep::Bound(binding) => {
                if set.as_ref().is_none_or(|old| old.address != binding.address) {
                    console.say(&format!(
                        "address {}/{} from {}",
                        binding.address, binding.prefix, binding.server
                    ));
                }
                links.set(port.index, &binding).await?;
                held.send_replace(Some(describe(&port, &binding)));
                set = Some(binding);
            }
            ClientStep::Lost => {
                console.say("the address was taken back; asking again");
                held.send_replace(None);
                if let Some(old) = set.take() {
                    links.clear(port.index, &old).await?;
                }
                asking_since = Instant::now();
            }
            ClientStep::Wait | ClientStep::Send(..) => {}
        }
    }
}

/// The boss is the server the boot file came from, else the DHCP server.
fn describe(port: &Port, binding: &Binding) -> Held {
    let next = binding.reply.siaddr;
    let server = if next.is_unspecified() { binding.server } else { next };
    let boss = Some(SocketAddr::from((server, BOOT_HTTP_PORT)));
    Held { port: port.clone(), address: binding.address.into(), boss }
}

fn settings(port: &Port) -> io::Result<ClientSettings> {
    let mut random = [0; 4];
    getrandom(&mut random, GetRandomFlags::INSECURE)?;
    let mut settings = ClientSettings::new(port.mac, u32::from_ne_bytes(random));
    settings.broadcast = true;
    settings.first_wait_ms = FIRST_WAIT_MS;
    settings.longest_wait_ms = LONGEST_WAIT_MS;
    settings.options.set(OptionCode::VENDOR_CLASS, AGENT_VENDOR_CLASS);
    Ok(settings)
}

fn open(port: &Port) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.set_broadcast(true)?;
    // Before there is an address, the device is the only way to say where a broadcast leaves.
    socket.bind_device(Some(port.name.as_bytes()))?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, CLIENT_PORT).into())?;
    UdpSocket::from_std(StdUdpSocket::from(socket))
}

#[derive(Debug)]
struct Asker {
    client: Client,
    socket: UdpSocket,
    /// Zero of the client's milliseconds.
    clock: Instant,
}

impl Asker {
    /// Waits for a packet or the client's next moment, and sends what the client wants sent.
    /// Cancelling it loses nothing but the packet in hand.
    async fn step(&mut self) -> io::Result<ClientStep> {
        let mut buffer = [0; 1500];
        let clock = self.clock;
        let wake = clock + Duration::from_millis(self.client.wake_at());
        let step = tokio::select! {
            got = self.socket.recv(&mut buffer) => {
                let bytes = buffer.get(..got?).unwrap_or_default();
                self.client.on_packet(bytes, millis_since(clock))
            }
            () = sleep_until(wake) => self.client.on_time(millis_since(clock)),
        };
        if let Some((bytes, to)) = step.datagram() {
            let to = match to {
                Sending::Broadcast => Ipv4Addr::BROADCAST,
                Sending::Unicast(server) => server,
            };
            self.socket.send_to(&bytes, (to, SERVER_PORT)).await?;
        }
        Ok(step)
    }
}
