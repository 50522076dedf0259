//! The one task that owns a switch: orders and questions in, exchanges one at a time, what was done and seen out.
//!
//! ```text
//!   every moment ─▶ look ─▶ links that changed ─▶ LinkSeen
//!   order ─▶ guarded? does the boss hang there? ─▶ set ─▶ looked at until it shows ─▶ Finished
//!   error, or no end within the limit, twice ─▶ DeviceSeen lost, its links unknown; asked again ever more rarely
//! ```
//!
//! A switch that does not answer says nothing about machines: their links count as unknown, not as down.

use std::collections::BTreeMap;
use std::time::Duration;

use model::{
    BOSS_PORT, CommandId, DeviceSight, DriverName, LinkReading, MacAddr, NodeName, Outcome, SwitchPort,
    SwitchSpec,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::Ports;
use super::device::{Look, Manner, Switch};
use crate::power::DriverReport;
use crate::power::device::{Cure, DeviceError};
use crate::power::owner::failed;
use crate::power::standing::{NobodyListens, Standing, hangs};

#[cfg(test)]
mod tests;

/// Orders that are tried before one fails.
const TRIES: u8 = 3;
/// Looks that must fail one after the other before a switch counts as lost: a single answer may be lost on its way.
const MISSES: u8 = 2;
/// Pause between two looks for the result of an order.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What an owner is asked.
#[derive(Debug)]
pub(super) enum Asked {
    /// Enable or disable a port.
    Set { id: CommandId, port: String, on: bool },
    /// Look at all ports, and who hangs on them.
    Look { answer: oneshot::Sender<Ports> },
    /// Copy one port to another.
    Mirror { copy: Option<(String, String)>, answer: oneshot::Sender<Result<(), DeviceError>> },
}

/// What an owner knows besides its switch.
#[derive(Debug)]
pub(super) struct Around {
    /// Its name in the lab file.
    pub(super) name: DriverName,
    /// Who hangs on which port, by the lab file.
    pub(super) nodes: BTreeMap<String, NodeName>,
    /// As the lab file describes it.
    pub(super) spec: SwitchSpec,
    /// The boss's own Ethernet addresses.
    pub(super) own: Vec<MacAddr>,
    /// Pause between two looks.
    pub(super) every: Duration,
    pub(super) reports: mpsc::Sender<DriverReport>,
}

/// What an owner works with.
#[derive(Debug)]
pub(super) struct Owner<S> {
    switch: S,
    manner: Manner,
    around: Around,
    standing: Standing,
    /// Looks that failed one after the other.
    misses: u8,
    /// What was told of each machine last.
    told: BTreeMap<NodeName, LinkReading>,
    /// It was said that it lacks a port of the lab file.
    missing: bool,
    look_at: Instant,
}

impl<S: Switch> Owner<S> {
    pub(super) fn new(switch: S, around: Around) -> Self {
        let manner = switch.manner();
        Self {
            switch,
            manner,
            around,
            standing: Standing::default(),
            misses: 0,
            told: BTreeMap::new(),
            missing: false,
            look_at: Instant::now(),
        }
    }

    /// Owns the switch until nobody asks or listens any more.
    pub(super) async fn run(mut self, mut asks: mpsc::Receiver<Asked>) {
        loop {
            let listens = self.standing == Standing::Well;
            let locked = self.standing.locked().is_some();
            let told = tokio::select! {
                asked = asks.recv() => match asked {
                    Some(asked) => self.answer(asked).await,
                    None => return,
                },
                () = sleep_until(self.look_at), if !locked => self.look().await,
                () = self.switch.speaks(), if listens => self.look().await,
            };
            if told.is_err() {
                return;
            }
        }
    }

    async fn answer(&mut self, asked: Asked) -> Result<(), NobodyListens> {
        match asked {
            Asked::Set { id, port, on } => {
                let outcome = self.set(&port, on).await?;
                self.report(DriverReport::Finished { id, outcome }).await
            }
            Asked::Look { answer } => {
                let ports = self.ports().await?;
                // Whoever asked may have gone.
                drop(answer.send(ports));
                Ok(())
            }
            Asked::Mirror { copy, answer } => {
                let limit = self.manner.limit;
                let copy = copy.as_ref().map(|(from, to)| (from.as_str(), to.as_str()));
                let done = match self.standing.locked() {
                    Some(why) => Err(DeviceError::locked(why)),
                    None => {
                        timeout(limit, self.switch.mirror(copy)).await.unwrap_or_else(|_| Err(hangs(limit)))
                    }
                };
                drop(answer.send(done));
                Ok(())
            }
        }
    }

    /// One look; what changed is told.
    async fn look(&mut self) -> Result<(), NobodyListens> {
        let began = Instant::now();
        match self.look_once().await {
            Ok(look) => {
                self.look_at = began + self.around.every;
                self.is_well(&look).await
            }
            Err(error) => self.missed(error).await,
        }
    }

    async fn look_once(&mut self) -> Result<Look, DeviceError> {
        let limit = self.manner.limit;
        timeout(limit, self.switch.look()).await.unwrap_or_else(|_| Err(hangs(limit)))
    }

    /// Does an order, and sees that it was done.
    async fn set(&mut self, port: &str, on: bool) -> Result<Outcome, NobodyListens> {
        if let Some(why) = self.standing.locked() {
            let why = format!("{why}; {} is not asked again until that is put right", self.around.name);
            return Ok(failed("credentials", why));
        }
        if !on && let Some(why) = self.refuses(port).await {
            return Ok(failed(BOSS_PORT, why));
        }
        let (mut tries, limit) = (0, self.manner.limit);
        loop {
            tries += 1;
            let done = timeout(limit, self.switch.set(port, on)).await.unwrap_or_else(|_| Err(hangs(limit)));
            let error = match done {
                Ok(()) => match self.shows(port, on).await? {
                    Ok(true) => return Ok(Outcome::Done),
                    Ok(false) => {
                        let (word, other) = if on { ("enable", "disabled") } else { ("disable", "enabled") };
                        let name = &self.around.name;
                        let why = format!("{name} was told to {word} port {port}, and still has it {other}");
                        DeviceError::doubt("not-confirmed", why)
                    }
                    Err(error) => error,
                },
                Err(error) => error,
            };
            if error.cure == Cure::Refused {
                return Ok(failed(error.code, error.why));
            }
            let (code, why, locked) = (error.code, error.why.clone(), error.cure == Cure::Locked);
            if code != "not-confirmed" {
                self.switch.forget();
                if locked {
                    self.is_lost(error).await?;
                }
            }
            if locked || tries >= TRIES {
                return Ok(failed(code, why));
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Looks until a port is as ordered; false when it is not in time.
    async fn shows(&mut self, port: &str, on: bool) -> Result<Result<bool, DeviceError>, NobodyListens> {
        let until = Instant::now() + self.manner.shows;
        loop {
            let look = match self.look_once().await {
                Ok(look) => look,
                Err(error) => return Ok(Err(error)),
            };
            let is = look.ports.iter().find(|seen| seen.port == port).map(|seen| seen.enabled);
            self.is_well(&look).await?;
            match is {
                Some(is) if is == on => return Ok(Ok(true)),
                Some(_) if Instant::now() < until => sleep(LOOK_AGAIN).await,
                Some(_) => return Ok(Ok(false)),
                None => {
                    let why = format!("{} has no port {port}: {}", self.around.name, listed(&look));
                    return Ok(Err(DeviceError::refused("no-such-port", why)));
                }
            }
        }
    }

    /// Why a port is not disabled, whoever asks: it would cut the boss off from the switch itself.
    async fn refuses(&mut self, port: &str) -> Option<String> {
        let name = &self.around.name;
        if let Some(why) = self.around.spec.guards(port) {
            return Some(format!("{name}/{port} is never disabled: {why}"));
        }
        // A switch that tells nothing of addresses, or not now, is taken at the lab file's word.
        let macs = timeout(self.manner.limit, self.switch.macs()).await.ok()?.ok()??;
        let own = macs.iter().find(|(on, mac)| on == port && self.around.own.contains(mac))?;
        let name = &self.around.name;
        Some(format!("{name}/{port} is never disabled: the boss itself ({}) hangs on it", own.1))
    }

    /// A look with everything, for people.
    async fn ports(&mut self) -> Result<Ports, NobodyListens> {
        if let Some(why) = self.standing.locked() {
            return Ok(Ports { lost: Some(why.to_owned()), ..Ports::default() });
        }
        let look = match self.look_once().await {
            Ok(look) => look,
            Err(error) => {
                let why = error.why.clone();
                self.missed(error).await?;
                return Ok(Ports { lost: Some(why), ..Ports::default() });
            }
        };
        self.is_well(&look).await?;
        let macs = timeout(self.manner.limit, self.switch.macs()).await;
        let macs = macs.ok().and_then(Result::ok).flatten();
        let neighbours = timeout(self.manner.limit, self.switch.neighbours()).await;
        let neighbours = neighbours.ok().and_then(Result::ok).unwrap_or_default();
        let ports = look.ports.iter().map(|seen| {
            let on_it = |all: &Vec<(String, MacAddr)>| {
                let here = all.iter().filter(|(port, _)| *port == seen.port);
                here.map(|(_, mac)| *mac).collect::<Vec<_>>()
            };
            let macs = macs.as_ref().map(on_it);
            let boss = macs.iter().flatten().any(|mac| self.around.own.contains(mac));
            let guarded = self.around.spec.guards(&seen.port);
            SwitchPort {
                port: seen.port.clone(),
                enabled: seen.enabled,
                mbit: seen.mbit.filter(|_| seen.enabled),
                macs,
                neighbours: neighbours
                    .iter()
                    .filter(|(port, _)| *port == seen.port)
                    .map(|(_, neighbour)| neighbour.clone())
                    .collect(),
                node: self.around.nodes.get(&seen.port).cloned(),
                guarded: guarded
                    .or_else(|| boss.then_some("the boss itself is heard on it"))
                    .map(str::to_owned),
            }
        });
        Ok(Ports { about: look.about.clone(), ports: ports.collect(), lost: None })
    }

    /// It answered: links that changed are told.
    async fn is_well(&mut self, look: &Look) -> Result<(), NobodyListens> {
        self.misses = 0;
        if self.standing.rises() {
            let sight = DeviceSight::Answers { about: look.about.clone() };
            self.report(DriverReport::DeviceSeen { driver: self.around.name.clone(), sight }).await?;
        }
        let mut news = Vec::new();
        for (port, node) in &self.around.nodes {
            let seen = look.ports.iter().find(|seen| seen.port == *port);
            let link = match seen {
                Some(seen) => LinkReading {
                    enabled: seen.enabled,
                    mbit: seen.mbit.filter(|_| seen.enabled),
                    lost: false,
                },
                None => LOST,
            };
            if seen.is_none() && !self.missing {
                self.missing = true;
                tracing::error!(
                    "{} has no port {port}, where {node} is to hang: {}",
                    self.around.name,
                    listed(look)
                );
            }
            let before = self.told.insert(node.clone(), link);
            if seen.is_some_and(|seen| seen.bounced) && link.mbit.is_some() && before == Some(link) {
                let gone = LinkReading { mbit: None, ..link };
                news.push(DriverReport::LinkSeen { node: node.clone(), link: gone });
                news.push(DriverReport::LinkSeen { node: node.clone(), link });
            } else if before != Some(link) {
                news.push(DriverReport::LinkSeen { node: node.clone(), link });
            }
        }
        for report in news {
            self.report(report).await?;
        }
        Ok(())
    }

    /// A look that failed; the second in a row is told.
    async fn missed(&mut self, error: DeviceError) -> Result<(), NobodyListens> {
        self.switch.forget();
        self.misses = self.misses.saturating_add(1);
        if self.misses < MISSES && self.standing == Standing::Well && error.cure != Cure::Locked {
            self.look_at = Instant::now();
            return Ok(());
        }
        self.is_lost(error).await
    }

    async fn is_lost(&mut self, error: DeviceError) -> Result<(), NobodyListens> {
        let news = self.standing.falls(error);
        self.look_at = Instant::now() + self.standing.pause().unwrap_or_default();
        if let Some(sight) = news {
            self.report(DriverReport::DeviceSeen { driver: self.around.name.clone(), sight }).await?;
        }
        let nodes: Vec<NodeName> = self.around.nodes.values().cloned().collect();
        for node in nodes {
            if self.told.insert(node.clone(), LOST) != Some(LOST) {
                self.report(DriverReport::LinkSeen { node, link: LOST }).await?;
            }
        }
        Ok(())
    }

    async fn report(&mut self, report: DriverReport) -> Result<(), NobodyListens> {
        self.around.reports.send(report).await.map_err(|_| NobodyListens)
    }
}

/// Of a port nothing is known.
const LOST: LinkReading = LinkReading { enabled: false, mbit: None, lost: true };

fn listed(look: &Look) -> String {
    let ports: Vec<&str> = look.ports.iter().map(|seen| seen.port.as_str()).collect();
    format!("it has {}", ports.join(", "))
}
