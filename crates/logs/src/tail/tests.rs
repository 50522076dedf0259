//! A file that is written, renamed, cut short, removed and made again at random, and a reader that is killed: every line once.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::UNIX_EPOCH;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone, Copy)]
enum Deed {
    Write(u8),
    /// A part of a line: the disk is full, or the writer slow. What comes next is glued to it.
    Part,
    Rename,
    Reopen,
    CopyTruncate,
    Unlink,
    Look,
    Kill,
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        6 => (1..6_u8).prop_map(Deed::Write),
        2 => Just(Deed::Part),
        2 => Just(Deed::Rename),
        3 => Just(Deed::Reopen),
        1 => Just(Deed::CopyTruncate),
        1 => Just(Deed::Unlink),
        6 => Just(Deed::Look),
        1 => Just(Deed::Kill),
    ];
    proptest::collection::vec(deed, 1..60)
}

/// What the writer knows, and what is expected of the reader.
#[expect(clippy::struct_excessive_bools, reason = "each may be true beside any other")]
struct World {
    folder: PathBuf,
    file: File,
    /// Earlier ones: as long as they are open, their numbers are not given again within one tick of the kernel's clock.
    files: Vec<File>,
    /// Bytes of the writer's file, and those of it that a look has passed.
    size: u64,
    read: u64,
    has_name: bool,
    /// The reader has seen it.
    known: bool,
    dead: bool,
    /// No reader can have the writer's file any more.
    unreachable: bool,
    pending: String,
    number: u32,
    clock: u64,
    written: Vec<String>,
    /// Lines of the writer's file that no look has passed.
    unread: Vec<String>,
    /// Those of earlier files without a name, which only a reader that has them open finds.
    orphans: Vec<String>,
    may_miss: BTreeSet<String>,
    /// Ends that never came: they may be told as lines when their file is let go.
    loose: BTreeSet<String>,
    /// Lines that came and went between two looks: nobody can know.
    unseen: BTreeSet<String>,
    causes: usize,
    /// The file was copied, and those who were dead then find the copy and not the file: what it begins with they know.
    copied: bool,
    may_repeat: bool,
    tail: Tail,
    found: Vec<String>,
    gaps: usize,
}

static WORLDS: AtomicU32 = AtomicU32::new(0);

impl World {
    fn new() -> Self {
        let number = WORLDS.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("logs-tail-{}-{number}", std::process::id()));
        if folder.exists() {
            fs::remove_dir_all(&folder).unwrap();
        }
        fs::create_dir(&folder).unwrap();
        let path = folder.join("app.log");
        let file = open(&path);
        file.set_modified(UNIX_EPOCH).unwrap();
        let mut tail = Tail::new(path, Vec::new());
        tail.look(0, |_| panic!("nothing is there"));
        Self {
            file,
            files: Vec::new(),
            folder,
            size: 0,
            read: 0,
            has_name: true,
            known: true,
            dead: false,
            unreachable: false,
            pending: String::new(),
            number: 0,
            clock: 1_000,
            written: Vec::new(),
            unread: Vec::new(),
            orphans: Vec::new(),
            may_miss: BTreeSet::new(),
            loose: BTreeSet::new(),
            unseen: BTreeSet::new(),
            causes: 0,
            copied: false,
            may_repeat: false,
            tail,
            found: Vec::new(),
            gaps: 0,
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.join("app.log")
    }

    fn write(&mut self, text: &str) {
        self.file.write_all(text.as_bytes()).unwrap();
        self.size += u64::try_from(text.len()).unwrap();
        self.touched();
    }

    /// Times of a kernel are too coarse for a test that takes no time.
    fn touched(&mut self) {
        self.clock += 1;
        self.file.set_modified(UNIX_EPOCH + std::time::Duration::from_secs(self.clock)).unwrap();
    }

    fn next(&mut self) -> String {
        self.number += 1;
        let number = self.number;
        // Unlike any other from its first bytes on.
        format!(
            "{:08x} {}",
            number.wrapping_mul(0x9e37_79b9),
            "x".repeat(usize::try_from(number * 37 % 150).unwrap())
        )
    }

    /// The files that were rotated away move up by one.
    fn shift(&self) {
        let name = |number: usize| self.folder.join(format!("app.log.{number}"));
        let last = (1..).take_while(|number| name(*number).exists()).count();
        for number in (1..=last).rev() {
            fs::rename(name(number), name(number + 1)).unwrap();
        }
    }

    /// What no look has passed is gone.
    fn miss(&mut self) {
        self.causes += 1;
        if !self.known || self.read == 0 {
            self.unseen.extend(self.unread.iter().cloned());
        }
        self.may_miss.extend(self.unread.drain(..));
    }

    fn look(&mut self) {
        let (found, gaps) = (&mut self.found, &mut self.gaps);
        while self.tail.look(0, |one| match one {
            Found::Line(line) => found.push(String::from_utf8(line.to_vec()).unwrap()),
            Found::Cut(_) => panic!("no line is that long"),
            Found::Gap => *gaps += 1,
        }) {}
        self.dead = false;
        self.unread.clear();
        self.orphans.clear();
        self.known |= self.has_name;
        self.read = self.size;
    }

    fn act(&mut self, deed: Deed) {
        match deed {
            Deed::Write(lines) => {
                for _ in 0..lines {
                    let text = self.next();
                    self.write(&format!("{text}\n"));
                    let line = std::mem::take(&mut self.pending) + &text;
                    self.written.push(line.clone());
                    self.unread.push(line);
                }
            }
            Deed::Part => {
                let text = self.next();
                let part = text.get(..1 + text.len() / 2).unwrap();
                self.write(part);
                self.pending.push_str(part);
            }
            Deed::Rename if self.has_name && self.path().exists() => {
                self.shift();
                fs::rename(self.path(), self.folder.join("app.log.1")).unwrap();
            }
            Deed::Reopen if !self.path().exists() => {
                let unread = std::mem::take(&mut self.unread);
                // They are found in a file that has a name, or by a reader that has it open.
                if !self.has_name && (self.dead || !self.known) {
                    self.may_miss.extend(unread);
                } else if !self.has_name {
                    if self.read == 0 {
                        self.unseen.extend(unread.iter().cloned());
                    }
                    self.orphans.extend(unread);
                }
                self.loose.insert(std::mem::take(&mut self.pending));
                let new = open(&self.path());
                self.files.push(std::mem::replace(&mut self.file, new));
                (self.known, self.has_name, self.unreachable) = (false, true, false);
                (self.size, self.read, self.copied) = (0, 0, false);
                self.touched();
            }
            Deed::CopyTruncate if self.has_name && self.path().exists() => {
                self.shift();
                fs::copy(self.path(), self.folder.join("app.log.1")).unwrap();
                File::open(self.folder.join("app.log.1"))
                    .unwrap()
                    .set_modified(UNIX_EPOCH + std::time::Duration::from_secs(self.clock))
                    .unwrap();
                self.file.set_len(0).unwrap();
                self.copied = true;
                self.pending.clear();
                self.miss();
                (self.size, self.read) = (0, 0);
                self.touched();
            }
            Deed::Unlink if self.has_name && self.path().exists() => {
                fs::remove_file(self.path()).unwrap();
                self.has_name = false;
                self.may_repeat |= self.dead && self.copied;
                // Who is killed before it has seen the next one does not find this one again.
                self.causes += 1;
                if self.dead || !self.known {
                    self.unreachable = true;
                    self.miss();
                }
            }
            Deed::Look => self.look(),
            Deed::Kill => {
                let kept = self.tail.positions().iter().map(Position::text).collect::<Vec<_>>();
                let kept = kept.iter().map(|text| Position::read(text).unwrap()).collect();
                self.tail = Tail::new(self.path(), kept);
                if !self.has_name {
                    self.unreachable = true;
                    self.miss();
                }
                self.may_miss.extend(self.orphans.drain(..));
                self.dead = true;
            }
            Deed::Rename | Deed::Reopen | Deed::CopyTruncate | Deed::Unlink => {}
        }
        self.abandon();
    }

    /// What is written where no reader is and none comes.
    fn abandon(&mut self) {
        if self.unreachable {
            if !self.known || self.read == 0 {
                self.unseen.extend(self.unread.iter().cloned());
            }
            self.may_miss.extend(self.unread.drain(..));
        }
    }
}

fn open(path: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(path).unwrap()
}

fn judge(deeds: &[Deed]) -> Result<(), TestCaseError> {
    let mut world = World::new();
    for deed in deeds {
        world.act(*deed);
    }
    // While nothing has the path, the last files that had it may still be on their way.
    world.act(Deed::Reopen);
    world.look();
    let World { found, written, may_repeat, may_miss, unseen, loose, gaps, causes, folder, .. } = world;
    fs::remove_dir_all(folder).unwrap();
    let mut once = BTreeSet::new();
    for line in found.iter().filter(|line| !loose.contains(*line)) {
        prop_assert!(once.insert(line.clone()) || may_repeat, "twice: {line}");
        prop_assert!(written.contains(line), "never written: {line}");
    }
    let missing: Vec<&String> = written.iter().filter(|line| !once.contains(*line)).collect();
    for line in &missing {
        prop_assert!(may_miss.contains(*line), "missing: {line}");
    }
    prop_assert!(gaps <= causes, "{gaps} marks for {causes} causes");
    let silent = missing.iter().all(|line| unseen.contains(*line));
    prop_assert!(silent || gaps > 0, "{missing:?} are missing and nothing says so");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn every_line_comes_once_and_what_is_missing_has_a_mark(deeds in deeds()) {
        judge(&deeds)?;
    }
}

#[test]
fn a_line_without_end_is_cut_once_and_the_next_one_is_whole() {
    let mut world = World::new();
    for _ in 0..5 {
        world.write(&"y".repeat(4_000));
    }
    world.write("\nnext\n");
    let mut said = Vec::new();
    while world.tail.look(0, |one| {
        said.push(match one {
            Found::Line(line) => format!("line {}", line.len()),
            Found::Cut(line) => format!("cut {}", line.len()),
            Found::Gap => "gap".to_owned(),
        });
    }) {}
    assert_eq!(said, ["cut 8192", "line 4"]);
    fs::remove_dir_all(world.folder).unwrap();
}

#[test]
fn what_was_there_before_anybody_asked_is_not_told_and_a_line_half_written_neither() {
    let mut world = World::new();
    world.write("old\nhalf");
    let mut tail = Tail::new(world.path(), Vec::new());
    let mut found = Vec::new();
    let mut look = |tail: &mut Tail, world: &mut World, text: &str| {
        world.write(text);
        while tail.look(0, |one| found.push(format!("{one:?}"))) {}
        found.len()
    };
    // The first look finds the end.
    tail.look(0, |_| panic!("nothing is new"));
    assert_eq!(look(&mut tail, &mut world, " a line\nnew\n"), 1);
    assert_eq!(found, [format!("{:?}", Found::Line(b"new"))]);
    fs::remove_dir_all(world.folder).unwrap();
}
