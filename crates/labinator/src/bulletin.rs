//! The boot table as it was published last, and which machines' lines have to be looked at again.

use std::collections::BTreeSet;
use std::sync::Arc;

use lifecycle::{Lab, Touched, boot_entry, boot_table};
use model::{BootTable, NodeName};
use tokio::sync::watch;

/// What the counter is told.
#[derive(Debug)]
pub(crate) struct Bulletin {
    table: watch::Sender<Arc<BootTable>>,
    stale: Stale,
}

/// Lines that may say something else now.
#[derive(Debug)]
enum Stale {
    Some(BTreeSet<NodeName>),
    All,
}

impl Bulletin {
    /// Begins with the table of a lab.
    pub(crate) fn new(lab: &Lab) -> Self {
        let table = watch::Sender::new(Arc::new(boot_table(lab, lab.table)));
        Self { table, stale: Stale::Some(BTreeSet::new()) }
    }

    /// For the one who tells the counter.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<BootTable>> {
        self.table.subscribe()
    }

    /// Something changed.
    pub(crate) fn touch(&mut self, touched: &Touched) {
        match (touched, &mut self.stale) {
            (Touched::Machine(node), Stale::Some(stale)) => {
                stale.insert(node.clone());
            }
            (Touched::Machine(_), Stale::All) | (Touched::Lab, _) => {}
            (Touched::All, _) => self.stale = Stale::All,
        }
    }

    /// The table to be published, if another one than the last.
    pub(crate) fn next(&mut self, lab: &Lab) -> Option<BootTable> {
        let stale = std::mem::replace(&mut self.stale, Stale::Some(BTreeSet::new()));
        let current = Arc::clone(&self.table.borrow());
        let number = current.number.max(lab.table).saturating_add(1);
        match stale {
            Stale::All => {
                let mut wanted = boot_table(lab, current.number);
                // Lines that say the same stay the same, so that whoever compares them need not read them.
                for (new, old) in wanted.nodes.iter_mut().zip(&current.nodes) {
                    if new == old {
                        *new = Arc::clone(old);
                    }
                }
                (wanted != *current).then_some(BootTable { number, ..wanted })
            }
            Stale::Some(mut nodes) => {
                // What is wished of a guest stands in its hypervisor's line.
                nodes.extend(nodes.clone().iter().filter_map(|node| lab.host_of(node)).cloned());
                let mut next: Option<BootTable> = None;
                for node in nodes {
                    let Ok(at) = current.nodes.binary_search_by(|line| line.node.cmp(&node)) else {
                        continue;
                    };
                    let wanted = lab.machines.get(&node).and_then(|machine| boot_entry(lab, machine));
                    let (Some(old), Some(wanted)) = (current.nodes.get(at), wanted) else { continue };
                    if **old == wanted {
                        continue;
                    }
                    let table = next.get_or_insert_with(|| BootTable { number, ..(*current).clone() });
                    if let Some(line) = table.nodes.get_mut(at) {
                        *line = Arc::new(wanted);
                    }
                }
                next
            }
        }
    }

    /// Publishes it.
    pub(crate) fn publish(&self, table: BootTable) {
        self.table.send_replace(Arc::new(table));
    }
}
