//! What agents say, and how surely it is they: keys, seals, and who claimed which boot.
//!
//! ```text
//! hello ──no word yet, or an old one──▶ welcome with the word: say it again
//!   │ sealed, with its boot's nonce ──▶ first key: claimed, synced ──▶ heard, known by its key
//!   │                               └─▶ another key ──▶ refused, and both are told
//!   └ no key, or no nonce ──▶ heard, known by its address, unless a key claimed this boot
//! beat ──▶ sealed by the key that said hello, with a greater number than before ──▶ heard
//! ```
//! The word is new for each start of the counter, and the number goes up: nothing can be said twice.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lifecycle::HealthWatch;
use model::{
    AGENT_BEAT_PATH, AGENT_HELLO_PATH, AgentBeat, AgentChannel, AgentClash, AgentKey, AgentReport,
    AgentWelcome, BootEntry, MacAddr, Seal, Sight,
};
use ring::signature::{ED25519, UnparsedPublicKey};

use crate::counter::Counter;
use crate::ledger::{ClaimKey, ClaimKind};

/// Machines whose last boot is remembered. More than any board; strangers beyond it are asked to report again.
const AGENTS_KEPT: usize = 65_536;

/// Why an agent is not heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unheard {
    /// It has a nonce that this machine was never given.
    OtherNonce,
    /// Its boot has a key, and this is not sealed by it.
    NotSealed,
    /// This was said before.
    SaidBefore,
    /// Another key claimed this boot first.
    OtherKey,
}

/// What came with a report or a heartbeat.
#[derive(Debug)]
pub(crate) struct Said<'a> {
    /// The body, as it came.
    pub(crate) body: &'a [u8],
    /// The seal, where one could be read.
    pub(crate) seal: Option<Seal>,
    /// Whose connection it came by.
    pub(crate) from: IpAddr,
}

impl Said<'_> {
    fn is_sealed_by(&self, key: &AgentKey, path: &str, boot_id: &str) -> Option<&Seal> {
        let seal = self.seal.as_ref()?;
        let text = Seal::text(path, boot_id, (seal.count, &seal.word), self.body);
        let verified = UnparsedPublicKey::new(&ED25519, &key.0).verify(&text, &seal.signature);
        verified.is_ok().then_some(seal)
    }
}

/// The agents that reported.
#[derive(Debug)]
pub(crate) struct Agents {
    /// What seals of this start of the counter contain.
    word: String,
    heard: Mutex<HashMap<MacAddr, Heard>>,
    /// Where the core is reached, while there is one.
    channel: Mutex<Option<AgentChannel>>,
    /// The last clash of each machine that was told.
    clashes: Mutex<HashMap<MacAddr, AgentClash>>,
}

#[derive(Debug)]
struct Heard {
    boot_id: String,
    /// Its report carried a word that this machine was given.
    has_nonce: bool,
    key: Option<AgentKey>,
    /// Number of its last seal.
    count: u64,
    /// What became worse in this boot.
    watch: HealthWatch,
}

impl Agents {
    pub(crate) fn new(word: String) -> Self {
        Self { word, heard: Mutex::default(), channel: Mutex::default(), clashes: Mutex::default() }
    }

    fn heard(&self) -> MutexGuard<'_, HashMap<MacAddr, Heard>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True when this clash was not told yet.
    fn is_news(&self, mac: MacAddr, clash: &AgentClash) -> bool {
        let mut clashes = self.clashes.lock().unwrap_or_else(PoisonError::into_inner);
        if clashes.len() >= AGENTS_KEPT {
            clashes.clear();
        }
        clashes.insert(mac, clash.clone()).as_ref() != Some(clash)
    }

    fn remember(&self, report: &AgentReport, (count, has_nonce): (u64, bool)) {
        let mut heard = self.heard();
        if heard.len() >= AGENTS_KEPT {
            heard.clear();
        }
        let before = heard.remove(&report.mac).filter(|before| before.boot_id == report.boot_id);
        let watch = before.map(|before| before.watch).unwrap_or_default();
        heard.insert(
            report.mac,
            Heard { boot_id: report.boot_id.clone(), has_nonce, key: report.key, count, watch },
        );
    }

    /// True when this key has used this number or a later one.
    fn has_used(&self, mac: MacAddr, key: &AgentKey, count: u64) -> bool {
        self.heard().get(&mac).is_some_and(|heard| heard.key.as_ref() == Some(key) && heard.count >= count)
    }

    /// True for the boot whose agent showed a word that its machine was given.
    pub(crate) fn is_proven(&self, mac: MacAddr, boot_id: &str) -> bool {
        self.heard().get(&mac).is_some_and(|heard| heard.has_nonce && heard.boot_id == boot_id)
    }

    /// Where the core is reached from now on.
    pub(crate) fn lead(&self, channel: Option<AgentChannel>) {
        *self.channel.lock().unwrap_or_else(PoisonError::into_inner) = channel;
    }

    fn sealed_welcome(&self, welcome: AgentWelcome) -> AgentWelcome {
        let channel = *self.channel.lock().unwrap_or_else(PoisonError::into_inner);
        AgentWelcome { word: Some(self.word.clone()), channel, ..welcome }
    }
}

impl Counter {
    /// Takes an agent's report.
    ///
    /// # Errors
    /// [`Unheard`]; nothing is believed of it.
    pub(crate) async fn take_report(
        &self,
        mut report: AgentReport,
        said: &Said<'_>,
    ) -> Result<AgentWelcome, Unheard> {
        let board = self.board();
        let entry = board.as_ref().and_then(|board| board.entry(report.mac));
        let boot = match (entry, &report.nonce) {
            (Some(entry), Some(nonce)) => {
                Some(self.ledger.boot_of(&entry.node, nonce).ok_or(Unheard::OtherNonce)?)
            }
            (None, _) | (_, None) => None,
        };
        let has_nonce = boot.is_some();
        let mut count = 0;
        if let Some(key) = report.key {
            let sealed = said.is_sealed_by(&key, AGENT_HELLO_PATH, &report.boot_id);
            let seal = sealed.ok_or(Unheard::NotSealed)?;
            if seal.word != self.agents.word {
                return Ok(self.report_again());
            }
            if self.agents.has_used(report.mac, &key, seal.count) {
                return Err(Unheard::SaidBefore);
            }
            count = seal.count;
        }
        let is_proven = match (entry, boot) {
            (Some(_), Some(boot)) => self.claim_boot(&report, boot, said.from).await?,
            (Some(entry), None) if self.is_claimed_by_a_key(entry) => return Err(Unheard::OtherKey),
            (Some(_) | None, _) => false,
        };
        self.agents.remember(&report, (count, has_nonce));
        let mac = report.mac;
        report.key = report.key.filter(|_| is_proven);
        self.sights.see(mac, Sight::Agent { report: Arc::new(report) });
        let welcome = AgentWelcome { proven: Some(has_nonce), ..self.welcome(mac, false) };
        Ok(self.agents.sealed_welcome(welcome))
    }

    /// Whose counter this is, and that it does not know the agent. What its nonce proves is told with the report.
    fn report_again(&self) -> AgentWelcome {
        let lab = self.board().map(|board| board.table().lab.clone());
        self.agents.sealed_welcome(AgentWelcome { report_again: true, lab, ..AgentWelcome::default() })
    }

    /// Claims the boot of its nonce for the key of a report; true when it has it. A ledger that cannot be written costs
    /// the proof and not the boot.
    async fn claim_boot(&self, report: &AgentReport, boot: ClaimKey, from: IpAddr) -> Result<bool, Unheard> {
        let last = self.ledger.last_start(&boot.node, boot.run, boot.boot);
        let key = ClaimKey { kind: ClaimKind::AgentKey, ..boot };
        let claim = match report.key {
            Some(shown) => {
                let claimed = self.ledger.claim_for(key.clone(), format!("{shown} {from}")).await;
                self.note_ledger(&claimed);
                claimed.ok()
            }
            None => self.ledger.claimed(&key),
        };
        let Some((claimed, claimed_from)) = claim.as_deref().and_then(read_claim) else { return Ok(false) };
        // Who started again has forgotten the key of before: if that one speaks, there are two.
        let is_the_last = last.is_none_or(|last| last <= key.again);
        if report.key == Some(claimed) && is_the_last {
            return Ok(true);
        }
        let newer = || self.ledger.claimed(&ClaimKey { again: last.unwrap_or_default(), ..key.clone() });
        let (claimed, claimed_from) = match is_the_last {
            true => (claimed, claimed_from),
            false => newer().as_deref().and_then(read_claim).unwrap_or((claimed, claimed_from)),
        };
        let clash = AgentClash { claimed, claimed_from, shown: report.key, from };
        if self.agents.is_news(report.mac, &clash) {
            tracing::warn!(node = %key.node, "{clash}");
            self.sights.see(report.mac, Sight::AgentClash { clash });
        }
        Err(Unheard::OtherKey)
    }

    /// True when an agent's key claimed the present boot of a machine.
    fn is_claimed_by_a_key(&self, entry: &BootEntry) -> bool {
        self.ledger.last_start(&entry.node, entry.run, entry.boot).is_some()
    }

    /// Takes an agent's heartbeat.
    ///
    /// # Errors
    /// [`Unheard`]; nothing is believed of it.
    pub(crate) fn take_beat(&self, mut beat: AgentBeat, said: &Said<'_>) -> Result<AgentWelcome, Unheard> {
        let mac = beat.mac;
        let mut heard = self.agents.heard();
        let known = heard.get_mut(&mac).filter(|heard| heard.boot_id == beat.boot_id);
        let is_known = known.is_some();
        let has_nonce = known.as_ref().is_some_and(|known| known.has_nonce);
        beat.health = beat.health.map(|health| Arc::new(Arc::unwrap_or_clone(health).bounded()));
        let mut worse = Vec::new();
        if let Some(heard) = known {
            if let Some(key) = &heard.key {
                let seal =
                    said.is_sealed_by(key, AGENT_BEAT_PATH, &beat.boot_id).ok_or(Unheard::NotSealed)?;
                if seal.word != self.agents.word || seal.count <= heard.count {
                    return Err(Unheard::SaidBefore);
                }
                heard.count = seal.count;
            }
            let health = beat.health.as_ref();
            worse = health.map(|health| heard.watch.see(health, beat.uptime_ms)).unwrap_or_default();
        }
        drop(heard);
        let board = self.board();
        let entry = board.as_ref().and_then(|board| board.entry(mac));
        // Whoever has a key says hello to a counter that does not know it, and is believed then.
        if !is_known && entry.is_some_and(|entry| self.is_claimed_by_a_key(entry)) {
            return Ok(self.report_again());
        }
        // What is new of a guest is news of that machine; the heartbeat itself is forgotten.
        for guest in self.news_of_guests(mac, std::mem::take(&mut beat.guests)) {
            self.sights.see(guest.mac, Sight::Guest { guest });
        }
        let boot_id = beat.boot_id.clone();
        self.sights.see(mac, Sight::Beat { beat });
        for ailment in worse {
            self.sights.see(mac, Sight::Ailing { boot_id: boot_id.clone(), ailment });
        }
        // Of one that is not known it is told with its report.
        let proven = is_known.then_some(has_nonce);
        Ok(self.agents.sealed_welcome(AgentWelcome { proven, ..self.welcome(mac, !is_known) }))
    }
}

/// The key of a claim, and where it came from.
fn read_claim(claim: &str) -> Option<(AgentKey, Option<IpAddr>)> {
    let (key, from) = claim.split_once(' ').unwrap_or((claim, ""));
    Some((key.parse().ok()?, from.parse().ok()))
}
