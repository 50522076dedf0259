//! Care for a boss: a lab file that `init` writes beside servers of others, and what is kept of a failed start, as
//! tshark reads it.
#![expect(clippy::unwrap_used, reason = "a test may stop")]
#![expect(clippy::panic, reason = "a test may stop")]

mod e2e;

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use api::Captures;
use e2e::client::Client;
use e2e::controller::{self, Controller};
use e2e::ground::{given, limited, said, until};
use e2e::house::House;
use e2e::lab;
use e2e::processes::told;
use model::{NodeWord, Trace};

/// Enough for anything here on a machine that is busy with other things.
const LIMIT: Duration = Duration::from_secs(60);

/// Fields of a capture as tshark reads them, one packet a line.
fn read(capture: &Path, filter: &str, fields: &[&str]) -> Vec<String> {
    let mut command = limited(120, "tshark");
    command.args(["-n", "-r"]).arg(capture).args(["-Y", filter, "-T", "fields"]);
    command.args(fields.iter().flat_map(|field| ["-e", field]));
    told(&mut command).lines().map(str::to_owned).collect()
}

fn trace(controller: &Controller, node: &str) -> Option<Trace> {
    let output = controller.verb(&format!("boot trace {node} --json")).output().unwrap();
    output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
#[ignore = "stage e2e-clients"]
fn a_failed_start_leaves_its_packets_for_tshark_and_the_bytes_it_cost() {
    let house = House::new();
    let file = lab::written(&house);
    let text = fs::read_to_string(&file).unwrap() + "limits: { first-ask: 5m, fetch: 8s, tries: 1 }\n";
    fs::write(&file, text).unwrap();
    let controller = Controller::start(&house, &file);
    told(&mut controller.verb("start all"));
    let node = Client::with_address(&house, "node1", &lab::mac(1), "10.79.0.11");
    // Firmware that asks, takes the loader twice and half a kernel, and then hangs.
    node.shell("udhcpc -i eth0 -n -q -f -s /bin/true -V PXEClient:Arch:00007:UNDI:003016 -x 0x5d:0007");
    let get = |rest: &str| node.shell(&format!("curl -sS --max-time 20 -o /dev/null {rest}"));
    get("http://10.79.0.1/snponly.efi");
    get("http://10.79.0.1/snponly.efi");
    let script = node.shell(&format!("curl -sS http://10.79.0.1/boot/{}.ipxe", lab::mac(1)));
    let kernel = script.split_whitespace().find(|word| word.ends_with("/vmlinuz")).unwrap();
    get(&format!("-r 0-999999 {kernel}"));
    let seen = controller.wait(LIMIT, "the start has failed", |picture| {
        picture.machines.iter().any(|machine| machine.node.as_str() == "node1" && machine.fault.is_some())
    });
    assert_eq!(seen.machines.iter().filter(|machine| machine.word == NodeWord::Bad).count(), 1);
    let saved = until(LIMIT, "its packets are saved", || trace(&controller, "node1")?.boot.packets);
    assert_eq!(saved.file, "node1-1-1.pcap");

    let capture = controller.state.join("failures").join(&saved.file);
    let all = read(&capture, "frame", &["eth.src", "eth.dst"]);
    assert_eq!(u32::try_from(all.len()).unwrap(), saved.frames);
    assert!(all.iter().all(|line| line.contains(&lab::mac(1))), "{all:?}");
    // Whole DHCP messages, both ways: 1 DISCOVER, 2 OFFER, 3 REQUEST, 5 ACK.
    let kinds = read(&capture, "dhcp && !icmp", &["dhcp.option.dhcp"]);
    assert_eq!(kinds, ["1", "2", "3", "5"]);
    // The first 30 bytes of a request fit into a head; a nonce in what follows stays out of the file.
    assert_eq!(read(&capture, "frame contains \"GET /snponly.efi HTTP/1.1\"", &["tcp.srcport"]).len(), 2);
    // Most of the image's packets are left out, and those that are in say how long they were.
    let lengths = read(&capture, "tcp.srcport == 80", &["frame.len", "frame.cap_len"]);
    assert!(lengths.len() < 400, "{} segments of 1.4 MB", lengths.len());
    assert!(lengths.iter().all(|line| line.split('\t').nth(1).unwrap().parse::<u32>().unwrap() <= 96));

    let boot = trace(&controller, "node1").unwrap().boot;
    let cost = |name: &str| boot.files.iter().find(|file| file.name == name).cloned().unwrap();
    let loader = cost("snponly.efi");
    assert_eq!((loader.begun, loader.whole, loader.again()), (2, 2, loader.size));
    assert_eq!((cost("vmlinuz").sent, cost("vmlinuz").size), (1_000_000, 3_000_017));
    let text = told(&mut controller.verb("boot trace node1"));
    assert!(text.contains("packets saved: /v1/failures/node1-1-1.pcap"), "{text}");
    assert!(text.contains("snponly.efi was asked for 2 times"), "{text}");

    // The same file over the API.
    let socket = controller.socket.to_str().unwrap();
    let ask = |path: &str| {
        let mut command = limited(20, "curl");
        command.args(["-sSf", "--unix-socket", socket]).arg(format!("http://labinator{path}"));
        command.output().unwrap().stdout
    };
    let listed: Captures = serde_json::from_slice(&ask("/v1/failures")).unwrap();
    assert_eq!(listed.files.iter().map(|file| file.file.as_str()).collect::<Vec<_>>(), ["node1-1-1.pcap"]);
    assert_eq!(ask("/v1/failures/node1-1-1.pcap"), fs::read(&capture).unwrap());
    assert!(ask("/v1/failures/..%2ftoken").is_empty(), "only captures are given out");
}

/// What a PXE ROM of UEFI asks, by a client that others wrote.
const ROM: &str =
    "udhcpc -i eth0 -n -q -f -t 3 -T 1 -s /bin/true -V PXEClient:Arch:00007:UNDI:003016 -x 0x5d:0007";

/// A program that goes on until the test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// `labinator init` inside a house.
fn init(house: &House, arguments: &[&str]) -> Command {
    let mut command = house.inside(120, given("LABINATOR_BIN"));
    command.arg("init").args(arguments).stdin(Stdio::null());
    command
}

#[test]
#[ignore = "stage e2e-clients"]
fn init_names_a_foreign_server_and_router_and_writes_a_file_that_serve_takes() {
    let house = House::new();
    let other = Client::with_address(&house, "other", "02:4c:41:00:00:c8", "10.79.0.200");
    other.shell("ip addr add fd00:ab:cd::1/64 dev eth0 nodad");
    let node = Client::new(&house, "node1", &lab::mac(1));
    let dnsmasq = "exec dnsmasq --keep-in-foreground --conf-file=/dev/null --port=0 --interface=eth0 --bind-interfaces \
        --dhcp-range=10.79.2.10,10.79.2.20,255.255.240.0 --dhcp-option=3,10.79.0.200 --dhcp-option=6,10.79.0.53 \
        --enable-ra --dhcp-range=fd00:ab:cd::,ra-only --dhcp-option=option6:dns-server,[fd00:ab:cd::1] \
        --dhcp-leasefile=/run/leases --pid-file=";
    let file = house.path("lab.yaml");
    let path = file.to_str().unwrap();
    let foreign = Running(other.command(300, "sh").args(["-c", dnsmasq]).spawn().unwrap());
    let listening = ["--interface", "br0", "--yes", "--listen", "8s", "--out", path];
    let mut listens = init(&house, &listening);
    let first = listens.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A machine is switched on while it listens; it asks until the ear is open.
    for _ in 0..3 {
        drop(node.command(20, "sh").args(["-c", ROM]).output().unwrap());
    }
    let told_first = first.wait_with_output().unwrap();
    let words = said(&told_first);
    assert!(told_first.status.success(), "{words}");
    assert!(words.contains("DHCP server 10.79.0.200 (02:4c:41:00:00:c8), offers 10.79.2."), "{words}");
    assert!(words.contains("/20, router 10.79.0.200, name servers 10.79.0.53"), "{words}");
    assert!(
        words.contains("IPv6 router 02:4c:41:00:00:c8, announces fd00:ab:cd::/64, and name servers"),
        "{words}"
    );
    assert!(
        words.contains(&format!("Machine {} made up by software, UEFI PXE, x86-64 UEFI", lab::mac(1))),
        "{words}"
    );
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("# Another DHCP server answers here: 10.79.0.200"), "{text}");
    assert!(text.contains("dhcp: proxy") || text.contains("dhcp: off"), "{text}");
    assert!(!text.contains("pool:") && text.contains("gateway: 10.79.0.200"), "{text}");
    assert!(!text.contains("mac: 02:4c:41:00:00:c8"), "a server is no node: {text}");

    // It never writes over a file unless told to.
    let again = init(&house, &listening).output().unwrap();
    assert_eq!(again.status.code(), Some(1));
    assert!(
        said(&again).contains("is there already") && said(&again).contains("--force"),
        "{}",
        said(&again)
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), text);

    // Without the foreign server the same segment is ours, and the file that is written serves the machine.
    drop(foreign);
    house.shell("pkill dnsmasq && pidwait dnsmasq || true");
    let mut listens = init(&house, &[&listening[..], &["--force", "--name", "wall"]].concat());
    let second = listens.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    for _ in 0..2 {
        drop(node.command(20, "sh").args(["-c", ROM]).output().unwrap());
    }
    assert!(second.wait_with_output().unwrap().status.success());
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("dhcp: authoritative") && text.contains("pool: 10.79."), "{text}");
    told(limited(20, given("LABINATOR_BIN")).arg("check").arg(&file));
    let controller = Controller::start(&house, &file);
    let picture = controller.look().unwrap();
    assert_eq!(picture.lab.name.as_str(), "wall");
    let ip = picture.machines.first().unwrap().ip;
    let lease = node.shell(&format!("{ROM} 2>&1"));
    assert!(lease.contains(&format!("lease of {ip} obtained")), "{lease}");
}

#[test]
#[ignore = "stage e2e-clients"]
fn init_serves_while_the_machines_announce_themselves_and_writes_each_into_the_file() {
    let house = House::new();
    let (file, socket) = (house.path("lab.yaml"), house.path("api.sock"));
    let mut command = house.inside(240, given("LABINATOR_BIN"));
    command.args([
        "init",
        "--serve",
        "--machines",
        "2",
        "--listen",
        "1s",
        "--yes",
        "--page",
        "127.0.0.1:8099",
    ]);
    command.args(["--interface", "br0", "--columns", "2", "--out"]).arg(&file).stdin(Stdio::null());
    command.arg("--state").arg(house.path("state")).env("LABINATOR_SOCKET", &socket);
    let mut running = Running(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let picture = || controller::picture(&socket);
    let empty = until(LIMIT, "it serves", || picture().filter(|picture| picture.lab.counter_up));
    assert!(empty.machines.is_empty(), "nothing was heard yet: {:?}", empty.machines);
    assert!(!file.exists(), "a lab without a machine is no lab file");

    // A machine asks; the page has it, by the name it has in the file, and its loader is told to wait.
    let first = Client::new(&house, "node1", &lab::mac(1));
    let ask = |node: &Client<'_>| drop(node.command(20, "sh").args(["-c", ROM]).output().unwrap());
    ask(&first);
    let one = until(LIMIT, "the first machine is on the board", || {
        picture().filter(|picture| picture.machines.len() == 1)
    });
    let machine = one.machines.first().unwrap();
    assert_eq!((machine.node.as_str(), machine.mac.to_string()), ("node1", lab::mac(1)));
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(&format!("mac: {}", lab::mac(1))), "what is known is written at once: {text}");
    let address = machine.ip;
    let lease = until(LIMIT, "it gets its address of the board", || {
        let said = said(&first.command(20, "sh").args(["-c", &format!("{ROM} 2>&1")]).output().unwrap());
        said.contains(&format!("lease of {address} obtained")).then_some(said)
    });
    assert!(!lease.contains("failed"), "{lease}");
    first.shell(&format!("ip addr add {address}/20 dev eth0"));
    let script = first.shell(&format!(
        "curl --silent --max-time 20 http://10.79.0.1/boot/{}.ipxe",
        lab::mac(1).replace(':', "-")
    ));
    assert!(
        script.contains("This is node1 of the lab home.") && script.contains("no scenario is chosen"),
        "{script}"
    );

    // The one that was wanted last ends it.
    let second = Client::new(&house, "node2", &lab::mac(2));
    ask(&second);
    let ended = until(LIMIT, "it ends by itself", || running.0.try_wait().unwrap());
    let mut words = String::new();
    running.0.stdout.take().unwrap().read_to_string(&mut words).unwrap();
    assert!(ended.success(), "{words}");
    assert!(words.contains("page  http://127.0.0.1:8099/?token="), "{words}");
    assert!(
        words.contains("node2  ") && words.contains("with 2 machines, 2 of them while it was served."),
        "{words}"
    );
    told(limited(20, given("LABINATOR_BIN")).arg("check").arg(&file));
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("node1: { at: [1, 1]") && text.contains("node2: { at: [2, 1]"), "{text}");
    assert!(!house.path("state").exists(), "its journal is nobody's");
}

/// A program on a terminal of its own, by `script` of util-linux.
struct Terminal {
    child: Child,
    heard: std::sync::mpsc::Receiver<Vec<u8>>,
    text: String,
}

impl Terminal {
    fn start(mut inside: Command, line: &str) -> Self {
        inside.args(["--quiet", "--return", "--flush", "--command", line, "/dev/null"]);
        let mut child = inside.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut out = child.stdout.take().unwrap();
        let (tell, heard) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = out.read(&mut piece) {
                if tell.send(piece.iter().take(count).copied().collect()).is_err() {
                    return;
                }
            }
        });
        Self { child, heard, text: String::new() }
    }

    /// Reads until these words come, and forgets what came before them.
    fn sees(&mut self, words: &str) {
        let end = Instant::now() + LIMIT;
        loop {
            if let Some((_, rest)) = self.text.split_once(words) {
                self.text = rest.to_owned();
                return;
            }
            let left = end.saturating_duration_since(Instant::now());
            let Ok(piece) = self.heard.recv_timeout(left) else {
                panic!("`{words}` is not in `{}`", self.text)
            };
            self.text.push_str(&String::from_utf8_lossy(&piece));
        }
    }

    fn types(&mut self, line: &str) {
        let keyboard = self.child.stdin.as_mut().unwrap();
        keyboard.write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}

#[test]
#[ignore = "stage e2e-clients"]
fn init_on_a_terminal_learns_the_wiring_by_pressing_the_buttons_one_by_one() {
    let house = House::new();
    let (one, two) = (Client::new(&house, "m1", &lab::mac(1)), Client::new(&house, "m2", &lab::mac(2)));
    let file = house.path("lab.yaml");
    let binary = given("LABINATOR_BIN");
    let line =
        format!("{} init --interface br0 --listen 1s --columns 2 --out {}", binary.display(), file.display());
    let mut terminal = Terminal::start(house.inside(200, "script"), &line);
    terminal.sees("Subnet [10.79.0.0/20]: ");
    terminal.types("nonsense");
    terminal.sees("not understood: a subnet is an address and a length");
    terminal.sees("Subnet [10.79.0.0/20]: ");
    terminal.types("");
    terminal.sees("address in it [10.79.0.1]: ");
    terminal.types("");
    terminal.sees("off [authoritative]: ");
    terminal.types("");
    terminal.sees("not on the board [10.79.");
    terminal.types("10.79.9.1-10.79.9.50");
    terminal.sees("Press the button of node1 now (column 1, row 1)");
    let presses =
        |machine: &Client<'_>| Running(machine.command(100, "sh").args(["-c", ROM]).spawn().unwrap());
    let _second_box = presses(&two);
    terminal.sees(&format!("{} made up by software, UEFI PXE", lab::mac(2)));
    terminal.sees("its name [node1]: ");
    terminal.types("left");
    terminal.sees("column and row [1 1]: ");
    terminal.types("");
    terminal.sees("Press the button of node1 now (column 2, row 1)");
    let _first_box = presses(&one);
    terminal.sees(&lab::mac(1));
    terminal.sees("its name [node1]: ");
    terminal.types("");
    terminal.sees("column and row [2 1]: ");
    terminal.types("1 2");
    terminal.sees("Press the button of node2 now (column 2, row 1)");
    terminal.types("");
    terminal.sees("with 2 machines.");
    let text = fs::read_to_string(&file).unwrap();
    assert!(
        text.contains(&format!(
            "left: {{ at: [1, 1], mac: {}, ip: 10.79.0.11, power: hand/1 }}",
            lab::mac(2)
        )),
        "{text}"
    );
    assert!(
        text.contains(&format!(
            "node1: {{ at: [1, 2], mac: {}, ip: 10.79.0.12, power: hand/2 }}",
            lab::mac(1)
        )),
        "{text}"
    );
    assert!(text.contains("pool: 10.79.9.1-10.79.9.50"), "{text}");
    told(limited(20, binary).arg("check").arg(&file));
}

#[test]
#[ignore = "stage e2e-clients"]
fn init_says_which_right_is_missing_and_does_without_it_when_all_is_said() {
    let house = House::new();
    let file = house.path("lab.yaml");
    let path = file.to_str().unwrap();
    let weak = |more: &[&str]| {
        let mut command = house.inside(60, "setpriv");
        command.args(["--bounding-set", "-net_raw"]).arg(given("LABINATOR_BIN"));
        command.args(["init", "--interface", "br0", "--yes", "--out", path]).args(more).stdin(Stdio::null());
        command.output().unwrap()
    };
    let refused = weak(&[]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("needs the right CAP_NET_RAW"), "{}", said(&refused));
    assert!(!file.exists());
    let done = weak(&["--no-listen", "--node", "a=52:54:00:00:00:07@2,1"]);
    assert!(done.status.success(), "{}", said(&done));
    let text = fs::read_to_string(&file).unwrap();
    assert!(
        text.contains("# 52:54:00:00:00:07 QEMU or KVM\n    a: { at: [2, 1], mac: 52:54:00:00:00:07,"),
        "{text}"
    );
}
