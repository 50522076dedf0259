//! The picture while it is drawn: only machines that changed are drawn again, the others are shared.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use lifecycle::{Lab, Touched, lab_view, machine_view};
use model::{LabView, MachineView, Moment, NodeName, Snapshot, Waiting};

/// Shortest time between two pictures of a small lab.
const PAUSE: Duration = Duration::from_millis(50);
/// So much longer for each machine: the pictures of a fleet are large, and nobody reads twenty of them a second.
const PAUSE_EACH: Duration = Duration::from_micros(20);

/// What was drawn so far.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each marks another thing that must be drawn anew")]
pub(crate) struct Picture {
    lab: Arc<LabView>,
    /// In the board's order; `None` until it was drawn once.
    machines: Vec<Option<Arc<MachineView>>>,
    places: HashMap<NodeName, usize>,
    dirty: BTreeSet<NodeName>,
    lab_changed: bool,
    /// The board itself may be another one.
    board_changed: bool,
    stale: bool,
}

impl Picture {
    /// Nothing of it is drawn yet.
    pub(crate) fn new(lab: &Lab) -> Self {
        Self {
            lab: Arc::new(lab_view(lab)),
            machines: Vec::new(),
            places: HashMap::new(),
            dirty: lab.machines.keys().cloned().collect(),
            lab_changed: true,
            board_changed: true,
            stale: true,
        }
    }

    /// A picture without machines.
    pub(crate) fn blank(&self, epoch: &str, through: u64, at: Moment) -> Snapshot {
        Snapshot { epoch: epoch.to_owned(), through, at, lab: Arc::clone(&self.lab), machines: Vec::new() }
    }

    /// Something was absorbed.
    pub(crate) fn touch(&mut self, lab: &Lab, touched: &Touched) {
        self.stale = true;
        match touched {
            Touched::Lab => self.lab_changed = true,
            Touched::Machine(node) => {
                self.dirty.insert(node.clone());
            }
            Touched::All => {
                self.dirty.extend(lab.machines.keys().cloned());
                self.lab_changed = true;
                self.board_changed = true;
            }
        }
    }

    /// These machines wait for something else now.
    pub(crate) fn waits_changed(&mut self, nodes: BTreeSet<NodeName>) {
        self.stale |= !nodes.is_empty();
        self.dirty.extend(nodes);
    }

    /// True when something is not as it was drawn.
    pub(crate) const fn is_stale(&self) -> bool {
        self.stale
    }

    /// How long to wait before the next one.
    pub(crate) fn pause(&self) -> Duration {
        PAUSE + PAUSE_EACH.saturating_mul(u32::try_from(self.machines.len()).unwrap_or(u32::MAX))
    }

    /// Draws what changed.
    pub(crate) fn draw(
        &mut self,
        lab: &Lab,
        waits: &BTreeMap<NodeName, Waiting>,
        (epoch, through, now): (&str, u64, Moment),
    ) -> Snapshot {
        self.stale = false;
        if std::mem::take(&mut self.lab_changed) {
            self.lab = Arc::new(lab_view(lab));
        }
        if std::mem::take(&mut self.board_changed) {
            self.take_places(lab);
        }
        for node in std::mem::take(&mut self.dirty) {
            let Some(place) = self.places.get(&node).and_then(|at| self.machines.get_mut(*at)) else {
                continue;
            };
            let Some(machine) = lab.machines.get(&node) else { continue };
            let before = place.as_deref();
            match machine_view(lab, machine, waits.get(&node), now, before) {
                Some(view) if before == Some(&view) => {}
                view => *place = view.map(Arc::new),
            }
        }
        let machines = self.machines.iter().flatten().cloned().collect();
        Snapshot { epoch: epoch.to_owned(), through, at: now, lab: Arc::clone(&self.lab), machines }
    }

    /// Puts every machine where the board has it.
    fn take_places(&mut self, lab: &Lab) {
        let mut drawn: HashMap<NodeName, Arc<MachineView>> =
            self.machines.drain(..).flatten().map(|view| (view.node.clone(), view)).collect();
        self.places.clear();
        for (at, machine) in lab.in_board_order().into_iter().enumerate() {
            self.machines.push(drawn.remove(&machine.node));
            self.places.insert(machine.node.clone(), at);
        }
    }
}
