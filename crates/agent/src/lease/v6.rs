//! The socket and the clock around the DHCPv6 client.

use std::fs;
use std::io;
use std::net::{Ipv6Addr, SocketAddrV6, UdpSocket as StdUdpSocket};
use std::path::Path;
use std::time::Duration;

use rustix::rand::{GetRandomFlags, getrandom};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until};
use wire::dhcp::AGENT_VENDOR_CLASS;
use wire::dhcp6::{
    ALL_SERVERS, CLIENT_PORT, Client, ClientSettings, ClientStep, Duid, OURS, OptionCode, SERVER_PORT,
};

use super::{
    FIRST_WAIT_MS, Held, LONGEST_WAIT_MS, PATIENCE, Tell, Trouble, millis_since, moved, plugged_port, tell,
};
use crate::console::Console;
use crate::kernel_line::{KernelLine, boss};
use crate::link::{Links, Port, speaks_on};

/// Where the kernel keeps what it does with IPv6, one folder a port; missing from a kernel without it.
const CONFIG: &str = "/proc/sys/net/ipv6/conf";

/// Keeps the kernel from looking for a second one who has an address before it is used: ours are made of this port's
/// Ethernet address or given to it alone, and the look costs a second or two of each boot.
pub(super) fn skip_detection(port: &Port) {
    // A kernel without IPv6 has no such file, and one that refuses only takes its time.
    drop(fs::write(Path::new(CONFIG).join(&port.name).join("dad_transmits"), "0"));
}

/// As its sister for IPv4.
pub(super) async fn keep_once(
    console: &Console,
    line: &KernelLine,
    held: &Tell,
    round: usize,
) -> Result<(), Trouble> {
    if !Path::new(CONFIG).exists() {
        console.say("this kernel has no IPv6");
        return std::future::pending().await;
    }
    let links = Links::spawn()?;
    links.loopback_up().await?;
    let port = plugged_port(console, &links, line, round).await?;
    // As its sister.
    let mut on = speaks_on(&port);
    let socket = open(&on)?;
    let mut asker =
        Asker { client: Client::new(settings(&port)?, 0), socket, index: on.index, clock: Instant::now() };
    let mut asking_since = asker.clock;
    let mut set: Option<Ipv6Addr> = None;
    let mut refused = false;
    console.say(&format!("{} ({}) asks for an IPv6 address", port.name, port.mac));
    loop {
        let step = tokio::select! {
            step = asker.step() => step?,
            now = moved(&port, &on) => {
                (asker.socket, asker.index, on) = (open(&now)?, now.index, now);
                continue;
            }
            () = sleep_until(asking_since + PATIENCE), if set.is_none() => {
                console.say(&format!("{}: nobody gives an IPv6 address", port.name));
                return Ok(());
            }
        };
        match step {
            ClientStep::Bound(binding) => {
                let told = line.boss.or_else(|| boss(binding.url.as_deref()?));
                if told.is_none() {
                    if !refused {
                        refused = true;
                        console.say("the DHCPv6 server tells no boss; its address is not used");
                    }
                    continue;
                }
                if set != Some(binding.address) {
                    console.say(&format!("address {}", binding.address));
                }
                links.set6(on.index, binding.address).await?;
                // Whoever needs names asks the boss, who knows the lab's.
                tell(
                    held,
                    Held { port: port.clone(), address: binding.address.into(), boss: told, resolver: None },
                );
                set = Some(binding.address);
            }
            ClientStep::Lost => {
                console.say("the IPv6 address was taken back; asking again");
                held.send_replace(None);
                if let Some(old) = set.take() {
                    links.clear6(on.index, old).await?;
                }
                asking_since = Instant::now();
            }
            ClientStep::Wait | ClientStep::Send(_) => {}
        }
    }
}

fn settings(port: &Port) -> io::Result<ClientSettings> {
    let mut random = [0; 4];
    getrandom(&mut random, GetRandomFlags::INSECURE)?;
    let mut settings = ClientSettings::new(Duid::of_mac(port.mac), port.index, u32::from_ne_bytes(random));
    settings.first_wait_ms = FIRST_WAIT_MS;
    settings.longest_wait_ms = LONGEST_WAIT_MS;
    settings.options.push_vendor_class(OURS, AGENT_VENDOR_CLASS.as_bytes());
    settings.options.push_wishes(&[OptionCode::NAME_SERVERS, OptionCode::BOOT_URL]);
    Ok(settings)
}

fn open(port: &Port) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_only_v6(true)?;
    socket.set_reuse_address(true)?;
    socket.bind_device(Some(port.name.as_bytes()))?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, CLIENT_PORT, 0, 0).into())?;
    UdpSocket::from_std(StdUdpSocket::from(socket))
}

#[derive(Debug)]
struct Asker {
    client: Client,
    socket: UdpSocket,
    index: u32,
    /// Zero of the client's milliseconds.
    clock: Instant,
}

impl Asker {
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
        if let ClientStep::Send(message) = &step {
            let to = SocketAddrV6::new(ALL_SERVERS, SERVER_PORT, 0, self.index);
            match self.socket.send_to(&message.encode(), to).await {
                // The port has no link-local address yet; the client asks again.
                Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {}
                sent => drop(sent?),
            }
        }
        Ok(step)
    }
}
