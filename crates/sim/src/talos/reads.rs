//! What a simulated node tells of itself in any state: resources and disks.

use futures_util::stream;
use prost_types::Timestamp;
use talos::api::proto::cosi::{GetReq, GetResp, ListReq, ListResp, Md, Res, Spec};
use talos::api::proto::storage::{Disk, DiskType, DisksItem, DisksResp};
use talos::yaml::{Value, emit};
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};

use super::definitions::{self, DEFINITIONS, KINDS, Kind, MACHINE_CONFIGS};
use super::machine::{Api, Reply, Role};
use super::node::Stage;

/// Size of its one disk.
const BYTES: u64 = 256 << 30;
/// Ids and specifications of resources.
type Told = Vec<(String, String)>;

impl Api {
    pub(super) fn disks(&self, _: Request<()>) -> Reply<DisksResp> {
        self.may("Disks", Role::Reader, true)?;
        let disk = Disk {
            size: BYTES,
            model: "Simulated".to_owned(),
            device_name: "/dev/sda".to_owned(),
            serial: self.node.settings.uuid.clone(),
            r#type: DiskType::Ssd.into(),
            system_disk: self.node.now().installed,
            ..Default::default()
        };
        Ok(Response::new(DisksResp { messages: vec![DisksItem { metadata: None, disks: vec![disk] }] }))
    }

    pub(super) fn get(&self, request: Request<GetReq>) -> Reply<GetResp> {
        let GetReq { namespace, r#type: kind, id } = request.into_inner();
        let all = self.of_kind(&namespace, &kind)?;
        let found = all.into_iter().find(|resource| resource.metadata.as_ref().is_some_and(|md| md.id == id));
        let missing = || Status::not_found(format!("resource {kind}({namespace}/{id}) doesn't exist"));
        Ok(Response::new(GetResp { resource: Some(found.ok_or_else(missing)?) }))
    }

    pub(super) fn list(&self, request: Request<ListReq>) -> Reply<BoxStream<ListResp>> {
        let ListReq { namespace, r#type } = request.into_inner();
        let all = self.of_kind(&namespace, &r#type)?.into_iter();
        let replies: Vec<Result<ListResp, Status>> =
            all.map(|resource| Ok(ListResp { resource: Some(resource) })).collect();
        Ok(Response::new(Box::pin(stream::iter(replies))))
    }

    fn of_kind(&self, namespace: &str, name: &str) -> Result<Vec<Res>, Status> {
        self.may("Get", Role::Reader, true)?;
        let unknown = || Status::permission_denied(format!("resource type {name} is not supported"));
        let kind = definitions::find(name).ok_or_else(unknown)?;
        if kind.sensitive {
            self.may("Get", Role::Admin, true)?;
        }
        if kind.namespace != namespace {
            return Ok(vec![]);
        }
        let wall = self.node.wall().0;
        let seconds = i64::try_from(wall / 1000).unwrap_or_default();
        let made = Some(Timestamp { seconds, nanos: 0 });
        let of = |(id, yaml_spec)| {
            let metadata = Md {
                namespace: namespace.to_owned(),
                r#type: name.to_owned(),
                id,
                version: "1".to_owned(),
                phase: "running".to_owned(),
                created: made,
                updated: made,
                ..Default::default()
            };
            Res { metadata: Some(metadata), spec: Some(Spec { proto_spec: vec![], yaml_spec }) }
        };
        Ok(self.told(kind).into_iter().map(of).collect())
    }

    /// What it tells of a kind.
    fn told(&self, kind: &Kind) -> Told {
        let one = |id: &str, spec: String| vec![(id.to_owned(), spec)];
        match kind.name {
            DEFINITIONS => KINDS.iter().map(|kind| (kind.name.to_lowercase(), kind.defined())).collect(),
            MACHINE_CONFIGS => self.configs(),
            "MachineStatuses.runtime.talos.dev" => one("machine", self.status()),
            "SystemInformations.hardware.talos.dev" => {
                let uuid = &self.node.settings.uuid;
                let said =
                    format!("manufacturer: QEMU\nproductName: Simulated\nserialnumber: s1\nuuid: {uuid}\n");
                one("systeminformation", said)
            }
            "HostnameStatuses.net.talos.dev" => {
                one("hostname", format!("hostname: {}\ndomainname: \"\"\n", self.node.hostname()))
            }
            "TimeStatuses.v1alpha1.talos.dev" => {
                one("node", "synced: true\nepoch: 1\nsyncDisabled: false\n".to_owned())
            }
            "Services.v1alpha1.talos.dev" => self.services_told(),
            "Members.cluster.talos.dev" => self.members_told(),
            "AddressStatuses.net.talos.dev"
            | "LinkStatuses.net.talos.dev"
            | "NodeAddresses.net.talos.dev"
            | "RouteStatuses.net.talos.dev" => self.network_told(kind.name),
            "DiscoveredVolumes.block.talos.dev"
            | "Disks.block.talos.dev"
            | "SystemDisks.block.talos.dev"
            | "VolumeStatuses.block.talos.dev" => self.storage_told(kind.name),
            _ => self.role_told(kind.name),
        }
    }

    fn network_told(&self, kind: &str) -> Told {
        let address = self.node.settings.address.ip();
        let family = if address.is_ipv4() { "inet4" } else { "inet6" };
        let (id, spec) = match kind {
            "AddressStatuses.net.talos.dev" => (
                format!("eth0/{address}/24"),
                format!("address: {address}/24\nlinkIndex: 2\nlinkName: eth0\nfamily: {family}\nscope: global\nflags: permanent\npriority: 0\n"),
            ),
            "LinkStatuses.net.talos.dev" => (
                "eth0".to_owned(),
                "index: 2\ntype: ether\nlinkIndex: 0\nhardwareAddr: 52:54:00:00:00:01\nmtu: 1500\noperationalState: up\nkind: \"\"\nlinkState: true\n".to_owned(),
            ),
            "NodeAddresses.net.talos.dev" => (
                "current".to_owned(),
                format!("addresses:\n    - {address}/24\nsortAlgorithm: v1\n"),
            ),
            _ => (
                format!("{family}/{address}//1024"),
                format!("family: {family}\ndst: \"\"\nsrc: {address}\ngateway: \"\"\noutLinkName: eth0\ntable: main\npriority: 1024\n"),
            ),
        };
        vec![(id, spec)]
    }

    fn storage_told(&self, kind: &str) -> Told {
        let (there, installed) = {
            let now = self.node.now();
            (now.state.is_some() || (now.installed && now.config.is_some()), now.installed)
        };
        let disk = "dev_path: /dev/sda\n";
        let all: Vec<(&str, String)> = match kind {
            "VolumeStatuses.block.talos.dev" => {
                let ready = "type: partition\nphase: ready\nlocation: /dev/sda5\nprettySize: 100 MiB\n";
                let missing = "type: partition\nphase: missing\nlocation: \"\"\n";
                vec![("STATE", if there { ready } else { missing }.to_owned())]
            }
            "SystemDisks.block.talos.dev" if installed => {
                vec![("system-disk", "diskID: sda\ndevPath: /dev/sda\n".to_owned())]
            }
            "SystemDisks.block.talos.dev" => vec![],
            "Disks.block.talos.dev" => {
                let serial = &self.node.settings.uuid;
                let said = format!(
                    "{disk}size: {BYTES}\npretty_size: 275 GB\nreadonly: false\ncdrom: false\nmodel: Simulated\nserial: \"{serial}\"\ntransport: ata\n"
                );
                vec![("sda", said)]
            }
            _ => {
                let whole = format!(
                    "{disk}type: disk\nsize: {BYTES}\npretty_size: 275 GB\nname: {}\n",
                    if installed { "gpt" } else { "\"\"" }
                );
                let mut all = vec![("sda", whole)];
                if there {
                    let state = "dev_path: /dev/sda5\ntype: partition\nparent: sda\npretty_size: 100 MiB\nname: xfs\npartition_label: STATE\n";
                    all.push(("sda5", state.to_owned()));
                }
                all
            }
        };
        all.into_iter().map(|(id, spec)| (id.to_owned(), spec)).collect()
    }

    /// What only a node with a config has.
    fn role_told(&self, kind: &str) -> Told {
        let (controls, member) = {
            let now = self.node.now();
            let Some(config) = &now.config else { return vec![] };
            (config.control_plane, now.etcd.member())
        };
        let name = self.node.hostname();
        let one = |id: &str, spec: String| vec![(id.to_owned(), spec)];
        match (kind, member) {
            ("MachineTypes.config.talos.dev", _) => {
                one("machine-type", if controls { "controlplane\n" } else { "worker\n" }.to_owned())
            }
            ("Nodenames.kubernetes.talos.dev", _) => one(
                "nodename",
                format!("nodename: {name}\nhostnameVersion: \"1\"\nskipNodeRegistration: false\n"),
            ),
            ("EtcdMembers.etcd.talos.dev", Some(id)) => one("local", format!("memberID: {id:016x}\n")),
            ("StaticPodStatuses.kubernetes.talos.dev", Some(_)) => {
                let ready = "conditions:\n    - type: Ready\n      status: \"True\"\n";
                let programs = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];
                programs.map(|program| (format!("kube-system/{program}-{name}"), ready.to_owned())).to_vec()
            }
            _ => vec![],
        }
    }

    /// Its config as text, as Talos tells it: the one it runs, and the one on its disk.
    fn configs(&self) -> Told {
        let now = self.node.now();
        let text = |bytes: &[u8]| emit(&Value::from(&*String::from_utf8_lossy(bytes)));
        let active = now.config.as_ref().and(now.state.as_deref()).map(|kept| ("v1alpha1", text(kept)));
        let kept = now.state.as_deref().map(|kept| ("persistent", text(kept)));
        active.into_iter().chain(kept).map(|(id, spec)| (id.to_owned(), spec)).collect()
    }

    fn services_told(&self) -> Told {
        let told = |(id, state, healthy): &(String, &str, Option<bool>)| {
            let (running, well, unknown) = (*state == "Running", *healthy == Some(true), healthy.is_none());
            (id.clone(), format!("running: {running}\nhealthy: {well}\nunknown: {unknown}\n"))
        };
        self.node.now().services.iter().map(told).collect()
    }

    /// The nodes that found each other.
    fn members_told(&self) -> Told {
        let cluster = self.node.now().config.as_ref().map(|config| config.cluster.clone());
        let found = cluster.map(|cluster| self.node.cluster.found(&cluster)).unwrap_or_default();
        let told = |one: super::cluster::Found| {
            let kind = if one.control_plane { "controlplane" } else { "worker" };
            let spec = format!(
                "nodeId: {0}\naddresses:\n    - {1}\nhostname: {0}\nmachineType: {kind}\noperatingSystem: Talos ({2})\n",
                one.hostname, one.address, one.version
            );
            (one.hostname, spec)
        };
        found.into_iter().map(told).collect()
    }

    fn status(&self) -> String {
        let now = self.node.now();
        let stage = match now.stage {
            Stage::Off | Stage::Booting => "booting",
            Stage::Maintenance => "maintenance",
            Stage::Installing => "installing",
            Stage::Rebooting => "rebooting",
            Stage::Running => "running",
            Stage::Resetting => "resetting",
            Stage::Upgrading => "upgrading",
        };
        let unmet: String = now
            .unmet
            .iter()
            .map(|(name, reason)| format!("        - name: {name}\n          reason: {reason}\n"))
            .collect();
        let list = if unmet.is_empty() {
            "    unmetConditions: []\n".to_owned()
        } else {
            format!("    unmetConditions:\n{unmet}")
        };
        format!("stage: {stage}\nstatus:\n    ready: {}\n{list}", now.unmet.is_empty())
    }
}
