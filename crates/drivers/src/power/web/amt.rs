//! Intel AMT: the controller inside business machines, by WS-Management over HTTP with Digest. It has one machine.

use hyper::Method;
use hyper::header::CONTENT_TYPE;
use model::{PortReading, PortSense};
use wire::wsman::{self, Power, Said};

use super::super::credentials::Credentials;
use super::super::device::{Act, DeviceError, Told};
use super::plug::Dialect;
use super::{Login, Question, Web};

/// A controller.
#[derive(Debug, Default)]
pub(in crate::power) struct Amt {
    /// Number of the last question.
    number: u64,
}

impl Amt {
    /// Asks, and gives back what belongs to this question.
    async fn ask(&mut self, web: &mut Web, make: impl FnOnce(u64) -> String) -> Result<Said, DeviceError> {
        self.number += 1;
        let question = Question {
            method: Method::POST,
            path: wsman::PATH.to_owned(),
            body: Some(make(self.number)),
            headers: vec![(CONTENT_TYPE.as_str(), wsman::CONTENT_TYPE.to_owned())],
        };
        let answer = web.ask(&question).await?;
        // What went wrong is said in the body, with whatever status.
        let Ok(said) = Said::read(&String::from_utf8_lossy(&answer.body)) else {
            web.judged(&question, answer)?;
            return Err(web.garbled(wsman::PATH, "no document of SOAP: is it AMT?"));
        };
        if let Some(why) = said.refusal() {
            return Err(DeviceError::refused("amt-fault", format!("{} says: {why}", web.origin())));
        }
        if said.answers().is_some_and(|number| number != self.number) {
            return Err(web.garbled(wsman::PATH, "an answer to another question"));
        }
        Ok(said)
    }
}

impl Dialect for Amt {
    /// A machine that is started shows it after a moment.
    const SHOWS: std::time::Duration = std::time::Duration::from_secs(10);

    fn login(&mut self, credentials: &Credentials) -> Result<Login, DeviceError> {
        credentials.login(None)
    }

    async fn act(&mut self, web: &mut Web, _port: &str, act: Act) -> Result<(), DeviceError> {
        let wanted = match act {
            Act::On => Power::ON,
            Act::Off => Power::OFF,
            Act::Soft => Power::OFF_GRACEFULLY,
            Act::Press => {
                let why = "a controller switches, and presses nothing";
                return Err(DeviceError::refused("not-supported", why));
            }
        };
        let said = self.ask(web, |number| wsman::order_power(number, wanted)).await?;
        match said.returned() {
            Some(0) => Ok(()),
            Some(number) => {
                // A machine that is so already may refuse to become so.
                let is = self.ask(web, wsman::ask_power).await?.power();
                let so = match act {
                    Act::On => is == Some(Power::ON),
                    Act::Off | Act::Soft => is.and_then(Power::runs) == Some(false),
                    Act::Press => false,
                };
                let is = is.map_or_else(|| "of unknown state".to_owned(), |is| is.to_string());
                let why =
                    format!("{} does not switch it {wanted} (result {number}); it is {is}", web.origin());
                if so { Ok(()) } else { Err(DeviceError::refused("amt-result", why)) }
            }
            None => Err(web.garbled(wsman::PATH, "no result of the order")),
        }
    }

    async fn read(&mut self, web: &mut Web, ports: &[String]) -> Result<Told, DeviceError> {
        let said = self.ask(web, wsman::ask_power).await?;
        let power = said.power().ok_or_else(|| web.garbled(wsman::PATH, "no state of its power"))?;
        let sense = power.runs().map_or(PortSense::Nothing, PortSense::Machine);
        let reading = PortReading { sense, milliwatts: None };
        Ok(Told {
            ports: ports.iter().map(|port| (port.clone(), reading)).collect(),
            about: format!("Intel AMT at {}", web.origin()),
            restarted: None,
        })
    }
}
