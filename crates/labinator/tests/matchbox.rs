//! A folder of matchbox becomes a lab whose machines are told what matchbox told them. What it told was recorded
//! from matchbox 0.11 itself (`fixtures/matchbox-answers.json`).
#![expect(clippy::unwrap_used, reason = "a test may stop")]
#![expect(clippy::panic, reason = "a test may stop")]
#![expect(clippy::indexing_slicing, reason = "a test may stop")]

#[path = "recorded/mod.rs"]
mod recorded;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use labinator::config;
use labinator::seed::{Kitchen, Seed, check};
use model::{ImageRef, LabSpec};
use recorded::{MACHINES, as_ours, fixtures, profile_of, recorded, same_text, served_as};

/// A folder that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("labinator-matchbox-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&path));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Exit code and everything said by `import matchbox`, with this lab file to write.
    fn import(&self, folder: &Path, more: &[&str]) -> (i32, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_labinator"));
        command.args(["import", "matchbox"]).arg(folder).arg("--out").arg(self.0.join("lab.yaml")).args(more);
        let done = command.output().unwrap();
        let said = [done.stdout, done.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        (done.status.code().unwrap(), said)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }

    fn lab(&self) -> LabSpec {
        config::load(&self.0.join("lab.yaml")).unwrap_or_else(|why| panic!("{why}"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

const NETWORK: [&str; 6] = ["--interface", "lo", "--subnet", "10.79.0.0/24", "--boss", "10.79.0.1"];
fn cook(spec: &LabSpec, scenario: &str, node: &str) -> Seed {
    let (name, scenario) = spec.scenarios.get_key_value(&scenario.parse().unwrap()).unwrap();
    Kitchen::new(spec).cook((name, scenario), &node.parse().unwrap()).unwrap()
}

#[test]
fn every_machine_is_told_what_matchbox_told_it() {
    let folder = Folder::new("same");
    let more: Vec<&str> = NETWORK.into_iter().chain(MACHINES).collect();
    let (code, said) = folder.import(&fixtures().join("matchbox"), &more);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("4 machines, 4 scenarios"), "{said}");
    let spec = folder.lab();
    if let Some(mistakes) = check(&spec).first() {
        panic!("{mistakes}");
    }
    let mut compared = 0;
    for recorded::Recorded { node, request, answer } in recorded() {
        // As part of the whole, and in the scenario of its profile.
        for scenario in ["matchbox", profile_of(&node)] {
            let seed = cook(&spec, scenario, &node);
            if request.starts_with("/ipxe?") {
                same_boot(&spec, (scenario, &node), &seed, &answer);
            } else {
                let name = served_as(&node, &request);
                same_text(&seed.texts[name], &answer, (name, &node));
            }
            compared += 1;
        }
    }
    assert_eq!(compared, 2 * 13);
    // The address that names another machine by its number gets that machine's values.
    let other = cook(&spec, "worker", "node2").texts["worker.env"].clone();
    assert!(other.starts_with("ETCD_NAME=node1\n") && other.contains("MAC=02:4c:41:42:00:01\n"), "{other}");
    let told = cook(&spec, "worker", "node1");
    assert!(told.files["tools.raw"].ends_with("fixtures/matchbox/assets/edge/tools/tools.raw"));
}

/// The script of matchbox names the files and arguments that are booted here.
fn same_boot(spec: &LabSpec, (scenario, node): (&str, &str), seed: &Seed, script: &str) {
    let image =
        seed.image.clone().unwrap_or_else(|| spec.scenarios[&scenario.parse().unwrap()].image.clone());
    let ImageRef::Files { kernel: Some(kernel), initrd, .. } = image else {
        panic!("{node} boots no kernel")
    };
    let line = |word: &str| -> Vec<String> {
        script.lines().filter_map(|line| line.strip_prefix(word)).map(str::to_owned).collect()
    };
    let path = |url: &str| {
        let path = url.split("/assets/").nth(1).unwrap().replace("%20", " ");
        fixtures().join("matchbox/assets").join(path)
    };
    let booted = line("kernel ").pop().unwrap();
    let (url, args) = booted.split_once(' ').unwrap();
    assert_eq!(Path::new(&kernel), path(url), "{scenario} {node}");
    let wanted: Vec<PathBuf> =
        line("initrd ").iter().map(|line| path(line.rsplit(' ').next().unwrap())).collect();
    assert_eq!(initrd.iter().map(PathBuf::from).collect::<Vec<_>>(), wanted, "{scenario} {node}");
    // Labinator names the initramfs itself.
    let args = args.strip_prefix("initrd=main ").unwrap_or(args);
    assert_eq!(seed.args.as_deref().unwrap(), as_ours(args, node), "{scenario} {node}");
}

#[test]
fn what_cannot_be_carried_over_is_told_with_its_place_and_left_out() {
    let folder = Folder::new("lost");
    let put = |name: &str, text: &str| folder.write(&format!("mb/{name}"), text);
    put("groups/a.json", r#"{"profile":"good","selector":{"mac":"02:00:00:00:00:01"}}"#);
    put("groups/b.json", r#"{"profile":"butane","selector":{"mac":"02:00:00:00:00:02"}}"#);
    put(
        "groups/c.json",
        r#"{"profile":"strange","selector":{"mac":"02:00:00:00:00:03"},"metadata":{"a-b":1,"list":[1]}}"#,
    );
    put("groups/d.json", r#"{"profile":"good","selector":{"serial":"X1"}}"#);
    put("groups/e.json", "{ not json");
    put("groups/f.json", r#"{"profile":"gone","selector":{"mac":"02:00:00:00:00:04"}}"#);
    put("groups/.hidden", "");
    put("groups/nested/x.json", "{}");
    put(
        "profiles/good.json",
        r#"{"id":"good","boot":{"kernel":"https://mirror.example/vmlinuz","args":["quiet"],"cmdline":{"a":"b"}}}"#,
    );
    let args = r#"["x=http://mb:8080/ignition?mac=${mac:hexhyp}"]"#;
    put(
        "profiles/butane.json",
        &format!(r#"{{"id":"butane","ignition_id":"b.yaml","boot":{{"kernel":"/assets/k","args":{args}}}}}"#),
    );
    let args = r#"["a=${asset}","y=http://mb:8080/generic?mac=${mac:hexhyp}"]"#;
    put(
        "profiles/strange.json",
        &format!(
            r#"{{"id":"strange","generic_id":"s","boot":{{"kernel":"/assets/k","initrd":["/assets/i /config"],"args":{args}}}}}"#
        ),
    );
    put("ignition/b.yaml", "variant: flatcar\n");
    put("generic/s", "ok\n{{.list}}\n{{.who}}\n");
    put("assets/k", "kernel");
    let mb = folder.0.join("mb");
    let (code, said) = folder.import(&mb, &NETWORK);
    assert_eq!(code, 1, "{said}");
    for wanted in [
        "lost  ignition/b.yaml: it is Butane",
        "butane ignition/b.yaml > ignition/b.ign",
        "lost  generic/s:2: `list` is a list or a map",
        "lost  generic/s:3: `.who` is in neither metadata nor selector",
        "lost  profiles/strange.json: boot.args[0]: `${asset}` is known to iPXE alone",
        "lost  profiles/strange.json: boot.initrd[0]: iPXE would pack `/config` around it",
        "lost  groups/d.json: whether a, b, c, f belong to it is not known: nobody told the `serial`",
        "say it: --machine a=02:00:00:00:00:01,serial=..",
        "lost  groups/e.json: matchbox passes over this file: it is no JSON",
        "lost  groups/f.json: there is no profile `gone`",
        "note  groups/nested: matchbox reads only *.json here, and no folders",
        "note  profiles/good.json: matchbox knows no `cmdline`",
        "note  profiles/good.json: boot.kernel: machines fetch https://mirror.example/vmlinuz",
        "curl --create-dirs -Lo matchbox/fetched/vmlinuz 'https://mirror.example/vmlinuz'",
        "note  groups/c.json: `a-b` is called `a_b` here",
    ] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    let text = folder.read("lab.yaml");
    assert!(
        text.contains("# Not carried over from matchbox:\n")
            && text.contains("#   ignition/b.yaml: it is Butane"),
        "{text}"
    );
    assert!(text.contains("# butane is left out (profiles/butane.json)"), "{text}");
    let spec = folder.lab();
    let names: Vec<&str> = spec.scenarios.keys().map(model::ScenarioName::as_str).collect();
    assert_eq!(names, ["good"], "a scenario that would do something else is not there");
    // Nothing is written over.
    let (code, said) = folder.import(&mb, &NETWORK);
    assert_eq!(code, 1);
    assert!(said.contains("is there already") && folder.read("lab.yaml") == text, "{said}");
}

#[test]
fn with_a_lab_file_its_machines_are_meant_and_everything_in_it_stays() {
    let folder = Folder::new("beside");
    folder.write(
        "own.yaml",
        "# mine\nlab: bench\n\
         network: { interface: lo, subnet: 10.0.0.0/24, boss: 10.0.0.1, dhcp: authoritative }\n\
         power: { hand: { driver: manual } }\n\
         board:\n  columns: 2\n  nodes:\n    \
         left: { at: [1, 1], mac: 02:4c:41:42:00:01, ip: 10.0.0.11, power: hand/1 }\n    \
         right: { at: [2, 1], mac: 02:4c:41:42:00:09, ip: 10.0.0.12, power: hand/2 }\n\
         scenarios:\n  all: { image: disk, nodes: all }\n",
    );
    let own = folder.0.join("own.yaml");
    let (code, said) = folder.import(&fixtures().join("matchbox"), &["--lab", own.to_str().unwrap()]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("lost  groups/node2.json: 02:4c:41:42:00:02 is not on the board"), "{said}");
    let spec = folder.lab();
    assert_eq!(spec.board.nodes.len(), 2);
    let scenario = |name: &str| {
        spec.scenarios[&name.parse().unwrap()].nodes.iter().map(model::NodeName::as_str).collect::<Vec<_>>()
    };
    assert_eq!(
        (scenario("worker"), scenario("install"), scenario("all")),
        (vec!["left"], vec!["right"], vec!["left", "right"])
    );
    assert!(folder.read("lab.yaml").contains("# mine\n"));
    assert_eq!(
        cook(&spec, "install", "right").texts["preseed.cfg"].lines().nth(1).unwrap(),
        "d-i partman-auto/disk string /dev/sda"
    );
    // Paths are seen from the lab file's folder.
    let elsewhere = folder.0.join("deeper/lab.yaml");
    let (code, said) = folder.import(
        &fixtures().join("matchbox"),
        &["--lab", own.to_str().unwrap(), "--out", elsewhere.to_str().unwrap()],
    );
    assert_eq!(code, 2, "{said}");
}

#[test]
fn a_folder_without_anything_to_boot_is_refused_and_nothing_is_written() {
    let folder = Folder::new("empty");
    let (code, said) = folder.import(&folder.0.join("nowhere"), &NETWORK);
    assert!(code == 1 && said.contains("nowhere/groups"), "{said}");
    folder.write("mb/groups/default.json", r#"{"profile":"x"}"#);
    folder.write("mb/profiles/x.json", r#"{"id":"x","boot":{"kernel":"/assets/k"}}"#);
    let (code, said) = folder.import(&folder.0.join("mb"), &NETWORK);
    assert!(code == 1 && said.contains("--machine NAME=MAC"), "{said}");
    assert!(!folder.0.join("lab.yaml").exists());
}
