//! The lab of the demo: the same board each time, so that one run can be compared with another.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::cluster;
use model::{
    BoardSpec, Cell, DhcpMode, DnsSpec, DriverName, ImageRef, LabName, LabSpec, Limits, MacAddr, Mebibytes,
    NameError, NetworkSpec, NodeName, NodeSpec, PortRef, PowerDriver, ScenarioName, ScenarioSpec, Span,
    VirtualFirmware,
};

/// Name of the scenario that is started unless told.
pub const SCENARIO: &str = "demo";
/// Name of the image it boots.
pub const IMAGE: &str = "node";
/// How many nodes unless told: each firmware in each zone.
pub(super) const NODES: u8 = 6;
/// Zones of the demo; each is a column of the board.
const ZONES: u8 = 2;
/// Every zone gets each of them, in this order.
const FIRMWARES: [VirtualFirmware; 3] =
    [VirtualFirmware::Bios, VirtualFirmware::UefiPxe, VirtualFirmware::UefiHttp];
/// What OVMF needs to load an image over HTTP, with room to spare.
const MEMORY: Mebibytes = Mebibytes(512);
/// What simulated Talos keeps: its config, and what etcd holds.
const DISK: Mebibytes = Mebibytes(64);
/// The demo's own domain; machines find the cluster by a name in it.
const DOMAIN: &str = "demo.internal";
const SUBNET: [u8; 3] = [10, 77, 0];

/// A lab of `nodes` virtual machines: node 1 at 10.77.0.11, and so on.
///
/// # Errors
/// Never for the names written here; the type of names says it all the same.
pub fn lab(nodes: u8) -> Result<LabSpec, NameError> {
    let driver: DriverName = "qemu".parse()?;
    let mut board = BTreeMap::new();
    for number in 1..=nodes {
        board.insert(format!("node{number}").parse::<NodeName>()?, node(number, &driver));
    }
    let mut names: Vec<NodeName> = board.keys().cloned().collect();
    names.sort_by_key(|name| board.get(name).map(|node: &NodeSpec| (node.at.row, node.at.column)));
    let physical = cluster::scenario(&names);
    let scenario = ScenarioSpec {
        nodes: names,
        image: ImageRef::Named(IMAGE.to_owned()),
        args: String::new(),
        enough: u16::from(nodes),
        system: model::SystemSpec::default(),
        talos: None,
        hypervisors: Vec::new(),
        hypervisor_image: None,
        hypervisor_args: String::new(),
        guests: BTreeMap::new(),
        wipe_before_use: false,
        park: None,
    };
    let rows = nodes.div_ceil(ZONES).max(1);
    Ok(LabSpec {
        lab: "demo".parse::<LabName>()?,
        network: network(),
        power: [(driver, PowerDriver::Virtual { memory: MEMORY, stagger: Span(100), disk: Some(DISK) })]
            .into(),
        board: BoardSpec { columns: ZONES.min(nodes.max(1)), rows, nodes: board },
        scenarios: [
            (SCENARIO.parse::<ScenarioName>()?, scenario),
            (cluster::PHYSICAL.parse::<ScenarioName>()?, physical),
        ]
        .into(),
        limits: Limits::default(),
        variables: model::Variables::default(),
        agent_updates: model::AgentUpdates::default(),
        switch: [].into(),
        secure_boot: model::SecureBootRule::default(),
        pdudaemon: None,
        logs: model::LogsSpec::default(),
    })
}

pub(super) fn address(last: u8) -> Ipv4Addr {
    let [a, b, c] = SUBNET;
    Ipv4Addr::new(a, b, c, last)
}

/// The demo has its own network namespace, so these addresses clash with nobody's.
fn network() -> NetworkSpec {
    NetworkSpec {
        interface: "br0".to_owned(),
        subnet: address(0),
        prefix: 24,
        boss: address(1),
        gateway: None,
        dns: vec![address(1)],
        domain: Some(DOMAIN.to_owned()),
        names: Some(DnsSpec { domain: DOMAIN.to_owned(), forward: Vec::new(), ingress: Vec::new() }),
        ntp: model::NtpMode::Off,
        pool: Some((address(100), address(199))),
        dhcp: DhcpMode::Authoritative,
        lease_seconds: 600,
        relays: Vec::new(),
        tftp: model::TftpPorts::default(),
        ipv6: None,
    }
}

fn node(number: u8, driver: &DriverName) -> NodeSpec {
    let index = number - 1;
    let column = index % ZONES + 1;
    let at = Cell { column, row: index / ZONES + 1 };
    NodeSpec {
        disk: Some("/dev/vda".to_owned()),
        at,
        zone: Some(column),
        // Locally administered, and within the block QEMU uses, so that people recognise it.
        mac: MacAddr([0x52, 0x54, 0x00, 0x4c, 0x41, number]),
        ip: address(10 + number),
        ip6: None,
        power: PortRef { driver: driver.clone(), port: number.to_string() },
        loader: model::LoaderChoice::Ipxe,
        guest: None,
        port: None,
        memory: None,
        firmware: FIRMWARES.get(usize::from(index) % FIRMWARES.len()).copied(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_nodes_have_every_firmware_twice_once_in_each_zone() {
        let lab = lab(6).unwrap();
        let mut kinds: Vec<_> =
            lab.board.nodes.values().map(|n| (n.zone, format!("{:?}", n.firmware.unwrap()))).collect();
        kinds.sort();
        kinds.dedup();
        assert_eq!(kinds.len(), 6);
        assert_eq!((lab.board.columns, lab.board.rows), (2, 3));
    }

    #[test]
    fn the_largest_board_stays_within_its_network_and_clashes_with_nothing() {
        let lab = lab(24).unwrap();
        let mut addresses: Vec<_> = lab.board.nodes.values().map(|node| node.ip).collect();
        addresses.push(lab.network.boss);
        addresses.push(lab.network.pool.unwrap().0);
        let count = addresses.len();
        assert!(addresses.iter().all(|ip| lab.network.holds(*ip)));
        addresses.sort();
        addresses.dedup();
        assert_eq!(addresses.len(), count);
        let order: Vec<_> =
            lab.scenarios.values().next().unwrap().nodes.iter().map(NodeName::as_str).collect();
        assert_eq!(order[..3], ["node1", "node2", "node3"]);
        assert_eq!(order[23], "node24");
    }

    #[test]
    fn one_node_is_a_lab_too() {
        let lab = lab(1).unwrap();
        assert_eq!((lab.board.columns, lab.board.rows, lab.board.nodes.len()), (1, 1, 1));
    }
}
