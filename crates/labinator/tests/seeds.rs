//! What machines with other people's operating systems are told: layers of variables, every mistake at once,
//! and from the template to the shelf.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

use std::fs;
use std::path::{Path, PathBuf};

use labinator::seed::{Kitchen, Seed, check};
use labinator::{assets, config};
use model::{DiskBoot, Fact, LabSpec, NodeBoot, Readiness};
use store::shelf::Shelf;

fn labs() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../labs")
}

fn cook(spec: &LabSpec, scenario: &str, node: &str) -> Seed {
    let (name, scenario) = spec.scenarios.get_key_value(&scenario.parse().unwrap()).unwrap();
    Kitchen::new(spec).cook((name, scenario), &node.parse().unwrap()).unwrap()
}

/// A folder that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("labinator-seeds-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&path));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn lab(&self, scenarios: &str) -> LabSpec {
        let text = format!(
            "lab: bench\n\
             network: {{ interface: eth0, subnet: 10.0.0.0/24, boss: 10.0.0.1, dhcp: authoritative }}\n\
             power: {{ hand: {{ driver: manual }} }}\n\
             groups: {{ odd: {{ nodes: [n1], vars: {{ word: group }} }} }}\n\
             board:\n  columns: 2\n  nodes:\n    \
             n1: {{ at: [1, 1], mac: 52:54:00:00:00:01, ip: 10.0.0.11, power: hand/1 }}\n    \
             n2: {{ at: [2, 1], mac: 52:54:00:00:00:02, ip: 10.0.0.12, power: hand/2 }}\n\
             scenarios:\n{scenarios}\n"
        );
        config::parse(text.as_bytes(), "lab.yaml", &self.0).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

#[test]
fn every_template_of_every_example_lab_renders() {
    for entry in fs::read_dir(labs()).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.extension().is_none_or(|ending| ending != "yaml") {
            continue;
        }
        if let Some(mistakes) = check(&config::load(&entry).unwrap()).first() {
            panic!("{}: {mistakes}", entry.display());
        }
    }
}

#[test]
fn the_example_means_what_it_says() {
    let spec = config::load(&labs().join("systems.yaml")).unwrap();
    let live = cook(&spec, "live", "node2");
    assert_eq!(
        live.args.unwrap(),
        "ip=dhcp boot=casper netboot=url url=http://10.20.0.1/n/52-54-00-aa-00-02/root.squashfs \
         ds=nocloud-net;s=http://10.20.0.1/n/52-54-00-aa-00-02/"
    );
    let user_data = &live.texts["user-data"];
    assert!(
        user_data.starts_with("#cloud-config\nhostname: node2\nfqdn: node2.systems.internal\n"),
        "{user_data}"
    );
    assert!(user_data.contains("content: storage\n"), "its group outranks the scenario: {user_data}");
    assert!(user_data.contains("url: http://10.20.0.1/n/52-54-00-aa-00-02/done\n"), "{user_data}");
    assert_eq!(live.texts["meta-data"], "instance-id: systems-node2\nlocal-hostname: node2\n");
    assert_eq!((live.texts["vendor-data"].as_str(), live.texts["network-config"].as_str()), ("", ""));
    assert!(live.files["root.squashfs"].ends_with("assets/ubuntu/root.squashfs"));
    assert!(cook(&spec, "live", "node1").texts["user-data"].contains("content: compute\n"));

    let disk = |node| {
        let text = cook(&spec, "debian", node).texts.remove("preseed.cfg").unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("d-i partman-auto/disk string ")).unwrap();
        line.to_owned()
    };
    assert_eq!([disk("node1"), disk("node2"), disk("node3")], ["/dev/nvme0n1", "/dev/sdb", "/dev/sdb"]);
    assert!(cook(&spec, "debian", "node2").args.unwrap().ends_with("--- quiet console=ttyS0"));
    assert!(cook(&spec, "debian", "node1").args.unwrap().ends_with("--- quiet"));
    assert!(cook(&spec, "debian", "node3").texts["preseed.cfg"].contains("method string raid"));
    let flatcar = &spec.scenarios[&"flatcar".parse().unwrap()].system;
    assert_eq!((flatcar.ready, flatcar.within), (Readiness::Done, Some(model::Span::secs(300))));
    assert_eq!(spec.scenarios[&"debian".parse().unwrap()].system.install, Some(DiskBoot::Auto));
}

#[test]
fn every_mistake_of_every_template_is_told_once_with_its_place() {
    let folder = Folder::new("mistakes");
    folder.write("user-data", "#cloud-config\nhost: {{ nod }}\nrole: {{ role }}\n");
    folder.write("config.ign", "{ \"storage\": {} }\n");
    folder.write("broken.cfg", "a\n{% if node %}\n");
    let spec = folder.lab(
        "  one: { image: disk, nodes: all, args: \"{{ nothing }}\", seed: { user-data: user-data, config.ign: config.ign } }\n  \
         two: { image: disk, nodes: [n2], seed: { a.cfg: broken.cfg, b.cfg: missing.cfg } }",
    );
    let told: Vec<String> = check(&spec).iter().map(ToString::to_string).collect();
    let all = told.join("\n");
    for wanted in [
        "nobody knows `nod`",
        "user-data:2:",
        "did you mean `node`?",
        "nobody knows `role`",
        "user-data:3:",
        "Ignition refuses what has no `ignition.version`",
        "nobody knows `nothing`",
        "args of one",
        "broken.cfg:2:",
        "missing.cfg",
        "for n1, n2",
    ] {
        assert!(all.contains(wanted), "{wanted}: {all}");
    }
    assert_eq!(all.matches("nobody knows `nod`").count(), 1, "once, not once per machine: {all}");
}

#[test]
fn what_is_rendered_lies_on_the_shelf_and_what_fails_names_file_and_line() {
    let folder = Folder::new("shelf");
    folder.write("tpl/user-data", "#cloud-config\nhostname: {{ node }} # {{ word | default('plain') }}\n");
    folder.write("vmlinuz", "a kernel");
    folder.write("rpi/start4.elf", "firmware");
    folder.write("rpi/overlays/a.dtbo", "overlay");
    folder.write("bad", "{{ oops }}");
    let spec = folder.lab(
        "  good: { image: { kernel: vmlinuz, args: \"a={{ ip }}\" }, nodes: all, args: b, seed: { user-data: tpl/user-data }, folder: rpi }\n  \
         bad: { image: { kernel: vmlinuz }, nodes: all, seed: { x: bad } }\n  \
         plain: { image: { kernel: vmlinuz, args: c }, nodes: all, args: d }\n  \
         own: { image: disk, nodes: all }",
    );
    let shelf = Shelf::new(folder.0.join("shelf"));
    let Fact::ImagesFound { images, missing, boots } = assets::find(&spec, Path::new("/nowhere"), &shelf)
    else {
        panic!("another fact");
    };
    let names: Vec<&str> = images.keys().map(model::ScenarioName::as_str).collect();
    assert_eq!(names, ["good", "own", "plain"]);
    assert!(images[&"own".parse().unwrap()].is_disk());
    let lacks = &missing[&"bad".parse().unwrap()];
    assert!(
        lacks.len() == 1
            && lacks[0]
                .ends_with("bad:1: nobody knows `oops` (put it under `vars`, or write `oops | default(..)`)"),
        "{lacks:?}"
    );
    assert!(!boots.contains_key(&"plain".parse().unwrap()), "what is the same for all is not repeated");

    let boot = |node: &str| -> NodeBoot { boots[&"good".parse().unwrap()][&node.parse().unwrap()].clone() };
    let text = |boot: &NodeBoot, name: &str| {
        let asset = &boot.files[name];
        let mut text = String::new();
        let digest = store::Digest(asset.digest.0);
        std::io::Read::read_to_string(&mut shelf.open_range(digest, 0, asset.size).unwrap(), &mut text)
            .unwrap();
        text
    };
    let (one, two) = (boot("n1"), boot("n2"));
    assert_eq!((one.args.as_deref(), two.args.as_deref()), (Some("a=10.0.0.11 b"), Some("a=10.0.0.12 b")));
    assert_eq!(one.image.as_ref().unwrap().args, "", "they are in the line already");
    assert_eq!(text(&one, "user-data"), "#cloud-config\nhostname: n1 # group\n");
    assert_eq!(text(&two, "user-data"), "#cloud-config\nhostname: n2 # plain\n");
    assert_eq!(text(&one, "overlays/a.dtbo"), "overlay");
    let names: Vec<&str> = one.files.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["meta-data", "network-config", "overlays/a.dtbo", "start4.elf", "user-data", "vendor-data"]
    );
}

/// Every YAML example of the guide is part of a lab that is right, with the files it names.
#[test]
fn every_example_of_the_guide_is_right() {
    let guide = fs::read_to_string(labs().join("../docs/scenarios.md")).unwrap();
    let folder = Folder::new("guide");
    folder.write("user-data.yaml", "#cloud-config\nhostname: {{ node }}\n# {{ role }} {{ mirror }}\n");
    folder.write("preseed.cfg", "d-i netcfg/get_hostname string {{ node }}\n");
    let mut examples = 0;
    for example in guide.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()) {
        examples += 1;
        let text = format!(
            "lab: bench\n\
             network: {{ interface: eth0, subnet: 10.0.0.0/24, boss: 10.0.0.1, dhcp: authoritative }}\n\
             power: {{ hand: {{ driver: manual }} }}\n\
             board:\n  columns: 2\n  nodes:\n    \
             node1: {{ at: [1, 1], mac: 52:54:00:00:00:01, ip: 10.0.0.11, power: hand/1 }}\n    \
             node2: {{ at: [2, 1], mac: 52:54:00:00:00:02, ip: 10.0.0.12, power: hand/2 }}\n{example}"
        );
        let spec =
            config::parse(text.as_bytes(), "guide.yaml", &folder.0).unwrap_or_else(|why| panic!("{why}"));
        if let Some(mistakes) = check(&spec).first() {
            panic!("{mistakes}");
        }
    }
    assert_eq!(examples, 2);
    use clap::Parser as _;
    for code in guide.split('`').skip(1).step_by(2).filter(|code| code.starts_with("labinator ")) {
        if let Err(wrong) = labinator::cli::Cli::try_parse_from(code.split_whitespace()) {
            panic!("`{code}`: {wrong}");
        }
    }
}
