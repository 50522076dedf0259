//! iPXE's eight hexadecimal digits, read without ipxe.org.

use core::fmt;

/// `CODE PATH` a line, ascending: bits 23 to 13 of an error number and the source file that says it, from `errfile.h`
/// of iPXE 36a4c85 (January 2019), dad20602 (May 2025) and 2.0.0. Where versions or processors gave a number to another
/// file, both stand there. A name without a folder is a file whose name tells less than its number did.
const FILES: &str = include_str!("files.txt");

/// Names of the error numbers, by number (iPXE's `errno.h`; the same in all versions).
const NAMES: [&str; 80] = [
    "ENOERR",
    "E2BIG",
    "EACCES",
    "EADDRINUSE",
    "EADDRNOTAVAIL",
    "EAFNOSUPPORT",
    "EAGAIN",
    "EALREADY",
    "EBADF",
    "EBADMSG",
    "EBUSY",
    "ECANCELED",
    "ECHILD",
    "ECONNABORTED",
    "ECONNREFUSED",
    "ECONNRESET",
    "EDEADLK",
    "EDESTADDRREQ",
    "EDOM",
    "EDQUOT",
    "EEXIST",
    "EFAULT",
    "EFBIG",
    "EHOSTUNREACH",
    "EIDRM",
    "EILSEQ",
    "EINPROGRESS",
    "EINTR",
    "EINVAL",
    "EIO",
    "EISCONN",
    "EISDIR",
    "ELOOP",
    "EMFILE",
    "EMLINK",
    "EMSGSIZE",
    "EMULTIHOP",
    "ENAMETOOLONG",
    "ENETDOWN",
    "ENETRESET",
    "ENETUNREACH",
    "ENFILE",
    "ENOBUFS",
    "ENODATA",
    "ENODEV",
    "ENOENT",
    "ENOEXEC",
    "ENOLCK",
    "ENOLINK",
    "ENOMEM",
    "ENOMSG",
    "ENOPROTOOPT",
    "ENOSPC",
    "ENOSR",
    "ENOSTR",
    "ENOSYS",
    "ENOTCONN",
    "ENOTDIR",
    "ENOTEMPTY",
    "ENOTSOCK",
    "ENOTSUP",
    "ENOTTY",
    "ENXIO",
    "EOPNOTSUPP",
    "EOVERFLOW",
    "EPERM",
    "EPIPE",
    "EPROTO",
    "EPROTONOSUPPORT",
    "EPROTOTYPE",
    "ERANGE",
    "EROFS",
    "ESPIPE",
    "ESRCH",
    "ESTALE",
    "ETIME",
    "ETIMEDOUT",
    "ETXTBSY",
    "EWOULDBLOCK",
    "EXDEV",
];

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

    /// The name of that number, such as `ETIMEDOUT`; `None` for one that no version has.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        NAMES.get(usize::try_from(self.errno()).ok()?).copied()
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
            0x00 => "no error",
            0x01 => "argument list too long",
            0x02 => "access denied",
            0x03 => "address in use",
            0x04 => "address not available",
            0x06 | 0x4e => "not ready yet",
            0x08 | 0x3b => "not open",
            0x09 => "broken message",
            0x0a => "busy",
            0x0b => "cancelled",
            0x0d => "connection aborted",
            0x0e => "connection refused",
            0x0f => "connection reset",
            0x14 => "exists already",
            0x16 => "file too large",
            0x17 | 0x28 => "network unreachable",
            0x1a => "still going on",
            0x1c => "invalid argument",
            0x1d => "input or output error",
            0x20 => "too many redirections",
            0x23 => "message too large",
            0x26 => "network down",
            0x2a => "no buffer left",
            0x2c => "no such device",
            0x2d => "not found",
            0x2e => "not an executable format",
            0x31 => "out of memory",
            0x34 => "no room left",
            0x37 => "command not built in",
            0x38 => "not connected",
            0x3c | 0x3f | 0x05 | 0x44 => "not supported",
            0x3e => "no such device or address",
            0x41 => "not permitted",
            0x42 => "the other side closed",
            0x43 => "protocol error",
            0x46 => "out of range",
            0x4c => "timed out",
            _ => "failed",
        }
    }

    /// The part of iPXE that says so, as path of its source file; `None` for a number no known version has.
    #[must_use]
    pub fn source(self) -> Option<&'static str> {
        let wanted = self.file();
        FILES.lines().find_map(|line| {
            let (code, path) = line.split_once(' ')?;
            (u32::from_str_radix(code, 16) == Ok(wanted)).then_some(path)
        })
    }

    /// What exactly happened, for the errors a lab meets; empty for the rest. Which instance means what is from the
    /// `EINFO` definitions of the source files, in our words.
    #[must_use]
    pub const fn detail(self) -> &'static str {
        match (self.errno(), self.file(), self.instance()) {
            (0x4c, 0x0011_6000, _) => "DNS look-up timed out",
            (0x3e, 0x0011_6000, 1) => "DNS has no such name",
            (0x3e, 0x0011_6000, _) => "no name server is known",
            (0x4c, 0x0010_6000, _) => "no DHCP answer",
            (0x4c, 0x000a_6000, _) => "TCP connection timed out",
            (0x0f, 0x000a_6000, _) => "TCP connection refused or reset",
            (0x4c, 0x0012_6000, _) => "TFTP timed out",
            (0x2d, 0x0012_6000, _) => "TFTP server has no such file",
            (0x2d, 0x000c_6000, _) => "HTTP 404",
            (0x02, 0x000c_6000, _) => "HTTP 401",
            (0x41, 0x000c_6000, _) => "HTTP 403",
            (0x1d, 0x000c_6000, 1) => "HTTP answer with an unknown status",
            (0x1d, 0x000c_6000, 2) => "HTTP body shorter or longer than announced",
            (0x1d, 0x000c_6000, 4) => "HTTP client error (4xx)",
            (0x1d, 0x000c_6000, 5) => "HTTP server error (5xx)",
            (0x38, 0x0008_6000, 1) => "link is down",
            (0x1a, 0x0008_6000, _) => "network card is not configured yet",
            (0x17 | 0x28, 0x0005_6000 | 0x0006_6000, _) => "no route to that address",
            (0x4c, 0x0001_6000 | 0x0037_6000, _) => "nobody on the segment has that address",
            (0x2e, 0x0000_8000, _) => "no format of this build reads the image",
            (0x02, 0x0000_8000, _) => "image is not trusted",
            (0x37, _, _) => "command is not in this build",
            _ => "",
        }
    }

    /// What to look at, for the errors a lab meets; empty for the rest.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match (self.errno(), self.file()) {
            (0x4c, 0x0011_6000) => {
                "a name was looked up and no name server answered: another router advertises one; use literal addresses"
            }
            (0x4c, 0x0010_6000) => "no DHCP server answered",
            (0x4c | 0x0f, 0x000a_6000) => "the boss's HTTP port does not answer",
            (0x4c, 0x0012_6000) => "the TFTP server does not answer",
            (0x2d, 0x000c_6000) => "the boss answered 404: the file is not published",
            (0x1d, 0x000c_6000) => "read the log of `labinator serve` at that second",
            (0x2d, 0x0012_6000) => "the TFTP server has no such file",
            (0x38, 0x0008_6000) => "no cable, or the switch port is off",
            (0x17 | 0x28, 0x0005_6000) => "the address is not in the lab's subnet and no gateway is told",
            (0x3e, 0x0011_6000) => "the name does not exist; use literal addresses",
            (0x31, _) => "the image is larger than the machine's memory",
            (0x2e, _) => "what was loaded is not bootable by this firmware",
            (0x37, _) => "this iPXE is a smaller build than the script expects; load another one",
            _ => "",
        }
    }
}

impl fmt::Display for IpxeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = match self.detail() {
            "" => self.meaning(),
            detail => detail,
        };
        write!(f, "{:08x}: {said}", self.0)?;
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
