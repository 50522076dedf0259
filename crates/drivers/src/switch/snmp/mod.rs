//! Switches by SNMP: ports and links by IF-MIB, who hangs where by BRIDGE-MIB and Q-BRIDGE-MIB, neighbours by LLDP-MIB.
//!
//! ```text
//!   nothing known ─ names and numbers of ports ─▶ known ─ one question a look ─▶ links
//!        ▲                                          │
//!        └─ error; it started anew (sysUpTime); a port is gone ┘        a trap ─▶ a look at once
//! ```

mod ports;
mod tables;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::{MacAddr, Neighbour, SnmpPorts};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::{Instant, sleep_until};
use wire::snmp::Value;

use super::device::{Look, Manner, Seen, Switch, mirrors_not};
use crate::power::device::DeviceError;
use crate::snmp::{Hint, Listener, Talk};
use ports::{Known, Reading};

/// A port that is said to have come and gone at so many looks in a row is one of a switch whose clock says nothing.
const BELIEVED: u8 = 3;
/// Shortest pause between two looks that traps bring about.
const QUIET: Duration = Duration::from_millis(250);

/// Such a switch.
#[derive(Debug)]
pub(super) struct Snmp {
    talk: Talk,
    called: SnmpPorts,
    known: Option<Known>,
    /// Hundredths of a second since it started, at the last look.
    up: i64,
    /// When each port's link last changed, by the switch's clock, and how often in a row it had.
    changed: BTreeMap<u32, (i64, u8)>,
    traps: Option<Traps>,
}

#[derive(Debug)]
struct Traps {
    hints: broadcast::Receiver<Hint>,
    /// No look before this for a trap.
    quiet: Instant,
    /// Keeps the socket.
    _listener: Arc<Listener>,
}

impl Snmp {
    pub(super) fn new(talk: Talk, called: SnmpPorts, listener: Option<Arc<Listener>>) -> Self {
        let traps = listener.map(|listener| Traps {
            hints: listener.hints(),
            quiet: Instant::now(),
            _listener: listener,
        });
        Self { talk, called, known: None, up: 0, changed: BTreeMap::new(), traps }
    }

    /// Its ports, read once.
    async fn known(&mut self) -> Result<&Known, DeviceError> {
        if self.known.is_none() {
            self.known = Some(Known::read(&mut self.talk, self.called).await?);
            self.changed.clear();
            self.up = 0;
        }
        self.known.as_ref().ok_or_else(|| DeviceError::lost("no-ports", "nothing is known of its ports"))
    }

    /// True where a link was gone and is back since the last look.
    fn bounced(&mut self, index: u32, reading: &Reading) -> bool {
        let Some(now) = reading.changed else { return false };
        let (before, times) = self.changed.get(&index).copied().unwrap_or((now, 0));
        let times = if before == now { 0 } else { times.saturating_add(1) };
        self.changed.insert(index, (now, times));
        (1..BELIEVED).contains(&times)
    }
}

impl Switch for Snmp {
    fn manner(&self) -> Manner {
        // Agents keep what they read of their hardware for some seconds: net-snmp for three.
        Manner { shows: Duration::from_secs(6), limit: Duration::from_secs(8) }
    }

    async fn look(&mut self) -> Result<Look, DeviceError> {
        let questions = self.known().await?.questions.clone();
        let values = self.talk.get(&questions).await?;
        let (up, values) =
            values.split_first().map_or((0, &[][..]), |(up, values)| (up.number().unwrap_or(0), values));
        if up < self.up {
            // It started anew, and its numbers may be others.
            self.forget();
            let why = format!("{} started anew; its ports are read again", self.talk.host());
            return Err(DeviceError::lost("started-anew", why));
        }
        self.up = up;
        let known = self.known.clone().unwrap_or_default();
        let mut ports = Vec::with_capacity(known.ports.len());
        for (port, values) in known.ports.iter().zip(values.chunks(known.columns())) {
            let Some(reading) = known.reading(values) else {
                self.forget();
                let (host, index) = (self.talk.host(), port.index);
                let why = format!(
                    "{host} says of port {} (ifIndex {index}) what is not understood, or has it no more",
                    port.name
                );
                return Err(DeviceError::lost("not-understood", why));
            };
            let bounced = self.bounced(port.index, &reading);
            let Reading { enabled, mbit, changed: _ } = reading;
            ports.push(Seen { port: port.name.clone(), enabled, mbit, bounced });
        }
        let about = self.talk.about(&format!("switch with {} ports", ports.len())).await;
        Ok(Look { ports, about })
    }

    async fn set(&mut self, port: &str, on: bool) -> Result<(), DeviceError> {
        let known = self.known().await?;
        let Some(name) = known.order(port) else {
            let listed: Vec<&str> = known.ports.iter().map(|port| port.name.as_str()).collect();
            let why = format!("it has no port {port}: it has {}", listed.join(", "));
            return Err(DeviceError::refused("no-such-port", why));
        };
        // ifAdminStatus: up(1), down(2).
        self.talk.set(&name, Value::Integer(if on { 1 } else { 2 })).await
    }

    async fn macs(&mut self) -> Result<Option<Vec<(String, MacAddr)>>, DeviceError> {
        let known = self.known().await?.clone();
        tables::addresses(&mut self.talk, &known).await
    }

    async fn neighbours(&mut self) -> Result<Vec<(String, Neighbour)>, DeviceError> {
        let known = self.known().await?.clone();
        tables::neighbours(&mut self.talk, &known).await
    }

    async fn mirror(&mut self, _: Option<(&str, &str)>) -> Result<(), DeviceError> {
        Err(mirrors_not())
    }

    async fn speaks(&mut self) {
        let Some(traps) = &mut self.traps else { return std::future::pending().await };
        sleep_until(traps.quiet).await;
        loop {
            match traps.hints.recv().await {
                Ok(hint) if self.talk.is_from(&hint) => break,
                Ok(_) => {}
                // Too many to read: there is something to look at.
                Err(RecvError::Lagged(_)) => break,
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
        // One look answers all that were sent until now.
        traps.hints = traps.hints.resubscribe();
        traps.quiet = Instant::now() + QUIET;
    }

    fn forget(&mut self) {
        self.talk.forget();
        self.known = None;
    }
}
