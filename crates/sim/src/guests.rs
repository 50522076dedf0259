//! The guests of a simulated hypervisor: what shall run, what runs, and why what ran does not.
//!
//! ```text
//! off ──wished on, what it boots is here──▶ runs ──ended──▶ starting: at once, then after 1, 2, 4, 8 s ──▶ runs
//!  ▲                                         │                    └─ the sixth end in ten minutes ─▶ crash-looping
//!  └───────────────────────wished off ◀──────┘                                                (until another order)
//! ```
//! Written from docs/guests.md and not from the agent's own code, so that nobody marks his own paper. A guest itself is a
//! machine of the segment.

use std::collections::BTreeMap;

use model::{
    Asset, Digest, GuestBoot, GuestCause, GuestEnd, GuestSeen, GuestSpec, GuestState, GuestWish, MacAddr,
    MachineUuid, NodeName, PowerOrder,
};
use sha2::{Digest as _, Sha256};

use crate::body::Body;
use crate::manners::Manner;

/// Ends that are borne within [`WINDOW_MS`].
const BUDGET: usize = 5;
const WINDOW_MS: u64 = 600_000;
/// Pauses before the next start, by the number of ends that count.
const PAUSES_MS: [u64; BUDGET] = [0, 1000, 2000, 4000, 8000];
/// Pause before a content that could not be had is asked for again, and the same where there was no room.
const AGAIN_MS: u64 = 2_000;
const AGAIN_FULL_MS: u64 = 10_000;

/// What a hypervisor does with one of its guests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GuestAct {
    /// Starts it with a kernel out of its store.
    Kernel {
        /// The whole kernel line.
        args: String,
        /// Names of the initramfs files.
        initrds: Vec<String>,
    },
    /// Starts its firmware, which boots over the network.
    Firmware,
    /// Switches it off.
    Off,
}

/// What a running guest cannot be changed in.
type MadeOf = (MachineUuid, MacAddr, GuestSpec);

#[derive(Debug)]
struct Guest {
    wish: GuestWish,
    listed: bool,
    /// What runs, while something does.
    runs: Option<MadeOf>,
    starts: u32,
    losses: Vec<u64>,
    ended: Option<GuestEnd>,
    /// Not started before this.
    next: u64,
    state: GuestState,
    evidence: String,
}

impl Guest {
    const fn new(wish: GuestWish) -> Self {
        Self {
            wish,
            listed: true,
            runs: None,
            starts: 0,
            losses: Vec::new(),
            ended: None,
            next: 0,
            state: GuestState::Off,
            evidence: String::new(),
        }
    }

    fn made_of(&self) -> MadeOf {
        (self.wish.uuid, self.wish.mac, self.wish.spec.clone())
    }

    const fn is_wanted(&self) -> bool {
        self.listed && matches!(self.wish.power, PowerOrder::On)
    }

    fn is_crash_looping(&self) -> bool {
        let Some(last) = self.losses.last() else { return false };
        self.losses.iter().filter(|at| last.saturating_sub(**at) < WINDOW_MS).count() > BUDGET
    }

    fn set(&mut self, state: GuestState, evidence: &str) {
        self.state = state;
        evidence.clone_into(&mut self.evidence);
    }

    /// How its last run ended, or that it never ran.
    fn past(&self) -> String {
        self.ended.as_ref().map_or_else(String::new, |end| format!("{}: {}", end.cause, end.evidence))
    }
}

/// How it stands with one content.
#[derive(Debug)]
enum Content {
    Here,
    /// It reads as another one. Another order is another try.
    Bad(String),
    /// It is asked for again then; `full` where there was no room for it.
    Later {
        until: u64,
        full: bool,
        why: String,
    },
}

/// The guests, and the store of what they boot. All of it goes with the power.
#[derive(Debug, Default)]
pub(crate) struct Guests {
    all: BTreeMap<NodeName, Guest>,
    store: BTreeMap<Digest, Content>,
}

impl Guests {
    /// Takes the list of what shall be there.
    pub(crate) fn wish(&mut self, list: &[GuestWish]) {
        self.all.values_mut().for_each(|guest| guest.listed = false);
        for wish in list {
            let guest = self.all.entry(wish.node.clone()).or_insert_with(|| Guest::new(wish.clone()));
            if guest.wish.order != wish.order {
                guest.losses.clear();
                guest.next = 0;
                self.store.retain(|_, content| !matches!(content, Content::Bad(_)));
            }
            guest.listed = true;
            guest.wish = wish.clone();
        }
    }

    /// Does what is due.
    pub(crate) fn turn(&mut self, body: &mut Body, base: &str, now: u64) {
        let store = &self.store;
        for guest in self.all.values_mut() {
            if guest.runs.as_ref().is_some_and(|made| !guest.is_wanted() || *made != guest.made_of()) {
                guest.runs = None;
                guest.ended =
                    Some(GuestEnd { cause: GuestCause::Ordered, evidence: "guest-shutdown".to_owned() });
                guest.next = now;
                body.guest(guest.wish.mac, GuestAct::Off);
            }
            if !guest.is_wanted() {
                let past = guest.past();
                guest.set(GuestState::Off, &past);
            } else if guest.runs.is_none() {
                start(guest, store, (body, base), now);
            }
        }
        self.all.retain(|_, guest| guest.listed || guest.runs.is_some());
    }

    /// A guest ended by itself; `again` where its own system wants another boot, which is no loss.
    pub(crate) fn ended(&mut self, mac: MacAddr, end: GuestEnd, again: bool, now: u64) {
        let Some(guest) = self.all.values_mut().find(|guest| guest.wish.mac == mac) else { return };
        if guest.runs.take().is_none() {
            return;
        }
        guest.ended = Some(end);
        guest.next = now;
        if !again {
            guest.losses.retain(|at| now.saturating_sub(*at) < WINDOW_MS);
            guest.losses.push(now);
            let pause = PAUSES_MS.get(guest.losses.len() - 1).copied().unwrap_or_default();
            guest.next = now + pause;
        }
    }

    /// A content that somebody boots and that is not here.
    pub(crate) fn wanted(&self, now: u64) -> Option<Asset> {
        let wishes = self.all.values().filter(|guest| guest.is_wanted()).map(|guest| &guest.wish);
        let mut contents = wishes.flat_map(contents);
        let is_due = |asset: &&Asset| match self.store.get(&asset.digest) {
            None => true,
            Some(Content::Here | Content::Bad(_)) => false,
            Some(Content::Later { until, .. }) => *until <= now,
        };
        contents.find(is_due).cloned()
    }

    /// A content came, or did not.
    pub(crate) fn came(&mut self, asset: &Asset, bytes: Option<Vec<u8>>, body: &mut Body, now: u64) {
        let later = |after, full, why: &str| Content::Later { until: now + after, full, why: why.to_owned() };
        let content = match bytes {
            None => later(AGAIN_MS, false, "the boss does not give it"),
            Some(_) if body.is_full(now) => later(AGAIN_FULL_MS, true, "no space left on device"),
            Some(mut bytes) => {
                body.damage(&mut bytes);
                let reads = Digest(Sha256::digest(&bytes).into());
                match reads == asset.digest {
                    true => Content::Here,
                    false => Content::Bad(format!("{} reads as {reads}, not {}", asset.name, asset.digest)),
                }
            }
        };
        self.store.insert(asset.digest, content);
    }

    /// When something is due although nothing happens.
    pub(crate) fn wake_at(&self, now: u64) -> Option<u64> {
        let starts = self.all.values().filter(|guest| guest.is_wanted() && guest.runs.is_none());
        let starts = starts.filter(|guest| !guest.is_crash_looping()).map(|guest| guest.next);
        let contents = self.store.values().filter_map(|content| match content {
            Content::Later { until, .. } => Some(*until),
            Content::Here | Content::Bad(_) => None,
        });
        starts.chain(contents).filter(|at| *at > now).min()
    }

    /// What is true, for the boss.
    pub(crate) fn seen(&self, host: &NodeName, host_boot: &str) -> Vec<GuestSeen> {
        let seen = |guest: &Guest| GuestSeen {
            node: guest.wish.node.clone(),
            mac: guest.wish.mac,
            host: host.clone(),
            host_boot: host_boot.to_owned(),
            state: guest.state,
            order: guest.wish.order,
            starts: guest.starts,
            ended: guest.ended.clone(),
            evidence: guest.evidence.clone(),
        };
        self.all.values().map(seen).collect()
    }
}

/// What a guest boots out of its hypervisor's store.
fn contents(wish: &GuestWish) -> impl Iterator<Item = &Asset> {
    let image = wish.image.as_deref().filter(|_| wish.spec.boot == GuestBoot::Kernel);
    image.into_iter().flat_map(|image| image.kernel.iter().chain(&image.initrd))
}

/// Starts one that shall run and does not, unless something is in the way.
fn start(guest: &mut Guest, store: &BTreeMap<Digest, Content>, (body, base): (&mut Body, &str), now: u64) {
    let past = guest.past();
    if guest.is_crash_looping() {
        return guest.set(GuestState::CrashLooping, &format!("it ended too often, at last: {past}"));
    }
    if now < guest.next {
        return guest.set(GuestState::Starting, &format!("start {}, after: {past}", guest.losses.len()));
    }
    let by_kernel = guest.wish.spec.boot == GuestBoot::Kernel;
    if by_kernel && guest.wish.image.is_none() {
        return guest.set(GuestState::Fetching, "the boss has not said yet what it boots");
    }
    let stands = contents(&guest.wish).find_map(|asset| obstacle(asset, store));
    if let Some((state, why, full)) = stands {
        if full {
            guest.ended = Some(GuestEnd { cause: GuestCause::NoRoom, evidence: why.clone() });
        }
        return guest.set(state, &why);
    }
    guest.runs = Some(guest.made_of());
    guest.starts += 1;
    guest.set(GuestState::Running, "simulated");
    let act = match guest.wish.image.as_deref().filter(|_| by_kernel) {
        Some(image) => {
            let ours = format!("labinator.boss={base} labinator.node={}", guest.wish.node);
            let words = [image.args.as_str(), &guest.wish.args, &ours];
            let args = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
            GuestAct::Kernel { args, initrds: image.initrd.iter().map(|asset| asset.name.clone()).collect() }
        }
        None => GuestAct::Firmware,
    };
    body.guest(guest.wish.mac, act);
}

/// What keeps a guest from booting this: its state, why, and whether it is for want of room.
fn obstacle(asset: &Asset, store: &BTreeMap<Digest, Content>) -> Option<(GuestState, String, bool)> {
    match store.get(&asset.digest) {
        Some(Content::Here) => None,
        None => Some((GuestState::Fetching, format!("{} is on its way", asset.name), false)),
        Some(Content::Bad(why)) => Some((GuestState::Refused, why.clone(), false)),
        Some(Content::Later { full: true, why, .. }) => Some((GuestState::Refused, why.clone(), true)),
        Some(Content::Later { why, .. }) => Some((GuestState::Fetching, why.clone(), false)),
    }
}

impl Body {
    /// True while its memory for files is full.
    fn is_full(&self, now: u64) -> bool {
        let until = self.manners.find(|m| if let Manner::NoRoomUntil(ms) = m { Some(ms) } else { None });
        until.is_some_and(|until| now < until)
    }

    /// Flips a byte of what came, as often in its life as its manners say.
    fn damage(&mut self, bytes: &mut [u8]) {
        let times = self.manners.find(|m| if let Manner::DamagesContents(n) = m { Some(n) } else { None });
        if self.damaged < times.unwrap_or_default()
            && let Some(first) = bytes.first_mut()
        {
            self.damaged += 1;
            *first ^= 1;
        }
    }
}
