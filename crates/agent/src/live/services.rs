//! What a live image runs beside the agent: some things once, some kept running.
//!
//! As process 1 the agent buries every child, its own and orphans alike; so nobody else may wait for one. Deaths come
//! in here by process id.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::IpAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::modules;
use crate::console::Console;
use crate::kernel_line::KernelLine;
use crate::lease::Held;
use crate::renew::Running;

/// Written by the image builder.
const FILE: &str = "/etc/labinator/services";
/// Pauses between starts of one that keeps ending: doubled from the first to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// One that ran this long is well: its next pause is the first again.
const WELL: Duration = Duration::from_secs(60);

/// Children that ended: process id and what `wait` said of it.
pub(crate) type Deaths = mpsc::UnboundedReceiver<(i32, String)>;

/// How long something runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Run {
    /// Until it is done; the next one waits for it.
    Once,
    /// As long as the machine.
    Keep,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Service {
    run: Run,
    name: String,
    command: String,
}

/// A service and how it does.
#[derive(Debug)]
struct State {
    service: Service,
    process: Option<i32>,
    started: Instant,
    pause: Duration,
    due: Option<Instant>,
}

/// What was started, by name, for a build of the agent that comes after this one.
#[derive(Debug, Default)]
pub(crate) struct Board(Mutex<BTreeMap<String, Entry>>);

#[derive(Debug)]
struct Entry {
    /// None: it ran once, and is done.
    process: Option<i32>,
    /// The pipe that it writes to: one that nobody reads would end it.
    said: Option<OwnedFd>,
}

impl Board {
    /// As a build before this one left it.
    pub(crate) fn of(running: Vec<Running>, pipes: Vec<OwnedFd>) -> Self {
        let mut pipes = pipes.into_iter();
        let entry = |running: Running| {
            let said = running.speaks.then(|| pipes.next()).flatten();
            (running.name, Entry { process: running.process, said })
        };
        Self(Mutex::new(running.into_iter().map(entry).collect()))
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is handed over, and a pipe for each that speaks.
    pub(crate) fn handed(&self) -> (Vec<Running>, Vec<OwnedFd>) {
        let mut pipes = Vec::new();
        let all = self.all();
        let running = all.iter().map(|(name, entry)| {
            let pipe = entry.said.as_ref().and_then(|said| said.as_fd().try_clone_to_owned().ok());
            let speaks = pipe.is_some();
            pipes.extend(pipe);
            Running { name: name.clone(), process: entry.process, speaks }
        });
        (running.collect(), pipes)
    }

    fn started(&self, name: &str, process: i32, said: Option<OwnedFd>) {
        self.all().insert(name.to_owned(), Entry { process: Some(process), said });
    }

    fn ended(&self, name: &str, run: Run) {
        match run {
            Run::Once => drop(self.all().insert(name.to_owned(), Entry { process: None, said: None })),
            Run::Keep => drop(self.all().remove(name)),
        }
    }

    /// What a build before this one started of this service, with a pipe to read on from.
    fn found(&self, name: &str) -> Option<(Option<i32>, Option<OwnedFd>)> {
        let mut all = self.all();
        let entry = all.get(name)?;
        // One that was buried before this build began is started anew. A child that is not buried yet is still there.
        if entry.process.is_some_and(|process| !Path::new(&format!("/proc/{process}")).exists()) {
            all.remove(name);
            return None;
        }
        let said = entry.said.as_ref().and_then(|said| said.as_fd().try_clone_to_owned().ok());
        Some((entry.process, said))
    }
}

/// What this image wants run; empty where there is no such file.
pub(super) fn listed() -> String {
    std::fs::read_to_string(FILE).unwrap_or_default()
}

/// The services of this image.
#[derive(Debug)]
pub(super) struct Services<'a> {
    console: &'a Console,
    all: Vec<State>,
    board: Arc<Board>,
    /// Where the boss is, as soon as it is known.
    boss: Option<IpAddr>,
}

impl<'a> Services<'a> {
    /// Reads what this image wants run; none where there is no such file. What a build before this one started goes on.
    pub(super) fn read(console: &'a Console, board: Arc<Board>) -> Self {
        Self::of(console, board, &listed())
    }

    fn of(console: &'a Console, board: Arc<Board>, text: &str) -> Self {
        let now = Instant::now();
        let state = |service: Service| {
            let found = board.found(&service.name);
            let due = found.is_none().then_some(now);
            let (process, said) = found.unwrap_or_default();
            if let Some(said) = said {
                // Without a thread it runs until its pipe is full.
                drop(listen(console, &service.name, File::from(said)));
            }
            State { service, process, started: now, pause: PAUSES.0, due }
        };
        let all = parse(text).into_iter().map(state).collect();
        Self { console, all, board, boss: None }
    }

    /// True where nothing is to be run.
    pub(super) const fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Runs them for good: what ends and is kept is started again after a pause.
    pub(super) async fn run(
        mut self,
        line: &KernelLine,
        mut held: watch::Receiver<Option<Held>>,
        mut deaths: Deaths,
    ) {
        loop {
            let told = held.borrow_and_update().as_ref().and_then(|held| held.boss);
            self.boss = line.boss.or(told).map(|boss| boss.ip()).or(self.boss);
            self.start_due();
            let next =
                self.all.iter().filter(|state| self.may_start(state)).filter_map(|state| state.due).min();
            let pause = async {
                match next {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = pause => {}
                Some((process, how)) = deaths.recv() => self.died(process, &how, Instant::now()),
                changed = held.changed() => if changed.is_err() { return },
            }
        }
    }

    /// False while it needs to know where the boss is, or something before it that runs once is not done.
    fn may_start(&self, state: &State) -> bool {
        let before = self.all.iter().take_while(|other| other.service != state.service);
        let free = before
            .filter(|other| other.service.run == Run::Once)
            .all(|other| other.process.is_none() && other.due.is_none());
        free && (self.boss.is_some() || !state.service.command.contains("$BOSS"))
    }

    fn start_due(&mut self) {
        let now = Instant::now();
        for at in 0..self.all.len() {
            let due = self
                .all
                .get(at)
                .is_some_and(|state| state.due.is_some_and(|due| due <= now) && self.may_start(state));
            let boss = self.boss;
            let console = self.console;
            if let Some(state) = self.all.get_mut(at).filter(|_| due) {
                state.due = None;
                state.started = now;
                match start(console, &state.service, boss) {
                    Ok((process, said)) => {
                        self.board.started(&state.service.name, process, said);
                        state.process = Some(process);
                    }
                    Err(why) => {
                        console.say(&format!("{}: cannot be started: {why}", state.service.name));
                        modules::note_end(&state.service.name);
                        state.again(now);
                    }
                }
            }
        }
    }

    fn died(&mut self, process: i32, how: &str, now: Instant) {
        let Some(state) = self.all.iter_mut().find(|state| state.process == Some(process)) else { return };
        state.process = None;
        self.board.ended(&state.service.name, state.service.run);
        modules::note_end(&state.service.name);
        if state.service.run == Run::Once {
            if how != OK {
                self.console.say(&format!("{}: {how}", state.service.name));
            }
            return;
        }
        if now.duration_since(state.started) >= WELL {
            state.pause = PAUSES.0;
        }
        self.console.say(&format!(
            "{} ended ({how}); again in {} ms",
            state.service.name,
            state.pause.as_millis()
        ));
        state.again(now);
    }
}

impl State {
    fn again(&mut self, now: Instant) {
        if self.service.run == Run::Keep {
            self.due = now.checked_add(self.pause);
            self.pause = (self.pause * 2).min(PAUSES.1);
        }
    }
}

/// How a child that did what it should is told.
pub(crate) const OK: &str = "done";

/// Reads `once NAME COMMAND` and `keep NAME COMMAND`, one a line; a line of another form is passed over.
fn parse(text: &str) -> Vec<Service> {
    let service = |line: &str| {
        let (run, rest) = line.split_once(' ')?;
        let (name, command) = rest.split_once(' ')?;
        let run = match run {
            "once" => Run::Once,
            "keep" => Run::Keep,
            _ => return None,
        };
        Some(Service { run, name: name.to_owned(), command: command.to_owned() })
    };
    text.lines().filter_map(service).collect()
}

/// Starts a shell with the command. What it says goes to the console, line by line. Gives its process, and its pipe.
fn start(
    console: &Console,
    service: &Service,
    boss: Option<IpAddr>,
) -> std::io::Result<(i32, Option<OwnedFd>)> {
    let environment: BTreeMap<&str, String> = [
        ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
        ("HOME", "/root".to_owned()),
        ("TERM", "linux".to_owned()),
        ("BOSS", boss.map(|boss| boss.to_string()).unwrap_or_default()),
    ]
    .into();
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &format!("exec 2>&1; {}", service.command)]).env_clear().envs(environment);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let id = i32::try_from(child.id()).map_err(std::io::Error::other)?;
    let said = child.stdout.take().map(OwnedFd::from);
    let kept = said.as_ref().and_then(|said| said.as_fd().try_clone_to_owned().ok());
    if let Some(said) = said {
        listen(console, &service.name, File::from(said))?;
    }
    Ok((id, kept))
}

/// Tells what comes through a pipe. A thread, because a pipe is no socket; it ends with the pipe.
fn listen(console: &Console, name: &str, said: File) -> std::io::Result<()> {
    let (console, name) = (console.clone(), name.to_owned());
    let thread = std::thread::Builder::new().name(name.clone());
    thread.spawn(move || {
        for line in BufReader::new(said).lines().map_while(Result::ok) {
            console.say(&format!("{name}: {line}"));
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn services<'a>(console: &'a Console, text: &str) -> Services<'a> {
        Services::of(console, Arc::default(), text)
    }

    fn startable(services: &Services<'_>) -> Vec<String> {
        let may = services.all.iter().filter(|state| state.due.is_some() && services.may_start(state));
        may.map(|state| state.service.name.clone()).collect()
    }

    #[test]
    fn lines_of_another_form_are_passed_over() {
        let all = parse("once a true\n# no\nkeep b exec x -y 'z w'\nlater c true\nkeep d\n");
        let names: Vec<_> = all.iter().map(|s| (s.name.as_str(), s.command.as_str())).collect();
        assert_eq!(names, [("a", "true"), ("b", "exec x -y 'z w'")]);
    }

    #[tokio::test]
    async fn what_runs_once_is_waited_for_and_the_boss_too() {
        let console = Console::nobody();
        let mut services = services(&console, "once a true\nkeep b exec b\nkeep c exec c $BOSS\n");
        assert_eq!(startable(&services), ["a"]);
        services.all[0].due = None;
        services.all[0].process = Some(7);
        assert_eq!(startable(&services), [""; 0]);
        services.died(7, OK, Instant::now());
        assert_eq!(startable(&services), ["b"]);
        services.boss = Some("10.0.0.1".parse().unwrap());
        assert_eq!(startable(&services), ["b", "c"]);
    }

    #[test]
    fn what_a_build_before_started_goes_on_and_what_is_gone_is_started() {
        let console = Console::nobody();
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let lives = i32::try_from(child.id()).unwrap();
        let (before, (read, _write)) = (Board::default(), std::io::pipe().unwrap());
        before.ended("a", Run::Once);
        before.started("b", lives, Some(read.into()));
        // No process has the number 0.
        before.started("c", 0, None);
        let (running, pipes) = before.handed();
        assert_eq!(pipes.len(), 1);
        let text = serde_json::to_string(&running).unwrap();
        let board = Arc::new(Board::of(serde_json::from_str(&text).unwrap(), pipes));
        let services =
            Services::of(&console, Arc::clone(&board), "once a true\nkeep b exec b\nkeep c exec c\n");
        assert_eq!(startable(&services), ["c"]);
        assert_eq!(services.all[1].process, Some(lives));
        let names: Vec<_> =
            board.handed().0.into_iter().map(|running| (running.name, running.speaks)).collect();
        assert_eq!(names, [("a".to_owned(), false), ("b".to_owned(), true)]);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn what_keeps_ending_is_started_ever_more_slowly_until_it_stays() {
        let console = Console::nobody();
        let mut services = services(&console, "keep b exec b\n");
        let now = Instant::now();
        let mut pause_after = |lived: Duration| {
            let state = &mut services.all[0];
            (state.process, state.due, state.started) = (Some(9), None, now);
            services.died(9, "exit status 1", now + lived);
            services.all[0].due.unwrap().duration_since(now + lived).as_millis()
        };
        let pauses: Vec<_> = (0..9).map(|_| pause_after(Duration::ZERO)).collect();
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]);
        assert_eq!(pause_after(WELL), 500);
    }
}
