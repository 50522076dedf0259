//! The text of an answer: one complete OFFER or ACK with nothing left to wait for.

use alloc::vec::Vec;
use core::net::Ipv4Addr;

use model::ClientKind;

use super::config::Boot;
use super::{Reservation, Server};
use crate::dhcp::kind::classify;
use crate::dhcp::message::{Message, MessageType};
use crate::dhcp::{OptionCode, Options};

/// PXE discovery control, sub-option 6 of option 43 (PXE 2.1 table 2-1): bit 3 says "start the boot
/// file you were given", so the ROM asks no boot server and shows no menu. Then END.
const START_THE_FILE: [u8; 4] = [6, 1, 8, 255];
/// iPXE sub-option 176: wait for no ProxyDHCP offer. Saves 3 s, or 12 s on builds with the PXE timers.
const NO_PROXY: [u8; 3] = [176, 1, 1];
/// Longest name in `file` that leaves room for its NUL.
const LONGEST_FILE: usize = 127;

/// How a client wants its boot file told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Pxe,
    Http,
    Ipxe,
    Plain,
}

impl Style {
    fn of(message: &Message) -> Self {
        match classify(message) {
            ClientKind::Ipxe => Self::Ipxe,
            ClientKind::BiosPxe | ClientKind::UefiPxe | ClientKind::RaspberryPi | ClientKind::UBoot => {
                Self::Pxe
            }
            ClientKind::UefiHttp => Self::Http,
            ClientKind::UnknownFirmware => {
                let vendor = message.options.get(OptionCode::VENDOR_CLASS).unwrap_or_default();
                if vendor.starts_with(b"HTTPClient") { Self::Http } else { Self::Pxe }
            }
            ClientKind::Agent | ClientKind::Other => Self::Plain,
        }
    }
}

impl Server {
    /// An OFFER or ACK.
    pub(super) fn compose(
        &self,
        request: &Message,
        kind: MessageType,
        address: Ipv4Addr,
        boot: &Boot,
    ) -> Message {
        let mut reply = self.start(request, kind);
        reply.yiaddr = address;
        if kind == MessageType::Ack {
            reply.ciaddr = request.ciaddr;
        }
        let seconds = self.lease_seconds(request);
        reply.options.set_u32(OptionCode::LEASE_SECONDS, seconds);
        reply.options.set_u32(OptionCode::RENEW_SECONDS, seconds / 2);
        reply.options.set_u32(OptionCode::REBIND_SECONDS, seconds - seconds / 8);
        self.describe_network(&mut reply, request);
        give_boot(&mut reply, request, boot);
        self.finish(reply, request)
    }

    /// An ACK to an INFORM: no address and no times (RFC 2131 section 4.3.5).
    pub(super) fn compose_inform(&self, request: &Message, boot: &Boot) -> Message {
        let mut reply = self.start(request, MessageType::Ack);
        reply.ciaddr = request.ciaddr;
        self.describe_network(&mut reply, request);
        give_boot(&mut reply, request, boot);
        self.finish(reply, request)
    }

    /// A NAK. Through a relay it must be broadcast on the far side (RFC 2131 section 4.3.2).
    pub(super) fn refuse(&self, request: &Message) -> Message {
        let mut reply = self.start(request, MessageType::Nak);
        reply.options.set(OptionCode::TEXT, *b"this address is not yours here");
        if !request.giaddr.is_unspecified() {
            reply.broadcast = true;
        }
        echo(&mut reply.options, &request.options, OptionCode::RELAY_INFORMATION);
        reply
    }

    fn start(&self, request: &Message, kind: MessageType) -> Message {
        let mut reply = request.reply(kind);
        reply.options.set_address(OptionCode::SERVER_ID, self.config.boss);
        reply
    }

    fn describe_network(&self, reply: &mut Message, request: &Message) {
        let options = &mut reply.options;
        options.set_address(OptionCode::SUBNET_MASK, self.config.mask());
        options.set_address(OptionCode::BROADCAST_ADDRESS, self.config.broadcast());
        options.set_addresses(OptionCode::ROUTERS, self.config.gateway.as_slice());
        options.set_addresses(OptionCode::NAME_SERVERS, &self.config.dns);
        let reservation = request.mac().and_then(|mac| self.config.reservations.get(&mac));
        if let Some(Reservation { host_name: Some(name), .. }) = reservation {
            options.set(OptionCode::HOST_NAME, name.as_bytes());
        }
    }

    fn finish(&self, mut reply: Message, request: &Message) -> Message {
        for (code, value) in self.config.extra.iter() {
            if !reply.options.has(code) {
                reply.options.set(code, value);
            }
        }
        echo(&mut reply.options, &request.options, OptionCode::MACHINE_UUID);
        echo(&mut reply.options, &request.options, OptionCode::RELAY_INFORMATION);
        reply
    }
}

fn echo(to: &mut Options, from: &Options, code: OptionCode) {
    if let Some(value) = from.get(code) {
        to.set(code, value);
    }
}

/// Writes what to boot in the way this client reads it. What does not fit the client is left out:
/// EDK2's HTTP client takes an offer without a URL for a broken one, and a PXE ROM cannot fetch a URL.
fn give_boot(reply: &mut Message, request: &Message, boot: &Boot) {
    let style = Style::of(request);
    if style == Style::Ipxe {
        reply.options.set(OptionCode::IPXE, NO_PROXY);
    }
    match (style, boot) {
        (Style::Pxe | Style::Ipxe, Boot::Tftp { server, file }) => {
            reply.siaddr = *server;
            reply.options.set(OptionCode::BOOT_SERVER, terminated(&alloc::format!("{server}")));
            name_file(reply, file);
        }
        (Style::Ipxe, Boot::Http { url }) => name_file(reply, url),
        (Style::Http, Boot::Http { url }) => {
            reply.options.set(OptionCode::VENDOR_CLASS, *b"HTTPClient");
            reply.options.set(OptionCode::BOOT_FILE, url.as_bytes());
        }
        (Style::Pxe, Boot::Http { .. } | Boot::Nothing)
        | (Style::Http, Boot::Tftp { .. } | Boot::Nothing)
        | (Style::Ipxe, Boot::Nothing)
        | (Style::Plain, _) => {}
    }
}

/// The boot file in `file` and in option 67, both closed with a NUL: old ROMs read on until they find
/// one, and some read only the option.
fn name_file(reply: &mut Message, file: &str) {
    if file.len() <= LONGEST_FILE {
        reply.file = file.as_bytes().to_vec();
    }
    reply.options.set(OptionCode::VENDOR_CLASS, *b"PXEClient");
    reply.options.set(OptionCode::VENDOR_SPECIFIC, START_THE_FILE);
    reply.options.set(OptionCode::BOOT_FILE, terminated(file));
}

fn terminated(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0);
    bytes
}
