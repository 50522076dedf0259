//! iPXE's wait for an IPv6 router: the hidden half of "configuring".

use wire::ndp::{self, Advertisement};

use crate::body::Body;
use crate::config::Ipxe;
use crate::step::Step;

/// Waits after each solicitation, in milliseconds (`net/ndp.c`: until 6ccd5239b of October 2020 0.25 s
/// doubling up to a limit of 10 s, 15.75 s in all; since then 0.125 s up to 3 s, 3.875 s in all).
const fn ladder(version: Ipxe) -> &'static [u64] {
    match version {
        Ipxe::Of2019 => &[250, 500, 1000, 2000, 4000, 8000],
        Ipxe::Of2025 => &[125, 250, 500, 1000, 2000],
    }
}

/// A router that sends hosts to DHCP over IPv6 costs this when nobody answers there: measured 16 s.
const DHCPV6_MS: u64 = 15_750;

/// The wait.
#[derive(Debug)]
pub(crate) struct RouterWait {
    ladder: &'static [u64],
    tries: usize,
    deadline: Option<u64>,
    sent_to_dhcpv6: bool,
}

impl RouterWait {
    /// Sends the first solicitation.
    pub(crate) fn start(version: Ipxe, body: &mut Body, now: u64) -> Self {
        let mut wait = Self { ladder: ladder(version), tries: 0, deadline: None, sent_to_dhcpv6: false };
        wait.solicit(body, now);
        wait
    }

    fn solicit(&mut self, body: &mut Body, now: u64) {
        let Some(wait) = self.ladder.get(self.tries) else {
            self.deadline = None;
            body.note(now, Step::RouterKnown { answered: false });
            return;
        };
        self.tries += 1;
        self.deadline = Some(now + wait);
        body.note(now, Step::Solicited);
        body.send_frame(ndp::solicitation(body.config.mac), now);
    }

    /// When the timer fires; none once the wait is over.
    pub(crate) const fn wake_at(&self) -> Option<u64> {
        self.deadline
    }

    /// True once nothing is waited for.
    pub(crate) const fn is_over(&self) -> bool {
        self.deadline.is_none()
    }

    pub(crate) fn on_time(&mut self, body: &mut Body, now: u64) {
        if self.deadline.is_some_and(|at| at <= now) {
            if self.sent_to_dhcpv6 {
                self.deadline = None;
                body.note(now, Step::RouterKnown { answered: true });
            } else {
                self.solicit(body, now);
            }
        }
    }

    pub(crate) fn on_router(&mut self, router: &Advertisement, body: &mut Body, now: u64) {
        if self.is_over() || self.sent_to_dhcpv6 {
            return;
        }
        if router.managed || router.other {
            self.sent_to_dhcpv6 = true;
            self.deadline = Some(now + DHCPV6_MS);
        } else {
            self.deadline = None;
            body.note(now, Step::RouterKnown { answered: true });
        }
    }
}
