//! The owner against devices that misbehave by a script, on a clock that jumps.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use model::PowerState;

use super::*;

/// What a device does with an act.
#[derive(Debug, Clone)]
enum Does {
    Takes,
    Hangs,
    Fails(DeviceError),
}

/// A device that follows a script, and what it was told.
#[derive(Debug, Clone)]
struct Scripted {
    ports: Ports,
    acts: Arc<Mutex<VecDeque<Does>>>,
    /// Which port was told what, and when.
    told: Arc<Mutex<Vec<(String, Act, Instant)>>>,
    /// What it then says of every port.
    says: PortSense,
    forgot: Arc<Mutex<u32>>,
}

impl Scripted {
    fn new(ports: Ports, says: PortSense, acts: Vec<Does>) -> Self {
        let acts = Arc::new(Mutex::new(acts.into()));
        Self { ports, acts, told: Arc::default(), says, forgot: Arc::default() }
    }

    fn acts(&self) -> Vec<(String, Act, Instant)> {
        self.told.lock().unwrap().clone()
    }
}

impl Device for Scripted {
    fn manner(&self) -> Manner {
        Manner {
            ports: self.ports,
            gap: Duration::from_millis(10),
            poll: Some(Duration::from_secs(3600)),
            shows: Duration::ZERO,
            limit: Duration::from_secs(5),
        }
    }

    async fn act(&mut self, port: &str, act: Act) -> Result<Taken, DeviceError> {
        self.told.lock().unwrap().push((port.to_owned(), act, Instant::now()));
        let next = self.acts.lock().unwrap().pop_front().unwrap_or(Does::Takes);
        match next {
            Does::Takes => Ok(Taken::AT_ONCE),
            Does::Hangs => pending().await,
            Does::Fails(error) => Err(error),
        }
    }

    async fn read(&mut self, ports: &[String]) -> Result<Told, DeviceError> {
        let reading = PortReading { sense: self.says, milliwatts: None };
        Ok(Told { ports: ports.iter().map(|port| (port.clone(), reading)).collect(), ..Told::default() })
    }

    fn forget(&mut self) {
        *self.forgot.lock().unwrap() += 1;
    }
}

/// An owner of it at work, with machines on the ports 1 and 2 that are seen off.
struct Stand {
    orders: mpsc::Sender<Ordered>,
    reports: mpsc::Receiver<DriverReport>,
    count: u64,
}

impl Stand {
    fn of(device: &Scripted) -> Self {
        let (orders, queue) = mpsc::channel(8);
        let (tell, reports) = mpsc::channel(64);
        let node = |port: &str| (port.to_owned(), format!("node{port}").parse::<NodeName>().unwrap());
        let guard = Guard::default();
        ["1", "2"].map(node).iter().for_each(|(_, node)| guard.saw(node, PowerState::Off));
        let named = ("box".parse().unwrap(), device.clone());
        let stagger = Duration::from_millis(500);
        let owner = Owner::new(named, ["1", "2"].map(node).into_iter(), stagger, guard, tell);
        tokio::spawn(owner.run(queue));
        Self { orders, reports, count: 0 }
    }

    async fn begin(&mut self, port: &str, act: Act) -> CommandId {
        self.count += 1;
        let id = CommandId(self.count);
        self.orders.send(Ordered { id, port: port.to_owned(), act }).await.unwrap();
        id
    }

    /// The outcome of an order, and how the device was seen to stand on the way.
    async fn end(&mut self, wanted: CommandId) -> (Outcome, Vec<DeviceSight>) {
        let mut sights = Vec::new();
        loop {
            match self.reports.recv().await.unwrap() {
                DriverReport::Finished { id, outcome } if id == wanted => return (outcome, sights),
                DriverReport::DeviceSeen { sight, .. } => sights.push(sight),
                _ => {}
            }
        }
    }

    async fn order(&mut self, port: &str, act: Act) -> (Outcome, Vec<DeviceSight>) {
        let id = self.begin(port, act).await;
        self.end(id).await
    }
}

fn code(outcome: &Outcome) -> &str {
    let Outcome::Failed { code, .. } = outcome else { panic!("{outcome:?}") };
    code
}

fn lost(sights: &[DeviceSight]) -> Vec<&str> {
    sights
        .iter()
        .filter_map(|sight| match sight {
            DeviceSight::Lost { code, .. } => Some(code.as_str()),
            DeviceSight::Answers { .. } | DeviceSight::Restarted { .. } => None,
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_switch_that_hangs_is_told_again_within_bounds_named_and_used_again_once_it_answers() {
    let device = Scripted::new(Ports::Switches, PortSense::Supply(true), vec![Does::Hangs; 3]);
    let mut stand = Stand::of(&device);
    let began = Instant::now();
    let first = stand.begin("1", Act::On).await;
    let second = stand.begin("2", Act::On).await;
    let (outcome, sights) = stand.end(first).await;
    assert_eq!((code(&outcome), lost(&sights)), ("hangs", vec!["hangs"]), "{sights:?}");
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(15) && took < Duration::from_secs(16), "three limits: {took:?}");
    assert_eq!(*device.forgot.lock().unwrap(), 3, "what comes late belongs to nobody");
    let (outcome, sights) = stand.end(second).await;
    assert_eq!(outcome, Outcome::Done);
    assert!(matches!(&sights[..], [DeviceSight::Answers { .. }]), "{sights:?}");
}

#[tokio::test(start_paused = true)]
async fn a_button_is_not_pressed_again_when_nobody_knows_whether_it_was() {
    for does in [Does::Hangs, Does::Fails(DeviceError::doubt("serial", "no answer"))] {
        let device = Scripted::new(Ports::Buttons, PortSense::Believed(true), vec![does]);
        let mut stand = Stand::of(&device);
        let (outcome, _) = stand.order("1", Act::On).await;
        assert_eq!((outcome, device.acts().len()), (Outcome::Unknown, 1));
    }
    // What was not even sent may be sent again.
    let lost = vec![Does::Fails(DeviceError::lost("serial", "no line")); 2];
    let device = Scripted::new(Ports::Buttons, PortSense::Believed(true), lost);
    let (outcome, _) = Stand::of(&device).order("1", Act::On).await;
    assert_eq!((outcome, device.acts().len()), (Outcome::Done, 3));
}

#[tokio::test(start_paused = true)]
async fn wrong_credentials_are_shown_once_and_all_that_waits_is_told() {
    let wrong = Does::Fails(DeviceError::locked("it does not know us"));
    let device = Scripted::new(Ports::Switches, PortSense::Supply(true), vec![wrong]);
    let mut stand = Stand::of(&device);
    let first = stand.begin("1", Act::On).await;
    let second = stand.begin("2", Act::On).await;
    let mut ended = Vec::new();
    while ended.len() < 2 {
        if let DriverReport::Finished { id, outcome } = stand.reports.recv().await.unwrap() {
            ended.push((id, code(&outcome).to_owned()));
        }
    }
    ended.sort();
    assert_eq!(ended, [first, second].map(|id| (id, "credentials".to_owned())));
    let (outcome, _) = stand.order("1", Act::On).await;
    assert_eq!((code(&outcome), device.acts().len()), ("credentials", 1));
}

#[tokio::test(start_paused = true)]
async fn what_a_switch_does_not_do_is_told_three_times_and_never_closer_than_the_stagger() {
    let device = Scripted::new(Ports::Switches, PortSense::Supply(false), Vec::new());
    let mut stand = Stand::of(&device);
    let first = stand.begin("1", Act::On).await;
    let second = stand.begin("2", Act::On).await;
    for id in [first, second] {
        let (outcome, _) = stand.end(id).await;
        assert_eq!(code(&outcome), "not-confirmed");
    }
    let acts = device.acts();
    assert_eq!(acts.len(), 6, "{acts:?}");
    let apart = acts.windows(2).map(|pair| pair[1].2 - pair[0].2).min().unwrap();
    assert!(apart >= Duration::from_millis(500), "{apart:?}: {acts:?}");
}
