//! Bodies of answers: a text, a loader in memory, or a content read in large pieces as the peer takes them.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use model::{MacAddr, Sight};
use rustix::buffer::spare_capacity;
use store::shelf::Content;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Duration, Instant};

use crate::counter::Counter;

/// Bytes read and sent at once.
const PIECE: usize = 256 << 10;
/// Shortest time between two progress sightings of a transfer.
const TELL_EVERY: Duration = Duration::from_millis(250);

/// Where the bytes come from.
#[derive(Debug)]
enum Source {
    Memory(Bytes),
    Shelf(Content),
}

/// The body of an answer.
#[derive(Debug)]
pub(super) struct Body {
    source: Source,
    /// Next byte of the source.
    at: u64,
    /// Bytes still to send.
    left: u64,
    transfer: Option<Transfer>,
    /// One of the places for image transfers, given back with the body.
    permit: Option<OwnedSemaphorePermit>,
}

impl Body {
    /// No bytes.
    pub(super) fn empty() -> Self {
        Self::memory(Bytes::new())
    }

    /// Bytes at hand.
    pub(super) fn memory(bytes: Bytes) -> Self {
        let left = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Self { source: Source::Memory(bytes), at: 0, left, transfer: None, permit: None }
    }

    /// A content of the shelf.
    pub(super) fn shelf(content: Content) -> Self {
        let left = content.size();
        Self { source: Source::Shelf(content), at: 0, left, transfer: None, permit: None }
    }

    /// Only `count` bytes from byte `first` on.
    pub(super) fn part(mut self, first: u64, count: u64) -> Self {
        self.at = first.min(self.left);
        self.left = count.min(self.left - self.at);
        self
    }

    /// Tells the core how it goes.
    pub(super) fn watched(mut self, transfer: Transfer) -> Self {
        self.transfer = Some(transfer);
        self
    }

    /// Takes up a place of those for image transfers.
    pub(super) fn admitted(mut self, permit: Option<OwnedSemaphorePermit>) -> Self {
        self.permit = permit;
        self
    }

    /// Bytes still to send.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    fn next_piece(&mut self) -> io::Result<Bytes> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(PIECE);
        match &self.source {
            Source::Memory(bytes) => {
                let from = usize::try_from(self.at).unwrap_or(usize::MAX);
                Ok(bytes.slice(from..from + most))
            }
            Source::Shelf(content) => {
                let mut piece = Vec::with_capacity(most);
                if rustix::io::pread(content, spare_capacity(&mut piece), self.at)? == 0 {
                    // Shorter than it was when it was opened: the promised length cannot be kept.
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                piece.truncate(most);
                Ok(piece.into())
            }
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(self.next_piece().map(|piece| {
            let count = u64::try_from(piece.len()).unwrap_or(u64::MAX);
            self.at += count;
            self.left -= count.min(self.left);
            let left = self.left;
            if let Some(transfer) = &mut self.transfer {
                transfer.moved(count, left);
            }
            Frame::data(piece)
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// One file on its way to a machine, told to the core as it goes.
#[derive(Debug)]
pub(super) struct Transfer {
    counter: Arc<Counter>,
    mac: MacAddr,
    name: String,
    sent: u64,
    left: u64,
    repeats: u32,
    told: Instant,
}

impl Transfer {
    /// A transfer of `left` bytes that begins now.
    pub(super) fn new(counter: &Arc<Counter>, mac: MacAddr, name: String, left: u64) -> Self {
        let counter = Arc::clone(counter);
        Self { counter, mac, name, sent: 0, left, repeats: 0, told: Instant::now() }
    }

    /// Marks it as the continuation of an earlier one.
    pub(super) fn resumed(mut self) -> Self {
        self.repeats = 1;
        self
    }

    fn moved(&mut self, count: u64, left: u64) {
        self.sent += count;
        self.left = left;
        if left > 0 && self.told.elapsed() >= TELL_EVERY {
            self.told = Instant::now();
            let sight = Sight::FileMoved { name: self.name.clone(), bytes: self.sent };
            self.counter.sights.see(self.mac, sight);
        }
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        let (name, bytes) = (std::mem::take(&mut self.name), self.sent);
        let sight = if self.left == 0 {
            Sight::FileServed { name, bytes, repeats: self.repeats }
        } else {
            Sight::FileBroken { name, bytes, why: "the connection ended".to_owned() }
        };
        self.counter.sights.see(self.mac, sight);
    }
}
