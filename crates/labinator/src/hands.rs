//! From wishes to the drivers that carry them out, and from what drivers see back to the lab.

use std::path::Path;

use drivers::here::Here;
use drivers::power::{DriverReport, Power, PowerCommand};
use drivers::switch::Switches;
use model::{Command, CommandId, Fact, LabSpec, MacAddr, Outcome};
use netboot::Down;
use talos::api::Dial;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::cluster::{self, Adopter};
use crate::desk::{Desk, DeskError};
use crate::device_secrets;

/// Events that are looked through in one go.
const EVENTS: usize = 512;
/// Reports that may wait for the conductor; more make the drivers wait.
const REPORTS_WAITING: usize = 256;

/// What the rest of the core asks of drivers without the conductor.
pub(crate) struct Started {
    /// Where a cluster is taken over; absent in a lab that describes none.
    pub(crate) adopter: Option<Adopter>,
    /// The switches: how their ports stand.
    pub(crate) switches: Switches,
}

/// Starts the drivers and the two streams. Drivers that cannot work here are no reason to stop: every
/// order to them fails and says why, and the rest of the lab goes on.
pub(crate) fn spawn(
    tasks: &mut JoinSet<()>,
    spec: &LabSpec,
    (state, here): (&Path, &Here),
    wishes: mpsc::Receiver<(CommandId, Command)>,
    (desk, counter): (Desk, mpsc::Sender<Down>),
) -> Started {
    let (sender, reports) = mpsc::channel(REPORTS_WAITING);
    let reveal = device_secrets::reveal(state);
    let power = Power::spawn(spec, here, &reveal, &sender).map_err(|why| {
        tracing::error!(code = why.code(), "no machine can be switched: {why}");
        Outcome::Failed { code: why.code().to_owned(), why: why.to_string() }
    });
    let switches = Switches::spawn(spec, &own_addresses(Path::new("/sys/class/net")), &reveal, &sender);
    let (cluster, adopter) = cluster::spawn(tasks, spec, state, Dial::tcp(), (desk.clone(), counter)).unzip();
    if let Ok(power) = &power {
        tasks.spawn(keep_seen(power.clone(), desk.clone()));
    }
    tasks.spawn(carry_out((power, switches.clone()), cluster, wishes, desk.clone()));
    // The sender lives as long as its drivers; while none runs, one is kept so that the stream stays open.
    tasks.spawn(tell(reports, sender, desk));
    Started { adopter, switches }
}

/// The Ethernet addresses of this computer. A switch port on which one of them is heard leads to the boss.
fn own_addresses(interfaces: &Path) -> Vec<MacAddr> {
    let all = std::fs::read_dir(interfaces).into_iter().flatten().flatten();
    let address = |folder: std::fs::DirEntry| std::fs::read_to_string(folder.path().join("address")).ok();
    let nobody = MacAddr([0; 6]);
    all.filter_map(address).filter_map(|text| text.trim().parse().ok()).filter(|mac| *mac != nobody).collect()
}

async fn carry_out(
    (power, switches): (Result<Power, Outcome>, Switches),
    cluster: Option<mpsc::Sender<(CommandId, Command)>>,
    mut wishes: mpsc::Receiver<(CommandId, Command)>,
    desk: Desk,
) {
    while let Some((id, command)) = wishes.recv().await {
        let taken = match (command, &power, &cluster) {
            (Command::Power { node, port, order }, Ok(power), _) => {
                power.order(&PowerCommand { id, node, port, order })
            }
            (Command::Power { .. }, Err(outcome), _) => Err(outcome.clone()),
            (Command::Switch { port, on }, ..) => switches.order(id, &port, on),
            (command, _, Some(cluster)) => cluster.try_send((id, command)).map_err(|refused| {
                let why = format!("its driver does not take orders: {refused}");
                Outcome::Failed { code: "driver_busy".to_owned(), why }
            }),
            (command, _, None) => {
                let why = format!("no scenario of this lab is a cluster, and nobody carries out {command:?}");
                Err(Outcome::Failed { code: "no_driver".to_owned(), why })
            }
        };
        if let Err(outcome) = taken
            && desk.tell(Fact::Finished { id, outcome }).await.is_err()
        {
            return;
        }
    }
}

/// Tells the drivers what is seen of machines, so that no button is pressed by what was seen before.
async fn keep_seen(power: Power, desk: Desk) {
    let mut news = desk.publisher().news();
    let (mut after, mut last) = (0, 0);
    loop {
        let (events, _) = desk.publisher().events(after, EVENTS);
        for event in &events {
            if let Fact::PowerSeen { node, state, .. } = &event.fact {
                power.saw(node, *state);
            }
            last = event.seq;
        }
        let more = last > after;
        after = last;
        if !more && news.changed().await.is_err() {
            return;
        }
    }
}

async fn tell(mut reports: mpsc::Receiver<DriverReport>, _open: mpsc::Sender<DriverReport>, desk: Desk) {
    while let Some(report) = reports.recv().await {
        let fact = match report {
            DriverReport::Finished { id, outcome } => Fact::Finished { id, outcome },
            DriverReport::PowerSeen { node, state, evidence } => Fact::PowerSeen { node, state, evidence },
            DriverReport::PortRead { node, reading } => Fact::PortRead { node, reading },
            DriverReport::LinkSeen { node, link } => Fact::LinkSeen { node, link },
            DriverReport::DeviceSeen { driver, sight } => Fact::DeviceSeen { driver, sight },
        };
        if let Err(DeskError::Closed) = desk.tell(fact).await {
            return;
        }
    }
}
