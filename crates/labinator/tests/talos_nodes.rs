//! `labinator talos` against simulated nodes over TCP: what it prints, and with which exit code it ends.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::WallTime;
use sim::talos::{Cluster, Manner, Node, Pace, Settings, Stage};
use talos::api::{Character, Dial};
use talos::pki::{Authority, KeyKind, Leaf, Seeded};
use tokio::process::Command;

fn now() -> WallTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    WallTime(u64::try_from(since.as_millis()).unwrap())
}

/// A folder with a talosconfig and a config, and a node on a free port of its own loopback address.
struct Desk {
    folder: PathBuf,
    node: Node,
    at: SocketAddr,
}

impl Drop for Desk {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.folder));
    }
}

impl Desk {
    fn new(name: &str, character: Character, manners: Vec<Manner>) -> Self {
        let folder = std::env::temp_dir().join(format!("labinator-talos-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let ca = Authority::mint(KeyKind::Ed25519, Some("talos"), now(), &mut Seeded::new([7; 32])).unwrap();
        let leaf = ca.issue(&Leaf::talos_client(&["os:admin"]), now(), &mut Seeded::new([8; 32])).unwrap();
        let ((ca_crt, ca_key), (crt, key)) = (ca.to_pem(), leaf.to_pem());
        let encoded = |text: &str| STANDARD.encode(text);
        let talosconfig = format!(
            "context: lab\ncontexts:\n    lab:\n        endpoints: []\n        ca: {}\n        crt: {}\n        key: {}\n",
            encoded(&ca_crt),
            encoded(&crt),
            encoded(&key)
        );
        let config = format!(
            "version: v1alpha1\nmachine:\n    type: controlplane\n    token: a\n    ca:\n        crt: {}\n        key: {}\n    install:\n        \
             disk: /dev/sda\ncluster:\n    id: ours\n    clusterName: lab\n    controlPlane:\n        endpoint: https://127.0.0.1:6443\n",
            encoded(&ca_crt),
            encoded(&ca_key)
        );
        fs::write(folder.join("talosconfig"), talosconfig).unwrap();
        fs::write(folder.join("node.yaml"), config).unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let ms = Duration::from_millis;
        let settings = Settings {
            name: "talos-1".to_owned(),
            address: free,
            character,
            version: if character == Character::UpTo12 { "v1.12.8" } else { "v1.13.8" }.to_owned(),
            uuid: String::new(),
            seed: [1; 32],
            wall: now(),
            pace: Pace { phase: ms(20), install: ms(100), kexec: ms(50), firmware: ms(10), join: ms(50) },
            sink: None,
            kernel_log: None,
            wipe: false,
            manners,
        };
        let node = Node::new(settings, &Cluster::default(), Dial::tcp());
        let (runs, listens) = (node.clone(), node.clone());
        tokio::spawn(async move { runs.run().await });
        tokio::spawn(async move { listens.listen().await });
        Self { folder, node, at: free }
    }

    async fn until(&self, stage: Stage) {
        let waited = async {
            while self.node.stage() != stage {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waited).await.unwrap();
    }

    /// Exit code and what was printed on both.
    async fn talos(&self, words: &[&str]) -> (i32, String) {
        let done = Command::new(env!("CARGO_BIN_EXE_labinator"))
            .arg("talos")
            .args(words)
            .args(["--nodes", &self.at.to_string()])
            .current_dir(&self.folder)
            .env_remove("TALOSCONFIG")
            .env("HOME", Path::new("/nonexistent"))
            .output()
            .await
            .unwrap();
        let text =
            format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        (done.status.code().unwrap(), text)
    }
}

const OURS: [&str; 2] = ["--talosconfig", "talosconfig"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_brought_up_rebooted_and_reset_by_hand() {
    for character in [Character::UpTo12, Character::From13] {
        let desk = Desk::new(&format!("{character:?}"), character, vec![]);
        desk.until(Stage::Maintenance).await;
        let (code, text) = desk.talos(&["version", "--insecure"]).await;
        assert!(code == 0 && text.contains("waits for a config"), "{text}");
        let fingerprint = text.trim().rsplit(' ').next().unwrap().to_owned();

        let push = ["apply", "--insecure", "--file", "node.yaml", "--confirm", "60"];
        let pinned = [&push[..], &["--cert-fingerprint", &fingerprint], &OURS].concat();
        let (code, text) = desk.talos(&pinned).await;
        assert!(code == 0 && text.contains("confirmed, v1.1"), "{text}");

        let (code, text) = desk.talos(&["version", "--insecure"]).await;
        assert!(code == 1, "{text}");
        let (code, text) = desk.talos(&[&["bootstrap", "--wait", "60"][..], &OURS].concat()).await;
        assert!(code == 0 && text.contains("etcd begins"), "{text}");
        desk.until(Stage::Running).await;
        let (code, text) = desk.talos(&[&["bootstrap"][..], &OURS].concat()).await;
        assert!(code == 0 && text.contains("was begun before"), "{text}");
        let (code, text) = desk.talos(&[&["services"][..], &OURS].concat()).await;
        assert!(code == 0 && text.contains("etcd         Running      healthy"), "{text}");
        let (code, text) = desk.talos(&[&["disks"][..], &OURS].concat()).await;
        assert!(code == 0 && text.contains("/dev/sda") && text.contains("Talos is on it"), "{text}");
        let (code, text) = desk.talos(&[&["etcd", "members"][..], &OURS].concat()).await;
        assert!(code == 0 && text.contains("talos-1"), "{text}");
        let (code, text) = desk.talos(&[&["etcd", "status", "--json"][..], &OURS].concat()).await;
        assert!(code == 0 && text.contains("\"leader\""), "{text}");
        let (code, text) = desk.talos(&[&["dmesg"][..], &OURS].concat()).await;
        assert!(code == 0 && !text.is_empty(), "{text}");
        // No Kubernetes is behind this node: what is well is said to be, and what is not.
        let (code, text) = desk.talos(&[&["health"][..], &OURS].concat()).await;
        assert!(code == 1 && text.contains(" runs  "), "{text}");
        assert!(text.contains("well      etcd has the same members       talos-1"), "{text}");
        assert!(text.contains("NOT WELL  Kubernetes answers by its name"), "{text}");
        let (code, text) = desk.talos(&[&["reboot", "--wait", "60"][..], &OURS].concat()).await;
        assert!(code == 0 && text.contains("booted"), "{text}");
        let reset = ["reset", "--reboot", "--partitions", "STATE,EPHEMERAL"];
        let (code, text) = desk.talos(&[&reset[..], &OURS].concat()).await;
        assert!(code == 0 && text.contains("wipes itself"), "{text}");
        desk.until(Stage::Maintenance).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_release_is_put_on_a_node_and_it_stays_who_it_was() {
    for (character, from, to) in
        [(Character::UpTo12, "v1.12.8", "v1.12.11"), (Character::From13, "v1.13.8", "v1.13.9")]
    {
        let desk = Desk::new(&format!("upgrade-{character:?}"), character, vec![]);
        desk.until(Stage::Maintenance).await;
        let push = ["apply", "--insecure", "--file", "node.yaml", "--confirm", "60"];
        let (code, text) = desk.talos(&[&push[..], &OURS].concat()).await;
        assert!(code == 0 && text.contains(&format!("confirmed, {from}")), "{text}");
        let (code, text) = desk.talos(&[&["bootstrap", "--wait", "60"][..], &OURS].concat()).await;
        assert_eq!(code, 0, "{text}");
        desk.until(Stage::Running).await;
        let members = [&["etcd", "members", "--json"][..], &OURS].concat();
        let (_, before) = desk.talos(&members).await;

        let absent = ["upgrade", "--image", "ghcr.io/siderolabs/installer:v1.99.0", "--wait", "60"];
        let (code, text) = desk.talos(&[&absent[..], &OURS].concat()).await;
        assert!(code == 1 && text.contains("not found"), "{text}");
        assert_eq!(desk.node.version(), from);

        let image = format!("ghcr.io/siderolabs/installer:{to}");
        let upgrade = ["upgrade", "--image", &image, "--wait", "60"];
        let (code, text) = desk.talos(&[&upgrade[..], &OURS].concat()).await;
        assert!(code == 0 && text.contains("; booted"), "{text}");
        // The same identity opens it: it was neither wiped nor given another config.
        let (code, text) = desk.talos(&[&["version"][..], &OURS].concat()).await;
        assert!(code == 0 && text.contains(&format!(": {to} ")), "{text}");
        desk.until(Stage::Running).await;
        let (code, after) = desk.talos(&members).await;
        assert_eq!((code, after, desk.node.applied()), (0, before, 1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stands_in_the_way_is_said_with_its_code_and_what_to_do() {
    let desk = Desk::new(
        "wrong",
        Character::UpTo12,
        vec![Manner::RefusesConfig("machine.install.disk: no such disk".to_owned())],
    );
    desk.until(Stage::Maintenance).await;
    let (code, text) = desk.talos(&["apply", "--insecure", "--file", "node.yaml"]).await;
    assert!(
        code == 1 && text.contains("(machine.install.disk)") && text.contains("[apply/refused]"),
        "{text}"
    );
    let other = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    let pinned = ["apply", "--insecure", "--file", "node.yaml", "--cert-fingerprint", other];
    let (code, text) = desk.talos(&pinned).await;
    assert!(code == 1 && text.contains("[apply/impostor]"), "{text}");
    let (code, text) = desk.talos(&[&["services"][..], &OURS].concat()).await;
    assert!(code == 1 && text.contains("[talos/wrong-cluster]"), "{text}");
    let (code, text) = desk.talos(&["services"]).await;
    assert!(code == 1 && text.contains("--talosconfig"), "{text}");
    assert_eq!(desk.node.applied(), 0);
}
