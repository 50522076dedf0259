//! Writing `secrets.yaml` as Talos does: Go's field names in lower case, four spaces, PEM in base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::{Encryption, Incomplete, Issuer, Secrets};
use crate::yaml::{Map, emit};

impl Secrets {
    /// The file's text.
    ///
    /// # Errors
    /// The service account key is not there yet.
    pub fn to_yaml(&self) -> Result<Zeroizing<String>, Incomplete> {
        let service_account = self.service_account.as_ref().ok_or(Incomplete)?;
        let cluster = Map::new()
            .with("id", self.cluster_id.as_str())
            .with("secret", self.cluster_secret.reveal().as_str());
        let (kind, key) = match &self.encryption {
            Encryption::Secretbox(key) => ("secretboxencryptionsecret", key),
            Encryption::AesCbc(key) => ("aescbcencryptionsecret", key),
        };
        let secrets = Map::new()
            .with("bootstraptoken", self.bootstrap_token.reveal().as_str())
            .with(kind, key.reveal().as_str());
        let trustd = Map::new().with("token", self.trustd_token.reveal().as_str());
        let certs = Map::new()
            .with("etcd", pair(&self.etcd))
            .with("k8s", pair(&self.k8s))
            .with("k8saggregator", pair(&self.aggregator))
            .with(
                "k8sserviceaccount",
                Map::new().with("key", STANDARD.encode(service_account.reveal().as_str())),
            )
            .with("os", pair(&self.os));
        let all = Map::new()
            .with("cluster", cluster)
            .with("secrets", secrets)
            .with("trustdinfo", trustd)
            .with("certs", certs);
        Ok(Zeroizing::new(emit(&all.into())))
    }
}

fn pair(issuer: &Issuer) -> Map {
    Map::new()
        .with("crt", STANDARD.encode(&issuer.certificate))
        .with("key", STANDARD.encode(issuer.key.reveal().as_str()))
}
