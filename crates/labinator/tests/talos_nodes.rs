//! `labinator talos` against simulated nodes over TCP: what it prints, and with which exit code it ends.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::WallTime;
use sim::kubernetes::{Member, Server};
use sim::talos::{Cluster, Manner, Node, Pace, Settings, Stage};
use talos::api::{Character, Dial};
use talos::pki::{Authority, KeyKind, Leaf, Seeded};
use talos::secrets::Secrets;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::task::JoinSet;

fn now() -> WallTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    WallTime(u64::try_from(since.as_millis()).unwrap())
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("labinator-talos-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A port at an address that nobody else in this process has: nodes close and open theirs, and a neighbour must not get it
/// meanwhile.
fn free() -> SocketAddr {
    static GIVEN: AtomicU8 = AtomicU8::new(1);
    let address = Ipv4Addr::new(127, 0, 7, GIVEN.fetch_add(1, Ordering::Relaxed));
    std::net::TcpListener::bind((address, 0)).unwrap().local_addr().unwrap()
}

/// A cluster's secrets that were made before: no test waits for an RSA key.
fn known_secrets() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../talos/tests/fixtures/secrets.yaml")
}

/// A folder with a talosconfig and a config, and a node on a free port of its own loopback address.
struct Desk {
    folder: PathBuf,
    node: Node,
    at: SocketAddr,
    running: JoinSet<()>,
}

impl Drop for Desk {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.folder));
    }
}

impl Desk {
    fn new(name: &str, character: Character, manners: Vec<Manner>) -> Self {
        let folder = folder(name);
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
        Self::of(folder, character, manners)
    }

    /// A node that waits, and what is in this folder.
    fn of(folder: PathBuf, character: Character, manners: Vec<Manner>) -> Self {
        let free = free();
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
        let mut running = JoinSet::new();
        running.spawn(async move { runs.run().await });
        running.spawn(async move { drop(listens.listen().await) });
        Self { folder, node, at: free, running }
    }

    /// A cluster of one node, brought up by hand from known secrets, and its API server.
    async fn with_kubernetes(name: &str) -> (Self, Server) {
        let folder = folder(name);
        fs::copy(known_secrets(), folder.join("secrets.yaml")).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("https://{}", listener.local_addr().unwrap());
        let secrets = Secrets::from_yaml(&fs::read_to_string(known_secrets()).unwrap()).unwrap();
        let names = ["127.0.0.1".parse().unwrap()];
        let leaf = Leaf::server("kube-apiserver", &names);
        let issued = secrets.kubernetes().issue(&leaf, now(), &mut Seeded::new([9; 32])).unwrap();
        let ((chain, key), (authority, _)) = (issued.to_pem(), secrets.kubernetes().to_pem());
        let identity =
            sim::kubernetes::Identity::from_pem(chain.as_bytes(), key.as_bytes(), authority.as_bytes());
        let settings = sim::kubernetes::Settings {
            seed: 1,
            began: now().0,
            version: "v1.36.3".to_owned(),
            remembers: 1000,
        };
        let server = Server::new(&settings, identity.unwrap());
        server.join(&Member {
            name: "talos-1".to_owned(),
            address: "127.0.0.1".to_owned(),
            control_plane: true,
            cores: 4,
            memory_mib: 4096,
            version: "v1.36.3".to_owned(),
        });
        server.shows_static_pods("talos-1");
        let mut desk = Self::of(folder, Character::From13, vec![]);
        let (tended, served) = (server.clone(), server.clone());
        desk.running.spawn(async move { tended.run().await });
        desk.running.spawn(async move { drop(served.listen(listener).await) });
        desk.until(Stage::Maintenance).await;
        let made = [
            "gen",
            "--cluster",
            "lab",
            "--endpoint",
            &endpoint,
            "--secrets",
            "secrets.yaml",
            "--output",
            ".",
        ];
        let (code, text) = desk.run(&made).await;
        assert_eq!(code, 0, "{text}");
        let push = ["apply", "--insecure", "--file", "controlplane.yaml", "--confirm", "60"];
        desk.good(&push).await;
        desk.good(&["bootstrap", "--wait", "60"]).await;
        desk.until(Stage::Running).await;
        (desk, server)
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
        self.run(&[words, &["--nodes", &self.at.to_string()]].concat()).await
    }

    /// What is printed for somebody of the cluster, who must succeed.
    async fn good(&self, words: &[&str]) -> String {
        let (code, text) = self.talos(&[words, &OURS].concat()).await;
        assert_eq!(code, 0, "{words:?}: {text}");
        text
    }

    /// What is said to somebody of the cluster, who must not.
    async fn bad(&self, words: &[&str]) -> String {
        let (code, text) = self.talos(&[words, &OURS].concat()).await;
        assert_eq!(code, 1, "{words:?}: {text}");
        text
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_labinator"));
        command
            .arg("talos")
            .args(words)
            .current_dir(&self.folder)
            .env_remove("TALOSCONFIG")
            .env("HOME", Path::new("/nonexistent"))
            .kill_on_drop(true);
        command
    }

    async fn run(&self, words: &[&str]) -> (i32, String) {
        let done = self.command(words).output().await.unwrap();
        let text =
            format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        (done.status.code().unwrap(), text)
    }
}

/// A text without the room between its columns.
fn spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_well_cluster_is_told_from_one_with_a_broken_part() {
    let (desk, server) = Desk::with_kubernetes("health").await;
    // Its pods need a moment to be ready.
    let text = spaced(&desk.good(&["health", "--wait", "60"]).await);
    assert!(!text.contains("NOT WELL"), "{text}");
    for check in ["runs", "etcd has the same members", "Kubernetes answers by its name", "nodes are ready"] {
        assert!(text.contains(check), "{check}: {text}");
    }
    assert!(text.contains("well kube-scheduler runs 1 ready"), "{text}");
    server.delete(("v1", "Pod"), "kube-system", "kube-scheduler-talos-1").unwrap();
    let mut changes = server.changes();
    while server.object(("v1", "Pod"), "kube-system", "kube-scheduler-talos-1").is_some() {
        changes.changed().await.unwrap();
    }
    let text = spaced(&desk.bad(&["health"]).await);
    assert_eq!(text.matches("NOT WELL").count(), 1, "{text}");
    assert!(text.contains("NOT WELL kube-scheduler runs no pod of it is seen in kube-system"), "{text}");
    let other = free().to_string();
    let both = format!("{},{other}", desk.at);
    let (code, text) = desk.run(&["health", "--nodes", &both, "--talosconfig", "talosconfig"]).await;
    let text = spaced(&text);
    assert!(code == 1 && text.contains(&format!("NOT WELL {other} runs")), "{text}");
    assert!(text.contains("nodes are ready 1 nodes of 2 machines"), "{text}");
    server.behave(vec![sim::kubernetes::Manner::Away]);
    let text = desk.bad(&["health", "--json"]).await;
    let checks: Vec<serde_json::Value> =
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let bad: Vec<&serde_json::Value> = checks.iter().filter(|check| check["well"] == false).collect();
    assert!(bad.len() == 1 && bad[0]["check"] == "Kubernetes answers by its name", "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_kubeconfig_of_a_node_is_the_one_that_is_minted_here() {
    let (desk, _server) = Desk::with_kubernetes("kubeconfig").await;
    let config = fs::read_to_string(desk.folder.join("controlplane.yaml")).unwrap();
    let endpoint = config.lines().find_map(|line| line.trim().strip_prefix("endpoint: ")).unwrap();
    let compared = async |endpoint: &str, cluster: &str| {
        let ours = ["kubeconfig", "--secrets", "secrets.yaml", "--endpoint", endpoint, "--cluster", cluster];
        let at = desk.at.to_string();
        desk.run(&[&ours[..], &["--from-node", &at], &OURS].concat()).await
    };
    let (code, text) = compared(endpoint, "lab").await;
    assert!(code == 0 && text == "the same cluster and the same rights\n", "{text}");
    let (code, text) = compared("https://10.9.0.10:6443", "other").await;
    assert_eq!(code, 1, "{text}");
    assert!(text.contains(&format!("server: ours has https://10.9.0.10:6443, theirs {endpoint}")), "{text}");
    assert!(text.contains("cluster: ours has other, theirs lab"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_and_files_are_read_and_followed() {
    let (desk, _server) = Desk::with_kubernetes("logs").await;
    assert_eq!(desk.good(&["logs", "etcd"]).await, "etcd: preparing\netcd: running\n");
    assert_eq!(desk.good(&["logs", "etcd", "--tail", "1"]).await, "etcd: running\n");
    assert_eq!(desk.good(&["logs", "etcd", "--tail", "0"]).await, "");
    let text = desk.bad(&["logs", "ectd"]).await;
    assert!(text.contains("log \"ectd\" was not registered"), "{text}");
    let kernel = desk.good(&["dmesg"]).await;
    assert!(
        kernel.lines().count() > 5 && kernel.lines().all(|line| line.starts_with("user: warning: [")),
        "{kernel}"
    );

    let at = desk.at.to_string();
    let words = ["logs", "kubelet", "--follow", "--tail", "0", "--nodes", &at, OURS[0], OURS[1]];
    let mut followed = desk.command(&words).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(followed.stdout.take().unwrap()).lines();
    let heard = async {
        loop {
            // It may not follow yet: a kubelet can be restarted as often as one likes.
            let text = desk.good(&["service", "restart", "kubelet"]).await;
            assert!(text.contains("Service \"kubelet\" restarted"), "{text}");
            let line = tokio::time::timeout(Duration::from_secs(1), lines.next_line()).await;
            if let Ok(line) = line {
                break line.unwrap().unwrap();
            }
        }
    };
    let line = tokio::time::timeout(Duration::from_secs(60), heard).await.unwrap();
    assert_eq!(line, "kubelet: finished");
    let text = desk.bad(&["service", "restart", "etcd"]).await;
    assert!(text.contains("doesn't support restart operation via API"), "{text}");
    let text = desk.bad(&["service", "stop", "nothing"]).await;
    assert!(text.contains("service \"nothing\" not defined"), "{text}");

    let config = desk.good(&["read", "/system/state/config.yaml"]).await;
    assert_eq!(config, fs::read_to_string(desk.folder.join("controlplane.yaml")).unwrap());
    assert!(desk.bad(&["read", "/system"]).await.contains("path must be a regular file"));
    assert!(desk.bad(&["read", "/nothing"]).await.contains("no such file"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_is_saved_and_left() {
    let (desk, _server) = Desk::with_kubernetes("etcd").await;
    let members = desk.good(&["etcd", "members"]).await;
    let id = members.split_whitespace().nth(1).unwrap().to_owned();
    let status = desk.good(&["etcd", "status"]).await;
    assert!(status.contains(&format!("{id} leads, 4 kB, well")), "{status}");
    let text = desk.good(&["etcd", "snapshot", "etcd.db"]).await;
    assert!(text.contains("etcd.db: 4128 bytes, whole"), "{text}");
    let saved = fs::read(desk.folder.join("etcd.db")).unwrap();
    let (pages, checksum) = saved.split_at(4096);
    assert!(pages.starts_with(format!("{id:0>16} talos-1").as_bytes()) && checksum.len() == 32);
    let text = desk.bad(&["etcd", "snapshot", "etcd.db"]).await;
    assert!(text.contains("etcd.db is there already"), "{text}");
    assert!(desk.bad(&["etcd", "forfeit-leadership"]).await.contains("only one member"));
    assert!(desk.bad(&["etcd", "remove-member", "1"]).await.contains("member not found"));
    let (code, text) = desk.talos(&[&["etcd", "remove-member", "talos-1"][..], &OURS].concat()).await;
    assert!(code == 2 && text.contains("as `etcd members` prints it"), "{text}");
    assert!(desk.good(&["etcd", "leave"]).await.contains("no member any more"));
    assert!(desk.bad(&["etcd", "members"]).await.contains("failed to create etcd client"));
    let names: Vec<_> = fs::read_dir(&desk.folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().contains(".new-")), "{names:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resources_are_found_by_the_names_that_nodes_know_and_shown_as_they_define() {
    for character in [Character::UpTo12, Character::From13] {
        let desk = Desk::new(&format!("get-{character:?}"), character, vec![]);
        desk.until(Stage::Maintenance).await;
        let (code, text) = desk.talos(&["get", "machinestatus", "--insecure"]).await;
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        let at = desk.at.to_string();
        assert_eq!(code, 0, "{text}");
        assert_eq!(rows[0], ["NODE", "NAMESPACE", "TYPE", "ID", "VERSION", "STAGE", "READY"]);
        assert_eq!(rows[1], [&at, "runtime", "MachineStatuses", "machine", "1", "maintenance", "true"]);
        let (code, text) = desk.talos(&["get", "machineconfig", "--insecure"]).await;
        assert!(code == 1 && text.contains("not authorized"), "{text}");
    }
    let (desk, _server) = Desk::with_kubernetes("get").await;
    for (kind, says) in [
        ("members", "talos-1"),
        ("addresses", "eth0/127.0.7."),
        ("routes", "eth0"),
        ("links", "52:54:00:00:00:01"),
        ("hostname", "talos-1"),
        ("disks", "275 GB"),
        ("discoveredvolumes", "STATE"),
        ("svc", "kubelet"),
        ("nodename", "talos-1"),
        ("volumestatus", "/dev/sda5"),
        ("podstatus", "kube-system/kube-apiserver-talos-1"),
        ("etcdmember", "local"),
        ("machinetype", "controlplane"),
        ("NodeAddresses.net.talos.dev", "[\"127.0.7."),
        ("rd", "members.cluster.talos.dev"),
    ] {
        let text = desk.good(&["get", kind]).await;
        assert!(text.starts_with("NODE ") && text.contains(says), "{kind}: {text}");
    }
    let yaml = desk.good(&["get", "machineconfig", "v1alpha1", "-o", "yaml"]).await;
    let read: serde_json::Value = serde_saphyr::from_str(&yaml).unwrap();
    let config = fs::read_to_string(desk.folder.join("controlplane.yaml")).unwrap();
    assert_eq!(read["spec"], config.as_str(), "{yaml}");
    let json = desk.good(&["get", "hostname", "hostname", "-o", "json"]).await;
    let read: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(read["spec"]["hostname"], "talos-1");
    assert_eq!(read["metadata"]["type"], "HostnameStatuses.net.talos.dev");
    assert!(read["metadata"]["created"].as_str().unwrap().ends_with('Z'), "{json}");

    let text = desk.bad(&["get", "membres"]).await;
    assert!(text.contains("[talos/kind-unknown]") && text.contains("did you mean `member`?"), "{text}");
    assert!(desk.bad(&["get", "hostname", "other"]).await.contains("doesn't exist"));
    assert_eq!(desk.good(&["get", "hostname", "--namespace", "elsewhere"]).await, "");
    // A node that does not answer takes nothing away from one that does.
    let both = format!("{},{}", desk.at, free());
    let (code, text) = desk.run(&["get", "hostname", "--nodes", &both, OURS[0], OURS[1]]).await;
    assert!(code == 1 && text.contains("talos-1"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_switched_off_by_hand() {
    let (desk, _server) = Desk::with_kubernetes("shutdown").await;
    assert!(desk.good(&["shutdown"]).await.contains("powers off"));
    desk.until(Stage::Off).await;
}
