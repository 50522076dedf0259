//! Knocks at the port that tells when a machine without our agent is ready, and says when that changes.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use lifecycle::Lab;
use model::{Fact, Goal, LabSpec, NodeName, Readiness, Rung};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::desk::Desk;

/// Pause between two rounds.
const EVERY: Duration = Duration::from_secs(3);
/// How long a machine may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Rounds without an answer after which an open port counts as closed: one lost packet proves nothing.
const MISSES: u32 = 3;

/// One port to knock at.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Door {
    node: NodeName,
    at: SocketAddrV4,
}

/// What is known of one port in this boot.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    boot: u32,
    told: Option<bool>,
    misses: u32,
}

/// Knocks until the desk closes. A lab without such a scenario has no task for it.
pub(crate) fn spawn(tasks: &mut JoinSet<()>, spec: &LabSpec, desk: Desk) {
    let wanted = |ready: Readiness| matches!(ready, Readiness::Port { .. });
    if spec.scenarios.values().any(|scenario| wanted(scenario.system.ready)) {
        tasks.spawn(run(desk));
    }
}

async fn run(desk: Desk) {
    let mut seen: BTreeMap<NodeName, Seen> = BTreeMap::new();
    while let Ok(doors) = desk.look(|look| doors(look.lab)).await {
        let mut knocks = JoinSet::new();
        for (door, boot) in doors {
            knocks.spawn(async move { (answers(door.at).await, door, boot) });
        }
        while let Some(knocked) = knocks.join_next().await {
            let Ok((open, door, boot)) = knocked else { continue };
            let port = door.at.port();
            let known = seen.entry(door.node.clone()).or_default();
            if let Some(open) = known.learn(boot, open)
                && desk.tell(Fact::PortSeen { node: door.node, port, open }).await.is_err()
            {
                return;
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

impl Seen {
    /// What is to be told after a knock, if anything.
    fn learn(&mut self, boot: u32, open: bool) -> Option<bool> {
        if self.boot != boot {
            *self = Self { boot, ..Self::default() };
        }
        self.misses = if open { 0 } else { self.misses.saturating_add(1) };
        let state = match (open, self.told) {
            (true, _) => true,
            (false, Some(true)) if self.misses < MISSES => return None,
            (false, _) => false,
        };
        let news = self.told != Some(state);
        self.told = Some(state);
        news.then_some(state)
    }
}

/// The ports of machines that took their image, with the number of their boot.
fn doors(lab: &Lab) -> Vec<(Door, u32)> {
    let Some(Readiness::Port { port }) = lab.scenario().map(|scenario| scenario.system.ready) else {
        return Vec::new();
    };
    let running = lab.machines.values().filter(|m| {
        m.goal == Goal::Ready
            && m.off_wanted.is_none()
            && matches!(m.rung, Rung::Fetched | Rung::Up | Rung::Ready)
    });
    running
        .filter_map(|machine| {
            let address: Ipv4Addr = lab.node(&machine.node)?.ip;
            let door = Door { node: machine.node.clone(), at: SocketAddrV4::new(address, port) };
            Some((door, machine.boots))
        })
        .collect()
}

async fn answers(at: SocketAddrV4) -> bool {
    matches!(tokio::time::timeout(PATIENCE, TcpStream::connect(at)).await, Ok(Ok(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_once_and_one_lost_packet_is_none() {
        let mut seen = Seen::default();
        assert_eq!(seen.learn(1, false), Some(false));
        assert_eq!(seen.learn(1, false), None);
        assert_eq!(seen.learn(1, true), Some(true));
        assert_eq!(seen.learn(1, false), None);
        assert_eq!(seen.learn(1, true), None);
        assert_eq!(
            [seen.learn(1, false), seen.learn(1, false), seen.learn(1, false)],
            [None, None, Some(false)]
        );
        assert_eq!(seen.learn(1, true), Some(true));
        assert_eq!(seen.learn(2, true), Some(true), "another boot is told anew");
    }

    #[tokio::test]
    async fn an_open_port_answers_and_a_closed_one_does_not() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let std::net::SocketAddr::V4(at) = listener.local_addr().unwrap() else { panic!("not IPv4") };
        assert!(answers(at).await);
        drop(listener);
        assert!(!answers(at).await);
    }
}
