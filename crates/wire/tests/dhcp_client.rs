//! The DHCP client against the server's engine: it gets there, keeps its address, and starts over.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use model::MacAddr;
use wire::dhcp::server::{Boot, Config, Outcome, Pool, Server};
use wire::dhcp::{
    AGENT_VENDOR_CLASS, Binding, Client, ClientSettings, ClientStep, Message, MessageType, OptionCode,
    Options, Sending,
};

const BOSS: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 5]);

fn server() -> Server {
    let pool = Pool { first: Ipv4Addr::new(10, 9, 0, 100), last: Ipv4Addr::new(10, 9, 0, 200) };
    Server::new(Config {
        boss: BOSS,
        prefix: 22,
        gateway: None,
        dns: vec![BOSS],
        log_server: None,
        lease_seconds: 1000,
        pool: Some(pool),
        reservations: BTreeMap::new(),
        extra: Options::new(),
        relayed: Vec::new(),
    })
}

fn agent() -> ClientSettings {
    let mut settings = ClientSettings::new(MAC, 99);
    settings.broadcast = true;
    settings.options.set(OptionCode::VENDOR_CLASS, AGENT_VENDOR_CLASS.as_bytes());
    settings
}

fn sent(step: &ClientStep) -> (Message, Sending) {
    let (bytes, to) = step.datagram().unwrap_or_else(|| panic!("nothing to send: {step:?}"));
    (Message::decode(&bytes).unwrap(), to)
}

/// Carries one message to the server and its answer back, if there is one.
fn exchange(client: &mut Client, server: &mut Server, message: &Message, now: u64) -> ClientStep {
    match server.answer(message, &Boot::Nothing, now) {
        Outcome::Reply(reply) | Outcome::Nak(reply) => client.on_packet(&reply.encode().unwrap(), now),
        other => panic!("{other:?}"),
    }
}

fn bind(client: &mut Client, server: &mut Server, now: u64) -> Binding {
    let (discover, _) = sent(&client.on_time(now));
    assert_eq!(discover.kind(), Some(MessageType::Discover));
    let step = exchange(client, server, &discover, now);
    let (request, to) = sent(&step);
    assert_eq!((request.kind(), to), (Some(MessageType::Request), Sending::Broadcast));
    match exchange(client, server, &request, now) {
        ClientStep::Bound(binding) => binding,
        other => panic!("{other:?}"),
    }
}

#[test]
fn four_messages_make_an_address() {
    let mut server = server();
    let mut client = Client::new(agent(), 0);
    let binding = bind(&mut client, &mut server, 0);
    assert_eq!(binding.server, BOSS);
    assert_eq!(binding.prefix, 22);
    assert_eq!(binding.dns, [BOSS]);
    assert_eq!(server.lease(MAC).unwrap().address, binding.address);
    assert_eq!(client.wake_at(), 500_000, "half of the lease");
    assert_eq!(client.on_time(499_999), ClientStep::Wait);
}

#[test]
fn silence_is_met_with_doubling_waits() {
    let mut client = Client::new(agent(), 0);
    let mut asked_at = Vec::new();
    let mut now = 0;
    for _ in 0..7 {
        let (message, _) = sent(&client.on_time(now));
        asked_at.push((now, message.secs));
        assert!(message.broadcast);
        now = client.wake_at();
    }
    assert_eq!(
        asked_at,
        [(0, 0), (4000, 4), (12_000, 12), (28_000, 28), (60_000, 60), (124_000, 124), (188_000, 188)]
    );
}

#[test]
fn firmware_that_collects_offers_takes_the_first_when_its_wait_is_over() {
    let mut server = server();
    let mut client = Client::new(ClientSettings { collect_ms: 4000, ..agent() }, 0);
    let (discover, _) = sent(&client.on_time(0));
    assert_eq!(exchange(&mut client, &mut server, &discover, 5), ClientStep::Wait);
    assert_eq!(exchange(&mut client, &mut server, &discover, 6), ClientStep::Wait, "a second offer");
    assert_eq!(client.on_time(3999), ClientStep::Wait);
    let (request, _) = sent(&client.on_time(4000));
    assert_eq!(request.kind(), Some(MessageType::Request));
}

#[test]
fn an_address_is_renewed_then_rebound_then_lost() {
    let mut server = server();
    let mut client = Client::new(agent(), 0);
    let binding = bind(&mut client, &mut server, 0);

    let (renew, to) = sent(&client.on_time(500_000));
    assert_eq!((renew.ciaddr, to), (binding.address, Sending::Unicast(BOSS)));
    let ClientStep::Bound(again) = exchange(&mut client, &mut server, &renew, 500_000) else {
        panic!("lost")
    };
    assert_eq!(again.address, binding.address);

    let mut last = Sending::Unicast(BOSS);
    loop {
        let now = client.wake_at();
        match client.on_time(now) {
            ClientStep::Send(message, to) => {
                assert_eq!(message.ciaddr, binding.address);
                assert!(now < 1_500_000);
                assert_eq!(to == Sending::Broadcast, now >= 1_375_000, "broadcast from T2 on, at {now}");
                last = to;
            }
            ClientStep::Lost => break assert_eq!(now, 1_500_000),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(last, Sending::Broadcast);
    assert_eq!(client.binding(), None);
    assert_eq!(bind(&mut client, &mut server, 1_500_000).address, binding.address);
}

#[test]
fn a_refusal_takes_the_address_away_at_once() {
    let mut server_before = server();
    let mut client = Client::new(agent(), 0);
    bind(&mut client, &mut server_before, 0);
    let mut moved = server();
    moved.reconfigure(Config { pool: None, boss: Ipv4Addr::new(10, 77, 0, 1), ..moved.config().clone() });
    let (renew, _) = sent(&client.on_time(500_000));
    assert!(matches!(moved.answer(&renew, &Boot::Nothing, 0), Outcome::Ignore(_)));
    let nak = renew.reply(MessageType::Nak);
    assert_eq!(client.on_message(&nak, 500_001), ClientStep::Lost);
    assert_eq!(client.wake_at(), 500_001);
}

#[test]
fn a_server_that_offers_and_refuses_is_not_asked_at_the_speed_of_the_wire() {
    let mut server = server();
    let mut client = Client::new(agent(), 0);
    let (discover, _) = sent(&client.on_time(0));
    let (request, _) = sent(&exchange(&mut client, &mut server, &discover, 0));
    assert_eq!(client.on_message(&request.reply(MessageType::Nak), 1), ClientStep::Wait);
    assert_eq!(client.wake_at(), 1001);
}

#[test]
fn an_offer_nobody_confirms_is_given_up() {
    let mut server = server();
    let mut client = Client::new(agent(), 0);
    let (discover, _) = sent(&client.on_time(0));
    let (first, _) = sent(&exchange(&mut client, &mut server, &discover, 0));
    let mut requests = 1;
    let fresh = loop {
        let (message, _) = sent(&client.on_time(client.wake_at()));
        match message.kind() {
            Some(MessageType::Request) => requests += 1,
            _ => break message,
        }
    };
    assert_eq!(requests, 4);
    assert_ne!(fresh.xid, first.xid, "a late answer to the old exchange must not fit");
}

#[test]
fn answers_to_others_change_nothing() {
    let mut client = Client::new(agent(), 0);
    let (discover, _) = sent(&client.on_time(0));
    let mut offer = discover.reply(MessageType::Offer);
    offer.yiaddr = Ipv4Addr::new(10, 9, 0, 9);
    assert_eq!(client.on_message(&offer, 1), ClientStep::Wait, "it names no server");
    offer.options.set_address(OptionCode::SERVER_ID, BOSS);
    let mut other = offer.clone();
    other.xid ^= 1;
    assert_eq!(client.on_message(&other, 1), ClientStep::Wait);
    let mut other = offer.clone();
    other.chaddr[0] ^= 2;
    assert_eq!(client.on_message(&other, 1), ClientStep::Wait);
    assert!(matches!(client.on_message(&offer, 1), ClientStep::Send(..)));
}

#[test]
fn a_release_gives_the_address_back() {
    let mut server = server();
    let mut client = Client::new(agent(), 0);
    bind(&mut client, &mut server, 0);
    let (release, to) = client.release(10).unwrap();
    assert_eq!(to, Sending::Unicast(BOSS));
    assert!(matches!(server.answer(&release, &Boot::Nothing, 10), Outcome::Released(_)));
    assert_eq!(client.release(11), None);
}
