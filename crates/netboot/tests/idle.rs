//! A counter with nothing to do does nothing: processor time, not wall time. Alone in its process.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

mod stand;

use std::time::Duration;

use stand::{NODE1, Stand};
use wire::dhcp::Options;

/// Processor time of this process so far, in ticks of 10 ms (proc(5): fields 14 and 15 of `stat`).
fn ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit(')').next().unwrap();
    after_name.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_counter_takes_no_processor_time() {
    let stand = Stand::with_board();
    let _core = stand.core().await;
    stand.lease(NODE1, Options::new()).await;
    // The group of that lease is synced within half a second; measure from then on.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = ticks();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let spent = ticks() - before;
    assert!(spent <= 2, "{spent} ticks in two idle seconds");
}
