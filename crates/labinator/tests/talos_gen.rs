//! `labinator talos gen` and its neighbours, as they are typed.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use talos::config::{Input, Options, Role, text};
use talos::kubeconfig::read;
use talos::release::{Minor, installer};
use talos::secrets::Secrets;
use talos::talosconfig::TalosConfig;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("labinator-talos-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&path));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }

    /// Exit code, standard output, standard error of `labinator talos`, typed in this folder.
    fn talos(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_labinator"));
        let done = command.arg("talos").args(arguments).current_dir(&self.0).output().unwrap();
        let [said, complained] = [done.stdout, done.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        (done.status.code().unwrap(), said, complained)
    }

    /// The same, where it must succeed.
    fn good(&self, arguments: &[&str]) -> String {
        let (code, said, complained) = self.talos(arguments);
        assert_eq!(code, 0, "{arguments:?}: {complained}");
        said
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// A cluster's secrets that were made before: no test waits for an RSA key.
fn known() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../talos/tests/fixtures/secrets.yaml");
    path.display().to_string()
}

const CLUSTER: [&str; 5] = ["gen", "--cluster", "lab", "--endpoint", "https://10.9.0.10:6443"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    CLUSTER.into_iter().chain(more.iter().copied()).collect()
}

#[test]
fn configs_of_known_secrets_are_those_of_the_generator_and_private() {
    let folder = Folder::new("known");
    let known = known();
    let said = folder.good(&with(&["--secrets", &known, "--output", "out", "--talos-endpoint", "10.9.0.11"]));
    assert!(said.contains("for Talos 1.13.9 and Kubernetes 1.36.3"), "{said}");
    let secrets = Secrets::from_yaml(&fs::read_to_string(&known).unwrap()).unwrap();
    let options = Options {
        install_disk: Some("/dev/sda".to_owned()),
        install_image: Some(installer(Minor::V1_13, &Minor::V1_13.latest())),
        ..Options::default()
    };
    let (endpoint, kubernetes) = ("https://10.9.0.10:6443".parse().unwrap(), "1.36.3".parse().unwrap());
    let input = Input {
        cluster: "lab",
        endpoint: &endpoint,
        contract: Minor::V1_13,
        kubernetes: &kubernetes,
        options: &options,
    };
    for role in [Role::ControlPlane, Role::Worker] {
        let made = folder.read(&format!("out/{}.yaml", role.word()));
        assert_eq!(made, text(&input, &secrets, role).unwrap().as_str());
    }
    let client = TalosConfig::from_yaml(&folder.read("out/talosconfig")).unwrap();
    let context = client.context(None).unwrap();
    assert_eq!((client.current(), context.endpoints.as_slice()), ("lab", &["10.9.0.11".to_owned()][..]));
    assert_eq!(context.authority, secrets.os().certificate().to_pem());
    let mut names: Vec<_> =
        fs::read_dir(folder.0.join("out")).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["controlplane.yaml", "talosconfig", "worker.yaml"], "known secrets are not copied");
    for name in names {
        let mode = fs::metadata(folder.0.join("out").join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn what_is_there_is_replaced_only_when_asked_and_secrets_never() {
    let folder = Folder::new("there");
    let known = known();
    let generate = with(&["--secrets", &known]);
    folder.good(&generate);
    let before = folder.read("talosconfig");
    let (code, _, complained) = folder.talos(&generate);
    assert_eq!(code, 1);
    assert!(
        complained.contains("controlplane.yaml is there already") && complained.contains("--force"),
        "{complained}"
    );
    assert_eq!(folder.read("talosconfig"), before);
    folder.good(&with(&["--secrets", &known, "--force"]));
    assert_ne!(folder.read("talosconfig"), before);

    fs::write(folder.0.join("secrets.yaml"), "kept").unwrap();
    for words in [with(&["--force"]), vec!["gen", "secrets"]] {
        let (code, _, complained) = folder.talos(&words);
        assert_eq!(code, 1);
        assert!(complained.contains("secrets.yaml is there already"), "{complained}");
    }
    assert_eq!(folder.read("secrets.yaml"), "kept");
}

#[test]
fn mistakes_are_told_before_anything_is_written() {
    let folder = Folder::new("mistakes");
    let known = known();
    fs::write(folder.0.join("broken.yaml"), "cluster:\n    id: x\n").unwrap();
    for (more, why) in [
        (&["--secrets", known.as_str(), "--kernel-arg", "a=b"][..], "extra kernel arguments cannot stand"),
        (
            &["--secrets", &known, "--kubernetes-version", "1.30.0"],
            "Talos 1.13 does not run Kubernetes 1.30.0",
        ),
        (&["--secrets", &known, "--talos-version", "1.15.0"], "Talos 1.15.0 is not known here"),
        (&["--secrets", &known, "--cni-manifest", "x"], "`x` is no URL"),
        (&["--secrets", "broken.yaml"], "broken.yaml: line 1, column 1: cluster.secret is missing"),
        (&["--secrets", "nothing.yaml"], "nothing.yaml: "),
    ] {
        let (code, said, complained) = folder.talos(&with(more));
        assert_eq!((code, said.as_str()), (1, ""), "{more:?}");
        assert!(complained.contains(why), "{why:?} in {complained}");
    }
    let (code, _, complained) = folder.talos(&["gen", "--cluster", "lab", "--endpoint", "10.9.0.10"]);
    assert_eq!(code, 2);
    assert!(complained.contains("https://10.0.0.10:6443"), "{complained}");
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
}

#[test]
fn a_kubeconfig_comes_from_the_secrets_and_is_compared_with_another() {
    let folder = Folder::new("kubeconfig");
    let known = known();
    let words = ["kubeconfig", "--secrets", &known, "--endpoint", "https://10.9.0.10:6443"];
    let plus = |more: &[&'static str]| words.into_iter().chain(more.iter().copied()).collect::<Vec<&str>>();
    assert_eq!(read(&folder.good(&words)).unwrap().context, "admin@10.9.0.10");
    folder.good(&plus(&["--cluster", "lab", "--output", "k"]));
    assert_eq!(read(&folder.read("k")).unwrap().context, "admin@lab");
    assert_eq!(fs::metadata(folder.0.join("k")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(folder.talos(&plus(&["--output", "k"])).0, 1, "it is there already");
    assert_eq!(folder.good(&plus(&["--compare", "k"])), "the same cluster and the same rights\n");
    fs::write(folder.0.join("k"), folder.read("k").replace("10.9.0.10", "10.9.0.99")).unwrap();
    let (code, said, _) = folder.talos(&plus(&["--compare", "k"]));
    assert_eq!(code, 1);
    assert_eq!(said, "server: ours has https://10.9.0.10:6443, theirs https://10.9.0.99:6443\n");
    let (_, json, _) = folder.talos(&plus(&["--compare", "k", "--json"]));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["same"], false);
}

#[test]
fn images_and_schematics_are_told_offline() {
    let folder = Folder::new("offline");
    let images = folder.good(&["images", "--talos-version", "1.12"]);
    assert!(images.lines().any(|image| image == "registry.k8s.io/etcd:v3.6.11"), "{images}");
    assert!(images.ends_with("ghcr.io/siderolabs/installer:v1.12.11\n"), "{images}");
    let id = "376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba";
    let said = folder.good(&["schematic"]);
    assert_eq!(said, format!("{id}\nfactory.talos.dev/metal-installer/{id}:v1.13.9\n"));
    let said = folder.good(&["schematic", "--extension", "siderolabs/intel-ucode", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_ne!(json["id"], id);
}
