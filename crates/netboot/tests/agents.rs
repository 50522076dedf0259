//! Who an agent is: the first key of a boot's nonce, and nobody else.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

mod stand;

use std::cell::Cell;
use std::net::Ipv4Addr;
use std::sync::Arc;

use model::{
    AGENT_BEAT_PATH, AGENT_HELLO_PATH, AGENT_SEAL_HEADER, AgentClash, AgentKey, AgentWelcome, Seal, Sight,
    Sighting,
};
use netboot::Up;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use stand::{Answer, Core, NODE1, NODE1_IP, NODE2_IP, Stand, table};

/// An agent that can be told to say anything.
struct Agent {
    pair: Ed25519KeyPair,
    boot_id: &'static str,
    nonce: Option<String>,
    count: Cell<u64>,
}

impl Agent {
    fn new(boot_id: &'static str, nonce: Option<&str>) -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
        Self { pair, boot_id, nonce: nonce.map(str::to_owned), count: Cell::new(0) }
    }

    fn key(&self) -> AgentKey {
        AgentKey(self.pair.public_key().as_ref().try_into().unwrap())
    }

    fn report(&self, with_key: bool) -> String {
        let report = serde_json::json!({
            "mac": NODE1, "boot_id": self.boot_id, "nonce": self.nonce, "address": NODE1_IP.to_string(),
            "version": "0.1.0", "kernel": "6.1", "uptime_ms": 900, "inventory": {
                "firmware": "uefi", "product": "", "serial": "", "uuid": "", "cpu": "", "cpus": 1,
                "memory_mib": 512, "disks": [], "nics": []
            },
            "key": with_key.then(|| self.key()),
        });
        report.to_string()
    }

    fn beat(&self) -> String {
        let beat = serde_json::json!({
            "mac": NODE1, "boot_id": self.boot_id, "uptime_ms": 5000, "load_milli": 10,
            "memory_available_mib": 100
        });
        beat.to_string()
    }

    fn seal(&self, path: &str, word: &str, body: &str) -> String {
        self.count.set(self.count.get() + 1);
        let count = self.count.get();
        let text = Seal::text(path, self.boot_id, (count, word), body.as_bytes());
        let signature = self.pair.sign(&text).as_ref().try_into().unwrap();
        format!("{AGENT_SEAL_HEADER}: {}\r\n", Seal { count, word: word.to_owned(), signature })
    }

    async fn hello(&self, stand: &Stand, word: &str) -> Answer {
        let body = self.report(true);
        let seal = self.seal(AGENT_HELLO_PATH, word, &body);
        stand.post_with(NODE1_IP, AGENT_HELLO_PATH, &body, &seal).await
    }

    async fn say_beat(&self, stand: &Stand, word: &str) -> Answer {
        let body = self.beat();
        let seal = self.seal(AGENT_BEAT_PATH, word, &body);
        stand.post_with(NODE1_IP, AGENT_BEAT_PATH, &body, &seal).await
    }
}

fn welcome(answer: &Answer) -> AgentWelcome {
    serde_json::from_slice(&answer.body).unwrap()
}

/// What seals of this counter must contain, asked for as an agent does that has no word yet.
async fn word(stand: &Stand) -> String {
    let told = welcome(&Agent::new("b", None).hello(stand, "").await);
    assert!(told.report_again && told.node.is_none(), "nothing is believed without a word");
    told.word.unwrap()
}

async fn nonce(stand: &Stand) -> String {
    let script = stand.get(NODE1_IP, "/boot/02-00-00-00-00-01.ipxe").await.text();
    script.split("labinator.nonce=").nth(1).unwrap().lines().next().unwrap().to_owned()
}

async fn next_agent(core: &mut Core) -> Option<AgentKey> {
    core.find(|up| match up {
        Up::Sighting(Sighting { sight: Sight::Agent { report }, .. }) => Some(report.key),
        _ => None,
    })
    .await
}

async fn next_clash(core: &mut Core) -> AgentClash {
    core.find(|up| match up {
        Up::Sighting(Sighting { sight: Sight::AgentClash { clash }, .. }) => Some(clash.clone()),
        _ => None,
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forged_or_said_again_is_not_heard_and_what_is_sealed_is() {
    let stand = Stand::with_board();
    let mut core = stand.core().await;
    let agent = Agent::new("b1", Some(&nonce(&stand).await));
    let word = word(&stand).await;
    let body = agent.report(true);
    assert_eq!(stand.post(NODE1_IP, AGENT_HELLO_PATH, &body).await.status, 401, "a key without its seal");
    let stolen = Agent::new("b1", None).seal(AGENT_HELLO_PATH, &word, &body);
    assert_eq!(stand.post_with(NODE1_IP, AGENT_HELLO_PATH, &body, &stolen).await.status, 401);
    let seal = agent.seal(AGENT_HELLO_PATH, &word, &body);
    assert!(!welcome(&stand.post_with(NODE1_IP, AGENT_HELLO_PATH, &body, &seal).await).report_again);
    assert_eq!(next_agent(&mut core).await, Some(agent.key()));
    assert_eq!(stand.post_with(NODE1_IP, AGENT_HELLO_PATH, &body, &seal).await.status, 409, "a hello again");

    let beat = agent.beat();
    let seal = agent.seal(AGENT_BEAT_PATH, &word, &beat);
    assert_eq!(stand.post_with(NODE1_IP, AGENT_BEAT_PATH, &beat, &seal).await.status, 200);
    assert_eq!(stand.post_with(NODE1_IP, AGENT_BEAT_PATH, &beat, &seal).await.status, 409, "a beat again");
    assert_eq!(stand.post(NODE1_IP, AGENT_BEAT_PATH, &beat).await.status, 401, "a beat without a seal");
    let forged = beat.replace("5000", "5001");
    let seal = agent.seal(AGENT_BEAT_PATH, &word, &beat);
    assert_eq!(stand.post_with(NODE1_IP, AGENT_BEAT_PATH, &forged, &seal).await.status, 401, "other words");
    assert_eq!(agent.say_beat(&stand, "").await.status, 409, "a seal for another counter");
    assert_eq!(agent.say_beat(&stand, &word).await.status, 200, "none of it hurt the agent");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_key_of_a_nonce_has_it_also_after_the_counter_was_killed_and_a_second_is_named() {
    let stand = Stand::with_board();
    let nonce = nonce(&stand).await;
    let first = Agent::new("b1", Some(&nonce));
    let old_word = word(&stand).await;
    assert_eq!(first.hello(&stand, &old_word).await.status, 200);
    let body = first.report(true);
    let recorded = first.seal(AGENT_HELLO_PATH, &old_word, &body);

    let stand = Stand::start_in(stand.kill().await, 4);
    let mut core = stand.core().await;
    let again = welcome(&stand.post_with(NODE1_IP, AGENT_HELLO_PATH, &body, &recorded).await);
    assert!(again.report_again, "what was recorded before the kill is not believed");
    let word = again.word.unwrap();
    assert_ne!(word, old_word);
    assert!(welcome(&first.say_beat(&stand, &word).await).report_again, "a beat of an unknown boot");

    let second = Agent::new("b1", Some(&nonce));
    let body = second.report(true);
    let seal = second.seal(AGENT_HELLO_PATH, &word, &body);
    assert_eq!(stand.post_with(NODE2_IP, AGENT_HELLO_PATH, &body, &seal).await.status, 403);
    let clash = next_clash(&mut core).await;
    let from = |ip: Ipv4Addr| std::net::IpAddr::V4(ip);
    let named = AgentClash {
        claimed: first.key(),
        claimed_from: Some(from(NODE1_IP)),
        shown: Some(second.key()),
        from: from(NODE2_IP),
    };
    assert_eq!(clash, named);
    assert_eq!(first.hello(&stand, &word).await.status, 200, "the first one has it");
    assert_eq!(next_agent(&mut core).await, Some(first.key()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_starts_again_before_the_core_counts_it_is_no_second_key_but_two_that_live_are() {
    let stand = Stand::with_board();
    let mut core = stand.core().await;
    let word = word(&stand).await;
    let before = nonce(&stand).await;
    let first = Agent::new("b1", Some(&before));
    assert_eq!(first.hello(&stand, &word).await.status, 200);
    assert_eq!(next_agent(&mut core).await, Some(first.key()));
    let after = nonce(&stand).await;
    assert_ne!(after, before, "whoever claimed a boot and asks again has started again");
    assert_eq!(nonce(&stand).await, after, "same start, same bytes");
    let second = Agent::new("b2", Some(&after));
    assert_eq!(second.hello(&stand, &word).await.status, 200);
    assert_eq!(next_agent(&mut core).await, Some(second.key()));
    assert_eq!(first.hello(&stand, &word).await.status, 403, "the agent of before should be gone");
    let clash = next_clash(&mut core).await;
    assert_eq!((clash.claimed, clash.shown), (second.key(), Some(first.key())));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_agent_is_heard_by_its_address_until_a_key_claims_the_boot() {
    let stand = Stand::with_board();
    let mut core = stand.core().await;
    let word = word(&stand).await;
    let nonce = nonce(&stand).await;
    let old = Agent::new("b0", Some(&nonce));
    assert_eq!(stand.post(NODE1_IP, AGENT_HELLO_PATH, &old.report(false)).await.status, 200);
    assert_eq!(next_agent(&mut core).await, None);
    assert!(!welcome(&stand.post(NODE1_IP, AGENT_BEAT_PATH, &old.beat()).await).report_again);
    let without_nonce = Agent::new("b0", None);
    assert_eq!(without_nonce.hello(&stand, &word).await.status, 200);
    assert_eq!(next_agent(&mut core).await, None, "a key alone proves nothing");

    let agent = Agent::new("b1", Some(&nonce));
    assert_eq!(agent.hello(&stand, &word).await.status, 200);
    assert_eq!(next_agent(&mut core).await, Some(agent.key()));
    let unproven = Agent::new("b3", None);
    assert_eq!(stand.post(NODE1_IP, AGENT_HELLO_PATH, &unproven.report(false)).await.status, 403);
    assert_eq!(without_nonce.hello(&stand, &word).await.status, 403);
    assert!(welcome(&stand.post(NODE1_IP, AGENT_BEAT_PATH, &unproven.beat()).await).report_again);
    // It knows the nonce: that is more than a stranger does.
    assert_eq!(stand.post(NODE1_IP, AGENT_HELLO_PATH, &old.report(false)).await.status, 403);
    assert_eq!(next_clash(&mut core).await.shown, None);
    // Another boot begins without a claim.
    let mut later = table(&stand.shelf(), 2);
    Arc::make_mut(&mut later.nodes[0]).boot = 2;
    stand.counter.publish(later).unwrap();
    assert_eq!(stand.post(NODE1_IP, AGENT_HELLO_PATH, &unproven.report(false)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_says_which_lab_this_is_and_whether_the_nonce_was_its_own() {
    let stand = Stand::with_board();
    let _core = stand.core().await;
    let lab = Some(table(&stand.shelf(), 1).lab);
    let again = welcome(&Agent::new("b", None).hello(&stand, "").await);
    assert_eq!((again.report_again, &again.lab, again.proven), (true, &lab, None));
    let word = again.word.unwrap();
    let own = Agent::new("b1", Some(&nonce(&stand).await));
    for answer in [own.hello(&stand, &word).await, own.say_beat(&stand, &word).await] {
        let told = welcome(&answer);
        assert_eq!((told.report_again, &told.lab, told.proven), (false, &lab, Some(true)));
    }
    let none = Agent::new("b2", None);
    let body = none.report(false).replace(&NODE1.to_string(), "02:00:00:00:99:99");
    let told = welcome(&stand.post(NODE2_IP, AGENT_HELLO_PATH, &body).await);
    assert_eq!(
        (told.node, &told.lab, told.proven),
        (None, &lab, Some(false)),
        "a stranger's nonce is nobody's"
    );
}
