//! Orders to wipe a disk: each is handed to one boot of one machine, and never to another.
//!
//! ```text
//! entry names a boot ─▶ that boot's agent, known by its nonce, asks ─▶ claim in the ledger, synced ─▶ the order
//!                       another boot, or one without a nonce                                       ─▶ nothing
//! ```

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use model::{MacAddr, Sight, WipeOrder};

use crate::counter::Counter;
use crate::ledger::{ClaimKey, ClaimKind};

/// Machines whose last claim the core was told of; more than any board.
const KEPT: usize = 65_536;

/// Which claims the core was told of, so that it is told once while this process runs.
#[derive(Debug, Default)]
pub(crate) struct Told(Mutex<HashMap<MacAddr, u32>>);

impl Told {
    fn is_news(&self, mac: MacAddr, number: u32) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= KEPT {
            told.clear();
        }
        told.insert(mac, number) != Some(number)
    }
}

impl Counter {
    /// The order for this boot of this machine, if there is one. The same boot that asks twice gets the same.
    pub(crate) async fn wipe_for(&self, mac: MacAddr, boot_id: &str) -> Option<WipeOrder> {
        let board = self.board()?;
        let entry = board.entry(mac)?;
        let order = entry.wipe.as_ref().filter(|order| order.boot_id == boot_id)?;
        if !self.agents.is_proven(mac, boot_id) {
            return None;
        }
        let (node, run) = (entry.node.clone(), entry.run);
        let key = ClaimKey { node, run, boot: order.number, again: 0, kind: ClaimKind::Wipe };
        let claimed = self.ledger.claim_for(key, boot_id.to_owned()).await;
        self.note_ledger(&claimed);
        let holder = claimed.ok()?;
        let given = holder == boot_id;
        if self.wipes_told.is_news(mac, order.number) {
            self.sights.see(mac, Sight::WipeGiven { number: order.number, boot_id: holder });
        }
        given.then(|| order.clone())
    }
}
