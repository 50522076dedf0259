//! A node that has a machine to itself, over TCP and real TLS: its kernel line, its disk, and another release on it.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sim::talos::{Line, Manner, Metal, Pace, Place, Settings, Stage};
use talos::api::{self, Bootstrap, Character, Identity};
use talos::pki::{Authority, KeyKind, Leaf, Seeded};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::lab::now;

const LIMIT: Duration = Duration::from_secs(60);

/// A machine at an address of its own, with a disk, and whoever administers it.
struct Machine {
    at: SocketAddr,
    disk: PathBuf,
    ca: Authority,
    stage: Arc<Mutex<Option<Stage>>>,
}

impl Drop for Machine {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.disk));
    }
}

impl Machine {
    /// Each test has an address of its own: trustd's port is always the same.
    fn new(last: u8) -> Self {
        let at = SocketAddr::from((Ipv4Addr::new(127, 44, 0, last), api::Node::PORT));
        let disk = std::env::temp_dir().join(format!("labinator-metal-{last}-{}", std::process::id()));
        File::create(&disk).unwrap().set_len(1 << 20).unwrap();
        let ca = Authority::mint(KeyKind::Ed25519, Some("talos"), now(), &mut Seeded::new([7; 32])).unwrap();
        Self { at, disk, ca, stage: Arc::default() }
    }

    fn config(&self) -> Vec<u8> {
        let (crt, key) = self.ca.to_pem();
        let encoded = |text: &str| STANDARD.encode(text);
        format!(
            "version: v1alpha1\nmachine:\n    type: controlplane\n    token: abcdef.0123456789abcdef\n    ca:\n        crt: {}\n        \
             key: {}\n    network:\n        hostname: c1\n    install:\n        disk: {}\ncluster:\n    id: ours\n    clusterName: lab\n    \
             controlPlane:\n        endpoint: https://{}:6443\n",
            encoded(&crt),
            encoded(&key),
            self.disk.display(),
            self.at.ip(),
        )
        .into_bytes()
    }

    /// Its firmware starts this release from the network, with this kernel line; dropping the handle's task cuts its power.
    fn starts(&self, version: &str, kernel_line: &str, manners: &[Manner]) -> JoinHandle<()> {
        let line = Line::read(kernel_line);
        let ms = Duration::from_millis;
        let character = if version < "v1.13" { Character::UpTo12 } else { Character::From13 };
        let settings = Settings {
            name: "talos-1".to_owned(),
            address: self.at,
            character,
            version: version.to_owned(),
            uuid: String::new(),
            seed: [1; 32],
            wall: now(),
            pace: Pace { phase: ms(5), install: ms(50), kexec: ms(20), firmware: ms(5), join: ms(20) },
            sink: None,
            kernel_log: None,
            wipe: line.wipe,
            manners: manners.to_vec(),
        };
        let metal = Metal {
            resolver: "127.0.0.1:1".parse().unwrap(),
            disks: vec![self.disk.clone()],
            cores: 1,
            memory_mib: 1024,
            config: line.config,
            receivers: line.receivers,
        };
        let stage = Arc::clone(&self.stage);
        *stage.lock().unwrap_or_else(PoisonError::into_inner) = None;
        tokio::spawn(async move {
            let told = |now| *stage.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
            metal.run(settings, told).await.unwrap();
        })
    }

    fn ours(&self) -> api::Node {
        let leaf =
            self.ca.issue(&Leaf::talos_client(&["os:admin"]), now(), &mut Seeded::new([8; 32])).unwrap();
        let ((crt, key), ca) = (leaf.to_pem(), self.ca.certificate().to_pem());
        let identity = Identity::from_pem(ca.as_bytes(), crt.as_bytes(), key.as_bytes()).unwrap();
        api::Node::of_cluster(self.at, Arc::new(identity))
    }

    async fn until(&self, stage: Stage) {
        let waited = async {
            while *self.stage.lock().unwrap_or_else(PoisonError::into_inner) != Some(stage) {
                tokio::task::yield_now().await;
            }
        };
        timeout(LIMIT, waited).await.unwrap_or_else(|_| panic!("never {stage:?}"));
    }

    /// Until it answers whoever administers it.
    async fn version(&self) -> String {
        let ours = self.ours();
        let asked = async {
            loop {
                match ours.version().await {
                    Ok(version) => return version.tag,
                    Err(_) => ours.hang_up().await,
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(LIMIT, asked).await.unwrap()
    }
}

/// A boss that has a config for the second who asks, as one that makes it first; and what was asked.
async fn boss(config: Vec<u8>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (url, asked) = (format!("http://{}/c/0123", listener.local_addr().unwrap()), Arc::default());
    let heard: Arc<Mutex<Vec<String>>> = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else { break };
                head.push(byte);
            }
            let first = {
                let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
                heard.push(String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned());
                heard.len() == 1
            };
            let (status, body) = if first { ("404 Not Found", &b""[..]) } else { ("200 OK", &config[..]) };
            let mut answer =
                format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
            answer.extend_from_slice(body);
            drop(stream.write_all(&answer).await);
        }
    });
    (url, asked)
}

#[tokio::test]
async fn a_config_is_fetched_as_the_kernel_line_says_and_not_again_once_it_is_on_the_disk() {
    let machine = Machine::new(1);
    let (url, asked) = boss(machine.config()).await;
    let line = format!("talos.platform=metal talos.config={url} talos.experimental.wipe=system quiet");
    let running = machine.starts("v1.13.9", &line, &[]);
    assert_eq!(machine.version().await, "v1.13.9");
    let asks = || asked.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert_eq!(asks(), ["GET /c/0123 HTTP/1.1", "GET /c/0123 HTTP/1.1"]);
    // The power goes and comes; the kernel line says the same, without the wipe.
    running.abort();
    drop(running.await);
    let running = machine.starts("v1.13.9", &line.replace("talos.experimental.wipe=system", ""), &[]);
    assert_eq!(machine.version().await, "v1.13.9");
    assert_eq!(asks().len(), 2);
    // With it, there is nothing on the disk, and it asks again.
    running.abort();
    drop(running.await);
    let running = machine.starts("v1.13.9", &line, &[]);
    assert_eq!(machine.version().await, "v1.13.9");
    assert_eq!(asks().len(), 3);
    running.abort();
}

#[tokio::test]
async fn another_release_lies_on_the_disk_whenever_the_power_is_cut() {
    for (last, from, to) in [(2, "v1.12.8-simulated", "v1.12.11"), (3, "v1.13.1-simulated", "v1.13.9")] {
        let machine = Machine::new(last);
        let (url, _) = boss(machine.config()).await;
        let line = format!("talos.config={url}");
        let running = machine.starts(from, &line, &[]);
        assert_eq!(machine.version().await, from);
        let ours = machine.ours();
        let begun = ours.bootstrap_within(LIMIT).await.unwrap();
        assert!(matches!(begun, Bootstrap::Begun), "{begun:?}");
        machine.until(Stage::Running).await;
        let (members, boot) = (ours.etcd_members(true).await.unwrap(), ours.boot_id().await.unwrap());
        ours.upgrade(&format!("ghcr.io/siderolabs/installer:{to}"), |_| ()).await.unwrap();
        ours.next_boot(&boot, LIMIT).await.unwrap();
        // What is simulated says so, whatever it was upgraded to.
        assert_eq!(ours.version().await.unwrap().tag, format!("{to}-simulated"));
        machine.until(Stage::Running).await;
        running.abort();
        drop(running.await);

        // The network gives it the old release, which finds who it is; the next kernel is the disk's.
        let running = machine.starts(from, "", &[]);
        assert_eq!(machine.version().await, from);
        machine.until(Stage::Running).await;
        ours.hang_up().await;
        assert_eq!(ours.etcd_members(true).await.unwrap(), members);
        let boot = ours.boot_id().await.unwrap();
        ours.reboot().await.unwrap();
        ours.next_boot(&boot, LIMIT).await.unwrap();
        assert_eq!(ours.version().await.unwrap().tag, format!("{to}-simulated"));
        running.abort();
    }
}

#[tokio::test]
async fn a_release_that_is_said_to_be_written_is_there_when_the_power_is_cut_at_once() {
    let machine = Machine::new(5);
    let (url, _) = boss(machine.config()).await;
    let running = machine.starts("v1.13.1", &format!("talos.config={url}"), &[]);
    machine.version().await;
    let ours = machine.ours();
    ours.bootstrap_within(LIMIT).await.unwrap();
    machine.until(Stage::Running).await;
    ours.upgrade("ghcr.io/siderolabs/installer:v1.13.9", |_| ()).await.unwrap();
    // Before it boots anew, and so writes anything else.
    running.abort();
    drop(running.await);
    let running = machine.starts("v1.13.1", "", &[]);
    assert_eq!(machine.version().await, "v1.13.1");
    machine.until(Stage::Running).await;
    ours.hang_up().await;
    let boot = ours.boot_id().await.unwrap();
    ours.reboot().await.unwrap();
    ours.next_boot(&boot, LIMIT).await.unwrap();
    assert_eq!(ours.version().await.unwrap().tag, "v1.13.9");
    running.abort();
}

#[tokio::test]
async fn a_machine_that_dies_while_a_release_is_written_has_the_one_before() {
    let machine = Machine::new(4);
    let (url, _) = boss(machine.config()).await;
    let running =
        machine.starts("v1.12.8", &format!("talos.config={url}"), &[Manner::DiesAt(Place::Upgrade)]);
    machine.version().await;
    let ours = machine.ours();
    ours.bootstrap_within(LIMIT).await.unwrap();
    machine.until(Stage::Running).await;
    ours.upgrade("ghcr.io/siderolabs/installer:v1.12.11", |_| ()).await.unwrap();
    timeout(LIMIT, running).await.unwrap().unwrap();
    let running = machine.starts("v1.12.8", "", &[]);
    machine.version().await;
    machine.until(Stage::Running).await;
    ours.hang_up().await;
    let boot = ours.boot_id().await.unwrap();
    ours.reboot().await.unwrap();
    ours.next_boot(&boot, LIMIT).await.unwrap();
    assert_eq!(ours.version().await.unwrap().tag, "v1.12.8");
    running.abort();
}
