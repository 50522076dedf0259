//! PEM (RFC 7468) with the labels that Talos writes, among them one that no RFC knows.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::error::PkiError;

/// Talos's label for a certificate.
pub(crate) const CERTIFICATE: &str = "CERTIFICATE";
/// Talos's own label around an ordinary PKCS#8 key; common readers skip such a block without a word.
pub(crate) const ED25519_KEY: &str = "ED25519 PRIVATE KEY";
/// SEC 1 (RFC 5915).
pub(crate) const EC_KEY: &str = "EC PRIVATE KEY";
/// PKCS#1 (RFC 8017).
pub(crate) const RSA_KEY: &str = "RSA PRIVATE KEY";
/// PKCS#8 (RFC 5958), accepted for any key.
pub(crate) const PKCS8_KEY: &str = "PRIVATE KEY";

/// One block.
#[derive(Clone, PartialEq, Eq)]
pub struct PemBlock {
    /// The words between `BEGIN` and the dashes.
    pub label: String,
    /// What the base64 says; wiped when dropped.
    pub der: Zeroizing<Vec<u8>>,
}

impl core::fmt::Debug for PemBlock {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("PemBlock").field("label", &self.label).finish_non_exhaustive()
    }
}

/// The block as text: 64 characters a line, a newline at the end.
#[must_use]
pub fn pem_encode(label: &str, der: &[u8]) -> String {
    let body = Zeroizing::new(STANDARD.encode(der));
    let mut text = String::with_capacity(body.len() + body.len() / 64 + 2 * label.len() + 36);
    text.push_str(&format!("-----BEGIN {label}-----\n"));
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at_checked(64).unwrap_or((rest, ""));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

/// The first block of a text. What stands before it is skipped, as RFC 7468 section 2 allows.
///
/// # Errors
/// There is no block, it does not end, or its body is not base64.
pub fn pem_decode(text: &str) -> Result<PemBlock, PkiError> {
    let mut lines = text.lines().map(str::trim);
    let label = lines
        .find_map(|line| line.strip_prefix("-----BEGIN ")?.strip_suffix("-----"))
        .ok_or(PkiError::Pem("no line -----BEGIN ..-----"))?;
    let end = format!("-----END {label}-----");
    let mut body = Zeroizing::new(String::with_capacity(text.len()));
    for line in lines {
        if line == end {
            let der =
                STANDARD.decode(body.as_bytes()).map_err(|_| PkiError::Pem("its body is not base64"))?;
            return Ok(PemBlock { label: label.to_owned(), der: Zeroizing::new(der) });
        }
        body.push_str(line);
    }
    Err(PkiError::Pem("no line -----END ..----- with the same words"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_at_every_length() {
        for length in 0..200u8 {
            let der: Vec<u8> = (0..length).collect();
            let text = pem_encode("X Y", &der);
            assert!(text.lines().all(|line| line.len() <= 64 || line.starts_with('-')), "{text}");
            let block = pem_decode(&format!("before\r\n{text}after")).unwrap();
            assert_eq!((block.label.as_str(), block.der.as_slice()), ("X Y", der.as_slice()));
        }
    }

    #[test]
    fn what_is_no_block_is_refused_with_its_reason() {
        let cases = [
            ("", "no line -----BEGIN"),
            ("-----BEGIN A-----\nAAAA\n-----END B-----\n", "no line -----END"),
            ("-----BEGIN A-----\n!!!!\n-----END A-----\n", "not base64"),
        ];
        for (text, why) in cases {
            let error = pem_decode(text).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
            assert_eq!(error.code(), "not_pem");
        }
    }
}
