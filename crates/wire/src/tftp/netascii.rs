//! Netascii (RFC 1350 section 1, RFC 764): text as a network virtual terminal writes it.

use alloc::vec::Vec;

/// Translates bytes for a client that asked for netascii and will translate them back: a line feed becomes CR LF, a
/// carriage return CR NUL. `tftp-hpa` asks for it unless told otherwise.
#[must_use]
pub fn netascii(bytes: &[u8]) -> Vec<u8> {
    let breaks = bytes.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count();
    let mut out = Vec::with_capacity(bytes.len() + breaks);
    for &byte in bytes {
        match byte {
            b'\n' => out.extend_from_slice(b"\r\n"),
            b'\r' => out.extend_from_slice(b"\r\0"),
            _ => out.push(byte),
        }
    }
    out
}
