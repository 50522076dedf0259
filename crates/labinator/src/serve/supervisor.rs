//! The supervisor: binds everything, starts the parts, starts again what dies.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use model::{CHANNEL_PORT, DhcpMode, LabSpec, NtpMode};
use netboot::{BOOT_SERVER_PORT, BindConfig, BindConfig6, FeedPorts, Sockets};
use rustix::process::{Pid, WaitOptions, waitpid};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::handover::Doors;
use super::{Brief, PART_ARGUMENT, ServeError, Setup};
use crate::http::Token;

/// A part that lived shorter than this is started again only after [`PAUSE`].
const SHORT_LIFE: Duration = Duration::from_secs(2);
/// Pause before a part that died at once is started again.
const PAUSE: Duration = Duration::from_secs(1);
/// TCP port of syslog, as rsyslog and syslog-ng send it by default.
const SYSLOG_PORT: u16 = 514;
/// How long a part may take to end when told to.
const DRAIN: Duration = Duration::from_secs(5);

/// Everything bound, nothing running.
#[derive(Debug)]
pub struct Supervisor {
    brief: Brief,
    boot: Sockets,
    doors: Doors,
    token: Token,
    socket: std::path::PathBuf,
}

impl Supervisor {
    /// Takes every port and writes what the parts read. A port that is taken is an error that says by whom.
    ///
    /// # Errors
    /// [`ServeError`]; nothing runs.
    pub fn bind(setup: Setup) -> Result<Self, ServeError> {
        let Setup { spec, folders, page, socket } = setup;
        let state = &folders.state;
        fs::create_dir_all(state).map_err(ServeError::io(state.display().to_string()))?;
        let network = &spec.network;
        let mut config = BindConfig::on(&network.interface, network.boss);
        match network.dhcp {
            DhcpMode::Authoritative => {}
            DhcpMode::Proxy => config.boot_server = Some(BOOT_SERVER_PORT),
            DhcpMode::Off => config.dhcp = None,
        }
        config.six = network.ipv6.as_ref().map(|six| BindConfig6::on(six.boss));
        config.dns = network.names.is_some().then_some(53);
        config.ntp = (network.ntp != NtpMode::Off).then_some(123);
        let boots_talos = spec.scenarios.values().any(|scenario| scenario.talos.is_some());
        config.feed = boots_talos.then(FeedPorts::default);
        let local = local_listener(&socket)?;
        let mut boot = Sockets::bind(&config)?;
        let (heard, given) = UnixDatagram::pair().map_err(ServeError::io("the line of log lines"))?;
        boot.heard = Some(given);
        let syslog = syslog_listener(network.boss);
        let agents = agents_listener(network.boss)?;
        let pdudaemon = match &spec.pdudaemon {
            Some(asked) => {
                let at = SocketAddr::from((asked.address, asked.port));
                Some(
                    TcpListener::bind(at)
                        .map_err(ServeError::io(format!("TCP {at}, for pdudaemon's clients")))?,
                )
            }
            None => None,
        };
        let token = kept_token(&state.join("token"))?;
        let brief = Brief { spec, folders };
        brief.write()?;
        Ok(Self {
            brief,
            boot,
            doors: Doors { page, local, agents, pdudaemon, syslog, heard },
            token,
            socket,
        })
    }

    /// The link that opens the page, with the token.
    #[must_use]
    pub fn link(&self) -> String {
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut at = self.doors.page.local_addr().unwrap_or(local);
        // Beyond this machine the page is served over TLS only.
        let scheme = if at.ip().is_loopback() { "http" } else { "https" };
        if at.ip().is_unspecified() {
            at.set_ip(self.brief.spec.network.boss.into());
        }
        format!("{scheme}://{at}/?token={}", self.token.reveal())
    }

    /// Starts both parts.
    ///
    /// # Errors
    /// [`ServeError::Io`].
    pub fn start(self) -> Result<Running, ServeError> {
        let mut running = Running { house: self, counter: None, core: None };
        running.counter = Some(running.start_counter()?);
        running.core = Some(running.start_core()?);
        Ok(running)
    }
}

/// Where agents connect. They are told the port with every answer, so that another one does as well.
fn agents_listener(boss: Ipv4Addr) -> Result<TcpListener, ServeError> {
    let at = SocketAddr::from((boss, CHANNEL_PORT));
    let taken = match TcpListener::bind(at) {
        Err(why) if why.kind() == io::ErrorKind::AddrInUse => at,
        listener => return listener.map_err(ServeError::io(format!("TCP {at}, for agents"))),
    };
    let listener = TcpListener::bind(SocketAddr::from((boss, 0)))
        .map_err(ServeError::io(format!("any TCP port of {boss}, for agents")))?;
    if let Ok(at) = listener.local_addr() {
        tracing::warn!("TCP {taken} is taken by another program; agents are told to connect to {at}");
    }
    Ok(listener)
}

/// Where machines send syslog over TCP. A port that another program has costs only what would have been heard there.
fn syslog_listener(boss: Ipv4Addr) -> Option<TcpListener> {
    let at = SocketAddr::from((boss, SYSLOG_PORT));
    let told = |why: &io::Error| tracing::warn!("no port for syslog over TCP: {at}: {why}");
    TcpListener::bind(at).inspect_err(told).ok()
}

/// A running controller.
#[derive(Debug)]
pub struct Running {
    house: Supervisor,
    counter: Option<Part>,
    core: Option<Part>,
}

#[derive(Debug)]
struct Part {
    child: Child,
    started: Instant,
    /// Closed when the supervisor ends, however it ends: the part ends too.
    _line: UnixStream,
}

impl Running {
    /// As [`Supervisor::link`].
    #[must_use]
    pub fn link(&self) -> String {
        self.house.link()
    }

    fn start_counter(&self) -> Result<Part, ServeError> {
        let (part, line) = spawn("counter", &self.house.brief.folders.state)?;
        self.house.boot.send_over(&line).map_err(ServeError::io("sockets for the counter"))?;
        Ok(Part { child: part, started: Instant::now(), _line: line })
    }

    fn start_core(&self) -> Result<Part, ServeError> {
        let (part, line) = spawn("core", &self.house.brief.folders.state)?;
        self.house.doors.send_over(&line).map_err(ServeError::io("listeners for the core"))?;
        Ok(Part { child: part, started: Instant::now(), _line: line })
    }

    /// Keeps both parts alive until SIGINT or SIGTERM comes or `until` is done, then ends them.
    ///
    /// # Errors
    /// [`ServeError::Io`] when a part cannot be started again.
    pub async fn run<T>(self, until: impl Future<Output = T>) -> Result<Option<T>, ServeError> {
        let (_none, labs) = mpsc::channel(1);
        self.run_changing(until, labs).await
    }

    /// The same, with another lab on the same network whenever one comes: the counter serves on, the core is replaced.
    ///
    /// # Errors
    /// As [`Running::run`], or the lab cannot be written down.
    pub async fn run_changing<T>(
        mut self,
        until: impl Future<Output = T>,
        mut labs: mpsc::Receiver<LabSpec>,
    ) -> Result<Option<T>, ServeError> {
        let fault = || ServeError::io("signals");
        let mut terminate = signal(SignalKind::terminate()).map_err(fault())?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(fault())?;
        let mut child = signal(SignalKind::child()).map_err(fault())?;
        tokio::pin!(until);
        let outcome = loop {
            tokio::select! {
                biased;
                _ = terminate.recv() => break None,
                _ = interrupt.recv() => break None,
                done = &mut until => break Some(done),
                _ = child.recv() => self.bury_orphans(),
                Some(spec) = labs.recv() => {
                    self.house.brief.spec = spec;
                    self.house.brief.write()?;
                    end(self.core.take()).await;
                    self.core = Some(self.start_core()?);
                }
                status = died(&mut self.counter) => {
                    say_died("counter", status);
                    pause(self.counter.take()).await;
                    self.counter = Some(self.start_counter()?);
                }
                status = died(&mut self.core) => {
                    say_died("core", status);
                    pause(self.core.take()).await;
                    self.core = Some(self.start_core()?);
                }
            }
        };
        self.drain().await;
        Ok(outcome)
    }

    /// As process 1 of a namespace or container this process inherits whatever its parts leave behind,
    /// such as virtual machines of a core that was killed: their ends must be taken note of.
    fn bury_orphans(&self) {
        let own = [&self.core, &self.counter].map(|part| part.as_ref().and_then(|part| part.child.id()));
        for pid in children().filter(|pid| !own.contains(&u32::try_from(*pid).ok())) {
            let Some(pid) = Pid::from_raw(pid) else { continue };
            // One that runs on, or has gone meanwhile, is left alone.
            if let Ok(Some((pid, status))) = waitpid(Some(pid), WaitOptions::NOHANG) {
                tracing::debug!("orphan {pid:?} ended: {status:?}");
            }
        }
    }

    /// Ends the core first: what it still hears from the counter is written down.
    async fn drain(mut self) {
        end(self.core.take()).await;
        end(self.counter.take()).await;
        if let Err(why) = fs::remove_file(&self.house.socket) {
            tracing::debug!("{}: {why}", self.house.socket.display());
        }
    }
}

/// Ends a part as its closed line tells it to.
async fn end(part: Option<Part>) {
    let Some(Part { mut child, _line: line, .. }) = part else { return };
    drop(line);
    if timeout(DRAIN, child.wait()).await.is_err() {
        tracing::warn!("a part did not end in {} s and is killed", DRAIN.as_secs());
        if let Err(why) = child.kill().await {
            tracing::warn!("it could not be killed: {why}");
        }
    }
}

fn spawn(part: &str, state: &Path) -> Result<(Child, UnixStream), ServeError> {
    let what = || format!("the {part}");
    let (ours, theirs) = UnixStream::pair().map_err(ServeError::io(what()))?;
    let program = std::env::current_exe().map_err(ServeError::io(what()))?;
    let child = Command::new(program)
        .arg(PART_ARGUMENT)
        .arg(part)
        .arg(state)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .kill_on_drop(true)
        .spawn()
        .map_err(ServeError::io(what()))?;
    Ok((child, ours))
}

/// Returns when the part has ended; never for one that does not run.
async fn died(part: &mut Option<Part>) -> io::Result<std::process::ExitStatus> {
    match part {
        Some(part) => part.child.wait().await,
        None => std::future::pending().await,
    }
}

fn say_died(part: &str, status: io::Result<std::process::ExitStatus>) {
    match status {
        Ok(status) => tracing::error!("the {part} ended ({status}); starting it again"),
        Err(why) => tracing::error!("the {part} is lost ({why}); starting it again"),
    }
}

async fn pause(part: Option<Part>) {
    if part.is_some_and(|part| part.started.elapsed() < SHORT_LIFE) {
        sleep(PAUSE).await;
    }
}

/// The Unix socket of the command line. One that nobody answers at is left over and replaced.
fn local_listener(path: &Path) -> Result<UnixListener, ServeError> {
    let fault = || ServeError::io(path.display().to_string());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(fault())?;
    }
    match UnixStream::connect(path) {
        Ok(_) => return Err(ServeError::AlreadyRunning(path.to_owned())),
        Err(why) if why.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(fault())?;
        }
        Err(_) => {}
    }
    let listener = UnixListener::bind(path).map_err(fault())?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(fault())?;
    Ok(listener)
}

/// The token of this state folder: made once, so that a link stays good over restarts.
fn kept_token(path: &Path) -> Result<Token, ServeError> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let fault = || ServeError::io(path.display().to_string());
    match fs::read_to_string(path) {
        Ok(text) if text.trim().len() == 32 => return Ok(Token::of(text.trim().to_owned())),
        Ok(_) => {}
        Err(why) if why.kind() == io::ErrorKind::NotFound => {}
        Err(why) => return Err(fault()(why)),
    }
    let token = Token::fresh().map_err(fault())?;
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(path).map_err(fault())?;
    file.write_all(token.reveal().as_bytes()).map_err(fault())?;
    Ok(token)
}

/// Process ids of all children of this process, orphans that it inherited among them.
fn children() -> impl Iterator<Item = i32> {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let pids: Vec<i32> = lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect();
    pids.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_are_given_another_port_where_theirs_is_taken() {
        let boss = Ipv4Addr::LOCALHOST;
        // Whoever has it, this test or another program.
        let _held = TcpListener::bind((boss, CHANNEL_PORT));
        let listener = agents_listener(boss).unwrap();
        let at = listener.local_addr().unwrap();
        assert!(at.ip() == boss && at.port() != CHANNEL_PORT && at.port() != 0, "{at}");
    }

    #[test]
    fn an_address_that_is_not_ours_is_an_error_that_names_it() {
        let told = agents_listener(Ipv4Addr::new(203, 0, 113, 7)).unwrap_err().to_string();
        assert!(told.contains("TCP 203.0.113.7:8423, for agents"), "{told}");
    }
}
