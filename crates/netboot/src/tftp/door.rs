//! One UDP socket that many transfers share: waiting for packets, and sending a run of them by one call.

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::net::sockopt;
use socket2::{MsgHdr, SockAddr, SockRef};
use tokio::io::{Interest, ReadBuf};
use tokio::net::UdpSocket;

/// Most packets the kernel cuts one call into (`UDP_MAX_SEGMENTS`, Linux 4.18).
const SEGMENTS: usize = 64;
/// Most bytes of one call: what an IPv4 datagram could hold.
const BYTES: usize = 65_000;
/// How long a full socket is waited for. What does not go out then is lost, as on any wire, and asked for again.
const FULL: Duration = Duration::from_millis(5);
/// Bytes the kernel may hold in each direction, where it lets us.
const BUFFER: usize = 1 << 20;
/// Bytes of IPv4, UDP and TFTP headers before a block.
const HEADERS: u32 = 20 + 8 + 4;
/// Largest block over IPv6 that an Ethernet frame holds: the kernel tells no path's size there, and firmware is on
/// our own link.
pub(crate) const BLOCK6: u16 = 1500 - 40 - 8 - 4;

/// A socket.
#[derive(Debug)]
pub(super) struct Door {
    socket: UdpSocket,
    /// False once the kernel or the card refused to cut calls up.
    cuts: bool,
}

impl Door {
    pub(super) fn new(socket: UdpSocket) -> Self {
        let buffers = SockRef::from(&socket);
        if let Err(error) =
            buffers.set_recv_buffer_size(BUFFER).and_then(|()| buffers.set_send_buffer_size(BUFFER))
        {
            tracing::debug!("TFTP socket buffers: {error}");
        }
        Self { socket, cuts: true }
    }

    /// One of its own port at this address.
    pub(super) async fn bind(local: IpAddr) -> io::Result<Self> {
        Ok(Self::new(UdpSocket::bind((local, 0)).await?))
    }

    pub(super) fn poll_receive(
        &self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<SocketAddr>> {
        self.socket.poll_recv_from(context, buffer)
    }

    /// Sends one packet.
    pub(super) async fn send(&self, packet: &[u8], to: SocketAddr) -> io::Result<()> {
        self.try_hard(|| self.socket.try_send_to(packet, to)).await
    }

    /// Sends packets of `frame` bytes that lie one behind the other; the last may be shorter.
    pub(super) async fn send_run(&mut self, run: &[u8], frame: usize, to: SocketAddr) -> io::Result<()> {
        let many = (BYTES / frame.max(1)).clamp(1, SEGMENTS);
        for piece in run.chunks(frame.max(1) * many) {
            if self.cuts && piece.len() > frame {
                match self.try_hard(|| self.send_cut(piece, frame, to)).await {
                    Err(error) if refuses_to_cut(&error) => {
                        tracing::info!("packets of a window are sent one by one from now on: {error}");
                        self.cuts = false;
                    }
                    other => {
                        other?;
                        continue;
                    }
                }
            }
            for packet in piece.chunks(frame.max(1)) {
                self.send(packet, to).await?;
            }
        }
        Ok(())
    }

    fn send_cut(&self, piece: &[u8], frame: usize, to: SocketAddr) -> io::Result<usize> {
        let (control, to) = (cut_into(frame)?, SockAddr::from(to));
        let pieces = [IoSlice::new(piece)];
        let message = MsgHdr::new().with_addr(&to).with_buffers(&pieces).with_control(&control);
        self.socket.try_io(Interest::WRITABLE, || SockRef::from(&self.socket).sendmsg(&message, 0))
    }

    async fn try_hard(&self, send: impl Fn() -> io::Result<usize>) -> io::Result<()> {
        match send() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                // Neither answer matters: the second try says how it stands.
                drop(tokio::time::timeout(FULL, self.socket.writable()).await);
                send().map(drop)
            }
            sent => sent.map(drop),
        }
    }
}

/// The control message `UDP_SEGMENT` (udp(7)): cut what is sent into packets of so many bytes. Written by hand: a
/// length in the machine's word, level, kind, value.
fn cut_into(frame: usize) -> io::Result<Vec<u8>> {
    const LEVEL_UDP: i32 = 17;
    const UDP_SEGMENT: i32 = 103;
    const WORD: usize = size_of::<usize>();
    let frame = u16::try_from(frame).map_err(|_| io::ErrorKind::InvalidInput)?;
    let head = (WORD + 8).next_multiple_of(WORD);
    let mut control = Vec::with_capacity(head + WORD);
    control.extend_from_slice(&(head + 2).to_ne_bytes());
    control.extend_from_slice(&LEVEL_UDP.to_ne_bytes());
    control.extend_from_slice(&UDP_SEGMENT.to_ne_bytes());
    control.resize(head, 0);
    control.extend_from_slice(&frame.to_ne_bytes());
    control.resize(head + WORD, 0);
    Ok(control)
}

/// `EIO`: the card has no checksum offload. `EINVAL`: the kernel is older than 4.18, or the path's MTU is smaller than a
/// packet. `EOPNOTSUPP`, `ENOPROTOOPT`: not this kind of socket.
fn refuses_to_cut(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::IO, Errno::INVAL, Errno::OPNOTSUPP, Errno::NOPROTOOPT]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Largest block that goes to this address in one piece, as far as the kernel knows the path; `None` where it says
/// nothing.
pub(super) fn largest_block(local: IpAddr, client: SocketAddr) -> Option<u16> {
    if client.is_ipv6() {
        return Some(BLOCK6);
    }
    let probe = std::net::UdpSocket::bind((local, 0)).ok()?;
    probe.connect(client).ok()?;
    let mtu = sockopt::ip_mtu(&probe).ok()?;
    u16::try_from(mtu.saturating_sub(HEADERS).min(65_464)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_run_arrives_as_the_packets_it_is_made_of_with_and_without_the_kernels_help() {
        for cuts in [true, false] {
            let mut door = Door::bind(std::net::Ipv4Addr::LOCALHOST.into()).await.unwrap();
            door.cuts = cuts;
            let client = UdpSocket::bind(("127.0.0.1", 0)).await.unwrap();
            let run: Vec<u8> = (0..516 * 70 + 9_u32).map(|n| n.to_be_bytes()[2]).collect();
            door.send_run(&run, 516, client.local_addr().unwrap()).await.unwrap();
            assert_eq!(door.cuts, cuts);
            let mut buffer = [0; 2000];
            for packet in run.chunks(516) {
                let count = client.recv(&mut buffer).await.unwrap();
                assert_eq!(&buffer[..count], packet);
            }
        }
    }

    #[test]
    fn the_largest_block_follows_the_path() {
        let local = std::net::Ipv4Addr::LOCALHOST.into();
        assert!(largest_block(local, ([127, 0, 0, 1], 9).into()).unwrap() > 1468);
    }
}
