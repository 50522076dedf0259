//! A stick made by `labinator media build`, in real firmware: no PXE, a cache, and what happens where something is cut.
#![expect(clippy::unwrap_used, reason = "a test may stop")]
#![expect(clippy::print_stdout, reason = "what a failed test heard, and what was measured")]

mod e2e;

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use e2e::controller::Controller;
use e2e::ground::{self, given, until};
use e2e::house::House;
use e2e::processes::told;
use model::{FileRole, LogSource, NodeWord, Phase, Trace};
use wire::loader::FILE_X64;
use wire::loader::cache::{BLOCK, JOURNAL, Layout, Record, newest};

const LIMIT: Duration = Duration::from_secs(600);
const CODE: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";
const VARS: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";
const MAC: &str = "52:54:00:4c:47:02";
const OTHER: &str = "52:54:00:4c:47:03";
const PORT: &str = "tap-media";
/// Where the cache begins on a medium of ours, and where it ends before the last byte.
const CACHE: u64 = 37 << 20;
const AFTER: u64 = 1 << 20;

/// A lab of one machine that a person switches, and that has a stick.
struct Lab {
    house: House,
    file: PathBuf,
    stick: PathBuf,
    /// What the firmware knows when the machine is switched on.
    vars: PathBuf,
    boots: u32,
}

impl Lab {
    fn new(dhcp: &str) -> Self {
        given("LABINATOR_IMAGES");
        Self::of(House::new(), dhcp, "all: { image: node, nodes: all }")
    }

    fn of(house: House, dhcp: &str, scenario: &str) -> Self {
        let file = house.write(
            "lab.yaml",
            format!(
                "lab: sticks\n\
                 network: {{ interface: br0, subnet: 10.79.0.0/20, boss: 10.79.0.1, dhcp: {dhcp} }}\n\
                 power: {{ hand: {{ driver: manual }} }}\n\
                 board:\n  columns: 1\n  nodes:\n    \
                   one: {{ at: [1, 1], mac: '{MAC}', ip: 10.79.0.12, power: hand/1 }}\n\
                 scenarios:\n  {scenario}\n\
                 limits: {{ first-ask: 9m, fetch: 9m, start: 9m }}\n"
            ),
        );
        house.shell(&format!("ip tuntap add {PORT} mode tap && ip link set {PORT} master br0 up"));
        let stick = house.path("stick.img");
        Self { house, file, stick, vars: VARS.into(), boots: 0 }
    }

    fn start(&self) -> Controller {
        let controller = Controller::start_in(&self.house, &self.file, &self.house.path("state"), &[]);
        controller.wait(LIMIT, "the images are read", |picture| {
            let found = |s: &model::ScenarioView| s.missing.is_empty() && !s.image.is_empty();
            picture.lab.scenarios.iter().all(found)
        });
        controller
    }

    /// Makes the stick, with the key of this lab.
    fn build(&self, more: &[&str]) {
        let loader = given("LABINATOR_LOADER");
        assert_eq!(loader.file_name().unwrap(), FILE_X64);
        let mut command = Command::new(given("LABINATOR_BIN"));
        command.args(["media", "build"]).arg(&self.stick).arg("--lab").arg(&self.file);
        command.arg("--state").arg(self.house.path("state")).arg("--loaders").arg(loader.parent().unwrap());
        println!("{}", told(command.args(more)));
    }

    /// Plugs the stick in and switches the machine on.
    fn boot(&mut self, cards: &[(&str, &str)]) -> Machine {
        self.boots += 1;
        let folder = self.house.path(&format!("machine{}", self.boots));
        fs::create_dir(&folder).unwrap();
        fs::copy(&self.vars, folder.join("vars.fd")).unwrap();
        let mut command = self.house.staying("qemu-system-x86_64");
        let mut add = |words: &str| {
            command.args(words.split_whitespace());
        };
        add("-machine q35 -m 512 -display none -nodefaults -vga none -no-reboot -S -monitor stdio");
        let path = |name: &str| folder.join(name).display().to_string();
        add(&format!("-serial file:{}", path("console.log")));
        add("-object rng-random,id=entropy,filename=/dev/urandom");
        add("-device virtio-rng-pci,rng=entropy");
        add(&format!("-drive if=pflash,unit=0,format=raw,readonly=on,file={CODE}"));
        add(&format!("-drive if=pflash,unit=1,format=raw,file={}", path("vars.fd")));
        add(&format!("-drive if=none,id=stick,format=raw,file={}", self.stick.display()));
        add("-device qemu-xhci -device usb-storage,drive=stick,bootindex=0,removable=on");
        for (number, (mac, netdev)) in cards.iter().enumerate() {
            add(&format!("-netdev {netdev},id=net{number}"));
            add(&format!("-device virtio-net-pci,id=card{number},netdev=net{number},mac={mac},romfile="));
        }
        let complaints = File::create(path("qemu.log")).unwrap();
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(complaints);
        let mut qemu = command.spawn().unwrap();
        let mut monitor = qemu.stdin.take().unwrap();
        for (number, (_, netdev)) in cards.iter().enumerate() {
            if netdev.starts_with("hubport") {
                writeln!(monitor, "set_link card{number} off").unwrap();
            }
        }
        writeln!(monitor, "cont").unwrap();
        Machine { qemu, monitor, console: folder.join("console.log"), began: Instant::now() }
    }

    /// The record of the stick's cache that counts.
    fn record(&self) -> Record {
        let bytes = read_at(&self.stick, CACHE, usize::try_from(JOURNAL).unwrap() * BLOCK);
        newest(bytes.chunks_exact(BLOCK).filter_map(|block| block.first_chunk::<BLOCK>())).unwrap()
    }

    fn layout(&self) -> Layout {
        let size = fs::metadata(&self.stick).unwrap().len();
        Layout::of((size - AFTER - CACHE) / u64::try_from(BLOCK).unwrap()).unwrap()
    }
}

/// One card, with a cable to the lab.
fn lab_card() -> String {
    format!("tap,ifname={PORT},script=no,downscript=no")
}

fn read_at(path: &Path, at: u64, size: usize) -> Vec<u8> {
    let mut file = File::open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    let mut bytes = vec![0; size];
    file.read_exact(&mut bytes).unwrap();
    bytes
}

/// A machine that runs.
struct Machine {
    qemu: Child,
    monitor: std::process::ChildStdin,
    console: PathBuf,
    began: Instant,
}

impl Machine {
    fn console(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.console).unwrap_or_default()).into_owned()
    }

    /// Waits until its console shows this, and returns all of it.
    fn shows(&self, what: &str) -> String {
        let shown = until(LIMIT, &format!("its console shows `{what}`: {}", self.console.display()), || {
            Some(self.console()).filter(|shown| shown.contains(what))
        });
        println!("--- `{what}` after {} s", self.began.elapsed().as_secs());
        shown
    }

    /// Pulls its plug.
    fn off(mut self) {
        drop(writeln!(self.monitor, "quit"));
        until(Duration::from_secs(60), "it is off", || self.qemu.try_wait().unwrap());
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let complaints = fs::read_to_string(self.console.with_file_name("qemu.log"));
            println!("--- QEMU: {}\n--- its console:\n{}", complaints.unwrap_or_default(), self.console());
        }
        drop(self.qemu.kill());
        drop(self.qemu.wait());
    }
}

fn admitted(controller: &Controller) {
    until(Duration::from_secs(120), "the start is not refused any more", || {
        let plan = controller.verb("start all --plan --json").output().unwrap();
        let plan: api::Plan = serde_json::from_slice(&plan.stdout).ok()?;
        plan.refused.is_none().then_some(())
    });
}

fn trace(controller: &Controller) -> Trace {
    serde_json::from_str(&told(&mut controller.verb("boot trace one --json"))).unwrap()
}

/// Names of the files of the image that were fetched in a boot.
fn fetched(trace: &Trace) -> Vec<&str> {
    let of_image = |role| matches!(role, FileRole::Kernel | FileRole::Initrd | FileRole::Uki);
    trace.boot.transfers.iter().filter(|file| of_image(file.role)).map(|file| file.name.as_str()).collect()
}

/// What the loader said last in a boot.
fn word(trace: &Trace) -> &str {
    let said = trace.boot.log.iter().rfind(|line| line.source == LogSource::Loader);
    said.map_or("", |line| line.text.as_str())
}

fn ready(controller: &Controller, boot: u32) -> Trace {
    controller.wait(LIMIT, "it is ready", |picture| {
        let machine = picture.machines.first().unwrap();
        picture.lab.phase == Phase::Ready && machine.word == NodeWord::Ready
    });
    let trace = until(LIMIT, "the boot is the next one", || {
        Some(trace(controller)).filter(|trace| trace.boot.number >= boot)
    });
    println!("{}", told(&mut controller.verb("boot trace one")));
    trace
}

#[test]
#[ignore = "stage e2e-qemu"]
fn a_stick_fetches_once_and_then_boots_from_its_cache_also_without_a_controller() {
    let mut lab = Lab::new("authoritative");
    let mut controller = lab.start();
    lab.build(&["--size", "128MiB", "--patience", "20"]);
    admitted(&controller);
    told(&mut controller.verb("start all"));
    let card = lab_card();

    // The first time everything is fetched, and kept.
    let machine = lab.boot(&[(MAC, &card)]);
    let first = ready(&controller, 1);
    assert!(fetched(&first).contains(&"vmlinuz") && fetched(&first).len() >= 2, "{:?}", fetched(&first));
    assert!(
        word(&first).contains("by local") && word(&first).contains("kept in the cache"),
        "{}",
        word(&first)
    );
    assert!(!first.boot.transfers.iter().any(|file| file.role == FileRole::Loader), "no PXE");
    machine.off();
    let kept = lab.record();
    assert!(kept.slots.iter().flatten().count() == 1 && kept.worn > 1 && kept.good.is_none(), "{kept:?}");

    // The second time nothing is.
    let machine = lab.boot(&[(MAC, &card)]);
    let second = until(LIMIT, "the second boot has begun", || {
        Some(trace(&controller)).filter(|trace| trace.boot.number > first.boot.number)
    });
    let second = ready(&controller, second.boot.number);
    assert_eq!(fetched(&second), Vec::<&str>::new());
    assert!(word(&second).contains("from the cache (written less than once over)"), "{}", word(&second));
    machine.off();
    let good = lab.record();
    assert!(good.good.is_some() && good.least > 0, "the controller said that it started well: {good:?}");
    assert!(good.worn <= kept.worn + 2, "{} blocks more", good.worn - kept.worn);

    // Nobody answers: the same image, although nobody says what is wanted.
    assert_eq!(controller.stop().code(), Some(0));
    let machine = lab.boot(&[(MAC, &card)]);
    let shown = machine.shows("the image that started well last, from the cache");
    assert!(shown.contains("no DHCP server answers"), "{shown}");
    machine.shows(" is up");
    machine.off();
    assert_eq!(lab.record(), good, "a boot without a controller writes nothing");

    // A bit of it is another one: it is not started, and fetched anew.
    let controller = lab.start();
    let slot = good.good.unwrap();
    let place = CACHE + lab.layout().slot(slot) * u64::try_from(BLOCK).unwrap() + 100_000;
    let byte = read_at(&lab.stick, place, 1)[0];
    let mut stick = File::options().write(true).open(&lab.stick).unwrap();
    stick.seek(SeekFrom::Start(place)).unwrap();
    stick.write_all(&[byte ^ 1]).unwrap();
    drop(stick);
    let before = trace(&controller).boot.number;
    let machine = lab.boot(&[(MAC, &card)]);
    let shown = machine.shows("is not what its record says: it is not started");
    assert!(!shown.contains("from the cache (written"), "{shown}");
    let last = ready(&controller, before + 1);
    assert!(fetched(&last).contains(&"vmlinuz"), "{:?}", fetched(&last));
    machine.off();
    assert_eq!(lab.record().slots.iter().flatten().count(), 1);
}

#[test]
#[ignore = "stage e2e-qemu"]
fn without_dhcp_and_with_its_cable_in_the_second_card_a_machine_boots_by_the_address_on_its_stick() {
    let mut lab = Lab::new("off");
    let controller = lab.start();
    // So small that no image fits: it is fetched each time, and that is said.
    lab.build(&["--size", "48MiB", "--node", "one"]);
    admitted(&controller);
    told(&mut controller.verb("start all"));
    let card = lab_card();
    let machine = lab.boot(&[(OTHER, "hubport,hubid=9"), (MAC, &card)]);
    let shown = machine.shows("starts    vmlinuz");
    assert!(shown.contains(&format!("{OTHER}: it has no cable")), "{shown}");
    assert!(shown.contains(&format!("10.79.0.12/20 on {MAC}, set on this medium")), "{shown}");
    assert!(shown.contains("does not keep it: the image takes "), "{shown}");
    let trace = until(LIMIT, "the controller knows of it", || {
        Some(trace(&controller)).filter(|trace| word(trace).contains("starts vmlinuz"))
    });
    assert!(fetched(&trace).contains(&"vmlinuz"), "{:?}", fetched(&trace));
    assert!(word(&trace).contains("not kept: the image takes"), "{}", word(&trace));
    machine.shows(" is up");
    let picture = controller.look().unwrap();
    assert_eq!(picture.machines.first().unwrap().word, NodeWord::Kernel);
    println!("{}", ground::said(&controller.verb("explain one").output().unwrap()));
    machine.off();
}

/// What `labinator` says to these words.
fn labinator(words: &str) -> String {
    told(Command::new(given("LABINATOR_BIN")).args(words.split_whitespace()))
}

#[test]
#[ignore = "stage e2e-qemu"]
fn a_stick_brings_the_owners_keys_and_then_only_what_they_signed_is_started() {
    let house = House::new();
    let images = house.path("images");
    fs::create_dir(&images).unwrap();
    for name in ["vmlinuz", "initrd.img"] {
        fs::copy(given("LABINATOR_IMAGES").join("node").join(name), images.join(name)).unwrap();
    }
    let folder = images.display().to_string();
    let scenario = format!(
        "all: {{ nodes: all, image: {{ kernel: {folder}/vmlinuz, initrd: [{folder}/initrd.img], \
         args: \"console=ttyS0 no_timer_check\" }} }}"
    );
    let mut lab = Lab::of(house, "authoritative", &scenario);
    println!("{}", labinator(&format!("secure-boot keys --name stick --images {folder}")));

    // Firmware without keys takes those of the stick, once.
    let mut loose = lab.start();
    lab.build(&["--size", "48MiB", "--images", &folder, "--enrol"]);
    let card = lab_card();
    let mut machine = lab.boot(&[(MAC, &card)]);
    until(LIMIT, "the machine starts again, which ends it here", || machine.qemu.try_wait().unwrap());
    let shown = machine.console();
    for line in ["db is written", "KEK is written", "PK is written", "the machine starts again"] {
        assert!(shown.contains(line), "{shown}");
    }
    lab.vars = machine.console.with_file_name("vars.fd");

    // Its signed loader starts, and the firmware refuses the kernel that it is told to start.
    admitted(&loose);
    told(&mut loose.verb("start all"));
    let machine = lab.boot(&[(MAC, &card)]);
    let shown = machine.shows("Secure Boot is on, and nobody whom this firmware trusts signed it");
    assert!(shown.contains("Secure Boot is on: nothing is written"), "{shown}");
    machine.off();
    assert_eq!(loose.stop().code(), Some(0));

    // A lab that asks for signatures does not even serve it: its maker's is none of this owner's.
    let strict = lab.house.path("strict");
    fs::create_dir(&strict).unwrap();
    told(Command::new("cp").arg("-a").arg(lab.house.path("state").join("loader")).arg(&strict));
    let text = fs::read_to_string(&lab.file).unwrap();
    fs::write(&lab.file, format!("{text}secure-boot: required\n")).unwrap();
    let begin = || {
        let folder = [("LABINATOR_IMAGES", folder.as_str())];
        Controller::start_in(&lab.house, &lab.file, &strict, &folder)
    };
    let mut controller = begin();
    controller.wait(LIMIT, "the scenario lacks a signature", |picture| {
        let missing = picture.lab.scenarios.iter().flat_map(|scenario| &scenario.missing);
        missing.into_iter().any(|why| why.starts_with("vmlinuz is signed, but not by CN=stick db"))
    });
    assert_eq!(controller.stop().code(), Some(0));
    let kernel = format!("{folder}/vmlinuz");
    println!("{}", labinator(&format!("secure-boot sign {kernel} --output {kernel} --images {folder}")));
    let mut controller = begin();
    admitted(&controller);
    told(&mut controller.verb("start all"));
    let machine = lab.boot(&[(MAC, &card)]);
    machine.shows(" is up");
    machine.off();
    assert_eq!(controller.stop().code(), Some(0));

    // A stick that somebody else made is not started.
    let others = lab.house.path("others").display().to_string();
    lab.build(&["--size", "48MiB", "--force", "--images", &others]);
    let machine = lab.boot(&[(MAC, &card)]);
    machine.shows("Access Denied");
    machine.off();
}
