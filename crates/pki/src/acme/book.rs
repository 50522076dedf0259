//! What is kept: accounts, orders, certificates. Everything has an end or a bound.

use std::collections::BTreeMap;

use model::{Span, WallTime};
use serde::{Deserialize, Serialize};

use super::jws::Jwk;
use super::problem::{Kind, Problem};

/// Most accounts; beyond them the oldest that nothing hangs on is forgotten.
pub(super) const ACCOUNTS: usize = 256;
/// Most orders at once, and most of one account that are not done.
pub(super) const ORDERS: usize = 1024;
pub(super) const OPEN: usize = 32;
/// How long an order may take.
pub(super) const ORDER_LIFETIME: Span = Span::secs(7 * 86_400);
/// How long an account stays that nothing hangs on, where room is needed.
const IDLE: Span = Span::secs(3600);
/// How long a certificate that ended is remembered.
const REMEMBERED: Span = Span::secs(7 * 86_400);

/// How something stands (RFC 8555 section 7.1.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Not proven yet.
    Pending,
    /// Being looked at.
    Processing,
    /// Proven; a request is waited for.
    Ready,
    /// Done.
    Valid,
    /// Failed.
    Invalid,
    /// Given up by its owner.
    Deactivated,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Account {
    pub(super) key: Jwk,
    pub(super) contact: Vec<String>,
    pub(super) state: State,
    pub(super) created: WallTime,
}

/// One name of an order, and how far its proof is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The name or address, as it was asked for.
    pub name: String,
    /// How it stands.
    pub state: State,
    /// What its server has to show.
    pub token: String,
    /// Why it failed.
    pub problem: Option<Problem>,
    /// When it was proven.
    pub proven: Option<WallTime>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) account: String,
    pub(super) expires: WallTime,
    pub(super) parts: Vec<Part>,
    pub(super) profile: String,
    /// Identifier of the certificate that it takes the place of (RFC 9773 section 5).
    pub(super) replaces: Option<String>,
    pub(super) problem: Option<Problem>,
    pub(super) certificate: Option<String>,
}

impl Order {
    pub(super) fn state(&self, now: WallTime) -> State {
        let any = |state| self.parts.iter().any(|part| part.state == state);
        if self.certificate.is_some() {
            State::Valid
        } else if self.problem.is_some()
            || any(State::Invalid)
            || any(State::Deactivated)
            || self.expires <= now
        {
            State::Invalid
        } else if self.parts.iter().all(|part| part.state == State::Valid) {
            State::Ready
        } else {
            State::Pending
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Made {
    pub(super) account: String,
    pub(super) chain: String,
    pub(super) not_before: WallTime,
    pub(super) not_after: WallTime,
    /// Its identifier for clients that ask when to renew (RFC 9773 section 4.1).
    pub(super) ari: String,
    pub(super) names: Vec<String>,
    pub(super) replaced: bool,
    /// The reason (RFC 5280 section 5.3.1), once it was revoked.
    pub(super) revoked: Option<u8>,
}

/// Accounts, orders and certificates.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Book {
    pub(super) accounts: BTreeMap<String, Account>,
    pub(super) orders: BTreeMap<String, Order>,
    pub(super) certificates: BTreeMap<String, Made>,
}

impl Book {
    /// Forgets what has ended.
    pub(super) fn tidy(&mut self, now: WallTime) {
        let over = |end: WallTime| end.0.saturating_add(REMEMBERED.0) < now.0;
        self.certificates.retain(|_, made| !over(made.not_after));
        let kept = &self.certificates;
        self.orders.retain(|_, order| {
            order.expires > now || order.certificate.as_ref().is_some_and(|made| kept.contains_key(made))
        });
    }

    /// Room for another account.
    pub(super) fn room(&mut self, now: WallTime) -> Result<(), Problem> {
        if self.accounts.len() < ACCOUNTS {
            return Ok(());
        }
        let busy = |id: &String| {
            self.orders.values().any(|order| order.account == *id)
                || self.certificates.values().any(|made| made.account == *id)
        };
        let idle = self
            .accounts
            .iter()
            .filter(|(id, account)| account.created.0.saturating_add(IDLE.0) < now.0 && !busy(id));
        let oldest = idle.min_by_key(|(_, account)| account.created).map(|(id, _)| id.clone());
        let oldest =
            oldest.ok_or_else(|| Problem::new(Kind::RateLimited, "256 accounts are kept already"))?;
        self.accounts.remove(&oldest);
        Ok(())
    }

    pub(super) fn account_of(&self, key: &Jwk) -> Option<(&String, &Account)> {
        self.accounts.iter().find(|(_, account)| account.key == *key)
    }

    /// Names of the certificates that are good, with their ends, for whoever wants to show them.
    pub fn good(&self, now: WallTime) -> impl Iterator<Item = (&[String], WallTime)> {
        let good =
            self.certificates.values().filter(move |made| made.not_after > now && made.revoked.is_none());
        good.map(|made| (made.names.as_slice(), made.not_after))
    }
}
