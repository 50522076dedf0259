//! A management controller as a power device: the machine itself is sensed, and asked to stop before it is made to.

use std::time::Duration;

use model::{PortReading, PortSense};

use super::super::credentials::Credentials;
use super::super::device::{Act, Cure, Device, DeviceError, Manner, Ports, Taken, Told};
use super::{Ask, Controller, IpmiError, Login, Suite};

/// How often it is asked while nobody orders anything. A session ends by itself after a minute of silence.
const POLL: Duration = Duration::from_secs(10);
/// A machine that is forced off is off within this; one that is started is on at once.
const SHOWS: Duration = Duration::from_secs(10);
/// Every try of every step of a new session, and of the question in it.
const LIMIT: Duration = Duration::from_secs(30);

/// A controller, with what is needed to speak to it.
#[derive(Debug)]
pub(in crate::power) struct Ipmi {
    host: String,
    suite: Suite,
    credentials: Credentials,
    controller: Option<Controller>,
}

impl Ipmi {
    pub(in crate::power) const fn new(host: String, suite: u8, credentials: Credentials) -> Self {
        let suite = if suite == Suite::Seventeen.number() { Suite::Seventeen } else { Suite::Three };
        Self { host, suite, credentials, controller: None }
    }

    fn controller(&mut self) -> Result<&mut Controller, DeviceError> {
        if self.controller.is_none() {
            let Some((user, password)) = self.credentials.user(None)? else {
                return Err(DeviceError::locked(format!("{}: the lab file names no credentials", self.host)));
            };
            if user.len() > 16 || password.len() > 20 {
                let why = format!(
                    "{}: IPMI takes user names of at most 16 bytes and passwords of at most 20",
                    self.host
                );
                return Err(DeviceError::locked(why));
            }
            let login = Login { user, password, suite: self.suite };
            self.controller = Some(Controller::new(&self.host, login));
        }
        self.controller.as_mut().ok_or_else(|| DeviceError::lost("ipmi", "it is not there"))
    }
}

impl From<IpmiError> for DeviceError {
    fn from(error: IpmiError) -> Self {
        let cure = match &error {
            IpmiError::Refused { .. } if !error.passes() => Cure::Locked,
            IpmiError::Command { .. } if !error.passes() => Cure::Refused,
            // Orders are numbered and do no more the second time.
            _ => Cure::Doubt,
        };
        Self { code: error.code(), why: error.to_string(), cure }
    }
}

impl Device for Ipmi {
    fn manner(&self) -> Manner {
        Manner { ports: Ports::Switches, gap: Duration::ZERO, poll: Some(POLL), shows: SHOWS, limit: LIMIT }
    }

    async fn act(&mut self, _port: &str, act: Act) -> Result<Taken, DeviceError> {
        let ask = match act {
            Act::On => Ask::On,
            Act::Off => Ask::Off,
            Act::Soft => Ask::Soft,
            Act::Press => {
                return Err(DeviceError::refused(
                    "not-supported",
                    "a controller switches, and presses nothing",
                ));
            }
        };
        self.controller()?.order(ask).await?;
        Ok(Taken::AT_ONCE)
    }

    async fn read(&mut self, ports: &[String]) -> Result<Told, DeviceError> {
        let on = self.controller()?.is_on().await?;
        let reading = PortReading { sense: PortSense::Machine(on), milliwatts: None };
        let about = format!("IPMI 2.0 at {}, cipher suite {}", self.host, self.suite.number());
        let ports = ports.iter().map(|port| (port.clone(), reading)).collect();
        Ok(Told { ports, about, restarted: None })
    }
}
