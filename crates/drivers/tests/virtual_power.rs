//! The virtual driver with a real QEMU, in a network namespace of its own.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop"
)]

mod lab;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use drivers::channel::{Channel, Unreached};
use drivers::here::Here;
use drivers::power::{DriverReport, Power, PowerCommand, Reveal, tap_name};
use model::{
    CommandId, LabSpec, MacAddr, Mebibytes, NodeName, NodeSpec, Outcome, PortRef, PowerDriver, PowerOrder,
    PowerState, Span, VirtualFirmware,
};
use tokio::sync::mpsc;
use tokio::time::timeout;

const MAC: MacAddr = MacAddr([0x52, 0x54, 0, 1, 2, 3]);
const INSIDE: &str = "LABINATOR_TEST_INSIDE";

fn port() -> PortRef {
    PortRef { driver: "qemu".parse().unwrap(), port: "1".to_owned() }
}

fn no_secrets() -> Reveal {
    Arc::new(|wanted| Err(format!("{wanted} is kept nowhere")))
}

fn lab() -> LabSpec {
    let machine = NodeSpec { mac: MAC, firmware: Some(VirtualFirmware::Bios), ..lab::machine(1, port()) };
    let qemu = PowerDriver::Virtual { memory: Mebibytes(64), stagger: Span(1), disk: None };
    LabSpec { power: [("qemu".parse().unwrap(), qemu)].into(), ..lab::of([machine]) }
}

struct Driver {
    power: Power,
    channel: Channel,
    reports: mpsc::Receiver<DriverReport>,
}

impl Driver {
    fn spawn(state: &Path) -> Self {
        let (tell, reports) = mpsc::channel(16);
        let here = Here::of(&lab(), state);
        let power = Power::spawn(&lab(), &here, &no_secrets(), &tell).unwrap();
        Self { power, channel: Channel::new(Arc::new(|_| None)).beside(here), reports }
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

impl Driver {
    /// What its console says once it has said this.
    async fn console(&self, wanted: &str) -> Vec<u8> {
        let node = node1();
        let mut news = self.channel.consoles().news(&node).unwrap();
        let reading = async {
            loop {
                let all = self.channel.consoles().read(&node, 0, usize::MAX).unwrap();
                if String::from_utf8_lossy(&all.bytes).contains(wanted) {
                    return all.bytes;
                }
                news.changed().await.unwrap();
            }
        };
        timeout(Duration::from_secs(60), reading).await.unwrap()
    }

    /// A whole handshake (RFC 6143 section 7.1 to 7.3) with its screen; returns the name that it shows.
    async fn screen(&self) -> String {
        let (mut to, mut back) = self.channel.screen(&node1()).await.unwrap();
        let mut came = Vec::new();
        let mut take = async |count: usize| {
            while came.len() < count {
                let piece = timeout(Duration::from_secs(30), back.next()).await.unwrap().unwrap();
                came.extend_from_slice(&piece.expect("the screen ended"));
            }
            came.drain(..count).collect::<Vec<u8>>()
        };
        assert_eq!(take(12).await, b"RFB 003.008\n");
        to.send(Bytes::from_static(b"RFB 003.008\n")).await.unwrap();
        let kinds = usize::from(take(1).await[0]);
        assert!(take(kinds).await.contains(&1), "a screen without a password");
        to.send(Bytes::from_static(&[1])).await.unwrap();
        assert_eq!(take(4).await, [0; 4]);
        to.send(Bytes::from_static(&[1])).await.unwrap();
        let init = take(24).await;
        let length = u32::from_be_bytes(init[20..].try_into().unwrap());
        String::from_utf8(take(length.try_into().unwrap()).await).unwrap()
    }
}

fn node1() -> NodeName {
    "node1".parse().unwrap()
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
    // Its firmware writes to the console before anybody can follow it.
    let said = first.console("SeaBIOS").await;
    assert!(first.screen().await.contains("node1"));
    assert_eq!(first.channel.type_into(&node1(), Bytes::from_static(b"x")).await, Ok(()));
    drop(first);

    let mut second = Driver::spawn(state);
    let evidence = second.seen(PowerState::On).await;
    assert!(evidence.ends_with("found again"), "{evidence}");
    assert!(second.console("SeaBIOS").await.starts_with(&said), "from its first byte on");
    assert!(second.screen().await.contains("node1"));
    second.order(2, PowerOrder::On);
    second.done(2).await;
    second.seen(PowerState::On).await;
    second.order(3, PowerOrder::Off);
    second.done(3).await;
    second.seen(PowerState::Off).await;
    assert_eq!(second.channel.screen(&node1()).await.err(), Some(Unreached::Off));
    assert_eq!(second.channel.type_into(&node1(), Bytes::from_static(b"x")).await, Err(Unreached::Off));

    second.order(4, PowerOrder::On);
    second.done(4).await;
    let evidence = second.seen(PowerState::On).await;
    let before = std::fs::read(state.join("node1/console.old")).unwrap();
    assert!(before.starts_with(&said), "the console of the start before is put aside");
    let pid = evidence.split(' ').nth(1).unwrap();
    assert!(Command::new("kill").args(["-9", pid]).status().unwrap().success());
    let evidence = second.seen(PowerState::Off).await;
    assert!(evidence.contains("signal: 9"), "{evidence}");
}
