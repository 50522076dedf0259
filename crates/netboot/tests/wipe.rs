//! The claim of an order to wipe, over HTTP: one boot is given it, again when it asks again, and no other ever is.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

mod stand;

use std::sync::Arc;

use model::{
    AGENT_BEAT_PATH, AGENT_HELLO_PATH, AgentWelcome, BootTable, Digest, DiskId, Sight, Sighting, WipeOrder,
    WipePermit,
};
use netboot::Up;
use stand::{Answer, Core, NODE1, NODE1_IP, Stand, connect, table};
use tokio::io::AsyncWriteExt as _;

/// An order for one boot of node1.
fn order(number: u32, boot_id: &str) -> WipeOrder {
    let disk = DiskId {
        name: "sda".to_owned(),
        model: "SSD".to_owned(),
        serial: "S1".to_owned(),
        bytes: 256_000_000_000,
        digest: Digest([7; 32]),
    };
    let (lab, node) = ("bench".parse().unwrap(), "node1".parse().unwrap());
    WipeOrder { number, boot_id: boot_id.to_owned(), disk, permit: WipePermit::Recorded, lab, node }
}

/// A table in which node1 is to carry this out.
fn with_order(stand: &Stand, number: u64, order: WipeOrder) -> BootTable {
    let mut table = table(&stand.shelf(), number);
    Arc::make_mut(table.nodes.first_mut().unwrap()).wipe = Some(order);
    table
}

async fn nonce(stand: &Stand) -> String {
    let script = stand.get(NODE1_IP, "/boot/02-00-00-00-00-01.ipxe").await.text();
    script.split("labinator.nonce=").nth(1).unwrap().lines().next().unwrap().to_owned()
}

fn report(boot_id: &str, nonce: Option<&str>) -> String {
    serde_json::json!({
        "mac": NODE1, "boot_id": boot_id, "nonce": nonce, "address": NODE1_IP.to_string(),
        "version": "0.1.0", "kernel": "6.1", "uptime_ms": 900, "inventory": {
            "firmware": "uefi", "product": "", "serial": "", "uuid": "", "cpu": "", "cpus": 1,
            "memory_mib": 512, "disks": [], "nics": []
        },
    })
    .to_string()
}

fn beat(boot_id: &str) -> String {
    serde_json::json!({
        "mac": NODE1, "boot_id": boot_id, "uptime_ms": 5000, "load_milli": 10, "memory_available_mib": 100
    })
    .to_string()
}

fn given(answer: &Answer) -> Option<u32> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let welcome: AgentWelcome = serde_json::from_slice(&answer.body).unwrap();
    welcome.wipe.map(|order| order.number)
}

async fn hello(stand: &Stand, boot_id: &str, nonce: Option<&str>) -> Option<u32> {
    given(&stand.post(NODE1_IP, AGENT_HELLO_PATH, &report(boot_id, nonce)).await)
}

async fn told(core: &mut Core) -> (u32, String) {
    core.find(|up| match up {
        Up::Sighting(Sighting { sight: Sight::WipeGiven { number, boot_id }, .. }) => {
            Some((*number, boot_id.clone()))
        }
        _ => None,
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_boot_is_given_an_order_and_the_next_is_not_whatever_the_table_says() {
    let stand = Stand::start(4);
    stand.counter.publish(with_order(&stand, 1, order(1, "b1"))).unwrap();
    let mut core = stand.core().await;
    let first = nonce(&stand).await;
    assert_eq!(hello(&stand, "b1", None).await, None, "an agent that did not prove which boot it is of");
    assert_eq!(hello(&stand, "b1", Some(&first)).await, Some(1));
    assert_eq!(told(&mut core).await, (1, "b1".to_owned()));
    assert_eq!(given(&stand.post(NODE1_IP, AGENT_BEAT_PATH, &beat("b1")).await), Some(1), "it asks again");

    // The next boot: the order is not for it.
    assert_eq!(hello(&stand, "b2", Some(&first)).await, None);
    // Even where the core does not know yet that the order was given, and offers it to that boot.
    stand.counter.publish(with_order(&stand, 2, order(1, "b2"))).unwrap();
    assert_eq!(hello(&stand, "b2", Some(&first)).await, None);
    assert_eq!(given(&stand.post(NODE1_IP, AGENT_BEAT_PATH, &beat("b2")).await), None);
    // Somebody who asks again orders anew, with a number of its own.
    stand.counter.publish(with_order(&stand, 3, order(2, "b2"))).unwrap();
    assert_eq!(given(&stand.post(NODE1_IP, AGENT_BEAT_PATH, &beat("b2")).await), Some(2));
    assert_eq!(told(&mut core).await, (2, "b2".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counter_killed_between_the_claim_and_the_answer_gives_it_to_the_same_boot_and_to_no_other() {
    let stand = Stand::start(4);
    stand.counter.publish(with_order(&stand, 1, order(1, "b1"))).unwrap();
    let mut core = stand.core().await;
    let word = nonce(&stand).await;
    let body = report("b1", Some(&word));
    let mut asking = connect(NODE1_IP, stand.http).await;
    let request = format!(
        "POST {AGENT_HELLO_PATH} HTTP/1.1\r\nHost: boss\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    asking.write_all(request.as_bytes()).await.unwrap();
    // It is claimed; that the agent ever reads the answer is what nobody knows.
    assert_eq!(told(&mut core).await, (1, "b1".to_owned()));
    drop(core);
    let folder = stand.kill().await;
    drop(asking);

    let stand = Stand::start_in(folder, 4);
    let mut core = stand.core().await;
    // The core, killed as well, offers what it knows nothing of to the next boot.
    stand.counter.publish(with_order(&stand, 2, order(1, "b2"))).unwrap();
    assert_eq!(hello(&stand, "b2", Some(&word)).await, None, "another boot has it");
    assert_eq!(told(&mut core).await, (1, "b1".to_owned()), "and the core hears which");
    stand.counter.publish(with_order(&stand, 3, order(1, "b1"))).unwrap();
    assert_eq!(hello(&stand, "b1", Some(&word)).await, Some(1), "the same boot asks again");
}
