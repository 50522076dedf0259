//! Wake-on-LAN: what wakes machines and stops none. That a packet went out says nothing of the machine, and nothing can be
//! read: the lab sees it run, or does not.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use model::{LabSpec, MacAddr, NodeName};
use tokio::net::UdpSocket;
use tokio::time::sleep;
use wire::wake::{PORT, magic};

use super::device::{Act, Device, DeviceError, Manner, Ports, Taken, Told};

/// Packets for one order: a frame may be lost, and waking twice is waking once.
const PACKETS: u8 = 3;
/// Pause between them.
const PAUSE: Duration = Duration::from_millis(50);

/// The lab's own wire, and who is on it.
#[derive(Debug)]
pub(super) struct Segment {
    interface: String,
    boss: Ipv4Addr,
    /// The address of all machines of the subnet.
    everybody: Ipv4Addr,
    macs: BTreeMap<NodeName, MacAddr>,
}

impl Segment {
    /// No network, and no machine that could be woken on it.
    pub(super) const fn nowhere() -> Self {
        let (boss, everybody) = (Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST);
        Self { interface: String::new(), boss, everybody, macs: BTreeMap::new() }
    }

    pub(super) fn of(spec: &LabSpec) -> Self {
        let network = &spec.network;
        let hosts = u32::MAX.checked_shr(u32::from(network.prefix)).unwrap_or(0);
        Self {
            interface: network.interface.clone(),
            boss: network.boss,
            everybody: Ipv4Addr::from_bits(network.subnet.to_bits() | hosts),
            macs: spec.board.nodes.iter().map(|(name, node)| (name.clone(), node.mac)).collect(),
        }
    }
}

/// Sends magic packets on the lab's wire.
#[derive(Debug)]
pub(super) struct Wake {
    segment: Arc<Segment>,
    /// The machine of each port.
    machines: BTreeMap<String, NodeName>,
}

impl Wake {
    pub(super) fn new(segment: Arc<Segment>, machines: impl Iterator<Item = (String, NodeName)>) -> Self {
        Self { segment, machines: machines.collect() }
    }

    async fn send(&self, mac: MacAddr) -> io::Result<()> {
        let Segment { interface, boss, everybody, .. } = &*self.segment;
        let socket = UdpSocket::bind(SocketAddrV4::new(*boss, 0)).await?;
        socket.set_broadcast(true)?;
        // Another interface may have an address of the same subnet.
        socket.bind_device(Some(interface.as_bytes()))?;
        let packet = magic(mac);
        for number in 0..PACKETS {
            if number > 0 {
                sleep(PAUSE).await;
            }
            socket.send_to(&packet, SocketAddrV4::new(*everybody, PORT)).await?;
        }
        Ok(())
    }
}

impl Device for Wake {
    fn manner(&self) -> Manner {
        Manner {
            ports: Ports::Switches,
            gap: Duration::ZERO,
            poll: None,
            shows: Duration::ZERO,
            limit: Duration::from_secs(5),
        }
    }

    async fn act(&mut self, port: &str, act: Act) -> Result<Taken, DeviceError> {
        let node = self.machines.get(port);
        let Some((node, mac)) = node.and_then(|node| Some((node, *self.segment.macs.get(node)?))) else {
            let why = format!("no machine is woken by the port {port}");
            return Err(DeviceError::refused("no-such-port", why));
        };
        if act != Act::On {
            let why = format!(
                "a magic packet wakes {node} and does not stop it: its agent does, where one runs; otherwise somebody \
                 must, at the machine"
            );
            return Err(DeviceError::refused("only-wakes", why));
        }
        let Segment { interface, boss, .. } = &*self.segment;
        self.send(mac).await.map_err(|why| {
            let why = format!("no magic packet for {mac} leaves {interface} from {boss}: {why}");
            DeviceError::lost("not-sent", why)
        })?;
        Ok(Taken::AT_ONCE)
    }

    async fn read(&mut self, _ports: &[String]) -> Result<Told, DeviceError> {
        Ok(Told::default())
    }
}
