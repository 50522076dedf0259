//! The log stream of a running controller: a thread of its own that hears, keeps and shows lines.
//!
//! ```text
//!  counter: UDP 514, Talos's lines ──Unix datagrams──┐
//!  syslog over TCP ──────────────────────────────────┤
//!  consoles of guests and virtual machines ──────────┼──▶ stream ──▶ viewers
//!  what happens in the lab ──────────────────────────┘
//! ```
//!
//! Neither a flood of lines nor two hundred viewers take time from the thread that judges the lab.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, TcpListener};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use api::StreamItem;
use drivers::channel::Consoles;
use logs::{Limits, Roster, Store, Stream, Wear};
use model::{Event, Fact, MacAddr, NodeName, Sight, Snapshot};
use tokio::task::JoinSet;

use crate::cli::render::{Names, sentence};
use crate::publisher::Publisher;

/// Shortest time between two looks at who has which address.
const PAUSE: Duration = Duration::from_millis(250);
/// Bytes of a console read at once.
const PIECE: usize = 48 << 10;

/// What the stream hears on.
#[derive(Debug)]
pub(crate) struct Sockets {
    /// What the counter heard.
    pub(crate) heard: io::Result<UnixDatagram>,
    /// Syslog over TCP.
    pub(crate) syslog: Option<TcpListener>,
}

/// Starts the thread. It ends with the process.
pub(crate) fn begin(epoch: String, sockets: Sockets) -> io::Result<Stream> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stream = Stream::new(Store::new(Limits::default()), epoch, runtime.handle().clone());
    let heard = sockets.heard?;
    heard.set_nonblocking(true)?;
    if let Some(listener) = &sockets.syslog {
        listener.set_nonblocking(true)?;
    }
    let hearing = stream.clone();
    std::thread::Builder::new().name("logs".to_owned()).spawn(move || {
        if let Err(why) = runtime.block_on(hear(hearing, heard, sockets.syslog)) {
            tracing::error!("the log stream hears nothing: {why}");
        }
    })?;
    Ok(stream)
}

/// Keeps warnings and what happens in the lab on disk, too, and follows files. What cannot be had costs only that.
pub(crate) fn keep(stream: &Stream, state: &Path, files: &[String]) {
    let files: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
    if !files.is_empty()
        && let Err(why) = logs::follow(stream.clone(), files, state.join("log-positions"))
    {
        tracing::warn!("no file is followed: {why}");
    }
    let folder = state.join("logs");
    if let Err(why) = logs::keep(stream, &folder, Wear::default()) {
        tracing::warn!("no lines are kept in {}: {why}; the stream goes on in memory", folder.display());
    }
}

async fn hear(stream: Stream, heard: UnixDatagram, syslog: Option<TcpListener>) -> io::Result<()> {
    let heard = tokio::net::UnixDatagram::from_std(heard)?;
    let mut tasks = JoinSet::new();
    tasks.spawn(logs::receive::heard(stream.clone(), heard));
    if let Some(listener) = syslog {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        tasks.spawn(logs::receive::connections(stream.clone(), listener));
    }
    tasks.spawn(stream.tell_folds());
    while tasks.join_next().await.is_some() {}
    Ok(())
}

/// Tells the stream who is who, and what the house itself knows.
pub(crate) fn feed(tasks: &mut JoinSet<()>, stream: &Stream, publisher: &Arc<Publisher>, consoles: Consoles) {
    tasks.spawn(watch(stream.clone(), Arc::clone(publisher), consoles));
    tasks.spawn(tell_events(stream.clone(), Arc::clone(publisher)));
}

/// Keeps the roster true, and follows every console there is.
async fn watch(stream: Stream, publisher: Arc<Publisher>, consoles: Consoles) {
    let mut news = publisher.news();
    let mut known = Roster::new();
    let mut followed = HashSet::new();
    let mut followers = JoinSet::new();
    loop {
        news.mark_unchanged();
        let snapshot = publisher.latest();
        let roster = roster(&snapshot);
        if roster != known {
            stream.give(|intake, _| intake.know(&roster));
            known = roster;
        }
        for machine in snapshot.machines.iter().filter(|machine| machine.has_console) {
            if consoles.news(&machine.node).is_some() && followed.insert(machine.node.clone()) {
                let what = (machine.node.clone(), consoles.clone());
                followers.spawn(follow(stream.clone(), Arc::clone(&publisher), what));
            }
        }
        drop(snapshot);
        tokio::time::sleep(PAUSE).await;
        if news.changed().await.is_err() {
            return;
        }
    }
}

fn roster(snapshot: &Snapshot) -> Roster {
    let all = snapshot.machines.iter();
    all.map(|machine| (IpAddr::V4(machine.ip), (machine.node.to_string(), boot_of(snapshot, &machine.node))))
        .collect()
}

/// Number of a node's last boot; 0 unknown.
fn boot_of(snapshot: &Snapshot, node: &NodeName) -> u32 {
    let machine = snapshot.machines.iter().find(|machine| machine.node == *node);
    machine.and_then(|machine| machine.boot.as_ref()).map_or(0, |boot| boot.number)
}

async fn follow(stream: Stream, publisher: Arc<Publisher>, (node, consoles): (NodeName, Consoles)) {
    let Some(mut news) = consoles.news(&node) else { return };
    let (mut from, mut lost) = (0, 0);
    loop {
        let Some(part) = consoles.read(&node, from, PIECE) else { return };
        let missed = part.lost.saturating_sub(lost) + part.from.saturating_sub(from);
        lost = part.lost;
        from = part.from + u64::try_from(part.bytes.len()).unwrap_or_default();
        if part.bytes.is_empty() {
            if news.wait_for(|end| *end != from).await.is_err() {
                return;
            }
            continue;
        }
        let boot = boot_of(&publisher.latest(), &node);
        stream.give(|intake, now| intake.console(node.as_str(), boot, (&part.bytes, missed), now));
    }
}

/// Tells what happens in the lab, but not what machines said: that is heard from them.
async fn tell_events(stream: Stream, publisher: Arc<Publisher>) {
    let mut reader = publisher.reader(None);
    loop {
        let items = reader.next().await;
        if items.is_empty() {
            return;
        }
        let latest = publisher.latest();
        let names = Names::of(&latest);
        for numbered in items {
            if let StreamItem::Event(event) = numbered.item {
                tell(&stream, &latest, &event, &names);
            }
        }
    }
}

fn tell(stream: &Stream, latest: &Snapshot, event: &Event, names: &Names) {
    let said = |sight: &Sight| {
        matches!(sight, Sight::Logged { .. } | Sight::TalosLogged { .. } | Sight::LoaderSaid { .. })
    };
    let mac: Option<MacAddr> = match &event.fact {
        Fact::Sighted { sight, .. } if said(sight) => return,
        Fact::Sighted { mac, .. } => Some(*mac),
        _ => None,
    };
    let machine = mac.and_then(|mac| latest.machines.iter().find(|machine| machine.mac == mac));
    let node = machine.map(|machine| (machine.node.as_str(), boot_of(latest, &machine.node)));
    stream.give(|intake, now| intake.lab(node, 6, &sentence(event, names), now));
}
