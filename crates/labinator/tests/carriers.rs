//! How configs get to their machines, from firmware to a cluster: simulated machines boot over the real counter, become
//! simulated Talos nodes, and every byte that anybody on the segment could have heard is searched for keys.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

#[path = "clusters/board.rs"]
#[expect(dead_code, reason = "each test file uses its own part of the board")]
mod board;
#[path = "whole_lab/floor.rs"]
#[expect(dead_code, reason = "each test file uses its own part of the floor")]
mod floor;
#[path = "carriers/lines.rs"]
mod lines;
#[path = "carriers/markers.rs"]
mod markers;
#[path = "carriers/segment.rs"]
mod segment;
#[path = "lost_writes/stand.rs"]
mod stand;

use std::sync::atomic::Ordering;
use std::time::Duration;

use board::{Board, CLUSTER, RECEIVER};
use markers::Markers;
use model::{ConfigCarrier, Fact, Phase, Sight};
use segment::Floor;
use stand::{all, node};
use talos::api::Character;

/// Longest wait for a cluster, in the lab's own time.
const LIMIT: Duration = Duration::from_secs(2 * 3600);

#[tokio::test(start_paused = true)]
async fn nothing_that_is_served_without_a_name_has_a_key_in_it() {
    let mut board = Board::new("bytes-push", Character::UpTo12, |_| Vec::new());
    let documents = format!("apiVersion: v1alpha1\nkind: EventSinkConfig\nendpoint: 10.9.0.1:{RECEIVER}\n");
    let inline = talos::inline::encode(&documents, None, 0).unwrap();
    let talos = board.spec.scenarios.get_mut(&all()).unwrap().talos.as_mut().unwrap();
    talos.inline = Some(inline.clone());
    let floor = Floor::new(&board);
    let house = floor.open(&board).await;
    house.starts().await;
    house.until(LIMIT, |lab| lab.phase == Phase::Ready).await;
    for n in 1..=CLUSTER {
        assert_eq!(board.talos[&node(n)].applied(), 1, "node{n}");
    }
    // What stood on the kernel line acted: each machine called the receiver that nothing else names.
    assert!(board.receiver.load(Ordering::Relaxed) >= u32::from(CLUSTER));
    floor.asks_for_everything().await;
    let markers = Markers::of(&board::secrets(&board.state).unwrap());
    let heard = floor.heard();
    // What was heard is what there was to hear: leases, scripts and whole images.
    for known in [
        "labinator.nonce=",
        &format!("talos.config.inline={inline} "),
        "talos.experimental.wipe=system",
        "ip=dhcp",
        "node3",
    ] {
        assert!(heard.windows(known.len()).any(|window| window == known.as_bytes()), "nobody heard {known}");
    }
    assert!(heard.len() > 3 * 500_000, "{} bytes", heard.len());
    assert_eq!(markers.found_in(&heard), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn configs_that_are_fetched_make_a_cluster_and_are_heard_by_whoever_listens() {
    let mut board = Board::new("bytes-pull", Character::UpTo12, |_| Vec::new());
    let scenario = board.spec.scenarios.get_mut(&all()).unwrap();
    scenario.talos.as_mut().unwrap().carrier = ConfigCarrier::Pull;
    let floor = Floor::new(&board);
    let house = floor.open(&board).await;
    house.starts().await;
    house.until(LIMIT, |lab| lab.phase == Phase::Ready).await;
    for n in 1..=CLUSTER {
        let talos = &board.talos[&node(n)];
        assert_eq!((talos.applied(), talos.fetched()), (0, 1), "node{n}");
    }
    // The same search finds keys here: it would have found them there.
    let markers = Markers::of(&board::secrets(&board.state).unwrap());
    let found = markers.found_in(&floor.heard());
    for known in ["PRIVATE KEY in base64", "bootstraptoken", "token", "secretboxencryptionsecret", "key"] {
        assert!(found.contains(&known), "{known} is not among {found:?}");
    }
    // Each serve is a fact, and no fact, no ledger and no boot table has a key in it.
    let facts = house.written().await;
    let serves = facts.iter().filter(|fact| {
        matches!(fact, Fact::Sighted { sight: Sight::ConfigAsked { bytes: Some(1000..) }, .. })
    });
    assert_eq!(serves.count(), usize::from(CLUSTER));
    assert_eq!(markers.found_in(serde_json::to_string(&facts).unwrap().as_bytes()), [""; 0]);
    assert_eq!(markers.found_in(&floor.kept()), [""; 0]);
    // What was fetched is there for nobody any more.
    let heard = floor.heard();
    let words = String::from_utf8_lossy(&heard);
    let mut places: Vec<&str> = words.match_indices("talos.config=").map(|(at, _)| &words[at..]).collect();
    places.retain(|rest| rest.contains("/c/"));
    assert!(places.len() >= usize::from(CLUSTER), "{} places", places.len());
    for rest in places {
        let path = &rest[rest.find("/c/").unwrap()..][..35];
        for last in [11, 12, 13, 99] {
            let answer = floor.asks([10, 9, 0, last].into(), path).await;
            assert!(answer.starts_with("HTTP/1.1 404"), "{path} for {last}: {answer}");
        }
    }
}
