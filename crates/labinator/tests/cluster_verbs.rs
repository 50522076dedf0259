//! `manifests` and `pods` of the built program against the simulated API server, over TCP.
#![expect(clippy::unwrap_used, reason = "a test may stop")]
#![expect(clippy::panic, reason = "a test may stop")]
#![expect(dead_code, reason = "the parts of other tests are used as they are")]

#[path = "../../kubernetes/tests/cluster/bench.rs"]
mod bench;

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;

use bench::{Bench, deployment, job, that_does};

/// A cluster on a port of this machine, and a folder with its kubeconfig.
struct Ground {
    bench: Bench,
    folder: PathBuf,
}

impl Drop for Ground {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

impl Ground {
    async fn new(name: &str) -> Self {
        let mut bench = Bench::new();
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = bench.server.clone();
        bench.running.spawn(async move { drop(server.listen(listener).await) });
        let folder = std::env::temp_dir().join(format!("labinator-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let kubeconfig = bench.trust.kubeconfig_for(&format!("https://127.0.0.1:{port}"));
        std::fs::write(folder.join("kubeconfig"), kubeconfig).unwrap();
        Self { bench, folder }
    }

    /// Runs a verb with this on its standard input: exit code, output, complaints.
    async fn ran(&self, words: &str, input: &str) -> (i32, String, String) {
        let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_labinator"))
            .args(words.split_whitespace())
            .args(["--kubeconfig", "kubeconfig"])
            .current_dir(&self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).await.unwrap();
        drop(stdin);
        let output = tokio::time::timeout(Duration::from_secs(120), child.wait_with_output()).await;
        let output = output.unwrap_or_else(|_| panic!("`{words}` does not end")).unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_is_applied_and_its_pods_are_shown() {
    let ground = Ground::new("applied").await;
    ground.bench.join(2);
    let set = format!("{}\n---\n{}\n", deployment("web", 2), that_does(deployment("pulls", 1), "no-image"));
    let (code, said, wrong) = ground.ran("manifests apply --set lab -", &set).await;
    assert_eq!((code, said.as_str()), (0, "2 objects applied\n"), "{wrong}");
    let mut changes = ground.bench.server.changes();
    loop {
        let (code, said, wrong) = ground.ran("pods", "").await;
        assert_eq!(code, 0, "{wrong}");
        if said.contains("2 of   3 pods")
            && said.contains("starting ImagePullBackOff: Back-off pulling image")
        {
            break;
        }
        changes.changed().await.unwrap();
    }
    let (_, said, _) = ground.ran("pods --json", "").await;
    let seen: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&seen["version"], &seen["counts"]["ready"]), (&1.into(), &2.into()), "{said}");
    let (code, said, _) =
        ground.ran("manifests apply --set lab --prune -", &deployment("web", 2).to_string()).await;
    assert_eq!((code, said.as_str()), (0, "1 object applied\ndeleted Deployment default/pulls\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_said_with_its_place_and_what_to_do() {
    let ground = Ground::new("refused").await;
    let hook = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "h", "annotations": {"helm.sh/hook": "test"}}}"#;
    let (code, _, wrong) = ground.ran("manifests apply -", &format!("{}\n---\n{hook}", job("once"))).await;
    assert_eq!(code, 1);
    assert!(wrong.contains("-: document 2 (line 2): Pod h is a Helm hook (`helm.sh/hook: test`)"), "{wrong}");
    assert!(wrong.contains("→ hooks run only inside Helm"), "{wrong}");
    let (code, _, wrong) = ground.ran("manifests apply --prune -", "").await;
    assert!(code == 2 && wrong.contains("--set"), "{wrong}");
    std::fs::write(ground.folder.join("kubeconfig"), "clusters: []\n").unwrap();
    let (code, _, wrong) = ground.ran("pods", "").await;
    assert!(code == 1 && wrong.contains("it has no `current-context`"), "{wrong}");
}
