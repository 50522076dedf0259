//! The DHCP clients of all machines on one socket, told apart by their Ethernet address.
//!
//! Every client asks for broadcast replies, as EDK2 does: one socket then hears them all.

use std::collections::HashMap;
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::MacAddr;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::timeout;
use wire::dhcp::{Binding, CLIENT_PORT, Client, ClientSettings, ClientStep, Message, SERVER_PORT, Sending};

use crate::boot::Fault;

/// Datagrams that may wait for one machine.
const WAITING: usize = 4;
/// An exchange that took so long is none.
const LIMIT_MS: u64 = 60_000;

/// The socket.
#[derive(Debug)]
pub(crate) struct Port {
    socket: UdpSocket,
    machines: Mutex<HashMap<MacAddr, mpsc::Sender<Vec<u8>>>>,
    began: Instant,
}

impl Port {
    /// Opens it and begins to listen.
    pub(crate) fn open(interface: &str) -> io::Result<Arc<Self>> {
        let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, CLIENT_PORT))?;
        socket.set_nonblocking(true)?;
        socket.set_broadcast(true)?;
        let socket = UdpSocket::from_std(socket)?;
        socket.bind_device(Some(interface.as_bytes()))?;
        let port = Arc::new(Self { socket, machines: Mutex::default(), began: Instant::now() });
        tokio::spawn(listen(Arc::clone(&port)));
        Ok(port)
    }

    fn machines(&self) -> MutexGuard<'_, HashMap<MacAddr, mpsc::Sender<Vec<u8>>>> {
        self.machines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds of the engines' clock.
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Goes through one exchange until an address is acknowledged.
    pub(crate) async fn lease(&self, settings: ClientSettings) -> Result<Binding, Fault> {
        let mac = settings.mac;
        let (sender, mut news) = mpsc::channel(WAITING);
        self.machines().insert(mac, sender);
        let begun = self.now();
        let mut client = Client::new(settings, begun);
        let mut step = client.on_time(begun);
        let outcome = loop {
            if let ClientStep::Bound(binding) = step {
                break Ok(binding);
            }
            if let Some((payload, Sending::Broadcast)) = step.datagram() {
                // A full queue of the interface is a lost packet: the client asks again.
                drop(self.socket.send_to(&payload, (Ipv4Addr::BROADCAST, SERVER_PORT)).await);
            }
            let now = self.now();
            if now.saturating_sub(begun) > LIMIT_MS {
                break Err(Fault::NoLease);
            }
            let wait = Duration::from_millis(client.wake_at().saturating_sub(now).max(1));
            step = match timeout(wait, news.recv()).await {
                Ok(Some(bytes)) => client.on_packet(&bytes, self.now()),
                Ok(None) => break Err(Fault::NoLease),
                Err(_) => client.on_time(self.now()),
            };
        };
        self.machines().remove(&mac);
        outcome
    }
}

async fn listen(port: Arc<Port>) {
    let mut buffer = [0; 1500];
    while let Ok(count) = port.socket.recv(&mut buffer).await {
        let bytes = buffer.get(..count).unwrap_or_default();
        let Some(mac) = Message::decode(bytes).ok().and_then(|message| message.mac()) else { continue };
        let machine = port.machines().get(&mac).cloned();
        if let Some(machine) = machine {
            // A machine that does not read in time has lost the packet.
            drop(machine.try_send(bytes.to_vec()));
        }
    }
}
