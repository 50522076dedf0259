//! Labinator's own UEFI loader, as the counter serves it: the file with the lab's key in it, and answers under a seal.
//!
//! ```text
//! counter starts: a key of its own, in memory ──public half──▶ core: signs it with the lab's key ──▶ delegation
//! loader asks, with a nonce ──▶ answer from the boot table, signed with the counter's key
//! ```
//! The lab's key never comes here, and the counter's own is gone when it ends: what can be stolen from it signs answers
//! for as long as no later delegation was seen. Without a delegation firmware is given iPXE.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddrV4};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use model::{
    AgentKey, AgentOrder, Asset, BootAnswer, BootEntry, Image, LoaderChoice, LoaderStep, MacAddr, ParkOrder,
    ScriptAnswer, Sight,
};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde::{Deserialize, Serialize};
use wire::dhcp::Caller;
use wire::loader::{
    ANSWER_PURPOSE, Answer, Ask, Delegation, Medium, Order, Piece, Plan, Processor, Sealed, Seed, Signed,
    Unfit, Word, fitted, signed_text,
};

use crate::board::Board;
use crate::clock::boottime_ms;
use crate::counter::{Counter, Over};
use crate::loaders::Loader;
use crate::script::{Words, asset_url, kernel_line, words_for};

/// Seconds that an answer holds, from its question.
const LIMIT: u16 = 60;
/// Longest time an answer that says "wait" is held back.
const HOLD: Duration = Duration::from_secs(20);
/// Seconds after which a machine that is not on the board asks again, and one whose claim could not be written.
const RETRY: u16 = 5;
/// Characters of a loader's line that are kept.
const LONGEST_LINE: usize = 400;

/// The core's word that a counter may answer loaders in the lab's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoaderTrust {
    /// The lab's key, which loaders check with.
    pub lab_key: AgentKey,
    /// A [`Delegation`] as it was signed.
    pub delegation: String,
    /// The signature of the lab's key, 128 hexadecimal digits.
    pub signature: String,
}

/// Why a loader is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// There is no boot table, or no delegation.
    NotYet,
    /// Its connection belongs to another machine.
    OtherMachine,
}

/// The counter's side of the loader.
#[derive(Debug)]
pub(crate) struct Own {
    /// None where the kernel gave no randomness: nothing is signed then.
    key: Option<Ed25519KeyPair>,
    trusted: Mutex<Option<Trusted>>,
}

#[derive(Debug)]
struct Trusted {
    lab_key: [u8; 32],
    delegation: String,
    signature: [u8; 64],
    /// The files for this address.
    files: HashMap<Processor, (SocketAddrV4, Loader)>,
}

impl Own {
    /// Makes a key.
    pub(crate) fn new() -> Self {
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
        let key = made.ok().and_then(|made| Ed25519KeyPair::from_pkcs8(made.as_ref()).ok());
        if key.is_none() {
            tracing::error!("no key for answers to loaders could be made: the kernel gives no random bytes");
        }
        Self { key, trusted: Mutex::default() }
    }

    /// The public half of its key.
    pub(crate) fn key(&self) -> Option<AgentKey> {
        self.key.as_ref()?.public_key().as_ref().try_into().ok().map(AgentKey)
    }

    /// The lab's key, while this counter may answer in its name.
    pub(crate) fn lab_key(&self) -> Option<AgentKey> {
        self.trusted().as_ref().map(|trusted| AgentKey(trusted.lab_key))
    }

    fn trusted(&self) -> MutexGuard<'_, Option<Trusted>> {
        self.trusted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers loaders in the lab's name from now on. What is not for this key is left.
    pub(crate) fn trust(&self, trust: LoaderTrust) {
        let named =
            Delegation::read(trust.delegation.as_bytes()).ok().map(|delegation| AgentKey(delegation.key));
        let Some(signature) = bytes(&trust.signature).filter(|_| named == self.key()) else {
            tracing::warn!("the core's word for loaders is for another key than this counter's");
            return;
        };
        let lab_key = trust.lab_key.0;
        *self.trusted() =
            Some(Trusted { lab_key, delegation: trust.delegation, signature, files: HashMap::new() });
    }

    /// A signed answer.
    fn seal(&self, answer: &Answer) -> Option<Vec<u8>> {
        let key = self.key.as_ref()?;
        let trusted = self.trusted();
        let trusted = trusted.as_ref()?;
        let text = answer.text();
        let signature = key.sign(&signed_text(ANSWER_PURPOSE, text.as_bytes()));
        let signature = signature.as_ref().try_into().ok()?;
        let delegation = Signed { text: trusted.delegation.as_bytes(), signature: trusted.signature };
        Some(Sealed { delegation, answer: Signed { text: text.as_bytes(), signature } }.bytes())
    }
}

fn bytes(digits: &str) -> Option<[u8; 64]> {
    let (first, second) = digits.split_at_checked(64)?;
    let half = |digits: &str| digits.parse::<AgentKey>().ok();
    let all = [half(first)?.0, half(second)?.0].concat();
    all.try_into().ok()
}

impl Counter {
    /// The key by which this counter signs answers to loaders.
    #[must_use]
    pub fn loader_key(&self) -> Option<AgentKey> {
        self.own.key()
    }

    /// Answers loaders in the lab's name from now on. What is not for this counter's key is left.
    pub fn trust_loader(&self, trust: LoaderTrust) {
        self.own.trust(trust);
    }

    /// A network boot program by its file name; our own with the lab's key and this counter's address in it.
    pub(crate) fn loader(&self, name: &str) -> Option<Loader> {
        let plain = self.loaders.get(name)?;
        let Some(processor) = Processor::of_file(name) else { return Some(plain.clone()) };
        let board = self.board()?;
        let boss = SocketAddrV4::new(board.table().network.boss, self.http_port());
        let mut trusted = self.own.trusted();
        let trusted = trusted.as_mut()?;
        if let Some((_, file)) = trusted.files.get(&processor).filter(|(at, _)| *at == boss) {
            return Some(file.clone());
        }
        match handed(plain, &Seed { lab_key: trusted.lab_key, boss: Some(boss) }) {
            Ok(file) => {
                trusted.files.insert(processor, (boss, file.clone()));
                Some(file)
            }
            Err(why) => {
                tracing::error!("{name} cannot be served: {why}");
                None
            }
        }
    }

    /// The name of our own loader, where this client is to have it and can run it.
    pub(crate) fn own_loader(&self, board: &Board, mac: MacAddr, caller: &Caller) -> Option<&'static str> {
        let wanted = board.entry(mac).is_some_and(|entry| entry.loader == LoaderChoice::Labinator);
        let archs = caller.archs.iter().chain(caller.arch.as_ref()).filter(|_| wanted);
        let mut files = archs.filter_map(|arch| Processor::of_family(arch.family()?)).map(Processor::file);
        files.find(|name| self.loader(name).is_some())
    }
}

/// The file as it is handed out.
fn handed(plain: &Loader, seed: &Seed) -> Result<Loader, Unfit> {
    Ok(match fitted(&plain.bytes, seed)? {
        Cow::Borrowed(_) => plain.clone(),
        Cow::Owned(bytes) => Loader::new(bytes, SystemTime::now()),
    })
}

/// Answers a loader's question; one that may wait is held until there is news or its time is up.
pub(crate) async fn answer(counter: &Arc<Counter>, peer: IpAddr, ask: &Ask) -> Result<Vec<u8>, Unanswered> {
    if counter.own.trusted().is_none() {
        return Err(Unanswered::NotYet);
    }
    if counter.who_has(peer).is_some_and(|mac| !ask.macs.contains(&mac)) {
        return Err(Unanswered::OtherMachine);
    }
    first_asked(counter, ask);
    let mut boards = counter.boards();
    let hold = HOLD.min(Duration::from_secs(ask.hold.into()));
    let end = tokio::time::Instant::now() + hold;
    loop {
        let board = boards.borrow_and_update().clone().ok_or(Unanswered::NotYet)?;
        let (told, answer) = compose(counter, &board, (ask, Over::of(peer))).await;
        let waits = matches!(&answer.order, Order::Wait { off_seconds, .. } if *off_seconds != Some(0));
        if waits && matches!(tokio::time::timeout_at(end, boards.changed()).await, Ok(Ok(()))) {
            continue;
        }
        counter.sights.see(answer.mac, Sight::ScriptAsked { answer: told });
        return counter.own.seal(&answer).ok_or(Unanswered::NotYet);
    }
}

/// A loader that was started from a stick or disk may have asked nobody before, not even for an address; and a live image
/// that waits in memory asks without an end of the boot before.
fn first_asked(counter: &Counter, ask: &Ask) {
    let (step, who, what) = match ask.medium {
        Medium::Local => (LoaderStep::Asks, "loader", "asks, started from a stick or disk"),
        Medium::Image => (LoaderStep::Parks, "agent", "waits in memory, in the image that it ran"),
        Medium::Pxe | Medium::Http => return,
    };
    if ask.number != 1 {
        return;
    }
    let known =
        counter.board().and_then(|board| ask.macs.iter().copied().find(|mac| board.entry(*mac).is_some()));
    if let Some(mac) = known {
        let text = format!("{who} {} {what}", ask.loader);
        let text = text.chars().take(LONGEST_LINE).collect();
        counter.sights.see(mac, Sight::LoaderSaid { severity: 6, text, error: None, step: Some(step) });
    }
}

/// What a loader said.
pub(crate) fn said(counter: &Counter, peer: IpAddr, word: Word) -> Result<(), Unanswered> {
    let Word { mac, others, severity, text, error, starts, cold } = word;
    let ports = || core::iter::once(mac).chain(others.iter().copied());
    let known = counter.board().and_then(|board| ports().find(|mac| board.entry(*mac).is_some()));
    let is_its_own = counter.who_has(peer).is_none_or(|mac| ports().any(|port| port == mac));
    let Some(mac) = known.filter(|_| is_its_own) else { return Err(Unanswered::OtherMachine) };
    let cut = |text: String| text.chars().take(LONGEST_LINE).collect();
    let step = match (starts, cold) {
        (true, _) => Some(LoaderStep::Starts),
        (false, true) => Some(LoaderStep::Fails),
        (false, false) => None,
    };
    counter.sights.see(mac, Sight::LoaderSaid { severity, text: cut(text), error: error.map(cut), step });
    Ok(())
}

async fn compose(counter: &Arc<Counter>, board: &Board, (ask, over): (&Ask, Over)) -> (ScriptAnswer, Answer) {
    let entry = ask.macs.iter().find_map(|mac| board.entry(*mac));
    let Some(entry) = entry else {
        let because = String::from("it is not on the board: add it to the lab file");
        // A question has at least one address.
        let mac = ask.macs.first().copied().unwrap_or_default();
        let order = Order::Wait { retry_seconds: RETRY, off_seconds: None };
        return (ScriptAnswer::Stranger, whole(board, (None, mac), ask, (because, order)));
    };
    let (told, because, order) = match counter.answer_for(entry).as_ref() {
        BootAnswer::Disk { .. } => (ScriptAnswer::Disk, entry.because.clone(), Order::Disk),
        BootAnswer::Wait { retry_seconds } => {
            let order = Order::Wait { retry_seconds: *retry_seconds, off_seconds: off_seconds(entry) };
            (ScriptAnswer::Wait, entry.because.clone(), order)
        }
        BootAnswer::Run { image, args } => match words_for(counter, entry).await {
            Ok(words) => {
                let base = counter.base_url_over(board, over);
                match plan((&base, entry), image, args, &words) {
                    Some(plan) => (ScriptAnswer::Boot, entry.because.clone(), Order::Boot(plan)),
                    None => wait(String::from("its image has no program for UEFI")),
                }
            }
            Err(error) => wait(format!("the boss cannot write its ledger: {error}")),
        },
    };
    (told, whole(board, (Some(entry), entry.mac), ask, (because, order)))
}

/// When a machine that waits switches itself off: now, where that is ordered; a parked one when its time is over.
fn off_seconds(entry: &BootEntry) -> Option<u32> {
    match entry.order {
        AgentOrder::PowerOff => Some(0),
        AgentOrder::Stay => seconds_left(entry),
    }
}

/// Seconds until a parked machine switches itself off.
fn seconds_left(entry: &BootEntry) -> Option<u32> {
    let left = entry.off_at?.saturating_sub(boottime_ms()) / 1000;
    Some(u32::try_from(left).unwrap_or(u32::MAX))
}

/// What a machine's agent is told that shall wait in memory. Nothing while nobody can answer it then.
pub(crate) fn park_order(counter: &Counter, entry: &BootEntry) -> Option<ParkOrder> {
    let seconds = seconds_left(entry).filter(|_| entry.parks)?;
    Some(ParkOrder { seconds, lab_key: counter.own.lab_key()? })
}

fn wait(because: String) -> (ScriptAnswer, String, Order) {
    (ScriptAnswer::Wait, because, Order::Wait { retry_seconds: RETRY, off_seconds: None })
}

fn whole(
    board: &Board,
    (entry, mac): (Option<&BootEntry>, MacAddr),
    ask: &Ask,
    (because, order): (String, Order),
) -> Answer {
    Answer {
        lab: board.table().lab.clone(),
        node: entry.map(|entry| entry.node.clone()),
        mac,
        nonce: ask.nonce,
        limit_seconds: LIMIT,
        because,
        good: entry.map(|entry| entry.good.clone()).unwrap_or_default(),
        order,
    }
}

/// What is started of an image: its kernel with arguments, else its unified kernel image, which has its own.
fn plan((base, entry): (&str, &BootEntry), image: &Image, args: &str, words: &Words) -> Option<Plan> {
    let piece = |asset: &Asset| Piece {
        size: asset.size,
        digest: model::Digest(asset.digest.0),
        path: asset_url("", asset),
    };
    match &image.kernel {
        // iPXE's own form of a BIOS program is no EFI program.
        Some(kernel) if !kernel.name.ends_with(".lkrn") => Some(Plan {
            kernel: piece(kernel),
            initrd: image.initrd.iter().map(piece).collect(),
            args: kernel_line(base, entry, image, args, words),
        }),
        Some(_) | None => {
            Some(Plan { kernel: piece(image.uki.as_ref()?), initrd: Vec::new(), args: String::new() })
        }
    }
}
