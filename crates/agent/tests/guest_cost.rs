//! What guests cost in time and their agent in work: a boot by kernel against one over the network, the way back after
//! `kill -9`, and eighteen consoles at full speed. `cargo xtask bench guests` runs this and reads what it prints; on a busy
//! machine its figures mean little, so no test asks for them.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "this is what it is for"
)]

#[path = "guest_cost/chatter.rs"]
mod chatter;
#[expect(dead_code, reason = "the rest is for other tests")]
mod ground;
#[path = "guest_cost/netboot.rs"]
mod netboot;

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use chatter::{CHATTER, LINE_SPEED};
use ground::core::Core;
use ground::{Ground, guest, kill};
use model::{
    AGENT_BEAT_SECONDS, Asset, GuestBoot, GuestCause, GuestSeen, GuestState, GuestWish, Image, Mebibytes,
    PowerOrder,
};
use netboot::{Manner, Netboot};

/// For one step: the slowest boot over the network, on a busy machine.
const LIMIT: Duration = Duration::from_secs(240);
/// Boots of each kind.
const BOOTS: u32 = 5;
/// A guest's budget of ends before it is *crash-looping*, and how often that is spent: twenty ends.
const ENDS: u32 = 5;
const SERIES: u32 = 4;
/// Guests whose consoles are read.
const TALKERS: u8 = 18;
/// Heartbeats, three seconds each, during which they are.
const BEATS: u32 = 10;
/// Kernel ticks a second in `/proc/PID/stat`: `USER_HZ`, 100 on every Linux this runs on.
const TICKS: f64 = 100.0;
/// Bytes of Talos's initramfs, which the original gave each guest.
const HEAVY: usize = 81_000_000;
/// A kernel's first line.
const FIRST_LINE: &[u8] = b"Linux version";
const ARGS: &str = "console=ttyS0";

fn tell(word: &str, value: f64) {
    println!("{word} {value:.3}");
}

fn given(variable: &str) -> PathBuf {
    let Some(path) = std::env::var_os(variable) else {
        panic!("{variable} is not set: run this by `cargo xtask bench guests`")
    };
    path.into()
}

/// Looks again and again, some hundred times a second.
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < end, "not within {} s: {what}", LIMIT.as_secs());
        std::thread::park_timeout(Duration::from_millis(4));
    }
}

/// A guest that boots a real kernel, and its console.
struct Guest {
    wish: GuestWish,
    console: PathBuf,
}

/// When things happened in one boot.
struct Boot {
    /// The agent had the wish.
    told: SystemTime,
    first_byte: SystemTime,
    first_line: SystemTime,
}

impl Guest {
    /// One that is off.
    fn new(ground: &Ground, kernel: &Asset, initrd: &Asset) -> Self {
        let mut wish = guest(1, kernel, ARGS);
        wish.spec.memory = Mebibytes(1024);
        wish.power = PowerOrder::Off;
        let image = Image { kernel: Some(kernel.clone()), initrd: vec![initrd.clone()], ..Image::default() };
        wish.image = Some(image.into());
        let console = ground.state().join("vm1/console.log");
        Self { wish, console }
    }

    /// Another order.
    fn order(&mut self, ground: &Ground, power: PowerOrder) {
        self.wish.power = power;
        self.wish.order += 1;
        ground.wish(std::slice::from_ref(&self.wish));
    }

    fn until_seen(&self, ground: &Ground, what: &str, fits: impl Fn(&GuestSeen) -> bool) {
        ground.until(LIMIT, what, |told| {
            told.seen.iter().any(|seen| seen.order == self.wish.order && fits(seen)).then_some(())
        });
    }

    /// Bytes that its console has so far.
    fn said(&self) -> u64 {
        self.console.metadata().map_or(0, |about| about.len())
    }

    /// Waits for the first byte after this many, and for the kernel's first line.
    fn begins(&self, before: u64) -> (SystemTime, SystemTime) {
        until("the first byte", || (self.said() > before).then_some(()));
        let first_byte = SystemTime::now();
        until("the kernel's first line", || {
            let mut text = vec![0; usize::try_from(self.said() - before).unwrap()];
            let count = File::open(&self.console).unwrap().read_at(&mut text, before).unwrap();
            text[..count].windows(FIRST_LINE.len()).any(|window| window == FIRST_LINE).then_some(())
        });
        (first_byte, SystemTime::now())
    }

    /// Orders it on, and off again when its kernel has said something.
    fn boots(&mut self, ground: &Ground, boot: GuestBoot) -> (SystemTime, Boot) {
        self.wish.spec.boot = boot;
        let before = self.said();
        let ordered = SystemTime::now();
        self.order(ground, PowerOrder::On);
        let (first_byte, first_line) = self.begins(before);
        // The agent writes the wish down when it comes.
        let told = ground.state().join("wishes.json").metadata().unwrap().modified().unwrap();
        self.goes_off(ground);
        (ordered, Boot { told, first_byte, first_line })
    }

    /// A system that has hardly begun does not hear its power button.
    fn goes_off(&mut self, ground: &Ground) {
        self.order(ground, PowerOrder::Off);
        self.until_seen(ground, "it is to go off", |seen| seen.evidence.contains("power button"));
        kill(ground.pid("vm1").unwrap());
        self.until_seen(ground, "it is off", |seen| seen.state == GuestState::Off);
    }
}

fn seconds(from: SystemTime, to: SystemTime) -> f64 {
    // A file's time is that of the kernel's last tick, a few milliseconds ago.
    to.duration_since(from).unwrap_or_default().as_secs_f64()
}

/// The kernel and the initramfs of the node image.
fn node_image() -> (Vec<u8>, Vec<u8>) {
    let folder = given("LABINATOR_IMAGES").join("node");
    let read = |name: &str| {
        let path = folder.join(name);
        fs::read(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
    };
    (read("vmlinuz"), read("initrd.img"))
}

fn ground() -> Ground {
    let mut ground = Ground::with_bridge();
    ground.program(&given("LABINATOR_AGENT"));
    ground
}

#[test]
#[ignore = "a measurement: cargo xtask bench guests"]
fn boots() {
    let (kernel, light) = node_image();
    // Linux passes over zeroes behind an initramfs.
    let mut heavy = light.clone();
    heavy.resize(HEAVY, 0);
    let ways = [("plain", Manner::Plain), ("quick", Manner::Quick)];
    for (weight, initrd, ways) in [("heavy", &heavy, &ways[..]), ("light", &light, &ways[..1])] {
        let mut ground = ground();
        Netboot::addresses(&ground);
        let (kernel_asset, initrd_asset) =
            (ground.serve("vmlinuz", &kernel), ground.serve("initrd.img", initrd));
        let mut one = Guest::new(&ground, &kernel_asset, &initrd_asset);
        tell(&format!("{weight}_mb"), f64::from(u32::try_from(kernel.len() + initrd.len()).unwrap()) / 1e6);
        ground.start();
        // What comes from the boss comes once for all guests of a machine; this one pays for it.
        one.boots(&ground, GuestBoot::Kernel);
        for round in 0..BOOTS {
            // A wish comes at any time between two heartbeats, and goes with the next.
            let (now, wait) = (Instant::now(), Duration::from_secs(AGENT_BEAT_SECONDS) * round / BOOTS);
            until("its time", || (now.elapsed() >= wait).then_some(()));
            let (ordered, boot) = one.boots(&ground, GuestBoot::Kernel);
            tell(&format!("{weight}_direct"), seconds(ordered, boot.first_line));
            tell(&format!("{weight}_direct_told"), seconds(ordered, boot.told));
            tell(&format!("{weight}_direct_firmware"), seconds(boot.told, boot.first_byte));
            tell(&format!("{weight}_direct_kernel"), seconds(boot.first_byte, boot.first_line));
            for (word, manner) in ways {
                let servers = Netboot::start(&ground, *manner, (&kernel, initrd), ARGS);
                let (_, boot) = one.boots(&ground, GuestBoot::Network);
                drop(servers);
                // Whoever starts guests by hand waits for no heartbeat.
                tell(&format!("{weight}_{word}"), seconds(boot.told, boot.first_line));
            }
        }
        let fetches = ground.told().fetched.iter().filter(|line| line.contains("/vmlinuz")).count();
        assert_eq!(fetches, 1, "the agent fetches a kernel once");
    }
}

#[test]
#[ignore = "a measurement: cargo xtask bench guests"]
fn ends() {
    let (kernel, initrd) = node_image();
    let mut ground = ground();
    let (kernel, initrd) = (ground.serve("vmlinuz", &kernel), ground.serve("initrd.img", &initrd));
    let mut one = Guest::new(&ground, &kernel, &initrd);
    ground.start();
    one.order(&ground, PowerOrder::On);
    one.begins(0);
    for series in 0..SERIES {
        // Another order is another budget: without it the sixth end would be the last.
        one.order(&ground, PowerOrder::On);
        one.until_seen(&ground, "it runs", |seen| seen.state == GuestState::Running);
        for end in 0..ENDS {
            let pid = ground.pid("vm1").unwrap();
            let lost = SystemTime::now();
            kill(pid);
            // It may have written until then; the next one takes longer to write than this look.
            let image = PathBuf::from(format!("/proc/{pid}/exe"));
            until("the end of QEMU", || image.read_link().is_err().then_some(()));
            let before = one.said();
            until("another QEMU", || ground.pid("vm1").filter(|new| *new != pid));
            let process = SystemTime::now();
            let (first_byte, first_line) = one.begins(before);
            tell("back_process", seconds(lost, process));
            tell("back_byte", seconds(lost, first_byte));
            tell("back_line", seconds(lost, first_line));
            let starts = 2 + series * ENDS + end;
            one.until_seen(&ground, "what became of it is told", |seen| {
                let cause = seen.ended.as_ref().map(|end| end.cause);
                seen.starts == starts && cause == Some(GuestCause::QemuDied)
            });
        }
    }
}

/// User and system time of a process so far, in seconds (proc(5), fields 14 and 15 of `stat`).
fn spent(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let words = stat.rsplit(')').next().unwrap().split_whitespace().skip(11).take(2);
    words.map(|word| word.parse::<f64>().unwrap()).sum::<f64>() / TICKS
}

/// Resident memory of a process, in MiB.
fn resident(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}

/// Guests with this kernel line, whose consoles a core reads, until all have said something.
fn talking(words: &str) -> (Ground, Core, Vec<PathBuf>) {
    let mut ground = ground();
    let core = Core::new(&ground.name);
    ground.told().besides = core.welcome();
    let kernel = ground.serve("kernel", &CHATTER);
    let list: Vec<_> = (1..=TALKERS).map(|number| guest(number, &kernel, words)).collect();
    ground.option(&["--nonce", "word"]);
    ground.wish(&list);
    ground.start();
    ground.until(LIMIT, "all run", |told| {
        let runs = told.seen.iter().filter(|seen| seen.state == GuestState::Running).count();
        (runs == list.len()).then_some(())
    });
    let mut consoles = Vec::new();
    for wish in &list {
        let console = ground.state().join(wish.node.as_str()).join("console.log");
        until("a console", || console.metadata().ok().filter(|about| about.len() > 0));
        assert!(core.follow(wish.node.as_str()) > 0, "{} has said something", wish.node);
        consoles.push(console);
    }
    (ground, core, consoles)
}

/// What the agent does during some heartbeats in which these consoles grow.
fn watch(word: &str, (ground, core): (&Ground, &Core), consoles: &[PathBuf]) {
    let said = || -> u64 { consoles.iter().map(|console| console.metadata().unwrap().len()).sum() };
    let agent = ground.agent_process();
    let beats = ground.told().beats;
    let (begun, before, bytes, came) = (Instant::now(), spent(agent), said(), core.came());
    ground.until(LIMIT, "heartbeats", |told| (told.beats >= beats + BEATS).then_some(()));
    let took = begun.elapsed().as_secs_f64();
    tell(&format!("{word}_cpu"), (spent(agent) - before) / took * 100.0);
    let bytes = f64::from(u32::try_from(said() - bytes).unwrap());
    let came = f64::from(u32::try_from(core.came() - came).unwrap());
    assert!(came > bytes * 0.9, "of {bytes} bytes that were written only {came} came to the core");
    tell(&format!("{word}_rate"), bytes / took / f64::from(TALKERS));
    tell(&format!("{word}_resident"), resident(agent));
}

#[test]
#[ignore = "a measurement: cargo xtask bench guests"]
fn consoles() {
    tell("line_speed", LINE_SPEED);
    let (ground, core, consoles) = talking("!paced");
    watch("paced", (&ground, &core), &consoles);
    drop((core, ground));

    // On a busy machine emulated guests do not keep that up; so it is written for them, where QEMU would.
    let (ground, core, consoles) = talking("!still");
    for (word, times) in [("single", 1), ("tenfold", 10)] {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| write_for(&consoles, times, &over));
            watch(word, (&ground, &core), &consoles);
            over.store(true, Ordering::Relaxed);
        });
    }
}

/// Writes to consoles so many times as fast as a serial line does, in lines.
fn write_for(consoles: &[PathBuf], times: u32, over: &AtomicBool) {
    let open = |path: &PathBuf| File::options().append(true).open(path).unwrap();
    let mut files: Vec<File> = consoles.iter().map(open).collect();
    let line = [&[b'.'; 63][..], b"\n"].concat().repeat(usize::try_from(times).unwrap());
    let (begun, mut written) = (Instant::now(), 0_u32);
    // A watch that failed says nothing.
    while !over.load(Ordering::Relaxed) && begun.elapsed() < LIMIT {
        // A line has 64 bytes: 180 a second are 11520.
        while f64::from(written) < begun.elapsed().as_secs_f64() * 180.0 {
            for file in &mut files {
                file.write_all(&line).unwrap();
            }
            written += 1;
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
