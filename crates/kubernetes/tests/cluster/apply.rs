//! Manifests applied to the simulated cluster: waves, conflicts, refusals, scale and prune.

use std::sync::Mutex;

use kubernetes::apply::{Bundle, LABEL, Manifests, OnConflict, Plan, Refusal, Run, apply, scale};
use kubernetes::watch::{Outlook, Workload};
use serde_json::{Value, json};
use sim::kubernetes::Manner;

use crate::bench::{Bench, created, deployment, job, until};

const CRD: (&str, &str) = ("apiextensions.k8s.io/v1", "CustomResourceDefinition");
const DEPLOYMENT: (&str, &str) = ("apps/v1", "Deployment");

fn definition() -> Value {
    json!({
        "apiVersion": CRD.0, "kind": CRD.1, "metadata": {"name": "widgets.example.org"},
        "spec": {"group": "example.org", "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {}}]},
    })
}

fn widget() -> Value {
    json!({"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": "w", "namespace": "made"},
        "spec": {"size": 3}})
}

fn set(objects: &[Value]) -> Manifests {
    let text: Vec<String> = objects.iter().map(Value::to_string).collect();
    Manifests::read([("set.yaml", text.join("\n---\n").as_bytes())]).unwrap()
}

fn namespace() -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "made"}})
}

#[tokio::test(start_paused = true)]
async fn a_set_is_applied_in_waves_whatever_its_order() {
    let mut bench = Bench::new();
    bench.join(3);
    let client = bench.client();
    let manifests = set(&[widget(), deployment("web", 2), job("once"), namespace(), definition()]);
    let applied = apply(&client, &manifests, &Plan::default()).await.unwrap();
    assert_eq!((applied.objects, applied.taken.len()), (5, 0));
    let widget = bench.server.object(("example.org/v1", "Widget"), "made", "w").unwrap();
    assert_eq!(widget["spec"]["size"], 3);
    let watch = bench.watch();
    let mut outlook = Outlook::default();
    until(&watch, "the set", |picture| {
        outlook = applied.expected.outlook(picture);
        outlook.is_done()
    })
    .await;
    assert_eq!((outlook.done, outlook.wanted), (3, 3));
    // Once more is no change: the number of the last one stays.
    let version = *bench.server.changes().borrow();
    assert_eq!(apply(&client, &manifests, &Plan::default()).await.unwrap().objects, 5);
    assert_eq!(*bench.server.changes().borrow(), version);
}

#[tokio::test(start_paused = true)]
async fn a_kind_nobody_defines_is_refused_before_anything_is_written() {
    let mut bench = Bench::new();
    let client = bench.client();
    let refusals = apply(&client, &set(&[namespace(), widget()]), &Plan::default()).await.unwrap_err();
    assert_eq!(refusals.len(), 1);
    assert_eq!(refusals[0].code(), "manifest-kind");
    let text = refusals[0].to_string();
    assert_eq!(
        text,
        "set.yaml: document 2 (line 2): Widget made/w: this server has no kind Widget in example.org/v1"
    );
    assert!(bench.server.object(("v1", "Namespace"), "", "made").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_names_file_document_object_and_field() {
    let mut bench = Bench::new();
    let client = bench.client();
    let mut wrong = deployment("web", 2);
    wrong["spec"]["template"]["metadata"]["labels"] = json!({"app": "other"});
    let mut lost = deployment("lost", 1);
    lost["metadata"]["namespace"] = json!("nowhere");
    let refusals = apply(&client, &set(&[wrong, lost, job("fine")]), &Plan::default()).await.unwrap_err();
    let said: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "set.yaml: document 1 (line 1): Deployment default/web: 422 Invalid: spec.template.metadata.labels: \
             Invalid value: `selector` does not match template `labels`",
            "set.yaml: document 2 (line 2): Deployment nowhere/lost: 404 NotFound: namespaces \"nowhere\" not found",
        ]
    );
    assert!(bench.server.object(("batch/v1", "Job"), "default", "fine").is_some(), "the others were tried");
}

#[tokio::test(start_paused = true)]
async fn a_field_of_another_manager_is_taken_over_only_by_choice() {
    let mut bench = Bench::new();
    let client = bench.client();
    created(&bench, &deployment("web", 5));
    let wanted = set(&[deployment("web", 2)]);
    let refusals = apply(&client, &wanted, &Plan::default()).await.unwrap_err();
    let [Refusal::Conflict { foreign, .. }] = refusals.as_slice() else { panic!("{refusals:?}") };
    assert_eq!(
        (foreign[0].manager.as_str(), foreign[0].fields.as_slice()),
        ("sim", &[".spec.replicas".to_owned()][..])
    );
    let text = refusals[0].to_string();
    assert!(text.ends_with("Deployment default/web: `sim` has set .spec.replicas"), "{text}");
    let replicas = |bench: &Bench| {
        bench.server.object(DEPLOYMENT, "default", "web").unwrap()["spec"]["replicas"].clone()
    };
    assert_eq!(replicas(&bench), 5);
    let plan = Plan { on_conflict: OnConflict::TakeOver, ..Plan::default() };
    let applied = apply(&client, &wanted, &plan).await.unwrap();
    assert_eq!(applied.taken.len(), 1);
    assert_eq!(
        (applied.taken[0].0.as_str(), applied.taken[0].1.manager.as_str()),
        ("Deployment default/web", "sim")
    );
    assert_eq!(replicas(&bench), 2);
    assert_eq!(apply(&client, &wanted, &Plan::default()).await.unwrap().taken.len(), 0, "it is ours now");
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_writes_nothing() {
    let mut bench = Bench::new();
    let client = bench.client();
    let plan = Plan { dry_run: true, ..Plan::default() };
    let version = *bench.server.changes().borrow();
    apply(&client, &set(&[deployment("web", 2), definition()]), &plan).await.unwrap();
    assert_eq!(*bench.server.changes().borrow(), version);
    let mut wrong = deployment("web", 2);
    wrong["spec"]["selector"] = json!({});
    assert_eq!(apply(&client, &set(&[wrong]), &plan).await.unwrap_err()[0].code(), "manifest-rejected");
}

#[tokio::test(start_paused = true)]
async fn a_busy_server_is_asked_again_and_one_that_is_away_is_named() {
    let mut bench = Bench::new();
    let client = bench.client();
    client.version().await.unwrap();
    bench.server.behave(vec![Manner::Busy { times: 1, seconds: 5 }]);
    // The first question is about kinds and is not asked again; the next is.
    let refusals = apply(&client, &set(&[job("once")]), &Plan::default()).await.unwrap_err();
    assert_eq!(refusals[0].code(), "cluster-refused");
    apply(&client, &set(&[job("once")]), &Plan::default()).await.unwrap();
    bench.server.behave(vec![Manner::Away]);
    let refusals = apply(&client, &set(&[job("once"), job("twice")]), &Plan::default()).await.unwrap_err();
    assert_eq!((refusals.len(), refusals[0].code()), (1, "cluster-unreachable"));
}

#[tokio::test(start_paused = true)]
async fn a_workload_is_scaled_to_a_number_and_not_beyond_the_limit() {
    let mut bench = Bench::new();
    bench.join(3);
    let client = bench.client();
    created(&bench, &deployment("web", 1));
    let web =
        Workload { namespace: "default".to_owned(), kind: "Deployment".to_owned(), name: "web".to_owned() };
    assert_eq!(scale(&client, &web, 4, 10).await.unwrap(), 1);
    assert_eq!(scale(&client, &web, 4, 10).await.unwrap(), 4, "set to, not add");
    let watch = bench.watch();
    until(&watch, "four ready", |picture| picture.counts().ready == 4 && picture.pods().count() == 4).await;
    scale(&client, &web, 1, 10).await.unwrap();
    until(&watch, "one left", |picture| picture.counts().ready == 1 && picture.pods().count() == 1).await;
    assert_eq!(scale(&client, &web, 11, 10).await.unwrap_err().code(), "scale-too-many");
    let job = Workload { kind: "Job".to_owned(), ..web.clone() };
    assert_eq!(scale(&client, &job, 1, 10).await.unwrap_err().code(), "scale-kind");
    let none = Workload { name: "none".to_owned(), ..web };
    assert_eq!(scale(&client, &none, 1, 10).await.unwrap_err().code(), "cluster-refused");
}

#[tokio::test(start_paused = true)]
async fn what_left_the_set_is_deleted_on_request_and_nothing_else() {
    let mut bench = Bench::new();
    bench.join(2);
    let client = bench.client();
    created(&bench, &deployment("foreign", 1));
    let plan = Plan { set: Some("lab".to_owned()), ..Plan::default() };
    let map =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "map", "namespace": "made"}});
    let all = set(&[namespace(), map, deployment("web", 1), deployment("old", 1)]);
    apply(&client, &all, &plan).await.unwrap();
    let label =
        bench.server.object(DEPLOYMENT, "default", "web").unwrap()["metadata"]["labels"][LABEL].clone();
    assert_eq!(label, "lab");
    let fewer = set(&[deployment("web", 1)]);
    apply(&client, &fewer, &plan).await.unwrap();
    assert!(bench.server.object(DEPLOYMENT, "default", "old").is_some(), "only on request");
    let pruned = fewer.prune(&client, "lab").await.unwrap();
    assert_eq!(pruned.deleted, ["Deployment default/old", "ConfigMap made/map"]);
    assert_eq!(pruned.left, ["Namespace made"]);
    for name in ["web", "foreign"] {
        assert!(bench.server.object(DEPLOYMENT, "default", name).is_some(), "{name}");
    }
}

/// A program that writes what it is told, and remembers how it was called.
struct Paper(Result<Vec<u8>, String>, Mutex<Vec<String>>);

impl Run for Paper {
    async fn run(&self, program: &str, arguments: &[String]) -> Result<Vec<u8>, String> {
        self.1.lock().unwrap().push(format!("{program} {}", arguments.join(" ")));
        self.0.clone()
    }
}

#[tokio::test]
async fn a_bundle_is_held_to_its_digest() {
    let helm = Bundle::Helm {
        release: "lab".to_owned(),
        chart: "./chart".to_owned(),
        namespace: Some("made".to_owned()),
        values: vec!["a.yaml".to_owned()],
    };
    let paper = Paper(Ok(b"abc".to_vec()), Mutex::default());
    // The digest of FIPS 180-2, appendix B.1.
    let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let rendered = helm.render(&paper, None).await.unwrap();
    assert_eq!(rendered.sha256, digest);
    helm.render(&paper, Some(&format!("sha256:{digest}"))).await.unwrap();
    assert_eq!(helm.render(&paper, Some("00")).await.unwrap_err().code(), "bundle-changed");
    let called = "helm template --include-crds --no-hooks --namespace=made --values=a.yaml -- lab ./chart";
    assert_eq!(paper.1.lock().unwrap()[0], called);
    let kustomize = Bundle::Kustomize { folder: "k".to_owned() };
    let missing = Paper(Err("`kustomize` is missing".to_owned()), Mutex::default());
    let error = kustomize.render(&missing, None).await.unwrap_err();
    assert_eq!(error.to_string(), "`kustomize` gave no manifests: `kustomize` is missing");
    let empty = Paper(Ok(b"\n".to_vec()), Mutex::default());
    assert_eq!(kustomize.render(&empty, None).await.unwrap_err().code(), "bundle-program");
}
