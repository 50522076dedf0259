//! A small world around the judgment: a board, a clock, and the loop that a conductor turns.

mod oracle;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use lifecycle::{
    Decision, Judge, Judgment, Lab, Refusal, Request, Verdict, absorb, admit, boot_table, decide, keeping,
};
use model::{
    Asset, BoardSpec, BootAnswer, BootEntry, Candidate, Cell, Command, CommandId, DhcpMode, Digest, Event,
    Fact, Goal, Image, ImageRef, Keeping, LabSpec, LabTime, Limits, MacAddr, ManifestFiles, Mebibytes,
    Moment, NetworkSpec, NodeBoot, NodeName, NodeSpec, PortRef, PowerDriver, PowerOrder, Rung, ScenarioName,
    ScenarioSpec, Span, SystemSpec, TALOS_WIPE, TalosSpec, Variables, WallTime,
};

use oracle::Oracle;

/// More facts than this out of one turn of the loop means that it never comes to rest.
const FACTS_A_TURN: usize = 200;
/// More turns than this while time passes means that it spins.
const TURNS_A_WAIT: usize = 20_000;

/// Where a later generation of the image is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Built {
    /// Nowhere.
    No,
    /// Beside the one in use.
    ToBeTried,
    /// In its place.
    InUse,
}

/// A board of which nothing has been seen.
#[derive(Debug, Clone)]
pub(crate) struct Board {
    /// As its owner describes it.
    pub(crate) spec: LabSpec,
    /// What its scenarios boot.
    pub(crate) images: BTreeMap<ScenarioName, Image>,
    /// The files of the images are read when the test says so.
    pub(crate) images_later: bool,
    /// A generation that is to be tried, and whether it was built.
    pub(crate) candidate: (Option<Candidate>, Built),
    /// Manifests that scenarios install cannot be used.
    pub(crate) manifests_are_wrong: bool,
}

/// The Ethernet address of the machine in column `column`.
pub(crate) const fn mac(column: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, column])
}

fn asset(name: &str) -> Asset {
    Asset { name: name.to_owned(), digest: Digest([7; 32]), size: 1_000_000 }
}

fn network() -> NetworkSpec {
    NetworkSpec {
        interface: "lab0".to_owned(),
        subnet: Ipv4Addr::new(10, 0, 0, 0),
        prefix: 24,
        boss: Ipv4Addr::new(10, 0, 0, 1),
        gateway: None,
        dns: Vec::new(),
        domain: None,
        names: None,
        ntp: model::NtpMode::Off,
        pool: None,
        dhcp: DhcpMode::Authoritative,
        lease_seconds: 3600,
        relays: Vec::new(),
        tftp: model::TftpPorts::default(),
        ipv6: None,
    }
}

impl Board {
    /// A later generation of the image of `demo`.
    pub(crate) fn later(&mut self, generation: u32, after: u32, node: Option<NodeName>) {
        let instead_of = self.images.values().next().unwrap().clone();
        let newer = |asset: &Asset| Asset { digest: Digest([8; 32]), ..asset.clone() };
        let image = Arc::new(Image {
            kernel: instead_of.kernel.as_ref().map(newer),
            initrd: instead_of.initrd.iter().map(newer).collect(),
            ..instead_of.clone()
        });
        let name = "live".to_owned();
        self.candidate.0 = Some(Candidate { name, generation, after, starts: 0, node, instead_of, image });
    }

    /// A row of machines and one scenario, `demo`, that needs all of them. Those `by_hand` have no driver.
    pub(crate) fn new(machines: &[&str], by_hand: &[&str]) -> Self {
        let nodes: Vec<NodeName> = machines.iter().map(|name| name.parse().unwrap()).collect();
        let node = |(column, name): (u8, &NodeName)| {
            let driver = if by_hand.contains(&name.as_str()) { "hands" } else { "vms" };
            let spec = NodeSpec {
                at: Cell { column, row: 1 },
                zone: None,
                mac: mac(column),
                ip: Ipv4Addr::new(10, 0, 0, 10 + column),
                ip6: None,
                power: PortRef { driver: driver.parse().unwrap(), port: name.as_str().to_owned() },
                loader: model::LoaderChoice::Ipxe,
                guest: None,
                port: None,
                memory: None,
                firmware: None,
                disk: None,
            };
            (name.clone(), spec)
        };
        let columns = u8::try_from(nodes.len()).unwrap();
        let spec = LabSpec {
            lab: "bench".parse().unwrap(),
            network: network(),
            power: BTreeMap::from([
                (
                    "vms".parse().unwrap(),
                    PowerDriver::Virtual { memory: Mebibytes(512), stagger: Span(0), disk: None },
                ),
                ("hands".parse().unwrap(), PowerDriver::Manual),
            ]),
            board: BoardSpec { columns, rows: 1, nodes: (1..).zip(&nodes).map(node).collect() },
            scenarios: BTreeMap::new(),
            limits: Limits::default(),
            variables: Variables::default(),
            agent_updates: model::AgentUpdates::default(),
            switch: [].into(),
            secure_boot: model::SecureBootRule::default(),
            pdudaemon: None,
            logs: model::LogsSpec::default(),
        };
        let candidate = (None, Built::No);
        let mut board = Self {
            spec,
            images: BTreeMap::new(),
            images_later: false,
            candidate,
            manifests_are_wrong: false,
        };
        board.scenario("demo", nodes, None);
        board
    }

    /// Adds a scenario, or describes one again. Without `enough` it needs all its machines.
    pub(crate) fn scenario(&mut self, name: &str, nodes: Vec<NodeName>, enough: Option<u16>) {
        let name: ScenarioName = name.parse().unwrap();
        let enough = enough.unwrap_or_else(|| u16::try_from(nodes.len()).unwrap());
        let image = ImageRef::Named("live".to_owned());
        self.spec.scenarios.insert(
            name.clone(),
            ScenarioSpec {
                nodes,
                image,
                args: String::new(),
                enough,
                system: SystemSpec::default(),
                talos: None,
                hypervisors: Vec::new(),
                hypervisor_image: None,
                hypervisor_args: String::new(),
                guests: BTreeMap::new(),
                wipe_before_use: false,
                park: None,
            },
        );
        let image = Image {
            kernel: Some(asset("vmlinuz")),
            initrd: vec![asset("initrd")],
            uki: None,
            args: "quiet".to_owned(),
            agent: true,
        };
        self.images.insert(name, image);
    }

    /// What machines get that the scenario's image is not for.
    fn boots(&self) -> BTreeMap<ScenarioName, BTreeMap<NodeName, NodeBoot>> {
        let hypervisor = Image {
            kernel: Some(asset("vmlinuz")),
            initrd: vec![asset("initrd")],
            uki: None,
            args: String::new(),
            agent: true,
        };
        let boot =
            NodeBoot { image: Some(Arc::new(hypervisor)), args: Some(String::new()), ..NodeBoot::default() };
        let hosts = |scenario: &ScenarioSpec| {
            scenario.hypervisors.iter().map(|host| (host.clone(), boot.clone())).collect()
        };
        self.spec.scenarios.iter().map(|(name, scenario)| (name.clone(), hosts(scenario))).collect()
    }

    /// Makes the machines of a scenario a Talos cluster with this control plane.
    pub(crate) fn cluster(&mut self, name: &str, control_plane: Vec<NodeName>) {
        let name: ScenarioName = name.parse().unwrap();
        self.images.get_mut(&name).unwrap().agent = false;
        self.spec.scenarios.get_mut(&name).unwrap().talos = Some(TalosSpec {
            version: "1.12.11".to_owned(),
            kubernetes: None,
            control_plane,
            endpoint: Some("demo.lab".to_owned()),
            patches: Vec::new(),
            proof: model::Proof::default(),
            install: Vec::new(),
            carrier: model::ConfigCarrier::default(),
            park_by_reset: true,
            inline: None,
        });
    }
}

/// A lab and everything that happened to it.
#[derive(Debug, Clone)]
pub(crate) struct World {
    /// What the judgment knows.
    pub(crate) lab: Lab,
    /// Everything recorded, in order.
    pub(crate) events: Vec<Event>,
    /// Numbers of those that are fleeting.
    pub(crate) fleeting: BTreeSet<u64>,
    /// The clock.
    pub(crate) now: LabTime,
    /// The last decision.
    pub(crate) decision: Decision,
    /// Commands handed to drivers and not yet looked at by the test.
    pub(crate) asked: Vec<(CommandId, Command)>,
    judge: Judge,
    oracle: Oracle,
    watched: usize,
    board: Board,
}

impl World {
    /// Starts a core on this board.
    pub(crate) fn new(board: Board) -> Result<Self, String> {
        let mut world = Self {
            lab: Lab::new(board.spec.clone()),
            events: Vec::new(),
            fleeting: BTreeSet::new(),
            now: LabTime(1_000_000),
            decision: Decision::default(),
            asked: Vec::new(),
            judge: Judge::new(),
            oracle: Oracle::default(),
            watched: 0,
            board,
        };
        world.restart()?;
        Ok(world)
    }

    /// Now, on both clocks.
    pub(crate) const fn moment(&self) -> Moment {
        Moment { since_start: self.now, wall: WallTime(self.now.0 + 1_700_000_000_000) }
    }

    /// The core is started again; what was known is read back from the journal before, and images are
    /// looked for when it runs.
    pub(crate) fn restart(&mut self) -> Result<(), String> {
        self.happens(self.core_started())?;
        if self.board.images_later { Ok(()) } else { self.finds_images() }
    }

    /// The core has read the files of its scenarios.
    pub(crate) fn finds_images(&mut self) -> Result<(), String> {
        let installs = |(name, scenario): (&ScenarioName, &ScenarioSpec)| {
            let install = &scenario.talos.as_ref()?.install;
            Some((name.clone(), install.iter().map(|name| asset(name)).collect()))
                .filter(|_| !install.is_empty())
        };
        let read: Vec<(ScenarioName, Vec<Asset>)> =
            self.board.spec.scenarios.iter().filter_map(installs).collect();
        for (scenario, files) in read {
            let manifests = match self.board.manifests_are_wrong {
                false => ManifestFiles { files, mistakes: Vec::new() },
                true => ManifestFiles { files: Vec::new(), mistakes: vec!["web.yaml: line 3".to_owned()] },
            };
            self.happens(Fact::ManifestsRead { scenario, manifests })?;
        }
        let lacks = |name: &&ScenarioName| !self.board.images.contains_key(*name);
        let missing = self.board.spec.scenarios.keys().filter(lacks);
        let missing = missing.map(|name| (name.clone(), vec!["its kernel".to_owned()])).collect();
        self.happens(Fact::ImagesFound {
            images: self.board.images.clone(),
            missing,
            boots: self.board.boots(),
        })?;
        let (candidate, built) = &self.board.candidate;
        let candidates = candidate.clone().filter(|_| *built == Built::ToBeTried);
        self.happens(Fact::CandidatesFound { candidates: candidates.into_iter().collect() })
    }

    /// A generation was built, taken away, or made the one in use; the core sees it.
    pub(crate) fn candidate(&mut self, built: Built) -> Result<(), String> {
        self.board.candidate.1 = built;
        if let Some(candidate) = self.board.candidate.0.as_ref().filter(|_| built == Built::InUse) {
            let image = (*candidate.image).clone();
            self.board.images.values_mut().for_each(|of| *of = image.clone());
        }
        self.finds_images()
    }

    /// One thing happens, and everything that follows from it at once.
    pub(crate) fn happens(&mut self, fact: Fact) -> Result<(), String> {
        self.keep(fact);
        self.turn()
    }

    /// A person asks for something.
    pub(crate) fn request(&mut self, request: &Request) -> Result<Result<Verdict, Refusal>, String> {
        let answer = admit(&self.lab, request);
        if let Ok(Verdict::Record(fact)) = &answer {
            self.happens(fact.clone())?;
        }
        Ok(answer)
    }

    /// Lets time pass until `until`, looking again whenever a decision asked for it.
    pub(crate) fn pass(&mut self, until: LabTime) -> Result<(), String> {
        for _ in 0..TURNS_A_WAIT {
            match self.decision.wake_at.filter(|at| *at <= until) {
                Some(at) => {
                    self.now = self.now.max(at);
                    self.turn()?;
                }
                None => {
                    self.now = until;
                    return self.turn();
                }
            }
        }
        Err(format!("it woke up {TURNS_A_WAIT} times and is still before {until:?}"))
    }

    /// What a machine's firmware would be answered.
    pub(crate) fn answer(&self, node: &NodeName) -> Option<Arc<BootEntry>> {
        boot_table(&self.lab, 1).nodes.into_iter().find(|entry| entry.node == *node)
    }

    /// The lab that some of the events tell.
    pub(crate) fn replayed(&self, told: impl Fn(&Event) -> bool) -> Lab {
        let mut lab = Lab::new(self.board.spec.clone());
        for event in self.events.iter().filter(|event| told(event)) {
            absorb(&mut lab, event);
        }
        lab
    }

    /// A core that knows only what the journal keeps judges as this one would after a restart.
    pub(crate) fn rule_of_the_journal(&self) -> Result<(), String> {
        let (mut here, mut kept) =
            (self.lab.clone(), self.replayed(|event| !self.fleeting.contains(&event.seq)));
        let event = numbered(&self.events, self.moment(), self.core_started());
        absorb(&mut here, &event);
        absorb(&mut kept, &event);
        let (here, kept) = (decide(&here, self.moment()), decide(&kept, self.moment()));
        if here.facts != kept.facts || here.wishes != kept.wishes {
            return Err(format!("the journal alone tells another lab:\n{here:#?}\n{kept:#?}"));
        }
        Ok(())
    }

    /// A lab that was written down and read back in between is the same lab in the end, wherever `cut` says to do it.
    pub(crate) fn rule_of_the_checkpoint(&self, cut: impl Fn(usize) -> bool) -> Result<(), String> {
        let mut lab = Lab::new(self.board.spec.clone());
        for (number, event) in self.events.iter().enumerate() {
            if cut(number) {
                let back = written_and_read(&lab).map_err(|why| format!("before event {number}: {why}"))?;
                if back != lab {
                    return Err(format!("before event {number}: {back:#?}\nwas written, and was\n{lab:#?}"));
                }
                lab = back;
            }
            absorb(&mut lab, event);
        }
        if lab == self.lab {
            Ok(())
        } else {
            Err("a lab that was written in between is another one".to_owned())
        }
    }

    fn core_started(&self) -> Fact {
        let spec = Box::new(self.board.spec.clone());
        Fact::CoreStarted { version: "test".to_owned(), spec, kernel: String::new(), boottime_ms: 0 }
    }

    fn keep(&mut self, fact: Fact) {
        let event = numbered(&self.events, self.moment(), fact);
        if keeping(&self.lab, &event.fact) == Keeping::Fleeting {
            self.fleeting.insert(event.seq);
        }
        self.judge.touch(&absorb(&mut self.lab, &event));
        self.events.push(event);
    }

    /// Settle, issue, decide again: the loop of the conductor, and the rules that hold in every turn.
    fn turn(&mut self) -> Result<(), String> {
        let mut decision = self.come_to_rest()?;
        for command in core::mem::take(&mut decision.wishes) {
            self.rule_of_one_order(&command)?;
            let id = CommandId(self.lab.commands + 1);
            self.keep(Fact::Issued { id, command: command.clone() });
            self.asked.push((id, command));
        }
        self.decision = self.come_to_rest()?;
        if !self.decision.wishes.is_empty() {
            return Err(format!("asked twice for {:?}", self.decision.wishes));
        }
        // The judge looked only at what was touched or due; one who looks at everything finds the same.
        let whole = decide(&self.lab, self.moment());
        if whole != self.decision {
            return Err(format!("a whole look decides otherwise:\n{whole:#?}\n{:#?}", self.decision));
        }
        for event in &self.events[self.watched..] {
            self.oracle.watch(&self.board.spec, event)?;
        }
        self.watched = self.events.len();
        self.rule_of_waits()?;
        self.rule_of_the_wipe()?;
        self.rule_of_progress()
    }

    fn come_to_rest(&mut self) -> Result<Decision, String> {
        let now = self.moment();
        let mut recorded = Vec::new();
        let events = &mut self.events;
        let Judgment { facts, wishes, wake_at } = self.judge.settle(
            &mut self.lab,
            now,
            |fact| {
                assert!(recorded.len() < FACTS_A_TURN, "it never comes to rest: {recorded:#?}");
                let event = numbered(events, now, fact);
                recorded.push(event.fact.clone());
                events.push(event.clone());
                event
            },
            drop,
        );
        Ok(Decision { facts, wishes, waits: self.judge.waits().clone(), wake_at })
    }

    fn rule_of_one_order(&self, command: &Command) -> Result<(), String> {
        let Some(machine) = command.node().map(|node| &self.lab.machines[node]) else { return Ok(()) };
        match &machine.in_flight {
            Some((id, order, _)) => Err(format!("{command:?} while {order} ({id:?}) is on its way")),
            None => Ok(()),
        }
    }

    /// Every wait ends, and somebody looks when it does.
    fn rule_of_waits(&self) -> Result<(), String> {
        for (node, wait) in &self.decision.waits {
            if wait.until <= self.now {
                return Err(format!(
                    "{node} waits for {} until {:?}, now {:?}",
                    wait.what, wait.until, self.now
                ));
            }
            if self.decision.wake_at.is_none_or(|at| at > wait.until) {
                return Err(format!("nobody looks when {node} has waited for {}", wait.what));
            }
        }
        match self.decision.wake_at {
            Some(at) if at <= self.now => Err(format!("it wants to wake at {at:?}, now {:?}", self.now)),
            _ => Ok(()),
        }
    }

    /// No machine whose config was pushed is told to wipe itself.
    fn rule_of_the_wipe(&self) -> Result<(), String> {
        let wipes = |node: &NodeName| match self.answer(node).map(|entry| entry.answer.clone()) {
            Some(BootAnswer::Run { args, .. }) => args.contains(TALOS_WIPE),
            _ => false,
        };
        match self.oracle.pushed().find(|node| wipes(node)) {
            Some(node) => Err(format!("{node} was given its config, and would be wiped")),
            None => Ok(()),
        }
    }

    /// Whoever is below its goal waits for something, is given up, or was switched off by a person.
    fn rule_of_progress(&self) -> Result<(), String> {
        let idle = |m: &&Arc<lifecycle::Machine>| {
            let below = match m.goal {
                Goal::Ready => m.rung != Rung::Ready && m.person != Some(PowerOrder::Off),
                Goal::Off => m.off_wanted.is_some(),
                Goal::Any => m.person == Some(PowerOrder::On) && m.rung == Rung::Off,
            };
            below && !m.bad && !self.decision.waits.contains_key(&m.node)
        };
        match self.lab.machines.values().find(idle) {
            Some(m) => {
                Err(format!("{} is {} and should be {:?}, and waits for nothing", m.node, m.rung, m.goal))
            }
            None => Ok(()),
        }
    }
}

/// The lab as a checkpoint keeps it.
fn written_and_read(lab: &Lab) -> Result<Lab, String> {
    let text = |error: serde_json::Error| error.to_string();
    let head = serde_json::to_vec(lab).map_err(text)?;
    let mut back = Lab::without_machines(serde_json::from_slice(&head).map_err(text)?);
    for machine in lab.machines.values() {
        let machine = serde_json::to_vec(machine).map_err(text)?;
        if !back.put_back(serde_json::from_slice(&machine).map_err(text)?) {
            return Err("a machine is not on its own board".to_owned());
        }
    }
    Ok(back)
}

fn numbered(events: &[Event], at: Moment, fact: Fact) -> Event {
    Event { seq: events.last().map_or(1, |last| last.seq + 1), at, fact }
}
