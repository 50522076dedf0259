//! Our certificates before judges of another house: rustls in a handshake, OpenSSL on the command line.
#![expect(clippy::unwrap_used, reason = "a test may stop")]
#![expect(clippy::print_stdout, reason = "a test that is left out says so")]

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use model::{Span, WallTime};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use talos::pki::{Authority, Identity, KeyKind, Leaf, Name, PrivateKey, Seeded, Usage};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, Connection, Error, RootCertStore, ServerConfig, ServerConnection,
};

/// The machine's own clock: rustls and OpenSSL look at it.
fn now() -> WallTime {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    WallTime(since.as_secs() * 1000)
}

struct Party {
    authority: Authority,
    admin: Identity,
    node: Identity,
}

fn party(kind: KeyKind, seed: u8) -> Party {
    let mut random = Seeded::new([seed; 32]);
    let authority = Authority::mint(kind, Some("talos"), now(), &mut random).unwrap();
    let names: Vec<Name> = ["10.0.0.7", "node7.lab"].iter().map(|name| name.parse().unwrap()).collect();
    let admin = authority.issue(&Leaf::talos_client(&["os:admin", "os:reader"]), now(), &mut random).unwrap();
    let node = authority.issue(&Leaf::server("node7", &names), now(), &mut random).unwrap();
    Party { authority, admin, node }
}

fn der(identity: &Identity) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let key = PrivatePkcs8KeyDer::from(identity.key.to_pkcs8().to_vec());
    (vec![identity.certificate.der().to_vec().into()], key.into())
}

fn roots(authority: &Authority) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate().der().to_vec().into()).unwrap();
    Arc::new(roots)
}

/// Both ends in one thread; what one writes the other reads until both are content or one refuses.
fn handshake(trust: &Authority, client: &Identity, server: &Identity, target: &str) -> Result<(), Error> {
    let (chain, key) = der(client);
    let client = ClientConfig::builder()
        .with_root_certificates(roots(trust))
        .with_client_auth_cert(chain, key)
        .unwrap();
    let (chain, key) = der(server);
    let verifier = WebPkiClientVerifier::builder(roots(trust)).build().unwrap();
    let server =
        ServerConfig::builder().with_client_cert_verifier(verifier).with_single_cert(chain, key).unwrap();
    let target = ServerName::try_from(target.to_owned()).unwrap();
    let mut client = Connection::from(ClientConnection::new(Arc::new(client), target).unwrap());
    let mut server = Connection::from(ServerConnection::new(Arc::new(server)).unwrap());
    client.writer().write_all(b"hello").unwrap();
    for _ in 0..10 {
        carry(&mut client, &mut server)?;
        carry(&mut server, &mut client)?;
    }
    let mut heard = [0; 5];
    server.reader().read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"hello");
    Ok(())
}

fn carry(from: &mut Connection, to: &mut Connection) -> Result<(), Error> {
    let mut wire = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut wire).unwrap();
    }
    let mut rest = wire.as_slice();
    while !rest.is_empty() {
        to.read_tls(&mut rest).unwrap();
        to.process_new_packets()?;
    }
    Ok(())
}

#[test]
fn rustls_accepts_both_ends_by_address_and_by_name() {
    for kind in [KeyKind::Ed25519, KeyKind::P256] {
        let p = party(kind, 1);
        for target in ["10.0.0.7", "node7.lab"] {
            handshake(&p.authority, &p.admin, &p.node, target).unwrap();
        }
        assert!(handshake(&p.authority, &p.admin, &p.node, "10.0.0.8").is_err(), "a name it has not");
    }
}

#[test]
fn rustls_refuses_another_cluster_and_a_certificate_of_the_other_end() {
    let (one, two) = (party(KeyKind::Ed25519, 1), party(KeyKind::Ed25519, 2));
    assert!(handshake(&one.authority, &one.admin, &two.node, "10.0.0.7").is_err(), "another cluster's node");
    assert!(handshake(&one.authority, &two.admin, &one.node, "10.0.0.7").is_err(), "another cluster's admin");
    assert!(handshake(&one.authority, &one.node, &one.node, "10.0.0.7").is_err(), "a node is no client");
    assert!(handshake(&one.authority, &one.admin, &one.admin, "10.0.0.7").is_err(), "an admin is no server");
}

#[test]
fn a_clock_a_day_behind_is_served_and_one_two_days_behind_is_not() {
    let mut random = Seeded::new([1; 32]);
    let p = party(KeyKind::Ed25519, 1);
    // A clock that is behind sees what a right clock sees of certificates minted later.
    let issued = |ahead: u64, random: &mut Seeded| {
        let at = WallTime(now().0 + Span::secs(ahead * 3600).0);
        p.authority.issue(&Leaf::talos_client(&["os:admin"]), at, random).unwrap()
    };
    let close = issued(23, &mut random);
    handshake(&p.authority, &close, &p.node, "10.0.0.7").unwrap();
    let far = issued(25, &mut random);
    assert!(handshake(&p.authority, &far, &p.node, "10.0.0.7").is_err());
}

/// A folder of this test's own, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("talos-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn put(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Output of openssl, or `None` where it is not installed; a refusal is a failed test.
fn openssl(arguments: &[&str]) -> Option<String> {
    let output = Command::new("openssl").args(arguments).output();
    if output.as_ref().is_err_and(|why| why.kind() == std::io::ErrorKind::NotFound) {
        println!("left out: there is no openssl here");
        return None;
    }
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments:?}: {said}");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn openssl_verifies_what_was_issued_and_sees_the_shapes_of_talos() {
    let folder = Folder::new("shapes");
    for kind in [KeyKind::Ed25519, KeyKind::P256] {
        let p = party(kind, 1);
        let ca = folder.put("ca.crt", &p.authority.to_pem().0);
        let admin = folder.put("admin.crt", &p.admin.to_pem().0);
        let node = folder.put("node.crt", &p.node.to_pem().0);
        for (purpose, file) in [("sslclient", &admin), ("sslserver", &node)] {
            let verify =
                ["verify", "-x509_strict", "-check_ss_sig", "-purpose", purpose, "-CAfile", &ca, file];
            let Some(said) = openssl(&verify) else { return };
            assert!(said.ends_with(": OK\n"), "{said}");
        }
        let text = openssl(&["x509", "-in", &ca, "-noout", "-text"]).unwrap();
        for line in [
            "Subject: O = talos\n",
            "X509v3 Key Usage: critical\n                Digital Signature, Certificate Sign\n",
            "TLS Web Server Authentication, TLS Web Client Authentication\n",
            "X509v3 Basic Constraints: critical\n                CA:TRUE\n",
            "X509v3 Subject Key Identifier:",
        ] {
            assert!(text.contains(line), "{line:?} in {text}");
        }
        assert!(!text.contains("Authority Key Identifier") && !text.contains("Alternative Name"), "{text}");

        let text = openssl(&["x509", "-in", &admin, "-noout", "-text"]).unwrap();
        assert!(text.contains("Subject: O = os:admin + O = os:reader\n"), "{text}");
        assert!(
            text.contains("Extended Key Usage: \n                TLS Web Client Authentication\n"),
            "{text}"
        );
        assert!(text.contains("Key Usage: critical\n                Digital Signature\n"), "{text}");
        assert!(text.contains("Authority Key Identifier") && !text.contains("Basic Constraints"), "{text}");
    }
}

#[test]
fn an_authority_without_a_name_and_a_kubernetes_client_verify() {
    let folder = Folder::new("nameless");
    let mut random = Seeded::new([9; 32]);
    let authority = Authority::mint(KeyKind::P256, None, now(), &mut random).unwrap();
    let leaf = Leaf {
        common_name: Some("admin"),
        organizations: &["system:masters"],
        usage: Usage::KubernetesClient,
        ..Leaf::talos_client(&[])
    };
    let issued = authority.issue(&leaf, now(), &mut random).unwrap();
    let ca = folder.put("ca.crt", &authority.to_pem().0);
    let client = folder.put("client.crt", &issued.to_pem().0);
    let Some(said) = openssl(&["verify", "-check_ss_sig", "-purpose", "sslclient", "-CAfile", &ca, &client])
    else {
        return;
    };
    assert!(said.ends_with(": OK\n"), "{said}");
    assert_eq!(openssl(&["x509", "-in", &ca, "-noout", "-subject"]).unwrap().trim(), "subject=");
    let text = openssl(&["x509", "-in", &client, "-noout", "-text"]).unwrap();
    assert!(text.contains("Subject: O = system:masters, CN = admin\n"), "{text}");
    assert!(text.contains("Digital Signature, Key Encipherment\n"), "{text}");
}

#[test]
fn openssl_reads_our_keys_and_we_read_its_own() {
    let folder = Folder::new("keys");
    for kind in [KeyKind::Ed25519, KeyKind::P256] {
        let key = PrivateKey::mint(kind, &mut Seeded::new([4; 32])).unwrap();
        // OpenSSL skips the label that only Talos has.
        let ours = folder.put("key.pem", &key.to_pem().replace("ED25519 PRIVATE", "PRIVATE"));
        let Some(theirs) = openssl(&["pkey", "-in", &ours]) else { return };
        assert_eq!(PrivateKey::from_pem(&theirs).unwrap().to_pem(), key.to_pem());
    }
    for arguments in
        [&["genpkey", "-algorithm", "ed25519"][..], &["ecparam", "-name", "prime256v1", "-genkey", "-noout"]]
    {
        let made = openssl(arguments).unwrap();
        let read = PrivateKey::from_pem(&made).unwrap();
        let back = read.to_pem().replace("ED25519 PRIVATE", "PRIVATE");
        assert_eq!(back, made);
    }
}

#[test]
fn an_rsa_authority_of_another_house_issues_too() {
    let folder = Folder::new("rsa");
    let key = folder.0.join("ca.key").display().to_string();
    let request = [
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        &key,
        "-subj",
        "/CN=kubernetes",
        "-days",
        "30",
    ];
    let Some(certificate) = openssl(&request) else { return };
    let authority = Authority::from_pem(&certificate, &std::fs::read_to_string(&key).unwrap()).unwrap();
    let mut random = Seeded::new([5; 32]);
    let issued = authority.issue(&Leaf::talos_client(&["x"]), now(), &mut random).unwrap();
    let ca = folder.put("ca.crt", &certificate);
    let client = folder.put("client.crt", &issued.to_pem().0);
    let said = openssl(&["verify", "-purpose", "sslclient", "-CAfile", &ca, &client]).unwrap();
    assert!(said.ends_with(": OK\n"), "{said}");
}

#[test]
fn an_rsa_key_that_was_made_here_passes_the_check_of_openssl() {
    let folder = Folder::new("rsa-key");
    let key = PrivateKey::mint_rsa(2048, &mut Seeded::new([6; 32])).unwrap();
    assert_eq!(key.to_pem(), PrivateKey::mint_rsa(2048, &mut Seeded::new([6; 32])).unwrap().to_pem());
    assert_eq!(PrivateKey::from_pem(&key.to_pem()).unwrap().to_pem(), key.to_pem());
    let file = folder.put("key.pem", &key.to_pem());
    let Some(said) = openssl(&["rsa", "-in", &file, "-check", "-noout"]) else { return };
    assert!(said.contains("RSA key ok"), "{said}");
}
