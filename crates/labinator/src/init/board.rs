//! Which machines become nodes: named by flags, taken as heard, or learned by pressing their buttons one by one.

use std::collections::BTreeSet;
use std::str::FromStr;
use std::time::Duration;

use model::{ClientKind, MacAddr, NodeName};

use super::ask::{Keyboard, PlaceOnBoard};
use super::listen::Ear;
use super::segment::Machine;
use super::suggest::Network;
use super::text::{Node, described};
use crate::cli::{Failure, out};

/// A node named on the command line: `NAME=MAC` or `NAME=MAC@COLUMN,ROW`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedNode {
    name: NodeName,
    mac: MacAddr,
    at: Option<(u8, u8)>,
}

impl FromStr for NamedNode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, rest) = text.split_once('=').ok_or("a node is NAME=MAC, or NAME=MAC@COLUMN,ROW")?;
        let (mac, at) = rest.split_once('@').map_or((rest, None), |(mac, at)| (mac, Some(at)));
        let at = at.map(str::parse::<PlaceOnBoard>).transpose()?.map(|place| (place.0, place.1));
        let name = name.parse::<NodeName>().map_err(|why| why.to_string())?;
        let mac = mac.parse::<MacAddr>().map_err(|why| why.to_string())?;
        Ok(Self { name, mac, at })
    }
}

/// The board as it grows.
#[derive(Debug)]
pub(super) struct Board<'a> {
    pub(super) network: &'a mut Network,
    pub(super) columns: u8,
    pub(super) nodes: Vec<Node>,
}

impl Board<'_> {
    /// Place of the node that comes next, row by row.
    fn next_place(&self) -> (u8, u8) {
        let taken: BTreeSet<(u8, u8)> = self.nodes.iter().map(|node| node.at).collect();
        let rows = (1..=u8::MAX).flat_map(|row| (1..=self.columns).map(move |column| (column, row)));
        let mut free = rows.filter(|place| !taken.contains(place));
        free.next().unwrap_or((1, 1))
    }

    fn next_name(&self) -> String {
        let names = (1..=u32::MAX).map(|number| format!("node{number}"));
        let mut free = names.filter(|name| !self.nodes.iter().any(|node| node.name == *name));
        free.next().unwrap_or_default()
    }

    pub(super) fn has(&self, mac: MacAddr) -> bool {
        self.nodes.iter().any(|node| node.mac == mac)
    }

    fn add(&mut self, name: String, machine: &Machine, at: (u8, u8)) -> Result<(), Failure> {
        let ip = self.network.next_address(machine.address);
        let ip = ip.ok_or_else(|| Failure::failed("the subnet has no address left for another node"))?;
        let power = format!("hand/{}", self.nodes.len() + 1);
        let (mac, seen) = (machine.mac, described(machine));
        self.nodes.push(Node { name, mac, ip, at, power, seen, more: String::new() });
        Ok(())
    }

    /// A node of which everything is known but its place and address.
    ///
    /// # Errors
    /// The subnet is full.
    pub(super) fn add_as_known(
        &mut self,
        name: &NodeName,
        machine: &Machine,
        more: &str,
    ) -> Result<(), Failure> {
        let at = self.next_place();
        self.add(name.to_string(), machine, at)?;
        if let Some(node) = self.nodes.last_mut() {
            more.clone_into(&mut node.more);
        }
        Ok(())
    }

    /// Nodes that were named.
    ///
    /// # Errors
    /// One is named twice, or the subnet is full.
    pub(super) fn take_named(
        &mut self,
        named: &[NamedNode],
        machine: impl Fn(MacAddr) -> Machine,
    ) -> Result<(), Failure> {
        for node in named {
            if self.has(node.mac) {
                return Err(Failure::Usage(format!("{} is named twice", node.mac)));
            }
            let at = node.at.unwrap_or_else(|| self.next_place());
            self.add(node.name.to_string(), &machine(node.mac), at)?;
        }
        Ok(())
    }

    /// The next machine, where the next one belongs.
    ///
    /// # Errors
    /// The subnet is full.
    pub(super) fn take_next(&mut self, machine: &Machine) -> Result<(), Failure> {
        let (name, at) = (self.next_name(), self.next_place());
        self.add(name, machine, at)
    }

    /// A machine that there is not, for a board that has none and must have one. Its address is free again.
    ///
    /// # Errors
    /// The subnet is full.
    pub(super) fn stand_in(&mut self) -> Result<(), Failure> {
        let before = self.network.clone();
        let mac = MacAddr([2, 0, 0, 0, 0, 1]);
        let (vendor, client, arch, host, address) = (String::new(), None, None, None, None);
        self.take_next(&Machine { mac, vendor, client, arch, host, address, first_ms: 0 })?;
        *self.network = before;
        Ok(())
    }

    /// Every machine whose firmware asked, in the order in which they asked.
    ///
    /// # Errors
    /// The subnet is full.
    pub(super) fn take_heard(&mut self, heard: &[Machine]) -> Result<(), Failure> {
        for machine in heard.iter().filter(|machine| netboots(machine)) {
            if !self.has(machine.mac) {
                self.take_next(machine)?;
            }
        }
        Ok(())
    }

    /// Learns the wiring: the machine that speaks up after its button was pressed is the next node.
    ///
    /// # Errors
    /// Standard input ended, or the subnet is full.
    pub(super) async fn learn(&mut self, ear: &mut Ear, keyboard: &mut Keyboard) -> Result<(), Failure> {
        out::line("Switch the machines on one by one, in the order in which they shall be numbered.")?;
        loop {
            let (name, at) = (self.next_name(), self.next_place());
            out::line(&format!(
                "Press the button of {name} now (column {}, row {}), or Enter when there are no more.",
                at.0, at.1
            ))?;
            let since = ear.now();
            let machine = loop {
                tokio::select! {
                    line = keyboard.line() => {
                        line?;
                        return Ok(());
                    }
                    () = ear.hear() => {
                        let known: BTreeSet<MacAddr> = self.nodes.iter().map(|node| node.mac).collect();
                        if let Some(machine) = ear.segment.appeared(since, &known) {
                            break machine.clone();
                        }
                    }
                }
            };
            // Firmware follows its first frame with an ask that says what it is.
            if machine.client.is_none() {
                ear.listen(Duration::from_secs(1)).await;
            }
            let machine = ear.segment.machines.get(&machine.mac).cloned().unwrap_or(machine);
            out::line(&format!("  {}", described(&machine)))?;
            let name: NodeName = keyboard.ask("  its name", &name).await?;
            let place: PlaceOnBoard = keyboard
                .ask("  its place on the board, column and row", &format!("{} {}", at.0, at.1))
                .await?;
            self.add(name.to_string(), &machine, (place.0, place.1))?;
        }
    }
}

/// True for a machine whose firmware or ROM asked: only such a one can be a node.
pub(super) fn netboots(machine: &Machine) -> bool {
    machine.client.is_some_and(|client| client.is_firmware() || client == ClientKind::Ipxe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_node_is_read_with_and_without_its_place() {
        let node: NamedNode = "node1=52:54:00:00:00:01@2,1".parse().unwrap();
        assert_eq!(
            (node.name.as_str(), node.mac, node.at),
            ("node1", MacAddr([0x52, 0x54, 0, 0, 0, 1]), Some((2, 1)))
        );
        assert_eq!("n=02:00:00:00:00:01".parse::<NamedNode>().unwrap().at, None);
        for wrong in ["n", "n=x", "n=02:00:00:00:00:01@", "=02:00:00:00:00:01", "n=02:00:00:00:00:01@0,1"] {
            assert!(wrong.parse::<NamedNode>().is_err(), "{wrong}");
        }
    }
}
