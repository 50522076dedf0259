//! The socket and the clock around the DHCP client.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket as StdUdpSocket};
use std::time::Duration;

use rustix::rand::{GetRandomFlags, getrandom};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until};
use wire::dhcp::{
    AGENT_VENDOR_CLASS, Binding, BossSearch, CLIENT_PORT, Client, ClientSettings, ClientStep, Message,
    OptionCode, SERVER_PORT, Sending, boss_url,
};

use super::{
    FIRST_WAIT_MS, Held, LONGEST_WAIT_MS, PATIENCE, Tell, Trouble, millis_since, moved, plugged_port, tell,
};
use crate::console::Console;
use crate::kernel_line::{BOOT_HTTP_PORT, KernelLine, boss};
use crate::link::{Links, Port, speaks_on};

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
    // Where the port is plugged into a bridge, the bridge is where its packets come in.
    let mut on = speaks_on(&port);
    let settings = settings(&port)?;
    let mut asker = Asker::open(&on, settings.clone())?;
    let mut asking_since = asker.clock;
    let mut set: Option<Binding> = None;
    console.say(&format!("{} ({}) asks for an address", port.name, port.mac));
    loop {
        let step = tokio::select! {
            step = asker.step() => step?,
            now = moved(&port, &on) => {
                (asker.socket, on) = (open(&now)?, now);
                continue;
            }
            () = sleep_until(asking_since + PATIENCE), if set.is_none() => {
                console.say(&format!("{}: nobody gives an address", port.name));
                return Ok(());
            }
        };
        let describe = |binding: &Binding, boss| Held {
            port: port.clone(),
            address: IpAddr::V4(binding.address),
            boss,
            resolver: binding.dns.first().copied().map(IpAddr::V4),
        };
        match step {
            Step::Lease(ClientStep::Bound(binding)) => {
                let same = set.as_ref().is_some_and(|old| old.address == binding.address);
                if !same {
                    console.say(&format!(
                        "address {}/{} from {}",
                        binding.address, binding.prefix, binding.server
                    ));
                }
                links.set(on.index, &binding).await?;
                let told = line.boss.or_else(|| boss(&boss_url(&binding.reply)?));
                if told.is_some() {
                    asker.search = None;
                    tell(held, describe(&binding, told));
                } else {
                    if !same {
                        console.say("that server is no boss; asking who is");
                        tell(held, describe(&binding, None));
                    }
                    // Again with each renewal: the boss may have moved.
                    asker.search = Some(BossSearch::new(settings.clone(), binding.address, asker.now()));
                }
                set = Some(binding);
            }
            Step::Lease(ClientStep::Lost) => {
                console.say("the address was taken back; asking again");
                held.send_replace(None);
                asker.search = None;
                if let Some(old) = set.take() {
                    links.clear(on.index, &old).await?;
                }
                asking_since = Instant::now();
            }
            Step::Boss(url) => {
                if let (Some(binding), Some(found)) = (&set, boss(&url)) {
                    asker.search = None;
                    if tell(held, describe(binding, Some(found))) {
                        console.say(&format!("the boss is {found}"));
                    }
                }
            }
            Step::NoBoss => {
                let nobody = held.borrow().as_ref().is_none_or(|held| held.boss.is_none());
                if let Some(binding) = set.as_ref().filter(|_| nobody) {
                    let guess = likely_boss(&binding.reply, binding.server);
                    console.say(&format!("no boss answers; trying {guess}, which the DHCP server names"));
                    tell(held, describe(binding, Some(guess)));
                }
            }
            Step::Lease(ClientStep::Wait | ClientStep::Send(..)) => {}
        }
    }
}

/// Where the boss may be when it answers no DHCP at all (`dhcp: off`): the server that the other one names for booting,
/// else that one itself.
fn likely_boss(ack: &Message, server: Ipv4Addr) -> SocketAddr {
    let named = Some(ack.siaddr).filter(|next| !next.is_unspecified());
    SocketAddr::from((named.unwrap_or(server), BOOT_HTTP_PORT))
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

/// What happened.
#[derive(Debug)]
enum Step {
    /// To the lease, as far as it concerns others.
    Lease(ClientStep),
    /// A boss answered: this is where it is reported to.
    Boss(String),
    /// The boss was asked for again, and has not answered for long.
    NoBoss,
}

#[derive(Debug)]
struct Asker {
    client: Client,
    /// Under way while an address is held and nobody has told where the boss is.
    search: Option<BossSearch>,
    socket: UdpSocket,
    /// Zero of the client's milliseconds.
    clock: Instant,
}

impl Asker {
    fn open(on: &Port, settings: ClientSettings) -> io::Result<Self> {
        Ok(Self { client: Client::new(settings, 0), search: None, socket: open(on)?, clock: Instant::now() })
    }

    fn now(&self) -> u64 {
        millis_since(self.clock)
    }

    /// Waits for a packet or the next moment of lease or search, and sends what either wants sent.
    /// Cancelling it loses nothing but the packet in hand.
    async fn step(&mut self) -> io::Result<Step> {
        let mut buffer = [0; 1500];
        let search = self.search.as_ref().map_or(u64::MAX, BossSearch::wake_at);
        let wake = self.clock + Duration::from_millis(self.client.wake_at().min(search));
        let step = tokio::select! {
            got = self.socket.recv(&mut buffer) => {
                let now = self.now();
                let Ok(message) = Message::decode(buffer.get(..got?).unwrap_or_default()) else {
                    return Ok(Step::Lease(ClientStep::Wait));
                };
                if let Some(url) = self.search.as_ref().and_then(|search| search.on_message(&message)) {
                    return Ok(Step::Boss(url));
                }
                self.client.on_message(&message, now)
            }
            () = sleep_until(wake) => {
                let now = self.now();
                if let Some(search) = &mut self.search
                    && let Some(question) = search.on_time(now)
                {
                    let vain = search.is_in_vain();
                    self.send(&ClientStep::Send(question, Sending::Broadcast)).await?;
                    return Ok(if vain { Step::NoBoss } else { Step::Lease(ClientStep::Wait) });
                }
                self.client.on_time(now)
            }
        };
        self.send(&step).await?;
        Ok(Step::Lease(step))
    }

    async fn send(&self, step: &ClientStep) -> io::Result<()> {
        let Some((bytes, to)) = step.datagram() else { return Ok(()) };
        let to = match to {
            Sending::Broadcast => Ipv4Addr::BROADCAST,
            Sending::Unicast(server) => server,
        };
        self.socket.send_to(&bytes, (to, SERVER_PORT)).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use model::MacAddr;
    use wire::dhcp::MessageType;

    use super::*;

    #[test]
    fn where_no_boss_answers_the_named_server_is_tried_before_the_one_that_gave_the_address() {
        let server = Ipv4Addr::new(10, 0, 0, 254);
        let mut ack = Message::request(MessageType::Ack, MacAddr([2, 0, 0, 0, 0, 1]), 1);
        assert_eq!(likely_boss(&ack, server), "10.0.0.254:80".parse().unwrap());
        ack.siaddr = Ipv4Addr::new(10, 0, 0, 1);
        assert_eq!(likely_boss(&ack, server), "10.0.0.1:80".parse().unwrap());
    }
}
