//! Contents of the shelf on their way to a socket by `sendfile(2)`, through an HTTP library that takes only memory.
//!
//! ```text
//!  body ─▶ span: content, first byte, count ──▶ outlet ────────────┐
//!     └──▶ blank: as many bytes that mean nothing ─▶ HTTP library ─┴▶ a blank comes to be written: the span is sent
//! ```
//!
//! A blank is known by its address. So the library goes on to do all that belongs to HTTP, and the bytes of a file never
//! come into this process. It must hand on the very memory that it got, which it does for a stream that takes many
//! slices at once; the tests read what arrives, and [`Outlet::next`] refuses where blanks and spans do not match.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use rustix::io::Errno;
use store::shelf::Content;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, Interest, ReadBuf};
use tokio::net::TcpStream;

/// Most bytes of a span. Other connections get their turn between two.
pub(super) const SPAN: usize = 256 << 10;
/// Most bytes copied at once where the system cannot send from a file.
const COPIED: usize = 16 << 10;
/// What blanks are cut from. Nobody reads or writes it, so it costs addresses and no memory.
static BLANK: [u8; SPAN] = [0; SPAN];

/// A stretch of a content that was promised to the peer.
#[derive(Debug)]
struct Span {
    content: Arc<Content>,
    at: u64,
    left: usize,
}

/// What one connection still has to send of contents, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Outlet(Arc<Mutex<VecDeque<Span>>>);

impl Outlet {
    fn spans(&self) -> MutexGuard<'_, VecDeque<Span>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Promises bytes of a content from `at` on, at most so many: the blank that stands for them.
    ///
    /// # Errors
    /// As the system says; `UnexpectedEof` if the content ends here, shorter than it was when it was opened.
    pub(super) fn promise(&self, content: &Arc<Content>, at: u64, most: u64) -> io::Result<Bytes> {
        let size = u64::try_from(rustix::fs::fstat(content)?.st_size).unwrap_or_default();
        let there = usize::try_from(size.saturating_sub(at).min(most)).unwrap_or(usize::MAX);
        let blank = BLANK.get(..there).unwrap_or(&BLANK);
        if blank.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.spans().push_back(Span { content: Arc::clone(content), at, left: blank.len() });
        Ok(Bytes::from_static(blank))
    }

    /// What a blank of so many bytes stands for: the content and its first byte.
    fn next(&self, blank: usize) -> io::Result<(Arc<Content>, u64)> {
        let spans = self.spans();
        let span = spans.front().filter(|span| span.left >= blank);
        span.map(|span| (Arc::clone(&span.content), span.at))
            .ok_or_else(|| io::Error::other("a blank that was not promised"))
    }

    fn went(&self, count: usize) {
        let mut spans = self.spans();
        let Some(span) = spans.front_mut() else { return };
        span.at += u64::try_from(count).unwrap_or(u64::MAX);
        span.left = span.left.saturating_sub(count);
        if span.left == 0 {
            spans.pop_front();
        }
    }
}

fn is_blank(slice: &[u8]) -> bool {
    BLANK.as_ptr_range().contains(&slice.as_ptr())
}

/// A connection that can send from a file.
pub trait Stream: AsyncRead + AsyncWrite + Unpin {
    /// Sends bytes of a file from `at` on, at most `most`: how many went. 0 when the file ends there.
    ///
    /// # Errors
    /// As the system says.
    fn poll_send(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        file: BorrowedFd<'_>,
        at: u64,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        copy(self, context, file, at, most)
    }
}

/// Tests need no socket.
impl Stream for DuplexStream {}

impl Stream for TcpStream {
    fn poll_send(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        file: BorrowedFd<'_>,
        at: u64,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.poll_write_ready(context))?;
            let mut from = at;
            let send = || Ok(rustix::fs::sendfile(&*self, file, Some(&mut from), most)?);
            match self.try_io(Interest::WRITABLE, send) {
                // It was thought writable and is not: wait until it is.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Some file systems cannot (sendfile(2)).
                Err(error)
                    if [Some(Errno::INVAL), Some(Errno::NOSYS)].contains(&Errno::from_io_error(&error)) =>
                {
                    return copy(self, context, file, at, most);
                }
                sent => return Poll::Ready(sent),
            }
        }
    }
}

/// The same by way of memory.
fn copy<S: AsyncWrite + ?Sized>(
    stream: Pin<&mut S>,
    context: &mut Context<'_>,
    file: BorrowedFd<'_>,
    at: u64,
    most: usize,
) -> Poll<io::Result<usize>> {
    let mut buffer = [0; COPIED];
    let count = rustix::io::pread(file, &mut buffer, at)?.min(most);
    match buffer.get(..count) {
        Some(bytes) if count > 0 => stream.poll_write(context, bytes),
        _ => Poll::Ready(Ok(0)),
    }
}

/// A stream that sends contents where blanks are written.
#[derive(Debug)]
pub(super) struct Filling<S> {
    stream: S,
    outlet: Outlet,
}

impl<S> Filling<S> {
    pub(super) fn new(stream: S, outlet: Outlet) -> Self {
        Self { stream, outlet }
    }
}

impl<S: Stream> Filling<S> {
    fn poll_fill(&mut self, context: &mut Context<'_>, blank: usize) -> Poll<io::Result<usize>> {
        let (content, at) = self.outlet.next(blank)?;
        let sent = ready!(Pin::new(&mut self.stream).poll_send(context, content.as_fd(), at, blank))?;
        if sent == 0 {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        self.outlet.went(sent);
        Poll::Ready(Ok(sent))
    }
}

impl<S: Stream> AsyncRead for Filling<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: Stream> AsyncWrite for Filling<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let plain = slices.iter().take_while(|slice| !is_blank(slice)).count();
        match slices.split_at_checked(plain) {
            Some(([], [blank, ..])) => self.poll_fill(context, blank.len()),
            Some((plain, _)) => Pin::new(&mut self.stream).poll_write_vectored(context, plain),
            None => Poll::Ready(Ok(0)),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use store::shelf::Shelf;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Removed with its content.
    struct Folder(PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(std::fs::remove_dir_all(&self.0));
        }
    }

    /// A shelf with one content of so many bytes, each telling its place.
    fn content(name: &str, size: usize) -> (Folder, Arc<Content>, Vec<u8>) {
        let folder =
            Folder(std::env::temp_dir().join(format!("labinator-outlet-{name}-{}", std::process::id())));
        let bytes: Vec<u8> = (0..size).map(|at| (at * 31 + at / 251).to_le_bytes()[0]).collect();
        let shelf = Shelf::new(&folder.0);
        let digest = shelf.put(bytes.as_slice()).unwrap();
        (folder, Arc::new(shelf.open(digest).unwrap()), bytes)
    }

    #[tokio::test]
    async fn what_a_blank_stands_for_arrives_between_what_is_written_around_it() {
        let (_folder, content, bytes) = content("filled", SPAN + 50_000);
        let (near, mut far) = tokio::io::duplex(10_000);
        let outlet = Outlet::default();
        let mut filling = Filling::new(near, outlet.clone());
        let write = async {
            filling.write_all(b"head").await.unwrap();
            let first = outlet.promise(&content, 100, u64::MAX).unwrap();
            assert_eq!(first.len(), SPAN);
            let second = outlet.promise(&content, 7, 20_000).unwrap();
            filling.write_all(&first).await.unwrap();
            filling.write_all(b"between").await.unwrap();
            filling.write_all(&second).await.unwrap();
            drop(filling);
        };
        let mut got = Vec::new();
        let ((), read) = tokio::join!(write, far.read_to_end(&mut got));
        read.unwrap();
        assert!(got == [b"head", &bytes[100..100 + SPAN], b"between", &bytes[7..20_007]].concat());
        assert!(outlet.spans().is_empty());
    }

    #[tokio::test]
    async fn a_blank_that_nobody_promised_is_refused() {
        let (_folder, content, _) = content("refused", 1000);
        let (near, _far) = tokio::io::duplex(10_000);
        let outlet = Outlet::default();
        let mut filling = Filling::new(near, outlet.clone());
        let blank = outlet.promise(&content, 990, 1000).unwrap();
        assert_eq!(blank.len(), 10, "as far as the content goes");
        assert_eq!(outlet.promise(&content, 1000, 1).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        filling.write_all(&blank).await.unwrap();
        assert!(filling.write_all(&blank).await.is_err());
    }
}
