//! Digest fields (RFC 9530): what the file is, and what was sent of it.

use http::header::{HeaderName, HeaderValue, TE};
use http::{HeaderMap, Version};
use store::Digest;

/// The digest of the whole file, whatever part is sent (section 3).
pub(super) const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");
/// The digest of the bytes that were sent (section 2).
pub(super) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");

/// A field's value: `sha-256=:BASE64:`.
pub(super) fn value(digest: Digest) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("sha-256=:{}:", base64(&digest.0))).ok()
}

/// Whether the client said that it reads trailers (RFC 9110 section 10.1.4). They need chunks, hence HTTP/1.1.
pub(super) fn reads_trailers(headers: &HeaderMap, version: Version) -> bool {
    let names = headers.get_all(TE).iter().filter_map(|value| value.to_str().ok());
    version == Version::HTTP_11
        && names.flat_map(|names| names.split(',')).any(|name| name.trim().eq_ignore_ascii_case("trailers"))
}

/// Base64 with padding (RFC 4648 section 4).
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let bits =
            three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let letter = usize::try_from(bits >> (18 - 6 * place) & 63).ok().and_then(|at| LETTERS.get(at));
            text.push(if place > three.len() {
                '='
            } else {
                letter.map_or('=', |letter| char::from(*letter))
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (plain, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(plain.as_bytes()), text);
        }
        // RFC 9530 appendix B.1: the digest of {"hello": "world"} and a line feed.
        let value = value(Digest::of(b"{\"hello\": \"world\"}\n")).unwrap();
        assert_eq!(value, "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:");
    }

    #[test]
    fn trailers_are_for_those_who_read_them() {
        let mut headers = HeaderMap::new();
        assert!(!reads_trailers(&headers, Version::HTTP_11));
        headers.insert(TE, HeaderValue::from_static("gzip, Trailers"));
        assert!(reads_trailers(&headers, Version::HTTP_11) && !reads_trailers(&headers, Version::HTTP_10));
    }
}
