//! Our loader on the disk of a machine: what its agent is told, with the loader of this lab on the shelf.
//!
//! ```text
//! asked ─▶ loader of this lab ─▶ shelf ─▶ order over the channel ─▶ agent: file, boot entry, order ─▶ told, and an event
//! ```
//! Nothing is kept of it here: what starts a machine stands in its firmware, and is looked at where it stands.

use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::sync::Arc;

use api::{LoaderAsk, LoaderWish};
use drivers::channel::{Channel, Unplaced, Unreached};
use lifecycle::Refusal;
use model::{AgentBuild, AgentKey, Digest, DiskLoaderOrder, DiskLoaders, Fact, LabSpec, NodeName};
use store::shelf::Shelf;
use tokio::task::spawn_blocking;
use wire::loader::{FILE_X64, Seed, Settings, Unfit, fitted};

use crate::desk::{Desk, DeskError};
use crate::media::address_of;
use crate::start::loader_beside;

/// Port of the controller's boot HTTP.
const HTTP: u16 = 80;

/// Why nothing was done, or nobody knows.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// There is no such machine, or the controller ends.
    #[error(transparent)]
    Desk(#[from] DeskError),
    /// The lab has no key that could be read.
    #[error("the lab's key cannot be had, so no loader can be made for it")]
    NoKey,
    /// There is no loader, or none for this lab.
    #[error("{}: {why}", path.display())]
    Loader {
        /// Where it was looked for.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A disk of it is being wiped.
    #[error("{0}: a disk of it is being wiped")]
    Wiping(NodeName),
    /// Its agent did not do it.
    #[error("{node}: {why}")]
    Unplaced {
        /// Which machine.
        node: NodeName,
        /// Why.
        why: Unplaced,
    },
}

impl InstallError {
    /// A stable word for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Desk(_) => "unknown_node",
            Self::NoKey => "no_lab_key",
            Self::Loader { .. } => "no_loader",
            Self::Wiping(_) => "wiping",
            Self::Unplaced { why: Unplaced::Unreached(_), .. } => "unreached",
            Self::Unplaced { why: Unplaced::Unknown, .. } => "old_agent",
            Self::Unplaced { why: Unplaced::Refused(_), .. } => "not_placed",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::Desk(_) => String::new(),
            Self::NoKey => "labinator doctor".to_owned(),
            Self::Loader { .. } => {
                "build it with `cargo xtask loader`, and name its folder with `labinator serve --loaders`"
                    .to_owned()
            }
            Self::Wiping(node) => format!("labinator explain {node} says how far that is"),
            Self::Unplaced { why: Unplaced::Unreached(Unreached::Broken), node } => {
                format!("what was begun may be done: labinator media show {node}")
            }
            Self::Unplaced { why: Unplaced::Unreached(_), .. } => {
                "it must run one of the live images, `rescue` for example".to_owned()
            }
            Self::Unplaced { node, .. } => format!("labinator media show {node} lists what is there"),
        }
    }
}

/// Has loaders put onto disks.
#[derive(Debug, Clone)]
pub struct Installer(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    desk: Desk,
    channel: Channel,
    spec: LabSpec,
    lab_key: Option<[u8; 32]>,
    loaders: PathBuf,
    shelf: PathBuf,
}

impl Installer {
    /// One for this lab, whose loaders have this key in them and lie in the folder `loaders`, else beside this program.
    #[must_use]
    pub fn new(
        (desk, channel): (Desk, Channel),
        (spec, lab_key): (LabSpec, Option<[u8; 32]>),
        (loaders, shelf): (PathBuf, PathBuf),
    ) -> Self {
        Self(Arc::new(Parts { desk, channel, spec, lab_key, loaders, shelf }))
    }

    /// How it is on this machine.
    ///
    /// # Errors
    /// [`InstallError`].
    pub async fn look(&self, node: &str) -> Result<DiskLoaders, InstallError> {
        let node = self.known(node)?;
        self.order(&node, &DiskLoaderOrder::Look).await
    }

    /// Puts it there, or takes it away.
    ///
    /// # Errors
    /// [`InstallError`]; the machine is started by what started it, or by what was asked for.
    pub async fn change(&self, node: &str, ask: LoaderAsk) -> Result<DiskLoaders, InstallError> {
        let node = self.known(node)?;
        let picture = self.0.desk.publisher().latest();
        let machine = picture.machines.iter().find(|machine| machine.node == node);
        let beat = machine.and_then(|machine| machine.agent.as_ref()?.beat.as_ref());
        let wipe = beat.and_then(|beat| beat.wipe.as_ref());
        if wipe.is_some_and(|wipe| !wipe.state.is_end()) {
            return Err(InstallError::Wiping(node));
        }
        let key = self.0.lab_key.ok_or(InstallError::NoKey)?;
        let LoaderAsk { wish, disk, force, fixed_address, by } = ask;
        let lab_key = AgentKey(key);
        let order = if wish == LoaderWish::Install {
            let boss = SocketAddrV4::new(self.0.spec.network.boss, HTTP);
            let program = self.shelved(Seed { lab_key: key, boss: Some(boss) }).await?;
            let address = fixed_address.then(|| address_of(&self.0.spec, &node)).flatten();
            // Nobody else is told by this medium who it is: whoever takes the disk elsewhere is not this machine.
            let settings = Settings { boss: Some(boss), node: None, address, patience: None };
            DiskLoaderOrder::Install { program, lab_key, settings: settings.text(), disk, force }
        } else {
            DiskLoaderOrder::Remove { lab_key, disk, force }
        };
        let how = self.order(&node, &order).await?;
        if !how.done.is_empty() {
            let done = how.done.clone();
            self.0.desk.tell(Fact::DiskLoaderChanged { node, done, by }).await?;
        }
        Ok(how)
    }

    fn known(&self, asked: &str) -> Result<NodeName, DeskError> {
        let known = &self.0.spec.board.nodes;
        let node = known.keys().find(|node| node.as_str() == asked).cloned();
        node.ok_or_else(|| {
            let known = known.keys().cloned().collect();
            Refusal::UnknownNode { asked: asked.to_owned(), known }.into()
        })
    }

    async fn order(&self, node: &NodeName, order: &DiskLoaderOrder) -> Result<DiskLoaders, InstallError> {
        let told = self.0.channel.order_loader(node, order).await;
        told.map_err(|why| InstallError::Unplaced { node: node.clone(), why })
    }

    /// The loader with this seed, on the shelf.
    async fn shelved(&self, seed: Seed) -> Result<AgentBuild, InstallError> {
        let named = self.0.loaders.join(FILE_X64);
        let path = if named.is_file() { named } else { loader_beside().unwrap_or(named) };
        let shelf = Shelf::new(&self.0.shelf);
        let from = path.clone();
        let work = move || {
            let file = std::fs::read(&from).map_err(|why| why.to_string())?;
            let bytes = fitted(&file, &seed).map_err(|why: Unfit| why.to_string())?;
            let digest = shelf.put(bytes.as_ref()).map_err(|why| why.to_string())?;
            Ok(AgentBuild { digest: Digest(digest.0), size: u64::try_from(bytes.len()).unwrap_or(u64::MAX) })
        };
        let done = spawn_blocking(work).await.unwrap_or_else(|why| Err(why.to_string()));
        done.map_err(|why| InstallError::Loader { path, why })
    }
}
