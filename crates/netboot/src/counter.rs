//! The counter's heart, shared by all sockets: the current boot table, the files, who holds which address.
//!
//! ```text
//! core ──table, then changes──▶ disk, and a Board, swapped whole ──▶ every socket's next answer
//! ```

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use model::{
    AgentWelcome, BootTable, DhcpMode, GuestSeen, MacAddr, NodeName, Notice, Sight, Sighting, TableChange,
};
use store::Files;
use store::log::{LogError, Recovery};
use store::shelf::Shelf;
use tokio::sync::watch;
use wire::heard::HeardKind;

use crate::agents::Agents;
use crate::board::Board;
use crate::feed::Voices;
use crate::heads::Heads;
use crate::heard::HandOver;
use crate::http::Places;
use crate::install::Taken;
use crate::kept::KeptTable;
use crate::ledger::{Ledger, LedgerError, random_word};
use crate::loaders::Loaders;
use crate::neighbours::Neighbours;
use crate::own::{self, Own};
use crate::pull::{ConfigOffer, Offers, is_pulled};
use crate::sights::Sights;
use crate::wipe::Told;

/// File of the last published boot table, in the state folder.
const TABLE_FILE: &str = "boot-table";
/// File of the ledger, in the state folder.
const LEDGER_FILE: &str = "ledger";
/// Longest time a change of the boot table stays unsynced.
const KEEP_EVERY: Duration = Duration::from_secs(1);
/// Machines whose last iPXE is remembered. More than any board.
const IPXES_KEPT: usize = 65_536;

/// Why the counter cannot open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The ledger cannot be used.
    #[error("ledger: {0}")]
    Ledger(#[from] LedgerError),
    /// The last boot table cannot be read.
    #[error("boot table: {0}")]
    Table(LogError),
}

impl OpenError {
    /// A stable word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Ledger(error) => error.code(),
            Self::Table(_) => "boot-table-unreadable",
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Ledger(error) => error.advice(),
            Self::Table(_) => "look at the disk and the rights of the state folder",
        }
    }
}

/// What a counter is made of.
#[derive(Debug)]
pub struct Parts {
    /// The file layer of the state folder.
    pub files: Arc<dyn Files>,
    /// The state folder, which exists.
    pub state: PathBuf,
    /// The network boot programs.
    pub loaders: Loaders,
    /// Kernels and other content, by digest.
    pub shelf: Shelf,
    /// TCP port machines reach the boot HTTP under; 80 is left out of addresses.
    pub http_port: u16,
    /// Machines that take images at once; more wait or are asked to come back. Firmware does not count.
    pub transfers: usize,
}

/// Which protocol a machine came with, and is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// IPv4.
    Four,
    /// IPv6.
    Six,
}

impl Over {
    /// That of a peer's address.
    #[must_use]
    pub const fn of(peer: IpAddr) -> Self {
        match peer.to_canonical() {
            IpAddr::V4(_) => Self::Four,
            IpAddr::V6(_) => Self::Six,
        }
    }
}

/// Services beside booting that have a port here; only those are told to machines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Served {
    /// iPXE's log.
    pub log: bool,
    /// Time.
    pub ntp: Both,
}

/// Over which protocols a service has a port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Both {
    /// IPv4.
    pub four: bool,
    /// IPv6.
    pub six: bool,
}

/// The counter.
#[derive(Debug)]
pub struct Counter {
    pub(crate) files: Arc<dyn Files>,
    state: PathBuf,
    kept: Mutex<KeptTable>,
    pub(crate) heads: Heads,
    pub(crate) loaders: Loaders,
    pub(crate) shelf: Shelf,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) sights: Sights,
    pub(crate) places: Arc<Places>,
    http_port: u16,
    board: watch::Sender<Option<Arc<Board>>>,
    /// Who has an address by lease or is seen with it; the board's own reservations are looked up there.
    pub(crate) neighbours: Neighbours,
    /// The boot each agent reported from, and by which key.
    pub(crate) agents: Agents,
    /// Our own loader: its file, and the key that signs its answers.
    pub(crate) own: Own,
    /// What was told last of each guest.
    guests: Mutex<HashMap<MacAddr, GuestSeen>>,
    /// Which wipes' claims the core was told of.
    pub(crate) wipes_told: Told,
    /// What machines say of their Talos.
    pub(crate) voices: Voices,
    /// Files taken of images that install.
    pub(crate) taken: Taken,
    /// Configs that are laid ready for their machines; never on the disk.
    pub(crate) offers: Offers,
    ledger_full: AtomicBool,
    /// Architectures whose missing loader was told.
    loaders_missing: Mutex<BTreeSet<u16>>,
    served: OnceLock<Served>,
    /// Who keeps the lines that machines send.
    heard: OnceLock<HandOver>,
    /// What each machine's iPXE told last, so that it is told on once.
    ipxes: Mutex<HashMap<MacAddr, (String, String)>>,
    /// Packets that could not be read, by protocol.
    malformed: Mutex<HashMap<&'static str, u64>>,
}

impl Counter {
    /// Opens ledger and last boot table, so that machines are answered before any core is there.
    ///
    /// # Errors
    /// [`OpenError`]; nothing on disk is changed then.
    pub fn open(parts: Parts) -> Result<(Arc<Self>, Recovery), OpenError> {
        let (ledger, recovery) = Ledger::open(Arc::clone(&parts.files), &parts.state.join(LEDGER_FILE))?;
        let (kept, table) =
            KeptTable::open(&parts.files, &parts.state.join(TABLE_FILE)).map_err(OpenError::Table)?;
        let board = table.map(|table| Arc::new(Board::new(table)));
        let sights = Sights::default();
        sights.make_room(board.as_ref().map_or(0, |board| board.table().nodes.len()));
        let four = ledger.leases().into_iter().map(|lease| (IpAddr::V4(lease.address), lease.mac));
        let six = ledger
            .leases6()
            .into_iter()
            .filter_map(|lease| lease.holder.mac().map(|mac| (IpAddr::V6(lease.address), mac)));
        let neighbours = Neighbours::of(four.chain(six));
        let counter = Self {
            files: parts.files,
            state: parts.state,
            kept: Mutex::new(kept),
            heads: Heads::default(),
            loaders: parts.loaders,
            shelf: parts.shelf,
            ledger,
            sights,
            places: Places::new(parts.transfers),
            http_port: parts.http_port,
            board: watch::Sender::new(board),
            neighbours,
            agents: Agents::new(random_word().map_err(LedgerError::System)?),
            own: Own::new(),
            guests: Mutex::default(),
            wipes_told: Told::default(),
            voices: Voices::default(),
            taken: Taken::default(),
            offers: Offers::default(),
            ledger_full: AtomicBool::new(false),
            loaders_missing: Mutex::default(),
            served: OnceLock::new(),
            heard: OnceLock::new(),
            ipxes: Mutex::default(),
            malformed: Mutex::default(),
        };
        Ok((Arc::new(counter), recovery))
    }

    /// The board as published last.
    #[must_use]
    pub fn board(&self) -> Option<Arc<Board>> {
        self.board.borrow().clone()
    }

    /// The board now and each one published later.
    #[must_use]
    pub fn boards(&self) -> watch::Receiver<Option<Arc<Board>>> {
        self.board.subscribe()
    }

    /// Number of the boot table in use.
    #[must_use]
    pub fn table_number(&self) -> Option<u64> {
        self.board.borrow().as_ref().map(|board| board.table().number)
    }

    /// Answers by this table from now on, also after a restart. A disk that does not take it costs only the
    /// memory of it: the table is in force all the same.
    ///
    /// # Errors
    /// As the system says, when it could not be written.
    pub fn publish(&self, mut table: BootTable) -> io::Result<()> {
        table.share_images();
        let board = Arc::new(Board::new(table));
        self.heads.keep_only(|mac| board.entry(mac).is_some());
        self.voices.keep_only(|mac| board.entry(mac).is_some());
        self.sights.make_room(board.table().nodes.len());
        let mut kept = self.kept();
        self.board.send_replace(Some(Arc::clone(&board)));
        self.forget_offers(&board);
        kept.replace(board.table())
    }

    /// Lays a config ready, for the boot that it names alone.
    pub fn offer(&self, offer: ConfigOffer) {
        self.offers.lay(offer);
    }

    /// Forgets the config that is laid ready for this machine.
    pub fn withdraw(&self, node: &NodeName) {
        self.offers.withdraw(node);
    }

    /// Forgets configs in their time. Goes on until dropped.
    pub async fn keep_offers(&self) {
        self.offers.run().await;
    }

    /// Another boot or run of a machine has nothing to fetch of what was laid ready for the one before.
    fn forget_offers(&self, board: &Board) {
        self.offers.keep_only(|node, run, boot| {
            let nodes = &board.table().nodes;
            let found = nodes.binary_search_by(|entry| entry.node.cmp(node)).ok();
            let entry = found.and_then(|at| nodes.get(at));
            entry.is_some_and(|entry| entry.run == run && entry.boot == boot && is_pulled(entry))
        });
    }

    /// Answers by the table in force with this change from now on. `None` when the change belongs to another table:
    /// nothing was changed.
    ///
    /// # Errors
    /// As [`Counter::publish`].
    pub fn amend(&self, mut change: TableChange) -> Option<io::Result<()>> {
        change.share_images();
        let mut kept = self.kept();
        let board = Arc::new(self.board()?.changed(&change)?);
        self.board.send_replace(Some(Arc::clone(&board)));
        self.forget_offers(&board);
        Some(kept.amend(&change, board.table()))
    }

    fn kept(&self) -> MutexGuard<'_, KeptTable> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Syncs the kept table, each second at most while it changes. Goes on until dropped.
    pub(crate) async fn keep_table(&self) {
        let mut boards = self.boards();
        while boards.changed().await.is_ok() {
            tokio::time::sleep(KEEP_EVERY).await;
            boards.mark_unchanged();
            let Some(syncing) = self.kept().begin_sync() else { continue };
            let Ok(synced) = tokio::task::spawn_blocking(move || syncing.run()).await else { return };
            let outcome = self.kept().finish_sync(synced);
            if let Err(error) = outcome {
                tracing::error!(code = error.code(), "the boot table could not be synced: {error}");
            }
        }
    }

    /// Sightings that wait for the core.
    #[must_use]
    pub fn sights(&self) -> &Sights {
        &self.sights
    }

    /// Tells the core of many things at once; strangers are told of in bounds.
    pub(crate) fn see_all(&self, seen: Vec<Sighting>) {
        let board = self.board();
        let on_board = |mac| board.as_ref().is_some_and(|board| board.entry(mac).is_some());
        self.sights.see_all(seen, |mac| !on_board(mac));
    }

    /// Leases and claims.
    #[must_use]
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// The state folder.
    #[must_use]
    pub fn state_folder(&self) -> &Path {
        &self.state
    }

    /// Where machines reach the boot HTTP: a literal address, never a name.
    #[must_use]
    pub fn base_url(&self, board: &Board) -> String {
        self.base_url_over(board, Over::Four)
    }

    /// As [`Counter::base_url`], by the protocol a machine came with.
    #[must_use]
    pub fn base_url_over(&self, board: &Board, over: Over) -> String {
        match (board.boss_over(over), self.http_port) {
            (IpAddr::V6(boss), 80) => format!("http://[{boss}]"),
            (boss, 80) => format!("http://{boss}"),
            (boss, port) => format!("http://{}", SocketAddr::from((boss, port))),
        }
    }

    /// TCP port of the boot HTTP.
    pub(crate) const fn http_port(&self) -> u16 {
        self.http_port
    }

    /// True where the boot HTTP has the port that everybody takes for it.
    pub(crate) const fn serves_http_on_its_port(&self) -> bool {
        self.http_port == 80
    }

    /// Remembers who holds an address.
    pub(crate) fn hold(&self, address: impl Into<IpAddr>, mac: MacAddr) {
        self.neighbours.hold(address.into(), mac);
    }

    /// Forgets who held an address.
    pub(crate) fn release(&self, address: impl Into<IpAddr>) {
        self.neighbours.release(address.into());
    }

    /// Remembers an address that another server gave. Only addresses of the lab's subnet count, so nobody can fill
    /// the memory. True when it is news.
    pub(crate) fn learn(&self, address: Ipv4Addr, mac: MacAddr) -> bool {
        let Some(board) = self.board() else { return false };
        let network = &board.table().network;
        if !network.holds(address) || address == network.boss {
            return false;
        }
        self.neighbours.hold(address.into(), mac) != Some(mac)
    }

    /// Whose address this is: by reservation first, then by lease, then by its frames; where another server gives the
    /// addresses, by what was seen of that first.
    #[must_use]
    pub fn who_has(&self, address: IpAddr) -> Option<MacAddr> {
        let address = address.to_canonical();
        let board = self.board();
        let reserved = || board.as_ref().and_then(|board| board.entry_by_ip(address).map(|entry| entry.mac));
        let seen = || self.neighbours.who(address);
        match board.as_ref().map(|board| board.table().network.dhcp) {
            Some(DhcpMode::Proxy | DhcpMode::Off) => seen().or_else(reserved),
            Some(DhcpMode::Authoritative) | None => reserved().or_else(seen),
        }
    }

    /// The machine of the board whose address this is.
    pub(crate) fn machine_at(&self, address: IpAddr) -> Option<MacAddr> {
        let mac = self.who_has(address)?;
        self.board()?.entry(mac).map(|entry| entry.mac)
    }

    /// Tells the core which iPXE a machine runs, where that is news.
    pub(crate) fn note_ipxe(&self, mac: MacAddr, version: &str) {
        if let Some(sight) = self.news_of_ipxe(mac, version, std::iter::empty()) {
            self.sights.see(mac, sight);
        }
    }

    /// What to tell of a machine's iPXE, when it is another or tells more than before.
    pub(crate) fn news_of_ipxe(
        &self,
        mac: MacAddr,
        version: &str,
        features: impl Iterator<Item = &'static str>,
    ) -> Option<Sight> {
        let features: Vec<String> = features.map(str::to_owned).collect();
        if version.is_empty() && features.is_empty() {
            return None;
        }
        let mut known = self.ipxes.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= IPXES_KEPT {
            known.clear();
        }
        let (last, built) = known.entry(mac).or_default();
        let words = features.join(" ");
        if last.starts_with(version) && (words.is_empty() || *built == words) {
            return None;
        }
        if !last.starts_with(version) {
            version.clone_into(last);
        }
        if !words.is_empty() {
            *built = words;
        }
        drop(known);
        Some(Sight::IpxeTold { version: version.to_owned(), features })
    }

    /// Where lines that machines send go. Told once, before anything is served.
    pub(crate) fn hand_to(&self, heard: HandOver) {
        // A counter is opened once.
        drop(self.heard.set(heard));
    }

    /// Hands a line on that somebody sent.
    pub(crate) fn heard(&self, kind: HeardKind, from: IpAddr, line: &[u8]) {
        if let Some(heard) = self.heard.get() {
            heard.give(kind, from, line);
        }
    }

    /// Which services beside booting have a port. Told once, before anything is served.
    pub(crate) fn serve_also(&self, served: Served) {
        if self.served.set(served).is_err() {
            tracing::debug!("which services there are was told before");
        }
    }

    /// Which services beside booting have a port.
    pub(crate) fn served(&self) -> Served {
        self.served.get().copied().unwrap_or_default()
    }

    /// Tells the core, once, when the ledger stops taking records and when it takes them again.
    pub(crate) fn note_ledger<T>(&self, outcome: &Result<T, LedgerError>) {
        let failed = outcome.as_ref().err();
        if self.ledger_full.swap(failed.is_some(), Ordering::Relaxed) == failed.is_some() {
            return;
        }
        match failed {
            Some(error) => {
                tracing::error!(code = error.code(), "the ledger cannot be written: {error}");
                self.sights.notice(Notice::LedgerFull { why: error.to_string() });
            }
            None => self.sights.notice(Notice::LedgerWell),
        }
    }

    /// Tells the core, once, of an architecture for which there is no loader.
    pub(crate) fn note_loader_missing(&self, arch: u16, names: &[&str]) {
        let news = self.loaders_missing.lock().unwrap_or_else(PoisonError::into_inner).insert(arch);
        if news {
            tracing::error!(
                "firmware of architecture {arch:#04x} asks, and there is no {}",
                names.join(" or ")
            );
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            self.sights.notice(Notice::LoaderMissing { arch, names });
        }
    }

    /// Counts a packet that could not be read, and tells at the first and at each doubling.
    pub(crate) fn note_malformed(&self, protocol: &'static str) {
        let count = {
            let mut malformed = self.malformed.lock().unwrap_or_else(PoisonError::into_inner);
            let count = malformed.entry(protocol).or_default();
            *count += 1;
            *count
        };
        if count.is_power_of_two() {
            self.sights.notice(Notice::Malformed { protocol: protocol.to_owned(), count });
        }
    }

    /// What an agent tells of guests that it is to run, and did not tell before.
    pub(crate) fn news_of_guests(&self, host: MacAddr, told: Vec<GuestSeen>) -> Vec<GuestSeen> {
        if told.is_empty() {
            return told;
        }
        let Some(board) = self.board() else { return Vec::new() };
        let wished = board.entry(host).and_then(|entry| entry.guests.as_deref());
        let is_its = |seen: &GuestSeen| {
            wished.is_some_and(|all| all.iter().any(|w| w.mac == seen.mac && w.node == seen.node))
        };
        let mut known = self.guests.lock().unwrap_or_else(PoisonError::into_inner);
        let news = |seen: &GuestSeen| is_its(seen) && known.get(&seen.mac) != Some(seen);
        let told: Vec<GuestSeen> = told.into_iter().filter(news).collect();
        known.extend(told.iter().map(|seen| (seen.mac, seen.clone())));
        told
    }

    /// What this machine's agent is answered, but for the word of its seals.
    pub(crate) fn welcome(&self, mac: MacAddr, report_again: bool) -> AgentWelcome {
        let board = self.board();
        let entry = board.as_ref().and_then(|board| board.entry(mac));
        AgentWelcome {
            node: entry.map(|entry| entry.node.clone()),
            order: entry.map(|entry| entry.order).unwrap_or_default(),
            report_again,
            guests: entry.and_then(|entry| entry.guests.clone()),
            wipe: None,
            lab: board.as_ref().map(|board| board.table().lab.clone()),
            park: entry.and_then(|entry| own::park_order(self, entry)),
            ..AgentWelcome::default()
        }
    }
}
