//! Events, pushed and asked for; logs; and that nothing secret is among what is said openly.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::TalosStage as Said;
use sim::talos::Stage;
use talos::api::{Character, EventFeed, Told};
use talos::feed::{Event, SequenceStep};

use crate::lab::{KERNEL, Lab, SINK, TOKEN, until_stage};
use crate::{BOTH, pushed};

/// The next told within a simulated quarter of an hour.
async fn next(feed: &mut EventFeed) -> Option<Told> {
    let limit = tokio::time::Instant::now() + Duration::from_secs(900);
    while tokio::time::Instant::now() < limit {
        match tokio::time::timeout(Duration::from_secs(120), feed.next()).await {
            Ok(Ok(told)) => return Some(told),
            Ok(Err(error)) if error.passes() => tokio::time::sleep(Duration::from_secs(1)).await,
            Ok(Err(error)) => panic!("{error}"),
            Err(_) => return None,
        }
    }
    None
}

#[tokio::test(start_paused = true)]
async fn one_stream_goes_on_over_a_reboot_and_says_so() {
    let lab = Lab::new();
    let (node, at) = lab.node(1, Character::UpTo12, &[]);
    until_stage(&node, Stage::Maintenance).await;
    assert_eq!(pushed(&lab, at, &lab.config("controlplane", "c1")).await.code(), "apply/confirmed");
    let ours = Arc::new(lab.ours(at));
    ours.bootstrap_within(Duration::from_secs(60)).await.unwrap();
    until_stage(&node, Stage::Running).await;

    let mut feed = EventFeed::of(Arc::clone(&ours), "");
    let (mut ids, mut stages) = (vec![], vec![]);
    while let Some(told) = next(&mut feed).await {
        let Told::Event { id, event, .. } = told else { panic!("{told:?}") };
        ids.push(id);
        if let Event::Status { stage, .. } = event {
            stages.push(stage);
        }
    }
    assert!(ids.iter().all(|id| id.len() == 20), "{ids:?}");
    assert!(ids.is_sorted_by(|a, b| a < b), "each once, in order");
    assert_eq!(stages.last(), Some(&Said::Running));

    let actor = lab.ours(at).reboot().await.unwrap();
    let (mut booted, mut seen_actor, mut running) = (false, false, false);
    while let Some(told) = next(&mut feed).await {
        match told {
            Told::NewBoot => booted = true,
            Told::Event { actor: of, event: Event::Sequence { .. }, .. } if of == actor => seen_actor = true,
            Told::Event { event: Event::Status { stage, ready, .. }, .. } if booted => {
                running |= stage == Said::Running && ready;
            }
            Told::Event { .. } => {}
            Told::Gap => panic!("a new boot is no gap"),
        }
    }
    assert!(booted && running, "booted {booted}, running {running}");
    assert!(seen_actor, "the order's own events carry its number");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_costs_no_event_and_repeats_none() {
    let lab = Lab::new();
    let (node, at) = lab.node(1, Character::From13, &[]);
    until_stage(&node, Stage::Maintenance).await;
    assert_eq!(pushed(&lab, at, &lab.config("controlplane", "c1")).await.code(), "apply/confirmed");
    until_stage(&node, Stage::Rebooting).await;
    until_stage(&node, Stage::Booting).await;
    let ours = Arc::new(lab.ours(at));
    let mut feed = EventFeed::of(Arc::clone(&ours), "");
    let mut ids = vec![];
    let mut cuts = 0;
    ours.bootstrap_within(Duration::from_secs(120)).await.unwrap();
    while let Some(told) = next(&mut feed).await {
        let Told::Event { id, .. } = told else { panic!("{told:?}") };
        ids.push(id);
        if ids.len() % 5 == 0 {
            node.cut();
            cuts += 1;
        }
    }
    assert!(cuts > 3, "{cuts}");
    assert_eq!(node.stage(), Stage::Running);
    let mut whole = EventFeed::of(Arc::new(lab.ours(at)), "");
    let mut all = vec![];
    while let Some(Told::Event { id, .. }) = next(&mut whole).await {
        all.push(id);
    }
    assert_eq!(ids, all);
}

#[tokio::test(start_paused = true)]
async fn documents_on_the_kernel_line_act_while_a_node_waits_for_its_config() {
    let documents = format!("apiVersion: v1alpha1\nkind: EventSinkConfig\nendpoint: {SINK}\n");
    let line = format!("{}={}", talos::inline::ARGUMENT, talos::inline::encode(&documents, None, 0).unwrap());
    for (line, acts) in [(line.as_str(), true), ("quiet", false)] {
        let mut lab = Lab::new();
        let (node, _) = lab.node(1, Character::UpTo12, &[]);
        node.boots_with(line);
        until_stage(&node, Stage::Maintenance).await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        let mut waits = false;
        while let Ok(pushed) = lab.pushed.try_recv() {
            let said = pushed.unwrap();
            waits |= matches!(said.event.said(), Event::Status { stage, .. } if format!("{stage:?}") == "Maintenance");
        }
        assert_eq!(waits, acts, "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn nodes_tell_their_way_from_the_first_boot_and_no_secret_is_said_openly() {
    for character in BOTH {
        let mut lab = Lab::new();
        let (node, at) = lab.node_as(1, character, |settings| {
            settings.sink = Some(SINK);
            settings.kernel_log = Some(KERNEL);
        });
        until_stage(&node, Stage::Maintenance).await;
        let config = lab.config("controlplane", "c1");
        assert_eq!(pushed(&lab, at, &config).await.code(), "apply/confirmed");
        let ours = lab.ours(at);
        ours.bootstrap_within(Duration::from_secs(300)).await.unwrap();
        until_stage(&node, Stage::Running).await;
        ours.kubeconfig().await.unwrap();
        tokio::time::sleep(Duration::from_secs(30)).await;

        let mut steps = vec![];
        while let Ok(pushed) = lab.pushed.try_recv() {
            match pushed.unwrap().event.said() {
                Event::Sequence { name, step: SequenceStep::Start } => steps.push(name.clone()),
                Event::Status { stage, .. } => steps.push(format!("{stage:?}")),
                _ => {}
            }
        }
        steps.dedup();
        let expected = [
            "initialize",
            "Booting",
            "Maintenance",
            "Booting",
            "install",
            "Installing",
            "Rebooting",
            "initialize",
            "Booting",
            "boot",
            "Booting",
            "Running",
        ];
        assert_eq!(steps, expected, "{character:?}");
        let lines = lab.kernel.lock().unwrap();
        assert!(lines.len() > 20 && lines.iter().all(Result::is_ok), "{}", lines.len());

        let (certificate, key) = lab.ca.to_pem();
        let wire = lab.wire.lock().unwrap();
        let has = |what: &[u8]| wire.windows(what.len()).any(|window| window == what);
        // The search finds what is there: events travel openly.
        assert!(has(b"machine.MachineStatusEvent"));
        for secret in
            [TOKEN, "PRIVATE KEY", "BEGIN CERTIFICATE", "token:", certificate.as_str(), key.as_str()]
        {
            assert!(!has(secret.as_bytes()), "{secret} is on the wire");
            let encoded = STANDARD.encode(secret);
            assert!(!has(encoded.trim_end_matches('=').as_bytes()), "{secret} is on the wire in base64");
        }
        assert!(!has(&config[..64]));
    }
}
