//! The API and the page, over the local Unix socket for the command line and over TCP for browsers.

mod access;
mod acme;
mod adopt;
mod answer;
mod audit;
mod care;
mod certificates;
mod consoles;
mod door;
mod files;
mod lab;
mod loaders;
mod logs;
mod machines;
mod pdudaemon;
mod screens;
mod status;
mod stream;
mod switches;
mod throttle;
mod tokens;

use axum::Router;
use axum::middleware;
use axum::routing::{any, get, post};

use drivers::channel::Channel;
use drivers::switch::Switches;

use crate::acme::Acme;
use crate::cluster::Adopter;
use crate::desk::Desk;
use crate::disk_loader::Installer;
use crate::doctor::Doctor;
use crate::failures::Failures;
use crate::trust::{Tokens, Trust};

pub use access::Token;
pub use audit::LocalPeer;
pub use door::{Peer, serve_page};
pub use pdudaemon::{Door, pdudaemon_router};
pub use screens::Screens;

/// What the handlers work with.
#[derive(Debug, Clone)]
pub struct House {
    /// The lab.
    pub desk: Desk,
    /// Who looks after the boss.
    pub doctor: Doctor,
    /// The agents that are connected, and what their guests said.
    pub channel: Channel,
    /// The switches: how their ports stand.
    pub switches: Switches,
    /// Who looks at a screen.
    pub screens: Screens,
    /// Who has our loader put onto disks.
    pub installer: Installer,
    /// Lines of everybody.
    pub logs: ::logs::Stream,
    /// Heads of packets of failed starts.
    pub failures: Failures,
    /// Where a cluster is taken over; absent in a lab that describes none.
    pub adopter: Option<Adopter>,
    /// The lab's certificates.
    pub trust: Trust,
    /// Who may ask over TCP.
    pub tokens: Tokens,
    /// Certificates for other servers.
    pub acme: Acme,
}

/// The routes of [`api::ROUTES`], the page, and the script-free page, open to whoever connects.
pub fn router(house: House) -> Router {
    Router::new()
        .route("/v1/snapshot", get(lab::snapshot))
        .route("/v1/stream", get(stream::stream))
        .route("/v1/events", get(lab::events))
        .route("/v1/scenarios/{scenario}/plan", get(lab::plan))
        .route("/v1/scenarios/{scenario}/start", post(lab::start))
        .route("/v1/scenarios/{scenario}/adopt", post(adopt::adopt))
        .route("/v1/stop", post(lab::stop))
        .route("/v1/explain", get(lab::explain_all))
        .route("/v1/nodes", get(machines::list))
        .route("/v1/nodes/{node}/explain", get(lab::explain_one))
        .route("/v1/nodes/{node}/trace", get(lab::trace))
        .route("/v1/nodes/{node}/power", post(lab::power))
        .route("/v1/nodes/{node}/power/seen", post(lab::power_seen))
        .route("/v1/nodes/{node}/install", post(lab::install))
        .route("/v1/nodes/{node}/wipe", post(lab::wipe))
        .route("/v1/nodes/{node}/loader", get(loaders::look).post(loaders::change))
        .route("/v1/nodes/{node}/console", get(consoles::read).post(consoles::write))
        .route("/v1/nodes/{node}/screen", get(screens::open))
        .route("/v1/switches", get(switches::list))
        .route("/v1/switches/cut", post(switches::cut))
        .route("/v1/switches/restore", post(switches::restore))
        .route("/v1/switches/{switch}/mirror", post(switches::mirror))
        .route("/v1/doctor", get(care::doctor))
        .route("/v1/images", get(care::images))
        .route("/v1/logs", get(logs::stream))
        .route("/v1/logs/summary", get(logs::summary))
        .route("/v1/failures", get(care::failures))
        .route("/v1/failures/{file}", get(care::capture))
        .route("/v1/certificates", get(certificates::list))
        .route("/v1/certificates/renew", post(certificates::renew))
        .route("/v1/certificates/issue", post(certificates::issue))
        .route("/v1/certificates/root", get(certificates::root))
        .route("/v1/tokens", get(tokens::list).post(tokens::create))
        .route("/v1/tokens/{name}/revoke", post(tokens::revoke))
        .route("/acme/{*path}", any(acme::ask))
        .route("/root.pem", get(certificates::root_download))
        .route("/v1/openapi.json", get(lab::openapi))
        .route("/status", get(status::page))
        .route("/status.css", get(status::style))
        .fallback(files::page)
        .with_state(house)
}

/// The same routes for the Unix socket, whose file mode says who may; changes are written down with who asked.
pub fn local_router(house: House) -> Router {
    router(house).layer(middleware::from_fn(audit::of_local))
}

/// The same routes for TCP: each asks for a token that may, but what anybody may read.
pub fn guarded_router(house: House) -> Router {
    let guard = access::Guard::new(&house);
    router(house).layer(middleware::from_fn_with_state(guard, access::guard))
}
