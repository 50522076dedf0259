//! From a device as the lab file describes it to the task that owns it.

use std::sync::Arc;
use std::time::Duration;

use model::{DeviceKind, DeviceSpec, DriverName, NodeName, Secret, SecretRef, WebDevice, WebDialect};
use tokio::sync::mpsc;

use super::DriverReport;
use super::command::Programs;
use super::credentials::Credentials;
use super::device::Device;
use super::gpio::Gpio;
use super::guard::Guard;
use super::ipmi::Ipmi;
use super::libvirt::Libvirt;
use super::mqtt::Mqtt;
use super::owner::{Ordered, Owner};
use super::relayinator::{BAUD, Relayinator};
use super::relays::Relays;
use super::snmp::Snmp;
use super::tty::Serial;
use super::uhubctl::Uhubctl;
use super::wake::{Segment, Wake};
use super::web::{Amt, Esphome, HomeAssistant, Plug, Proxmox, Redfish, Shelly, Tasmota, Webhook};

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
    /// The lab's own wire.
    pub(super) segment: Arc<Segment>,
}

/// Starts the owner of a device.
pub(super) fn spawn(
    (driver, spec): (DriverName, &DeviceSpec),
    nodes: Vec<(String, NodeName)>,
    around: Around,
    reveal: &Reveal,
    queue: mpsc::Receiver<Ordered>,
) {
    let own = Own { driver, stagger: Duration::from_millis(spec.stagger.0), nodes, around, queue };
    match &spec.kind {
        DeviceKind::Relayinator { device } => own.spawn(Relayinator::new(Serial::of(device, BAUD))),
        DeviceKind::Command { on, off, status } => {
            own.spawn(Programs::new(on.clone(), off.clone(), status.clone()));
        }
        DeviceKind::Ipmi { host, credentials, suite } => {
            let credentials = Credentials::new(Some(credentials.clone()), reveal);
            own.spawn(Ipmi::new(host.clone(), *suite, credentials));
        }
        DeviceKind::Web { dialect, device } => own.spawn_web(*dialect, device, reveal),
        DeviceKind::Webhook { on, off, status, credentials, certificate } => own.spawn(Webhook {
            on: on.clone(),
            off: off.clone(),
            status: status.clone(),
            credentials: Credentials::new(credentials.clone(), reveal),
            certificate: certificate.clone(),
        }),
        DeviceKind::Snmp(device) => own.spawn(Snmp::new(device, reveal)),
        DeviceKind::Libvirt { uri } => own.spawn(Libvirt::new(uri.clone())),
        DeviceKind::Uhubctl => own.spawn(Uhubctl),
        DeviceKind::Relays(device) => {
            let line = Serial::of(&device.device, device.baud);
            let ports = own.ports();
            own.spawn(Relays::new(line, device.board.clone(), device.wiring, ports));
        }
        DeviceKind::Gpio { chip, active_low } => own.spawn(Gpio::new(chip.clone(), *active_low)),
        DeviceKind::WakeOnLan => {
            let wake = Wake::new(own.around.segment.clone(), own.nodes.iter().cloned());
            own.spawn(wake);
        }
        DeviceKind::Mqtt(device) => {
            let ports = own.ports();
            own.spawn(Mqtt::new(device, ports, reveal));
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
    fn ports(&self) -> Vec<String> {
        self.nodes.iter().map(|(port, _)| port.clone()).collect()
    }

    fn spawn_web(self, dialect: WebDialect, device: &WebDevice, reveal: &Reveal) {
        let watts = device.watts.clone();
        match dialect {
            WebDialect::Tasmota => self.spawn(Plug::new(Tasmota::default(), device, reveal)),
            WebDialect::Shelly => self.spawn(Plug::new(Shelly::default(), device, reveal)),
            WebDialect::Esphome => self.spawn(Plug::new(Esphome::new(watts), device, reveal)),
            WebDialect::HomeAssistant => self.spawn(Plug::new(HomeAssistant::new(watts), device, reveal)),
            WebDialect::Redfish => self.spawn(Plug::new(Redfish::default(), device, reveal)),
            WebDialect::Proxmox => self.spawn(Plug::new(Proxmox::default(), device, reveal)),
            WebDialect::Amt => self.spawn(Plug::new(Amt::default(), device, reveal)),
        }
    }

    fn spawn<D: Device>(self, device: D) {
        let Self { driver, stagger, nodes, around: Around { guard, reports, .. }, queue } = self;
        let owner = Owner::new((driver, device), nodes.into_iter(), stagger, guard, reports);
        tokio::spawn(owner.run(queue));
    }
}
