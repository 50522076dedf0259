//! What SMBIOS says of a machine (DMTF DSP0134): its UUID and serial number, from the tables of the firmware.

use alloc::borrow::ToOwned as _;
use alloc::string::{String, ToString as _};

use model::MachineUuid;

/// System information, section 7.2.
const SYSTEM: u8 = 1;
/// End of the table, section 7.45.
const END: u8 = 127;

/// Where the tables lie, by an entry point: address and most bytes.
#[must_use]
pub fn tables(entry: &[u8]) -> Option<(u64, usize)> {
    if entry.starts_with(b"_SM3_") {
        let size: [u8; 4] = entry.get(0x0c..0x10)?.try_into().ok()?;
        let address: [u8; 8] = entry.get(0x10..0x18)?.try_into().ok()?;
        return Some((u64::from_le_bytes(address), usize::try_from(u32::from_le_bytes(size)).ok()?));
    }
    if entry.starts_with(b"_SM_") {
        let size: [u8; 2] = entry.get(0x16..0x18)?.try_into().ok()?;
        let address: [u8; 4] = entry.get(0x18..0x1c)?.try_into().ok()?;
        return Some((u32::from_le_bytes(address).into(), u16::from_le_bytes(size).into()));
    }
    None
}

/// UUID and serial number of the system, as Linux writes them; none where the firmware does not say.
#[must_use]
pub fn system(mut tables: &[u8]) -> (Option<String>, Option<String>) {
    while let [kind, length, ..] = tables {
        let Some((fixed, strings)) = tables.split_at_checked((*length).into()) else { break };
        if *kind == END || fixed.len() < 4 {
            break;
        }
        if *kind == SYSTEM {
            let uuid = fixed.get(8..24).and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
            // Neither all zeros nor all ones is one (section 7.2.1).
            let uuid = uuid.filter(|bytes| *bytes != [0; 16] && *bytes != [0xff; 16]);
            let serial = fixed.get(7).and_then(|number| string(strings, *number));
            return (uuid.map(|bytes| MachineUuid::from_wire(bytes).to_string()), serial);
        }
        // The strings end with an empty one.
        let Some(end) = strings.windows(2).position(|two| two == [0, 0]) else { break };
        tables = strings.get(end + 2..).unwrap_or_default();
    }
    (None, None)
}

/// A string of a structure by its number, from 1.
fn string(strings: &[u8], number: u8) -> Option<String> {
    let number = usize::from(number).checked_sub(1)?;
    let text = strings.split(|byte| *byte == 0).take_while(|text| !text.is_empty()).nth(number)?;
    Some(String::from_utf8_lossy(text).trim().to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_is_found_behind_other_structures() {
        let mut all = std::vec![0, 4, 0, 0];
        all.extend_from_slice(b"SeaBIOS\0\0");
        all.extend_from_slice(&[1, 27, 1, 0, 1, 2, 3, 4]);
        all.extend_from_slice(&[0x78, 0x56, 0x34, 0x12, 0x34, 0x12, 0x78, 0x56, 1, 2, 3, 4, 5, 6, 7, 8]);
        all.extend_from_slice(&[6, 0, 0]);
        all.extend_from_slice(b"QEMU\0PC\0v1\0node7 \0\0");
        let uuid = Some(String::from("12345678-1234-5678-0102-030405060708"));
        assert_eq!(system(&all), (uuid, Some(String::from("node7"))));
        for end in 0..all.len() {
            drop(system(&all[..end]));
        }
        assert_eq!(system(&[127, 4, 0, 0, 0, 0]), (None, None));
    }

    #[test]
    fn both_entry_points_are_read() {
        let mut entry = *b"_SM3_\0\0\0\0\0\0\0\x10\x00\0\0\x00\x10\0\0\x01\0\0\0";
        assert_eq!(tables(&entry), Some((0x1_0000_1000, 16)));
        entry[3] = 0;
        assert_eq!(tables(&entry), None);
        let old = *b"_SM_\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x20\0\0\x10\0\0";
        assert_eq!(tables(&old), Some((0x1000, 32)));
    }
}
