//! Configs that their machines fetch: the one secret that passes through here.
//!
//! ```text
//! script with a word ──▶ machine asks `/c/<word>` ──404, told──▶ core ──config──▶ here, in memory
//!                        machine asks again ──bytes, told──▶   minutes pass, or the machine is known ──▶ forgotten
//! ```
//! The word is a claim of the ledger, the same for one boot and another for the next. It opens nothing from another
//! address than the machine's own, nothing before the machine asked, and nothing once the minutes are over.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response};
use model::{BootAnswer, BootEntry, MacAddr, NodeName, Sight};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use zeroize::Zeroizing;

use crate::counter::Counter;
use crate::http::{Body, not_found};
use crate::ledger::{ClaimKey, ClaimKind};

/// Longest time that a config stays, whatever the core says.
const LONGEST: Duration = Duration::from_secs(3600);

/// A machine's config on its way through: shown to nobody, and wiped from memory when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Zeroizing<String>);

impl Sealed {
    /// Takes a config in.
    #[must_use]
    pub const fn new(config: Zeroizing<String>) -> Self {
        Self(config)
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(..)")
    }
}

impl Serialize for Sealed {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Sealed {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self(Zeroizing::new(String::deserialize(from)?)))
    }
}

/// A config that is laid ready for one boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigOffer {
    /// Which machine.
    pub node: NodeName,
    /// Of which run.
    pub run: u32,
    /// For which of its boots.
    pub boot: u32,
    /// For how many seconds.
    pub seconds: u32,
    /// What it gets.
    pub config: Sealed,
}

struct Text(Zeroizing<String>);

impl AsRef<[u8]> for Text {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

struct Laid {
    run: u32,
    boot: u32,
    until: Instant,
    config: Bytes,
    /// The address that took it first. A machine may have two, and a word that was overheard is used from a third.
    taken_by: Option<IpAddr>,
}

/// What becomes of an ask.
enum Taking {
    /// Nothing is laid ready for this boot.
    Absent,
    /// Another address took it.
    Refused,
    Taken(Bytes),
}

/// Configs that are laid ready.
#[derive(Default)]
pub(crate) struct Offers {
    laid: Mutex<BTreeMap<NodeName, Laid>>,
    news: Notify,
}

impl fmt::Debug for Offers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.laid().keys()).finish()
    }
}

impl Offers {
    fn laid(&self) -> MutexGuard<'_, BTreeMap<NodeName, Laid>> {
        self.laid.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lays a config ready in place of an older one.
    pub(crate) fn lay(&self, offer: ConfigOffer) {
        let ConfigOffer { node, run, boot, seconds, config } = offer;
        let until = Instant::now() + Duration::from_secs(seconds.into()).min(LONGEST);
        let config = Bytes::from_owner(Text(config.0));
        self.laid().insert(node, Laid { run, boot, until, config, taken_by: None });
        self.news.notify_one();
    }

    /// Forgets the config of a machine.
    pub(crate) fn withdraw(&self, node: &NodeName) {
        self.laid().remove(node);
    }

    /// Keeps only what still fits what its machine is answered.
    pub(crate) fn keep_only(&self, fits: impl Fn(&NodeName, u32, u32) -> bool) {
        self.laid().retain(|node, laid| fits(node, laid.run, laid.boot));
    }

    /// The bytes for this boot, if they are there and the one who asks may have them.
    fn take(&self, entry: &BootEntry, peer: IpAddr) -> Taking {
        let mut all = self.laid();
        let fits = |laid: &&mut Laid| {
            laid.run == entry.run && laid.boot == entry.boot && Instant::now() < laid.until
        };
        let Some(laid) = all.get_mut(&entry.node).filter(fits) else { return Taking::Absent };
        if *laid.taken_by.get_or_insert(peer) == peer {
            Taking::Taken(laid.config.clone())
        } else {
            Taking::Refused
        }
    }

    /// Forgets what nobody fetched in its time. Goes on until dropped.
    pub(crate) async fn run(&self) {
        loop {
            let next = self.laid().values().map(|laid| laid.until).min();
            let over = async {
                match next {
                    Some(until) => sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = over => self.laid().retain(|_, laid| Instant::now() < laid.until),
                () = self.news.notified() => {}
            }
        }
    }
}

/// The claim of a machine's boot.
pub(crate) fn key(entry: &BootEntry) -> ClaimKey {
    let node = entry.node.clone();
    ClaimKey { node, run: entry.run, boot: entry.boot, again: 0, kind: ClaimKind::Pull }
}

/// True where this machine's kernel line gets a word.
pub(crate) const fn is_pulled(entry: &BootEntry) -> bool {
    entry.pulls && matches!(entry.answer, BootAnswer::Run { .. })
}

/// Whose word this is: its machine is on the board, boots, and asks from its own address.
fn whose(counter: &Counter, peer: IpAddr, word: &str) -> Option<(MacAddr, BootEntry)> {
    let mac = counter.who_has(peer)?;
    let board = counter.board()?;
    let entry = board.entry(mac).filter(|entry| is_pulled(entry))?;
    counter.ledger.is_claimed(&key(entry), word).then(|| (mac, entry.clone()))
}

/// Answers who asks for a config. What is not there and what is not for them looks the same.
pub(crate) fn answer(counter: &Arc<Counter>, peer: IpAddr, word: &str) -> Response<Body> {
    let Some((mac, entry)) = whose(counter, peer, word) else { return not_found() };
    let config = match counter.offers.take(&entry, peer) {
        Taking::Taken(config) => config,
        Taking::Absent => {
            counter.sights.see(mac, Sight::ConfigAsked { bytes: None });
            return not_found();
        }
        Taking::Refused => return not_found(),
    };
    let bytes = u64::try_from(config.len()).ok();
    counter.sights.see(mac, Sight::ConfigAsked { bytes });
    let mut response = Response::new(Body::memory(config));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/yaml"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
