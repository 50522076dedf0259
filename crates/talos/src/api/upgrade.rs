//! Another release on an installed node, by whichever of Talos's two ways it has.

use tonic::Code;

use super::error::NodeError;
use super::node::Node;
use super::proto::common::{ContainerDriver, ContainerdInstance, ContainerdNamespace};
use super::proto::machine::{IMAGE_PULL, LIFECYCLE_UPGRADE, UPGRADE, UpgradeReq};
use super::proto::upgrade::lc_progress::Response as Progress;
use super::proto::upgrade::{ImagePullReq, LcSource, LcUpgradeReq, image_pull_resp};

const WHAT: &str = "Upgrade";

impl Node {
    /// Upgrades to an installer image, telling `progress` what the node says. From 1.13 on the image is pulled and written
    /// first and the node then rebooted; before, the node does it all by itself, and pulls before it answers.
    ///
    /// # Errors
    /// See [`NodeError`]; an installer that fails is refused with its exit code.
    pub async fn upgrade(&self, image: &str, mut progress: impl FnMut(&str)) -> Result<(), NodeError> {
        match self.upgrade_in_steps(image, &mut progress).await {
            Err(NodeError::Refused { status: Code::Unimplemented, .. }) => {}
            other => return other,
        }
        let request = UpgradeReq { image: image.to_owned(), ..UpgradeReq::default() };
        progress(&self.upgrade_at_once(request).await?);
        Ok(())
    }

    /// Upgrades by the call that does it all, which alone can be staged for the next boot and forced past the look at
    /// etcd; newer releases have it until 1.17. Returns what the node says.
    ///
    /// # Errors
    /// See [`NodeError`].
    pub async fn upgrade_at_once(&self, request: UpgradeReq) -> Result<String, NodeError> {
        let reply = self.changing(&UPGRADE, request).await?;
        Ok(self.only(WHAT, reply.messages)?.ack)
    }

    async fn upgrade_in_steps(&self, image: &str, progress: &mut impl FnMut(&str)) -> Result<(), NodeError> {
        let containerd = Some(ContainerdInstance {
            driver: ContainerDriver::Containerd.into(),
            namespace: ContainerdNamespace::NsSystem.into(),
        });
        let request = ImagePullReq { containerd, image_ref: image.to_owned() };
        let mut pulled = self.changing_long(&IMAGE_PULL, request).await?;
        while let Some(step) = pulled.message().await.map_err(|status| self.failed(WHAT, &status))? {
            if let Some(image_pull_resp::Response::Name(name)) = step.response {
                progress(&format!("pulled {name}"));
            }
        }
        let source = Some(LcSource { image_name: image.to_owned() });
        let request = LcUpgradeReq { containerd, source };
        let mut written = self.changing_long(&LIFECYCLE_UPGRADE, request).await?;
        let mut ended = None;
        while let Some(step) = written.message().await.map_err(|status| self.failed(WHAT, &status))? {
            match step.progress.and_then(|progress| progress.response) {
                Some(Progress::Message(text)) => progress(&text),
                Some(Progress::ExitCode(code)) => ended = Some(code),
                None => {}
            }
        }
        let at = self.at();
        match ended {
            Some(0) => self.reboot().await.map(drop),
            Some(code) => {
                let text = format!("the installer ended with {code}");
                Err(NodeError::Refused { at, what: WHAT, status: Code::Unknown, text })
            }
            None => {
                Err(NodeError::ReplyLost { at, what: WHAT, why: "no exit code of the installer".to_owned() })
            }
        }
    }
}
