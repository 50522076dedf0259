//! The counter's process.

use netboot::{Bench, Settings, Sockets, TRANSFERS};

use crate::start::loaders_beside;

use super::{Folders, ServeError, ended, parent, priority, rights};

pub(super) fn run(folders: &Folders) -> Result<(), ServeError> {
    priority::of_counter();
    let parent = parent()?;
    let sockets = Sockets::receive_from(&parent).map_err(ServeError::io("the sockets of the supervisor"))?;
    let settings = Settings {
        state: folders.state.clone(),
        loaders: folders.loaders.clone(),
        own_loaders: loaders_beside(),
        shelf: folders.state.join("shelf"),
        transfers: TRANSFERS,
    };
    let (bench, recovery) = Bench::open(sockets, &settings)?;
    if recovery.dropped > 0 {
        tracing::warn!(
            "the ledger ended in {} bytes of an unfinished record; they were cut off",
            recovery.dropped
        );
    }
    rights::of_counter(&folders.state).map_err(ServeError::io("giving rights away"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(ServeError::io("threads"))?;
    runtime.block_on(async {
        tokio::select! {
            outcome = bench.run() => outcome.map_err(ServeError::Counter),
            outcome = ended(parent) => outcome.map_err(ServeError::io("the line to the supervisor")),
        }
    })
}
