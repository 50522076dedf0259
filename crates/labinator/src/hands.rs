//! From wishes to the drivers that carry them out, and from what drivers see back to the lab.

use std::path::Path;

use drivers::power::{DriverReport, Power, PowerCommand};
use model::{Command, CommandId, Fact, LabSpec, Outcome};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::desk::{Desk, DeskError};

/// Reports that may wait for the conductor; more make the drivers wait.
const REPORTS_WAITING: usize = 256;

/// Starts the drivers and the two streams. Drivers that cannot work here are no reason to stop: every
/// order to them fails and says why, and the rest of the lab goes on.
pub(crate) fn spawn(
    tasks: &mut JoinSet<()>,
    spec: &LabSpec,
    state: &Path,
    wishes: mpsc::Receiver<(CommandId, Command)>,
    desk: Desk,
) {
    let (sender, reports) = mpsc::channel(REPORTS_WAITING);
    let power = Power::spawn(spec, &state.join("power"), &sender).map_err(|why| {
        tracing::error!(code = why.code(), "no machine can be switched: {why}");
        Outcome::Failed { code: why.code().to_owned(), why: why.to_string() }
    });
    tasks.spawn(carry_out(power, wishes, desk.clone()));
    // The sender lives as long as its drivers; while none runs, one is kept so that the stream stays open.
    tasks.spawn(tell(reports, sender, desk));
}

async fn carry_out(
    power: Result<Power, Outcome>,
    mut wishes: mpsc::Receiver<(CommandId, Command)>,
    desk: Desk,
) {
    while let Some((id, Command::Power { node, port, order })) = wishes.recv().await {
        let taken = match &power {
            Ok(power) => power.order(&PowerCommand { id, node, port, order }),
            Err(outcome) => Err(outcome.clone()),
        };
        if let Err(outcome) = taken
            && desk.tell(Fact::Finished { id, outcome }).await.is_err()
        {
            return;
        }
    }
}

async fn tell(mut reports: mpsc::Receiver<DriverReport>, _open: mpsc::Sender<DriverReport>, desk: Desk) {
    while let Some(report) = reports.recv().await {
        let fact = match report {
            DriverReport::Finished { id, outcome } => Fact::Finished { id, outcome },
            DriverReport::PowerSeen { node, state, evidence } => Fact::PowerSeen { node, state, evidence },
        };
        if let Err(DeskError::Closed) = desk.tell(fact).await {
            return;
        }
    }
}
