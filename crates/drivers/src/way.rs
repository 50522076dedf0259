//! A way to a machine's serial port or screen, wherever that is: what goes in, and what comes out.

use std::future::poll_fn;
use std::io;

use bytes::{Bytes, BytesMut};
use h2::{RecvStream, SendStream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

/// Bytes that are read at once from a socket of this computer.
const PIECE: usize = 16 << 10;

/// Where bytes go in.
#[derive(Debug)]
pub struct Inlet(In);

#[derive(Debug)]
enum In {
    Agent(SendStream<Bytes>),
    Here(OwnedWriteHalf),
}

/// Where bytes come out.
#[derive(Debug)]
pub struct Outlet(Out);

#[derive(Debug)]
enum Out {
    Agent(RecvStream),
    Here(OwnedReadHalf),
}

/// A way over an agent's channel.
pub(crate) const fn over(to: SendStream<Bytes>, back: RecvStream) -> (Inlet, Outlet) {
    (Inlet(In::Agent(to)), Outlet(Out::Agent(back)))
}

/// A way through a socket of this computer.
#[must_use]
pub fn through(socket: UnixStream) -> (Inlet, Outlet) {
    let (back, to) = socket.into_split();
    (Inlet(In::Here(to)), Outlet(Out::Here(back)))
}

impl Inlet {
    /// Sends as the other end takes it.
    ///
    /// # Errors
    /// The other end is gone.
    pub async fn send(&mut self, bytes: Bytes) -> io::Result<()> {
        match &mut self.0 {
            In::Agent(to) => send(to, bytes).await.map_err(io::Error::other),
            In::Here(to) => to.write_all(&bytes).await,
        }
    }

    /// Says that nothing more will come; what is on its way arrives.
    ///
    /// # Errors
    /// The other end is gone.
    pub async fn close(&mut self) -> io::Result<()> {
        match &mut self.0 {
            In::Agent(to) => to.send_data(Bytes::new(), true).map_err(io::Error::other),
            In::Here(to) => to.shutdown().await,
        }
    }
}

impl Outlet {
    /// What comes next; `None` at the end.
    ///
    /// # Errors
    /// The way broke.
    pub async fn next(&mut self) -> io::Result<Option<Bytes>> {
        match &mut self.0 {
            Out::Agent(back) => {
                let Some(piece) = back.data().await else { return Ok(None) };
                let piece = piece.map_err(io::Error::other)?;
                back.flow_control().release_capacity(piece.len()).map_err(io::Error::other)?;
                Ok(Some(piece))
            }
            Out::Here(back) => {
                let mut piece = BytesMut::with_capacity(PIECE);
                let count = back.read_buf(&mut piece).await?;
                Ok((count > 0).then(|| piece.freeze()))
            }
        }
    }
}

async fn send(to: &mut SendStream<Bytes>, mut bytes: Bytes) -> Result<(), h2::Error> {
    while !bytes.is_empty() {
        to.reserve_capacity(bytes.len());
        let room = poll_fn(|cx| to.poll_capacity(cx)).await;
        let room = room.unwrap_or_else(|| Err(h2::Reason::CANCEL.into()))?;
        to.send_data(bytes.split_to(room.min(bytes.len())), false)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_of_this_computer_is_a_way_both_ways_until_it_is_closed() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let (mut to, mut back) = through(ours);
        to.send(Bytes::from_static(b"RFB 003.008\n")).await.unwrap();
        to.close().await.unwrap();
        let mut said = Vec::new();
        theirs.read_to_end(&mut said).await.unwrap();
        assert_eq!(said, b"RFB 003.008\n");
        theirs.write_all(b"\x01\x01").await.unwrap();
        drop(theirs);
        assert_eq!(back.next().await.unwrap().unwrap(), &b"\x01\x01"[..]);
        assert_eq!(back.next().await.unwrap(), None);
    }
}
