//! What a simulated node does for a caller beside power: its services, and its place in etcd.

use talos::api::proto::machine;
use talos::api::proto::told::SvcAction;
use tonic::{Request, Response, Status};

use super::machine::{Api, Reply, Role};
use super::node::Etcd;

/// The service that Talos lets clients start and restart; of others only extensions are.
const RESTARTS: &str = "kubelet";

impl Api {
    pub(super) fn service_start(&self, request: Request<machine::IdReq>) -> Reply<machine::TextResp> {
        self.may("ServiceStart", Role::Operator, false)?;
        let id = request.into_inner().id;
        if !self.runs(&id)? {
            self.may_be(&id, "start")?;
            self.begins(&id);
        }
        Ok(said(format!("Service {id:?} started")))
    }

    pub(super) fn service_stop(&self, request: Request<machine::IdReq>) -> Reply<machine::TextResp> {
        self.may("ServiceStop", Role::Operator, false)?;
        let id = request.into_inner().id;
        if self.runs(&id)? {
            // The kubelet can be restarted, and not stopped.
            return Err(Status::unknown(format!("service {id:?} doesn't support stop operation via API")));
        }
        Ok(said(format!("Service {id:?} stopped")))
    }

    pub(super) fn service_restart(&self, request: Request<machine::IdReq>) -> Reply<machine::TextResp> {
        self.may("ServiceRestart", Role::Operator, false)?;
        let id = request.into_inner().id;
        let runs = self.runs(&id)?;
        self.may_be(&id, if runs { "restart" } else { "start" })?;
        if runs {
            self.node.service(&id, "Finished", SvcAction::Finished, None);
        }
        self.begins(&id);
        Ok(said(format!("Service {id:?} restarted")))
    }

    fn begins(&self, id: &str) {
        self.node.service(id, "Preparing", SvcAction::Preparing, None);
        self.node.service(id, "Running", SvcAction::Running, Some(true));
    }

    fn runs(&self, id: &str) -> Result<bool, Status> {
        let now = self.node.now();
        let found = now.services.iter().find(|(known, _, _)| known == id);
        let missing = || Status::unknown(format!("service {id:?} not defined"));
        Ok(found.ok_or_else(missing)?.1 == "Running")
    }

    fn may_be(&self, id: &str, what: &str) -> Result<(), Status> {
        let no = || Status::unknown(format!("service {id:?} doesn't support {what} operation via API"));
        if id == RESTARTS { Ok(()) } else { Err(no()) }
    }

    /// The cluster of its config; empty without one.
    pub(super) fn cluster_id(&self) -> String {
        self.node.now().config.as_ref().map(|config| config.cluster.clone()).unwrap_or_default()
    }

    pub(super) fn etcd_member_list(
        &self,
        _: Request<machine::EtcdMembersReq>,
    ) -> Reply<machine::EtcdMembersResp> {
        self.may("EtcdMemberList", Role::Reader, false)?;
        self.control_plane("etcd member list")?;
        self.etcd_runs()?;
        let members =
            self.node.cluster.members(&self.cluster_id()).into_iter().map(|member| machine::EtcdMember {
                id: member.id,
                hostname: member.hostname,
                peer_urls: vec![format!("https://{}:2380", member.address)],
                client_urls: vec![format!("https://{}:2379", member.address)],
                is_learner: member.learner,
            });
        let item = machine::EtcdMembersItem { members: members.collect(), ..Default::default() };
        Ok(Response::new(machine::EtcdMembersResp { messages: vec![item] }))
    }

    pub(super) fn etcd_status(&self, _: Request<()>) -> Reply<machine::EtcdStatusResp> {
        self.may("EtcdStatus", Role::Reader, false)?;
        self.control_plane("etcd status")?;
        let member_id = self.etcd_runs()?;
        let members = self.node.cluster.members(&self.cluster_id());
        let size = i64::try_from(self.etcd_database().len()).unwrap_or(i64::MAX);
        let status = machine::EtcdMemberStatus {
            member_id,
            leader: members.first().map(|member| member.id).unwrap_or_default(),
            db_size: size,
            db_size_in_use: size,
            is_learner: members.iter().any(|member| member.id == member_id && member.learner),
            ..Default::default()
        };
        let item = machine::EtcdStatusItem { metadata: None, member_status: Some(status) };
        Ok(Response::new(machine::EtcdStatusResp { messages: vec![item] }))
    }

    pub(super) fn etcd_remove(&self, request: Request<machine::EtcdRemoveReq>) -> Reply<machine::AckResp> {
        self.may("EtcdRemoveMemberByID", Role::Admin, false)?;
        self.control_plane("etcd remove member")?;
        self.etcd_runs()?;
        let (id, cluster) = (request.into_inner().member_id, self.cluster_id());
        if !self.node.cluster.members(&cluster).iter().any(|member| member.id == id) {
            return Err(Status::not_found("etcdserver: member not found"));
        }
        self.node.cluster.leave(&cluster, id);
        Ok(acknowledged())
    }

    pub(super) fn etcd_leave(&self, _: Request<()>) -> Reply<machine::AckResp> {
        self.may("EtcdLeaveCluster", Role::Admin, false)?;
        self.control_plane("etcd leave")?;
        let id = self.etcd_runs()?;
        self.node.cluster.leave(&self.cluster_id(), id);
        self.node.now().etcd = Etcd::Absent;
        self.node.keep().map_err(|why| Status::unknown(why.to_string()))?;
        self.node.service("etcd", "Finished", SvcAction::Finished, None);
        Ok(acknowledged())
    }

    pub(super) fn etcd_forfeit(&self, _: Request<()>) -> Reply<machine::ForfeitResp> {
        self.may("EtcdForfeitLeadership", Role::Admin, false)?;
        self.control_plane("etcd forfeit leadership")?;
        let id = self.etcd_runs()?;
        let cluster = self.cluster_id();
        if self.node.cluster.members(&cluster).len() == 1 {
            let text = "failed to forfeit leadership: cannot forfeit leadership, only one member";
            return Err(Status::unknown(text));
        }
        let member = self.node.cluster.forfeit(&cluster, id).unwrap_or_default();
        let item = machine::ForfeitItem { metadata: None, member };
        Ok(Response::new(machine::ForfeitResp { messages: vec![item] }))
    }
}

fn said(resp: String) -> Response<machine::TextResp> {
    Response::new(machine::TextResp { messages: vec![machine::Text { metadata: None, resp }] })
}

fn acknowledged() -> Response<machine::AckResp> {
    Response::new(machine::AckResp { messages: vec![machine::Ack::default()] })
}
