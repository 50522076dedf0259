//! The administrator's kubeconfig, made here from the cluster's own authority: no node is asked, and one that is
//! asked gives the same but for its key.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::{Span, WallTime};
use zeroize::Zeroizing;

use crate::config::Endpoint;
use crate::pki::{Authority, BACKDATE, CLIENT_LIFETIME, Certificate, Leaf, PkiError, Random, Usage};
use crate::secrets::Secrets;
use crate::yaml::{Value, emit, parse_one};

/// What a kubeconfig says, as far as two of one cluster must agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// URL of the API.
    pub server: String,
    /// PEM of the authorities that the API proves itself with.
    pub authorities: String,
    /// The cluster's name.
    pub cluster: String,
    /// The context's name.
    pub context: String,
    /// Common name of the client.
    pub name: String,
    /// Organizations of the client.
    pub groups: Vec<String>,
}

/// A text that is no kubeconfig with a client certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no kubeconfig: {0}")]
pub struct NotAKubeconfig(pub String);

/// A kubeconfig for a year with a new certificate: `admin`, of `system:masters`. Names are Talos's: cluster
/// `NAME`, context and user `admin@NAME`.
///
/// # Errors
/// There are no random bytes.
pub fn mint(
    secrets: &Secrets,
    cluster: &str,
    endpoint: &Endpoint,
    now: WallTime,
    random: &mut dyn Random,
) -> Result<Zeroizing<String>, PkiError> {
    mint_for(secrets, (cluster, endpoint), CLIENT_LIFETIME, now, random)
}

/// As [`mint`], for another time.
///
/// # Errors
/// There are no random bytes.
pub fn mint_for(
    secrets: &Secrets,
    (cluster, endpoint): (&str, &Endpoint),
    lifetime: Span,
    now: WallTime,
    random: &mut dyn Random,
) -> Result<Zeroizing<String>, PkiError> {
    mint_by(
        (secrets.kubernetes(), &secrets.k8s.certificate),
        (cluster, endpoint.url()),
        lifetime,
        now,
        random,
    )
}

/// As [`mint_for`], by whoever holds Kubernetes's authority without being the keeper of all secrets: a control plane.
/// The authority comes with its certificate as it is written, the endpoint is a URL.
///
/// # Errors
/// There are no random bytes.
pub fn mint_by(
    (authority, written): (&Authority, &str),
    (cluster, endpoint): (&str, &str),
    lifetime: Span,
    now: WallTime,
    random: &mut dyn Random,
) -> Result<Zeroizing<String>, PkiError> {
    let leaf = Leaf {
        common_name: Some("admin"),
        organizations: &["system:masters"],
        usage: Usage::KubernetesClient,
        names: &[],
        lifetime,
        backdate: BACKDATE,
    };
    let (certificate, key) = authority.issue(&leaf, now, random)?.to_pem();
    let authority = STANDARD.encode(written);
    let (certificate, key) = (STANDARD.encode(certificate), Zeroizing::new(STANDARD.encode(key.as_str())));
    let (name, admin) = (scalar(cluster), scalar(&format!("admin@{cluster}")));
    let server = scalar(endpoint);
    let key = key.as_str();
    // The form and order of Kubernetes's own writer.
    Ok(Zeroizing::new(format!(
        "apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: {authority}
    server: {server}
  name: {name}
contexts:
- context:
    cluster: {name}
    namespace: default
    user: {admin}
  name: {admin}
current-context: {admin}
kind: Config
users:
- name: {admin}
  user:
    client-certificate-data: {certificate}
    client-key-data: {key}
"
    )))
}

/// A text as a scalar of one line.
fn scalar(text: &str) -> String {
    emit(&Value::from(text)).trim_end().to_owned()
}

/// Reads what the current context of a kubeconfig says.
///
/// # Errors
/// It is not YAML, its parts do not refer to each other, or it has no client certificate.
pub fn read(text: &str) -> Result<Said, NotAKubeconfig> {
    let no = |why: &str| NotAKubeconfig(why.to_owned());
    let root = parse_one(text).map_err(|why| NotAKubeconfig(why.to_string()))?.value;
    let context = text_at(&root, &["current-context"]).ok_or_else(|| no("no current-context"))?;
    let inside = named(&root, "contexts", context, "context")
        .ok_or_else(|| no("the current-context is not among the contexts"))?;
    let cluster = text_at(inside, &["cluster"]).ok_or_else(|| no("the context names no cluster"))?;
    let user = text_at(inside, &["user"]).ok_or_else(|| no("the context names no user"))?;
    let place = named(&root, "clusters", cluster, "cluster").ok_or_else(|| no("its cluster is missing"))?;
    let user = named(&root, "users", user, "user").ok_or_else(|| no("its user is missing"))?;
    let pem = |value: &Value, field| {
        let bytes = STANDARD.decode(text_at(value, &[field])?).ok()?;
        String::from_utf8(bytes).ok()
    };
    let certificate = pem(user, "client-certificate-data").ok_or_else(|| no("no client certificate"))?;
    let certificate = Certificate::from_pem(&certificate).map_err(|why| NotAKubeconfig(why.to_string()))?;
    Ok(Said {
        server: text_at(place, &["server"]).ok_or_else(|| no("no server"))?.to_owned(),
        authorities: pem(place, "certificate-authority-data").ok_or_else(|| no("no authority"))?,
        cluster: cluster.to_owned(),
        context: context.to_owned(),
        name: certificate.common_name().unwrap_or_default().to_owned(),
        groups: certificate.organizations().to_vec(),
    })
}

/// Where two kubeconfigs differ in what matters: each line names a field and both values. None, and they lead the
/// same person to the same cluster.
#[must_use]
pub fn differences(ours: &Said, theirs: &Said) -> Vec<String> {
    let (our_groups, their_groups) = (ours.groups.join(","), theirs.groups.join(","));
    let mut all = Vec::new();
    for (field, a, b) in [
        ("server", &ours.server, &theirs.server),
        ("cluster", &ours.cluster, &theirs.cluster),
        ("context", &ours.context, &theirs.context),
        ("user", &ours.name, &theirs.name),
        ("groups", &our_groups, &their_groups),
    ] {
        if a != b {
            all.push(format!("{field}: ours has {a}, theirs {b}"));
        }
    }
    if ours.authorities != theirs.authorities {
        all.push("certificate-authority-data: another authority".to_owned());
    }
    all
}

fn text_at<'a>(value: &'a Value, keys: &[&'a str]) -> Option<&'a str> {
    value.at(keys.iter().copied())?.as_str()
}

/// The entry of a list that has this name.
fn named<'a>(root: &'a Value, list: &'a str, name: &str, field: &'a str) -> Option<&'a Value> {
    let entries = root.at([list])?.as_list()?;
    entries.iter().find(|entry| text_at(entry, &["name"]) == Some(name))?.at([field])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::Seeded;

    const NOW: WallTime = WallTime(1_795_672_800_000);

    fn minted(cluster: &str, seed: u8) -> String {
        let secrets = Secrets::from_yaml(include_str!("../tests/fixtures/secrets.yaml")).unwrap();
        let endpoint = "https://10.9.0.10:6443".parse().unwrap();
        mint(&secrets, cluster, &endpoint, NOW, &mut Seeded::new([seed; 32])).unwrap().to_string()
    }

    #[test]
    fn it_says_what_talos_says_and_two_of_one_cluster_agree() {
        let said = read(&minted("lab", 1)).unwrap();
        assert_eq!((said.cluster.as_str(), said.context.as_str()), ("lab", "admin@lab"));
        assert_eq!(
            (said.name.as_str(), said.groups.as_slice()),
            ("admin", &["system:masters".to_owned()][..])
        );
        assert_eq!(said.server, "https://10.9.0.10:6443");
        assert_ne!(minted("lab", 1), minted("lab", 2));
        assert!(differences(&said, &read(&minted("lab", 2)).unwrap()).is_empty());
        let other = Said { server: "https://x:1".to_owned(), authorities: String::new(), ..said.clone() };
        let all = differences(&said, &other);
        assert_eq!(all.len(), 2);
        assert!(all.concat().contains("server: ours has https://10.9.0.10:6443, theirs https://x:1"));
    }

    #[test]
    fn names_that_look_like_numbers_stay_text() {
        for name in ["123", "true", "1.10"] {
            assert_eq!(read(&minted(name, 1)).unwrap().cluster, name);
        }
    }

    #[test]
    fn what_is_no_kubeconfig_says_what_is_missing() {
        let good = minted("lab", 1);
        for (bad, why) in [
            (String::new(), "no current-context"),
            (good.replace("current-context: admin@lab", "current-context: other"), "not among the contexts"),
            (good.replace("client-certificate-data", "token"), "no client certificate"),
            (good.replace("    server:", "    servers:"), "no server"),
            ("a: [".to_owned(), "no kubeconfig"),
        ] {
            assert!(read(&bad).unwrap_err().to_string().contains(why), "{why}");
        }
    }
}
