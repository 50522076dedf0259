//! The floor of a lab in memory: simulated machines on a cable that ends in the counter, and their connections.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use model::{Asset, Digest, Image, MacAddr};
use netboot::http::{Patience, serve_connection};
use netboot::{Cable, Counter, Loaders, Parts};
use sim::net::{Lab, Plug};
use store::lossy::LossyFiles;
use store::shelf::Shelf;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

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

/// Machines on a cable that ends in the counter and a neighbour, and their connections.
pub(crate) fn spawn_segment(
    tasks: &mut JoinSet<()>,
    (lab, counter): (&Lab, &Arc<Counter>),
    mut neighbour: impl Neighbour + 'static,
    order: Order,
) {
    let (frames, mut arriving) = mpsc::unbounded_channel::<Vec<u8>>();
    let (dialled, mut connections) = mpsc::unbounded_channel::<(DuplexStream, SocketAddr)>();
    let dial = move |from: Option<IpAddr>, _to| {
        let peer = SocketAddr::new(from.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), 4000);
        let (ours, theirs) = tokio::io::duplex(256 << 10);
        dialled.send((theirs, peer)).map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok::<_, io::Error>(ours)
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
    let heart = Arc::clone(counter);
    tasks.spawn(async move {
        let mut guests = JoinSet::new();
        while let Some((stream, peer)) = connections.recv().await {
            while guests.try_join_next().is_some() {}
            guests.spawn(serve_connection(Arc::clone(&heart), stream, peer, Patience::default()));
        }
    });
}
