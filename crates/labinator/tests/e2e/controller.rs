//! `labinator serve` in a house, and the command line that asks it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use model::{Event, MacAddr, Snapshot};
use serde_json::Value;

use super::ground::{given, limited, said, until};
use super::house::House;
use super::processes::{children, lives, signal, told};

/// How long a controller may take to be there: its images are hashed by a debug build on a busy machine.
const RISE: Duration = Duration::from_secs(60);

/// A running controller.
#[derive(Debug)]
pub(crate) struct Controller {
    entered: Child,
    /// The supervisor, as this process sees it.
    pub(crate) pid: u32,
    pub(crate) state: PathBuf,
    pub(crate) socket: PathBuf,
    log: PathBuf,
}

impl Controller {
    /// Starts it with a lab file, and waits until its boot counter answers.
    pub(crate) fn start(house: &House, lab: &Path) -> Self {
        Self::start_in(house, lab, &house.path("state"), &[])
    }

    /// The same with this state folder and these variables.
    pub(crate) fn start_in(house: &House, lab: &Path, state: &Path, variables: &[(&str, &str)]) -> Self {
        Self::start_as(&given("LABINATOR_BIN"), house, (lab, state), variables)
    }

    /// The same with this program, which looks beside itself for what it carries.
    pub(crate) fn start_as(
        program: &Path,
        house: &House,
        (lab, state): (&Path, &Path),
        variables: &[(&str, &str)],
    ) -> Self {
        Self::begin(program, house, (lab, state), (variables, &[]))
    }

    /// The same with the page at this address.
    pub(crate) fn start_at(house: &House, lab: &Path, page: &str) -> Self {
        let state = house.path("state");
        Self::begin(&given("LABINATOR_BIN"), house, (lab, &state), (&[], &["--listen", page]))
    }

    fn begin(
        program: &Path,
        house: &House,
        (lab, state): (&Path, &Path),
        (variables, words): (&[(&str, &str)], &[&str]),
    ) -> Self {
        let (socket, log) = (house.path("api.sock"), house.path("serve.log"));
        let lines = fs::File::options().create(true).append(true).open(&log).unwrap();
        let mut command = house.staying(program);
        command.args(["serve", "--lab"]).arg(lab).arg("--state").arg(state).args(words);
        command.env("LABINATOR_SOCKET", &socket).envs(variables.iter().copied()).stdin(Stdio::null());
        command.stdout(lines.try_clone().unwrap()).stderr(lines);
        let mut entered = command.spawn().unwrap();
        let pid = until(RISE, "nsenter has started it", || {
            let ended = entered.try_wait().unwrap();
            assert!(ended.is_none(), "{}", fs::read_to_string(&log).unwrap());
            children(entered.id()).into_iter().find(|(_, line)| line.contains(" serve ")).map(|(pid, _)| pid)
        });
        let controller = Self { entered, pid, state: state.to_owned(), socket, log };
        until(RISE, "the controller is up", || controller.look().filter(|picture| picture.lab.counter_up));
        controller
    }

    /// A verb of the command line, from outside.
    pub(crate) fn verb(&self, line: &str) -> Command {
        verb(&self.socket, line)
    }

    /// The picture; nothing while nobody answers.
    pub(crate) fn look(&self) -> Option<Snapshot> {
        picture(&self.socket)
    }

    /// Waits for a picture.
    pub(crate) fn wait(&self, limit: Duration, what: &str, good: impl Fn(&Snapshot) -> bool) -> Snapshot {
        until(limit, what, || self.look().filter(&good))
    }

    /// Events after this number, oldest first.
    pub(crate) fn events(&self, after: u64) -> Vec<Event> {
        let text = told(&mut self.verb(&format!("events --json --after {after}")));
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Process id of `core` or `counter`.
    pub(crate) fn part(&self, name: &str) -> Option<u32> {
        let word = format!(" inside {name} ");
        let parts = children(self.pid).into_iter();
        parts.filter(|(pid, line)| line.contains(&word) && lives(*pid)).map(|(pid, _)| pid).next()
    }

    /// `kill -9` of a part; returns the process that took its place.
    pub(crate) fn replace(&self, name: &str) -> u32 {
        let old = self.part(name).unwrap();
        signal(old, rustix::process::Signal::KILL);
        until(RISE, &format!("a new {name}"), || self.part(name).filter(|new| *new != old))
    }

    /// Tells it to end as a service is told to, and waits.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        signal(self.pid, rustix::process::Signal::TERM);
        let entered = &mut self.entered;
        until(RISE, "the controller ends", || entered.try_wait().unwrap())
    }

    /// Addresses that the ledger says were given, in order, with whom. A machine that is not on the board leaves no other
    /// lasting trace of them.
    pub(crate) fn leases(&self) -> Vec<(MacAddr, String)> {
        // As the controller sees it: a test may have mounted something there.
        let ledger = format!("/proc/{}/root{}/ledger", self.pid, self.state.display());
        let ledger = fs::read_to_string(ledger).unwrap();
        let records = ledger.lines().filter_map(|line| serde_json::from_str(line.split_once(' ')?.1).ok());
        let leases = records.filter_map(|record: Value| {
            let word = |name: &str| record.pointer(&format!("/lease/{name}"))?.as_str();
            Some((word("mac")?.parse().ok()?, word("address")?.to_owned()))
        });
        leases.collect()
    }

    /// What it wrote.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("--- the controller wrote:\n{}", self.log());
            for line in ["status", "explain", "events"] {
                let output = self.verb(line).output();
                println!("--- {line}:\n{}", output.map(|output| said(&output)).unwrap_or_default());
            }
        }
        if let Ok(None) = self.entered.try_wait() {
            signal(self.pid, rustix::process::Signal::KILL);
            drop(self.entered.wait());
        }
    }
}

/// A verb of the command line, asked at a socket.
pub(crate) fn verb(socket: &Path, line: &str) -> Command {
    let mut command = limited(600, given("LABINATOR_BIN"));
    command.args(line.split_whitespace()).env("LABINATOR_SOCKET", socket).stdin(Stdio::null());
    command
}

/// The picture; nothing while nobody answers.
pub(crate) fn picture(socket: &Path) -> Option<Snapshot> {
    let output: Output = verb(socket, "status --json").output().unwrap();
    let text = output.status.success().then(|| said(&output))?;
    Some(serde_json::from_str(&text).unwrap_or_else(|why| panic!("{why}: {text}")))
}
