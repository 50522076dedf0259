//! The one task that owns a power device: orders in, exchanges one at a time, what was done and what is seen out.
//!
//! ```text
//!   order ─▶ waits for its port, for its turn (stagger), for the gap ─▶ act ─▶ port busy ─▶ read back ─▶ Finished
//!                                                                        │                   └ not so: again, within bounds
//!   nothing to do for a while ─▶ read all ports ─▶ what changed ─▶ PortRead
//!   error, or no end within the limit ─▶ forget the connection ─▶ DeviceSeen lost, asked again ever more rarely
//! ```
//!
//! Ports are read idly only while none is busy, so that no poll comes between an act and its read-back. A device that
//! hangs holds up its own ports and nobody else's.

use std::collections::{BTreeMap, VecDeque};
use std::future::pending;
use std::time::Duration;

use model::{CommandId, DeviceSight, DriverName, NodeName, Outcome, PortReading, PortSense};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::DriverReport;
use super::device::{Act, Cure, Device, DeviceError, Manner, Ports, Taken, Told};
use super::guard::Guard;
use super::standing::{NobodyListens, Standing, hangs};

#[cfg(test)]
mod tests;

/// Acts that are tried for one order before it fails.
const TRIES: u8 = 3;
/// Pause between two looks for the result of an act.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// An order to one port of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ordered {
    /// Its number.
    pub(super) id: CommandId,
    /// Which port.
    pub(super) port: String,
    /// What.
    pub(super) act: Act,
}

/// What an owner works with.
#[derive(Debug)]
pub(super) struct Owner<D> {
    /// Its name in the lab file.
    driver: DriverName,
    device: D,
    manner: Manner,
    stagger: Duration,
    guard: Guard,
    reports: mpsc::Sender<DriverReport>,
    ports: BTreeMap<String, Port>,
    /// Before then nothing is said to it.
    free_at: Instant,
    /// Before then nothing is switched on.
    next_on: Instant,
    /// When it is read next for no reason.
    poll_at: Option<Instant>,
    standing: Standing,
}

/// One port and what is being done with it.
#[derive(Debug)]
struct Port {
    node: NodeName,
    waiting: VecDeque<(CommandId, Act)>,
    busy: Option<Busy>,
    /// What was reported of it last.
    told: Option<PortReading>,
}

/// An act that was taken, until its result is read.
#[derive(Debug, Clone, Copy)]
struct Busy {
    id: CommandId,
    act: Act,
    /// How often it was told.
    tries: u8,
    /// When it is read back.
    look_at: Instant,
    /// Until when the result may show.
    until: Instant,
}

/// What is to be done now.
enum Work {
    Act(String),
    Read(Vec<String>),
}

impl<D: Device> Owner<D> {
    pub(super) fn new(
        (driver, device): (DriverName, D),
        nodes: impl Iterator<Item = (String, NodeName)>,
        stagger: Duration,
        guard: Guard,
        reports: mpsc::Sender<DriverReport>,
    ) -> Self {
        let port = |node| Port { node, waiting: VecDeque::new(), busy: None, told: None };
        let (manner, now) = (device.manner(), Instant::now());
        Self {
            driver,
            device,
            manner,
            stagger,
            guard,
            reports,
            ports: nodes.map(|(name, node)| (name, port(node))).collect(),
            free_at: now,
            next_on: now,
            poll_at: Some(now),
            standing: Standing::default(),
        }
    }

    /// Owns the device until nobody orders or listens any more.
    pub(super) async fn run(mut self, mut orders: mpsc::Receiver<Ordered>) {
        let mut told = Ok(());
        while told.is_ok() {
            let now = Instant::now();
            told = match self.work(now) {
                Some(Work::Act(port)) if self.free_at <= now => self.act(&port).await,
                Some(Work::Read(ports)) if self.free_at <= now => self.read(ports).await,
                work => {
                    let wake = if work.is_some() { Some(self.free_at) } else { self.wake_at() };
                    let listens = self.standing == Standing::Well && self.is_idle();
                    tokio::select! {
                        order = orders.recv() => match order {
                            Some(order) => self.take(order).await,
                            None => return,
                        },
                        () = sleep_or_never(wake) => Ok(()),
                        () = self.device.speaks(), if listens => {
                            self.poll_at = Some(Instant::now());
                            Ok(())
                        }
                    }
                }
            };
            // Orders that came meanwhile are put in their places before the next exchange is chosen.
            while told.is_ok()
                && let Ok(order) = orders.try_recv()
            {
                told = self.take(order).await;
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.ports.values().all(|port| port.busy.is_none() && port.waiting.is_empty())
    }

    /// What is due: results first, then orders, and idle looks when nothing else is going on.
    fn work(&self, now: Instant) -> Option<Work> {
        let due = |port: &Port| port.busy.is_some_and(|busy| busy.look_at <= now);
        let back: Vec<String> =
            self.ports.iter().filter(|(_, port)| due(port)).map(|(name, _)| name.clone()).collect();
        if !back.is_empty() {
            return Some(Work::Read(back));
        }
        let mut ready = self.ports.iter().filter(|(_, port)| self.turn_of(port).is_some_and(|at| at <= now));
        if let Some((name, _)) = ready.next() {
            return Some(Work::Act(name.clone()));
        }
        let poll = self.poll_at.is_some_and(|at| at <= now) && self.is_idle();
        poll.then(|| Work::Read(self.ports.keys().cloned().collect()))
    }

    /// When the next order of a port may go out.
    fn turn_of(&self, port: &Port) -> Option<Instant> {
        let (_, act) = port.waiting.front().filter(|_| port.busy.is_none())?;
        Some(if *act == Act::On { self.next_on } else { self.free_at })
    }

    fn wake_at(&self) -> Option<Instant> {
        let looks = self.ports.values().filter_map(|port| port.busy.map(|busy| busy.look_at));
        let turns = self.ports.values().filter_map(|port| self.turn_of(port));
        let poll = self.poll_at.filter(|_| self.is_idle());
        looks.chain(turns).chain(poll).min()
    }

    async fn take(&mut self, order: Ordered) -> Result<(), NobodyListens> {
        let Ordered { id, port: name, act } = order;
        if let Some(why) = self.standing.locked() {
            let why = format!("{why}; {} is not asked again until that is put right", self.driver);
            return self.finished(id, failed("credentials", why)).await;
        }
        match self.ports.get_mut(&name) {
            Some(port) => {
                port.waiting.push_back((id, act));
                Ok(())
            }
            None => {
                let why = format!("no machine hangs on {}/{name}", self.driver);
                self.finished(id, failed("no-such-port", why)).await
            }
        }
    }

    /// Does the next order of a port.
    async fn act(&mut self, name: &str) -> Result<(), NobodyListens> {
        let Some(port) = self.ports.get_mut(name) else { return Ok(()) };
        let Some((id, act)) = port.waiting.pop_front() else { return Ok(()) };
        // The order was given by what was seen then; what is seen since is looked at before a button is pressed.
        if self.manner.ports == Ports::Buttons
            && let Some(outcome) = self.guard.objects(&port.node, act)
        {
            return self.finished(id, outcome).await;
        }
        let mut tries = 0;
        loop {
            tries += 1;
            match self.exchange(name, act).await {
                Ok(taken) => {
                    self.is_well(None).await?;
                    return self.taken(name, (id, act, tries), taken.busy).await;
                }
                Err(error) if error.cure == Cure::Refused => {
                    self.is_well(None).await?;
                    // Why it refused may show in what it says.
                    self.poll_at = self.manner.poll.map(|_| self.free_at);
                    return self.finished(id, failed(error.code, error.why)).await;
                }
                Err(error) => {
                    let doubt = error.cure == Cure::Doubt && self.manner.ports == Ports::Buttons;
                    let again = error.cure != Cure::Locked && !doubt && tries < TRIES;
                    let outcome = match doubt {
                        true => Outcome::Unknown,
                        false => failed(error.code, error.why.clone()),
                    };
                    self.is_lost(error).await?;
                    if !again {
                        return self.finished(id, outcome).await;
                    }
                    sleep_until(self.free_at).await;
                }
            }
        }
    }

    /// One act, bounded; what comes next keeps its distance.
    async fn exchange(&mut self, name: &str, act: Act) -> Result<Taken, DeviceError> {
        let done = timeout(self.manner.limit, self.device.act(name, act)).await;
        self.free_at = Instant::now() + self.manner.gap;
        if act == Act::On {
            self.next_on = Instant::now() + self.stagger;
        }
        done.unwrap_or_else(|_| Err(hangs(self.manner.limit)))
    }

    /// An act is under way, or done where nothing can be read back.
    async fn taken(
        &mut self,
        name: &str,
        (id, act, tries): (CommandId, Act, u8),
        busy: Duration,
    ) -> Result<(), NobodyListens> {
        if busy.is_zero() && self.manner.poll.is_none() {
            return self.finished(id, Outcome::Done).await;
        }
        let look_at = Instant::now() + busy;
        if let Some(port) = self.ports.get_mut(name) {
            port.busy = Some(Busy { id, act, tries, look_at, until: look_at + self.manner.shows });
        }
        Ok(())
    }

    async fn read(&mut self, names: Vec<String>) -> Result<(), NobodyListens> {
        let now = Instant::now();
        let told = match self.manner.poll {
            // Nothing can be read: what was to be waited for is over.
            None => Ok(Told::default()),
            Some(_) => {
                let told = timeout(self.manner.limit, self.device.read(&names)).await;
                self.free_at = Instant::now() + self.manner.gap;
                told.unwrap_or_else(|_| Err(hangs(self.manner.limit)))
            }
        };
        self.poll_at = self.manner.poll.map(|every| now + every);
        match told {
            Ok(told) => {
                if self.manner.poll.is_some() {
                    self.is_well(Some(&told)).await?;
                }
                if let Some(how) = told.restarted.clone() {
                    self.began_anew(how).await?;
                }
                for (name, reading) in &told.ports {
                    self.tell(name, *reading).await?;
                }
                for name in names {
                    let reading = told.ports.iter().find(|(port, _)| *port == name).map(|(_, told)| *told);
                    self.compare(&name, reading.unwrap_or_default()).await?;
                }
                Ok(())
            }
            Err(error) => self.unread(names, error).await,
        }
    }

    /// Compares what was read with what was ordered.
    async fn compare(&mut self, name: &str, reading: PortReading) -> Result<(), NobodyListens> {
        let now = Instant::now();
        let Some(port) = self.ports.get_mut(name) else { return Ok(()) };
        let Some(busy) = port.busy.filter(|busy| busy.look_at <= now) else { return Ok(()) };
        let wanted = match busy.act {
            Act::On => Some(true),
            Act::Off => Some(false),
            Act::Soft | Act::Press => None,
        };
        let is = match reading.sense {
            PortSense::Nothing => None,
            PortSense::Believed(on) | PortSense::Supply(on) | PortSense::Machine(on) => Some(on),
        };
        if wanted.is_none() || is.is_none() || wanted == is {
            port.busy = None;
            return self.finished(busy.id, Outcome::Done).await;
        }
        if now < busy.until {
            port.busy = Some(Busy { look_at: now + LOOK_AGAIN.max(self.manner.gap), ..busy });
            return Ok(());
        }
        port.busy = None;
        if self.manner.ports == Ports::Switches && busy.tries < TRIES {
            return self.repeat(name, busy).await;
        }
        let (word, other) = if wanted == Some(true) { ("on", "off") } else { ("off", "on") };
        let why =
            format!("{}/{name} was told {word} {} times and still says {other}", self.driver, busy.tries);
        self.finished(busy.id, failed("not-confirmed", why)).await
    }

    /// Tells a switch again what it did not do.
    async fn repeat(&mut self, name: &str, busy: Busy) -> Result<(), NobodyListens> {
        let turn = if busy.act == Act::On { self.free_at.max(self.next_on) } else { self.free_at };
        sleep_until(turn).await;
        match self.exchange(name, busy.act).await {
            Ok(taken) => {
                self.taken(name, (busy.id, busy.act, busy.tries.saturating_add(1)), taken.busy).await
            }
            Err(error) => {
                let outcome = failed(error.code, error.why.clone());
                if error.cure != Cure::Refused {
                    self.is_lost(error).await?;
                }
                self.finished(busy.id, outcome).await
            }
        }
    }

    /// The read-back did not come: the act may have been done.
    async fn unread(&mut self, names: Vec<String>, error: DeviceError) -> Result<(), NobodyListens> {
        let now = Instant::now();
        let mut over = Vec::new();
        for name in names {
            let Some(port) = self.ports.get_mut(&name) else { continue };
            let Some(busy) = port.busy.filter(|busy| busy.look_at <= now) else { continue };
            if now < busy.until && error.cure != Cure::Locked {
                port.busy = Some(Busy { look_at: now + LOOK_AGAIN.max(self.manner.gap), ..busy });
            } else {
                port.busy = None;
                over.push(busy.id);
            }
        }
        self.is_lost(error).await?;
        for id in over {
            self.finished(id, Outcome::Unknown).await?;
        }
        Ok(())
    }

    /// It began anew: what is under way may have been broken off, and what waits was decided by what it was before.
    async fn began_anew(&mut self, how: String) -> Result<(), NobodyListens> {
        self.sight(DeviceSight::Restarted { how }).await?;
        let mut ends = Vec::new();
        for port in self.ports.values_mut() {
            port.told = None;
            ends.extend(port.busy.take().map(|busy| (busy.id, Outcome::Unknown)));
            let why = format!("{} began anew before it came to this", self.driver);
            ends.extend(port.waiting.drain(..).map(|(id, _)| (id, failed("restarted", why.clone()))));
        }
        for (id, outcome) in ends {
            self.finished(id, outcome).await?;
        }
        Ok(())
    }

    async fn tell(&mut self, name: &str, reading: PortReading) -> Result<(), NobodyListens> {
        let Some(port) = self.ports.get_mut(name) else { return Ok(()) };
        if port.told.is_some_and(|told| is_like(&told, &reading)) {
            return Ok(());
        }
        port.told = Some(reading);
        let node = port.node.clone();
        self.report(DriverReport::PortRead { node, reading }).await
    }

    async fn is_well(&mut self, told: Option<&Told>) -> Result<(), NobodyListens> {
        if !self.standing.rises() {
            return Ok(());
        }
        // What it said before it was lost is said again: nobody knows how it was meanwhile.
        for port in self.ports.values_mut() {
            port.told = None;
        }
        let about = told.map(|told| told.about.clone()).unwrap_or_default();
        self.sight(DeviceSight::Answers { about }).await
    }

    async fn is_lost(&mut self, error: DeviceError) -> Result<(), NobodyListens> {
        self.device.forget();
        let news = self.standing.falls(error);
        let pause = self.standing.pause();
        self.poll_at = self.manner.poll.zip(pause).map(|(_, pause)| Instant::now() + pause);
        let Some(sight) = news else { return Ok(()) };
        self.sight(sight).await?;
        if pause.is_none() {
            let refused = self.ports.values_mut().flat_map(|port| port.waiting.drain(..));
            let ids: Vec<CommandId> = refused.map(|(id, _)| id).collect();
            for id in ids {
                let why = format!("{} does not accept our credentials", self.driver);
                self.finished(id, failed("credentials", why)).await?;
            }
        }
        Ok(())
    }

    async fn sight(&mut self, sight: DeviceSight) -> Result<(), NobodyListens> {
        self.report(DriverReport::DeviceSeen { driver: self.driver.clone(), sight }).await
    }

    async fn finished(&mut self, id: CommandId, outcome: Outcome) -> Result<(), NobodyListens> {
        self.report(DriverReport::Finished { id, outcome }).await
    }

    async fn report(&mut self, report: DriverReport) -> Result<(), NobodyListens> {
        self.reports.send(report).await.map_err(|_| NobodyListens)
    }
}

/// Watts that waver are no news: told anew when they are a tenth, or half a watt, apart.
fn is_like(told: &PortReading, new: &PortReading) -> bool {
    let near = match (told.milliwatts, new.milliwatts) {
        (None, None) => true,
        (Some(a), Some(b)) => a.abs_diff(b) <= (a / 10).max(500),
        (None, Some(_)) | (Some(_), None) => false,
    };
    near && told.sense == new.sense
}

pub(crate) fn failed(code: &str, why: String) -> Outcome {
    Outcome::Failed { code: code.to_owned(), why }
}

async fn sleep_or_never(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}
