//! Installed once: which images a machine took whole, and what it is answered from then on.
//!
//! ```text
//! entry says install N ─▶ last byte of the last file ─▶ claim in the ledger ─▶ every later ask: its disk
//! ```
//! The core publishes the same a moment later. This holds while there is no core, and after `kill -9` of everything.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use model::{BootAnswer, BootEntry, Image, InstallTicket, MacAddr};

use crate::counter::Counter;
use crate::ledger::{ClaimKey, ClaimKind};
use crate::script::plain_name;

/// Machines whose files are remembered; more than any board has at once under way.
const KEPT: usize = 16_384;

/// Files that machines took of the image that installs them.
#[derive(Debug, Default)]
pub(crate) struct Taken(Mutex<HashMap<MacAddr, (u32, BTreeSet<String>)>>);

impl Taken {
    /// Adds a file; true when it was the last one of the image.
    fn add(&self, mac: MacAddr, number: u32, name: &str, image: &Image) -> bool {
        let is = |asset: &model::Asset| plain_name(&asset.name) == name;
        if image.uki.as_ref().is_some_and(is) {
            return true;
        }
        let mut needed = image.kernel.iter().chain(&image.initrd);
        if image.kernel.is_none() || !needed.clone().any(is) {
            return false;
        }
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.len() >= KEPT && !taken.contains_key(&mac) {
            taken.clear();
        }
        let (of, files) = taken.entry(mac).or_default();
        if *of != number {
            (*of, *files) = (number, BTreeSet::new());
        }
        files.insert(name.to_owned());
        needed.all(|asset| files.contains(&plain_name(&asset.name)))
    }
}

fn key(entry: &BootEntry, ticket: InstallTicket) -> ClaimKey {
    let (node, run) = (entry.node.clone(), entry.run);
    ClaimKey { node, run, boot: ticket.number, again: 0, kind: ClaimKind::Install }
}

impl Counter {
    /// What this machine is answered now. One that took its installer whole boots its disk.
    pub(crate) fn answer_for<'a>(&self, entry: &'a BootEntry) -> Cow<'a, BootAnswer> {
        match entry.install {
            Some(ticket) if self.ledger.holds(&key(entry, ticket)) => {
                Cow::Owned(BootAnswer::Disk { how: ticket.then })
            }
            Some(_) | None => Cow::Borrowed(&entry.answer),
        }
    }

    /// A machine took a file whole: the last one of an image that installs it spends the claim.
    pub(crate) fn note_taken(&self, mac: MacAddr, name: &str) {
        let Some(board) = self.board() else { return };
        let Some(entry) = board.entry(mac) else { return };
        let (Some(ticket), BootAnswer::Run { image, .. }) = (entry.install, &entry.answer) else { return };
        let key = key(entry, ticket);
        if !self.ledger.holds(&key) && self.taken.add(mac, ticket.number, name, image) {
            let spent = self.ledger.spend(key);
            self.note_ledger(&spent);
        }
    }
}
