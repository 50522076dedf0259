//! A line that the loader says on its way, for the boot trace: what it does, or why it does not.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;

use model::MacAddr;

use super::ask::PORTS;
use super::lines::{Lines, TextError, expected, line};
use super::refusal::Refusal;

const TITLE: &str = "labinator word 1";
/// Severities of syslog (RFC 5424 table 2).
const ERROR: u8 = 3;
const INFO: u8 = 6;

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Who says it: the port in use.
    pub mac: MacAddr,
    /// Its other ports, by one of which the board may know it.
    pub others: Vec<MacAddr>,
    /// 0 emergency to 7 debug (RFC 5424 table 2).
    pub severity: u8,
    /// The line.
    pub text: String,
    /// Where it is a refusal: its code and what helps.
    pub error: Option<String>,
    /// True where the loader starts an image now.
    pub starts: bool,
    /// True where a live image cannot start what it was given, and goes through the firmware.
    pub cold: bool,
}

impl Word {
    const fn plain(mac: MacAddr, severity: u8, text: String) -> Self {
        Self { mac, others: Vec::new(), severity, text, error: None, starts: false, cold: false }
    }

    /// Something was done.
    #[must_use]
    pub const fn step(mac: MacAddr, text: String) -> Self {
        Self::plain(mac, INFO, text)
    }

    /// An image is started, and this is the last word.
    #[must_use]
    pub fn start(mac: MacAddr, text: String) -> Self {
        Self { starts: true, ..Self::plain(mac, INFO, text) }
    }

    /// An image is not started by kexec, for this reason, and the machine goes through its firmware.
    #[must_use]
    pub fn cold(mac: MacAddr, why: &str) -> Self {
        let text = alloc::format!("{why}: goes through the firmware");
        Self { cold: true, ..Self::plain(mac, ERROR, text) }
    }

    /// Something is not done, and why.
    #[must_use]
    pub fn refusal(mac: MacAddr, refusal: &Refusal) -> Self {
        let error = alloc::format!("{}: {refusal}; {}", refusal.code(), refusal.advice());
        Self { error: Some(error), ..Self::plain(mac, ERROR, alloc::format!("{refusal}")) }
    }

    /// The same, of a machine with these ports.
    #[must_use]
    pub fn of(mut self, ports: &[MacAddr]) -> Self {
        self.others = ports.iter().copied().filter(|port| *port != self.mac).take(PORTS - 1).collect();
        self
    }

    /// The line as it is sent.
    #[must_use]
    pub fn body(&self) -> String {
        let mut text = String::from(TITLE);
        text.push('\n');
        for mac in core::iter::once(self.mac).chain(self.others.iter().copied()) {
            line(&mut text, "mac", mac);
        }
        line(&mut text, "severity", self.severity);
        line(&mut text, "text", &self.text);
        if self.starts {
            line(&mut text, "starts", "yes");
        }
        if self.cold {
            line(&mut text, "cold", "yes");
        }
        if let Some(error) = &self.error {
            line(&mut text, "error", error);
        }
        text
    }

    /// Reads a line.
    ///
    /// # Errors
    /// [`TextError`] names what is missing or wrong.
    pub fn read(bytes: &[u8]) -> Result<Self, TextError> {
        let lines = Lines::of(bytes, TITLE)?;
        let wrong = expected("an Ethernet address");
        let macs: Result<Vec<MacAddr>, _> = lines.all("mac").take(PORTS + 1).map(str::parse).collect();
        let macs = macs.map_err(|_| wrong)?;
        let [mac, others @ ..] = macs.as_slice() else { return Err(wrong) };
        if others.len() >= PORTS {
            return Err(expected("fewer ports"));
        }
        let severity: Option<u8> = lines.one("severity")?.parse().ok();
        Ok(Self {
            mac: *mac,
            others: others.to_vec(),
            severity: severity.filter(|s| *s < 8).ok_or(expected("a severity from 0 to 7"))?,
            text: lines.one("text")?.to_owned(),
            error: lines.maybe("error")?.map(str::to_owned),
            starts: lines.maybe("starts")? == Some("yes"),
            cold: lines.maybe("cold")? == Some("yes"),
        })
    }
}
