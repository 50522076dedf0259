//! `talos events`: what happens on a node, as it happens.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use talos::api::{EventFeed, Told};
use talos::feed::{Event, SequenceStep, Step};

use super::ask::AskArgs;
use super::nodes::{Chosen, failed, running};
use crate::cli::failure::Failure;
use crate::cli::out;

/// Follows a node's events until it is interrupted.
pub(super) fn events(args: &AskArgs) -> Result<(), Failure> {
    let chosen = Chosen::read(&args.nodes, Some(&args.insecure))?;
    let [at] = chosen.addresses.as_slice() else {
        return Err(Failure::Usage("events are followed of one node: give one address".to_owned()));
    };
    running(async {
        let node = if args.insecure.insecure { chosen.waiting(*at) } else { chosen.ours(*at)? };
        let mut feed = EventFeed::of(Arc::new(node), "");
        loop {
            match feed.next().await {
                Ok(told) if args.json => out::json(&as_json(&told), false)?,
                Ok(told) => out::line(&as_text(&told))?,
                Err(why) if why.passes() => {
                    out::complain(&why.to_string());
                    tokio::time::sleep(Duration::from_secs(2)).await;
                }
                Err(why) => return Err(failed(&why)),
            }
        }
    })
}

fn parts(event: &Event) -> (&'static str, Value) {
    let step = |step: &Step| match step {
        Step::Start => "start",
        Step::Stop => "stop",
    };
    match event {
        Event::Sequence { name, step } => {
            let (step, message) = match step {
                SequenceStep::Start => ("start", None),
                SequenceStep::Stop => ("stop", None),
                SequenceStep::Failed { message, .. } => ("failed", Some(message)),
            };
            ("sequence", json!({"name": name, "step": step, "message": message}))
        }
        Event::Phase { name, step: at } => ("phase", json!({"name": name, "step": step(at)})),
        Event::Task { name, step: at } => ("task", json!({"name": name, "step": step(at)})),
        Event::Service { id, state, message, healthy } => {
            ("service", json!({"id": id, "state": state, "message": message, "healthy": healthy}))
        }
        Event::Restart { cmd } => ("restart", json!({"cmd": cmd})),
        Event::ConfigLoad { error } => ("config-load", json!({"error": error})),
        Event::ConfigValidation { error } => ("config-validation", json!({"error": error})),
        Event::Address { hostname, addresses } => {
            ("address", json!({"hostname": hostname, "addresses": addresses}))
        }
        Event::Status { stage, ready, unmet } => {
            ("status", json!({"stage": format!("{stage:?}"), "ready": ready, "unmet": unmet}))
        }
        Event::Other { kind } => ("other", json!({"kind": kind})),
    }
}

fn as_json(told: &Told) -> Value {
    match told {
        Told::Event { id, actor, event } => {
            let (kind, says) = parts(event);
            json!({"id": id, "actor": actor, "kind": kind, "says": says})
        }
        Told::NewBoot => json!({"kind": "new-boot"}),
        Told::Gap => json!({"kind": "gap"}),
    }
}

fn as_text(told: &Told) -> String {
    match told {
        Told::Event { id, event, .. } => {
            let (kind, says) = parts(event);
            let words = says.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
            let words: Vec<String> = words.map(|(key, value)| format!("{key}={value}")).collect();
            format!("{id}  {kind:<8} {}", words.join(" "))
        }
        Told::NewBoot => "-- another boot --".to_owned(),
        Told::Gap => "-- some events were lost --".to_owned(),
    }
}
