//! `init --serve`: a lab that grows as its machines announce themselves, served meanwhile, so that the page shows each.
//!
//! ```text
//! frames ─listen.rs─▶ a machine asks ─▶ board.rs: the next node ─▶ the file, anew ─▶ a new core serves it
//! ```
//!
//! Nothing is started and no disk is touched: a machine of the board waits at its loader until a scenario is chosen.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::{LabSpec, MacAddr};
use tokio::sync::mpsc;

use super::ask::Keyboard;
use super::board::{Board, netboots};
use super::listen::Ear;
use super::segment::Machine;
use super::text::{Draft, HEAD, SCENARIOS, described};
use super::{keep, written};
use crate::cli::{Failure, InitArgs, out, socket_path};
use crate::config;
use crate::serve::{Folders, Setup, Supervisor};
use crate::start::{images_folder, loaders_folder, state_folder};

/// Firmware follows its first frame with an ask that says what it is.
const FOLLOWS: Duration = Duration::from_secs(1);

/// The file by which the folder of such a lab is known: another one is never taken away.
const MARK: &str = "provisional";

/// What goes around a board to make a lab file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around<'a> {
    pub(super) args: &'a InitArgs,
    pub(super) quiet: bool,
}

impl Around<'_> {
    fn text(&self, board: &Board<'_>, ear: &Ear) -> Result<String, Failure> {
        let lab = self.args.name.as_str();
        let (head, groups, scenarios) = (HEAD, "", SCENARIOS);
        let (network, nodes, segment) = (&*board.network, board.nodes.as_slice(), &ear.segment);
        written(&Draft { lab, network, nodes, segment, head, groups, scenarios }, &self.args.out)
    }

    /// The lab as it is so far. One without a machine is no lab file, and can be served all the same.
    fn lab(&self, board: &mut Board<'_>, ear: &Ear) -> Result<LabSpec, Failure> {
        let empty = board.nodes.is_empty();
        if empty {
            board.stand_in()?;
        }
        let text = self.text(board, ear)?;
        let parsed = config::parse(text.as_bytes(), "the provisional lab", Path::new(""));
        let mut spec = parsed.map_err(|mistakes| Failure::failed(mistakes.to_string()))?;
        if empty {
            board.nodes.clear();
            spec.board.nodes.clear();
            spec.scenarios.clear();
        }
        Ok(spec)
    }

    fn told(&self, line: &str) -> Result<(), Failure> {
        if self.quiet { Ok(()) } else { out::line(line) }
    }
}

/// Serves until a person presses Enter, enough machines are there, or a signal comes. The file is written whenever
/// a machine came.
///
/// # Errors
/// The boss has not its address yet, a port is taken, or the file cannot be written.
pub(super) async fn serve(
    around: Around<'_>,
    mut board: Board<'_>,
    ear: &mut Ear,
    keyboard: Option<&mut Keyboard>,
) -> Result<(), Failure> {
    let args = around.args;
    if !board.network.boss_is_ours {
        let (boss, prefix, interface) = (board.network.boss, board.network.prefix, &board.network.interface);
        let advice = format!("ip address add {boss}/{prefix} dev {interface}, or name another with --boss");
        return Err(Failure::with_advice(
            format!("machines would be told {boss}, which is not this machine's address"),
            advice,
        ));
    }
    let page = TcpListener::bind(args.page)
        .map_err(|why| Failure::with_advice(format!("{}: {why}", args.page), "name another with --page"))?;
    let spec = around.lab(&mut board, ear)?;
    // Whoever is only looked at is left as it is.
    let (loaders, images) = (loaders_folder(), images_folder());
    let folders = Folders { state: fresh_state(args)?, loaders, images, agent: None };
    let state = folders.state.clone();
    let running = Supervisor::bind(Setup { spec, folders, page, socket: socket_path() })?.start()?;
    around.told(&format!("page  {}", running.link()))?;
    let how = match (args.machines, keyboard.is_some()) {
        (Some(count), _) => format!("until {count} are there"),
        (None, true) => "Enter when there are no more".to_owned(),
        (None, false) => "Ctrl-C when there are no more".to_owned(),
    };
    around.told(&format!("Switch the machines on, in the order in which they shall be numbered; {how}."))?;
    if !board.nodes.is_empty() {
        save(around, &board, ear, args.force)?;
    }
    ear.only_listen();
    let (labs, changes) = mpsc::channel(1);
    let before = board.nodes.len();
    let grown = grow(around, &mut board, ear, (keyboard, labs));
    let outcome = running.run_changing(grown, changes).await;
    drop(std::fs::remove_dir_all(&state));
    outcome?.transpose()?;
    if board.nodes.is_empty() {
        let advice = "see that they boot from the network, and that they hang on this interface";
        return Err(Failure::with_advice("no machine that boots from the network announced itself", advice));
    }
    let came = board.nodes.len() - before;
    around.told(&format!(
        "Wrote {} with {} machines, {came} of them while it was served.",
        args.out.display(),
        board.nodes.len()
    ))?;
    around.told(&format!("Then: labinator serve --lab {}", args.out.display()))
}

fn fault(path: &Path, why: &std::io::Error) -> Failure {
    Failure::failed(format!("{}: {why}", path.display()))
}

/// A folder for a journal that nobody needs afterwards. One that is there was left behind, and is another lab's.
fn fresh_state(args: &InitArgs) -> Result<PathBuf, Failure> {
    let folder = args.state.clone().unwrap_or_else(|| state_folder().join("init"));
    let mark = folder.join(MARK);
    if folder.exists() && !mark.is_file() {
        let why = format!("{} is not left over from `init --serve`, and is not taken away", folder.display());
        return Err(Failure::with_advice(why, "name a folder that is not there with --state"));
    }
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(|why| fault(&folder, &why))?;
    }
    std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::write(&mark, "a folder of `labinator init --serve`\n"))
        .map_err(|why| fault(&folder, &why))?;
    Ok(folder)
}

fn save(around: Around<'_>, board: &Board<'_>, ear: &Ear, over: bool) -> Result<(), Failure> {
    keep(&around.args.out, &around.text(board, ear)?, over)
}

/// Takes machines as they come.
async fn grow(
    around: Around<'_>,
    board: &mut Board<'_>,
    ear: &mut Ear,
    (mut keyboard, labs): (Option<&mut Keyboard>, mpsc::Sender<LabSpec>),
) -> Result<(), Failure> {
    let mut saved = !board.nodes.is_empty();
    loop {
        if around.args.machines.is_some_and(|enough| board.nodes.len() >= usize::from(enough)) {
            return Ok(());
        }
        let machine = tokio::select! {
            line = typed(&mut keyboard) => return line.map(drop),
            machine = next(board, ear) => machine,
        };
        board.take_next(&machine)?;
        if let Some(node) = board.nodes.last() {
            around.told(&format!("{}  {}", node.name, described(&machine)))?;
        }
        save(around, board, ear, saved || around.args.force)?;
        saved = true;
        // Nobody takes it any more when the house is closing.
        drop(labs.send(around.lab(board, ear)?).await);
    }
}

/// The next machine whose firmware asks and that is not on the board. Safe to cancel.
async fn next(board: &Board<'_>, ear: &mut Ear) -> Machine {
    loop {
        let fresh = |machine: &&Machine| netboots(machine) && !board.has(machine.mac);
        let found: Option<MacAddr> =
            ear.segment.candidates().into_iter().find(fresh).map(|machine| machine.mac);
        if let Some(mac) = found {
            ear.listen(FOLLOWS).await;
            if let Some(machine) = ear.segment.machines.get(&mac) {
                return machine.clone();
            }
        }
        ear.hear().await;
    }
}

/// A line of the keyboard; without one, never.
async fn typed(keyboard: &mut Option<&mut Keyboard>) -> Result<String, Failure> {
    match keyboard {
        Some(keyboard) => keyboard.line().await,
        None => std::future::pending().await,
    }
}
