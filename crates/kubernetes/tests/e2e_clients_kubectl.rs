//! The real kubectl against the simulated API server: what it reads, writes, waits for and is refused.
#![expect(clippy::unwrap_used, reason = "a test may stop")]
#![expect(clippy::panic, reason = "a test may stop")]
#![expect(clippy::print_stdout, reason = "what was not tested")]
#![expect(dead_code, reason = "the parts of other tests are used as they are")]

#[path = "cluster/bench.rs"]
mod bench;

use std::path::{Path, PathBuf};
use std::time::Duration;

use kubernetes::apply::{Manifests, OnConflict, Plan, apply};
use kubernetes::{Client, Tcp};
use tokio::process::Command;

use bench::{Bench, deployment, job};

/// A kubectl, its kubeconfig, and a folder for files that goes with it.
struct Kubectl {
    program: PathBuf,
    folder: PathBuf,
}

impl Drop for Kubectl {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

impl Kubectl {
    /// Debian's newest; none where the stage could not have it.
    fn new(kubeconfig: &str) -> Option<Self> {
        let suites = std::env::var_os("LABINATOR_SUITES").unwrap_or_default();
        let program = Path::new(&suites).join("sid/kubectl/usr/bin/kubectl");
        if !program.is_file() {
            println!("SKIPPED kubectl of Debian sid is not unpacked at {}", program.display());
            return None;
        }
        let folder = std::env::temp_dir().join(format!(
            "kubectl-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("kubeconfig"), kubeconfig).unwrap();
        Some(Self { program, folder })
    }

    /// Writes a file and names it.
    fn file(&self, name: &str, content: &str) -> String {
        let path = self.folder.join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Whether it succeeded, and all it said.
    async fn ran(&self, words: &str) -> (bool, String) {
        let mut command = Command::new(&self.program);
        command
            .args(words.split_whitespace())
            .env("KUBECONFIG", self.folder.join("kubeconfig"))
            .env("HOME", &self.folder)
            .kill_on_drop(true);
        let output = tokio::time::timeout(Duration::from_secs(120), command.output()).await;
        let output = output.unwrap_or_else(|_| panic!("kubectl {words} does not end")).unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    async fn told(&self, words: &str) -> String {
        let (well, said) = self.ran(words).await;
        assert!(well, "kubectl {words}: {said}");
        said
    }

    async fn refused(&self, words: &str) -> String {
        let (well, said) = self.ran(words).await;
        assert!(!well, "kubectl {words}: {said}");
        said
    }
}

/// The server on a port of this machine; its kubeconfig.
async fn on_loopback(bench: &mut Bench) -> String {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = bench.server.clone();
    bench.running.spawn(async move { drop(server.listen(listener).await) });
    bench.trust.kubeconfig_for(&format!("https://127.0.0.1:{port}"))
}

/// The columns of the row that begins with this word.
fn row<'a>(table: &'a str, name: &str) -> Vec<&'a str> {
    let row = table.lines().find(|line| line.starts_with(name));
    row.unwrap_or_else(|| panic!("no {name} in\n{table}")).split_whitespace().collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "stage e2e-clients"]
async fn kubectl_reads_writes_and_waits() {
    let mut bench = Bench::new();
    let Some(kubectl) = Kubectl::new(&on_loopback(&mut bench).await) else { return };
    bench.join(3);
    let nodes = kubectl.told("get nodes -o wide").await;
    assert_eq!(row(&nodes, "node1")[1..3], ["Ready", "control-plane"], "{nodes}");
    assert!(kubectl.told("version").await.contains("Server Version: v1.33.2"));
    assert!(kubectl.told("api-resources").await.contains("deployments"));

    let web = kubectl.file("web.yaml", &deployment("web", 2).to_string());
    assert_eq!(kubectl.told(&format!("apply -f {web}")).await.trim(), "deployment.apps/web created");
    assert!(
        kubectl.told("rollout status deployment/web --timeout=60s").await.contains("successfully rolled out")
    );
    assert_eq!(kubectl.told(&format!("apply -f {web}")).await.trim(), "deployment.apps/web unchanged");
    assert_eq!(row(&kubectl.told("get deploy").await, "web")[1], "2/2");
    let more = deployment("web", 2).to_string().replace("main:1", "main:2");
    let more = kubectl.file("more.yaml", &more);
    assert_eq!(kubectl.told(&format!("apply -f {more}")).await.trim(), "deployment.apps/web configured");
    kubectl.told("rollout status deployment/web --timeout=60s").await;
    let image = "get pods -l app=web -o jsonpath={.items[*].spec.containers[0].image}";
    assert!(kubectl.told(image).await.contains("main:2"));

    assert_eq!(kubectl.told("scale deployment/web --replicas=4").await.trim(), "deployment.apps/web scaled");
    kubectl.told("wait deployment/web --for=jsonpath={.status.readyReplicas}=4 --timeout=60s").await;
    let described = kubectl.told("describe deployment web").await;
    assert!(described.contains("4 desired") && described.contains("example.org/main:2"), "{described}");
    let pod = kubectl.told("get pods -l app=web -o name").await;
    let described = kubectl.told(&format!("describe {}", pod.lines().next().unwrap())).await;
    assert!(described.contains("Status:") && described.contains("ReplicaSet/web-"), "{described}");
    assert!(kubectl.told("describe node node2").await.contains("Kubelet Version:"));

    let once = kubectl.file("once.yaml", &job("once").to_string());
    kubectl.told(&format!("create -f {once}")).await;
    kubectl.told("wait job/once --for=condition=complete --timeout=60s").await;
    assert_eq!(row(&kubectl.told("get pods").await, "once-")[2], "Completed");
    assert!(kubectl.refused(&format!("create -f {once}")).await.contains("already exists"));

    assert!(kubectl.told("delete deployment web").await.contains("deleted"));
    kubectl.told("wait pods -l app=web --for=delete --timeout=60s").await;
    assert!(kubectl.refused("get deployment web").await.contains("deployments.apps \"web\" not found"));
    let brief = "apiVersion: v1\nkind: Namespace\nmetadata: {name: brief}\n---\n\
                 apiVersion: v1\nkind: ConfigMap\nmetadata: {name: note, namespace: brief}\ndata: {a: b}\n";
    let brief = kubectl.file("brief.yaml", brief);
    kubectl.told(&format!("apply -f {brief}")).await;
    assert!(kubectl.told("get configmap note -n brief -o yaml").await.contains("a: b"));
    kubectl.told("delete namespace brief --timeout=60s").await;
    assert!(kubectl.refused("get configmap note -n brief").await.contains("not found"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "stage e2e-clients"]
async fn kubectl_and_we_tell_each_other_whose_a_field_is() {
    let mut bench = Bench::new();
    let kubeconfig = on_loopback(&mut bench).await;
    let Some(kubectl) = Kubectl::new(&kubeconfig) else { return };
    bench.join(2);
    let client = Client::new(kubeconfig.as_bytes(), std::sync::Arc::new(Tcp)).unwrap();
    let file = deployment("web", 2).to_string();
    let ours = Manifests::read([("web.yaml", file.as_bytes())]).unwrap();
    apply(&client, &ours, &Plan::default()).await.unwrap();

    let other = kubectl.file("other.yaml", &deployment("web", 3).to_string());
    let said = kubectl.refused(&format!("apply --server-side -f {other}")).await;
    assert!(said.contains("conflict with \"labinator\"") && said.contains(".spec.replicas"), "{said}");
    kubectl.told(&format!("apply --server-side --force-conflicts -f {other}")).await;
    let refusal = apply(&client, &ours, &Plan::default()).await.unwrap_err().remove(0).to_string();
    assert!(refusal.ends_with("Deployment default/web: `kubectl` has set .spec.replicas"), "{refusal}");
    let plan = Plan { on_conflict: OnConflict::TakeOver, ..Plan::default() };
    assert_eq!(apply(&client, &ours, &plan).await.unwrap().taken.len(), 1);
    let shown = kubectl
        .told("get deployment web --show-managed-fields -o jsonpath={.metadata.managedFields[*].manager}");
    assert!(shown.await.contains("labinator"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "stage e2e-clients"]
async fn kubectl_uses_a_kind_that_was_defined_a_moment_ago() {
    let mut bench = Bench::new();
    let Some(kubectl) = Kubectl::new(&on_loopback(&mut bench).await) else { return };
    let definition = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: widgets.example.org}\n\
                      spec:\n  group: example.org\n  scope: Namespaced\n  names: {plural: widgets, singular: widget, kind: Widget, shortNames: [wi]}\n  \
                      versions:\n  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}\n";
    let definition = kubectl.file("crd.yaml", definition);
    kubectl.told(&format!("apply -f {definition}")).await;
    kubectl.told("wait crd/widgets.example.org --for=condition=Established --timeout=60s").await;
    let widget = kubectl
        .file("w.yaml", "apiVersion: example.org/v1\nkind: Widget\nmetadata: {name: w}\nspec: {size: 3}\n");
    kubectl.told(&format!("apply -f {widget}")).await;
    assert_eq!(kubectl.told("get wi w -o jsonpath={.spec.size}").await, "3");
    kubectl.told("patch wi w --type=merge -p {\"spec\":{\"size\":4}}").await;
    assert_eq!(kubectl.told("get wi w -o jsonpath={.spec.size}").await, "4");
    kubectl.told("delete crd widgets.example.org").await;
    let gone = kubectl.refused("get widgets").await;
    assert!(gone.contains("the server could not find the requested resource"), "{gone}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "stage e2e-clients"]
async fn kubectl_is_told_why_it_may_not() {
    let mut bench = Bench::new();
    let good = on_loopback(&mut bench).await;
    let mut other = bench::Trust::new(9);
    let stranger: serde_json::Value = serde_json::from_str(&other.kubeconfig()).unwrap();
    let mut mixed: serde_json::Value = serde_json::from_str(&good).unwrap();
    mixed["users"] = stranger["users"].clone();
    let Some(kubectl) = Kubectl::new(&mixed.to_string()) else { return };
    let said = kubectl.refused("get nodes").await;
    assert!(said.contains("You must be logged in to the server"), "{said}");
    drop(kubectl);
    mixed["users"] = serde_json::json!([{"name": "admin", "user": {"token": "guessed"}}]);
    let kubectl = Kubectl::new(&mixed.to_string()).unwrap();
    let said = kubectl.refused("get nodes").await;
    assert!(said.contains("You must be logged in to the server"), "{said}");
}
