//! Services of a node, started, stopped and restarted. Talos lets clients restart the kubelet and extensions; of
//! everything else it says that it does not support it.

use super::error::NodeError;
use super::node::Node;
use super::proto::machine::{IdReq, SERVICE_RESTART, SERVICE_START, SERVICE_STOP};

/// What a service is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceOrder {
    /// Run, if it does not.
    Start,
    /// Do not run.
    Stop,
    /// Run anew.
    Restart,
}

impl Node {
    /// Tells a service; returns the node's words. Takes operator.
    ///
    /// # Errors
    /// See [`NodeError`]; a service that may not be told so is refused with the node's words.
    pub async fn tell_service(&self, id: &str, order: ServiceOrder) -> Result<String, NodeError> {
        let call = match order {
            ServiceOrder::Start => &SERVICE_START,
            ServiceOrder::Stop => &SERVICE_STOP,
            ServiceOrder::Restart => &SERVICE_RESTART,
        };
        let reply = self.changing(call, IdReq { id: id.to_owned() }).await?;
        Ok(self.only(call.name(), reply.messages)?.resp)
    }
}
