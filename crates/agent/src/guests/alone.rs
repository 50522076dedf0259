//! `agent guests`: the agent of a hypervisor as an ordinary process, with state folder and bridge given.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use model::MacAddr;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::place::through;
use super::{Buried, Guests, Place, bridge};
use crate::console::Console;
use crate::kernel_line::{KernelLine, boss};
use crate::lease::Held;
use crate::link::{Port, index_of};
use crate::renew::{self, Renewer, Resumed};
use crate::report::{self, Identity};

/// What follows `agent guests`.
pub(crate) const USAGE: &str = "agent guests --boss ADDRESS[:PORT] --root FOLDER --bridge NAME [--uplink PORT] \
                                [--mac ADDRESS] [--address IP] [--boot ID] [--nonce WORD] [--memory MIB] \
                                [--through qemu|libvirt|URI] [--trial SECONDS]";

#[derive(Debug, Default)]
struct Options {
    boss: Option<SocketAddr>,
    root: Option<PathBuf>,
    bridge: Option<String>,
    uplink: Option<String>,
    mac: Option<MacAddr>,
    address: Option<std::net::IpAddr>,
    boot: Option<String>,
    nonce: Option<String>,
    memory: Option<u32>,
    /// URI of a libvirt.
    through: Option<String>,
    trial: Option<u64>,
}

impl Options {
    fn read(words: &[&str]) -> Result<Self, String> {
        let mut options = Self::default();
        let mut words = words.iter();
        while let Some(&name) = words.next() {
            let value = *words.next().ok_or_else(|| format!("{name}: a value must follow"))?;
            let bad = |what: &str| format!("{name} {value}: {what} is expected");
            match name {
                "--boss" => options.boss = Some(boss(value).ok_or_else(|| bad("an IP address"))?),
                "--root" => options.root = Some(value.into()),
                "--bridge" => options.bridge = Some(value.to_owned()),
                "--uplink" => options.uplink = Some(value.to_owned()),
                "--mac" => options.mac = Some(value.parse().map_err(|_| bad("an Ethernet address"))?),
                "--address" => options.address = Some(value.parse().map_err(|_| bad("an IP address"))?),
                "--boot" => options.boot = Some(value.to_owned()),
                "--nonce" => options.nonce = Some(value.to_owned()),
                "--memory" => options.memory = Some(value.parse().map_err(|_| bad("a number of MiB"))?),
                "--through" => {
                    options.through =
                        through(value).map_err(|()| bad("qemu, libvirt or a URI of libvirt's"))?;
                }
                "--trial" => options.trial = Some(value.parse().map_err(|_| bad("a number of seconds"))?),
                _ => return Err(format!("{name} is not known")),
            }
        }
        Ok(options)
    }
}

/// Runs until the boss orders it off, or a signal ends it; on a signal its guests stay.
///
/// # Errors
/// A sentence for the person who started it.
pub(crate) fn run(words: &[&str], resumed: Resumed) -> Result<(), String> {
    let usage = |why: String| format!("{why}\nusage: {USAGE}");
    let options = Options::read(words).map_err(usage)?;
    let need = |name: &str| usage(format!("{name} is missing"));
    let boss = options.boss.ok_or_else(|| need("--boss"))?;
    let root = options.root.ok_or_else(|| need("--root"))?;
    let bridge = options.bridge.ok_or_else(|| need("--bridge"))?;
    let port_name = options.uplink.clone().unwrap_or_else(|| bridge.clone());
    let index = index_of(&port_name).ok_or_else(|| format!("there is no port {port_name}"))?;
    let mac = options.mac.or_else(|| bridge::mac_of(&port_name));
    let mac = mac.ok_or_else(|| format!("{port_name} has no Ethernet address; tell one with --mac"))?;
    let root = std::path::absolute(&root).map_err(|why| format!("{}: {why}", root.display()))?;
    std::fs::create_dir_all(&root).map_err(|why| format!("{}: {why}", root.display()))?;
    let mut me = Identity::read();
    me.boot_id = options.boot.unwrap_or(me.boot_id);
    me.line = KernelLine { boss: Some(boss), nonce: options.nonce, ..KernelLine::default() };
    let builds = renew::folder_beside(&root);
    let renewer = Renewer::new(builds, me.build, &me.boot_id).on_trial_for(options.trial);
    let place = Place {
        root,
        bridge,
        make_bridge: options.uplink.is_some(),
        memory: options.memory,
        host_boot: me.boot_id.clone(),
        libvirt: options.through,
        buried: Buried::default(),
    };
    let port = Port { name: port_name, index, mac, carrier: true };
    let address = options.address.unwrap_or_else(|| own_address(boss));
    let held = Held { port, address, boss: Some(boss), resolver: None };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|why| format!("no task can be run: {why}"))?;
    runtime.block_on(live(&me, place, held, (Arc::new(renewer), resumed)))
}

async fn live(
    me: &Identity,
    place: Place,
    held: Held,
    renewal: (Arc<Renewer>, Resumed),
) -> Result<(), String> {
    let console = Console::stderr();
    let mut term = signal(SignalKind::terminate()).map_err(|why| why.to_string())?;
    let guests = Guests::spawn(&console, place);
    let (_tell, mut held) = watch::channel(Some(held));
    tokio::select! {
        _ = report::run((&console, me), &mut held, &guests, renewal) => guests.end().await,
        _ = term.recv() => {}
    }
    Ok(())
}

/// The address from which the boss is reached; nothing is sent to find it.
fn own_address(boss: SocketAddr) -> std::net::IpAddr {
    let any = SocketAddr::new(
        if boss.is_ipv4() {
            std::net::Ipv4Addr::UNSPECIFIED.into()
        } else {
            std::net::Ipv6Addr::UNSPECIFIED.into()
        },
        0,
    );
    let socket = std::net::UdpSocket::bind(any);
    let found = socket.and_then(|socket| socket.connect(boss).and_then(|()| socket.local_addr()));
    found.map_or_else(|_| any.ip(), |address| address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_what_is_wrong_is_named() {
        let options = Options::read(&["--boss", "10.0.0.1", "--memory", "512", "--root", "/x"]).unwrap();
        assert_eq!((options.boss, options.memory), (Some("10.0.0.1:80".parse().unwrap()), Some(512)));
        assert!(Options::read(&["--memory", "much"]).unwrap_err().contains("--memory much"));
        let through = |word| Options::read(&["--through", word]).map(|options| options.through);
        assert_eq!(through("libvirt"), Ok(Some("qemu:///system".to_owned())));
        assert_eq!(through("qemu"), Ok(None));
        assert!(through("xen").unwrap_err().contains("--through xen: qemu, libvirt or a URI"));
        assert!(Options::read(&["--boss"]).unwrap_err().contains("--boss"));
        assert!(Options::read(&["--colour", "red"]).unwrap_err().contains("--colour"));
    }
}
