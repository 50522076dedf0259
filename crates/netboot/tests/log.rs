//! iPXE's log: lines of a machine of the board become sightings, with their error numbers read; others do not.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

mod stand;

use std::net::Ipv4Addr;

use model::{MacAddr, Sight, Sighting};
use netboot::Up;
use stand::{NODE1, NODE1_IP, Stand};
use tokio::net::UdpSocket;

const LINE: &str = "<134>node1 ipxe: Could not boot: Connection timed out (https://ipxe.org/4c116035)";

async fn send(stand: &Stand, source: Ipv4Addr, line: &str) {
    let socket = UdpSocket::bind((source, 0)).await.unwrap();
    socket.send_to(line.as_bytes(), stand.log).await.unwrap();
}

fn logged(up: &Up) -> Option<(MacAddr, String, Option<String>)> {
    match up {
        Up::Sighting(Sighting { mac, sight: Sight::Logged { text, error, .. }, .. }) => {
            Some((*mac, text.clone(), error.clone()))
        }
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_in_the_log_of_a_machine_is_read() {
    let stand = Stand::with_board();
    let mut core = stand.core().await;
    // Neither a stranger nor another program of the same machine is heard.
    send(&stand, stand::BOSS, LINE).await;
    send(&stand, NODE1_IP, "<13>node1 kernel: Linux version 6.12").await;
    send(&stand, NODE1_IP, LINE).await;
    let (mac, text, error) = core.find(logged).await;
    assert_eq!(mac, NODE1);
    assert!(text.starts_with("Could not boot: "), "{text}");
    assert!(error.unwrap().starts_with("4c116035: DNS look-up timed out (net/udp/dns.c)"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_logs_without_end_is_cut_short() {
    let stand = Stand::with_board();
    let mut core = stand.core().await;
    let socket = UdpSocket::bind((NODE1_IP, 0)).await.unwrap();
    for number in 0..500 {
        socket.send_to(format!("<134>ipxe: line {number}").as_bytes(), stand.log).await.unwrap();
    }
    // What comes after it on another port shows that the flood was read.
    let got = stand.get(NODE1_IP, "/snponly.efi").await;
    assert_eq!(got.status, 200);
    let mut lines = 0;
    core.find(|up| {
        lines += usize::from(logged(up).is_some());
        matches!(up, Up::Sighting(Sighting { sight: Sight::FileServed { .. }, .. })).then_some(())
    })
    .await;
    assert!(lines <= 100, "{lines} lines");
    stand::until(|| (lines > 0).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_version_is_told_once_and_whole() {
    let stand = Stand::with_board();
    let mut core = stand.core().await;
    let agent = "User-Agent: iPXE/1.21.1+git20250501.dad20602+dfsg-1\r\n";
    for _ in 0..3 {
        stand.get_with(NODE1_IP, "/snponly.efi", agent).await;
    }
    send(
        &stand,
        NODE1_IP,
        "<134>ipxe: iPXE 2.0.0+dfsg-5 -- Open Source Network Boot Firmware -- https://ipxe.org",
    )
    .await;
    let mut told = Vec::new();
    core.find(|up| {
        if let Up::Sighting(Sighting { sight: Sight::IpxeTold { version, .. }, .. }) = up {
            told.push(version.clone());
        }
        logged(up).map(drop)
    })
    .await;
    assert_eq!(told, ["1.21.1+git20250501.dad20602+dfsg-1", "2.0.0+dfsg-5"]);
}
