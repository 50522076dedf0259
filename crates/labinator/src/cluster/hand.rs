//! The hand: makes secrets, pushes configs, begins etcd. Each order is a task of its own; one that takes long keeps no
//! other waiting. What is not done ends in `Err`, with what became of it.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kubernetes::Client;
use kubernetes::apply::{Plan, Refusal, apply};
use model::{CONFIG_LAID_READY, Command, CommandId, Fact, NodeName, Outcome, ScenarioName};
use netboot::{ConfigOffer, Down, Sealed};
use talos::api::{Apply, ApplyOutcome, Bootstrap, Fingerprint, Node, Reset, Wipe};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use zeroize::Zeroizing;

use super::Room;
use super::configs::Order;
use super::minted::Minted;
use super::plane::{ControlPlane, servers};

/// How long a machine may take until its etcd can be begun; within the limit of the order.
const NOT_YET: Duration = Duration::from_secs(40);
/// Objects of which it is told why they were refused.
const TOLD: usize = 3;

/// Takes orders until nobody gives any.
pub(super) async fn run(room: Arc<Room>, mut orders: mpsc::Receiver<(CommandId, Command)>) {
    let mut under_way = JoinSet::new();
    loop {
        tokio::select! {
            order = orders.recv() => {
                let Some((id, command)) = order else { return };
                under_way.spawn(carry_out(Arc::clone(&room), id, command));
            }
            Some(_) = under_way.join_next() => {}
        }
    }
}

async fn carry_out(room: Arc<Room>, id: CommandId, command: Command) {
    let done = match &command {
        Command::Mint { run } => room.mint(*run).await,
        Command::Push { node, fingerprint, .. } => room.push(node, fingerprint).await,
        Command::Offer { node, boot } => room.offer(node, *boot).await,
        Command::Reset { node } => room.reset(node).await,
        Command::Bootstrap { node } => room.bootstrap(node).await,
        Command::Apply { run } => room.apply(*run).await,
        Command::Power { .. } | Command::Switch { .. } => {
            Err(failed("wrong_driver", "power and links are no matter of the cluster's"))
        }
    };
    let outcome = done.err().unwrap_or(Outcome::Done);
    if room.desk.tell(Fact::Finished { id, outcome }).await.is_err() {
        tracing::debug!("the lab was closed before {command:?} had ended");
    }
}

fn failed(code: &str, why: impl Display) -> Outcome {
    Outcome::Failed { code: code.to_owned(), why: format!("{why}") }
}

/// What was refused: the first few objects, each with its place and its field.
fn refused(refusals: &[Refusal]) -> Outcome {
    let told: Vec<String> = refusals.iter().take(TOLD).map(ToString::to_string).collect();
    let besides = refusals.len().saturating_sub(TOLD);
    let besides = if besides == 0 { String::new() } else { format!("; and {besides} others") };
    failed(refusals.first().map_or("manifest", Refusal::code), format!("{}{besides}", told.join("; ")))
}

impl Room {
    /// The run in hand and its scenario.
    async fn run(&self) -> Result<(u32, ScenarioName), Outcome> {
        let run = self.desk.look(|look| {
            let run = look.lab.run.as_ref()?;
            Some((run.number, run.scenario.clone()))
        });
        let run = run.await.map_err(|why| failed("closed", why))?;
        run.ok_or_else(|| failed("no_run", "no scenario is running"))
    }

    /// The scenario of this run, if it is still the one in hand.
    async fn scenario_of(&self, run: u32) -> Result<ScenarioName, Outcome> {
        let (number, scenario) = self.run().await?;
        if number == run { Ok(scenario) } else { Err(failed("no_run", format!("run {run} is over"))) }
    }

    async fn mint(self: &Arc<Self>, run: u32) -> Result<(), Outcome> {
        let scenario = self.scenario_of(run).await?;
        let room = Arc::clone(self);
        let made = tokio::task::spawn_blocking(move || {
            let contract = Order::of(&room.spec, &scenario).map_err(|why| failed("config", why))?.contract;
            room.keeper.mint(run, &scenario, contract).map_err(|why| failed(why.code(), why))
        });
        let fingerprint = made.await.map_err(|why| failed("mint", why))??.fingerprint.clone();
        self.desk.tell(Fact::SecretsReady { run, fingerprint }).await.map_err(|why| failed("closed", why))
    }

    /// The secrets of the run in hand.
    pub(super) async fn minted(
        self: &Arc<Self>,
        run: u32,
        scenario: &ScenarioName,
    ) -> Result<Arc<Minted>, Outcome> {
        let (room, scenario) = (Arc::clone(self), scenario.clone());
        let found = tokio::task::spawn_blocking(move || room.keeper.find(run, &scenario)).await;
        found.map_err(|why| failed("secrets", why))?.map_err(|why| failed(why.code(), why))
    }

    /// Where a machine's Talos is.
    pub(super) fn address(&self, node: &NodeName) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.spec.board.nodes.get(node)?.ip.into(), Node::PORT))
    }

    async fn push(self: &Arc<Self>, node: &NodeName, fingerprint: &str) -> Result<(), Outcome> {
        let (at, minted, scenario) = self.target(node).await?;
        let pin = fingerprint.parse::<Fingerprint>();
        let pin = pin.map_err(|_| failed("impostor", format!("`{fingerprint}` is no fingerprint")))?;
        let config = self.config(node, &minted, &scenario)?;
        let waiting = Node::in_maintenance(at, Some(pin)).over(self.dial.clone());
        Err(match waiting.apply_configuration(config.as_bytes(), Apply::default()).await {
            ApplyOutcome::Unconfirmed { warnings, .. } => {
                for warning in warnings {
                    tracing::warn!(%node, "Talos doubts its config: {warning}");
                }
                return Ok(());
            }
            ApplyOutcome::Confirmed { .. } | ApplyOutcome::AlreadyConfigured { ours: true } => return Ok(()),
            ApplyOutcome::ReplyLost { .. } => Outcome::Unknown,
            ApplyOutcome::Refused(refusal) => failed("refused", refusal.text),
            ApplyOutcome::Impostor { expected, seen } => {
                failed("impostor", format!("key {expected} was seen to wait, and key {seen} answers"))
            }
            ApplyOutcome::AlreadyConfigured { ours: false } => {
                failed("configured", "it had a config before ours came")
            }
            ApplyOutcome::WrongCluster => failed("wrong-cluster", "it belongs to another cluster"),
            ApplyOutcome::Unreachable(why) => failed("unreachable", why),
        })
    }

    /// Makes a config and hands it to the boot counter, which gives it to the boot that asked.
    async fn offer(self: &Arc<Self>, node: &NodeName, boot: u32) -> Result<(), Outcome> {
        let (_, minted, scenario) = self.target(node).await?;
        let config = Sealed::new(self.config(node, &minted, &scenario)?);
        let seconds = u32::try_from(CONFIG_LAID_READY.0 / 1000).unwrap_or(u32::MAX);
        let offer = ConfigOffer { node: node.clone(), run: minted.run, boot, seconds, config };
        self.counter.send(Down::OfferConfig(offer)).await.map_err(|why| failed("closed", why))
    }

    fn config(
        &self,
        node: &NodeName,
        minted: &Minted,
        scenario: &ScenarioName,
    ) -> Result<Zeroizing<String>, Outcome> {
        let order = Order::of(&self.spec, scenario);
        order.and_then(|order| order.config(node, &minted.secrets)).map_err(|why| failed("refused", why))
    }

    async fn target(
        self: &Arc<Self>,
        node: &NodeName,
    ) -> Result<(SocketAddr, Arc<Minted>, ScenarioName), Outcome> {
        let (run, scenario) = self.run().await?;
        let at =
            self.address(node).ok_or_else(|| failed("no_node", format!("there is no machine {node}")))?;
        Ok((at, self.minted(run, &scenario).await?, scenario))
    }

    /// Applies what was pinned when the run began. Whoever does it again finds it done.
    async fn apply(self: &Arc<Self>, run: u32) -> Result<(), Outcome> {
        let scenario = self.scenario_of(run).await?;
        let pinned = self.desk.look(|look| {
            let manifests = look.lab.cluster().map(|(cluster, _)| cluster.manifests.clone());
            (manifests.unwrap_or_default(), servers(look.lab))
        });
        let (files, servers) = pinned.await.map_err(|why| failed("closed", why))?;
        let minted = self.minted(run, &scenario).await?;
        let room = Arc::clone(self);
        let found = tokio::task::spawn_blocking(move || room.kept.find(&files)).await;
        let lost = |why: &dyn Display| failed("manifests-lost", why);
        let manifests = found.map_err(|why| lost(&why))?.map_err(|why| lost(&why))?;
        let plane = ControlPlane::over(self.dial.clone());
        plane.is(&servers);
        let kubeconfig = Order::of(&self.spec, &scenario).and_then(|order| order.kubeconfig(&minted.secrets));
        let kubeconfig = kubeconfig.map_err(|why| failed("kubeconfig", why))?;
        let client = Client::new(kubeconfig.as_bytes(), Arc::new(plane));
        let client = client.map_err(|why| failed(why.code(), why))?;
        let plan = Plan { set: Some(scenario.to_string()), ..Plan::default() };
        apply(&client, &manifests, &plan).await.map(drop).map_err(|refusals| refused(&refusals))
    }

    /// Talos stays installed and comes back in maintenance. It does not leave the cluster first: that is torn down.
    async fn reset(self: &Arc<Self>, node: &NodeName) -> Result<(), Outcome> {
        let (at, minted, _) = self.target(node).await?;
        let known = Node::of_cluster(at, Arc::clone(&minted.identity)).over(self.dial.clone());
        let wipe = Wipe::Partitions(vec!["STATE".to_owned(), "EPHEMERAL".to_owned()]);
        let reset = known.reset(Reset { graceful: false, reboot: true, wipe }).await;
        reset.map(drop).map_err(|why| failed("unreachable", why))
    }

    async fn bootstrap(self: &Arc<Self>, node: &NodeName) -> Result<(), Outcome> {
        let (at, minted, _) = self.target(node).await?;
        let known = Node::of_cluster(at, Arc::clone(&minted.identity)).over(self.dial.clone());
        match known.bootstrap_within(NOT_YET).await.map_err(|why| failed("unreachable", why))? {
            Bootstrap::Begun | Bootstrap::AlreadyThere => Ok(()),
            Bootstrap::NotYet { text } => Err(failed("not-yet", text)),
            Bootstrap::Never { text } => Err(failed("never", text)),
            Bootstrap::Unknown { why } => {
                tracing::warn!(%node, "nobody knows whether etcd begins: {why}");
                Err(Outcome::Unknown)
            }
        }
    }
}
