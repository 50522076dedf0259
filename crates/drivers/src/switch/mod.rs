//! Switches: one task each, which looks at its links, and disables and enables its ports.
//!
//! ```text
//!   Command::Switch ──▶ Switches ──▶ queue of the switch ──▶ driver ──▶ DriverReport::Finished (what was done)
//!                                                             └──────▶ LinkSeen, DeviceSeen (what is seen)
//!   page, command line ─ ports, addresses, mirror ─▶ the same queue
//! ```
//!
//! A driver of a switch is a [`device::Switch`]; its [`owner`] is the task.

mod device;
mod openwrt;
mod owner;
mod pages;
mod snmp;
mod table;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use model::{CommandId, DriverName, LabSpec, MacAddr, NodeName, Outcome, PortRef, SwitchKind, SwitchPort};
use tokio::sync::{mpsc, oneshot};

use crate::openwrt::ubus::Ubus;
use crate::power::owner::failed;
use crate::power::{DriverReport, Reveal};
use crate::snmp::{Listener, Talk};

use device::Switch;
use openwrt::OpenWrt;
use owner::{Asked, Owner};
use pages::Pages;
use snmp::Snmp;

/// Orders and questions that may wait for one switch.
const QUEUE: usize = 64;

/// What a switch is, and how its ports stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ports {
    /// What it says it is.
    pub about: String,
    /// Its ports, in its order; none while it does not answer.
    pub ports: Vec<SwitchPort>,
    /// Why it does not answer.
    pub lost: Option<String>,
}

/// The door to every switch of a lab.
#[derive(Debug, Clone, Default)]
pub struct Switches {
    queues: BTreeMap<DriverName, mpsc::Sender<Asked>>,
}

impl Switches {
    /// Starts the drivers of a lab's switches. They end when this door and all its clones are dropped.
    ///
    /// `own` are the boss's own Ethernet addresses: a port on which one of them is heard is never disabled.
    #[must_use]
    pub fn spawn(
        spec: &LabSpec,
        own: &[MacAddr],
        reveal: &Reveal,
        reports: &mpsc::Sender<DriverReport>,
    ) -> Self {
        let mut queues = BTreeMap::new();
        // Traps of several switches come in at one address.
        let mut listeners: BTreeMap<SocketAddr, Arc<Listener>> = BTreeMap::new();
        for (name, switch) in &spec.switch {
            let (asks, queue) = mpsc::channel(QUEUE);
            let nodes: BTreeMap<String, NodeName> = spec
                .board
                .nodes
                .iter()
                .filter_map(|(node, spec)| Some((node, spec.port.as_ref()?)))
                .filter(|(_, port)| port.driver == *name)
                .map(|(node, port)| (port.port.clone(), node.clone()))
                .collect();
            let around = owner::Around {
                name: name.clone(),
                nodes,
                spec: switch.clone(),
                own: own.to_vec(),
                every: Duration::from_millis(switch.every.0),
                reports: reports.clone(),
            };
            match &switch.kind {
                SwitchKind::WebPages { url, credentials } => {
                    spawn(Pages::new(url, credentials, reveal), around, queue);
                }
                SwitchKind::OpenWrt { url, credentials, certificate, swconfig } => {
                    let ubus = Ubus::new(url, certificate.as_deref(), credentials.clone(), reveal);
                    spawn(OpenWrt::new(ubus, swconfig.clone()), around, queue);
                }
                SwitchKind::Snmp { host, credentials, version, ports, traps } => {
                    let listener = traps
                        .map(|at| Arc::clone(listeners.entry(at).or_insert_with(|| Listener::spawn(at))));
                    let talk = Talk::new(host, *version, credentials.clone(), "a port", reveal);
                    spawn(Snmp::new(talk, *ports, listener), around, queue);
                }
            }
            queues.insert(name.clone(), asks);
        }
        Self { queues }
    }

    /// Hands an order over. It never waits.
    ///
    /// # Errors
    /// The outcome to record when there is no such switch, or it has too many orders waiting.
    pub fn order(&self, id: CommandId, port: &PortRef, on: bool) -> Result<(), Outcome> {
        let Some(queue) = self.queues.get(&port.driver) else {
            return Err(failed("no-such-port", format!("no driver has a switch port {port}")));
        };
        let asked = Asked::Set { id, port: port.port.clone(), on };
        queue.try_send(asked).map_err(|why| match why {
            mpsc::error::TrySendError::Full(_) => {
                failed("port-busy", format!("{} still has {QUEUE} orders to do", port.driver))
            }
            mpsc::error::TrySendError::Closed(_) => {
                failed("driver-gone", format!("the driver of {} has ended", port.driver))
            }
        })
    }

    /// The switches of the lab.
    pub fn names(&self) -> impl Iterator<Item = &DriverName> {
        self.queues.keys()
    }

    /// Looks at a switch now: its ports, and the Ethernet addresses on them. None where the lab has no such switch.
    pub async fn look(&self, name: &DriverName) -> Option<Ports> {
        let (answer, answered) = oneshot::channel();
        let queue = self.queues.get(name)?;
        let gone = || Ports { lost: Some("its driver has ended".to_owned()), ..Ports::default() };
        if queue.send(Asked::Look { answer }).await.is_err() {
            return Some(gone());
        }
        Some(answered.await.unwrap_or_else(|_| gone()))
    }

    /// Copies what goes through one port to another of the same switch, or ends that.
    ///
    /// # Errors
    /// Stable word of the reason, and for a person why not.
    pub async fn mirror(
        &self,
        name: &DriverName,
        copy: Option<(String, String)>,
    ) -> Result<(), (&'static str, String)> {
        let gone = || ("driver-gone", format!("the driver of {name} has ended"));
        let (answer, answered) = oneshot::channel();
        let queue = self
            .queues
            .get(name)
            .ok_or_else(|| ("unknown_switch", format!("there is no switch `{name}`")))?;
        queue.send(Asked::Mirror { copy, answer }).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?.map_err(|error| (error.code, error.why))
    }
}

fn spawn<S: Switch>(switch: S, around: owner::Around, queue: mpsc::Receiver<Asked>) {
    tokio::spawn(Owner::new(switch, around).run(queue));
}
