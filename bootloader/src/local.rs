//! Started from a stick or disk: the link is brought up here, the cache is read meanwhile, and where no controller
//! answers the image that started well last is started.
//!
//! ```text
//! settings, cache ─▶ each card with a cable: fixed address or DHCP ─▶ session with the controller
//!                         ▲        │ nobody there: the next card          │ gave up
//!                         └────────┘ ──────── patience is over ───────────┴─▶ last good image, or the next boot entry
//! ```

use alloc::boxed::Box;
use alloc::format;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::net::SocketAddrV4;

use model::MacAddr;
use uefi::proto::network::snp::SimpleNetwork;
use uefi::{Handle, Status, boot};
use wire::loader::{Controller, Medium, Rung, Seed, Seen, Settings, rung};

use crate::cache::Cache;
use crate::card::Card;
use crate::clock::Clock;
use crate::disk::{self, Disk};
use crate::lease::{Lease, length_of};
use crate::net::Net;
use crate::screen::Screen;
use crate::session::{Ended, Session, Who};
use crate::{dhcp, identity, start};

/// Milliseconds for which one card is asked for an address before the next one is.
const CARD: u64 = 6_000;

/// A cache that is read while something else is waited for.
pub(crate) type Shared = Rc<RefCell<Cache>>;

/// Runs from this partition; comes back with what the firmware is told.
pub(crate) fn run(screen: &mut Screen, clock: Clock, seed: Option<&Seed>, partition: Handle) -> Status {
    let settings = match disk::settings(partition) {
        Ok(settings) => settings,
        Err(error) => {
            let path = wire::loader::SETTINGS_PATH;
            screen.fact("refused", format_args!("{path} cannot be read: {error}; nothing of it is used"));
            Settings::default()
        }
    };
    let opened = Disk::below(partition).map_err(|why| format!("{why}")).and_then(Cache::open);
    let cache = match opened {
        Ok(cache) => {
            screen.fact("cache", format_args!("{}", cache.words()));
            Some(Rc::new(RefCell::new(cache)))
        }
        Err(why) => {
            screen.fact("cache", format_args!("there is none: {why}"));
            None
        }
    };
    let mut here = Here { screen, clock, settings, cache, key: seed.map(|seed| seed.lab_key) };
    let boss = here.settings.boss.or_else(|| seed.and_then(|seed| seed.boss));
    if here.key.is_none() {
        here.screen.fact("refused", format_args!("{}", wire::loader::Refusal::NoKey));
    }
    match here.ask_around(boss) {
        Ended::Firmware(status) => status,
        Ended::Gone => here.fall_back(),
    }
}

/// What is here.
struct Here<'a> {
    screen: &'a mut Screen,
    clock: Clock,
    settings: Settings,
    cache: Option<Shared>,
    key: Option<[u8; 32]>,
}

impl Here<'_> {
    /// Tries one card after the other until a controller says what to do, or patience is over.
    fn ask_around(&mut self, boss: Option<SocketAddrV4>) -> Ended {
        let ports = ports();
        if ports.is_empty() {
            self.screen.fact("network", format_args!("the firmware shows no network card"));
            return Ended::Gone;
        }
        let patience = self.settings.patience_ms();
        let end = self.clock.ms() + patience;
        let mut said = Vec::new();
        while self.clock.ms() < end {
            for (port, mac) in &ports {
                let Some((net, lease)) = self.up((*port, *mac), boss, end, &mut said) else { continue };
                let who = Who::look();
                let cache = self.cache.clone();
                let session = Session::new(net, self.screen, who, (lease, self.key), self.clock);
                return session.with_cache(cache, patience).run();
            }
            if let Some(cache) = &self.cache {
                while self.clock.ms() < end && cache.borrow_mut().go_on() {}
            }
        }
        self.screen.fact("gives up", format_args!("nobody answers at any card within {patience} ms"));
        Ended::Gone
    }

    /// A card with an address at which the controller can be asked.
    fn up(
        &mut self,
        (port, mac): (Handle, MacAddr),
        boss: Option<SocketAddrV4>,
        end: u64,
        said: &mut Vec<(MacAddr, &'static str)>,
    ) -> Option<(Net, Lease)> {
        let screen = &mut *self.screen;
        let mut say = |why: &'static str| {
            // Each reason once: it is tried again and again.
            if !said.contains(&(mac, why)) {
                said.push((mac, why));
                screen.fact("network", format_args!("{mac}: {why}"));
            }
        };
        let Ok(mut card) = Card::open(port) else {
            say("the firmware does not give this card");
            return None;
        };
        if !card.has_cable() {
            say("it has no cable");
            card.close();
            return None;
        }
        let cache = self.cache.clone();
        let mut meanwhile = move || cache.as_ref().is_some_and(|cache| cache.borrow_mut().go_on());
        let given = match self.settings.address {
            Some(fixed) => Some((fixed.address, fixed.prefix, fixed.gateway, boss, "set on this medium")),
            None => {
                let limit = CARD.min(end.saturating_sub(self.clock.ms()));
                dhcp::ask(&mut card, mac, (self.clock, limit), boss.is_none(), &mut meanwhile).map(|given| {
                    let binding = given.binding;
                    (binding.address, binding.prefix, binding.gateway, given.boss.or(boss), "had by DHCP")
                })
            }
        };
        let Some((address, prefix, gateway, host, how)) = given else {
            say("no DHCP server answers");
            card.close();
            return None;
        };
        let Some(host) = host else {
            say("nobody says where the controller is; name it in the settings of this medium");
            card.close();
            return None;
        };
        let lease = Lease { medium: Medium::Local, address, prefix, gateway, server: None, port, mac };
        let mut net = Net::new(card, &lease, host, self.clock);
        net.meanwhile(Box::new(meanwhile));
        // There may be other networks at other cards, with servers that give addresses.
        if !net.reaches() {
            say("nobody answers at the controller's address");
            net.close();
            return None;
        }
        self.screen.fact("network", format_args!("{address}/{prefix} on {mac}, {how}"));
        Some((net, lease))
    }

    /// Nobody says what to start.
    fn fall_back(self) -> Status {
        let Self { screen, clock, cache, .. } = self;
        let mut good = None;
        if let Some(cache) = cache {
            let mut cache = cache.borrow_mut();
            good = cache.take_good((screen, clock));
            if let Some(wrong) = cache.found_wrong() {
                screen.fact("refused", format_args!("{wrong}"));
            }
        }
        let seen = Seen {
            medium: Medium::Local,
            controller: Controller::Gone,
            has_wanted: false,
            has_good: good.is_some(),
        };
        match (rung(&seen), good) {
            (Some(Rung::LastGood), Some((plan, image))) => {
                let name = plan.kernel.name();
                screen
                    .fact("starts", format_args!("{name}, the image that started well last, from the cache"));
                start::begin(screen, name, image, &plan.args)
            }
            _ => {
                screen.fact(
                    "goes on",
                    format_args!("with the firmware's next boot entry: no image is known to start well"),
                );
                Status::TIMEOUT
            }
        }
    }
}

/// The network cards, each once: boot clients of the firmware put the same one on handles of their own. Firmware that
/// starts from a disk may not have begun to look for cards.
fn ports() -> Vec<(Handle, MacAddr)> {
    let known = boot::find_handles::<SimpleNetwork>().unwrap_or_default();
    let all = if known.is_empty() {
        let every = boot::locate_handle_buffer(boot::SearchType::AllHandles);
        if let Ok(every) = every {
            every.iter().for_each(|handle| drop(boot::connect_controller(*handle, &[], None, true)));
        }
        boot::find_handles::<SimpleNetwork>().unwrap_or_default()
    } else {
        known
    };
    let mut ports: Vec<(Handle, MacAddr)> = Vec::new();
    for handle in all {
        let Some(mac) = identity::look(handle).and_then(|port| identity::mac_of(&port)) else { continue };
        match ports.iter_mut().find(|(_, known)| *known == mac) {
            Some((before, _)) if length_of(handle) < length_of(*before) => *before = handle,
            Some(_) => {}
            None => ports.push((handle, mac)),
        }
    }
    ports
}
