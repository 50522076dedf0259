//! The way to the API server: any machine of the control plane that answers, whatever its name resolves to here. The boss
//! need not be its own name server.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use kubernetes::{Dial, Dialed};
use lifecycle::Lab;
use model::NodeName;
use talos::api::Dial as Network;

use super::configs::KUBERNETES_PORT;

/// Dials the control plane, one machine after the other.
#[derive(Debug)]
pub(super) struct ControlPlane {
    network: Network,
    servers: Mutex<Vec<SocketAddr>>,
}

impl ControlPlane {
    /// Of machines that are told later.
    pub(super) fn over(network: Network) -> Self {
        Self { network, servers: Mutex::default() }
    }

    /// Its machines are these from now on.
    pub(super) fn is(&self, servers: &[SocketAddr]) {
        servers.clone_into(&mut self.servers.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Dial for ControlPlane {
    fn dial(&self, _host: &str, _port: u16) -> Dialed {
        let servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let network = self.network.clone();
        Box::pin(async move {
            let mut why =
                io::Error::new(io::ErrorKind::NotConnected, "no machine of the control plane is known");
            for server in servers {
                match network.dial(server).await {
                    Ok(stream) => return Ok(Box::new(stream) as Box<dyn kubernetes::Duplex>),
                    Err(error) => why = error,
                }
            }
            Err(why)
        })
    }
}

/// Where API servers are: the machines of the control plane that are known by their identity.
pub(super) fn servers(lab: &Lab) -> Vec<SocketAddr> {
    let Some((_, spec)) = lab.cluster() else { return Vec::new() };
    let known = |node: &&NodeName| lab.machines.get(*node).is_some_and(|m| m.talos.known.is_some());
    let address = |node: &NodeName| Some(SocketAddr::new(lab.node(node)?.ip.into(), KUBERNETES_PORT));
    spec.control_plane.iter().filter(known).filter_map(address).collect()
}
