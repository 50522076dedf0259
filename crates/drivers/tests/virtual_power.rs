//! The virtual driver with a real QEMU, in a network namespace of its own.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use drivers::power::{DriverReport, Power, PowerCommand, tap_name};
use model::{
    BoardSpec, Cell, CommandId, DhcpMode, LabSpec, Limits, MacAddr, Mebibytes, NetworkSpec, NodeSpec,
    Outcome, PortRef, PowerDriver, PowerOrder, PowerState, Span, VirtualFirmware,
};
use tokio::sync::mpsc;
use tokio::time::timeout;

const MAC: MacAddr = MacAddr([0x52, 0x54, 0, 1, 2, 3]);
const INSIDE: &str = "LABINATOR_TEST_INSIDE";

fn port() -> PortRef {
    PortRef { driver: "qemu".parse().unwrap(), port: "1".to_owned() }
}

fn lab() -> LabSpec {
    let node = NodeSpec {
        disk: None,
        at: Cell { column: 1, row: 1 },
        zone: None,
        mac: MAC,
        ip: [10, 77, 0, 11].into(),
        ip6: None,
        power: port(),
        guest: None,
        memory: None,
        firmware: Some(VirtualFirmware::Bios),
    };
    LabSpec {
        lab: "test".parse().unwrap(),
        network: NetworkSpec {
            interface: "br0".to_owned(),
            subnet: [10, 77, 0, 0].into(),
            prefix: 24,
            boss: [10, 77, 0, 1].into(),
            gateway: None,
            dns: Vec::new(),
            domain: None,
            names: None,
            ntp: model::NtpMode::Off,
            pool: None,
            dhcp: DhcpMode::Off,
            lease_seconds: 600,
            relays: Vec::new(),
            tftp: model::TftpPorts::default(),
            ipv6: None,
        },
        power: [(
            "qemu".parse().unwrap(),
            PowerDriver::Virtual { memory: Mebibytes(64), stagger: Span(1), disk: None },
        )]
        .into(),
        board: BoardSpec { columns: 1, rows: 1, nodes: [("node1".parse().unwrap(), node)].into() },
        scenarios: [].into(),
        limits: Limits::default(),
        variables: model::Variables::default(),
    }
}

struct Driver {
    power: Power,
    reports: mpsc::Receiver<DriverReport>,
}

impl Driver {
    fn spawn(state: &Path) -> Self {
        let (tell, reports) = mpsc::channel(16);
        Self { power: Power::spawn(&lab(), state, &tell).unwrap(), reports }
    }

    fn order(&self, id: u64, order: PowerOrder) {
        let command = PowerCommand { id: CommandId(id), node: "node1".parse().unwrap(), port: port(), order };
        self.power.order(&command).unwrap();
    }

    async fn next(&mut self) -> DriverReport {
        timeout(Duration::from_secs(30), self.reports.recv()).await.unwrap().unwrap()
    }

    async fn seen(&mut self, wanted: PowerState) -> String {
        match self.next().await {
            DriverReport::PowerSeen { state, evidence, .. } if state == wanted => evidence,
            other => panic!("{wanted} was to be seen, not {other:?}"),
        }
    }

    async fn done(&mut self, number: u64) {
        let wanted = DriverReport::Finished { id: CommandId(number), outcome: Outcome::Done };
        assert_eq!(self.next().await, wanted);
    }
}

#[test]
#[ignore = "boots QEMU; run by xtask's e2e-qemu stage"]
fn a_virtual_machine_outlives_its_driver_and_is_found_again() {
    if std::env::var_os(INSIDE).is_none() {
        let status = Command::new("unshare")
            .args("--user --map-root-user --net --pid --fork --mount-proc --kill-child=SIGKILL".split(' '))
            .arg(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "a_virtual_machine_outlives_its_driver_and_is_found_again"])
            .env(INSIDE, "1")
            .status()
            .unwrap();
        assert!(status.success());
        return;
    }
    let tap = ["tuntap", "add", &tap_name(MAC), "mode", "tap"];
    assert!(Command::new("ip").args(tap).status().unwrap().success());
    let state = std::env::temp_dir().join(format!("drivers-power-{}", std::process::id()));
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(story(&state));
    std::fs::remove_dir_all(&state).unwrap();
}

async fn story(state: &Path) {
    let mut first = Driver::spawn(state);
    first.seen(PowerState::Off).await;
    first.order(1, PowerOrder::On);
    first.done(1).await;
    let evidence = first.seen(PowerState::On).await;
    assert!(evidence.starts_with("QEMU ") && evidence.ends_with(" runs"), "{evidence}");
    drop(first);

    let mut second = Driver::spawn(state);
    let evidence = second.seen(PowerState::On).await;
    assert!(evidence.ends_with("found again"), "{evidence}");
    second.order(2, PowerOrder::On);
    second.done(2).await;
    second.seen(PowerState::On).await;
    second.order(3, PowerOrder::Off);
    second.done(3).await;
    second.seen(PowerState::Off).await;

    second.order(4, PowerOrder::On);
    second.done(4).await;
    let evidence = second.seen(PowerState::On).await;
    let pid = evidence.split(' ').nth(1).unwrap();
    assert!(Command::new("kill").args(["-9", pid]).status().unwrap().success());
    let evidence = second.seen(PowerState::Off).await;
    assert!(evidence.contains("signal: 9"), "{evidence}");
}
