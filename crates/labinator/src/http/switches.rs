//! Switches: how their ports stand, cuts and mirrors.

use api::{CutAsk, CutView, MirrorAsk, Mirrored, RestoreAsk, SwitchList, SwitchView};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use lifecycle::Request;
use model::DriverName;

use super::lab::ask_desk;
use super::{House, answer};

pub(super) async fn list(State(house): State<House>) -> Response {
    let names: Vec<DriverName> = house.switches.names().cloned().collect();
    // One that hangs holds up its own answer until its limit, and no other's.
    let looks = names.into_iter().map(|name| {
        let switches = house.switches.clone();
        tokio::spawn(async move {
            let seen = switches.look(&name).await?;
            Some(SwitchView { name, about: seen.about, lost: seen.lost, ports: seen.ports })
        })
    });
    let looks: Vec<_> = looks.collect();
    let mut switches = Vec::new();
    for look in looks {
        switches.extend(look.await.ok().flatten());
    }
    let cuts = house.desk.look(|look| {
        let now = look.now.since_start;
        let view = |cut: &lifecycle::PortCut| CutView {
            port: cut.port.clone(),
            left: cut.until.map(|until| until.since(now)),
            done: cut.done.is_some_and(|(on, _)| on == cut.until.is_none()),
            refused: cut.refused.as_ref().map(|(why, _)| why.clone()),
        };
        let open = |cut: &&lifecycle::PortCut| cut.until.is_some() || !cut.done.is_some_and(|(on, _)| on);
        look.lab.cuts.iter().filter(open).map(view).collect()
    });
    match cuts.await {
        Ok(cuts) => Json(SwitchList { switches, cuts }).into_response(),
        Err(error) => answer::refused(&error),
    }
}

pub(super) async fn cut(State(house): State<House>, Json(ask): Json<CutAsk>) -> Response {
    ask_desk(&house, Request::Cut { what: ask.what, span: ask.span, by: ask.by }).await
}

pub(super) async fn restore(State(house): State<House>, Json(ask): Json<RestoreAsk>) -> Response {
    ask_desk(&house, Request::Restore { what: ask.what, by: ask.by }).await
}

pub(super) async fn mirror(
    State(house): State<House>,
    Path(switch): Path<String>,
    Json(MirrorAsk { copy }): Json<MirrorAsk>,
) -> Response {
    let unknown = |why: String| {
        answer::error(StatusCode::NOT_FOUND, "unknown_switch", &why, "`labinator switch show` lists them")
    };
    let Ok(name) = switch.parse::<DriverName>() else {
        return unknown(format!("there is no switch `{switch}`"));
    };
    let pair = copy.as_ref().map(|copy| (copy.from.clone(), copy.to.clone()));
    match house.switches.mirror(&name, pair).await {
        Ok(()) => {
            tracing::info!("switch {name}: mirror {copy:?}");
            Json(Mirrored { copy }).into_response()
        }
        Err(("unknown_switch", why)) => unknown(why),
        Err((code, why)) => {
            answer::error(StatusCode::BAD_GATEWAY, code, &why, "docs/switch.md says which can")
        }
    }
}
