//! iPXE's eight hexadecimal digits, read without ipxe.org.

use core::fmt;

/// An error number of iPXE: errno, source file, place in the file (iPXE's `errno.h` and `errfile.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpxeError(pub u32);

impl IpxeError {
    /// Finds the number in a line of a console or log: eight hexadecimal digits behind `ipxe.org/`,
    /// or such a word alone.
    #[must_use]
    pub fn find(line: &str) -> Option<Self> {
        let tail = line.split_once("ipxe.org/").map_or(line, |(_, tail)| tail);
        let digits = tail.get(..8)?;
        let ends = tail.as_bytes().get(8).is_none_or(|b| !b.is_ascii_alphanumeric());
        let hexadecimal = digits.bytes().all(|b| b.is_ascii_hexdigit());
        (ends && hexadecimal).then(|| u32::from_str_radix(digits, 16).ok().map(Self)).flatten()
    }

    /// The POSIX-like error number, bits 30 to 24.
    #[must_use]
    pub const fn errno(self) -> u32 {
        self.0 >> 24 & 0x7f
    }

    /// The source file, bits 23 to 13.
    #[must_use]
    pub const fn file(self) -> u32 {
        self.0 & 0x00ff_e000
    }

    /// Which of several equal errors of the file, bits 12 to 8.
    #[must_use]
    pub const fn instance(self) -> u32 {
        self.0 >> 8 & 0x1f
    }

    /// What happened, in words.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self.errno() {
            0x02 => "access denied",
            0x03 => "address in use",
            0x0b => "cancelled",
            0x0e => "connection refused",
            0x0f => "connection reset",
            0x16 => "file too large",
            0x17 | 0x28 => "network unreachable",
            0x1c => "invalid argument",
            0x1d => "input or output error",
            0x20 => "too many redirections",
            0x2c => "no such device",
            0x2d => "not found",
            0x2e => "not an executable format",
            0x31 => "out of memory",
            0x34 => "no room left",
            0x37 => "command not built in",
            0x38 => "not connected",
            0x3c => "not supported",
            0x3e => "no such device or address",
            0x41 => "not permitted",
            0x43 => "protocol error",
            0x4c => "timed out",
            _ => "failed",
        }
    }

    /// The part of iPXE that says so, as path of its source file; `None` for files outside the network
    /// boot path.
    #[must_use]
    pub const fn source(self) -> Option<&'static str> {
        Some(match self.file() {
            0x0001_2000 => "core/downloader.c",
            0x0002_2000 => "core/exec.c",
            0x0009_2000 => "core/open.c",
            0x000b_2000 => "core/resolv.c",
            0x0001_6000 => "net/arp.c",
            0x0004_6000 => "net/icmpv6.c",
            0x0005_6000 => "net/ipv4.c",
            0x0006_6000 => "net/ipv6.c",
            0x0007_6000 => "net/ndp.c",
            0x0008_6000 => "net/netdevice.c",
            0x000a_6000 => "net/tcp.c",
            0x000c_6000 => "net/tcp/httpcore.c",
            0x000f_6000 => "net/udp.c",
            0x0010_6000 => "net/udp/dhcp.c",
            0x0011_6000 => "net/udp/dns.c",
            0x0012_6000 => "net/udp/tftp.c",
            0x0037_6000 => "net/neighbour.c",
            0x003b_6000 => "net/udp/dhcpv6.c",
            0x0000_8000 => "core/image.c",
            0x0002_8000 => "image/script.c",
            0x0004_8000 => "image/efi_image.c",
            0x0003_e000 => "usr/autoboot.c",
            0x0004_e000 => "usr/dhcpmgmt.c",
            0x0005_e000 => "usr/imgmgmt.c",
            0x000e_e000 => "usr/ifmgmt.c",
            0x000d_e000 => "net/tls.c",
            _ => return None,
        })
    }

    /// What to look at, for the errors a lab meets; empty for the rest.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match (self.errno(), self.file()) {
            (0x4c, 0x0011_6000) => {
                "a name was looked up and no name server answered: another router advertises one; use literal addresses"
            }
            (0x4c, 0x0010_6000) => "no DHCP server answered",
            (0x4c, 0x000a_6000) => "the boss's HTTP port does not answer",
            (0x4c, 0x0012_6000) => "the TFTP server does not answer",
            (0x2d, 0x000c_6000) => "the boss answered 404: the file is not published",
            (0x2d, 0x0012_6000) => "the TFTP server has no such file",
            (0x38, 0x0008_6000) => "no cable, or the switch port is off",
            (0x3e, 0x0011_6000) => "the name does not exist; use literal addresses",
            (0x2e, _) => "what was loaded is not bootable by this firmware",
            _ => "",
        }
    }
}

impl fmt::Display for IpxeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}: {}", self.0, self.meaning())?;
        match self.source() {
            Some(file) => write!(f, " ({file})")?,
            None => write!(f, " (file {:#x})", self.file())?,
        }
        match self.advice() {
            "" => Ok(()),
            advice => write!(f, ": {advice}"),
        }
    }
}
