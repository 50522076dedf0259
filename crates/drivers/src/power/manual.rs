//! A power port that is a person: nothing can be ordered, and nothing is known.

use model::{CommandId, NodeName, Outcome, PowerOrder, PowerState};
use tokio::sync::mpsc;

use super::DriverReport;

/// Says once that nothing is known, then refuses orders: the lab asks a person and learns power from what
/// it sees.
pub(super) async fn run(
    node: NodeName,
    mut queue: mpsc::Receiver<(CommandId, PowerOrder)>,
    reports: mpsc::Sender<DriverReport>,
) {
    let evidence = "switched by hand".to_owned();
    let seen = DriverReport::PowerSeen { node: node.clone(), state: PowerState::Unknown, evidence };
    if reports.send(seen).await.is_err() {
        return;
    }
    while let Some((id, order)) = queue.recv().await {
        let why = format!("{node} is switched by hand: switch it {order} at the machine");
        let outcome = Outcome::Failed { code: "by-hand".to_owned(), why };
        if reports.send(DriverReport::Finished { id, outcome }).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_person_is_not_ordered_and_nothing_is_claimed() {
        let (tell, mut reports) = mpsc::channel(4);
        let (orders, queue) = mpsc::channel(4);
        orders.send((CommandId(7), PowerOrder::On)).await.unwrap();
        drop(orders);
        run("node1".parse().unwrap(), queue, tell).await;
        let seen = reports.recv().await.unwrap();
        assert!(matches!(seen, DriverReport::PowerSeen { state: PowerState::Unknown, .. }), "{seen:?}");
        let told = reports.recv().await.unwrap();
        let DriverReport::Finished { id, outcome: Outcome::Failed { code, why } } = told else {
            panic!("{told:?}");
        };
        assert_eq!((id, code.as_str()), (CommandId(7), "by-hand"));
        assert!(why.contains("switch it on"), "{why}");
    }
}
