//! Configs of our own cluster, whole: what stands in `fixtures/configs` was compared with upstream's rules by
//! people, and every later change shows as a difference. `UPDATE_GOLDEN=1` writes the files anew.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

use std::path::PathBuf;

use talos::config::{Endpoint, Input, InputError, Options, Role, documents, text};
use talos::pki::Seeded;
use talos::release::{Minor, Version};
use talos::secrets::Secrets;
use talos::yaml::{Value, parse};

const SECRETS: &str = include_str!("fixtures/secrets.yaml");
const CA: &str = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n";

fn all_options() -> Options {
    Options {
        sans: vec!["api.lab.example".to_owned(), "10.9.0.2".to_owned()],
        schedule_on_control_planes: true,
        dns_domain: "lab.example".to_owned(),
        install_disk: Some("/dev/nvme0n1".to_owned()),
        install_image: Some("registry.lab.example/installer:v1".to_owned()),
        extra_kernel_args: vec!["console=ttyS1".to_owned()],
        local_api_port: Some(7443),
        sysctls: [("net.core.somaxconn", "65535"), ("vm.swappiness", "1")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into(),
        cni_manifest: Some("https://files.lab.example/cilium.yaml".to_owned()),
        registry_mirrors: [
            (
                "docker.io".to_owned(),
                vec!["https://r1.lab.example".to_owned(), "http://10.9.0.3:5000".to_owned()],
            ),
            ("*".to_owned(), vec!["https://r2.lab.example".to_owned()]),
        ]
        .into(),
        registry_authorities: [("r1.lab.example".to_owned(), CA.to_owned())].into(),
        registry_insecure: ["r2.lab.example".to_owned()].into(),
        discovery: false,
        kube_prism_port: None,
        kube_span: Some(true),
    }
}

struct Asked {
    secrets: Secrets,
    endpoint: Endpoint,
    kubernetes: Version,
}

fn asked() -> Asked {
    Asked {
        secrets: Secrets::from_yaml(SECRETS).unwrap(),
        endpoint: "https://10.9.0.10:6443".parse().unwrap(),
        kubernetes: "1.32.4".parse().unwrap(),
    }
}

impl Asked {
    fn input<'a>(&'a self, contract: Minor, options: &'a Options) -> Input<'a> {
        let (endpoint, kubernetes) = (&self.endpoint, &self.kubernetes);
        Input { cluster: "lab", endpoint, contract, kubernetes, options }
    }

    fn text(&self, contract: Minor, options: &Options, role: Role) -> String {
        text(&self.input(contract, options), &self.secrets, role).unwrap().to_string()
    }
}

const ROLES: [Role; 2] = [Role::ControlPlane, Role::Worker];

#[test]
fn configs_are_what_they_were() {
    let asked = asked();
    let home = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/configs");
    for contract in [Minor::V1_11, Minor::V1_12, Minor::V1_13, Minor::V1_14] {
        for (name, options) in [("plain", Options::default()), ("all", all_options())] {
            for role in ROLES {
                let ours = asked.text(contract, &options, role);
                let file = home.join(format!("{contract}-{name}-{}.yaml", role.word()));
                if std::env::var_os("UPDATE_GOLDEN").is_some() {
                    std::fs::write(&file, &ours).unwrap();
                }
                let before = std::fs::read_to_string(&file).unwrap_or_default();
                assert!(ours == before, "{} differs: UPDATE_GOLDEN=1 writes it anew", file.display());
            }
        }
    }
}

#[test]
fn configs_of_1_9_1_10_and_1_11_are_the_same() {
    let asked = asked();
    for options in [Options::default(), all_options()] {
        for role in ROLES {
            let newest = asked.text(Minor::V1_11, &options, role);
            assert_eq!(asked.text(Minor::V1_9, &options, role), newest);
            assert_eq!(asked.text(Minor::V1_10, &options, role), newest);
        }
    }
}

#[test]
fn what_is_written_is_read_as_what_was_meant() {
    let asked = asked();
    for contract in Minor::ALL {
        let options = all_options();
        for role in ROLES {
            let input = asked.input(contract, &options);
            let meant = documents(&input, &asked.secrets, role).unwrap();
            let read: Vec<Value> =
                parse(&asked.text(contract, &options, role)).unwrap().into_iter().map(|d| d.value).collect();
            assert_eq!(read, meant);
        }
    }
}

/// Every text below a value.
fn texts<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    if let Some(text) = value.as_str() {
        found.push(text);
    }
    value.as_list().into_iter().flatten().for_each(|item| texts(item, found));
    value.as_map().into_iter().flat_map(|map| map.iter()).for_each(|(_, item)| texts(item, found));
}

#[test]
fn a_worker_gets_no_key_and_no_encryption_secret() {
    let asked = asked();
    let secrets = parse(SECRETS).unwrap().remove(0).value;
    let certs = secrets.at(["certs"]).unwrap().as_map().unwrap();
    let keys: Vec<&str> = certs.iter().filter_map(|(_, pair)| pair.at(["key"])?.as_str()).collect();
    assert_eq!(keys.len(), 5);
    let sealed = secrets.at(["secrets", "secretboxencryptionsecret"]).unwrap().as_str().unwrap();
    let options = Options::default();
    for contract in Minor::ALL {
        let input = asked.input(contract, &options);
        let all = documents(&input, &asked.secrets, Role::Worker).unwrap();
        let mut found = Vec::new();
        all.iter().for_each(|document| texts(document, &mut found));
        assert!(
            !found.iter().any(|text| text.contains("PRIVATE KEY") || keys.contains(text) || *text == sealed)
        );

        let all = documents(&input, &asked.secrets, Role::ControlPlane).unwrap();
        let mut found = Vec::new();
        all.iter().for_each(|document| texts(document, &mut found));
        assert!(found.contains(&sealed), "and a control plane has it");
    }
}

#[test]
fn what_a_node_would_refuse_or_ignore_is_told_before() {
    let asked = asked();
    let check = |contract: Minor, change: fn(&mut Options)| {
        let mut options = Options::default();
        change(&mut options);
        asked.input(contract, &options).check(&asked.secrets).map_err(|why| why.code())
    };
    assert_eq!(check(Minor::V1_13, |_| {}), Ok(()));
    assert_eq!(check(Minor::V1_13, |o| o.sans.push("a b".to_owned())), Err("bad_name"));
    assert_eq!(check(Minor::V1_11, |o| o.extra_kernel_args.push("a=b".to_owned())), Ok(()));
    assert_eq!(
        check(Minor::V1_12, |o| o.extra_kernel_args.push("a=b".to_owned())),
        Err("kernel_args_not_allowed")
    );
    assert_eq!(check(Minor::V1_13, |o| o.cni_manifest = Some("cilium.yaml".to_owned())), Err("bad_url"));

    let options = Options::default();
    let input = Input { cluster: "two words", ..asked.input(Minor::V1_13, &options) };
    assert_eq!(input.check(&asked.secrets), Err(InputError::Cluster("two words".to_owned())));
    let old = "1.30.0".parse().unwrap();
    let input = Input { kubernetes: &old, ..asked.input(Minor::V1_13, &options) };
    assert_eq!(input.check(&asked.secrets).unwrap_err().code(), "kubernetes_out_of_range");

    let old = SECRETS.replace("secretboxencryptionsecret", "aescbcencryptionsecret");
    let old = Secrets::from_yaml(&old).unwrap();
    assert_eq!(asked.input(Minor::V1_14, &options).check(&old), Err(InputError::AesCbc));
    assert_eq!(asked.input(Minor::V1_13, &options).check(&old), Ok(()));
    let config = text(&asked.input(Minor::V1_13, &options), &old, Role::ControlPlane).unwrap();
    assert!(
        config.contains("\n    aescbcEncryptionSecret: ") && !config.contains("secretboxEncryptionSecret")
    );
}

#[test]
fn a_control_plane_waits_for_the_service_account_key_and_a_worker_does_not() {
    let mut asked = asked();
    let (minted, _) = Secrets::mint(Minor::V1_13, model::WallTime(0), &mut Seeded::new([1; 32])).unwrap();
    asked.secrets = minted;
    let options = Options::default();
    let input = asked.input(Minor::V1_13, &options);
    assert!(text(&input, &asked.secrets, Role::ControlPlane).is_err());
    assert!(text(&input, &asked.secrets, Role::Worker).is_ok());
}
