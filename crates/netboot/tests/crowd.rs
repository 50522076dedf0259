//! Thousands of slow readers: memory stays small, and others are served beside them. Alone in its process.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

mod stand;

use std::net::Ipv4Addr;

use stand::{NODE1_IP, Stand, connect, within};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Readers that ask for an image and take a byte of it.
const READERS: u32 = 5000;
/// Readers at one address: fewer than one address may have.
const EACH: u32 = 100;
/// Most memory one of them may cost, in KiB: its connection, the head it sent, its piece of the image.
const COST: u64 = 40;

/// Resident memory of this process in KiB (proc(5)).
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_slow_readers_cost_little_and_keep_nobody_waiting() {
    let stand = Stand::with_board();
    let path = format!("/f/{}/big", "0".repeat(64));
    let big = std::fs::File::create(stand.shelf().root().join("0".repeat(64))).unwrap();
    big.set_len(40 << 20).unwrap();
    // Both ends of each connection and its file are descriptors of this process.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let readers = u32::try_from(limit.saturating_sub(500) / 3).unwrap_or(u32::MAX).min(READERS);
    if readers < READERS {
        println!(
            "SKIPPED {} of {READERS} readers: this system allows {limit} descriptors",
            READERS - readers
        );
    }
    let request = format!("GET {path} HTTP/1.1\r\nHost: boss\r\nUser-Agent: UefiHttpBoot/1.0\r\n\r\n");
    let mut slow = Vec::new();
    let before = resident();
    for number in 0..readers {
        let source = Ipv4Addr::from_bits(Ipv4Addr::new(127, 2, 0, 1).to_bits() + number / EACH);
        let mut reader = connect(source, stand.http).await;
        reader.write_all(request.as_bytes()).await.unwrap();
        slow.push(reader);
    }
    for reader in &mut slow {
        within(reader.read_exact(&mut [0; 1])).await.unwrap();
    }
    let cost = resident().saturating_sub(before) / u64::from(readers);
    println!("{readers} readers cost {cost} KiB each");
    assert!(cost <= COST, "{cost} KiB each");
    let whole = stand.get_with(NODE1_IP, &path, "User-Agent: UefiHttpBoot/1.0\r\n").await;
    assert_eq!((whole.status, whole.body.len()), (200, 40 << 20));
}
