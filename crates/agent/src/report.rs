//! Talking to the boss: one report a boot, then heartbeats, and doing what it orders.
//!
//! ```text
//!   hello ──welcome──▶ beat ──▶ beat ──▶ …
//!     ▲                 │ report again, another address
//!     └─────────────────┘          power off ──▶ the machine is off
//! ```

use std::fs::File;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent::health::Eye;
use model::{
    AGENT_BEAT_PATH, AGENT_BEAT_SECONDS, AGENT_HELLO_PATH, AgentBeat, AgentOrder, AgentReport, AgentWelcome,
    Digest, Kexec, ParkOrder, read_spoken,
};
use store::Summing;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{self, sleep};

use crate::allegiance::{Allegiance, Whose};
use crate::channel::{self, Whereto};
use crate::console::{Console, uptime_ms};
use crate::door::{Door, DoorError};
use crate::guests::Guests;
use crate::inventory;
use crate::kernel_line::KernelLine;
use crate::key::BootKey;
use crate::lease::Held;
use crate::loader::DiskLoader;
use crate::park::{self, Parking};
use crate::renew::{self, Handover, Renewer, Resumed, Trial};
use crate::wipe::Wiper;

const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(8);
/// Between two heartbeats that the core asked for: one that asks without end costs no more than this.
const NUDGE_PAUSE: Duration = Duration::from_millis(250);
/// A boss that asks for more patience than this is asked again anyway.
const LONGEST_PATIENCE: Duration = Duration::from_secs(60);

/// What stays the same for the whole boot.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) boot_id: String,
    pub(crate) kernel: String,
    pub(crate) line: KernelLine,
    /// SHA-256 of the program that runs here.
    pub(crate) build: Option<Digest>,
}

impl Identity {
    /// Reads it from the running kernel.
    pub(crate) fn read() -> Self {
        let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        Self {
            boot_id: text("/proc/sys/kernel/random/boot_id").trim().to_owned(),
            kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
            line: KernelLine::read(&text("/proc/cmdline")),
            build: own_build(),
        }
    }
}

/// SHA-256 of the program that runs here. Read through the kernel's own link: the file may have another name by now, or
/// none.
pub(crate) fn own_build() -> Option<Digest> {
    let mut program = File::open("/proc/self/exe").ok()?;
    let mut sum = Summing::default();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match program.read(&mut buffer).ok()? {
            0 => return Some(Digest(sum.finish().0)),
            count => sum.add(buffer.get(..count)?),
        }
    }
}

/// How the talk with the boss ends.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The machine is ordered off.
    Off,
    /// It is ordered to leave its run, and to wait in memory.
    Parked(Parking),
}

/// Reports and beats until the boss orders the machine off, or to park. Without an address, or somebody who told where the boss is,
/// it waits for them.
pub(crate) async fn run(
    (console, me): (&Console, &Identity),
    held: &mut watch::Receiver<Option<Held>>,
    guests: &Guests,
    (renewer, resumed): (Arc<Renewer>, Resumed),
) -> Ended {
    let (mut eye, wiper) = (Eye::new(Path::new("/")), Wiper::new(Path::new("/")));
    // Beside the lease: the kernel may have to gather randomness first.
    let mut making = Some(match resumed.key.clone() {
        Some(key) => tokio::spawn(async { Ok(key) }),
        None => tokio::task::spawn_blocking(|| BootKey::make().map(Arc::new)),
    });
    let mut key = None;
    let (lead, leads) = watch::channel(None);
    let nudged = Arc::<Notify>::default();
    let mut allegiance = Allegiance::new(resumed.boss.clone());
    let mut tasks = JoinSet::new();
    let work = (Arc::clone(&renewer), console.clone());
    tasks.spawn(async move { work.0.work(&work.1).await });
    if let Some(failed) = &resumed.failed {
        console.say(&format!("agent {} did not stay: {}", renew::short(failed.digest), failed.why));
        renewer.refuse(failed.digest, &failed.why);
    }
    let mut silent = resumed.failed.as_ref().is_some_and(|failed| failed.silent);
    loop {
        let Ok(now) = held.wait_for(Option::is_some).await.map(|held| held.clone()) else {
            return Ended::Off;
        };
        let Some(now) = now else { continue };
        held.mark_unchanged();
        // The kernel line's word, else what DHCP told.
        let Some(boss) = me.line.boss.or(now.boss) else {
            drop(held.changed().await);
            continue;
        };
        if let Some(making) = making.take() {
            match making.await {
                Ok(Ok(made)) => {
                    let asked = channel::Asked {
                        folder: guests.root().to_owned(),
                        renewer: Arc::clone(&renewer),
                        loader: DiskLoader::default(),
                        nudged: Arc::clone(&nudged),
                    };
                    tasks.spawn(channel::keep(Arc::clone(&made), asked, leads.clone()));
                    key = Some(made);
                }
                // What it says is heard all the same, as an older agent is.
                Ok(Err(_)) | Err(_) => console.say("no key can be made: the kernel gives no randomness"),
            }
        }
        let (door, guests, eye) = (Door::new(boss), guests.clone(), &mut eye);
        let mut talk = Talk {
            console,
            me,
            wiper: &wiper,
            key: key.as_deref(),
            lead: &lead,
            nudged: &nudged,
            door,
            held: now,
            guests,
            quiet: None,
            eye,
            unknown: Vec::new(),
            allegiance: &mut allegiance,
            renewer: &renewer,
            resumed: &resumed,
            silent: &mut silent,
        };
        tokio::select! {
            ended = talk.until_ordered_off() => return ended,
            // Another address or none: the words so far were for another place.
            _ = held.changed() => {}
        }
    }
}

/// Returns when the next heartbeat is due: soon after the core said so, else after [`AGENT_BEAT_SECONDS`]. `asked` is when
/// the boss was asked last.
async fn until_due(asked: time::Instant, nudged: &Notify) {
    let beat = Duration::from_secs(AGENT_BEAT_SECONDS);
    if time::timeout(beat, nudged.notified()).await.is_ok() {
        time::sleep_until(asked + NUDGE_PAUSE).await;
    }
}

#[derive(Debug)]
struct Talk<'a> {
    console: &'a Console,
    me: &'a Identity,
    wiper: &'a Wiper,
    key: Option<&'a BootKey>,
    /// Told where the channel leads.
    lead: &'a watch::Sender<Whereto>,
    /// Told when the boss would answer otherwise than last time.
    nudged: &'a Notify,
    door: Door,
    held: Held,
    guests: Guests,
    eye: &'a mut Eye,
    /// The trouble a person has been told of.
    quiet: Option<String>,
    /// What the last answer said that this agent does not know.
    unknown: Vec<String>,
    /// Whom this boot obeys.
    allegiance: &'a mut Allegiance,
    renewer: &'a Renewer,
    /// What this process went on with.
    resumed: &'a Resumed,
    /// A build did not stay because nobody answered it, and nobody has answered this one yet.
    silent: &'a mut bool,
}

impl Talk<'_> {
    async fn until_ordered_off(&mut self) -> Ended {
        let mut wait = FIRST_WAIT;
        let mut known = false;
        loop {
            let before = self.key.map(|key| key.said().1).unwrap_or_default();
            let asked = time::Instant::now();
            let answer = if known { self.beat().await } else { self.hello().await };
            match answer {
                Ok(welcome) if self.is_rivals(&welcome, &before) => {
                    sleep(wait).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
                // The counter is another one than before: what was sealed for that one is said again.
                Ok(welcome)
                    if self.key.is_some_and(|key| key.take_word(&welcome)) && welcome.report_again =>
                {
                    known = false;
                }
                Ok(welcome) => {
                    self.heard(&welcome, known);
                    if let Some(order) = &welcome.wipe {
                        self.wiper.take(order, &self.me.boot_id, self.console);
                    }
                    // A disk that is half wiped is wiped to the end, whoever ordered what.
                    if welcome.order == AgentOrder::PowerOff && !self.wiper.is_busy() {
                        self.console.say("ordered off");
                        return Ended::Off;
                    }
                    if let Some(order) = welcome.park.filter(|_| known && !self.wiper.is_busy()) {
                        return self.parks(order);
                    }
                    known = !welcome.report_again;
                    wait = FIRST_WAIT;
                    if known {
                        self.renew();
                        tokio::select! {
                            () = until_due(asked, self.nudged) => {}
                            () = self.guests.news() => {}
                        }
                    } else {
                        sleep(wait).await;
                    }
                }
                Err(DoorError::Busy(after)) => sleep(after.min(LONGEST_PATIENCE)).await,
                Err(error) => {
                    if std::mem::take(self.silent) {
                        self.console.say("nobody answers this build either; the other may be tried again");
                        self.renewer.acquit();
                    }
                    self.tell_once(&error.to_string());
                    sleep(wait).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
            }
        }
    }

    /// True for an answer of somebody who is not the boss of this boot. The boss is asked again, where it was last, and
    /// is told.
    fn is_rivals(&mut self, welcome: &AgentWelcome, before: &str) -> bool {
        if self.allegiance.judge(welcome, self.door.boss()) == Whose::Boss {
            return false;
        }
        if let Some(rival) = self.allegiance.rival().map(ToString::to_string) {
            self.tell_once(&format!("{rival}; it is not the one that this boot belongs to"));
        }
        if let Some(key) = self.key {
            key.keep_word(before);
        }
        self.door = Door::new(self.allegiance.boss().at.unwrap_or_else(|| self.door.boss()));
        true
    }

    /// Its run is over: waits in memory where that can be, else the machine goes off.
    fn parks(&self, order: ParkOrder) -> Ended {
        // It may have been forbidden since the report.
        let why = match (park::probe(), self.door.boss()) {
            (Kexec::Possible, SocketAddr::V4(boss)) => {
                return Ended::Parked(Parking { order, boss, held: self.held.clone() });
            }
            (Kexec::Possible, SocketAddr::V6(_)) => "our loader's questions go over IPv4".to_owned(),
            (Kexec::Impossible { why }, _) => why,
        };
        self.console.say(&format!("ordered to wait in memory, which cannot be: {why}; goes off"));
        Ended::Off
    }

    /// Gives this process to another build that is ready. Never in a boot in which a disk was wiped: that the order was
    /// carried out is known to this process alone.
    fn renew(&self) {
        if self.resumed.trial.as_ref().is_some_and(Trial::answered) {
            self.renewer.stays();
        }
        if self.wiper.told().is_some() {
            return;
        }
        if let Some(digest) = self.renewer.ready() {
            let (services, pipes) = self.resumed.board.handed();
            let (count, word) = self.key.map(BootKey::said).unwrap_or_default();
            let handover = Handover {
                key: self.key.map(|key| key.document().to_vec()),
                count,
                word,
                boss: self.allegiance.boss().clone(),
                held: Some(renew::words(&self.held)),
                services,
                ..Handover::default()
            };
            self.renewer.hand_over(digest, (handover, pipes), self.console);
        }
    }

    fn heard(&mut self, welcome: &AgentWelcome, known: bool) {
        let boss = self.door.boss().ip();
        // Whom the nonce does not prove takes no key of this machine either.
        let channel = welcome.channel.filter(|_| welcome.proven != Some(false));
        let leads = channel.map(|to| (SocketAddr::new(boss, to.port), to.key));
        self.renewer.boss_is(self.door.boss());
        *self.silent = false;
        if leads.is_some() && *self.lead.borrow() != leads {
            self.lead.send_replace(leads);
        }
        if self.quiet.take().is_some() {
            self.console.say("the boss answers again");
        }
        let boss = (self.door.boss(), &self.held.port);
        self.guests.wish(welcome.node.as_ref(), welcome.guests.as_ref(), boss);
        if !known && !welcome.report_again {
            // For people who log in; nothing else depends on it. Beside others on a machine its name is not ours.
            let node = welcome.node.as_ref().filter(|_| std::process::id() == 1);
            let named = node.map(|node| rustix::system::sethostname(node.as_str().as_bytes()));
            if let Some(Err(why)) = named {
                self.console.say(&format!("the host name cannot be set: {why}"));
            }
            self.console.say(&match &welcome.node {
                Some(node) => format!("this is {node}; reported, and waits for orders"),
                None => format!("reported; {} is not on the board, and waits for orders", self.held.port.mac),
            });
        }
    }

    fn tell_once(&mut self, text: &str) {
        if self.quiet.as_deref() != Some(text) {
            self.console.say(&format!("boss {}: {text}; trying again", self.door.boss()));
            self.quiet = Some(text.to_owned());
        }
    }

    /// What a newer boss says and this agent does not understand is told once, and passed over.
    fn tell_unknown(&mut self, unknown: Vec<String>) {
        if self.unknown != unknown {
            if !unknown.is_empty() {
                self.console
                    .say(&format!("the boss says what this agent does not know: {}", unknown.join(", ")));
            }
            self.unknown = unknown;
        }
    }

    async fn hello(&mut self) -> Result<AgentWelcome, DoorError> {
        let report = AgentReport {
            mac: self.held.port.mac,
            boot_id: self.me.boot_id.clone(),
            nonce: self.me.line.nonce.clone(),
            address: Some(self.held.address),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            kernel: self.me.kernel.clone(),
            uptime_ms: uptime_ms(),
            inventory: inventory::read(Path::new("/")),
            key: self.key.map(BootKey::public),
            build: self.me.build,
            kexec: Some(park::probe()),
        };
        self.ask(AGENT_HELLO_PATH, serde_json::to_vec(&report)).await
    }

    async fn beat(&mut self) -> Result<AgentWelcome, DoorError> {
        let root = Path::new("/");
        let beat = AgentBeat {
            mac: self.held.port.mac,
            boot_id: self.me.boot_id.clone(),
            uptime_ms: uptime_ms(),
            load_milli: inventory::load_milli(root),
            memory_available_mib: inventory::memory_mib(root, "MemAvailable"),
            guests: self.guests.seen(),
            health: self.eye.news(Instant::now()).map(Arc::new),
            wipe: self.wiper.told(),
            renewal: self.renewer.told().map(Arc::new),
            rival: self.allegiance.rival().cloned().map(Arc::new),
        };
        self.ask(AGENT_BEAT_PATH, serde_json::to_vec(&beat)).await
    }

    async fn ask(
        &mut self,
        path: &str,
        body: serde_json::Result<Vec<u8>>,
    ) -> Result<AgentWelcome, DoorError> {
        let body = body.map_err(|_| DoorError::NotHttp("the report cannot be written as JSON"))?;
        let (key, me) = (self.key, self.me);
        let seal = || key.map(|key| key.seal(path, &me.boot_id, &body));
        let answer = self.door.post(path, &body, seal).await?;
        let (welcome, unknown) =
            read_spoken(&answer).map_err(|_| DoorError::NotHttp("the answer is no welcome"))?;
        self.tell_unknown(unknown);
        Ok(welcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_nudge_makes_the_next_heartbeat_due_at_once_and_any_number_of_them_is_one() {
        let (nudged, beat) = (Notify::new(), Duration::from_secs(AGENT_BEAT_SECONDS));
        let asked = time::Instant::now();
        until_due(asked, &nudged).await;
        assert_eq!(asked.elapsed(), beat, "nobody said anything");

        let asked = time::Instant::now();
        let late = async {
            sleep(beat / 2).await;
            nudged.notify_one();
        };
        tokio::join!(until_due(asked, &nudged), late);
        assert_eq!(asked.elapsed(), beat / 2, "what is told is not waited with");

        // Said while the answer to the last heartbeat was still on its way: what it says may be the old.
        let asked = time::Instant::now();
        (0..100).for_each(|_| nudged.notify_one());
        until_due(asked, &nudged).await;
        assert_eq!(asked.elapsed(), NUDGE_PAUSE);
        let asked = time::Instant::now();
        until_due(asked, &nudged).await;
        assert_eq!(asked.elapsed(), beat, "a hundred were one");
    }
}
