//! How configs get to their machines, from firmware to a cluster: simulated machines boot over the real counter, become
//! simulated Talos nodes, and every byte that anybody on the segment could have heard is searched for keys.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

#[path = "clusters/board.rs"]
#[expect(dead_code, reason = "each test file uses its own part of the board")]
mod board;
#[path = "whole_lab/floor.rs"]
#[expect(dead_code, reason = "each test file uses its own part of the floor")]
mod floor;
#[path = "carriers/markers.rs"]
mod markers;
#[path = "carriers/segment.rs"]
mod segment;
#[path = "lost_writes/stand.rs"]
mod stand;

use std::time::Duration;

use board::{Board, CLUSTER};
use markers::Markers;
use model::Phase;
use segment::Floor;
use stand::node;
use talos::api::Character;

/// Longest wait for a cluster, in the lab's own time.
const LIMIT: Duration = Duration::from_secs(2 * 3600);

#[tokio::test(start_paused = true)]
async fn nothing_that_is_served_without_a_name_has_a_key_in_it() {
    let board = Board::new("bytes-push", Character::UpTo12, |_| Vec::new());
    let floor = Floor::new(&board);
    let house = floor.open(&board).await;
    house.starts().await;
    house.until(LIMIT, |lab| lab.phase == Phase::Ready).await;
    for n in 1..=CLUSTER {
        assert_eq!(board.talos[&node(n)].applied(), 1, "node{n}");
    }
    floor.asks_for_everything().await;
    let markers = Markers::of(&board::secrets(&board.state).unwrap());
    let heard = floor.heard();
    // What was heard is what there was to hear: leases, scripts and whole images.
    for known in ["labinator.nonce=", "talos.experimental.wipe=system", "ip=dhcp", "node3"] {
        assert!(heard.windows(known.len()).any(|window| window == known.as_bytes()), "nobody heard {known}");
    }
    assert!(heard.len() > 3 * 500_000, "{} bytes", heard.len());
    assert_eq!(markers.found_in(&heard), [""; 0]);
}
