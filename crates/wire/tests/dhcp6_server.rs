//! The DHCPv6 server's engine: who gets which address, and what each message is answered.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;

use model::MacAddr;
use wire::dhcp6::server::{
    Boot, Config, Ignored, Lease, MOST_LEASES, Outcome, Owner, Pool, Reply, Reservation, Server,
};
use wire::dhcp6::{
    Client, ClientSettings, ClientStep, Duid, Envelope, Ia, IaAddress, Message, MessageType, OptionCode,
    Options, RelayHop, Status,
};

const NODE: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const OTHER: MacAddr = MacAddr([2, 0, 0, 0, 0, 99]);
const LEASE_MS: u64 = 600_000;

fn address(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

fn config() -> Config {
    let reserved = Reservation { address: address("fd00::11"), host_name: Some("node1".to_owned()) };
    Config {
        boss: address("fd00::1"),
        prefix: 64,
        dns: vec![address("fd00::53")],
        lease_seconds: 600,
        pool: Some(Pool { first: address("fd00::1:0"), last: address("fd00::1:7") }),
        reservations: BTreeMap::from([(NODE, reserved)]),
        extra: Options::new(),
    }
}

fn server() -> Server {
    Server::new(config())
}

fn solicit(duid: &Duid, iaid: u32) -> Message {
    let mut message = Message::new(MessageType::Solicit, 7, duid);
    message.options.push(OptionCode::IA_NA, Ia::new(iaid).value(""));
    message
}

/// A message about an address, to this server unless `kind` goes to all.
fn about(kind: MessageType, duid: &Duid, iaid: u32, held: Ipv6Addr) -> Message {
    let mut message = Message::new(kind, 8, duid);
    if !matches!(kind, MessageType::Confirm | MessageType::Rebind) {
        message.options.push(OptionCode::SERVER_ID, config().duid().as_bytes());
    }
    let mut ia = Ia::new(iaid);
    ia.addresses.push(IaAddress { address: held, preferred: 0, valid: 0 });
    message.options.push(OptionCode::IA_NA, ia.value(""));
    message
}

fn ask(server: &mut Server, mac: Option<MacAddr>, message: Message, now: u64) -> Outcome {
    server.answer(&Envelope::plain(message), mac, &Boot::Nothing, now)
}

fn reply(outcome: Outcome) -> Reply {
    match outcome {
        Outcome::Reply(reply) => reply,
        Outcome::Ignore(why) => panic!("ignored: {why}"),
    }
}

fn status_of(reply: &Reply) -> Status {
    reply
        .message
        .options
        .associations()
        .first()
        .map_or_else(|| reply.message.options.status(), |ia| ia.status)
}

#[test]
fn four_messages_give_a_lease_that_must_be_written_first() {
    let (mut server, duid) = (server(), Duid::of_mac(OTHER));
    let offer = reply(ask(&mut server, None, solicit(&duid, 1), 0));
    assert_eq!(offer.message.kind, MessageType::Advertise);
    assert_eq!(offer.message.options.get(OptionCode::PREFERENCE), Some([255].as_slice()));
    assert!(offer.leases.is_empty());
    let offered = offer.address().unwrap();
    let given = reply(ask(&mut server, None, about(MessageType::Request, &duid, 1, offered), 100));
    assert_eq!((given.message.kind, given.message.xid), (MessageType::Reply, 8));
    assert_eq!(given.address(), Some(offered));
    let lease = Lease {
        owner: Owner::Client(duid, 1),
        mac: None,
        address: offered,
        until: 100 + LEASE_MS,
        host_name: String::new(),
    };
    assert_eq!(given.leases, [lease]);
    let ia = given.message.options.associations().remove(0);
    assert_eq!((ia.iaid, ia.renew, ia.rebind), (1, 300, 480));
    assert_eq!(given.message.options.addresses(OptionCode::NAME_SERVERS), [address("fd00::53")]);
}

#[test]
fn two_messages_are_enough_for_a_client_that_says_so() {
    let mut server = server();
    let mut message = solicit(&Duid::of_mac(OTHER), 1);
    message.options.push(OptionCode::RAPID_COMMIT, []);
    let given = reply(ask(&mut server, None, message, 0));
    assert_eq!(given.message.kind, MessageType::Reply);
    assert!(given.message.options.has(OptionCode::RAPID_COMMIT));
    assert_eq!(given.leases.len(), 1);
}

#[test]
fn firmware_loader_and_system_of_one_machine_get_the_same_address() {
    let mut server = server();
    for (duid, iaid) in [(Duid::of_uuid([9; 16]), 1), (Duid::of_mac(NODE), 2), (Duid::of_mac(OTHER), 3)] {
        let given = reply(ask(
            &mut server,
            Some(NODE),
            about(MessageType::Request, &duid, iaid, address("fd00::1:3")),
            0,
        ));
        assert_eq!(given.address(), Some(address("fd00::11")));
        assert_eq!(given.leases.first().unwrap().owner, Owner::Machine(NODE));
        assert_eq!(given.leases.first().unwrap().host_name, "node1");
    }
    assert_eq!(server.leases().count(), 1);
}

#[test]
fn the_sender_is_the_one_of_its_addresses_that_is_on_the_board() {
    let server = server();
    assert_eq!(server.recognise([OTHER, NODE].into_iter()), Some(NODE));
    assert_eq!(server.recognise([OTHER, MacAddr([2; 6])].into_iter()), Some(OTHER));
    assert_eq!(server.recognise([].into_iter()), None);
}

#[test]
fn a_second_association_of_a_machine_does_not_get_its_reserved_address() {
    let mut server = server();
    let mut message = solicit(&Duid::of_mac(NODE), 1);
    message.options.push(OptionCode::IA_NA, Ia::new(2).value(""));
    let offer = reply(ask(&mut server, Some(NODE), message, 0));
    let given: Vec<_> =
        offer.message.options.associations().iter().map(|ia| ia.addresses[0].address).collect();
    assert_eq!(given[0], address("fd00::11"));
    assert!(given[1] >= address("fd00::1:0"));
}

#[test]
fn every_client_of_a_pool_gets_its_own_address_and_the_next_one_gets_none() {
    let mut server = server();
    let mut seen = BTreeSet::new();
    for n in 0..8 {
        let duid = Duid::of_mac(MacAddr([2, 1, 0, 0, 0, n]));
        let offered = reply(ask(&mut server, None, solicit(&duid, 1), 0)).address().unwrap();
        let given = reply(ask(&mut server, None, about(MessageType::Request, &duid, 1, offered), 0));
        seen.insert(given.address().unwrap());
    }
    assert_eq!(seen.len(), 8);
    let late = Duid::of_mac(OTHER);
    let none = reply(ask(&mut server, None, solicit(&late, 1), 1));
    assert_eq!((none.address(), status_of(&none)), (None, Status::NO_ADDRESSES));
    // One that ran out is given on.
    assert!(reply(ask(&mut server, None, solicit(&late, 1), LEASE_MS + 1)).address().is_some());
}

#[test]
fn two_servers_choose_alike() {
    let (mut one, mut two) = (server(), server());
    let ends = [Duid::of_mac(OTHER), Duid::of_uuid([3; 16])];
    for duid in &ends {
        let [a, b] = [&mut one, &mut two].map(|s| reply(ask(s, None, solicit(duid, 1), 0)).address());
        assert_eq!(a, b);
    }
}

#[test]
fn a_renewal_goes_on_and_one_that_is_not_known_any_more_is_made_again() {
    let (mut server, duid) = (server(), Duid::of_mac(OTHER));
    let held = reply(ask(&mut server, None, solicit(&duid, 1), 0)).address().unwrap();
    for kind in [MessageType::Renew, MessageType::Rebind] {
        let given = reply(ask(&mut server, None, about(kind, &duid, 1, held), 5));
        assert_eq!((given.address(), given.leases.first().unwrap().until), (Some(held), 5 + LEASE_MS));
    }
}

#[test]
fn an_address_that_may_not_be_kept_is_taken_away_by_name() {
    let mut server = server();
    let held = address("fd00::1:3");
    let renewed =
        reply(ask(&mut server, Some(NODE), about(MessageType::Renew, &Duid::of_mac(NODE), 1, held), 0));
    let ia = renewed.message.options.associations().remove(0);
    let lives: Vec<_> = ia.addresses.iter().map(|a| (a.address, a.valid)).collect();
    assert_eq!(lives, [(address("fd00::11"), 600), (held, 0)]);
}

#[test]
fn an_address_of_another_link_is_not_confirmed() {
    let mut server = server();
    let duid = Duid::of_mac(OTHER);
    for (held, status) in [("fd00::1:3", Status::SUCCESS), ("fd11::1:3", Status::NOT_ON_LINK)] {
        let answer = reply(ask(&mut server, None, about(MessageType::Confirm, &duid, 1, address(held)), 0));
        assert_eq!(answer.message.options.status(), status, "{held}");
    }
    let nothing = Message::new(MessageType::Confirm, 1, &duid);
    assert_eq!(ask(&mut server, None, nothing, 0), Outcome::Ignore(Ignored::NamesNoAddress));
}

#[test]
fn what_is_given_back_is_free_and_what_is_in_use_elsewhere_is_left_alone() {
    let (mut server, duid) = (server(), Duid::of_mac(OTHER));
    let hold = |server: &mut Server, now| {
        let held = reply(ask(server, None, solicit(&duid, 1), now)).address().unwrap();
        reply(ask(server, None, about(MessageType::Request, &duid, 1, held), now)).address().unwrap()
    };
    let first = hold(&mut server, 0);
    let released = reply(ask(&mut server, None, about(MessageType::Release, &duid, 1, first), 1));
    assert_eq!(released.message.options.status(), Status::SUCCESS);
    assert_eq!(released.freed.first().unwrap().address, first);
    assert_eq!(server.leases().count(), 0);
    let again = reply(ask(&mut server, None, about(MessageType::Release, &duid, 1, first), 1));
    assert_eq!(status_of(&again), Status::NO_BINDING);

    let second = hold(&mut server, 2);
    assert_eq!(second, first, "its own probe sequence begins there");
    let declined = reply(ask(&mut server, None, about(MessageType::Decline, &duid, 1, second), 3));
    assert_eq!(declined.declined, [second]);
    assert_ne!(hold(&mut server, 4), second);
}

#[test]
fn a_client_without_need_of_an_address_is_told_the_rest() {
    let mut server = server();
    let message = Message::new(MessageType::InformationRequest, 3, &Duid::of_mac(OTHER));
    let told = reply(ask(&mut server, None, message, 0));
    assert!(told.leases.is_empty() && told.address().is_none());
    assert_eq!(told.message.options.addresses(OptionCode::NAME_SERVERS), [address("fd00::53")]);
    // One that does not say who it is may ask this, too (RFC 8415 section 16.12).
    let anonymous = Message { kind: MessageType::InformationRequest, xid: 3, options: Options::new() };
    assert!(matches!(ask(&mut server, None, anonymous, 0), Outcome::Reply(_)));
}

#[test]
fn what_is_not_for_us_or_not_honest_gets_no_answer() {
    let mut server = server();
    let duid = Duid::of_mac(OTHER);
    let mut to_other = Message::new(MessageType::Request, 1, &duid);
    to_other.options.push(OptionCode::SERVER_ID, Duid::of_mac(OTHER).as_bytes());
    let mut named = solicit(&duid, 1);
    named.options.push(OptionCode::SERVER_ID, config().duid().as_bytes());
    let anonymous = Message { kind: MessageType::Solicit, xid: 1, options: Options::new() };
    let cases = [
        (to_other, Ignored::ForAnotherServer),
        (Message::new(MessageType::Request, 1, &duid), Ignored::BadServerId),
        (named, Ignored::BadServerId),
        (anonymous, Ignored::NoClientId),
        (Message::new(MessageType::Reply, 1, &duid), Ignored::NotARequest),
    ];
    for (message, why) in cases {
        assert_eq!(ask(&mut server, None, message, 0), Outcome::Ignore(why));
    }
    assert_eq!(server.tally().ignored.values().sum::<u64>(), 5);
    let hop =
        RelayHop { hops: 0, link: address("fd99::1"), peer: address("fe80::1"), options: Options::new() };
    let relayed = Envelope { relays: vec![hop], message: solicit(&duid, 1) };
    assert_eq!(server.answer(&relayed, None, &Boot::Nothing, 0), Outcome::Ignore(Ignored::ForeignRelay));
}

#[test]
fn without_a_pool_strangers_get_no_answer_and_the_board_does() {
    let mut server = Server::new(Config { pool: None, ..config() });
    let stranger = solicit(&Duid::of_mac(OTHER), 1);
    assert_eq!(ask(&mut server, Some(OTHER), stranger, 0), Outcome::Ignore(Ignored::Stranger));
    let node = solicit(&Duid::of_mac(NODE), 1);
    assert_eq!(reply(ask(&mut server, Some(NODE), node, 0)).address(), Some(address("fd00::11")));
}

#[test]
fn invented_identifiers_do_not_fill_the_memory() {
    let pool = Pool { first: address("fd00::1:0:0"), last: address("fd00::1:ffff:ffff") };
    let mut server = Server::new(Config { pool: Some(pool), ..config() });
    for n in 0..u32::try_from(MOST_LEASES).unwrap() {
        let owner = Owner::Client(Duid::of_mac(OTHER), n);
        let address = Ipv6Addr::from_bits(pool.first.to_bits() + u128::from(n));
        server.restore(Lease { owner, mac: None, address, until: 1000, host_name: String::new() });
    }
    let late = || solicit(&Duid::of_mac(MacAddr([2, 5, 5, 5, 5, 5])), 1);
    assert_eq!(status_of(&reply(ask(&mut server, None, late(), 0))), Status::NO_ADDRESSES);
    assert!(reply(ask(&mut server, None, late(), 1001)).address().is_some());
    assert_eq!(server.leases().count(), 0, "those that ran out went");
}

/// A message of EDK2 with this class and architecture, and with what iPXE says.
fn booting(class: Option<&str>, architecture: Option<u16>, user: Option<&[u8]>) -> Message {
    let mut message = solicit(&Duid::of_mac(NODE), 1);
    if let Some(class) = class {
        let mut value = 343_u32.to_be_bytes().to_vec();
        value.extend_from_slice(&u16::try_from(class.len()).unwrap().to_be_bytes());
        value.extend_from_slice(class.as_bytes());
        message.options.push(OptionCode::VENDOR_CLASS, value);
    }
    if let Some(number) = architecture {
        message.options.push(OptionCode::ARCHITECTURES, number.to_be_bytes());
    }
    if let Some(user) = user {
        message.options.push(OptionCode::USER_CLASS, user);
    }
    message
}

#[test]
fn each_client_gets_the_boot_file_it_can_read_and_no_other() {
    let (tftp, http) = ("tftp://[fd00::1]/snponly.efi", "http://[fd00::1]/f/x/node.efi");
    let pxe = booting(Some("PXEClient:Arch:00007:UNDI:003016"), Some(7), None);
    let web = booting(Some("HTTPClient:Arch:00016:UNDI:003001"), Some(0x10), None);
    let loader = booting(None, None, Some(b"\0\x04iPXE"));
    let system = booting(None, None, None);
    let mut server = server();
    let mut told = |message: &Message, url: &str| {
        let boot = Boot::Url(url.to_owned());
        let answer = reply(server.answer(&Envelope::plain(message.clone()), Some(NODE), &boot, 0)).message;
        let class = answer.options.vendor_classes().first().map(|(number, class)| (*number, class.to_vec()));
        (answer.options.text(OptionCode::BOOT_URL).map(str::to_owned), class)
    };
    assert_eq!(told(&pxe, tftp), (Some(tftp.to_owned()), None), "no class: EDK2 would ask a boot server");
    assert_eq!(told(&pxe, http), (None, None));
    assert_eq!(told(&web, http), (Some(http.to_owned()), Some((343, b"HTTPClient".to_vec()))));
    assert_eq!(told(&web, tftp), (None, None));
    assert_eq!(told(&loader, http).0.as_deref(), Some(http));
    assert_eq!(told(&system, http), (None, None));
}

#[test]
fn a_boot_file_is_followed_by_a_zero_that_old_firmware_reads_on_to() {
    let mut server = server();
    let boot = Boot::Url("http://[fd00::1]/x.efi".to_owned());
    let web = booting(Some("HTTPClient:Arch:00016:UNDI:003001"), Some(0x10), None);
    let bytes = reply(server.answer(&Envelope::plain(web), Some(NODE), &boot, 0)).encode();
    let end = bytes.windows(6).position(|window| window == b"/x.efi").unwrap() + 6;
    assert_eq!(bytes[end], 0);
}

/// Lets a client and a server talk until the client is bound.
fn talk(server: &mut Server, client: &mut Client, mac: MacAddr) -> (Vec<MessageType>, wire::dhcp6::Binding) {
    let mut sent = Vec::new();
    let mut step = client.on_time(0);
    loop {
        match step {
            ClientStep::Send(message) => {
                sent.push(message.kind);
                let boot = Boot::Url("http://[fd00::1]/".to_owned());
                let asked = Envelope::decode(&message.encode()).unwrap();
                let answer = reply(server.answer(&asked, Some(mac), &boot, 0));
                step = client.on_packet(&answer.encode(), 0);
            }
            ClientStep::Bound(binding) => return (sent, binding),
            ClientStep::Wait | ClientStep::Lost => panic!("{step:?}"),
        }
    }
}

#[test]
fn our_client_and_our_server_agree_in_two_and_in_four_messages() {
    use MessageType as T;
    for (rapid, messages) in [(false, vec![T::Solicit, T::Request]), (true, vec![T::Solicit])] {
        let mut settings = ClientSettings::new(Duid::of_mac(NODE), 5, 99);
        settings.rapid = rapid;
        settings.options.push(OptionCode::VENDOR_CLASS, *b"\0\0\x7e\xd9\0\x0flabinator-agent");
        let mut client = Client::new(settings, 0);
        let (sent, binding) = talk(&mut server(), &mut client, NODE);
        assert_eq!(sent, messages);
        assert_eq!((binding.address, binding.valid_seconds), (address("fd00::11"), 600));
        assert_eq!(binding.url.as_deref(), Some("http://[fd00::1]/"));
        assert_eq!(client.wake_at(), 300_000, "it renews at half its time");
    }
}

#[test]
fn our_client_renews_rebinds_and_in_the_end_gives_up() {
    let mut client = Client::new(ClientSettings::new(Duid::of_mac(NODE), 5, 99), 0);
    talk(&mut server(), &mut client, NODE);
    let mut kinds = BTreeSet::new();
    let lost = loop {
        let now = client.wake_at();
        match client.on_time(now) {
            ClientStep::Send(message) => kinds.insert(message.kind),
            ClientStep::Lost => break now,
            step => panic!("{step:?}"),
        };
    };
    assert_eq!(kinds, BTreeSet::from([MessageType::Renew, MessageType::Rebind]));
    assert_eq!(lost, LEASE_MS);
    assert!(matches!(client.on_time(lost), ClientStep::Send(m) if m.kind == MessageType::Solicit));
}

#[test]
fn our_client_takes_no_answer_that_is_not_for_it() {
    let mut client = Client::new(ClientSettings::new(Duid::of_mac(NODE), 5, 99), 0);
    let ClientStep::Send(asked) = client.on_time(0) else { panic!("it asks at once") };
    let good = reply(server().answer(&Envelope::plain(asked), Some(NODE), &Boot::Nothing, 0)).message;
    let other = Message { xid: good.xid ^ 1, ..good.clone() };
    let mut refused = Message::new(MessageType::Advertise, good.xid, &Duid::of_mac(NODE));
    refused.options.push(OptionCode::SERVER_ID, config().duid().as_bytes());
    let none = Ia { status: Status::NO_ADDRESSES, ..Ia::new(5) };
    refused.options.push(OptionCode::IA_NA, none.value("no"));
    for bad in [other, refused] {
        assert_eq!(client.on_message(&bad, 1), ClientStep::Wait);
    }
    assert!(matches!(client.on_message(&good, 1), ClientStep::Send(m) if m.kind == MessageType::Request));
}
