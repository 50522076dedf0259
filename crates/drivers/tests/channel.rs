//! The core's end of the channel over real sockets, with an agent of a few lines whose line breaks when it is told to.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop")]

#[path = "channel/agent.rs"]
mod agent;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use agent::Agent;
use bytes::Bytes;
use drivers::channel::{Channel, CoreKey, Reach, Speaker, Unreached};
use model::{AgentKey, NodeName};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

/// A core that knows one key.
struct Core {
    channel: Channel,
    at: SocketAddr,
    key: AgentKey,
    running: JoinSet<()>,
}

fn key_file() -> PathBuf {
    std::env::temp_dir().join(format!(
        "drivers-channel-key-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ))
}

async fn core(known: AgentKey) -> Core {
    let key = CoreKey::kept(&key_file()).unwrap();
    let public = key.public();
    let guests: BTreeSet<NodeName> = ["vm1".parse().unwrap()].into();
    let speaker = Speaker { host: "metal1".parse().unwrap(), guests };
    let channel = Channel::new(Arc::new(move |key| (*key == known).then(|| speaker.clone())));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let mut running = JoinSet::new();
    let run = channel.clone();
    running.spawn(async move { run.run(listener, &key).await.unwrap() });
    Core { channel, at, key: public, running }
}

impl Core {
    /// Reads the console of `vm1` from here on until it has come as far.
    async fn read_until(&self, from: u64, next: u64) -> Vec<u8> {
        let vm1 = "vm1".parse().unwrap();
        let mut all = Vec::new();
        let reading = async {
            loop {
                let at = from + u64::try_from(all.len()).unwrap();
                if at >= next {
                    return;
                }
                if let Some(part) = self.channel.consoles().read(&vm1, at, 1000) {
                    assert_eq!(part.from, at, "a reader that keeps up loses nothing");
                    all.extend(part.bytes);
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(PATIENCE, reading).await.expect("the console does not come");
        all
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_console_loses_no_byte_over_broken_lines_but_those_that_are_counted() {
    let agent = Agent::new();
    let core = core(agent.key).await;
    let vm1 = "vm1".parse().unwrap();
    let text = |round: u8| vec![b'a' + round; 700 + usize::from(round)];
    let (mut all, mut read) = (Vec::new(), Vec::new());
    for round in 0..5 {
        let line = tokio::spawn(Arc::clone(&agent).talk(core.at, core.key));
        agent.writes(&text(round));
        all.extend(text(round));
        let came = u64::try_from(read.len()).unwrap();
        read.extend(core.read_until(came, u64::try_from(all.len()).unwrap()).await);
        line.abort();
        // Said while nobody listens.
        agent.writes(b"meanwhile\n");
        all.extend(b"meanwhile\n");
    }
    let line = tokio::spawn(Arc::clone(&agent).talk(core.at, core.key));
    read.extend(core.read_until(u64::try_from(read.len()).unwrap(), u64::try_from(all.len()).unwrap()).await);
    assert!(read == all, "bytes out are bytes in");
    assert_eq!(core.channel.consoles().read(&vm1, 0, 1).unwrap().lost, 0);
    assert!(core.channel.consoles().read(&"vm9".parse().unwrap(), 0, 1).is_none(), "not a guest of its");
    line.abort();

    // The agent forgets 100 bytes that nobody fetched.
    {
        let mut log = agent.log.lock().unwrap();
        let end = log.0.len();
        log.0.extend_from_slice(&[b'z'; 150]);
        log.1 = end + 100;
    }
    let _line = tokio::spawn(Arc::clone(&agent).talk(core.at, core.key));
    let came = u64::try_from(all.len()).unwrap();
    assert_eq!(core.read_until(came, came + 50).await, vec![b'z'; 50]);
    assert_eq!(core.channel.consoles().read(&vm1, 0, 1).unwrap().lost, 100);
    std::fs::remove_file(key_file()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_core_that_starts_again_has_its_key_and_the_consoles_again() {
    let agent = Agent::new();
    agent.writes(b"Linux version 6.12\n");
    let mut first = core(agent.key).await;
    let line = tokio::spawn(Arc::clone(&agent).talk(first.at, first.key));
    assert_eq!(first.read_until(0, 19).await, b"Linux version 6.12\n");
    first.running.shutdown().await;
    line.abort();
    let second = core(agent.key).await;
    assert_eq!(second.key, first.key, "an agent believes the first key of a boot and no other");
    let _line = tokio::spawn(Arc::clone(&agent).talk(second.at, second.key));
    assert_eq!(second.read_until(0, 19).await, b"Linux version 6.12\n");
    std::fs::remove_file(key_file()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_another_key_is_not_asked_and_what_is_typed_goes_to_the_guest_alone() {
    let (agent, other) = (Agent::new(), Agent::new());
    let core = core(agent.key).await;
    other.writes(b"not vm1");
    timeout(PATIENCE, Arc::clone(&other).talk(core.at, core.key)).await.expect("its line is closed");
    let vm1: NodeName = "vm1".parse().unwrap();
    let typing = |text: &'static [u8]| core.channel.type_into(&vm1, Bytes::from_static(text));
    assert_eq!(typing(b"x").await, Err(Unreached::NoAgent));
    assert!(core.channel.consoles().read(&vm1, 0, 1).is_none());

    agent.writes(b"login: ");
    let _line = tokio::spawn(Arc::clone(&agent).talk(core.at, core.key));
    assert_eq!(core.read_until(0, 7).await, b"login: ");
    assert_eq!(typing(b"root\n").await, Ok(()));
    assert_eq!(*agent.typed.lock().unwrap(), b"root\n");
    let vm9 = "vm9".parse().unwrap();
    assert_eq!(core.channel.type_into(&vm9, Bytes::from_static(b"x")).await, Err(Unreached::NoAgent));
    let (mut to, mut back) = core.channel.reach(&vm1, Reach::Screen).await.unwrap();
    to.send(Bytes::from_static(b"RFB 003.008\n")).await.unwrap();
    let said = timeout(PATIENCE, back.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(&said[..], b"RFB 003.008\n");
    std::fs::remove_file(key_file()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_told_to_ask_as_soon_as_somebody_says_so_also_one_that_does_not_know_what_that_is() {
    for knows_nudges in [true, false] {
        let mut agent = Agent::new();
        Arc::get_mut(&mut agent).unwrap().knows_nudges = knows_nudges;
        let core = core(agent.key).await;
        agent.writes(b"login: ");
        let _line = tokio::spawn(Arc::clone(&agent).talk(core.at, core.key));
        assert_eq!(core.read_until(0, 7).await, b"login: ");
        let mut told = agent.nudges.subscribe();
        for count in 1..=3 {
            core.channel.nudge(&"metal1".parse().unwrap());
            timeout(PATIENCE, told.wait_for(|nudges| *nudges >= count))
                .await
                .expect("nobody told it")
                .unwrap();
        }
        // Nobody else is, and a crowd of them is few: one that is out, and one that waits for it.
        core.channel.nudge(&"metal2".parse().unwrap());
        (0..1000).for_each(|_| core.channel.nudge(&"metal1".parse().unwrap()));
        timeout(PATIENCE, told.wait_for(|nudges| *nudges > 3)).await.unwrap().unwrap();
        // What was typed comes after them.
        core.channel.type_into(&"vm1".parse().unwrap(), Bytes::from_static(b"x")).await.unwrap();
        assert!(*told.borrow() < 100, "{}", *told.borrow());
        std::fs::remove_file(key_file()).unwrap();
    }
}
