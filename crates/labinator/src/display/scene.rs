//! What every display shows of the lab, whatever its size: made of the published picture and nothing else.

use lifecycle::{Cut, may_cut};
use model::{
    Cell, Goal, MachineView, NodeName, NodeWord, Phase, PowerState, Snapshot, Span, Stage, WallTime,
};

use crate::cli::render::{counted, notice};

/// How something is, for a colour and a shape; the word beside it says it, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tone {
    /// Off, and may be.
    Off,
    /// As wanted.
    Well,
    /// On its way.
    Moving,
    /// Not as it should be, or not known.
    Doubtful,
    /// Broken.
    Broken,
}

/// A machine in its bay of the board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bay {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub cell: Cell,
    /// Its zone.
    pub zone: Option<u8>,
    /// Its state in a word.
    pub word: NodeWord,
    /// How it is.
    pub tone: Tone,
    /// How far up it is, in hundredths.
    pub part: u8,
    /// Whether it runs, by evidence.
    pub power: PowerState,
    /// What it waits for or what went wrong; may be empty.
    pub detail: String,
    /// How its guests are.
    pub guests: Vec<Tone>,
}

/// The lab as displays show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scene {
    /// The lab's name.
    pub lab: String,
    /// What was started.
    pub scenario: Option<String>,
    /// What is being done.
    pub phase: Phase,
    /// For how long.
    pub phase_for: Span,
    /// Machines that shall be ready, and those that are.
    pub ready: (usize, usize),
    /// Pods that are done, and all of them.
    pub pods: Option<(u32, u32)>,
    /// Columns and rows of the board.
    pub board: (u8, u8),
    /// Its machines.
    pub bays: Vec<Bay>,
    /// What a person should look at.
    pub remarks: Vec<String>,
    /// What happened last, the newest last.
    pub log: Vec<String>,
    /// Whether the power may be cut.
    pub cut: Cut,
    /// Why this is not how it is now, where it is not.
    pub stale: Option<String>,
    /// When the picture was made.
    pub clock: WallTime,
}

impl Scene {
    /// Of a picture, the last lines of what happened, and the reason why there is no newer picture, where there is one.
    #[must_use]
    pub fn new(picture: &Snapshot, log: &[String], stale: Option<&str>) -> Self {
        let lab = &picture.lab;
        let machines = || picture.machines.iter().filter(|machine| machine.is_in_hand());
        let count =
            |wanted: &dyn Fn(&MachineView) -> bool| machines().filter(|machine| wanted(machine)).count();
        let guests =
            |host: &NodeName| machines().filter(|m| m.host.as_ref() == Some(host)).map(|m| tone(m)).collect();
        let bays = picture.machines.iter().filter(|machine| !machine.is_guest);
        // What was true may be wrong by now.
        let cut = match stale {
            None => may_cut(picture),
            Some(why) => Cut::MayNot(why.to_owned()),
        };
        Self {
            lab: lab.name.to_string(),
            scenario: lab.scenario.as_ref().map(ToString::to_string),
            phase: lab.phase,
            phase_for: picture.at.since_start.since(lab.phase_since.since_start),
            ready: (count(&|m| m.word == NodeWord::Ready), count(&|m| m.goal == Goal::Ready)),
            pods: lab.pods.as_ref().map(|pods| (pods.counts.done(), pods.counts.all())),
            board: (lab.columns.max(1), lab.rows.max(1)),
            bays: bays.map(|bay| Bay { guests: guests(&bay.node), ..bay_of(bay) }).collect(),
            remarks: remarks(picture),
            log: log.to_vec(),
            cut,
            stale: stale.map(str::to_owned),
            clock: picture.at.wall,
        }
    }

    /// Before anything was heard.
    #[must_use]
    pub fn blank(why: &str) -> Self {
        Self {
            lab: "labinator".to_owned(),
            scenario: None,
            phase: Phase::Idle,
            phase_for: Span(0),
            ready: (0, 0),
            pods: None,
            board: (1, 1),
            bays: Vec::new(),
            remarks: Vec::new(),
            log: Vec::new(),
            cut: Cut::MayNot(why.to_owned()),
            stale: Some(why.to_owned()),
            clock: WallTime(0),
        }
    }

    /// How the lab is.
    #[must_use]
    pub const fn tone(&self) -> Tone {
        match (&self.stale, self.phase) {
            (Some(_), _) | (None, Phase::Degraded) => Tone::Doubtful,
            (None, Phase::Idle) => Tone::Off,
            (None, Phase::PoweringDown | Phase::Booting | Phase::Stopping) => Tone::Moving,
            (None, Phase::Ready) => Tone::Well,
            (None, Phase::Failed) => Tone::Broken,
        }
    }

    /// "5 of 6 ready", and what its pods do.
    #[must_use]
    pub fn tally(&self) -> String {
        let (ready, wanted) = self.ready;
        let mut tally = match wanted {
            0 => counted(self.bays.len(), "machine"),
            wanted => format!("{ready} of {wanted} ready"),
        };
        if let Some((done, all)) = self.pods {
            tally.push_str(&format!(", {done} of {all} pods"));
        }
        tally
    }

    /// The phase and its age: "booting 1:12".
    #[must_use]
    pub fn doing(&self) -> String {
        let seconds = self.phase_for.0 / 1000;
        let age = match seconds {
            0..3600 => format!("{}:{:02}", seconds / 60, seconds % 60),
            _ => format!("{}h{:02}", seconds / 3600, seconds / 60 % 60),
        };
        format!("{} {age}", self.phase)
    }
}

fn bay_of(machine: &MachineView) -> Bay {
    let waits = machine.waiting.as_ref().map(|waiting| waiting.what.clone());
    let fault = machine.fault.as_ref().map(|fault| fault.code.to_string());
    Bay {
        name: machine.node.to_string(),
        cell: machine.cell,
        zone: machine.zone,
        word: machine.word,
        tone: tone(machine),
        part: part(machine),
        power: machine.power.state,
        detail: fault.or(waits).unwrap_or_default(),
        guests: Vec::new(),
    }
}

const fn tone(machine: &MachineView) -> Tone {
    match machine.word {
        NodeWord::Off | NodeWord::Parked => Tone::Off,
        NodeWord::Starting
        | NodeWord::Dhcp
        | NodeWord::Waiting
        | NodeWord::Loader
        | NodeWord::Image
        | NodeWord::Kernel
        | NodeWord::Maintenance
        | NodeWord::Joining
        | NodeWord::Stopping => Tone::Moving,
        NodeWord::Ready => Tone::Well,
        NodeWord::Degraded | NodeWord::Unknown => Tone::Doubtful,
        NodeWord::Bad => Tone::Broken,
    }
}

/// How far up, in hundredths: an image counts by its bytes, the other steps by where they stand on the ladder.
fn part(machine: &MachineView) -> u8 {
    match machine.word {
        NodeWord::Off | NodeWord::Unknown => 0,
        NodeWord::Stopping => 10,
        NodeWord::Starting => 15,
        NodeWord::Dhcp => 25,
        NodeWord::Waiting | NodeWord::Parked => 35,
        NodeWord::Loader => 40,
        NodeWord::Image | NodeWord::Bad => 45 + image(machine) / 4,
        NodeWord::Kernel => 75,
        NodeWord::Maintenance => 85,
        NodeWord::Joining => 90,
        NodeWord::Ready | NodeWord::Degraded => 100,
    }
}

/// How much of its image it took, in hundredths.
fn image(machine: &MachineView) -> u8 {
    let bars = machine.boot.iter().flat_map(|boot| boot.bars.iter().rev());
    let bar = bars.clone().find(|bar| bar.stage == Stage::Image && bar.size > 0);
    let done = bar.and_then(|bar| bar.bytes.min(bar.size).checked_mul(100)?.checked_div(bar.size));
    done.and_then(|part| u8::try_from(part).ok()).unwrap_or(0)
}

/// What a person should look at: machines that were given up first, then what is wrong with the segment or the boss.
fn remarks(picture: &Snapshot) -> Vec<String> {
    let mut remarks: Vec<String> = picture
        .machines
        .iter()
        .filter(|machine| matches!(machine.word, NodeWord::Bad))
        .filter_map(|machine| Some(format!("{}: {}", machine.node, machine.fault.as_ref()?.text)))
        .collect();
    if !picture.lab.counter_up {
        remarks.push("the boot counter is away: no machine can boot".to_owned());
    }
    let notices =
        picture.lab.notices.iter().rev().filter(|notice| !matches!(notice, model::Notice::LedgerWell));
    remarks.extend(notices.map(notice));
    if let Some(stranger) = picture.lab.strangers.last() {
        remarks.push(format!("{} is not on the board", stranger.mac));
    }
    remarks
}
