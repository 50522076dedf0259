//! What a simulated node answers on its machine API, with the refusals of its release, state and caller.

use std::future::ready;
use std::io::Write as _;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;
use hyper::body::Incoming;
use talos::api::Character;
use talos::api::grpc::Answer;
use talos::api::proto::machine::{self, ApplyMode};
use talos::api::proto::{common, cosi, storage};
use talos::kubeconfig;
use talos::pki::{Authority, CLIENT_LIFETIME, PkiError};
use tonic::body::Body;
use tonic::codegen::{BoxStream, http};
use tonic::{Request, Response, Status};
use zeroize::Zeroizing;

use super::config::{self, Bad, Config};
use super::events::Kept;
use super::manner::Manner;
use super::node::{Etcd, Inner, Node, Order};

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Nobody,
    Reader,
    Operator,
    Admin,
}

/// One connection's view of the node.
#[derive(Debug, Clone)]
pub(super) struct Api {
    pub(super) node: Arc<Inner>,
    pub(super) maintenance: bool,
    role: Role,
}

pub(super) type Reply<T> = Result<Response<T>, Status>;

/// The largest message a node takes (`constants.GRPCMaxMessageSize`), in bytes.
const LARGEST: usize = 32 << 20;

impl Api {
    pub(super) fn new(node: Arc<Inner>, maintenance: bool, roles: &[String]) -> Self {
        let of = |name: &str| match name {
            "os:admin" => Role::Admin,
            "os:operator" => Role::Operator,
            "os:reader" => Role::Reader,
            _ => Role::Nobody,
        };
        let shown = roles.iter().map(|name| of(name)).max().unwrap_or(Role::Nobody);
        let role = if maintenance { Role::Reader } else { shown };
        Self { node, maintenance, role }
    }

    /// Answers a call.
    pub(super) async fn answer(&self, request: http::Request<Incoming>) -> http::Response<Body> {
        tokio::time::sleep(self.node.late()).await;
        Answer::to(request, LARGEST)
            .unary(&machine::APPLY_CONFIGURATION, |request| self.apply_configuration(request))
            .unary(&machine::BOOTSTRAP, |request| ready(self.bootstrap(request)))
            .unary(&machine::VERSION, |request| ready(self.version(request)))
            .streamed(&machine::KUBECONFIG, |request| ready(self.kubeconfig(request)))
            .streamed(&machine::EVENTS, |request| ready(self.events(request)))
            .unary(&machine::SERVICE_LIST, |request| ready(self.service_list(request)))
            .unary(&machine::REBOOT, |request| ready(self.reboot(request)))
            .unary(&machine::SHUTDOWN, |request| ready(self.shutdown(request)))
            .unary(&machine::UPGRADE, |request| ready(self.upgrade(request)))
            .streamed(&machine::IMAGE_PULL, |request| ready(self.image_pull(request)))
            .streamed(&machine::LIFECYCLE_UPGRADE, |request| ready(self.lifecycle_upgrade(request)))
            .unary(&machine::RESET, |request| ready(self.reset(request)))
            .streamed(&machine::DMESG, |request| ready(self.dmesg(request)))
            .streamed(&machine::LOGS, |request| ready(self.logs(request)))
            .streamed(&machine::READ, |request| ready(self.read(request)))
            .unary(&machine::ETCD_MEMBER_LIST, |request| ready(self.etcd_member_list(request)))
            .unary(&machine::ETCD_STATUS, |request| ready(self.etcd_status(request)))
            .streamed(&machine::ETCD_SNAPSHOT, |request| ready(self.etcd_snapshot(request)))
            .unary(&machine::ETCD_LEAVE_CLUSTER, |request| ready(self.etcd_leave(request)))
            .unary(&machine::ETCD_FORFEIT_LEADERSHIP, |request| ready(self.etcd_forfeit(request)))
            .unary(&machine::ETCD_REMOVE_MEMBER_BY_I_D, |request| ready(self.etcd_remove(request)))
            .unary(&machine::SERVICE_START, |request| ready(self.service_start(request)))
            .unary(&machine::SERVICE_STOP, |request| ready(self.service_stop(request)))
            .unary(&machine::SERVICE_RESTART, |request| ready(self.service_restart(request)))
            .unary(&storage::DISKS, |request| ready(self.disks(request)))
            .unary(&cosi::STATE_GET, |request| ready(self.get(request)))
            .streamed(&cosi::STATE_LIST, |request| ready(self.list(request)))
            .finish()
            .await
    }

    /// The release's and the caller's refusals. `here` says that the small server of maintenance up to 1.12 has it.
    pub(super) fn may(&self, method: &str, need: Role, here: bool) -> Result<(), Status> {
        if self.maintenance && !here && self.node.character() == Character::UpTo12 {
            return Err(Status::unimplemented(format!("method {method} not implemented")));
        }
        if self.role < need {
            return Err(Status::permission_denied("not authorized"));
        }
        Ok(())
    }

    pub(super) fn control_plane(&self, api: &str) -> Result<(), Status> {
        let is = self.node.now().config.as_ref().is_some_and(|config| config.control_plane);
        let no = || Status::unimplemented(format!("{api} is only available on control plane nodes"));
        if is { Ok(()) } else { Err(no()) }
    }

    pub(super) fn order(&self, order: Order) -> String {
        let actor = self.node.uuid();
        self.node.now().order = Some((order, actor.clone()));
        self.node.told.notify_waiters();
        actor
    }

    /// A config as it came, judged as its release does.
    fn judged(&self, request: &machine::ApplyReq) -> Result<bool, Status> {
        let old = self.maintenance && self.node.character() == Character::UpTo12;
        if old && matches!(request.mode(), ApplyMode::NoReboot | ApplyMode::Staged) {
            let mode = request.mode().as_str_name().to_lowercase().replace('_', "-");
            let text = format!("apply configuration --mode='{mode}' is not supported in maintenance mode");
            return Err(Status::unimplemented(text));
        }
        let installed = self.node.now().installed;
        let read = config::read(&request.data, installed).map_err(|bad| match bad {
            Bad::Parse(text) if old => Status::unknown(format!("failed to parse config: {text}")),
            Bad::Valid(text) if old => {
                Status::invalid_argument(format!("configuration validation failed: {text}"))
            }
            Bad::Parse(text) | Bad::Valid(text) => Status::invalid_argument(text),
        })?;
        let refused = self.node.now().manners.iter().find_map(|manner| match manner {
            Manner::RefusesConfig(text) => Some(text.clone()),
            _ => None,
        });
        match refused {
            Some(text) => Err(Status::invalid_argument(format!("1 error occurred:\n\t* {text}\n\n"))),
            None => Ok(read.is_some()),
        }
    }

    /// The number of its etcd's member, if that runs and was not taken out.
    pub(super) fn etcd_runs(&self) -> Result<u64, Status> {
        let members = self.node.cluster.members(&self.cluster_id());
        let now = self.node.now();
        let runs = now.services.iter().any(|(id, state, _)| id == "etcd" && *state == "Running");
        let missing = || {
            Status::unknown(
                "failed to create etcd client: error getting etcd endpoints: context deadline exceeded",
            )
        };
        let is = |id: &u64| runs && members.iter().any(|member| member.id == *id);
        now.etcd.member().filter(is).ok_or_else(missing)
    }
}

impl Api {
    async fn apply_configuration(&self, request: Request<machine::ApplyReq>) -> Reply<machine::ApplyResp> {
        let request = request.into_inner();
        self.may("ApplyConfiguration", if self.maintenance { Role::Reader } else { Role::Admin }, true)?;
        if self.maintenance && self.node.once(&Manner::LosesRequest) {
            return self.cut_off().await;
        }
        let complete = self.judged(&request)?;
        let old = self.maintenance && self.node.character() == Character::UpTo12;
        let (mode, details) = if old {
            let dry = "Dry run summary:\nNode is running in maintenance mode and does not have a config yet.";
            (ApplyMode::Reboot, if request.dry_run { dry } else { "" })
        } else if request.dry_run {
            (
                ApplyMode::NoReboot,
                "Dry run summary:\nApplied configuration without a reboot (skipped in dry-run).\n",
            )
        } else {
            (ApplyMode::NoReboot, "Applied configuration without a reboot")
        };
        if !request.dry_run {
            self.node.now().applied += 1;
            if !self.maintenance {
                self.node.now().state = Some(request.data);
                self.node.keep().map_err(|why| Status::unknown(why.to_string()))?;
            } else if complete {
                self.node.now().pushed = Some(request.data);
                self.node.told.notify_waiters();
            }
            if self.maintenance && self.node.once(&Manner::LosesReply) {
                return self.cut_off().await;
            }
        }
        let item =
            machine::ApplyItem { mode: mode.into(), mode_details: details.to_owned(), ..Default::default() };
        Ok(Response::new(machine::ApplyResp { messages: vec![item] }))
    }

    fn bootstrap(&self, _: Request<machine::BootstrapReq>) -> Reply<machine::AckResp> {
        self.may("Bootstrap", Role::Admin, false)?;
        let cri = self.node.now().services.iter().any(|(id, _, _)| id == "cri");
        if !cri {
            return Err(Status::failed_precondition("bootstrap is not available yet"));
        }
        if self.node.character() == Character::UpTo12 && self.control_plane("").is_err() {
            return Err(Status::failed_precondition(
                "bootstrap can only be performed on a control plane node",
            ));
        }
        self.control_plane("bootstrap")?;
        if self.node.now().etcd.member().is_some() {
            return Err(Status::already_exists("etcd data directory is not empty"));
        }
        self.node.now().etcd = Etcd::Asked;
        self.node.told.notify_waiters();
        Ok(Response::new(machine::AckResp { messages: vec![machine::Ack::default()] }))
    }

    fn version(&self, _: Request<()>) -> Reply<machine::VersionResp> {
        if self.maintenance && self.node.character() == Character::UpTo12 {
            return Err(Status::unimplemented("API is not implemented in maintenance mode"));
        }
        self.may("Version", Role::Reader, true)?;
        let version = machine::VersionInfo {
            tag: self.node.release().version,
            os: "linux".to_owned(),
            arch: "amd64".to_owned(),
            ..Default::default()
        };
        let metal = "metal".to_owned();
        let platform = machine::PlatformInfo { name: metal.clone(), mode: metal };
        let item =
            machine::VersionItem { version: Some(version), platform: Some(platform), ..Default::default() };
        Ok(Response::new(machine::VersionResp { messages: vec![item] }))
    }

    fn kubeconfig(&self, _: Request<()>) -> Reply<BoxStream<common::Data>> {
        self.may("Kubeconfig", Role::Admin, false)?;
        self.control_plane("kubeconfig")?;
        let config = self.node.now().config.clone();
        let missing = || Status::unknown("kubernetes root secrets are missing");
        let config = config.filter(|config| !config.kubernetes_ca_key.is_empty()).ok_or_else(missing)?;
        let text = self.kubeconfig_of(&config).map_err(|why| Status::unknown(why.to_string()))?;
        let archive = unfinished_tar(&text).map_err(|why| Status::unknown(why.to_string()))?;
        Ok(once(common::Data { metadata: None, bytes: archive }))
    }

    /// As the node mints it from its own config, without asking Kubernetes.
    fn kubeconfig_of(&self, config: &Config) -> Result<Zeroizing<String>, PkiError> {
        let authority = Authority::from_pem(&config.kubernetes_ca, &config.kubernetes_ca_key)?;
        let names = (config.cluster_name.as_str(), config.endpoint.as_str());
        let made = (self.node.wall(), &mut self.node.draw());
        kubeconfig::mint_by((&authority, &config.kubernetes_ca), names, CLIENT_LIFETIME, made.0, made.1)
    }

    fn events(&self, request: Request<machine::EventsReq>) -> Reply<BoxStream<machine::Event>> {
        self.may("Events", Role::Reader, false)?;
        let request = request.into_inner();
        let set = [request.tail_events != 0, !request.tail_id.is_empty(), request.tail_seconds != 0];
        if set.iter().filter(|set| **set).count() > 1 {
            return Err(Status::unknown("only one of tail_events, tail_seconds, tail_id can be specified"));
        }
        let events = Arc::clone(&self.node.now().events);
        let kept = events.len();
        let start = if request.tail_events < 0 {
            0
        } else if request.tail_events > 0 {
            kept.saturating_sub(usize::try_from(request.tail_events).unwrap_or(kept))
        } else if request.tail_id.is_empty() {
            kept
        } else {
            events.after(&request.tail_id)
        };
        let hello = machine::Event {
            data: Some(prost_types::Any::default()),
            id: events.id(self.node.wall().0 / 1000),
            ..Default::default()
        };
        let following =
            stream::unfold((events, start, request.with_actor_id), |(events, mut index, actor)| async move {
                loop {
                    events.until(index).await;
                    let event = events.get(index)?;
                    index += 1;
                    if actor.is_empty() || event.actor == actor {
                        return Some((Ok(told(event)), (events, index, actor)));
                    }
                }
            });
        let all = futures_util::StreamExt::chain(stream::iter([Ok(hello)]), following);
        Ok(Response::new(Box::pin(all)))
    }

    fn service_list(&self, _: Request<()>) -> Reply<machine::ServiceListResp> {
        self.may("ServiceList", Role::Reader, false)?;
        let services = self.node.now().services.clone().into_iter().map(|(id, state, healthy)| {
            let health = machine::ServiceHealth {
                unknown: healthy.is_none(),
                healthy: healthy == Some(true),
                ..Default::default()
            };
            machine::ServiceInfo { id, state: state.to_owned(), events: None, health: Some(health) }
        });
        let item = machine::ServiceListItem { metadata: None, services: services.collect() };
        Ok(Response::new(machine::ServiceListResp { messages: vec![item] }))
    }

    fn reboot(&self, _: Request<machine::RebootReq>) -> Reply<machine::ActorResp> {
        self.may("Reboot", Role::Operator, false)?;
        Ok(actor(self.order(Order::Reboot)))
    }

    fn shutdown(&self, _: Request<machine::ShutdownReq>) -> Reply<machine::ActorResp> {
        self.may("Shutdown", Role::Operator, false)?;
        Ok(actor(self.order(Order::Shutdown)))
    }

    fn reset(&self, request: Request<machine::ResetReq>) -> Reply<machine::ActorResp> {
        self.may("Reset", Role::Admin, false)?;
        let request = request.into_inner();
        let everything = request.system_partitions_to_wipe.is_empty();
        Ok(actor(self.order(Order::Reset { everything, reboot: request.reboot })))
    }
}

impl Api {
    /// Ends every connection to the port without a reply.
    async fn cut_off<T>(&self) -> Reply<T> {
        Node(Arc::clone(&self.node)).cut();
        std::future::pending().await
    }
}

fn actor(actor_id: String) -> Response<machine::ActorResp> {
    Response::new(machine::ActorResp { messages: vec![machine::Actor { metadata: None, actor_id }] })
}

pub(super) fn once<T: Send + 'static>(message: T) -> Response<BoxStream<T>> {
    Response::new(Box::pin(stream::iter([Ok(message)])))
}

fn told(event: Kept) -> machine::Event {
    let type_url = format!("talos/runtime/{}", event.kind);
    let data = Some(prost_types::Any { type_url, value: event.value });
    machine::Event { metadata: None, data, id: event.id, actor_id: event.actor }
}

/// A gzipped tar whose writer was never closed, as Talos sends it: a header, the text, nothing behind it.
fn unfinished_tar(text: &str) -> std::io::Result<Vec<u8>> {
    let mut header = vec![0u8; 512];
    let mut put = |at: usize, what: &[u8]| {
        for (to, from) in header.iter_mut().skip(at).zip(what) {
            *to = *from;
        }
    };
    put(0, b"kubeconfig");
    put(100, b"0000600\0");
    put(124, format!("{:011o}\0", text.len()).as_bytes());
    put(156, b"0");
    put(257, b"ustar\0");
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&header)?;
    gzip.write_all(text.as_bytes())?;
    gzip.finish()
}
