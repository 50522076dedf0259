//! What a switch is to its owner: looks at its ports, orders to them, and what it can besides.

use std::future::{Future, pending, ready};
use std::time::Duration;

use model::{MacAddr, Neighbour};

use crate::power::device::DeviceError;

/// How a switch must be treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Manner {
    /// How long after an order its result may still not show, although all is well.
    pub(crate) shows: Duration,
    /// How long one exchange may take before the switch counts as hanging.
    pub(crate) limit: Duration,
}

/// One port as the switch tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) port: String,
    /// False while the switch keeps it off.
    pub(crate) enabled: bool,
    /// Megabits a second; none without a link.
    pub(crate) mbit: Option<u32>,
    /// Its link was gone and came back since the last look.
    pub(crate) bounced: bool,
}

/// All ports, at one time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) ports: Vec<Seen>,
    /// What it says it is, for a person.
    pub(crate) about: String,
}

/// A switch. Each call is one exchange and may be cancelled at its limit; [`Switch::forget`] follows, and the next call
/// begins anew. Connecting and logging in are part of the first exchange.
pub(crate) trait Switch: Send + 'static {
    /// How it must be treated.
    fn manner(&self) -> Manner;

    /// Looks at all its ports.
    ///
    /// # Errors
    /// Nothing is known of any of them.
    fn look(&mut self) -> impl Future<Output = Result<Look, DeviceError>> + Send;

    /// Enables or disables a port, without waiting for the result to be seen. Telling twice is telling once.
    ///
    /// # Errors
    /// Nothing was done, or nobody knows.
    fn set(&mut self, port: &str, on: bool) -> impl Future<Output = Result<(), DeviceError>> + Send;

    /// Which Ethernet addresses it heard on which port; none from a switch that does not tell.
    ///
    /// # Errors
    /// It could not be asked.
    fn macs(&mut self) -> impl Future<Output = Result<Option<Vec<(String, MacAddr)>>, DeviceError>> + Send;

    /// Who says of himself, by LLDP, at the end of which port he is.
    ///
    /// # Errors
    /// It could not be asked.
    fn neighbours(&mut self) -> impl Future<Output = Result<Vec<(String, Neighbour)>, DeviceError>> + Send {
        ready(Ok(Vec::new()))
    }

    /// Copies what goes through one port to another, or ends that.
    ///
    /// # Errors
    /// It cannot, or could not be asked.
    fn mirror(&mut self, copy: Option<(&str, &str)>) -> impl Future<Output = Result<(), DeviceError>> + Send;

    /// Waits until it says something by itself that is worth a look. May be cancelled.
    fn speaks(&mut self) -> impl Future<Output = ()> + Send {
        pending()
    }

    /// Drops its connection and session, after an error or a limit.
    fn forget(&mut self) {}
}

/// The error of a switch that cannot mirror.
pub(crate) fn mirrors_not() -> DeviceError {
    DeviceError::refused("not-supported", "this driver cannot copy the traffic of a port to another")
}
