//! What is on disk is what was worth it, whatever happens to disk and process.

use tokio::runtime::Handle;

use super::*;
use crate::ring::Kind;
use crate::store::{Limits, Stage, Store};
use crate::templates::Quota;
use crate::view::{Asked, Filter};

fn stream(epoch: &str) -> Stream {
    let limits = Limits { ring: 1 << 20, quota: Quota::NONE };
    Stream::new(Store::new(limits), epoch.to_owned(), Handle::current())
}

fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("logs-{name}-{}", std::process::id()));
    if path.exists() {
        fs::remove_dir_all(&path).unwrap();
    }
    path
}

fn say(stream: &Stream, severity: u8, text: &str) {
    stream.give(|intake, now| {
        let message = format!("<{}>app: {text}", 8 + severity);
        intake.syslog([10, 0, 0, 1].into(), message.as_bytes(), now);
    });
}

/// Texts and marks, oldest first.
fn all(folder: &Folder) -> Vec<String> {
    let mut found = Vec::new();
    folder.read(0, |epoch, piece| {
        found.push(match piece {
            Piece::Record(kept) if kept.record.kind == Kind::Lost => {
                assert_eq!(kept.record.source, Stage::Disk.number());
                format!("{epoch} missing {}", kept.record.count)
            }
            Piece::Record(kept) => format!("{epoch} {}", String::from_utf8_lossy(kept.record.text)),
            Piece::Torn => format!("{epoch} torn"),
        });
        true
    });
    found
}

fn lost(stream: &Stream) -> u64 {
    stream.look(|store| store.totals().lost[usize::from(Stage::Disk.number())])
}

#[tokio::test]
async fn warnings_and_the_lab_are_written_once_and_found_by_the_next_core() {
    let path = folder("once");
    let one = stream("e1");
    let disk = Folder::open(&path, Wear::default(), "e1".to_owned()).unwrap();
    let mut keeper = disk.keeper(wall());
    say(&one, 4, "bad");
    say(&one, 6, "chatter");
    one.give(|intake, now| intake.lab(None, 6, "start of talos", now));
    assert!(!disk.write_once(&one, &mut keeper) && !disk.write_once(&one, &mut keeper));
    say(&one, 0, "worse");
    disk.write_once(&one, &mut keeper);
    assert_eq!(all(&disk), ["e1 bad", "e1 start of talos", "e1 worse"]);
    let spent = disk.spent();
    assert_eq!((spent.today, spent.failures), (spent.in_all, 0));

    // Killed in the middle of a write.
    let file = path.join(disk.state().segments[0].name());
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() - 3]).unwrap();
    let two = stream("e2");
    let disk = Arc::new(Folder::open(&path, Wear::default(), "e2".to_owned()).unwrap());
    let mut keeper = disk.keeper(wall());
    assert_eq!(keeper.today(), spent.today - 3);
    say(&two, 3, "after");
    disk.write_once(&two, &mut keeper);
    assert_eq!(all(&disk), ["e1 bad", "e1 start of talos", "e1 torn", "e2 after"]);

    // A viewer has each line once: those of the ring from there.
    two.read_from(Arc::clone(&disk));
    let filter = Filter::new(None, Some(4), None).unwrap();
    let asked = Asked { since: Some(1), filter, ..Asked::default() };
    let mut text = String::new();
    let mut pieces = two.view(asked);
    while let Some(piece) = pieces.recv().await {
        text.push_str(std::str::from_utf8(&piece).unwrap());
    }
    let told: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    let told: Vec<String> = told
        .iter()
        .map(|data| {
            let data: serde_json::Value = serde_json::from_str(data).unwrap();
            data["text"].as_str().or_else(|| data["reason"].as_str()).unwrap().to_owned()
        })
        .collect();
    assert_eq!(told, ["bad", "torn", "another-core", "after"]);
    fs::remove_dir_all(path).unwrap();
}

#[tokio::test]
async fn no_more_than_the_days_share_is_written_and_what_is_missing_is_said_exactly() {
    let path = folder("share");
    let stream = stream("e1");
    let wear = Wear { a_day: 5_000, ..Wear::default() };
    let disk = Folder::open(&path, wear, "e1".to_owned()).unwrap();
    let mut keeper = disk.keeper(wall());
    for number in 0..100 {
        say(&stream, 4, &format!("warning {number} {}", "x".repeat(100)));
        disk.write_once(&stream, &mut keeper);
    }
    let files: u64 = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    assert!(files > 4_000 && files <= 5_000, "{files} bytes");
    assert_eq!(disk.spent().today, files);
    let written = all(&disk).len();
    assert_eq!(lost(&stream), 100 - u64::try_from(written).unwrap());
    // Another day.
    let later = wall() + 24 * 3600 * 1000;
    say(&stream, 4, "tomorrow");
    let batch = stream.give(|intake, _| keeper.batch(&mut intake.store, later));
    disk.append(&batch.bytes, day(later)).unwrap();
    let found = all(&disk);
    assert_eq!(found[written..], [format!("e1 missing {}", 100 - written), "e1 tomorrow".to_owned()]);
    fs::remove_dir_all(path).unwrap();
}

#[tokio::test]
async fn a_full_disk_costs_what_it_had_no_room_for_and_the_oldest_segments_go_first() {
    let path = folder("full");
    let stream = stream("e1");
    let wear = Wear { in_all: 9_000, segment: 2_000, ..Wear::default() };
    let disk = Folder::open(&path, wear, "e1".to_owned()).unwrap();
    let mut keeper = disk.keeper(wall());
    say(&stream, 4, "first");
    disk.write_once(&stream, &mut keeper);
    // What this device is told, it has no room for.
    let real = disk.state().open.replace(OpenOptions::new().write(true).open("/dev/full").unwrap());
    say(&stream, 4, "second");
    say(&stream, 4, "third");
    disk.write_once(&stream, &mut keeper);
    assert_eq!((lost(&stream), disk.spent().failures), (2, 1));
    disk.state().open = real;
    say(&stream, 4, "fourth");
    disk.write_once(&stream, &mut keeper);
    assert_eq!(all(&disk), ["e1 first", "e1 missing 2", "e1 fourth"]);
    for number in 0..200 {
        say(&stream, 4, &format!("warning {number} {}", "x".repeat(100)));
        disk.write_once(&stream, &mut keeper);
    }
    let found = all(&disk);
    assert!(found.len() > 30 && disk.spent().in_all <= 9_000, "{} of {:?}", found.len(), disk.spent());
    assert!(found[found.len() - 1].starts_with("e1 warning 199 "));
    assert!(!found[0].contains("first"));
    fs::remove_dir_all(path).unwrap();
}
