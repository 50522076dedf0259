//! The line to the core, and the hand-over of sockets.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

mod stand;

use std::os::unix::net::UnixStream;

use model::{Sight, Sighting};
use netboot::{BindConfig, BindError, Sockets, Up};
use stand::{BOSS, NODE1, NODE1_IP, Stand, table};
use wire::dhcp::Options;

#[tokio::test(flavor = "multi_thread")]
async fn a_core_that_comes_late_hears_what_was_seen_without_it() {
    let stand = Stand::with_board();
    stand.lease(NODE1, Options::new()).await;
    let mut core = stand.core().await;
    assert!(matches!(core.next().await, Some(Up::Hello { table: Some(1), .. })));
    let ack = |up: &Up| matches!(up, Up::Sighting(Sighting { sight: Sight::Ack { .. }, .. })).then_some(());
    core.find(ack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_core_takes_the_line_and_service_goes_on_without_any() {
    let stand = Stand::start(4);
    let mut old = stand.core().await;
    old.publish(table(&stand.shelf(), 1)).await;
    let mut new = stand.core().await;
    assert!(matches!(new.next().await, Some(Up::Hello { table: Some(1), .. })));
    while old.next().await.is_some() {}
    new.publish(table(&stand.shelf(), 2)).await;
    drop(new);
    assert_eq!(stand.lease(NODE1, Options::new()).await.yiaddr, NODE1_IP);
    assert_eq!(stand.counter.table_number(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_core_that_talks_nonsense_loses_its_line_only() {
    let stand = Stand::with_board();
    let core = UnixStream::connect(netboot::link::path(&stand.folder.0.join("state")));
    let mut core = core.unwrap();
    std::io::Write::write_all(&mut core, b"{\"publish\": 3}\n").unwrap();
    let mut rest = Vec::new();
    tokio::task::spawn_blocking(move || std::io::Read::read_to_end(&mut core, &mut rest))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(stand.counter.table_number(), Some(1));
    assert!(matches!(stand.core().await.next().await, Some(Up::Hello { table: Some(1), .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_the_boot_file_sees_no_moment_without_an_answer_while_tables_change() {
    let stand = Stand::with_board();
    let publishing = {
        let (counter, shelf) = (std::sync::Arc::clone(&stand.counter), stand.shelf());
        tokio::task::spawn_blocking(move || {
            let table = table(&shelf, 1);
            for number in 2..100 {
                counter.publish(model::BootTable { number, ..table.clone() }).unwrap();
            }
        })
    };
    while !publishing.is_finished() {
        let script = stand.get(NODE1_IP, "/boot/02-00-00-00-00-01.ipxe").await;
        assert!(script.status == 200 && script.text().contains("\nboot\n"), "{}", script.text());
    }
    publishing.await.unwrap();
}

#[test]
fn sockets_cross_a_unix_stream() {
    let config = BindConfig {
        dhcp: Some(0),
        boot_server: Some(0),
        dns: Some(0),
        ntp: Some(0),
        log: Some(0),
        ..BindConfig::bare(BOSS)
    };
    let sockets = Sockets::bind(&config).unwrap();
    let (parent, child) = UnixStream::pair().unwrap();
    sockets.send_over(&parent).unwrap();
    let got = Sockets::receive_from(&child).unwrap();
    assert_eq!(got.tftp.local_addr().unwrap(), sockets.tftp.local_addr().unwrap());
    assert_eq!(got.http.local_addr().unwrap(), sockets.http.local_addr().unwrap());
    assert_eq!(got.dhcp.unwrap().local_addr().unwrap(), sockets.dhcp.unwrap().local_addr().unwrap());
    let without = Sockets::bind(&BindConfig { dhcp: None, ..config }).unwrap();
    without.send_over(&parent).unwrap();
    assert!(Sockets::receive_from(&child).unwrap().dhcp.is_none());
    drop(parent);
    assert_eq!(Sockets::receive_from(&child).unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
}

#[test]
fn a_taken_port_is_named_with_its_holder() {
    let config = BindConfig { dns: Some(0), ntp: Some(0), log: Some(0), ..BindConfig::bare(BOSS) };
    let first = Sockets::bind(&config).unwrap();
    let tftp = first.tftp.local_addr().unwrap().port();
    let error = Sockets::bind(&BindConfig { tftp, ..config }).unwrap_err();
    let BindError::Taken { by: Some(by), .. } = &error else { panic!("{error}") };
    assert!(by.ends_with(&format!("(process {})", std::process::id())), "{by}");
    let text = format!("UDP port 127.0.0.1:{tftp} is taken by {by}");
    assert_eq!((error.to_string(), error.code()), (text, "port-taken"));
    let absent =
        BindConfig { interface: Some("no-such-if".to_owned()), dhcp: Some(0), ..BindConfig::on("x", BOSS) };
    assert_eq!(
        Sockets::bind(&BindConfig { tftp: 0, http: 0, ..absent }).unwrap_err().code(),
        "interface-absent"
    );
}
