//! The stream over real sockets: what senders send is what viewers see, and who is slow slows nobody.
#![expect(clippy::unwrap_used, reason = "a test may stop")]
#![expect(clippy::indexing_slicing, reason = "a test may stop")]

use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;
use logs::{Asked, Filter, Limits, Quota, Roster, Stage, Store, Stream};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream, UdpSocket, UnixDatagram};
use tokio::runtime::Handle;
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;
use wire::heard::{Heard, HeardKind};

const LIMIT: Duration = Duration::from_secs(20);

fn stream(limits: Limits) -> Stream {
    Stream::new(Store::new(limits), "e1".to_owned(), Handle::current())
}

fn every_line() -> Limits {
    Limits { quota: Quota::NONE, ..Limits::default() }
}

/// What a viewer hears, event by event: name, id and body.
struct Viewer {
    pieces: Receiver<Bytes>,
    text: String,
}

impl Viewer {
    fn of(stream: &Stream, asked: Asked) -> Self {
        Self { pieces: stream.view(asked), text: String::new() }
    }

    async fn next(&mut self) -> Option<(String, String, Value)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let fields: Vec<&str> = event.lines().map(|line| line.split_once(": ").unwrap().1).collect();
                let event =
                    (fields[0].to_owned(), fields[1].to_owned(), serde_json::from_str(fields[2]).unwrap());
                self.text = rest.to_owned();
                if event.0 != "beat" {
                    return Some(event);
                }
                continue;
            }
            let piece = timeout(LIMIT, self.pieces.recv()).await.unwrap()?;
            self.text.push_str(std::str::from_utf8(&piece).unwrap());
        }
    }

    async fn texts(&mut self, count: usize) -> Vec<String> {
        let mut texts = Vec::new();
        while texts.len() < count {
            let (_, _, body) = self.next().await.unwrap();
            texts.push(body["text"].as_str().unwrap().to_owned());
        }
        texts
    }
}

fn following() -> Asked {
    Asked { follow: true, tail: 1_000_000, ..Asked::default() }
}

async fn tcp(stream: &Stream) -> TcpStream {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(logs::receive::connections(stream.clone(), listener));
    TcpStream::connect(at).await.unwrap()
}

#[tokio::test]
async fn lines_of_every_way_in_are_seen_with_node_boot_source_and_time() {
    let stream = stream(Limits::default());
    let roster = Roster::from([(Ipv4Addr::LOCALHOST.into(), ("node3".to_owned(), 7))]);
    stream.give(|intake, _| intake.know(&roster));
    let mut viewer = Viewer::of(&stream, following());
    let mut connection = tcp(&stream).await;
    connection
        .write_all(b"<11>1 2026-11-26T05:54:56.5Z liar sshd 1 - - one\n20 <13>app: counted\ntwo")
        .await
        .unwrap();
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let at = socket.local_addr().unwrap();
    tokio::spawn(logs::receive::datagrams(stream.clone(), socket));
    let (_, id, body) = viewer.next().await.unwrap();
    assert_eq!(id, "e1:1");
    let expected = serde_json::json!({
        "seq": 1, "at": body["at"], "node": "node3", "boot": 7, "source": "syslog", "program": "sshd",
        "severity": 3, "template": body["template"], "text": "one",
    });
    assert_eq!(body, expected);
    assert!(
        body["at"].as_u64().unwrap() > 1_700_000_000_000,
        "the first line of a node sets its clock: {body}"
    );
    assert_eq!(viewer.next().await.unwrap().2["text"], "counted\u{fffd}two");
    let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    sender.send_to(b"<30>Jan 31 12:00:00 liar dhcpd[1]: \"three\" \xff\x1b[1m", at).await.unwrap();
    let (_, _, body) = viewer.next().await.unwrap();
    assert_eq!((&body["program"], &body["text"]), (&"dhcpd".into(), &"\"three\" \u{fffd}\u{fffd}[1m".into()));
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    tokio::spawn(logs::receive::heard(stream.clone(), theirs));
    let mut bytes = Vec::new();
    let talos =
        br#"{"msg":"four","talos-level":"warn","talos-service":"etcd","talos-time":"2026-11-26T05:54:57Z"}"#;
    let lines: [(HeardKind, &[u8], u64); 3] = [
        (HeardKind::Talos, talos, 0),
        (HeardKind::Syslog, b"<134>ipxe: five", 312),
        (HeardKind::Talos, b"x", 312),
    ];
    for (kind, line, lost) in lines {
        Heard { kind, from: Ipv4Addr::new(10, 0, 0, 9).into(), lost, line }.write(&mut bytes);
        ours.send(&bytes).await.unwrap();
    }
    let (_, _, body) = viewer.next().await.unwrap();
    let said = (&body["node"], &body["source"], &body["program"], &body["severity"]);
    assert_eq!(said, (&"10.0.0.9".into(), &"talos".into(), &"etcd".into(), &4.into()));
    let (event, _, body) = viewer.next().await.unwrap();
    assert_eq!((event.as_str(), &body["stage"], &body["lines"]), ("lost", &"hand-over".into(), &312.into()));
    assert_eq!(viewer.next().await.unwrap().2["source"], "ipxe");
    assert_eq!(viewer.next().await.unwrap().2["stage"], "unreadable");
    stream.give(|intake, now| intake.console("guest1", 2, (b"<3>ba\x1b[0md\r\npart", 0), now));
    stream.give(|intake, now| intake.console("guest1", 2, (b"ial\n", 0), now));
    let (_, _, body) = viewer.next().await.unwrap();
    assert_eq!(
        (&body["node"], &body["severity"], &body["text"]),
        (&"guest1".into(), &3.into(), &"bad".into())
    );
    assert_eq!(viewer.texts(1).await, ["partial"]);
}

#[tokio::test]
async fn who_comes_back_goes_on_where_it_was() {
    let stream = stream(every_line());
    for number in 0..100 {
        stream.give(|intake, now| intake.lab(None, 6, &format!("line {number}"), now));
    }
    let after = |epoch: &str, seq| Asked { after: Some((epoch.to_owned(), seq)), ..Asked::default() };
    let (_, id, body) = Viewer::of(&stream, after("e1", 40)).next().await.unwrap();
    assert_eq!((id.as_str(), &body["text"]), ("e1:41", &"line 40".into()));
    assert!(Viewer::of(&stream, after("e1", 100)).next().await.is_none(), "nothing is new");
    let mut other = Viewer::of(&stream, after("e0", 40));
    assert_eq!(other.next().await.unwrap().2, serde_json::json!({"reason": "another-core"}));
    assert_eq!(other.next().await.unwrap().2["text"], "line 0");
    let last =
        Asked { tail: 2, filter: Filter::new(None, None, Some("line .7")).unwrap(), ..Asked::default() };
    assert_eq!(Viewer::of(&stream, last).texts(2).await, ["line 87", "line 97"]);
}

#[tokio::test]
async fn a_slow_viewer_finds_a_mark_of_exactly_what_it_missed_and_slows_nobody() {
    let stream = stream(Limits { ring: 2 << 20, quota: Quota::NONE });
    // It asks for everything and does not read.
    let mut slow = Viewer::of(&stream, following());
    let mut quick = Viewer::of(&stream, Asked { follow: true, ..Asked::default() });
    let mut connection = tcp(&stream).await;
    let total = 60_000_u64;
    let writing = tokio::spawn(async move {
        for number in 1..=total {
            connection
                .write_all(format!("<14>app: line {number} {}\n", "x".repeat(100)).as_bytes())
                .await
                .unwrap();
        }
    });
    let (mut seen, mut last) = (0, 0);
    while last < total {
        let (event, id, body) = quick.next().await.unwrap();
        match event.as_str() {
            "line" => seen += 1,
            _ => seen += body["lines"].as_u64().unwrap(),
        }
        last = id.rsplit_once(':').unwrap().1.parse().unwrap();
    }
    assert_eq!(seen, total);
    writing.await.unwrap();
    let (mut next, mut marks, mut lines) = (1, 0, 0);
    while next <= total {
        let (event, _, body) = slow.next().await.unwrap();
        if event == "gap" {
            assert_eq!((&body["from"], &body["reason"]), (&next.into(), &"viewer".into()));
            next += body["lines"].as_u64().unwrap();
            marks += 1;
            continue;
        }
        let text = body["text"].as_str().unwrap();
        assert!(text.starts_with(&format!("line {next} ")), "{text} where {next} was due");
        next += 1;
        lines += 1;
    }
    assert!(marks >= 1 && lines > 1_000, "{marks} marks, {lines} lines");
    let lost = stream
        .look(|store| store.totals().lost[Stage::ALL.iter().position(|s| *s == Stage::Viewer).unwrap()]);
    assert!(lost >= total - lines, "{lost} counted, {} missed", total - lines);
}

#[tokio::test]
async fn a_flood_of_one_connection_takes_no_turn_from_viewers() {
    let stream = stream(every_line());
    let mut viewer = Viewer::of(&stream, following());
    let connection = tcp(&stream).await.into_std().unwrap();
    connection.set_nonblocking(false).unwrap();
    let total = 300_000;
    let flood = std::thread::spawn(move || {
        let piece = format!("<14>app: {}\n", "x".repeat(90)).repeat(1_000);
        for _ in 0..total / 1_000 {
            std::io::Write::write_all(&mut &connection, piece.as_bytes()).unwrap();
        }
    });
    viewer.next().await.unwrap();
    let come = stream.look(|store| store.totals().lines);
    assert!(come < total / 2, "{come} lines had come before a viewer saw the first");
    while stream.look(|store| store.totals().lines) < total {
        viewer.next().await.unwrap();
    }
    flood.join().unwrap();
}

#[tokio::test]
async fn one_rule_is_folded_at_its_place_and_others_are_whole() {
    let stream = stream(Limits::default());
    tokio::spawn(stream.clone().tell_folds());
    let mut viewer = Viewer::of(&stream, following());
    stream.give(|intake, now| {
        for number in 0..10_000 {
            intake.syslog(
                Ipv4Addr::LOCALHOST.into(),
                format!("<4>fw: drop wan-in SRC=192.0.2.{}", number % 250).as_bytes(),
                now,
            );
        }
        intake.syslog(Ipv4Addr::LOCALHOST.into(), b"<6>fw: up", now);
    });
    let texts = viewer.texts(2_001).await;
    assert_eq!(texts.last().unwrap(), "up");
    let (event, _, body) = viewer.next().await.unwrap();
    let said = (event.as_str(), &body["lines"], &body["pattern"], &body["program"]);
    assert_eq!(said, ("folded", &8_000.into(), &"drop wan-in SRC=*".into(), &"fw".into()));
    stream.look(|store| {
        assert_eq!(store.totals().lines, 10_001);
        assert!(store.ruled().any(|(rule, count)| (rule, count) == ("firewall_drops", 10_000)));
    });
}

#[tokio::test]
async fn two_hundred_viewers_that_never_read_cost_pieces_and_no_line() {
    let stream = stream(every_line());
    let viewers: Vec<Viewer> = (0..200).map(|_| Viewer::of(&stream, following())).collect();
    let mut reader = Viewer::of(&stream, following());
    for number in 0..5_000 {
        stream.give(|intake, now| intake.lab(None, 6, &format!("line {number} {}", "x".repeat(100)), now));
    }
    assert_eq!(reader.texts(5_000).await.len(), 5_000);
    drop(viewers);
}
