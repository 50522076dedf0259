//! Pictures as PNG (ISO/IEC 15948): eight bits each of red, green and blue, rows as they are.

use std::io::{Read as _, Write as _};

use embedded_graphics::pixelcolor::RgbColor as _;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

use super::Canvas;

/// Section 5.2.
const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";
/// Bits of a sample, colour type (red, green, blue), and the methods of compression, filter and interlace.
const KIND: [u8; 5] = [8, 2, 0, 0, 0];
/// Dots of the largest picture that is read.
const LARGEST: u64 = 1 << 24;

/// A picture that is not one of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a picture as this program writes them: {0}")]
pub struct PngError(String);

/// The file of a picture. The same picture gives the same bytes with the same version of this program.
#[must_use]
pub fn encode(canvas: &Canvas) -> Vec<u8> {
    let mut rows = Vec::new();
    for row in canvas.rows() {
        // Filter type 0 (section 9.2): as it is.
        rows.push(0);
        rows.extend(row.iter().flat_map(|dot| [dot.r(), dot.g(), dot.b()]));
    }
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::best());
    // Nothing that is written into memory fails.
    let packed = packed.write_all(&rows).and_then(|()| packed.finish()).unwrap_or_default();
    let mut head = Vec::new();
    head.extend(canvas.width().to_be_bytes());
    head.extend(canvas.height().to_be_bytes());
    head.extend(KIND);
    let mut file = SIGNATURE.to_vec();
    for (kind, body) in [(b"IHDR", &head), (b"IDAT", &packed), (b"IEND", &Vec::new())] {
        chunk(&mut file, *kind, body);
    }
    file
}

/// Section 5.3: length, kind, body, and the CRC of the last two.
fn chunk(file: &mut Vec<u8>, kind: [u8; 4], body: &[u8]) {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&kind);
    crc.update(body);
    file.extend(u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
    file.extend(kind);
    file.extend(body);
    file.extend(crc.finalize().to_be_bytes());
}

/// Reads what [`encode`] wrote.
///
/// # Errors
/// It is something else, or not whole.
pub fn decode(file: &[u8]) -> Result<Canvas, PngError> {
    let wrong = |why: &str| PngError(why.to_owned());
    let mut rest = file.strip_prefix(&SIGNATURE).ok_or_else(|| wrong("it does not begin as PNG"))?;
    let (mut size, mut packed) = (None, Vec::new());
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let (kind, after) = after.split_first_chunk::<4>().ok_or_else(|| wrong("it ends in a chunk"))?;
        let (body, after) = after.split_at_checked(length).ok_or_else(|| wrong("it ends in a chunk"))?;
        let (crc, after) = after.split_first_chunk::<4>().ok_or_else(|| wrong("it ends in a chunk"))?;
        let mut sum = crc32fast::Hasher::new();
        sum.update(kind);
        sum.update(body);
        if sum.finalize() != u32::from_be_bytes(*crc) {
            return Err(wrong("a chunk has another checksum"));
        }
        match kind {
            b"IHDR" => {
                let (width, kind) =
                    body.split_first_chunk::<4>().ok_or_else(|| wrong("its head is short"))?;
                let (height, kind) =
                    kind.split_first_chunk::<4>().ok_or_else(|| wrong("its head is short"))?;
                if kind != KIND {
                    return Err(wrong("it is of another kind"));
                }
                size = Some((u32::from_be_bytes(*width), u32::from_be_bytes(*height)));
            }
            b"IDAT" => packed.extend_from_slice(body),
            _ => {}
        }
        rest = after;
    }
    let (width, height) = size.ok_or_else(|| wrong("it has no head"))?;
    if u64::from(width) * u64::from(height) > LARGEST || width == 0 {
        return Err(wrong("it is empty or too large"));
    }
    let row = usize::try_from(width).unwrap_or(usize::MAX).saturating_mul(3).saturating_add(1);
    let most = u64::try_from(row).unwrap_or(u64::MAX).saturating_mul(u64::from(height));
    let mut rows = Vec::new();
    let read = ZlibDecoder::new(packed.as_slice()).take(most).read_to_end(&mut rows);
    read.map_err(|why| PngError(why.to_string()))?;
    let mut dots = Vec::new();
    for row in rows.chunks(row) {
        match row.split_first() {
            Some((0, row)) => dots.extend_from_slice(row),
            Some(_) | None => return Err(wrong("a row is filtered")),
        }
    }
    Canvas::of_bytes(width, height, &dots).ok_or_else(|| wrong("it has fewer dots than its head says"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_comes_back_and_a_damaged_one_does_not() {
        let canvas = Canvas::of_bytes(2, 2, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]).unwrap();
        let file = encode(&canvas);
        assert_eq!(decode(&file), Ok(canvas));
        for at in 0..file.len() {
            let mut damaged = file.clone();
            damaged[at] ^= 1;
            assert!(decode(&damaged).is_err(), "byte {at}");
            assert!(decode(&file[..at]).is_err() || at > file.len() - 13, "cut at {at}");
        }
    }
}
