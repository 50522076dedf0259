//! The files PXELINUX reads, and U-Boot after it: which machine a path of `pxelinux.cfg/` means, and the text
//! that boots it.
//!
//! PXELINUX asks for the machine's UUID, `01-` and its Ethernet address, its IPv4 address in eight hexadecimal
//! digits, the same cut by one digit after the other, and `default` (SYSLINUX doc/pxelinux.txt). U-Boot asks the
//! same, and for `default-ARCH-SOC-BOARD`, `default-ARCH-SOC` and `default-ARCH` before `default`
//! (doc/README.pxe).

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::net::Ipv4Addr;

use model::MacAddr;

/// Folder of the configuration files.
const FOLDER: &str = "pxelinux.cfg";
/// Hardware type of Ethernet (IANA ARP parameters), the first two characters of a file named after a MAC address.
const ETHERNET: &str = "01";

/// Whose file is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// The machine with this Ethernet address.
    Mac(MacAddr),
    /// The machine with this address.
    Address(Ipv4Addr),
    /// Any machine: whoever asks.
    Anyone,
    /// A machine by its UUID, or machines by the beginning of their address: nobody's file here.
    Nobody,
}

/// What a path asks for; `None` for one that is not in `pxelinux.cfg`. Both kinds of slash count.
#[must_use]
pub fn asked(path: &str) -> Option<Asked> {
    let mut parts = path.rsplit(['/', '\\']);
    let (name, folder) = (parts.next()?, parts.next()?);
    if !folder.eq_ignore_ascii_case(FOLDER) {
        return None;
    }
    if name == "default" || name.starts_with("default-") {
        return Some(Asked::Anyone);
    }
    if let Some((ETHERNET, mac)) = name.split_once('-') {
        return Some(mac.parse().map_or(Asked::Nobody, Asked::Mac));
    }
    let digits = name.len() == 8 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let address = u32::from_str_radix(name, 16).ok().filter(|_| digits);
    Some(address.map_or(Asked::Nobody, |bits| Asked::Address(Ipv4Addr::from_bits(bits))))
}

/// Device trees for a board whose boot program asks for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceTree<'a> {
    /// This file.
    File(&'a str),
    /// The folder in which U-Boot looks for the file named by its variable `fdtfile`. Ends in a slash.
    Folder(&'a str),
}

/// What to boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config<'a> {
    /// Shown to whoever looks at the screen.
    pub title: &'a str,
    /// Path or URL of the kernel.
    pub kernel: &'a str,
    /// Paths or URLs of the initramfs files. PXELINUX takes several, U-Boot the first.
    pub initrds: &'a [&'a str],
    /// Kernel arguments.
    pub args: &'a str,
    /// Device tree.
    pub device_tree: Option<DeviceTree<'a>>,
}

impl Config<'_> {
    /// The file. It waits for nobody: `PROMPT 0` with one entry boots at once.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::from("DEFAULT labinator\nPROMPT 0\nLABEL labinator\n");
        let _infallible = writeln!(text, "  MENU LABEL {}", line(self.title));
        let _infallible = writeln!(text, "  KERNEL {}", line(self.kernel));
        if !self.initrds.is_empty() {
            let all: Vec<String> = self.initrds.iter().map(|one| line(one)).collect();
            let _infallible = writeln!(text, "  INITRD {}", all.join(","));
        }
        match self.device_tree {
            Some(DeviceTree::File(path)) => {
                let _infallible = writeln!(text, "  FDT {}", line(path));
            }
            Some(DeviceTree::Folder(path)) => {
                let _infallible = writeln!(text, "  FDTDIR {}", line(path));
            }
            None => {}
        }
        let args = line(self.args);
        if !args.is_empty() {
            let _infallible = writeln!(text, "  APPEND {args}");
        }
        text
    }
}

/// A file that hands the machine to its disk: PXELINUX ends with an error, so that the BIOS goes on to its next
/// boot device; U-Boot goes on to its next boot target.
#[must_use]
pub fn disk(title: &str) -> String {
    let title = line(title);
    alloc::format!("DEFAULT disk\nPROMPT 0\nLABEL disk\n  MENU LABEL {title}\n  LOCALBOOT -1\n")
}

/// One line of printable characters.
fn line(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    String::from(plain.trim())
}
