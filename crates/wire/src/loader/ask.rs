//! The one question: who asks, by which medium it was started, and the nonce that makes its answer fresh.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use model::MacAddr;

use super::lines::{Hex, Lines, TextError, digits, expected, line};

const TITLE: &str = "labinator ask 1";
/// Network ports that are told; no machine of a board has more.
pub const PORTS: usize = 32;

/// A number that is used once: whatever was signed with it was signed after it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nonce(pub [u8; 16]);

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Hex(&self.0), f)
    }
}

impl Nonce {
    pub(super) fn read(text: &str) -> Result<Self, TextError> {
        digits(text).map(Self).ok_or(expected("a nonce of 32 hexadecimal digits"))
    }
}

/// What a loader was started from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// The firmware's PXE client, over TFTP.
    Pxe,
    /// The firmware's HTTP boot client.
    Http,
    /// A stick or disk.
    Local,
    /// A live image that waits in memory: who asks is its agent, and starts by kexec.
    Image,
}

impl Medium {
    const ALL: [Self; 4] = [Self::Pxe, Self::Http, Self::Local, Self::Image];

    /// The word in texts.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pxe => "pxe",
            Self::Http => "http",
            Self::Local => "local",
            Self::Image => "image",
        }
    }
}

/// The question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Fresh for each question.
    pub nonce: Nonce,
    /// Ethernet addresses of the machine, that of the port in use first.
    pub macs: Vec<MacAddr>,
    /// SMBIOS UUID, as `product_uuid` of Linux writes it.
    pub uuid: Option<String>,
    /// SMBIOS serial number of the machine.
    pub serial: Option<String>,
    /// Who made the firmware, and which revision.
    pub firmware: String,
    /// Version of the loader.
    pub loader: String,
    /// What it was started from.
    pub medium: Medium,
    /// Which question of this start it is, from 1; 0 from a loader that does not count.
    pub number: u32,
    /// Seconds for which an answer that says "wait" may be held back, in case another one comes.
    pub hold: u16,
}

impl Ask {
    /// The question as it is sent.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::from(TITLE);
        text.push('\n');
        line(&mut text, "nonce", self.nonce);
        for mac in self.macs.iter().take(PORTS) {
            line(&mut text, "mac", mac);
        }
        for (key, value) in [("uuid", &self.uuid), ("serial", &self.serial)] {
            if let Some(value) = value {
                line(&mut text, key, value);
            }
        }
        line(&mut text, "firmware", &self.firmware);
        line(&mut text, "loader", &self.loader);
        line(&mut text, "medium", self.medium.word());
        line(&mut text, "number", self.number);
        line(&mut text, "hold", self.hold);
        text
    }

    /// Reads a question.
    ///
    /// # Errors
    /// [`TextError`] names what is missing or wrong.
    pub fn read(bytes: &[u8]) -> Result<Self, TextError> {
        let lines = Lines::of(bytes, TITLE)?;
        let macs: Result<Vec<MacAddr>, _> = lines.all("mac").take(PORTS + 1).map(str::parse).collect();
        let macs = macs.map_err(|_| expected("an Ethernet address"))?;
        if macs.is_empty() || macs.len() > PORTS {
            return Err(expected("from 1 to 32 Ethernet addresses"));
        }
        let medium = lines.one("medium")?;
        Ok(Self {
            nonce: Nonce::read(lines.one("nonce")?)?,
            macs,
            uuid: lines.maybe("uuid")?.map(str::to_owned),
            serial: lines.maybe("serial")?.map(str::to_owned),
            firmware: lines.one("firmware")?.to_owned(),
            loader: lines.one("loader")?.to_owned(),
            medium: Medium::ALL
                .into_iter()
                .find(|known| known.word() == medium)
                .ok_or(expected("pxe, http, local or image"))?,
            number: match lines.maybe("number")? {
                Some(number) => number.parse().map_err(|_| expected("a number"))?,
                None => 0,
            },
            hold: lines.one("hold")?.parse().map_err(|_| expected("seconds"))?,
        })
    }
}
