//! TLS to a device whose certificate nobody signed: it is known by its SHA-256, as the lab file has it.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use ::ring::digest::{SHA256, digest};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, ring as provider, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

use super::Trouble;

/// SHA-256 of a certificate in DER.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint(pub(crate) [u8; 32]);

impl Fingerprint {
    /// Reads `sha256:` and 64 hexadecimal digits, with or without colons between pairs.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let digits: Vec<u8> = text.strip_prefix("sha256:")?.bytes().filter(|byte| *byte != b':').collect();
        let mut out = [0; 32];
        if digits.len() != 64 {
            return None;
        }
        for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(out))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut hex = String::with_capacity(64);
        for byte in self.0 {
            write!(hex, "{byte:02x}")?;
        }
        write!(f, "sha256:{hex}")
    }
}

/// Takes one certificate and no other.
#[derive(Debug)]
pub(crate) struct Pinned {
    wanted: Option<Fingerprint>,
    /// What the device showed last.
    shown: Mutex<Option<Fingerprint>>,
    provider: Arc<CryptoProvider>,
}

impl Pinned {
    pub(crate) fn new(wanted: Option<Fingerprint>) -> Self {
        Self { wanted, shown: Mutex::default(), provider: Arc::new(provider::default_provider()) }
    }

    /// Opens TLS on a connection.
    pub(crate) async fn shake_hands(
        self: &Arc<Self>,
        stream: TcpStream,
        host: &str,
    ) -> Result<TlsStream<TcpStream>, Trouble> {
        let name = ServerName::try_from(host.to_owned()).map_err(|why| Trouble::Tls(why.to_string()))?;
        let config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|why| Trouble::Tls(why.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(self.clone())
            .with_no_client_auth();
        let done = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
        done.map_err(|why| self.stranger().map_or_else(|| Trouble::Tls(why.to_string()), Trouble::Stranger))
    }

    /// What is to be said when another certificate was shown than is known.
    fn stranger(&self) -> Option<String> {
        let shown = (*self.shown.lock().unwrap_or_else(PoisonError::into_inner))?;
        match self.wanted {
            Some(wanted) if wanted == shown => None,
            Some(wanted) => Some(format!(
                "its certificate is {shown} and was {wanted}: if it is still the same device, change `certificate` in \
                 the lab file"
            )),
            None => Some(format!(
                "its certificate is not known yet: if it is {shown}, write that as `certificate` in the lab file"
            )),
        }
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let mut print = [0; 32];
        print.iter_mut().zip(digest(&SHA256, end_entity).as_ref()).for_each(|(to, from)| *to = *from);
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(Fingerprint(print));
        match self.wanted {
            Some(wanted) if wanted.0 == print => Ok(ServerCertVerified::assertion()),
            _ => Err(Error::General("not the certificate that is known".to_owned())),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_openssl_writes_it_and_as_we_do() {
        let hex = "0123456789abcdef".repeat(4);
        let plain = Fingerprint::read(&format!("sha256:{hex}")).unwrap();
        let pairs: Vec<String> =
            hex.as_bytes().chunks(2).map(|p| String::from_utf8_lossy(p).to_uppercase()).collect();
        assert_eq!(Fingerprint::read(&format!("sha256:{}", pairs.join(":"))), Some(plain));
        assert_eq!(plain.to_string(), format!("sha256:{hex}"));
        for wrong in ["", "sha256:", &hex, &format!("sha256:{hex}0"), &format!("sha1:{hex}")] {
            assert_eq!(Fingerprint::read(wrong), None, "{wrong}");
        }
    }
}
