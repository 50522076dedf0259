//! What all devices that speak HTTP have in common: one question, one answer, and how they are treated.

use std::future::Future;
use std::time::Duration;

use model::{PortReading, PortSense, WebDevice};

use super::super::credentials::Credentials;
use super::super::device::{Act, Device, DeviceError, Manner, Ports, Taken, Told};
use super::super::devices::Reveal;
use super::{Fingerprint, Login, Origin, Web};

/// How often a plug is asked while nobody orders anything: it is a small computer on a slow radio.
const POLL: Duration = Duration::from_secs(10);
/// A relay is there at once; what switches for another device hears of it within a moment.
const SHOWS: Duration = Duration::from_secs(3);
/// Two questions with everything that a slow device may take for each.
const LIMIT: Duration = Duration::from_secs(30);

/// How one maker's devices are spoken to.
pub(in crate::power) trait Dialect: Send + 'static {
    /// How long after an order its result may not show yet.
    const SHOWS: Duration = SHOWS;

    /// Who we are, of what is kept in the secret.
    fn login(&mut self, credentials: &Credentials) -> Result<Login, DeviceError>;

    /// Does it to a port.
    ///
    /// # Errors
    /// As a [`Device`]'s.
    fn act(
        &mut self,
        web: &mut Web,
        port: &str,
        act: Act,
    ) -> impl Future<Output = Result<(), DeviceError>> + Send;

    /// Reads ports, and says what the device is.
    ///
    /// # Errors
    /// As a [`Device`]'s.
    fn read(
        &mut self,
        web: &mut Web,
        ports: &[String],
    ) -> impl Future<Output = Result<Told, DeviceError>> + Send;
}

/// A device and its dialect.
#[derive(Debug)]
pub(in crate::power) struct Plug<D> {
    dialect: D,
    url: String,
    certificate: Option<String>,
    credentials: Credentials,
    web: Option<Web>,
}

impl<D: Dialect> Plug<D> {
    pub(in crate::power) fn new(dialect: D, device: &WebDevice, reveal: &Reveal) -> Self {
        let credentials = Credentials::new(device.credentials.clone(), reveal);
        let (url, certificate) = (device.url.clone(), device.certificate.clone());
        Self { dialect, url, certificate, credentials, web: None }
    }

    fn open(&mut self) -> Result<(&mut Web, &mut D), DeviceError> {
        if self.web.is_none() {
            let origin =
                Origin::read(&self.url).map_err(|why| DeviceError::locked(format!("{}: {why}", self.url)))?;
            let certificate = self.certificate.as_deref().and_then(Fingerprint::read);
            self.web = Some(Web::new(origin, self.dialect.login(&self.credentials)?, certificate));
        }
        let web = self.web.as_mut().ok_or_else(|| DeviceError::lost("unreached", "it is not there"))?;
        Ok((web, &mut self.dialect))
    }
}

impl<D: Dialect> Device for Plug<D> {
    fn manner(&self) -> Manner {
        Manner {
            ports: Ports::Switches,
            gap: Duration::ZERO,
            poll: Some(POLL),
            shows: D::SHOWS,
            limit: LIMIT,
        }
    }

    async fn act(&mut self, port: &str, act: Act) -> Result<Taken, DeviceError> {
        let (web, dialect) = self.open()?;
        dialect.act(web, port, act).await?;
        Ok(Taken::AT_ONCE)
    }

    async fn read(&mut self, ports: &[String]) -> Result<Told, DeviceError> {
        let (web, dialect) = self.open()?;
        dialect.read(web, ports).await
    }
}

/// What a plug tells of one port.
pub(super) fn supply(on: bool, watts: Option<f64>) -> PortReading {
    PortReading { sense: PortSense::Supply(on), milliwatts: watts.and_then(milliwatts) }
}

/// Watts as whole milliwatts. Meters waver below zero; what is no number is no reading.
pub(in crate::power) fn milliwatts(watts: f64) -> Option<u32> {
    let milliwatts = (watts.max(0.0) * 1000.0).round();
    // Through text: numbers do not change quietly here. 100 kW is more than any plug has.
    if watts.is_finite() && milliwatts <= 1e8 { format!("{milliwatts:.0}").parse().ok() } else { None }
}

/// A port's name in a path: what is not a letter, digit or one of `-._~` is written as its bytes (RFC 3986 section 2).
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out += &format!("%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watts_become_milliwatts_and_nonsense_becomes_nothing() {
        let table = [
            (12.34, Some(12_340)),
            (0.0004, Some(0)),
            (-0.3, Some(0)),
            (2300.0, Some(2_300_000)),
            (f64::NAN, None),
            (f64::INFINITY, None),
            (1e9, None),
        ];
        for (watts, wanted) in table {
            assert_eq!(milliwatts(watts), wanted, "{watts}");
        }
        assert_eq!(encoded("a b/ü-1.x"), "a%20b%2F%C3%BC-1.x");
    }
}
