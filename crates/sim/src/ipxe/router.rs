//! iPXE's wait for an IPv6 router, and for the DHCPv6 server that one may send it to: the hidden half of
//! "configuring".

use wire::ndp::{self, Advertisement};

use crate::body::{Body, Datagram};
use crate::config::Ipxe;
use crate::exchange6::{Exchange6, Lease6, Verdict6};
use crate::program::Program;
use crate::step::Step;

/// Waits after each solicitation, in milliseconds (`net/ndp.c`: until 6ccd5239b of October 2020 0.25 s
/// doubling up to a limit of 10 s, 15.75 s in all; since then 0.125 s up to 3 s, 3.875 s in all).
const fn ladder(version: Ipxe) -> &'static [u64] {
    match version {
        Ipxe::Of2019 => &[250, 500, 1000, 2000, 4000, 8000],
        Ipxe::Of2025 => &[125, 250, 500, 1000, 2000],
    }
}

/// The wait.
#[derive(Debug)]
pub(crate) struct RouterWait {
    program: Program,
    ladder: &'static [u64],
    tries: usize,
    deadline: Option<u64>,
    /// A router sent it to DHCPv6. Where nobody answers there, that costs 15.75 s; 16 were measured.
    dhcpv6: Option<Exchange6>,
    lease: Option<Box<Lease6>>,
}

impl RouterWait {
    /// Sends the first solicitation.
    pub(crate) fn start(version: Ipxe, program: Program, body: &mut Body, now: u64) -> Self {
        let ladder = ladder(version);
        let mut wait = Self { program, ladder, tries: 0, deadline: None, dhcpv6: None, lease: None };
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
    pub(crate) fn wake_at(&self) -> Option<u64> {
        self.dhcpv6.as_ref().map_or(self.deadline, Exchange6::wake_at)
    }

    /// True once nothing is waited for.
    pub(crate) const fn is_over(&self) -> bool {
        self.deadline.is_none() && self.dhcpv6.is_none()
    }

    /// What a DHCPv6 server gave.
    pub(crate) fn lease(&self) -> Option<&Lease6> {
        self.lease.as_deref()
    }

    pub(crate) fn on_time(&mut self, body: &mut Body, now: u64) {
        if let Some(exchange) = &mut self.dhcpv6 {
            let verdict = exchange.on_time(body, now);
            self.after_dhcp(verdict, body, now);
        } else if self.deadline.is_some_and(|at| at <= now) {
            self.solicit(body, now);
        }
    }

    pub(crate) fn on_udp(&mut self, body: &mut Body, udp: &Datagram<'_>, now: u64) {
        if let Some(exchange) = &mut self.dhcpv6 {
            let verdict = exchange.on_udp(body, udp, now);
            self.after_dhcp(verdict, body, now);
        }
    }

    fn after_dhcp(&mut self, verdict: Verdict6, body: &mut Body, now: u64) {
        match verdict {
            Verdict6::Pending => return,
            Verdict6::Bound(lease) => self.lease = Some(lease),
            Verdict6::GaveUp => {}
        }
        self.dhcpv6 = None;
        body.note(now, Step::RouterKnown { answered: true });
    }

    pub(crate) fn on_router(&mut self, router: &Advertisement, body: &mut Body, now: u64) {
        if self.is_over() || self.dhcpv6.is_some() {
            return;
        }
        self.deadline = None;
        if router.managed {
            self.dhcpv6 = Some(Exchange6::start(self.program, body, now));
        } else if router.other {
            self.dhcpv6 = Some(Exchange6::inform(self.program, body, now));
        } else {
            body.note(now, Step::RouterKnown { answered: true });
        }
    }
}
