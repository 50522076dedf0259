//! A network namespace with a bridge, a boss of a few lines, and the agent beside it.

pub(crate) mod core;
pub(crate) mod kernel;

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use model::{
    AGENT_BEAT_PATH, AGENT_HELLO_PATH, AGENT_SEAL_HEADER, AgentBeat, AgentOrder, AgentReport, AgentWelcome,
    Asset, Digest, GuestBoot, GuestNic, GuestSeen, GuestSpec, GuestWish, Image, MacAddr, MachineUuid,
    Mebibytes, PowerOrder,
};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// What the boss knows and was told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// What it answers; none: it hangs up on everybody.
    pub(crate) wishes: Option<Vec<GuestWish>>,
    /// Guests of the last heartbeat.
    pub(crate) seen: Vec<GuestSeen>,
    /// What the agent shall do.
    pub(crate) order: AgentOrder,
    /// Heartbeats so far.
    pub(crate) beats: u32,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// First lines of requests for files.
    pub(crate) fetched: Vec<String>,
    /// What every answer says besides.
    pub(crate) besides: AgentWelcome,
    /// Somebody else answers in the boss's place: this, once for each.
    pub(crate) rivals: VecDeque<AgentWelcome>,
    /// Reports so far.
    pub(crate) reports: Vec<AgentReport>,
    /// Numbers of all seals so far.
    pub(crate) seals: Vec<u64>,
    /// The last heartbeat.
    pub(crate) beat: AgentBeat,
    /// A build that is not answered.
    pub(crate) ignored: Option<Digest>,
}

/// A network namespace of its own, with what runs in it.
pub(crate) struct Ground {
    pub(crate) name: String,
    pub(crate) root: PathBuf,
    pub(crate) boss: SocketAddr,
    told: Arc<(Mutex<Told>, Condvar)>,
    agent: Option<Child>,
    options: Vec<String>,
    program: String,
}

impl Ground {
    /// A namespace with the bridge `br0` in it.
    pub(crate) fn new() -> Self {
        let name = format!("guests-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        shell(&format!("ip netns add {name} && ip -n {name} link set lo up"));
        let root = std::env::temp_dir().join(&name);
        fs::create_dir_all(&root).unwrap();
        let listener = within(&name, || TcpListener::bind("0.0.0.0:0").unwrap());
        let boss = listener.local_addr().unwrap();
        let told = Arc::new((Mutex::new(Told::default()), Condvar::new()));
        let known = Arc::clone(&told);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let known = Arc::clone(&known);
                std::thread::spawn(move || serve(stream, &known));
            }
        });
        let program = env!("CARGO_BIN_EXE_agent").to_owned();
        let mut ground = Self { name, root, boss, told, agent: None, options: Vec::new(), program };
        ground.options =
            ["--bridge", "br0", "--mac", "52:54:00:00:01:01", "--boot", "first"].map(str::to_owned).into();
        ground
    }

    /// With a bridge that nobody has to make.
    pub(crate) fn with_bridge() -> Self {
        let ground = Self::new();
        shell(&format!("ip -n {0} link add br0 type bridge && ip -n {0} link set br0 up", ground.name));
        ground
    }

    /// Another namespace beside it, which goes with it.
    pub(crate) fn peer(&self) -> String {
        let name = format!("{}-far", self.name);
        shell(&format!("ip netns add {name} && ip -n {name} link set lo up"));
        name
    }

    /// Another build of the agent than the tests' own.
    pub(crate) fn program(&mut self, program: &Path) {
        self.program = program.to_str().unwrap().to_owned();
    }

    /// More options for the agent.
    pub(crate) fn option(&mut self, words: &[&str]) {
        self.options.extend(words.iter().map(|&word| word.to_owned()));
    }

    /// Starts the agent.
    pub(crate) fn start(&mut self) {
        let log = File::options().append(true).create(true).open(self.root.join("agent.log")).unwrap();
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, &self.program, "guests"]);
        command.args(["--boss", &self.boss.to_string(), "--root"]).arg(self.state()).args(&self.options);
        // A group of its own: what a person's Ctrl-C ends is the test, and the test ends the agent.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.agent = Some(command.spawn().unwrap());
    }

    /// The address that the boss answers from.
    pub(crate) fn boss_address(&self) -> std::net::IpAddr {
        self.boss.ip()
    }

    /// The agent's process.
    pub(crate) fn agent_process(&self) -> u32 {
        self.agent.as_ref().unwrap().id()
    }

    /// The program that the agent's process runs.
    pub(crate) fn agent_program(&self) -> PathBuf {
        fs::read_link(format!("/proc/{}/exe", self.agent_process())).unwrap()
    }

    /// `kill -9` of the agent.
    pub(crate) fn kill_agent(&mut self) {
        let mut agent = self.agent.take().unwrap();
        agent.kill().unwrap();
        agent.wait().unwrap();
    }

    /// Waits until the agent ended by itself.
    pub(crate) fn agent_ended(&mut self) -> Option<i32> {
        self.agent.take().unwrap().wait().unwrap().code()
    }

    /// Where the agent keeps what it must know.
    pub(crate) fn state(&self) -> PathBuf {
        self.root.join("state")
    }

    pub(crate) fn told(&self) -> MutexGuard<'_, Told> {
        self.told.0.lock().unwrap()
    }

    /// Sets what the boss wishes.
    pub(crate) fn wish(&self, wishes: &[GuestWish]) {
        self.told().wishes = Some(wishes.to_vec());
    }

    /// Puts a content on the boss's shelf.
    pub(crate) fn serve(&self, name: &str, content: &[u8]) -> Asset {
        let digest = Digest(store::Digest::of(content).0);
        self.told().files.insert(digest.to_string(), content.to_vec());
        Asset { name: name.to_owned(), digest, size: content.len().try_into().unwrap() }
    }

    /// Waits until what the boss was told last has this in it.
    pub(crate) fn until<T>(&self, limit: Duration, what: &str, look: impl Fn(&Told) -> Option<T>) -> T {
        let end = Instant::now() + limit;
        let mut told = self.told();
        loop {
            if let Some(found) = look(&told) {
                return found;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let log = fs::read_to_string(self.root.join("agent.log")).unwrap_or_default();
                panic!("not in {} s: {what}\n{:#?}\n{log}", limit.as_secs(), told.seen);
            }
            told = self.told.1.wait_timeout(told, left).unwrap().0;
        }
    }

    /// The process of a guest's QEMU, as QEMU itself says.
    pub(crate) fn pid(&self, guest: &str) -> Option<i32> {
        let pid: i32 =
            fs::read_to_string(self.state().join(guest).join("qemu.pid")).ok()?.trim().parse().ok()?;
        Path::new(&format!("/proc/{pid}/exe")).read_link().is_ok().then_some(pid)
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if self.agent.is_some() {
            self.kill_agent();
        }
        for entry in fs::read_dir(self.state()).into_iter().flatten().flatten() {
            if let Some(pid) = entry.file_name().to_str().and_then(|guest| self.pid(guest)) {
                kill(pid);
            }
        }
        shell(&format!(
            "ip netns del {0}; ip netns del {0}-far 2>/dev/null; umount {1} 2>/dev/null; true",
            self.name,
            self.state().display()
        ));
        drop(fs::remove_dir_all(&self.root));
    }
}

/// `kill -9`.
pub(crate) fn kill(pid: i32) {
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

/// Runs a line that must succeed.
pub(crate) fn shell(line: &str) {
    shell_says(line);
}

/// What a line that must succeed says.
pub(crate) fn shell_says(line: &str) -> String {
    let done = Command::new("sh").args(["-c", line]).output().unwrap();
    assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// Opens something inside a namespace: a socket stays where it was made. The thread goes there and does not come back.
pub(crate) fn within<T: Send + 'static>(name: &str, open: impl FnOnce() -> T + Send + 'static) -> T {
    let space = File::open(format!("/run/netns/{name}")).unwrap();
    let made = std::thread::spawn(move || {
        move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        open()
    });
    made.join().unwrap()
}

/// Sends back what comes, for as long as the test runs.
pub(crate) fn echo(name: &str) {
    let socket = within(name, || UdpSocket::bind("[::]:7").unwrap());
    std::thread::spawn(move || {
        let mut buffer = [0; 8];
        while let Ok((count, from)) = socket.recv_from(&mut buffer) {
            // One that cannot be sent back is lost, which is what is counted.
            drop(socket.send_to(&buffer[..count], from));
        }
    });
}

/// Asks an echo again and again until it is told to stop; gives how many were asked and how many did not come back
/// within two seconds: on a busy machine an answer may be late, which is not lost.
pub(crate) fn ask(name: &str, to: SocketAddr, stop: &AtomicBool) -> (u64, u64) {
    let socket =
        within(name, move || UdpSocket::bind(if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }).unwrap());
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let (mut asked, mut lost) = (0_u64, 0);
    while !stop.load(Ordering::Relaxed) {
        asked += 1;
        let mut answer = [0; 8];
        drop(socket.send_to(&asked.to_le_bytes(), to));
        loop {
            match socket.recv(&mut answer) {
                Ok(_) if u64::from_le_bytes(answer) == asked => break,
                // It came too late, and was counted.
                Ok(_) => {}
                Err(_) => {
                    lost += 1;
                    break;
                }
            }
        }
    }
    (asked, lost)
}

/// A guest called `vmN` that boots this kernel.
pub(crate) fn guest(number: u8, kernel: &Asset, args: &str) -> GuestWish {
    GuestWish {
        node: format!("vm{number}").parse().unwrap(),
        uuid: MachineUuid([number; 16]),
        mac: MacAddr([0x52, 0x54, 0, 0, 2, number]),
        spec: GuestSpec {
            host: "hv1".parse().unwrap(),
            memory: Mebibytes(16),
            cpus: 1,
            disk: None,
            nic: GuestNic::Virtio,
            boot: GuestBoot::Kernel,
            watchdog: false,
        },
        power: PowerOrder::On,
        order: 1,
        image: Some(Arc::new(Image { kernel: Some(kernel.clone()), ..Image::default() })),
        args: args.to_owned(),
    }
}

/// Answers one connection until it is closed.
fn serve(stream: TcpStream, known: &(Mutex<Told>, Condvar)) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    loop {
        let (mut first, mut length, mut from) = (String::new(), 0, 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if let Some(value) = lower.strip_prefix(AGENT_SEAL_HEADER) {
                let seal: model::Seal = value.trim_start_matches(':').trim().parse().unwrap();
                known.0.lock().unwrap().seals.push(seal.count);
            }
            if let Some(value) = lower.strip_prefix("range: bytes=") {
                from = value.trim().trim_end_matches('-').parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
            if first.is_empty() {
                first = line;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let Some((status, answer)) = answer(&first, &body, from, known) else { return };
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", answer.len());
        if stream.write_all(&[head.as_bytes(), &answer].concat()).is_err() {
            return;
        }
    }
}

fn answer(
    first: &str,
    body: &[u8],
    from: usize,
    known: &(Mutex<Told>, Condvar),
) -> Option<(&'static str, Vec<u8>)> {
    let mut told = known.0.lock().unwrap();
    told.wishes.as_ref()?;
    let path = first.split(' ').nth(1)?;
    if let Some(digest) = path.strip_prefix("/f/").and_then(|rest| rest.split('/').next()) {
        let file = told.files.get(digest).cloned();
        told.fetched.push(first.to_owned());
        let status = if from > 0 { "206 Partial Content" } else { "200 OK" };
        return Some(file.map_or(("404 Not Found", Vec::new()), |file| (status, file[from..].to_vec())));
    }
    if let Some(rival) = told.rivals.pop_front() {
        known.1.notify_all();
        return Some(("200 OK", serde_json::to_vec(&rival).unwrap()));
    }
    if path == AGENT_HELLO_PATH {
        let report: AgentReport = serde_json::from_slice(body).unwrap();
        let ignored = told.ignored.is_some() && report.build == told.ignored;
        told.reports.push(report);
        known.1.notify_all();
        if ignored {
            return None;
        }
    }
    if path == AGENT_BEAT_PATH {
        let beat: AgentBeat = serde_json::from_slice(body).unwrap();
        told.beats += 1;
        told.seen.clone_from(&beat.guests);
        told.beat = beat;
        known.1.notify_all();
    }
    let welcome = AgentWelcome {
        node: Some("hv1".parse().unwrap()),
        guests: told.wishes.clone().map(Arc::new),
        order: told.order,
        ..told.besides.clone()
    };
    Some(("200 OK", serde_json::to_vec(&welcome).unwrap()))
}
