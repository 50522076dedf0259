//! Wiping a disk when the boss orders it: once, in this boot, and never a disk that something uses.
//!
//! ```text
//! order ─▶ which disk? ─▶ may it? ─▶ engine (a thread of its own) ─▶ told with every heartbeat from then on
//! ```

mod back;
mod copies;
mod disk;
mod engine;
mod erase;
mod guard;
mod label;
mod nvme;
mod plan;
mod signature;
mod table;
pub(crate) mod tool;

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::{Digest, DiskLabel, LabelState, WipeOrder, WipePermit, WipeState, WipeTold};

use crate::console::Console;
use crate::inventory;
use erase::Target;
use tool::Tools;

/// What is told of the wipe of this boot.
type Told = Arc<Mutex<Option<WipeTold>>>;

/// Carries out the order of this boot.
#[derive(Debug)]
pub(crate) struct Wiper {
    root: PathBuf,
    tools: Tools,
    told: Told,
}

impl Wiper {
    /// One for the machine whose file system starts at `root`.
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), tools: Tools::of(root), told: Told::default() }
    }

    fn told_now(&self) -> MutexGuard<'_, Option<WipeTold>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the wipe goes that was ordered in this boot, or how it ended.
    pub(crate) fn told(&self) -> Option<WipeTold> {
        self.told_now().clone()
    }

    /// True while a disk is half wiped: the machine must stay on.
    pub(crate) fn is_busy(&self) -> bool {
        self.told_now().as_ref().is_some_and(|told| !told.state.is_end())
    }

    /// Begins an order, unless it is another boot's, was begun already, or another one goes on.
    pub(crate) fn take(&self, order: &WipeOrder, boot_id: &str, console: &Console) {
        let mut told = self.told_now();
        let begun = told.as_ref().is_some_and(|told| told.number >= order.number || !told.state.is_end());
        if begun || order.boot_id != boot_id {
            return;
        }
        console.say(&format!("ordered to wipe {}", order.disk));
        let state = WipeState::Wiping { step: "looking for the disk".to_owned(), done: 0, of: 0 };
        *told = Some(WipeTold { number: order.number, state });
        drop(told);
        let (root, tools, order) = (self.root.clone(), self.tools.clone(), order.clone());
        let console = console.clone();
        let end = End { number: order.number, told: Arc::clone(&self.told) };
        // A thread that is waited for by nobody: heartbeats go on meanwhile.
        drop(std::thread::spawn(move || {
            let said = Mutex::new(String::new());
            let state = carry_out(&root, &tools, &order, &|step, done, of| {
                say_once(&console, &said, step);
                end.tell(WipeState::Wiping { step: step.to_owned(), done, of });
            });
            end.tell(state);
        }));
    }
}

/// Tells a person at the screen what is being done now; how long it takes is for heartbeats.
fn say_once(console: &Console, said: &Mutex<String>, step: &str) {
    let step = step.split(", for ").next().unwrap_or(step);
    let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
    if *said != step {
        console.say(&format!("wipe: {step}"));
        step.clone_into(&mut said);
    }
}

/// Tells how it ended, whatever happens to the thread.
#[derive(Debug)]
struct End {
    number: u32,
    told: Told,
}

impl End {
    fn tell(&self, state: WipeState) {
        let told = WipeTold { number: self.number, state };
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let ended = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let open = ended.as_ref().is_none_or(|told| !told.state.is_end());
        drop(ended);
        if open {
            self.tell(WipeState::Failed { touched: true, why: "the agent broke off".to_owned() });
        }
    }
}

/// Carries an order out, to its end.
fn carry_out(root: &Path, tools: &Tools, order: &WipeOrder, tell: engine::Tell<'_>) -> WipeState {
    let refused = |why: String| WipeState::Failed { touched: false, why };
    let id = &order.disk;
    let disks = inventory::disks(root);
    let mut matching = disks.iter().filter(|disk| disk.digest == Some(id.digest));
    let name = match (matching.next(), matching.next()) {
        (Some(disk), None) => &disk.name,
        (Some(one), Some(other)) => {
            let (one, other) = (&one.name, &other.name);
            return refused(format!(
                "{one} and {other} have the same serial, model and size: nobody can say which is meant"
            ));
        }
        (None, _) => {
            return refused(format!("no disk of this machine has the serial, model and size of {id}"));
        }
    };
    if let Some(why) = guard::why_not(root, name) {
        return refused(why);
    }
    let disk = match disk::Disk::open(&root.join("dev").join(name)) {
        Ok(disk) => disk,
        Err(why) => return refused(format!("{name} cannot be opened for this alone: {why}")),
    };
    if disk.bytes != id.bytes {
        return refused(format!("{name} has {} bytes, and the order is for {}", disk.bytes, id.bytes));
    }
    let there =
        disk.read(label::PLACE.at, label::PLACE.len).ok().and_then(|block| label::read(&block, id.digest));
    if let Some(there) = there.filter(|there| there.lab != order.lab && order.permit == WipePermit::Recorded)
    {
        return refused(format!(
            "its label says that it belongs to lab {}, and nobody typed its serial",
            there.lab
        ));
    }
    let label = DiskLabel {
        lab: order.lab.clone(),
        node: order.node.clone(),
        number: order.number,
        state: LabelState::Wiped,
    };
    let target = Target { disk: &disk, root, name, tools };
    match engine::run(&target, &label, id.digest, tell) {
        Ok(report) => WipeState::Wiped { report },
        Err(engine::Fault { touched, why }) => WipeState::Failed { touched, why },
    }
}

/// What orders name a disk by: SHA-256 of its serial, model and size, each on a line.
pub(crate) fn digest_of(serial: &str, model: &str, bytes: u64) -> Digest {
    Digest(store::Digest::of(format!("{serial}\n{model}\n{bytes}\n").as_bytes()).0)
}

/// What a lab wrote on this disk, if it can be read and is this disk's.
pub(crate) fn label_of(root: &Path, name: &str, digest: Digest) -> Option<DiskLabel> {
    let file = File::open(root.join("dev").join(name)).ok()?;
    let mut block = vec![0; usize::try_from(label::PLACE.len).ok()?];
    file.read_exact_at(&mut block, label::PLACE.at).ok()?;
    label::read(&block, digest)
}

/// Why this disk must be left alone.
pub(crate) fn why_not(root: &Path, name: &str) -> Option<String> {
    guard::why_not(root, name)
}

/// Why this disk is none of the box.
pub(crate) fn comes_and_goes(root: &Path, name: &str) -> Option<String> {
    guard::comes_and_goes(root, name)
}

#[cfg(test)]
mod erase_tests;
#[cfg(test)]
mod tests;
