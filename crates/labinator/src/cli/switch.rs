//! `labinator switch` and `identify`: ports of switches shown, disabled for a while, and blinked with.

use std::time::Duration;

use api::{Accepted, CutAsk, MirrorAsk, MirrorPorts, Mirrored, RestoreAsk, SwitchList};
use model::{Neighbour, NodeName, NodeWord, Origin, PortRef, Snapshot, Span, SwitchPort};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::args_switch::{IdentifyArgs, SwitchVerb};
use super::client::Client;
use super::failure::Failure;
use super::out::{self, Look};

/// How long the light of a link is out when it blinks.
const DARK: Span = Span(1000);
/// How long a link may take to come back: two sides agree on a speed, and some switches listen for loops first.
const BACK: Duration = Duration::from_secs(45);
/// Pause between two looks.
const AGAIN: Duration = Duration::from_millis(300);

pub(super) async fn run(client: &Client, verb: SwitchVerb, look: Look) -> Result<(), Failure> {
    match verb {
        SwitchVerb::Show { json } => {
            let list = list(client).await?;
            if json { out::json(&list, true) } else { out::print(&render(&list)) }
        }
        SwitchVerb::Off { what, span, json } => {
            let ask = CutAsk { what, span: span_of(span), by: Origin::Cli };
            let accepted: Accepted = client.post("/v1/switches/cut", &ask).await?;
            let text =
                format!("{}: disabled for {}, then enabled again by itself", ask.what.join(", "), ask.span);
            told(&accepted, &text, json, look)
        }
        SwitchVerb::On { what, json } => {
            let ask = RestoreAsk { what, by: Origin::Cli };
            let accepted: Accepted = client.post("/v1/switches/restore", &ask).await?;
            let text = match accepted.already {
                true => format!("{}: not disabled by us", ask.what.join(", ")),
                false => format!("{}: to be enabled again", ask.what.join(", ")),
            };
            told(&accepted, &text, json, look)
        }
        SwitchVerb::Mirror { switch, from, to, off: _, json } => {
            let copy = from.zip(to).map(|(from, to)| MirrorPorts { from, to });
            let ask = MirrorAsk { copy };
            let done: Mirrored = client.post(&format!("/v1/switches/{switch}/mirror"), &ask).await?;
            match (json, look.quiet, &done.copy) {
                (true, _, _) => out::json(&done, true),
                (false, true, _) => Ok(()),
                (false, false, Some(MirrorPorts { from, to })) => {
                    out::line(&format!("{switch}: what goes through {from} comes out of {to}, too"))
                }
                (false, false, None) => out::line(&format!("{switch}: nothing is copied")),
            }
        }
    }
}

pub(super) async fn list(client: &Client) -> Result<SwitchList, Failure> {
    let list: SwitchList = client.get("/v1/switches").await?;
    if list.switches.is_empty() {
        return Err(Failure::with_advice(
            "the lab file describes no switch",
            "`switch: { core: { driver: web-8port, … } }`; docs/switch.md has them all",
        ));
    }
    Ok(list)
}

fn span_of(span: Duration) -> Span {
    Span(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

fn told(accepted: &Accepted, text: &str, json: bool, look: Look) -> Result<(), Failure> {
    match (json, look.quiet) {
        (true, _) => out::json(accepted, true),
        (false, true) => Ok(()),
        (false, false) => out::line(text),
    }
}

/// Disables one port for so long at most.
pub(super) async fn cut(client: &Client, port: &PortRef, span: Span) -> Result<Accepted, Failure> {
    let ask = CutAsk { what: vec![port.to_string()], span, by: Origin::Cli };
    client.post("/v1/switches/cut", &ask).await
}

/// Enables one port again.
pub(super) async fn restore(client: &Client, port: &PortRef) -> Result<Accepted, Failure> {
    let ask = RestoreAsk { what: vec![port.to_string()], by: Origin::Cli };
    client.post("/v1/switches/restore", &ask).await
}

/// The switches, a port a line.
pub(super) fn render(list: &SwitchList) -> String {
    let mut text = String::new();
    for switch in &list.switches {
        let about = switch.lost.as_ref().map_or_else(|| switch.about.clone(), |why| format!("lost: {why}"));
        text += &format!("{}  {about}\n", switch.name);
        let width = switch.ports.iter().map(|port| port.port.len()).max().unwrap_or(0);
        for port in &switch.ports {
            let this = PortRef { driver: switch.name.clone(), port: port.port.clone() };
            let cut = list.cuts.iter().find(|cut| cut.port == this);
            let mut says = Vec::new();
            says.extend(port.node.as_ref().map(ToString::to_string));
            says.extend(cut.map(|cut| match (cut.left, &cut.refused) {
                (_, Some(why)) => format!("our order failed: {why}"),
                (Some(left), None) => format!("by us, for {left} more"),
                (None, None) => "to be enabled again".to_owned(),
            }));
            says.extend(port.guarded.as_ref().map(|why| format!("never disabled: {why}")));
            says.extend(heard(port));
            says.extend(port.neighbours.iter().map(named));
            let line = format!("  {:<width$}  {:<12}  {}", port.port, state(port), says.join(" · "));
            text += &format!("{}\n", line.trim_end());
        }
    }
    text
}

fn state(port: &SwitchPort) -> String {
    match (port.enabled, port.mbit) {
        (false, _) => "disabled".to_owned(),
        (true, None) => "no link".to_owned(),
        (true, Some(mbit)) => format!("{mbit} Mbit/s"),
    }
}

/// Who is heard there, as far as that fits a line.
fn heard(port: &SwitchPort) -> Option<String> {
    let macs = port.macs.as_ref().filter(|macs| !macs.is_empty())?;
    let first: Vec<String> = macs.iter().take(2).map(ToString::to_string).collect();
    let more = macs.len().saturating_sub(first.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Some(format!("{}{more}", first.join(" ")))
}

/// Who says that he is at the other end.
fn named(neighbour: &Neighbour) -> String {
    let name = match (neighbour.name.as_str(), neighbour.macs.first()) {
        ("", Some(mac)) => mac.to_string(),
        ("", None) => "somebody".to_owned(),
        (name, _) => name.to_owned(),
    };
    match neighbour.port.as_str() {
        "" => format!("by LLDP {name}"),
        port => format!("by LLDP {name}, its {port}"),
    }
}

/// What `identify` used.
#[derive(Debug, Clone, Serialize)]
struct Identified {
    node: NodeName,
    /// What blinked.
    by: &'static str,
    port: PortRef,
    times: u8,
}

/// Blinks with the light of a machine's link.
pub(super) async fn identify(client: &Client, args: IdentifyArgs, look: Look) -> Result<(), Failure> {
    let picture: Snapshot = client.get("/v1/snapshot").await?;
    let machine = picture.machines.iter().find(|machine| machine.node == args.node).ok_or_else(|| {
        let known: Vec<&str> = picture.machines.iter().map(|machine| machine.node.as_str()).collect();
        let message = format!("there is no machine `{}`", args.node);
        let advice = format!("this board has: {}", known.join(", "));
        Failure::Refused(api::ErrorBody { code: "unknown_node".to_owned(), message, advice })
    })?;
    if starts(machine.word) && !args.anyway {
        return Err(Failure::with_advice(
            format!("{} is being started ({}), and its link is needed for that", args.node, machine.word),
            "wait until it is ready, or say --anyway",
        ));
    }
    let list = list(client).await?;
    let (port, seen) = port_of(&list, &args.node).ok_or_else(|| no_light(&list, &args.node))?;
    if seen.mbit.is_none() {
        return Err(Failure::with_advice(
            format!("nothing of {} can blink: {port} has no link", args.node),
            format!("switch it on: `labinator power on {}`; or look at its cable", args.node),
        ));
    }
    if !look.quiet && !args.json {
        out::line(&format!(
            "{}: the light of its link goes out {} times, at {port} and at the box",
            args.node, args.times
        ))?;
    }
    for _ in 0..args.times {
        cut(client, &port, DARK).await?;
        sleep(Duration::from_millis(DARK.0)).await;
        until(client, &port, BACK, |seen, cut| seen.enabled && seen.mbit.is_some() && !cut).await?;
    }
    if args.json {
        let by = "the light of its link";
        return out::json(&Identified { node: args.node, by, port, times: args.times }, true);
    }
    Ok(())
}

/// Why there is no port of a machine: a switch that does not answer tells none.
fn no_light(list: &SwitchList, node: &NodeName) -> Failure {
    let lost = list.switches.iter().find_map(|switch| Some((&switch.name, switch.lost.as_ref()?)));
    match lost {
        Some((name, why)) => Failure::with_advice(
            format!("nothing of {node} can blink while {name} does not answer: {why}"),
            "labinator switch show",
        ),
        None => Failure::with_advice(
            format!("nothing of {node} can blink: which switch port it hangs on is not written down"),
            format!("write `port: SWITCH/PORT` behind {node}; `labinator wiring learn` finds out which"),
        ),
    }
}

/// True while a machine needs its link to come up.
const fn starts(word: NodeWord) -> bool {
    match word {
        NodeWord::Starting
        | NodeWord::Dhcp
        | NodeWord::Loader
        | NodeWord::Image
        | NodeWord::Kernel
        | NodeWord::Maintenance
        | NodeWord::Joining
        | NodeWord::Stopping => true,
        NodeWord::Off
        | NodeWord::Waiting
        | NodeWord::Parked
        | NodeWord::Ready
        | NodeWord::Degraded
        | NodeWord::Bad
        | NodeWord::Unknown => false,
    }
}

/// The first machine that is being started, if there is one.
pub(super) fn one_that_starts(picture: &Snapshot) -> Option<&NodeName> {
    picture.machines.iter().find(|machine| starts(machine.word)).map(|machine| &machine.node)
}

fn port_of<'a>(list: &'a SwitchList, node: &NodeName) -> Option<(PortRef, &'a SwitchPort)> {
    list.switches.iter().find_map(|switch| {
        let port = switch.ports.iter().find(|port| port.node.as_ref() == Some(node))?;
        Some((PortRef { driver: switch.name.clone(), port: port.port.clone() }, port))
    })
}

/// Looks until a port is as wanted; the last look.
pub(super) async fn until(
    client: &Client,
    port: &PortRef,
    limit: Duration,
    wanted: impl Fn(&SwitchPort, bool) -> bool,
) -> Result<SwitchList, Failure> {
    let began = Instant::now();
    loop {
        let list = list(client).await?;
        let switch = list.switches.iter().find(|switch| switch.name == port.driver);
        let seen = switch.and_then(|switch| switch.ports.iter().find(|seen| seen.port == port.port));
        let cut = list.cuts.iter().find(|cut| cut.port == *port);
        if seen.is_some_and(|seen| wanted(seen, cut.is_some())) {
            return Ok(list);
        }
        if let Some(why) = cut.and_then(|cut| cut.refused.as_ref()) {
            return Err(Failure::failed(format!("{port}: {why}")));
        }
        if began.elapsed() > limit {
            let state = seen.map_or_else(|| "not there".to_owned(), state);
            return Err(Failure::TimedOut(format!("{port} is {state} after {} s", limit.as_secs())));
        }
        sleep(AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use api::SwitchView;

    use super::*;

    fn why(lost: Option<&str>) -> String {
        let about = "a switch".to_owned();
        let switch = SwitchView {
            name: "core".parse().unwrap(),
            about,
            lost: lost.map(str::to_owned),
            ports: Vec::new(),
        };
        let list = SwitchList { switches: vec![switch], cuts: Vec::new() };
        match no_light(&list, &"node1".parse().unwrap()) {
            Failure::Failed { why, .. } => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_cannot_blink_is_told_by_its_cause() {
        assert!(why(Some("no route")).contains("core does not answer: no route"));
        assert!(why(None).contains("is not written down"));
    }
}
