//! The demo's segment: a bridge with the boss's address, and a tap for each machine.

use std::fs;
use std::path::Path;
use std::time::Duration;

use drivers::power::tap_name;
use drivers::process::{Program, run_once};
use model::LabSpec;

use super::DemoError;

pub(super) const IP: Program = Program::new("ip", "iproute2");
const LIMIT: Duration = Duration::from_secs(20);
/// Without an address of its own a bridge takes that of a port, and another one when the port goes.
const BRIDGE_MAC: &str = "52:54:00:4c:41:fe";

/// Makes the segment in the network namespace this process is in. `state` takes the list of commands.
///
/// # Errors
/// [`DemoError`]: no right to, or `ip` is missing.
pub async fn raise(spec: &LabSpec, state: &Path) -> Result<(), DemoError> {
    let path = state.join("network.batch");
    fs::write(&path, batch(spec)).map_err(DemoError::io(path.display().to_string()))?;
    run_once(IP, [Path::new("-batch"), &path], LIMIT).await?;
    Ok(())
}

/// One `ip` command a line; guests are plugged in by their hypervisors. The bridge forwards at once and floods multicast: nothing here learns or
/// blocks, so no boot waits for a switch.
fn batch(spec: &LabSpec) -> String {
    let network = &spec.network;
    let bridge = &network.interface;
    let mut lines = vec![
        "link set lo up".to_owned(),
        format!(
            "link add {bridge} address {BRIDGE_MAC} type bridge stp_state 0 forward_delay 0 mcast_snooping 0"
        ),
        format!("addr add {}/{} broadcast + dev {bridge}", network.boss, network.prefix),
        format!("link set {bridge} up"),
    ];
    for node in spec.board.nodes.values().filter(|node| node.guest.is_none()) {
        let tap = tap_name(node.mac);
        lines.push(format!("tuntap add {tap} mode tap"));
        lines.push(format!("link set {tap} master {bridge} up"));
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_hangs_on_the_bridge_by_a_tap_of_its_own() {
        let text = batch(&crate::demo::lab(3).unwrap());
        assert!(text.contains("addr add 10.77.0.1/24 broadcast + dev br0\n"));
        assert_eq!(text.matches("tuntap add tap-").count(), 3);
        assert_eq!(text.matches(" master br0 up\n").count(), 3);
        let mut spec = crate::demo::lab(3).unwrap();
        crate::demo::hypervisor::with_guests(&mut spec).unwrap();
        assert_eq!(batch(&spec), text);
    }
}
