//! A whole run of a small lab whose boss loses its power after every single disk operation, and is killed there.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

#[path = "lost_writes/stand.rs"]
mod stand;
#[path = "lost_writes/world.rs"]
mod world;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use stand::{Core, JOURNAL};
use store::Files as _;
use store::lossy::{Kept, LossyFiles};
use world::{MACHINES, World, numbers_are_used_once};

/// The whole run on this disk, as far as the disk goes.
async fn run(files: &LossyFiles, world: &mut World, operations: Option<u64>, away: u64) {
    let mut core = Core::begin(Arc::new(files.clone()), MACHINES, away);
    world.finds_its_promises_in(&core);
    numbers_are_used_once(&core);
    let over = || operations.is_some_and(|limit| files.operations() >= limit);
    world.live(&mut core, over).await;
    core.kill().await;
}

/// What is left on the disk, each state once.
fn remains(files: &LossyFiles) -> Vec<(Kept, LossyFiles)> {
    let pending = files.pending();
    let mut kinds = vec![Kept::Nothing, Kept::Everything];
    // Cuts inside the last record, at its ends, and between records.
    kinds.extend(
        [1, pending / 3, pending / 2, pending.saturating_sub(40), pending.saturating_sub(1)].map(Kept::First),
    );
    kinds.extend([1, 2].map(Kept::Scattered));
    let mut known = BTreeSet::new();
    let states = kinds.into_iter().map(|kept| (kept, files.after_power_cut(kept)));
    states.filter(|(_, disk)| known.insert(disk.read(Path::new(JOURNAL)).ok())).collect()
}

/// Runs to the end on what a cut after so many operations left, in each way.
async fn cut_after(operations: u64) -> u64 {
    let files = LossyFiles::new();
    files.cut_power_after(operations);
    let mut world = World::new();
    run(&files, &mut world, Some(operations), 0).await;
    assert_eq!(files.operations(), operations);
    let remains = remains(&files);
    for (kept, disk) in &remains {
        let told = format!("cut after {operations} operations, {kept:?} kept");
        let mut world = world.clone();
        let finished = tokio::spawn({
            let disk = disk.clone();
            async move {
                run(&disk, &mut world, None, 700).await;
                // And once more, to read what the second core wrote.
                let last = Core::begin(Arc::new(disk), MACHINES, 0);
                world.finds_its_promises_in(&last);
                numbers_are_used_once(&last);
                last.kill().await;
            }
        });
        assert!(finished.await.is_ok(), "{told}");
    }
    u64::try_from(remains.len()).unwrap()
}

/// Disk operations until the journal is open, whose loss is the store's own business.
async fn operations_of_a_whole_run() -> (u64, u64) {
    let files = LossyFiles::new();
    drop(labinator::journal::Journal::open(Arc::new(files.clone()), Path::new(JOURNAL)).unwrap());
    let opened = files.operations();
    let files = LossyFiles::new();
    let mut world = World::new();
    run(&files, &mut world, None, 0).await;
    (opened, files.operations())
}

#[tokio::test(start_paused = true)]
async fn nothing_promised_is_forgotten_and_nothing_happens_twice_wherever_the_power_goes() {
    let (opened, whole) = operations_of_a_whole_run().await;
    assert!(whole > 80, "a run of {whole} operations proves little");
    let mut lives = 0;
    for operations in opened..=whole {
        lives += cut_after(operations).await;
    }
    assert!(lives > whole, "{lives} ways for {whole} operations: the tails were not torn");
}

#[tokio::test(start_paused = true)]
async fn a_boss_that_loses_its_power_again_and_again_gets_there() {
    for stride in [7, 11, 23] {
        let mut files = LossyFiles::new();
        let mut world = World::new();
        let mut cuts = 0;
        while !world.is_done() {
            cuts += 1;
            assert!(cuts < 200, "no progress between cuts {stride} operations apart");
            let operations = stride + cuts % 5;
            if cuts == 1 {
                drop(labinator::journal::Journal::open(Arc::new(files.clone()), Path::new(JOURNAL)).unwrap());
            }
            let limit = files.operations() + operations;
            files.cut_power_after(operations);
            run(&files, &mut world, Some(limit), 700).await;
            files = files.after_power_cut(if cuts % 2 == 0 { Kept::Nothing } else { Kept::Scattered(cuts) });
        }
    }
}
