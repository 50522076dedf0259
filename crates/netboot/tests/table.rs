//! The boot table on the line and on disk: whole once, then what changed.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

mod stand;

use std::sync::Arc;

use model::{BootTable, TableChange};
use netboot::Up;
use stand::{NODE1, NODE2, Stand, table};

/// The next table: its first machine is in another boot.
fn next(before: &BootTable, boot: u32) -> BootTable {
    let mut table = before.clone();
    table.number += 1;
    Arc::make_mut(&mut table.nodes[0]).boot = boot;
    table
}

fn boot_of(stand: &Stand) -> u32 {
    stand.counter.board().unwrap().entry(NODE1).unwrap().boot
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_in_force_and_a_killed_counter_still_knows_it() {
    let stand = Stand::start(4);
    let mut core = stand.core().await;
    let first = table(&stand.shelf(), 1);
    core.publish(first.clone()).await;
    let second = next(&first, 7);
    let change = second.change_from(&first).unwrap();
    assert_eq!(change.nodes.len(), 1, "only the line that changed travels");
    core.amend(change).await;
    assert_eq!((stand.counter.table_number(), boot_of(&stand)), (Some(2), 7));
    assert_eq!(stand.counter.board().unwrap().table(), &second);
    let shared = stand.counter.board().unwrap();
    let third = next(&second, 8);
    core.amend(third.change_from(&second).unwrap()).await;
    assert!(stand.counter.board().unwrap().places_like(&shared), "no address moved");
    assert_eq!(stand.counter.board().unwrap().entry(NODE2).unwrap(), &*third.nodes[1]);

    let again = Stand::start_in(stand.kill().await, 4);
    assert_eq!((again.counter.table_number(), boot_of(&again)), (Some(3), 8));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_another_table_changes_nothing_and_ends_the_line() {
    let stand = Stand::start(4);
    let mut core = stand.core().await;
    let first = table(&stand.shelf(), 1);
    core.publish(first.clone()).await;
    let change = TableChange { after: 5, number: 6, nodes: vec![Arc::clone(&first.nodes[0])] };
    core.say(change).await;
    while core.next().await.is_some() {}
    assert_eq!(stand.counter.table_number(), Some(1));
    // The next line begins with a whole table, as every line does.
    let mut core = stand.core().await;
    core.publish(next(&first, 2)).await;
    assert_eq!(boot_of(&stand), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_changes_for_a_night_stays_small_on_disk() {
    let stand = Stand::with_board();
    let mut last = table(&stand.shelf(), 1);
    let path = stand.folder.0.join("state").join("boot-table");
    let mut largest = 0;
    for boot in 0..4000 {
        let newer = next(&last, boot);
        stand.counter.amend(newer.change_from(&last).unwrap()).unwrap().unwrap();
        largest = largest.max(std::fs::metadata(&path).unwrap().len());
        last = newer;
    }
    assert!(largest < 300_000, "{largest} bytes for two machines");
    let again = Stand::start_in(stand.kill().await, 4);
    assert_eq!(again.counter.board().unwrap().table(), &last);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_table_is_begun_anew_and_the_counter_opens() {
    let stand = Stand::with_board();
    let folder = stand.kill().await;
    let path = folder.0.join("state").join("boot-table");
    let mut content = std::fs::read(&path).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 1;
    content.extend_from_slice(b"more behind it\n");
    std::fs::write(&path, content).unwrap();
    let stand = Stand::start_in(folder, 4);
    assert_eq!(stand.counter.table_number(), None);
    let mut core = stand.core().await;
    assert!(matches!(core.next().await, Some(Up::Hello { table: None, .. })));
}
