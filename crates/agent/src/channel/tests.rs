//! Both ends over real sockets: the core is made of the same libraries, the guests of files and sockets.

#[path = "../../tests/ground/anybody.rs"]
mod anybody;

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use bytes::Bytes;
use h2::client::{self, SendRequest};
use http::Request;
use model::{CHANNEL_FROM, GUEST_CONSOLE_LOG, GUEST_CONSOLE_SOCKET, GUEST_VNC_SOCKET};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener};
use tokio_rustls::TlsAcceptor;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

struct Core {
    key: BootKey,
    listener: TcpListener,
}

impl Core {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { key: BootKey::make().unwrap(), listener }
    }

    fn whereto(&self) -> Whereto {
        Some((self.listener.local_addr().unwrap(), self.key.public()))
    }

    /// The next connection, and whose it is; `None` when its handshake failed.
    async fn next(&self) -> Option<(SendRequest<Bytes>, AgentKey)> {
        let (stream, _) = timeout(PATIENCE, self.listener.accept()).await.unwrap().unwrap();
        let config = anybody::config(self.key.document(), self.key.public());
        let stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await.ok()?;
        let key = AgentKey::of_spki(stream.get_ref().1.peer_certificates()?.first()?)?;
        let (asker, line) = client::handshake(stream).await.ok()?;
        tokio::spawn(async move { drop(line.await) });
        Some((asker, key))
    }
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("agent-channel-{name}-{}", std::process::id()));
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(folder.join("vm1")).unwrap();
    folder
}

fn asked(folder: &Path) -> Asked {
    let renewer = Renewer::new(folder.join("builds"), Some(model::Digest([1; 32])), "b");
    Asked {
        folder: folder.to_owned(),
        renewer: Arc::new(renewer),
        loader: DiskLoader::default(),
        nudged: Arc::default(),
    }
}

fn log_of(folder: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(folder.join("vm1").join(GUEST_CONSOLE_LOG)).unwrap()
}

/// Where a console begins, and `wanted` bytes of it.
async fn read_console(asker: &mut SendRequest<Bytes>, from: u64, wanted: usize) -> (u64, Vec<u8>) {
    let uri = format!("https://agent/v1/guests/vm1/console?{CHANNEL_FROM}={from}");
    let (answer, _) = asker.send_request(Request::get(uri).body(()).unwrap(), true).unwrap();
    let answer = timeout(PATIENCE, answer).await.unwrap().unwrap();
    assert_eq!(answer.status(), 200);
    let begins = answer.headers().get(CHANNEL_FROM).unwrap().to_str().unwrap().parse().unwrap();
    let mut body = answer.into_body();
    let mut all = Vec::new();
    while all.len() < wanted {
        let piece = timeout(PATIENCE, body.data()).await.unwrap().unwrap().unwrap();
        body.flow_control().release_capacity(piece.len()).unwrap();
        all.extend_from_slice(&piece);
    }
    (begins, all)
}

#[tokio::test]
async fn a_console_comes_from_its_first_byte_and_goes_on_without_a_gap_after_the_line_was_lost() {
    let folder = folder("resume");
    let core = Core::new().await;
    let key = Arc::new(BootKey::make().unwrap());
    let (lead, leads) = watch::channel(core.whereto());
    let agent = tokio::spawn(keep(Arc::clone(&key), asked(&folder), leads));
    let mut log = log_of(&folder);
    log.write_all(b"iPXE 1.21.1\n").unwrap();

    let (mut asker, whose) = core.next().await.unwrap();
    assert_eq!(whose, key.public());
    let (begins, first) = read_console(&mut asker, 0, 12).await;
    assert_eq!((begins, first.as_slice()), (0, b"iPXE 1.21.1\n".as_slice()));
    drop(asker);
    log.write_all(b"Linux version 6.12\n").unwrap();
    let (mut asker, _) = core.next().await.unwrap();
    assert_eq!(read_console(&mut asker, 12, 19).await, (12, b"Linux version 6.12\n".to_vec()));

    // More than is kept: what is lost is told by where it goes on.
    log.write_all(&vec![b'x'; 300 << 10]).unwrap();
    let (begins, rest) = read_console(&mut asker, 31, 256 << 10).await;
    assert_eq!((begins, rest.len()), (31 + (300 << 10) - (256 << 10), 256 << 10));
    agent.abort();
    drop(lead);
    fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn what_is_typed_reaches_the_guest_and_its_screen_is_carried_both_ways() {
    let folder = folder("tunnel");
    let core = Core::new().await;
    let (lead, leads) = watch::channel(core.whereto());
    let agent = tokio::spawn(keep(Arc::new(BootKey::make().unwrap()), asked(&folder), leads));
    let serial = UnixListener::bind(folder.join("vm1").join(GUEST_CONSOLE_SOCKET)).unwrap();
    let screen = UnixListener::bind(folder.join("vm1").join(GUEST_VNC_SOCKET)).unwrap();
    let (mut asker, _) = core.next().await.unwrap();
    let post = |what: &str| Request::post(format!("https://agent/v1/guests/{what}")).body(()).unwrap();

    let (_answer, mut typed) = asker.send_request(post("vm1/console"), false).unwrap();
    let (mut guest, _) = timeout(PATIENCE, serial.accept()).await.unwrap().unwrap();
    // A guest whose words nobody reads stops, so they are read.
    timeout(PATIENCE, guest.write_all(&vec![b'y'; 4 << 20])).await.unwrap().unwrap();
    typed.send_data(Bytes::from_static(b"root\n"), true).unwrap();
    let mut said = Vec::new();
    timeout(PATIENCE, guest.read_to_end(&mut said)).await.unwrap().unwrap();
    assert_eq!(said, b"root\n");

    let (answer, mut to) = asker.send_request(post("vm1/vnc"), false).unwrap();
    let (mut qemu, _) = timeout(PATIENCE, screen.accept()).await.unwrap().unwrap();
    qemu.write_all(b"RFB 003.008\n").await.unwrap();
    let mut body = timeout(PATIENCE, answer).await.unwrap().unwrap().into_body();
    assert_eq!(&body.data().await.unwrap().unwrap()[..], b"RFB 003.008\n");
    to.send_data(Bytes::from_static(b"RFB 003.007\n"), false).unwrap();
    let mut said = [0; 12];
    timeout(PATIENCE, qemu.read_exact(&mut said)).await.unwrap().unwrap();
    assert_eq!(&said, b"RFB 003.007\n");

    for unknown in ["vm2/console", "../console", "vm1/other"] {
        let (answer, _) = asker.send_request(post(unknown), true).unwrap();
        assert_eq!(answer.await.unwrap().status(), 404, "{unknown}");
    }
    agent.abort();
    drop(lead);
    fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn the_core_may_say_that_the_boss_is_to_be_asked_now_and_no_more() {
    let folder = folder("nudge");
    let core = Core::new().await;
    let (lead, leads) = watch::channel(core.whereto());
    let asked = asked(&folder);
    let nudged = Arc::clone(&asked.nudged);
    let agent = tokio::spawn(keep(Arc::new(BootKey::make().unwrap()), asked, leads));
    let (mut asker, _) = core.next().await.unwrap();
    let nudge = |method| Request::builder().method(method).uri("https://agent/v1/nudge").body(()).unwrap();
    let (answer, _) = asker.send_request(nudge("GET"), true).unwrap();
    assert_eq!(timeout(PATIENCE, answer).await.unwrap().unwrap().status(), 404);
    // Whoever sends a body with it is answered all the same, and nothing of it is read.
    let (answer, mut body) = asker.send_request(nudge("POST"), false).unwrap();
    body.send_data(Bytes::from_static(b"power off"), true).unwrap();
    assert_eq!(timeout(PATIENCE, answer).await.unwrap().unwrap().status(), 202);
    timeout(PATIENCE, nudged.notified()).await.unwrap();
    agent.abort();
    drop(lead);
    fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn another_core_than_the_first_one_of_this_boot_is_not_believed() {
    let folder = folder("pin");
    let (first, other) = (Core::new().await, Core::new().await);
    let (lead, leads) = watch::channel(first.whereto());
    let agent = tokio::spawn(keep(Arc::new(BootKey::make().unwrap()), asked(&folder), leads));
    let line = first.next().await.unwrap();
    lead.send_replace(other.whereto());
    drop(line);
    assert!(other.next().await.is_none(), "the handshake fails");
    lead.send_replace(first.whereto());
    assert!(first.next().await.is_some());
    agent.abort();
    fs::remove_dir_all(folder).unwrap();
}
