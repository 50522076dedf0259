//! A link that holds up each UDP packet for a while: a relay of our own, since few kernels have `netem`.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::workspace::Outcome;

/// Largest packet carried.
const LARGEST: usize = 2048;

/// One client's way to a server. The server sees an address of the relay; from whichever port it answers, the client
/// sees a port of the relay that stands for that one.
pub(super) struct Link {
    near: SocketAddr,
}

impl Link {
    /// A way to this server. It ends with the process.
    ///
    /// # Errors
    /// No socket can be had.
    pub(super) fn start(server: SocketAddr, delay: Duration) -> Outcome<Self> {
        let near = Arc::new(UdpSocket::bind(("127.0.0.1", 0))?);
        let far = Arc::new(UdpSocket::bind((server.ip(), 0))?);
        let link = Self { near: near.local_addr()? };
        let client = Arc::new(Mutex::new(None::<SocketAddr>));
        // Sockets that stand for the server's ports, towards the client.
        let stands = Arc::new(Mutex::new(HashMap::from([(server, Arc::clone(&near))])));
        let to_server = held(delay);
        listen(Arc::clone(&near), server, Arc::clone(&client), (to_server.clone(), Arc::clone(&far)));
        let to_client = held(delay);
        std::thread::spawn(move || {
            let mut buffer = [0; LARGEST];
            while let Ok((count, from)) = far.recv_from(&mut buffer) {
                let known = client.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(client_at) = *known else { continue };
                drop(known);
                let mut stands = stands.lock().unwrap_or_else(PoisonError::into_inner);
                let stand = match stands.get(&from) {
                    Some(stand) => Arc::clone(stand),
                    None => {
                        let Ok(stand) = UdpSocket::bind(("127.0.0.1", 0)).map(Arc::new) else { return };
                        stands.insert(from, Arc::clone(&stand));
                        let way = (to_server.clone(), Arc::clone(&far));
                        listen(Arc::clone(&stand), from, Arc::clone(&client), way);
                        stand
                    }
                };
                drop(stands);
                let packet = buffer.get(..count).unwrap_or_default().to_vec();
                if to_client.send(Held { at: Instant::now(), packet, from: stand, to: client_at }).is_err() {
                    return;
                }
            }
        });
        Ok(link)
    }

    /// Where the client sends its request.
    pub(super) fn address(&self) -> SocketAddr {
        self.near
    }
}

/// A packet on its way.
struct Held {
    at: Instant,
    packet: Vec<u8>,
    from: Arc<UdpSocket>,
    to: SocketAddr,
}

/// Carries what the client sends to this stand on to the server's port it stands for.
fn listen(
    stand: Arc<UdpSocket>,
    to: SocketAddr,
    client: Arc<Mutex<Option<SocketAddr>>>,
    (way, far): (Sender<Held>, Arc<UdpSocket>),
) {
    std::thread::spawn(move || {
        let mut buffer = [0; LARGEST];
        while let Ok((count, from)) = stand.recv_from(&mut buffer) {
            *client.lock().unwrap_or_else(PoisonError::into_inner) = Some(from);
            let packet = buffer.get(..count).unwrap_or_default().to_vec();
            if way.send(Held { at: Instant::now(), packet, from: Arc::clone(&far), to }).is_err() {
                return;
            }
        }
    });
}

/// A queue whose packets leave in order, each so long after it came.
fn held(delay: Duration) -> Sender<Held> {
    let (sender, queue) = channel::<Held>();
    std::thread::spawn(move || {
        for held in queue {
            let due = held.at + delay;
            while let Some(left) = due.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
                std::thread::park_timeout(left);
            }
            // A packet that cannot be sent is lost, as on any wire.
            drop(held.from.send_to(&held.packet, held.to));
        }
    });
    sender
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_packet_is_held_up_in_both_directions_and_each_port_has_its_stand() {
        let server = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        let other = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        let client = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        let link = Link::start(server.local_addr().unwrap(), Duration::from_millis(20)).unwrap();
        let begun = Instant::now();
        client.send_to(b"ask", link.address()).unwrap();
        let mut buffer = [0; 10];
        let (_, relay) = server.recv_from(&mut buffer).unwrap();
        other.send_to(b"answer", relay).unwrap();
        let (_, stand) = client.recv_from(&mut buffer).unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(40));
        assert_ne!(stand, link.address());
        client.send_to(b"more", stand).unwrap();
        assert_eq!(other.recv_from(&mut buffer).unwrap(), (4, relay));
    }
}
