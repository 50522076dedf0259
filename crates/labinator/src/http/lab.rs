//! Questions about the lab, and requests to it.

use api::{Ask, ErrorBody, EventPage, Explanations, Plan, PowerAsk, PowerSaid, WipeAsk};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use lifecycle::{Refusal, Request, admit, explain, explain_lab, named, plan as outline, waterfall_of};
use model::{Origin, ScenarioName, Trace};
use serde::Deserialize;

use super::{House, answer};
use crate::desk::{DeskError, Look};

/// Events of one page, unless told.
const EVENTS_OF_A_PAGE: usize = 1000;

pub(super) async fn snapshot(State(house): State<House>) -> Response {
    // The picture is as old as the last change; whoever asks once wants its clocks to be right now.
    let mut picture = (*house.desk.publisher().latest()).clone();
    picture.at = house.doctor.now();
    Json(picture).into_response()
}

#[derive(Debug, Deserialize)]
pub(super) struct EventQuery {
    after: Option<u64>,
    limit: Option<usize>,
}

pub(super) async fn events(State(house): State<House>, Query(query): Query<EventQuery>) -> Response {
    let publisher = house.desk.publisher();
    let limit = query.limit.unwrap_or(EVENTS_OF_A_PAGE).min(EVENTS_OF_A_PAGE);
    let (events, oldest) = publisher.events(query.after.unwrap_or(0), limit);
    let events = events.iter().map(|event| (**event).clone()).collect();
    Json(EventPage { epoch: publisher.latest().epoch.clone(), events, oldest }).into_response()
}

pub(super) async fn start(
    State(house): State<House>,
    Path(scenario): Path<String>,
    Json(ask): Json<Ask>,
) -> Response {
    ask_desk(&house, Request::Start { scenario, by: ask.by }).await
}

pub(super) async fn stop(State(house): State<House>, Json(ask): Json<Ask>) -> Response {
    ask_desk(&house, Request::Stop { by: ask.by }).await
}

pub(super) async fn power(
    State(house): State<House>,
    Path(node): Path<String>,
    Json(ask): Json<PowerAsk>,
) -> Response {
    ask_desk(&house, Request::Power { node, order: ask.order, by: ask.by }).await
}

pub(super) async fn power_seen(
    State(house): State<House>,
    Path(node): Path<String>,
    Json(PowerSaid { state, by }): Json<PowerSaid>,
) -> Response {
    ask_desk(&house, Request::Confirm { node, state, by }).await
}

pub(super) async fn install(
    State(house): State<House>,
    Path(node): Path<String>,
    Json(ask): Json<Ask>,
) -> Response {
    ask_desk(&house, Request::Install { node, by: ask.by }).await
}

pub(super) async fn wipe(
    State(house): State<House>,
    Path(node): Path<String>,
    Json(WipeAsk { disk, confirm, by }): Json<WipeAsk>,
) -> Response {
    ask_desk(&house, Request::Wipe { node, disk, confirm, by }).await
}

pub(super) async fn ask_desk(house: &House, request: Request) -> Response {
    match house.desk.ask(request).await {
        Ok(accepted) => Json(accepted).into_response(),
        Err(error) => answer::refused(&error),
    }
}

/// Looks at the lab and answers with what was seen, or with why it could not be.
async fn look<T: serde::Serialize + Send + 'static>(
    house: &House,
    question: impl FnOnce(Look<'_>) -> Result<T, Refusal> + Send + 'static,
) -> Response {
    match house.desk.look(question).await {
        Ok(Ok(seen)) => Json(seen).into_response(),
        Ok(Err(refusal)) => answer::refused(&DeskError::Refused(refusal)),
        Err(error) => answer::refused(&error),
    }
}

pub(super) async fn plan(State(house): State<House>, Path(asked): Path<String>) -> Response {
    look(&house, move |look| {
        let request = Request::Start { scenario: asked.clone(), by: Origin::Page };
        let refused = match admit(look.lab, &request) {
            Err(unknown @ Refusal::UnknownScenario { .. }) => return Err(unknown),
            Err(refusal) => Some(answer::describe(&DeskError::Refused(refusal)).1),
            Ok(_) => None::<ErrorBody>,
        };
        let Some(scenario) = look.lab.spec.scenarios.keys().find(|name| name.as_str() == asked) else {
            let known: Vec<ScenarioName> = look.lab.spec.scenarios.keys().cloned().collect();
            return Err(Refusal::UnknownScenario { asked, known });
        };
        let outline = outline(look.lab, scenario);
        Ok(Plan {
            scenario: scenario.clone(),
            switched_off: outline.switched_off,
            released: outline.released,
            switched_on: outline.switched_on,
            by_hand: outline.by_hand,
            about_ms: outline.about_ms,
            refused,
        })
    })
    .await
}

pub(super) async fn explain_all(State(house): State<House>) -> Response {
    look(&house, |look| {
        let machines = look.lab.in_board_order();
        let nodes = machines.iter().map(|m| explain(look.lab, m, look.waits.get(&m.node), look.now));
        Ok(Explanations { lab: explain_lab(look.lab, look.now), nodes: nodes.collect() })
    })
    .await
}

pub(super) async fn explain_one(State(house): State<House>, Path(asked): Path<String>) -> Response {
    look(&house, move |look| {
        let machine = named(look.lab, &asked)?;
        let node = explain(look.lab, machine, look.waits.get(&machine.node), look.now);
        Ok(Explanations { lab: explain_lab(look.lab, look.now), nodes: vec![node] })
    })
    .await
}

#[derive(Debug, Deserialize)]
pub(super) struct TraceQuery {
    boot: Option<u32>,
}

pub(super) async fn trace(
    State(house): State<House>,
    Path(asked): Path<String>,
    Query(query): Query<TraceQuery>,
) -> Response {
    let seen = house
        .desk
        .look(move |look| {
            let machine = named(look.lab, &asked)?;
            let boot = match query.boot {
                Some(number) => machine.boot_number(number),
                None => machine.boot.clone(),
            };
            Ok(boot.map(|boot| Trace {
                node: machine.node.clone(),
                waterfall: waterfall_of(machine, &boot, look.now.since_start),
                boot,
            }))
        })
        .await;
    match seen {
        Ok(Ok(Some(trace))) => Json(trace).into_response(),
        Ok(Ok(None)) => match query.boot {
            Some(number) => {
                let why = format!("boot {number} of it is not kept");
                answer::error(
                    StatusCode::NOT_FOUND,
                    "no_boot",
                    &why,
                    "the last four boots of a machine are kept, fewer where thousands boot",
                )
            }
            None => {
                let advice = "switch it on: `labinator power on NODE`, or start a scenario";
                answer::error(StatusCode::NOT_FOUND, "no_boot", "it has not been seen to boot", advice)
            }
        },
        Ok(Err(refusal)) => answer::refused(&DeskError::Refused(refusal)),
        Err(error) => answer::refused(&error),
    }
}

pub(super) async fn openapi() -> Response {
    let description = api::openapi(env!("CARGO_PKG_VERSION")).to_string();
    ([(header::CONTENT_TYPE, "application/json")], description).into_response()
}
