//! `labinator wiring`: which machine hangs on which switch port, heard or found out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use api::{SwitchList, SwitchView};
use model::{MacAddr, NodeName, PortRef, Snapshot, Span, SwitchPort};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::args_switch::{LearnArgs, WiringVerb};
use super::client::Client;
use super::failure::Failure;
use super::out::{self, Look};
use super::switch::{self, list, until};
use crate::wiring::{Finding, Known, Learned, Lesson, compare, macs_of, macs_on, proposals};

/// Longest that one port is disabled, should this program end meanwhile.
const CUT: Span = Span::secs(60);
/// How long a switch that does not tell who is heard is left disabled: agents speak every few seconds.
const SILENCE: Duration = Duration::from_secs(20);
/// How long a switch may take to disable a port and to see its link gone.
const DOWN: Duration = Duration::from_secs(15);
/// How long a link, and a first word over it, may take to come back.
const BACK: Duration = Duration::from_secs(45);
/// How long somebody is waited for to say something on a link that is back.
const WORD: Duration = Duration::from_secs(10);
/// Pause between two looks.
const AGAIN: Duration = Duration::from_millis(500);
/// An agent that was heard so lately is one that would be missed.
const LATELY: Span = Span::secs(10);

pub(super) async fn run(client: &Client, verb: WiringVerb, look: Look) -> Result<(), Failure> {
    match verb {
        WiringVerb::Show { json } => show(client, json).await,
        WiringVerb::Check { json } => check(client, json, look).await,
        WiringVerb::Learn(args) => learn(client, args, look).await,
    }
}

fn known(picture: &Snapshot) -> Known {
    picture.machines.iter().map(|machine| (machine.mac, machine.node.clone())).collect()
}

fn written(list: &SwitchList) -> BTreeMap<NodeName, PortRef> {
    let ports = list.switches.iter().flat_map(|switch| switch.ports.iter().map(move |port| (switch, port)));
    let one = |(switch, port): (&SwitchView, &SwitchPort)| {
        Some((port.node.clone()?, PortRef { driver: switch.name.clone(), port: port.port.clone() }))
    };
    ports.filter_map(one).collect()
}

async fn findings(client: &Client) -> Result<Vec<Finding>, Failure> {
    let picture: Snapshot = client.get("/v1/snapshot").await?;
    let list = list(client).await?;
    Ok(compare(&list, &known(&picture), &written(&list)))
}

async fn show(client: &Client, json: bool) -> Result<(), Failure> {
    let findings = findings(client).await?;
    if json {
        return out::json(&findings, true);
    }
    for finding in &findings {
        out::line(&finding.to_string())?;
    }
    Ok(())
}

async fn check(client: &Client, json: bool, look: Look) -> Result<(), Failure> {
    let findings = findings(client).await?;
    let wrong = findings.iter().filter(|finding| finding.is_mismatch()).count();
    if json {
        out::json(&findings, true)?;
    } else {
        for finding in findings.iter().filter(|finding| !matches!(finding, Finding::Right { .. })) {
            out::line(&finding.to_string())?;
        }
        let right = findings.iter().filter(|finding| matches!(finding, Finding::Right { .. })).count();
        if !look.quiet {
            out::line(&format!("{right} as written, {wrong} not"))?;
        }
    }
    if wrong > 0 { Err(Failure::Said(1)) } else { Ok(()) }
}

/// What a walk over the ports came to.
#[derive(Debug, Serialize)]
struct Walk {
    lessons: Vec<Step>,
    /// Lines for the lab file.
    proposals: Vec<Proposal>,
}

#[derive(Debug, Serialize)]
struct Step {
    #[serde(flatten)]
    lesson: Lesson,
    #[serde(flatten)]
    who: Learned,
}

#[derive(Debug, Serialize)]
struct Proposal {
    node: NodeName,
    port: PortRef,
    /// What the lab file has now.
    instead_of: Option<PortRef>,
}

async fn learn(client: &Client, args: LearnArgs, look: Look) -> Result<(), Failure> {
    let picture: Snapshot = client.get("/v1/snapshot").await?;
    if let Some(node) = switch::one_that_starts(&picture).filter(|_| !args.anyway) {
        return Err(Failure::with_advice(
            format!("{node} is being started, and links are needed for that"),
            "wait until the lab is ready or idle, or say --anyway",
        ));
    }
    let list = list(client).await?;
    let known = known(&picture);
    let mut learned = Vec::new();
    let mut lessons = Vec::new();
    for (view, port) in ports(&list, &args)? {
        let reference = PortRef { driver: view.name.clone(), port: port.port.clone() };
        let lesson = one(client, &reference, port.macs.is_some()).await?;
        let who = lesson.who(&known);
        if !args.json && !look.quiet {
            out::line(&format!("{reference}: {}", said(&who, &lesson)))?;
        }
        learned.push((reference, who.clone()));
        lessons.push(Step { lesson, who });
    }
    let proposals: Vec<Proposal> = proposals(&learned, &written(&list))
        .into_iter()
        .map(|(node, port, instead_of)| Proposal { node, port, instead_of })
        .collect();
    if args.json {
        return out::json(&Walk { lessons, proposals }, true);
    }
    for Proposal { node, port, instead_of } in &proposals {
        let before = instead_of.as_ref().map(|before| format!("   # not {before}")).unwrap_or_default();
        out::line(&format!("    {node}: {{ …, port: {port} }}{before}"))?;
    }
    if proposals.is_empty() && !look.quiet {
        out::line("the lab file agrees with what was learned")?;
    }
    Ok(())
}

fn said(who: &Learned, lesson: &Lesson) -> String {
    let how = match (lesson.vanished.is_empty(), lesson.came.is_empty()) {
        (false, false) => "its address vanished and came back",
        (false, true) => "its address vanished",
        (true, false) => "its address came when the port was enabled again",
        (true, true) => "its agent fell silent",
    };
    match who {
        Learned::Node { node } => format!("{node} ({how})"),
        Learned::Several { nodes } => {
            let names: Vec<&str> = nodes.iter().map(NodeName::as_str).collect();
            format!("{}: another switch hangs there", names.join(", "))
        }
        Learned::Strangers { macs } => {
            let macs: Vec<String> = macs.iter().map(MacAddr::to_string).collect();
            format!("nobody of the board, but {}", macs.join(", "))
        }
        Learned::Nobody => "nobody was missed".to_owned(),
    }
}

/// The ports that are tried: those with a link that may be disabled.
fn ports<'a>(
    list: &'a SwitchList,
    args: &LearnArgs,
) -> Result<Vec<(&'a SwitchView, &'a SwitchPort)>, Failure> {
    let mut all = Vec::new();
    let wanted = |view: &&SwitchView| args.switch.as_ref().is_none_or(|name| view.name.as_str() == name);
    let chosen: Vec<&SwitchView> = list.switches.iter().filter(wanted).collect();
    if chosen.is_empty() {
        let names: Vec<&str> = list.switches.iter().map(|view| view.name.as_str()).collect();
        let why = format!("there is no switch `{}`", args.switch.as_deref().unwrap_or_default());
        return Err(Failure::with_advice(why, format!("switches of this lab: {}", names.join(", "))));
    }
    for view in chosen {
        if let Some(why) = &view.lost {
            return Err(Failure::failed(format!("{} does not answer: {why}", view.name)));
        }
        // Whoever disables ports without knowing which leads to himself ends up outside.
        if view.ports.iter().all(|port| port.guarded.is_none()) {
            return Err(Failure::with_advice(
                format!("which port of {} leads to this boss is not known", view.name),
                format!("write `boss: PORT` behind {} in the lab file", view.name),
            ));
        }
        let named = |port: &&SwitchPort| match &args.port {
            Some(name) => port.port == *name,
            None => port.guarded.is_none() && port.mbit.is_some(),
        };
        all.extend(view.ports.iter().filter(named).map(|port| (view, port)));
    }
    Ok(all)
}

/// Disables one port, sees who is missed, and enables it again.
async fn one(client: &Client, port: &PortRef, tells: bool) -> Result<Lesson, Failure> {
    let before = view(&list(client).await?, port)?;
    let spoke = speakers(client).await?;
    switch::cut(client, port, CUT).await?;
    let watched = watch(client, port, &before, tells).await;
    // Whatever was seen, the port is not left disabled.
    switch::restore(client, port).await?;
    let (vanished, cut_at) = watched?;
    let silent = match tells {
        true => Vec::new(),
        false => {
            let now = speakers(client).await?;
            let quiet = |(node, _): &(&NodeName, &u64)| now.get(*node).is_none_or(|heard| *heard <= cut_at);
            spoke.iter().filter(quiet).map(|(node, _)| node.clone()).collect()
        }
    };
    let had_link = before.ports.iter().any(|seen| seen.port == port.port && seen.mbit.is_some());
    until(client, port, BACK, |seen, cut| seen.enabled && !cut && (seen.mbit.is_some() || !had_link)).await?;
    let came = if tells { comes(client, port).await? } else { BTreeSet::new() };
    Ok(Lesson {
        port: port.clone(),
        vanished: vanished.into_iter().collect(),
        came: came.into_iter().collect(),
        silent,
    })
}

/// Waits until the port is disabled, and sees which addresses are gone; and when that was, in the lab's own time.
async fn watch(
    client: &Client,
    port: &PortRef,
    before: &SwitchView,
    tells: bool,
) -> Result<(BTreeSet<MacAddr>, u64), Failure> {
    until(client, port, DOWN, |seen, _| !seen.enabled).await?;
    let picture: Snapshot = client.get("/v1/snapshot").await?;
    // What was on its way when the port was disabled is heard a moment later.
    let cut_at = picture.at.since_start.0.saturating_add(1000);
    if !tells {
        sleep(SILENCE).await;
        return Ok((BTreeSet::new(), cut_at));
    }
    let on_it = macs_on(before, &port.port);
    let began = Instant::now();
    loop {
        let now = macs_of(&view(&list(client).await?, port)?);
        let gone: BTreeSet<MacAddr> = on_it.difference(&now).copied().collect();
        if gone == on_it || began.elapsed() > WORD {
            return Ok((gone, cut_at));
        }
        sleep(AGAIN).await;
    }
}

/// Who says something on a port, within a while.
async fn comes(client: &Client, port: &PortRef) -> Result<BTreeSet<MacAddr>, Failure> {
    let began = Instant::now();
    loop {
        let came = macs_on(&view(&list(client).await?, port)?, &port.port);
        if !came.is_empty() || began.elapsed() > WORD {
            return Ok(came);
        }
        sleep(AGAIN).await;
    }
}

/// Machines whose agents were heard lately, and when, in milliseconds of the lab.
async fn speakers(client: &Client) -> Result<BTreeMap<NodeName, u64>, Failure> {
    let picture: Snapshot = client.get("/v1/snapshot").await?;
    let now = picture.at.since_start;
    let heard = picture.machines.iter().filter_map(|machine| {
        let heard = machine.agent.as_ref()?.heard.since_start;
        (now.since(heard) <= LATELY).then(|| (machine.node.clone(), heard.0))
    });
    Ok(heard.collect())
}

fn view(list: &SwitchList, port: &PortRef) -> Result<SwitchView, Failure> {
    let found = list.switches.iter().find(|switch| switch.name == port.driver && switch.lost.is_none());
    found.cloned().ok_or_else(|| Failure::failed(format!("{} does not answer any more", port.driver)))
}
