//! A stick made by `labinator media build`, in a BIOS: GRUB tries the network by iPXE, and starts the cache where nobody
//! answers and only what is still what it was.
#![expect(clippy::unwrap_used, reason = "a test may stop")]
#![expect(clippy::print_stdout, reason = "what a failed test heard, and what was measured")]

mod e2e;

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use e2e::controller::Controller;
use e2e::ground::{given, until};
use e2e::house::House;
use e2e::processes::told;
use model::{FileRole, NodeWord, Phase, Trace};
use wire::loader::bios::{ENV, ENV_SIZE, Env, FOLDER, Fat, TRIED};

const LIMIT: Duration = Duration::from_secs(600);
const MAC: &str = "52:54:00:4c:48:02";
const PORT: &str = "tap-bios";
/// Where the system partition of a medium of ours begins, and the cache's first slot: after 64 blocks of journal.
const SYSTEM: u64 = 1 << 20;
const SLOT: u64 = (37 << 20) + 64 * 4096;
/// What stands on the kernel's line of the image in the cache, and of none else.
const ARGS: &str = "console=ttyS0,115200 panic=10 no_timer_check labinator.test=a;b$x";

/// A lab of one machine that a person switches, and a stick with an image in its cache.
struct Lab {
    house: House,
    file: PathBuf,
    stick: PathBuf,
    boots: u32,
}

impl Lab {
    fn new(dhcp: &str, scenario: &str) -> Self {
        let house = House::new();
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
        Self { house, file, stick, boots: 0 }
    }

    fn start(&self) -> Controller {
        let controller = Controller::start_in(&self.house, &self.file, &self.house.path("state"), &[]);
        controller.wait(LIMIT, "the images are read", |picture| {
            picture.lab.scenarios.iter().all(|scenario| scenario.missing.is_empty())
        });
        until(Duration::from_secs(120), "the start is not refused any more", || {
            let plan = controller.verb("start all --plan --json").output().unwrap();
            let plan: api::Plan = serde_json::from_slice(&plan.stdout).ok()?;
            plan.refused.is_none().then_some(())
        });
        told(&mut controller.verb("start all"));
        controller
    }

    /// Makes the stick, with the node image in its cache, but with other arguments.
    fn build(&self, more: &[&str]) {
        let images = self.house.path("seeds");
        fs::create_dir_all(images.join("node")).unwrap();
        for name in ["vmlinuz", "initrd.img"] {
            fs::copy(given("LABINATOR_IMAGES").join("node").join(name), images.join("node").join(name))
                .unwrap();
        }
        let about = fs::read(given("LABINATOR_IMAGES").join("node/image.json")).unwrap();
        let mut about: serde_json::Value = serde_json::from_slice(&about).unwrap();
        *about.get_mut("args").unwrap() = ARGS.into();
        fs::write(images.join("node/image.json"), about.to_string()).unwrap();
        let loader = given("LABINATOR_LOADER").parent().unwrap().to_owned();
        self.build_of(&loader, &images, more);
    }

    /// The same of the loaders in this folder.
    fn build_of(&self, loaders: &Path, images: &Path, more: &[&str]) {
        let mut command = Command::new(given("LABINATOR_BIN"));
        command.args(["media", "build", "--bios"]).arg(&self.stick).arg("--lab").arg(&self.file);
        command.arg("--state").arg(self.house.path("state")).arg("--loaders").arg(loaders);
        println!("{}", told(command.arg("--images").arg(images).args(more)));
    }

    /// Plugs the stick in and switches the machine on, without UEFI. A restart is one, as on metal.
    fn boot(&mut self, more: &str) -> Machine {
        self.boots += 1;
        let folder = self.house.path(&format!("machine{}", self.boots));
        fs::create_dir(&folder).unwrap();
        let path = |name: &str| folder.join(name).display().to_string();
        // SeaBIOS shows its screen at this port, as a number of two bytes.
        fs::write(path("screen-port"), 0x2f8_u16.to_le_bytes()).unwrap();
        let mut command = self.house.staying("qemu-system-x86_64");
        let mut add = |words: &str| {
            command.args(words.split_whitespace());
        };
        add("-machine q35 -m 512 -display none -nodefaults -vga none -monitor stdio");
        add(&format!("-fw_cfg name=etc/sercon-port,file={}", path("screen-port")));
        add(&format!("-serial file:{} -serial file:{}", path("console.log"), path("screen.log")));
        add("-object rng-random,id=entropy,filename=/dev/urandom -device virtio-rng-pci,rng=entropy");
        add(&format!("-drive if=none,id=stick,format=raw,cache=writethrough,file={}", self.stick.display()));
        // The node image has a driver for this one alone.
        add("-device virtio-blk-pci,drive=stick,bootindex=0");
        add(&format!("-netdev tap,ifname={PORT},script=no,downscript=no,id=net"));
        add(&format!("-device virtio-net-pci,netdev=net,mac={MAC},romfile="));
        add(more);
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        command.stderr(File::create(path("qemu.log")).unwrap());
        let mut qemu = command.spawn().unwrap();
        let monitor = qemu.stdin.take().unwrap();
        Machine { qemu, monitor, folder, began: Instant::now() }
    }

    /// GRUB's block on the stick.
    fn env(&self) -> [u8; ENV_SIZE] {
        let sector =
            |number: u32| read_at(&self.stick, SYSTEM + u64::from(number) * 512, 512).try_into().ok();
        let fat = Fat::read(&sector(0).unwrap()).unwrap();
        let file = fat.find(&format!("{FOLDER}/{ENV}"), sector).unwrap();
        let bytes: Vec<u8> = file.sectors.iter().filter_map(|at| sector(*at)).flatten().collect();
        bytes.try_into().unwrap()
    }

    /// When a try was noted, as GRUB's own program reads it, too.
    fn tried(&self) -> String {
        let block = self.env();
        let file = self.house.write("block", block);
        let listed = told(Command::new("grub-editenv").arg(file).arg("list"));
        let tried = Env::read(&block).unwrap().get(TRIED).unwrap_or_default().to_owned();
        let by_grub = listed.lines().find_map(|line| line.strip_prefix(&format!("{TRIED}=")));
        assert_eq!(by_grub.unwrap_or_default(), tried, "{listed}");
        tried
    }

    /// Flips a bit of the image in the cache.
    fn flip(&self, at: u64) {
        let byte = read_at(&self.stick, SLOT + at, 1);
        let mut stick = File::options().write(true).open(&self.stick).unwrap();
        stick.seek(SeekFrom::Start(SLOT + at)).unwrap();
        stick.write_all(&[byte.first().unwrap() ^ 1]).unwrap();
    }
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
    folder: PathBuf,
    began: Instant,
}

impl Machine {
    fn shown(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.join(name)).unwrap_or_default()).into_owned()
    }

    /// Waits until its serial port has shown this so many times, and returns all of it.
    fn shows(&self, what: &str, times: usize) -> String {
        let shown = until(LIMIT, &format!("its serial port shows `{what}`"), || {
            Some(self.shown("console.log")).filter(|shown| shown.matches(what).count() >= times)
        });
        println!("--- `{what}` after {} s", self.began.elapsed().as_secs());
        shown
    }

    /// Waits until its screen shows this. A screen is drawn anew in pieces, so only short words are looked for.
    fn screen(&self, what: &str) -> String {
        until(LIMIT, &format!("its screen shows `{what}`"), || {
            Some(self.shown("screen.log")).filter(|shown| shown.contains(what))
        })
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
            for name in ["qemu.log", "console.log", "screen.log"] {
                println!("--- {name}:\n{}", self.shown(name));
            }
        }
        drop(self.qemu.kill());
        drop(self.qemu.wait());
    }
}

const TRIES: &str = "starts iPXE, which asks the controller";
const CACHED: &str = "starts node from the cache";
const SPOILT: &str = "node in the cache is not what it was: it is not started";

#[test]
#[ignore = "stage e2e-loader"]
fn in_a_bios_a_stick_asks_the_controller_and_without_one_starts_only_what_is_still_whole() {
    let mut lab = Lab::new("authoritative", "all: { image: node, nodes: all }");
    let mut controller = lab.start();
    lab.build(&["--size", "128MiB", "--patience", "5", "--image", "node"]);
    assert_eq!(lab.tried(), "");

    // With a controller: its script, its arguments, and the agent takes the note back.
    let machine = lab.boot("");
    machine.shows(TRIES, 1);
    controller.wait(LIMIT, "it is ready", |picture| {
        let machine = picture.machines.first().unwrap();
        picture.lab.phase == Phase::Ready && machine.word == NodeWord::Ready
    });
    machine.shows("started this machine: its next start asks the controller again", 1);
    let trace: Trace = serde_json::from_str(&told(&mut controller.verb("boot trace one --json"))).unwrap();
    let fetched = |role| trace.boot.transfers.iter().any(|file| file.role == role);
    assert!(
        fetched(FileRole::Kernel) && fetched(FileRole::Initrd) && !fetched(FileRole::Loader),
        "{trace:?}"
    );
    assert!(!machine.shown("console.log").contains("labinator.test"), "not what is in the cache");
    machine.off();
    assert_eq!(lab.tried(), "", "the note was taken back");

    // Without one: iPXE gives up, the machine restarts, and GRUB starts the cache, with its own arguments.
    assert_eq!(controller.stop().code(), Some(0));
    let machine = lab.boot("");
    machine.shows(TRIES, 1);
    until(LIMIT, "the try is noted", || Some(lab.tried()).filter(|tried| tried.starts_with("20")));
    let shown = machine.shows(CACHED, 1);
    assert!(shown.contains("no controller was reached a moment ago"), "{shown}");
    let shown = machine.shows("agent ", 1);
    let line = shown.lines().find(|line| line.contains("Command line:")).unwrap();
    assert!(line.contains(ARGS), "{line}");
    assert_eq!(shown.matches(TRIES).count(), 1, "{shown}");
    machine.off();
    assert_eq!(lab.tried(), "", "GRUB took the note back before it started the cache");

    // A bit of its kernel is another one: that is said, it is not started, and the network is tried again.
    lab.flip(1_000_000);
    let machine = lab.boot("");
    machine.shows(SPOILT, 1);
    machine.screen("not what it was");
    let shown = machine.shows(TRIES, 2);
    assert!(!shown.contains(CACHED) && !shown.contains("Linux version"), "{shown}");
    machine.off();
}

/// The first sector of a disk that shows a word by the BIOS, and halts.
fn own_disk() -> Vec<u8> {
    // xor ax, ax; mov ds, ax; mov si, 0x7c20; next: lodsb; or al, al; jz end; mov ah, 14; int 0x10; jmp next; end: hlt
    let code = b"\x31\xc0\x8e\xd8\xbe\x20\x7c\xac\x08\xc0\x74\x06\xb4\x0e\xcd\x10\xeb\xf5\xf4\xeb\xfd";
    let mut disk = code.to_vec();
    disk.resize(0x20, 0);
    disk.extend(b"ITS OWN DISK\r\n\0");
    disk.resize(510, 0);
    disk.extend([0x55, 0xaa]);
    disk.resize(1 << 20, 0);
    disk
}

#[test]
#[ignore = "stage e2e-loader"]
fn in_a_bios_a_stick_leaves_a_machine_to_its_own_disk_where_the_controller_says_so() {
    let mut lab = Lab::new("off", "all: { image: disk, nodes: all }");
    let _controller = lab.start();
    // The newest iPXE; the other test has the oldest.
    let loaders = lab.house.path("loaders");
    fs::create_dir(&loaders).unwrap();
    fs::copy(given("LABINATOR_LOADER"), loaders.join("labinator-x64.efi")).unwrap();
    let newest = given("LABINATOR_SUITES").join("sid/ipxe/usr/lib/ipxe/ipxe.lkrn");
    fs::copy(newest, loaders.join("ipxe.lkrn")).unwrap();
    lab.build_of(&loaders, &loaders, &["--size", "48MiB", "--node", "one"]);
    let disk = lab.house.write("own.img", own_disk());
    let drive =
        format!("-drive if=none,id=own,format=raw,file={} -device virtio-blk-pci,drive=own", disk.display());
    let machine = lab.boot(&drive);
    machine.shows(TRIES, 1);
    machine.screen("ITS OWN DISK");
    machine.off();
    assert!(lab.tried().starts_with("20"), "nobody takes the note back; the clock makes it old");
}
