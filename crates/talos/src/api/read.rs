//! What a node says of itself: release, services, disks.

use super::error::NodeError;
use super::node::Node;
use super::proto::machine::{SERVICE_LIST, VERSION};
use super::proto::storage::DISKS;

/// A node's release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// For example `v1.12.11`.
    pub tag: String,
    /// The commit it was built from.
    pub sha: String,
    /// For example `amd64`.
    pub arch: String,
    /// For example `metal`.
    pub platform: String,
}

/// A service of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// For example `etcd`.
    pub id: String,
    /// Initialized, Preparing, Waiting, Starting, Running, Stopping, Finished, Failed or Skipped.
    pub state: String,
    /// What its check says; nothing before the first.
    pub healthy: Option<bool>,
    /// The last words of its check, or of its last event.
    pub message: String,
}

/// A disk of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// For example `/dev/sda`.
    pub device: String,
    /// In bytes.
    pub size: u64,
    /// As the disk says.
    pub model: String,
    /// As the disk says.
    pub serial: String,
    /// Its world-wide name, if it has one.
    pub wwid: String,
    /// Talos is installed on it.
    pub system: bool,
    /// Cannot be written.
    pub read_only: bool,
}

impl Node {
    /// Its release. In maintenance up to 1.12 it does not tell; see [`Node::probe`].
    ///
    /// # Errors
    /// See [`NodeError`].
    pub async fn version(&self) -> Result<Version, NodeError> {
        let reply = self.reading(&VERSION, ()).await?;
        let item = self.only(VERSION.name(), reply.messages)?;
        let version = item.version.unwrap_or_default();
        let platform = item.platform.unwrap_or_default().name;
        Ok(Version { tag: version.tag, sha: version.sha, arch: version.arch, platform })
    }

    /// Its services, by name.
    ///
    /// # Errors
    /// See [`NodeError`].
    pub async fn services(&self) -> Result<Vec<Service>, NodeError> {
        let reply = self.reading(&SERVICE_LIST, ()).await?;
        let mut services: Vec<Service> = self
            .only(SERVICE_LIST.name(), reply.messages)?
            .services
            .into_iter()
            .map(|info| {
                let health = info.health.unwrap_or_default();
                let last = info.events.and_then(|events| events.events.into_iter().next_back());
                let message = match last {
                    Some(last) if health.last_message.is_empty() => last.msg,
                    Some(_) | None => health.last_message,
                };
                let healthy = (!health.unknown).then_some(health.healthy);
                Service { id: info.id, state: info.state, healthy, message }
            })
            .collect();
        services.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(services)
    }

    /// Its disks, in maintenance too.
    ///
    /// # Errors
    /// See [`NodeError`].
    pub async fn disks(&self) -> Result<Vec<Disk>, NodeError> {
        let reply = self.reading(&DISKS, ()).await?;
        let disks = self.only(DISKS.name(), reply.messages)?.disks.into_iter().map(|disk| Disk {
            device: disk.device_name,
            size: disk.size,
            model: disk.model,
            serial: disk.serial,
            wwid: disk.wwid,
            system: disk.system_disk,
            read_only: disk.readonly,
        });
        Ok(disks.collect())
    }
}
