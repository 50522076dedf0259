//! What can be asked with an account (RFC 8555 section 7) and about certificates (RFC 9773).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::{Span, WallTime};
use serde_json::{Value, json};

use super::book::{Account, Made, OPEN, ORDER_LIFETIME, ORDERS, Order, Part, State};
use super::jws::{Envelope, Jwk};
use super::office::{Answer, Body, Case, Office, fresh, moment, payload};
use super::problem::{Kind, Problem, malformed};
use crate::x509::{Certificate, Name, Request};

/// Profiles (draft-ietf-acme-profiles): name, life, what a person is told. The first is taken unless told.
const PROFILES: [(&str, Span, &str); 2] = [
    ("default", Span::secs(30 * 86_400), "30 days"),
    ("shortlived", Span::secs(86_400), "24 hours, for clients that look several times a day"),
];
/// Life of a certificate whose profile is no more.
const SHORTEST: Span = Span::secs(86_400);
/// Most names of one order.
const NAMES: usize = 100;
/// Most contacts of an account, and longest one.
const CONTACTS: usize = 8;
const CONTACT: usize = 256;
/// Pause of a client that waits for a proof, in seconds.
const LOOK_AGAIN: u64 = 1;
/// Pause of a client that asks when to renew, in seconds.
const ARI_AGAIN: u64 = 6 * 3600;
/// Reasons for a revocation (RFC 5280 section 5.3.1); 7 is none.
const REASONS: [u64; 10] = [0, 1, 2, 3, 4, 5, 6, 8, 9, 10];

pub(super) fn directory(base: &str) -> Value {
    let profiles: serde_json::Map<String, Value> =
        PROFILES.iter().map(|(name, _, about)| ((*name).to_owned(), json!(about))).collect();
    json!({
        "newNonce": format!("{base}/new-nonce"),
        "newAccount": format!("{base}/new-account"),
        "newOrder": format!("{base}/new-order"),
        "revokeCert": format!("{base}/revoke-cert"),
        "keyChange": format!("{base}/key-change"),
        "renewalInfo": format!("{base}/renewal-info"),
        "meta": { "externalAccountRequired": false, "profiles": profiles },
    })
}

pub(super) fn account_document(account: &Account, id: &str, base: &str) -> Value {
    json!({
        "status": account.state,
        "contact": account.contact,
        "orders": format!("{base}/account/{id}/orders"),
    })
}

fn order_document(order: &Order, id: &str, base: &str, now: WallTime) -> Value {
    let authorizations: Vec<_> =
        (0..order.parts.len()).map(|at| json!(format!("{base}/authz/{id}/{at}"))).collect();
    let mut document = json!({
        "status": order.state(now),
        "expires": moment(order.expires),
        "identifiers": order.parts.iter().map(|part| identifier(&part.name)).collect::<Vec<_>>(),
        "authorizations": authorizations,
        "finalize": format!("{base}/order/{id}/finalize"),
        "profile": order.profile,
    });
    if let Value::Object(fields) = &mut document {
        if let Some(made) = &order.certificate {
            fields.insert("certificate".to_owned(), json!(format!("{base}/cert/{made}")));
        }
        let failed = order.parts.iter().find_map(|part| part.problem.as_ref());
        if let Some(problem) = order.problem.as_ref().or(failed) {
            fields.insert("error".to_owned(), problem.document());
        }
        if let Some(replaces) = &order.replaces {
            fields.insert("replaces".to_owned(), json!(replaces));
        }
    }
    document
}

fn challenge_document(part: &Part, url: &str) -> Value {
    let state = match part.state {
        State::Deactivated => State::Invalid,
        other => other,
    };
    let mut document = json!({ "type": "http-01", "url": url, "status": state, "token": part.token });
    if let Value::Object(fields) = &mut document {
        if let Some(proven) = part.proven {
            fields.insert("validated".to_owned(), moment(proven));
        }
        if let Some(problem) = &part.problem {
            fields.insert("error".to_owned(), problem.document());
        }
    }
    document
}

fn identifier(name: &str) -> Value {
    let kind = if matches!(name.parse(), Ok(Name::Ip(_))) { "ip" } else { "dns" };
    json!({ "type": kind, "value": name })
}

/// What an order asks for: each name once, and made certificates for.
fn wanted(said: &Value, case: &Case<'_>) -> Result<Vec<String>, Problem> {
    let list = said.get("identifiers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if list.is_empty() || list.len() > NAMES {
        return Err(malformed("an order has 1 to 100 identifiers"));
    }
    let mut names = Vec::new();
    for one in list {
        let text = |field: &str| one.get(field).and_then(Value::as_str).unwrap_or_default();
        let value = text("value").to_ascii_lowercase();
        let name: Name = value.parse().map_err(|_| malformed(format!("`{value}` is no name")))?;
        match (text("type"), &name) {
            ("dns", Name::Dns(_)) | ("ip", Name::Ip(_)) => {}
            ("dns" | "ip", _) => {
                return Err(malformed(format!("`{value}` is an identifier of the other type")));
            }
            (other, _) => {
                let why = format!("identifiers are of type dns or ip, not `{other}`");
                return Err(Problem::new(Kind::UnsupportedIdentifier, why));
            }
        }
        case.house.may(&name).map_err(|why| Problem::new(Kind::RejectedIdentifier, why))?;
        // An address has many spellings; one is kept.
        let value = if let Name::Ip(address) = name { address.to_string() } else { value };
        if !names.contains(&value) {
            names.push(value);
        }
    }
    Ok(names)
}

fn profile(said: &Value) -> Result<String, Problem> {
    let [first, ..] = PROFILES;
    let wanted = said.get("profile").and_then(Value::as_str).unwrap_or(first.0);
    if !PROFILES.iter().any(|(name, ..)| *name == wanted) {
        return Err(Problem::new(Kind::InvalidProfile, format!("there is no profile `{wanted}`")));
    }
    Ok(wanted.to_owned())
}

fn contacts(said: &Value) -> Result<Vec<String>, Problem> {
    let list = said.get("contact").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let unsupported = || Problem::new(Kind::UnsupportedContact, "contacts are up to 8 `mailto:` addresses");
    let one = |value: &Value| {
        let text = value.as_str().filter(|text| text.starts_with("mailto:") && text.len() <= CONTACT);
        text.map(str::to_owned).ok_or_else(unsupported)
    };
    if list.len() > CONTACTS {
        return Err(unsupported());
    }
    list.iter().map(one).collect()
}

impl Office {
    pub(super) fn new_account(
        &mut self,
        envelope: &Envelope,
        key: &Jwk,
        case: &mut Case<'_>,
    ) -> Result<Answer, Problem> {
        let said = payload(envelope)?;
        let at = |id: &str| format!("{}/account/{id}", case.base);
        if let Some((id, account)) = self.book.account_of(key) {
            if account.state != State::Valid {
                return Err(Problem::new(Kind::Unauthorized, "this account was given up"));
            }
            return Ok(Answer::json(200, account_document(account, id, case.base)).at(at(id)));
        }
        if said.get("onlyReturnExisting") == Some(&Value::Bool(true)) {
            return Err(Problem::new(Kind::AccountDoesNotExist, "no account has this key"));
        }
        let contact = contacts(&said)?;
        self.book.room(case.now)?;
        let id = fresh(case.random)?;
        let account = Account { key: key.clone(), contact, state: State::Valid, created: case.now };
        let answer = Answer::json(201, account_document(&account, &id, case.base)).at(at(&id));
        self.book.accounts.insert(id, account);
        Ok(answer)
    }

    /// An account looked at, changed or given up.
    pub(super) fn account(&mut self, id: &str, envelope: &Envelope, base: &str) -> Result<Answer, Problem> {
        let Some(account) = self.book.accounts.get_mut(id) else { return Err(Problem::nowhere()) };
        if !envelope.payload.is_empty() {
            let said = payload(envelope)?;
            if said.get("contact").is_some() {
                account.contact = contacts(&said)?;
            }
            match said.get("status").and_then(Value::as_str) {
                None | Some("valid") => {}
                Some("deactivated") => account.state = State::Deactivated,
                Some(other) => return Err(malformed(format!("an account cannot be made `{other}`"))),
            }
        }
        Ok(Answer::json(200, account_document(account, id, base)))
    }

    pub(super) fn orders_of(&self, account: &str, case: &Case<'_>) -> Answer {
        let own = self.book.orders.iter().filter(|(_, order)| order.account == account);
        let list: Vec<_> = own.map(|(id, _)| format!("{}/order/{id}", case.base)).collect();
        Answer::json(200, json!({ "orders": list }))
    }

    pub(super) fn new_order(
        &mut self,
        account: &str,
        said: &Value,
        case: &mut Case<'_>,
    ) -> Result<Answer, Problem> {
        let names = wanted(said, case)?;
        let profile = profile(said)?;
        let replaces = said.get("replaces").and_then(Value::as_str).map(str::to_owned);
        if let Some(replaces) = &replaces {
            self.replaceable(account, replaces)?;
        }
        let open = self.book.orders.values().filter(|order| order.certificate.is_none());
        let own = open.filter(|order| order.account == account && order.state(case.now) != State::Invalid);
        if own.count() >= OPEN || self.book.orders.len() >= ORDERS {
            return Err(Problem::new(Kind::RateLimited, "too many orders are open; finish those first"));
        }
        let id = fresh(case.random)?;
        let mut parts = Vec::new();
        for name in names {
            let token = fresh(case.random)?;
            parts.push(Part { name, state: State::Pending, token, problem: None, proven: None });
        }
        let order = Order {
            account: account.to_owned(),
            expires: WallTime(case.now.0.saturating_add(ORDER_LIFETIME.0)),
            parts,
            profile,
            replaces,
            problem: None,
            certificate: None,
        };
        let document = order_document(&order, &id, case.base, case.now);
        let answer = Answer::json(201, document).at(format!("{}/order/{id}", case.base));
        self.book.orders.insert(id, order);
        Ok(answer)
    }

    /// RFC 9773 section 5: its own, and not replaced yet.
    fn replaceable(&self, account: &str, ari: &str) -> Result<(), Problem> {
        let known = self.book.certificates.values().find(|made| made.ari == ari);
        let known = known.ok_or_else(|| malformed("`replaces` names no certificate of this server"))?;
        if known.account != account {
            return Err(Problem::new(Kind::Unauthorized, "`replaces` names another's certificate"));
        }
        let twice = || Problem::new(Kind::AlreadyReplaced, "this certificate was replaced already");
        if known.replaced { Err(twice()) } else { Ok(()) }
    }

    /// An order of this account.
    fn own(&mut self, account: &str, id: &str) -> Result<&mut Order, Problem> {
        let order = self.book.orders.get_mut(id).ok_or_else(Problem::nowhere)?;
        if order.account != account {
            return Err(Problem::new(Kind::Unauthorized, "this is another's order"));
        }
        Ok(order)
    }

    pub(super) fn order(&mut self, account: &str, id: &str, case: &Case<'_>) -> Result<Answer, Problem> {
        let order = self.own(account, id)?;
        let document = order_document(order, id, case.base, case.now);
        Ok(Answer::json(200, document).at(format!("{}/order/{id}", case.base)))
    }

    pub(super) fn authorization(
        &mut self,
        account: &str,
        (id, at): (&str, &str),
        envelope: &Envelope,
        case: &Case<'_>,
    ) -> Result<Answer, Problem> {
        let order = self.own(account, id)?;
        let expires = order.expires;
        let part = at.parse::<usize>().ok().and_then(|at| order.parts.get_mut(at));
        let part = part.ok_or_else(Problem::nowhere)?;
        if !envelope.payload.is_empty() {
            match payload(envelope)?.get("status").and_then(Value::as_str) {
                Some("deactivated") => part.state = State::Deactivated,
                _ => return Err(malformed("an authorization can be given up (`deactivated`), no more")),
            }
        }
        let state = match part.state {
            State::Processing => State::Pending,
            other => other,
        };
        let url = format!("{}/challenge/{id}/{at}", case.base);
        let mut answer = Answer::json(
            200,
            json!({
                "identifier": identifier(&part.name),
                "status": state,
                "expires": moment(expires),
                "challenges": [challenge_document(part, &url)],
            }),
        );
        answer.retry_after = (part.state == State::Processing).then_some(LOOK_AGAIN);
        Ok(answer)
    }

    pub(super) fn challenge(
        &mut self,
        account: &str,
        (id, at): (&str, &str),
        question: bool,
        case: &Case<'_>,
    ) -> Result<Answer, Problem> {
        let order = self.own(account, id)?;
        let over = order.state(case.now) == State::Invalid;
        let number = at.parse::<usize>().map_err(|_| Problem::nowhere())?;
        let part = order.parts.get_mut(number).ok_or_else(Problem::nowhere)?;
        let begins = !question && !over && part.state == State::Pending;
        if begins {
            part.state = State::Processing;
        }
        let url = format!("{}/challenge/{id}/{at}", case.base);
        let mut answer = Answer::json(200, challenge_document(part, &url));
        answer.up = Some(format!("{}/authz/{id}/{at}", case.base));
        answer.retry_after = (part.state == State::Processing).then_some(LOOK_AGAIN);
        if begins {
            self.look_at(id, number);
        }
        Ok(answer)
    }

    pub(super) fn finalize(
        &mut self,
        account: &str,
        id: &str,
        said: &Value,
        case: &mut Case<'_>,
    ) -> Result<Answer, Problem> {
        let order = self.own(account, id)?;
        match order.state(case.now) {
            State::Ready => {}
            State::Valid => return self.order(account, id, case),
            _ => return Err(Problem::new(Kind::OrderNotReady, "not every name of this order is proven")),
        }
        let bad = |why: String| Problem::new(Kind::BadCsr, why);
        let csr = said.get("csr").and_then(Value::as_str).unwrap_or_default();
        let csr = URL_SAFE_NO_PAD.decode(csr).map_err(|_| bad("`csr` is not base64url".to_owned()))?;
        let request = Request::read(&csr).map_err(|why| bad(why.to_string()))?;
        let ordered: Vec<Name> = order.parts.iter().filter_map(|part| part.name.parse().ok()).collect();
        let asked = request.names();
        if asked.len() != ordered.len() || !ordered.iter().all(|name| asked.contains(name)) {
            return Err(bad("it asks for other names than the order".to_owned()));
        }
        let lifetime =
            PROFILES.iter().find(|(name, ..)| *name == order.profile).map_or(SHORTEST, |one| one.1);
        let (chain, leaf) =
            case.house.grant(&request, lifetime).map_err(|why| Problem::new(Kind::ServerInternal, why))?;
        let made = Made {
            account: account.to_owned(),
            chain,
            not_before: leaf.not_before(),
            not_after: leaf.not_after(),
            ari: ari(&leaf),
            names: order.parts.iter().map(|part| part.name.clone()).collect(),
            replaced: false,
            revoked: None,
        };
        let number = fresh(case.random)?;
        order.certificate = Some(number.clone());
        order.expires = leaf.not_after();
        let replaces = order.replaces.clone();
        for old in self.book.certificates.values_mut().filter(|old| Some(&old.ari) == replaces.as_ref()) {
            old.replaced = true;
        }
        self.book.certificates.insert(number, made);
        self.order(account, id, case)
    }

    pub(super) fn certificate(&self, account: &str, id: &str) -> Result<Answer, Problem> {
        let made = self.book.certificates.get(id).ok_or_else(Problem::nowhere)?;
        if made.account != account {
            return Err(Problem::new(Kind::Unauthorized, "this is another's certificate"));
        }
        Ok(Answer { body: Body::Chain(made.chain.clone()), ..Answer::json(200, Value::Null) })
    }

    /// Revokes for the account that has it, or for whoever has its key.
    pub(super) fn revoke(&mut self, said: &Value, by: Result<&str, &Jwk>) -> Result<Answer, Problem> {
        let text = said.get("certificate").and_then(Value::as_str).unwrap_or_default();
        let der = URL_SAFE_NO_PAD.decode(text).map_err(|_| malformed("`certificate` is not base64url"))?;
        let leaf = Certificate::from_der(&der).map_err(|why| malformed(why.to_string()))?;
        let reason = match said.get("reason") {
            None => 0,
            Some(reason) => reason
                .as_u64()
                .filter(|reason| REASONS.contains(reason))
                .and_then(|reason| u8::try_from(reason).ok())
                .ok_or_else(|| Problem::new(Kind::BadRevocationReason, "reasons are 0 to 6 and 8 to 10"))?,
        };
        let pem = leaf.to_pem();
        let made = self.book.certificates.values_mut().find(|made| made.chain.starts_with(&pem));
        let made =
            made.ok_or_else(|| Problem { status: 404, ..malformed("it was not made here, or ended") })?;
        let may = match by {
            Ok(account) => made.account == account,
            Err(key) => key.public() == leaf.parts.public,
        };
        if !may {
            return Err(Problem::new(Kind::Unauthorized, "this is another's certificate"));
        }
        if made.revoked.is_some() {
            return Err(Problem::new(Kind::AlreadyRevoked, "it was revoked already"));
        }
        made.revoked = Some(reason);
        Ok(Answer { body: Body::Nothing, ..Answer::json(200, Value::Null) })
    }

    /// When a certificate shall be renewed (RFC 9773 section 4): at two thirds of its life, within a twelfth of it; at once
    /// when it was revoked.
    pub(super) fn renewal_info(&self, ari: &str, now: WallTime) -> Result<Answer, Problem> {
        let made =
            self.book.certificates.values().find(|made| made.ari == ari).ok_or_else(Problem::nowhere)?;
        let life = made.not_after.0.saturating_sub(made.not_before.0);
        let (start, end) = if made.revoked.is_some() {
            (now.0.saturating_sub(3_600_000), now.0)
        } else {
            let start = made.not_before.0.saturating_add(life / 3 * 2);
            (start, start.saturating_add(life / 12))
        };
        let window = json!({ "start": moment(WallTime(start)), "end": moment(WallTime(end)) });
        let mut answer = Answer::json(200, json!({ "suggestedWindow": window }));
        answer.retry_after = Some(ARI_AGAIN);
        Ok(answer)
    }
}

/// RFC 9773 section 4.1: who issued it, and its serial number.
fn ari(leaf: &Certificate) -> String {
    let issuer = URL_SAFE_NO_PAD.encode(leaf.issued_by().unwrap_or_default());
    [issuer, URL_SAFE_NO_PAD.encode(leaf.serial())].join(".")
}
