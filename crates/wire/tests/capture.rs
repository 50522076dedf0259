//! Capture files of both formats and both byte orders are read; damaged ones say where.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

use wire::capture::{Capture, CaptureError, Captured, Link};

/// A 24-byte header and frames, in either byte order.
fn pcap(big: bool, magic: u32, link: u32, frames: &[(u32, u32, &[u8], u32)]) -> Vec<u8> {
    let word = |n: u32| if big { n.to_be_bytes() } else { n.to_le_bytes() };
    let half = |n: u16| if big { n.to_be_bytes() } else { n.to_le_bytes() };
    let mut file =
        [word(magic).as_slice(), &half(2), &half(4), &word(0), &word(0), &word(65_535), &word(link)].concat();
    for (seconds, fraction, bytes, length) in frames {
        let kept = u32::try_from(bytes.len()).unwrap();
        for n in [*seconds, *fraction, kept, *length] {
            file.extend_from_slice(&word(n));
        }
        file.extend_from_slice(bytes);
    }
    file
}

fn block(big: bool, kind: u32, content: &[u8]) -> Vec<u8> {
    let word = |n: u32| if big { n.to_be_bytes() } else { n.to_le_bytes() };
    let mut content = content.to_vec();
    content.resize(content.len().next_multiple_of(4), 0);
    let length = word(u32::try_from(content.len() + 12).unwrap());
    [&word(kind), &length, content.as_slice(), &length].concat()
}

fn section(big: bool) -> Vec<u8> {
    let order: [u8; 4] = if big { [0x1a, 0x2b, 0x3c, 0x4d] } else { [0x4d, 0x3c, 0x2b, 0x1a] };
    block(big, 0x0a0d_0d0a, &[&order[..], &[1, 0, 0, 0], &[0xff; 8]].concat())
}

fn all(file: &[u8]) -> Vec<Captured<'_>> {
    Capture::open(file).unwrap().map(Result::unwrap).collect()
}

#[test]
fn pcap_is_read_in_both_byte_orders_and_both_fractions() {
    for big in [false, true] {
        let frames: &[(u32, u32, &[u8], u32)] = &[(1, 500, b"whole", 5), (2, 7, b"cut", 1500)];
        let file = pcap(big, 0xa1b2_c3d4, 1, frames);
        let found = all(&file);
        assert_eq!(found.iter().map(|f| f.at_ns).collect::<Vec<_>>(), [1_000_500_000, 2_000_007_000]);
        assert_eq!(found.iter().map(Captured::is_cut).collect::<Vec<_>>(), [false, true]);
        assert_eq!((found[1].bytes, found[1].length, found[1].link), (&b"cut"[..], 1500, Link::Ethernet));
        let nanos = pcap(big, 0xa1b2_3c4d, 1, frames);
        assert_eq!(all(&nanos)[0].at_ns, 1_000_000_500);
    }
}

#[test]
fn pcapng_is_read_with_its_resolutions_and_what_it_does_not_know_is_skipped() {
    for big in [false, true] {
        let word = |n: u32| if big { n.to_be_bytes() } else { n.to_le_bytes() };
        let half = |n: u16| if big { n.to_be_bytes() } else { n.to_le_bytes() };
        let interface =
            [&half(1)[..], &half(0), &word(96), &half(9), &half(1), &[9, 0, 0, 0], &word(0)].concat();
        let packet = [&word(0)[..], &word(0), &word(1_500), &word(3), &word(60), b"abc\0"].concat();
        let file = [
            section(big),
            block(big, 1, &interface),
            block(big, 0xbad, b"of another program"),
            block(big, 6, &packet),
            block(big, 3, &[&word(5)[..], b"plain"].concat()),
        ]
        .concat();
        let found = all(&file);
        assert_eq!((found[0].at_ns, found[0].bytes, found[0].length), (1_500, &b"abc"[..], 60));
        assert_eq!((found[1].at_ns, found[1].bytes), (0, &b"plain"[..]));
    }
}

#[test]
fn sections_of_both_byte_orders_stand_in_one_file() {
    let interface = |big: bool| {
        let half = |n: u16| if big { n.to_be_bytes() } else { n.to_le_bytes() };
        block(big, 1, &[&half(1)[..], &half(0), &[0; 4]].concat())
    };
    let simple = |big: bool| {
        let length = if big { 2_u32.to_be_bytes() } else { 2_u32.to_le_bytes() };
        block(big, 3, &[&length[..], b"ok"].concat())
    };
    let file =
        [section(false), interface(false), simple(false), section(true), interface(true), simple(true)]
            .concat();
    assert_eq!(all(&file).len(), 2);
}

#[test]
fn a_file_that_is_still_being_written_is_read_up_to_its_end() {
    let file = pcap(false, 0xa1b2_c3d4, 1, &[(1, 0, b"first", 5), (2, 0, b"second", 6)]);
    let mut reading = Capture::open(&file[..file.len() - 2]).unwrap();
    assert_eq!(reading.next().unwrap().unwrap().bytes, b"first");
    assert_eq!(reading.next().unwrap(), Err(CaptureError::Short { at: 24 + 16 + 5 }));
    assert!(reading.next().is_none(), "a fault is told once");
}

#[test]
fn what_is_no_capture_says_so() {
    assert_eq!(Capture::open(b"#!ipxe\n").unwrap_err(), CaptureError::Unknown(*b"#!ip"));
    assert_eq!(Capture::open(b"\x0a").unwrap_err(), CaptureError::Short { at: 0 });
    let giant =
        pcap(false, 0xa1b2_c3d4, 1, &[]).into_iter().chain([0; 8]).chain([0xff; 8]).collect::<Vec<_>>();
    let fault = Capture::open(&giant).unwrap().next().unwrap().unwrap_err();
    assert_eq!((fault, fault.code()), (CaptureError::Length { at: 32, says: u32::MAX }, "capture-damaged"));
    let homeless = [section(false), block(false, 3, &[1, 0, 0, 0, 9])].concat();
    let fault = Capture::open(&homeless).unwrap().next().unwrap().unwrap_err();
    assert!(matches!(fault, CaptureError::Interface { number: 0, .. }), "{fault}");
}

#[test]
fn vlan_tags_and_cooked_headers_become_ethernet() {
    let plain = [&[0xff; 6][..], &[2, 0, 0, 0, 0, 1], &[8, 0], b"ip"].concat();
    let tagged = [&plain[..12], &[0x81, 0, 0, 7], &plain[12..]].concat();
    let twice = [&plain[..12], &[0x88, 0xa8, 0, 9, 0x81, 0, 0, 7], &plain[12..]].concat();
    let cooked = [&[0, 1, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0][..], b"ip"].concat();
    let newer = [&[8, 0, 0, 0, 0, 0, 0, 2, 0, 1, 1, 6, 2, 0, 0, 0, 0, 1, 0, 0][..], b"ip"].concat();
    for (link, bytes) in [(1, &plain), (1, &tagged), (1, &twice), (113, &cooked), (276, &newer)] {
        let length = u32::try_from(bytes.len()).unwrap();
        let file = pcap(false, 0xa1b2_c3d4, link, &[(0, 0, bytes, length)]);
        assert_eq!(all(&file)[0].ethernet().unwrap(), plain.as_slice(), "{link}");
    }
    let file = pcap(false, 0xa1b2_c3d4, 101, &[(0, 0, b"E", 1)]);
    assert!(all(&file)[0].ethernet().is_none(), "raw IP has no Ethernet addresses");
}
