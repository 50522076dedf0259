//! What is known of the lab: the sum of the facts so far, and nothing that could be derived from it.
//!
//! A checkpoint of the journal holds all of it, see `checkpoint.rs` in the journal's room. So a field that is added gets
//! `#[serde(default)]`, and one that changes its meaning gets the checkpoint's form another number.
//!
//! What is large is shared: a copy of the lab costs little, and a machine is copied when it changes while a copy is held.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use model::{
    AgentClash, AgentView, Boot, Candidate, CommandId, Digest, DiskKnown, DriverName, Fault, Goal, GuestSeen,
    Image, IpxeView, LabSpec, LabTime, MacAddr, ManifestFiles, Moment, NodeBoot, NodeName, NodeSpec, Notice,
    Phase, PowerOrder, PowerState, Rung, ScenarioName, ScenarioSpec, Stranger,
};
use serde::{Deserialize, Serialize};

use crate::cluster::{Cluster, TalosKnown};
use crate::cuts::PortCut;
use crate::packed::PackedBoot;
use crate::park::{self, Jumps, Park};
use crate::past::{self, PastBoot, Room};
use crate::power::{DeviceKnown, Senses};
use crate::trial::{self, Trial, TriedBoot};
use crate::wipe::Wipe;
use crate::wipe::before::BeforeUse;

/// The lab. Its machines are written one by one, see [`Lab::put_back`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lab {
    /// As its owner describes it.
    pub spec: Arc<LabSpec>,
    /// What each scenario boots; a scenario whose files are missing is absent.
    pub images: BTreeMap<ScenarioName, Arc<Image>>,
    /// True once this core has looked for images.
    pub images_known: bool,
    /// What the other scenarios lack, for a person.
    pub missing: BTreeMap<ScenarioName, Vec<String>>,
    /// The manifests of scenarios that install some, as they were read last.
    #[serde(default)]
    pub manifests: BTreeMap<ScenarioName, ManifestFiles>,
    /// What single machines of a scenario get besides.
    pub boots: Arc<BTreeMap<ScenarioName, BTreeMap<NodeName, NodeBoot>>>,
    /// Generations of images that are to be tried.
    #[serde(default)]
    pub candidates: Vec<Arc<Candidate>>,
    /// How their trials stand, by image.
    #[serde(default)]
    pub trials: BTreeMap<String, Trial>,
    /// The machines of the board.
    #[serde(skip)]
    pub machines: BTreeMap<NodeName, Arc<Machine>>,
    /// Whose address is whose.
    #[serde(skip)]
    pub by_mac: Arc<BTreeMap<MacAddr, NodeName>>,
    /// The run in hand; absent when idle.
    pub run: Option<Run>,
    /// How many runs there have been.
    pub runs: u32,
    /// What is being done.
    pub phase: Phase,
    /// Since when.
    pub phase_since: Moment,
    /// Why.
    pub phase_because: String,
    /// Commands issued so far.
    pub commands: u64,
    /// Number of the last boot table published.
    pub table: u64,
    /// True while the boot counter is connected.
    pub counter_up: bool,
    /// Since when machines can be heard without a gap: before that, silence proves nothing.
    pub listening: LabTime,
    /// What the counter noticed; one of a kind.
    pub notices: Vec<Notice>,
    /// Machines that are not on the board.
    pub strangers: Vec<Stranger>,
    /// Ports of switches that are disabled for a while, or were.
    #[serde(default)]
    pub cuts: Vec<PortCut>,
    /// Power devices and switches that were seen.
    #[serde(default)]
    pub devices: BTreeMap<DriverName, DeviceKnown>,
    /// The last start of a core.
    pub core: Option<CoreStart>,
    /// The latest moment of which anything is known.
    pub latest: Moment,
}

/// When a core began, by the clock of the boss's kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoreStart {
    /// When it was in the lab.
    pub at: LabTime,
    /// Which start of the kernel (`/proc/sys/kernel/random/boot_id`).
    pub kernel: String,
    /// `CLOCK_BOOTTIME` then, in milliseconds.
    pub boottime_ms: u64,
}

/// One run of a scenario.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Counts the runs.
    pub number: u32,
    /// Which scenario.
    pub scenario: ScenarioName,
    /// When it was accepted.
    pub since: Moment,
    /// True once machines may be switched on: the powering-down gate has been passed.
    pub released: bool,
    /// True once stop was accepted.
    pub stopping: bool,
    /// The cluster that it builds, where it boots Talos.
    #[serde(default)]
    pub cluster: Cluster,
}

/// One machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Its name.
    pub node: NodeName,
    /// What the run wants of it.
    pub goal: Goal,
    /// What a person wants of it, which outranks the run until the next start or stop.
    pub person: Option<PowerOrder>,
    /// It must be seen off before anything else, since this time.
    pub off_wanted: Option<LabTime>,
    /// How far up it was found to be last.
    pub rung: Rung,
    /// Since when.
    pub entered: Moment,
    /// Its power, as seen last.
    pub power: PowerState,
    /// How that is known.
    pub evidence: String,
    /// When it was seen.
    pub power_seen: Option<Moment>,
    /// What was seen that tells of its power, where its device cannot be taken at its word.
    #[serde(default)]
    pub senses: Senses,
    /// Since when a person wants its button pressed, once.
    #[serde(default)]
    pub press_wanted: Option<LabTime>,
    /// The order its driver has not answered yet.
    pub in_flight: Option<(CommandId, PowerOrder, LabTime)>,
    /// The last order its driver carried out, until the result is seen.
    pub carried_out: Option<(PowerOrder, LabTime)>,
    /// The last order that was given in this run.
    #[serde(default)]
    pub ordered: Option<(CommandId, PowerOrder)>,
    /// What its hypervisor told of it last, where it is a guest.
    #[serde(default)]
    pub guest: Option<GuestSeen>,
    /// Why its driver refused the last order, and which.
    pub refused: Option<(PowerOrder, String, LabTime)>,
    /// Its present boot, or the last one.
    pub boot: Option<Boot>,
    /// True while that boot goes on or the machine runs what it booted.
    pub running: bool,
    /// Boots so far.
    pub boots: u32,
    /// Boots before the present one, newest last; a few, for whoever asks what went wrong last time.
    pub earlier: Vec<PackedBoot>,
    /// Stages of earlier boots that became ready, newest last.
    #[serde(serialize_with = "past::write", deserialize_with = "past::read")]
    pub past: Vec<PastBoot>,
    /// Which iPXE it boots by, as far as it told.
    pub ipxe: Option<IpxeView>,
    /// What its agent said in this boot.
    pub agent: Option<AgentView>,
    /// Two keys that were shown in this boot.
    #[serde(default)]
    pub clash: Option<AgentClash>,
    /// What was heard in this boot of a system without our agent.
    pub system: Option<SystemHeard>,
    /// Whether the port that tells that it is ready accepts connections, and since when.
    pub port: Option<(bool, LabTime)>,
    /// Its part in the cluster of this run.
    #[serde(default)]
    pub talos: TalosKnown,
    /// The installation that is wanted of it, or was carried out, in this run.
    pub install: Option<Install>,
    /// Installations asked for so far.
    pub installs: u32,
    /// Its disks, as its agent told of them last, and what is remembered of each.
    #[serde(default)]
    pub disks: Vec<DiskKnown>,
    /// The wipe that was asked for last.
    #[serde(default)]
    pub wipe: Option<Wipe>,
    /// Wipes asked for so far.
    #[serde(default)]
    pub wipes: u32,
    /// What this run did about its disks before it used them.
    #[serde(default)]
    pub before_use: BeforeUse,
    /// Starts tried since it was last ready.
    pub tries: u8,
    /// What went wrong last in this run.
    pub fault: Option<Fault>,
    /// Given up for this run.
    pub bad: bool,
    /// It waits in its loader or its image for the next start, or is on its way there.
    #[serde(default)]
    pub park: Option<Park>,
    /// What is known of its starts without firmware.
    #[serde(default)]
    pub jumps: Jumps,
    /// Since when its loader, which waited in this boot, was not heard for too long.
    #[serde(default)]
    pub silent: Option<LabTime>,
    /// The last boot in which it took a generation that is tried.
    #[serde(default)]
    pub tried: Option<TriedBoot>,
    /// Digests of the image with which it was ready last.
    #[serde(default)]
    pub good: Vec<Digest>,
}

/// What DHCP tells of a system without our agent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemHeard {
    /// When it was given its address last.
    pub heard: LabTime,
    /// It renewed it, without asking anew: from then on it is expected to go on renewing.
    pub renewed: bool,
    /// It asked anew since.
    pub asking: bool,
}

/// One installation of a machine. Spent once: what was installed boots its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Install {
    /// Counts what was asked for.
    pub number: u32,
    /// Since when it is wanted.
    pub since: LabTime,
    /// The boot that took the installer whole.
    pub spent_in: Option<u32>,
    /// The machine said that it is done since.
    pub done: bool,
}

impl Machine {
    /// A guest of which no hypervisor told does not run.
    fn new(node: NodeName, is_guest: bool) -> Self {
        let (power, evidence) = match is_guest {
            true => (PowerState::Off, "no hypervisor told of it"),
            false => (PowerState::Unknown, "not looked at yet"),
        };
        Self {
            node,
            goal: Goal::Any,
            person: None,
            off_wanted: None,
            rung: Rung::Off,
            entered: Moment::default(),
            power,
            evidence: String::from(evidence),
            power_seen: None,
            senses: Senses::default(),
            press_wanted: None,
            in_flight: None,
            carried_out: None,
            ordered: None,
            guest: None,
            refused: None,
            boot: None,
            running: false,
            boots: 0,
            earlier: Vec::new(),
            past: Vec::new(),
            ipxe: None,
            agent: None,
            clash: None,
            system: None,
            port: None,
            talos: TalosKnown::default(),
            install: None,
            installs: 0,
            disks: Vec::new(),
            wipe: None,
            wipes: 0,
            before_use: BeforeUse::default(),
            tries: 0,
            fault: None,
            bad: false,
            park: None,
            jumps: Jumps::default(),
            silent: None,
            tried: None,
            good: Vec::new(),
        }
    }

    /// True unless it is seen off and no order is on its way that could change that.
    #[must_use]
    pub fn may_run(&self) -> bool {
        let coming = matches!(self.in_flight, Some((_, PowerOrder::On, _)))
            || matches!(self.carried_out, Some((PowerOrder::On, _)));
        self.power != PowerState::Off || coming
    }

    /// A boot by its number, if it is still kept.
    #[must_use]
    pub fn boot_number(&self, number: u32) -> Option<Boot> {
        let present = self.boot.as_ref().filter(|boot| boot.number == number).cloned();
        let packed = || self.earlier.iter().find(|packed| packed.number() == number);
        present.or_else(|| packed()?.boot())
    }

    /// The boots that are kept, oldest first.
    pub fn kept_boots(&self) -> impl Iterator<Item = Boot> {
        self.earlier.iter().filter_map(PackedBoot::boot).chain(self.boot.clone())
    }

    /// True for a machine that waits for the next start in its Talos, or is on its way there: nobody asks it as whom.
    #[must_use]
    pub fn parks_in_talos(&self) -> bool {
        park::talos::is_to_be_reset(self) || park::talos::waits(self)
    }

    /// The boot that goes on, if one does.
    #[must_use]
    pub fn live_boot(&self) -> Option<&Boot> {
        self.boot.as_ref().filter(|_| self.running)
    }
}

impl Lab {
    /// A lab of which nothing has been seen.
    #[must_use]
    pub fn new(spec: LabSpec) -> Self {
        let spec = Arc::new(spec);
        let mut lab = Self {
            spec: Arc::clone(&spec),
            images: BTreeMap::new(),
            images_known: false,
            missing: BTreeMap::new(),
            manifests: BTreeMap::new(),
            boots: Arc::default(),
            candidates: Vec::new(),
            trials: BTreeMap::new(),
            machines: BTreeMap::new(),
            by_mac: Arc::default(),
            run: None,
            runs: 0,
            phase: Phase::Idle,
            phase_since: Moment::default(),
            phase_because: String::from("nothing was started"),
            commands: 0,
            table: 0,
            counter_up: false,
            listening: LabTime::default(),
            notices: Vec::new(),
            strangers: Vec::new(),
            cuts: Vec::new(),
            devices: BTreeMap::new(),
            core: None,
            latest: Moment::default(),
        };
        lab.describe(spec);
        lab
    }

    /// A lab as it was written, without its machines: they are put back one by one.
    #[must_use]
    pub fn without_machines(head: Self) -> Self {
        let mut lab = head;
        let spec = Arc::clone(&lab.spec);
        lab.describe(spec);
        lab
    }

    /// Puts a machine back as it was written. False when it is not on the board.
    pub fn put_back(&mut self, machine: Machine) -> bool {
        let Some(place) = self.machines.get_mut(&machine.node) else { return false };
        *place = Arc::new(machine);
        true
    }

    /// Takes a new description; machines that are still on the board keep what is known of them.
    pub(crate) fn describe(&mut self, spec: Arc<LabSpec>) {
        self.spec = spec;
        let nodes = &self.spec.board.nodes;
        self.by_mac = Arc::new(nodes.iter().map(|(name, node)| (node.mac, name.clone())).collect());
        self.machines.retain(|name, _| nodes.contains_key(name));
        for (name, node) in nodes {
            let new = || Arc::new(Machine::new(name.clone(), node.guest.is_some()));
            self.machines.entry(name.clone()).or_insert_with(new);
        }
        let by_mac = &self.by_mac;
        self.strangers.retain(|s| !by_mac.contains_key(&s.mac));
    }

    /// How much may be kept of each machine.
    pub(crate) fn room(&self) -> Room {
        Room::of(self.machines.len())
    }

    /// How a machine is described.
    #[must_use]
    pub fn node(&self, name: &NodeName) -> Option<&NodeSpec> {
        self.spec.board.nodes.get(name)
    }

    /// The scenario in hand.
    #[must_use]
    pub fn scenario(&self) -> Option<&ScenarioSpec> {
        self.run.as_ref().and_then(|run| self.spec.scenarios.get(&run.scenario))
    }

    /// The image in hand.
    #[must_use]
    pub fn image(&self) -> Option<&Arc<Image>> {
        self.run.as_ref().and_then(|run| self.images.get(&run.scenario))
    }

    /// What this machine gets besides, in the scenario in hand.
    #[must_use]
    pub fn boot_of(&self, machine: &Machine) -> Option<&NodeBoot> {
        self.run.as_ref().and_then(|run| self.boots.get(&run.scenario)?.get(&machine.node))
    }

    /// The image of this machine in the scenario in hand: one that it tries, or its usual one.
    #[must_use]
    pub fn image_of(&self, machine: &Machine) -> Option<&Arc<Image>> {
        match trial::of(self, machine) {
            Some(candidate) => Some(&candidate.image),
            None => self.usual_image_of(machine),
        }
    }

    /// The image that this machine boots when it tries nothing.
    pub(crate) fn usual_image_of(&self, machine: &Machine) -> Option<&Arc<Image>> {
        self.usual_image_in(&self.run.as_ref()?.scenario, machine)
    }

    /// The same in any scenario.
    pub(crate) fn usual_image_in(&self, scenario: &ScenarioName, machine: &Machine) -> Option<&Arc<Image>> {
        let own = self.boots.get(scenario).and_then(|boots| boots.get(&machine.node)?.image.as_ref());
        own.or_else(|| self.images.get(scenario))
    }

    /// The run, unless it is being stopped.
    #[must_use]
    pub fn active_run(&self) -> Option<&Run> {
        self.run.as_ref().filter(|run| !run.stopping)
    }

    /// The machines in the board's order: by row, then column; guests after the machine that runs them.
    #[must_use]
    pub fn in_board_order(&self) -> Vec<&Machine> {
        let mut machines: Vec<&Machine> = self.machines.values().map(AsRef::as_ref).collect();
        machines.sort_by_key(|m| {
            let guest = |n: &NodeSpec| n.guest.is_some().then(|| (m.node.as_str().len(), m.node.clone()));
            self.node(&m.node).map(|n| (n.at.row, n.at.column, guest(n)))
        });
        machines
    }
}
