//! The root of a live image: packages unpacked without running anything of theirs, then furnished.
//!
//! Packages are only extracted (`mmdebstrap --variant=extract`): no script of a package runs, so nothing depends on
//! the machine that builds, and none of Debian's base that only serves installing comes along. What such scripts would
//! have left (users, the linker's view of things) is written here.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use drivers::process::{Program, run_once};

use super::LiveImage;
use super::recipe::{Extra, LEFT_OUT, Live, MODULES, MODULES_LEFT_OUT, SINGLE_MODULES};
use crate::image::ImageError;
use crate::image::kernel::Kernel;
use crate::image::manifest::Package;

pub(super) const MMDEBSTRAP: Program = Program::new("mmdebstrap", "mmdebstrap");
pub(super) const TAR: Program = Program::new("tar", "tar");
pub(super) const DEPMOD: Program = Program::new("depmod", "kmod");
/// Some 200 MB over a slow line.
const FETCH_LIMIT: Duration = Duration::from_secs(3600);
const LIMIT: Duration = Duration::from_secs(300);

/// Users and groups of the packages that run: Debian makes them when it installs.
const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n\
    nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n\
    sshd:x:101:65534::/run/sshd:/usr/sbin/nologin\n\
    _chrony:x:102:102::/var/lib/chrony:/usr/sbin/nologin\n";
const GROUP: &str = "root:x:0:\ntty:x:5:\ndisk:x:6:\nkvm:x:106:\n_chrony:x:102:\nnogroup:x:65534:\n";
/// No password opens this machine: only a key that was built in. Its own key is of this boot.
const SSHD: &str = "HostKey /etc/ssh/host_key\nPermitRootLogin prohibit-password\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
    UsePAM no\nAuthorizedKeysFile /etc/labinator/authorized_keys\nPrintMotd no\nSubsystem sftp internal-sftp\n";

/// libvirt looks for this user whatever it is configured to.
const LIBVIRT_USER: &str = "libvirt-qemu:x:103:103::/var/lib/libvirt:/usr/sbin/nologin\n";
const LIBVIRT_GROUP: &str = "libvirt-qemu:x:103:\n";
/// Guests run as root, as they do without libvirt: their files are the agent's, and nothing here moves or labels them.
/// QEMU writes consoles itself: no daemon more, and the agent gives back what is too much.
const QEMU_CONF: &str = "user = \"root\"\ngroup = \"root\"\nsecurity_driver = \"none\"\ndynamic_ownership = 0\n\
    remember_owner = 0\nnamespaces = []\ncgroup_controllers = []\nstdio_handler = \"file\"\n";
/// Whoever is root on this machine may ask it, and nobody else; there is no polkit to be asked.
const LIBVIRTD_CONF: &str = "unix_sock_group = \"root\"\nunix_sock_ro_perms = \"0700\"\nunix_sock_rw_perms = \"0700\"\n\
    auth_unix_ro = \"none\"\nauth_unix_rw = \"none\"\n";

/// An unpacked root.
#[derive(Debug)]
pub(super) struct Root {
    /// Where it lies.
    pub(super) folder: PathBuf,
    /// Packages it was unpacked from, by name.
    pub(super) packages: Vec<Package>,
}

impl Root {
    /// Fetches the packages and what they depend on, and unpacks them below `work`.
    ///
    /// # Errors
    /// A program is missing or failed: no network, no such suite, no such package.
    pub(super) async fn unpack(plan: &LiveImage, work: &Path) -> Result<Self, ImageError> {
        let (tar, names, folder) = (work.join("root.tar"), work.join("packages"), work.join("root"));
        // The hook sees the fetched packages before they are thrown away.
        let hook = format!("--extract-hook=ls \"$1/var/cache/apt/archives\" >'{}'", names.display());
        let mut words: Vec<String> = [
            "--quiet",
            "--variant=extract",
            "--format=tar",
            "--components=main,non-free-firmware",
            "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
            "--aptopt=Apt::Install-Recommends \"false\"",
        ]
        .map(str::to_owned)
        .to_vec();
        words.push(hook);
        words.push(format!("--include={}", plan.live.packages(&plan.with).join(",")));
        words.extend([plan.suite.clone(), tar.display().to_string()]);
        words.extend(plan.mirrors.iter().cloned());
        run_once(MMDEBSTRAP, &words, FETCH_LIMIT).await?;
        fs::create_dir_all(&folder).map_err(|e| ImageError::io(&folder, e))?;
        // Devices are the kernel's to show, and a plain user cannot make them.
        let words = ["--exclude=./dev/*", "--no-same-owner", "-xf"].map(Path::new);
        run_once(TAR, words.into_iter().chain([tar.as_path(), Path::new("-C"), &folder]), LIMIT).await?;
        fs::remove_file(&tar).map_err(|e| ImageError::io(&tar, e))?;
        let listed = fs::read_to_string(&names).map_err(|e| ImageError::io(&names, e))?;
        Ok(Self { folder, packages: packages(&listed) })
    }

    /// Makes it the root of a live image: leaves out what is not needed, chooses modules, adds what is ours.
    ///
    /// # Errors
    /// A file cannot be written, or a module is missing.
    pub(super) async fn furnish(
        &self,
        (live, with): (Live, &[Extra]),
        kernel: &Kernel,
        agent: &[u8],
        keys: Option<&[u8]>,
    ) -> Result<(), ImageError> {
        let wanted = |path: &str| {
            let within = |list: &[&str]| list.iter().any(|begin| path.starts_with(begin));
            within(&MODULES) && !within(&MODULES_LEFT_OUT) || within(&SINGLE_MODULES)
        };
        kernel.keep(wanted).await?;
        let all = [Path::new("-b"), &self.folder, Path::new(&kernel.version)];
        run_once(DEPMOD, all, LIMIT).await?;
        let left_out = LEFT_OUT.iter().copied().chain(["boot"]);
        left_out.into_iter().try_for_each(|begin| remove(&self.folder, begin))?;
        for folder in ["dev", "proc", "sys", "run", "tmp", "root", "var/lib/chrony", "var/log", "mnt"] {
            let path = self.folder.join(folder);
            fs::create_dir_all(&path).map_err(|e| ImageError::io(&path, e))?;
        }
        self.put("usr/lib/labinator/agent", agent, 0o755)?;
        self.put("etc/labinator/services", live.services(with).as_bytes(), 0o644)?;
        let (mut users, mut groups) = (PASSWD.to_owned(), GROUP.to_owned());
        if with.contains(&Extra::Libvirt) {
            users.push_str(LIBVIRT_USER);
            groups.push_str(LIBVIRT_GROUP);
            self.put("etc/libvirt/qemu.conf", QEMU_CONF.as_bytes(), 0o600)?;
            self.put("etc/libvirt/libvirtd.conf", LIBVIRTD_CONF.as_bytes(), 0o600)?;
            // Its client looks for it there, and only an installed system has it in one place with `/run`.
            self.link("var/run", "../run")?;
            // What the agent runs guests through.
            self.put("etc/labinator/guests", b"libvirt\n", 0o644)?;
        }
        self.put("etc/passwd", users.as_bytes(), 0o644)?;
        self.put("etc/group", groups.as_bytes(), 0o644)?;
        self.put("etc/shells", b"/bin/bash\n/bin/sh\n", 0o644)?;
        self.put("etc/nsswitch.conf", b"passwd: files\ngroup: files\nhosts: files dns\n", 0o644)?;
        self.put("etc/ssh/sshd_config", SSHD.as_bytes(), 0o644)?;
        if let Some(keys) = keys {
            self.put("etc/labinator/authorized_keys", keys, 0o600)?;
        }
        Ok(())
    }

    /// Makes a link of the root, in place of an empty folder of a package.
    fn link(&self, path: &str, to: &str) -> Result<(), ImageError> {
        let path = self.folder.join(path);
        drop(fs::remove_dir(&path));
        std::os::unix::fs::symlink(to, &path).map_err(|e| ImageError::io(&path, e))
    }

    /// Writes a file of the root, in place of one of a package.
    fn put(&self, path: &str, content: &[u8], mode: u32) -> Result<(), ImageError> {
        let path = self.folder.join(path);
        let failed = |e| ImageError::io(&path, e);
        if let Some(above) = path.parent() {
            fs::create_dir_all(above).map_err(failed)?;
        }
        // A package may have a symlink here that leads out of the root.
        drop(fs::remove_file(&path));
        let mut file = fs::File::create_new(&path).map_err(failed)?;
        file.write_all(content).map_err(failed)?;
        file.set_permissions(fs::Permissions::from_mode(mode)).map_err(failed)
    }
}

/// Removes what begins so: `usr/share/qemu/hppa` is `hppa-firmware.img` in `usr/share/qemu`.
fn remove(root: &Path, begin: &str) -> Result<(), ImageError> {
    let (above, name) = begin.rsplit_once('/').unwrap_or(("", begin));
    let above = root.join(above);
    let Ok(entries) = fs::read_dir(&above) else { return Ok(()) };
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(name)) {
        let path = entry.path();
        let folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let gone = if folder { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        gone.map_err(|e| ImageError::io(&path, e))?;
    }
    Ok(())
}

/// Reads names of package files: `busybox-static_1%3a1.35.0-4+deb12u1_amd64.deb`.
fn packages(listed: &str) -> Vec<Package> {
    let mut all: Vec<Package> = listed
        .lines()
        .filter_map(|line| {
            let mut parts = line.strip_suffix(".deb")?.splitn(3, '_');
            let (name, version) = (parts.next()?, parts.next()?);
            Some(Package { name: name.to_owned(), version: version.replace("%3a", ":") })
        })
        .collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_read_from_the_names_of_their_files() {
        let listed = "lock\nzlib1g_1.2.13_amd64.deb\nbusybox-static_1%3a1.35.0-4+b1_amd64.deb\npartial\n";
        let all: Vec<_> = packages(listed).into_iter().map(|p| format!("{} {}", p.name, p.version)).collect();
        assert_eq!(all, ["busybox-static 1:1.35.0-4+b1", "zlib1g 1.2.13"]);
    }

    #[test]
    fn what_begins_so_is_left_out_and_its_neighbours_stay() {
        let scratch = std::env::temp_dir().join(format!("labinator-root-{}", std::process::id()));
        for path in ["usr/share/qemu/hppa-firmware.img", "usr/share/qemu/kvmvapic.bin", "usr/share/doc/a/b"] {
            let path = scratch.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        for begin in ["usr/share/qemu/hppa", "usr/share/doc", "not/there"] {
            remove(&scratch, begin).unwrap();
        }
        let left = |path: &str| scratch.join(path).exists();
        assert!(!left("usr/share/qemu/hppa-firmware.img") && !left("usr/share/doc"));
        assert!(left("usr/share/qemu/kvmvapic.bin"));
        fs::remove_dir_all(scratch).unwrap();
    }
}
