//! What belongs to one machine, fetched from a running boot counter: by cloud-init itself, and of a folder of matchbox
//! as matchbox served it.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

mod e2e;
#[expect(dead_code, reason = "another test uses the rest")]
#[path = "recorded/mod.rs"]
mod recorded;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use e2e::client::Client;
use e2e::controller::Controller;
use e2e::ground::{self, given, limited, said, until};
use e2e::house::House;
use e2e::processes::told;
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

/// cloud-init as its units start it, in folders of its own: nothing of this machine is read or written. It configures
/// no network, and makes a file and calls home.
const CLOUD_INIT: &str = r#"set -e
for folder in /run /etc/cloud /var/lib/cloud; do mkdir -p $folder; mount -t tmpfs tmpfs $folder; done
cat > /etc/cloud/cloud.cfg <<'X'
datasource_list: [NoCloud, None]
network: {config: disabled}
preserve_hostname: true
cloud_init_modules: [write-files]
cloud_config_modules: []
cloud_final_modules: [phone-home]
def_log_file: /run/cloud-init.log
X
stage() { /usr/bin/python3 -c 'from cloudinit.cmd.main import main; import sys; sys.exit(main(sys.argv))' "$@" >> /run/said 2>&1; }
stage init || true
stage modules --mode=config || true
stage modules --mode=final || true
echo "== file"; cat /run/seeded || tail -n 40 /run/said
echo "== result"; cat /run/cloud-init/result.json
echo "== instance"; cat /var/lib/cloud/data/instance-id
echo "== refused"; sed -E "s/^[-0-9]+ [:0-9]+,[0-9]+//; s/Up [0-9.]+ seconds//" /run/said | grep 404 || true; echo "=="
"#;

#[test]
#[ignore = "stage e2e-clients"]
fn cloud_init_of_two_debians_takes_its_seed_at_once_and_says_that_it_is_done() {
    let suites = PathBuf::from(std::env::var_os("LABINATOR_SUITES").unwrap_or_default());
    let modules = |suite: &str| suites.join(suite).join("cloud-init/usr/lib/python3/dist-packages");
    let house = House::new();
    house.write("vmlinuz", "a kernel");
    house.write("initrd", "an initramfs");
    house.write(
        "user-data.yaml",
        "#cloud-config\nwrite_files:\n- path: /run/seeded\n  content: \"{{ node }} of {{ lab }}, {{ role }}\\n\"\n\
         phone_home: { url: \"{{ seed_url }}/done\", post: [instance_id, hostname], tries: 3 }\n",
    );
    let lab = house.write(
        "lab.yaml",
        "lab: bench\n\
         network: { interface: br0, subnet: 10.79.0.0/20, boss: 10.79.0.1, dhcp: authoritative }\n\
         power: { hand: { driver: manual } }\n\
         board:\n  columns: 2\n  nodes:\n    \
         bookworm: { at: [1, 1], mac: 02:4c:41:00:00:01, ip: 10.79.0.11, power: hand/1, vars: { role: first } }\n    \
         trixie: { at: [2, 1], mac: 02:4c:41:00:00:02, ip: 10.79.0.12, power: hand/2, vars: { role: second } }\n\
         scenarios:\n  live:\n    image: { kernel: vmlinuz, initrd: initrd }\n    nodes: all\n    \
         args: \"ds=nocloud-net;s={{ seed_url }}/\"\n    seed: { user-data: user-data.yaml }\n    ready: done\n",
    );
    let controller = Controller::start(&house, &lab);
    start(&controller, "live");
    let mut tried = 0;
    for (suite, mac, ip, role) in [
        ("bookworm", "02:4c:41:00:00:01", "10.79.0.11", "first"),
        ("trixie", "02:4c:41:00:00:02", "10.79.0.12", "second"),
    ] {
        let modules = modules(suite);
        if !modules.is_dir() {
            println!("cloud-init of {suite} is not below LABINATOR_SUITES: not tried");
            continue;
        }
        tried += 1;
        let node = Client::with_address(&house, suite, mac, ip);
        let text = script(&node);
        let kernel = text.lines().find_map(|line| line.strip_prefix("kernel ")).unwrap();
        let mut command = node.command(120, "unshare");
        command.args(["--mount", "--uts", "sh", "-c", CLOUD_INIT]);
        command.env("DEBUG_PROC_CMDLINE", kernel).env("PYTHONPATH", &modules);
        let words = said(&command.output().unwrap());
        assert!(words.contains(&format!("== file\n{suite} of bench, {role}\n")), "{words}");
        assert!(words.contains("DataSourceNoCloudNet [seed=cmdline,http://10.79.0.1/n/"), "{words}");
        assert!(words.contains("\"errors\": []"), "{words}");
        assert!(words.contains(&format!("== instance\nbench-{suite}\n")), "{words}");
        // What is asked for and not there is asked for again and again, a second apart.
        assert!(words.contains("== refused\n==\n"), "{words}");
        let events = controller.events(0).into_iter().filter_map(|event| match event.fact {
            model::Fact::Sighted { mac: of, sight: model::Sight::Done } => Some(of.to_string()),
            _ => None,
        });
        assert!(events.into_iter().any(|of| of == mac), "its word reached the lab: {words}");
    }
    assert!(tried > 0, "no cloud-init was tried: run this by `cargo xtask test`");
}

#[test]
#[ignore = "stage e2e-clients"]
fn what_the_example_lab_tells_an_installer_is_taken_by_those_who_read_it() {
    let lab = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../labs/systems.yaml");
    let show = |scenario: &str, node: &str, name: &str| {
        let mut command = limited(60, given("LABINATOR_BIN"));
        command.args(["seed", "show", node, name, "--scenario", scenario, "--lab"]).arg(&lab);
        told(&mut command)
    };
    let folder = ground::Folder::new();
    let judged = |program: PathBuf, arguments: &[&str], text: &str| {
        let path = folder.0.join("text");
        fs::write(&path, text).unwrap();
        let output = limited(60, program).args(arguments).arg(path).output().unwrap();
        (output.status.success(), said(&output))
    };
    // Preseed files, by debconf itself.
    for node in ["node1", "node2", "node3"] {
        let text = show("debian", node, "preseed.cfg");
        let (well, words) = judged("debconf-set-selections".into(), &["--checkonly"], &text);
        assert!(well && !words.contains("error") && !words.contains("warning"), "{node}: {words}\n{text}");
    }
    let (well, _) = judged("debconf-set-selections".into(), &["--checkonly"], "d-i only/two\n");
    assert!(!well, "it refuses what is no preseed file");
    // Ignition, by Ignition.
    let suites = PathBuf::from(std::env::var_os("LABINATOR_SUITES").unwrap_or_default());
    let validate = suites.join("bookworm/ignition/usr/bin/ignition-validate");
    if !validate.is_file() {
        println!("ignition-validate is not below LABINATOR_SUITES: not tried");
        return;
    }
    let (well, words) = judged(validate.clone(), &[], &show("flatcar", "node1", "config.ign"));
    assert!(well, "{words}");
    let (well, _) = judged(validate, &[], "{\"storage\": {}}");
    assert!(!well, "it refuses what has no version, as `labinator check` does");
}
