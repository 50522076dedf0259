//! DHCP from the side: who asks, as what, and which address it has now.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use model::{ClientKind, MacAddr, Sight};
use wire::dhcp::{Caller, Message, MessageType};

use super::MOST;
use super::glance::Datagram;

/// What is known of a client.
#[derive(Debug, Clone)]
struct Client {
    kind: ClientKind,
    address: Option<Ipv4Addr>,
    /// The exchange its last message belongs to, and how many messages of each side it had.
    xid: u32,
    asked: u32,
    answered: u32,
    /// It has fetched a loader, so that what it asks next it asks as one.
    loaded: bool,
}

#[derive(Debug, Default)]
pub(super) struct Leases {
    clients: BTreeMap<MacAddr, Client>,
    holders: BTreeMap<Ipv4Addr, MacAddr>,
}

impl Leases {
    pub(super) fn clients(&self) -> impl Iterator<Item = MacAddr> {
        self.clients.keys().copied()
    }

    pub(super) fn holder(&self, address: Ipv4Addr) -> Option<MacAddr> {
        self.holders.get(&address).copied()
    }

    pub(super) fn address_of(&self, mac: MacAddr) -> Option<Ipv4Addr> {
        self.clients.get(&mac).and_then(|client| client.address)
    }

    pub(super) fn take(&mut self, udp: &Datagram<'_>) -> Option<(MacAddr, Sight)> {
        match Message::decode(udp.payload) {
            Ok(message) if udp.is_whole() => self.whole(&message),
            _ => self.cut(udp.payload),
        }
    }

    fn client(&mut self, mac: MacAddr, kind: ClientKind) -> Option<&mut Client> {
        if self.clients.len() >= MOST && !self.clients.contains_key(&mac) {
            return None;
        }
        let fresh = Client { kind, address: None, xid: 0, asked: 0, answered: 0, loaded: false };
        Some(self.clients.entry(mac).or_insert(fresh))
    }

    fn whole(&mut self, message: &Message) -> Option<(MacAddr, Sight)> {
        let mac = message.mac()?;
        let caller = Caller::of(message);
        let client = caller.kind;
        let sight = match message.kind()? {
            MessageType::Discover => {
                self.client(mac, client)?.kind = client;
                let arch = caller.arch.map(|arch| arch.0);
                let version = caller.ipxe_version().to_owned();
                Sight::Discover { client, arch, secs: caller.secs, uuid: caller.uuid, version }
            }
            MessageType::Request => {
                self.client(mac, client)?.kind = client;
                Sight::Request { client }
            }
            MessageType::Offer if message.yiaddr.is_unspecified() => return None,
            MessageType::Offer => Sight::Offer { address: message.yiaddr },
            MessageType::Ack if message.yiaddr.is_unspecified() => return None,
            MessageType::Ack => {
                let kind = self.clients.get(&mac)?.kind;
                self.give(mac, message.yiaddr);
                Sight::Ack { address: message.yiaddr, client: kind }
            }
            MessageType::Nak => Sight::Nak,
            MessageType::Decline | MessageType::Release | MessageType::Inform => return None,
        };
        Some((mac, sight))
    }

    fn give(&mut self, mac: MacAddr, address: Ipv4Addr) {
        if let Some(client) = self.clients.get_mut(&mac) {
            client.address = Some(address);
            self.holders.insert(address, mac);
        }
    }

    /// The fixed fields alone. The type stands in the options: which it is shows the place in the exchange, where an
    /// offer comes before an acknowledgement and each answers what was asked.
    fn cut(&mut self, payload: &[u8]) -> Option<(MacAddr, Sight)> {
        let word = |at: usize| payload.get(at..).and_then(|rest| rest.first_chunk::<4>()).copied();
        let (operation, xid) = (*payload.first()?, u32::from_be_bytes(word(4)?));
        let secs = u16::from_be_bytes(*payload.get(8..)?.first_chunk()?);
        let given = Ipv4Addr::from(word(16)?);
        let mac = MacAddr(*payload.get(28..)?.first_chunk()?);
        let client = self.client(mac, ClientKind::UnknownFirmware)?;
        if client.xid != xid {
            (client.xid, client.asked, client.answered) = (xid, 0, 0);
        }
        if client.loaded && client.kind == ClientKind::UnknownFirmware {
            client.kind = ClientKind::Ipxe;
        }
        let kind = client.kind;
        if operation == 1 {
            client.asked += 1;
            let sight = if client.answered == 0 {
                let version = String::new();
                Sight::Discover { client: kind, arch: None, secs, uuid: None, version }
            } else {
                Sight::Request { client: kind }
            };
            return Some((mac, sight));
        }
        client.answered += 1;
        if given.is_unspecified() {
            return None;
        }
        // Asked once more after the first answer: this one answers the request.
        let acknowledges = client.asked > 1 && client.answered > 1;
        if !acknowledges {
            return Some((mac, Sight::Offer { address: given }));
        }
        self.give(mac, given);
        Some((mac, Sight::Ack { address: given, client: kind }))
    }

    /// A loader was fetched by this machine.
    pub(super) fn note_loader(&mut self, mac: MacAddr) {
        if let Some(client) = self.clients.get_mut(&mac) {
            client.loaded = true;
        }
    }
}
