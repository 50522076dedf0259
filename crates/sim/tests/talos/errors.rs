//! Each way a call can fail, told apart by its code.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sim::talos::Stage;
use talos::api::{
    Carrier, Character, Context, Dial, Fingerprint, Identity, MachineStatus, Node, NodeError, Seen,
};
use talos::pki::{Authority, KeyKind, Leaf, Seeded};
use tokio::io::AsyncWriteExt as _;

use crate::lab::{Lab, now, until_stage};

/// Somebody who says this and nothing else.
fn says(bytes: &'static [u8]) -> Dial {
    Dial::by(move |_| async move {
        let (mut ours, theirs) = tokio::io::duplex(64 * 1024);
        ours.write_all(bytes).await?;
        tokio::spawn(async move {
            // Stays until the other side has gone.
            drop(tokio::io::copy(&mut ours, &mut tokio::io::sink()).await);
        });
        Ok::<Box<dyn Carrier>, io::Error>(Box::new(theirs))
    })
}

fn nowhere() -> SocketAddr {
    "10.0.0.9:50000".parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_does_not_speak_tls_is_not_talos() {
    let node = Node::in_maintenance(nowhere(), None).over(says(b"SSH-2.0-OpenSSH_9.2\r\n"));
    assert_eq!(node.version().await.unwrap_err().code(), "talos/not-talos");
    assert!(matches!(node.probe().await, Seen::NotTalos { .. }));
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_waited_for_up_to_the_limit() {
    let node = Node::in_maintenance(nowhere(), None).over(says(b""));
    assert_eq!(node.version().await.unwrap_err().code(), "talos/timed-out");
}

#[tokio::test(start_paused = true)]
async fn a_worker_without_a_certificate_says_not_yet() {
    // A fatal alert internal_error, as Go's server without a certificate sends it.
    let node = Node::in_maintenance(nowhere(), None).over(says(b"\x15\x03\x03\x00\x02\x02\x50"));
    assert_eq!(node.version().await.unwrap_err().code(), "talos/no-certificate-yet");
    assert_eq!(node.probe().await, Seen::NotReady);
}

/// A configured node.
async fn configured(lab: &Lab) -> SocketAddr {
    let (node, at) = lab.node(1, Character::From13, &[]);
    until_stage(&node, Stage::Maintenance).await;
    assert_eq!(crate::pushed(lab, at, &lab.config("controlplane", "c1")).await.code(), "apply/confirmed");
    at
}

#[tokio::test(start_paused = true)]
async fn a_certificate_of_another_authority_is_refused_by_the_node() {
    let lab = Lab::new();
    let at = configured(&lab).await;
    let other = Authority::mint(KeyKind::Ed25519, Some("talos"), now(), &mut Seeded::new([9; 32])).unwrap();
    let leaf = other.issue(&Leaf::talos_client(&["os:admin"]), now(), &mut Seeded::new([1; 32])).unwrap();
    let ((crt, key), ca) = (leaf.to_pem(), lab.ca.certificate().to_pem());
    let identity = Arc::new(Identity::from_pem(ca.as_bytes(), crt.as_bytes(), key.as_bytes()).unwrap());
    let node = Node::of_cluster(at, identity).over(lab.dial.clone());
    assert_eq!(node.version().await.unwrap_err().code(), "talos/identity-refused");
    let nobody = lab.waiting(at).version().await.unwrap_err();
    assert_eq!(nobody.code(), "talos/identity-wanted");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_answers_at_an_address_it_does_not_have_is_not_trusted() {
    let lab = Lab::new();
    let at = configured(&lab).await;
    let there = lab.dial.clone();
    let redirected = Dial::by(move |_| {
        let there = there.clone();
        async move { there.dial(at).await }
    });
    let identity = lab.ours(nowhere()).over(redirected);
    assert_eq!(identity.version().await.unwrap_err().code(), "talos/wrong-name");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_said_to_be_so() {
    let lab = Lab::new();
    let at = configured(&lab).await;
    let read =
        lab.ours(at).resource::<MachineStatus>("network", "NodeAddresses.net.talos.dev", "current").await;
    assert_eq!(read.unwrap_err().code(), "talos/unreadable");
    let read =
        lab.ours(at).resource::<MachineStatus>("runtime", "MachineStatuses.runtime.talos.dev", "x").await;
    assert!(matches!(read, Err(NodeError::Refused { status: tonic::Code::NotFound, .. })), "{read:?}");
}

#[test]
fn a_talosconfig_is_read_with_its_own_key_label() {
    let lab_ca = Authority::mint(KeyKind::Ed25519, Some("talos"), now(), &mut Seeded::new([7; 32])).unwrap();
    let leaf = lab_ca.issue(&Leaf::talos_client(&["os:admin"]), now(), &mut Seeded::new([8; 32])).unwrap();
    let (crt, key) = leaf.to_pem();
    assert!(key.contains("ED25519 PRIVATE KEY"));
    let text = format!(
        "context: lab\ncontexts:\n    lab:\n        endpoints: []\n        nodes: [10.0.0.101]\n        ca: {}\n        crt: {}\n        key: {}\n",
        STANDARD.encode(lab_ca.certificate().to_pem()),
        STANDARD.encode(crt),
        STANDARD.encode(key.as_bytes()),
    );
    let context = Context::read(&text, None).unwrap();
    assert_eq!((context.name.as_str(), context.nodes.len()), ("lab", 1));
    assert!(!format!("{context:?}").contains("PRIVATE"), "a key is not printed");
    let unknown = Context::read(&text, Some("other")).unwrap_err();
    assert_eq!(unknown.to_string(), "talosconfig: there is no context `other`; there are: lab");
    let broken = text.replace("key: ", "key: !!");
    assert!(Context::read(&broken, None).is_err());
    let empty = text.replace("        crt: ", "        was: ");
    let error = Context::read(&empty, None).unwrap_err();
    assert_eq!(
        (error.code(), error.to_string().contains("context `lab`: crt")),
        ("talos/identity", true),
        "{error}"
    );
}

#[test]
fn a_fingerprint_is_read_as_it_is_printed() {
    let text = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    assert_eq!(text.parse::<Fingerprint>().unwrap().to_string(), text);
    assert_eq!("abc".parse::<Fingerprint>().unwrap_err().code(), "talos/identity");
}
