//! What belongs to one machine, fetched from a running boot counter: a folder of matchbox, served as matchbox did.
#![expect(clippy::unwrap_used, reason = "a test may stop")]
#![expect(clippy::panic, reason = "a test may stop")]
#![expect(clippy::print_stdout, reason = "what a failed test heard, and what was not tested")]
#![expect(dead_code, reason = "the parts of other tests are used as they are")]

#[path = "e2e/client.rs"]
mod client;
#[path = "e2e/controller.rs"]
mod controller;
#[path = "e2e/ground.rs"]
mod ground;
#[path = "e2e/house.rs"]
mod house;
#[path = "e2e/processes.rs"]
mod processes;
#[path = "recorded/mod.rs"]
mod recorded;

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use client::Client;
use controller::Controller;
use ground::{given, limited, until};
use house::House;
use processes::told;
use recorded::{MACHINES, as_ours, fixtures, recorded, same_text, served_as};

/// Enough for anything here on a machine that is busy with other things.
const LIMIT: Duration = Duration::from_secs(60);

/// Starts a scenario whose files are there.
fn start(controller: &Controller, scenario: &str) {
    controller.wait(LIMIT, "the images are read", |picture| {
        let mut all = picture.lab.scenarios.iter();
        all.any(|one| one.name.as_str() == scenario && one.missing.is_empty())
    });
    until(LIMIT, "the start is accepted", || {
        let asked = controller.verb(&format!("start {scenario} --json")).output().unwrap();
        asked.status.success().then_some(())
    });
}

/// A machine's script, once it boots something.
fn script(node: &Client<'_>) -> String {
    let url = format!("http://10.79.0.1/boot/{}.ipxe", node.mac.replace(':', "-"));
    until(LIMIT, "the script names a kernel", || {
        let text = node.shell(&format!("curl --silent --show-error --max-time 30 {url}"));
        text.contains("\nkernel ").then_some(text)
    })
}

#[test]
#[ignore = "stage e2e-clients"]
fn a_folder_of_matchbox_is_served_as_matchbox_served_it() {
    let house = House::new();
    let lab = house.path("lab.yaml");
    let mut import = limited(60, given("LABINATOR_BIN"));
    import.args(["import", "matchbox"]).arg(fixtures().join("matchbox")).arg("--out").arg(&lab);
    import.args(["--interface", "br0", "--subnet", "10.79.0.0/20", "--boss", "10.79.0.1"]).args(MACHINES);
    told(&mut import);
    told(limited(60, given("LABINATOR_BIN")).arg("check").arg(&lab));
    let controller = Controller::start(&house, &lab);
    start(&controller, "matchbox");
    let picture = controller.look().unwrap();
    let nodes: BTreeMap<String, Client<'_>> = picture
        .machines
        .iter()
        .map(|machine| {
            let (name, mac) = (machine.node.to_string(), machine.mac.to_string());
            let client = Client::with_address(&house, &name, &mac, &machine.ip.to_string());
            (name, client)
        })
        .collect();
    assert_eq!(nodes.len(), 4);
    let mut compared = 0;
    for recorded::Recorded { node, request, answer } in recorded() {
        let client = &nodes[&node];
        compared += 1;
        if !request.starts_with("/ipxe?") {
            let name = served_as(&node, &request);
            let url = format!("http://10.79.0.1/n/{}/{name}", client.mac.replace(':', "-"));
            same_text(
                &client.shell(&format!("curl --silent --fail --max-time 30 {url}")),
                &answer,
                (name, &node),
            );
            continue;
        }
        let ours = script(client);
        let line = |text: &str, word: &str| -> Vec<String> {
            text.lines().filter_map(|line| line.strip_prefix(word)).map(str::to_owned).collect()
        };
        let (ours_booted, theirs) = (line(&ours, "kernel ").remove(0), line(&answer, "kernel ").remove(0));
        let (url, args) = ours_booted.split_once(' ').unwrap();
        let (asset, wanted) = theirs.split_once(' ').unwrap();
        // Labinator names the initramfs itself, and tells its own agent who it is.
        let wanted = as_ours(wanted.strip_prefix("initrd=main ").unwrap_or(wanted), &node);
        let args: Vec<&str> = args
            .split(' ')
            .filter(|word| !word.starts_with("initrd=initrd") && !word.starts_with("labinator."))
            .collect();
        assert_eq!(args.join(" "), wanted, "{node}");
        let bytes = |path: &str| {
            let path = path.split("/assets/").nth(1).unwrap().replace("%20", " ");
            fs::read_to_string(fixtures().join("matchbox/assets").join(path)).unwrap()
        };
        let fetched = |url: &str| client.shell(&format!("curl --silent --fail --max-time 30 {url}"));
        assert_eq!(fetched(url), bytes(asset), "{node}");
        let last = |line: &String| line.rsplit(' ').next().unwrap().to_owned();
        let (ours, theirs) = (line(&ours, "initrd "), line(&answer, "initrd "));
        assert_eq!(ours.len(), theirs.len(), "{node}");
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(fetched(&last(ours)), bytes(&last(theirs)), "{node}");
        }
    }
    assert_eq!(compared, 13);
    let tools = nodes["node1"].shell("curl --silent --fail http://10.79.0.1/n/02-4c-41-42-00-01/tools.raw");
    assert_eq!(tools, "tools\n");
}
