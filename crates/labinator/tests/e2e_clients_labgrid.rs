//! pdudaemon's interface, asked by those who ask it: labgrid's own driver, pdudaemon's own client, and curl as LAVA has it.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

mod e2e;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use e2e::client::Client;
use e2e::controller::Controller;
use e2e::ground::{given, said};
use e2e::house::House;
use e2e::lab::{self, BOSS};
use model::{Fact, Origin, PowerState};

const LIMIT: Duration = Duration::from_secs(60);

/// A device of programs: each port is a file that says `on` or `off`, and what was done is written down in order.
const RACK: &str = "#!/bin/sh\n\
    cd \"$(dirname \"$0\")\" || exit 1\n\
    case $1 in\n\
    status) cat \"port-$2\" 2>/dev/null || echo off;;\n\
    *) echo \"$1\" > \"port-$2\"; echo \"$1 $2\" >> done;;\n\
    esac\n";

/// What labgrid does with a port: its own resource and driver, as a test of a board has them.
const LABGRID: &str = "import sys\n\
    from labgrid import Target\n\
    from labgrid.driver import PDUDaemonDriver\n\
    from labgrid.resource import PDUDaemonPort\n\
    target = Target('main')\n\
    PDUDaemonPort(target, name='port', host=sys.argv[1], pdu='rack', index=int(sys.argv[2]))\n\
    driver = PDUDaemonDriver(target, name='power', delay=1.0)\n\
    target.activate(driver)\n\
    for verb in sys.argv[3:]:\n\
    \x20   getattr(driver, verb)()\n";

struct Stand {
    controller: Controller,
    house: House,
    folder: PathBuf,
}

fn stand() -> Stand {
    let house = House::new();
    let folder = house.path("rack");
    fs::create_dir(&folder).unwrap();
    let program = folder.join("rack");
    fs::write(&program, RACK).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let secret = house.write("secret", "hush\n");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let (program, secret) = (program.display(), secret.display());
    let words = |verb: &str| format!("[{program}, \"{verb}\", \"{{port}}\"]");
    let text = format!(
        "lab: bench\n\
         network: {{ interface: br0, subnet: 10.79.0.0/20, boss: {BOSS}, dhcp: authoritative }}\n\
         power: {{ rack: {{ driver: command, on: {}, off: {}, status: {}, protect: [7] }} }}\n\
         pdudaemon: {{ credentials: file:{secret} }}\n\
         board:\n  columns: 2\n  nodes:\n\
         \x20   node1: {{ at: [1, 1], mac: {}, ip: 10.79.0.11, power: rack/1 }}\n\
         \x20   node2: {{ at: [2, 1], mac: {}, ip: 10.79.0.12, power: rack/2 }}\n",
        words("on"),
        words("off"),
        words("status"),
        lab::mac(1),
        lab::mac(2)
    );
    let lab = house.write("lab.yaml", text);
    let controller = Controller::start(&house, &lab);
    controller.wait(LIMIT, "both machines are seen off", |picture| {
        picture.machines.iter().all(|machine| machine.power.state == PowerState::Off)
    });
    Stand { controller, house, folder }
}

impl Stand {
    fn done(&self) -> String {
        fs::read_to_string(self.folder.join("done")).unwrap_or_default()
    }

    fn sees(&self, node: usize, state: PowerState) {
        let what = format!("node{node} is seen {state}");
        self.controller.wait(LIMIT, &what, |picture| {
            picture.machines.get(node - 1).is_some_and(|machine| machine.power.state == state)
        });
    }
}

/// curl's status and what was answered.
fn curl(client: &Client<'_>, words: &str) -> (String, String) {
    let line = format!("curl -s --max-time 60 -o /dev/stderr -w '%{{http_code}}' {words}");
    let output = client.command(90, "sh").args(["-c", &line]).output().unwrap();
    (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
#[ignore = "stage e2e-clients"]
fn labgrid_switches_a_port_by_its_own_driver() {
    let python = given("LABINATOR_SUITES").join("pypi/labgrid/bin/python");
    assert!(python.is_file(), "{} is missing: run `cargo xtask test --only e2e-clients`", python.display());
    let stand = stand();
    let client = Client::with_address(&stand.house, "tester", "02:4c:41:00:03:01", "10.79.0.60");
    let script = stand.house.write("power.py", LABGRID);
    // `requests`, which labgrid asks with, knows users and passwords by this file.
    let netrc = stand.house.write("netrc", format!("machine {BOSS} login labgrid password hush\n"));
    let run = |netrc: &Path, verbs: &[&str]| {
        let mut command = client.command(120, &python);
        command
            .arg(&script)
            .args([BOSS, "1"])
            .args(verbs)
            .env("NETRC", netrc)
            .env("HOME", &stand.house.folder.0);
        command.output().unwrap()
    };
    let output = run(&netrc, &["on"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(stand.done(), "on 1\n");
    stand.sees(1, PowerState::On);
    let output = run(&netrc, &["cycle", "off"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(stand.done(), "on 1\noff 1\non 1\noff 1\n");
    stand.sees(1, PowerState::Off);
    let asked = stand.controller.events(0).into_iter().filter_map(|event| match event.fact {
        Fact::PowerAccepted { by, .. } => Some(by),
        _ => None,
    });
    assert!(asked.clone().count() == 4 && asked.into_iter().all(|by| by == Origin::Pdudaemon));

    // Without the password nothing is switched, and labgrid says why.
    let stranger = stand.house.write("nobody", "");
    let output = run(&stranger, &["on"]);
    assert!(!output.status.success() && said(&output).contains("401"), "{}", said(&output));
    assert_eq!(stand.done(), "on 1\noff 1\non 1\noff 1\n");
}

#[test]
#[ignore = "stage e2e-clients"]
fn pdudaemon_s_client_and_curl_are_answered_as_pdudaemon_answers_and_refused_with_reasons() {
    let stand = stand();
    let client = Client::with_address(&stand.house, "tester", "02:4c:41:00:03:01", "10.79.0.60");
    let at = format!("http://{BOSS}:16421/power/control");
    let (code, text) = curl(&client, &format!("-u lava:hush '{at}/on?hostname=rack&port=2'"));
    assert_eq!((code.as_str(), text.as_str()), ("200", "OK - accepted request\n"));
    stand.sees(2, PowerState::On);
    let (code, text) =
        curl(&client, &format!("-H 'Authorization: Bearer hush' -d 'alias=node2&delay=1' {at}/reboot"));
    assert_eq!(code, "200", "{text}");
    assert_eq!(stand.done(), "on 2\noff 2\non 2\n");

    for (words, code, why) in [
        (format!("'{at}/on?hostname=rack&port=1'"), "401", "this needs the password"),
        (format!("-u lava:hus '{at}/on?hostname=rack&port=1'"), "401", "this needs the password"),
        (format!("-u lava:hush '{at}/on?hostname=rack&port=7'"), "403", "rack/7"),
        (format!("-u lava:hush '{at}/on?hostname=rack&port=3'"), "404", "rack/3"),
        (format!("-u lava:hush '{at}/on?alias=node9'"), "404", "node9"),
        (format!("-u lava:hush '{at}/toggle?hostname=rack&port=1'"), "400", "none of on, off and reboot"),
        (format!("-u lava:hush -H 'Origin: http://evil' '{at}/on?hostname=rack&port=1'"), "403", "no page"),
    ] {
        let (got, text) = curl(&client, &words);
        assert!(got == code && text.contains(why), "{words}: {got} {text}");
    }
    assert_eq!(stand.done(), "on 2\noff 2\non 2\n", "what was refused was not done");

    // pdudaemon's own client, of Debian.
    let pduclient = given("LABINATOR_SUITES").join("bookworm/pdudaemon-client/usr/bin/pduclient");
    assert!(pduclient.is_file(), "{} is missing", pduclient.display());
    let line = |verb: &str, daemon: &str| {
        let mut command = client.command(90, "python3");
        command.arg(&pduclient).args(["--http", "--daemon", daemon, "--hostname", "rack", "--port", "2"]);
        command.args(["--command", verb]).output().unwrap()
    };
    let output = line("off", &format!("pdu:hush@{BOSS}"));
    assert!(
        output.status.success() && said(&output).contains("Command sent successfully"),
        "{}",
        said(&output)
    );
    stand.sees(2, PowerState::Off);
    assert!(!line("on", BOSS).status.success());
    assert_eq!(stand.done(), "on 2\noff 2\non 2\noff 2\n");
}
