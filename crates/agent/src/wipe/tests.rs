//! The engine on files, with tables and file systems that real tools made, and on disks that fail and lie.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use model::WipeMethod;

use super::disk::{Disk, Faults, Range};
use super::engine::{self, Fault};
use super::*;

pub(super) const MIB: u64 = 1 << 20;
/// What lies on a disk before it is wiped.
const FILL: u8 = 0xa7;

static FOLDERS: AtomicUsize = AtomicUsize::new(0);

/// A machine with one disk, in a folder that goes with it.
pub(super) struct Machine {
    pub(super) root: PathBuf,
    pub(super) bytes: u64,
    name: &'static str,
}

impl Drop for Machine {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.root));
    }
}

impl Machine {
    fn new(bytes: u64) -> Self {
        Self::named("sda", bytes)
    }

    pub(super) fn named(name: &'static str, bytes: u64) -> Self {
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        // In memory where that is: a wipe waits for the disk again and again.
        let shared = PathBuf::from("/dev/shm");
        let base = if shared.is_dir() { shared } else { std::env::temp_dir() };
        let root = base.join(format!("agent-wipe-{}-{number}", std::process::id()));
        let machine = Self { root, bytes, name };
        machine.put(&format!("sys/block/{name}/size"), &(bytes / 512).to_string());
        machine.put(&format!("sys/block/{name}/dev"), "8:0\n");
        machine.put(&format!("sys/block/{name}/device/serial"), "S1");
        machine.put(&format!("dev/{name}"), "");
        let file = fs::OpenOptions::new().write(true).open(machine.device()).unwrap();
        file.set_len(bytes).unwrap();
        machine
    }

    /// Its disk is full of something.
    fn full(bytes: u64) -> Self {
        Self::new(bytes).filled()
    }

    pub(super) fn filled(self) -> Self {
        fs::write(self.device(), vec![FILL; usize::try_from(self.bytes).unwrap()]).unwrap();
        self
    }

    pub(super) fn put(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(super) fn device(&self) -> PathBuf {
        self.root.join("dev").join(self.name)
    }

    pub(super) fn digest(&self) -> Digest {
        digest_of("S1", "", self.bytes)
    }

    pub(super) fn label(&self, lab: &str) -> DiskLabel {
        let node = "node1".parse().unwrap();
        DiskLabel { lab: lab.parse().unwrap(), node, number: 1, state: LabelState::Wiped }
    }

    fn order(&self, number: u32, lab: &str, permit: WipePermit) -> WipeOrder {
        let disk = model::DiskId {
            name: self.name.to_owned(),
            model: String::new(),
            serial: "S1".to_owned(),
            bytes: self.bytes,
            digest: self.digest(),
        };
        let (lab, node) = (lab.parse().unwrap(), "node1".parse().unwrap());
        WipeOrder { number, boot_id: "b1".to_owned(), disk, permit, lab, node }
    }

    pub(super) fn wipe(&self, faults: Faults) -> Result<model::WipeReport, Fault> {
        self.wipe_telling(faults, &|_, _, _| {})
    }

    pub(super) fn wipe_telling(
        &self,
        faults: Faults,
        tell: engine::Tell<'_>,
    ) -> Result<model::WipeReport, Fault> {
        let mut disk = Disk::open(&self.device()).unwrap();
        disk.faults = faults;
        let mut tools = Tools::of(&self.root);
        tools.pause = std::time::Duration::ZERO;
        let target = Target { disk: &disk, root: &self.root, name: self.name, tools: &tools };
        engine::run(&target, &self.label("lab"), self.digest(), tell)
    }

    pub(super) fn content(&self) -> Vec<u8> {
        fs::read(self.device()).unwrap()
    }

    /// Runs a tool on its disk; false, and a word about it, where the tool is missing.
    fn tool(&self, program: &str, args: &[&str], input: &str) -> bool {
        let script = format!("{program} {} \"$0\"", args.join(" "));
        let mut command = Command::new("sh");
        command.args(["-c", &script]).arg(self.device()).env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin");
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
        // A tool that is not there reads nothing.
        drop(std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()));
        let done = child.wait_with_output().unwrap();
        if done.status.code() == Some(127) {
            skipped(program);
            return false;
        }
        assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
        true
    }
}

fn skipped(program: &str) {
    eprintln!("SKIPPED: {program} is not installed");
}

pub(super) fn no_discard() -> Faults {
    Faults { no_discard: true, ..Faults::default() }
}

/// Nothing but zeros and the label is left in these stretches.
pub(super) fn assert_zeros(content: &[u8], range: Range) {
    for part in plan::around_label(range) {
        let [at, len] = [part.at, part.len].map(|n| usize::try_from(n).unwrap());
        assert!(
            content[at..at + len].chunks(4096).all(|block| block == &[0; 4096][..block.len()]),
            "of {part:?}"
        );
    }
}

#[test]
fn a_disk_that_discards_is_empty_afterwards_and_labelled() {
    let machine = Machine::full(96 * MIB);
    let report = machine.wipe(Faults::default()).unwrap();
    assert_eq!((report.method, report.passed_over.as_slice()), (WipeMethod::Discard, [].as_slice()));
    assert!(report.samples > 1000 && report.places > 30, "{report:?}");
    assert_zeros(&machine.content(), Range { at: 0, len: machine.bytes });
    assert_eq!(label_of(&machine.root, "sda", machine.digest()), Some(machine.label("lab")));
    let other = digest_of("S2", "", machine.bytes);
    assert_eq!(label_of(&machine.root, "sda", other), None, "a copied disk is nobody's");
}

#[test]
fn without_discards_heads_tails_and_secrets_go_and_the_reason_is_told() {
    let machine = Machine::full(128 * MIB);
    let table =
        "label: gpt\nstart=1MiB, size=20MiB, name=BOOT\nsize=20MiB, name=STATE\nsize=50MiB, name=EPHEMERAL\n";
    if !machine.tool("sfdisk", &["--quiet"], table) {
        return;
    }
    let report = machine.wipe(no_discard()).unwrap();
    assert_eq!(report.method, WipeMethod::Overwrite);
    assert!(report.passed_over[0].starts_with("discard of every block: byte "), "{report:?}");
    let content = machine.content();
    assert_zeros(&content, Range { at: 0, len: 17 * MIB });
    // STATE and EPHEMERAL, whole.
    assert_zeros(&content, Range { at: 21 * MIB, len: 70 * MIB });
    assert_zeros(&content, Range { at: 127 * MIB, len: MIB });
    assert_eq!(content[usize::try_from(18 * MIB).unwrap()], FILL, "what holds no secret is only headless");
}

/// Tables and file systems of real tools, with what they need besides the device.
const MAKERS: [(&str, &[&str], &str, &str); 10] = [
    ("sfdisk", &["--quiet"], "label: gpt\nsize=40MiB\nsize=40MiB\n", "GPT"),
    (
        "sfdisk",
        &["--quiet"],
        "label: dos\nsize=20MiB,type=82\nsize=60MiB,type=5\nsize=20MiB\nsize=20MiB\n",
        "boot sector",
    ),
    ("mkfs.ext4", &["-q", "-F"], "", "ext4"),
    ("mkfs.ext4", &["-q", "-F", "-b", "1024"], "", "ext4"),
    ("mkfs.xfs", &["-q", "-f"], "", "XFS"),
    ("mkfs.btrfs", &["-q", "-f"], "", "btrfs"),
    ("mkfs.vfat", &[], "", "boot sector"),
    ("mkswap", &["-q"], "", "swap"),
    (
        "cryptsetup luksFormat",
        &["-q", "--pbkdf pbkdf2", "--pbkdf-force-iterations 1000", "-d -"],
        "word",
        "LUKS",
    ),
    ("mkfs.f2fs", &["-q", "-f"], "", "F2FS"),
];

#[test]
fn no_signature_survives_that_a_real_tool_wrote() {
    let mut tried = 0;
    for (program, args, input, name) in MAKERS {
        // btrfs wants 109 MiB, XFS 300.
        let machine = Machine::new(if name == "XFS" { 304 * MIB } else { 128 * MIB });
        if !machine.tool(program, args, input) {
            continue;
        }
        tried += 1;
        let whole = Range { at: 0, len: machine.bytes };
        let look = || signature::first(&Disk::open(&machine.device()).unwrap(), whole).unwrap();
        assert!(look().is_some(), "{program} wrote no {name} that is known");
        let before = machine.content();
        machine.wipe(no_discard()).unwrap_or_else(|fault| panic!("{program}: {fault:?}"));
        assert_eq!(look(), None, "{program}");
        // The blocks in which copies of superblocks were are empty.
        let after = machine.content();
        for at in copies_of(name, &before) {
            assert!(after[at..at + 512].iter().all(|byte| *byte == 0), "{program}: a copy is left at {at}");
        }
        if machine.tool("wipefs", &["--noheadings"], "") {
            let told = Command::new("wipefs")
                .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
                .arg(machine.device())
                .output();
            assert!(told.unwrap().stdout.is_empty(), "{program}: wipefs still finds something");
        }
    }
    if tried == 0 {
        skipped("every maker of file systems");
    }
}

/// Blocks that begin as the superblock of this file system does.
fn copies_of(name: &str, content: &[u8]) -> Vec<usize> {
    let blocks = (0..content.len() / 1024).map(|block| block * 1024);
    match name {
        "ext4" => {
            let uuid = content[1024 + 104..1024 + 120].to_vec();
            blocks
                .filter(|at| content[at + 56..at + 58] == [0x53, 0xef] && content[at + 104..at + 120] == uuid)
                .collect()
        }
        "XFS" => blocks.filter(|at| content[*at..].starts_with(b"XFSB")).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn what_lies_in_partitions_loses_its_signatures_too() {
    let machine = Machine::full(300 * MIB);
    // A table that says so, and superblocks where file systems in it would have them.
    if !machine.tool(
        "sfdisk",
        &["--quiet"],
        "label: gpt\nstart=1MiB, size=99MiB\nstart=100MiB, size=180MiB\n",
    ) {
        return;
    }
    let mut content = machine.content();
    let starts = [MIB, 100 * MIB].map(|at| usize::try_from(at).unwrap());
    for start in starts {
        content[start + 1080..start + 1082].copy_from_slice(&[0x53, 0xef]);
        content[start + (64 << 20) + 64..][..8].copy_from_slice(b"_BHRfS_M");
        content[start + 512..start + 520].copy_from_slice(b"LABELONE");
    }
    fs::write(machine.device(), &content).unwrap();
    machine.wipe(no_discard()).unwrap();
    let after = machine.content();
    for start in starts {
        assert_eq!(after[start + 1080..start + 1082], [0, 0]);
        assert_eq!(after[start + (64 << 20) + 64..][..8], [0; 8]);
    }
}

#[test]
fn a_disk_that_only_says_that_it_discards_is_overwritten() {
    let machine = Machine::full(64 * MIB);
    let report = machine.wipe(Faults { lies_of_discards: true, ..Faults::default() }).unwrap();
    assert_eq!(report.method, WipeMethod::Overwrite);
    let why = &report.passed_over[0];
    assert!(why.contains("said that it was done, and byte ") && why.contains("found a7 a7"), "{why}");
    assert_zeros(&machine.content(), Range { at: 0, len: 16 * MIB });
}

#[test]
fn a_disk_that_keeps_old_data_is_not_said_to_be_wiped() {
    let machine = Machine::full(64 * MIB);
    let lies = Some(Range { at: 5 * MIB, len: 4096 });
    let fault = machine.wipe(Faults { lies, no_discard: true, ..Faults::default() }).unwrap_err();
    assert!(fault.touched);
    // What is written at once around it is swallowed with it.
    assert_eq!(fault.why, "byte 5242880: found a7 a7 a7 a7 a7 a7 a7 a7, where zeros must be");
    let label = label_of(&machine.root, "sda", machine.digest()).unwrap();
    assert_eq!(label.state, LabelState::Begun, "the next boot sees that it is half wiped");
}

#[test]
fn a_write_that_fails_and_a_place_that_cannot_be_read_back_are_named() {
    let bad = Some(Range { at: 7 * MIB, len: 512 });
    let machine = Machine::full(64 * MIB);
    let fault = machine.wipe(Faults { write_fails: bad, no_discard: true, ..Faults::default() }).unwrap_err();
    assert!(fault.touched && fault.why.starts_with("byte 7340032: cannot be written: "), "{fault:?}");
    let machine = Machine::full(64 * MIB);
    let fault = machine.wipe(Faults { read_fails: bad, ..Faults::default() }).unwrap_err();
    assert!(fault.touched && fault.why.starts_with("byte 7340032: cannot be read back: "), "{fault:?}");
    let machine = Machine::full(64 * MIB);
    let start = Some(Range { at: 0, len: 512 });
    let fault = machine.wipe(Faults { read_fails: start, ..Faults::default() }).unwrap_err();
    assert_eq!(fault, Fault { touched: false, why: fault.why.clone() });
    assert_eq!(machine.content()[0], FILL, "a disk that cannot be read is left as it is");
}

#[test]
fn wherever_the_power_goes_the_next_boot_never_reads_wiped() {
    // Enough for the label alone, for some of the heads, and for all but the last label.
    let all = 2 * 4096 + 17 * MIB - 4096;
    for power in [4096, 3 * MIB, 16 * MIB, all - 1] {
        let machine = Machine::full(64 * MIB);
        let power_for = Some(Arc::new(AtomicU64::new(power)));
        let fault = machine.wipe(Faults { power_for, no_discard: true, ..Faults::default() }).unwrap_err();
        assert!(fault.touched, "{power}");
        let label = label_of(&machine.root, "sda", machine.digest());
        assert_eq!(label.map(|label| label.state), Some(LabelState::Begun), "{power}");
        // And that boot can wipe it.
        assert!(machine.wipe(Faults::default()).is_ok(), "{power}");
    }
    let machine = Machine::full(64 * MIB);
    let power_for = Some(Arc::new(AtomicU64::new(all)));
    assert!(machine.wipe(Faults { power_for, no_discard: true, ..Faults::default() }).is_ok());
}

#[test]
fn an_order_is_refused_where_the_disk_is_another_or_in_use() {
    let machine = Machine::full(64 * MIB);
    let refused = |why: &str| {
        let order = machine.order(1, "lab", WipePermit::Typed);
        let WipeState::Failed { touched: false, why: told } =
            carry_out(&machine.root, &Tools::of(&machine.root), &order, &|_, _, _| {})
        else {
            panic!("not refused: {why}");
        };
        assert!(told.contains(why), "{told}");
        assert_eq!(machine.content()[0], FILL);
    };
    machine.put("sys/block/sda/device/serial", "S2");
    refused("no disk of this machine has the serial");
    machine.put("sys/block/sda/device/serial", "S1");
    machine.put("sys/block/sdb/size", &(machine.bytes / 512).to_string());
    machine.put("sys/block/sdb/device/serial", "S1");
    refused("sda and sdb have the same serial");
    fs::remove_dir_all(machine.root.join("sys/block/sdb")).unwrap();
    machine.put("sys/block/sda/removable", "1\n");
    refused("removable");
    machine.put("sys/block/sda/removable", "0\n");
    machine.put("sys/block/sda/sda1/partition", "1\n");
    machine.put("sys/block/sda/sda1/dev", "8:1\n");
    machine.put("proc/self/mountinfo", "30 1 8:1 / /srv rw - ext4 /dev/root rw\n");
    refused("sda1 is mounted at /srv");
    machine.put("proc/self/mountinfo", "30 1 0:40 / /srv rw - btrfs /dev/sda1 rw\n");
    refused("sda1 is mounted at /srv");
    machine.put("proc/self/mountinfo", "30 1 8:10 / /srv rw - ext4 /dev/sda10 rw\n");
    machine.put("proc/swaps", "Filename Type\n/dev/sda1 partition 1 0 -2\n");
    refused("sda1 is swap in use");
    machine.put("proc/swaps", "Filename Type\n");
    machine.put("sys/block/sda/sda1/holders/dm-0/x", "");
    refused("sda1 is part of dm-0");
    fs::remove_dir_all(machine.root.join("sys/block/sda/sda1/holders")).unwrap();
    machine.put("sys/block/loop3/loop/backing_file", "/dev/sda1\n");
    refused("sda1 is under loop3");
    fs::remove_dir_all(machine.root.join("sys/block/loop3")).unwrap();
    machine.put("sys/block/sda/ro", "1\n");
    refused("write-protected");
    machine.put("sys/block/sda/ro", "0\n");
    let order = machine.order(1, "lab", WipePermit::Typed);
    assert!(matches!(
        carry_out(&machine.root, &Tools::of(&machine.root), &order, &|_, _, _| {}),
        WipeState::Wiped { .. }
    ));
}

#[test]
fn a_disk_of_another_lab_is_wiped_only_when_its_serial_was_typed() {
    let machine = Machine::full(64 * MIB);
    let go = |lab, permit| {
        carry_out(&machine.root, &Tools::of(&machine.root), &machine.order(1, lab, permit), &|_, _, _| {})
    };
    assert!(matches!(go("one", WipePermit::Typed), WipeState::Wiped { .. }));
    let WipeState::Failed { touched: false, why } = go("two", WipePermit::Recorded) else {
        panic!("another lab's disk was touched");
    };
    assert!(why.contains("belongs to lab one"), "{why}");
    assert!(matches!(go("one", WipePermit::Recorded), WipeState::Wiped { .. }));
    assert!(matches!(go("two", WipePermit::Typed), WipeState::Wiped { .. }));
    let told = inventory::disks(&machine.root);
    assert_eq!(told[0].label.as_ref().map(|label| label.lab.as_str()), Some("two"));
}

#[test]
fn an_order_is_carried_out_once_and_only_in_its_boot() {
    let machine = Machine::full(64 * MIB);
    let (wiper, console) = (Wiper::new(&machine.root), Console::nobody());
    let order = machine.order(3, "lab", WipePermit::Typed);
    wiper.take(&order, "another boot", &console);
    assert_eq!(wiper.told(), None);
    let done = || {
        let since = std::time::Instant::now();
        while wiper.is_busy() {
            assert!(since.elapsed().as_secs() < 60, "it never ended");
            std::thread::yield_now();
        }
        wiper.told().unwrap()
    };
    wiper.take(&order, "b1", &console);
    let first = done();
    assert!(matches!(first.state, WipeState::Wiped { .. }), "{first:?}");
    fs::write(machine.device(), vec![FILL; usize::try_from(machine.bytes).unwrap()]).unwrap();
    wiper.take(&order, "b1", &console);
    wiper.take(&machine.order(2, "lab", WipePermit::Typed), "b1", &console);
    assert_eq!((done(), machine.content()[0]), (first, FILL));
    wiper.take(&machine.order(4, "lab", WipePermit::Typed), "b1", &console);
    assert_eq!((done().number, machine.content()[0]), (4, 0));
}
