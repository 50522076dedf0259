//! On folders that stand for disks, partitions and the firmware's variables.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use model::Digest;
use wire::loader::entry::{BootEntry, BootOrder, GLOBAL, HardDrive, name_of};
use wire::loader::gpt::{CACHE, Guid, Part, SECTOR, SYSTEM, Table};
use wire::loader::{PLACE_SIZE, Seed, plant};

use super::change::{install, remove};
use super::*;

const OURS: AgentKey = AgentKey([7; 32]);
const SETTINGS: &str = "labinator settings 1\nboss 10.9.0.1:80\n";

/// A machine with disks.
struct Sample {
    root: PathBuf,
}

impl Sample {
    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("disk-loader-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&root));
        for folder in ["sys/block", "dev", "mnt", "vars"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        let sample = Self { root };
        // As firmware has it: a menu, the network, a system on the disk that is called something that nobody reads.
        let network = BootEntry {
            attributes: 1,
            name: "UEFI PXEv4".to_owned(),
            paths: vec![0x7f, 0xff, 4, 0],
            data: vec![3],
        };
        sample.variable("Boot0000", &network.bytes());
        sample.variable("Boot0001", b"\x01\0\0\0\x04");
        sample.variable("BootOrder", &[1, 0, 0, 0]);
        sample
    }

    /// A disk with partitions of these kinds.
    fn with_disk(self, name: &str, kinds: &[Guid], block: usize) -> Self {
        let part = |(number, kind): (usize, &Guid)| {
            let first = u64::try_from(2048 * (number + 1)).unwrap();
            let id = Guid::derived([u8::try_from(number + 1).unwrap(); 16]);
            Part { kind: *kind, id, first, last: first + 2047, name: "part".to_owned() }
        };
        let parts: Vec<Part> = kinds.iter().enumerate().map(part).collect();
        let count = parts.len();
        let table = Table { disk: Guid::derived([9; 16]), sectors: 20_000, parts };
        let head = table.head();
        // Where its blocks are larger, header and entries begin with a block each.
        let mut bytes = vec![0; block * 2];
        bytes[block..block + SECTOR].copy_from_slice(&head[SECTOR..2 * SECTOR]);
        bytes.extend(&head[2 * SECTOR..]);
        fs::write(self.root.join("dev").join(name), bytes).unwrap();
        let folder = self.root.join("sys/block").join(name);
        fs::create_dir_all(folder.join("queue")).unwrap();
        fs::write(folder.join("queue/logical_block_size"), format!("{block}\n")).unwrap();
        fs::write(folder.join("size"), "20000\n").unwrap();
        fs::write(folder.join("serial"), format!("S-{name}\n")).unwrap();
        for number in 1..=count {
            let part = folder.join(format!("{name}{number}"));
            fs::create_dir_all(&part).unwrap();
            fs::write(part.join("partition"), format!("{number}\n")).unwrap();
            fs::create_dir_all(self.root.join("mnt").join(format!("{name}{number}"))).unwrap();
        }
        self
    }

    fn pulled(self, name: &str) -> Self {
        fs::write(self.root.join("sys/block").join(name).join("removable"), "1\n").unwrap();
        self
    }

    fn variable(&self, name: &str, content: &[u8]) {
        let whole = [&[7, 0, 0, 0], content].concat();
        fs::write(self.root.join("vars").join(format!("{name}-{GLOBAL}")), whole).unwrap();
    }

    fn variables(&self) -> Variables {
        Variables::new(&self.root.join("vars"))
    }

    fn volume(&self, partition: &str) -> Volume {
        Volume::at(&self.root.join("mnt").join(partition))
    }

    fn carry_out(&self, order: &DiskLoaderOrder, program: &[u8]) -> Result<DiskLoaders, String> {
        let mount = |name: &str| Ok(Mounted::folder(self.root.join("mnt").join(name)));
        carry_out(&Place { root: &self.root, mount: &mount }, &self.variables(), order, program)
    }

    fn install(&self, program: &[u8], disk: Option<&str>, force: bool) -> Result<DiskLoaders, String> {
        let build = AgentBuild { digest: digest(program), size: 1 };
        let settings = SETTINGS.to_owned();
        let disk = disk.map(str::to_owned);
        let order = DiskLoaderOrder::Install { program: build, lab_key: OURS, settings, disk, force };
        self.carry_out(&order, program)
    }

    fn remove(&self, disk: Option<&str>, force: bool) -> Result<DiskLoaders, String> {
        let disk = disk.map(str::to_owned);
        self.carry_out(&DiskLoaderOrder::Remove { lab_key: OURS, disk, force }, &[])
    }

    /// Every file of partitions and firmware, by name.
    fn all(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.root.join("mnt"), self.root.join("vars")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                match entry.is_dir() {
                    true => folders.push(entry),
                    false => drop(found.insert(entry.clone(), fs::read(entry).unwrap())),
                }
            }
        }
        found
    }

    /// The file that the firmware starts first, if it is one of a disk; it panics where that is not there.
    fn starts(&self, partition: &str) -> Option<Vec<u8>> {
        let boot = self.variables().read().unwrap();
        let first = boot.order.0.first().expect("an order");
        let file = boot.entries.get(first)?.file()?;
        Some(
            fs::read(self.root.join("mnt").join(partition).join(file))
                .expect("what is started first is there"),
        )
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.root));
    }
}

fn digest(bytes: &[u8]) -> Digest {
    Digest(store::Digest::of(bytes).0)
}

/// A loader of a lab.
fn loader(key: AgentKey, text: &str) -> Vec<u8> {
    let mut file = text.as_bytes().to_vec();
    file.extend(["labinator:seed:", "here:3f9a77c1d6e2"].concat().bytes());
    file.resize(file.len() + PLACE_SIZE, 0);
    plant(&file, &Seed { lab_key: key.0, boss: None }).unwrap()
}

#[test]
fn it_is_started_first_and_removing_it_leaves_everything_as_it_was() {
    let sample = Sample::new("whole").with_disk("sda", &[SYSTEM, Guid::derived([5; 16])], 512);
    let before = sample.all();
    let program = loader(OURS, "one");
    let how = sample.install(&program, None, false).unwrap();
    assert_eq!(how.done.len(), 4, "{:?}", how.done);
    assert!(
        how.done[3].contains("put Boot0002 first") && how.done[3].contains("0001,0000"),
        "{:?}",
        how.done
    );
    let words: Vec<String> = how.entries.iter().map(ToString::to_string).collect();
    assert_eq!(words, ["0002 Labinator", "0000 UEFI PXEv4"], "what nobody can read is not listed");
    assert!(how.entries[0].is_ours && how.entries[0].is_tried);
    assert_eq!(how.places[0].loaders[0].lab_key, Some(OURS));
    assert_eq!(sample.starts("sda1"), Some(program.clone()));
    let entry = sample.variables().read().unwrap().entries[&2].drive().unwrap();
    let id = Guid::derived([1; 16]);
    assert_eq!(entry, HardDrive { number: 1, first: 2048, blocks: 2048, id });
    // A second time nothing is written.
    let after = sample.all();
    assert_eq!(sample.install(&program, Some("sda"), false).unwrap().done, Vec::<String>::new());
    assert_eq!(sample.all(), after);
    let how = sample.remove(None, false).unwrap();
    assert_eq!(how.done.len(), 3, "{:?}", how.done);
    assert_eq!(sample.all(), before);
    assert_eq!(sample.remove(None, false).unwrap().done, Vec::<String>::new());
}

#[test]
fn a_newer_loader_takes_the_place_of_the_older_one_and_the_entry_stays_one() {
    let sample = Sample::new("newer").with_disk("sda", &[SYSTEM], 512);
    sample.install(&loader(OURS, "one"), None, false).unwrap();
    // A person put something before it since.
    let order = sample.variables().read().unwrap().order;
    sample.variables().set_order(&order.led_by(0)).unwrap();
    let newer = loader(OURS, "two");
    let how = sample.install(&newer, None, false).unwrap();
    assert_eq!(sample.starts("sda1"), Some(newer));
    assert_eq!(how.entries.iter().filter(|entry| entry.is_ours).count(), 1);
    assert_eq!(how.places[0].loaders.len(), 1);
    sample.remove(None, false).unwrap();
    assert_eq!(sample.variables().read().unwrap().order.0, [0, 1], "what others changed since is kept");
}

#[test]
fn a_plug_pulled_between_any_two_steps_leaves_a_machine_that_starts() {
    let (older, newer) = (loader(OURS, "one"), loader(OURS, "two"));
    let file = |program: &[u8]| Volume::name_of(digest(program));
    let drive = HardDrive { number: 1, first: 2048, blocks: 2048, id: Guid::derived([1; 16]) };
    let wanted = |program| Wanted { drive, file: "", loader: program, settings: SETTINGS };
    for has_older in [false, true] {
        let mut whole = None;
        for broken in (0..8).rev() {
            let sample = Sample::new("pulled").with_disk("sda", &[SYSTEM], 512);
            let (volume, variables) = (sample.volume("sda1"), sample.variables());
            if has_older {
                sample.install(&older, None, false).unwrap();
            }
            let before = sample.starts("sda1");
            let mut left = broken;
            let mut pulled = |_: &str| {
                left -= 1;
                if left < 0 { Err("pulled".to_owned()) } else { Ok(()) }
            };
            let name = file(&newer);
            let wanted = Wanted { file: &name, ..wanted(&newer) };
            let ended = install((&volume, &variables), &wanted, &mut pulled);
            let now = sample.starts("sda1");
            assert!(now == before || now.as_deref() == Some(&newer), "broken off at step {broken}");
            if ended.is_ok() {
                whole = Some((sample.all().into_values().collect::<Vec<_>>(), now));
                continue;
            }
            // Again, whole.
            install((&volume, &variables), &wanted, &mut |_| Ok(())).unwrap();
            let again = (sample.all().into_values().collect::<Vec<_>>(), sample.starts("sda1"));
            assert_eq!(Some(again), whole, "broken off at step {broken}");
            // And taken away, broken off as well.
            for broken in 0..4 {
                let mut left = broken;
                let mut pulled = |_: &str| {
                    left -= 1;
                    if left < 0 { Err("pulled".to_owned()) } else { Ok(()) }
                };
                drop(remove((&[sample.volume("sda1")], &variables), &[], &mut pulled));
                drop(sample.starts("sda1"));
            }
            assert_eq!(sample.starts("sda1"), None);
            assert_eq!(variables.read().unwrap().order, BootOrder(vec![1, 0]));
            assert!(!volume.has_folder());
        }
        assert!(whole.is_some());
    }
}

#[test]
fn what_another_lab_put_there_is_left_alone() {
    let sample = Sample::new("other").with_disk("sda", &[SYSTEM], 512);
    let theirs = loader(AgentKey([9; 32]), "theirs");
    let name = Volume::name_of(digest(&theirs));
    sample.volume("sda1").put(&name, &theirs).unwrap();
    let before = sample.all();
    let ours = loader(OURS, "ours");
    for refused in [sample.install(&ours, None, false), sample.remove(None, false)] {
        assert!(refused.unwrap_err().contains("another lab"), "{name}");
        assert_eq!(sample.all(), before);
    }
    sample.install(&ours, None, true).unwrap();
    assert_eq!(sample.starts("sda1"), Some(ours));
    // A file that is damaged belongs to nobody.
    let sample = Sample::new("damaged").with_disk("sda", &[SYSTEM], 512);
    sample.volume("sda1").put(&name, b"nothing").unwrap();
    let how = sample.carry_out(&DiskLoaderOrder::Look, &[]).unwrap();
    assert_eq!((how.places[0].loaders[0].lab_key, how.done.len()), (None, 0));
    sample.install(&loader(OURS, "ours"), None, false).unwrap();
}

#[test]
fn a_loader_for_another_lab_or_with_odd_settings_is_not_put_anywhere() {
    let sample = Sample::new("odd").with_disk("sda", &[SYSTEM], 512);
    let before = sample.all();
    let theirs = loader(AgentKey([9; 32]), "theirs");
    assert!(sample.install(&theirs, None, true).unwrap_err().contains("another key"));
    assert!(sample.install(b"MZ", None, true).unwrap_err().contains("no place"));
    let build = AgentBuild { digest: digest(b""), size: 1 };
    let settings = "labinator settings 1\naddress 300.1.1.1/24\n".to_owned();
    let order =
        DiskLoaderOrder::Install { program: build, lab_key: OURS, settings, disk: None, force: false };
    assert!(sample.carry_out(&order, &loader(OURS, "one")).unwrap_err().starts_with("its settings"));
    assert_eq!(sample.all(), before);
}

#[test]
fn the_partition_that_is_meant_is_found_or_asked_for() {
    let program = loader(OURS, "one");
    let other = Guid::derived([5; 16]);
    let none = Sample::new("none").with_disk("sda", &[other], 512);
    let why = none.install(&program, None, false).unwrap_err();
    assert!(why.contains("no disk of this machine has an EFI system partition;"), "{why}");

    let stick = Sample::new("stick").with_disk("sdb", &[SYSTEM], 512).pulled("sdb");
    let stick = stick.with_disk("sdc", &[SYSTEM, CACHE], 512);
    let why = stick.install(&program, None, false).unwrap_err();
    assert!(why.contains("sdb1: it is removable") && why.contains("sdc1: it is a medium of ours"), "{why}");
    assert!(stick.install(&program, Some("sdc"), false).unwrap_err().ends_with("; sdb has"));
    stick.install(&program, Some("S-sdb"), false).unwrap();
    assert_eq!(stick.starts("sdb1"), Some(program.clone()));

    let two =
        Sample::new("two").with_disk("sda", &[SYSTEM], 512).with_disk("nvme0n1", &[other, SYSTEM], 4096);
    let why = two.install(&program, None, false).unwrap_err();
    assert!(why.contains("nvme0n12, sda1: name the disk with --disk"), "{why}");
    two.install(&program, Some("nvme0n1"), false).unwrap();
    // Refreshing it means the one that has it.
    let newer = loader(OURS, "two");
    two.install(&newer, None, false).unwrap();
    assert_eq!(two.starts("nvme0n12"), Some(newer));
    assert!(two.volume("sda1").loaders().unwrap().is_empty());
}

#[test]
fn taking_one_away_leaves_the_others_and_ends_what_is_gone() {
    let program = loader(OURS, "one");
    let sample = Sample::new("some").with_disk("sda", &[SYSTEM], 512).with_disk("sdb", &[SYSTEM], 512);
    // Their partitions must not have the same number, as those of two disks of one maker's image may.
    let other = HardDrive { number: 1, first: 2048, blocks: 2048, id: Guid::derived([8; 16]) };
    sample.install(&program, Some("sda"), false).unwrap();
    let gone = BootEntry::of_file("Labinator", &other, "EFI/LABINATOR/OLD.EFI");
    sample.variable("Boot0007", &gone.bytes());
    sample.variable("BootNext", &[7, 0]);
    let order = sample.variables().read().unwrap().order;
    sample.variables().set_order(&order.led_by(7)).unwrap();
    let how = sample.remove(None, false).unwrap();
    assert_eq!(how.entries.iter().filter(|entry| entry.is_ours).count(), 0);
    let boot = sample.variables().read().unwrap();
    assert_eq!((boot.order.0, boot.next), (vec![1, 0], None));
    assert!(!sample.root.join("vars").join(format!("{}-{GLOBAL}", name_of(7))).exists());
    assert!(
        sample.remove(Some("sdx"), false).unwrap_err().contains("sdx has no EFI system partition; sda, sdb")
    );
}
