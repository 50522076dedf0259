//! The journal alone: checkpoints, damage, old forms, full disks, and a process that is killed while it writes.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

#[path = "lost_writes/stand.rs"]
mod stand;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use labinator::journal::{Checkpoint, EVENTS_KEPT, Journal, JournalError, Next, Past, read};
use lifecycle::Lab;
use model::{
    Event, Fact, LabTime, Moment, Outcome, Phase, PowerOrder, PowerState, Rung, ScriptAnswer, Sight, WallTime,
};
use stand::{JOURNAL, beat, boot_sights, images, node, report, seen, sighted, spec};
use store::log::LogError;
use store::lossy::{Kept, LossyFiles};
use store::{Disk, Files};

/// So many bytes that nothing is compacted unless a test says so.
const NEVER: u64 = 1 << 40;

fn moment(seq: u64) -> Moment {
    Moment { since_start: LabTime(seq * 100), wall: WallTime(1_700_000_000_000 + seq * 100) }
}

fn numbered(facts: impl IntoIterator<Item = Fact>, after: u64) -> Vec<Event> {
    (after + 1..).zip(facts).map(|(seq, fact)| Event { seq, at: moment(seq), fact }).collect()
}

fn core_started() -> Fact {
    Fact::CoreStarted {
        version: "0".to_owned(),
        spec: Box::new(spec(2)),
        kernel: "the kernel".to_owned(),
        boottime_ms: 5,
    }
}

/// A core begins, and two machines are brought to ready.
fn beginning() -> Vec<Fact> {
    let mut facts = vec![core_started(), images(), Fact::CounterSeen { up: true }];
    facts.push(Fact::StartAccepted { run: 1, scenario: stand::all(), by: model::Origin::Cli });
    facts.push(Fact::PhaseEntered { phase: Phase::Booting, because: "run 1 of scenario all".to_owned() });
    (1..=2).for_each(|n| facts.extend(boot(n, 1)));
    facts
}

/// One boot of a machine, with what a person does not wait for.
fn boot(number: u8, boot: u64) -> Vec<Fact> {
    let command = model::Command::Power {
        node: node(number),
        port: spec(2).board.nodes[&node(number)].power.clone(),
        order: PowerOrder::On,
    };
    let id = model::CommandId(boot * 10 + u64::from(number));
    let mut facts = vec![
        seen(number, PowerState::Off),
        Fact::Issued { id, command },
        Fact::Finished { id, outcome: Outcome::Done },
        seen(number, PowerState::On),
    ];
    facts.extend(boot_sights(number));
    facts.push(sighted(number, Sight::ScriptAsked { answer: ScriptAnswer::Boot }));
    facts.push(report(number, boot));
    facts.push(Fact::Entered { node: node(number), rung: Rung::Ready });
    facts
}

fn open(files: &LossyFiles) -> (Journal, Past) {
    let (journal, past, _) = Journal::open_with(Arc::new(files.clone()), Path::new(JOURNAL), NEVER).unwrap();
    (journal, past)
}

fn append(journal: &mut Journal, events: &[Event]) {
    events.iter().for_each(|event| journal.append(event, event.fact.keeping()).unwrap());
    let synced = journal.begin_sync().run();
    journal.finish_sync(synced).unwrap();
}

fn checkpoint_of(past: &Past) -> Checkpoint {
    Checkpoint {
        lab: past.lab.clone().unwrap(),
        through: past.through,
        events: past.events.iter().cloned().collect(),
    }
}

/// Writes a checkpoint of this past in place of all that is in the journal; `meanwhile` is done between its steps.
fn compact(
    journal: &mut Journal,
    past: &Past,
    mut meanwhile: impl FnMut(&mut Journal),
) -> Result<(), JournalError> {
    let mut step = journal.begin_compaction(checkpoint_of(past));
    loop {
        meanwhile(journal);
        match journal.goes_on(step.run()?) {
            Next::Again(again) => step = again,
            Next::Swap(swap, checkpoint) => return journal.finish_swap(swap.run(), checkpoint),
        }
    }
}

/// A journal that begins with a checkpoint, and what it tells.
fn compacted() -> (LossyFiles, Past) {
    let files = LossyFiles::new();
    let (mut journal, _) = open(&files);
    let events = numbered(beginning(), 0);
    append(&mut journal, &events);
    compact(&mut journal, &Past::of(events), |_| {}).unwrap();
    drop(journal);
    let past = open(&files).1;
    (files, past)
}

fn text(files: &LossyFiles) -> Vec<u8> {
    files.read(Path::new(JOURNAL)).unwrap()
}

/// A disk with this journal and nothing else.
fn disk_with(journal: &[u8]) -> LossyFiles {
    let files = LossyFiles::new();
    files.open(Path::new(JOURNAL)).unwrap().write_at(journal, 0).unwrap();
    files
}

#[test]
fn a_checkpoint_and_the_events_after_it_tell_the_lab_that_all_events_tell() {
    let all = [beginning(), boot(1, 2), boot(2, 2), boot(1, 3), vec![beat(1, 3)]].concat();
    let all = numbered(all, 0);
    let whole = Past::of(all.clone());
    for cut in 1..all.len() {
        let files = LossyFiles::new();
        let (mut journal, _) = open(&files);
        append(&mut journal, &all[..cut]);
        compact(&mut journal, &Past::of(all[..cut].to_vec()), |_| {}).unwrap();
        append(&mut journal, &all[cut..]);
        drop(journal);
        let past = open(&files.after_power_cut(Kept::Nothing)).1;
        // A heartbeat is not written, and a checkpoint behind it would know it.
        let (_, kept) = all.split_last().unwrap();
        assert_eq!(past.lab, Past::of(kept.to_vec()).lab, "cut after {cut} events");
        assert_eq!(past.through, whole.through - 1, "cut after {cut} events");
        assert_eq!(past.folded, u64::try_from(cut).unwrap());
        let told: Vec<u64> = past.events.iter().map(|event| event.seq).collect();
        assert_eq!(told, (1..whole.through).collect::<Vec<_>>(), "events before it are still told");
    }
}

#[test]
fn what_is_appended_while_a_checkpoint_is_written_is_behind_it() {
    let files = LossyFiles::new();
    let (mut journal, _) = open(&files);
    let events = numbered(beginning(), 0);
    append(&mut journal, &events);
    let mut all = events.clone();
    // More than may be left for the swap in each step, so that it follows again and again.
    compact(&mut journal, &Past::of(events), |journal| {
        let more = (0..40).flat_map(|n| boot(1, 2 + n));
        let more = numbered(more, u64::try_from(all.len()).unwrap());
        more.iter().for_each(|event| journal.append(event, event.fact.keeping()).unwrap());
        all.extend(more);
    })
    .unwrap();
    assert!(!journal.is_unsynced(), "a swap syncs all");
    let past = open(&files.after_power_cut(Kept::Nothing)).1;
    assert_eq!(past.lab, Past::of(all.clone()).lab);
    assert!(past.folded < past.through);
    assert_eq!(past.through, u64::try_from(all.len()).unwrap());
}

#[test]
fn a_journal_shrinks_and_numbers_go_on() {
    let files = LossyFiles::new();
    let (mut journal, _, _) =
        Journal::open_with(Arc::new(files.clone()), Path::new(JOURNAL), 20_000).unwrap();
    let mut past = Past::default();
    let (mut most, mut checkpoints) = (0, 0);
    for number in 0..1_500 {
        let facts = if number == 0 { beginning() } else { boot(1, number) };
        let events = numbered(facts, past.through);
        append(&mut journal, &events);
        events.into_iter().for_each(|event| past.take(event));
        if journal.is_worn() {
            compact(&mut journal, &past, |_| {}).unwrap();
            checkpoints += 1;
        }
        most = most.max(files.open(Path::new(JOURNAL)).unwrap().size().unwrap());
    }
    assert!(past.through > 2 * u64::try_from(EVENTS_KEPT).unwrap(), "{}", past.through);
    // What is told again for people takes 2 MiB at most, and as much may be written before it is compacted again.
    assert!(most < 5 << 20, "{most}");
    assert!((3..100).contains(&checkpoints), "{checkpoints}");
    drop(journal);
    let found = open(&files).1;
    assert_eq!((found.through, &found.lab), (past.through, &past.lab));
    assert!(found.events.len() > 1_000, "{}", found.events.len());
    assert!(found.events.iter().zip(found.events.iter().skip(1)).all(|(a, b)| a.seq + 1 == b.seq));
}

/// Bytes behind the header of the log: the ends of its lines, and some between.
fn places_in(journal: &[u8]) -> Vec<usize> {
    let end = |at: usize| journal[at.saturating_sub(2)..(at + 2).min(journal.len())].contains(&b'\n');
    (18..journal.len()).filter(|at| at % 61 == 0 || end(*at) || *at < 45).collect()
}

#[test]
fn a_damaged_checkpoint_is_refused_with_its_byte_or_only_loses_what_was_never_promised() {
    let (files, past) = compacted();
    let whole = text(&files);
    let mut refused = 0;
    let places = places_in(&whole);
    for at in places.iter().copied() {
        let mut bad = whole.clone();
        bad[at] ^= 0x11;
        let disk = disk_with(&bad);
        let error = Journal::open_with(Arc::new(disk.clone()), Path::new(JOURNAL), NEVER).unwrap_err();
        let byte = match &error {
            JournalError::Log(LogError::Damaged { offset, .. }) | JournalError::Short { offset, .. } => {
                *offset
            }
            other => panic!("changed byte {at}: {other}"),
        };
        assert!(byte <= u64::try_from(at).unwrap(), "changed byte {at}: {error}");
        assert!(error.to_string().contains(&byte.to_string()), "{error}");
        assert_eq!(text(&disk), bad, "the file is left as it was");
        refused += 1;
    }
    assert_eq!(refused, places.len());
    assert_eq!(open(&disk_with(&whole)).1.lab, past.lab, "the undamaged one opens");
}

#[test]
fn a_checkpoint_that_breaks_off_is_refused_and_its_rest_is_not_cut_away() {
    let (files, _) = compacted();
    let whole = text(&files);
    for cut in places_in(&whole) {
        let disk = disk_with(&whole[..cut]);
        let error = Journal::open_with(Arc::new(disk.clone()), Path::new(JOURNAL), NEVER).err();
        let nothing_of_it = cut < 17 + 9 + "{\"checkpoint\":".len();
        match error {
            Some(JournalError::Short { offset, missing, .. }) => {
                assert!(missing > 0 && offset <= u64::try_from(cut).unwrap());
                assert_eq!(text(&disk).len(), cut);
            }
            // A journal whose first event was being written when the power went looks the same.
            None if nothing_of_it => {}
            other => panic!("cut at {cut}: {other:?}"),
        }
    }
}

#[test]
fn a_journal_of_a_later_form_is_refused_and_says_so() {
    let (files, _) = compacted();
    let text = String::from_utf8(text(&files)).unwrap();
    let first = text.lines().nth(1).unwrap();
    let later = first[9..].replacen("\"form\":1", "\"form\":2", 1);
    let disk = LossyFiles::new();
    let mut log = store::log::Log::open(Arc::new(disk.clone()), Path::new(JOURNAL)).unwrap().log;
    log.append(later.as_bytes()).unwrap();
    drop(log);
    let error = Journal::open(Arc::new(disk), Path::new(JOURNAL)).unwrap_err();
    assert_eq!(error.code(), "journal-later");
    assert!(error.to_string().contains("form 2, and this version reads form 1"), "{error}");
    assert!(error.advice().contains("the release that wrote"), "{}", error.advice());
}

#[test]
fn a_record_that_is_no_event_is_refused_with_its_byte() {
    let files = LossyFiles::new();
    let mut log = store::log::Log::open(Arc::new(files.clone()), Path::new(JOURNAL)).unwrap().log;
    log.append(br#"{"seq":1}"#).unwrap();
    drop(log);
    let error = Journal::open(Arc::new(files), Path::new(JOURNAL)).unwrap_err();
    assert_eq!(error.code(), "journal-form");
    assert!(error.to_string().contains("byte 17"), "{error}");
}

/// Journals of each form, as they were first written: every later version reads them. With `UPDATE_GOLDEN` those that are
/// missing are written; none is ever written again.
fn journals_of_releases() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/journals");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(&folder).unwrap();
        let files = LossyFiles::new();
        let mut journal = open(&files).0;
        let events = numbered([beginning(), boot(1, 2)].concat(), 0);
        append(&mut journal, &events);
        let keep = |name: &str| {
            let path = folder.join(name);
            if !path.exists() {
                std::fs::write(path, text(&files)).unwrap();
            }
        };
        keep("events.journal");
        compact(&mut journal, &Past::of(events), |_| {}).unwrap();
        keep("checkpoint-1.journal");
    }
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .collect();
    found.sort();
    found
}

#[test]
fn journals_that_were_written_before_still_open() {
    let found = journals_of_releases();
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["checkpoint-1.journal", "events.journal"]);
    for (name, journal) in &found {
        let (_, past) = open(&disk_with(journal));
        let lab: Lab = past.lab.unwrap();
        let told = (past.through, lab.runs, lab.machines[&node(1)].boots, lab.machines[&node(1)].rung);
        assert_eq!(told, (44, 1, 2, Rung::Ready), "{name}");
        assert_eq!(lab.machines[&node(1)].past.len(), 2, "{name}");
        assert_eq!(lab.core.as_ref().map(|core| core.boottime_ms), Some(5), "{name}");
    }
}

#[test]
fn a_full_disk_leaves_the_journal_as_it_was_and_takes_a_checkpoint_when_there_is_room() {
    let files = LossyFiles::new();
    let (mut journal, _) = open(&files);
    let events = numbered(beginning(), 0);
    append(&mut journal, &events);
    let past = Past::of(events);
    let before = text(&files);
    for space in [0, 10, 500, 3_000] {
        files.set_space(Some(space));
        let error = compact(&mut journal, &past, |_| {}).unwrap_err();
        assert_eq!(error.code(), "log-disk-full");
        assert_eq!(text(&files), before);
        assert!(files.read(Path::new("state/journal.new")).is_err(), "nothing is left of it");
    }
    files.set_space(None);
    let more = numbered(boot(1, 2), past.through);
    append(&mut journal, &more);
    let past = Past::of(past.events.iter().map(|event| (**event).clone()).chain(more));
    compact(&mut journal, &past, |_| {}).unwrap();
    drop(journal);
    assert_eq!(open(&files).1.lab.unwrap().machines[&node(1)].boots, 2);
}

#[test]
fn a_journal_tells_again_what_its_checkpoint_did_not_swallow() {
    let (files, past) = compacted();
    let told = read(&files, Path::new(JOURNAL)).unwrap();
    assert_eq!((told.before, told.events.len()), (0, usize::try_from(past.through).unwrap()));
    let files = LossyFiles::new();
    let (mut journal, _) = open(&files);
    let events = numbered(beginning(), 0);
    append(&mut journal, &events);
    let mut past = Past::of(events);
    past.events.drain(..5);
    compact(&mut journal, &past, |_| {}).unwrap();
    let told = read(&files, Path::new(JOURNAL)).unwrap();
    assert_eq!((told.before, told.events[0].seq), (5, 6));
    assert_eq!(told.spec.unwrap().board.nodes.len(), 2);
}

/// Boots after boots, a checkpoint after every few, and a line for each number that was promised. Killed by its parent.
#[test]
#[ignore = "run and killed by the test below"]
fn writes_until_it_is_killed() {
    let path = std::env::var_os("JOURNAL_TO_WRITE").unwrap();
    let files: Arc<dyn Files> = Arc::new(Disk);
    let (mut journal, mut past, _) = Journal::open_with(files, Path::new(&path), NEVER).unwrap();
    if past.lab.is_none() {
        let events = numbered(beginning(), 0);
        append(&mut journal, &events);
        events.into_iter().for_each(|event| past.take(event));
    }
    loop {
        let mut told = past.clone();
        compact(&mut journal, &past, |journal| {
            let boots = u64::from(told.lab.as_ref().unwrap().machines[&node(1)].boots);
            let events = numbered(boot(1, boots + 1), told.through);
            append(journal, &events);
            events.into_iter().for_each(|event| told.take(event));
            println!("promised {}", told.through);
        })
        .unwrap();
        past = told;
    }
}

#[test]
fn killed_at_any_time_it_finds_all_that_was_promised() {
    let folder = std::env::temp_dir().join(format!("labinator-killed-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("journal");
    let mut checkpoints = 0;
    for lives in 1..=12 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writes_until_it_is_killed", "--ignored", "--nocapture"])
            .env("JOURNAL_TO_WRITE", &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut promised: u64 = 0;
        let words = lines.filter_map(|line| line.unwrap().strip_prefix("promised ").map(str::to_owned));
        for (number, word) in (1..).zip(words) {
            promised = word.parse().unwrap();
            // Each life ends a little later, at whatever it does then.
            if number == lives {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        let (journal, past, _) = Journal::open_with(Arc::new(Disk), &path, NEVER).unwrap();
        drop(journal);
        assert!(past.through >= promised, "life {lives}: {promised} was promised, {} found", past.through);
        checkpoints += u64::from(past.folded > 0);
        let lab = past.lab.unwrap();
        let (machine, told) = (&lab.machines[&node(1)], past.through);
        // Every boot has so many events, so their number tells how far the lab must be.
        let boots = 1 + (told - 31) / 13;
        assert!(u64::from(machine.boots) >= boots, "life {lives}: {} boots by event {told}", machine.boots);
        assert!(!folder.join("journal.new").exists());
    }
    assert!(checkpoints > 8, "{checkpoints} lives found a checkpoint");
    std::fs::remove_dir_all(&folder).unwrap();
}
