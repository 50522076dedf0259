//! etcd as one node sees it.

use super::error::NodeError;
use super::node::{Node, asking};
use super::proto::machine::EtcdMembersReq;

/// A member of the cluster's etcd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdMember {
    /// Its number.
    pub id: u64,
    /// Its node's name.
    pub hostname: String,
    /// It follows and does not vote yet.
    pub learner: bool,
    /// Where other members reach it.
    pub peer_urls: Vec<String>,
}

/// The member on the node that was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdStatus {
    /// Its number.
    pub member: u64,
    /// The member that leads; 0 if there is none.
    pub leader: u64,
    /// It follows and does not vote yet.
    pub learner: bool,
    /// Size of the database, in bytes.
    pub size: i64,
    /// What it complains of.
    pub errors: Vec<String>,
}

impl Node {
    /// The members; with `local`, only as this node's own etcd knows them.
    ///
    /// # Errors
    /// See [`NodeError`]; before etcd runs, the node's client may block until the limit.
    pub async fn etcd_members(&self, local: bool) -> Result<Vec<EtcdMember>, NodeError> {
        let what = "EtcdMemberList";
        let mut machine = self.machine().await?;
        let request = asking(EtcdMembersReq { query_local: local }, self.limits().read);
        let reply = self.reading(what, machine.etcd_member_list(request)).await?;
        let members = self.only(what, reply.messages)?.members.into_iter().map(|member| EtcdMember {
            id: member.id,
            hostname: member.hostname,
            learner: member.is_learner,
            peer_urls: member.peer_urls,
        });
        Ok(members.collect())
    }

    /// The member on this node.
    ///
    /// # Errors
    /// See [`NodeError`].
    pub async fn etcd_status(&self) -> Result<EtcdStatus, NodeError> {
        let what = "EtcdStatus";
        let mut machine = self.machine().await?;
        let reply = self.reading(what, machine.etcd_status(asking((), self.limits().read))).await?;
        let status = self.only(what, reply.messages)?.member_status.unwrap_or_default();
        Ok(EtcdStatus {
            member: status.member_id,
            leader: status.leader,
            learner: status.is_learner,
            size: status.db_size,
            errors: status.errors,
        })
    }
}
