//! A management controller on loopback that follows the tables of IPMI 2.0, with bad manners on request. That it says
//! what others understand is shown by ipmitool (`e2e_clients_ipmi.rs`); the keys are those of the driver.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use drivers::power::ipmi::{Exchange, Keys, Suite};
use tokio::net::UdpSocket;
use wire::rmcp::{
    Completion, Head, OpenAnswer, OpenRequest, Packet, Payload, Rakp1, Rakp2, Rakp3, Rakp4, Reply, Request,
    Status, chassis, session,
};

/// How a controller is, and how it behaves.
#[derive(Debug, Clone)]
pub(crate) struct Manners {
    pub(crate) user: &'static str,
    pub(crate) password: &'static str,
    pub(crate) suites: &'static [Suite],
    /// Of the datagrams in both directions, counted together from 0: those that are lost.
    pub(crate) lost: &'static [usize],
    /// Every answer is sent twice.
    pub(crate) twice: bool,
    /// Requests that are answered `busy` first.
    pub(crate) busy: usize,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            user: "lab",
            password: "secret",
            suites: &[Suite::Three, Suite::Seventeen],
            lost: &[],
            twice: false,
            busy: 0,
        }
    }
}

/// What happened to it.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) on: bool,
    /// Chassis Control commands that it took.
    pub(crate) orders: Vec<u8>,
    /// Sessions that were asked for, proofs that were wrong, and sessions that were closed.
    pub(crate) asked: usize,
    pub(crate) wrong: usize,
    pub(crate) closed: usize,
    datagrams: usize,
}

pub(crate) struct Bmc {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Mutex<Seen>>,
    /// When set, it forgets its sessions at the next datagram, as after a start.
    pub(crate) restart: Arc<Mutex<bool>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Bmc {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Bmc {
    pub(crate) async fn new(manners: Manners) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let (seen, restart) = (Arc::<Mutex<Seen>>::default(), Arc::<Mutex<bool>>::default());
        let inside = Inside { manners, seen: seen.clone(), restart: restart.clone(), open: None, keys: None };
        Self { address, seen, restart, task: tokio::spawn(inside.run(socket)) }
    }
}

struct Inside {
    manners: Manners,
    seen: Arc<Mutex<Seen>>,
    restart: Arc<Mutex<bool>>,
    open: Option<Exchange>,
    keys: Option<(Exchange, Keys, u32)>,
}

impl Inside {
    async fn run(mut self, socket: UdpSocket) {
        let mut buffer = [0; 1024];
        loop {
            let (size, from) = socket.recv_from(&mut buffer).await.unwrap();
            if std::mem::take(&mut *self.restart.lock().unwrap()) {
                (self.open, self.keys) = (None, None);
            }
            if self.is_lost() {
                continue;
            }
            let Some(answer) = self.answer(&buffer[..size]) else { continue };
            for _ in 0..=usize::from(self.manners.twice) {
                if !self.is_lost() {
                    socket.send_to(&answer, from).await.unwrap();
                }
            }
        }
    }

    fn is_lost(&self) -> bool {
        let mut seen = self.seen.lock().unwrap();
        seen.datagrams += 1;
        self.manners.lost.contains(&(seen.datagrams - 1))
    }

    fn answer(&mut self, datagram: &[u8]) -> Option<Vec<u8>> {
        let code = self.keys.as_ref().map_or(0, |(exchange, ..)| exchange.suite.code());
        // ipmitool asks in the format of IPMI 1.5 first whether there is 2.0.
        let Ok(packet) = Packet::decode(datagram, code) else { return capabilities(datagram) };
        let (payload, answer) = match packet.head.payload {
            Payload::OPEN => (Payload::OPENED, self.open(packet.payload)),
            Payload::RAKP1 => (Payload::RAKP2, self.first(packet.payload)?),
            Payload::RAKP3 => (Payload::RAKP4, self.third(packet.payload)?),
            Payload::IPMI => return self.request(packet),
            other => panic!("payload {other:?}"),
        };
        Some(Head::outside(payload).encode(&answer))
    }

    fn open(&mut self, payload: &[u8]) -> Vec<u8> {
        let asked = OpenRequest::decode(payload).unwrap();
        self.seen.lock().unwrap().asked += 1;
        let suite = self.manners.suites.iter().find(|suite| suite.algorithms() == asked.algorithms);
        let Some(&suite) = suite else {
            let (tag, status, session) = (asked.tag, Status::SUITE, asked.session);
            return OpenAnswer { tag, status, session, agreed: None }.encode(0);
        };
        let exchange = Exchange {
            suite,
            user: Vec::new(),
            ours: asked.session,
            theirs: 0x0200_0001,
            our_random: [0; 16],
            their_random: [0x5a; 16],
            guid: *b"a lab's own bmc.",
            role: 0,
        };
        let agreed = Some((exchange.theirs, asked.algorithms));
        let answer = OpenAnswer { tag: asked.tag, status: Status::OK, session: asked.session, agreed };
        self.open = Some(exchange);
        answer.encode(4)
    }

    fn first(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        let said = Rakp1::decode(payload).unwrap();
        let open = self.open.as_mut()?;
        open.our_random = said.random;
        open.role = said.role;
        open.user = said.user.to_vec();
        let code = open.second(self.manners.password.as_bytes());
        let known = said.user == self.manners.user.as_bytes();
        let status = if known { Status::OK } else { Status::NAME };
        let (tag, session, random, guid) = (said.tag, open.ours, open.their_random, open.guid);
        Some(Rakp2 { tag, status, session, random, guid, code: &code }.encode())
    }

    fn third(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        let said = Rakp3::decode(payload).unwrap();
        let open = self.open.clone()?;
        if said.status != Status::OK {
            return None;
        }
        let (tag, session) = (said.tag, open.ours);
        if said.code != open.third(self.manners.password.as_bytes()) {
            self.seen.lock().unwrap().wrong += 1;
            return Some(Rakp4 { tag, status: Status::CODE, session, code: &[] }.encode());
        }
        let keys = open.keys(self.manners.password.as_bytes());
        let code = keys.fourth(&open);
        self.keys = Some((open, keys, 0));
        Some(Rakp4 { tag, status: Status::OK, session, code: &code }.encode())
    }

    fn request(&mut self, packet: Packet<'_>) -> Option<Vec<u8>> {
        let (exchange, keys, sent) = self.keys.as_mut()?;
        assert!(packet.head.encrypted && keys.signed(packet.signed, packet.code), "{packet:?}");
        let message = keys.decipher(packet.payload).unwrap();
        let (request, sequence) = Request::decode(&message).unwrap();
        let mut seen = self.seen.lock().unwrap();
        let mut completion = Completion::OK;
        let data = match (request.function, request.command) {
            _ if self.manners.busy > 0 => {
                self.manners.busy -= 1;
                completion = Completion::BUSY;
                vec![]
            }
            (session::FUNCTION, session::LEVEL) => request.data.to_vec(),
            (session::FUNCTION, session::CLOSE) => {
                seen.closed += 1;
                vec![]
            }
            (chassis::FUNCTION, chassis::STATUS) => vec![0x60 | u8::from(seen.on), 0, 0x40],
            (chassis::FUNCTION, chassis::CONTROL) => {
                seen.orders.extend(request.data);
                seen.on = request.data == [1];
                vec![]
            }
            _ => {
                completion = Completion(0xc1);
                vec![]
            }
        };
        *sent += 1;
        let reply =
            Reply { function: request.function, command: request.command, sequence, completion, data: &data };
        let head = Head {
            payload: Payload::IPMI,
            encrypted: true,
            authenticated: true,
            session: exchange.ours,
            sequence: *sent,
        };
        let mut out = head.encode(&keys.encipher([0x77; 16], &reply.encode()));
        let code = keys.sign(&out[4..]);
        out.extend(code);
        Some(out)
    }
}

/// Get Channel Authentication Capabilities (section 22.13): users with names and passwords, IPMI 2.0 spoken.
fn capabilities(datagram: &[u8]) -> Option<Vec<u8>> {
    let (request, sequence) = Request::decode(datagram.get(14..)?)?;
    assert_eq!((request.function, request.command), (6, 0x38));
    let data = &[1, 0x80, 0x04, 0x02, 0, 0, 0, 0];
    let completion = Completion::OK;
    let message =
        Reply { function: request.function, command: request.command, sequence, completion, data }.encode();
    let mut out = vec![6, 0, 0xff, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    out.push(u8::try_from(message.len()).unwrap());
    out.extend(message);
    Some(out)
}
