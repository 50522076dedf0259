//! The core's process: conductor, drivers, API and page.

use std::sync::Arc;

use axum::Router;
use drivers::channel::{Channel, CoreKey};
use drivers::here::Here;
use model::{AgentChannel, LabSpec};
use store::Disk;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::handover::Doors;
use super::{Brief, Folders, ServeError, ended, images, parent, priority, speakers};
use crate::acme::Acme;
use crate::clock::Clock;
use crate::conductor::{Conductor, Tools};
use crate::delegate::Delegate;
use crate::desk::Desk;
use crate::disk_loader::Installer;
use crate::doctor::Doctor;
use crate::failures::{self, Failures};
use crate::http::{
    Door, House, LocalPeer, Screens, guarded_router, local_router, pdudaemon_router, serve_page,
};
use crate::image::Places;
use crate::journal::{Journal, Past};
use crate::renewal::{self, Renewals};
use crate::trust::{Tokens, Trust};
use crate::{device_secrets, hands, link, logbook, probe};

/// Orders to ports of switches that may be on their way at once, beside those of machines.
const SWITCH_ORDERS: usize = 64;

pub(super) fn run(brief: Brief) -> Result<(), ServeError> {
    priority::of_core();
    let parent = parent()?;
    let doors = Doors::receive_from(&parent).map_err(ServeError::io("the listeners of the supervisor"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ServeError::io("threads"))?;
    let outcome = runtime.block_on(serve(brief, doors, parent));
    // A file that is still being hashed does not keep the core from ending.
    runtime.shutdown_background();
    outcome
}

async fn serve(
    brief: Brief,
    mut doors: Doors,
    parent: std::os::unix::net::UnixStream,
) -> Result<(), ServeError> {
    let Brief { spec, folders } = brief;
    let (journal, past) = journal_of(&folders)?;
    let clock = Clock::after(past.lab.as_ref());
    let (orders, wishes) = mpsc::channel(spec.board.nodes.len().max(1) * 2 + SWITCH_ORDERS);
    let epoch = epoch(&clock);
    let tools = Tools {
        journal,
        past,
        clock: clock.clone(),
        spec: spec.clone(),
        epoch: epoch.clone(),
        hands: orders,
    };
    let (conductor, desk, table) = Conductor::new(tools);

    let mut tasks = JoinSet::new();
    let (for_counter, orders) = mpsc::channel(failures::ORDERS_WAITING);
    let key = folders.state.join("channel-key");
    let key = CoreKey::kept(&key).map_err(ServeError::io(key.display().to_string()))?;
    let port = doors.agents.local_addr().map_err(ServeError::io("the listener of agents"))?.port();
    let leads = AgentChannel { port, key: key.public() };
    let delegate = Delegate::kept(&folders.state, spec.lab.clone())
        .inspect_err(|why| tracing::error!(code = why.code(), "no machine gets our own loader: {why}"))
        .ok();
    let here = Here::of(&spec, &folders.state.join("power"));
    let channel = Channel::new(speakers::of(&spec, Arc::clone(desk.publisher()))).beside(here.clone());
    let ends = (desk.clone(), channel.clone());
    let lab_key = delegate.as_ref().map(Delegate::public);
    let folders_of = (folders.loaders.clone(), folders.state.join("shelf"));
    let installer = Installer::new((desk.clone(), channel.clone()), (spec.clone(), lab_key), folders_of);
    tasks.spawn(link::run(folders.state.clone(), ends, (leads, delegate), table, orders));
    tasks.spawn(failures::watch(Arc::clone(desk.publisher()), for_counter.clone()));
    let hands::Started { adopter, switches } =
        hands::spawn(&mut tasks, &spec, (&folders.state, &here), wishes, (desk.clone(), for_counter));
    probe::spawn(&mut tasks, &spec, desk.clone());
    images::spawn(&mut tasks, spec.clone(), folders.clone(), desk.clone());
    let cache = crate::start::cache_folder().join("packages");
    let places = Places { images: folders.images.clone(), loaders: folders.loaders.clone(), cache };
    let renewals = renew_agents(&mut tasks, (&spec, &folders), &desk, channel.clone());
    let pdudaemon = spec.pdudaemon.clone();
    let sockets = logbook::Sockets { heard: doors.heard.try_clone(), syslog: doors.syslog.take() };
    let logs = logbook::begin(epoch.clone(), sockets).map_err(ServeError::io("the log stream"))?;
    logbook::keep(&logs, &folders.state, &spec.logs.files);
    logbook::feed(&mut tasks, &logs, desk.publisher(), channel.consoles().clone());
    let page = doors.page.local_addr().map_err(ServeError::io("the page's listener"))?;
    let trust = Trust::new(clock.clone(), &spec, &folders.state, page);
    tasks.spawn(trust.clone().run());
    let acme = Acme::open(&folders.state, &spec, trust.clone());
    tasks.spawn(acme.clone().run());
    let doctor = Doctor::new(clock, spec, folders.state.clone(), places).with(renewals, trust.clone());
    tasks.spawn(doctor.clone().watch(Arc::clone(desk.publisher())));
    let tokens = tokens_of(&folders)?;
    let house = House {
        desk: desk.clone(),
        doctor,
        failures: Failures::of(&folders.state),
        adopter,
        channel,
        screens: Screens::default(),
        switches,
        installer,
        trust,
        logs,
        tokens,
        acme,
    };
    let asked = pdudaemon.map(|asked| Door::new(asked.credentials, device_secrets::reveal(&folders.state)));
    if let Some((listener, door)) = doors.pdudaemon.take().zip(asked) {
        open_pdudaemon(&mut tasks, listener, pdudaemon_router(desk.clone(), door))?;
    }
    open_doors(&mut tasks, (doors, key), house)?;

    let conductor = tokio::spawn(conductor.run());
    let outcome = ended(parent).await.map_err(ServeError::io("the line to the supervisor"));
    tasks.shutdown().await;
    if desk.close().await.is_err() {
        tracing::warn!("the conductor had ended before it was told to");
    }
    conductor.await.map_err(|why| ServeError::io("the conductor")(why.into()))?;
    outcome
}

fn tokens_of(folders: &Folders) -> Result<Tokens, ServeError> {
    let own = folders.state.join("token");
    let own = std::fs::read_to_string(&own).map_err(ServeError::io(own.display().to_string()))?;
    Ok(Tokens::open(&folders.state, own.trim()))
}

fn journal_of(folders: &Folders) -> Result<(Journal, Past), ServeError> {
    let (journal, past, recovery) = Journal::open(Arc::new(Disk), &folders.state.join("journal"))?;
    let dropped = recovery.dropped;
    if dropped > 0 {
        tracing::warn!("the journal ended in {dropped} bytes of an unfinished event; they were cut off");
    }
    Ok((journal, past))
}

/// Hands agents the build that this boss carries.
fn renew_agents(
    tasks: &mut JoinSet<()>,
    (spec, folders): (&LabSpec, &Folders),
    desk: &Desk,
    channel: Channel,
) -> Renewals {
    let renewals = Renewals::default();
    let ground = renewal::Ground {
        agent: folders.agent.clone(),
        shelf: folders.state.join("shelf"),
        updates: spec.agent_updates,
    };
    tasks.spawn(renewal::run(renewals.clone(), ground, Arc::clone(desk.publisher()), channel));
    renewals
}

fn open_pdudaemon(
    tasks: &mut JoinSet<()>,
    listener: std::net::TcpListener,
    router: Router,
) -> Result<(), ServeError> {
    let fault = || ServeError::io("the listener of pdudaemon's clients");
    listener.set_nonblocking(true).map_err(fault())?;
    let listener = tokio::net::TcpListener::from_std(listener).map_err(fault())?;
    spawn_door(tasks, listener, router);
    Ok(())
}

/// Tells this core from every other one of the same journal.
fn epoch(clock: &Clock) -> String {
    format!("{:x}-{}", clock.now().wall.0, std::process::id())
}

fn open_doors(
    tasks: &mut JoinSet<()>,
    (doors, key): (Doors, CoreKey),
    house: House,
) -> Result<(), ServeError> {
    let fault = || ServeError::io("a listener");
    doors.page.set_nonblocking(true).map_err(fault())?;
    doors.local.set_nonblocking(true).map_err(fault())?;
    let page = tokio::net::TcpListener::from_std(doors.page).map_err(fault())?;
    let local = tokio::net::UnixListener::from_std(doors.local).map_err(fault())?;
    doors.agents.set_nonblocking(true).map_err(fault())?;
    let agents = tokio::net::TcpListener::from_std(doors.agents).map_err(fault())?;
    let channel = house.channel.clone();
    tasks.spawn(async move {
        if let Err(why) = channel.run(agents, &key).await {
            tracing::error!("the door of agents closed: {why}");
        }
    });
    let (trust, guarded) = (house.trust.clone(), guarded_router(house.clone()));
    tasks.spawn(async move {
        if let Err(why) = serve_page(page, guarded, trust).await {
            tracing::error!("the page's door closed: {why}");
        }
    });
    tasks.spawn(async move {
        let service = local_router(house).into_make_service_with_connect_info::<LocalPeer>();
        if let Err(why) = axum::serve(local, service).await {
            tracing::error!("the local door of the API closed: {why}");
        }
    });
    Ok(())
}

fn spawn_door<L>(tasks: &mut JoinSet<()>, listener: L, router: Router)
where
    L: axum::serve::Listener,
    L::Addr: std::fmt::Debug,
{
    tasks.spawn(async move {
        if let Err(why) = axum::serve(listener, router).await {
            tracing::error!("a door of the API closed: {why}");
        }
    });
}
