//! TLS to a controller: its root is known by a file or by its fingerprint, and no other root of this machine counts.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use pki::x509::Certificate;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use super::failure::Failure;

/// How the root of a lab is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// It is the first certificate of this file.
    File(PathBuf),
    /// It has this SHA-256; the controller shows it along.
    Fingerprint([u8; 32]),
}

impl FromStr for Known {
    type Err = String;

    /// A file, or `sha256:` and 64 hexadecimal digits, with or without colons between pairs.
    fn from_str(text: &str) -> Result<Self, String> {
        let Some(digits) = text.strip_prefix("sha256:") else { return Ok(Self::File(text.into())) };
        let wrong = || "sha256: and 64 hexadecimal digits, as `labinator cert root` shows them".to_owned();
        let digits: Vec<u8> = digits.bytes().filter(|byte| *byte != b':').collect();
        let (pairs, rest) = digits.as_chunks::<2>();
        let mut bytes = [0; 32];
        if pairs.len() != bytes.len() || !rest.is_empty() {
            return Err(wrong());
        }
        for (byte, pair) in bytes.iter_mut().zip(pairs) {
            let text = std::str::from_utf8(pair).map_err(|_| wrong())?;
            *byte = u8::from_str_radix(text, 16).map_err(|_| wrong())?;
        }
        Ok(Self::Fingerprint(bytes))
    }
}

/// Shakes hands with a controller.
///
/// # Errors
/// No root is known, the file is none, or what the controller shows is not signed by it.
pub(super) async fn connect(
    stream: TcpStream,
    host: &str,
    known: Option<&Known>,
) -> Result<TlsStream<TcpStream>, Failure> {
    let known = known.ok_or_else(|| {
        Failure::with_advice(
            "the lab's root is not known here, so nobody can tell who answers",
            "`labinator cert root` on the boss prints it: give --ca FILE, or --ca sha256:…",
        )
    })?;
    let pinned = match known {
        Known::Fingerprint(fingerprint) => *fingerprint,
        Known::File(path) => {
            let failed = |why: String| Failure::failed(format!("{}: {why}", path.display()));
            let text = std::fs::read_to_string(path).map_err(|why| failed(why.to_string()))?;
            Certificate::from_pem(&text).map_err(|why| failed(why.to_string()))?.fingerprint()
        }
    };
    let provider = Arc::new(ring::default_provider());
    let verifier = Pinned { root: pinned, provider: Arc::clone(&provider) };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|why| Failure::failed(why.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| Failure::Usage(format!("`{host}` is no name that a certificate can have")))?;
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|why| refused(host, &why))
}

fn refused(host: &str, why: &std::io::Error) -> Failure {
    let inner = why.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let advice = match inner {
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            "it is another lab, or has another root now: compare `labinator cert root` on the boss"
        }
        Some(Error::InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        )) => "compare the clock of this machine with the boss's: `labinator cert status` there",
        Some(Error::InvalidCertificate(_)) => "ask by a name or address that `labinator cert status` lists",
        Some(Error::AlertReceived(_)) => {
            "it may wait for its certificate: `labinator cert status` on the boss says for what"
        }
        _ => "is it https there? a controller on loopback is asked by http://",
    };
    Failure::with_advice(format!("no TLS with {host}: {why}"), advice)
}

/// Takes what is signed by one root, whichever else this machine knows.
#[derive(Debug)]
struct Pinned {
    root: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let unknown = || Error::from(CertificateError::UnknownIssuer);
        let is_root =
            |shown: &&CertificateDer<'_>| <[u8; 32]>::from(Sha256::digest(shown.as_ref())) == self.root;
        let root = above.iter().find(is_root).ok_or_else(unknown)?;
        let mut roots = RootCertStore::empty();
        roots.add(root.clone().into_owned())?;
        let provider = Arc::clone(&self.provider);
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|why| Error::General(why.to_string()))?;
        verifier.verify_server_cert(leaf, above, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, leaf, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_a_file_or_a_fingerprint() {
        assert_eq!("root.pem".parse(), Ok(Known::File("root.pem".into())));
        let plain = "ab".repeat(32);
        let known = Ok(Known::Fingerprint([0xab; 32]));
        assert_eq!(format!("sha256:{plain}").parse(), known);
        assert_eq!(format!("sha256:{}", ["AB"; 32].join(":")).parse(), known);
        for wrong in
            ["sha256:", "sha256:ab", &format!("sha256:{plain}0"), &format!("sha256:{}zz", "ab".repeat(31))]
        {
            assert!(wrong.parse::<Known>().is_err(), "{wrong}");
        }
    }
}
