//! The demo's cluster: a Kubernetes on Talos, simulated or genuine, of the same machines.

use std::path::{Path, PathBuf};

use model::{ImageRef, LabSpec, Mebibytes, NodeName, PowerDriver, ScenarioSpec, TalosSpec};
use talos::release::Minor;

use crate::image::SIMULATED_TALOS;

/// Name of the scenario that becomes a Kubernetes cluster on Talos.
pub const PHYSICAL: &str = "physical";
/// What genuine Talos needs at least, by its documentation.
const GENUINE: (Mebibytes, Mebibytes) = (Mebibytes(2048), Mebibytes(10 * 1024));
/// The release of Talos, simulated or genuine.
const RELEASE: Minor = Minor::V1_13;
/// Files of genuine Talos, as its releases call them.
pub(super) const ASSETS: [&str; 2] = ["vmlinuz-amd64", "initramfs-amd64.xz"];

/// The scenario of these machines, in the board's order.
pub(super) fn scenario(nodes: &[NodeName]) -> ScenarioSpec {
    let release = format!("1.{}", RELEASE.number());
    ScenarioSpec {
        nodes: nodes.to_vec(),
        image: ImageRef::Named(SIMULATED_TALOS.to_owned()),
        args: format!("simulated-talos.release={release}"),
        enough: u16::try_from(nodes.len()).unwrap_or(u16::MAX),
        system: model::SystemSpec::default(),
        talos: Some(TalosSpec {
            version: release,
            kubernetes: None,
            control_plane: nodes.iter().take(control_planes(nodes.len())).cloned().collect(),
            endpoint: None,
            patches: Vec::new(),
            install: Vec::new(),
            proof: model::Proof::default(),
            carrier: model::ConfigCarrier::Push,
            park_by_reset: false,
            inline: None,
        }),
        hypervisors: Vec::new(),
        hypervisor_image: None,
        hypervisor_args: String::new(),
        guests: std::collections::BTreeMap::new(),
        wipe_before_use: false,
        park: None,
    }
}

/// Three where there is a machine to spare for work: one that is lost does not matter then. Two would be worse than
/// one, for both are needed.
fn control_planes(nodes: usize) -> usize {
    if nodes > 3 { 3 } else { 1 }
}

/// The same lab with genuine Talos, whose kernel and initramfs lie in `folder`, on machines that are large enough.
pub fn with_genuine_talos(spec: &mut LabSpec, folder: &Path) {
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let [kernel, initramfs] = ASSETS.map(path);
    // The virtual nodes have a serial port, and what Talos says there is kept. On a busy computer an emulated timer
    // misses its ticks, and a kernel that checks it stops before its first word. What the release wants is added to
    // every image of a cluster.
    let args = "console=ttyS0 no_timer_check";
    for scenario in spec.scenarios.values_mut().filter(|scenario| scenario.talos.is_some()) {
        scenario.args.clear();
        scenario.image = ImageRef::Files {
            kernel: Some(kernel.clone()),
            initrd: vec![initramfs.clone()],
            uki: None,
            args: args.to_owned(),
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

#[cfg(test)]
mod tests {
    use super::super::lab::{SCENARIO, lab};
    use super::*;

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
        assert_eq!(args, "console=ttyS0 no_timer_check");
        assert_eq!(physical.args, "", "nothing of the simulation is left");
        let driver = lab.power.values().next().unwrap();
        let PowerDriver::Virtual { memory, disk, .. } = driver else { unreachable!() };
        assert_eq!((memory.0, disk.unwrap().0), (2048, 10240));
        let demo = SCENARIO.parse().unwrap();
        assert_eq!(lab.scenarios[&demo], before.scenarios[&demo]);
    }
}
