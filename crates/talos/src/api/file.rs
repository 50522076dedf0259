//! What a node streams out as bytes: its files, and etcd's database. Each piece is handed on as it comes, because a
//! database may have gigabytes.

use std::io;

use prost::Message;
use sha2::{Digest as _, Sha256};

use super::error::NodeError;
use super::grpc::Streamed;
use super::node::Node;
use super::proto::common;
use super::proto::machine::{ETCD_SNAPSHOT, READ, ReadReq};

/// Bytes of the checksum at the end of a snapshot.
const CHECKSUM: usize = 32;

/// Why bytes did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The node, or the way to it.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// Where they should go.
    #[error("{0}")]
    Write(String),
    /// They are not whole.
    #[error("{0}")]
    Damaged(String),
}

impl Node {
    /// Reads a file of the node, handing each piece to `put`; returns how many bytes there were. Takes admin.
    ///
    /// # Errors
    /// [`FileError`]; a file that is not there, and one that is none, are refused by the node.
    pub async fn file(
        &self,
        path: &str,
        put: &mut (dyn FnMut(&[u8]) -> io::Result<()> + Send),
    ) -> Result<u64, FileError> {
        self.streamed(&READ, ReadReq { path: path.to_owned() }, put).await
    }

    /// Reads a snapshot of etcd's database from the member on this node, with the checksum that etcd puts behind it,
    /// which is verified. Returns how many bytes there were.
    ///
    /// # Errors
    /// [`FileError`]; `Damaged` when the checksum is missing or another.
    pub async fn etcd_snapshot(
        &self,
        put: &mut (dyn FnMut(&[u8]) -> io::Result<()> + Send),
    ) -> Result<u64, FileError> {
        let mut sealed = Sealed::default();
        let mut checked = |piece: &[u8]| {
            sealed.take(piece);
            put(piece)
        };
        let size = self.streamed(&ETCD_SNAPSHOT, (), &mut checked).await?;
        if sealed.holds() {
            Ok(size)
        } else {
            let why =
                format!("the {size} bytes of the snapshot do not end with their SHA-256: it was cut off");
            Err(FileError::Damaged(why))
        }
    }

    async fn streamed<I: Message + 'static>(
        &self,
        call: &Streamed<I, common::Data>,
        request: I,
        put: &mut (dyn FnMut(&[u8]) -> io::Result<()> + Send),
    ) -> Result<u64, FileError> {
        let mut stream = self.following(call, request).await?;
        let mut size: u64 = 0;
        while let Some(chunk) = self.next(call.name(), &mut stream).await? {
            put(&chunk.bytes).map_err(|why| FileError::Write(why.to_string()))?;
            size = size.saturating_add(u64::try_from(chunk.bytes.len()).unwrap_or(u64::MAX));
        }
        Ok(size)
    }
}

/// A stream that ends with the SHA-256 of what came before, in pieces of any size.
#[derive(Default)]
struct Sealed {
    hash: Sha256,
    /// The last bytes so far: they may be the checksum.
    tail: Vec<u8>,
}

impl Sealed {
    fn take(&mut self, piece: &[u8]) {
        self.tail.extend_from_slice(piece);
        let sure = self.tail.len().saturating_sub(CHECKSUM);
        self.hash.update(self.tail.get(..sure).unwrap_or_default());
        self.tail.drain(..sure);
    }

    /// True where it came whole.
    fn holds(self) -> bool {
        self.hash.finalize().as_slice() == self.tail.as_slice()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_holds_whole_and_in_pieces_and_never_cut_or_changed() {
        let content: Vec<u8> = (0..=255).cycle().take(1000).collect();
        let whole = [content.as_slice(), Sha256::digest(&content).as_slice()].concat();
        let holds = |bytes: &[u8], piece: usize| {
            let mut sealed = Sealed::default();
            bytes.chunks(piece).for_each(|piece| sealed.take(piece));
            sealed.holds()
        };
        for piece in [1, 7, 31, 32, 33, 999, 2000] {
            assert!(holds(&whole, piece), "{piece}");
            for cut in [0, 1, 31, 32, 500, 1000, 1031] {
                assert!(!holds(&whole[..cut], piece), "{piece} {cut}");
            }
        }
        for changed in [0, 999, 1000, 1031] {
            let mut other = whole.clone();
            other[changed] ^= 1;
            assert!(!holds(&other, 100), "{changed}");
        }
    }
}
