//! A node's resources (COSI), read from their YAML: stage, volumes, hardware, addresses, links.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tonic::Code;

use super::error::NodeError;
use super::node::Node;
use super::proto::cosi::{GetReq, ListReq, Res, STATE_GET, STATE_LIST};

/// A resource: its id, and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource<T> {
    /// For example `STATE`.
    pub id: String,
    /// What it says.
    pub spec: T,
}

/// Where a node is on its way, by itself (`MachineStatuses.runtime.talos.dev`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct MachineStatus {
    /// booting, installing, maintenance, running, rebooting, shutting down, resetting, upgrading.
    pub stage: String,
    /// Whether it is ready there, and what is missing. Says something while booting and running only.
    #[serde(default)]
    pub status: Ready,
}

/// Whether a node is ready.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ready {
    /// All is there.
    #[serde(default)]
    pub ready: bool,
    /// What is not.
    #[serde(default)]
    pub unmet_conditions: Vec<Unmet>,
}

impl Ready {
    /// What is not there yet, for a person.
    #[must_use]
    pub fn unmet(&self) -> Vec<String> {
        self.unmet_conditions.iter().map(|unmet| format!("{}: {}", unmet.name, unmet.reason)).collect()
    }
}

/// Something that is not there yet.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Unmet {
    /// time, network, services, staticPods, nodeReady.
    pub name: String,
    /// In the node's words.
    #[serde(default)]
    pub reason: String,
}

/// A volume (`VolumeStatuses.block.talos.dev`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Volume {
    /// waiting, failed, missing, located, provisioned, prepared, ready, closed.
    #[serde(default)]
    pub phase: String,
    /// Where it is, once located.
    #[serde(default)]
    pub location: String,
}

impl Volume {
    /// It exists on a disk.
    #[must_use]
    pub fn exists(&self) -> bool {
        !self.location.is_empty() || !matches!(self.phase.as_str(), "" | "waiting" | "failed" | "missing")
    }
}

/// What the board's firmware says it is (`SystemInformations.hardware.talos.dev`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SystemInformation {
    /// SMBIOS UUID.
    #[serde(default)]
    pub uuid: String,
    /// Serial number.
    #[serde(default, alias = "serialnumber", alias = "serialNumber")]
    pub serial: String,
    /// Who made it.
    #[serde(default)]
    pub manufacturer: String,
    /// What it is.
    #[serde(default, rename = "productName")]
    pub product: String,
}

#[derive(Deserialize)]
struct Addresses {
    #[serde(default)]
    addresses: Vec<String>,
}

/// A network card (`LinkStatuses.net.talos.dev`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// Its Ethernet address.
    #[serde(default)]
    pub hardware_addr: String,
    /// up, down, unknown.
    #[serde(default)]
    pub operational_state: String,
    /// A cable is in it and the other side is on.
    #[serde(default)]
    pub link_state: bool,
}

impl Node {
    /// Its stage, in maintenance too. In every release and state, this and no open port is what a node says of itself.
    ///
    /// # Errors
    /// See [`NodeError`].
    pub async fn machine_status(&self) -> Result<MachineStatus, NodeError> {
        self.resource("runtime", "MachineStatuses.runtime.talos.dev", "machine").await
    }

    /// The volume of that name, if the node knows it: whether there is a STATE tells whether a saved config will win over
    /// any other.
    ///
    /// # Errors
    /// See [`NodeError`].
    pub async fn volume(&self, name: &str) -> Result<Option<Volume>, NodeError> {
        match self.resource("runtime", "VolumeStatuses.block.talos.dev", name).await {
            Ok(volume) => Ok(Some(volume)),
            Err(NodeError::Refused { status: Code::NotFound, .. }) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// What its firmware says it is, in maintenance too.
    ///
    /// # Errors
    /// See [`NodeError`].
    pub async fn system_information(&self) -> Result<SystemInformation, NodeError> {
        self.resource("hardware", "SystemInformations.hardware.talos.dev", "systeminformation").await
    }

    /// Its addresses with their prefix lengths, in maintenance too.
    ///
    /// # Errors
    /// See [`NodeError`].
    pub async fn addresses(&self) -> Result<Vec<String>, NodeError> {
        let all: Addresses = self.resource("network", "NodeAddresses.net.talos.dev", "current").await?;
        Ok(all.addresses)
    }

    /// Its network cards, in maintenance too.
    ///
    /// # Errors
    /// See [`NodeError`].
    pub async fn links(&self) -> Result<Vec<Resource<Link>>, NodeError> {
        self.resources("network", "LinkStatuses.net.talos.dev").await
    }

    /// One resource.
    ///
    /// # Errors
    /// See [`NodeError`]; one that does not exist is refused as `NotFound`.
    pub async fn resource<T: DeserializeOwned>(
        &self,
        namespace: &str,
        kind: &str,
        id: &str,
    ) -> Result<T, NodeError> {
        let what = "a resource";
        let request = GetReq { namespace: namespace.to_owned(), r#type: kind.to_owned(), id: id.to_owned() };
        let reply = self.reading(&STATE_GET, request).await?;
        let resource = reply.resource.unwrap_or_default();
        Ok(self.spec_of(what, resource)?.spec)
    }

    /// All resources of a kind.
    ///
    /// # Errors
    /// See [`NodeError`].
    pub async fn resources<T: DeserializeOwned>(
        &self,
        namespace: &str,
        kind: &str,
    ) -> Result<Vec<Resource<T>>, NodeError> {
        let what = "resources";
        let request = ListReq { namespace: namespace.to_owned(), r#type: kind.to_owned() };
        let mut stream = self.following(&STATE_LIST, request).await?;
        let mut all = Vec::new();
        while let Some(reply) = self.next(what, &mut stream).await? {
            all.push(self.spec_of(what, reply.resource.unwrap_or_default())?);
        }
        Ok(all)
    }

    fn spec_of<T: DeserializeOwned>(
        &self,
        what: &'static str,
        resource: Res,
    ) -> Result<Resource<T>, NodeError> {
        let yaml = resource.spec.unwrap_or_default().yaml_spec;
        let id = resource.metadata.unwrap_or_default().id;
        let spec = serde_saphyr::from_str(&yaml).map_err(|why| NodeError::Unreadable {
            at: self.at(),
            what,
            why: format!("{id}: {why}"),
        })?;
        Ok(Resource { id, spec })
    }
}
