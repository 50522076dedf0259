//! What a simulated node tells of itself in any state: resources and disks.

use futures_util::stream;
use talos::api::proto::cosi::{GetReq, GetResp, ListReq, ListResp, Md, Res, Spec};
use talos::api::proto::storage::{Disk, DiskType, DisksItem, DisksResp};
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};

use super::machine::{Api, Reply, Role};
use super::node::Stage;

impl Api {
    pub(super) fn disks(&self, _: Request<()>) -> Reply<DisksResp> {
        self.may("Disks", Role::Reader, true)?;
        let disk = Disk {
            size: 256 << 30,
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

    fn of_kind(&self, namespace: &str, kind: &str) -> Result<Vec<Res>, Status> {
        self.may("Get", Role::Reader, true)?;
        let address = self.node.settings.address.ip();
        let resources: Vec<(String, String)> = match kind {
            "MachineStatuses.runtime.talos.dev" => vec![("machine".to_owned(), self.status())],
            "VolumeStatuses.block.talos.dev" => {
                let now = self.node.now();
                let there = now.state.is_some() || (now.installed && now.config.is_some());
                let missing = "phase: missing\nlocation: \"\"\n".to_owned();
                let ready = "phase: ready\nlocation: /dev/sda5\n".to_owned();
                vec![("STATE".to_owned(), if there { ready } else { missing })]
            }
            "SystemInformations.hardware.talos.dev" => {
                let uuid = &self.node.settings.uuid;
                let spec =
                    format!("manufacturer: QEMU\nproductName: Simulated\nserialnumber: s1\nuuid: {uuid}\n");
                vec![("systeminformation".to_owned(), spec)]
            }
            "NodeAddresses.net.talos.dev" => {
                vec![("current".to_owned(), format!("addresses:\n    - {address}/24\n"))]
            }
            "LinkStatuses.net.talos.dev" => {
                let spec = "hardwareAddr: 52:54:00:00:00:01\noperationalState: up\nlinkState: true\n";
                vec![("eth0".to_owned(), spec.to_owned())]
            }
            "MachineConfigs.config.talos.dev" => return Err(Status::permission_denied("not authorized")),
            _ => return Err(Status::permission_denied(format!("resource type {kind} is not supported"))),
        };
        let of = |(id, yaml_spec)| {
            let metadata = Md {
                namespace: namespace.to_owned(),
                r#type: kind.to_owned(),
                id,
                version: "1".to_owned(),
                phase: "running".to_owned(),
                ..Default::default()
            };
            Res { metadata: Some(metadata), spec: Some(Spec { proto_spec: vec![], yaml_spec }) }
        };
        Ok(resources.into_iter().map(of).collect())
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
