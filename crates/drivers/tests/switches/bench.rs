//! One switch, driven through the door that the lab uses.

use std::sync::Arc;
use std::time::Duration;

use drivers::power::{DriverReport, Reveal};
use drivers::switch::{Ports, Switches};
use model::{
    BoardSpec, Cell, CommandId, DeviceSight, DhcpMode, DriverName, LabSpec, Limits, LinkReading, MacAddr,
    NetworkSpec, NodeName, NodeSpec, Outcome, PortRef, PowerDriver, Secret, Span, SwitchKind, SwitchSpec,
};
use sim::switch::Plugged;
use tokio::sync::mpsc;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(60);

fn name() -> DriverName {
    "core".parse().unwrap()
}

/// Somebody with this last byte of an address, who speaks.
pub(crate) fn plugged(last: u8, mbit: u32) -> Plugged {
    Plugged { macs: vec![MacAddr([2, 0, 0, 0, 0, last])], mbit, speaks: true }
}

fn lab(kind: SwitchKind, ports: &[&str]) -> LabSpec {
    let node = |number: u8, port: &str| NodeSpec {
        disk: None,
        at: Cell { column: number, row: 1 },
        zone: None,
        mac: MacAddr([2, 0, 0, 0, 0, number]),
        ip: [10, 77, 0, number].into(),
        ip6: None,
        power: PortRef { driver: "hand".parse().unwrap(), port: number.to_string() },
        port: Some(PortRef { driver: name(), port: port.to_owned() }),
        loader: model::LoaderChoice::Ipxe,
        guest: None,
        memory: None,
        firmware: None,
    };
    let nodes = (1_u8..).zip(ports).map(|(n, port)| (format!("node{n}").parse().unwrap(), node(n, port)));
    let switch = SwitchSpec { kind, boss: None, uplink: None, protect: [].into(), every: Span(300) };
    LabSpec {
        lab: "test".parse().unwrap(),
        network: NetworkSpec {
            interface: "br0".to_owned(),
            subnet: [10, 77, 0, 0].into(),
            prefix: 24,
            boss: [10, 77, 0, 250].into(),
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
        power: [("hand".parse().unwrap(), PowerDriver::Manual)].into(),
        switch: [(name(), switch)].into(),
        pdudaemon: None,
        board: BoardSpec { columns: 8, rows: 1, nodes: nodes.collect() },
        scenarios: [].into(),
        limits: Limits::default(),
        variables: model::Variables::default(),
        agent_updates: model::AgentUpdates::default(),
        secure_boot: model::SecureBootRule::default(),
    }
}

/// A switch that is driven.
pub(crate) struct Driven {
    switches: Switches,
    reports: mpsc::Receiver<DriverReport>,
    orders: u64,
    /// Reports that were passed over while others were waited for.
    passed: Vec<DriverReport>,
}

impl Driven {
    /// Drives a switch with one machine on each of these ports.
    pub(crate) fn new(kind: SwitchKind, ports: &[&str], secret: &'static str) -> Self {
        let (tell, reports) = mpsc::channel(256);
        let reveal: Reveal = Arc::new(move |_| Ok(Secret::new(secret.as_bytes().to_vec())));
        let own = [MacAddr([2, 0, 0, 0, 0, 0xfe])];
        let switches = Switches::spawn(&lab(kind, ports), &own, &reveal, &tell);
        Self { switches, reports, orders: 0, passed: Vec::new() }
    }

    async fn next(&mut self, what: &str) -> DriverReport {
        let report = timeout(LIMIT, self.reports.recv()).await;
        report.unwrap_or_else(|_| panic!("no report of {what}; passed: {:?}", self.passed)).unwrap()
    }

    /// What is told of a machine's link next.
    pub(crate) async fn link(&mut self, number: u8) -> LinkReading {
        let wanted: NodeName = format!("node{number}").parse().unwrap();
        let is =
            |report: &DriverReport| matches!(report, DriverReport::LinkSeen { node, .. } if *node == wanted);
        let place = self.passed.iter().position(is);
        let report = match place {
            Some(place) => self.passed.remove(place),
            None => loop {
                let report = self.next("a link").await;
                if is(&report) {
                    break report;
                }
                self.passed.push(report);
            },
        };
        match report {
            DriverReport::LinkSeen { link, .. } => link,
            other => panic!("{other:?}"),
        }
    }

    /// How the switch is next seen to stand.
    pub(crate) async fn sight(&mut self) -> DeviceSight {
        loop {
            match self.next("a sight").await {
                DriverReport::DeviceSeen { sight, .. } => return sight,
                other => self.passed.push(other),
            }
        }
    }

    /// Orders, and waits for the end of it.
    pub(crate) async fn set(&mut self, port: &str, on: bool) -> Outcome {
        self.orders += 1;
        let number = CommandId(self.orders);
        let port = PortRef { driver: name(), port: port.to_owned() };
        self.switches.order(number, &port, on).unwrap();
        loop {
            match self.next("an outcome").await {
                DriverReport::Finished { id, outcome } if id == number => return outcome,
                other => self.passed.push(other),
            }
        }
    }

    /// A look with everything.
    pub(crate) async fn look(&mut self) -> Ports {
        let ports = timeout(LIMIT, self.switches.look(&name())).await.unwrap().unwrap();
        assert_eq!(ports.lost, None);
        ports
    }

    /// Copies a port.
    pub(crate) async fn mirror(&mut self, copy: Option<(&str, &str)>) -> Result<(), (&'static str, String)> {
        let copy = copy.map(|(from, to)| (from.to_owned(), to.to_owned()));
        self.switches.mirror(&name(), copy).await
    }
}

/// Code and reason of an order that failed.
pub(crate) fn failed(outcome: Outcome) -> (String, String) {
    match outcome {
        Outcome::Failed { code, why } => (code, why),
        other => panic!("it was to fail, not {other:?}"),
    }
}

/// Code and reason of a switch that is lost.
pub(crate) fn lost(sight: DeviceSight) -> (String, String) {
    match sight {
        DeviceSight::Lost { code, why } => (code, why),
        other => panic!("it was to be lost, not {other:?}"),
    }
}
