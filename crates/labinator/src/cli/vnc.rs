//! `vnc`: the screen of a machine on a port of this computer, for any viewer.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use model::NodeName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use super::client::{Client, Socket};
use super::failure::Failure;
use super::out::{self, Look};

/// Bytes that go to the controller at once.
const PIECE: usize = 16 << 10;
/// Silence of the controller, which asks every 20 s whether somebody looks, after which it is gone.
const SILENCE: Duration = Duration::from_secs(60);

/// Opens the port and carries every connection to it until this is interrupted.
pub(super) async fn vnc(client: &Client, node: &NodeName, port: u16, look: Look) -> Result<(), Failure> {
    // What is wrong is said now, and not to a viewer that can only show that it was hung up on.
    drop(open(client, node).await?);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(|why| {
        Failure::with_advice(format!("port {port} of this computer: {why}"), "name another with --port")
    })?;
    let at = listener.local_addr().map_err(|why| Failure::failed(format!("the port: {why}")))?;
    out::line(&format!("vnc://{at}"))?;
    if !look.quiet {
        out::complain(&format!(
            "screen of {node}: open this address with any VNC viewer, such as `vncviewer {}::{}`, \
             `remote-viewer vnc://{at}` or, on a Mac, `open vnc://{at}`; Ctrl-C ends it",
            at.ip(),
            at.port()
        ));
    }
    tokio::select! {
        ended = serve(client, node, (&listener, at)) => ended,
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

async fn open(client: &Client, node: &NodeName) -> Result<Socket, Failure> {
    client.socket(&format!("/v1/nodes/{node}/screen"), "binary").await
}

async fn serve(
    client: &Client,
    node: &NodeName,
    (listener, at): (&TcpListener, SocketAddr),
) -> Result<(), Failure> {
    let mut viewers = JoinSet::new();
    loop {
        while viewers.try_join_next().is_some() {}
        let (viewer, from) =
            listener.accept().await.map_err(|why| Failure::failed(format!("the port: {why}")))?;
        if !neighbour::may_look(from, at) {
            out::complain("a connection of another user of this computer was closed");
            continue;
        }
        let (client, node) = (client.clone(), node.clone());
        viewers.spawn(async move {
            match open(&client, &node).await {
                Ok(screen) => carry(viewer, screen).await,
                Err(failure) => out::complain(&failure.text()),
            }
        });
    }
}

/// Carries both ways until one end is gone.
async fn carry(mut viewer: TcpStream, screen: Socket) {
    // A key shall not wait for the next one.
    drop(viewer.set_nodelay(true));
    let (mut keys, mut picture) = viewer.split();
    let (mut to, mut back) = screen.split();
    let done = async {
        let mut piece = vec![0; PIECE];
        while let Ok(count @ 1..) = keys.read(&mut piece).await {
            let bytes = Bytes::copy_from_slice(piece.get(..count).unwrap_or_default());
            if to.send(Message::Binary(bytes)).await.is_err() {
                return;
            }
        }
    };
    let seen = async {
        while let Ok(Some(Ok(message))) = timeout(SILENCE, back.next()).await {
            match message {
                Message::Binary(bytes) => {
                    if picture.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
                Message::Ping(_) | Message::Pong(_) => {}
                Message::Text(_) | Message::Close(_) | Message::Frame(_) => return,
            }
        }
    };
    tokio::select! {
        () = done => {}
        () = seen => {}
    }
    // The controller frees the seat at once; one that is gone does not hear it.
    drop(timeout(SILENCE, to.close()).await);
}

/// Who of this computer's users connects: a port on the loopback is open to all of them, and a screen has no password.
mod neighbour {
    use std::fs;
    use std::net::{IpAddr, SocketAddr};

    /// The list of this network namespace's TCP sockets with their owners (`proc_pid_net(5)`).
    const SOCKETS: &str = "/proc/self/net/tcp";

    /// Whether the connection from `from` to `at` is this user's own, or root's. One whose owner cannot be told, on a
    /// system without that list, is taken.
    pub(super) fn may_look(from: SocketAddr, at: SocketAddr) -> bool {
        let Ok(sockets) = fs::read_to_string(SOCKETS) else { return true };
        let own = rustix::process::geteuid().as_raw();
        // Whoever became root by sudo has a viewer that runs as before.
        let before = std::env::var("SUDO_UID").ok().and_then(|uid| uid.parse().ok());
        // One that is not listed has left already.
        owner(&sockets, from, at).is_some_and(|uid| uid == 0 || uid == own || Some(uid) == before)
    }

    /// The owner of the socket at the far end: local address, remote address and user are its columns 2, 3 and 8.
    fn owner(sockets: &str, local: SocketAddr, remote: SocketAddr) -> Option<u32> {
        let (local, remote) = (written(local)?, written(remote)?);
        sockets.lines().find_map(|line| {
            let mut columns = line.split_ascii_whitespace().skip(1);
            (columns.next()? == local && columns.next()? == remote).then(|| columns.nth(4)?.parse().ok())?
        })
    }

    /// As the kernel writes it: the address as a number of this processor's byte order.
    fn written(at: SocketAddr) -> Option<String> {
        match at.ip() {
            IpAddr::V4(ip) => Some(format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), at.port())),
            IpAddr::V6(_) => None,
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use std::net::{TcpListener, TcpStream};

        #[test]
        fn a_connection_is_known_by_its_owner() {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let at = listener.local_addr().unwrap();
            let viewer = TcpStream::connect(at).unwrap();
            let from = viewer.local_addr().unwrap();
            let sockets = fs::read_to_string(SOCKETS).unwrap();
            assert_eq!(owner(&sockets, from, at), Some(rustix::process::geteuid().as_raw()));
            assert!(may_look(from, at));
            assert_eq!(owner(&sockets, at, SocketAddr::from(([127, 0, 0, 2], 1))), None);
            let line = "  3: 0100007F:D431 0100007F:1538 01 00000000:00000000 02:000001D8 00000000  1001        0 99 2";
            let (from, at) = ("127.0.0.1:54321".parse().unwrap(), "127.0.0.1:5432".parse().unwrap());
            assert_eq!(owner(line, from, at), Some(1001));
        }
    }
}
