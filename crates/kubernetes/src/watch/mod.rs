//! Nodes and pods of a cluster, kept up to date by two watches.
//!
//! ```text
//!            ┌── 410, new kubeconfig ──────────────┐
//!            ▼                                     │
//!   list, page by page ──▶ watch from that version ┤
//!            ▲                       ▲             │
//!            └── refused, late       └── closed, silent: from the last version heard
//! ```
//!
//! The picture stays while the way to the server is lost, and says so. A list replaces it in one step.

mod expected;
mod follow;
mod judge;
mod objects;
mod picture;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::client::{Client, Dial};
use crate::trouble::Trouble;

pub(crate) use follow::escaped;

pub use expected::{Expected, Outlook, Shortfall, Workload};
pub use picture::{Counts, Link, Node, NodeState, Picture, Pod, PodName, PodState};

/// A watch that brings nothing for so long, not even a bookmark, is opened anew: a kube-apiserver sends one about
/// every minute, and a connection cut without a word looks just like a quiet one.
pub const SILENCE: Duration = Duration::from_secs(90);

/// Two watches that run until this is dropped.
#[derive(Debug)]
pub struct Watch {
    dial: Arc<dyn Dial>,
    client: watch::Sender<Arc<Client>>,
    picture: watch::Sender<Picture>,
    tasks: JoinSet<()>,
}

impl Watch {
    /// Begins to watch the cluster of this kubeconfig.
    ///
    /// # Errors
    /// [`Trouble::Kubeconfig`]. That the server is not there yet is no error: it is asked until it is.
    pub fn spawn(kubeconfig: &[u8], dial: Arc<dyn Dial>) -> Result<Self, Trouble> {
        let client = Arc::new(Client::new(kubeconfig, Arc::clone(&dial))?);
        let (client, _) = watch::channel(client);
        let (picture, _) = watch::channel(Picture::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(follow::run::<objects::NodeObject>(client.subscribe(), picture.clone()));
        tasks.spawn(follow::run::<objects::PodObject>(client.subscribe(), picture.clone()));
        Ok(Self { dial, client, picture, tasks })
    }

    /// Goes on with another kubeconfig. The picture stays until the new server's lists replace it.
    ///
    /// # Errors
    /// [`Trouble::Kubeconfig`]; then the old one stays in use.
    pub fn replace(&self, kubeconfig: &[u8]) -> Result<(), Trouble> {
        let client = Client::new(kubeconfig, Arc::clone(&self.dial))?;
        drop(self.client.send_replace(Arc::new(client)));
        Ok(())
    }

    /// The picture, now and whenever it changes.
    #[must_use]
    pub fn picture(&self) -> watch::Receiver<Picture> {
        self.picture.subscribe()
    }

    /// False once a watch has stopped, which it never does by itself.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.tasks.len() == 2
    }
}
