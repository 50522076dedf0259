//! Clients that others wrote, against a running controller: DHCP, TFTP, boot HTTP, the API's rules.
#![expect(clippy::unwrap_used, reason = "a test may stop")]
#![expect(clippy::panic, reason = "a test may stop")]
#![expect(clippy::indexing_slicing, reason = "a test may stop")]

#[path = "e2e/deaths.rs"]
mod deaths;
mod e2e;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use e2e::client::Client;
use e2e::controller::Controller;
use e2e::ground::{self, limited, said, until};
use e2e::house::House;
use e2e::lab::{self, BOSS};
use e2e::processes::{self, signal, told};
use model::{Fact, MacAddr, Notice, Sight};
use rustix::process::Signal;

/// Enough for anything here on a machine that is busy with other things.
const LIMIT: Duration = Duration::from_secs(60);

/// Where Debian's `ipxe` package puts its programs.
const LOADERS: &str = "/usr/lib/ipxe";

fn started() -> (Controller, House) {
    let house = House::new();
    let lab = lab::written(&house);
    (Controller::start(&house, &lab), house)
}

/// Waits for the acknowledgement with this place among those of a machine of the board, counted from 1.
fn ack(controller: &Controller, mac: &str, place: usize) -> String {
    let mac: MacAddr = mac.parse().unwrap();
    until(LIMIT, &format!("acknowledgement {place} of {mac}"), || {
        let acks = controller.events(0).into_iter().filter_map(|event| match event.fact {
            Fact::Sighted { mac: of, sight: Sight::Ack { address, .. } } if of == mac => Some(address),
            _ => None,
        });
        acks.map(|address| address.to_string()).nth(place - 1)
    })
}

/// Each machine and the address that was given to it last.
fn holders(controller: &Controller) -> BTreeMap<MacAddr, String> {
    controller.leases().into_iter().collect()
}

fn freed(controller: &Controller, address: &str) {
    let record = format!("{{\"freed\":{{\"address\":\"{address}\"}}}}");
    until(LIMIT, &format!("the ledger says that {address} is free"), || {
        fs::read_to_string(controller.state.join("ledger")).unwrap().contains(&record).then_some(())
    });
}

#[test]
#[ignore = "stage e2e-clients"]
fn dhclient_gets_its_reserved_address_asks_for_it_again_and_gives_it_back() {
    let (controller, house) = started();
    let node = Client::with_address(&house, "node1", &lab::mac(1), "10.79.0.11");
    let (leases, pid) = (house.path("leases"), house.path("dhclient.pid"));
    let dhclient = |more: &[&str]| {
        let mut command = node.command(60, "dhclient");
        command.args(["-4", "-1", "-v", "-sf", "/bin/true", "-lf"]).arg(&leases).arg("-pf").arg(&pid);
        said(&command.args(more).arg("eth0").output().unwrap())
    };
    let first = dhclient(&[]);
    assert!(first.contains("DHCPACK of 10.79.0.11 from 10.79.0.1"), "{first}");
    let lease = fs::read_to_string(&leases).unwrap();
    assert!(
        lease.contains("option dhcp-lease-time 600;") && lease.contains("host-name \"node1\""),
        "{lease}"
    );
    dhclient(&["-x"]);
    // With a lease at hand it asks for that one at once (RFC 2131 section 4.3.2, INIT-REBOOT).
    let second = dhclient(&[]);
    assert!(second.contains("DHCPREQUEST for 10.79.0.11"), "{second}");
    assert!(!second.contains("DHCPDISCOVER") && second.contains("DHCPACK of 10.79.0.11"), "{second}");
    assert_eq!(ack(&controller, &node.mac, 2), "10.79.0.11");
    let last = dhclient(&["-r"]);
    assert!(last.contains("DHCPRELEASE of 10.79.0.11"), "{last}");
    freed(&controller, "10.79.0.11");
}

/// A program whose lines are waited for.
struct Talking {
    child: Child,
    lines: std::sync::mpsc::Receiver<String>,
}

impl Talking {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (tell, lines) = std::sync::mpsc::channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        Self { child, lines }
    }

    fn hear(&self, word: &str) -> String {
        let end = Instant::now() + LIMIT;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if line.contains(word) => return line,
                Ok(_) => {}
                Err(why) => panic!("`{word}` was not heard: {why}"),
            }
        }
    }

    /// The program itself, below `timeout`, `nsenter` and `ip`.
    fn pid(&self, name: &str) -> u32 {
        let mut pid = self.child.id();
        until(LIMIT, name, || {
            let (child, line) = processes::children(pid).into_iter().next()?;
            pid = child;
            line.starts_with(name).then_some(child)
        })
    }
}

impl Drop for Talking {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
#[ignore = "stage e2e-clients"]
fn udhcpc_gets_an_address_of_the_pool_renews_it_and_releases_it() {
    let (controller, house) = started();
    let stranger = Client::new(&house, "guest", "02:4c:41:00:01:01");
    let script = house.write(
        "udhcpc.sh",
        "#!/bin/sh\necho \"$1 $ip $lease $router $serverid\"\n[ \"$1\" = bound ] && ip addr add \"$ip/$mask\" dev \"$interface\"\nexit 0\n",
    );
    told(Command::new("chmod").arg("755").arg(&script));
    let mut command = stranger.command(300, "busybox");
    command.args(["udhcpc", "-f", "-i", "eth0", "-s"]).arg(&script);
    let udhcpc = Talking::start(command);
    let bound = udhcpc.hear("bound");
    let address = bound.split(' ').nth(1).unwrap().to_owned();
    assert!(address.starts_with("10.79.") && bound.ends_with(&format!("600  {BOSS}")), "{bound}");
    let mac: MacAddr = stranger.mac.parse().unwrap();
    assert_eq!(holders(&controller).get(&mac), Some(&address));
    let pid = udhcpc.pid("busybox");
    signal(pid, Signal::USR1);
    let renewed = udhcpc.hear("renew");
    assert!(renewed.contains(&address), "{renewed}");
    assert_eq!(holders(&controller).get(&mac), Some(&address));
    signal(pid, Signal::USR2);
    udhcpc.hear("deconfig");
    freed(&controller, &address);
}

#[test]
#[ignore = "stage e2e-clients"]
fn dhcping_is_answered() {
    let (_controller, house) = started();
    let node = Client::with_address(&house, "node2", &lab::mac(2), "10.79.0.12");
    let mut ping = node.command(60, "dhcping");
    ping.args(["-v", "-t", "20", "-c", "10.79.0.12", "-s", BOSS, "-h", &node.mac]);
    let text = told(&mut ping);
    assert!(text.contains("Got answer from: 10.79.0.1"), "{text}");
}

/// Exchanges of four messages from as many clients, through a relay's port.
fn perfdhcp(relay: &Client<'_>, base: &str, rate: u32, (clients, seconds): (u32, u32)) -> Command {
    let mut command = relay.command(120, "perfdhcp");
    command.args(["-4", "-l", "eth0", "-d", "10", "-W", "3000000", "-b", &format!("mac={base}")]);
    command.args(["-r", &rate.to_string(), "-R", &clients.to_string(), "-p", &seconds.to_string(), BOSS]);
    command
}

/// Sent, received and dropped messages of both halves, from the report of `perfdhcp`.
fn counts(report: &str) -> Vec<(u64, u64, u64)> {
    let numbers = |word: &str| -> Vec<u64> {
        let lines = report.lines().filter_map(|line| line.trim().strip_prefix(word));
        lines.filter_map(|rest| rest.trim_start_matches(':').trim().parse().ok()).collect()
    };
    let (sent, received, drops) = (numbers("sent packets"), numbers("received packets"), numbers("drops"));
    assert!(sent.len() == 2 && received.len() == 2 && drops.len() == 2, "{report}");
    sent.into_iter()
        .zip(received)
        .zip(drops)
        .map(|((sent, received), drops)| (sent, received, drops))
        .collect()
}

fn nothing_lost(report: &str, at_least: u64) {
    for (sent, received, drops) in counts(report) {
        assert!(sent >= at_least && received == sent && drops == 0, "{report}");
    }
}

#[test]
#[ignore = "stage e2e-clients"]
fn perfdhcp_loses_nothing_and_gets_the_same_addresses_from_a_counter_that_was_killed() {
    let house = House::new();
    // Hardly larger than the crowd: most do not get the address they would get alone, so that a counter
    // which forgot the others gives itself away.
    let controller = Controller::start(&house, &lab::with_pool(&house, "10.79.1.1-10.79.1.110"));
    let relay = Client::with_address(&house, "relay", "02:4c:41:00:02:01", "10.79.8.1");
    nothing_lost(&told(&mut perfdhcp(&relay, "02:4c:42:00:00:00", 100, (100, 3))), 200);
    let before = holders(&controller);
    assert_eq!(before.len(), 100);
    let addresses: BTreeSet<_> = before.values().collect();
    assert_eq!(addresses.len(), 100, "no address is given twice");

    controller.replace("counter");
    controller.wait(LIMIT, "the new counter is connected", |picture| picture.lab.counter_up);
    // Those who came last come first now.
    nothing_lost(&told(&mut perfdhcp(&relay, "02:4c:42:00:00:32", 100, (50, 2))), 100);
    assert_eq!(holders(&controller), before);
}

#[test]
#[ignore = "stage e2e-clients"]
fn tftp_clients_fetch_the_loaders_byte_for_byte() {
    let (_controller, house) = started();
    let node = Client::with_address(&house, "node3", &lab::mac(3), "10.79.0.13");
    let variants: [&[&str]; 6] = [
        &[],
        &["--option", "blksize 1468"],
        &["--option", "blksize 1468", "--option", "tsize 0"],
        &["--option", "blksize 1468", "--option", "windowsize 4"],
        &["--option", "blksize 512", "--option", "windowsize 64", "--option", "tsize 0"],
        &["--option", "blksize 8192"],
    ];
    let got = house.path("got");
    for file in ["undionly.kpxe", "snponly.efi"] {
        let whole = fs::read(format!("{LOADERS}/{file}")).unwrap();
        for options in variants {
            let mut fetch = node.command(60, "atftp");
            fetch.args(options).args(["--get", "--remote-file", file, "--local-file"]).arg(&got).arg(BOSS);
            told(&mut fetch);
            assert!(fs::read(&got).unwrap() == whole, "atftp {options:?} {file}");
            fs::remove_file(&got).unwrap();
        }
        told(node.command(60, "tftp").args(["-m", "binary", BOSS, "-c", "get", file]).arg(&got));
        assert!(fs::read(&got).unwrap() == whole, "tftp {file}");
        fs::remove_file(&got).unwrap();
    }
    let refused = said(
        &node.command(60, "tftp").args([BOSS, "-c", "get", "../../etc/passwd"]).arg(&got).output().unwrap(),
    );
    assert!(refused.contains("Error code"), "{refused}");
    assert_eq!(fs::read(&got).unwrap_or_default(), b"");
}

/// What curl wrote with `--include`: status lines and headers in small letters, and the last body.
fn curl(node: &Client<'_>, words: &[&str]) -> (String, Vec<u8>) {
    let mut command = node.command(60, "curl");
    command.args(["--silent", "--show-error", "--max-time", "30", "--include"]).args(words);
    let output = command.output().unwrap();
    let bytes = output.stdout.clone();
    let end = bytes.windows(4).rposition(|four| four == b"\r\n\r\n").map(|at| at + 4);
    let Some(end) = end else { panic!("{words:?}: {}", said(&output)) };
    (String::from_utf8_lossy(&bytes[..end]).to_lowercase(), bytes[end..].to_vec())
}

/// The kernel's address on the boot HTTP, out of a machine's script.
fn kernel_url(controller: &Controller, node: &Client<'_>) -> String {
    controller.wait(LIMIT, "the images are read", |picture| {
        picture.lab.scenarios.iter().all(|scenario| scenario.missing.is_empty())
    });
    until(LIMIT, "the start is accepted", || {
        controller.verb("start all --json").output().unwrap().status.success().then_some(())
    });
    let address = format!("http://{BOSS}/boot/{}.ipxe", node.mac.replace(':', "-"));
    until(LIMIT, "the script names a kernel", || {
        let script = String::from_utf8(curl(node, &[&address]).1).unwrap();
        let url = script.split_whitespace().find(|word| word.ends_with("/vmlinuz"));
        url.map(str::to_owned)
    })
}

#[test]
#[ignore = "stage e2e-clients"]
fn curl_gets_wholes_parts_and_heads_and_no_trick_gets_more() {
    let (controller, house) = started();
    let node = Client::with_address(&house, "node1", &lab::mac(1), "10.79.0.11");
    let url = kernel_url(&controller, &node);
    let whole = lab::kernel();
    let size = lab::KERNEL_SIZE;

    let (head, body) = curl(&node, &[&url]);
    assert!(head.starts_with("http/1.1 200") && body == whole, "{head}");
    let header = |name: &str| {
        let line = head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("no {name}: {head}")).to_owned()
    };
    assert_eq!(header("content-length"), size.to_string());
    assert_eq!(header("accept-ranges"), "bytes");
    assert!(header("last-modified").ends_with(" gmt"));
    let etag = header("etag");

    let (head, body) = curl(&node, &["--head", &url]);
    assert!(head.contains(&format!("content-length: {size}")) && body.is_empty(), "{head}");

    let (head, body) = curl(&node, &["--range", "1000000-1000099", &url]);
    assert!(head.starts_with("http/1.1 206") && body == whole[1_000_000..1_000_100], "{head}");
    assert!(head.contains(&format!("content-range: bytes 1000000-1000099/{size}")), "{head}");
    let (head, body) = curl(&node, &["--range", "-17", &url]);
    assert!(head.starts_with("http/1.1 206") && body == whole[size - 17..], "{head}");
    let (head, _) = curl(&node, &["--range", "9999999-", &url]);
    assert!(head.starts_with("http/1.1 416") && head.contains(&format!("bytes */{size}")), "{head}");

    // RFC 9110 section 13.1.5: the part only if it is a part of the same thing.
    let (head, body) = curl(&node, &["--range", "0-9", "--header", &format!("If-Range: {etag}"), &url]);
    assert!(head.starts_with("http/1.1 206") && body == whole[..10], "{head}");
    let (head, body) = curl(&node, &["--range", "0-9", "--header", "If-Range: \"another\"", &url]);
    assert!(head.starts_with("http/1.1 200") && body.len() == size, "{head}");
    let (head, body) = curl(&node, &["--header", &format!("If-None-Match: {etag}"), &url]);
    assert!(head.starts_with("http/1.1 304") && body.is_empty(), "{head}");

    let loader = format!("http://{BOSS}/undionly.kpxe");
    let verbose = said(
        &node
            .command(60, "curl")
            .args(["-sv", "-o", "/dev/null", "-o", "/dev/null", &loader, &loader])
            .output()
            .unwrap(),
    );
    assert_eq!(verbose.matches("HTTP/1.1 200 OK").count(), 2, "{verbose}");
    assert!(verbose.contains("Re-using existing connection"), "{verbose}");

    let tricks = [
        "/nothing-here",
        "/../../../../etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/boot/../../../etc/passwd",
        "/f/../../etc/passwd",
        "/f/0000000000000000000000000000000000000000000000000000000000000000/vmlinuz",
        "/f/token",
        "/.hidden",
        "/undionly.kpxe%00.txt",
        "/v1/snapshot",
    ];
    for trick in tricks {
        let (head, body) = curl(&node, &["--path-as-is", &format!("http://{BOSS}{trick}")]);
        assert!(head.starts_with("http/1.1 404"), "{trick}: {head}");
        assert!(body.len() < 200 && !body.windows(5).any(|five| five == b"root:"), "{trick}");
    }
    let (head, _) = curl(&node, &["--request", "DELETE", &url]);
    assert!(head.starts_with("http/1.1 405") && head.contains("allow: get, head"), "{head}");

    let huge = format!("X-Filler: {}", "x".repeat(100_000));
    let mut command = node.command(60, "curl");
    command.args(["--silent", "--max-time", "30", "--write-out", "%{http_code}", "--output", "/dev/null"]);
    let refused = said(&command.args(["--header", &huge, &url]).output().unwrap());
    assert!(matches!(refused.as_str(), "431" | "400" | "000"), "{refused}");
    assert!(curl(&node, &[&url]).1 == whole, "the next one is served");
}

#[test]
#[ignore = "stage e2e-clients"]
fn a_slow_reader_keeps_nobody_else_waiting() {
    let (controller, house) = started();
    let node = Client::with_address(&house, "node1", &lab::mac(1), "10.79.0.11");
    let slow = Client::with_address(&house, "node2", &lab::mac(2), "10.79.0.12");
    let url = kernel_url(&controller, &node);
    let whole = lab::kernel();
    let mut crawling: Vec<Child> = (0..8)
        .map(|_| {
            let mut command = slow.command(300, "curl");
            command.args(["--silent", "--limit-rate", "20k", &url]);
            command.stdout(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for child in &mut crawling {
        // Each is being served.
        child.stdout.as_mut().unwrap().read_exact(&mut [0; 1000]).unwrap();
    }
    for _ in 0..5 {
        assert!(curl(&node, &[&url]).1 == whole);
    }
    for mut child in crawling {
        assert!(child.try_wait().unwrap().is_none(), "it is still being served slowly");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
#[ignore = "stage e2e-clients"]
fn a_machine_that_is_not_on_the_board_is_told_so_politely() {
    let (controller, house) = started();
    let guest = Client::with_address(&house, "guest", "02:4c:41:00:01:02", "10.79.0.99");
    let (head, body) = curl(&guest, &[&format!("http://{BOSS}/boot/02-4c-41-00-01-02.ipxe")]);
    let script = String::from_utf8(body).unwrap();
    assert!(head.starts_with("http/1.1 200") && script.starts_with("#!ipxe\n"), "{head}{script}");
    assert!(script.contains("02:4c:41:00:01:02") && script.contains("sleep 15"), "{script}");
    assert!(script.contains("chain") && !script.contains("kernel"), "{script}");
    let mac: MacAddr = guest.mac.parse().unwrap();
    told(guest.command(60, "busybox").args(["udhcpc", "-n", "-q", "-i", "eth0", "-s", "/bin/true"]));
    controller.wait(LIMIT, "the stranger is in the picture", |picture| {
        picture.lab.strangers.iter().any(|stranger| stranger.mac == mac)
    });
}

#[test]
#[ignore = "stage e2e-clients"]
fn a_taken_port_is_named_with_the_program_that_has_it() {
    let house = House::new();
    let lab = lab::written(&house);
    let file = house.write("udhcpd.leases", b"");
    let config = format!(
        "start 10.79.9.1\nend 10.79.9.2\ninterface br0\nlease_file {}\npidfile /run/udhcpd.pid\n",
        file.display()
    );
    let config = house.write("udhcpd.conf", config);
    let mut other = house.staying("busybox");
    let mut other = other.args(["udhcpd", "-f"]).arg(config).stderr(Stdio::null()).spawn().unwrap();
    until(LIMIT, "the other server listens", || {
        house.shell("cat /proc/net/udp").contains(":0043 ").then_some(())
    });
    let refused = said(&serve(&house, &house.path("api.sock"), "state").output().unwrap());
    assert!(refused.contains("UDP port 0.0.0.0:67 is taken by busybox (process "), "{refused}");
    assert!(refused.contains("stop the other server"), "{refused}");
    house.shell("kill $(cat /run/udhcpd.pid)");
    other.wait().unwrap();
    Controller::start(&house, &lab);
}

/// A controller that is expected to say why not.
fn serve(house: &House, socket: &Path, state: &str) -> Command {
    let mut command = house.inside(60, ground::given("LABINATOR_BIN"));
    command.args(["serve", "--listen", "127.0.0.1:8081", "--lab"]).arg(house.path("lab.yaml"));
    command.arg("--state").arg(house.path(state)).env("LABINATOR_SOCKET", socket);
    command
}

#[test]
#[ignore = "stage e2e-clients"]
fn a_second_controller_is_refused_and_the_first_goes_on() {
    let (controller, house) = started();
    let output = serve(&house, &controller.socket, "other").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = said(&output);
    assert!(text.contains("another controller runs here") && text.contains("LABINATOR_SOCKET"), "{text}");
    assert!(controller.look().unwrap().lab.counter_up);
}

#[test]
#[ignore = "stage e2e-clients"]
fn the_api_asks_for_the_token_and_the_page_for_its_header() {
    let (controller, house) = started();
    let token = fs::read_to_string(controller.state.join("token")).unwrap();
    let ask = |words: &[&str]| {
        let mut command = house.inside(60, "curl");
        command.args([
            "--silent",
            "--max-time",
            "30",
            "--output",
            "/dev/null",
            "--write-out",
            "%{http_code}",
        ]);
        told(command.args(words))
    };
    let at = |path: &str| format!("http://127.0.0.1:8080{path}");
    let (snapshot, stop) = (at("/v1/snapshot"), at("/v1/stop"));
    let bearer = format!("Authorization: Bearer {token}");
    let cookie = format!("Cookie: labinator={token}");
    let body = ["--header", "Content-Type: application/json", "--data", "{\"by\":\"cli\"}"];
    assert_eq!(ask(&[&snapshot]), "401");
    assert_eq!(
        ask(&["--header", "Authorization: Bearer 0123456789abcdef0123456789abcdef", &snapshot]),
        "401"
    );
    assert_eq!(ask(&["--header", &bearer, &snapshot]), "200");
    assert_eq!(ask(&["--header", &cookie, &snapshot]), "200");
    assert_eq!(ask(&[&at("/")]), "401");
    assert_eq!(ask(&[&at("/v1/openapi.json")]), "200");
    assert_eq!(ask(&[&body[..], &[&stop]].concat()), "401");
    assert_eq!(ask(&[&body[..], &["--header", &cookie, &stop]].concat()), "403");
    let from_page = ["--header", &cookie, "--header", "X-Labinator: 1", &stop];
    let accepted = ask(&[&body[..], &from_page].concat());
    assert!(accepted.starts_with('2'), "{accepted}");
    let accepted = ask(&[&body[..], &["--header", &bearer, &stop]].concat());
    assert!(accepted.starts_with('2'), "{accepted}");
    // The link that was printed sets the cookie and is gone from the address.
    let mut link = house.inside(60, "curl");
    let answer = told(link.args(["--silent", "--include", &at(&format!("/?token={token}"))])).to_lowercase();
    assert!(answer.contains(" 303 ") && answer.contains("location: /\r\n"), "{answer}");
    assert!(answer.contains("httponly") && answer.contains("samesite=strict"), "{answer}");

    // A browser without scripts sees the board.
    let mut w3m = house.inside(60, "w3m");
    w3m.args(["-dump", "-cols", "120", "-header", &cookie, &at("/status")]);
    let page = told(&mut w3m);
    for word in ["bench", "idle", "node1", "node6"] {
        assert!(page.contains(word), "{word}: {page}");
    }
}

#[test]
#[ignore = "stage e2e-clients"]
fn broken_packets_are_counted_and_the_next_honest_client_is_served() {
    let (controller, house) = started();
    let node = Client::with_address(&house, "node4", &lab::mac(4), "10.79.0.14");
    let packets = mangled();
    for (number, packet) in packets.iter().enumerate() {
        house.write(&format!("{number}.packet"), packet);
    }
    let folder = house.folder.0.display();
    let mut send = node.command(60, "bash");
    told(send.args(["-c", &format!("for f in {folder}/*.packet; do cat $f > /dev/udp/{BOSS}/67; done")]));
    let mut send = node.command(60, "bash");
    told(
        send.args(["-c", &format!("for n in 1 2 3 4; do printf '\\0\\001\\377' > /dev/udp/{BOSS}/69; done")]),
    );
    let count = |protocol: &str| {
        let events = controller.events(0).into_iter();
        events
            .filter_map(|event| match event.fact {
                Fact::Noticed { notice: Notice::Malformed { protocol: of, count } } if of == protocol => {
                    Some(count)
                }
                _ => None,
            })
            .max()
            .unwrap_or(0)
    };
    until(LIMIT, "garbage at the DHCP port is counted", || (count("dhcp") >= 4).then_some(()));
    until(LIMIT, "garbage at the TFTP port is counted", || (count("tftp") >= 4).then_some(()));
    let doctor = said(&controller.verb("doctor").output().unwrap());
    assert!(doctor.contains("dhcp packets could not be read"), "{doctor}");
    let mut ping = node.command(60, "dhcping");
    told(ping.args(["-t", "20", "-c", "10.79.0.14", "-s", BOSS, "-h", &node.mac]));
    let relay = Client::with_address(&house, "relay", "02:4c:41:00:02:01", "10.79.8.1");
    nothing_lost(&told(&mut perfdhcp(&relay, "02:4c:43:00:00:00", 50, (50, 1))), 20);
    let log = controller.log();
    assert!(!log.contains("ended (") && !log.contains("panicked"), "{log}");
}

/// Messages no honest client sends: cut short, with options that point beyond the end, that go on for ever,
/// that are as large as a datagram can be.
fn mangled() -> Vec<Vec<u8>> {
    let mut message = vec![0; 236];
    // RFC 2131 section 2: a request over Ethernet from this address, then the cookie, then options.
    message[..4].copy_from_slice(&[1, 1, 6, 0]);
    message[28..34].copy_from_slice(&[2, 0x4c, 0x41, 0, 9, 9]);
    let with = |options: &[u8]| [&message[..], &[99, 130, 83, 99], options].concat();
    let discover = [53, 1, 1];
    let mut packets = vec![
        vec![0xff],
        message[..100].to_vec(),
        message.clone(),
        [&message[..], b"cook"].concat(),
        with(&[53]),
        with(&[53, 200, 1]),
        with(&[&discover[..], &[60, 255, b'x']].concat()),
        // Without an end.
        with(&discover),
        // Encapsulated options that claim to hold themselves (175: iPXE's own, 43: the vendor's, 82: a relay's).
        with(
            &[&discover[..], &[175, 4, 175, 4, 175, 4, 43, 6, 43, 6, 43, 6, 43, 6, 82, 3, 82, 3, 82, 255]]
                .concat(),
        ),
        // The options go on in the fields of file and name, which hold nothing but the same (RFC 2132 section 9.3).
        with(&[&discover[..], &[52, 1, 3, 52, 1, 3, 255]].concat()),
        with(&[&discover[..], &[52, 1, 3, 255]].concat()),
        with(&[&[0; 1000][..], &discover[..], &[255]].concat()),
        with(&std::iter::repeat_n([12_u8, 2, b'a', b'b'], 300).flatten().collect::<Vec<_>>()),
        vec![0xaa; 20_000],
    ];
    packets.extend(
        (1..20).map(|cut| {
            with(&[&discover[..], &[55, 4, 1, 3, 6, 66, 255]].concat())[..236 + cut % 12].to_vec()
        }),
    );
    packets
}

/// Processor time of a process so far, in ticks of 10 ms (`proc(5)`, utime and stime).
fn ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let rest = stat.rsplit(')').next().unwrap();
    let fields: Vec<&str> = rest.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// Share of one processor that both parts use while something else goes on for about ten seconds.
fn share_during(controller: &Controller, mut other: Command) -> f64 {
    let parts = [controller.part("core").unwrap(), controller.part("counter").unwrap(), controller.pid];
    let sum = || parts.iter().map(|pid| ticks(*pid)).sum::<u64>();
    let (began, before) = (Instant::now(), sum());
    told(&mut other);
    let (used, took) = (sum() - before, began.elapsed());
    assert!(took > Duration::from_secs(8), "{took:?} is too short to judge");
    f64::from(u32::try_from(used).unwrap()) / 100.0 / took.as_secs_f64()
}

#[test]
#[ignore = "stage e2e-clients"]
fn an_idle_controller_and_one_with_six_hearts_beating_leave_the_processor_alone() {
    let (controller, house) = started();
    let node = Client::with_address(&house, "node1", &lab::mac(1), "10.79.0.11");
    kernel_url(&controller, &node);
    let agents = |path: &str, more: &str| {
        let all = (1..=6).map(|number| {
            let mac = lab::mac(number);
            let body =
                format!("{{\"mac\":\"{mac}\",\"boot_id\":\"boot-{number}\",\"uptime_ms\":9000,{more}}}");
            format!("curl -sf -o /dev/null -d '{body}' http://{BOSS}{path} || exit 1; ")
        });
        all.collect::<String>()
    };
    let report = "\"nonce\":null,\"address\":null,\"version\":\"0\",\"kernel\":\"6.1\",\"inventory\":{\"firmware\":\"\",\
                  \"product\":\"\",\"serial\":\"\",\"uuid\":\"\",\"cpu\":\"\",\"cpus\":1,\"memory_mib\":1,\"disks\":[],\"nics\":[]}";
    node.shell(&agents(model::AGENT_HELLO_PATH, report));
    let beats = agents(model::AGENT_BEAT_PATH, "\"load_milli\":0,\"memory_available_mib\":1");
    node.shell(&beats);
    controller.wait(LIMIT, "six agents are heard", |picture| {
        picture
            .machines
            .iter()
            .all(|machine| machine.agent.as_ref().is_some_and(|agent| agent.beat.is_some()))
    });
    let mut hearts = node.command(60, "sh");
    hearts.args(["-c", &format!("for n in 1 2 3 4; do {beats} sleep 2.5; done")]);
    let beating = share_during(&controller, hearts);
    println!("with six hearts: {:.2} % of one processor", beating * 100.0);
    assert!(beating < 0.03, "{beating}");

    let (idle, _house) = started();
    let mut rest = limited(60, "sleep");
    rest.arg("10");
    let idling = share_during(&idle, rest);
    println!("idle: {:.2} % of one processor", idling * 100.0);
    assert!(idling < 0.03, "{idling}");
}
