//! A stream that gives up on a peer which takes its bytes too slowly to be honest.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// What is asked of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How long a request's head may take to come, an idle connection included. iPXE keeps one for 10 s.
    pub head: Duration,
    /// Time spent waiting for the peer to take bytes after which its pace is judged.
    pub window: Duration,
    /// Bytes it must have taken in that time.
    pub least: u64,
}

impl Default for Patience {
    /// 15 s for a head; 64 KiB in 20 s, which a serial line would manage.
    fn default() -> Self {
        Self { head: Duration::from_secs(15), window: Duration::from_secs(20), least: 64 << 10 }
    }
}

/// Counts only time in which the peer held us up; an idle connection is somebody else's matter.
#[derive(Debug)]
pub(super) struct Paced<S> {
    stream: S,
    patience: Patience,
    /// When the current wait began.
    held_since: Option<Instant>,
    held: Duration,
    taken: u64,
    alarm: Pin<Box<Sleep>>,
}

impl<S> Paced<S> {
    pub(super) fn new(stream: S, patience: Patience) -> Self {
        let alarm = Box::pin(tokio::time::sleep(patience.window));
        Self { stream, patience, held_since: None, held: Duration::ZERO, taken: 0, alarm }
    }

    fn went(&mut self, count: usize) {
        self.taken += u64::try_from(count).unwrap_or(u64::MAX);
        if let Some(since) = self.held_since.take() {
            self.held += since.elapsed();
        }
    }

    /// The peer does not take more now: decide whether to wait for it.
    fn hold(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        let now = Instant::now();
        if self.held_since.is_none() {
            self.held_since = Some(now);
            let left = self.patience.window.saturating_sub(self.held);
            self.alarm.as_mut().reset(now + left);
        }
        ready!(self.alarm.as_mut().poll(context));
        if self.taken < self.patience.least {
            return Poll::Ready(io::ErrorKind::TimedOut.into());
        }
        self.taken = 0;
        self.held = Duration::ZERO;
        self.held_since = Some(now);
        self.alarm.as_mut().reset(now + self.patience.window);
        // Ask again so that the new alarm wakes us.
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn settle(
        &mut self,
        written: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(count)) => {
                self.went(count);
                Poll::Ready(Ok(count))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => self.hold(context).map(Err),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.settle(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.settle(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
