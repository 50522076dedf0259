//! `labinator demo --scenario physical`: simulated Talos in virtual machines with real firmware, to a cluster that the
//! real `kubectl` works with, and through a cut of power.
#![expect(clippy::unwrap_used, reason = "a test may stop")]
#![expect(clippy::print_stdout, reason = "what a failed test heard, and what was not tested")]

mod e2e;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use e2e::controller::{picture, verb};
use e2e::ground::{Folder, given, limited, said, until};
use e2e::machines::machines_below;
use e2e::processes::{signal, skip, told};
use model::{Command as Order, CommandId, Event, Fact, NodeWord, Outcome, Phase, Snapshot};
use rustix::process::Signal;

/// Two machines need a minute on an idle computer with two processors.
const LIMIT: Duration = Duration::from_secs(400);

/// A demo that goes on until the test ends.
struct Demo {
    folder: Folder,
    outer: Child,
}

impl Drop for Demo {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!(
                "--- the demo wrote:\n{}",
                fs::read_to_string(self.folder.0.join("log")).unwrap_or_default()
            );
            for line in ["status", "explain"] {
                println!("--- {line}:\n{}", said(&verb(&self.socket(), line).output().unwrap()));
            }
        }
        signal(self.outer.id(), Signal::TERM);
        drop(self.outer.wait());
    }
}

impl Demo {
    fn start(nodes: &str) -> Self {
        let folder = Folder::new();
        let log = fs::File::create(folder.0.join("log")).unwrap();
        let mut demo = Command::new(given("LABINATOR_BIN"));
        demo.args(["demo", "--scenario", "physical", "--nodes", nodes, "--headless", "--images"]);
        demo.arg(given("LABINATOR_IMAGES"));
        demo.env("TMPDIR", &folder.0).env("LABINATOR_SOCKET", folder.0.join("api.sock"));
        demo.env("HOME", &folder.0).env("XDG_RUNTIME_DIR", &folder.0).env("XDG_STATE_HOME", &folder.0);
        demo.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let outer = demo.spawn().unwrap();
        Self { folder, outer }
    }

    fn socket(&self) -> PathBuf {
        self.folder.0.join("api.sock")
    }

    fn wait(&self, what: &str, good: impl Fn(&Snapshot) -> bool) -> Snapshot {
        until(LIMIT, what, || picture(&self.socket()).filter(&good))
    }

    /// Process id of a machine's QEMU.
    fn machine(&self, node: &str) -> Option<u32> {
        machines_below(&self.folder.0).into_iter().find(|(_, name)| name == node).map(|(pid, _)| pid)
    }

    fn state(&self) -> PathBuf {
        let entries = fs::read_dir(&self.folder.0).unwrap().flatten().map(|entry| entry.path());
        entries.into_iter().find(|path| path.to_string_lossy().contains("labinator-demo-")).unwrap()
    }

    /// What happens once in the life of a cluster and was done so far: secrets made, configs pushed, etcd begun. A
    /// machine that is not ready for it yet refuses, and is asked again.
    fn done(&self) -> (usize, usize, usize) {
        let text = told(&mut verb(&self.socket(), "events --json"));
        let all: Vec<Event> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let is_done = |wanted: CommandId| {
            let done = |event: &Event| matches!(&event.fact, Fact::Finished { id, outcome: Outcome::Done } if *id == wanted);
            all.iter().any(done)
        };
        let count = |of: fn(&Order) -> bool| {
            let issued = all.iter().filter_map(|event| match &event.fact {
                Fact::Issued { id, command } if of(command) => Some(*id),
                _ => None,
            });
            issued.filter(|id| is_done(*id)).count()
        };
        (
            count(|order| matches!(order, Order::Mint { .. })),
            count(|order| matches!(order, Order::Push { .. })),
            count(|order| matches!(order, Order::Bootstrap { .. })),
        )
    }
}

fn is_ready(picture: &Snapshot) -> bool {
    picture.lab.phase == Phase::Ready && picture.machines.iter().all(|one| one.word == NodeWord::Ready)
}

/// The real kubectl inside the demo's network, as the lab's administrator.
struct Kubectl<'a> {
    program: &'a Path,
    config: PathBuf,
    demo: &'a Demo,
}

impl Kubectl<'_> {
    fn says(&self, machine: &str, words: &[&str]) -> String {
        let address = machine.replace("node", "https://10.77.0.1");
        let mut command = limited(30, "nsenter");
        // A virtual machine's process is in the demo's network.
        let (inside, _) = machines_below(&self.demo.folder.0).into_iter().next().unwrap();
        command.arg("--net").arg("-t").arg(inside.to_string()).arg(self.program);
        command.arg("--kubeconfig").arg(&self.config).arg("--server").arg(format!("{address}:6443"));
        command.args(["--tls-server-name", "physical.demo.internal"]).args(words);
        told(command.env("HOME", &self.demo.folder.0))
    }
}

#[test]
#[ignore = "stage e2e-qemu"]
fn netbooted_nodes_become_a_cluster_that_outlives_a_cut_of_power() {
    let demo = Demo::start("2");
    let ready = demo.wait("the lab is ready", is_ready);
    for machine in &ready.machines {
        let told = serde_json::to_string(&machine.talos).unwrap();
        assert!(told.contains("-simulated"), "who looks sees what it is: {told}");
    }
    assert_eq!(demo.done(), (1, 2, 1));

    let suites = PathBuf::from(std::env::var_os("LABINATOR_SUITES").unwrap_or_default());
    let program = suites.join("sid/kubectl/usr/bin/kubectl");
    let keys = demo.folder.0.join("keys");
    told(
        limited(30, given("LABINATOR_BIN"))
            .args(["talos", "export", "--state"])
            .arg(demo.state())
            .arg("--output")
            .arg(&keys),
    );
    let kubectl = Kubectl { program: &program, config: keys.join("kubeconfig"), demo: &demo };
    let tried = program.is_file();
    if tried {
        let nodes = kubectl.says("node1", &["get", "nodes", "--no-headers"]);
        let lines: Vec<Vec<&str>> = nodes.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines.len(), 2, "{nodes}");
        assert_eq!(&lines[0][..3], ["node1", "Ready", "control-plane"], "{nodes}");
        assert_eq!(&lines[1][..2], ["node2", "Ready"], "{nodes}");
        let map = demo.folder.0.join("map.yaml");
        fs::write(
            &map,
            "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: kept, namespace: default }\ndata: { a: b }\n",
        )
        .unwrap();
        kubectl.says("node1", &["apply", "-f", map.to_str().unwrap()]);
    } else {
        skip("kubectl is not below LABINATOR_SUITES");
    }

    // The one that has etcd and Kubernetes on its disk loses its power.
    let old = demo.machine("node1").unwrap();
    signal(old, Signal::KILL);
    until(LIMIT, "node1 is switched on again", || demo.machine("node1").filter(|new| *new != old));
    let back = demo.wait("node1 comes back as who it was", |picture| {
        let boots = picture.machines.iter().find(|one| one.node.as_str() == "node1");
        is_ready(picture) && boots.and_then(|one| one.boot.as_ref()).is_some_and(|boot| boot.number == 2)
    });
    assert_eq!(back.lab.run, 1);
    assert_eq!(demo.done(), (1, 2, 1), "nothing of it was done twice");
    if tried {
        let map = kubectl.says("node1", &["get", "configmap", "kept", "-o", "jsonpath={.data.a}"]);
        assert_eq!(map, "b");
    }
}
