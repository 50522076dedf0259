//! Another release on a simulated node, in both of Talos's ways.
//!
//! ```text
//! to 1.12:   Upgrade ─▶ sequence upgrade: drain .. upgrade (written) .. kexec ─▶ the new release boots
//!            staged ─▶ sequence stageUpgrade ─▶ the old release boots, sequence install (written) ─▶ kexec
//! from 1.13: ImageService.Pull ─▶ LifecycleService.Upgrade (written) ─▶ Reboot ─▶ the new release boots
//! ```
//! What is written is what the next kernel without firmware is. A machine that is booted from the network runs what the
//! network gives it, whatever its disk has.
//!
//! Read from upstream's tags v1.12.11 and v1.13.9: `v1alpha1_server.go`, `lifecycle.go`, `images.go`,
//! `v1alpha1_sequencer.go`, `etcd.go`.

use std::sync::Arc;

use futures_util::stream;
use sha2::{Digest as _, Sha256};
use talos::api::Character;
use talos::api::proto::machine::{UpRebootMode, UpgradeItem, UpgradeReq, UpgradeResp};
use talos::api::proto::told::{MachineStage, SeqAction, StartStop};
use talos::api::proto::upgrade::lc_progress::Response as Progress;
use talos::api::proto::upgrade::{
    ImageLayerProgress, ImagePullProgress, ImagePullReq, ImagePullResp, LayerStatus, LcProgress,
    LcUpgradeReq, LifecycleResp, image_pull_resp,
};
use talos::release::{Minor, Version};
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};

use super::boot::Ending;
use super::events::Payload;
use super::machine::{Api, Reply, Role};
use super::manner::{Manner, Place};
use super::node::{Inner, Kernel, Order, Stage};

/// What a release is called that is no genuine one.
const SIMULATED: &str = "-simulated";

/// A release that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Release {
    pub(super) character: Character,
    /// As it says itself, such as `v1.13.9`.
    pub(super) version: String,
}

impl Release {
    /// The one of a version that was put on a disk.
    pub(super) fn of(version: &str) -> Option<Self> {
        let plain = version.strip_suffix(SIMULATED).unwrap_or(version);
        let minor = Minor::of(&plain.parse().ok()?).ok()?;
        let character = if minor >= Minor::V1_13 { Character::From13 } else { Character::UpTo12 };
        Some(Self { character, version: version.to_owned() })
    }
}

/// What an installer's reference names, as far as the registries here have it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Installer {
    /// With the digest instead of the tag.
    canonical: String,
    version: Version,
}

/// Why there is no such installer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NoImage {
    /// Not a reference (distribution/reference).
    Unreadable,
    /// Nobody has it.
    Absent,
}

impl Installer {
    /// Looks a reference up: every release that this house knows has an installer at ghcr.io, to 1.13, and at the
    /// factory for every schematic.
    fn find(reference: &str) -> Result<Self, NoImage> {
        let (named, digest) = reference.split_once('@').map_or((reference, None), |(n, d)| (n, Some(d)));
        // A colon before the last slash is that of a port.
        let (repository, tag) = match named.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, tag),
            _ => (named, "latest"),
        };
        let right = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "./_-:".contains(c);
        let digest_is_right = digest.is_none_or(|digest| {
            let hex = digest.strip_prefix("sha256:").unwrap_or_default();
            hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit())
        });
        let tag_is_right =
            !tag.is_empty() && tag.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        let parts_are_right = repository.split('/').all(|part| !part.is_empty());
        if !repository.chars().all(right) || !parts_are_right || !tag_is_right || !digest_is_right {
            return Err(NoImage::Unreadable);
        }
        let is_installer = |part: &str| {
            matches!(part.strip_suffix("-secureboot").unwrap_or(part), "installer" | "metal-installer")
        };
        let version =
            tag.strip_prefix('v').and_then(|tag| tag.parse::<Version>().ok()).ok_or(NoImage::Absent)?;
        let minor = Minor::of(&version).map_err(|_| NoImage::Absent)?;
        // From 1.14 on the project's own registry has none.
        let gone = repository.starts_with("ghcr.io/siderolabs/") && minor >= Minor::V1_14;
        if gone || !repository.split('/').any(is_installer) {
            return Err(NoImage::Absent);
        }
        let made = || Sha256::digest(named).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let digest = digest.map_or_else(|| format!("sha256:{}", made()), str::to_owned);
        Ok(Self { canonical: format!("{repository}@{digest}"), version })
    }
}

impl NoImage {
    fn words(self, reference: &str) -> String {
        match self {
            Self::Unreadable => {
                format!("failed to parse image reference {reference:?}: invalid reference format")
            }
            Self::Absent => {
                format!(
                    "failed to pull image {reference:?}: failed to resolve reference {reference:?}: {reference}: not found"
                )
            }
        }
    }
}

impl Api {
    /// To 1.12 the only way, from 1.13 on an old one: pulls and looks before it answers, then does it all.
    pub(super) fn upgrade(&self, request: Request<UpgradeReq>) -> Reply<UpgradeResp> {
        let old = self.node.character() == Character::UpTo12;
        if self.maintenance && old {
            return Err(Status::unimplemented("API is not implemented in maintenance mode"));
        }
        self.may("Upgrade", Role::Admin, false)?;
        let request = request.into_inner();
        if !old && !self.node.now().installed {
            return Err(Status::failed_precondition("Talos is not installed"));
        }
        let image = &request.image;
        let installer = Installer::find(image).map_err(|why| {
            Status::unknown(format!("error validating installer image {image:?}: {}", why.words(image)))
        })?;
        let controls = self.node.now().config.as_ref().is_some_and(|config| config.control_plane);
        if controls && !request.force && !request.preserve {
            self.etcd_bears_an_upgrade()?;
        }
        let kexec = request.reboot_mode() == UpRebootMode::UpDefault;
        let version = self.node.called(&installer.version);
        if request.stage {
            self.node.now().staged = Some(version.clone());
            self.node.keep().map_err(|why| Status::unknown(format!("error writing meta: {why}")))?;
        }
        let order = Order::Upgrade { version: (!request.stage).then_some(version), kexec };
        let item = UpgradeItem {
            metadata: None,
            ack: "Upgrade request received".to_owned(),
            actor_id: self.order(order),
        };
        Ok(Response::new(UpgradeResp { messages: vec![item] }))
    }

    /// Whether etcd keeps its majority while one of its members is away.
    fn etcd_bears_an_upgrade(&self) -> Result<(), Status> {
        self.etcd_runs()?;
        let cluster =
            self.node.now().config.as_ref().map(|config| config.cluster.clone()).unwrap_or_default();
        match self.node.cluster.members(&cluster).len() {
            count @ 2 => Err(Status::unknown(format!(
                "error validating etcd for upgrade: etcd member count({count}) is insufficient to maintain quorum if upgrade commences"
            ))),
            _ => Ok(()),
        }
    }

    fn has_service(&self, name: &str) -> Result<(), Status> {
        match self.node.character() {
            Character::UpTo12 => Err(Status::unimplemented(format!("unknown service machine.{name}"))),
            Character::From13 => Ok(()),
        }
    }

    /// From 1.13 on: brings an image, telling how far it is.
    pub(super) fn image_pull(&self, request: Request<ImagePullReq>) -> Reply<BoxStream<ImagePullResp>> {
        self.has_service("ImageService")?;
        self.may("Pull", Role::Operator, false)?;
        let reference = request.into_inner().image_ref;
        let installer = Installer::find(&reference).map_err(|why| match why {
            NoImage::Unreadable => Status::unknown(why.words(&reference)),
            NoImage::Absent => Status::not_found(format!("error pulling image: {}", why.words(&reference))),
        })?;
        let layer = |status: LayerStatus, offset| {
            let progress =
                ImageLayerProgress { status: status.into(), elapsed: None, offset, total: 1 << 20 };
            let layer_id = installer.canonical.rsplit('@').next().unwrap_or_default().to_owned();
            let progress = ImagePullProgress { layer_id, progress: Some(progress) };
            ImagePullResp { response: Some(image_pull_resp::Response::PullProgress(progress)) }
        };
        let all = [
            layer(LayerStatus::Downloading, 1 << 19),
            layer(LayerStatus::ExtractComplete, 1 << 20),
            ImagePullResp { response: Some(image_pull_resp::Response::Name(installer.canonical.clone())) },
        ];
        self.node.now().pulled.insert(reference);
        Ok(Response::new(Box::pin(stream::iter(all.map(Ok)))))
    }

    /// From 1.13 on: writes what was pulled to the disk; the reboot is asked for apart from it. Whoever hangs up ends it.
    pub(super) fn lifecycle_upgrade(
        &self,
        request: Request<LcUpgradeReq>,
    ) -> Reply<BoxStream<LifecycleResp>> {
        self.has_service("LifecycleService")?;
        self.may("Upgrade", Role::Admin, false)?;
        let busy = |_| Status::failed_precondition("another installation/upgrade is already in progress");
        let writing = Arc::clone(&self.node.writing).try_lock_owned().map_err(busy)?;
        if !self.node.now().installed {
            return Err(Status::failed_precondition("machine is not installed"));
        }
        let image = request.into_inner().source.map(|source| source.image_name).unwrap_or_default();
        if image.is_empty() {
            return Err(Status::invalid_argument("installer image name is required"));
        }
        let pulled = self.node.now().pulled.contains(&image);
        let installer = Installer::find(&image).ok().filter(|_| pulled).ok_or_else(|| {
            let text = format!(
                "installer image {image:?} not found in containerd store: image {image:?}: not found"
            );
            Status::internal(format!("upgrade failed: {text}"))
        })?;
        let version = self.node.called(&installer.version);
        let steps = stream::unfold((Arc::clone(&self.node), writing, 0), move |(node, writing, step)| {
            let version = version.clone();
            async move {
                let said = match step {
                    0 => Progress::Message(format!("running Talos installer {version}")),
                    1 => node.written(&version).await,
                    _ => return None,
                };
                let progress = Some(LcProgress { response: Some(said) });
                Some((Ok(LifecycleResp { progress }), (node, writing, step + 1)))
            }
        });
        Ok(Response::new(Box::pin(steps)))
    }
}

impl Inner {
    /// The release that runs.
    pub(super) fn release(&self) -> Release {
        self.now().release.clone()
    }

    pub(super) fn character(&self) -> Character {
        self.now().release.character
    }

    /// Another kernel runs without the firmware: the one on the disk. Where nothing was ever put there, it is the one
    /// that it was made for.
    pub(super) fn boots_disk(&self) {
        let mut now = self.now();
        if let Some(release) = now.kept_version.as_deref().and_then(Release::of) {
            now.release = release;
        }
    }

    /// The firmware runs what is on the disk, or what comes over the network.
    pub(super) fn boots_anew(&self) {
        let kernel = {
            let mut now = self.now();
            now.release = self.own_release();
            now.kernel
        };
        if kernel == Kernel::OnDisk {
            self.boots_disk();
        }
    }

    /// The release that it was made for.
    pub(super) fn own_release(&self) -> Release {
        Release { character: self.settings.character, version: self.settings.version.clone() }
    }

    /// What a version is called here: one that is not genuine stays so.
    fn called(&self, version: &Version) -> String {
        let suffix = if self.settings.version.ends_with(SIMULATED) { SIMULATED } else { "" };
        format!("v{version}{suffix}")
    }

    /// Puts a release on the disk; once it is said to be there, it is.
    async fn writes_release(&self, version: &str) -> std::io::Result<()> {
        tokio::time::sleep(self.settings.pace.install).await;
        let before = self.now().kept_version.replace(version.to_owned());
        self.keep().inspect_err(|_| self.now().kept_version = before)
    }

    /// The installer's last words.
    async fn written(&self, version: &str) -> Progress {
        match self.writes_release(version).await {
            Ok(()) => Progress::ExitCode(0),
            Err(why) => {
                self.publish(Payload::SequenceFailed("upgrade", why.to_string()));
                Progress::ExitCode(1)
            }
        }
    }

    /// Carries an order for another release out; without a version, one that was staged waits for the next boot.
    pub(super) async fn upgrades(&self, version: Option<&str>, kexec: bool) -> Ending {
        let name = if version.is_some() { "upgrade" } else { "stageUpgrade" };
        let before: &[&'static str] = match version {
            Some(_) => {
                &["drain", "cleanup", "dbus", "stopServices", "unmount", "unmountSystem", "volumeFinalize"]
            }
            None => &["cleanup", "dbus", "stopServices", "umount", "unmountSystem", "volumeFinalize"],
        };
        for phase in before {
            self.phase(phase).await;
        }
        if let Some(version) = version {
            self.publish(Payload::Phase("upgrade", StartStop::Start));
            if self.has(&Manner::DiesAt(Place::Upgrade)) {
                return Ending::Off;
            }
            if let Err(why) = self.writes_release(version).await {
                return self.failed(name, &why);
            }
            self.publish(Payload::Phase("upgrade", StartStop::Stop));
            self.phase("meta").await;
        }
        if kexec {
            self.phase("kexec").await;
        }
        self.phase("stopEverything").await;
        if kexec { Ending::Kexec } else { Ending::Reset }
    }

    /// What was staged is written in the next boot. It is taken from the disk before: an installer that fails does so
    /// once.
    pub(super) async fn installs_staged(&self, version: &str) -> Ending {
        self.now().staged = None;
        if let Err(why) = self.keep() {
            return self.failed("install", &why);
        }
        self.publish(Payload::Sequence("install", SeqAction::SeqStart));
        self.phase("env").await;
        self.publish(Payload::Phase("install", StartStop::Start));
        self.stage(MachineStage::Installing, Stage::Installing, vec![]);
        if let Err(why) = self.writes_release(version).await {
            return self.failed("install", &why);
        }
        self.publish(Payload::Phase("install", StartStop::Stop));
        for phase in ["meta", "saveMeta", "volumeFinalize", "stopEverything"] {
            self.phase(phase).await;
        }
        self.publish(Payload::Phase("kexec", StartStop::Start));
        self.stage(MachineStage::Rebooting, Stage::Rebooting, vec![]);
        tokio::time::sleep(self.settings.pace.phase).await;
        self.publish(Payload::Sequence("install", SeqAction::SeqStop));
        Ending::Kexec
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_as_registries_read_them() {
        let factory = format!("factory.talos.dev/metal-installer/{}:v1.14.0-rc.1", "a".repeat(64));
        for (reference, version) in [
            ("ghcr.io/siderolabs/installer:v1.12.11", "1.12.11"),
            ("registry.lab:5000/siderolabs/installer:v1.13.9", "1.13.9"),
            ("10.0.0.1:5000/metal-installer-secureboot:v1.11.6", "1.11.6"),
            (factory.as_str(), "1.14.0-rc.1"),
        ] {
            let found = Installer::find(reference).unwrap();
            assert_eq!(found.version.to_string(), version);
            let (repository, digest) = found.canonical.split_once('@').unwrap();
            assert!(reference.starts_with(repository) && digest.len() == 71, "{}", found.canonical);
        }
        let digest = format!("sha256:{}", "0".repeat(64));
        let pinned = format!("ghcr.io/siderolabs/installer:v1.12.11@{digest}");
        let found = Installer::find(&pinned).unwrap();
        assert_eq!(found.canonical, format!("ghcr.io/siderolabs/installer@{digest}"));
        for absent in [
            "ghcr.io/siderolabs/installer",
            "ghcr.io/siderolabs/installer:v1.15.0",
            "ghcr.io/siderolabs/installer:v1.14.0",
            "ghcr.io/siderolabs/talosctl:v1.12.11",
            "registry.lab:5000/installer",
        ] {
            assert_eq!(Installer::find(absent), Err(NoImage::Absent), "{absent}");
        }
        for bad in
            ["", "Ghcr.io/x:v1.12.11", "a//installer:v1.12.11", "installer:v1 2", "installer@sha256:00", "x:"]
        {
            assert_eq!(Installer::find(bad), Err(NoImage::Unreadable), "{bad}");
        }
    }
}
