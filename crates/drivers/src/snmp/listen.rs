//! Traps: one socket for all agents that send to it. A trap is a hint to look, and nothing that is believed.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use wire::snmp::Message;

/// Hints that wait for a reader; of those that are lost another one tells.
const WAITING: usize = 16;
/// Longer than any trap that is meant for us.
const DATAGRAM: usize = 4096;
/// Pause before an address that could not be had is tried again.
const AGAIN: Duration = Duration::from_secs(30);

/// A trap about a link or a start, and who sent it.
#[derive(Debug, Clone)]
pub(crate) struct Hint {
    /// From where.
    pub(crate) from: IpAddr,
    /// With which word.
    pub(crate) community: Arc<[u8]>,
}

/// One address at which traps come in, until this is dropped.
#[derive(Debug)]
pub(crate) struct Listener {
    hints: broadcast::Sender<Hint>,
    task: JoinHandle<()>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listener {
    /// Listens there, as soon as the address can be had.
    pub(crate) fn spawn(at: SocketAddr) -> Arc<Self> {
        let (hints, _) = broadcast::channel(WAITING);
        let task = tokio::spawn(listen(at, hints.clone()));
        Arc::new(Self { hints, task })
    }

    /// All hints from now on.
    pub(crate) fn hints(&self) -> broadcast::Receiver<Hint> {
        self.hints.subscribe()
    }
}

async fn listen(at: SocketAddr, hints: broadcast::Sender<Hint>) {
    let mut said = false;
    loop {
        match UdpSocket::bind(at).await {
            Ok(socket) => {
                said = false;
                receive(&socket, &hints).await;
            }
            Err(why) if !said => {
                said = true;
                tracing::error!(
                    "traps of switches cannot come in at {at}: {why}; links are asked for as ever"
                );
            }
            Err(_) => {}
        }
        sleep(AGAIN).await;
    }
}

/// Until the socket fails.
async fn receive(socket: &UdpSocket, hints: &broadcast::Sender<Hint>) {
    let mut buffer = [0; DATAGRAM];
    while let Ok((size, from)) = socket.recv_from(&mut buffer).await {
        let Ok(message) = Message::decode(buffer.get(..size).unwrap_or_default()) else { continue };
        if message.pdu.tells_of_links() {
            let hint = Hint { from: from.ip().to_canonical(), community: message.community.into() };
            // Nobody may be listening just now.
            drop(hints.send(hint));
        }
    }
}
