//! The floor of a lab in memory: simulated machines on a cable that ends in the counter, and their connections.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use labinator::desk::Desk;
use model::{AgentKey, Asset, Digest, Fact, Image, MacAddr};
use netboot::http::{Patience, serve_connection};
use netboot::{Cable, Counter, LoaderTrust, Loaders, Parts, Up};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use sim::net::{Lab, Plug};
use store::lossy::LossyFiles;
use store::shelf::Shelf;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use wire::loader::{DELEGATION_PURPOSE, Delegation, signed_text};

/// Ethernet address of the boss.
const BOSS_MAC: MacAddr = MacAddr([2, 0, 0, 0, 1, 0]);

/// Content of the shelf, the same for every house of this process.
fn shelf() -> &'static (PathBuf, Image) {
    static SHELF: OnceLock<(PathBuf, Image)> = OnceLock::new();
    SHELF.get_or_init(|| {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("whole-lab-shelf");
        let shelf = Shelf::new(&folder);
        let put = |name: &str, size: usize, fill: u8| {
            let digest = shelf.put(vec![fill; size].as_slice()).unwrap();
            Asset { name: name.to_owned(), digest: Digest(digest.0), size: u64::try_from(size).unwrap() }
        };
        let image = Image {
            kernel: Some(put("vmlinuz", 300_000, 1)),
            initrd: vec![put("initrd.zst", 200_000, 2)],
            uki: Some(put("node.efi", 500_000, 3)),
            args: "console=ttyS0".to_owned(),
            agent: true,
        };
        (folder, image)
    })
}

/// A counter with two loaders and an image, over these files.
pub(crate) fn open_counter(files: &Arc<LossyFiles>) -> (Arc<Counter>, Image) {
    let (folder, image) = shelf();
    let mut loaders = Loaders::default();
    loaders.add(netboot::BIOS_LOADER, vec![0xeb; 97_782]);
    loaders.add(netboot::UEFI_LOADER, vec![0x4d; 256_512]);
    let parts = Parts {
        files: Arc::clone(files) as Arc<dyn store::Files>,
        state: PathBuf::from("counter"),
        loaders,
        shelf: Shelf::new(folder),
        http_port: 80,
        transfers: 16,
    };
    (Counter::open(parts).unwrap().0, image.clone())
}

/// Another server on the segment.
pub(crate) trait Neighbour: std::fmt::Debug + Send {
    /// The frame that answers this one of a machine, if any. `now` is in milliseconds.
    fn answer(&mut self, frame: &[u8], now: u64) -> Option<Vec<u8>>;
}

/// A segment of our own.
#[derive(Debug)]
pub(crate) struct Alone;

impl Neighbour for Alone {
    fn answer(&mut self, _frame: &[u8], _now: u64) -> Option<Vec<u8>> {
        None
    }
}

/// Who is heard first of the two that answer a frame, and how much later the other.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Order {
    pub(crate) neighbour_first: bool,
    pub(crate) later: Duration,
}

/// Every byte that left the counter over a connection.
pub(crate) type Heard = Arc<Mutex<Vec<u8>>>;

/// The machine's end of a connection to the counter. What the counter answers is written down where somebody listens.
pub(crate) fn connect(counter: &Arc<Counter>, peer: SocketAddr, heard: Option<&Heard>) -> DuplexStream {
    let (ours, theirs) = tokio::io::duplex(256 << 10);
    tokio::spawn(serve_connection(Arc::clone(counter), theirs, peer, Patience::default()));
    let Some(heard) = heard.cloned() else { return ours };
    let (machines, between) = tokio::io::duplex(256 << 10);
    tokio::spawn(async move {
        let (mut asked, mut asks) = tokio::io::split(between);
        let (mut answered, mut answers) = tokio::io::split(ours);
        let up = async {
            drop(tokio::io::copy(&mut asked, &mut answers).await);
            drop(answers.shutdown().await);
        };
        let down = async {
            let mut piece = Vec::with_capacity(64 << 10);
            while let Ok(1..) = answered.read_buf(&mut piece).await {
                heard.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&piece);
                if asks.write_all(&piece).await.is_err() {
                    break;
                }
                piece.clear();
            }
            drop(asks.shutdown().await);
        };
        tokio::join!(up, down);
    });
    machines
}

/// Machines on a cable that ends in the counter and a neighbour, and their connections.
pub(crate) fn spawn_segment(
    tasks: &mut JoinSet<()>,
    (lab, counter): (&Lab, &Arc<Counter>),
    neighbour: impl Neighbour + 'static,
    order: Order,
) {
    spawn_heard_segment(tasks, (lab, counter), neighbour, order, None);
}

/// The same, where somebody listens to what leaves over connections.
pub(crate) fn spawn_heard_segment(
    tasks: &mut JoinSet<()>,
    (lab, counter): (&Lab, &Arc<Counter>),
    mut neighbour: impl Neighbour + 'static,
    order: Order,
    heard: Option<Heard>,
) {
    let (frames, mut arriving) = mpsc::unbounded_channel::<Vec<u8>>();
    let heart = Arc::clone(counter);
    let dial = move |from: Option<IpAddr>, _to| {
        let peer = SocketAddr::new(from.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), 4000);
        Ok::<_, io::Error>(connect(&heart, peer, heard.as_ref()))
    };
    let running = lab.clone();
    tasks.spawn(async move { running.run(Plug::new(frames, dial)).await });
    let (segment, heart) = (lab.clone(), Arc::clone(counter));
    tasks.spawn(async move {
        let mut cable = Cable::new(heart, BOSS_MAC);
        let mut waiting = JoinSet::new();
        let began = Instant::now();
        let now = || u64::try_from(began.elapsed().as_millis()).unwrap();
        loop {
            let wake = cable.wake_at().map(|at| began + Duration::from_millis(at));
            let (ours, theirs) = tokio::select! {
                Some(frame) = arriving.recv() => {
                    (cable.on_frame(&frame, now()).await, neighbour.answer(&frame, now()).into_iter().collect())
                }
                () = sleep_until(wake.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600))) => {
                    (cable.on_time(now()), Vec::new())
                }
            };
            // Only where both answer there is an order.
            let both = !ours.is_empty() && !theirs.is_empty();
            let (first, second) = if both && order.neighbour_first { (theirs, ours) } else { (ours, theirs) };
            first.iter().for_each(|frame| segment.from_server(frame));
            if both && !order.later.is_zero() {
                let segment = segment.clone();
                waiting.spawn(async move {
                    tokio::time::sleep(order.later).await;
                    second.iter().for_each(|frame| segment.from_server(frame));
                });
            } else {
                second.iter().for_each(|frame| segment.from_server(frame));
            }
        }
    });
}

/// The lab's word that a counter with this key may answer loaders.
fn word_for(key: AgentKey) -> LoaderTrust {
    let lab = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let delegation = Delegation { lab: "bench".parse().unwrap(), key: key.0, number: 1 }.text();
    let signature = lab.sign(&signed_text(DELEGATION_PURPOSE, delegation.as_bytes()));
    let signature = signature.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    LoaderTrust { lab_key: AgentKey(lab.public_key().as_ref().try_into().unwrap()), delegation, signature }
}

/// Sightings to the core, tables to the counter. The stamps are of the kernel's clock, which does not stand still
/// with the tests': what is seen is told as it comes.
pub(crate) fn spawn_line(
    tasks: &mut JoinSet<()>,
    counter: &Arc<Counter>,
    desk: &Desk,
    mut table: watch::Receiver<Arc<model::BootTable>>,
) {
    if let Some(key) = counter.loader_key() {
        counter.trust_loader(word_for(key));
    }
    let (heart, desk) = (Arc::clone(counter), desk.clone());
    tasks.spawn(async move {
        loop {
            heart.sights().ready().await;
            for up in heart.sights().take() {
                let fact = match up {
                    Up::Sighting(seen) => Fact::Sighted { mac: seen.mac, sight: seen.sight },
                    Up::Notice(notice) => Fact::Noticed { notice },
                    Up::Hello { .. } | Up::Published { .. } => continue,
                };
                if desk.tell(fact).await.is_err() {
                    return;
                }
            }
        }
    });
    let (heart, began) = (Arc::clone(counter), Instant::now());
    tasks.spawn(async move {
        table.mark_changed();
        while table.changed().await.is_ok() {
            let mut newer = model::BootTable::clone(&table.borrow_and_update());
            // The counter goes by the kernel's clock, which is not paused.
            let ago = u64::try_from(began.elapsed().as_millis()).unwrap();
            for entry in newer.nodes.iter_mut().filter(|entry| entry.off_at.is_some()) {
                let left = entry.off_at.unwrap().saturating_sub(ago);
                Arc::make_mut(entry).off_at = Some(netboot::boottime_ms() + left);
            }
            heart.publish(newer).unwrap();
        }
    });
}
