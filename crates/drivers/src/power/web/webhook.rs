//! Addresses of the owner's as a power device: one to switch on, one to switch off, one that tells.

use std::time::Duration;

use hyper::Method;
use model::{PortReading, PortSense};

use super::super::command::sense;
use super::super::credentials::Credentials;
use super::super::device::{Act, Device, DeviceError, Manner, Ports, Taken, Told};
use super::plug::encoded;
use super::{Fingerprint, Login, Origin, Question, Web};

/// How often it is asked while nobody orders anything.
const POLL: Duration = Duration::from_secs(15);

/// What becomes the port in an address.
const PORT: &str = "{port}";

/// The three addresses, and who asks.
#[derive(Debug)]
pub(in crate::power) struct Webhook {
    pub(in crate::power) on: String,
    pub(in crate::power) off: String,
    pub(in crate::power) status: Option<String>,
    pub(in crate::power) credentials: Credentials,
    pub(in crate::power) certificate: Option<String>,
}

/// Method, origin and path of `URL`, `GET URL` or `POST URL`.
pub(in crate::power) fn target(text: &str, otherwise: Method) -> Result<(Method, Origin, String), String> {
    let (method, url) = match text.split_once(' ') {
        None => (otherwise, text),
        Some(("GET", url)) => (Method::GET, url),
        Some(("POST", url)) => (Method::POST, url),
        Some(("PUT", url)) => (Method::PUT, url),
        Some((other, _)) => return Err(format!("`{other}` is none of GET, POST and PUT")),
    };
    let (scheme, rest) = url.split_once("://").ok_or_else(|| format!("`{url}` is not an address"))?;
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(at);
    let origin = Origin::read(&format!("{scheme}://{authority}"))?;
    Ok((method, origin, if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }))
}

impl Webhook {
    fn login(&self) -> Result<Login, DeviceError> {
        match self.credentials.text()? {
            None => Ok(Login::Nobody),
            Some(text) => Ok(match text.split_once(':') {
                Some((user, password)) => Login::User(user.to_owned(), password.to_owned()),
                None => Login::Bearer(text),
            }),
        }
    }

    async fn ask(&self, text: &str, otherwise: Method, port: &str) -> Result<String, DeviceError> {
        let wrong = |why| DeviceError::locked(format!("{text}: {why}"));
        let (method, origin, path) = target(&text.replace(PORT, &encoded(port)), otherwise).map_err(wrong)?;
        let certificate = self.certificate.as_deref().and_then(Fingerprint::read);
        let mut web = Web::new(origin, self.login()?, certificate);
        let question = Question { method, ..Question::get(path) };
        let answer = web.expect(&question).await?;
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }
}

impl Device for Webhook {
    fn manner(&self) -> Manner {
        Manner {
            ports: Ports::Switches,
            gap: Duration::ZERO,
            poll: self.status.is_some().then_some(POLL),
            shows: Duration::from_secs(5),
            limit: Duration::from_secs(25),
        }
    }

    async fn act(&mut self, port: &str, act: Act) -> Result<Taken, DeviceError> {
        let target = if act.supply()? { &self.on } else { &self.off };
        self.ask(target, Method::POST, port).await?;
        Ok(Taken::AT_ONCE)
    }

    async fn read(&mut self, ports: &[String]) -> Result<Told, DeviceError> {
        let Some(status) = &self.status else { return Ok(Told::default()) };
        let mut told = Told { about: format!("webhook, {status}"), ..Told::default() };
        for port in ports {
            let said = self.ask(status, Method::GET, port).await?;
            let sense: PortSense = sense(said.as_bytes()).ok_or_else(|| {
                let said: String = said.chars().take(60).collect();
                DeviceError::refused(
                    "not-understood",
                    format!("{status} answers `{said}`, not on, off or unknown"),
                )
            })?;
            told.ports.push((port.clone(), PortReading { sense, milliwatts: None }));
        }
        Ok(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_say_how_it_is_asked() {
        let read = |text: &str| {
            target(text, Method::POST).map(|(method, origin, path)| format!("{method} {origin} {path}"))
        };
        assert_eq!(read("http://h:81/a?b=1"), Ok("POST http://h:81 /a?b=1".to_owned()));
        assert_eq!(read("GET https://h"), Ok("GET https://h /".to_owned()));
        assert_eq!(read("PUT http://h?x"), Ok("PUT http://h /?x".to_owned()));
        for wrong in ["h/on", "DELETE http://h", "GET h", "ftp://h/x", "http://"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
