//! One switch, driven through the door that the lab uses.

#[path = "../lab/mod.rs"]
mod lab;

use std::sync::Arc;
use std::time::Duration;

use drivers::power::{DriverReport, Reveal};
use drivers::switch::{Ports, Switches};
use model::{
    CommandId, DeviceSight, DriverName, LabSpec, LinkReading, MacAddr, NodeName, NodeSpec, Outcome, PortRef,
    PowerDriver, Secret, Span, SwitchKind, SwitchSpec,
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

fn lab_of(kind: SwitchKind, ports: &[&str], every: Span) -> LabSpec {
    let machine = |(number, port): (u8, &&str)| {
        let power = PortRef { driver: "hand".parse().unwrap(), port: number.to_string() };
        let port = PortRef { driver: name(), port: (*port).to_owned() };
        NodeSpec { port: Some(port), ..lab::machine(number, power) }
    };
    let switch = SwitchSpec { kind, boss: None, uplink: None, protect: [].into(), every };
    LabSpec {
        power: [("hand".parse().unwrap(), PowerDriver::Manual)].into(),
        switch: [(name(), switch)].into(),
        ..lab::of((1..).zip(ports).map(machine))
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
        Self::every(kind, ports, secret, 300)
    }

    /// The same, looked at so seldom, in milliseconds.
    pub(crate) fn every(kind: SwitchKind, ports: &[&str], secret: &'static str, every: u64) -> Self {
        let (tell, reports) = mpsc::channel(256);
        let reveal: Reveal = Arc::new(move |_| Ok(Secret::new(secret.as_bytes().to_vec())));
        let own = [MacAddr([2, 0, 0, 0, 0, 0xfe])];
        let switches = Switches::spawn(&lab_of(kind, ports, Span(every)), &own, &reveal, &tell);
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
