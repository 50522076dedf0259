//! From a device as the lab file describes it to the task that owns it.

use std::sync::Arc;
use std::time::Duration;

use model::{DeviceKind, DeviceSpec, DriverName, NodeName, Secret, SecretRef};
use tokio::sync::mpsc;

use super::DriverReport;
use super::command::Programs;
use super::device::Device;
use super::guard::Guard;
use super::owner::{Ordered, Owner};
use super::relayinator::{BAUD, Relayinator};
use super::tty::Serial;

/// Gives the secret that the lab file refers to; the error is for a person. Asked when a device is first spoken to, so
/// that a secret which comes later is found.
pub type Reveal = Arc<dyn Fn(&SecretRef) -> Result<Secret<Vec<u8>>, String> + Send + Sync>;

/// What every owner is given.
#[derive(Debug, Clone)]
pub(super) struct Around {
    /// The last look before a button is pressed.
    pub(super) guard: Guard,
    /// Where reports go.
    pub(super) reports: mpsc::Sender<DriverReport>,
}

/// Starts the owner of a device.
pub(super) fn spawn(
    (driver, spec): (DriverName, &DeviceSpec),
    nodes: Vec<(String, NodeName)>,
    around: Around,
    _reveal: &Reveal,
    queue: mpsc::Receiver<Ordered>,
) {
    let own = Own { driver, stagger: Duration::from_millis(spec.stagger.0), nodes, around, queue };
    match &spec.kind {
        DeviceKind::Relayinator { device } => own.spawn(Relayinator::new(Serial::of(device, BAUD))),
        DeviceKind::Command { on, off, status } => {
            own.spawn(Programs::new(on.clone(), off.clone(), status.clone()));
        }
    }
}

/// All that is the same for every device.
struct Own {
    driver: DriverName,
    stagger: Duration,
    nodes: Vec<(String, NodeName)>,
    around: Around,
    queue: mpsc::Receiver<Ordered>,
}

impl Own {
    fn spawn<D: Device>(self, device: D) {
        let Self { driver, stagger, nodes, around: Around { guard, reports }, queue } = self;
        let owner = Owner::new((driver, device), nodes.into_iter(), stagger, guard, reports);
        tokio::spawn(owner.run(queue));
    }
}
