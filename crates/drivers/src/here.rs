//! Virtual machines of this computer: their consoles and their screens, which lie beside their QEMU.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use model::{LabSpec, NodeName, PowerDriver};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};

use crate::channel::{Consoles, Unreached};
use crate::way::{self, Inlet, Outlet};

/// What a serial port takes before whoever types has to wait.
const TYPED_WAITING: usize = 8;
/// Unix socket of a machine's screen (RFC 6143), in its folder.
pub(crate) const SCREEN: &str = "vnc.sock";

/// The virtual machines of a lab that run on this computer.
#[derive(Debug, Clone, Default)]
pub struct Here {
    seats: Arc<BTreeMap<NodeName, Seat>>,
    consoles: Consoles,
}

/// One machine's place.
#[derive(Debug, Clone)]
pub(crate) struct Seat {
    pub(crate) node: NodeName,
    pub(crate) folder: PathBuf,
    pub(crate) consoles: Consoles,
    /// Goes to its serial port while it runs.
    keys: Arc<Mutex<Option<mpsc::Sender<Typing>>>>,
}

/// What is typed, and who is told once it went in.
#[derive(Debug)]
pub(crate) struct Typing {
    pub(crate) text: Bytes,
    pub(crate) done: oneshot::Sender<()>,
}

impl Here {
    /// Those of this lab. What each needs lies in `STATE/NODE`.
    #[must_use]
    pub fn of(spec: &LabSpec, state: &Path) -> Self {
        let consoles = Consoles::default();
        let is_virtual = |driver| matches!(spec.power.get(driver), Some(PowerDriver::Virtual { .. }));
        let here = spec.board.nodes.iter().filter(|(_, node)| is_virtual(&node.power.driver));
        let seats = here.map(|(node, _)| {
            consoles.expect(node);
            let folder = state.join(node.as_str());
            (node.clone(), Seat::new(node.clone(), folder, consoles.clone()))
        });
        Self { seats: Arc::new(seats.collect()), consoles }
    }

    /// What their consoles said.
    #[must_use]
    pub const fn consoles(&self) -> &Consoles {
        &self.consoles
    }

    pub(crate) fn seat(&self, node: &NodeName) -> Option<&Seat> {
        self.seats.get(node)
    }
}

impl Seat {
    pub(crate) fn new(node: NodeName, folder: PathBuf, consoles: Consoles) -> Self {
        Self { node, folder, consoles, keys: Arc::default() }
    }

    /// A way to its screen.
    pub(crate) async fn screen(&self) -> Result<(Inlet, Outlet), Unreached> {
        let socket = UnixStream::connect(self.folder.join(SCREEN)).await;
        socket.map(way::through).map_err(|_| Unreached::Off)
    }

    /// Types into its serial port; returns when all of it went in.
    pub(crate) async fn type_into(&self, text: Bytes) -> Result<(), Unreached> {
        let keys = self.keys().clone().ok_or(Unreached::Off)?;
        let (done, went_in) = oneshot::channel();
        keys.send(Typing { text, done }).await.map_err(|_| Unreached::Off)?;
        went_in.await.map_err(|_| Unreached::Broken)
    }

    /// From now on what is typed comes here, until this is dropped.
    pub(crate) fn listen(&self) -> mpsc::Receiver<Typing> {
        let (keys, typed) = mpsc::channel(TYPED_WAITING);
        *self.keys() = Some(keys);
        typed
    }

    fn keys(&self) -> std::sync::MutexGuard<'_, Option<mpsc::Sender<Typing>>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
