//! Which machine hangs on which switch port: what the lab file says against what switches hear.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use api::{SwitchList, SwitchView};
use model::{MacAddr, NodeName, PortRef};
use serde::Serialize;

/// The machines of a board, by their Ethernet addresses.
pub type Known = BTreeMap<MacAddr, NodeName>;

/// What was found of a machine or a switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "finding", rename_all = "kebab-case")]
pub enum Finding {
    /// Heard where the lab file says.
    Right {
        /// Which.
        node: NodeName,
        /// Where.
        port: PortRef,
    },
    /// Heard on another port than the lab file says.
    Elsewhere {
        /// Which.
        node: NodeName,
        /// What the lab file says.
        written: PortRef,
        /// Where it was heard.
        heard: PortRef,
    },
    /// Heard on a port, and the lab file says nothing of it.
    Unwritten {
        /// Which.
        node: NodeName,
        /// Where it was heard.
        heard: PortRef,
    },
    /// Written down, and not heard on any port: it may be off.
    Unheard {
        /// Which.
        node: NodeName,
        /// What the lab file says.
        written: PortRef,
    },
    /// The lab file has a port for it that its switch does not have.
    NoPort {
        /// Which.
        node: NodeName,
        /// What the lab file says.
        written: PortRef,
    },
    /// The switch does not tell who is heard on its ports: only `learn` finds out.
    Deaf {
        /// Its name.
        switch: String,
    },
    /// The switch does not answer.
    Lost {
        /// Its name.
        switch: String,
        /// Why.
        why: String,
    },
}

impl Finding {
    /// True for what is wrong: the lab file and the board do not agree.
    #[must_use]
    pub const fn is_mismatch(&self) -> bool {
        matches!(self, Self::Elsewhere { .. } | Self::NoPort { .. } | Self::Lost { .. })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Right { node, port } => write!(f, "{node} is heard on {port}, as written"),
            Self::Elsewhere { node, written, heard } => {
                write!(f, "{node} is written to hang on {written}, and is heard on {heard}")
            }
            Self::Unwritten { node, heard } => {
                write!(f, "{node} is heard on {heard}; the lab file has no port of it")
            }
            Self::Unheard { node, written } => {
                write!(f, "{node} is not heard on any port; {written} is written")
            }
            Self::NoPort { node, written } => {
                write!(f, "{node} is written to hang on {written}, which is no port")
            }
            Self::Deaf { switch } => {
                write!(
                    f,
                    "{switch} does not tell who is heard on its ports; `labinator wiring learn` finds out"
                )
            }
            Self::Lost { switch, why } => write!(f, "{switch} does not answer: {why}"),
        }
    }
}

fn reference(switch: &SwitchView, port: &str) -> PortRef {
    PortRef { driver: switch.name.clone(), port: port.to_owned() }
}

/// Where each machine is heard: on the port where it says itself (by LLDP) that it hangs, else on the port with the fewest
/// other machines, since a port that leads to another switch hears all that hang there. Ports to the boss and uplinks tell
/// nothing.
fn heard(list: &SwitchList, known: &Known) -> BTreeMap<NodeName, PortRef> {
    let mut best: BTreeMap<NodeName, (usize, PortRef)> = BTreeMap::new();
    for switch in &list.switches {
        for port in switch.ports.iter().filter(|port| port.guarded.is_none()) {
            let machines: BTreeSet<&NodeName> =
                port.macs.iter().flatten().filter_map(|mac| known.get(mac)).collect();
            let named: BTreeSet<&NodeName> =
                port.neighbours.iter().flat_map(|one| &one.macs).filter_map(|mac| known.get(mac)).collect();
            for node in machines.union(&named) {
                let others = if named.contains(node) { 0 } else { machines.len() };
                let here = (others, reference(switch, &port.port));
                let better = best.get(*node).is_none_or(|known| here.0 < known.0);
                if better {
                    best.insert((*node).clone(), here);
                }
            }
        }
    }
    best.into_iter().map(|(node, (_, port))| (node, port)).collect()
}

/// Compares the lab file with what switches hear.
#[must_use]
pub fn compare(list: &SwitchList, known: &Known, written: &BTreeMap<NodeName, PortRef>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut tells = BTreeSet::new();
    for switch in &list.switches {
        let name = switch.name.to_string();
        match &switch.lost {
            Some(why) => findings.push(Finding::Lost { switch: name, why: why.clone() }),
            None if switch.ports.iter().all(|port| port.macs.is_none() && port.neighbours.is_empty()) => {
                findings.push(Finding::Deaf { switch: name });
            }
            None => {
                tells.insert(&switch.name);
            }
        }
    }
    let heard = heard(list, known);
    for node in known.values() {
        let is_port = |port: &PortRef| {
            let switch = list.switches.iter().find(|switch| switch.name == port.driver);
            switch.is_none_or(|s| s.lost.is_some() || s.ports.iter().any(|seen| seen.port == port.port))
        };
        findings.extend(match (written.get(node).cloned(), heard.get(node).cloned()) {
            (Some(written), _) if !is_port(&written) => Some(Finding::NoPort { node: node.clone(), written }),
            (Some(written), Some(heard)) if written == heard => {
                Some(Finding::Right { node: node.clone(), port: heard })
            }
            (Some(written), Some(heard)) => Some(Finding::Elsewhere { node: node.clone(), written, heard }),
            (None, Some(heard)) => Some(Finding::Unwritten { node: node.clone(), heard }),
            (Some(written), None) if tells.contains(&written.driver) => {
                Some(Finding::Unheard { node: node.clone(), written })
            }
            (Some(_), None) | (None, None) => None,
        });
    }
    findings
}

/// What was seen while one port was disabled and enabled again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lesson {
    /// Which port.
    pub port: PortRef,
    /// Ethernet addresses that were heard on the switch before, and not while it was disabled.
    pub vanished: Vec<MacAddr>,
    /// Those that were heard on it again afterwards.
    pub came: Vec<MacAddr>,
    /// Machines whose agents fell silent while it was disabled, and spoke again.
    pub silent: Vec<NodeName>,
}

/// Which machine a lesson is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "learned", rename_all = "kebab-case")]
pub enum Learned {
    /// This one, and nobody else.
    Node {
        /// Which.
        node: NodeName,
    },
    /// Several: another switch hangs there.
    Several {
        /// Which.
        nodes: Vec<NodeName>,
    },
    /// None of the board's.
    Strangers {
        /// Addresses that are not on the board.
        macs: Vec<MacAddr>,
    },
    /// Nobody: nothing hangs there, or what does is off or says nothing.
    Nobody,
}

impl Lesson {
    /// Who hangs there.
    #[must_use]
    pub fn who(&self, known: &Known) -> Learned {
        let macs: BTreeSet<MacAddr> = self.vanished.iter().chain(&self.came).copied().collect();
        let mut nodes: BTreeSet<NodeName> = macs.iter().filter_map(|mac| known.get(mac)).cloned().collect();
        // Silence is the weaker word: an agent may be silent for another reason.
        if nodes.is_empty() {
            nodes.extend(self.silent.iter().cloned());
        }
        let mut all: Vec<NodeName> = nodes.into_iter().collect();
        match (all.pop(), all.is_empty()) {
            (Some(node), true) => Learned::Node { node },
            (Some(last), false) => {
                all.push(last);
                Learned::Several { nodes: all }
            }
            (None, _) if macs.is_empty() => Learned::Nobody,
            (None, _) => Learned::Strangers { macs: macs.into_iter().collect() },
        }
    }
}

/// Addresses that a switch heard on any port, where it tells.
#[must_use]
pub fn macs_of(switch: &SwitchView) -> BTreeSet<MacAddr> {
    switch.ports.iter().flat_map(|port| port.macs.iter().flatten()).copied().collect()
}

/// Addresses on one port.
#[must_use]
pub fn macs_on(switch: &SwitchView, port: &str) -> BTreeSet<MacAddr> {
    let here = switch.ports.iter().filter(|seen| seen.port == port);
    here.flat_map(|seen| seen.macs.iter().flatten()).copied().collect()
}

/// Lines for the lab file, for machines whose port is learned and not written so.
#[must_use]
pub fn proposals(
    learned: &[(PortRef, Learned)],
    written: &BTreeMap<NodeName, PortRef>,
) -> Vec<(NodeName, PortRef, Option<PortRef>)> {
    let one = |(port, who): &(PortRef, Learned)| {
        let Learned::Node { node } = who else { return None };
        let before = written.get(node);
        (before != Some(port)).then(|| (node.clone(), port.clone(), before.cloned()))
    };
    learned.iter().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use model::SwitchPort;

    use super::*;

    fn mac(last: u8) -> MacAddr {
        MacAddr([2, 0, 0, 0, 0, last])
    }

    fn node(number: u8) -> NodeName {
        format!("node{number}").parse().unwrap()
    }

    fn core(port: &str) -> PortRef {
        PortRef { driver: "core".parse().unwrap(), port: port.to_owned() }
    }

    fn known() -> Known {
        (1..=4).map(|number| (mac(number), node(number))).collect()
    }

    fn list(ports: &[(&str, &[u8], bool)]) -> SwitchList {
        let ports = ports.iter().map(|(name, macs, guarded)| SwitchPort {
            port: (*name).to_owned(),
            enabled: true,
            mbit: Some(1000),
            macs: Some(macs.iter().map(|last| mac(*last)).collect()),
            neighbours: Vec::new(),
            node: None,
            guarded: guarded.then(|| "it is the uplink".to_owned()),
        });
        let switch = SwitchView {
            name: "core".parse().unwrap(),
            about: String::new(),
            lost: None,
            ports: ports.collect(),
        };
        SwitchList { switches: vec![switch], cuts: Vec::new() }
    }

    #[test]
    fn mismatches_are_named_and_what_leads_elsewhere_proves_nothing() {
        // Node 1 is right, node 2 on another port, node 3 only behind the uplink, node 4 not written.
        let list = list(&[
            ("1", &[1, 9], false),
            ("2", &[], false),
            ("3", &[2], false),
            ("5", &[4], false),
            ("8", &[3, 1], true),
        ]);
        let written = BTreeMap::from([(node(1), core("1")), (node(2), core("2")), (node(3), core("9"))]);
        let findings = compare(&list, &known(), &written);
        let wanted = [
            Finding::Right { node: node(1), port: core("1") },
            Finding::Elsewhere { node: node(2), written: core("2"), heard: core("3") },
            Finding::NoPort { node: node(3), written: core("9") },
            Finding::Unwritten { node: node(4), heard: core("5") },
        ];
        assert_eq!(findings, wanted);
        assert_eq!(findings.iter().filter(|finding| finding.is_mismatch()).count(), 2);
        let unheard = compare(&list, &known(), &BTreeMap::from([(node(3), core("2"))]));
        assert!(unheard.contains(&Finding::Unheard { node: node(3), written: core("2") }), "{unheard:?}");
    }

    #[test]
    fn a_machine_hangs_on_the_port_with_the_fewest_others() {
        // Port 7 leads to another switch, which hears node 2 on its own port.
        let mut list = list(&[("7", &[1, 2, 3], false), ("1", &[1], false)]);
        let mut far = list.switches[0].clone();
        far.name = "far".parse().unwrap();
        far.ports =
            vec![SwitchPort { port: "4".to_owned(), macs: Some(vec![mac(2)]), ..far.ports[0].clone() }];
        list.switches.push(far);
        let heard = heard(&list, &known());
        assert_eq!(heard[&node(1)], core("1"));
        assert_eq!(heard[&node(2)], PortRef { driver: "far".parse().unwrap(), port: "4".to_owned() });
    }

    #[test]
    fn a_machine_that_names_itself_hangs_there_whoever_else_is_heard() {
        // Three guests are heard beside node 1; a switch that forgot it hears node 2 alone on another port.
        let mut list = list(&[("1", &[1, 2, 3, 4], false), ("2", &[1], false)]);
        assert_eq!(heard(&list, &known())[&node(1)], core("2"));
        let says = model::Neighbour { name: "node1".to_owned(), port: "eth0".to_owned(), macs: vec![mac(1)] };
        list.switches[0].ports[0].neighbours = vec![says];
        assert_eq!(heard(&list, &known())[&node(1)], core("1"));
        // Who says so of himself need not have been heard otherwise; and nobody is believed behind the uplink.
        list.switches[0].ports[0].macs = Some(Vec::new());
        assert_eq!(heard(&list, &known())[&node(1)], core("1"));
        list.switches[0].ports[0].guarded = Some("it is the uplink".to_owned());
        assert_eq!(heard(&list, &known())[&node(1)], core("2"));
    }

    #[test]
    fn a_switch_that_tells_nothing_is_named_and_accuses_nobody() {
        let mut list = list(&[("1", &[], false)]);
        list.switches[0].ports[0].macs = None;
        let written = BTreeMap::from([(node(1), core("1"))]);
        assert_eq!(compare(&list, &known(), &written), [Finding::Deaf { switch: "core".to_owned() }]);
        list.switches[0].lost = Some("hangs".to_owned());
        let lost = Finding::Lost { switch: "core".to_owned(), why: "hangs".to_owned() };
        assert_eq!(compare(&list, &known(), &written), [lost]);
    }

    #[test]
    fn a_lesson_names_one_machine_several_strangers_or_nobody() {
        let lesson = |vanished: &[u8], came: &[u8], silent: &[u8]| Lesson {
            port: core("1"),
            vanished: vanished.iter().map(|last| mac(*last)).collect(),
            came: came.iter().map(|last| mac(*last)).collect(),
            silent: silent.iter().map(|number| node(*number)).collect(),
        };
        let who = |lesson: Lesson| lesson.who(&known());
        assert_eq!(who(lesson(&[1], &[1], &[])), Learned::Node { node: node(1) });
        assert_eq!(who(lesson(&[], &[2], &[3])), Learned::Node { node: node(2) });
        assert_eq!(who(lesson(&[], &[], &[3])), Learned::Node { node: node(3) });
        assert_eq!(who(lesson(&[1, 2], &[], &[])), Learned::Several { nodes: vec![node(1), node(2)] });
        assert_eq!(who(lesson(&[9], &[], &[])), Learned::Strangers { macs: vec![mac(9)] });
        assert_eq!(who(lesson(&[], &[], &[])), Learned::Nobody);
        let learned =
            [(core("1"), Learned::Node { node: node(1) }), (core("2"), Learned::Node { node: node(2) })];
        let written = BTreeMap::from([(node(1), core("1")), (node(2), core("5"))]);
        assert_eq!(proposals(&learned, &written), [(node(2), core("2"), Some(core("5")))]);
    }
}
