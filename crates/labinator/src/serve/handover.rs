//! Listening sockets that go from the supervisor to the core, which may be started again any number of times.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};

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
}

impl Doors {
    /// Hands all to the process at the other end.
    pub(super) fn send_over(&self, stream: &UnixStream) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut rights = SendAncillaryBuffer::new(&mut space);
        let mut descriptors = vec![self.page.as_fd(), self.local.as_fd(), self.agents.as_fd()];
        descriptors.extend(self.pdudaemon.as_ref().map(AsFd::as_fd));
        if !rights.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(io::Error::other("no room for four descriptors"));
        }
        sendmsg(stream, &[IoSlice::new(b"!")], &mut rights, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Takes what the supervisor sends.
    pub(super) fn receive_from(stream: &UnixStream) -> io::Result<Self> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
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
        let (page, local, agents) = (next()?.into(), next()?.into(), next()?.into());
        Ok(Self { page, local, agents, pdudaemon: next().ok().map(Into::into) })
    }
}
