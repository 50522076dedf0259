//! Who made a network card, by the first three bytes of its address.

use std::collections::HashMap;
use std::fs;

use model::MacAddr;

/// Carried along, for bosses without the whole registry.
const COMMON: &str = include_str!("vendors.txt");
/// The whole registry, where Debian's `ieee-data` is installed.
const REGISTRY: &str = "/usr/share/ieee-data/oui.txt";

/// Makers by prefix.
#[derive(Debug)]
pub(super) struct Vendors(HashMap<[u8; 3], String>);

impl Vendors {
    /// Those carried along, and the whole registry where it is installed.
    pub(super) fn known() -> Self {
        let mut all = Self::from_registry(&fs::read(REGISTRY).map(|bytes| lossy(&bytes)).unwrap_or_default());
        // The short names are the better ones on a screen.
        all.0.extend(Self::common().0);
        all
    }

    fn common() -> Self {
        let lines =
            COMMON.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(':'));
        let entries = lines.flat_map(|(name, prefixes)| {
            prefixes.split_whitespace().filter_map(move |text| Some((prefix(text)?, name.to_owned())))
        });
        Self(entries.collect())
    }

    /// Lines such as `00-1B-21 (hex) Intel Corporate`, with tabs between.
    fn from_registry(text: &str) -> Self {
        let entries = text.lines().filter_map(|line| {
            let (digits, name) = line.split_once("(hex)")?;
            Some((prefix(&digits.trim().replace('-', ""))?, name.trim().chars().take(40).collect()))
        });
        Self(entries.collect())
    }

    /// The maker's name.
    pub(super) fn of(&self, mac: MacAddr) -> &str {
        let MacAddr([a, b, c, ..]) = mac;
        match self.0.get(&[a, b, c]) {
            Some(name) => name,
            // The second bit of the first byte says that no registry gave this address out (IEEE 802, clause 8.4).
            None if a & 2 != 0 => "made up by software",
            None => "unknown maker",
        }
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn prefix(text: &str) -> Option<[u8; 3]> {
    let number = (text.len() == 6).then(|| u32::from_str_radix(text, 16).ok()).flatten()?;
    let [_, a, b, c] = number.to_be_bytes();
    Some([a, b, c])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makers_of_home_labs_are_known_without_the_registry_and_others_with_it() {
        let common = Vendors::common();
        assert_eq!(common.of(MacAddr([0x00, 0xe0, 0x4c, 1, 2, 3])), "Realtek");
        assert_eq!(common.of(MacAddr([0x52, 0x54, 0x00, 1, 2, 3])), "QEMU or KVM");
        assert_eq!(common.of(MacAddr([0x02, 0, 0, 0, 0, 1])), "made up by software");
        assert_eq!(common.of(MacAddr([0x00, 0, 0, 0, 0, 1])), "unknown maker");
        assert!(common.0.len() > 2000, "{}", common.0.len());
        let registry = Vendors::from_registry(
            "OUI/MA-L\n\n00-00-00   (hex)\t\tXEROX CORPORATION\n000000     (base 16)\tX\n",
        );
        assert_eq!(registry.of(MacAddr([0, 0, 0, 0, 0, 1])), "XEROX CORPORATION");
    }
}
