//! The agent's address: the socket and the clock around the DHCP client.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket as StdUdpSocket};
use std::path::Path;
use std::time::Duration;

use rustix::rand::{GetRandomFlags, getrandom};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use wire::dhcp::{
    AGENT_VENDOR_CLASS, Binding, CLIENT_PORT, Client, ClientSettings, ClientStep, OptionCode, SERVER_PORT,
    Sending,
};

use crate::console::Console;
use crate::kernel_line::KernelLine;
use crate::link::{Links, Port, choose, ports};

/// A server on the same segment answers in milliseconds; there is no reason to begin with 4 s.
const FIRST_WAIT_MS: u64 = 1000;
const LONGEST_WAIT_MS: u64 = 8000;
/// How long one port is asked before the next one is, where there are several with a cable.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often ports are looked at while none has a cable.
const LOOK: Duration = Duration::from_millis(250);

/// A lease and the port it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) port: Port,
    pub(crate) binding: Binding,
}

/// Gets an address, sets it, and keeps it; never gives up. `held` follows what is set.
pub(crate) async fn keep(console: &Console, line: &KernelLine, held: &watch::Sender<Option<Held>>) {
    let mut round = 0;
    loop {
        if let Err(why) = keep_once(console, line, held, round).await {
            console.say(&format!("no address: {why}; trying again"));
            sleep(LOOK).await;
        }
        held.send_replace(None);
        round += 1;
    }
}

/// Asks on one port. Returns when that port gave nothing for [`PATIENCE`] and another may.
async fn keep_once(
    console: &Console,
    line: &KernelLine,
    held: &watch::Sender<Option<Held>>,
    round: usize,
) -> Result<(), Box<dyn std::error::Error>> {
    let links = Links::spawn()?;
    links.loopback_up().await?;
    let port = plugged_port(console, &links, line, round).await?;
    let socket = open(&port)?;
    let mut asker = Asker { client: Client::new(settings(&port)?, 0), socket, clock: Instant::now() };
    let mut asking_since = asker.clock;
    console.say(&format!("{} ({}) asks for an address", port.name, port.mac));
    loop {
        let step = tokio::select! {
            step = asker.step() => step?,
            () = sleep_until(asking_since + PATIENCE), if held.borrow().is_none() => {
                console.say(&format!("{}: nobody gives an address", port.name));
                return Ok(());
            }
        };
        match step {
            ClientStep::Bound(binding) => {
                if held.borrow().as_ref().is_none_or(|h| h.binding.address != binding.address) {
                    console.say(&format!(
                        "address {}/{} from {}",
                        binding.address, binding.prefix, binding.server
                    ));
                }
                links.set(port.index, &binding).await?;
                held.send_replace(Some(Held { port: port.clone(), binding }));
            }
            ClientStep::Lost => {
                console.say("the address was taken back; asking again");
                if let Some(old) = held.send_replace(None) {
                    links.clear(port.index, &old.binding).await?;
                }
                asking_since = Instant::now();
            }
            ClientStep::Wait | ClientStep::Send(..) => {}
        }
    }
}

/// Waits until a port can be asked on. A person is told once what is missing.
async fn plugged_port(
    console: &Console,
    links: &Links,
    line: &KernelLine,
    round: usize,
) -> Result<Port, rtnetlink::Error> {
    let mut told = false;
    loop {
        let found = ports(Path::new("/"));
        for port in &found {
            links.up(port.index).await?;
        }
        if let Some(port) = choose(&ports(Path::new("/")), line, round) {
            return Ok(port.clone());
        }
        if !told {
            told = true;
            let names: Vec<_> = found.iter().map(|port| format!("{} ({})", port.name, port.mac)).collect();
            console.say(&match names.as_slice() {
                [] => {
                    "waits for a network port: the kernel shows none; is its driver in the image?".to_owned()
                }
                _ => format!("waits for a cable in {}", names.join(", ")),
            });
        }
        sleep(LOOK).await;
    }
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

fn millis_since(clock: Instant) -> u64 {
    u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX)
}
