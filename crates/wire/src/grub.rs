//! GRUB's configuration files: which machine a name means, and the text that boots it or has it wait.
//!
//! A GRUB that came over the network looks in its folder for `grub.cfg-01-` and its Ethernet address, for `grub.cfg-`
//! and its IPv4 address in eight hexadecimal digits, the same cut by one digit after the other, and `grub.cfg` (GRUB
//! manual, "Network"; Debian's signed image asks for the last alone).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::net::{IpAddr, Ipv4Addr};

use model::MacAddr;

/// File of the folder that a waiting GRUB asks for again and again.
pub const NEXT: &str = "next.cfg";
/// File of whoever asks.
const OWN: &str = "grub.cfg";
/// Hardware type of Ethernet (IANA ARP parameters).
const ETHERNET: &str = "01-";

/// Whose file is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// The machine with this Ethernet address.
    Mac(MacAddr),
    /// The machine with this address.
    Address(Ipv4Addr),
    /// Whoever asks.
    Own,
    /// Whoever asks, and waits already.
    Again,
}

/// What a file name of GRUB's folder asks for.
#[must_use]
pub fn asked(name: &str) -> Option<Asked> {
    match name {
        OWN => return Some(Asked::Own),
        NEXT => return Some(Asked::Again),
        _ => {}
    }
    let whose = name.strip_prefix(OWN)?.strip_prefix('-')?;
    if let Some(mac) = whose.strip_prefix(ETHERNET) {
        return mac.parse().ok().map(Asked::Mac);
    }
    let digits = whose.len() == 8 && whose.bytes().all(|byte| byte.is_ascii_hexdigit());
    let address = u32::from_str_radix(whose, 16).ok().filter(|_| digits)?;
    Some(Asked::Address(Ipv4Addr::from_bits(address)))
}

/// A kernel to boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootConfig<'a> {
    /// Shown on the screen.
    pub title: &'a str,
    /// The boss, over the protocol that the machine came with.
    pub boss: IpAddr,
    /// True where the boss serves HTTP on port 80: GRUB before 2.12 knows no other.
    pub http: bool,
    /// Path of the kernel, from the root.
    pub kernel: &'a str,
    /// Its arguments, parted by spaces.
    pub args: &'a str,
    /// Paths of the initramfs files.
    pub initrds: &'a [&'a str],
}

impl BootConfig<'_> {
    /// The file. TFTP comes first: GRUB's TCP was seen to stall for good in a large file (2.06 under OVMF on a busy host:
    /// "timeout reading"), its TFTP was not. HTTP is the second way, for an image or a network without TFTP. Where
    /// neither works, the machine starts over, since a prompt helps nobody.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        say(&mut text, self.title);
        let ways: &[&str] = if self.http { &["tftp", "http"] } else { &["tftp"] };
        for way in ways {
            let from = |path: &str| quoted(&format!("({way},{}){path}", self.boss));
            let words = self.args.split_ascii_whitespace().map(quoted);
            let load = [String::from("linux"), from(self.kernel)].into_iter().chain(words);
            let load = load.collect::<Vec<_>>().join(" ");
            let initrds: Vec<_> = self.initrds.iter().map(|path| from(path)).collect();
            let rest = match initrds.is_empty() {
                true => String::from("boot"),
                false => format!("if initrd {}; then boot; fi", initrds.join(" ")),
            };
            let _infallible = writeln!(text, "if {load}; then {rest}; fi");
        }
        text.push_str("echo 'The image could not be fetched. Starting over in 10 s.'\nsleep 10\nreboot\n");
        text
    }
}

/// Has a machine wait: it asks for [`NEXT`] after so many seconds, again and again.
#[must_use]
pub fn waiting(lines: &[&str], retry_seconds: u16, boss: IpAddr) -> String {
    let mut text = String::new();
    for line in lines {
        say(&mut text, line);
    }
    let _infallible =
        write!(text, "while true; do\n  sleep {retry_seconds}\n  source (tftp,{boss})/grub/{NEXT}\ndone\n");
    text
}

/// The answer to a machine that waits already and goes on waiting.
#[must_use]
pub fn still_waiting() -> String {
    String::from("# not yet\n")
}

/// Shows a line.
pub(crate) fn say(text: &mut String, line: &str) {
    let _infallible = writeln!(text, "echo {}", quoted(line));
}

/// A word in single quotes, inside which GRUB reads no sign but the closing one. Control characters would end the line.
pub(crate) fn quoted(word: &str) -> String {
    let mut text = String::from("'");
    for c in word.chars().filter(|c| !c.is_control()) {
        if c == '\'' {
            text.push_str("'\\''");
        } else {
            text.push(c);
        }
    }
    text.push('\'');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_grub_looks_for_means_a_machine_or_none() {
        assert_eq!(asked("grub.cfg"), Some(Asked::Own));
        assert_eq!(asked("next.cfg"), Some(Asked::Again));
        let mac = MacAddr([0x52, 0x54, 0, 0x4c, 0x42, 1]);
        assert_eq!(asked("grub.cfg-01-52-54-00-4c-42-01"), Some(Asked::Mac(mac)));
        assert_eq!(asked("grub.cfg-0A4F000B"), Some(Asked::Address(Ipv4Addr::new(10, 79, 0, 11))));
        for name in [
            "grub.cfg-0A4F00",
            "grub.cfg-",
            "grub.cfg-01-nonsense",
            "grub",
            "x86_64-efi",
            "grub.cfg-+A4F000B",
        ] {
            assert_eq!(asked(name), None, "{name}");
        }
    }

    #[test]
    fn a_kernel_is_fetched_by_tftp_or_else_by_http() {
        let config = BootConfig {
            title: "node1: it's time",
            boss: Ipv4Addr::new(10, 79, 0, 1).into(),
            http: true,
            kernel: "/f/aa/vmlinuz",
            args: "quiet  a=$b;reboot",
            initrds: &["/f/bb/initrd"],
        };
        let text = config.text();
        assert!(text.starts_with("echo 'node1: it'\\''s time'\n"), "{text}");
        let http = "if linux '(http,10.79.0.1)/f/aa/vmlinuz' 'quiet' 'a=$b;reboot'; then \
                    if initrd '(http,10.79.0.1)/f/bb/initrd'; then boot; fi; fi\n";
        assert!(text.contains(&(http.replace("http,", "tftp,") + http)), "{text}");
        let alone = BootConfig { http: false, initrds: &[], ..config }.text();
        assert!(!alone.contains("http,") && alone.contains("; then boot; fi\n"), "{alone}");
    }

    #[test]
    fn a_machine_that_waits_asks_again_for_a_file_that_does_not_make_it_wait_twice() {
        let text = waiting(&["This is node2."], 3, Ipv4Addr::new(10, 79, 0, 1).into());
        assert!(text.contains("sleep 3\n  source (tftp,10.79.0.1)/grub/next.cfg\n"), "{text}");
        assert!(!still_waiting().contains("while"));
        // GRUB takes an IPv6 address as it stands; in brackets only where a port follows, which old builds know not.
        let text = waiting(&[], 3, "fd00::1".parse().unwrap());
        assert!(text.contains("source (tftp,fd00::1)/grub/next.cfg\n"), "{text}");
    }
}
