//! A machine with a stick of ours in real firmware: made, plugged in, pulled, and looked at.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use model::{FileRole, LogSource, NodeWord, Phase, Trace};
use wire::loader::FILE_X64;
use wire::loader::cache::{BLOCK, JOURNAL, Layout, Record, newest};

use crate::e2e::controller::Controller;
use crate::e2e::ground::{given, until};
use crate::e2e::house::House;
use crate::e2e::processes::told;

pub(crate) const LIMIT: Duration = Duration::from_secs(600);
pub(crate) const CODE: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";
pub(crate) const VARS: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";
pub(crate) const MAC: &str = "52:54:00:4c:47:02";
pub(crate) const OTHER: &str = "52:54:00:4c:47:03";
pub(crate) const PORT: &str = "tap-media";
/// Where the cache begins on a medium of ours, and where it ends before the last byte.
pub(crate) const CACHE: u64 = 37 << 20;
pub(crate) const AFTER: u64 = 1 << 20;

/// A lab of one machine that a person switches, and that has a stick.
pub(crate) struct Lab {
    pub(crate) house: House,
    pub(crate) file: PathBuf,
    pub(crate) stick: PathBuf,
    /// What the firmware knows when the machine is switched on.
    pub(crate) vars: PathBuf,
    /// It is a disk inside the machine, which the firmware starts as its own order says.
    pub(crate) is_inside: bool,
    /// MiB of memory.
    pub(crate) memory: u32,
    /// What its clock shows when it is switched on, where that is not the time.
    pub(crate) clock: Option<&'static str>,
    boots: u32,
}

impl Lab {
    pub(crate) fn new(dhcp: &str) -> Self {
        given("LABINATOR_IMAGES");
        Self::of(House::new(), dhcp, "all: { image: node, nodes: all }")
    }

    pub(crate) fn of(house: House, dhcp: &str, scenario: &str) -> Self {
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
        Self { house, file, stick, vars: VARS.into(), is_inside: false, memory: 512, clock: None, boots: 0 }
    }

    pub(crate) fn start(&self) -> Controller {
        let controller = Controller::start_in(&self.house, &self.file, &self.house.path("state"), &[]);
        controller.wait(LIMIT, "the images are read", |picture| {
            let found = |s: &model::ScenarioView| s.missing.is_empty() && !s.image.is_empty();
            picture.lab.scenarios.iter().all(found)
        });
        controller
    }

    /// Makes the stick, with the key of this lab.
    pub(crate) fn build(&self, more: &[&str]) {
        let loader = given("LABINATOR_LOADER");
        assert_eq!(loader.file_name().unwrap(), FILE_X64);
        let mut command = Command::new(given("LABINATOR_BIN"));
        command.args(["media", "build"]).arg(&self.stick).arg("--lab").arg(&self.file);
        command.arg("--state").arg(self.house.path("state")).arg("--loaders").arg(loader.parent().unwrap());
        println!("{}", told(command.args(more)));
    }

    /// Plugs the stick in and switches the machine on.
    pub(crate) fn boot(&mut self, cards: &[(&str, &str)]) -> Machine {
        self.boots += 1;
        let folder = self.house.path(&format!("machine{}", self.boots));
        fs::create_dir(&folder).unwrap();
        fs::copy(&self.vars, folder.join("vars.fd")).unwrap();
        let mut command = self.house.staying("qemu-system-x86_64");
        let mut add = |words: &str| {
            command.args(words.split_whitespace());
        };
        add(&format!("-machine q35 -m {} -display none -nodefaults -vga none", self.memory));
        add("-no-reboot -S -monitor stdio");
        let path = |name: &str| folder.join(name).display().to_string();
        add(&format!("-serial file:{}", path("console.log")));
        add("-object rng-random,id=entropy,filename=/dev/urandom");
        add("-device virtio-rng-pci,rng=entropy");
        add(&format!("-drive if=pflash,unit=0,format=raw,readonly=on,file={CODE}"));
        add(&format!("-drive if=pflash,unit=1,format=raw,file={}", path("vars.fd")));
        add(&format!("-drive if=none,id=stick,format=raw,file={}", self.stick.display()));
        add(match self.is_inside {
            true => "-device virtio-blk-pci,drive=stick,serial=INSIDE",
            false => "-device qemu-xhci -device usb-storage,id=plug,drive=stick,bootindex=0,removable=on",
        });
        if let Some(clock) = self.clock {
            add(&format!("-rtc base={clock}"));
        }
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
    pub(crate) fn record(&self) -> Record {
        let bytes = read_at(&self.stick, CACHE, usize::try_from(JOURNAL).unwrap() * BLOCK);
        newest(bytes.chunks_exact(BLOCK).filter_map(|block| block.first_chunk::<BLOCK>())).unwrap()
    }

    pub(crate) fn layout(&self) -> Layout {
        let size = fs::metadata(&self.stick).unwrap().len();
        Layout::of((size - AFTER - CACHE) / u64::try_from(BLOCK).unwrap()).unwrap()
    }
}

/// One card, with a cable to the lab.
pub(crate) fn lab_card() -> String {
    format!("tap,ifname={PORT},script=no,downscript=no")
}

pub(crate) fn read_at(path: &Path, at: u64, size: usize) -> Vec<u8> {
    let mut file = File::open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    let mut bytes = vec![0; size];
    file.read_exact(&mut bytes).unwrap();
    bytes
}

/// How much of a file this console shows as fetched, time after time.
pub(crate) fn percents(console: &str, name: &str) -> Vec<u32> {
    let number = |shown: &str| shown.split_once(" kB, ")?.1.split(' ').next()?.parse().ok();
    console.split(&format!("{name}: ")).skip(1).filter_map(number).collect()
}

/// A machine that runs.
pub(crate) struct Machine {
    pub(crate) qemu: Child,
    pub(crate) monitor: std::process::ChildStdin,
    pub(crate) console: PathBuf,
    pub(crate) began: Instant,
}

impl Machine {
    pub(crate) fn console(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.console).unwrap_or_default()).into_owned()
    }

    /// Waits until its console shows this, and returns all of it.
    pub(crate) fn shows(&self, what: &str) -> String {
        let shown = until(LIMIT, &format!("its console shows `{what}`: {}", self.console.display()), || {
            Some(self.console()).filter(|shown| shown.contains(what))
        });
        println!("--- `{what}` after {} s", self.began.elapsed().as_secs());
        shown
    }

    /// The cable of its first card, in or out.
    pub(crate) fn link(&mut self, is_in: bool) {
        writeln!(self.monitor, "set_link card0 {}", if is_in { "on" } else { "off" }).unwrap();
    }

    /// Pulls its stick.
    pub(crate) fn pull(&mut self) {
        writeln!(self.monitor, "device_del plug").unwrap();
    }

    /// How much of a file its loader has shown as fetched, time after time.
    pub(crate) fn percents(&self, name: &str) -> Vec<u32> {
        percents(&self.console(), name)
    }

    /// Pulls its plug.
    pub(crate) fn off(mut self) {
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

pub(crate) fn admitted(controller: &Controller) {
    until(Duration::from_secs(120), "the start is not refused any more", || {
        let plan = controller.verb("start all --plan --json").output().unwrap();
        let plan: api::Plan = serde_json::from_slice(&plan.stdout).ok()?;
        plan.refused.is_none().then_some(())
    });
}

pub(crate) fn trace(controller: &Controller) -> Trace {
    serde_json::from_str(&told(&mut controller.verb("boot trace one --json"))).unwrap()
}

/// Names of the files of the image that were fetched in a boot.
pub(crate) fn fetched(trace: &Trace) -> Vec<&str> {
    let of_image = |role| matches!(role, FileRole::Kernel | FileRole::Initrd | FileRole::Uki);
    trace.boot.transfers.iter().filter(|file| of_image(file.role)).map(|file| file.name.as_str()).collect()
}

/// What the loader said last in a boot.
pub(crate) fn word(trace: &Trace) -> &str {
    let said = trace.boot.log.iter().rfind(|line| line.source == LogSource::Loader);
    said.map_or("", |line| line.text.as_str())
}

/// Waits until the machine is ready by the boot of this number or a later one.
pub(crate) fn ready(controller: &Controller, boot: u32) -> Trace {
    until(LIMIT, "the boot has begun", || {
        // There is nothing to trace before the first.
        let told = controller.verb("boot trace one --json").output().unwrap();
        let trace: Trace = serde_json::from_slice(&told.stdout).ok()?;
        (trace.boot.number >= boot).then_some(())
    });
    controller.wait(LIMIT, "it is ready", |picture| {
        let machine = picture.machines.first().unwrap();
        picture.lab.phase == Phase::Ready && machine.word == NodeWord::Ready
    });
    println!("{}", told(&mut controller.verb("boot trace one")));
    trace(controller)
}
