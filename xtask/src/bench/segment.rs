//! A segment of its own for a bench: the same program again, inside namespaces, with a bridge and taps.
//!
//! Everything that is started inside dies with the first process inside; nothing is left on the machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::image::Parts;
use crate::workspace::{Outcome, Workspace, printed, quietly};

/// The bridge's own address: the boss.
pub(super) const BOSS: &str = "10.77.0.1";
/// Virtual machines a segment has taps for.
pub(super) const MACHINES: u8 = 6;

/// Packages that any bench with machines needs.
pub(super) const PACKAGES: &[&str] = &["qemu-system-x86", "ovmf", "ipxe", "iproute2", "util-linux"];

/// Firmware of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Firmware {
    /// `SeaBIOS` and the card's iPXE ROM.
    Bios,
    /// OVMF's own PXE client.
    UefiPxe,
}

/// What the inner half works with.
pub(super) struct Inside {
    pub(super) labinator: PathBuf,
    pub(super) images: PathBuf,
    pub(super) folder: PathBuf,
}

/// The outer half: runs this program again as `bench NAME inside …` and returns what it printed last.
///
/// # Errors
/// Namespaces cannot be had (the bench needs root), or the inner half failed.
pub(super) fn enter(workspace: &Workspace, name: &str, parts: &Parts, rest: &[String]) -> Outcome<String> {
    let folder = workspace.target.join("bench").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let own = std::env::current_exe()?;
    let mut command = workspace.command("unshare");
    command
        .args(["--net", "--pid", "--fork", "--mount-proc", "--kill-child=SIGKILL"])
        .arg(own)
        .args(["bench", name, "inside"])
        .args([&parts.labinator, &parts.images, &folder])
        .args(rest);
    printed(&mut command)
}

impl Inside {
    /// Reads what [`enter`] wrote, when this is the inner half; brings the segment up.
    pub(super) fn of(arguments: &[String]) -> Option<Outcome<(Self, &[String])>> {
        let (inside, rest) = Self::bare(arguments)?;
        Some(raise().map(|()| (inside, rest)))
    }

    /// The same with nothing brought up: for a bench whose segment looks different.
    pub(super) fn bare(arguments: &[String]) -> Option<(Self, &[String])> {
        let [inside, labinator, images, folder, rest @ ..] = arguments else { return None };
        let parts = || Self { labinator: labinator.into(), images: images.into(), folder: folder.into() };
        (inside == "inside").then(|| (parts(), rest))
    }

    /// Starts the controller of a lab file on the segment; its page and its socket stay inside.
    pub(super) fn controller(&self, lab: &str) -> Outcome<Controller> {
        let state = self.folder.join("state");
        fs::create_dir_all(&state)?;
        let file = self.folder.join("lab.yaml");
        fs::write(&file, lab)?;
        let socket = self.folder.join("api.sock");
        let log = fs::File::create(self.folder.join("controller.log"))?;
        // A bench that measures with other loaders has laid them there.
        let loaders = self.folder.join("loaders");
        let child = Command::new(&self.labinator)
            .args(["serve", "--listen", "127.0.0.1:8080", "--lab"])
            .arg(file)
            .arg("--state")
            .arg(state)
            .arg("--images")
            .arg(&self.images)
            .env("LABINATOR_SOCKET", &socket)
            .envs(loaders.is_dir().then_some(("LABINATOR_LOADERS", &loaders)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        Ok(Controller { child, labinator: self.labinator.clone(), socket })
    }

    /// Switches a cold machine on. Numbers count from 1.
    pub(super) fn machine(&self, number: u8, firmware: Firmware) -> Outcome<Machine> {
        self.machine_with(number, firmware, &[])
    }

    /// The same, with more words for QEMU.
    pub(super) fn machine_with(&self, number: u8, firmware: Firmware, more: &[String]) -> Outcome<Machine> {
        let mut words: Vec<String> = "-accel tcg,thread=single -m 512 -nodefaults -no-reboot -display none \
                                      -device virtio-rng-pci"
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        let nic = format!("virtio-net-pci,netdev=n,mac={}", mac(number));
        match firmware {
            Firmware::Bios => words.extend(["-device".to_owned(), nic]),
            Firmware::UefiPxe => {
                let vars = self.folder.join(format!("vars{number}.fd"));
                fs::copy("/usr/share/OVMF/OVMF_VARS_4M.fd", &vars)?;
                let flash = "if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd";
                words.extend(["-drive".to_owned(), flash.to_owned()]);
                words.extend(["-drive".to_owned(), format!("if=pflash,format=raw,file={}", vars.display())]);
                words.extend(["-device".to_owned(), format!("{nic},romfile=")]);
                let no_v6 = "name=opt/org.tianocore/IPv6PXESupport,string=n";
                words.extend(["-fw_cfg".to_owned(), no_v6.to_owned()]);
            }
        }
        words.extend([
            "-uuid".to_owned(),
            format!("00000000-0000-4000-8000-0000000000{number:02x}"),
            "-netdev".to_owned(),
            format!("tap,id=n,ifname=tap{number},script=no,downscript=no"),
        ]);
        words.extend_from_slice(more);
        let on = wall_ms();
        let child = Command::new("qemu-system-x86_64").args(words).stdin(Stdio::null()).spawn()?;
        Ok(Machine { child, on })
    }
}

/// A machine that runs; it is cut off when dropped.
pub(super) struct Machine {
    child: Child,
    /// When it was switched on, in milliseconds since 1970.
    pub(super) on: u64,
}

impl Drop for Machine {
    fn drop(&mut self) {
        if self.child.kill().is_ok() {
            // Its tap is free only when it is gone.
            drop(self.child.wait());
        }
    }
}

/// A running controller; it is ended when dropped.
pub(super) struct Controller {
    /// The supervisor's process.
    pub(super) child: Child,
    labinator: PathBuf,
    socket: PathBuf,
}

impl Controller {
    /// A verb of the command line, for this controller.
    pub(super) fn verb(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.labinator);
        command.args(words).env("LABINATOR_SOCKET", &self.socket).stdin(Stdio::null());
        command
    }

    /// Waits until it is up and has read its images.
    pub(super) fn rises(&self) -> Outcome<()> {
        wait(Duration::from_secs(60), "the controller", || {
            quietly(&mut self.verb(&["start", "all", "--plan"])).then_some(())
        })
    }

    /// Starts a scenario, as soon as the controller is up and has read its images.
    pub(super) fn start(&self, scenario: &str) -> Outcome<()> {
        wait(Duration::from_secs(30), "the controller", || {
            quietly(&mut self.verb(&["start", scenario])).then_some(())
        })
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        let pid = self.child.id().to_string();
        if quietly(Command::new("kill").arg(pid)) {
            drop(self.child.wait());
        }
    }
}

/// Ethernet address of a machine.
pub(super) fn mac(number: u8) -> String {
    format!("52:54:00:77:00:{number:02x}")
}

/// Milliseconds since 1970.
pub(super) fn wall_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// Looks again and again until something is seen, a few hundred times a second at most.
pub(super) fn wait<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> Outcome<T> {
    let begun = Instant::now();
    loop {
        if let Some(seen) = look() {
            return Ok(seen);
        }
        if begun.elapsed() > limit {
            return Err(format!("{what} was not seen within {} s", limit.as_secs()).into());
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// A lab file with this segment's machines.
pub(super) fn lab_file(power: &str) -> String {
    let nodes: String = (1..=MACHINES)
        .map(|n| {
            let firmware = if power == "virtual" { ", firmware: bios" } else { "" };
            format!(
                "    n{n}: {{ at: [{}, {}], mac: '{}', ip: 10.77.0.{}, power: p/{n}{firmware} }}\n",
                (n - 1) % 3 + 1,
                (n - 1) / 3 + 1,
                mac(n),
                10 + n
            )
        })
        .collect();
    format!(
        "lab: bench\nnetwork: {{ interface: br0, subnet: 10.77.0.0/24, boss: {BOSS}, dhcp: authoritative, \
         pool: 10.77.0.200-10.77.0.250 }}\npower: {{ p: {{ driver: {power} }} }}\nboard:\n  columns: 3\n  \
         nodes:\n{nodes}scenarios:\n  all: {{ image: node, nodes: all }}\n"
    )
}

fn raise() -> Outcome<()> {
    ip("link set lo up")?;
    ip("link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0")?;
    ip(&format!("address add {BOSS}/24 dev br0"))?;
    ip("link set br0 up")?;
    for number in 1..=MACHINES {
        // The driver of virtual machines looks for a tap named after the address; a bench's own
        // machines use the short name.
        for tap in [format!("tap{number}"), format!("tap-007700{number:02x}")] {
            ip(&format!("tuntap add {tap} mode tap"))?;
            ip(&format!("link set {tap} master br0 up"))?;
        }
    }
    Ok(())
}

/// Runs `ip` with these words.
pub(super) fn ip(words: &str) -> Outcome<()> {
    printed(Command::new("ip").args(words.split(' '))).map(drop)
}

/// A file's whole text, or nothing.
pub(super) fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
