//! A hypervisor that is a network namespace: a person switches it on, real clients play its firmware and its loader, and
//! the real agent runs real guests there.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use model::GUESTS_FOLDER;
use rustix::process::Signal;

use crate::e2e::client::Client;
use crate::e2e::ground::{given, until};
use crate::e2e::house::House;
use crate::e2e::lab::BOSS;
use crate::e2e::machines::machines_below;
use crate::e2e::processes::{children, lives, signal, told};

/// How long a step of its boot may take on a busy machine.
const STEP: Duration = Duration::from_secs(60);
/// What `udhcpc` calls: it only tells what it got.
const BOUND: &str = "#!/bin/sh\n[ \"$1\" = bound ] && ip addr add \"$ip/$mask\" dev \"$interface\"\nexit 0\n";

/// A hypervisor that is on.
#[derive(Debug)]
pub(crate) struct Hypervisor<'a> {
    house: &'a House,
    name: &'static str,
    agent: Child,
    /// The agent, as this process sees it.
    pid: u32,
}

impl<'a> Hypervisor<'a> {
    /// Switches it on. It asks for an address as iPXE does, fetches its script and what the script names, and goes on
    /// with the agent of that image, which is told what the script's kernel line says.
    pub(crate) fn boots(house: &'a House, name: &'static str, mac: &str, boot: &str) -> Self {
        let client = Client::new(house, name, mac);
        let script = house.write("bound.sh", BOUND);
        told(client.command(60, "chmod").arg("755").arg(&script));
        let mut asks = client.command(60, "busybox");
        // RFC 3004: a user class, as iPXE writes it.
        asks.args(["udhcpc", "-f", "-q", "-t", "20", "-i", "eth0", "-x", "0x4d:69505845", "-s"]);
        told(asks.arg(&script));

        let script = format!("http://{BOSS}/boot/{}.ipxe", mac.replace(':', "-"));
        let curl = |url: &str| told(client.command(60, "curl").args(["-sSf", url]));
        let script = until(STEP, "its script names a kernel", || {
            Some(curl(&script)).filter(|script| script.contains("labinator.nonce="))
        });
        let words: Vec<&str> = script.split_whitespace().collect();
        let mut files: Vec<&str> =
            words.iter().copied().filter(|w| w.starts_with("http://") && w.contains("/f/")).collect();
        files.dedup();
        assert!(files.len() > 1, "kernel and initramfs: {script}");
        for file in files {
            told(client.command(60, "curl").args(["-sSf", "-o", "/dev/null", file]));
        }
        let nonce = words.iter().find_map(|word| word.strip_prefix("labinator.nonce=")).unwrap();

        // The core asks an agent for consoles below this path; what guests are is looked for below the house's.
        let root = root(house, name);
        fs::create_dir(&root).unwrap();
        house.shell(&format!("mkdir -p {GUESTS_FOLDER} && mount --bind {} {GUESTS_FOLDER}", root.display()));

        let log = fs::File::options().create(true).append(true).open(house.path("agent.log")).unwrap();
        let mut agent = house.staying("ip");
        agent.args(["netns", "exec", name]).arg(given("LABINATOR_AGENT")).args(["guests", "--boss", BOSS]);
        agent.arg("--root").arg(&root).args(["--bridge", "br0", "--uplink", "eth0"]);
        agent.args(["--mac", mac, "--boot", boot, "--nonce", nonce, "--memory", "4096"]);
        agent.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let agent = agent.spawn().unwrap();
        let pid = until(STEP, "nsenter has started the agent", || {
            let inside = children(agent.id()).into_iter().find(|(_, line)| line.contains(" --nonce "));
            inside.map(|(pid, _)| pid)
        });
        Self { house, name, agent, pid }
    }

    /// The guests that run: their processes and names.
    pub(crate) fn guests(&self) -> Vec<(u32, String)> {
        let mut guests = machines_below(&root(self.house, self.name));
        guests.sort_by(|one, other| one.1.cmp(&other.1));
        guests
    }

    /// Its power is cut: the agent and all guests are gone at once, and what was in its memory with them.
    pub(crate) fn loses_power(mut self) {
        let guests = self.guests();
        for pid in guests.iter().map(|(pid, _)| *pid).chain([self.pid]) {
            signal(pid, Signal::KILL);
        }
        self.agent.wait().unwrap();
        until(STEP, "everything in it is gone", || guests.iter().all(|(pid, _)| !lives(*pid)).then_some(()));
        self.house
            .shell(&format!("ip link del to-{0} && ip netns del {0} && umount {GUESTS_FOLDER}", self.name));
        fs::remove_dir_all(root(self.house, self.name)).unwrap();
    }

    /// Waits until it went off by itself, its guests before it.
    pub(crate) fn goes_off(mut self, limit: Duration) {
        let agent = &mut self.agent;
        let status = until(limit, "the agent ends", || agent.try_wait().unwrap());
        assert!(status.success(), "{status}");
        assert_eq!(self.guests(), []);
    }
}

/// Where the agent keeps its guests.
fn root(house: &House, name: &str) -> PathBuf {
    house.path(name)
}
