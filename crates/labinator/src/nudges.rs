//! Which agents shall ask now: those whose next answer says something else than the last one.
//!
//! ```text
//! table changes ──▶ whose guests, order or wipe is another? ──▶ counter has the table ──▶ "ask now", over the channel
//! ```
//! An agent that was nudged too early would be told the old again, so it is told when the table is in force. Whoever has no
//! channel asks with the next heartbeat, as ever.

use std::collections::BTreeMap;

use model::{BootEntry, BootTable, NodeName, TableChange};

/// Machines whose agents are to be told, each with the table that it is about: never more than the board has.
#[derive(Debug, Default)]
pub(crate) struct Nudges(BTreeMap<NodeName, u64>);

impl Nudges {
    /// A change goes to the counter.
    pub(crate) fn note(&mut self, before: &BootTable, change: &TableChange) {
        for new in &change.nodes {
            let at = before.nodes.binary_search_by(|old| old.node.cmp(&new.node));
            let old = at.ok().and_then(|at| before.nodes.get(at));
            if old.is_some_and(|old| is_news(old, new)) {
                self.0.insert(new.node.clone(), change.number);
            }
        }
    }

    /// The counter has this table: who is to be told now.
    pub(crate) fn in_force(&mut self, number: u64) -> Vec<NodeName> {
        let due: Vec<NodeName> =
            self.0.iter().filter(|(_, table)| **table <= number).map(|(node, _)| node.clone()).collect();
        self.0.retain(|_, table| *table > number);
        due
    }
}

/// True where its agent is answered otherwise: everything else of an entry is for the next boot.
fn is_news(old: &BootEntry, new: &BootEntry) -> bool {
    old.guests != new.guests || old.order != new.order || old.wipe != new.wipe
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::{AgentOrder, BootAnswer};

    use super::*;

    fn table(number: u64) -> BootTable {
        let entry = |node: &str| {
            Arc::new(BootEntry {
                node: node.parse().unwrap(),
                mac: model::MacAddr([2, 0, 0, 0, 0, 1]),
                ip: std::net::Ipv4Addr::new(10, 0, 0, 1),
                ip6: None,
                also: None,
                run: 1,
                boot: 1,
                answer: BootAnswer::Wait { retry_seconds: 1 },
                because: String::new(),
                files: Arc::default(),
                pulls: false,
                install: None,
                order: AgentOrder::Stay,
                guests: None,
                wipe: None,
                off_at: None,
                parks: false,
                good: Vec::new(),
                loader: model::LoaderChoice::Ipxe,
            })
        };
        BootTable {
            number,
            lab: "bench".parse().unwrap(),
            network: crate::demo::lab(1).unwrap().network,
            nodes: vec![entry("node1"), entry("node2"), entry("node3")],
        }
    }

    fn changed(before: &BootTable, node: usize, change: impl FnOnce(&mut BootEntry)) -> BootTable {
        let mut after = BootTable { number: before.number + 1, ..before.clone() };
        change(Arc::make_mut(&mut after.nodes[node]));
        after
    }

    fn names(nodes: &[NodeName]) -> Vec<&str> {
        nodes.iter().map(NodeName::as_str).collect()
    }

    #[test]
    fn who_is_answered_otherwise_is_told_once_and_not_before_the_counter_has_the_table() {
        let mut nudges = Nudges::default();
        let first = table(1);
        let second = changed(&first, 1, |entry| entry.guests = Some(Arc::default()));
        let third = changed(&second, 0, |entry| entry.order = AgentOrder::PowerOff);
        nudges.note(&first, &second.change_from(&first).unwrap());
        nudges.note(&second, &third.change_from(&second).unwrap());
        assert!(nudges.in_force(1).is_empty());
        assert_eq!(names(&nudges.in_force(2)), ["node2"]);
        assert_eq!(names(&nudges.in_force(3)), ["node1"]);
        assert!(nudges.in_force(9).is_empty());
    }

    #[test]
    fn what_is_for_the_next_boot_alone_nudges_nobody() {
        let mut nudges = Nudges::default();
        let first = table(1);
        let second = changed(&first, 2, |entry| entry.because = "another reason".to_owned());
        nudges.note(&first, &second.change_from(&first).unwrap());
        assert!(nudges.in_force(2).is_empty());
    }

    #[test]
    fn of_two_changes_before_an_answer_the_later_one_counts() {
        let mut nudges = Nudges::default();
        let first = table(1);
        let second = changed(&first, 0, |entry| entry.order = AgentOrder::PowerOff);
        let third = changed(&second, 0, |entry| entry.order = AgentOrder::Stay);
        nudges.note(&first, &second.change_from(&first).unwrap());
        nudges.note(&second, &third.change_from(&second).unwrap());
        assert!(nudges.in_force(2).is_empty());
        assert_eq!(names(&nudges.in_force(3)), ["node1"]);
    }
}
