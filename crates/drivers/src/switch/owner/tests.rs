//! The owner against a switch that misbehaves by a script, on a clock that jumps.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::{Arc, Mutex};

use model::{SecretRef, Span, SwitchKind};

use super::super::device::Seen;
use super::*;

/// What a switch does with its next look.
#[derive(Debug, Clone)]
enum Does {
    Hangs,
    Fails(DeviceError),
}

#[derive(Debug, Default)]
struct State {
    ports: Vec<(String, bool, Option<u32>)>,
    /// Looks that go wrong, in order; then all is well.
    looks: VecDeque<Does>,
    /// Orders that are taken and not done.
    deaf: u32,
    orders: Vec<(String, bool)>,
    macs: Option<Vec<(String, MacAddr)>>,
    /// Links that were gone and are back.
    bounced: Vec<String>,
    looked: u32,
    forgot: u32,
}

#[derive(Debug, Clone)]
struct Scripted(Arc<Mutex<State>>);

impl Switch for Scripted {
    fn manner(&self) -> Manner {
        Manner { shows: Duration::from_millis(500), limit: Duration::from_secs(5) }
    }

    async fn look(&mut self) -> Result<Look, DeviceError> {
        let does = {
            let mut state = self.0.lock().unwrap();
            state.looked += 1;
            state.looks.pop_front()
        };
        match does {
            Some(Does::Hangs) => pending().await,
            Some(Does::Fails(error)) => Err(error),
            None => {
                let mut state = self.0.lock().unwrap();
                let bounced = std::mem::take(&mut state.bounced);
                let seen = |(port, enabled, mbit): &(String, bool, Option<u32>)| Seen {
                    port: port.clone(),
                    enabled: *enabled,
                    mbit: *mbit,
                    bounced: bounced.contains(port),
                };
                Ok(Look { ports: state.ports.iter().map(seen).collect(), about: "a script".to_owned() })
            }
        }
    }

    async fn set(&mut self, port: &str, on: bool) -> Result<(), DeviceError> {
        let mut state = self.0.lock().unwrap();
        state.orders.push((port.to_owned(), on));
        if state.deaf > 0 {
            state.deaf -= 1;
            return Ok(());
        }
        for (name, enabled, _) in &mut state.ports {
            if name == port {
                *enabled = on;
            }
        }
        Ok(())
    }

    async fn macs(&mut self) -> Result<Option<Vec<(String, MacAddr)>>, DeviceError> {
        Ok(self.0.lock().unwrap().macs.clone())
    }

    async fn mirror(&mut self, _: Option<(&str, &str)>) -> Result<(), DeviceError> {
        Err(super::super::device::mirrors_not())
    }

    fn forget(&mut self) {
        self.0.lock().unwrap().forgot += 1;
    }
}

const BOSS: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xfe]);

/// An owner at work, with machines on the ports 1 and 2.
struct Stand {
    state: Arc<Mutex<State>>,
    asks: mpsc::Sender<Asked>,
    reports: mpsc::Receiver<DriverReport>,
    count: u64,
}

impl Stand {
    fn new(state: State) -> Self {
        let state = Arc::new(Mutex::new(state));
        let (asks, queue) = mpsc::channel(8);
        let (tell, reports) = mpsc::channel(64);
        let node = |number: u8| (number.to_string(), format!("node{number}").parse().unwrap());
        let spec = SwitchSpec {
            kind: SwitchKind::WebPages {
                url: "http://10.0.0.2".to_owned(),
                credentials: SecretRef::Kept("switch".to_owned()),
            },
            boss: Some("8".to_owned()),
            uplink: None,
            protect: ["6".to_owned()].into(),
            every: Span(500),
        };
        let around = Around {
            name: "core".parse().unwrap(),
            nodes: [node(1), node(2)].into(),
            spec,
            own: vec![BOSS],
            every: Duration::from_millis(500),
            reports: tell,
        };
        tokio::spawn(Owner::new(Scripted(Arc::clone(&state)), around).run(queue));
        Self { state, asks, reports, count: 0 }
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap())
    }

    async fn next(&mut self) -> DriverReport {
        timeout(Duration::from_secs(600), self.reports.recv()).await.unwrap().unwrap()
    }

    async fn link(&mut self, number: u8) -> LinkReading {
        let wanted: NodeName = format!("node{number}").parse().unwrap();
        loop {
            match self.next().await {
                DriverReport::LinkSeen { node, link } if node == wanted => return link,
                _ => {}
            }
        }
    }

    async fn sight(&mut self) -> DeviceSight {
        loop {
            if let DriverReport::DeviceSeen { sight, .. } = self.next().await {
                return sight;
            }
        }
    }

    async fn set(&mut self, port: &str, on: bool) -> Outcome {
        self.count += 1;
        let number = CommandId(self.count);
        self.asks.send(Asked::Set { id: number, port: port.to_owned(), on }).await.unwrap();
        loop {
            match self.next().await {
                DriverReport::Finished { id, outcome } if id == number => return outcome,
                _ => {}
            }
        }
    }
}

fn eight() -> State {
    let ports = (1..=8).map(|number| (number.to_string(), true, Some(1000)));
    State { ports: ports.collect(), ..State::default() }
}

fn code(outcome: Outcome) -> String {
    match outcome {
        Outcome::Failed { code, .. } => code,
        other => panic!("it was to fail, not {other:?}"),
    }
}

const fn link(enabled: bool, mbit: Option<u32>) -> LinkReading {
    LinkReading { enabled, mbit, lost: false }
}

#[tokio::test(start_paused = true)]
async fn a_link_that_is_lost_is_told_within_a_second_and_once() {
    let mut stand = Stand::new(eight());
    assert_eq!(stand.link(1).await, link(true, Some(1000)));
    assert_eq!(stand.link(2).await, link(true, Some(1000)));
    let pulled = Instant::now();
    stand.with(|state| state.ports[0].2 = None);
    assert_eq!(stand.link(1).await, link(true, None));
    assert!(pulled.elapsed() <= Duration::from_secs(1), "{:?}", pulled.elapsed());
    // Nothing else changed, so nothing else is told.
    let more = timeout(Duration::from_secs(30), stand.reports.recv()).await;
    assert!(more.is_err(), "{more:?}");
}

#[tokio::test(start_paused = true)]
async fn a_port_is_disabled_seen_so_and_enabled_again() {
    let mut stand = Stand::new(eight());
    assert_eq!(stand.link(2).await, link(true, Some(1000)));
    assert_eq!(stand.set("2", false).await, Outcome::Done);
    assert!(!stand.with(|state| state.ports[1].1));
    assert_eq!(stand.set("2", true).await, Outcome::Done);
    // What it does not do is told again, three times in all.
    stand.with(|state| state.deaf = 2);
    assert_eq!(stand.set("1", false).await, Outcome::Done);
    assert_eq!(stand.with(|state| state.orders.len()), 5);
    stand.with(|state| state.deaf = 99);
    assert_eq!(code(stand.set("1", true).await), "not-confirmed");
    assert_eq!(stand.with(|state| state.orders.len()), 8);
    assert_eq!(code(stand.set("44", true).await), "no-such-port");
}

#[tokio::test(start_paused = true)]
async fn a_cut_that_is_seen_is_told_before_the_order_ends() {
    let mut stand = Stand::new(eight());
    assert_eq!(stand.link(2).await, link(true, Some(1000)));
    let asked = Asked::Set { id: CommandId(1), port: "2".to_owned(), on: false };
    stand.asks.send(asked).await.unwrap();
    assert_eq!(stand.link(2).await, link(false, None), "a disabled port tells no speed");
    assert_eq!(stand.next().await, DriverReport::Finished { id: CommandId(1), outcome: Outcome::Done });
}

#[tokio::test(start_paused = true)]
async fn the_port_of_the_boss_is_never_disabled_wherever_it_hangs() {
    let mut stand = Stand::new(eight());
    for port in ["8", "6"] {
        assert_eq!(code(stand.set(port, false).await), BOSS_PORT, "{port}");
    }
    // The lab file says 8, and it is heard on 3.
    stand.with(|state| state.macs = Some(vec![("3".to_owned(), BOSS)]));
    assert_eq!(code(stand.set("3", false).await), BOSS_PORT);
    assert_eq!(stand.with(|state| state.orders.len()), 0);
    // To enable is never refused.
    assert_eq!(stand.set("3", true).await, Outcome::Done);
    assert_eq!(stand.set("1", false).await, Outcome::Done);
}

#[tokio::test(start_paused = true)]
async fn a_switch_that_hangs_is_named_and_its_links_are_unknown_not_down() {
    let mut stand = Stand::new(eight());
    assert_eq!(stand.link(2).await, link(true, Some(1000)));
    // One lost answer is no news.
    stand.with(|state| state.looks = [Does::Hangs].into());
    let more = timeout(Duration::from_secs(30), stand.reports.recv()).await;
    assert!(more.is_err(), "{more:?}");
    stand.with(|state| state.looks = [Does::Hangs, Does::Hangs, Does::Hangs].into());
    let DeviceSight::Lost { code, why } = stand.sight().await else { panic!("it is lost") };
    assert_eq!(code, "hangs");
    assert!(why.contains("within 5 s"), "{why}");
    let gone = stand.link(1).await;
    assert!(gone.lost && !gone.enabled, "{gone:?}");
    // It comes back by itself, and everything is told anew.
    assert_eq!(stand.sight().await, DeviceSight::Answers { about: "a script".to_owned() });
    assert_eq!(stand.link(1).await, link(true, Some(1000)));
    assert!(stand.with(|state| state.forgot) >= 3);
}

#[tokio::test(start_paused = true)]
async fn a_switch_that_does_not_take_our_password_is_asked_no_more() {
    let mut stand = Stand::new(eight());
    assert_eq!(stand.link(2).await, link(true, Some(1000)));
    stand.with(|state| state.looks = [Does::Fails(DeviceError::locked("wrong password"))].into());
    assert!(matches!(stand.sight().await, DeviceSight::Lost { code, .. } if code == "credentials"));
    assert!(stand.link(2).await.lost);
    let looked = stand.with(|state| state.looked);
    assert_eq!(code(stand.set("1", false).await), "credentials");
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(stand.with(|state| (state.looked, state.orders.len())), (looked, 0));
    let (answer, answered) = oneshot::channel();
    stand.asks.send(Asked::Look { answer }).await.unwrap();
    assert_eq!(answered.await.unwrap().lost.as_deref(), Some("wrong password"));
}

#[tokio::test(start_paused = true)]
async fn who_looks_sees_machines_addresses_and_what_is_guarded() {
    let stand = Stand::new(eight());
    let mac = MacAddr([2, 0, 0, 0, 0, 1]);
    stand.with(|state| state.macs = Some(vec![("1".to_owned(), mac), ("3".to_owned(), BOSS)]));
    let (answer, answered) = oneshot::channel();
    stand.asks.send(Asked::Look { answer }).await.unwrap();
    let Ports { ports, lost, about } = answered.await.unwrap();
    assert_eq!((lost, about.as_str(), ports.len()), (None, "a script", 8));
    assert_eq!(ports[0].node.as_ref().map(NodeName::as_str), Some("node1"));
    assert_eq!((ports[0].macs.as_deref(), ports[0].guarded.as_deref()), (Some([mac].as_slice()), None));
    assert_eq!(ports[2].guarded.as_deref(), Some("the boss itself is heard on it"));
    assert_eq!(ports[7].guarded.as_deref(), Some("the boss itself hangs on it"));
}

#[tokio::test(start_paused = true)]
async fn a_link_that_was_gone_between_two_looks_is_told_as_gone_and_back() {
    let mut stand = Stand::new(eight());
    assert_eq!(stand.link(2).await, link(true, Some(1000)));
    stand.with(|state| state.bounced = vec!["2".to_owned()]);
    assert_eq!(stand.link(2).await, link(true, None));
    assert_eq!(stand.link(2).await, link(true, Some(1000)));
    let more = timeout(Duration::from_secs(30), stand.reports.recv()).await;
    assert!(more.is_err(), "{more:?}");
}
