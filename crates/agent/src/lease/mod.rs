//! The agent's address: which port is asked on, over which protocol, and what is held.
//!
//! The kernel line names the boss, and so the protocol. Where it does not, as in an image of one file, both are asked
//! over, and the first to give an address and to tell where the boss is is kept to.

mod v4;
mod v6;

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::console::Console;
use crate::kernel_line::KernelLine;
use crate::link::{Links, Port, choose, ports, speaks_on};
use crate::live::modules_are_coming;

/// A server on the same segment answers in milliseconds; there is no reason to begin with 4 s.
const FIRST_WAIT_MS: u64 = 1000;
const LONGEST_WAIT_MS: u64 = 8000;
/// How long one port is asked before the next one is, where there are several with a cable.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is looked whether a port was plugged into a bridge: a lease is renewed after minutes at the earliest.
const MOVED: Duration = Duration::from_secs(2);
/// How often ports are looked at while none has a cable.
const LOOK: Duration = Duration::from_millis(250);

/// What is set on which port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) port: Port,
    pub(crate) address: IpAddr,
    /// Who to report to, as far as it is known.
    pub(crate) boss: Option<SocketAddr>,
    /// The first name server that DHCP told of.
    pub(crate) resolver: Option<IpAddr>,
}

type Tell = watch::Sender<Option<Held>>;
type Trouble = Box<dyn std::error::Error>;

/// Gets an address, sets it, and keeps it; never gives up. `held` follows what is set.
pub(crate) async fn keep(console: &Console, line: &KernelLine, held: &Tell) {
    match line.boss {
        Some(SocketAddr::V4(_)) => keep_over(Protocol::Four, console, line, held).await,
        Some(SocketAddr::V6(_)) => keep_over(Protocol::Six, console, line, held).await,
        None => keep_first(console, line, held).await,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Four,
    Six,
}

/// Asks over both until one leads to the boss; the other falls silent. An address alone does not do: any router gives
/// one.
async fn keep_first(console: &Console, line: &KernelLine, held: &Tell) {
    let (tell4, mut hear4) = watch::channel(None);
    let (tell6, mut hear6) = watch::channel(None);
    let mut four = Box::pin(keep_over(Protocol::Four, console, line, &tell4));
    let mut six = Box::pin(keep_over(Protocol::Six, console, line, &tell6));
    let found = |held: &Option<Held>| held.as_ref().is_some_and(|held| held.boss.is_some());
    let winner = tokio::select! {
        () = &mut four => return,
        () = &mut six => return,
        _ = hear4.wait_for(found) => Protocol::Four,
        _ = hear6.wait_for(found) => Protocol::Six,
    };
    let (mut kept, mut hear) = match winner {
        Protocol::Four => {
            drop(six);
            (four, hear4)
        }
        Protocol::Six => {
            drop(four);
            (six, hear6)
        }
    };
    loop {
        let now = hear.borrow_and_update().clone();
        held.send_replace(now);
        tokio::select! {
            () = &mut kept => return,
            changed = hear.changed() => if changed.is_err() { return },
        }
    }
}

async fn keep_over(protocol: Protocol, console: &Console, line: &KernelLine, held: &Tell) {
    let mut round = 0;
    let mut told = String::new();
    loop {
        let outcome = match protocol {
            Protocol::Four => v4::keep_once(console, line, held, round).await,
            Protocol::Six => v6::keep_once(console, line, held, round).await,
        };
        if let Err(why) = outcome {
            let why = why.to_string();
            if why != told {
                console.say(&format!("no address: {why}; trying again"));
                told = why;
            }
            sleep(LOOK).await;
        }
        held.send_replace(None);
        round += 1;
    }
}

/// Tells what is held, where that is news: a conversation under way is not to begin anew with each renewal.
fn tell(held: &Tell, now: Held) -> bool {
    held.send_if_modified(|told| {
        let news = told.as_ref() != Some(&now);
        *told = Some(now);
        news
    })
}

/// Waits until a port's packets come in elsewhere than `on`, as when it is plugged into a bridge; gives where.
async fn moved(port: &Port, on: &Port) -> Port {
    loop {
        sleep(MOVED).await;
        let now = speaks_on(port);
        if now != *on {
            return now;
        }
    }
}

/// Waits until a port can be asked on. A person is told once what is missing.
async fn plugged_port(
    console: &Console,
    links: &Links,
    line: &KernelLine,
    round: usize,
) -> Result<Port, rtnetlink::Error> {
    let mut told = false;
    loop {
        let found = ports(Path::new("/"));
        for port in &found {
            v6::skip_detection(port);
            links.up(port.index).await?;
        }
        if let Some(port) = choose(&ports(Path::new("/")), line, round) {
            return Ok(port.clone());
        }
        // Without any port it is worth a word only when none can come any more.
        let may_come = found.is_empty() && modules_are_coming();
        if !told && !may_come {
            told = true;
            let names: Vec<_> = found.iter().map(|port| format!("{} ({})", port.name, port.mac)).collect();
            console.say(&match names.as_slice() {
                [] => {
                    "waits for a network port: the kernel shows none; is its driver in the image?".to_owned()
                }
                _ => format!("waits for a cable in {}", names.join(", ")),
            });
        }
        sleep(LOOK).await;
    }
}

fn millis_since(clock: Instant) -> u64 {
    u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renewal_is_no_news_and_another_boss_is() {
        let (held, mut hear) = watch::channel(None);
        let now = |boss| Held {
            port: Port {
                name: "eth0".to_owned(),
                index: 2,
                carrier: true,
                mac: model::MacAddr([2, 0, 0, 0, 0, 1]),
            },
            address: "10.0.0.11".parse().unwrap(),
            boss,
            resolver: None,
        };
        let boss = Some("10.0.0.1:80".parse().unwrap());
        for (boss, news) in [(None, true), (None, false), (boss, true), (boss, false)] {
            assert_eq!((tell(&held, now(boss)), hear.has_changed().unwrap()), (news, news));
            assert_eq!(*hear.borrow_and_update(), Some(now(boss)));
        }
    }
}
