//! A whole run of a small lab whose boss loses its power after every single disk operation, and is killed there.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

#[path = "lost_writes/stand.rs"]
mod stand;
#[path = "lost_writes/world.rs"]
mod world;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use labinator::journal::{Journal, Past};
use lifecycle::{Decision, Lab, absorb, decide};
use model::{Event, Fact, Moment, Span};
use stand::{Core, JOURNAL};
use store::Files as _;
use store::lossy::{Kept, LossyFiles};
use world::{MACHINES, World, numbers_are_used_once};

/// So many bytes may be written before a checkpoint: none in a whole run, or one after every few machines' steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Checkpoints {
    None,
    Many,
}

impl Checkpoints {
    fn begin(self, files: &LossyFiles, away: u64) -> Core {
        let growth = match self {
            Self::None => 1 << 30,
            Self::Many => 3_000,
        };
        let opened = Journal::open_with(Arc::new(files.clone()), Path::new(JOURNAL), growth);
        let (journal, past, _) = opened.unwrap();
        let core = Core::begin_on((journal, past), stand::spec(MACHINES), away, usize::from(MACHINES) * 2);
        the_checkpoint_tells_what_the_events_tell(&core);
        core
    }
}

/// The run is so short that no event has left the journal: a core that read all of them judges as one that read the
/// checkpoint. What is fleeting the checkpoint may know and they do not.
fn the_checkpoint_tells_what_the_events_tell(core: &Core) {
    let events = core.past.events.iter().map(|event| (**event).clone());
    let whole = Past::of(events).lab;
    let judged = |lab: &Option<Lab>| {
        let mut lab = lab.clone()?;
        let at = Moment { since_start: lab.latest.since_start.after(Span(1)), ..lab.latest };
        let fact = Fact::CoreStarted {
            version: "0".to_owned(),
            spec: Box::new((*lab.spec).clone()),
            kernel: String::new(),
            boottime_ms: 0,
        };
        absorb(&mut lab, &Event { seq: core.past.through + 1, at, fact });
        let Decision { facts, wishes, .. } = decide(&lab, at);
        let machines: Vec<_> = lab
            .machines
            .values()
            .map(|m| {
                (m.goal, m.person, m.off_wanted, m.rung, m.power, m.boots, m.tries, m.bad, m.carried_out)
            })
            .collect();
        Some((facts, wishes, machines, lab.run, lab.runs, lab.commands, lab.table, lab.phase))
    };
    assert_eq!(judged(&core.past.lab), judged(&whole));
}

/// The whole run on this disk, as far as the disk goes.
async fn run(
    files: &LossyFiles,
    world: &mut World,
    operations: Option<u64>,
    (away, checkpoints): (u64, Checkpoints),
) {
    let mut core = checkpoints.begin(files, away);
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
async fn cut_after(operations: u64, checkpoints: Checkpoints) -> u64 {
    let files = LossyFiles::new();
    files.cut_power_after(operations);
    let mut world = World::new();
    run(&files, &mut world, Some(operations), (0, checkpoints)).await;
    // A checkpoint is written beside the run, so that two runs differ by a few operations.
    let done = files.operations();
    assert!(done == operations || checkpoints == Checkpoints::Many && done + 20 > operations, "{done}");
    let remains = remains(&files);
    for (kept, disk) in &remains {
        let told = format!("cut after {operations} operations, {kept:?} kept, {checkpoints:?}");
        let mut world = world.clone();
        let finished = tokio::spawn({
            let disk = disk.clone();
            async move {
                run(&disk, &mut world, None, (700, checkpoints)).await;
                // And once more, to read what the second core wrote.
                let last = checkpoints.begin(&disk, 0);
                world.finds_its_promises_in(&last);
                numbers_are_used_once(&last);
                last.kill().await;
            }
        });
        assert!(finished.await.is_ok(), "{told}");
    }
    u64::try_from(remains.len()).unwrap()
}

/// Disk operations until the journal is open, whose loss is the store's own business, and those of the whole run.
async fn operations_of_a_whole_run(checkpoints: Checkpoints) -> (u64, u64) {
    let files = LossyFiles::new();
    drop(Journal::open(Arc::new(files.clone()), Path::new(JOURNAL)).unwrap());
    let opened = files.operations();
    let files = LossyFiles::new();
    let mut world = World::new();
    run(&files, &mut world, None, (0, checkpoints)).await;
    let text = files.read(Path::new(JOURNAL)).unwrap();
    let begins = text.windows(14).take(40).any(|bytes| bytes == b"{\"checkpoint\":");
    assert_eq!(begins, checkpoints == Checkpoints::Many);
    (opened, files.operations())
}

#[tokio::test(start_paused = true)]
async fn nothing_promised_is_forgotten_and_nothing_happens_twice_wherever_the_power_goes() {
    for checkpoints in [Checkpoints::None, Checkpoints::Many] {
        let (opened, whole) = operations_of_a_whole_run(checkpoints).await;
        assert!(whole > 80, "a run of {whole} operations proves little");
        let mut lives = 0;
        // There are many checkpoints in a run, so that every third operation meets each step of them.
        let stride = if checkpoints == Checkpoints::Many { 3 } else { 1 };
        for operations in (opened..=whole).step_by(stride) {
            lives += cut_after(operations, checkpoints).await;
        }
        assert!(
            lives * u64::try_from(stride).unwrap() > whole,
            "{lives} ways for {whole} operations: the tails were not torn"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_boss_that_loses_its_power_again_and_again_gets_there() {
    // A core that begins on a long journal writes a checkpoint beside all else: a dozen operations that bring nothing forward.
    let none = [9, 11, 23].map(|stride| (stride, Checkpoints::None));
    let many = [19, 23, 31].map(|stride| (stride, Checkpoints::Many));
    for (stride, checkpoints) in none.into_iter().chain(many) {
        let mut files = LossyFiles::new();
        let mut world = World::new();
        let mut cuts = 0;
        while !world.is_done() {
            cuts += 1;
            assert!(cuts < 200, "no progress between cuts {stride} operations apart, {checkpoints:?}");
            let operations = stride + cuts % 5;
            if cuts == 1 {
                drop(Journal::open(Arc::new(files.clone()), Path::new(JOURNAL)).unwrap());
            }
            let limit = files.operations() + operations;
            files.cut_power_after(operations);
            run(&files, &mut world, Some(limit), (700, checkpoints)).await;
            files = files.after_power_cut(if cuts % 2 == 0 { Kept::Nothing } else { Kept::Scattered(cuts) });
        }
    }
}
