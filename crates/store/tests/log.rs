//! The append log over a disk that loses, fills and fails.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

use std::path::Path;
use std::sync::Arc;

use store::log::{Log, LogError, Opened};
use store::lossy::{Kept, LossyFiles};
use store::{Disk, Files};

const PATH: &str = "/state/journal";

fn open(files: &LossyFiles) -> Opened {
    Log::open(Arc::new(files.clone()), Path::new(PATH)).unwrap()
}

fn texts(opened: &Opened) -> Vec<String> {
    opened.records.iter().map(|record| String::from_utf8(record.clone()).unwrap()).collect()
}

/// Ten records, a sync after each third; returns how many were promised to survive.
fn write_ten(files: &LossyFiles) -> usize {
    let Ok(Opened { mut log, .. }) = Log::open(Arc::new(files.clone()), Path::new(PATH)) else { return 0 };
    let mut promised = 0;
    for n in 0..10 {
        if log.append(format!("record {n}").as_bytes()).is_err() {
            break;
        }
        if n % 3 == 2 && log.sync().is_ok() {
            promised = n + 1;
        }
    }
    promised
}

#[test]
fn what_was_synced_survives_a_power_cut_at_every_operation_however_the_rest_is_torn() {
    let whole = LossyFiles::new();
    write_ten(&whole);
    for operations in 0..=whole.operations() {
        let files = LossyFiles::new();
        files.cut_power_after(operations);
        let promised = write_ten(&files);
        let ways = (0..=files.pending()).map(Kept::First).chain((0..40).map(Kept::Scattered));
        for kept in ways.chain([Kept::Nothing, Kept::Everything]) {
            let records = texts(&open(&files.after_power_cut(kept)));
            assert!(records.len() >= promised, "cut after {operations}, {kept:?}: {records:?}");
            for (n, record) in records.iter().enumerate() {
                assert_eq!(record, &format!("record {n}"), "cut after {operations}, {kept:?}");
            }
        }
    }
}

#[test]
fn a_rewrite_leaves_the_old_or_the_new_log_after_a_power_cut_at_every_operation() {
    let run = |files: &LossyFiles| {
        let mut log = open(files).log;
        for n in 0..5 {
            log.append(format!("old {n}").as_bytes()).unwrap();
        }
        log.sync().unwrap();
        let before = files.operations();
        (log, before)
    };
    let whole = LossyFiles::new();
    let (mut log, before) = run(&whole);
    log.rewrite([b"new".as_slice()]).unwrap();
    log.append(b"next").unwrap();
    log.sync().unwrap();
    let steps = whole.operations() - before;
    assert_eq!(texts(&open(&whole.after_power_cut(Kept::Nothing))), ["new", "next"]);
    for step in 0..=steps {
        let files = LossyFiles::new();
        let (mut log, _) = run(&files);
        files.cut_power_after(step);
        let rewritten = log.rewrite([b"new".as_slice()]).is_ok();
        for kept in (0..=files.pending()).map(Kept::First).chain((0..40).map(Kept::Scattered)) {
            let records = texts(&open(&files.after_power_cut(kept)));
            let old = records == ["old 0", "old 1", "old 2", "old 3", "old 4"];
            assert!(records == ["new"] || old && !rewritten, "step {step}, {kept:?}: {records:?}");
        }
    }
}

#[test]
fn a_full_disk_refuses_the_record_and_the_log_goes_on() {
    let files = LossyFiles::new();
    let mut log = open(&files).log;
    log.append(b"first").unwrap();
    for space in 0..20 {
        files.set_space(Some(space));
        let error = log.append(b"a record of more than twenty bytes").unwrap_err();
        assert!(error.is_full());
        assert_eq!(error.code(), "log-disk-full");
    }
    assert!(log.rewrite([b"a record of more than twenty bytes".as_slice()]).is_err());
    files.set_space(None);
    log.append(b"second").unwrap();
    log.sync().unwrap();
    assert_eq!(texts(&open(&files.after_power_cut(Kept::Nothing))), ["first", "second"]);
}

#[test]
fn a_failed_sync_is_made_good_by_the_next_one() {
    let files = LossyFiles::new();
    let mut log = open(&files).log;
    log.append(b"first").unwrap();
    files.fail_syncs(2);
    assert!(log.sync().is_err());
    log.append(b"second").unwrap();
    assert!(log.sync().is_err());
    assert!(log.unsynced() > 0);
    log.sync().unwrap();
    assert_eq!(log.unsynced(), 0);
    assert_eq!(texts(&open(&files.after_power_cut(Kept::Nothing))), ["first", "second"]);
}

#[test]
fn records_appended_while_a_sync_runs_elsewhere_belong_to_the_next() {
    let files = LossyFiles::new();
    let mut log = open(&files).log;
    log.append(b"first").unwrap();
    let syncing = log.begin_sync();
    let synced = std::thread::spawn(|| syncing.run()).join().unwrap();
    log.append(b"second").unwrap();
    log.finish_sync(synced).unwrap();
    assert!(log.unsynced() > 0);
    let stale = log.begin_sync().run();
    log.rewrite([b"only".as_slice()]).unwrap();
    log.append(b"after").unwrap();
    log.finish_sync(stale).unwrap();
    assert!(log.unsynced() > 0, "a sync of the old file says nothing about the new one");
}

#[test]
fn a_sync_that_ran_beside_a_failed_one_promises_nothing() {
    let files = LossyFiles::new();
    let mut log = open(&files).log;
    log.append(b"first").unwrap();
    let (one, two) = (log.begin_sync(), log.begin_sync());
    files.fail_syncs(1);
    let (failed, well) = (one.run(), two.run());
    assert!(log.finish_sync(failed).is_err());
    assert!(log.finish_sync(well).is_err());
    log.sync().unwrap();
    assert_eq!(texts(&open(&files.after_power_cut(Kept::Nothing))), ["first"]);
}

/// A log of five old records, and how many operations it took.
fn five_old(files: &LossyFiles) -> (Log, u64) {
    let mut log = open(files).log;
    for n in 0..5 {
        log.append(format!("old {n}").as_bytes()).unwrap();
    }
    log.sync().unwrap();
    let before = files.operations();
    (log, before)
}

/// Rewrites it while three records are appended, of which the second is promised, and appends and promises a fourth.
/// How many records were promised to survive.
fn rewrite_beside_appends(log: &mut Log) -> usize {
    let mut promised = 5;
    let mut rewrite = log.begin_rewrite();
    let mut go = || -> Result<(), LogError> {
        let written = rewrite.write(b"all that was old");
        log.append(b"new 1")?;
        log.append(b"new 2")?;
        log.sync()?;
        promised = 7;
        written?;
        rewrite.follow(log.size())?;
        log.append(b"new 3")
    };
    if go().is_err() {
        return promised;
    }
    let swap = log.begin_swap(rewrite);
    assert!(matches!(log.append(b"lost"), Err(LogError::Swapping { .. })));
    if log.finish_swap(swap.run()).is_ok() {
        promised = 8;
    }
    if log.append(b"new 4").is_ok() && log.sync().is_ok() {
        promised = 9;
    }
    promised
}

#[test]
fn a_rewrite_beside_appends_forgets_no_promise_after_a_power_cut_or_a_kill_at_every_operation() {
    let whole = LossyFiles::new();
    let (mut log, before) = five_old(&whole);
    assert_eq!(rewrite_beside_appends(&mut log), 9);
    let steps = whole.operations() - before;
    let (mut old, mut new) = (0, 0);
    for step in 0..=steps {
        let files = LossyFiles::new();
        let (mut log, _) = five_old(&files);
        files.cut_power_after(step);
        let promised = rewrite_beside_appends(&mut log);
        drop(log);
        let mut check = |files: &LossyFiles, told: &str| {
            let found = open(files);
            let mut records = texts(&found);
            if records.first().is_some_and(|first| first == "all that was old") {
                new += 1;
                records.splice(..1, (0..5).map(|n| format!("old {n}")));
            } else {
                old += 1;
            }
            assert!(records.len() >= promised, "{told}: {promised} promised, {records:?}");
            for (n, record) in records.iter().enumerate() {
                let wanted = if n < 5 { format!("old {n}") } else { format!("new {}", n - 4) };
                assert_eq!(*record, wanted, "{told}");
            }
            found.log
        };
        for kept in (0..=files.pending()).map(Kept::First).chain((0..20).map(Kept::Scattered)) {
            check(&files.after_power_cut(kept), &format!("step {step}, {kept:?}"));
        }
        // Killed there: the system goes on, and a second one promises more before the power goes.
        files.cut_power_after(u64::MAX);
        let mut log = check(&files, &format!("killed at step {step}"));
        log.append(b"second life").unwrap();
        log.sync().unwrap();
        let last = texts(&open(&files.after_power_cut(Kept::Nothing)));
        assert_eq!(last.last().map(String::as_str), Some("second life"), "killed at step {step}");
    }
    assert!(old > 0 && new > 0, "{old} old, {new} new");
}

#[test]
fn a_folder_that_could_not_be_synced_after_a_rewrite_is_synced_before_anything_is_promised() {
    let files = LossyFiles::new();
    let (mut log, _) = five_old(&files);
    let mut rewrite = log.begin_rewrite();
    rewrite.write(b"new").unwrap();
    rewrite.follow(log.size()).unwrap();
    let swap = log.begin_swap(rewrite);
    // Its own content is synced first.
    let syncs = files.syncs();
    files.fail_folder_syncs(2);
    let swapped = swap.run();
    assert_eq!(files.syncs(), syncs + 1);
    assert!(log.finish_swap(swapped).is_err());
    assert!(log.is_unnamed());
    log.append(b"next").unwrap();
    assert!(log.sync().is_err(), "the name is still not on the medium");
    log.sync().unwrap();
    assert!(!log.is_unnamed());
    assert_eq!(texts(&open(&files.after_power_cut(Kept::Nothing))), ["new", "next"]);
}

#[test]
fn a_rewrite_of_a_file_that_is_no_more_is_refused_and_the_log_goes_on() {
    let files = LossyFiles::new();
    let (mut log, _) = five_old(&files);
    let stale = log.begin_rewrite();
    log.rewrite([b"new".as_slice()]).unwrap();
    let swap = log.begin_swap(stale);
    assert!(log.finish_swap(swap.run()).is_err());
    log.append(b"next").unwrap();
    log.sync().unwrap();
    assert_eq!(texts(&open(&files.after_power_cut(Kept::Nothing))), ["new", "next"]);
}

#[test]
fn a_rewrite_that_finds_no_room_leaves_the_log_and_no_file_beside_it() {
    let files = LossyFiles::new();
    let (mut log, _) = five_old(&files);
    files.set_space(Some(40));
    assert!(
        log.rewrite([b"a record of more than forty bytes, with its sum".as_slice()]).unwrap_err().is_full()
    );
    assert!(files.read(Path::new("/state/journal.new")).is_err());
    log.append(b"next").unwrap();
    log.sync().unwrap();
    assert_eq!(texts(&open(&files)).len(), 6);
}

#[test]
fn a_large_rewrite_is_synced_in_pieces() {
    let files = LossyFiles::new();
    let (mut log, _) = five_old(&files);
    let record = vec![b'x'; 100_000];
    let mut rewrite = log.begin_rewrite();
    let mut most = 0;
    for _ in 0..100 {
        rewrite.write(&record).unwrap();
        most = most.max(files.pending());
    }
    assert!(most < 1_300_000, "{most} bytes that a small sync would wait for");
    let swap = log.begin_swap(rewrite);
    log.finish_swap(swap.run()).unwrap();
    assert_eq!(open(&files.after_power_cut(Kept::Nothing)).records.len(), 100);
}

#[test]
fn a_damaged_record_in_the_middle_is_an_error_with_its_place_and_nothing_is_lost() {
    let files = LossyFiles::new();
    let mut log = open(&files).log;
    for record in [b"one".as_slice(), b"two", b"three"] {
        log.append(record).unwrap();
    }
    let before = files.read(Path::new(PATH)).unwrap();
    let at = before.windows(3).position(|bytes| bytes == b"two").unwrap();
    let file = files.open(Path::new(PATH)).unwrap();
    file.write_at(b"T", u64::try_from(at).unwrap()).unwrap();
    let damaged = files.read(Path::new(PATH)).unwrap();
    match Log::open(Arc::new(files.clone()), Path::new(PATH)) {
        Err(LogError::Damaged { offset, .. }) => assert_eq!(offset, u64::try_from(at).unwrap() - 9),
        other => panic!("{other:?}"),
    }
    assert_eq!(files.read(Path::new(PATH)).unwrap(), damaged);
}

#[test]
fn a_foreign_file_is_left_alone() {
    let files = LossyFiles::new();
    let file = files.open(Path::new(PATH)).unwrap();
    file.write_at(b"labinator-log v2\nsomething", 0).unwrap();
    let refused = Log::open(Arc::new(files.clone()), Path::new(PATH)).unwrap_err();
    assert_eq!(refused.code(), "log-foreign");
    assert_eq!(files.read(Path::new(PATH)).unwrap(), b"labinator-log v2\nsomething");
}

#[test]
fn a_record_with_a_line_break_is_refused() {
    let mut log = open(&LossyFiles::new()).log;
    assert!(matches!(log.append(b"a\nb"), Err(LogError::Unwritable)));
    assert!(matches!(log.append(b"a\0b"), Err(LogError::Unwritable)));
}

#[test]
fn on_a_real_disk_a_torn_tail_is_cut_and_counted_and_two_writers_are_refused() {
    let folder = std::env::temp_dir().join(format!("labinator-log-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("journal");
    drop(std::fs::remove_file(&path));
    {
        let mut opened = Log::open(Arc::new(Disk), &path).unwrap();
        assert!(opened.recovery.created);
        opened.log.append(br#"{"kind":"first"}"#).unwrap();
        opened.log.sync().unwrap();
        assert!(matches!(Log::open(Arc::new(Disk), &path), Err(LogError::Busy { .. })));
        opened.log.rewrite([br#"{"kind":"second"}"#.as_slice()]).unwrap();
        assert!(matches!(Log::open(Arc::new(Disk), &path), Err(LogError::Busy { .. })));
    }
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, "labinator-log v1\n4e8d5c0d {\"kind\":\"second\"}\n".replace("4e8d5c0d", &text[17..25]));
    std::fs::write(&path, format!("{text}0000000")).unwrap();
    let opened = Log::open(Arc::new(Disk), &path).unwrap();
    assert_eq!(opened.recovery.dropped, 7);
    assert_eq!(texts(&opened), [r#"{"kind":"second"}"#]);
    drop(opened);
    std::fs::remove_dir_all(&folder).unwrap();
}
