//! One download over TFTP from a machine's own address.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;
use wire::tftp::{Fetch, FetchEnd, FetchSettings, FetchStep};

use crate::boot::Fault;
use crate::dhcp::Port;

/// The port that requests go to (RFC 1350).
const TFTP_PORT: u16 = 69;

/// Takes a whole file.
pub(crate) async fn take(
    clock: &Port,
    from: Ipv4Addr,
    server: Ipv4Addr,
    settings: FetchSettings,
    size: usize,
) -> Result<Vec<u8>, Fault> {
    let socket = UdpSocket::bind((from, 0)).await?;
    let (mut fetch, request) = Fetch::new(settings, clock.now());
    let mut peer = SocketAddr::from((server, TFTP_PORT));
    socket.send_to(&request, peer).await?;
    let mut file = Vec::with_capacity(size);
    let mut buffer = [0; 1500];
    while let Some(wake) = fetch.wake_at() {
        let wait = Duration::from_millis(wake.saturating_sub(clock.now()).max(1));
        let step = match timeout(wait, socket.recv_from(&mut buffer)).await {
            Ok(received) => {
                let (count, sender) = received?;
                // The transfer's own port is where its first answer came from.
                peer = sender;
                fetch.on_packet(buffer.get(..count).unwrap_or_default(), clock.now())
            }
            Err(_) => fetch.on_time(clock.now()),
        };
        let FetchStep { data, send, end } = step;
        file.extend_from_slice(data);
        if let Some(packet) = send {
            socket.send_to(&packet, peer).await?;
        }
        match end {
            Some(FetchEnd::Complete) => return Ok(file),
            Some(why) => return Err(Fault::Tftp(format!("{why:?}"))),
            None => {}
        }
    }
    Err(Fault::Tftp("it ended without an end".to_owned()))
}
