//! `power`: the machines of a lab through its controller, or the ports of one device without either.

use api::{Accepted, ErrorBody, PowerAsk, PowerSaid};
use model::{NodeName, Origin, PowerOrder, PowerState, Snapshot};

use super::args_power::{PowerArgs, PowerSet, PowerStatus, PowerVerb};
use super::by_hand;
use super::client::Client;
use super::failure::Failure;
use super::out::{self, Look};
use super::render::render_power;
use super::verbs::shown;

/// The word for every machine.
pub(super) const ALL: &str = "all";

pub(super) async fn power(client: &Client, verb: PowerVerb, look: Look) -> Result<(), Failure> {
    let (args, order) = match verb {
        PowerVerb::On(args) => (args, PowerOrder::On),
        PowerVerb::Off(args) => (args, PowerOrder::Off),
        PowerVerb::Soft(args) => (args, PowerOrder::Soft),
        PowerVerb::Press(args) => (args, PowerOrder::Press),
        PowerVerb::Status(args) => {
            return match &args.device.device {
                Some(_) => by_hand::status(&args, look).await,
                None => status(client, &args, look).await,
            };
        }
        PowerVerb::Set(set) => return power_set(client, &set, look).await,
    };
    match &args.device.device {
        Some(_) => by_hand::switch(&args, order, look).await,
        None => switch(client, &args, order, look).await,
    }
}

/// One machine; none where all are meant.
fn chosen(which: &str) -> Result<Option<NodeName>, Failure> {
    if which == ALL {
        return Ok(None);
    }
    which.parse().map(Some).map_err(|why| {
        Failure::Usage(format!("`{which}` is no name of a machine: {why}; ports are for --device"))
    })
}

async fn power_set(client: &Client, set: &PowerSet, look: Look) -> Result<(), Failure> {
    let state = PowerState::from(set.state);
    let said = PowerSaid { state, by: Origin::Cli };
    let accepted: Accepted = client.post(&format!("/v1/nodes/{}/power/seen", set.node), &said).await?;
    if set.json {
        return out::json(&accepted, true);
    }
    if look.quiet { Ok(()) } else { out::line(&format!("{}: {state}, as you saw it", set.node)) }
}

async fn switch(client: &Client, args: &PowerArgs, order: PowerOrder, look: Look) -> Result<(), Failure> {
    let one = chosen(&args.which)?;
    let nodes = match &one {
        Some(node) => vec![node.clone()],
        None => {
            let picture: Snapshot = client.get("/v1/snapshot").await?;
            picture.machines.iter().map(|m| m.node.clone()).collect()
        }
    };
    let mut worst = Ok(());
    let mut all = Vec::new();
    for node in nodes {
        let ask = PowerAsk { order, by: Origin::Cli };
        match client.post::<_, Accepted>(&format!("/v1/nodes/{node}/power"), &ask).await {
            Ok(accepted) => {
                if !args.json && !look.quiet {
                    let already = if accepted.already { " already" } else { ": accepted" };
                    out::line(&format!("{node}: {order}{already}"))?;
                }
                all.push(accepted);
            }
            // One machine that cannot be switched does not keep the others from it.
            Err(Failure::Refused(body)) if one.is_none() => {
                out::complain(&format!("{node}: {}", body.message));
                worst = Err(Failure::Said(3));
            }
            Err(failure) => return Err(failure),
        }
    }
    if args.json {
        match (&one, all.as_slice()) {
            (Some(_), [accepted]) => out::json(accepted, true)?,
            _ => out::json(&all, true)?,
        }
    }
    worst
}

async fn status(client: &Client, args: &PowerStatus, look: Look) -> Result<(), Failure> {
    let one = chosen(args.which.as_deref().unwrap_or(ALL))?;
    let picture: Snapshot = client.get("/v1/snapshot").await?;
    let wanted = |name: &NodeName| one.as_ref().is_none_or(|one| one == name);
    let chosen: Vec<_> = picture.machines.iter().filter(|m| wanted(&m.node)).map(AsRef::as_ref).collect();
    if let (Some(node), []) = (&one, chosen.as_slice()) {
        let known: Vec<&str> = picture.machines.iter().map(|m| m.node.as_str()).collect();
        return Err(Failure::Refused(ErrorBody {
            code: "unknown_node".to_owned(),
            message: format!("there is no machine `{node}`"),
            advice: format!("this board has: {}", known.join(", ")),
        }));
    }
    shown(&chosen, args.json, || render_power(&chosen, picture.at.since_start, look.width, look.color))
}
