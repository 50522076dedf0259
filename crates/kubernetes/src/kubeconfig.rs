//! A kubeconfig: where the server is, whom we trust there, and who we are.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::Secret;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde::Deserialize;

use crate::trouble::Trouble;

/// What of a kubeconfig is used: the cluster and the user of its current context.
#[derive(Debug)]
pub struct Access {
    /// Host to dial: a name or a literal address.
    pub host: String,
    /// Port to dial.
    pub port: u16,
    /// What stands before every path; empty, or begins with a slash.
    pub prefix: String,
    /// Name the server's certificate must have.
    pub(crate) name: ServerName<'static>,
    /// Who may sign the server's certificate.
    pub(crate) trusted: Vec<CertificateDer<'static>>,
    /// Our certificate with those between it and its authority, and its key.
    pub(crate) identity: Option<Identity>,
    /// What is said instead of a certificate.
    pub(crate) token: Option<Secret<String>>,
}

/// A certificate with those between it and its authority, and its key.
type Identity = (Vec<CertificateDer<'static>>, Secret<PrivateKeyDer<'static>>);

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct File {
    #[serde(default)]
    current_context: String,
    #[serde(default)]
    contexts: Vec<Named<Context>>,
    #[serde(default)]
    clusters: Vec<Named<Cluster>>,
    #[serde(default)]
    users: Vec<Named<User>>,
}

/// A named entry; the file calls its content `cluster`, `user` or `context`.
#[derive(Deserialize)]
struct Named<T> {
    name: String,
    #[serde(alias = "cluster", alias = "user", alias = "context")]
    inside: T,
}

#[derive(Deserialize)]
struct Context {
    cluster: String,
    #[serde(default)]
    user: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    server: String,
    certificate_authority: Option<String>,
    certificate_authority_data: Option<String>,
    tls_server_name: Option<String>,
    #[serde(default)]
    insecure_skip_tls_verify: bool,
    proxy_url: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct User {
    client_certificate: Option<String>,
    client_certificate_data: Option<String>,
    client_key: Option<String>,
    client_key_data: Option<String>,
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<String>,
    username: Option<String>,
    exec: Option<serde::de::IgnoredAny>,
    auth_provider: Option<serde::de::IgnoredAny>,
}

fn wrong(what: impl Into<String>, advice: impl Into<String>) -> Trouble {
    Trouble::Kubeconfig { what: what.into(), advice: advice.into() }
}

/// Says that something lies outside the file; this machine may not have it, and it may change unseen.
fn outside(key: &str) -> Trouble {
    wrong(
        format!("`{key}` names another file"),
        "put it into the kubeconfig: `kubectl config view --raw --flatten` writes one file",
    )
}

impl Access {
    /// Reads the file's current context.
    ///
    /// # Errors
    /// [`Trouble::Kubeconfig`]: not a kubeconfig, a name that leads nowhere, credentials of a kind that needs other
    /// files or programs, or a server whose certificate nobody could check.
    pub fn read(kubeconfig: &[u8]) -> Result<Self, Trouble> {
        let text = std::str::from_utf8(kubeconfig)
            .map_err(|_| wrong("it is not UTF-8 text", "see that this is a kubeconfig"))?;
        let options = serde_saphyr::options! { with_snippet: false };
        let file: File = serde_saphyr::from_str_with_options(text, options).map_err(|why| {
            wrong(format!("it cannot be read: {why}"), "see that this is a kubeconfig (YAML or JSON)")
        })?;
        let known = "see `kubectl config get-contexts`";
        if file.current_context.is_empty() {
            return Err(wrong("it has no `current-context`", "kubectl config use-context NAME"));
        }
        let context = found(&file.contexts, &file.current_context)
            .ok_or_else(|| wrong(format!("no context is named `{}`", file.current_context), known))?;
        let cluster = found(&file.clusters, &context.cluster)
            .ok_or_else(|| wrong(format!("no cluster is named `{}`", context.cluster), known))?;
        let nobody = User::default();
        let user = match context.user.as_str() {
            "" => &nobody,
            name => {
                found(&file.users, name).ok_or_else(|| wrong(format!("no user is named `{name}`"), known))?
            }
        };
        let (host, port, prefix) = address(&cluster.server)?;
        let name = cluster.tls_server_name.as_ref().unwrap_or(&host);
        let name = ServerName::try_from(name.clone()).map_err(|_| {
            wrong(format!("`{name}` is neither a host name nor an address"), "correct `server`")
        })?;
        Ok(Self {
            host,
            port,
            prefix,
            name,
            trusted: trusted(cluster)?,
            identity: identity(user)?,
            token: token(user)?,
        })
    }

    /// Host and port, as errors name them.
    #[must_use]
    pub fn server(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

fn found<'a, T>(entries: &'a [Named<T>], name: &str) -> Option<&'a T> {
    entries.iter().find(|entry| entry.name == name).map(|entry| &entry.inside)
}

/// Host, port and prefix of the server's URL.
fn address(server: &str) -> Result<(String, u16, String), Trouble> {
    let bad = |why: &str| wrong(format!("`server: {server}` {why}"), "it looks like https://10.0.0.1:6443");
    let uri: hyper::Uri = server.parse().map_err(|_| bad("is not a URL"))?;
    if uri.scheme_str() != Some("https") {
        return Err(bad("is not https: anybody could answer"));
    }
    let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| bad("names no host"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let prefix = uri.path().trim_end_matches('/').to_owned();
    Ok((host, uri.port_u16().unwrap_or(443), prefix))
}

fn trusted(cluster: &Cluster) -> Result<Vec<CertificateDer<'static>>, Trouble> {
    if cluster.insecure_skip_tls_verify {
        return Err(wrong(
            "`insecure-skip-tls-verify` is set: anybody could answer",
            "take it out and give `certificate-authority-data`",
        ));
    }
    if cluster.proxy_url.is_some() {
        return Err(wrong("`proxy-url` is not supported", "name the server's own address"));
    }
    match (&cluster.certificate_authority_data, &cluster.certificate_authority) {
        (Some(data), _) => certificates("certificate-authority-data", data),
        (None, Some(_)) => Err(outside("certificate-authority")),
        (None, None) => Err(wrong(
            "`certificate-authority-data` is missing",
            "the authorities of this machine are not asked: give the cluster's own",
        )),
    }
}

fn identity(user: &User) -> Result<Option<Identity>, Trouble> {
    if user.exec.is_some() || user.auth_provider.is_some() {
        return Err(wrong(
            "the user's credentials come from a program (`exec` or `auth-provider`)",
            "give a client certificate or a token",
        ));
    }
    if user.username.is_some() {
        return Err(wrong("passwords are not supported", "no Kubernetes after 1.18 takes them"));
    }
    let (certificate, key) = match (&user.client_certificate_data, &user.client_key_data) {
        (Some(certificate), Some(key)) => (certificate, key),
        (None, None) if user.client_certificate.is_some() => return Err(outside("client-certificate")),
        (None, None) if user.client_key.is_some() => return Err(outside("client-key")),
        (None, None) => return Ok(None),
        (Some(_), None) => {
            return Err(wrong("`client-key-data` is missing", "a certificate needs its key"));
        }
        (None, Some(_)) => {
            return Err(wrong("`client-certificate-data` is missing", "a key needs its certificate"));
        }
    };
    let chain = certificates("client-certificate-data", certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&decoded("client-key-data", key)?).map_err(|_| {
        wrong("`client-key-data` holds no private key", "it is a PEM block in base64: PKCS#8, SEC1 or PKCS#1")
    })?;
    Ok(Some((chain, Secret::new(key))))
}

fn token(user: &User) -> Result<Option<Secret<String>>, Trouble> {
    match (&user.token, &user.token_file) {
        (Some(token), _) if hyper::header::HeaderValue::from_str(token).is_err() => {
            Err(wrong("`token` holds characters that HTTP cannot carry", "copy it again"))
        }
        (Some(token), _) => Ok(Some(Secret::new(token.clone()))),
        (None, Some(_)) => Err(outside("tokenFile")),
        (None, None) => Ok(None),
    }
}

fn decoded(key: &str, data: &str) -> Result<Vec<u8>, Trouble> {
    let data: String = data.chars().filter(|c| !c.is_whitespace()).collect();
    STANDARD.decode(data).map_err(|_| wrong(format!("`{key}` is not base64"), "copy it again"))
}

fn certificates(key: &str, data: &str) -> Result<Vec<CertificateDer<'static>>, Trouble> {
    let pem = decoded(key, data)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    all.ok().filter(|all| !all.is_empty()).ok_or_else(|| {
        wrong(format!("`{key}` holds no certificate"), "it is one or more PEM blocks in base64")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A self-signed P-256 certificate and its key, made for this test and trusted nowhere.
    const CERTIFICATE: &str = include_str!("../tests/data/ca.b64");

    fn file(cluster: &str, user: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: a@b\ncontexts:\n- name: a@b\n  context: {{cluster: b, user: a}}\n\
             clusters:\n- name: b\n  cluster: {{{cluster}}}\nusers:\n- name: a\n  user: {{{user}}}\n"
        )
    }

    fn authority() -> String {
        format!("certificate-authority-data: {}", CERTIFICATE.trim())
    }

    #[test]
    fn the_current_context_says_where_and_who() {
        let text = file(&format!("server: 'https://[fd00::1]:6443/k8s/', {}", authority()), "token: abc");
        let access = Access::read(text.as_bytes()).unwrap();
        assert_eq!(access.server(), "[fd00::1]:6443");
        assert_eq!(access.prefix, "/k8s");
        assert_eq!(access.token.unwrap().reveal(), "abc");
        assert_eq!(access.trusted.len(), 1);
    }

    #[test]
    fn each_thing_that_cannot_be_used_is_named() {
        let good = format!("server: 'https://h:1', {}", authority());
        for (cluster, user, named) in [
            (format!("server: 'http://h:1', {}", authority()), "token: a", "is not https"),
            ("server: 'https://h:1'".to_owned(), "token: a", "certificate-authority-data"),
            ("server: 'https://h:1', certificate-authority: /a".to_owned(), "token: a", "names another file"),
            (format!("{good}, insecure-skip-tls-verify: true"), "token: a", "insecure-skip-tls-verify"),
            (format!("{good}, proxy-url: 'http://p'"), "token: a", "proxy-url"),
            ("server: 'https://h:1', certificate-authority-data: '@'".to_owned(), "", "not base64"),
            ("server: 'https://h:1', certificate-authority-data: aGVsbG8=".to_owned(), "", "no certificate"),
            (good.clone(), "exec: {command: aws}", "from a program"),
            (good.clone(), "username: me", "passwords"),
            (good.clone(), "client-key-data: aGVsbG8=", "`client-certificate-data` is missing"),
            (good.clone(), "client-certificate: /a", "`client-certificate` names another file"),
            (good, "tokenFile: /a", "`tokenFile` names another file"),
        ] {
            let error = Access::read(file(&cluster, user).as_bytes()).unwrap_err();
            assert!(error.to_string().contains(named), "{error}");
            assert!(!error.advice().is_empty());
        }
        let nowhere = "current-context: x\ncontexts: []\nclusters: []\nusers: []\n";
        assert!(
            Access::read(nowhere.as_bytes()).unwrap_err().to_string().contains("no context is named `x`")
        );
        assert!(Access::read(b"\xff").is_err());
        assert!(Access::read(b"- a\n").is_err());
    }
}
