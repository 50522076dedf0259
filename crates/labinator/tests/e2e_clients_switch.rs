//! The verbs of a switch against `serve`: a Linux bridge that net-snmp's agent tells of is the switch, machines are
//! network namespaces on its ports, and what a verb says is held against what the kernel did.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

mod e2e;

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use e2e::client::Client;
use e2e::controller::Controller;
use e2e::ground::until;
use e2e::house::House;
use e2e::lab::{self, BOSS};
use e2e::processes::{Ends, told};
use sim::buttons::{Cabinet, Pace, RelayBoard};
use sim::pty::Adapter;

/// Enough for anything here on a machine that is busy with other things.
const LIMIT: Duration = Duration::from_secs(120);
const MACHINES: u8 = 3;
/// Between two words of a machine.
const WORD: Duration = Duration::from_millis(200);
/// What the kernel's bridge learned, as `snmpd` asks a program for it.
const TABLES: &str = include_str!("../../drivers/tests/switches/tables.pl");

/// Ends what machines say.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn agent(house: &House) -> Ends {
    let tables = house.write("tables", TABLES);
    let settings = format!(
        "agentaddress udp:127.0.0.1:1161\nrwcommunity private 127.0.0.1\n\
         pass_persist .1.3.6.1.2.1.17 /usr/bin/perl {}\n",
        tables.display()
    );
    let settings = house.write("snmpd.conf", settings);
    let mut command = house.staying("/usr/sbin/snmpd");
    command.args(["-f", "-Lo", "-C", "-c"]).arg(settings).env("MIBS", "");
    command.env("SNMP_PERSISTENT_DIR", house.path("kept")).stdout(Stdio::null()).stderr(Stdio::null());
    Ends(command.spawn().unwrap())
}

/// The first machine is written where it hangs, the second elsewhere, the third nowhere.
fn lab(house: &House, board: &std::path::Path) -> PathBuf {
    house.write("vmlinuz", lab::kernel());
    house.write("initrd", b"an initramfs of 28 bytes only");
    let word = house.write("community", "private");
    std::fs::set_permissions(&word, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut text = format!(
        "lab: bench\n\
         network: {{ interface: br0, subnet: 10.79.0.0/20, boss: {BOSS}, dhcp: authoritative }}\n\
         power: {{ relays: {{ driver: relayinator, device: {} }} }}\n\
         switch: {{ core: {{ driver: snmp, host: \"127.0.0.1:1161\", credentials: \"file:{}\", boss: br0 }} }}\n\
         board:\n  columns: {MACHINES}\n  nodes:\n",
        board.display(),
        word.display()
    );
    let ports = [", port: core/to-node1", ", port: core/to-node3", ""];
    for (number, port) in (1..=MACHINES).zip(ports) {
        text.push_str(&format!(
            "    node{number}: {{ at: [{number}, 1], mac: {}, ip: 10.79.0.1{number}, power: relays/{number}{port} }}\n",
            lab::mac(number)
        ));
    }
    text.push_str("scenarios:\n  all: { image: { kernel: vmlinuz, initrd: [initrd] }, nodes: all }\n");
    house.write("lab.yaml", text)
}

/// What a verb says, on both lines, and whether it was content.
fn said(command: &mut Command) -> (bool, String) {
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

fn is_up(house: &House, port: &str) -> bool {
    house.shell(&format!("ip link show {port}")).contains(",UP")
}

#[test]
#[ignore = "stage e2e-clients"]
fn verbs_of_a_switch_do_what_they_say_to_the_ports_of_a_bridge() {
    let house = House::new();
    let folder = house.folder.0.file_name().unwrap();
    let name = std::path::Path::new("/dev/shm").join(folder).with_extension("relays");
    let board = RelayBoard::new([Cabinet::new(Pace { post: 2000, stop: 500 }); 8], 0);
    let mut adapter = Adapter::new(&name, 9600, board);
    adapter.plug().unwrap();
    let machines: Vec<Client<'_>> = (1..=MACHINES)
        .map(|number| {
            let (name, address) = (format!("node{number}"), format!("10.79.0.1{number}"));
            Client::with_address(&house, &name, &lab::mac(number), &address)
        })
        .collect();
    let _agent = agent(&house);
    let lab = lab(&house, &name);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _over = Over(&over);
        for machine in &machines {
            let over = &over;
            scope.spawn(move || {
                // Whoever asks for something is heard; nobody answers there.
                let line = format!("curl -s --max-time 0.3 http://{BOSS}:9/ || true");
                while !over.load(Ordering::Relaxed) {
                    machine.shell(&line);
                    std::thread::park_timeout(WORD);
                }
            });
        }
        walk(&house, &Controller::start(&house, &lab));
    });
}

fn walk(house: &House, controller: &Controller) {
    let verb = |line: &str| said(&mut controller.verb(line));
    let shows = |what: &str, line: &str, wanted: &[&str]| {
        until(LIMIT, what, || {
            let (_, text) = verb(line);
            wanted.iter().all(|wanted| text.contains(wanted)).then_some(text)
        })
    };
    // Who hangs where, heard; and what does not agree.
    let right = "node1 is heard on core/to-node1, as written";
    let wrong = "node2 is written to hang on core/to-node3, and is heard on core/to-node2";
    shows("all are heard", "wiring show", &[right, wrong, "node3 is heard on core/to-node3"]);
    let (content, text) = verb("wiring check");
    assert!(!content && text.contains(wrong) && text.contains("1 as written, 1 not"), "{text}");

    // A cut is one in the kernel, of this port alone, and ends when it is told to.
    told(&mut controller.verb("switch off node1 --for 10m"));
    let cut = shows("the port is off", "switch show", &["by us, for"]);
    let line = cut.lines().find(|line| line.contains("by us, for")).unwrap();
    assert!(line.trim_start().starts_with("to-node1") && line.contains("disabled"), "{cut}");
    until(LIMIT, "to-node1 is down", || (!is_up(house, "to-node1")).then_some(()));
    assert!(is_up(house, "to-node2") && is_up(house, "to-node3"));
    told(&mut controller.verb("switch on node1"));
    until(LIMIT, "to-node1 is up", || is_up(house, "to-node1").then_some(()));
    let (content, text) = verb("switch off core/br0");
    assert!(!content && text.contains("the boss itself"), "{text}");
    assert!(is_up(house, "br0"));

    // Found out by switching, where the lab file is wrong.
    shows("node1 is back", "wiring show", &[right]);
    let learned = told(&mut controller.verb("wiring learn --switch core --port to-node2 --anyway"));
    assert!(learned.contains("core/to-node2: node2"), "{learned}");
    assert!(learned.contains("port: core/to-node2 }   # not core/to-node3"), "{learned}");
    until(LIMIT, "to-node2 is up", || is_up(house, "to-node2").then_some(()));

    // The light goes out at the right port.
    let before = controller.events(0).last().unwrap().seq;
    let blinked = told(&mut controller.verb("identify node1 --times 1 --anyway"));
    assert!(blinked.contains("core/to-node1"), "{blinked}");
    let told_of = serde_json::to_string(&controller.events(before)).unwrap();
    assert!(told_of.contains("to-node1") && !told_of.contains("\"port\":\"to-node2\""), "{told_of}");

    let file = house.path("lab.png");
    told(&mut controller.verb(&format!("display png {}", file.display())));
    assert!(std::fs::read(&file).unwrap().starts_with(b"\x89PNG\r\n\x1a\n"));
}
