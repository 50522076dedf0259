//! Receivers: sockets, and nothing but sockets.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UdpSocket, UnixDatagram};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::frames::{Found, Frames};
use crate::store::{Stage, Who};
use crate::stream::Stream;

/// Connections at once; more wait until one ends.
const CONNECTIONS: usize = 256;
/// Datagrams read before others have their turn.
const TURN: usize = 256;
/// A piece this small is not worth a wake-up each: the next one may be larger.
const SMALL: usize = 16 * 1024;
/// How long what is small may gather, while the kernel keeps it.
const GATHER: Duration = Duration::from_millis(5);
/// Pause after a connection could not be accepted, such as for want of descriptors.
const PAUSE: Duration = Duration::from_millis(200);

/// Hears syslog over TCP (RFC 6587). Goes on until dropped, and takes its connections with it.
pub async fn connections(stream: Stream, listener: TcpListener) {
    let seats = Arc::new(Semaphore::new(CONNECTIONS));
    let mut all = JoinSet::new();
    loop {
        while all.try_join_next().is_some() {}
        // The semaphore is never closed.
        let Ok(seat) = Arc::clone(&seats).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((connection, peer)) => {
                let stream = stream.clone();
                all.spawn(async move {
                    if let Err(why) = connection_once(&stream, connection, peer.ip()).await {
                        tracing::debug!(%peer, "a connection of syslog broke: {why}");
                    }
                    drop(seat);
                });
            }
            Err(why) => {
                tracing::debug!("syslog over TCP: {why}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Hears one connection until it ends.
async fn connection_once(stream: &Stream, connection: TcpStream, from: IpAddr) -> io::Result<()> {
    let mut frames = Frames::default();
    loop {
        connection.readable().await?;
        let read = stream.work(|state, now| {
            let count = match connection.try_read(&mut state.scratch) {
                Ok(count) => count,
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => return Ok((true, false)),
                Err(why) => return Err(why),
            };
            let bytes = state.scratch.get(..count).unwrap_or_default();
            let intake = &mut state.intake;
            let each = |message: &[u8]| intake.syslog(from, message, now);
            let Found { cut, .. } = if count == 0 { frames.finish(each) } else { frames.take(bytes, each) };
            state.intake.store.lose(Stage::Cut, Who::default(), cut, now);
            Ok((count > 0, count < SMALL))
        });
        let (goes_on, small) = read?;
        if !goes_on {
            return Ok(());
        }
        if small {
            tokio::time::sleep(GATHER).await;
        } else {
            // A flood would be ready for ever, and nobody else would have a turn.
            tokio::task::yield_now().await;
        }
    }
}

/// Hears syslog over UDP (RFC 5426). Goes on until dropped.
pub async fn datagrams(stream: Stream, socket: UdpSocket) {
    loop {
        if socket.readable().await.is_err() {
            return;
        }
        stream.work(|state, now| {
            for _ in 0..TURN {
                let Ok((count, peer)) = socket.try_recv_from(&mut state.scratch) else { return };
                let message = state.scratch.get(..count).unwrap_or_default();
                state.intake.syslog(peer.ip(), message, now);
            }
        });
        tokio::task::yield_now().await;
    }
}

/// Takes what the boot counter heard. Goes on until dropped.
pub async fn heard(stream: Stream, socket: UnixDatagram) {
    loop {
        if socket.readable().await.is_err() {
            return;
        }
        stream.work(|state, now| {
            for _ in 0..TURN {
                let Ok(count) = socket.try_recv(&mut state.scratch) else { return };
                // The other end is closed for good.
                if count == 0 {
                    return;
                }
                state.intake.heard(state.scratch.get(..count).unwrap_or_default(), now);
            }
        });
        tokio::task::yield_now().await;
    }
}
