//! Guests through libvirt: the same judge and the same task beside each QEMU; libvirt starts them and knows them.
//!
//! ```text
//!   judge ──start──▶ not there: define ──▶ start, paused ──▶ its task, as without libvirt, resumes it
//!     ▲                 └ it runs already: taken up as it is
//!     └─ every 5 s, which domains run and which are defined:
//!          runs, and is not defined any more    defined again, it goes on
//!          runs, and nobody attends it          taken up
//!          belongs here no longer               destroyed and undefined
//! ```
//! Domains are named by UUID, and only by those of wishes and of folders that this agent made: whatever else libvirt
//! runs is not touched. While libvirt is away, what runs goes on and is seen to its end all the same.

use std::fs;
use std::time::Duration;

use model::{GuestCause, GuestEnd, GuestWish, NodeName};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::attend::{Attendant, News, Order};
use super::judge::Ended;
use super::plan::PID;
use super::process::{self, Kept, Process};
use super::virsh::{Failed, Looked, State, Virsh};
use super::{ROUND_MS, Tasks};
use crate::console::uptime_ms;

/// How often a libvirt that is away is looked for, and one that has something to remove is looked at.
const SOON_MS: u64 = 500;
/// How long a person who destroyed a domain is given to undefine it as well, before it is started again.
const GRACE: Duration = Duration::from_secs(1);
/// How long libvirt is given to see the end of a process that is gone.
const BURY: Duration = Duration::from_secs(5);
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(100);
/// The domain of a guest, as libvirt was told.
const DOMAIN: &str = "domain.xml";

/// A domain of libvirt's.
#[derive(Debug, Clone)]
pub(super) struct Domain {
    virsh: Virsh,
    uuid: String,
}

/// What libvirt says of a domain whose QEMU is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum After {
    /// It does not know it any more.
    Unknown(String),
    /// Why it is off, or that nothing is to be learnt.
    Says(String),
}

impl Domain {
    /// Passes on an order. False when libvirt did not do it.
    pub(super) async fn order(&self, order: Order) -> bool {
        let done = match order {
            Order::PowerDown => self.virsh.shut_down(&self.uuid).await,
            Order::Quit | Order::Kill => self.virsh.destroy(&self.uuid).await,
        };
        done.is_ok()
    }

    /// Lets it begin. False when libvirt did not do it.
    pub(super) async fn resume(&self) -> bool {
        self.virsh.resume(&self.uuid).await.is_ok()
    }

    /// What libvirt says after the end; `ordered` is true where that came from here.
    pub(super) async fn after(&self, ordered: bool) -> After {
        let gone = Instant::now();
        loop {
            let (said, limit) = match self.virsh.state(&self.uuid).await {
                Err(Failed::Unknown(why)) => return After::Unknown(format!("virsh domstate: {why}")),
                Err(Failed::Away(why) | Failed::Refused(why)) => {
                    return After::Says(format!("libvirt does not say: {why}"));
                }
                Ok(State::Runs(said)) => (said, BURY),
                Ok(State::Destroyed(said)) => (said, GRACE),
                Ok(State::Off(said)) => return After::Says(format!("libvirt: {said}")),
            };
            if ordered || gone.elapsed() >= limit {
                return After::Says(format!("libvirt: {said}"));
            }
            sleep(PAUSE).await;
        }
    }
}

/// A start that was decided.
#[derive(Debug)]
pub(super) struct Start {
    wish: GuestWish,
    xml: String,
    kept: Kept,
    /// What was known of the guest before.
    before: Option<Kept>,
}

impl Attendant {
    /// Starts a guest, or finds it running, and stays with it until it is gone.
    pub(super) async fn begin(
        self,
        (domain, start): (Domain, Start),
        orders: mpsc::UnboundedReceiver<Order>,
    ) {
        match start.process(&domain, &self).await {
            Ok((process, made_of)) => {
                self.tell(News::Begun((process.pid, process.started), made_of));
                self.stay(process, orders).await;
            }
            Err(news) => self.tell(news),
        }
    }
}

impl Start {
    /// The process, and what it was made of where it was there before.
    async fn process(&self, domain: &Domain, me: &Attendant) -> Result<(Process, Option<String>), News> {
        let Domain { virsh, uuid } = domain;
        let before = self.before.as_ref().filter(|before| before.libvirt);
        if let Some(other) = before.filter(|before| before.uuid != *uuid) {
            // Two domains cannot have one name; that one is of a lab before this one.
            virsh.undefine(&other.uuid).await.map_err(news)?;
        }
        let before = before.filter(|before| before.uuid == *uuid);
        if let Some(process) = self.runs_already(domain, me, before).await? {
            let made_of = before.map_or_else(String::new, |before| before.definition.clone());
            return Ok((process, Some(made_of)));
        }
        let hindered = |why: std::io::Error| News::Hindered(format!("{}: {why}", me.folder.display()));
        process::prepare(&me.folder, &self.wish).map_err(hindered)?;
        process::write_whole(&me.folder, DOMAIN, self.xml.as_bytes()).map_err(hindered)?;
        virsh.define(&me.folder.join(DOMAIN)).await.map_err(news)?;
        me.tell(News::Defined);
        virsh.start(uuid).await.map_err(news)?;
        if let Some(process) = Process::find(&me.folder, &self.kept) {
            process.step_back();
            return Ok((process, None));
        }
        let (After::Unknown(why) | After::Says(why)) = domain.after(true).await;
        let evidence = format!("it was gone as soon as libvirt had started it; {why}");
        let end = GuestEnd { cause: GuestCause::QemuDied, evidence };
        Err(News::Ended(Ended { end, own_restart: false }))
    }

    /// The process of a domain that runs although nobody here knew: started by hand, or by an agent that died over it.
    async fn runs_already(
        &self,
        domain: &Domain,
        me: &Attendant,
        before: Option<&Kept>,
    ) -> Result<Option<Process>, News> {
        let end = Instant::now() + BURY;
        loop {
            let said = match domain.virsh.state(&domain.uuid).await {
                Ok(State::Off(_) | State::Destroyed(_)) => return Ok(None),
                Ok(State::Runs(said)) => said,
                Err(Failed::Unknown(why)) => {
                    if before.is_some_and(|before| before.defined) {
                        me.tell(News::Undefined(format!("virsh domstate: {why}")));
                    }
                    return Ok(None);
                }
                Err(failed) => return Err(news(failed)),
            };
            let process = Process::find(&me.folder, &self.kept);
            if process.is_some() {
                return Ok(process);
            }
            if Instant::now() >= end {
                return Err(News::Hindered(format!(
                    "libvirt says that it is {said}, and {} names no QEMU of it; it starts after `virsh destroy {}`",
                    me.folder.join(PID).display(),
                    domain.uuid
                )));
            }
            sleep(PAUSE).await;
        }
    }
}

fn news(failed: Failed) -> News {
    match failed {
        Failed::Away(why) => News::Waits(why),
        Failed::Unknown(why) | Failed::Refused(why) => News::Hindered(why),
    }
}

/// Answer to a look.
type Answer = Result<Looked, Failed>;

/// libvirt, as the guests' task knows it.
#[derive(Debug)]
pub(super) struct Libvirt {
    virsh: Virsh,
    /// Why nothing is started; none while it answers.
    away: Option<String>,
    /// When it is looked at next, in milliseconds of uptime; none while a look is under way.
    next: Option<u64>,
    /// Guests whose domain is to be removed, with its UUID.
    leaving: std::collections::BTreeMap<NodeName, String>,
    tell: mpsc::UnboundedSender<Answer>,
    hear: mpsc::UnboundedReceiver<Answer>,
}

impl Libvirt {
    pub(super) fn new(virsh: Virsh) -> Self {
        let (tell, hear) = mpsc::unbounded_channel();
        let away = Some("libvirt has not answered yet".to_owned());
        Self { virsh, away, next: Some(0), leaving: std::collections::BTreeMap::new(), tell, hear }
    }

    /// Why nothing is started.
    pub(super) const fn away(&self) -> Option<&String> {
        self.away.as_ref()
    }

    /// When it is to be looked at.
    pub(super) fn due(&self) -> u64 {
        self.next.unwrap_or(u64::MAX)
    }

    /// The domain of a guest.
    pub(super) fn domain(&self, kept: &Kept) -> Domain {
        Domain { virsh: self.virsh.clone(), uuid: kept.uuid.clone() }
    }

    /// It was found away by somebody who asked it for something.
    pub(super) fn is_away(&mut self, why: &str) {
        self.away = Some(format!("libvirt does not answer: {why}"));
        if let Some(next) = &mut self.next {
            *next = (*next).min(uptime_ms() + SOON_MS);
        }
    }

    /// Looks, where it is time to.
    pub(super) fn look(&mut self, now: u64) {
        if self.next.is_none_or(|next| now < next) {
            return;
        }
        self.next = None;
        let (virsh, tell) = (self.virsh.clone(), self.tell.clone());
        tokio::spawn(async move {
            // Nobody listens when the agent ends.
            drop(tell.send(virsh.look().await));
        });
    }

    /// Removes a guest's domain, however often that takes.
    pub(super) fn remove(&mut self, node: NodeName, uuid: String) {
        self.leaving.insert(node, uuid);
        if let Some(next) = &mut self.next {
            *next = 0;
        }
    }

    fn answered(&mut self, answer: &Answer, now: u64) -> Option<String> {
        let before = self.away.take();
        self.away = match answer {
            Ok(_) => None,
            Err(Failed::Away(why) | Failed::Unknown(why) | Failed::Refused(why)) => {
                Some(format!("libvirt does not answer: {why}"))
            }
        };
        let soon = self.away.is_some() || !self.leaving.is_empty();
        self.next = Some(now + if soon { SOON_MS } else { ROUND_MS });
        match (&before, &self.away) {
            (Some(_), None) => Some("libvirt answers".to_owned()),
            (_, Some(why)) if before.as_ref() != Some(why) => Some(why.clone()),
            _ => None,
        }
    }
}

/// Waits for what a look found; for ever where there is no libvirt.
pub(super) async fn looked(libvirt: &mut Option<Libvirt>) -> Answer {
    let answer = match libvirt {
        Some(libvirt) => libvirt.hear.recv().await,
        None => None,
    };
    match answer {
        Some(answer) => answer,
        None => std::future::pending().await,
    }
}

impl Tasks {
    /// Leaves the task behind that starts a guest and stays with it.
    pub(super) fn begin(&mut self, wish: GuestWish, (mut kept, xml): (Kept, String)) {
        let Some(libvirt) = &mut self.libvirt else { return };
        let node = wish.node.clone();
        let before = self.kept.get(&node).filter(|before| before.uuid == kept.uuid);
        kept.defined = before.is_some_and(|before| before.defined);
        libvirt.leaving.remove(&node);
        let domain = libvirt.domain(&kept);
        let (order, orders) = mpsc::unbounded_channel();
        let attendant = self.attendant(&node, &kept);
        self.orders.insert(node.clone(), order);
        let before = self.kept.insert(node, kept.clone());
        tokio::spawn(attendant.begin((domain, Start { wish, xml, kept, before }), orders));
    }

    /// Makes good what libvirt does not know any more, and takes up what runs unattended.
    pub(super) fn libvirt_looked(&mut self, answer: Answer) {
        let Some(libvirt) = &mut self.libvirt else { return };
        if let Some(said) = libvirt.answered(&answer, uptime_ms()) {
            self.console.say(&said);
        }
        let Ok(looked) = answer else { return };
        let virsh = libvirt.virsh.clone();
        let leaving: Vec<_> = libvirt.leaving.iter().map(|(n, u)| (n.clone(), u.clone())).collect();
        for (node, uuid) in leaving {
            let (active, defined) = (looked.active.contains(&uuid), looked.defined.contains(&uuid));
            if !active && !defined {
                libvirt.leaving.remove(&node);
                self.kept.remove(&node);
                // What is left only takes room, until the machine starts again.
                drop(fs::remove_dir_all(self.place.root.join(node.as_str())));
                continue;
            }
            let virsh = virsh.clone();
            tokio::spawn(async move {
                // What is not done now is seen by the next look.
                if active {
                    drop(virsh.destroy(&uuid).await);
                }
                drop(virsh.undefine(&uuid).await);
            });
        }
        let leaves = |libvirt: &Libvirt, node: &NodeName| libvirt.leaving.contains_key(node);
        let active: Vec<NodeName> = self
            .kept
            .iter()
            .filter(|(node, kept)| {
                kept.libvirt && looked.active.contains(&kept.uuid) && !leaves(libvirt, node)
            })
            .map(|(node, _)| node.clone())
            .collect();
        for node in active {
            let is_defined = self.kept.get(&node).is_some_and(|kept| looked.defined.contains(&kept.uuid));
            if !self.orders.contains_key(&node) {
                self.take_up_running(&node);
            } else if !is_defined {
                self.restore(&node, &virsh);
            }
        }
    }

    /// Somebody started it by hand, or another agent did.
    fn take_up_running(&mut self, node: &NodeName) {
        let folder = self.folder(node);
        let Some(kept) = self.kept.get_mut(node) else { return };
        kept.process = None;
        // One that is gone again is none.
        let Some(process) = Process::find(&folder, kept) else { return };
        kept.process = Some((process.pid, process.started));
        let kept = kept.clone();
        self.console.say(&format!("guest {node} runs already, as process {}", process.pid));
        self.judge.found(node, kept.definition.clone());
        self.attend(node, &kept, process);
    }

    /// Tells libvirt again what it was told at the last start: the guest is not touched by that.
    fn restore(&self, node: &NodeName, virsh: &Virsh) {
        let (xml, virsh) = (self.folder(node).join(DOMAIN), virsh.clone());
        let (tell, node) = (self.tell.clone(), node.clone());
        tokio::spawn(async move {
            if virsh.define(&xml).await.is_ok() {
                let what = "libvirt did not know it any more (virsh list --persistent) and was told again"
                    .to_owned();
                drop(tell.send((node, News::Restored(what))));
            }
        });
    }
}
