//! The ledger over a disk that loses and fills: nothing acknowledged is forgotten, nothing one-time is given twice.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

mod stand;

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use model::{MacAddr, Notice};
use netboot::ledger::{Change, ClaimKey, ClaimKind, Lease, Ledger};
use netboot::{Counter, Dhcp, Loaders, Parts, Up};
use stand::{STRANGER, within};
use store::lossy::{Kept, LossyFiles};
use store::shelf::Shelf;
use tokio::net::UdpSocket;
use wire::dhcp::{Message, MessageType, OptionCode};

const PATH: &str = "/state/ledger";

fn open(files: &LossyFiles) -> Arc<Ledger> {
    Ledger::open(Arc::new(files.clone()), Path::new(PATH)).unwrap().0
}

fn lease(n: u8) -> Lease {
    Lease {
        mac: MacAddr([2, 0, 0, 0, 1, n]),
        address: Ipv4Addr::new(10, 0, 0, n),
        host_name: format!("m{n}"),
        seconds: 3600,
    }
}

fn key(boot: u32) -> ClaimKey {
    ClaimKey { node: "node1".parse().unwrap(), run: 1, boot, again: 0, kind: ClaimKind::Nonce }
}

/// What one run was promised.
#[derive(Debug, Default)]
struct Promised {
    acknowledged: Vec<Lease>,
    synced: usize,
    claims: Vec<(ClaimKey, String)>,
}

async fn run(files: &LossyFiles) -> Promised {
    let mut promised = Promised::default();
    let Ok((ledger, _)) = Ledger::open(Arc::new(files.clone()), Path::new(PATH)) else { return promised };
    for n in 1..=6 {
        if ledger.write(&[Change::Given(lease(n))]).is_ok() {
            promised.acknowledged.push(lease(n));
        }
        if n % 2 == 0
            && let Ok(word) = ledger.claim(key(u32::from(n))).await
        {
            promised.claims.push((key(u32::from(n)), word));
        }
        if n == 3 && ledger.sync_once().await.is_ok() {
            promised.synced = promised.acknowledged.len();
        }
    }
    promised
}

#[tokio::test]
async fn a_kill_forgets_no_acknowledged_lease_and_a_power_cut_no_synced_one_and_no_claim() {
    let whole = LossyFiles::new();
    run(&whole).await;
    for operations in 0..=whole.operations() {
        let files = LossyFiles::new();
        files.cut_power_after(operations);
        let promised = run(&files).await;
        for kept in (0..30).map(Kept::Scattered).chain([Kept::Nothing, Kept::Everything]) {
            let found = open(&files.after_power_cut(kept));
            let leases = found.leases();
            let sure = if kept == Kept::Everything { promised.acknowledged.len() } else { promised.synced };
            for lease in &promised.acknowledged[..sure] {
                assert!(leases.contains(lease), "after {operations} operations, {kept:?}: {lease:?}");
            }
            for (key, word) in &promised.claims {
                assert!(found.knows(&key.node, word), "after {operations} operations, {kept:?}: {key:?}");
                assert_eq!(&found.claim(key.clone()).await.unwrap(), word);
            }
        }
    }
}

#[tokio::test]
async fn a_group_of_changes_is_one_write_in_their_order() {
    let files = LossyFiles::new();
    let ledger = open(&files);
    let before = files.operations();
    let moved = Lease { address: Ipv4Addr::new(10, 0, 0, 99), ..lease(1) };
    let group = [
        Change::Given(lease(1)),
        Change::Given(lease(2)),
        Change::Freed(lease(2).address),
        Change::Given(moved.clone()),
        Change::Given(lease(3)),
        Change::Freed(Ipv4Addr::new(10, 0, 0, 200)),
    ];
    assert_eq!(ledger.write(&group).unwrap(), 5, "nobody had the last one");
    assert_eq!(files.operations(), before + 1);
    let expected = [lease(3), moved];
    assert_eq!(ledger.leases(), expected);
    assert_eq!(open(&files.after_power_cut(Kept::Everything)).leases(), expected);
}

#[tokio::test]
async fn the_same_boot_gets_the_same_word_and_a_later_one_another() {
    let files = LossyFiles::new();
    let ledger = open(&files);
    let (first, second) = tokio::join!(ledger.claim(key(1)), ledger.claim(key(1)));
    let first = first.unwrap();
    assert_eq!(second.unwrap(), first);
    assert_ne!(ledger.claim(key(2)).await.unwrap(), first);
    let node = "node1".parse().unwrap();
    assert!(ledger.knows(&node, &first));
    assert!(!ledger.knows(&"node2".parse().unwrap(), &first));
    for boot in 3..20 {
        ledger.claim(key(boot)).await.unwrap();
    }
    assert!(!ledger.knows(&node, &first), "words of long ago are forgotten");
}

#[tokio::test]
async fn a_claim_that_could_not_be_synced_does_not_leave_until_it_is() {
    let files = LossyFiles::new();
    let ledger = open(&files);
    files.fail_syncs(2);
    assert!(ledger.claim(key(1)).await.is_err());
    assert!(ledger.claim(key(1)).await.is_err());
    let word = ledger.claim(key(1)).await.unwrap();
    assert!(open(&files.after_power_cut(Kept::Nothing)).knows(&"node1".parse().unwrap(), &word));
}

#[tokio::test]
async fn a_renewal_costs_the_disk_nothing_and_a_long_history_is_compacted() {
    let files = LossyFiles::new();
    let ledger = open(&files);
    assert_eq!(ledger.write(&[Change::Given(lease(1))]).unwrap(), 1);
    let before = files.operations();
    assert_eq!(ledger.write(&[Change::Given(lease(1))]).unwrap(), 0);
    assert_eq!(files.operations(), before);
    for seconds in 0..4000 {
        ledger.write(&[Change::Given(Lease { seconds, ..lease(2) })]).unwrap();
    }
    ledger.sync_once().await.unwrap();
    let disk = files.after_power_cut(Kept::Nothing);
    assert!(store::Files::read(&disk, Path::new(PATH)).unwrap().len() < 1000);
    assert_eq!(open(&disk).leases(), [lease(1), Lease { seconds: 3999, ..lease(2) }]);
}

#[tokio::test]
async fn a_full_disk_stops_new_leases_says_so_once_serves_those_that_stand_and_recovers() {
    let files = LossyFiles::new();
    let (counter, _) = Counter::open(Parts {
        files: Arc::new(files.clone()),
        state: "/state".into(),
        loaders: Loaders::default(),
        shelf: Shelf::new("/nowhere"),
        http_port: 80,
        transfers: 1,
    })
    .unwrap();
    let folder = stand::Folder::new();
    counter.publish(stand::table(&Shelf::new(folder.0.join("store")), 1)).unwrap();
    let server = UdpSocket::bind((stand::BOSS, 0)).await.unwrap();
    let port = server.local_addr().unwrap();
    tokio::spawn(Dhcp::new(Arc::clone(&counter), server, None).run());
    let client = UdpSocket::bind((stand::BOSS, 0)).await.unwrap();
    let mut buffer = [0; 1500];
    // A DISCOVER is always answered, so the answer that comes first tells what became of the REQUEST before it.
    let mut ask = async |mac, xid| {
        let mut request = Message::request(MessageType::Request, mac, xid);
        let last = if mac == STRANGER { 110 } else { 111 };
        request.options.set_address(OptionCode::REQUESTED_ADDRESS, Ipv4Addr::new(127, 0, 0, last));
        let discover = Message::request(MessageType::Discover, mac, xid + 1);
        for message in [request, discover] {
            client.send_to(&message.encode(1500).unwrap(), port).await.unwrap();
        }
        let (count, _) = within(client.recv_from(&mut buffer)).await.unwrap();
        let answer = Message::decode(&buffer[..count]).unwrap().kind().unwrap();
        if answer != MessageType::Offer {
            within(client.recv_from(&mut buffer)).await.unwrap();
        }
        answer
    };
    let other = MacAddr([2, 0, 0, 0, 0, 98]);
    assert_eq!(ask(STRANGER, 10).await, MessageType::Ack);
    files.set_space(Some(10));
    assert_eq!(ask(other, 20).await, MessageType::Offer, "no lease that is not written");
    assert_eq!(ask(STRANGER, 30).await, MessageType::Ack, "a lease that stands is renewed");
    assert_eq!(ask(other, 40).await, MessageType::Offer);
    files.set_space(None);
    assert_eq!(ask(other, 50).await, MessageType::Ack);
    let notices: Vec<_> = counter
        .sights()
        .take()
        .into_iter()
        .filter_map(|up| match up {
            Up::Notice(notice) => Some(notice),
            _ => None,
        })
        .collect();
    assert!(matches!(notices.as_slice(), [Notice::LedgerFull { .. }, Notice::LedgerWell]), "{notices:?}");
    let leases = open(&files.after_power_cut(Kept::Everything)).leases();
    assert_eq!(leases.iter().map(|lease| lease.mac).collect::<Vec<_>>(), [STRANGER, other]);
}

#[tokio::test]
async fn every_acknowledgement_of_a_crowd_is_in_the_ledger_when_it_arrives() {
    let files = LossyFiles::new();
    let (counter, _) = Counter::open(Parts {
        files: Arc::new(files.clone()),
        state: "/state".into(),
        loaders: Loaders::default(),
        shelf: Shelf::new("/nowhere"),
        http_port: 80,
        transfers: 1,
    })
    .unwrap();
    let folder = stand::Folder::new();
    let mut board = stand::table(&Shelf::new(folder.0.join("store")), 1);
    board.network.prefix = 16;
    board.network.pool = Some((Ipv4Addr::new(127, 0, 1, 1), Ipv4Addr::new(127, 0, 4, 250)));
    counter.publish(board).unwrap();
    let server = UdpSocket::bind((stand::BOSS, 0)).await.unwrap();
    let port = server.local_addr().unwrap();
    let client = UdpSocket::bind((stand::BOSS, 0)).await.unwrap();
    // All of them wait before anybody reads: they are answered in groups.
    for number in 0..150_u8 {
        let mut request = Message::request(MessageType::Request, MacAddr([2, 0, 0, 1, 0, number]), 9);
        request.options.set_address(OptionCode::REQUESTED_ADDRESS, Ipv4Addr::new(127, 0, 2, number + 1));
        client.send_to(&request.encode(1500).unwrap(), port).await.unwrap();
    }
    let before = files.operations();
    tokio::spawn(Dhcp::new(Arc::clone(&counter), server, None).run());
    let mut buffer = [0; 1500];
    let mut acknowledged = 0;
    while acknowledged < 150 {
        let (count, _) = within(client.recv_from(&mut buffer)).await.unwrap();
        let ack = Message::decode(&buffer[..count]).unwrap();
        assert_eq!(ack.kind(), Some(MessageType::Ack));
        // As after a kill at this very moment.
        let found = open(&files.after_power_cut(Kept::Everything)).leases();
        assert!(found.iter().any(|lease| lease.address == ack.yiaddr), "{} is not written", ack.yiaddr);
        acknowledged += 1;
    }
    let writes = files.operations() - before;
    assert!(writes <= 20, "{writes} writes for 150 leases");
}
