//! The words of the kernel line that are meant for the agent.

use std::net::{IpAddr, SocketAddr};

use model::MacAddr;

/// What the kernel line tells the agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct KernelLine {
    /// `labinator.boss=http://10.0.0.1` or `labinator.boss=http://[fd00::1]:8080`: who to report to, whatever DHCP
    /// says, and over which protocol to ask for an address. `http://` may be left out.
    pub(crate) boss: Option<SocketAddr>,
    /// `labinator.nonce=`: proves that this boot was answered by the boss.
    pub(crate) nonce: Option<String>,
    /// `BOOTIF=01-52-54-…` (PXELINUX's form): the port the loader used.
    pub(crate) port: Option<MacAddr>,
    /// `talos.platform=`, whatever it says: the image is to be Talos.
    pub(crate) talos: bool,
}

/// Port of the boss's boot HTTP server.
pub(crate) const BOOT_HTTP_PORT: u16 = 80;

impl KernelLine {
    /// Reads the words; what is not meant for us or cannot be read is passed over.
    pub(crate) fn read(text: &str) -> Self {
        let mut line = Self::default();
        for word in text.split_ascii_whitespace() {
            match word.split_once('=') {
                Some(("labinator.boss", value)) => line.boss = boss(value).or(line.boss),
                Some(("labinator.nonce", value)) if !value.is_empty() => line.nonce = Some(value.to_owned()),
                Some(("talos.platform", _)) => line.talos = true,
                Some(("BOOTIF", value)) => line.port = port(value).or(line.port),
                _ => {}
            }
        }
        line
    }
}

/// The place that a boss's URL names by a literal address.
pub(crate) fn boss(value: &str) -> Option<SocketAddr> {
    let value = value.strip_prefix("http://").unwrap_or(value);
    let value = value.split('/').next().unwrap_or_default();
    let bare = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(value);
    let plain = || bare.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, BOOT_HTTP_PORT));
    value.parse().ok().or_else(plain)
}

/// The first byte is the hardware type, 1 for Ethernet.
fn port(value: &str) -> Option<MacAddr> {
    value.strip_prefix("01-").unwrap_or(value).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_for_the_agent_are_found_among_others() {
        let line = KernelLine::read(
            "quiet labinator.boss=10.9.0.1 x labinator.nonce=ab12 BOOTIF=01-52-54-00-00-00-01",
        );
        assert_eq!(line.boss, Some("10.9.0.1:80".parse().unwrap()));
        assert_eq!(line.nonce.as_deref(), Some("ab12"));
        assert_eq!(line.port, Some(MacAddr([0x52, 0x54, 0, 0, 0, 1])));
        assert!(!line.talos && KernelLine::read("talos.platform=metal").talos);
    }

    #[test]
    fn the_boss_is_named_as_the_boot_script_writes_it() {
        for (word, place) in [
            ("http://10.9.0.1", "10.9.0.1:80"),
            ("http://10.9.0.1:8080", "10.9.0.1:8080"),
            ("http://[fd00::1]", "[fd00::1]:80"),
            ("http://[fd00::1]:8080/", "[fd00::1]:8080"),
            ("fd00::1", "[fd00::1]:80"),
        ] {
            assert_eq!(boss(word), Some(place.parse().unwrap()), "{word}");
        }
        assert_eq!(boss("http://boss.local"), None);
    }

    #[test]
    fn a_word_that_cannot_be_read_changes_nothing() {
        assert_eq!(KernelLine::read("labinator.boss=here labinator.nonce= BOOTIF=1"), KernelLine::default());
        assert_eq!(KernelLine::read("labinator.boss=10.9.0.1:81").boss, Some("10.9.0.1:81".parse().unwrap()));
    }
}
