//! Listening sockets that go from the supervisor to the core, which may be started again any number of times.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

/// What the core listens on.
#[derive(Debug)]
pub(super) struct Doors {
    /// For browsers and programs elsewhere.
    pub(super) page: TcpListener,
    /// For the command line of this machine.
    pub(super) local: UnixListener,
    /// For agents.
    pub(super) agents: TcpListener,
    /// For programs that switch machines as they do through pdudaemon, where the lab file lets them.
    pub(super) pdudaemon: Option<TcpListener>,
    /// For syslog over TCP; absent where another program has the port.
    pub(super) syslog: Option<TcpListener>,
    /// What the counter hears.
    pub(super) heard: UnixDatagram,
}

/// Marks of listeners that are not always there, in the byte that goes with the descriptors.
const PDUDAEMON: u8 = 1;
const SYSLOG: u8 = 2;

impl Doors {
    /// Hands all to the process at the other end.
    pub(super) fn send_over(&self, stream: &UnixStream) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(6))];
        let mut rights = SendAncillaryBuffer::new(&mut space);
        let mut descriptors =
            vec![self.page.as_fd(), self.local.as_fd(), self.agents.as_fd(), self.heard.as_fd()];
        let mut mark = 0;
        for (listener, bit) in [(&self.pdudaemon, PDUDAEMON), (&self.syslog, SYSLOG)] {
            if let Some(listener) = listener {
                descriptors.push(listener.as_fd());
                mark |= bit;
            }
        }
        if !rights.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(io::Error::other("no room for six descriptors"));
        }
        sendmsg(stream, &[IoSlice::new(&[mark])], &mut rights, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Takes what the supervisor sends.
    pub(super) fn receive_from(stream: &UnixStream) -> io::Result<Self> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(6))];
        let mut rights = RecvAncillaryBuffer::new(&mut space);
        let mut mark = [0; 1];
        let got = recvmsg(stream, &mut [IoSliceMut::new(&mut mark)], &mut rights, RecvFlags::CMSG_CLOEXEC)?;
        if got.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut descriptors = rights
            .drain()
            .filter_map(|message| match message {
                RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
                _ => None,
            })
            .flatten();
        let mut next = || -> io::Result<OwnedFd> {
            descriptors
                .next()
                .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a listener is missing"))
        };
        let (page, local, agents, heard) = (next()?.into(), next()?.into(), next()?.into(), next()?.into());
        let [mark] = mark;
        let mut if_marked = |bit: u8| match mark & bit {
            0 => Ok::<_, io::Error>(None),
            _ => Ok(Some(next()?.into())),
        };
        let (pdudaemon, syslog) = (if_marked(PDUDAEMON)?, if_marked(SYSLOG)?);
        Ok(Self { page, local, agents, pdudaemon, syslog, heard })
    }
}
