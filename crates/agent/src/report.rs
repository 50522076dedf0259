//! Talking to the boss: one report a boot, then heartbeats, and doing what it orders.
//!
//! ```text
//!   hello ──welcome──▶ beat ──▶ beat ──▶ …
//!     ▲                 │ report again, another address
//!     └─────────────────┘          power off ──▶ the machine is off
//! ```

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent::health::Eye;
use model::{
    AGENT_BEAT_PATH, AGENT_BEAT_SECONDS, AGENT_HELLO_PATH, AgentBeat, AgentOrder, AgentReport, AgentWelcome,
    GUESTS_FOLDER,
};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::channel::{self, Whereto};
use crate::console::{Console, uptime_ms};
use crate::door::{Door, DoorError};
use crate::guests::Guests;
use crate::inventory;
use crate::kernel_line::KernelLine;
use crate::key::BootKey;
use crate::lease::Held;
use crate::wipe::Wiper;

const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(8);
/// A boss that asks for more patience than this is asked again anyway.
const LONGEST_PATIENCE: Duration = Duration::from_secs(60);

/// What stays the same for the whole boot.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) boot_id: String,
    pub(crate) kernel: String,
    pub(crate) line: KernelLine,
}

impl Identity {
    /// Reads it from the running kernel.
    pub(crate) fn read() -> Self {
        let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        Self {
            boot_id: text("/proc/sys/kernel/random/boot_id").trim().to_owned(),
            kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
            line: KernelLine::read(&text("/proc/cmdline")),
        }
    }
}

/// Reports and beats until the boss orders the machine off. Without an address, or somebody who told where the boss is,
/// it waits for them.
pub(crate) async fn run(
    console: &Console,
    me: &Identity,
    held: &mut watch::Receiver<Option<Held>>,
    guests: &Guests,
) {
    let (mut eye, wiper) = (Eye::new(Path::new("/")), Wiper::new(Path::new("/")));
    // Beside the lease: the kernel may have to gather randomness first.
    let mut making = Some(tokio::task::spawn_blocking(BootKey::make));
    let mut key = None;
    let (lead, leads) = watch::channel(None);
    let mut channel = JoinSet::new();
    loop {
        let Ok(now) = held.wait_for(Option::is_some).await.map(|held| held.clone()) else { return };
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
                    let made = Arc::new(made);
                    channel.spawn(channel::keep(Arc::clone(&made), GUESTS_FOLDER.into(), leads.clone()));
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
            door,
            held: now,
            guests,
            quiet: None,
            eye,
        };
        tokio::select! {
            () = talk.until_ordered_off() => return,
            // Another address or none: the words so far were for another place.
            _ = held.changed() => {}
        }
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
    door: Door,
    held: Held,
    guests: Guests,
    eye: &'a mut Eye,
    /// The trouble a person has been told of.
    quiet: Option<String>,
}

impl Talk<'_> {
    async fn until_ordered_off(&mut self) {
        let mut wait = FIRST_WAIT;
        let mut known = false;
        loop {
            let answer = if known { self.beat().await } else { self.hello().await };
            match answer {
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
                        return self.console.say("ordered off");
                    }
                    known = !welcome.report_again;
                    wait = FIRST_WAIT;
                    if known {
                        tokio::select! {
                            () = sleep(Duration::from_secs(AGENT_BEAT_SECONDS)) => {}
                            () = self.guests.news() => {}
                        }
                    } else {
                        sleep(wait).await;
                    }
                }
                Err(DoorError::Busy(after)) => sleep(after.min(LONGEST_PATIENCE)).await,
                Err(error) => {
                    self.tell_once(&error);
                    sleep(wait).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
            }
        }
    }

    fn heard(&mut self, welcome: &AgentWelcome, known: bool) {
        let boss = self.door.boss().ip();
        let leads = welcome.channel.map(|to| (SocketAddr::new(boss, to.port), to.key));
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

    fn tell_once(&mut self, error: &DoorError) {
        let text = error.to_string();
        if self.quiet.as_ref() != Some(&text) {
            self.console.say(&format!("boss {}: {text}; trying again", self.door.boss()));
            self.quiet = Some(text);
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
        serde_json::from_slice(&answer).map_err(|_| DoorError::NotHttp("the answer is no welcome"))
    }
}
