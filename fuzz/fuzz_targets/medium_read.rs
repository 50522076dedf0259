#![no_main]
//! What lies on a medium, or in firmware, that anybody wrote: settings, the table of partitions, GRUB's block, a volume, a
//! boot entry.

use libfuzzer_sys::fuzz_target;
use wire::loader::Settings;
use wire::loader::bios::{ENV_SIZE, Env, Fat};
use wire::loader::entry::BootEntry;
use wire::loader::gpt::{Header, SECTOR};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(settings) = Settings::read(bytes) {
        assert_eq!(Settings::read(settings.text().as_bytes()), Ok(settings));
    }
    if let Some(block) = bytes.first_chunk::<ENV_SIZE>()
        && let Ok(env) = Env::read(block)
    {
        assert_eq!(Env::read(&env.block()), Ok(env));
    }
    if let Ok(entry) = BootEntry::read(bytes) {
        assert_eq!(entry.bytes(), bytes);
        let made = entry.drive().zip(entry.file()).map(|(drive, file)| BootEntry::of_file("a", &drive, &file));
        assert!(made.is_none_or(|made| made.drive() == entry.drive() && made.is_ours() == entry.is_ours()));
    }
    drop(Header::read(bytes, 1).map(|header| header.parts(bytes)));
    table(bytes);
    volume(bytes);
});

/// A table whose sums are right, so that what is behind them is reached.
fn table(bytes: &[u8]) {
    let Some((head, entries)) = bytes.split_at_checked(92) else { return };
    let mut head = head.to_vec();
    head[..16].copy_from_slice(b"EFI PART\0\0\x01\0\x5c\0\0\0");
    head[24..32].copy_from_slice(&1_u64.to_le_bytes());
    head[88..92].copy_from_slice(&crc32(entries).to_le_bytes());
    head[16..20].fill(0);
    let sum = crc32(&head);
    head[16..20].copy_from_slice(&sum.to_le_bytes());
    if let Ok(header) = Header::read(&head, 1) {
        for part in header.parts(entries).into_iter().flatten() {
            assert!(part.first <= part.last && part.sectors() > 0);
        }
    }
}

/// A volume that says of itself that it is one, in sectors that are there over and over again.
fn volume(bytes: &[u8]) {
    let Some(sector) = bytes.first_chunk::<SECTOR>() else { return };
    let mut first = *sector;
    first[510..].copy_from_slice(&[0x55, 0xaa]);
    first[11..13].copy_from_slice(&512_u16.to_le_bytes());
    first[17..19].fill(0);
    first[19..21].fill(0);
    first[22..24].fill(0);
    let Some(fat) = Fat::read(&first) else { return };
    let sectors: Vec<_> = bytes.chunks_exact(SECTOR).collect();
    let end = u32::from_le_bytes([first[32], first[33], first[34], first[35]]);
    let read = |number: u32| {
        assert!(number < end, "sector {number} of {end}");
        let at = usize::try_from(number).ok()? % sectors.len();
        sectors[at].try_into().ok()
    };
    if let Some(file) = fat.find("GRUB/GRUBENV", read) {
        assert!(file.sectors.len() * SECTOR >= usize::try_from(file.size).unwrap());
        assert!(file.sectors.iter().all(|sector| *sector < end));
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |sum: u32, _| if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 };
    !bytes.iter().fold(u32::MAX, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), step))
}
