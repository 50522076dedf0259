//! The one question for an address, of a loader that no firmware got one for: DHCP in raw frames, before any stack.

use core::net::{Ipv4Addr, SocketAddrV4};

use model::MacAddr;
use smoltcp::phy::{Device as _, RxToken as _, TxToken as _};
use smoltcp::time::Instant;
use wire::dhcp::{
    Binding, BossSearch, CLIENT_PORT, Client, ClientSettings, ClientStep, LARGEST_MESSAGE,
    LOADER_VENDOR_CLASS, Message, OptionCode, SERVER_PORT, boss_url,
};
use wire::frame::{Checksum, Frame, Udp4};

use crate::card::Card;
use crate::clock::{self, Clock};

/// Milliseconds until the first question is asked again; a link that is just up loses frames.
const FIRST_WAIT: u64 = 500;
/// Longest time between two questions.
const LONGEST_WAIT: u64 = 4_000;
/// Milliseconds for which a server that is not the controller's own is asked around for the controller.
const SEARCH: u64 = 4_000;

/// What was given.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) binding: Binding,
    /// The controller's boot HTTP, as its mark in an answer says.
    pub(crate) boss: Option<SocketAddrV4>,
}

/// Asks at one card, for so many milliseconds at most. `meanwhile` is done while nothing comes.
pub(crate) fn ask(
    card: &mut Card,
    mac: MacAddr,
    (clock, limit): (Clock, u64),
    needs_boss: bool,
    meanwhile: &mut dyn FnMut() -> bool,
) -> Option<Given> {
    let xid = u32::try_from(clock::ticks() & 0xffff_ffff).unwrap_or(1);
    let mut settings = ClientSettings::new(mac, xid);
    settings.first_wait_ms = FIRST_WAIT;
    settings.longest_wait_ms = LONGEST_WAIT;
    settings.options.set(OptionCode::VENDOR_CLASS, LOADER_VENDOR_CLASS);
    let end = clock.ms() + limit;
    let mut client = Client::new(settings.clone(), clock.ms());
    let binding = loop {
        let now = clock.ms();
        if now > end {
            return None;
        }
        match client.on_time(now) {
            ClientStep::Send(message, _) => send(card, mac, Ipv4Addr::UNSPECIFIED, &message),
            ClientStep::Bound(binding) => break binding,
            ClientStep::Wait | ClientStep::Lost => {}
        }
        match receive(card) {
            Some(message) => {
                let step = client.on_message(&message, clock.ms());
                if let ClientStep::Bound(binding) = step {
                    break binding;
                }
                if let ClientStep::Send(message, _) = step {
                    send(card, mac, Ipv4Addr::UNSPECIFIED, &message);
                }
            }
            None => {
                meanwhile();
            }
        }
    };
    let mut boss = boss_url(&binding.reply).as_deref().and_then(place);
    if boss.is_none() && needs_boss {
        let mut search = BossSearch::new(settings, binding.address, clock.ms());
        let end = clock.ms() + SEARCH;
        while boss.is_none() && clock.ms() < end {
            if let Some(question) = search.on_time(clock.ms()) {
                send(card, mac, binding.address, &question);
            }
            match receive(card) {
                Some(message) => boss = search.on_message(&message).as_deref().and_then(place),
                None => {
                    meanwhile();
                }
            }
        }
    }
    Some(Given { binding, boss })
}

/// Address and port of a URL of the controller's.
fn place(url: &str) -> Option<SocketAddrV4> {
    let host = url.strip_prefix("http://")?;
    let host = host.split('/').next().unwrap_or(host);
    host.parse().ok().or_else(|| host.parse().ok().map(|address| SocketAddrV4::new(address, crate::HTTP)))
}

fn send(card: &mut Card, mac: MacAddr, from: Ipv4Addr, message: &Message) {
    let Ok(payload) = message.encode(LARGEST_MESSAGE) else { return };
    let datagram = Udp4 {
        to_mac: MacAddr([0xff; 6]),
        from_mac: mac,
        from: SocketAddrV4::new(from, CLIENT_PORT),
        to: SocketAddrV4::new(Ipv4Addr::BROADCAST, SERVER_PORT),
        payload: &payload,
        checksum: Checksum::Absent,
    };
    let Some(frame) = datagram.build() else { return };
    if let Some(token) = card.transmit(Instant::ZERO) {
        token.consume(frame.len(), |room| {
            if let Some(room) = room.get_mut(..frame.len()) {
                room.copy_from_slice(&frame);
            }
        });
    }
}

fn receive(card: &mut Card) -> Option<Message> {
    let (token, _) = card.receive(Instant::ZERO)?;
    token.consume(|frame| match Frame::parse(frame) {
        Ok(Frame::Udp4(datagram)) if datagram.to.port() == CLIENT_PORT => {
            Message::decode(datagram.payload).ok()
        }
        Ok(_) | Err(_) => None,
    })
}
