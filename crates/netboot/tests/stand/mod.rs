//! A counter on loopback with free ports, a core on its line, and machines that speak real bytes to it.
#![expect(dead_code, reason = "each test file uses its own part of the stand")]
#![expect(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test may stop")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use model::{
    AgentOrder, Asset, BootAnswer, BootEntry, BootTable, DhcpMode, Digest, Image, MacAddr, NetworkSpec,
};
use netboot::{Bench, BindConfig, Counter, Settings, Sockets, Up, link};
use store::shelf::Shelf;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, UdpSocket};
use tokio::task::JoinSet;
use wire::dhcp::{Client, ClientSettings, ClientStep, Message, Options};
use wire::tftp::{Fetch, FetchEnd, FetchSettings, Packet};

/// How long any one thing may take in a test.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

pub(crate) const BOSS: Ipv4Addr = Ipv4Addr::LOCALHOST;
pub(crate) const NODE1: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
pub(crate) const NODE1_IP: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);
pub(crate) const NODE2: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
pub(crate) const NODE2_IP: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 12);
pub(crate) const STRANGER: MacAddr = MacAddr([2, 0, 0, 0, 0, 99]);

/// A folder that goes away with the test.
#[derive(Debug)]
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let serial = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("labinator-counter-{}-{serial}", std::process::id()));
        drop(std::fs::remove_dir_all(&path));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

pub(crate) fn network() -> NetworkSpec {
    NetworkSpec {
        interface: "lo".to_owned(),
        subnet: Ipv4Addr::new(127, 0, 0, 0),
        prefix: 24,
        boss: BOSS,
        gateway: None,
        dns: Vec::new(),
        domain: None,
        names: None,
        ntp: model::NtpMode::Off,
        pool: Some((Ipv4Addr::new(127, 0, 0, 100), Ipv4Addr::new(127, 0, 0, 120))),
        dhcp: DhcpMode::Authoritative,
        lease_seconds: 3600,
        relays: Vec::new(),
        tftp: model::TftpPorts::default(),
        ipv6: None,
    }
}

pub(crate) fn entry(name: &str, mac: MacAddr, ip: Ipv4Addr, answer: BootAnswer) -> BootEntry {
    BootEntry {
        node: name.parse().unwrap(),
        mac,
        ip,
        also: None,
        ip6: None,
        run: 1,
        boot: 1,
        answer,
        because: "the test says so".to_owned(),
        order: AgentOrder::Stay,
        guests: None,
        files: Arc::default(),
        install: None,
        pulls: false,
        loader: model::LoaderChoice::Ipxe,
        off_at: None,
        parks: false,
        good: Vec::new(),
        wipe: None,
    }
}

/// A kernel of 3 MiB and a bit, and an initramfs.
pub(crate) fn kernel() -> Vec<u8> {
    (0..3_333_333_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect()
}

pub(crate) fn put(shelf: &Shelf, name: &str, bytes: &[u8]) -> Asset {
    let digest = shelf.put(bytes).unwrap();
    Asset { name: name.to_owned(), digest: Digest(digest.0), size: u64::try_from(bytes.len()).unwrap() }
}

/// One node that boots, one that waits.
pub(crate) fn table(shelf: &Shelf, number: u64) -> BootTable {
    let image = Image {
        kernel: Some(put(shelf, "vmlinuz", &kernel())),
        initrd: vec![put(shelf, "initrd.zst", b"not really an initramfs")],
        uki: Some(put(shelf, "node.efi", b"not really a UKI")),
        args: "console=ttyS0".to_owned(),
        agent: true,
    };
    let run = BootAnswer::Run { image: Arc::new(image), args: "quiet".to_owned() };
    BootTable {
        number,
        lab: "bench".parse().unwrap(),
        network: network(),
        nodes: vec![
            Arc::new(entry("node1", NODE1, NODE1_IP, run)),
            Arc::new(entry("node2", NODE2, NODE2_IP, BootAnswer::Wait { retry_seconds: 3 })),
        ],
    }
}

/// A running counter.
#[derive(Debug)]
pub(crate) struct Stand {
    pub(crate) folder: Folder,
    pub(crate) counter: Arc<Counter>,
    pub(crate) dhcp: SocketAddr,
    pub(crate) boot_server: SocketAddr,
    pub(crate) tftp: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) log: SocketAddr,
    pub(crate) dns: SocketAddr,
    pub(crate) ntp: SocketAddr,
    running: JoinSet<()>,
}

impl Stand {
    pub(crate) fn start(transfers: usize) -> Self {
        Self::start_in(Folder::new(), transfers)
    }

    /// With one board published.
    pub(crate) fn with_board() -> Self {
        let stand = Self::start(4);
        stand.counter.publish(table(&stand.shelf(), 1)).unwrap();
        stand
    }

    pub(crate) fn start_in(folder: Folder, transfers: usize) -> Self {
        let loaders = folder.0.join("loaders");
        std::fs::create_dir_all(&loaders).unwrap();
        std::fs::write(loaders.join("undionly.kpxe"), vec![0xeb; 97_782]).unwrap();
        std::fs::write(loaders.join("snponly.efi"), vec![0x4d; 1468 * 100]).unwrap();
        let config = BindConfig {
            dhcp: Some(0),
            boot_server: Some(0),
            dns: Some(0),
            ntp: Some(0),
            log: Some(0),
            ..BindConfig::bare(BOSS)
        };
        let sockets = Sockets::bind(&config).unwrap();
        let dhcp = sockets.dhcp.as_ref().unwrap().local_addr().unwrap();
        let boot_server = sockets.boot_server.as_ref().unwrap().local_addr().unwrap();
        let tftp = sockets.tftp.local_addr().unwrap();
        let dns = sockets.dns.as_ref().unwrap().0.local_addr().unwrap();
        let ntp = sockets.ntp.as_ref().unwrap().local_addr().unwrap();
        let log = sockets.log.as_ref().unwrap().local_addr().unwrap();
        let state = folder.0.join("state");
        let shelf = folder.0.join("store");
        let (bench, _) =
            Bench::open(sockets, &Settings { state, loaders, shelf, own_loaders: None, transfers }).unwrap();
        let (counter, http) = (Arc::clone(bench.counter()), bench.http());
        let mut running = JoinSet::new();
        running.spawn(async move { bench.run().await.unwrap() });
        Self { folder, counter, dhcp, boot_server, tftp, http, log, dns, ntp, running }
    }

    /// Ends it as `kill -9` would, keeping its folder.
    pub(crate) async fn kill(mut self) -> Folder {
        self.running.shutdown().await;
        // Its packet thread and connections hold the ledger until they have seen it too.
        let weak = Arc::downgrade(&self.counter);
        drop(self.counter);
        until(|| (weak.strong_count() == 0).then_some(())).await;
        self.folder
    }

    pub(crate) fn shelf(&self) -> Shelf {
        Shelf::new(self.folder.0.join("store"))
    }

    pub(crate) async fn core(&self) -> Core {
        Core::connect(&self.folder.0.join("state")).await
    }

    pub(crate) fn base(&self) -> String {
        format!("http://{}", self.http)
    }

    /// One HTTP request from a source address, head and body given.
    pub(crate) async fn http_from(&self, source: Ipv4Addr, request: &str) -> Answer {
        let mut stream = connect(source, self.http).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        within(stream.read_to_end(&mut bytes)).await.unwrap();
        Answer::parse(&bytes)
    }

    pub(crate) async fn get(&self, source: Ipv4Addr, path: &str) -> Answer {
        self.get_with(source, path, "").await
    }

    pub(crate) async fn get_with(&self, source: Ipv4Addr, path: &str, headers: &str) -> Answer {
        let request = format!("GET {path} HTTP/1.1\r\nHost: boss\r\nConnection: close\r\n{headers}\r\n");
        self.http_from(source, &request).await
    }

    pub(crate) async fn post(&self, source: Ipv4Addr, path: &str, body: &str) -> Answer {
        self.post_with(source, path, body, "").await
    }

    pub(crate) async fn post_with(&self, source: Ipv4Addr, path: &str, body: &str, headers: &str) -> Answer {
        let length = body.len();
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: boss\r\nConnection: close\r\nContent-Length: {length}");
        self.http_from(source, &format!("{head}\r\n{headers}\r\n{body}")).await
    }

    /// A whole DHCP exchange; the ACK.
    pub(crate) async fn lease(&self, mac: MacAddr, options: Options) -> Message {
        let socket = UdpSocket::bind((BOSS, 0)).await.unwrap();
        let mut client = Client::new(ClientSettings { options, ..ClientSettings::new(mac, 77) }, 0);
        let mut step = client.on_time(0);
        let mut buffer = [0; 1500];
        loop {
            match step {
                ClientStep::Send(message, _) => {
                    let bytes = message.encode(1500).unwrap();
                    socket.send_to(&bytes, self.dhcp).await.unwrap();
                    let (count, _) = within(socket.recv_from(&mut buffer)).await.unwrap();
                    step = client.on_packet(&buffer[..count], 1);
                }
                ClientStep::Bound(binding) => return binding.reply,
                other => panic!("{other:?}"),
            }
        }
    }

    /// Sends one DHCP message and reads one answer.
    pub(crate) async fn exchange(&self, message: &Message) -> Option<Message> {
        let socket = UdpSocket::bind((BOSS, 0)).await.unwrap();
        socket.send_to(&message.encode(1500).unwrap(), self.dhcp).await.unwrap();
        let mut buffer = [0; 1500];
        let answer = tokio::time::timeout(Duration::from_secs(2), socket.recv_from(&mut buffer)).await;
        answer.ok().map(|got| Message::decode(&buffer[..got.unwrap().0]).unwrap())
    }

    /// A whole TFTP fetch.
    pub(crate) async fn fetch(
        &self,
        source: Ipv4Addr,
        settings: FetchSettings,
    ) -> (FetchEnd, Vec<u8>, Option<u64>) {
        let (end, content, size, from) = self.fetch_seeing(source, settings).await;
        assert_ne!(from, self.tftp, "a transfer has a port of its own");
        (end, content, size)
    }

    /// The same, and where the packets came from.
    pub(crate) async fn fetch_seeing(
        &self,
        source: Ipv4Addr,
        settings: FetchSettings,
    ) -> (FetchEnd, Vec<u8>, Option<u64>, SocketAddr) {
        let socket = UdpSocket::bind((source, 0)).await.unwrap();
        let (mut fetch, ask) = Fetch::new(settings, 0);
        socket.send_to(&ask, self.tftp).await.unwrap();
        let mut content = Vec::new();
        let mut buffer = vec![0; 70_000];
        loop {
            let (count, from) = within(socket.recv_from(&mut buffer)).await.unwrap();
            let step = fetch.on_packet(&buffer[..count], 0);
            content.extend_from_slice(step.data);
            if let Some(packet) = step.send {
                socket.send_to(&packet, from).await.unwrap();
            }
            if let Some(end) = step.end {
                return (end, content, fetch.size(), from);
            }
        }
    }

    /// One datagram to the TFTP port and the packet that comes back, if any.
    pub(crate) async fn tftp_once(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let socket = UdpSocket::bind((BOSS, 0)).await.unwrap();
        socket.send_to(bytes, self.tftp).await.unwrap();
        let mut buffer = vec![0; 70_000];
        let answer = tokio::time::timeout(Duration::from_millis(500), socket.recv_from(&mut buffer)).await;
        answer.ok().map(|got| buffer[..got.unwrap().0].to_vec())
    }
}

pub(crate) fn refused(bytes: &[u8]) -> u16 {
    match Packet::decode(bytes) {
        Ok(Packet::Error { code, .. }) => code.0,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn connect(source: Ipv4Addr, to: SocketAddr) -> tokio::net::TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(IpAddr::V4(source), 0)).unwrap();
    socket.connect(to).await.unwrap()
}

pub(crate) async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, work).await.expect("took too long")
}

/// Asks until there is an answer.
pub(crate) async fn until<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    within(async {
        loop {
            if let Some(answer) = ask() {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer has a head");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head, body: bytes[end + 4..].to_vec() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

/// The core's end of the counter's line.
#[derive(Debug)]
pub(crate) struct Core {
    hearing: link::Hearing,
    speaking: link::Speaking,
}

impl Core {
    pub(crate) async fn connect(state: &Path) -> Self {
        within(async {
            loop {
                match link::connect(state).await {
                    Ok((hearing, speaking)) => return Self { hearing, speaking },
                    Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
                }
            }
        })
        .await
    }

    pub(crate) async fn next(&mut self) -> Option<Up> {
        within(self.hearing.next()).await.unwrap()
    }

    pub(crate) async fn find<T>(&mut self, mut wanted: impl FnMut(&Up) -> Option<T>) -> T {
        loop {
            let line = self.next().await.expect("the line ended");
            if let Some(found) = wanted(&line) {
                return found;
            }
        }
    }

    pub(crate) async fn amend(&mut self, change: model::TableChange) {
        let number = change.number;
        self.say(change).await;
        let told = |up: &Up| (*up == Up::Published { number, kept: true }).then_some(());
        self.find(told).await;
    }

    /// Sends a change without waiting for what becomes of it.
    pub(crate) async fn say(&mut self, change: model::TableChange) {
        self.speaking.amend(change).await.unwrap();
    }

    /// Says any line.
    pub(crate) async fn tell(&mut self, down: &netboot::Down) {
        self.speaking.tell(down).await.unwrap();
    }

    pub(crate) async fn publish(&mut self, table: BootTable) {
        let number = table.number;
        self.speaking.publish(&table).await.unwrap();
        let told = |up: &Up| (*up == Up::Published { number, kept: true }).then_some(());
        self.find(told).await;
    }
}
