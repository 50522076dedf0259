//! What a client of ACME sends: a signed request, a request for a certificate (PKCS #10), a certificate to revoke. What is
//! read without its signature being checked must harm nothing; what was signed is read the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::{Span, WallTime};
use pki::acme::{Ask, By, Envelope, House, Jwk, Office, Verb};
use pki::x509::{Certificate, Name, OsRandom, Request};

struct Nobody;

impl House for Nobody {
    fn may(&self, _: &Name) -> Result<(), String> {
        Ok(())
    }

    fn grant(&self, _: &Request, _: Span) -> Result<(String, Certificate), String> {
        Err("nothing is issued here".to_owned())
    }
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(envelope) = Envelope::read(bytes)
        && let By::Key(key) = &envelope.by
    {
        assert_eq!(key.thumbprint().len(), 43);
        assert!(!key.public().is_empty());
        let again: Jwk = serde_json::from_str(&serde_json::to_string(key).unwrap()).unwrap();
        assert_eq!(again, *key);
        let _ = envelope.check(key);
    }
    let ask = Ask { verb: Verb::Post, base: "https://b/acme", path: "/new-account", signed: true, body: bytes };
    let answer = Office::default().ask(&ask, WallTime(1), &mut OsRandom::new(), &Nobody);
    assert!(answer.status >= 400, "a nonce that was not given");
    if let Ok(request) = Request::read(bytes) {
        assert!(!request.names().is_empty());
    }
    let _ = Certificate::from_der(bytes);
});
