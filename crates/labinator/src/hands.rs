//! From wishes to the drivers that carry them out, and from what drivers see back to the lab.

use std::path::Path;

use model::{Command, CommandId, LabSpec};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::desk::Desk;
use crate::serve::ServeError;

pub fn spawn(
    tasks: &mut JoinSet<()>,
    _spec: &LabSpec,
    _state: &Path,
    mut wishes: mpsc::Receiver<(CommandId, Command)>,
    _desk: Desk,
) -> Result<(), ServeError> {
    tasks.spawn(async move { while wishes.recv().await.is_some() {} });
    Ok(())
}
