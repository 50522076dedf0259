//! Request and response bodies that are not nouns of the lab already.

use std::fmt;
use std::sync::Arc;

use model::{
    Event, Explanation, Fault, LabView, MachineView, Moment, NodeName, NodeWord, Notice, Origin, PowerOrder,
    PowerState, ScenarioName, Snapshot, TalosSight,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Body of every answer that is not a success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorBody {
    /// Stable word, for programs: `unknown_scenario`, `another_running`, …
    pub code: String,
    /// What went wrong, for a person.
    pub message: String,
    /// What the person can do about it; empty when nothing can be said.
    pub advice: String,
}

/// Body of a start or stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ask {
    /// Who asks.
    pub by: Origin,
}

/// Text that is secret: it travels, and `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct SecretText(String);

impl SecretText {
    /// Takes it in.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// Hands it out.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(..)")
    }
}

/// Body of a request to take over a cluster that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AdoptAsk {
    /// The secrets bundle of the cluster (`secrets.yaml`).
    pub secrets: SecretText,
    /// Only look at its machines.
    #[serde(default)]
    pub only_look: bool,
    /// Who asks.
    pub by: Origin,
}

/// What was seen of a cluster that is taken over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Adopted {
    /// Its machines, by name.
    pub machines: Vec<LookedAt>,
    /// The request's record; absent when only a look was wanted.
    pub accepted: Option<Accepted>,
}

/// A machine that was looked at by the identity of its cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LookedAt {
    /// Which.
    pub node: NodeName,
    /// What it showed.
    #[serde(flatten)]
    pub sight: TalosSight,
}

/// Body of a power request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PowerAsk {
    /// Which way.
    pub order: PowerOrder,
    /// Who asks.
    pub by: Origin,
}

/// Body of what a person saw of a machine's power.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PowerSaid {
    /// On, off, or unknown.
    pub state: PowerState,
    /// Who says so.
    pub by: Origin,
}

/// Body of a request to wipe a disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WipeAsk {
    /// Which disk, by kernel name or serial; may be left out where the machine has one.
    #[serde(default)]
    pub disk: Option<String>,
    /// Its serial, typed by a person: needed for a disk that is not recorded as this lab's.
    #[serde(default)]
    pub confirm: Option<String>,
    /// Who asks.
    pub by: Origin,
}

/// What shall become of our loader on a machine's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LoaderWish {
    /// It is there, and the firmware starts it first.
    Install,
    /// It is not there, and no boot entry names it.
    Remove,
}

/// Body of a request about our loader on a machine's disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LoaderAsk {
    /// What shall be.
    pub wish: LoaderWish,
    /// Which disk, by kernel name or serial; may be left out where there is one that it could be.
    #[serde(default)]
    pub disk: Option<String>,
    /// Also in place of another lab's.
    #[serde(default)]
    pub force: bool,
    /// The loader has the address of the lab file, and asks no DHCP.
    #[serde(default)]
    pub fixed_address: bool,
    /// Who asks.
    pub by: Origin,
}

/// A part of a machine's serial console.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConsolePart {
    /// Number of its first byte, counted since this core began: more than was asked for where that is not kept any more.
    pub from: u64,
    /// Number of the byte after it: what to ask for next.
    pub next: u64,
    /// Bytes that the machine wrote and that never came here.
    pub lost: u64,
    /// The bytes, base64 (RFC 4648 section 4).
    pub bytes: String,
}

/// Body of a request to type into a machine's serial console.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TypeAsk {
    /// The bytes, base64 (RFC 4648 section 4).
    pub bytes: String,
}

/// Answer to typing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Typed {
    /// How many bytes went into its serial port.
    pub bytes: u64,
}

/// Answer to an accepted request: everything up to this event contains it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Accepted {
    /// Epoch of the core.
    pub epoch: String,
    /// Number of the event that records the request.
    pub seq: u64,
    /// True when it was so already and nothing had to be done.
    pub already: bool,
}

/// What would happen if a scenario were started now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// Which scenario.
    pub scenario: ScenarioName,
    /// Machines that would be switched off first.
    pub switched_off: Vec<NodeName>,
    /// Machines that would be released from waiting, without switching them.
    pub released: Vec<NodeName>,
    /// Machines that would be switched on.
    pub switched_on: Vec<NodeName>,
    /// Machines that a person must switch.
    pub by_hand: Vec<NodeName>,
    /// About how long it takes, in milliseconds, from earlier boots; absent before the first.
    pub about_ms: Option<u64>,
    /// Why it cannot be started, if it cannot.
    pub refused: Option<ErrorBody>,
}

/// Explanations of the whole lab or of one machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Explanations {
    /// One sentence about the lab.
    pub lab: String,
    /// The machines asked about.
    pub nodes: Vec<Explanation>,
}

/// A page of events, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventPage {
    /// Epoch of the core.
    pub epoch: String,
    /// The events.
    pub events: Vec<Event>,
    /// Number of the oldest event that can still be had.
    pub oldest: u64,
}

/// A machine's word and how many have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WordCount {
    /// The word.
    pub word: NodeWord,
    /// How many machines.
    pub count: u32,
}

/// A page of machines, for a lab that is too large to be read at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MachinePage {
    /// Epoch of the core.
    pub epoch: String,
    /// Number of the last event the page contains.
    pub through: u64,
    /// When it was made.
    pub at: Moment,
    /// Machines of the whole board by their word, those in trouble first.
    pub words: Vec<WordCount>,
    /// Machines that were asked for, on this page and all others.
    pub matching: u32,
    /// The machines of this page.
    pub machines: Vec<Arc<MachineView>>,
    /// What `after` must be to get the next page; absent on the last.
    pub next: Option<NodeName>,
}

/// What the stream says. Each is one server-sent event; `event:` is the variant's name in kebab case
/// and `data:` its body as JSON. `id:` is `EPOCH:SEQ`; a reader that comes back with it in
/// `Last-Event-ID` gets the events after it, or `start-over` when they cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", content = "data", rename_all = "kebab-case")]
pub enum StreamItem {
    /// The whole picture; first on every connection.
    Snapshot(Box<Snapshot>),
    /// What changed since the last picture. Latest wins: some in between may be left out.
    Change(Change),
    /// One event. Gap-free after the snapshot's `through`.
    Event(Event),
    /// The reader was too slow or asked for what is gone: a snapshot follows.
    StartOver,
    /// Sent every two seconds when nothing else is, so that silence means a broken line.
    Beat(Moment),
}

/// The changed parts of the picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// Number of the last event contained.
    pub through: u64,
    /// When it was made.
    pub at: Moment,
    /// The lab as a whole, if that changed.
    pub lab: Option<Arc<LabView>>,
    /// The machines that changed, whole.
    pub machines: Vec<Arc<MachineView>>,
}

/// Capture files of failed starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Captures {
    /// Where they are on the boss.
    pub folder: String,
    /// The files, newest first.
    pub files: Vec<Capture>,
}

/// The heads of one machine's packets of one failed start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Capture {
    /// `NODE-RUN-BOOT.pcap`; the name behind `/v1/failures/`.
    pub file: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was saved, milliseconds since 1970.
    pub saved_ms: u64,
}

/// How a check of `doctor` ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// Something does not work.
    Broken,
    /// Something will hurt.
    Warning,
    /// Could not be looked at here.
    Skipped,
    /// As it should be.
    Well,
}

/// One check of `doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// Stable word.
    pub code: String,
    /// How it ended.
    pub finding: Finding,
    /// What was seen, with the numbers.
    pub seen: String,
    /// The one command or act that helps; empty when all is well.
    pub help: String,
    /// Where the operating guide explains it.
    pub page: String,
}

/// One light for the whole boss, with what is behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Light {
    /// The worst of all checks: `broken` is red, `warning` is yellow, `well` is green.
    pub finding: Finding,
    /// Checks and machines that are broken.
    pub broken: u32,
    /// Checks that warn.
    pub warnings: u32,
    /// What the worst of them saw.
    pub text: String,
}

/// What is wrong, worst first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Diagnosis {
    /// The worst of it.
    pub light: Light,
    /// All checks.
    pub checks: Vec<Check>,
    /// What the counter noticed.
    pub notices: Vec<Notice>,
    /// Faults of machines.
    pub faults: Vec<(NodeName, Fault)>,
}
