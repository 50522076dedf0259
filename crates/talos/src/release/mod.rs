//! What differs between releases of Talos: Kubernetes versions, images, kernel arguments.
//!
//! Read from upstream's tags v1.9.6, v1.10.9, v1.11.6, v1.12.11, v1.13.9 and v1.14.0-rc.1: `constants.go`,
//! `compatibility/`, `images/list.go`, `kernel/kernel.go` and `quirks.go`.

mod version;

pub use version::{Version, VersionError};

/// A minor release of Talos, which is also the contract that its machine configs keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Minor {
    /// 1.9
    V1_9,
    /// 1.10
    V1_10,
    /// 1.11
    V1_11,
    /// 1.12
    V1_12,
    /// 1.13
    V1_13,
    /// 1.14
    V1_14,
}

/// An instruction set that Talos is built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arch {
    /// x86-64-v2
    Amd64,
    /// aarch64
    Arm64,
}

/// What one minor release says of itself.
struct Row {
    latest: &'static str,
    kubernetes: &'static str,
    /// Lowest and highest minor of Kubernetes 1.
    range: (u32, u32),
    etcd: &'static str,
    coredns: &'static str,
    flannel: &'static str,
    pause: &'static str,
    policies: Option<&'static str>,
}

impl Minor {
    /// All of them, oldest first.
    pub const ALL: [Self; 6] = [Self::V1_9, Self::V1_10, Self::V1_11, Self::V1_12, Self::V1_13, Self::V1_14];

    /// The release whose configs are made unless somebody says otherwise: the newest that is not a candidate.
    pub const DEFAULT: Self = Self::V1_13;

    /// Its number after `1.`
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::V1_9 => 9,
            Self::V1_10 => 10,
            Self::V1_11 => 11,
            Self::V1_12 => 12,
            Self::V1_13 => 13,
            Self::V1_14 => 14,
        }
    }

    /// The minor release that a version of Talos belongs to.
    ///
    /// # Errors
    /// A release that is not known here.
    pub fn of(version: &Version) -> Result<Self, VersionError> {
        let known = |minor: &Self| version.major == 1 && minor.number() == version.minor;
        Self::ALL.into_iter().find(known).ok_or_else(|| VersionError::Talos(version.clone()))
    }

    const fn row(self) -> Row {
        match self {
            Self::V1_9 => Row {
                latest: "1.9.6",
                kubernetes: "1.32.4",
                range: (27, 32),
                etcd: "gcr.io/etcd-development/etcd:v3.5.21",
                coredns: "v1.12.0",
                flannel: "v0.26.5",
                pause: "3.10",
                policies: None,
            },
            Self::V1_10 => Row {
                latest: "1.10.9",
                kubernetes: "1.33.6",
                range: (28, 33),
                etcd: "gcr.io/etcd-development/etcd:v3.5.26",
                coredns: "v1.12.1",
                flannel: "v0.26.7",
                pause: "3.10",
                policies: None,
            },
            Self::V1_11 => Row {
                latest: "1.11.6",
                kubernetes: "1.34.1",
                range: (29, 34),
                etcd: "gcr.io/etcd-development/etcd:v3.6.5",
                coredns: "v1.12.4",
                flannel: "v0.27.4",
                pause: "3.10",
                policies: None,
            },
            Self::V1_12 => Row {
                latest: "1.12.11",
                kubernetes: "1.35.4",
                range: (30, 35),
                etcd: "registry.k8s.io/etcd:v3.6.11",
                coredns: "v1.14.2",
                flannel: "v0.27.4",
                pause: "3.10.1",
                policies: None,
            },
            Self::V1_13 => Row {
                latest: "1.13.9",
                kubernetes: "1.36.3",
                range: (31, 36),
                etcd: "registry.k8s.io/etcd:v3.6.12",
                coredns: "v1.14.6",
                flannel: "0.28.8",
                pause: "3.10.1",
                policies: Some("v1.1.0"),
            },
            Self::V1_14 => Row {
                latest: "1.14.0-rc.1",
                kubernetes: "1.37.0-rc.0",
                range: (32, 37),
                etcd: "registry.k8s.io/etcd:3.7.1",
                coredns: "v1.14.6",
                flannel: "0.28.9",
                pause: "3.10.2",
                policies: Some("v1.1.1"),
            },
        }
    }

    /// The newest release of this minor when the table was written.
    #[must_use]
    pub fn latest(self) -> Version {
        Version::known(self.row().latest)
    }

    /// The Kubernetes that this release brings unless somebody says otherwise.
    #[must_use]
    pub fn default_kubernetes(self) -> Version {
        Version::known(self.row().kubernetes)
    }

    /// Lowest and highest minor of Kubernetes 1 that this release runs.
    #[must_use]
    pub const fn kubernetes_range(self) -> (u32, u32) {
        self.row().range
    }

    /// Whether this release runs that Kubernetes.
    ///
    /// # Errors
    /// It does not; the error names the range.
    pub fn check_kubernetes(self, kubernetes: &Version) -> Result<(), VersionError> {
        let (low, high) = self.kubernetes_range();
        if kubernetes.major == 1 && (low..=high).contains(&kubernetes.minor) {
            return Ok(());
        }
        Err(VersionError::Kubernetes { kubernetes: kubernetes.clone(), talos: self, low, high })
    }

    /// The images of a cluster, in the order of `talosctl image default` (since 1.12 `image k8s-bundle`), which
    /// from 1.12 on does not name the installer: see [`installer`].
    #[must_use]
    pub fn images(self, talos: &Version, kubernetes: &Version) -> Vec<String> {
        let row = self.row();
        let pause = format!("registry.k8s.io/pause:{}", row.pause);
        let mut all = vec![
            format!("ghcr.io/siderolabs/flannel:{}", row.flannel),
            format!("registry.k8s.io/coredns/coredns:{}", row.coredns),
            row.etcd.to_owned(),
        ];
        if self >= Self::V1_13 {
            all.push(pause.clone());
        }
        for part in ["apiserver", "controller-manager", "scheduler", "proxy"] {
            all.push(format!("registry.k8s.io/kube-{part}:v{kubernetes}"));
        }
        all.push(format!("ghcr.io/siderolabs/kubelet:v{kubernetes}"));
        if self <= Self::V1_11 {
            all.push(installer(self, talos));
        }
        if self <= Self::V1_12 {
            all.push(pause);
        }
        if let Some(version) = row.policies {
            all.push(format!("registry.k8s.io/networking/kube-network-policies:{version}"));
        }
        all
    }

    /// Kernel arguments of a netboot on metal, as upstream's imager writes them. Two are checked when Talos
    /// starts, and without them it stops: `slab_nomerge` and `pti=on`.
    #[must_use]
    pub fn kernel_args(self, arch: Arch) -> Vec<&'static str> {
        let mut all = vec!["talos.platform=metal"];
        all.extend_from_slice(match arch {
            Arch::Amd64 => &["console=tty0"],
            Arch::Arm64 => &["console=ttyAMA0", "console=tty0"],
        });
        let old = self <= Self::V1_13;
        let groups: [(bool, &[&str]); 8] = [
            (old, &["init_on_alloc=1"]),
            (true, &["slab_nomerge", "pti=on", "consoleblank=0"]),
            (old, &["nvme_core.io_timeout=4294967295"]),
            (true, &["printk.devkmsg=on"]),
            (self <= Self::V1_10, &["ima_template=ima-ng", "ima_appraise=fix", "ima_hash=sha512"]),
            (self >= Self::V1_10, &["selinux=1"]),
            (self >= Self::V1_12, &["module.sig_enforce=1"]),
            (self >= Self::V1_13, &["proc_mem.force_override=never"]),
        ];
        all.extend(groups.iter().filter(|(wanted, _)| *wanted).flat_map(|(_, group)| *group));
        all
    }
}

/// The image that writes Talos to a disk, unless somebody says otherwise.
#[must_use]
pub fn installer(minor: Minor, talos: &Version) -> String {
    if minor <= Minor::V1_13 {
        return format!("ghcr.io/siderolabs/installer:v{talos}");
    }
    // 1.14 publishes no installer of its own: the image factory's, for the schematic that asks for nothing.
    format!("factory.talos.dev/metal-installer/{EMPTY_SCHEMATIC}:v{talos}")
}

/// The image factory's id of a schematic that asks for nothing.
pub const EMPTY_SCHEMATIC: &str = "376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba";

impl core::fmt::Display for Minor {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "1.{}", self.number())
    }
}

impl core::str::FromStr for Minor {
    type Err = VersionError;

    /// `1.12`, `v1.12` or a whole version.
    fn from_str(text: &str) -> Result<Self, VersionError> {
        Self::of(&text.parse()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_release_runs_the_kubernetes_it_brings_and_not_the_ones_beside_its_range() {
        for minor in Minor::ALL {
            let latest = minor.latest();
            assert_eq!(Minor::of(&latest), Ok(minor));
            assert_eq!(minor.check_kubernetes(&minor.default_kubernetes()), Ok(()));
            let (low, high) = minor.kubernetes_range();
            assert_eq!(minor.default_kubernetes().minor, high);
            for bad in [low - 1, high + 1] {
                let error = minor.check_kubernetes(&format!("1.{bad}.0").parse().unwrap()).unwrap_err();
                assert!(error.to_string().contains(&format!("1.{low} to 1.{high}")), "{error}");
            }
        }
    }

    #[test]
    fn image_lists_have_the_order_of_their_release() {
        let list = |minor: Minor| minor.images(&minor.latest(), &minor.default_kubernetes()).join("\n");
        assert_eq!(
            list(Minor::V1_9),
            "ghcr.io/siderolabs/flannel:v0.26.5
registry.k8s.io/coredns/coredns:v1.12.0
gcr.io/etcd-development/etcd:v3.5.21
registry.k8s.io/kube-apiserver:v1.32.4
registry.k8s.io/kube-controller-manager:v1.32.4
registry.k8s.io/kube-scheduler:v1.32.4
registry.k8s.io/kube-proxy:v1.32.4
ghcr.io/siderolabs/kubelet:v1.32.4
ghcr.io/siderolabs/installer:v1.9.6
registry.k8s.io/pause:3.10"
        );
        assert_eq!(
            list(Minor::V1_13),
            "ghcr.io/siderolabs/flannel:0.28.8
registry.k8s.io/coredns/coredns:v1.14.6
registry.k8s.io/etcd:v3.6.12
registry.k8s.io/pause:3.10.1
registry.k8s.io/kube-apiserver:v1.36.3
registry.k8s.io/kube-controller-manager:v1.36.3
registry.k8s.io/kube-scheduler:v1.36.3
registry.k8s.io/kube-proxy:v1.36.3
ghcr.io/siderolabs/kubelet:v1.36.3
registry.k8s.io/networking/kube-network-policies:v1.1.0"
        );
        assert!(list(Minor::V1_12).ends_with("kubelet:v1.35.4\nregistry.k8s.io/pause:3.10.1"));
    }

    #[test]
    fn kernel_arguments_follow_the_release() {
        let line = |minor: Minor| minor.kernel_args(Arch::Amd64).join(" ");
        assert_eq!(
            line(Minor::V1_9),
            "talos.platform=metal console=tty0 init_on_alloc=1 slab_nomerge pti=on consoleblank=0 \
             nvme_core.io_timeout=4294967295 printk.devkmsg=on ima_template=ima-ng ima_appraise=fix \
             ima_hash=sha512"
        );
        assert_eq!(
            line(Minor::V1_12),
            "talos.platform=metal console=tty0 init_on_alloc=1 slab_nomerge pti=on consoleblank=0 \
             nvme_core.io_timeout=4294967295 printk.devkmsg=on selinux=1 module.sig_enforce=1"
        );
        assert_eq!(
            line(Minor::V1_14),
            "talos.platform=metal console=tty0 slab_nomerge pti=on consoleblank=0 printk.devkmsg=on selinux=1 \
             module.sig_enforce=1 proc_mem.force_override=never"
        );
        assert!(Minor::V1_10.kernel_args(Arch::Arm64).contains(&"console=ttyAMA0"));
    }

    #[test]
    fn releases_that_are_not_known_are_refused_with_those_that_are() {
        for text in ["1.8.4", "v1.15.0", "2.9.0"] {
            let error = text.parse::<Minor>().unwrap_err();
            assert!(error.to_string().contains("1.9 to 1.14"), "{error}");
        }
        assert_eq!("v1.12".parse(), Ok(Minor::V1_12));
    }
}
