//! The demo's hypervisors: its machines boot the image of hypervisors, and each runs a guest. A guest is emulated by what
//! is emulated itself, so everything here is small and may take its time.

use std::collections::BTreeSet;

use model::{
    DriverName, GUESTS_DRIVER, GuestBoot, GuestNic, GuestSpec, ImageRef, LabSpec, Limits, Mebibytes,
    NameError, NodeName, NodeSpec, PortRef, PowerDriver, ScenarioName, ScenarioSpec, Span,
};

use super::cluster::PHYSICAL;
use super::lab::{IMAGE, address};
use crate::config::identity;
use crate::image::Live;

/// Name of the scenario whose machines run others.
pub const VIRTUAL: &str = "virtual";
/// A machine holds the packed image twice while its kernel unpacks it, and afterwards its system, one guest and QEMU. What
/// it never writes to takes nothing of this computer's.
const MEMORY: Mebibytes = Mebibytes(1280);
/// What the image of nodes needs.
const GUEST: Mebibytes = Mebibytes(256);
/// What a kernel says is kept, and a kernel that checks an emulated timer stops before its first word on a busy computer.
const ARGUMENTS: &str = "console=ttyS0 no_timer_check";
/// Last byte of the address of the guest in node 1, less one.
const ADDRESSES: u8 = 40;
/// Unless told: a second one takes as much of this computer as the first.
pub(super) const NODES: u8 = 1;

/// One machine and its guest take some five minutes of one processor's time. On a computer with ten times the work that
/// it has processors for, the guest alone takes half an hour.
const LIMITS: Limits = Limits {
    power: Span::secs(120),
    first_ask: Span::secs(300),
    fetch: Span::secs(600),
    start: Span::secs(3600),
    silence: Span::secs(90),
    lost: Span::secs(300),
    install: Span::secs(1800),
    join: Span::secs(900),
    pods: Span::secs(900),
    tries: 2,
};

/// The image that its machines boot; guests boot [`IMAGE`].
pub(super) const fn image() -> &'static str {
    Live::Hypervisor.name()
}

/// The same lab with the scenario [`VIRTUAL`] and its guests, on machines that are large enough, with time enough.
///
/// # Errors
/// Never for the names written here.
pub(super) fn with_guests(spec: &mut LabSpec) -> Result<(), NameError> {
    let driver: DriverName = GUESTS_DRIVER.parse()?;
    let mut hosts: Vec<(NodeName, NodeSpec)> =
        spec.board.nodes.iter().map(|(name, node)| (name.clone(), node.clone())).collect();
    hosts.sort_by_key(|(_, node)| (node.at.row, node.at.column));
    let mut macs: BTreeSet<_> = hosts.iter().map(|(_, node)| node.mac).collect();
    let mut scenario = ScenarioSpec {
        nodes: hosts.iter().map(|(name, _)| name.clone()).collect(),
        image: ImageRef::Named(IMAGE.to_owned()),
        args: String::new(),
        enough: 0,
        system: model::SystemSpec::default(),
        talos: None,
        hypervisors: hosts.iter().map(|(name, _)| name.clone()).collect(),
        hypervisor_image: Some(ImageRef::Named(image().to_owned())),
        hypervisor_args: ARGUMENTS.to_owned(),
        guests: std::collections::BTreeMap::new(),
        wipe_before_use: false,
        park: None,
    };
    for ((host, node), number) in hosts.into_iter().zip(1_u8..) {
        let guest: NodeName = format!("g{number}").parse()?;
        let (uuid, mac) = identity(&spec.lab, &guest, &mut macs);
        let made = NodeSpec {
            mac,
            ip: address(ADDRESSES + number),
            power: PortRef { driver: driver.clone(), port: guest.to_string() },
            firmware: None,
            guest: Some(uuid),
            ..node
        };
        spec.board.nodes.insert(guest.clone(), made);
        if let Some(node) = spec.board.nodes.get_mut(&host) {
            node.memory = Some(MEMORY);
        }
        let runs = GuestSpec {
            host,
            memory: GUEST,
            cpus: 1,
            disk: None,
            nic: GuestNic::Virtio,
            boot: GuestBoot::Kernel,
            watchdog: false,
        };
        scenario.nodes.push(guest.clone());
        scenario.guests.insert(guest, runs);
    }
    scenario.enough = u16::try_from(scenario.nodes.len()).unwrap_or(u16::MAX);
    spec.scenarios.insert(VIRTUAL.parse::<ScenarioName>()?, scenario);
    // Its image is not asked for here, and nobody is to be told that it is missing.
    spec.scenarios.remove(&PHYSICAL.parse::<ScenarioName>()?);
    spec.power.insert(driver, PowerDriver::Guests);
    spec.limits = LIMITS;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::lab::{SCENARIO, lab};
    use super::*;
    use model::memory_for_guests;

    #[test]
    fn every_machine_runs_one_guest_that_clashes_with_nothing_and_fits_into_its_memory() {
        let mut spec = lab(24).unwrap();
        let before = spec.clone();
        with_guests(&mut spec).unwrap();
        let scenario = &spec.scenarios[&VIRTUAL.parse().unwrap()];
        assert_eq!((scenario.hypervisors.len(), scenario.guests.len(), scenario.enough), (24, 24, 48));
        assert_eq!(scenario.members().count(), 24, "what boots the image of nodes are the guests");
        for (name, guest) in &scenario.guests {
            let (host, node) = (&spec.board.nodes[&guest.host], &spec.board.nodes[name]);
            assert_eq!((host.at, host.guest.is_none(), node.guest.is_some()), (node.at, true, true));
            assert!(memory_for_guests(&[guest.memory.0]) <= host.memory.unwrap().0);
        }
        let nodes = || spec.board.nodes.values();
        assert_eq!(nodes().map(|node| node.mac).collect::<BTreeSet<_>>().len(), 48);
        assert_eq!(nodes().map(|node| node.ip).collect::<BTreeSet<_>>().len(), 48);
        let (first, last) = spec.network.pool.unwrap();
        assert!(nodes().all(|node| spec.network.holds(node.ip) && !(first..=last).contains(&node.ip)));
        let demo = SCENARIO.parse().unwrap();
        assert_eq!(spec.scenarios[&demo], before.scenarios[&demo]);
        assert!(!spec.scenarios.keys().any(|name| name.as_str() == PHYSICAL), "its image is not needed here");
    }
}
