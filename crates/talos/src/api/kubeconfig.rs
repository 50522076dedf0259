//! The kubeconfig that a control plane mints, out of an archive that Talos does not finish.

use std::io::Read as _;

use flate2::read::GzDecoder;

use super::error::NodeError;
use super::node::Node;
use super::proto::machine::KUBECONFIG;

/// More than this is no kubeconfig, in bytes.
const LARGEST: u64 = 1 << 20;

impl Node {
    /// Fetches it. It is minted anew for each call, works before the cluster does, and holds a key of cluster admin.
    ///
    /// # Errors
    /// See [`NodeError`]; only control planes have one.
    pub async fn kubeconfig(&self) -> Result<String, NodeError> {
        let what = KUBECONFIG.name();
        let mut stream = self.following(&KUBECONFIG, ()).await?;
        let mut archive = Vec::new();
        while let Some(chunk) = self.next(what, &mut stream).await? {
            archive.extend_from_slice(&chunk.bytes);
        }
        first_entry(&archive).map_err(|why| NodeError::Unreadable { at: self.at(), what, why })
    }
}

/// The first entry of a gzipped tar by the size in its header (POSIX ustar). Talos never closes its tar writer, so there
/// is neither padding nor a trailer behind it, and a reader that asks for the next entry fails.
fn first_entry(archive: &[u8]) -> Result<String, String> {
    let mut unpacked = GzDecoder::new(archive).take(LARGEST);
    let mut header = [0u8; 512];
    unpacked.read_exact(&mut header).map_err(|why| format!("no gzipped tar header: {why}"))?;
    let size = header.get(124..136).unwrap_or_default();
    let digits: String = size.iter().map(|byte| char::from(*byte)).take_while(char::is_ascii_digit).collect();
    let size = usize::from_str_radix(&digits, 8).map_err(|_| format!("its size is not octal: `{digits}`"))?;
    let mut text = Vec::new();
    // The gzip stream may end without its checksum being of use to us: the size says when we are done.
    let mut entry = unpacked.take(u64::try_from(size).unwrap_or(LARGEST));
    entry.read_to_end(&mut text).map_err(|why| format!("it ends early: {why}"))?;
    if text.len() != size {
        return Err(format!("it says {size} bytes and has {}", text.len()));
    }
    String::from_utf8(text).map_err(|_| "it is not text".to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn archive(size: &str, text: &str) -> Vec<u8> {
        let mut tar = vec![0u8; 512];
        tar[..10].copy_from_slice(b"kubeconfig");
        tar[124..124 + size.len()].copy_from_slice(size.as_bytes());
        tar.extend_from_slice(text.as_bytes());
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(&tar).unwrap();
        gzip.finish().unwrap()
    }

    #[test]
    fn an_archive_without_padding_or_trailer_is_read() {
        assert_eq!(first_entry(&archive("00000000007", "apiVers")), Ok("apiVers".to_owned()));
    }

    #[test]
    fn a_short_one_says_so() {
        assert_eq!(
            first_entry(&archive("00000000020", "apiVers")),
            Err("it says 16 bytes and has 7".to_owned())
        );
        assert!(first_entry(&archive("zzz", "a")).unwrap_err().contains("octal"));
        assert!(first_entry(b"hello").unwrap_err().contains("gzip"));
    }
}
