//! A screen from its socket on a hypervisor to a viewer's port: an agent of a few lines, the core's channel and API over
//! real sockets, and the built program.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

#[expect(dead_code, reason = "other tests use the rest")]
#[path = "../../drivers/tests/channel/agent.rs"]
mod agent;
#[path = "lost_writes/stand.rs"]
mod stand;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use agent::Agent;
use drivers::channel::{Channel, CoreKey, Speaker};
use labinator::clock::Clock;
use labinator::http::{guarded_router, router};
use labinator::trust::Trust;
use model::{MachineUuid, PowerDriver};
use store::lossy::LossyFiles;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

const PATIENCE: Duration = Duration::from_secs(60);
use stand::TOKEN;

async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.unwrap()
}

/// Version, security types, choice and result of RFB 3.8 (RFC 6143 section 7.1), from the server's side; then it repeats
/// what it hears.
async fn show(mut viewer: UnixStream) -> std::io::Result<()> {
    viewer.write_all(b"RFB 003.008\n").await?;
    let (mut version, mut choice) = ([0; 12], [0; 1]);
    viewer.read_exact(&mut version).await?;
    assert_eq!(&version, b"RFB 003.008\n");
    viewer.write_all(&[1, 1]).await?;
    viewer.read_exact(&mut choice).await?;
    viewer.write_all(&[0, 0, 0, 0]).await?;
    let (mut keys, mut picture) = viewer.split();
    tokio::io::copy(&mut keys, &mut picture).await.map(drop)
}

/// The same from the viewer's side.
async fn shake(screen: &mut TcpStream) {
    let mut version = [0; 12];
    screen.read_exact(&mut version).await.unwrap();
    assert_eq!(&version, b"RFB 003.008\n");
    screen.write_all(&version).await.unwrap();
    let mut types = [0; 2];
    screen.read_exact(&mut types).await.unwrap();
    assert_eq!(types, [1, 1]);
    screen.write_all(&[1]).await.unwrap();
    let mut result = [9; 4];
    screen.read_exact(&mut result).await.unwrap();
    assert_eq!(result, [0; 4]);
}

/// A lab in which `node1` is metal, `node2` a guest whose agent is connected, and `node3` one whose agent is not.
struct Lab {
    /// API without a token.
    local: PathBuf,
    /// API with one.
    page: SocketAddr,
    folder: PathBuf,
    _running: JoinSet<()>,
}

impl Drop for Lab {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

async fn lab(name: &str) -> Lab {
    let folder = std::env::temp_dir().join(format!("lab-screens-{name}-{}", std::process::id()));
    drop(std::fs::remove_dir_all(&folder));
    std::fs::create_dir_all(&folder).unwrap();
    let mut running = JoinSet::new();
    let screen = folder.join("vnc.sock");
    let listener = UnixListener::bind(&screen).unwrap();
    running.spawn(async move {
        let mut viewers = JoinSet::new();
        while let Ok((viewer, _)) = listener.accept().await {
            viewers.spawn(show(viewer));
        }
    });

    let agent = Agent::with_screen(Some(screen));
    let speaker = Speaker { host: "metal1".parse().unwrap(), guests: BTreeSet::from([stand::node(2)]) };
    agent.writes(b"login: ");
    let known = agent.key;
    let channel = Channel::new(Arc::new(move |key| (*key == known).then(|| speaker.clone())));
    let key = CoreKey::kept(&folder.join("key")).unwrap();
    let agents = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (at, public) = (agents.local_addr().unwrap(), key.public());
    let taking = channel.clone();
    running.spawn(async move { taking.run(agents, &key).await.unwrap() });
    running.spawn(agent.talk(at, public));

    let mut spec = stand::spec(3);
    // A person switches the box of metal.
    spec.power.insert("manual".parse().unwrap(), PowerDriver::Manual);
    let metal = spec.board.nodes.get_mut(&stand::node(1)).unwrap();
    metal.power.driver = "manual".parse().unwrap();
    for number in [2, 3] {
        let guest = spec.board.nodes.get_mut(&stand::node(number)).unwrap();
        guest.guest = Some(MachineUuid([number; 16]));
    }
    let core = stand::Core::begin_lab(Arc::new(LossyFiles::new()), spec.clone(), 0, 6);
    let clock = Clock::after(None);
    let trust = Trust::new(clock.clone(), &spec, &folder, ([127, 0, 0, 1], 0).into());
    let house = stand::house(&core.desk, (&spec, &folder), clock, (trust, channel));
    let page = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let page_at = page.local_addr().unwrap();
    let local = folder.join("api.sock");
    let door = UnixListener::bind(&local).unwrap();
    let guarded = guarded_router(house.clone());
    running.spawn(async move { axum::serve(page, guarded).await.unwrap() });
    running.spawn(async move {
        // The core lives as long as its door.
        let _core = core;
        axum::serve(door, router(house)).await.unwrap();
    });
    let lab = Lab { local, page: page_at, folder, _running: running };
    soon(async {
        while !lab.upgrade(&["authorization: Bearer"], "node2").await.starts_with("HTTP/1.1 101") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    lab
}

impl Lab {
    /// The head of the answer to a WebSocket handshake (RFC 6455 section 4.1) with these headers, and an error's body. A
    /// header that ends in `Bearer` or `labinator=` gets the token.
    async fn upgrade(&self, headers: &[&str], node: &str) -> String {
        let mut request = format!(
            "GET /v1/nodes/{node}/screen HTTP/1.1\r\nhost: {}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             sec-websocket-protocol: binary\r\n",
            self.page
        );
        for header in headers {
            let token = match header {
                bearer if bearer.ends_with("Bearer") => format!(" {TOKEN}"),
                cookie if cookie.ends_with("labinator=") => TOKEN.to_owned(),
                _ => String::new(),
            };
            request.push_str(&format!("{header}{token}\r\n"));
        }
        request.push_str("\r\n");
        let mut line = BufReader::new(TcpStream::connect(self.page).await.unwrap());
        line.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let mut length = 0;
        while !answer.ends_with("\r\n\r\n") {
            let begin = answer.len();
            assert_ne!(soon(line.read_line(&mut answer)).await.unwrap(), 0, "{answer}");
            if let Some(told) =
                answer.get(begin..).unwrap_or_default().trim().strip_prefix("content-length: ")
            {
                length = told.parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        soon(line.read_exact(&mut body)).await.unwrap();
        answer + &String::from_utf8(body).unwrap()
    }

    fn vnc(&self, server: &str, node: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_labinator"));
        command.args(["vnc", node, "--server", server]).env("LABINATOR_TOKEN", TOKEN).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// The program with its port open, and where.
    async fn opened(&self, server: &str) -> (Child, SocketAddr) {
        let mut child = self.vnc(server, "node2").spawn().unwrap();
        let mut line = String::new();
        soon(BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line)).await.unwrap();
        let at = line.trim().strip_prefix("vnc://").unwrap_or_else(|| panic!("{line}")).parse().unwrap();
        (child, at)
    }
}

fn over_unix(socket: &Path) -> String {
    socket.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_reach_a_screen_through_the_controller_one_after_the_other_and_together() {
    let lab = lab("viewers").await;
    for server in [over_unix(&lab.local), format!("http://{}", lab.page)] {
        let (mut child, at) = lab.opened(&server).await;
        assert!(at.ip().is_loopback());
        let mut first = TcpStream::connect(at).await.unwrap();
        let mut second = TcpStream::connect(at).await.unwrap();
        soon(shake(&mut first)).await;
        soon(shake(&mut second)).await;
        // More than any buffer on the way holds, both ways, and each to whom it belongs.
        let picture: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        let (mut back, mut to) = first.split();
        let sent = async {
            to.write_all(&picture).await.unwrap();
        };
        let came = async {
            let mut came = vec![0; picture.len()];
            back.read_exact(&mut came).await.unwrap();
            came
        };
        let ((), came) = soon(async { tokio::join!(sent, came) }).await;
        assert!(came == picture);
        drop(first);
        second.write_all(b"still here").await.unwrap();
        let mut said = [0; 10];
        soon(second.read_exact(&mut said)).await.unwrap();
        assert_eq!(&said, b"still here");
        let mut third = TcpStream::connect(at).await.unwrap();
        soon(shake(&mut third)).await;
        let pid = i32::try_from(child.id().unwrap()).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        assert!(soon(child.wait()).await.unwrap().success(), "Ctrl-C is how it ends");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_screen_that_is_not_there_is_refused_with_what_has_one() {
    let lab = lab("absent").await;
    for (node, code, text) in [
        ("node1", "no_screen", "guests of hypervisors and virtual machines of this boss have one"),
        ("node3", "unreached", "no agent that runs it is connected"),
        ("node9", "unknown_node", "this board has: node1, node2, node3"),
    ] {
        let output = soon(lab.vnc(&over_unix(&lab.local), node).output()).await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(output.stdout.is_empty() && said.contains(text), "{said}");
        let answer = lab.upgrade(&["authorization: Bearer"], node).await;
        let status = if node == "node9" { "HTTP/1.1 404" } else { "HTTP/1.1 409" };
        assert!(answer.starts_with(status) && answer.contains(code), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_whoever_may_switch_machines_opens_a_screen_and_no_page_of_somebody_elses() {
    let lab = lab("rights").await;
    let own = format!("origin: http://{}", lab.page);
    for (headers, status) in [
        (vec![], 401),
        (vec!["authorization: Bearer 0123456789abcdef0123456789abcdee"], 401),
        (vec!["authorization: Bearer"], 101),
        (vec!["cookie: labinator=", own.as_str()], 101),
        // A page on another port carries the cookie, too: ports do not tell cookies apart.
        (vec!["cookie: labinator=", "origin: http://127.0.0.1:1"], 403),
        (vec!["cookie: labinator=", "origin: null"], 403),
        (vec!["cookie: labinator="], 403),
    ] {
        let answer = lab.upgrade(&headers, "node2").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{headers:?}: {answer}");
        assert_eq!(answer.contains("sec-websocket-protocol: binary"), status == 101, "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_look_and_the_next_one_is_told_until_one_leaves() {
    let lab = lab("seats").await;
    let (_child, at) = lab.opened(&over_unix(&lab.local)).await;
    let mut viewers = Vec::new();
    for _ in 0..64 {
        let mut viewer = TcpStream::connect(at).await.unwrap();
        soon(shake(&mut viewer)).await;
        viewers.push(viewer);
    }
    let answer = lab.upgrade(&["authorization: Bearer"], "node2").await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("too_many_screens"), "{answer}");
    viewers.pop();
    soon(async {
        while !lab.upgrade(&["authorization: Bearer"], "node2").await.starts_with("HTTP/1.1 101") {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
