//! Gates of a cluster: its secrets are made once in a run, and its etcd is begun once, on one machine.

use core::net::IpAddr;

use model::{Command, CommandId, LabTime, NodeName, Outcome, Span, TalosSight, TalosSpec};

use crate::cluster::{Cluster, Order, has_begun};
use crate::lab::Lab;

/// How long keys may take to be made on a small boss.
const MINT: Span = Span::secs(120);
/// How long etcd may take to be begun.
const BOOTSTRAP: Span = Span::secs(60);
/// Time between a refusal and the next order.
const AFTER_FAILURE: Span = Span::secs(3);

/// What a gate wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// To be asked of a driver now.
    pub(crate) wish: Option<Command>,
    /// An order that nobody answered in time.
    pub(crate) unanswered: Option<CommandId>,
    /// When to look again.
    pub(crate) look_at: Option<LabTime>,
}

/// What the cluster of the run needs of all its machines' drivers.
pub(crate) fn wanted(lab: &Lab, now: LabTime) -> Wanted {
    let active = lab.active_run().map(|run| run.number);
    let Some(((cluster, _), run)) = lab.cluster().zip(active) else { return Wanted::default() };
    if cluster.secrets.is_none() {
        return ask(cluster.mint.as_ref(), (MINT, AFTER_FAILURE), now, || Command::Mint { run });
    }
    if has_begun(lab) {
        return Wanted::default();
    }
    let Some(node) = begins_on(lab, cluster) else { return Wanted::default() };
    let order = cluster.bootstrap.as_ref().filter(|(asked, _)| *asked == node).map(|(_, order)| order);
    ask(order, (BOOTSTRAP, AFTER_FAILURE), now, || Command::Bootstrap { node: node.clone() })
}

/// Gives an order, unless one is on its way or was refused just now.
pub(super) fn ask(
    order: Option<&Order>,
    (limit, rest): (Span, Span),
    now: LabTime,
    command: impl Fn() -> Command,
) -> Wanted {
    let give = || Wanted { wish: Some(command()), ..Wanted::default() };
    let Some(order) = order else { return give() };
    match &order.ended {
        None if now < order.given.after(limit) => {
            Wanted { look_at: Some(order.given.after(limit)), ..Wanted::default() }
        }
        None => Wanted { unanswered: Some(order.id), ..Wanted::default() },
        Some((Outcome::Failed { .. }, at)) if now < at.after(rest) => {
            Wanted { look_at: Some(at.after(rest)), ..Wanted::default() }
        }
        Some((Outcome::Failed { .. } | Outcome::Done | Outcome::Unknown, _)) => give(),
    }
}

/// The machine to begin etcd on. Once one was asked, no other one is, unless it surely never did: two machines that
/// begin make two clusters.
fn begins_on(lab: &Lab, cluster: &Cluster) -> Option<NodeName> {
    let (_, spec) = lab.cluster()?;
    let usable = |node: &&NodeName| {
        lab.machines.get(*node).is_some_and(|machine| {
            let stays = machine.off_wanted.is_none() && machine.in_flight.is_none();
            stays && !machine.bad && matches!(machine.talos.sight, TalosSight::Known { .. })
        })
    };
    match &cluster.bootstrap {
        Some((node, order)) => {
            let refused = matches!(order.ended, Some((Outcome::Failed { .. }, _)));
            let given_up = lab.machines.get(node).is_none_or(|machine| machine.bad);
            if refused && given_up {
                return first_of(lab, spec, usable).cloned();
            }
            Some(node).filter(usable).cloned()
        }
        None => first_of(lab, spec, usable).cloned(),
    }
}

/// Where the endpoint is an address, the machine that has it is waited for: nobody finds a cluster that begins on another
/// one. Else, or once that one is given up, the first that can be used.
fn first_of<'a>(lab: &Lab, spec: &'a TalosSpec, usable: impl Fn(&&NodeName) -> bool) -> Option<&'a NodeName> {
    let endpoint = spec.endpoint.as_ref().and_then(|told| told.parse::<IpAddr>().ok());
    let has = |node: &&NodeName| {
        let known = lab.node(node);
        let own = known.map(|node| (IpAddr::from(node.ip), node.ip6.map(IpAddr::from)));
        endpoint.is_some() && own.is_some_and(|(four, six)| Some(four) == endpoint || six == endpoint)
    };
    let given_up = |node: &NodeName| lab.machines.get(node).is_none_or(|machine| machine.bad);
    match spec.control_plane.iter().find(has) {
        Some(holds) if !given_up(holds) => Some(holds).filter(usable),
        Some(_) | None => spec.control_plane.iter().find(usable),
    }
}
