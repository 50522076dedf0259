//! Switches behind an MQTT broker: what is said of them is listened to, and what they are told is said.
//!
//! What a broker kept is as old as it may be. It counts as long as nobody says that who said it is gone: the last will of
//! a device or of what speaks for it makes its state unknown, and so does a connection that is lost.

mod link;
mod topics;

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use model::{MqttDevice, MqttTopics};
use tokio::time::Instant;

use super::credentials::Credentials;
use super::device::{Act, Device, DeviceError, Manner, Ports, Taken, Told};
use super::devices::Reveal;
use super::web::{Fingerprint, Pinned};
use link::{Broker, Link};
use topics::{News, Switches};

/// How often the broker is asked whether it is there: what changes is heard at once.
const POLL: Duration = Duration::from_secs(20);
/// A switch on a radio says what it did after some time.
const SHOWS: Duration = Duration::from_secs(5);
/// Connecting, listening, and a question to each switch.
const LIMIT: Duration = Duration::from_secs(40);
/// For switches that were asked how they are: those that are gone never say it.
const SAYING: Duration = Duration::from_secs(1);

/// The broker, and what is behind it.
#[derive(Debug)]
pub(super) struct Mqtt {
    device: MqttDevice,
    switches: Switches,
    credentials: Credentials,
    pinned: Arc<Pinned>,
    link: Option<Link>,
    /// Switches whose state is to be asked for.
    ask: BTreeSet<String>,
}

impl Mqtt {
    pub(super) fn new(device: &MqttDevice, ports: Vec<String>, reveal: &Reveal) -> Self {
        let certificate = device.certificate.as_deref().and_then(Fingerprint::read);
        Self {
            device: device.clone(),
            switches: Switches::new(device.topics.clone(), ports),
            credentials: Credentials::new(device.credentials.clone(), reveal),
            pinned: Arc::new(Pinned::new(certificate)),
            link: None,
            ask: BTreeSet::new(),
        }
    }

    /// The open connection, with all that it listens to.
    async fn open(&mut self) -> Result<(), DeviceError> {
        if self.link.is_some() {
            return Ok(());
        }
        let broker = Broker::read(&self.device.url).map_err(DeviceError::locked)?;
        let login = self.credentials.user(None)?;
        let mut link = Link::open(&broker, login, &self.pinned).await?;
        self.switches.forget();
        let (filters, switches) = (self.switches.filters(), &mut self.switches);
        link.subscribe(filters, |message| {
            switches.hear(&message.topic, &message.payload);
        })
        .await?;
        self.ask = self.switches.ports().cloned().collect();
        self.link = Some(link);
        Ok(())
    }

    /// Asks those that are to be asked how they are, and hears all that there is to hear.
    async fn look(&mut self) -> Result<(), DeviceError> {
        let Self { switches, link: Some(link), ask, .. } = self else { return Ok(()) };
        let mut back = false;
        let mut waits = Vec::new();
        link.settle(|message| back |= switches.hear(&message.topic, &message.payload) == News::Back).await?;
        if back {
            ask.extend(switches.ports().cloned());
        }
        for port in std::mem::take(ask) {
            let Some(question) = switches.question(&port) else { continue };
            link.say(question, |message| {
                switches.hear(&message.topic, &message.payload);
            })
            .await?;
            waits.push(port);
        }
        let end = Instant::now() + SAYING;
        while waits.iter().any(|port| !switches.is_known(port)) {
            match link.message(end).await? {
                Some(message) => switches.hear(&message.topic, &message.payload),
                None => break,
            };
        }
        Ok(())
    }
}

impl Device for Mqtt {
    fn manner(&self) -> Manner {
        Manner { ports: Ports::Switches, gap: Duration::ZERO, poll: Some(POLL), shows: SHOWS, limit: LIMIT }
    }

    async fn act(&mut self, port: &str, act: Act) -> Result<Taken, DeviceError> {
        let on = act.supply()?;
        let order = self.switches.order(port, on).ok_or_else(|| {
            DeviceError::refused("no-such-port", format!("`{port}` makes no topic: it has `+` or `#` in it"))
        })?;
        self.open().await?;
        let Self { switches, link: Some(link), ask, .. } = self else {
            return Err(DeviceError::lost("unreached", "it is not there"));
        };
        link.say(order, |message| {
            switches.hear(&message.topic, &message.payload);
        })
        .await?;
        ask.insert(port.to_owned());
        Ok(Taken::AT_ONCE)
    }

    async fn read(&mut self, ports: &[String]) -> Result<Told, DeviceError> {
        self.open().await?;
        self.look().await?;
        let what = match &self.device.topics {
            MqttTopics::Zigbee2mqtt { .. } => "Zigbee2MQTT",
            MqttTopics::Own { .. } => "switches",
        };
        let reading = |port: &String| (port.clone(), self.switches.reading(port));
        let ports = ports.iter().map(reading).collect();
        Ok(Told { ports, about: format!("{what} behind {}", self.device.url), restarted: None })
    }

    async fn speaks(&mut self) {
        let Self { switches, link: Some(link), ask, .. } = self else { return pending().await };
        // Longer than any pause between two looks.
        let end = Instant::now() + POLL * 10;
        loop {
            match link.message(end).await {
                Ok(Some(message)) => match switches.hear(&message.topic, &message.payload) {
                    News::None => {}
                    News::Changed => return,
                    News::Back => {
                        ask.extend(switches.ports().cloned());
                        return;
                    }
                },
                Ok(None) => return,
                Err(_gone) => {
                    self.link = None;
                    return;
                }
            }
        }
    }

    fn forget(&mut self) {
        self.link = None;
    }
}
