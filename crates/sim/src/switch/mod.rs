//! A switch that does not exist: ports with somebody on them or nobody, as its pages, OpenWrt and a person see them.
//!
//! It keeps what it heard on which port until that port's link is lost, as switches do.

pub mod door;
mod openwrt;
mod pages;
pub mod snmp;

use model::MacAddr;

pub use openwrt::{DeviceKind, OpenWrt};
pub use pages::Pages;

/// Who hangs on a port.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plugged {
    /// Ethernet addresses that speak there.
    pub macs: Vec<MacAddr>,
    /// Speed that the other side offers now, in megabits a second; 0 for none.
    pub mbit: u32,
    /// True while it says something.
    pub speaks: bool,
}

/// One port.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// False while it is kept off.
    pub enabled: bool,
    /// The other end of its cable.
    pub plugged: Plugged,
    /// Addresses that were heard on it since its link came up.
    pub heard: Vec<MacAddr>,
}

impl Port {
    /// The speed of its link; none without one.
    #[must_use]
    pub fn link(&self) -> Option<u32> {
        (self.enabled && self.plugged.mbit > 0).then_some(self.plugged.mbit)
    }

    fn settle(&mut self) {
        match self.link() {
            None => self.heard.clear(),
            Some(_) if self.plugged.speaks => self.heard.clone_from(&self.plugged.macs),
            Some(_) => {}
        }
    }
}

/// The switch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Switch {
    /// Its ports.
    pub ports: Vec<Port>,
    /// From which port to which traffic is copied.
    pub mirror: Option<(String, String)>,
    /// Orders to ports as they came: which, and whether to enable it.
    pub orders: Vec<(String, bool)>,
    /// Orders that are taken and not carried out.
    pub deaf: u32,
}

impl Switch {
    /// One with these ports, enabled and with nobody on them.
    #[must_use]
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let port = |name: &str| Port { name: name.to_owned(), enabled: true, ..Port::default() };
        Self { ports: names.into_iter().map(port).collect(), ..Self::default() }
    }

    /// A port by its name.
    #[must_use]
    pub fn port(&self, name: &str) -> Option<&Port> {
        self.ports.iter().find(|port| port.name == name)
    }

    /// Somebody is plugged in, or is another than before.
    pub fn plug(&mut self, name: &str, plugged: Plugged) {
        if let Some(port) = self.ports.iter_mut().find(|port| port.name == name) {
            port.plugged = plugged;
            port.settle();
        }
    }

    /// A port is told to be on or off; false when there is no such port.
    pub fn set(&mut self, name: &str, on: bool) -> bool {
        self.orders.push((name.to_owned(), on));
        let deaf = self.deaf > 0;
        self.deaf = self.deaf.saturating_sub(1);
        let Some(port) = self.ports.iter_mut().find(|port| port.name == name) else { return false };
        if !deaf {
            port.enabled = on;
            port.settle();
        }
        true
    }
}
