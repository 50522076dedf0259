//! The counter as a process: sockets in, services on, until told to stop.
//!
//! DHCP, TFTP and the sniffer live on a thread of their own, so that no disk that images are read from holds up a
//! packet.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use model::MacAddr;
use store::Disk;
use store::log::Recovery;
use store::shelf::Shelf;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use wire::loader::Processor;

use crate::counter::{Both, Counter, OpenError, Parts, Served};
use crate::dhcp::Dhcp;
use crate::dhcp6::Dhcp6;
use crate::dns::Dns;
use crate::heard::HandOver;
use crate::loaders::{LoaderError, Loaders};
use crate::log::LogPort;
use crate::ntp::Ntp;
use crate::packet::PacketPort;
use crate::sniff::Sniffer;
use crate::sockets::Sockets;
use crate::sockets6::Sockets6;
use crate::tftp::Tftp;
use crate::{feed, heads, http, link};

/// Image transfers to iPXE and agents at once when nothing else is said: six machines and their guests.
pub const TRANSFERS: usize = 16;

/// Where a counter keeps and finds things.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Ledger, last boot table and the core's line. Created when missing.
    pub state: PathBuf,
    /// Network boot programs.
    pub loaders: PathBuf,
    /// Folder of our own loaders, for those that are not among them.
    pub own_loaders: Option<PathBuf>,
    /// Content by SHA-256.
    pub shelf: PathBuf,
    /// Image transfers at once; see [`TRANSFERS`].
    pub transfers: usize,
}

/// Why a counter cannot run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Ledger or boot table.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Loader folder.
    #[error("loaders: {0}")]
    Loaders(#[from] LoaderError),
    /// Anything of the system.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl RunError {
    /// A stable word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Open(error) => error.code(),
            Self::Loaders(_) => "loaders-unreadable",
            Self::Io { .. } => "counter-io",
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Open(error) => error.advice(),
            Self::Loaders(_) => "the loader folder must exist and hold undionly.kpxe and snponly.efi",
            Self::Io { .. } => "look at the rights of the state folder and at the kernel's log",
        }
    }

    fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }
}

/// Adds those of our own loaders in a folder that were not among the network boot programs.
fn add_own(loaders: &mut Loaders, folder: &Path) {
    for name in Processor::ALL.map(Processor::file) {
        let path = folder.join(name);
        if loaders.get(name).is_some() || !path.is_file() {
            continue;
        }
        match std::fs::read(&path) {
            Ok(bytes) => loaders.add(name, bytes),
            Err(why) => tracing::error!("{} cannot be read, machines get iPXE: {why}", path.display()),
        }
    }
}

/// A counter with its sockets, not yet serving.
#[derive(Debug)]
pub struct Bench {
    counter: Arc<Counter>,
    sockets: Sockets,
    http: SocketAddr,
}

impl Bench {
    /// Opens state, loaders and ledger.
    ///
    /// # Errors
    /// [`RunError`].
    pub fn open(sockets: Sockets, settings: &Settings) -> Result<(Self, Recovery), RunError> {
        std::fs::create_dir_all(&settings.state).map_err(RunError::io("the state folder"))?;
        let mut loaders = Loaders::read(&settings.loaders)?;
        if let Some(folder) = &settings.own_loaders {
            add_own(&mut loaders, folder);
        }
        let http = sockets.http.local_addr().map_err(RunError::io("the HTTP port"))?;
        let (counter, recovery) = Counter::open(Parts {
            files: Arc::new(Disk),
            state: settings.state.clone(),
            loaders,
            shelf: Shelf::new(&settings.shelf),
            http_port: http.port(),
            transfers: settings.transfers,
        })?;
        let six = sockets.six.as_ref().is_some_and(|six| six.ntp.is_some());
        let ntp = Both { four: sockets.ntp.is_some(), six };
        if let Some(socket) = sockets.heard.as_ref() {
            let open = || HandOver::over(socket.try_clone()?);
            counter.hand_to(open().map_err(RunError::io("the line to the log stream"))?);
        }
        counter.serve_also(Served { log: sockets.log.is_some(), ntp });
        Ok((Self { counter, sockets, http }, recovery))
    }

    /// The counter behind the sockets.
    #[must_use]
    pub fn counter(&self) -> &Arc<Counter> {
        &self.counter
    }

    /// Where the boot HTTP listens.
    #[must_use]
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// Ethernet address of the lab's interface, where it is sniffed.
    #[must_use]
    pub fn mac(&self) -> Option<MacAddr> {
        self.sockets.packets.as_ref().map(|packets| packets.mac)
    }

    /// Serves until dropped.
    ///
    /// # Errors
    /// [`RunError::Io`] when a service cannot begin, or the packet thread ended.
    pub async fn run(self) -> Result<(), RunError> {
        let Self { counter, sockets, .. } = self;
        sockets.http.set_nonblocking(true).map_err(RunError::io("the HTTP port"))?;
        let listener = TcpListener::from_std(sockets.http).map_err(RunError::io("the HTTP port"))?;
        let core = link::listen(counter.state_folder()).map_err(RunError::io("the line to the core"))?;
        let mut services = JoinSet::new();
        services.spawn(http::run(Arc::clone(&counter), listener));
        let (six, listener6, dns6, ntp6) = match sockets.six {
            Some(Sockets6 { dhcp, tftp, http, dns, ntp }) => (Some((dhcp, tftp)), Some(http), dns, ntp),
            None => (None, None, None, None),
        };
        if let Some(listener) = listener6 {
            listener.set_nonblocking(true).map_err(RunError::io("the HTTP port of IPv6"))?;
            let listener = TcpListener::from_std(listener).map_err(RunError::io("the HTTP port of IPv6"))?;
            services.spawn(http::run(Arc::clone(&counter), listener));
        }
        services.spawn(link::run(Arc::clone(&counter), core));
        let pushed = [(sockets.events, feed::Taken::Events), (sockets.lines, feed::Taken::Lines)];
        for (listener, taken) in pushed.into_iter().filter_map(|(socket, taken)| Some((socket?, taken))) {
            listener.set_nonblocking(true).map_err(RunError::io("a port of Talos's"))?;
            let listener = TcpListener::from_std(listener).map_err(RunError::io("a port of Talos's"))?;
            services.spawn(feed::run(Arc::clone(&counter), listener, taken));
        }
        if let Some(socket) = sockets.heads {
            services.spawn(heads::run(Arc::clone(&counter), socket));
        }
        services.spawn(Arc::clone(counter.ledger()).run());
        let keeper = Arc::clone(&counter);
        services.spawn(async move { keeper.keep_table().await });
        let keeper = Arc::clone(&counter);
        services.spawn(async move { keeper.keep_offers().await });
        // Dropped with this future, which ends the thread.
        let (_stop, stopped) = oneshot::channel::<()>();
        let (ended, end) = oneshot::channel();
        for (datagrams, connections) in sockets.dns.into_iter().chain(dns6) {
            let what = RunError::io("the DNS port");
            let open = || -> io::Result<_> {
                datagrams.set_nonblocking(true)?;
                connections.set_nonblocking(true)?;
                Ok((UdpSocket::from_std(datagrams)?, TcpListener::from_std(connections)?))
            };
            let (datagrams, connections) = open().map_err(what)?;
            services.spawn(Dns::new(Arc::clone(&counter), datagrams, connections).run());
        }
        let ports = Ports {
            dhcp: sockets.dhcp,
            boot_server: sockets.boot_server,
            tftp: sockets.tftp,
            ntp: sockets.ntp.into_iter().chain(ntp6).collect(),
            log: sockets.log,
            packets: sockets.packets,
            six,
        };
        thread::Builder::new()
            .name("packets".to_owned())
            .spawn(move || {
                // The receiver is gone when the counter is being dropped: nobody is left to tell.
                drop(ended.send(packet_thread(counter, ports, stopped)));
            })
            .map_err(RunError::io("the packet thread"))?;
        end.await
            .map_err(io::Error::other)
            .and_then(|outcome| outcome)
            .map_err(RunError::io("the packet thread"))
    }
}

/// What the packet thread works with.
#[derive(Debug)]
struct Ports {
    dhcp: Option<std::net::UdpSocket>,
    boot_server: Option<std::net::UdpSocket>,
    tftp: std::net::UdpSocket,
    ntp: Vec<std::net::UdpSocket>,
    log: Option<std::net::UdpSocket>,
    packets: Option<crate::packet::PacketSocket>,
    /// DHCPv6, and TFTP over IPv6.
    six: Option<(std::net::UdpSocket, std::net::UdpSocket)>,
}

fn packet_thread(counter: Arc<Counter>, ports: Ports, stopped: oneshot::Receiver<()>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async move {
        let port = |socket: std::net::UdpSocket| {
            socket.set_nonblocking(true)?;
            UdpSocket::from_std(socket)
        };
        let packets = ports.packets.map(PacketPort::new).transpose()?.map(Arc::new);
        let mut services = JoinSet::new();
        services.spawn(Tftp::new(Arc::clone(&counter), port(ports.tftp)?).run());
        for ntp in ports.ntp {
            services.spawn(Ntp::new(Arc::clone(&counter), port(ntp)?).run());
        }
        if let Some(log) = ports.log {
            services.spawn(LogPort::new(Arc::clone(&counter), port(log)?).run());
        }
        if let Some(dhcp) = ports.dhcp {
            services.spawn(Dhcp::new(Arc::clone(&counter), port(dhcp)?, packets.clone()).run());
        }
        if let Some((dhcp, tftp)) = ports.six {
            services.spawn(Dhcp6::new(Arc::clone(&counter), port(dhcp)?).run());
            services.spawn(Tftp::new(Arc::clone(&counter), port(tftp)?).run());
        }
        if let Some(socket) = ports.boot_server {
            services.spawn(Dhcp::boot_server(Arc::clone(&counter), port(socket)?).run());
        }
        if let Some(packets) = packets {
            services.spawn(Sniffer::new(counter, packets).run());
        }
        // Either way it is over: told so, or forgotten.
        drop(stopped.await);
        Ok(())
    })
}
