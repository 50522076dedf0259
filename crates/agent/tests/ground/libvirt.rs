//! A libvirt of the test's own: its daemon in the namespace, with folders of its own in place of the machine's.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::ground::{Ground, shell};

/// As the image recipe configures it: QEMU as root, nothing moved or labelled, no helper daemon.
const QEMU: &str = "user = \"root\"\ngroup = \"root\"\nsecurity_driver = \"none\"\ndynamic_ownership = 0\n\
                    remember_owner = 0\nnamespaces = []\ncgroup_controllers = []\nstdio_handler = \"file\"\n";
const DAEMON: &str = "auth_unix_rw = \"none\"\nauth_unix_ro = \"none\"\nunix_sock_group = \"root\"\n";
/// libvirt looks for this user whatever it is configured to; Debian's `libvirt-daemon-system` makes it.
const USER: &str = "libvirt-qemu:x:64055:64055::/var/lib/libvirt:/usr/sbin/nologin\n";

/// libvirtd and its client.
pub(crate) struct Libvirt {
    root: PathBuf,
    namespace: String,
    daemon: Option<Child>,
}

impl Libvirt {
    /// Starts the daemon in a namespace.
    pub(crate) fn start(ground: &Ground) -> Self {
        let root = ground.root.join("libvirt");
        for folder in ["run", "etc", "lib", "cache", "log"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        fs::write(root.join("etc/qemu.conf"), QEMU).unwrap();
        fs::write(root.join("etc/libvirtd.conf"), DAEMON).unwrap();
        let mut users = fs::read_to_string("/etc/passwd").unwrap();
        if !users.contains("libvirt-qemu:") {
            users.push_str(USER);
        }
        fs::write(root.join("passwd"), users).unwrap();
        let mut groups = fs::read_to_string("/etc/group").unwrap();
        for group in ["kvm:x:106:\n", "libvirt-qemu:x:64055:\n"] {
            let name = group.split_inclusive(':').next().unwrap();
            if !groups.lines().any(|line| line.starts_with(name)) {
                groups.push_str(group);
            }
        }
        fs::write(root.join("group"), groups).unwrap();
        // Mounted over, they are this daemon's only: `ip netns exec` gives it a mount table of its own.
        for folder in ["run", "var/lib", "var/cache", "var/log", "etc"] {
            fs::create_dir_all(format!("/{folder}/libvirt")).unwrap();
        }
        let mut libvirt = Self { root, namespace: ground.name.clone(), daemon: None };
        libvirt.start_daemon();
        libvirt
    }

    /// Starts the daemon; it is there when it answers.
    pub(crate) fn start_daemon(&mut self) {
        let at = self.root.display();
        let mounts: String = [
            ("run", "run/libvirt"),
            ("lib", "var/lib/libvirt"),
            ("cache", "var/cache/libvirt"),
            ("log", "var/log/libvirt"),
            ("etc", "etc/libvirt"),
            ("passwd", "etc/passwd"),
            ("group", "etc/group"),
        ]
        .iter()
        .map(|(from, to)| format!("mount --bind {at}/{from} /{to} && "))
        .collect();
        let log = fs::File::options().append(true).create(true).open(self.root.join("daemon.log")).unwrap();
        let child = Command::new("ip")
            .args(["netns", "exec", &self.namespace, "sh", "-c", &format!("{mounts} exec libvirtd")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.daemon = Some(child.unwrap());
    }

    /// `kill -9` of the daemon.
    pub(crate) fn kill_daemon(&mut self) {
        let mut daemon = self.daemon.take().unwrap();
        daemon.kill().unwrap();
        daemon.wait().unwrap();
    }

    /// Where its socket is.
    pub(crate) fn uri(&self) -> String {
        format!("qemu+unix:///system?socket={}", self.root.join("run/libvirt-sock").display())
    }

    /// What virsh says, whether that is an error or not.
    pub(crate) fn says(&self, words: &[&str]) -> String {
        let mut virsh = Command::new("virsh");
        virsh.args(["--quiet", "--connect", &self.uri()]).args(words).env("LC_ALL", "C");
        let said = virsh.stdin(Stdio::null()).output().unwrap();
        String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).trim().to_owned()
    }

    /// Asks until the answer fits.
    pub(crate) fn until(&self, words: &[&str], fits: impl Fn(&str) -> bool) {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let said = self.says(words);
            if fits(&said) {
                return;
            }
            let log = || fs::read_to_string(self.root.join("daemon.log")).unwrap_or_default();
            assert!(Instant::now() < end, "virsh {words:?}: {said}\n{}", log());
        }
    }
}

impl Drop for Libvirt {
    fn drop(&mut self) {
        if self.daemon.is_some() {
            self.kill_daemon();
        }
        // The helper with which it asks QEMU what that can do may outlive it.
        let pids = self.root.join("lib/qemu/capabilities.pid");
        shell(&format!("[ ! -s {0} ] || kill -9 $(cat {0}) 2>/dev/null || true", pids.display()));
    }
}
