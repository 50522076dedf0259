//! Whom this boot's agent obeys: the first boss whose counter knew the nonce of its kernel line, and no other.
//!
//! A boss is known by the key of its core, and by the name of its lab while its core is away. Two controllers over one
//! machine, whether by a second lab on the segment or by an address that two have, are told apart by that.

use std::net::SocketAddr;

use model::{AgentWelcome, Rival};

use crate::renew::KnownBoss;

/// Whose word an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// The boss's, or there is none yet that is known better.
    Boss,
    /// Somebody else's: nothing in it is done.
    Rival,
}

/// Whom the agent obeys.
#[derive(Debug, Default)]
pub(crate) struct Allegiance {
    boss: KnownBoss,
    rival: Option<Rival>,
}

impl Allegiance {
    /// As a build before this one knew it.
    pub(crate) const fn new(boss: KnownBoss) -> Self {
        Self { boss, rival: None }
    }

    /// Who it is.
    pub(crate) const fn boss(&self) -> &KnownBoss {
        &self.boss
    }

    /// The last one that was not believed.
    pub(crate) const fn rival(&self) -> Option<&Rival> {
        self.rival.as_ref()
    }

    /// Judges an answer. An answer that only asks to be told again proves nothing, and makes nobody the boss.
    pub(crate) fn judge(&mut self, welcome: &AgentWelcome, at: SocketAddr) -> Whose {
        let key = welcome.channel.map(|channel| channel.key);
        let other_key = matches!((self.boss.core, key), (Some(known), Some(shown)) if known != shown);
        let same_key = matches!((self.boss.core, key), (Some(known), Some(shown)) if known == shown);
        // A lab that was renamed keeps its key.
        let other_lab = !same_key
            && matches!((&self.boss.lab, &welcome.lab), (Some(known), Some(shown)) if known != shown);
        // A counter that the nonce is not of cannot be the one that it was of, whatever it is called.
        let stranger = self.boss.proven && !same_key && welcome.proven == Some(false);
        let proves = welcome.proven == Some(true) && !welcome.report_again;
        if (other_key || other_lab || stranger) && (self.boss.proven || !proves) {
            self.rival = Some(Rival { at: at.ip(), lab: welcome.lab.clone(), key });
            return Whose::Rival;
        }
        if !welcome.report_again {
            let switches = other_key || other_lab;
            // Older counters do not say whether they prove anything; the first key was believed then, too.
            let known = welcome.proven != Some(false);
            self.boss = KnownBoss {
                core: if known {
                    key.or_else(|| self.boss.core.filter(|_| !switches))
                } else {
                    self.boss.core
                },
                lab: welcome.lab.clone().or_else(|| self.boss.lab.take()),
                at: Some(at),
                proven: proves || self.boss.proven,
            };
        }
        Whose::Boss
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{AgentChannel, AgentKey};

    fn at(last: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, last], 80))
    }

    /// An answer: core key, lab, whether the nonce was its own.
    fn answer(key: Option<u8>, lab: &str, proven: Option<bool>) -> AgentWelcome {
        AgentWelcome {
            channel: key.map(|key| AgentChannel { port: 8423, key: AgentKey([key; 32]) }),
            lab: Some(lab.parse().unwrap()),
            proven,
            ..AgentWelcome::default()
        }
    }

    #[test]
    fn the_first_that_proves_the_nonce_is_the_boss_and_stays_it() {
        let mut whom = Allegiance::default();
        assert_eq!(whom.judge(&answer(Some(1), "one", Some(true)), at(1)), Whose::Boss);
        for other in [
            answer(Some(2), "two", Some(true)),
            answer(Some(2), "one", Some(true)),
            answer(None, "two", None),
            answer(None, "one", Some(false)),
        ] {
            assert_eq!(whom.judge(&other, at(2)), Whose::Rival, "{other:?}");
            assert_eq!(whom.boss().core, Some(AgentKey([1; 32])));
            assert_eq!(whom.rival().unwrap().at, at(2).ip());
        }
        // Its core is away, its counter was started anew, it moved, its lab was renamed.
        let again = AgentWelcome { report_again: true, ..answer(None, "one", None) };
        for own in [
            answer(None, "one", Some(true)),
            again,
            answer(Some(1), "one", Some(true)),
            answer(Some(1), "uno", Some(true)),
        ] {
            assert_eq!(whom.judge(&own, at(3)), Whose::Boss, "{own:?}");
        }
        assert_eq!(whom.boss().at, Some(at(3)));
        assert_eq!(whom.boss().lab, Some("uno".parse().unwrap()));
    }

    #[test]
    fn who_proves_nothing_is_heard_until_somebody_does() {
        let mut whom = Allegiance::default();
        assert_eq!(whom.judge(&answer(Some(2), "two", Some(false)), at(2)), Whose::Boss);
        assert_eq!(whom.judge(&answer(Some(3), "three", Some(false)), at(3)), Whose::Rival, "a third lab");
        assert_eq!(whom.judge(&answer(Some(1), "one", Some(true)), at(1)), Whose::Boss);
        assert_eq!((whom.boss().core, whom.boss().proven), (Some(AgentKey([1; 32])), true));
        assert_eq!(whom.judge(&answer(Some(2), "two", Some(false)), at(2)), Whose::Rival);
    }

    #[test]
    fn who_asks_to_be_told_again_is_nobody_yet() {
        let mut whom = Allegiance::default();
        let again = AgentWelcome { report_again: true, ..answer(Some(2), "two", None) };
        assert_eq!(whom.judge(&again, at(2)), Whose::Boss);
        assert_eq!(whom.boss(), &KnownBoss::default());
    }

    #[test]
    fn the_first_key_of_an_older_counter_is_kept_to_as_well() {
        let mut whom = Allegiance::default();
        let older = |key| AgentWelcome { lab: None, ..answer(Some(key), "x", None) };
        assert_eq!(whom.judge(&older(1), at(1)), Whose::Boss);
        assert_eq!(whom.judge(&older(2), at(1)), Whose::Rival);
        assert_eq!(whom.judge(&AgentWelcome::default(), at(1)), Whose::Boss);
    }
}
