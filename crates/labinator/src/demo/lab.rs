//! The lab of the demo: the same board each time, so that one run can be compared with another.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use model::{
    BoardSpec, Cell, DhcpMode, DnsSpec, DriverName, ImageRef, LabName, LabSpec, Limits, MacAddr, Mebibytes,
    NameError, NetworkSpec, NodeName, NodeSpec, PortRef, PowerDriver, ScenarioName, ScenarioSpec, Span,
    TalosSpec, VirtualFirmware,
};
use talos::release::{Arch, Minor};

use crate::image::SIMULATED_TALOS;

/// Name of the scenario that is started unless told.
pub const SCENARIO: &str = "demo";
/// Name of the scenario that becomes a Kubernetes cluster on Talos.
pub const PHYSICAL: &str = "physical";
/// Name of the image it boots.
pub const IMAGE: &str = "node";
/// Zones of the demo; each is a column of the board.
const ZONES: u8 = 2;
/// Every zone gets each of them, in this order.
const FIRMWARES: [VirtualFirmware; 3] =
    [VirtualFirmware::Bios, VirtualFirmware::UefiPxe, VirtualFirmware::UefiHttp];
/// What OVMF needs to load an image over HTTP, with room to spare.
const MEMORY: Mebibytes = Mebibytes(512);
/// What simulated Talos keeps: its config, and what etcd holds.
const DISK: Mebibytes = Mebibytes(64);
/// What genuine Talos needs at least, by its documentation.
const GENUINE: (Mebibytes, Mebibytes) = (Mebibytes(2048), Mebibytes(10 * 1024));
/// The release of Talos, simulated or genuine.
const RELEASE: Minor = Minor::V1_13;
/// Files of genuine Talos, as its releases call them.
pub(super) const ASSETS: [&str; 2] = ["vmlinuz-amd64", "initramfs-amd64.xz"];
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
    let release = format!("1.{}", RELEASE.number());
    let mut names: Vec<NodeName> = board.keys().cloned().collect();
    names.sort_by_key(|name| board.get(name).map(|node: &NodeSpec| (node.at.row, node.at.column)));
    let physical = ScenarioSpec {
        nodes: names.clone(),
        image: ImageRef::Named(SIMULATED_TALOS.to_owned()),
        args: format!("simulated-talos.release={release}"),
        enough: u16::from(nodes),
        system: model::SystemSpec::default(),
        talos: Some(TalosSpec {
            version: release,
            kubernetes: None,
            control_plane: names.iter().take(control_planes(nodes)).cloned().collect(),
            endpoint: None,
            patches: Vec::new(),
            install: Vec::new(),
            proof: model::Proof::default(),
            carrier: model::ConfigCarrier::Push,
        }),
    };
    let scenario = ScenarioSpec {
        nodes: names,
        image: ImageRef::Named(IMAGE.to_owned()),
        args: String::new(),
        enough: u16::from(nodes),
        system: model::SystemSpec::default(),
        talos: None,
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
            (PHYSICAL.parse::<ScenarioName>()?, physical),
        ]
        .into(),
        limits: Limits::default(),
        variables: model::Variables::default(),
    })
}

/// Three where there is a machine to spare for work: one that is lost does not matter then. Two would be worse than
/// one, for both are needed.
fn control_planes(nodes: u8) -> usize {
    if nodes > 3 { 3 } else { 1 }
}

/// The same lab with genuine Talos, whose kernel and initramfs lie in `folder`, on machines that are large enough.
pub fn with_genuine_talos(spec: &mut LabSpec, folder: &Path) {
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let [kernel, initramfs] = ASSETS.map(path);
    // The virtual nodes have a serial port, and what Talos says there is kept. On a busy computer an emulated timer
    // misses its ticks, and a kernel that checks it stops before its first word.
    let mut args = RELEASE.kernel_args(Arch::Amd64);
    args.extend(["console=ttyS0", "no_timer_check"]);
    for scenario in spec.scenarios.values_mut().filter(|scenario| scenario.talos.is_some()) {
        scenario.args.clear();
        scenario.image = ImageRef::Files {
            kernel: Some(kernel.clone()),
            initrd: vec![initramfs.clone()],
            uki: None,
            args: args.join(" "),
        };
    }
    for driver in spec.power.values_mut() {
        if let PowerDriver::Virtual { memory, disk, .. } = driver {
            (*memory, *disk) = (GENUINE.0, Some(GENUINE.1));
        }
    }
}

/// Files of genuine Talos that a folder lacks.
#[must_use]
pub(super) fn absent_assets(folder: &Path) -> Vec<PathBuf> {
    ASSETS.map(|name| folder.join(name)).into_iter().filter(|path| !path.is_file()).collect()
}

/// Memory that genuine Talos needs on so many machines, in MiB.
#[must_use]
pub(super) fn genuine_memory_mib(nodes: u8) -> u64 {
    u64::from(GENUINE.0.0) * u64::from(nodes)
}

fn address(last: u8) -> Ipv4Addr {
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
    fn the_cluster_has_three_control_planes_where_a_machine_is_left_for_work() {
        let of = |nodes| {
            let lab = lab(nodes).unwrap();
            let physical = &lab.scenarios[&PHYSICAL.parse().unwrap()];
            let names = physical.talos.as_ref().unwrap().control_plane.iter().map(|node| node.to_string());
            (names.collect::<Vec<_>>().join(" "), physical.nodes.len())
        };
        assert_eq!(of(1), ("node1".to_owned(), 1));
        assert_eq!(of(3), ("node1".to_owned(), 3));
        assert_eq!(of(4), ("node1 node2 node3".to_owned(), 4));
        assert_eq!(of(6), ("node1 node2 node3".to_owned(), 6));
    }

    #[test]
    fn genuine_talos_boots_its_own_files_on_larger_machines_and_the_other_scenario_stays() {
        let (before, mut lab) = (lab(2).unwrap(), lab(2).unwrap());
        with_genuine_talos(&mut lab, Path::new("/assets"));
        let physical = &lab.scenarios[&PHYSICAL.parse().unwrap()];
        let ImageRef::Files { kernel, initrd, uki, args } = &physical.image else { unreachable!() };
        assert_eq!(kernel.as_deref(), Some("/assets/vmlinuz-amd64"));
        assert_eq!((initrd.as_slice(), uki), (["/assets/initramfs-amd64.xz".to_owned()].as_slice(), &None));
        assert!(
            args.starts_with("talos.platform=metal ") && args.contains(" slab_nomerge pti=on "),
            "{args}"
        );
        assert_eq!(physical.args, "", "nothing of the simulation is left");
        let driver = lab.power.values().next().unwrap();
        let PowerDriver::Virtual { memory, disk, .. } = driver else { unreachable!() };
        assert_eq!((memory.0, disk.unwrap().0), (2048, 10240));
        let demo = SCENARIO.parse().unwrap();
        assert_eq!(lab.scenarios[&demo], before.scenarios[&demo]);
    }

    #[test]
    fn one_node_is_a_lab_too() {
        let lab = lab(1).unwrap();
        assert_eq!((lab.board.columns, lab.board.rows, lab.board.nodes.len()), (1, 1, 1));
    }
}
