//! Whose key an agent's is, by the picture that everybody sees, and whose consoles it may tell.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use drivers::channel::{Speaker, Whose};
use model::{LabSpec, NodeName, Proof};

use crate::publisher::Publisher;

/// Looks keys up among the agents that are known by theirs.
pub(super) fn of(spec: &LabSpec, publisher: Arc<Publisher>) -> Whose {
    let mut guests: BTreeMap<NodeName, BTreeSet<NodeName>> = BTreeMap::new();
    for (guest, made) in spec.scenarios.values().flat_map(|scenario| &scenario.guests) {
        guests.entry(made.host.clone()).or_default().insert(guest.clone());
    }
    Arc::new(move |key| {
        let snapshot = publisher.latest();
        let host = snapshot.machines.iter().find(|machine| {
            let agent = machine.agent.as_ref().filter(|agent| agent.proof == Proof::Key);
            agent.is_some_and(|agent| agent.report.key.as_ref() == Some(key))
        });
        let host = host?.node.clone();
        let guests = guests.get(&host).cloned().unwrap_or_default();
        Some(Speaker { host, guests })
    })
}
