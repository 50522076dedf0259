//! A lab without machines, and a machine without anything: tests fill in what they are about.

use model::{BoardSpec, Cell, DhcpMode, LabSpec, Limits, MacAddr, NetworkSpec, NodeName, NodeSpec, PortRef};

/// The name of a machine by its number.
fn name(number: u8) -> NodeName {
    format!("node{number}").parse().unwrap()
}

/// A machine that this port switches.
pub(crate) fn machine(number: u8, power: PortRef) -> NodeSpec {
    NodeSpec {
        disk: None,
        at: Cell { column: number, row: 1 },
        zone: None,
        mac: MacAddr([2, 0, 0, 0, 0, number]),
        ip: [10, 77, 0, number].into(),
        ip6: None,
        power,
        loader: model::LoaderChoice::Ipxe,
        guest: None,
        port: None,
        memory: None,
        firmware: None,
    }
}

/// A lab that only these machines stand in.
pub(crate) fn of(machines: impl IntoIterator<Item = NodeSpec>) -> LabSpec {
    let nodes = machines.into_iter().map(|machine| (name(machine.at.column), machine));
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
        power: [].into(),
        switch: [].into(),
        pdudaemon: None,
        logs: model::LogsSpec::default(),
        board: BoardSpec { columns: 8, rows: 1, nodes: nodes.collect() },
        scenarios: [].into(),
        limits: Limits::default(),
        variables: model::Variables::default(),
        agent_updates: model::AgentUpdates::default(),
        secure_boot: model::SecureBootRule::default(),
    }
}
