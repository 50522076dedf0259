//! Serial ports: real ones, and those that a program elsewhere offers over TCP.
//!
//! A port is closed as soon as it errs, and opened anew for the next exchange: whatever `/dev/serial/by-id` names then.

use std::fs::File;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstat, major};
use rustix::io::Errno;
use rustix::termios::{
    ControlModes, InputModes, OptionalActions, QueueSelector, ioctl_tiocexcl, ioctl_tiocnxcl, tcflush,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::unix::pipe::{Receiver, Sender};

/// Where a line to a device begins. The second implementor carries tests.
pub(crate) trait Line: Send + Sync + 'static {
    /// An open line.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send;

    /// Opens it.
    ///
    /// # Errors
    /// It cannot be opened; for a person.
    fn open(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// What it is called in a sentence.
    fn name(&self) -> String;
}

/// A serial port by its path, or one behind `tcp://HOST:PORT` (ser2net's raw mode).
#[derive(Debug, Clone)]
pub(crate) enum Serial {
    /// Of this computer.
    Tty {
        /// Such as `/dev/serial/by-id/usb-…`.
        path: PathBuf,
        /// Bits a second.
        baud: u32,
    },
    /// Offered by a program elsewhere, which sets the speed.
    Tcp {
        /// `HOST:PORT`.
        address: String,
    },
}

impl Serial {
    pub(crate) fn of(device: &str, baud: u32) -> Self {
        match device.strip_prefix("tcp://") {
            Some(address) => Self::Tcp { address: address.to_owned() },
            None => Self::Tty { path: PathBuf::from(device), baud },
        }
    }
}

impl Line for Serial {
    type Stream = SerialStream;

    async fn open(&self) -> io::Result<SerialStream> {
        match self {
            Self::Tty { path, baud } => Tty::open(path, *baud).map(SerialStream::Tty),
            Self::Tcp { address } => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Ok(SerialStream::Tcp(stream))
            }
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Tty { path, .. } => path.display().to_string(),
            Self::Tcp { address } => format!("tcp://{address}"),
        }
    }
}

/// An open line.
#[derive(Debug)]
pub(crate) enum SerialStream {
    /// A port of this computer.
    Tty(Tty),
    /// One elsewhere.
    Tcp(TcpStream),
}

impl AsyncRead for SerialStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tty(tty) => Pin::new(tty).poll_read(cx, buffer),
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for SerialStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tty(tty) => Pin::new(tty).poll_write(cx, bytes),
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tty(_) => Poll::Ready(Ok(())),
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tty(_) => Poll::Ready(Ok(())),
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// Device numbers of pseudo-terminals (Linux, `Documentation/admin-guide/devices.txt`, 136 to 143 char).
const PSEUDO: std::ops::RangeInclusive<u32> = 136..=143;

/// A serial port of this computer: raw, 8 data bits, no parity, one stop bit, nobody else's.
///
/// To the reactor it is what a pipe is: a descriptor that becomes readable and writable.
#[derive(Debug)]
pub(crate) struct Tty {
    reads: Receiver,
    writes: Sender,
    /// It was taken from programs that look at no lock, and must be given back.
    taken: bool,
}

impl Tty {
    fn open(path: &PathBuf, baud: u32) -> io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
        // Who comes second keeps off: its settings, and what it drops, would be those of whoever has the port. The lock
        // ends with whoever holds it, however that ends, and it also keeps a second name for the same port out.
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|why| match why {
            Errno::WOULDBLOCK => io::ErrorKind::ResourceBusy.into(),
            why => io::Error::from(why),
        })?;
        let mut settings = rustix::termios::tcgetattr(&file)?;
        settings.make_raw();
        settings.input_modes &= !(InputModes::IXOFF | InputModes::IXANY);
        // The line's own signals are not looked at; and closing does not drop DTR, which resets boards whose reset is
        // wired to it.
        settings.control_modes |= ControlModes::CLOCAL | ControlModes::CREAD;
        settings.control_modes &= !(ControlModes::HUPCL | ControlModes::CSTOPB | ControlModes::CRTSCTS);
        settings.set_speed(baud)?;
        rustix::termios::tcsetattr(&file, OptionalActions::Now, &settings)?;
        tcflush(&file, QueueSelector::IOFlush)?;
        // Those who look at no lock get `EBUSY`. A pseudo-terminal would stay so after a death of ours, because its other
        // end keeps it; a real port is new at its first opening.
        let taken = !PSEUDO.contains(&major(fstat(&file)?.st_rdev));
        if taken {
            ioctl_tiocexcl(&file)?;
        }
        let writes = Sender::from_file_unchecked(file.try_clone()?)?;
        Ok(Self { reads: Receiver::from_file_unchecked(file)?, writes, taken })
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        // Closing a port waits for what is not sent yet, half a minute where an adapter hangs, and everything else here
        // would wait with it.
        if let Err(why) = tcflush(&self.reads, QueueSelector::IOFlush) {
            tracing::debug!("what was not sent to a serial port: {why}");
        }
        if self.taken
            && let Err(why) = ioctl_tiocnxcl(&self.reads)
        {
            tracing::debug!("a serial port that is given back: {why}");
        }
    }
}

impl AsyncRead for Tty {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().reads).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Tty {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().writes).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
