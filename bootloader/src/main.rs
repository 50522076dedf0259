#![no_main]
#![no_std]
//! Labinator's loader for UEFI: asks its controller one question, fetches what the signed answer names, and starts it.
//!
//! ```text
//! identity, lease ─▶ ask ─▶ judged ─┬─ boot: fetch and check ─▶ start
//!    (nothing asks DHCP)    ▲       ├─ wait: ask again, held by the controller
//!                           └───────┴─ disk, or given up: the firmware's next boot entry
//! ```
//! Started from a stick or disk there is no lease yet: `local.rs` gets one, and has a cache.
//! What is judged is judged in `wire::loader`; here is what touches the machine.

extern crate alloc;

mod cache;
mod card;
mod clock;
mod dhcp;
mod disk;
mod enrol;
mod identity;
mod lease;
mod local;
mod net;
mod place;
mod screen;
mod session;
mod start;

use core::net::SocketAddrV4;

use uefi::prelude::*;

use crate::card::Card;
use crate::clock::Clock;
use crate::net::{Net, VERSION};
use crate::screen::Screen;
use crate::session::{Ended, Session, Who};

/// Where the controller's boot HTTP is, where nothing says otherwise.
const HTTP: u16 = 80;

#[entry]
fn main() -> Status {
    // Firmware starts a machine anew that does not come back within five minutes; this program may wait for a day.
    drop(boot::set_watchdog_timer(0, 0x1_0000, None));
    let clock = Clock::start();
    let mut screen = Screen::default();
    screen.begin(VERSION);
    match run(&mut screen, clock) {
        Ok(never) => match never {},
        Err(status) => status,
    }
}

/// Nothing comes back from a system that was started.
enum Never {}

fn run(screen: &mut Screen, clock: Clock) -> Result<Never, Status> {
    let who = Who::look();
    screen.fact("machine", format_args!("{}", who.words()));
    let seed = match place::seed() {
        Ok(seed) => seed,
        Err(error) => {
            screen.fact(
                "refused",
                format_args!("what the controller wrote into this loader is damaged: {error}"),
            );
            return Err(Status::CRC_ERROR);
        }
    };
    if let Some(partition) = disk::own_partition() {
        enrol::keys(screen, partition);
        return Err(local::run(screen, clock, seed.as_ref(), partition));
    }
    let Some(lease) = lease::find() else {
        screen.fact(
            "network",
            format_args!(
                "this loader was started neither over a network nor from a disk: it knows no other way"
            ),
        );
        return Err(Status::NOT_FOUND);
    };
    let gave = lease.server.map(|server| SocketAddrV4::new(server, HTTP));
    let Some(host) = seed.as_ref().and_then(|seed| seed.boss).or(gave) else {
        screen.fact("network", format_args!("nobody said where the controller is"));
        return Err(Status::NOT_FOUND);
    };
    let by = lease.medium.word();
    screen.fact(
        "network",
        format_args!("{}/{} on {}, had from the firmware ({by})", lease.address, lease.prefix, lease.mac),
    );
    let card = Card::open(lease.port).map_err(|error| {
        screen.fact("network", format_args!("the firmware does not give its network card: {error}"));
        error.status()
    })?;
    let net = Net::new(card, &lease, host, clock);
    let key = seed.map(|seed| seed.lab_key);
    match Session::new(net, screen, who, (lease, key), clock).run() {
        Ended::Firmware(status) => Err(status),
        Ended::Gone => {
            screen.fact("goes on", format_args!("with the firmware's next boot entry"));
            Err(Status::TIMEOUT)
        }
    }
}
