//! A small oracle: it watches the journal with a few bits of its own, and knows what must never happen.

use std::collections::{BTreeMap, BTreeSet};

use model::{
    ClientKind, Command, CommandId, Digest, DiskId, Event, Fact, LabSpec, LabTime, LoaderStep, NodeName,
    Origin, Outcome, Phase, PowerOrder, PowerState, Rung, Sight, Span, TalosSight, WipeState,
};

/// What it remembers of one machine.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "an oracle of bits")]
struct Bits {
    seen: PowerState,
    asked: bool,
    agent: bool,
    /// What its Talos was seen to be last.
    talos: TalosSight,
    bad: bool,
    /// The boot that its agent reported last, while it may go on.
    boot: Option<String>,
    /// The boot that its agent reported last, ever.
    reported: Option<String>,
    /// That boot was given an order to wipe, and did not say that it ended.
    wiping: bool,
    flying: Option<(CommandId, LabTime)>,
    /// What a person asked for, until it was done or a start or stop took its place.
    person: Option<PowerOrder>,
    /// A person ever asked for something.
    touched: bool,
    /// The hypervisor that told of it last, and in which boot.
    runs_in: Option<(NodeName, String)>,
    /// Disks that may be this lab's: labelled so, or said to be wiped.
    ours: BTreeSet<Digest>,
    /// The disk that was to be wiped last.
    to_wipe: Option<Digest>,
    /// It was ready in this run, or of a cluster that was taken over.
    in_use: bool,
}

/// The oracle.
#[derive(Debug, Clone, Default)]
pub(crate) struct Oracle {
    machines: BTreeMap<NodeName, Bits>,
    /// Machines of the run that goes on, until stop.
    active: Vec<NodeName>,
    /// Machines of the run, until idle.
    run: Vec<NodeName>,
    /// Machines that ran something else when the run was started and were not seen off since.
    busy: BTreeSet<NodeName>,
    /// The secrets of the run are kept.
    secrets: bool,
    /// Machines whose config was pushed in this run.
    pushed: BTreeSet<NodeName>,
    /// Machines of a cluster that was taken over which were not yet known by its identity.
    left_alone: BTreeSet<NodeName>,
    /// The run took a cluster over.
    adopted: bool,
    /// How long machines are parked after the run.
    parks: Option<Span>,
    /// Machines that are parked, or to be, and until when.
    parked: BTreeMap<NodeName, LabTime>,
    /// Machines that were, and are to go off.
    unparked: BTreeSet<NodeName>,
    /// The machine that was told to begin etcd in this run, and whether it refused.
    began: Option<(NodeName, CommandId, bool)>,
}

impl Oracle {
    /// Looks at the next event.
    pub(crate) fn watch(&mut self, spec: &LabSpec, event: &Event) -> Result<(), String> {
        self.parks(spec, event);
        match &event.fact {
            Fact::CoreStarted { .. } => {
                for name in spec.board.nodes.keys() {
                    self.machines.entry(name.clone()).or_default().flying = None;
                }
            }
            Fact::StartAccepted { scenario, .. } => self.start(&spec.scenarios[scenario].nodes),
            Fact::AdoptAccepted { scenario, .. } => self.adopt(&spec.scenarios[scenario].nodes),
            Fact::Entered { node, rung: Rung::Ready } => self.machines.get_mut(node).unwrap().in_use = true,
            Fact::WipeAccepted { node, disk, by, .. } => return self.wipe_accepted(node, disk, *by),
            Fact::StopAccepted { .. } => {
                self.left_alone.clear();
                for name in self.active.drain(..) {
                    let bits = self.machines.get_mut(&name).unwrap();
                    (bits.person, bits.bad) = (None, false);
                }
                self.busy.clear();
            }
            Fact::PhaseEntered { phase: Phase::Idle, .. } => self.run.clear(),
            Fact::PowerAccepted { node, order, .. } => {
                let bits = self.machines.get_mut(node).unwrap();
                (bits.person, bits.touched, bits.bad) = (Some(*order), true, false);
                if *order == PowerOrder::On {
                    self.busy.remove(node);
                }
            }
            Fact::PowerSeen { node, state, .. } => {
                self.power(node, *state);
                if *state == PowerState::Off {
                    self.goes_with(node, None);
                }
            }
            Fact::WipeGivenUp { node, .. } => self.machines.get_mut(node).unwrap().wiping = false,
            Fact::Faulted { node, bad: true, .. } => {
                self.machines.get_mut(node).unwrap().bad = true;
                self.busy.remove(node);
            }
            Fact::Sighted { mac, sight } => {
                let owner = spec.board.nodes.iter().find(|(_, node)| node.mac == *mac);
                if let Some((name, _)) = owner {
                    self.wipes(name, sight);
                    self.owns(spec, name, sight);
                    self.sight(name, sight);
                    self.runs(name, sight);
                }
            }
            Fact::Issued { id, command } => return self.issued(*id, command, event.at.since_start),
            Fact::SecretsReady { .. } => self.secrets = true,
            Fact::TalosSeen { node, sight } => {
                self.machines.get_mut(node).unwrap().talos = sight.clone();
                if matches!(sight, TalosSight::Known { .. }) {
                    self.left_alone.remove(node);
                }
            }
            Fact::Finished { id, outcome } => self.finished(*id, outcome),
            _ => {}
        }
        Ok(())
    }

    /// Follows who is parked.
    fn parks(&mut self, spec: &LabSpec, event: &Event) {
        match &event.fact {
            Fact::StartAccepted { scenario, .. } | Fact::AdoptAccepted { scenario, .. } => {
                let scenario = &spec.scenarios[scenario];
                self.parks = scenario.park;
                self.parked.retain(|node, _| !scenario.nodes.contains(node));
            }
            Fact::PhaseEntered { phase: Phase::Idle, .. } => {
                if let Some(span) = self.parks.take() {
                    let until = event.at.since_start.after(span);
                    self.parked.extend(self.run.iter().map(|node| (node.clone(), until)));
                }
            }
            Fact::PowerAccepted { node, .. } => {
                self.parked.remove(node);
            }
            Fact::ParkEnded { node, .. } => {
                self.parked.remove(node);
                self.unparked.insert(node.clone());
            }
            _ => {}
        }
    }

    fn adopt(&mut self, nodes: &[NodeName]) {
        self.start(nodes);
        self.busy.clear();
        self.left_alone = self.active.iter().cloned().collect();
        self.adopted = true;
        for name in &self.active {
            self.machines.get_mut(name).unwrap().in_use = true;
        }
    }

    fn wipe_accepted(&mut self, node: &NodeName, disk: &DiskId, by: Origin) -> Result<(), String> {
        let bits = self.machines.get_mut(node).unwrap();
        bits.to_wipe = Some(disk.digest);
        if by == Origin::Scenario && (bits.in_use || !bits.ours.contains(&disk.digest)) {
            return Err(format!("{node}: {disk} is in use or not ours, and is to be wiped unasked"));
        }
        Ok(())
    }

    fn finished(&mut self, id: CommandId, outcome: &Outcome) {
        if let Some((_, began, refused)) = &mut self.began {
            *refused |= *began == id && matches!(outcome, Outcome::Failed { .. });
        }
        for bits in self.machines.values_mut() {
            bits.flying = bits.flying.filter(|(flying, _)| *flying != id);
        }
    }

    fn start(&mut self, nodes: &[NodeName]) {
        self.active = nodes.to_vec();
        for name in nodes {
            self.machines.get_mut(name).unwrap().in_use = false;
        }
        self.run.clone_from(&self.active);
        self.secrets = false;
        self.pushed.clear();
        self.left_alone.clear();
        self.adopted = false;
        self.began = None;
        for bits in self.machines.values_mut() {
            (bits.person, bits.bad) = (None, false);
        }
        let runs = |name: &&NodeName| {
            let bits = &self.machines[*name];
            bits.seen == PowerState::On && bits.agent
        };
        self.busy = self.active.iter().filter(runs).cloned().collect();
    }

    /// Follows what runs in what.
    fn runs(&mut self, node: &NodeName, sight: &Sight) {
        match sight {
            Sight::Guest { guest } => {
                let runs = guest.state.runs();
                // Of another boot than the host told last: it may be a late word, and nothing is held against the
                // house for taking it as one or not.
                let reported = self.machines[&guest.host].reported.as_ref();
                let late = reported.is_some_and(|boot| *boot != guest.host_boot);
                if !late {
                    let bits = self.machines.get_mut(node).unwrap();
                    bits.runs_in = Some((guest.host.clone(), guest.host_boot.clone()));
                }
                if !(late && runs) {
                    self.power(node, if runs { PowerState::On } else { PowerState::Off });
                }
            }
            Sight::Agent { report } => {
                self.goes_with(node, Some(&report.boot_id));
                self.machines.get_mut(node).unwrap().reported = Some(report.boot_id.clone());
            }
            _ => {}
        }
    }

    /// A machine went off, or began this boot: what ran in it before is off.
    fn goes_with(&mut self, host: &NodeName, boot: Option<&str>) {
        let ran = |bits: &Bits| {
            let there = bits.runs_in.as_ref().filter(|_| bits.seen != PowerState::Off);
            there.is_some_and(|(by, during)| by == host && boot.is_none_or(|boot| boot != during))
        };
        let gone: Vec<NodeName> =
            self.machines.iter().filter(|(_, bits)| ran(bits)).map(|(name, _)| name.clone()).collect();
        for guest in &gone {
            self.power(guest, PowerState::Off);
        }
    }

    fn power(&mut self, node: &NodeName, state: PowerState) {
        let bits = self.machines.get_mut(node).unwrap();
        match state {
            PowerState::On => {
                if bits.seen == PowerState::Off && !bits.asked {
                    bits.agent = false;
                }
                bits.person = bits.person.filter(|order| *order == PowerOrder::Off);
            }
            PowerState::Off => {
                (bits.asked, bits.agent) = (false, false);
                (bits.boot, bits.wiping) = (None, false);
                self.busy.remove(node);
            }
            PowerState::Changing | PowerState::Unknown => {}
        }
        bits.seen = state;
    }

    /// Follows which disks may be this lab's.
    fn owns(&mut self, spec: &LabSpec, node: &NodeName, sight: &Sight) {
        let bits = self.machines.get_mut(node).unwrap();
        match sight {
            Sight::Agent { report } => {
                for disk in &report.inventory.disks {
                    match (disk.digest, &disk.label) {
                        (Some(digest), Some(label)) if label.lab == spec.lab => bits.ours.insert(digest),
                        (Some(digest), Some(_)) => bits.ours.remove(&digest),
                        (_, None) | (None, _) => false,
                    };
                }
            }
            Sight::Beat { beat } => {
                let done =
                    beat.wipe.as_ref().is_some_and(|told| matches!(told.state, WipeState::Wiped { .. }));
                bits.ours.extend(bits.to_wipe.filter(|_| done));
            }
            _ => {}
        }
    }

    /// Follows which boot is wiping.
    fn wipes(&mut self, node: &NodeName, sight: &Sight) {
        let bits = self.machines.get_mut(node).unwrap();
        match sight {
            Sight::Discover { client, .. } if client.is_firmware() || *client == ClientKind::Ipxe => {
                (bits.boot, bits.wiping) = (None, false);
            }
            Sight::Agent { report } => {
                let same = bits.boot.as_ref() == Some(&report.boot_id);
                (bits.boot, bits.wiping) = (Some(report.boot_id.clone()), bits.wiping && same);
            }
            Sight::WipeGiven { boot_id, .. } => bits.wiping = bits.boot.as_ref() == Some(boot_id),
            Sight::Beat { beat } if bits.boot.as_ref() == Some(&beat.boot_id) => {
                bits.wiping &= beat.wipe.as_ref().is_none_or(|told| !told.state.is_end());
            }
            _ => {}
        }
    }

    fn sight(&mut self, node: &NodeName, sight: &Sight) {
        let bits = self.machines.get_mut(node).unwrap();
        match sight {
            Sight::Discover { client, .. } => {
                bits.asked = true;
                if client.is_firmware() || *client == ClientKind::Ipxe {
                    bits.agent = false;
                    self.busy.remove(node);
                }
            }
            // What waits in memory has left what it ran, and a loader that asks comes after firmware.
            Sight::LoaderSaid { step: Some(LoaderStep::Parks | LoaderStep::Asks), .. } => {
                (bits.asked, bits.agent) = (true, false);
                (bits.boot, bits.wiping) = (None, false);
                self.busy.remove(node);
            }
            Sight::Agent { .. } => bits.agent = true,
            _ => {}
        }
    }

    /// Machines whose config was pushed in the run that goes on.
    pub(crate) fn pushed(&self) -> impl Iterator<Item = &NodeName> {
        self.pushed.iter()
    }

    fn push(&mut self, node: &NodeName, at: LabTime) -> Result<(), String> {
        let bits = &self.machines[node];
        let wrong = |why: &str| Err(format!("a config was pushed to {node} at {at:?}: {why}"));
        if !self.secrets {
            return wrong("the secrets were not kept");
        }
        if bits.bad || !self.active.contains(node) {
            return wrong("it was given up, or has no part in the run");
        }
        if !matches!(bits.talos, TalosSight::Maintenance { .. }) {
            return wrong("it was not seen to wait for one");
        }
        self.pushed.insert(node.clone());
        Ok(())
    }

    fn offer(&mut self, node: &NodeName, at: LabTime) -> Result<(), String> {
        let bits = &self.machines[node];
        if !self.secrets || bits.bad || !self.active.contains(node) {
            return Err(format!("a config was laid ready for {node} at {at:?}, which may have none"));
        }
        self.pushed.insert(node.clone());
        Ok(())
    }

    /// A reset loses what a machine kept: nothing but the end of a run that parks asks for it.
    fn reset(&self, node: &NodeName, at: LabTime) -> Result<(), String> {
        let wrong = |why: &str| Err(format!("{node} was to be reset at {at:?}: {why}"));
        if self.adopted || !self.pushed.contains(node) {
            return wrong("what it keeps is not of this run");
        }
        if self.parks.is_none() || self.active.contains(node) || !self.run.contains(node) {
            return wrong("no run that it has part in ends, and parks");
        }
        Ok(())
    }

    fn bootstrap(&mut self, node: &NodeName, id: CommandId, at: LabTime) -> Result<(), String> {
        let wrong = |why: &str| Err(format!("etcd was begun on {node} at {at:?}: {why}"));
        if !matches!(self.machines[node].talos, TalosSight::Known { .. }) {
            return wrong("it is not known by its identity");
        }
        match &self.began {
            Some((first, _, refused)) if first != node && !(*refused && self.machines[first].bad) => {
                wrong(&format!("{first} may have begun it"))
            }
            Some(_) | None => {
                self.began = Some((node.clone(), id, false));
                Ok(())
            }
        }
    }

    fn issued(&mut self, id: CommandId, command: &Command, at: LabTime) -> Result<(), String> {
        let (node, order) = match command {
            Command::Power { node, order, .. } => (node, order),
            Command::Mint { .. }
            | Command::Push { .. }
            | Command::Bootstrap { .. }
            | Command::Apply { .. }
                if self.adopted =>
            {
                return Err(format!("{command:?} was asked of a cluster that was taken over"));
            }
            Command::Switch { .. } | Command::Mint { .. } | Command::Apply { .. } => return Ok(()),
            Command::Push { node, .. } => return self.push(node, at),
            Command::Offer { node, .. } => return self.offer(node, at),
            Command::Reset { node } => return self.reset(node, at),
            Command::Bootstrap { node } => return self.bootstrap(node, id, at),
        };
        let bits = self.machines.get_mut(node).unwrap();
        let wrong = |why: &str| Err(format!("{order} was asked of {node} at {at:?}: {why}"));
        if bits.bad {
            return wrong("it was given up");
        }
        if bits.person.is_none() && self.left_alone.contains(node) {
            return wrong("it is taken over, and was not known yet");
        }
        if bits.wiping {
            return wrong("its disk is being wiped");
        }
        if bits.flying.is_some() {
            return wrong("another order was on its way");
        }
        bits.flying = Some((id, at));
        match order {
            PowerOrder::On if bits.person == Some(PowerOrder::Off) => wrong("a person wants it off"),
            PowerOrder::On if self.active.contains(node) => match self.busy.is_empty() {
                true => Ok(()),
                false => wrong(&format!("{:?} still run something else", self.busy)),
            },
            PowerOrder::On if bits.person == Some(PowerOrder::On) => Ok(()),
            PowerOrder::On if self.parked.get(node).is_some_and(|until| at < *until) => Ok(()),
            PowerOrder::On => wrong("nobody wanted it"),
            PowerOrder::Off if self.run.contains(node) || bits.touched => Ok(()),
            PowerOrder::Off if self.unparked.contains(node) => Ok(()),
            PowerOrder::Soft | PowerOrder::Press => wrong("it has no button"),
            PowerOrder::Off => wrong("it has no part in the run, and no person asked"),
        }
    }
}
