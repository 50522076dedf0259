//! The counter of ACME as a client meets it, with keys of both kinds.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may stop")]

use std::cell::Cell;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::{Span, WallTime};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use pki::acme::{Answer, Ask, Body, Book, House, Kind, Office, Problem, Verb};
use pki::x509::{Authority, Certificate, KeyKind, Name, PrivateKey, Rank, Request, Seeded, pem_decode};
use serde_json::{Value, json};

const NOW: WallTime = WallTime(1_795_672_800_000);
const BASE: &str = "https://boss:8080/acme";

struct Lab(Authority, Cell<u8>);

impl House for Lab {
    fn may(&self, name: &Name) -> Result<(), String> {
        match name {
            Name::Dns(name) if name.ends_with(".lab") => Ok(()),
            Name::Ip(address) if address.to_string().starts_with("10.") => Ok(()),
            _ => Err("not of this lab".to_owned()),
        }
    }

    fn grant(&self, request: &Request, lifetime: Span) -> Result<(String, Certificate), String> {
        self.1.set(self.1.get() + 1);
        let random = &mut Seeded::new([self.1.get(); 32]);
        let leaf = self
            .0
            .grant(request, (lifetime, Span::secs(3600)), NOW, random)
            .map_err(|why| why.to_string())?;
        Ok((leaf.to_pem() + &self.0.certificate().to_pem(), leaf))
    }
}

/// A client with its key.
#[derive(Clone)]
struct Client {
    key: SigningKey,
    account: Option<String>,
}

impl Client {
    fn new(seed: u8) -> Self {
        Self { key: SigningKey::from_slice(&[seed; 32]).unwrap(), account: None }
    }

    fn jwk(&self) -> Value {
        let point = self.key.verifying_key().to_sec1_bytes();
        let half = |from: usize| URL_SAFE_NO_PAD.encode(&point[from..from + 32]);
        json!({ "kty": "EC", "crv": "P-256", "x": half(1), "y": half(33) })
    }

    /// A JWS with this header and payload.
    fn sign(&self, header: &Value, payload: &str) -> Vec<u8> {
        let (header, payload) = (URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(payload));
        let signature: Signature = self.key.sign(format!("{header}.{payload}").as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(signature.to_bytes());
        json!({ "protected": header, "payload": payload, "signature": signature }).to_string().into_bytes()
    }

    fn header(&self, url: &str, nonce: &str) -> Value {
        match &self.account {
            Some(account) => json!({ "alg": "ES256", "url": url, "nonce": nonce, "kid": account }),
            None => json!({ "alg": "ES256", "url": url, "nonce": nonce, "jwk": self.jwk() }),
        }
    }
}

struct Stand {
    office: Office,
    lab: Lab,
    random: Seeded,
    now: WallTime,
}

impl Stand {
    fn new() -> Self {
        let rank = Rank { organization: "lab", common_name: "lab", lifetime: Span::secs(800 * 86_400) };
        let authority = Authority::root(rank, NOW, &mut Seeded::new([9; 32])).unwrap();
        let lab = Lab(authority, Cell::new(0));
        Self { office: Office::default(), lab, random: Seeded::new([7; 32]), now: NOW }
    }

    fn raw(&mut self, verb: Verb, path: &str, body: &[u8]) -> Answer {
        let ask = Ask { verb, base: BASE, path, signed: true, body };
        self.office.ask(&ask, self.now, &mut self.random, &self.lab)
    }

    fn nonce(&mut self) -> String {
        self.raw(Verb::Head, "/new-nonce", b"").nonce.unwrap()
    }

    /// Asks as a client does; an empty payload is a question.
    fn post(&mut self, client: &Client, path: &str, payload: &str) -> Answer {
        let nonce = self.nonce();
        let body = client.sign(&client.header(&format!("{BASE}{path}"), &nonce), payload);
        self.raw(Verb::Post, path, &body)
    }

    fn account(&mut self, seed: u8) -> Client {
        let mut client = Client::new(seed);
        let made = self.post(&client, "/new-account", r#"{"termsOfServiceAgreed":true}"#);
        assert_eq!(made.status, 201, "{made:?}");
        client.account = made.location;
        client
    }

    /// An order; its path.
    fn order(&mut self, client: &Client, names: &[&str]) -> String {
        let of = |name: &&str| {
            let kind = if name.starts_with("10.") { "ip" } else { "dns" };
            json!({ "type": kind, "value": name })
        };
        let asked = json!({ "identifiers": names.iter().map(of).collect::<Vec<_>>() });
        let made = self.post(client, "/new-order", &asked.to_string());
        assert_eq!(made.status, 201, "{made:?}");
        path(&made.location.unwrap())
    }

    /// Proves every name of an order.
    fn prove(&mut self, client: &Client, order: &str) {
        for authorization in json(&self.post(client, order, ""))["authorizations"].as_array().unwrap().clone()
        {
            let authorization = path(authorization.as_str().unwrap());
            let shown = json(&self.post(client, &authorization, ""));
            let challenge = path(shown["challenges"][0]["url"].as_str().unwrap());
            let begun = self.post(client, &challenge, "{}");
            assert_eq!((json(&begun)["status"].clone(), begun.retry_after), (json!("processing"), Some(1)));
            let works = self.office.works();
            assert_eq!(works.len(), 1);
            for work in works {
                assert!(work.authorization.starts_with(&format!("{}.", work.token)));
                self.office.settled((&work.order, work.at), Ok(()), self.now);
            }
        }
    }

    /// A certificate from the beginning; its PEM.
    fn whole(&mut self, client: &Client, names: &[&str]) -> String {
        let order = self.order(client, names);
        self.prove(client, &order);
        let done = self.post(client, &format!("{order}/finalize"), &csr(names, 1));
        assert_eq!(json(&done)["status"], "valid", "{done:?}");
        let at = path(json(&done)["certificate"].as_str().unwrap());
        match self.post(client, &at, "").body {
            Body::Chain(pem) => pem,
            other => panic!("{other:?}"),
        }
    }
}

fn path(url: &str) -> String {
    url.strip_prefix(BASE).unwrap().to_owned()
}

fn json(answer: &Answer) -> Value {
    match &answer.body {
        Body::Json(value) | Body::Problem(value) => value.clone(),
        other => panic!("{other:?}"),
    }
}

/// The last word of a problem's type.
fn problem(answer: &Answer) -> String {
    assert!(matches!(answer.body, Body::Problem(_)), "{answer:?}");
    let kind = json(answer)["type"].as_str().unwrap().to_owned();
    assert_eq!(json(answer)["status"], answer.status);
    kind.strip_prefix("urn:ietf:params:acme:error:").unwrap().to_owned()
}

fn csr(names: &[&str], seed: u8) -> String {
    let key = PrivateKey::mint(KeyKind::P256, &mut Seeded::new([seed; 32])).unwrap();
    let names: Vec<Name> = names.iter().map(|name| name.parse().unwrap()).collect();
    json!({ "csr": URL_SAFE_NO_PAD.encode(Request::write(&key, &names).unwrap()) }).to_string()
}

#[test]
fn a_certificate_is_ordered_proven_issued_renewed_and_revoked() {
    let mut stand = Stand::new();
    let client = stand.account(1);
    let names = ["node1.lab", "10.0.0.7"];
    let pem = stand.whole(&client, &names);
    let leaf = Certificate::from_pem(&pem).unwrap();
    assert_eq!((leaf.names(), leaf.addresses().len()), (&["node1.lab".to_owned()][..], 1));
    assert_eq!(leaf.not_after().0 - NOW.0, 30 * 86_400_000);

    // When to renew (RFC 9773): at two thirds of its life.
    let ari = [leaf.issued_by().unwrap(), leaf.serial()].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
    let window = stand.raw(Verb::Get, &format!("/renewal-info/{ari}"), b"");
    assert_eq!(window.retry_after, Some(21_600));
    let start = json(&window)["suggestedWindow"]["start"].as_str().unwrap().to_owned();
    assert!(start.len() == 20 && start.ends_with('Z') && start.contains('T'), "{start}");
    let order =
        json!({ "identifiers": [{ "type": "dns", "value": "node1.lab" }], "replaces": ari }).to_string();
    let other = stand.account(2);
    assert_eq!(problem(&stand.post(&other, "/new-order", &order)), "unauthorized");
    let renewing = path(&stand.post(&client, "/new-order", &order).location.unwrap());
    stand.prove(&client, &renewing);
    let done = stand.post(&client, &format!("{renewing}/finalize"), &csr(&["node1.lab"], 1));
    assert_eq!(json(&done)["replaces"], ari);
    assert_eq!(problem(&stand.post(&client, "/new-order", &order)), "alreadyReplaced");

    // Revoked by its account, once, and by nobody else; then it is time to renew.
    let wanted = |reason: u64| {
        let der = pem_decode(&pem).unwrap().der;
        json!({ "certificate": URL_SAFE_NO_PAD.encode(der), "reason": reason }).to_string()
    };
    assert_eq!(problem(&stand.post(&other, "/revoke-cert", &wanted(1))), "unauthorized");
    assert_eq!(problem(&stand.post(&client, "/revoke-cert", &wanted(7))), "badRevocationReason");
    assert_eq!(problem(&stand.post(&Client::new(3), "/revoke-cert", &wanted(1))), "unauthorized");
    assert_eq!(stand.post(&client, "/revoke-cert", &wanted(1)).status, 200);
    assert_eq!(problem(&stand.post(&client, "/revoke-cert", &wanted(1))), "alreadyRevoked");
    let window = json(&stand.raw(Verb::Get, &format!("/renewal-info/{ari}"), b""));
    assert!(window["suggestedWindow"]["end"].as_str().unwrap() < start.as_str());
}

#[test]
fn whoever_has_a_certificates_key_revokes_it() {
    let mut stand = Stand::new();
    let client = stand.account(1);
    // The certificate is for the key of a client that has no account.
    let holder = Client::new(5);
    let der = holder.key.to_bytes();
    let pem = {
        let order = stand.order(&client, &["node1.lab"]);
        stand.prove(&client, &order);
        let key = PrivateKey::mint(KeyKind::P256, &mut Seeded::new([1; 32])).unwrap();
        assert_ne!(key.to_pkcs8().as_slice(), der.as_slice());
        let done = stand.post(&client, &format!("{order}/finalize"), &csr(&["node1.lab"], 1));
        let at = path(json(&done)["certificate"].as_str().unwrap());
        let Body::Chain(pem) = stand.post(&client, &at, "").body else { panic!("no chain") };
        pem
    };
    let asked = json!({ "certificate": URL_SAFE_NO_PAD.encode(pem_decode(&pem).unwrap().der) }).to_string();
    assert_eq!(problem(&stand.post(&holder, "/revoke-cert", &asked)), "unauthorized");
    let own = PrivateKey::mint(KeyKind::P256, &mut Seeded::new([1; 32])).unwrap();
    // The scalar stands in the PKCS #8 text behind its own octet string (RFC 5915).
    let text = own.to_pkcs8();
    let at = text.windows(2).position(|pair| pair == [4, 32]).unwrap() + 2;
    let own = Client { key: SigningKey::from_slice(&text[at..at + 32]).unwrap(), account: None };
    assert_eq!(stand.post(&own, "/revoke-cert", &asked).status, 200);
}

#[test]
fn a_request_counts_once_for_its_address_and_by_its_signature() {
    let mut stand = Stand::new();
    let client = stand.account(1);
    let url = format!("{BASE}/new-order");
    let order = r#"{"identifiers":[{"type":"dns","value":"node1.lab"}]}"#;
    let nonce = stand.nonce();
    let body = client.sign(&client.header(&url, &nonce), order);
    assert_eq!(stand.raw(Verb::Post, "/new-order", &body).status, 201);
    let again = stand.raw(Verb::Post, "/new-order", &body);
    assert_eq!(problem(&again), "badNonce");
    assert!(again.nonce.is_some(), "a client tries again with this one");
    let nonce = stand.nonce();
    let body = client.sign(&client.header(&url, &nonce), order);
    assert_eq!(problem(&stand.raw(Verb::Post, "/revoke-cert", &body)), "unauthorized");
    // Signed by another key than the account's.
    let mut liar = Client::new(2);
    liar.account.clone_from(&client.account);
    assert_eq!(problem(&stand.post(&liar, "/new-order", order)), "malformed");
    liar.account = Some(format!("{BASE}/account/none"));
    assert_eq!(problem(&stand.post(&liar, "/new-order", order)), "accountDoesNotExist");
    // Every changed byte of a body is noticed.
    let nonce = stand.nonce();
    let body = client.sign(&client.header(&url, &nonce), order);
    for at in 0..body.len() {
        let mut changed = body.clone();
        changed[at] ^= 1;
        let told = stand.raw(Verb::Post, "/new-order", &changed);
        assert!(told.status >= 400, "byte {at}: {told:?}");
    }
    for wrong in ["", "{}", "[]", r#"{"protected":"e30","payload":"","signature":""}"#] {
        assert_eq!(problem(&stand.raw(Verb::Post, "/new-order", wrong.as_bytes())), "malformed", "{wrong}");
    }
    let mut plain = client.header(&url, &stand.nonce());
    plain["alg"] = json!("none");
    let body = client.sign(&plain, order);
    assert_eq!(problem(&stand.raw(Verb::Post, "/new-order", &body)), "badSignatureAlgorithm");
    assert_eq!(stand.raw(Verb::Get, "/new-order", b"").status, 404);
    assert_eq!(stand.raw(Verb::Other, "/directory", b"").status, 405);
}

#[test]
fn no_certificate_without_every_proof_and_none_for_other_names() {
    let mut stand = Stand::new();
    let client = stand.account(1);
    for (kind, name, code) in [
        ("dns", "example.org", "rejectedIdentifier"),
        ("ip", "192.0.2.1", "rejectedIdentifier"),
        ("ip", "node1.lab", "malformed"),
        ("email", "node1.lab", "unsupportedIdentifier"),
    ] {
        let asked = json!({ "identifiers": [{ "type": kind, "value": name }] }).to_string();
        assert_eq!(problem(&stand.post(&client, "/new-order", &asked)), code, "{name}");
    }
    let asked = r#"{"identifiers":[{"type":"dns","value":"a.lab"}],"profile":"none"}"#;
    assert_eq!(problem(&stand.post(&client, "/new-order", asked)), "invalidProfile");

    let order = stand.order(&client, &["a.lab", "b.lab"]);
    let finalize = format!("{order}/finalize");
    assert_eq!(problem(&stand.post(&client, &finalize, &csr(&["a.lab", "b.lab"], 1))), "orderNotReady");
    let other = stand.account(2);
    assert_eq!(problem(&stand.post(&other, &order, "")), "unauthorized");
    stand.prove(&client, &order);
    assert_eq!(json(&stand.post(&client, &order, ""))["status"], "ready");
    assert_eq!(problem(&stand.post(&other, &finalize, &csr(&["a.lab", "b.lab"], 1))), "unauthorized");
    for names in [&["a.lab"][..], &["a.lab", "b.lab", "c.lab"], &["a.lab", "c.lab"]] {
        assert_eq!(problem(&stand.post(&client, &finalize, &csr(names, 1))), "badCSR", "{names:?}");
    }
    assert_eq!(stand.lab.1.get(), 0, "nothing was issued");

    // A proof that fails ends the order, with why.
    let order = stand.order(&client, &["a.lab"]);
    let challenge = order.replace("/order/", "/challenge/") + "/0";
    stand.post(&client, &challenge, "{}");
    let work = stand.office.works().pop().unwrap();
    let why = Problem::new(Kind::Connection, "nobody there");
    stand.office.settled((&work.order, work.at), Err(why), stand.now);
    let shown = json(&stand.post(&client, &order, ""));
    assert_eq!(
        (shown["status"].clone(), shown["error"]["detail"].clone()),
        (json!("invalid"), json!("nobody there"))
    );
    assert_eq!(json(&stand.post(&client, &challenge, "{}"))["status"], "invalid");
    assert_eq!(stand.office.works(), []);
}

#[test]
fn accounts_are_found_again_given_another_key_and_given_up() {
    let mut stand = Stand::new();
    let client = stand.account(1);
    let fresh = Client::new(1);
    let again = stand.post(&fresh, "/new-account", "{}");
    assert_eq!((again.status, again.location), (200, client.account.clone()));
    let nobody = stand.post(&Client::new(4), "/new-account", r#"{"onlyReturnExisting":true}"#);
    assert_eq!(problem(&nobody), "accountDoesNotExist");
    let contact = r#"{"contact":["https://example.org"]}"#;
    assert_eq!(problem(&stand.post(&Client::new(4), "/new-account", contact)), "unsupportedContact");

    let mut moved = Client::new(6);
    let said = json!({ "account": client.account, "oldKey": client.jwk() }).to_string();
    let inner = json!({ "alg": "ES256", "url": format!("{BASE}/key-change"), "jwk": moved.jwk() });
    let inner = String::from_utf8(moved.sign(&inner, &said)).unwrap();
    assert_eq!(stand.post(&client, "/key-change", &inner).status, 200);
    moved.account.clone_from(&client.account);
    let own = path(client.account.as_ref().unwrap());
    assert_eq!(problem(&stand.post(&client, &own, "")), "malformed");
    assert_eq!(stand.post(&moved, &own, "").status, 200);
    assert_eq!(json(&stand.post(&moved, &own, r#"{"status":"deactivated"}"#))["status"], "deactivated");
    assert_eq!(problem(&stand.post(&moved, &own, "")), "unauthorized");
}

#[test]
fn what_is_kept_is_found_again_and_proofs_that_were_open_are_looked_at_again() {
    let mut stand = Stand::new();
    let client = stand.account(1);
    stand.whole(&client, &["node1.lab"]);
    let order = stand.order(&client, &["node2.lab"]);
    stand.post(&client, &(order.replace("/order/", "/challenge/") + "/0"), "{}");
    let work = stand.office.works();
    let text = serde_json::to_vec(stand.office.book()).unwrap();
    let book: Book = serde_json::from_slice(&text).unwrap();
    assert_eq!(&book, stand.office.book());
    stand.office = Office::new(book);
    assert_eq!(stand.office.works(), work);
    assert_eq!(stand.office.book().good(NOW).count(), 1);
    // Everything has an end: a year later there is room again.
    stand.now = WallTime(NOW.0 + 365 * 86_400_000);
    assert_eq!(json(&stand.post(&client, "/new-order", r#"{"identifiers":[]}"#))["status"], 400);
    assert_eq!(stand.post(&client, &order, "").status, 404);
    assert_eq!(stand.office.book().good(stand.now).count(), 0);
}

#[test]
fn accounts_and_orders_have_a_bound() {
    let mut stand = Stand::new();
    let client = stand.account(1);
    for _ in 0..32 {
        stand.order(&client, &["node1.lab"]);
    }
    let asked = r#"{"identifiers":[{"type":"dns","value":"node1.lab"}]}"#;
    assert_eq!(problem(&stand.post(&client, "/new-order", asked)), "rateLimited");
}
