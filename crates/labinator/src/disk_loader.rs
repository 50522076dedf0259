//! Our loader on the disk of a machine: what its agent is told, with the loader of this lab on the shelf.
//!
//! ```text
//! asked ─▶ loader of this lab ─▶ shelf ─▶ order over the channel ─▶ agent: file, boot entry, order ─▶ told, and an event
//! ```
//! Nothing is kept of it here: what starts a machine stands in its firmware, and is looked at where it stands.

use std::path::PathBuf;
use std::sync::Arc;

use api::{LoaderAsk, LoaderWish};
use drivers::channel::{Channel, Unplaced, Unreached};
use lifecycle::{Lab, Refusal, admit_disks, named};
use model::{AgentBuild, AgentKey, Digest, DiskLoaderOrder, DiskLoaders, Fact, LabSpec, NodeName};
use store::shelf::Shelf;
use tokio::task::spawn_blocking;
use wire::loader::{Processor, Seed, Settings, Unfit, fitted};

use crate::desk::{Desk, DeskError};
use crate::media::{address_of, seed_of};
use crate::start::own_loader;

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
        let node =
            self.asked(node, |lab, asked| named(lab, asked).map(|machine| machine.node.clone())).await?;
        self.order(&node, &DiskLoaderOrder::Look).await
    }

    /// Puts it there, or takes it away.
    ///
    /// # Errors
    /// [`InstallError`]; the machine is started by what started it, or by what was asked for.
    pub async fn change(&self, node: &str, ask: LoaderAsk) -> Result<DiskLoaders, InstallError> {
        let node = self.asked(node, admit_disks).await?;
        let key = self.0.lab_key.ok_or(InstallError::NoKey)?;
        let LoaderAsk { wish, disk, force, fixed_address, by } = ask;
        let lab_key = AgentKey(key);
        let order = if wish == LoaderWish::Install {
            let seed = seed_of(&self.0.spec, key);
            let boss = seed.boss;
            let program = self.shelved(seed).await?;
            let address = fixed_address.then(|| address_of(&self.0.spec, &node)).flatten();
            // Nobody else is told by this medium who it is: whoever takes the disk elsewhere is not this machine.
            let settings = Settings { boss, node: None, address, patience: None };
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

    /// The machine that is meant, by the lab's judgment.
    async fn asked(
        &self,
        word: &str,
        judge: fn(&Lab, &str) -> Result<NodeName, Refusal>,
    ) -> Result<NodeName, DeskError> {
        let word = word.to_owned();
        Ok(self.0.desk.look(move |look| judge(look.lab, &word)).await??)
    }

    async fn order(&self, node: &NodeName, order: &DiskLoaderOrder) -> Result<DiskLoaders, InstallError> {
        let told = self.0.channel.order_loader(node, order).await;
        told.map_err(|why| InstallError::Unplaced { node: node.clone(), why })
    }

    /// The loader with this seed, on the shelf.
    async fn shelved(&self, seed: Seed) -> Result<AgentBuild, InstallError> {
        let path = own_loader(&self.0.loaders, Processor::X64);
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
