//! etcd as one node sees it, and its membership.

use super::error::NodeError;
use super::node::Node;
use super::proto::machine::{
    ETCD_FORFEIT_LEADERSHIP, ETCD_LEAVE_CLUSTER, ETCD_MEMBER_LIST, ETCD_REMOVE_MEMBER_BY_I_D, ETCD_STATUS,
    EtcdMembersReq, EtcdRemoveReq,
};

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
        let reply = self.reading(&ETCD_MEMBER_LIST, EtcdMembersReq { query_local: local }).await?;
        let members = self.only(ETCD_MEMBER_LIST.name(), reply.messages)?.members.into_iter().map(|member| {
            EtcdMember {
                id: member.id,
                hostname: member.hostname,
                learner: member.is_learner,
                peer_urls: member.peer_urls,
            }
        });
        Ok(members.collect())
    }

    /// The member on this node.
    ///
    /// # Errors
    /// See [`NodeError`].
    pub async fn etcd_status(&self) -> Result<EtcdStatus, NodeError> {
        let reply = self.reading(&ETCD_STATUS, ()).await?;
        let status = self.only(ETCD_STATUS.name(), reply.messages)?.member_status.unwrap_or_default();
        Ok(EtcdStatus {
            member: status.member_id,
            leader: status.leader,
            learner: status.is_learner,
            size: status.db_size,
            errors: status.errors,
        })
    }

    /// Takes a member out by its number: for one whose machine will not come back. Takes admin.
    ///
    /// # Errors
    /// See [`NodeError`]; one that is none is refused as `NotFound`.
    pub async fn etcd_remove(&self, member: u64) -> Result<(), NodeError> {
        self.changing(&ETCD_REMOVE_MEMBER_BY_I_D, EtcdRemoveReq { member_id: member }).await.map(drop)
    }

    /// Takes the member on this node out; what it has of etcd is of no use to it then. Takes admin.
    ///
    /// # Errors
    /// See [`NodeError`].
    pub async fn etcd_leave(&self) -> Result<(), NodeError> {
        self.changing(&ETCD_LEAVE_CLUSTER, ()).await.map(drop)
    }

    /// If the member on this node leads, another one is to; returns which, and nothing if it did not lead. Takes admin.
    ///
    /// # Errors
    /// See [`NodeError`].
    pub async fn etcd_forfeit(&self) -> Result<Option<String>, NodeError> {
        let reply = self.changing(&ETCD_FORFEIT_LEADERSHIP, ()).await?;
        let member = self.only(ETCD_FORFEIT_LEADERSHIP.name(), reply.messages)?.member;
        Ok(Some(member).filter(|member| !member.is_empty()))
    }
}
