//! One connection that sends lines of logs.

use std::net::IpAddr;

use talos::feed::Lines;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use wire::heard::HeardKind;

use crate::clock::boottime_ms;
use crate::counter::Counter;

/// Bytes read at once.
const CHUNK: usize = 16 * 1024;

/// Hears a connection until it ends, or its address is no machine's of the board any more.
pub(super) async fn hear(counter: &Counter, mut stream: TcpStream, from: IpAddr) {
    let mut lines = Lines::default();
    let mut buffer = vec![0; CHUNK];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        let now = boottime_ms();
        let Some(mac) = counter.machine_at(from) else { return };
        let bytes = buffer.get(..count).unwrap_or_default();
        for line in lines.take_each(bytes, |line| counter.heard(HeardKind::Talos, from, line)) {
            counter.voices.line(&counter.sights, mac, line.as_ref().map(|line| line.said()).ok(), now);
        }
        // Whoever sends more than a machine does is read more slowly; the kernel's buffer fills, and he waits.
        let wait = counter.voices.afford_bytes(mac, count, now);
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }
}
