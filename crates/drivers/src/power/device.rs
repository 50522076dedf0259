//! What a power device is to its owner: acts, readings, and the manner it must be treated in.
//!
//! A driver speaks one device's language and nothing else. Queue, gaps, stagger, read-back, retries, limits and what is
//! reported are the [owner's](super::owner).

use std::future::{Future, pending};
use std::time::Duration;

use model::{PortReading, PowerOrder};

/// What a device is made to do with one port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// Supply on, or the machine's controller told to start it. Of a button: a short press, on a machine that is off.
    On,
    /// Supply off, or forced off. Of a button: held until the machine is off.
    Off,
    /// What runs is asked to stop. Of a button: a short press, on a machine that runs.
    Soft,
    /// Of a button: a short press, whatever it does.
    Press,
}

impl From<PowerOrder> for Act {
    fn from(order: PowerOrder) -> Self {
        match order {
            PowerOrder::On => Self::On,
            PowerOrder::Off => Self::Off,
            PowerOrder::Soft => Self::Soft,
            PowerOrder::Press => Self::Press,
        }
    }
}

impl Act {
    /// Whether to give supply, of what switches supply and nothing else.
    ///
    /// # Errors
    /// It can neither ask a machine to stop nor press its button.
    pub(crate) fn supply(self) -> Result<bool, DeviceError> {
        match self {
            Self::On => Ok(true),
            Self::Off => Ok(false),
            Self::Soft | Self::Press => Err(DeviceError::refused(
                "not-supported",
                "it switches the supply, and knows nothing of the machine",
            )),
        }
    }
}

/// How its ports answer to being told twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ports {
    /// Telling twice is telling once: an act whose answer was lost is repeated.
    Switches,
    /// A second press undoes the first: nothing is repeated, whatever was lost.
    Buttons,
}

/// How a device must be treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Manner {
    /// Whether acts may be repeated.
    pub(crate) ports: Ports,
    /// Shortest time between two exchanges with it.
    pub(crate) gap: Duration,
    /// How often its ports are read while nobody orders anything. `None` where reading tells nothing.
    pub(crate) poll: Option<Duration>,
    /// How long after an act its result may still not show in a reading, although all is well.
    pub(crate) shows: Duration,
    /// How long one exchange may take before the device counts as hanging. More than it takes at its slowest.
    pub(crate) limit: Duration,
}

/// Why a device did not do as told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub(crate) struct DeviceError {
    /// Stable word of the reason.
    pub(crate) code: &'static str,
    /// For a person: what happened, and what to do.
    pub(crate) why: String,
    /// What may be done about it.
    pub(crate) cure: Cure,
}

/// What may be done after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cure {
    /// Ask again after a pause: the device was not reached, so nothing was done.
    Again,
    /// The order was sent and no answer came: nobody knows whether it was done. A switch is told again, a button is not
    /// pressed again.
    Doubt,
    /// The device is well and said no to this; asking again gets the same answer.
    Refused,
    /// It does not know us: asked no more until the lab file or its credentials are others, for devices lock out who
    /// asks with a wrong password.
    Locked,
}

impl DeviceError {
    /// The device cannot be reached, or a reading did not come: nothing was done.
    pub(crate) fn lost(code: &'static str, why: impl Into<String>) -> Self {
        Self { code, why: why.into(), cure: Cure::Again }
    }

    /// An order was sent, and what became of it is not known.
    pub(crate) fn doubt(code: &'static str, why: impl Into<String>) -> Self {
        Self { code, why: why.into(), cure: Cure::Doubt }
    }

    /// The device said no.
    pub(crate) fn refused(code: &'static str, why: impl Into<String>) -> Self {
        Self { code, why: why.into(), cure: Cure::Refused }
    }

    /// The device does not accept our credentials.
    pub(crate) fn locked(why: impl Into<String>) -> Self {
        Self { code: "credentials", why: why.into(), cure: Cure::Locked }
    }
}

/// What came of an act, as far as it is known when it was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taken {
    /// How long the device is busy with it: nothing else is done to this port meanwhile, other ports go on.
    pub(crate) busy: Duration,
}

impl Taken {
    /// It was done when the device answered.
    pub(crate) const AT_ONCE: Self = Self { busy: Duration::ZERO };

    /// The device goes on with it for this long.
    pub(crate) const fn for_a(busy: Duration) -> Self {
        Self { busy }
    }
}

/// What a device tells when it is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// A reading a port that was asked for; one that it cannot tell of is left out.
    pub(crate) ports: Vec<(String, PortReading)>,
    /// What it says it is, for a person: kind, release, address.
    pub(crate) about: String,
    /// How it was seen that it began anew since it was read last, and forgot.
    pub(crate) restarted: Option<String>,
}

/// A power device: a relay board, a plug, a strip of outlets, a controller inside one machine.
///
/// Each call is one exchange and may be cancelled at its limit; [`Device::forget`] follows, and the next call begins
/// anew. Connecting is part of the first exchange.
pub(crate) trait Device: Send + 'static {
    /// How it must be treated.
    fn manner(&self) -> Manner;

    /// Does this to a port, without waiting for the result to be seen.
    ///
    /// # Errors
    /// Nothing was done, or nobody knows.
    fn act(&mut self, port: &str, act: Act) -> impl Future<Output = Result<Taken, DeviceError>> + Send;

    /// Reads these ports.
    ///
    /// # Errors
    /// Nothing is known of any of them.
    fn read(&mut self, ports: &[String]) -> impl Future<Output = Result<Told, DeviceError>> + Send;

    /// Waits until it says something by itself that is worth a reading: a restart, a message. May be cancelled.
    fn speaks(&mut self) -> impl Future<Output = ()> + Send {
        pending()
    }

    /// Drops its connection, after an error or a limit: what comes on it belongs to a question nobody waits for.
    fn forget(&mut self) {}
}
