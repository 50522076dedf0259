//! Names and time over real sockets: the lab's own zone, what is passed on, what is kept, and what is refused.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

mod stand;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use model::{DnsSpec, NtpMode};
use netboot::dns::{Names, Verdict};
use stand::{BOSS, NODE1_IP, Stand, table};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use wire::ntp::Packet;

fn question(name: &str, kind: RecordType) -> Message {
    let mut question = Message::new(4711, MessageType::Query, OpCode::Query);
    question.metadata.recursion_desired = true;
    question.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    question
}

/// A lab whose boss answers for `lab.internal` and asks these servers for the rest.
fn with_names(forward: Vec<SocketAddr>) -> Stand {
    let stand = Stand::start(4);
    let mut board = table(&stand.shelf(), 1);
    board.network.domain = Some("lab.internal".to_owned());
    board.network.names =
        Some(DnsSpec { domain: "lab.internal".to_owned(), forward, ingress: vec![NODE1_IP] });
    board.network.ntp = NtpMode::Trust;
    stand.counter.publish(board).unwrap();
    stand
}

async fn ask(stand: &Stand, question: &Message) -> Message {
    let socket = UdpSocket::bind((NODE1_IP, 0)).await.unwrap();
    socket.send_to(&question.to_vec().unwrap(), stand.dns).await.unwrap();
    let mut buffer = [0; 4096];
    let (count, _) = stand::within(socket.recv_from(&mut buffer)).await.unwrap();
    let answer = Message::from_vec(&buffer[..count]).unwrap();
    assert_eq!(answer.metadata.id, 4711);
    assert_eq!(answer.queries, question.queries);
    answer
}

fn addresses(answer: &Message) -> Vec<Ipv4Addr> {
    let address = |record: &Record| match &record.data {
        RData::A(A(address)) => Some(*address),
        _ => None,
    };
    answer.answers.iter().filter_map(address).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_the_boss_and_its_services_have_names() {
    let stand = with_names(Vec::new());
    let node = ask(&stand, &question("Node1.LAB.internal.", RecordType::A)).await;
    assert_eq!(addresses(&node), [NODE1_IP]);
    assert!(node.metadata.authoritative && !node.metadata.recursion_available);
    assert_eq!(addresses(&ask(&stand, &question("boss.lab.internal.", RecordType::A)).await), [BOSS]);
    assert_eq!(addresses(&ask(&stand, &question("lab.internal.", RecordType::A)).await), [BOSS]);
    assert_eq!(
        addresses(&ask(&stand, &question("any.thing.apps.lab.internal.", RecordType::A)).await),
        [NODE1_IP]
    );
    let back: Vec<u8> = NODE1_IP.octets().into_iter().rev().collect();
    let reverse = format!("{}.{}.{}.{}.in-addr.arpa.", back[0], back[1], back[2], back[3]);
    let reverse = ask(&stand, &question(&reverse, RecordType::PTR)).await;
    assert_eq!(reverse.answers[0].data.to_string(), "node1.lab.internal.");
    let time = ask(&stand, &question("_ntp._udp.lab.internal.", RecordType::SRV)).await;
    assert_eq!(time.answers[0].data.to_string(), "0 0 123 boss.lab.internal.");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_denied_and_what_is_not_ours_is_refused() {
    let stand = with_names(Vec::new());
    let code = async |name: &str, kind| ask(&stand, &question(name, kind)).await.metadata.response_code;
    assert_eq!(code("node99.lab.internal.", RecordType::A).await, ResponseCode::NXDomain);
    let empty = ask(&stand, &question("node1.lab.internal.", RecordType::AAAA)).await;
    assert_eq!((empty.metadata.response_code, empty.answers.len()), (ResponseCode::NoError, 0));
    assert_eq!(empty.authorities[0].record_type(), RecordType::SOA, "it says how long that holds");
    // What has names below it exists.
    assert_eq!(code("_udp.lab.internal.", RecordType::A).await, ResponseCode::NoError);
    for local in ["printer.local.", "node1.", "10.in-addr.arpa.", "x.home.arpa.", "1.1.168.192.in-addr.arpa."]
    {
        assert_ne!(code(local, RecordType::A).await, ResponseCode::NoError, "{local}");
    }
    assert_eq!(code("example.org.", RecordType::A).await, ResponseCode::Refused);
    assert_eq!(code("lab.internal.", RecordType::AXFR).await, ResponseCode::Refused);
}

/// A server elsewhere that knows one name and counts.
async fn elsewhere(asked: Arc<AtomicUsize>) -> SocketAddr {
    let socket = UdpSocket::bind((BOSS, 0)).await.unwrap();
    let at = socket.local_addr().unwrap();
    let listener = tokio::net::TcpListener::bind(at).await.unwrap();
    let big = |question: &Message| {
        let mut answer = Message::response(question.metadata.id, OpCode::Query);
        answer.queries.clone_from(&question.queries);
        for _ in 0..12 {
            let text = TXT::new(vec!["x".repeat(200)]);
            answer.add_answer(Record::from_rdata(question.queries[0].name.clone(), 60, RData::TXT(text)));
        }
        answer
    };
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        loop {
            let (count, from) = socket.recv_from(&mut buffer).await.unwrap();
            let question = Message::from_vec(&buffer[..count]).unwrap();
            asked.fetch_add(1, Ordering::Relaxed);
            let mut answer = Message::response(question.metadata.id, OpCode::Query);
            answer.queries.clone_from(&question.queries);
            let name = question.queries[0].name.clone();
            match name.to_ascii().as_str() {
                "www.example.org." => {
                    let data = RData::A(A([192, 0, 2, 80].into()));
                    answer.add_answer(Record::from_rdata(name, 60, data));
                }
                "big.example.org." => answer = big(&question).truncate(),
                _ => answer.metadata.response_code = ResponseCode::NXDomain,
            }
            // A forger who guesses the port still has to guess the number.
            let mut forged = answer.clone();
            forged.metadata.id ^= 1;
            socket.send_to(&forged.to_vec().unwrap(), from).await.unwrap();
            socket.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
        }
    });
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = vec![0; usize::from(stream.read_u16().await.unwrap())];
            stream.read_exact(&mut buffer).await.unwrap();
            let bytes = big(&Message::from_vec(&buffer).unwrap()).to_vec().unwrap();
            stream.write_u16(u16::try_from(bytes.len()).unwrap()).await.unwrap();
            stream.write_all(&bytes).await.unwrap();
        }
    });
    at
}

#[tokio::test(flavor = "multi_thread")]
async fn other_names_are_asked_for_once_and_kept() {
    let asked = Arc::new(AtomicUsize::new(0));
    let stand = with_names(vec![elsewhere(Arc::clone(&asked)).await]);
    for _ in 0..3 {
        let answer = ask(&stand, &question("www.example.org.", RecordType::A)).await;
        assert_eq!(addresses(&answer), [Ipv4Addr::new(192, 0, 2, 80)]);
        assert!(answer.metadata.recursion_available && !answer.metadata.authoritative);
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    // Names of the lab never leave it, whether they exist or not.
    for name in ["node99.lab.internal.", "x.local.", "host."] {
        ask(&stand, &question(name, RecordType::A)).await;
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_too_large_for_a_datagram_comes_over_tcp() {
    let stand = with_names(vec![elsewhere(Arc::default()).await]);
    let mut asked = question("big.example.org.", RecordType::TXT);
    let mut edns = Edns::new();
    edns.set_max_payload(4096);
    asked.set_edns(edns);
    let cut = ask(&stand, &asked).await;
    assert!(cut.metadata.truncation && cut.answers.is_empty());
    let mut stream = TcpStream::connect(stand.dns).await.unwrap();
    let bytes = asked.to_vec().unwrap();
    // Twice over one connection, as resolvers do.
    for _ in 0..2 {
        stream.write_u16(u16::try_from(bytes.len()).unwrap()).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        let mut buffer = vec![0; usize::from(stand::within(stream.read_u16()).await.unwrap())];
        stream.read_exact(&mut buffer).await.unwrap();
        assert_eq!(Message::from_vec(&buffer).unwrap().answers.len(), 12);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_fails_fast_and_then_at_once() {
    // This one hears and never answers.
    let socket = UdpSocket::bind((BOSS, 0)).await.unwrap();
    let away = socket.local_addr().unwrap();
    let stand = with_names(vec![away]);
    let failed = ask(&stand, &question("www.example.org.", RecordType::A)).await;
    assert_eq!(failed.metadata.response_code, ResponseCode::ServFail);
    let began = Instant::now();
    for _ in 0..20 {
        let failed = ask(&stand, &question("www.example.org.", RecordType::A)).await;
        assert_eq!(failed.metadata.response_code, ResponseCode::ServFail);
    }
    assert!(began.elapsed() < Duration::from_millis(1500), "each waited for the dead server again");
    assert_eq!(addresses(&ask(&stand, &question("node1.lab.internal.", RecordType::A)).await), [NODE1_IP]);
}

#[test]
fn nobody_outside_the_lab_is_served_and_answers_are_not_answered() {
    let folder = stand::Folder::new();
    let mut board = table(&store::shelf::Shelf::new(folder.0.join("store")), 1);
    assert!(Names::of(&board).is_none(), "no name server unless told");
    board.network.names =
        Some(DnsSpec { domain: "lab.internal".to_owned(), forward: vec![], ingress: vec![] });
    let names = Names::of(&board).unwrap();
    let bytes = question("node1.lab.internal.", RecordType::A).to_vec().unwrap();
    let code = |from: [u8; 4]| match names.take(&bytes, Ipv4Addr::from(from).into()) {
        Verdict::Answer(answer) => answer.metadata.response_code,
        other => panic!("{other:?}"),
    };
    assert_eq!(code(NODE1_IP.octets()), ResponseCode::NoError);
    assert_eq!(code([8, 8, 8, 8]), ResponseCode::Refused);
    let mut answer = question("node1.lab.internal.", RecordType::A);
    answer.metadata.message_type = MessageType::Response;
    assert!(matches!(names.take(&answer.to_vec().unwrap(), NODE1_IP.into()), Verdict::Ignore));
    assert!(matches!(names.take(&[0x80; 7], NODE1_IP.into()), Verdict::Ignore));
}

#[tokio::test(flavor = "multi_thread")]
async fn time_is_served_with_the_stratum_of_a_clock_that_stands_alone() {
    let stand = with_names(Vec::new());
    let mut question = [0; wire::ntp::SIZE];
    question[0] = 0x23;
    question[40..].copy_from_slice(&77_u64.to_be_bytes());
    let socket = UdpSocket::bind((NODE1_IP, 0)).await.unwrap();
    socket.send_to(&question, stand.ntp).await.unwrap();
    let mut buffer = [0; 512];
    let (count, _) = stand::within(socket.recv_from(&mut buffer)).await.unwrap();
    let said = Packet::decode(&buffer[..count]).unwrap();
    // Whoever runs this may have a clock that is kept by others.
    assert!(matches!(said.stratum, 4 | 10), "{said:?}");
    assert_eq!((said.origin.0, said.mode.0), (77, 4));
    assert!(said.sent.0 >= said.received.0 && said.received.0 >> 32 > 3_900_000_000);
}
