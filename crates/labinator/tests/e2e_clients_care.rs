//! What is kept of a failed start, as others read it: the heads of its packets in tshark, its bytes file by file.
#![expect(dead_code, reason = "other tests use the rest of the ground")]
#![expect(clippy::unwrap_used, reason = "a test may stop")]
#![expect(clippy::panic, reason = "a test may stop")]
#![expect(clippy::print_stdout, reason = "what a failed test heard, and what was not tested")]

#[path = "e2e/client.rs"]
mod client;
#[path = "e2e/controller.rs"]
mod controller;
#[path = "e2e/ground.rs"]
mod ground;
#[path = "e2e/house.rs"]
mod house;
#[path = "e2e/lab.rs"]
mod lab;
#[path = "e2e/processes.rs"]
mod processes;

use std::fs;
use std::path::Path;
use std::time::Duration;

use api::Captures;
use client::Client;
use controller::Controller;
use ground::{limited, until};
use house::House;
use model::{NodeWord, Trace};
use processes::told;

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
