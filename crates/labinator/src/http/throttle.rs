//! Wrong tokens: after a few from one address the next tries are turned away, for longer each time. Whoever had a right
//! one there lately is let in meanwhile: others may sit behind the same address, and a page of somebody else's may make a
//! browser send wrong ones.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use model::{LabTime, Span};

/// Wrong tokens that cost nothing.
const FREE: u32 = 10;
/// The first pause; it doubles with each further wrong token.
const FIRST: Span = Span::secs(1);
/// The longest.
const LONGEST: Span = Span::secs(60);
/// Silence after which an address begins anew.
const FORGIVEN: Span = Span::secs(600);
/// Addresses, and holders of right tokens, that are remembered; beyond them the one that was silent for longest is
/// forgotten.
const ADDRESSES: usize = 1024;
/// How long a right token counts as known at an address.
const KNOWN: Span = Span::secs(86_400);
/// Bits of an IPv6 address that its holder cannot choose (RFC 4291 section 2.5.1).
const PREFIX: u32 = 64;

#[derive(Debug, Clone, Copy)]
struct Tries {
    wrong: u32,
    last: LabTime,
    until: LabTime,
}

/// Who offered wrong tokens lately.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    wrong: BTreeMap<IpAddr, Tries>,
    /// Whose right tokens came from where, and when last.
    known: BTreeMap<(IpAddr, String), LabTime>,
}

impl Throttle {
    /// How long this address has to wait before it is listened to again; nothing if it need not.
    pub(super) fn pause(&self, from: IpAddr, now: LabTime) -> Option<Span> {
        let tries = self.wrong.get(&sender(from))?;
        (now < tries.until).then(|| tries.until.since(now))
    }

    /// It offered a wrong token.
    pub(super) fn wrong(&mut self, from: IpAddr, now: LabTime) {
        let from = sender(from);
        if self.wrong.len() >= ADDRESSES && !self.wrong.contains_key(&from) {
            let oldest = self.wrong.iter().min_by_key(|(_, tries)| tries.last).map(|(address, _)| *address);
            oldest.and_then(|address| self.wrong.remove(&address));
        }
        let tries = self.wrong.entry(from).or_insert(Tries { wrong: 0, last: now, until: now });
        if now.since(tries.last) >= FORGIVEN {
            tries.wrong = 0;
        }
        tries.wrong = tries.wrong.saturating_add(1);
        tries.last = now;
        if let Some(over) = tries.wrong.checked_sub(FREE + 1) {
            let pause = FIRST.0.saturating_mul(1 << over.min(10)).min(LONGEST.0);
            tries.until = now.after(Span(pause));
        }
    }

    /// It offered a right one, this holder's. What was wrong stays counted: a right token of a small role must not buy
    /// tries for a greater one.
    pub(super) fn right(&mut self, from: IpAddr, holder: &str, now: LabTime) {
        let known = (sender(from), holder.to_owned());
        if self.known.len() >= ADDRESSES && !self.known.contains_key(&known) {
            let oldest = self.known.iter().min_by_key(|(_, last)| **last).map(|(known, _)| known.clone());
            oldest.and_then(|oldest| self.known.remove(&oldest));
        }
        self.known.insert(known, now);
    }

    /// Whether this holder's right token came from there lately.
    pub(super) fn knows(&self, from: IpAddr, holder: &str, now: LabTime) -> bool {
        let last = self.known.get(&(sender(from), holder.to_owned()));
        last.is_some_and(|last| now.since(*last) < KNOWN)
    }
}

/// What of an address stands for its sender: of IPv6 the prefix, for the rest can be had by the billion.
fn sender(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V4(from) => IpAddr::V4(from),
        IpAddr::V6(from) => IpAddr::V6(Ipv6Addr::from_bits(from.to_bits() & (u128::MAX << (128 - PREFIX)))),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn address(number: u32) -> IpAddr {
        Ipv4Addr::from_bits(0x0a00_0000 + number).into()
    }

    #[test]
    fn ten_wrong_tokens_are_free_and_then_each_costs_twice_as_long() {
        let mut throttle = Throttle::default();
        let mut now = LabTime(0);
        for _ in 0..10 {
            throttle.wrong(address(1), now);
            assert_eq!(throttle.pause(address(1), now), None);
        }
        for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
            throttle.wrong(address(1), now);
            assert_eq!(throttle.pause(address(1), now), Some(Span::secs(pause)));
            now = now.after(Span::secs(pause));
            assert_eq!(throttle.pause(address(1), now), None);
        }
        assert_eq!(throttle.pause(address(2), LabTime(0)), None, "nobody else is held up");
        throttle.wrong(address(1), now.after(FORGIVEN));
        assert_eq!(throttle.pause(address(1), now.after(FORGIVEN)), None);
    }

    #[test]
    fn a_known_holder_is_let_in_meanwhile_and_buys_no_tries() {
        let mut throttle = Throttle::default();
        throttle.right(address(1), "wall", LabTime(1));
        for _ in 0..20 {
            throttle.wrong(address(1), LabTime(5));
            throttle.right(address(1), "wall", LabTime(5));
        }
        assert!(throttle.pause(address(1), LabTime(5)).is_some());
        assert!(throttle.knows(address(1), "wall", LabTime(6)));
        assert!(
            !throttle.knows(address(1), "anna", LabTime(6))
                && !throttle.knows(address(2), "wall", LabTime(6))
        );
        assert!(!throttle.knows(address(1), "wall", LabTime(5).after(KNOWN)));
    }

    #[test]
    fn memory_has_a_bound_and_an_ipv6_prefix_is_one_sender() {
        let mut throttle = Throttle::default();
        for number in 0..5000 {
            throttle.wrong(address(number), LabTime(u64::from(number)));
            throttle.right(address(number), "wall", LabTime(u64::from(number)));
        }
        assert_eq!((throttle.wrong.len(), throttle.known.len()), (ADDRESSES, ADDRESSES));
        assert!(throttle.wrong.contains_key(&address(4999)) && !throttle.wrong.contains_key(&address(0)));
        assert!(throttle.knows(address(4999), "wall", LabTime(5000)));
        let of = |text: &str| text.parse::<IpAddr>().unwrap();
        for last in 1..=11 {
            throttle.wrong(of(&format!("fd00:1::{last}")), LabTime(1));
        }
        assert!(throttle.pause(of("fd00:1::ffff"), LabTime(1)).is_some());
        assert_eq!(throttle.pause(of("fd00:1:0:1::1"), LabTime(1)), None);
        assert_eq!(sender(of("::ffff:10.0.0.1")), of("10.0.0.1"));
    }
}
