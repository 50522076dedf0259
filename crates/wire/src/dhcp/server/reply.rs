//! The text of an answer: one complete OFFER or ACK with nothing left to wait for.

use core::net::Ipv4Addr;

use super::{Desk, Reservation, Server};
use crate::dhcp::give::{Boot, Style, give_boot};
use crate::dhcp::message::{Message, MessageType};
use crate::dhcp::{OptionCode, Options};

impl Server {
    /// An OFFER or ACK.
    pub(super) fn compose(
        &self,
        (request, desk): (&Message, &Desk),
        kind: MessageType,
        address: Ipv4Addr,
        boot: &Boot,
    ) -> Message {
        let mut reply = start(request, kind, desk);
        reply.yiaddr = address;
        if kind == MessageType::Ack {
            reply.ciaddr = request.ciaddr;
        }
        let seconds = self.lease_seconds(request);
        reply.options.set_u32(OptionCode::LEASE_SECONDS, seconds);
        reply.options.set_u32(OptionCode::RENEW_SECONDS, seconds / 2);
        reply.options.set_u32(OptionCode::REBIND_SECONDS, seconds - seconds / 8);
        self.describe_network(&mut reply, desk);
        give_boot(&mut reply, request, boot);
        self.finish(reply, request)
    }

    /// An ACK to an INFORM: no address and no times (RFC 2131 section 4.3.5).
    pub(super) fn compose_inform(&self, (request, desk): (&Message, &Desk), boot: &Boot) -> Message {
        let mut reply = start(request, MessageType::Ack, desk);
        reply.ciaddr = request.ciaddr;
        self.describe_network(&mut reply, desk);
        give_boot(&mut reply, request, boot);
        self.finish(reply, request)
    }

    /// A NAK. Through a relay it must be broadcast on the far side (RFC 2131 section 4.3.2).
    pub(super) fn refuse(&self, request: &Message, desk: &Desk) -> Message {
        let mut reply = start(request, MessageType::Nak, desk);
        reply.options.set(OptionCode::TEXT, *b"this address is not yours here");
        if !request.giaddr.is_unspecified() {
            reply.broadcast = true;
        }
        if let Some(mark) = self.config.extra.get(OptionCode::CONTROLLER) {
            reply.options.set(OptionCode::CONTROLLER, mark);
        }
        echo(&mut reply.options, &request.options, OptionCode::RELAY_INFORMATION);
        reply
    }

    fn describe_network(&self, reply: &mut Message, desk: &Desk) {
        let options = &mut reply.options;
        let network = &desk.network;
        options.set_address(OptionCode::SUBNET_MASK, network.mask());
        options.set_address(OptionCode::BROADCAST_ADDRESS, network.broadcast());
        options.set_addresses(OptionCode::ROUTERS, network.gateway.as_slice());
        options.set_addresses(OptionCode::NAME_SERVERS, &self.config.dns);
        let reservation = self.config.reservation(network, desk.mac);
        if let Some(Reservation { host_name: Some(name), .. }) = reservation {
            options.set(OptionCode::HOST_NAME, name.as_bytes());
        }
    }

    fn finish(&self, mut reply: Message, request: &Message) -> Message {
        if !matches!(Style::of(request), Style::Plain | Style::Agent) {
            reply.options.set_addresses(OptionCode::LOG_SERVERS, self.config.log_server.as_slice());
        }
        for (code, value) in self.config.extra.iter() {
            if !reply.options.has(code) {
                reply.options.set(code, value);
            }
        }
        echo(&mut reply.options, &request.options, OptionCode::MACHINE_UUID);
        echo(&mut reply.options, &request.options, OptionCode::SUBNET_SELECTION);
        echo(&mut reply.options, &request.options, OptionCode::RELAY_INFORMATION);
        reply
    }
}

fn start(request: &Message, kind: MessageType, desk: &Desk) -> Message {
    let mut reply = request.reply(kind);
    reply.options.set_address(OptionCode::SERVER_ID, desk.server);
    reply
}

fn echo(to: &mut Options, from: &Options, code: OptionCode) {
    if let Some(value) = from.get(code) {
        to.set(code, value);
    }
}
