//! What an `NVMe` drive says that it can do, read from `nvme-cli`, and how far its sanitizing is.
//!
//! Field names and bits: NVM Express base specification 2.0, figures 275 (Identify Controller) and 244 (Sanitize Status),
//! NVM command set specification 1.0 figure 97 (Identify Namespace).

use serde::Deserialize;

/// OACS bit 1: Format NVM.
const FORMAT: u64 = 1 << 1;
/// OACS bit 3: namespaces can be made and taken away.
const NAMESPACES: u64 = 1 << 3;
/// CMIC bit 1: the drive may have several controllers.
const CONTROLLERS: u64 = 1 << 1;
/// FNA bits 0 and 1: a format, or its secure erase, reaches all namespaces.
const REACHES_ALL: u64 = 0b11;
/// FNA bit 2: cryptographic erase.
const CRYPTO: u64 = 1 << 2;

/// `nvme id-ctrl -o json`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Controller {
    oacs: u64,
    fna: u64,
    #[serde(default)]
    sanicap: u64,
    #[serde(default)]
    cmic: u64,
}

/// `nvme id-ns -o json`: how its blocks are laid out. A format must leave that as it is, or the disk is another one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Namespace {
    flbas: u8,
    dps: u8,
    #[serde(default)]
    nlbaf: u8,
}

#[derive(Debug, Deserialize)]
struct Listed {
    nsid_list: Vec<serde_json::Value>,
}

/// What a drive is told to do to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Erase {
    /// Sanitize: every cell is erased.
    SanitizeBlocks,
    /// Sanitize: the key is changed under which everything was written.
    SanitizeKey,
    /// Format: the same key.
    FormatKey,
    /// Format: all user data.
    FormatData,
}

/// Every erase, the strongest first, and why it is passed over; nothing where the drive has it and it reaches nothing else.
pub(super) type Offer = [(Erase, Option<String>); 4];

impl Controller {
    /// Reads `nvme id-ctrl -o json`.
    pub(super) fn read(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// True where namespaces may exist that this machine does not see.
    pub(super) const fn keeps_namespaces(&self) -> bool {
        self.oacs & NAMESPACES != 0
    }

    /// What it offers.
    pub(super) fn offer(&self, others: &[String]) -> Offer {
        let shared = self.cmic & CONTROLLERS != 0;
        let why_not = |has: bool, reaches_all: bool| match (has, reaches_all) {
            (false, _) => Some("the drive does not offer it".to_owned()),
            (true, true) if !others.is_empty() => {
                Some(format!("it would also erase {} of the drive", others.join(", ")))
            }
            (true, true) if shared => {
                Some("the drive may have more controllers, and it would reach theirs".to_owned())
            }
            (true, _) => None,
        };
        let (formats, reaches_all) = (self.oacs & FORMAT != 0, self.fna & REACHES_ALL != 0);
        [
            (Erase::SanitizeBlocks, why_not(self.sanicap & 0b10 != 0, true)),
            (Erase::SanitizeKey, why_not(self.sanicap & 0b01 != 0, true)),
            (Erase::FormatKey, why_not(formats && self.fna & CRYPTO != 0, reaches_all)),
            (Erase::FormatData, why_not(formats, reaches_all)),
        ]
    }
}

impl Namespace {
    /// Reads `nvme id-ns -o json`.
    pub(super) fn read(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// The words of `nvme format` that leave its layout as it is.
    pub(super) fn words(&self) -> Vec<String> {
        // Bits 6:5 of FLBAS are the high bits of the index where there are more than 16 layouts.
        let high = if self.nlbaf > 15 { (self.flbas >> 5 & 0b11) << 4 } else { 0 };
        let index = (self.flbas & 0b1111) | high;
        let (metadata, kind, first) = (self.flbas >> 4 & 1, self.dps & 0b111, self.dps >> 3 & 1);
        vec![
            format!("--lbaf={index}"),
            format!("--ms={metadata}"),
            format!("--pi={kind}"),
            format!("--pil={first}"),
        ]
    }
}

/// Numbers of all namespaces of a drive: `nvme list-ns --all -o json`.
pub(super) fn listed(json: &[u8]) -> Option<Vec<u64>> {
    let listed: Listed = serde_json::from_slice(json).ok()?;
    // Objects of one number each, or in other releases bare numbers.
    listed.nsid_list.iter().map(|one| one.get("nsid").unwrap_or(one).as_u64()).collect()
}

/// How far sanitizing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sanitizing {
    /// It never was.
    Never,
    /// The last one was done.
    Done,
    /// It goes on: so much of 65536 is done.
    GoesOn(u16),
    /// The last one failed, and the drive answers nothing until it is told to give up.
    Failed,
}

/// Reads log page 81h as the drive sends it: its text form differs from one release of `nvme-cli` to the next.
pub(super) fn sanitizing(log: &[u8]) -> Option<Sanitizing> {
    let word = |at: usize| Some(u16::from_le_bytes(log.get(at..)?.get(..2)?.try_into().ok()?));
    Some(match word(2)? & 0b111 {
        0 => Sanitizing::Never,
        // 4: done, and deallocated against what was asked.
        1 | 4 => Sanitizing::Done,
        2 => Sanitizing::GoesOn(word(0)?),
        3 => Sanitizing::Failed,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// QEMU 7.2's drive asked by nvme-cli 2.3 in the rescue image.
    const CONTROLLER: &[u8] = include_bytes!("recorded/id-ctrl.json");
    const NAMESPACE: &[u8] = include_bytes!("recorded/id-ns.json");
    const LISTED: &[u8] = include_bytes!("recorded/list-ns.json");

    fn offered(drive: &Controller, others: &[&str]) -> Vec<Erase> {
        let others: Vec<String> = others.iter().map(|other| (*other).to_owned()).collect();
        drive.offer(&others).into_iter().filter(|(_, why)| why.is_none()).map(|(erase, _)| erase).collect()
    }

    #[test]
    fn an_emulated_drive_formats_and_does_not_sanitize() {
        let drive = Controller::read(CONTROLLER).unwrap();
        assert!(drive.keeps_namespaces());
        assert_eq!(offered(&drive, &[]), [Erase::FormatData]);
        assert_eq!(drive.offer(&[])[0].1.as_deref(), Some("the drive does not offer it"));
        assert_eq!(Namespace::read(NAMESPACE).unwrap().words(), ["--lbaf=0", "--ms=0", "--pi=0", "--pil=0"]);
        assert_eq!(listed(LISTED), Some(vec![1]));
    }

    #[test]
    fn the_strongest_is_first_and_what_reaches_others_is_passed_over() {
        let drive = Controller { oacs: 0x17, fna: 0b110, sanicap: 0b11, cmic: 0 };
        let all = [Erase::SanitizeBlocks, Erase::SanitizeKey, Erase::FormatKey, Erase::FormatData];
        assert_eq!(offered(&drive, &[]), all);
        assert_eq!(offered(&drive, &["nvme0n2"]), [], "its secure erase reaches all namespaces");
        let why = drive.offer(&["nvme0n2".to_owned()])[3].1.clone();
        assert_eq!(why.as_deref(), Some("it would also erase nvme0n2 of the drive"));
        let single = Controller { fna: 0b100, ..drive };
        assert_eq!(offered(&single, &["nvme0n2"]), [Erase::FormatKey, Erase::FormatData]);
        let shared = Controller { cmic: 0b10, ..single };
        assert_eq!(offered(&shared, &[]), [Erase::FormatKey, Erase::FormatData]);
        assert_eq!(offered(&Controller { oacs: 0, sanicap: 0, ..drive }, &[]), []);
    }

    #[test]
    fn a_format_keeps_the_layout_that_is_there() {
        let with = |flbas, dps, nlbaf| Namespace { flbas, dps, nlbaf }.words().join(" ");
        assert_eq!(with(0x04, 0, 7), "--lbaf=4 --ms=0 --pi=0 --pil=0");
        assert_eq!(with(0x11, 0b1010, 7), "--lbaf=1 --ms=1 --pi=2 --pil=1");
        // More than 16 layouts: the index has six bits.
        assert_eq!(with(0x22, 0, 20), "--lbaf=18 --ms=0 --pi=0 --pil=0");
        assert_eq!(with(0x22, 0, 7), "--lbaf=2 --ms=0 --pi=0 --pil=0");
    }

    #[test]
    fn the_log_says_how_far_it_is() {
        let log =
            |progress: u16, status: u16| sanitizing(&[progress.to_le_bytes(), status.to_le_bytes()].concat());
        assert_eq!(log(0xffff, 0), Some(Sanitizing::Never));
        // Bit 8, global data erased, stands beside.
        assert_eq!(log(0xffff, 0x101), Some(Sanitizing::Done));
        assert_eq!(log(0xffff, 0x104), Some(Sanitizing::Done));
        assert_eq!(log(0x8000, 2), Some(Sanitizing::GoesOn(0x8000)));
        assert_eq!(log(0xffff, 3), Some(Sanitizing::Failed));
        assert_eq!(log(0, 7), None);
        assert_eq!(sanitizing(&[0, 0]), None);
    }

    #[test]
    fn other_words_are_no_answer() {
        assert_eq!(Controller::read(b"NVMe status: Invalid Field"), None);
        assert_eq!(Controller::read(b"{\"oacs\": 2}"), None);
        assert_eq!(listed(b"{\"nsid_list\":[1,2]}"), Some(vec![1, 2]));
        assert_eq!(listed(b"{\"nsid_list\":[\"one\"]}"), None);
    }
}
