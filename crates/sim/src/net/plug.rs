//! A server in memory: frames to a queue, connections to a closure. The only sound way under paused time.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use super::{Lab, Server};

/// Frames leave through a queue; `dial` makes the machine's end of each connection, such as one half of
/// [`tokio::io::duplex`] whose other half is being served.
#[derive(Debug)]
pub struct Plug<F> {
    frames: mpsc::UnboundedSender<Vec<u8>>,
    dial: F,
}

impl<F> Plug<F> {
    /// A plug whose frames go to `frames`. `dial` is given the machine's address and the one it wants.
    pub const fn new(frames: mpsc::UnboundedSender<Vec<u8>>, dial: F) -> Self {
        Self { frames, dial }
    }
}

impl<F, S> Server for Plug<F>
where
    F: Fn(Option<IpAddr>, SocketAddr) -> io::Result<S> + Send + Sync + 'static,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = S;

    fn take_frame(&self, _lab: &Lab, frame: Vec<u8>) -> impl Future<Output = ()> + Send {
        // A server that is gone is a server that does not answer.
        drop(self.frames.send(frame));
        std::future::ready(())
    }

    fn connect(&self, from: Option<IpAddr>, to: SocketAddr) -> impl Future<Output = io::Result<S>> + Send {
        std::future::ready((self.dial)(from, to))
    }
}
