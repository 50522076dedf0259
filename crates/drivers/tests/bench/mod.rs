//! One device, driven through the door that the lab uses.

#[path = "../lab/mod.rs"]
mod lab;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use drivers::here::Here;
use drivers::power::{DriverReport, Power, PowerCommand, Reveal};
use model::{
    CommandId, DeviceKind, DeviceSight, DeviceSpec, LabSpec, Outcome, PortReading, PortRef, PowerDriver,
    PowerOrder, Secret, SecretRef, Span,
};
use tokio::sync::mpsc;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(60);

/// A secret that [`Driven`] knows.
pub(crate) fn kept(name: &str) -> SecretRef {
    SecretRef::Kept(name.to_owned())
}

fn port(name: &str) -> PortRef {
    PortRef { driver: "device".parse().unwrap(), port: name.to_owned() }
}

fn lab_of(kind: DeviceKind, ports: &[&str]) -> LabSpec {
    let device = DeviceSpec { kind, stagger: Span(0), protect: [].into(), standby: None };
    let machines = (1..).zip(ports).map(|(number, name)| lab::machine(number, port(name)));
    LabSpec { power: [("device".parse().unwrap(), PowerDriver::Device(device))].into(), ..lab::of(machines) }
}

/// A device that is driven.
pub(crate) struct Driven {
    power: Power,
    reports: mpsc::Receiver<DriverReport>,
    ports: Vec<String>,
    orders: u64,
    /// Reports that were passed over.
    pub(crate) passed: Vec<DriverReport>,
}

impl Driven {
    /// Drives a device; each secret is a name and what is kept under it.
    pub(crate) fn new(kind: DeviceKind, ports: &[&str], secrets: &[(&str, &str)]) -> Self {
        let (tell, reports) = mpsc::channel(64);
        let spec = lab_of(kind, ports);
        let secrets: Vec<(SecretRef, String)> =
            secrets.iter().map(|(name, text)| (kept(name), (*text).to_owned())).collect();
        let reveal: Reveal = Arc::new(move |wanted| {
            let found = secrets.iter().find(|(name, _)| name == wanted);
            let (_, text) = found.ok_or_else(|| format!("{wanted} is kept nowhere"))?;
            Ok(Secret::new(text.clone().into_bytes()))
        });
        let here = Here::of(&spec, Path::new("/nonexistent"));
        let power = Power::spawn(&spec, &here, &reveal, &tell).unwrap();
        let ports = ports.iter().map(|port| (*port).to_owned()).collect();
        Self { power, reports, ports, orders: 0, passed: Vec::new() }
    }

    async fn next(&mut self, what: &str) -> DriverReport {
        let report = timeout(LIMIT, self.reports.recv()).await;
        report.unwrap_or_else(|_| panic!("no report of {what}; passed: {:?}", self.passed)).unwrap()
    }

    /// Orders, and waits for the end of it.
    pub(crate) async fn order(&mut self, to: &str, order: PowerOrder) -> Outcome {
        let id = self.begin(to, order);
        self.end(id).await
    }

    /// Orders.
    pub(crate) fn begin(&mut self, to: &str, order: PowerOrder) -> CommandId {
        self.orders += 1;
        let id = CommandId(self.orders);
        let at = self.ports.iter().position(|port| port == to).unwrap();
        let node = format!("node{}", at + 1).parse().unwrap();
        self.power.order(&PowerCommand { id, node, port: port(to), order }).unwrap();
        id
    }

    /// Waits for the end of an order.
    pub(crate) async fn end(&mut self, number: CommandId) -> Outcome {
        loop {
            match self.next("an outcome").await {
                DriverReport::Finished { id, outcome } if id == number => return outcome,
                other => self.passed.push(other),
            }
        }
    }

    /// What is read of the first machine next.
    pub(crate) async fn reading(&mut self) -> PortReading {
        let first = "node1".parse().unwrap();
        loop {
            match self.next("a reading").await {
                DriverReport::PortRead { node, reading } if node == first => return reading,
                other => self.passed.push(other),
            }
        }
    }

    /// How the device is next seen to stand.
    pub(crate) async fn sight(&mut self) -> DeviceSight {
        loop {
            match self.next("a sight").await {
                DriverReport::DeviceSeen { sight, .. } => return sight,
                other => self.passed.push(other),
            }
        }
    }

    /// Why the device is lost.
    pub(crate) async fn lost(&mut self) -> (String, String) {
        loop {
            if let DeviceSight::Lost { code, why } = self.sight().await {
                return (code, why);
            }
        }
    }
}

/// Code and reason of an order that failed.
pub(crate) fn failed(outcome: Outcome) -> (String, String) {
    match outcome {
        Outcome::Failed { code, why } => (code, why),
        other => panic!("it was to fail, not {other:?}"),
    }
}
