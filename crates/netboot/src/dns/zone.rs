//! The lab's zone, made from the boot table, and which questions are answered from it.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, NS, PTR, SOA, SRV};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use model::{BootTable, NetworkSpec, NtpMode};

use crate::board::Reach;

/// Seconds an answer may be kept: a machine that moves is found again within a minute.
const TTL: u32 = 60;
/// Seconds a "no such name" may be kept.
const NEGATIVE_TTL: u32 = 30;
/// What an answer of this server may have at most in a datagram, as told to clients.
const PAYLOAD: u16 = 1232;
/// The label below which every name leads to the ingress.
const INGRESS: &str = "apps";
/// Names that are nobody's to ask for elsewhere: RFC 6761, RFC 6762, RFC 7686, RFC 8375, and ICANN's `internal`.
const LOCAL: [&str; 8] =
    ["localhost.", "local.", "invalid.", "test.", "onion.", "internal.", "home.arpa.", "localdomain."];

/// What becomes of a question.
#[derive(Debug)]
pub enum Verdict {
    /// It is none, or cannot be read.
    Ignore,
    /// This is the answer.
    Answer(Box<Message>),
    /// Others must be asked.
    Forward(Box<Message>),
}

/// The lab's names, as long as one boot table is in force.
#[derive(Debug)]
pub struct Names {
    domain: Name,
    boss: Vec<RData>,
    reach: Reach,
    records: HashMap<Name, Vec<RData>>,
    /// Names that hold nothing and have names below them: they exist all the same (RFC 8020).
    between: HashSet<Name>,
    reverse: HashMap<IpAddr, Name>,
    ingress: Option<(Name, Vec<Ipv4Addr>)>,
    servers: Vec<SocketAddr>,
    serial: u32,
}

impl Names {
    /// Names of a table; `None` where the boss is no name server, or the domain is no name.
    #[must_use]
    pub fn of(table: &BootTable) -> Option<Self> {
        let network = &table.network;
        let spec = network.names.as_ref()?;
        let domain = Name::from_ascii(format!("{}.", spec.domain)).ok()?.to_lowercase();
        let below = |label: &str| Name::from_ascii(label).ok()?.append_domain(&domain).ok();
        let mut names = Self {
            boss: addresses(network),
            reach: Reach::of(network),
            records: HashMap::new(),
            between: HashSet::new(),
            reverse: HashMap::new(),
            ingress: None,
            servers: spec.forward.clone(),
            serial: u32::try_from(table.number & u64::from(u32::MAX)).unwrap_or(0),
            domain: domain.clone(),
        };
        let boss = below("boss")?;
        for address in names.boss.clone() {
            names.add(&boss, address.clone());
            names.add(&domain, address);
        }
        names.add(&names.domain.clone(), RData::NS(NS(boss.clone())));
        names.add(&names.domain.clone(), names.authority());
        names.reverse.insert(network.boss.into(), boss.clone());
        if let Some(six) = &network.ipv6 {
            names.reverse.insert(six.boss.into(), boss.clone());
        }
        for (service, port) in services(network.ntp) {
            names.add(&below(service)?, RData::SRV(SRV::new(0, 0, port, boss.clone())));
        }
        for entry in &table.nodes {
            let Some(name) = below(entry.node.as_str()) else { continue };
            names.add(&name, RData::A(A(entry.ip)));
            names.reverse.insert(entry.ip.into(), name.clone());
            // A name of another domain is its owner's to answer.
            let also = entry.also.as_ref().and_then(|also| Name::from_ascii(format!("{also}.")).ok());
            let also = also.map(|also| also.to_lowercase()).filter(|also| domain.zone_of(also));
            if let Some(also) = &also {
                names.add(also, RData::A(A(entry.ip)));
            }
            if let Some(address) = entry.ip6 {
                names.add(&name, RData::AAAA(AAAA(address)));
                if let Some(also) = &also {
                    names.add(also, RData::AAAA(AAAA(address)));
                }
                names.reverse.insert(address.into(), name);
            }
        }
        if !spec.ingress.is_empty() {
            names.ingress = Some((below(INGRESS)?, spec.ingress.clone()));
        }
        Some(names)
    }

    /// Servers that are asked for names of others.
    #[must_use]
    pub fn servers(&self) -> &[SocketAddr] {
        &self.servers
    }

    fn add(&mut self, name: &Name, data: RData) {
        self.records.entry(name.clone()).or_default().push(data);
        let mut above = name.base_name();
        while self.domain.zone_of(&above) && self.between.insert(above.clone()) {
            above = above.base_name();
        }
    }

    fn authority(&self) -> RData {
        let name = |label: &str| Name::from_ascii(label).and_then(|name| name.append_domain(&self.domain));
        let (boss, person) = (name("boss").unwrap_or_default(), name("hostmaster").unwrap_or_default());
        RData::SOA(SOA::new(boss, person, self.serial, 3600, 600, 86_400, NEGATIVE_TTL))
    }

    /// Judges a datagram or message from this address.
    #[must_use]
    pub fn take(&self, bytes: &[u8], from: IpAddr) -> Verdict {
        let Ok(request) = Message::from_vec(bytes) else { return unreadable(bytes) };
        if request.metadata.message_type != MessageType::Query {
            return Verdict::Ignore;
        }
        let refuse = |code| Verdict::Answer(Box::new(failure(&request, code)));
        if !self.reach.holds(from) {
            return refuse(ResponseCode::Refused);
        }
        if request.metadata.op_code != OpCode::Query {
            return refuse(ResponseCode::NotImp);
        }
        if request.edns.as_ref().is_some_and(|edns| edns.version() != 0) {
            return refuse(ResponseCode::BADVERS);
        }
        let [query] = request.queries.as_slice() else { return refuse(ResponseCode::FormErr) };
        if query.query_class != DNSClass::IN {
            return refuse(ResponseCode::Refused);
        }
        match query.query_type {
            RecordType::AXFR | RecordType::IXFR => return refuse(ResponseCode::Refused),
            _ => {}
        }
        self.judge(&request, query)
    }

    fn judge(&self, request: &Message, query: &Query) -> Verdict {
        let name = query.name.to_lowercase();
        let answer = |answer| Verdict::Answer(Box::new(answer));
        if self.domain.zone_of(&name) {
            return answer(self.own(request, query, &name));
        }
        if let Some(address) = whole_address(&name) {
            if let Some(found) = self.reverse.get(&address) {
                return answer(self.positive(request, query, &[RData::PTR(PTR(found.clone()))]));
            }
            if is_nobodys(address) {
                return answer(self.negative(request, ResponseCode::NXDomain, &name));
            }
        }
        if name.num_labels() < 2 || is_local(&name) {
            let code = if name.is_root() { ResponseCode::Refused } else { ResponseCode::NXDomain };
            return answer(self.negative(request, code, &name));
        }
        if self.servers.is_empty() || query.query_type == RecordType::ANY {
            return answer(failure(request, ResponseCode::Refused));
        }
        Verdict::Forward(Box::new(request.clone()))
    }

    /// A name of the lab's own domain.
    fn own(&self, request: &Message, query: &Query, name: &Name) -> Message {
        if let Some(records) = self.records.get(name) {
            let wanted =
                |data: &&RData| query.query_type == RecordType::ANY || data.record_type() == query.query_type;
            let found: Vec<RData> = records.iter().filter(wanted).cloned().collect();
            if found.is_empty() {
                return self.negative(request, ResponseCode::NoError, name);
            }
            return self.positive(request, query, &found);
        }
        if let Some((below, addresses)) = &self.ingress
            && below.zone_of(name)
        {
            let found: Vec<RData> = addresses.iter().map(|address| RData::A(A(*address))).collect();
            return match query.query_type {
                RecordType::A | RecordType::ANY => self.positive(request, query, &found),
                _ => self.negative(request, ResponseCode::NoError, name),
            };
        }
        let between = self.between.contains(name);
        let code = if between { ResponseCode::NoError } else { ResponseCode::NXDomain };
        self.negative(request, code, name)
    }

    fn positive(&self, request: &Message, query: &Query, found: &[RData]) -> Message {
        let mut answer = reply(request, ResponseCode::NoError);
        answer.metadata.authoritative = true;
        answer.metadata.recursion_available = !self.servers.is_empty();
        let records = found.iter().map(|data| Record::from_rdata(query.name.clone(), TTL, data.clone()));
        answer.add_answers(records);
        if query.query_type == RecordType::SRV {
            let name = Name::from_ascii("boss").and_then(|name| name.append_domain(&self.domain));
            let name = name.unwrap_or_default();
            for address in &self.boss {
                answer.add_additional(Record::from_rdata(name.clone(), TTL, address.clone()));
            }
        }
        answer
    }

    /// "No such name", or "nothing of that kind", with the record that says how long that may be kept (RFC 2308).
    fn negative(&self, request: &Message, code: ResponseCode, name: &Name) -> Message {
        let mut answer = reply(request, code);
        answer.metadata.authoritative = true;
        answer.metadata.recursion_available = !self.servers.is_empty();
        let apex = if self.domain.zone_of(name) { self.domain.clone() } else { name.base_name() };
        answer.add_authority(Record::from_rdata(apex, NEGATIVE_TTL, self.authority()));
        answer
    }
}

/// The boss's addresses.
fn addresses(network: &NetworkSpec) -> Vec<RData> {
    let six = network.ipv6.iter().map(|six| RData::AAAA(AAAA(six.boss)));
    std::iter::once(RData::A(A(network.boss))).chain(six).collect()
}

/// Services of the boss as SRV names (RFC 2782).
fn services(ntp: NtpMode) -> impl Iterator<Item = (&'static str, u16)> {
    let time = (ntp != NtpMode::Off).then_some(("_ntp._udp", 123));
    [
        ("_http._tcp", 80),
        ("_tftp._udp", 69),
        ("_domain._udp", 53),
        ("_domain._tcp", 53),
        ("_syslog._udp", 514),
    ]
    .into_iter()
    .chain(time)
}

/// The address that a whole `in-addr.arpa` or `ip6.arpa` name stands for.
fn whole_address(name: &Name) -> Option<IpAddr> {
    matches!(name.num_labels(), 6 | 34).then(|| name.parse_arpa_name().ok().map(|net| net.addr())).flatten()
}

/// True for addresses that only this network knows (RFC 6303).
fn is_nobodys(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_private() || address.is_loopback() || address.is_link_local(),
        IpAddr::V6(address) => {
            address.is_unique_local() || address.is_loopback() || address.is_unicast_link_local()
        }
    }
}

fn is_local(name: &Name) -> bool {
    LOCAL.iter().filter_map(|local| Name::from_ascii(local).ok()).any(|local| local.zone_of(name))
}

/// A head that can be read gets its number back with "cannot be read"; everything else is silence, and so is every
/// answer, or two servers would talk for ever.
fn unreadable(bytes: &[u8]) -> Verdict {
    match bytes {
        [high, low, flags, _, _, _, _, _, _, _, _, _, ..] if flags & 0x80 == 0 => {
            let id = u16::from_be_bytes([*high, *low]);
            Verdict::Answer(Box::new(Message::error_msg(id, OpCode::Query, ResponseCode::FormErr)))
        }
        _ => Verdict::Ignore,
    }
}

/// An empty answer to a question.
fn reply(request: &Message, code: ResponseCode) -> Message {
    let mut answer = Message::response(request.metadata.id, request.metadata.op_code);
    answer.metadata.recursion_desired = request.metadata.recursion_desired;
    answer.metadata.response_code = code;
    answer.queries.clone_from(&request.queries);
    if let Some(theirs) = &request.edns {
        // The client's own limit is kept until the answer is written; see `client_takes`.
        let mut edns = Edns::new();
        edns.set_max_payload(theirs.max_payload().min(PAYLOAD)).set_version(0);
        edns.set_dnssec_ok(false);
        answer.set_edns(edns);
    }
    answer
}

/// What the client that asked takes in a datagram.
pub(super) fn client_takes(edns: &Edns) -> u16 {
    edns.max_payload()
}

/// A question that failed.
pub(super) fn failure(request: &Message, code: ResponseCode) -> Message {
    reply(request, code)
}

/// Another server's answer, for the client that asked.
pub(super) fn passed_on(request: &Message, heard: Message) -> Message {
    let mut answer = reply(request, heard.metadata.response_code);
    answer.metadata.recursion_available = true;
    answer.answers = heard.answers;
    answer.authorities = heard.authorities;
    answer
}
