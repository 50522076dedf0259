//! Bodies of answers: a text, a loader in memory, or a content, sent from its file as the peer takes it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use model::{MacAddr, Sight};
use rustix::buffer::spare_capacity;
use store::Summing;
use store::shelf::Content;
use tokio::time::{Duration, Instant};

use super::digests;
use super::outlet::{Outlet, SPAN};
use super::places::Place;
use crate::counter::Counter;

/// Bytes of a content read at once where their digest is wanted.
const READ: usize = 32 << 10;
/// Shortest time between two progress sightings of a transfer.
const TELL_EVERY: Duration = Duration::from_millis(250);

/// Where the bytes come from.
#[derive(Debug)]
enum Source {
    Memory(Bytes),
    Shelf(Arc<Content>, Outlet),
}

/// The body of an answer.
#[derive(Debug)]
pub(crate) struct Body {
    source: Source,
    /// Next byte of the source.
    at: u64,
    /// Bytes still to send.
    left: u64,
    transfer: Option<Transfer>,
    /// Its machine's place among the image transfers, given back with the body.
    place: Option<Place>,
    /// Its last byte is the file's last.
    reaches_end: bool,
    /// Digest of what was sent, for those who read trailers.
    summing: Option<Summing>,
}

impl Body {
    /// No bytes.
    pub(super) fn empty() -> Self {
        Self::memory(Bytes::new())
    }

    /// Bytes at hand.
    pub(crate) fn memory(bytes: Bytes) -> Self {
        let left = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Self::new(Source::Memory(bytes), left)
    }

    /// A content of the shelf.
    pub(super) fn shelf(content: Content, outlet: &Outlet) -> Self {
        let left = content.size();
        Self::new(Source::Shelf(Arc::new(content), outlet.clone()), left)
    }

    fn new(source: Source, left: u64) -> Self {
        Self { source, at: 0, left, transfer: None, place: None, reaches_end: true, summing: None }
    }

    /// Only `count` bytes from byte `first` on.
    pub(super) fn part(mut self, first: u64, count: u64) -> Self {
        let size = self.left;
        self.at = first.min(size);
        self.left = count.min(size - self.at);
        self.reaches_end = self.at + self.left == size;
        self
    }

    /// Tells the core how it goes.
    pub(super) fn watched(mut self, transfer: Transfer) -> Self {
        self.transfer = Some(transfer);
        self
    }

    /// Takes up a place of those for image transfers.
    pub(super) fn admitted(mut self, place: Option<Place>) -> Self {
        self.place = place;
        self
    }

    /// Says in a trailer what the digest of the sent bytes was. Its length is then told by chunks.
    pub(super) fn summed(mut self) -> Self {
        self.summing = Some(Summing::default());
        self
    }

    /// Bytes still to send.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    fn next_piece(&self) -> io::Result<Bytes> {
        match &self.source {
            Source::Memory(bytes) => {
                let from = usize::try_from(self.at).unwrap_or(usize::MAX);
                let most = usize::try_from(self.left).unwrap_or(usize::MAX);
                Ok(bytes.slice(from..from + most.min(SPAN)))
            }
            Source::Shelf(content, outlet) if self.summing.is_none() => {
                outlet.promise(content, self.at, self.left)
            }
            Source::Shelf(content, _) => read(content, self.at, self.left),
        }
    }
}

/// Bytes of a content from `at` on: at least one, at most `most`.
fn read(content: &Content, at: u64, most: u64) -> io::Result<Bytes> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut bytes = Vec::with_capacity(most.min(READ));
    if rustix::io::pread(content, spare_capacity(&mut bytes), at)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    bytes.truncate(most);
    Ok(Bytes::from(bytes))
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.left == 0 {
            let digest = self.summing.take().and_then(|summing| digests::value(summing.finish()));
            let trailers = digest.map(|digest| HeaderMap::from_iter([(digests::CONTENT_DIGEST, digest)]));
            return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
        }
        Poll::Ready(Some(self.next_piece().map(|piece| {
            let count = u64::try_from(piece.len()).unwrap_or(u64::MAX);
            self.at += count;
            self.left -= count.min(self.left);
            let left = self.left;
            if left == 0
                && self.reaches_end
                && let Some(place) = &mut self.place
            {
                place.done();
            }
            if let Some(summing) = &mut self.summing {
                summing.add(&piece);
            }
            if let Some(transfer) = &mut self.transfer {
                transfer.moved(count, left);
            }
            Frame::data(piece)
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0 && self.summing.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if self.summing.is_some() { SizeHint::default() } else { SizeHint::with_exact(self.left) }
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
        if self.left == 0 {
            self.counter.note_taken(self.mac, &name);
        }
        let sight = if self.left == 0 {
            Sight::FileServed { name, bytes, repeats: self.repeats }
        } else {
            Sight::FileBroken { name, bytes, why: "the connection ended".to_owned() }
        };
        self.counter.sights.see(self.mac, sight);
    }
}
