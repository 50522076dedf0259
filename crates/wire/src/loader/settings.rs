//! What a person may set on a medium: a short text beside the loader, which any editor can change.
//!
//! ```text
//! labinator settings 1
//! boss 10.9.0.1:80
//! node node3
//! address 10.9.0.13/24
//! gateway 10.9.0.254
//! patience 60
//! ```
//! All lines may be missing, and so may the file. Nothing here is a secret and nothing is believed: whoever answers at
//! the boss's address must still sign with the key that is in the loader.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddrV4};

use model::NodeName;

use super::lines::{Lines, TextError, expected, line};

const TITLE: &str = "labinator settings 1";
/// Where the text lies on the EFI system partition.
pub const SETTINGS_PATH: &str = "EFI/LABINATOR/SETTINGS.TXT";
/// Where the owner's keys for Secure Boot lie there, `PK.auth`, `KEK.auth` and `db.auth`, on a medium that brings them.
pub const KEYS_PATH: &str = "EFI/LABINATOR/KEYS";
/// Seconds for which a controller is waited for where nothing else is set.
const PATIENCE: u16 = 60;

/// An address that needs no DHCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StaticAddress {
    /// It.
    pub address: Ipv4Addr,
    /// Length of the network's prefix in bits.
    pub prefix: u8,
    /// Default router.
    pub gateway: Option<Ipv4Addr>,
}

impl StaticAddress {
    /// Reads `ADDRESS/PREFIX`.
    ///
    /// # Errors
    /// [`TextError`].
    pub fn read(text: &str) -> Result<Self, TextError> {
        let fault = expected("an address and the length of its prefix, as in 10.9.0.13/24");
        let (address, prefix) = text.split_once('/').ok_or(fault)?;
        let prefix: u8 = prefix.parse().map_err(|_| fault)?;
        let address: Ipv4Addr = address.parse().map_err(|_| fault)?;
        let is_host = !address.is_unspecified() && !address.is_multicast() && !address.is_broadcast();
        if !(1..=31).contains(&prefix) || !is_host {
            return Err(fault);
        }
        Ok(Self { address, prefix, gateway: None })
    }
}

/// What is set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// The controller's boot HTTP; without it the one that DHCP names.
    pub boss: Option<SocketAddrV4>,
    /// For which machine the medium was made. Only for people: the controller knows machines by their addresses.
    pub node: Option<NodeName>,
    /// The machine's address; without it DHCP is asked.
    pub address: Option<StaticAddress>,
    /// Seconds without an answer after which the image that started well last is started, without the controller.
    pub patience: Option<u16>,
}

impl Settings {
    /// As it is written.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::from(TITLE);
        text.push('\n');
        if let Some(boss) = self.boss {
            line(&mut text, "boss", boss);
        }
        if let Some(node) = &self.node {
            line(&mut text, "node", node);
        }
        if let Some(StaticAddress { address, prefix, gateway }) = self.address {
            line(&mut text, "address", alloc::format!("{address}/{prefix}"));
            if let Some(gateway) = gateway {
                line(&mut text, "gateway", gateway);
            }
        }
        if let Some(patience) = self.patience {
            line(&mut text, "patience", patience);
        }
        text
    }

    /// Reads it. Editors of other systems end lines in their own way, and leave the last one open.
    ///
    /// # Errors
    /// [`TextError`] names what is wrong.
    pub fn read(bytes: &[u8]) -> Result<Self, TextError> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut plain: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != b'\r').collect();
        while plain.last() == Some(&b'\n') {
            plain.pop();
        }
        plain.push(b'\n');
        let lines = Lines::of(&plain, TITLE)?;
        let address = lines.maybe("address")?.map(StaticAddress::read).transpose()?;
        let gateway = lines.maybe("gateway")?.map(str::parse).transpose();
        let gateway = gateway.map_err(|_| expected("the address of a gateway"))?;
        let boss = lines.maybe("boss")?.map(str::parse).transpose();
        let node = lines.maybe("node")?.map(str::parse).transpose();
        let patience = lines.maybe("patience")?.map(str::parse).transpose();
        Ok(Self {
            boss: boss.map_err(|_| expected("the boss's address and port, as in 10.9.0.1:80"))?,
            node: node.map_err(|_| expected("a machine's name"))?,
            address: address.map(|address| StaticAddress { gateway, ..address }),
            patience: patience.map_err(|_| expected("seconds of patience"))?,
        })
    }

    /// Seconds for which a controller is waited for.
    #[must_use]
    pub fn patience(&self) -> u16 {
        self.patience.unwrap_or(PATIENCE)
    }

    /// The same in milliseconds.
    #[must_use]
    pub fn patience_ms(&self) -> u64 {
        u64::from(self.patience()) * 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Settings {
        let gateway = Some(Ipv4Addr::new(10, 9, 0, 254));
        Settings {
            boss: Some(SocketAddrV4::new(Ipv4Addr::new(10, 9, 0, 1), 8080)),
            node: Some("node3".parse().unwrap()),
            address: Some(StaticAddress { address: Ipv4Addr::new(10, 9, 0, 13), prefix: 24, gateway }),
            patience: Some(20),
        }
    }

    #[test]
    fn settings_are_read_back_as_they_were_written() {
        for settings in [all(), Settings::default()] {
            assert_eq!(Settings::read(settings.text().as_bytes()), Ok(settings));
        }
        assert_eq!(all().patience_ms(), 20_000);
        assert_eq!(Settings::default().patience_ms(), 60_000);
    }

    #[test]
    fn an_editor_of_another_system_does_no_harm() {
        let text = String::from("\u{feff}") + all().text().replace('\n', "\r\n").trim_end();
        assert_eq!(Settings::read(text.as_bytes()), Ok(all()));
        assert_eq!(Settings::read(b"labinator settings 1\n# a word\n\n").map(|s| s.boss), Ok(None));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrong = |line: &str| {
            Settings::read(alloc::format!("{TITLE}\n{line}\n").as_bytes()).unwrap_err().to_string()
        };
        for (line, named) in [
            ("address 10.9.0.13", "10.9.0.13/24"),
            ("address 10.9.0.13/32", "10.9.0.13/24"),
            ("address 0.0.0.0/8", "10.9.0.13/24"),
            ("boss 10.9.0.1", "10.9.0.1:80"),
            ("gateway x", "gateway"),
            ("patience 1d", "seconds"),
            ("node a/b", "name"),
        ] {
            assert!(wrong(line).contains(named), "{line}: {}", wrong(line));
        }
    }
}
