//! What a fleet costs in memory: resident bytes of this process, which does nothing else.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

use std::path::Path;
use std::sync::Arc;

use labinator::config;
use lifecycle::{Lab, absorb, machine_view};
use model::{
    AgentReport, Carrier, ClientKind, Event, Fact, FileRole, Inventory, LabSpec, LabTime, MacAddr, Moment,
    NodeName, PowerState, Rung, ScriptAnswer, Sight, TftpTerms, WallTime,
};

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

fn sights(mac: MacAddr) -> Vec<Sight> {
    let address = "10.77.1.1".parse().unwrap();
    let ask = |client| {
        [
            Sight::Discover { client, arch: Some(7), secs: 4, uuid: None, version: "1.21.1".to_owned() },
            Sight::Offer { address },
            Sight::Request { client },
            Sight::Ack { address, client },
        ]
    };
    let file = |role, name: &str, carrier, size| {
        let name = name.to_owned();
        let mut all = vec![Sight::FileAsked { role, name: name.clone(), carrier, size }];
        if carrier == Carrier::Tftp {
            all.push(Sight::FileAgreed { name: name.clone(), terms: TftpTerms { block: 1468, window: 16 } });
        }
        all.push(Sight::FileMoved { name: name.clone(), bytes: size / 2 });
        all.push(Sight::FileServed { name, bytes: size, repeats: 0 });
        all
    };
    let report = AgentReport {
        mac,
        boot_id: "0ab4b2a0-9e3d-4a48-8a3e-0d6c7f4f2f11".to_owned(),
        nonce: Some("0123456789abcdef0123456789abcdef".to_owned()),
        address: Some("10.77.1.1".parse().unwrap()),
        version: "0.1.0".to_owned(),
        kernel: "6.12.43+deb13-amd64".to_owned(),
        uptime_ms: 4100,
        inventory: Inventory::default(),
        key: None,
        build: None,
        kexec: None,
    };
    let mut all = vec![Sight::Frame];
    all.extend(ask(ClientKind::UefiPxe));
    all.extend(file(FileRole::Loader, "snponly.efi", Carrier::Tftp, 270_000));
    all.push(Sight::RouterAsked { answered: true });
    all.extend(ask(ClientKind::Ipxe));
    all.push(Sight::ScriptAsked { answer: ScriptAnswer::Boot });
    all.extend(file(FileRole::Kernel, "vmlinuz", Carrier::Http, 12_000_000));
    all.extend(file(FileRole::Initrd, "initrd.zst", Carrier::Http, 40_000_000));
    all.extend(ask(ClientKind::Agent));
    all.push(Sight::Agent { report: Arc::new(report) });
    all
}

struct Story {
    lab: Lab,
    seq: u64,
}

impl Story {
    fn happens(&mut self, fact: Fact) {
        self.seq += 1;
        let at = Moment { since_start: LabTime(self.seq), wall: WallTime(1_700_000_000_000 + self.seq) };
        absorb(&mut self.lab, &Event { seq: self.seq, at, fact });
    }

    fn boots(&mut self, node: &NodeName, mac: MacAddr, besides: &[Sight]) {
        let power = |state| Fact::PowerSeen { node: node.clone(), state, evidence: "its process".to_owned() };
        self.happens(power(PowerState::Off));
        self.happens(power(PowerState::On));
        let (booting, report) = (sights(mac), sights(mac).pop());
        let booting = booting.into_iter().rev().skip(1).rev();
        for sight in booting.chain(besides.iter().cloned()).chain(report) {
            self.happens(Fact::Sighted { mac, sight });
        }
        self.happens(Fact::Entered { node: node.clone(), rung: Rung::Ready });
    }
}

/// Boots per machine: more than any is kept of.
const BOOTS: u32 = 21;

/// Boots some machines of a fleet again and again, with these sights besides; resident bytes of each in the end.
fn bytes_each(spec: &LabSpec, besides: &[Sight]) -> usize {
    let nodes = spec.board.nodes.iter().step_by(18);
    let nodes: Vec<(NodeName, MacAddr)> = nodes.map(|(name, node)| (name.clone(), node.mac)).collect();
    let mut story = Story { lab: Lab::new(spec.clone()), seq: 0 };
    let empty = resident();
    for _ in 0..BOOTS {
        for (node, mac) in &nodes {
            story.boots(node, *mac, besides);
        }
    }
    let now = Moment { since_start: LabTime(story.seq), wall: WallTime(0) };
    let shown: Vec<_> = nodes
        .iter()
        .map(|(node, _)| machine_view(&story.lab, &story.lab.machines[node], None, now, None).unwrap())
        .collect();
    let each = resident().saturating_sub(empty) / nodes.len();
    for (node, _) in &nodes {
        let machine = &story.lab.machines[node];
        assert_eq!(machine.past.len(), 20, "medians are kept");
        assert!(machine.kept_boots().count() >= 2, "and what went wrong last time");
    }
    assert!(shown.iter().all(|view| view.boot.as_ref().is_some_and(|fall| fall.median_of == 20 - 1)));
    each
}

/// Everything at its limit: a log, asks and files without end.
fn noise() -> Vec<Sight> {
    let line = |n: u32| Sight::Logged {
        severity: 6,
        text: format!("{n:>100}"),
        error: n.is_multiple_of(8).then(String::new),
    };
    let ask = |_| Sight::Request { client: ClientKind::Ipxe };
    let file = |n: u32| Sight::FileAsked {
        role: FileRole::Seed,
        name: format!("{n:>24}"),
        carrier: Carrier::Http,
        size: 1,
    };
    (0..80).map(line).chain((0..120).map(ask)).chain((0..40).map(file)).collect()
}

// One test, so that nothing else happens in this process meanwhile.
#[test]
fn a_machine_of_a_fleet_costs_a_few_kilobytes_however_often_it_booted_and_whatever_it_said() {
    let spec = config::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../labs/fleet.yaml")).unwrap();
    let quiet = bytes_each(&spec, &[]);
    let loud = bytes_each(&spec, &noise());
    println!("bytes of a machine with its picture: {quiet}, with everything at its limit {loud}");
    assert!((3_000..7_000).contains(&quiet), "{quiet}");
    assert!((quiet..16_000).contains(&loud), "{loud}");
}
