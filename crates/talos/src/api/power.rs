//! Reboot, shutdown and reset, each told apart by the boot it ends.

use std::io;
use std::time::Duration;

use prost::Message;
use tokio::time::Instant;
use tonic::Code;

use super::error::NodeError;
use super::file::FileError;
use super::grpc::Unary;
use super::node::Node;
use super::proto::machine;

/// What a reset wipes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wipe {
    /// The whole system disk with its boot loader, and every user disk it names.
    Everything,
    /// These partitions of the system disk only, for example `STATE` and `EPHEMERAL`: Talos stays installed and comes
    /// back in maintenance.
    Partitions(Vec<String>),
}

/// How to reset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reset {
    /// Leave etcd and Kubernetes first. Slow, and fails in a dead cluster: not for tearing a lab down.
    pub graceful: bool,
    /// Come back afterwards; otherwise power off.
    pub reboot: bool,
    /// What is wiped.
    pub wipe: Wipe,
}

/// Where Linux tells which boot this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

impl Node {
    /// Which boot this is. Takes admin.
    ///
    /// # Errors
    /// See [`NodeError`].
    pub async fn boot_id(&self) -> Result<String, NodeError> {
        let what = "the boot id";
        let mut bytes = Vec::new();
        let mut put = |piece: &[u8]| -> io::Result<()> {
            bytes.extend_from_slice(piece);
            Ok(())
        };
        match self.file(BOOT_ID, &mut put).await {
            Ok(_) => {}
            Err(FileError::Node(why)) => return Err(why),
            Err(FileError::Write(why) | FileError::Damaged(why)) => {
                return Err(NodeError::Unreadable { at: self.at(), what, why });
            }
        }
        let text = String::from_utf8_lossy(&bytes).trim().to_owned();
        if text.is_empty() {
            Err(NodeError::Unreadable { at: self.at(), what, why: "it is empty".to_owned() })
        } else {
            Ok(text)
        }
    }

    /// Reboots; returns the actor id under which its events can be followed.
    ///
    /// # Errors
    /// See [`NodeError`].
    pub async fn reboot(&self) -> Result<String, NodeError> {
        let request = machine::RebootReq { mode: machine::RebootMode::RbDefault.into() };
        self.acting(&machine::REBOOT, request).await
    }

    /// Powers off; returns the actor id. With `force` it does not wait for Kubernetes.
    ///
    /// # Errors
    /// See [`NodeError`].
    pub async fn shutdown(&self, force: bool) -> Result<String, NodeError> {
        self.acting(&machine::SHUTDOWN, machine::ShutdownReq { force }).await
    }

    /// Wipes; returns the actor id.
    ///
    /// # Errors
    /// See [`NodeError`].
    pub async fn reset(&self, how: Reset) -> Result<String, NodeError> {
        let labels = match how.wipe {
            Wipe::Everything => vec![],
            Wipe::Partitions(labels) => labels,
        };
        let request = machine::ResetReq {
            graceful: how.graceful,
            reboot: how.reboot,
            system_partitions_to_wipe: labels
                .into_iter()
                .map(|label| machine::WipePart { label, wipe: true })
                .collect(),
            user_disks_to_wipe: vec![],
            mode: machine::WipeMode::All.into(),
        };
        self.acting(&machine::RESET, request).await
    }

    /// A call that is answered by the id of who acts on it.
    async fn acting<I: Message + 'static>(
        &self,
        call: &Unary<I, machine::ActorResp>,
        message: I,
    ) -> Result<String, NodeError> {
        let reply = self.changing(call, message).await?;
        Ok(self.only(call.name(), reply.messages)?.actor_id)
    }

    /// Waits until the node answers from another boot than `before`, and returns that one: a node that answers may not
    /// have gone down yet.
    ///
    /// # Errors
    /// The last reason at the limit; a node that came back in maintenance, as after a reset, is refused or
    /// [`NodeError::WrongCluster`] at once, because its certificate is another.
    pub async fn next_boot(&self, before: &str, limit: Duration) -> Result<String, NodeError> {
        let ends = Instant::now() + limit;
        loop {
            self.hang_up().await;
            let last = match self.boot_id().await {
                Ok(now) if now != before => return Ok(now),
                Ok(_) => NodeError::TimedOut { at: self.at(), what: "from another boot", limit },
                Err(error) => error,
            };
            let over = !last.passes() && !matches!(last, NodeError::Refused { status: Code::Unknown, .. });
            if over || Instant::now() >= ends {
                return Err(last);
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}
