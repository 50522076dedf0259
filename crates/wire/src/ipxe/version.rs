//! Which iPXE it is: the version in its banner and in its HTTP requests, and the names of its features.

/// Longest version kept, in bytes.
const LONGEST: usize = 64;

/// The version in the banner: `iPXE 1.21.1+git20250501 -- Open Source Network Boot Firmware -- https://ipxe.org`.
#[must_use]
pub fn banner_version(line: &str) -> Option<&str> {
    let (_, tail) = line.split_once("iPXE ")?;
    let (version, rest) = tail.split_once(' ')?;
    plausible(version).filter(|_| rest.contains("--"))
}

/// The version in the `User-Agent` of its HTTP requests: `iPXE/1.21.1+git20250501.dad20602`. This one is whole in every
/// build, where option 175 carries three numbers only.
#[must_use]
pub fn user_agent_version(agent: &str) -> Option<&str> {
    let version = agent.strip_prefix("iPXE/")?;
    plausible(version.split(' ').next()?)
}

fn plausible(version: &str) -> Option<&str> {
    let starts = version.starts_with(|c: char| c.is_ascii_digit());
    let plain =
        version.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'+' | b'-' | b'_' | b'~'));
    (starts && plain && version.len() <= LONGEST).then_some(version)
}

/// A feature's name as iPXE shows it behind its banner (numbers of option 175 from iPXE's `features.h`).
#[must_use]
pub const fn feature_name(code: u8) -> Option<&'static str> {
    Some(match code {
        0x10 => "PXEXT",
        0x11 => "iSCSI",
        0x12 => "AoE",
        0x13 => "HTTP",
        0x14 => "HTTPS",
        0x15 => "TFTP",
        0x16 => "FTP",
        0x17 => "DNS",
        0x18 => "bzImage",
        0x19 => "MBOOT",
        0x1a => "SLAM",
        0x1b => "SRP",
        0x20 => "NBI",
        0x21 => "PXE",
        0x22 => "ELF",
        0x23 => "COMBOOT",
        0x24 => "EFI",
        0x25 => "FCoE",
        0x26 => "VLAN",
        0x27 => "Menu",
        0x28 => "SDI",
        0x29 => "NFS",
        _ => return None,
    })
}
