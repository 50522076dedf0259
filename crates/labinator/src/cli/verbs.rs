//! What each verb does.

use std::path::{Path, PathBuf};

use api::{Accepted, Ask, Diagnosis, EventPage, Explanations, Finding, MachinePage, Plan};
use model::{Event, NodeName, Origin, ScenarioName, Snapshot, Trace};

use super::args::{BootVerb, ClientVerb, Globals, StatusFilter};
use super::capture;
use super::client::Client;
use super::failure::Failure;
use super::out::{self, Look};
use super::render::{
    Names, clock, counted, render_doctor, render_explain, render_page, render_plan, render_scenarios,
    render_status, render_trace, sentence,
};
use super::seeds;
use super::wait::{Target, wait_for};
use super::watch::{follow_events, watch_status};

/// Events asked for at once.
const PAGE: u32 = 1000;

pub(super) async fn run(globals: &Globals, verb: ClientVerb) -> Result<(), Failure> {
    let look = Look::new(globals);
    let client = Client::new(globals);
    match verb {
        ClientVerb::Check { files, json } => check_all(&files, json, look),
        ClientVerb::ExplainCode { code, json } => super::code::explain(&code.join(" "), json),
        ClientVerb::Schema => out::json(&crate::config::schema(), true),
        ClientVerb::Openapi => out::json(&api::openapi(env!("CARGO_PKG_VERSION")), true),
        ClientVerb::Scenarios { json } => scenarios(&client, json, look).await,
        ClientVerb::Start { scenario, plan: true, json, .. } => plan(&client, &scenario, json, look).await,
        ClientVerb::Start { scenario, wait, timeout, json, .. } => {
            let accepted: Accepted = client.post(&format!("/v1/scenarios/{scenario}/start"), &ASK).await?;
            let target = Target::Ready(scenario);
            match wait {
                true => wait_for(&client, &target, &accepted, timeout, (look, json)).await,
                false => told(&accepted, &target.to_string(), json, look),
            }
        }
        ClientVerb::Adopt(args) => super::adopt::adopt(&client, args, look).await,
        ClientVerb::Stop { wait, timeout, json } => {
            let accepted: Accepted = client.post("/v1/stop", &ASK).await?;
            match wait {
                true => wait_for(&client, &Target::Idle, &accepted, timeout, (look, json)).await,
                false => told(&accepted, &Target::Idle.to_string(), json, look),
            }
        }
        ClientVerb::BurnIn(args) => super::burn_in::burn_in(&client, *args, look).await,
        ClientVerb::Status { watch: true, json, .. } => watch_status(&client, json, look).await,
        ClientVerb::Status { watch: false, json, filter } if filter != StatusFilter::default() => {
            let page: MachinePage = client.get(&format!("/v1/nodes?{}", filter.query())).await?;
            shown(&page, json, || render_page(&page, look.width, look.color))
        }
        ClientVerb::Status { watch: false, json, .. } => {
            let picture: Snapshot = client.get("/v1/snapshot").await?;
            shown(&picture, json, || render_status(&picture, look.width, look.color))
        }
        ClientVerb::Explain { node, json } => explain(&client, node.as_ref(), json, look).await,
        ClientVerb::Console { node, log } => super::console::console(&client, &node, log, look).await,
        ClientVerb::Vnc { node, port } => super::vnc::vnc(&client, &node, port, look).await,
        ClientVerb::Events { follow: true, after, json } => follow_events(&client, after, json, look).await,
        ClientVerb::Events { follow: false, after, json } => events(&client, after, json).await,
        ClientVerb::Logs(args) => super::logs::logs(&client, args, look).await,
        ClientVerb::Boot(BootVerb::Trace { node, boot, json }) => {
            let query = boot.map_or_else(String::new, |n| format!("?boot={n}"));
            let trace: Trace = client.get(&format!("/v1/nodes/{node}/trace{query}")).await?;
            shown(&trace, json, || render_trace(&trace, look.width, look.color))
        }
        ClientVerb::Seed(verb) => seeds::run(&verb, look),
        ClientVerb::Install { node, json } => {
            let accepted: Accepted = client.post(&format!("/v1/nodes/{node}/install"), &ASK).await?;
            told(&accepted, &format!("installation of {node}"), json, look)
        }
        ClientVerb::Boot(BootVerb::Import { file, mac, as_test, json }) => {
            capture::import(&file, mac, as_test.as_deref(), (json, look))
        }
        ClientVerb::Power(verb) => super::power::power(&client, verb, look).await,
        ClientVerb::Switch(verb) => super::switch::run(&client, verb, look).await,
        ClientVerb::Wiring(verb) => super::wiring::run(&client, verb, look).await,
        ClientVerb::Cert(verb) => super::cert::run(&client, verb, look).await,
        ClientVerb::Token(verb) => super::token::run(&client, verb, look).await,
        ClientVerb::Identify(args) => super::switch::identify(&client, args, look).await,
        ClientVerb::Doctor { json, fix: None, .. } => doctor(&client, json, look).await,
        ClientVerb::Doctor { json, fix: Some(what), interface } => {
            super::fix::fix(what, &interface.unwrap_or_default(), json, look).await
        }
    }
}

const ASK: Ask = Ask { by: Origin::Cli };

/// Prints the API type as it is, or what a person reads.
pub(super) fn shown<T: serde::Serialize>(
    value: &T,
    json: bool,
    text: impl FnOnce() -> String,
) -> Result<(), Failure> {
    if json { out::json(value, true) } else { out::print(&text()) }
}

fn told(accepted: &Accepted, what: &str, json: bool, look: Look) -> Result<(), Failure> {
    if json {
        return out::json(accepted, true);
    }
    match (look.quiet, accepted.already) {
        (true, _) => Ok(()),
        (false, true) => out::line(&format!("{what}: it is so already")),
        (false, false) => out::line(&format!("{what}: accepted; `labinator status --watch` shows it")),
    }
}

/// Checks each file; one that is wrong decides how it ends.
fn check_all(files: &[PathBuf], json: bool, look: Look) -> Result<(), Failure> {
    let mut ended = Ok(());
    for file in files {
        match check(file, json, look) {
            // Nobody reads what the others would say.
            Err(Failure::Gone) => return Err(Failure::Gone),
            Err(failure) => ended = Err(failure),
            Ok(()) => {}
        }
    }
    ended
}

/// How many machines stand on the board, and how many guests are made for them.
fn machines(spec: &model::LabSpec) -> String {
    let (guests, metal): (Vec<_>, Vec<_>) = spec.board.nodes.values().partition(|node| node.guest.is_some());
    match guests.len() {
        0 => counted(metal.len(), "machine"),
        guests => format!("{}, {}", counted(metal.len(), "machine"), counted(guests, "guest")),
    }
}

fn check(file: &Path, json: bool, look: Look) -> Result<(), Failure> {
    match crate::config::load(file) {
        Ok(spec) if !seeds::checked((file, &spec), json, look)? => Err(Failure::Said(1)),
        Ok(_) if json || look.quiet => Ok(()),
        Ok(spec) => {
            for warning in crate::config::warnings(&spec) {
                out::line(&format!("{}: warning: {warning}", file.display()))?;
            }
            out::line(&format!(
                "{}: lab {}, {}, {}, nothing wrong.",
                file.display(),
                spec.lab,
                machines(&spec),
                counted(spec.scenarios.len(), "scenario")
            ))
        }
        Err(mistakes) => {
            if json {
                out::json(&mistakes.lines(), true)?;
            } else {
                out::line(&mistakes.render(look.color, look.width.max(100)))?;
            }
            Err(Failure::Said(1))
        }
    }
}

async fn scenarios(client: &Client, json: bool, look: Look) -> Result<(), Failure> {
    let picture: Snapshot = client.get("/v1/snapshot").await?;
    shown(&picture.lab.scenarios, json, || render_scenarios(&picture, look.width, look.color))
}

async fn plan(client: &Client, scenario: &ScenarioName, json: bool, look: Look) -> Result<(), Failure> {
    let plan: Plan = client.get(&format!("/v1/scenarios/{scenario}/plan")).await?;
    shown(&plan, json, || render_plan(&plan, look.color))?;
    if plan.refused.is_some() { Err(Failure::Said(3)) } else { Ok(()) }
}

async fn explain(client: &Client, node: Option<&NodeName>, json: bool, look: Look) -> Result<(), Failure> {
    let path = node.map_or_else(|| "/v1/explain".to_owned(), |n| format!("/v1/nodes/{n}/explain"));
    let all: Explanations = client.get(&path).await?;
    shown(&all, json, || render_explain(&all, look.width, look.color))
}

/// One page of events after a number.
pub(super) async fn page(client: &Client, after: u64) -> Result<EventPage, Failure> {
    client.get(&format!("/v1/events?after={after}&limit={PAGE}")).await
}

/// Prints one event: its JSON on a line, or its time, number and sentence.
pub(super) fn tell(event: &Event, names: &Names, json: bool) -> Result<(), Failure> {
    if json {
        return out::json(event, false);
    }
    out::line(&format!("{}  {:>6}  {}", clock(event.at.wall), event.seq, sentence(event, names)))
}

async fn events(client: &Client, after: Option<u64>, json: bool) -> Result<(), Failure> {
    let names =
        if json { Names::default() } else { Names::of(&client.get::<Snapshot>("/v1/snapshot").await?) };
    let mut last = after.unwrap_or(0);
    loop {
        let page = page(client, last).await?;
        if let Some(after) = after
            && last == after
            && page.oldest > after.saturating_add(1)
        {
            out::complain(&format!("events before {} are no longer kept", page.oldest));
        }
        for event in &page.events {
            tell(event, &names, json)?;
        }
        match page.events.last() {
            Some(event) if event.seq > last => last = event.seq,
            Some(_) | None => return Ok(()),
        }
    }
}

async fn doctor(client: &Client, json: bool, look: Look) -> Result<(), Failure> {
    let all: Diagnosis = client.get("/v1/doctor").await?;
    shown(&all, json, || render_doctor(&all, look.width, look.color))?;
    let broken = all.checks.iter().any(|c| c.finding == Finding::Broken);
    if broken || !all.faults.is_empty() { Err(Failure::Said(1)) } else { Ok(()) }
}
