//! A unified kernel image taken apart: what went in comes out, and whatever is wrong is told or passed over.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

use proptest::prelude::*;
use wire::loader::unified::{Unified, UnifiedError};

/// Where the table of sections of [`program`] begins.
const TABLE: usize = 0x40 + 4 + 20 + 0xf0;

/// An EFI program of these sections, each padded to 512 bytes in the file.
fn program(sections: &[(&[u8; 8], &[u8])]) -> Vec<u8> {
    let mut file = vec![0; 0x400.max(TABLE + sections.len() * 40)];
    file[..2].copy_from_slice(b"MZ");
    file[0x3c] = 0x40;
    file[0x40..0x44].copy_from_slice(b"PE\0\0");
    file[0x46] = u8::try_from(sections.len()).unwrap();
    file[0x54] = 0xf0;
    file[0x58..0x5a].copy_from_slice(&[0x0b, 0x02]);
    for (index, (name, content)) in sections.iter().enumerate() {
        let from = file.len().next_multiple_of(512);
        file.resize(from, 0);
        file.extend_from_slice(content);
        let kept = file.len().next_multiple_of(512) - from;
        file.resize(from + kept, 0);
        let entry = TABLE + index * 40;
        let number = |n: usize| u32::try_from(n).unwrap().to_le_bytes();
        file[entry..entry + 8].copy_from_slice(*name);
        file[entry + 8..entry + 12].copy_from_slice(&number(content.len()));
        file[entry + 16..entry + 20].copy_from_slice(&number(kept));
        file[entry + 20..entry + 24].copy_from_slice(&number(from));
    }
    file
}

#[test]
fn what_was_put_together_is_taken_apart_without_its_padding() {
    let file = program(&[
        (b".text\0\0\0", b"stub"),
        (b".cmdline", b"quiet  console=ttyS0\n\0"),
        (b".initrd\0", b"initramfs"),
        (b".linux\0\0", b"kernel"),
    ]);
    let whole = Unified { linux: b"kernel", initrd: Some(b"initramfs"), cmdline: "quiet  console=ttyS0" };
    assert_eq!(Unified::read(&file), Ok(Some(whole)));
    let bare = program(&[(b".linux\0\0", b"kernel")]);
    assert_eq!(Unified::read(&bare), Ok(Some(Unified { linux: b"kernel", initrd: None, cmdline: "" })));
}

#[test]
fn what_is_none_is_none_and_what_is_wrong_is_named() {
    assert_eq!(Unified::read(b""), Ok(None));
    assert_eq!(Unified::read(&program(&[(b".text\0\0\0", b"a kernel")])), Ok(None));
    let twice = program(&[(b".linux\0\0", b"one"), (b".linux\0\0", b"two")]);
    assert_eq!(Unified::read(&twice), Err(UnifiedError::Twice(".linux")));
    let mut cut = program(&[(b".initrd\0", b"x"), (b".linux\0\0", b"kernel")]);
    cut.truncate(cut.len() - 512);
    assert_eq!(Unified::read(&cut), Err(UnifiedError::Cut(".linux")));
    let split = program(&[(b".linux\0\0", b"kernel"), (b".cmdline", b"quiet\ninit=/x")]);
    assert_eq!(Unified::read(&split), Err(UnifiedError::NoText));
}

proptest! {
    #[test]
    fn any_three_contents_come_out_as_they_went_in(
        linux in prop::collection::vec(any::<u8>(), 1..2000),
        initrd in prop::collection::vec(any::<u8>(), 1..2000),
        cmdline in "[!-~]{0,80}",
    ) {
        let file = program(&[(b".initrd\0", &initrd), (b".cmdline", cmdline.as_bytes()), (b".linux\0\0", &linux)]);
        let read = Unified::read(&file).unwrap().unwrap();
        prop_assert_eq!((read.linux, read.initrd, read.cmdline), (&linux[..], Some(&initrd[..]), cmdline.as_str()));
    }

    #[test]
    fn no_bytes_make_it_read_outside_the_file(
        mut file in prop::collection::vec(any::<u8>(), 0..900),
        at in prop::collection::vec((0..700_usize, any::<u8>()), 0..12),
    ) {
        _ = Unified::read(&file);
        file.splice(..0, program(&[(b".initrd\0", b"initramfs"), (b".linux\0\0", b"kernel")]));
        for (place, byte) in at {
            file[place] = byte;
        }
        if let Ok(Some(unified)) = Unified::read(&file) {
            prop_assert!(unified.linux.len() <= file.len());
        }
    }
}
