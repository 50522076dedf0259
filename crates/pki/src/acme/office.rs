//! The counter: which address is asked how, nonces, whose request it is.

use std::collections::VecDeque;

use model::{Span, WallTime};
use serde_json::{Value, json};

use super::book::{Book, State};
use super::jws::{By, Envelope, Jwk};
use super::problem::{Kind, Problem, malformed};
use super::rules::{account_document, directory};
use crate::x509::{Certificate, Name, PkiError, Random, Request};

/// Nonces that are good at once; the oldest goes.
const NONCES: usize = 4096;

/// How an address is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// GET.
    Get,
    /// HEAD.
    Head,
    /// POST of a signed request.
    Post,
    /// Anything else.
    Other,
}

/// A request as it came.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// How.
    pub verb: Verb,
    /// What stands before [`Self::path`], as the client wrote it: `https://boss:8080/acme`.
    pub base: &'a str,
    /// From the slash on that follows.
    pub path: &'a str,
    /// Whether it says that it is a signed request (`application/jose+json`).
    pub signed: bool,
    /// The body.
    pub body: &'a [u8],
}

/// What an answer carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Nothing.
    Nothing,
    /// A document.
    Json(Value),
    /// A problem.
    Problem(Value),
    /// Certificates, leaf first.
    Chain(String),
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Status of HTTP.
    pub status: u16,
    /// Where it is to be found.
    pub location: Option<String>,
    /// An address above it (`rel="up"`).
    pub up: Option<String>,
    /// Seconds until it is worth asking again.
    pub retry_after: Option<u64>,
    /// A fresh nonce.
    pub nonce: Option<String>,
    /// What it carries.
    pub body: Body,
}

impl Answer {
    pub(super) fn json(status: u16, body: Value) -> Self {
        Self { status, location: None, up: None, retry_after: None, nonce: None, body: Body::Json(body) }
    }

    pub(super) fn at(self, location: String) -> Self {
        Self { location: Some(location), ..self }
    }
}

/// A server that shall be looked at: `http://NAME/.well-known/acme-challenge/TOKEN` has to answer with `authorization`
/// (RFC 8555 section 8.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// Which order.
    pub order: String,
    /// Which of its names.
    pub at: usize,
    /// The name.
    pub name: Name,
    /// What stands in the path.
    pub token: String,
    /// What has to be answered.
    pub authorization: String,
}

/// What the office stands on.
pub trait House {
    /// Whether certificates are made for this name; why not, for a person.
    ///
    /// # Errors
    /// They are not.
    fn may(&self, name: &Name) -> Result<(), String>;

    /// Issues a certificate for a request; leaf and authority as PEM, and the leaf.
    ///
    /// # Errors
    /// One line for a person.
    fn grant(&self, request: &Request, lifetime: Span) -> Result<(String, Certificate), String>;
}

/// The counter with its book.
#[derive(Debug, Default)]
pub struct Office {
    pub(super) book: Book,
    nonces: VecDeque<String>,
    works: Vec<Work>,
}

/// Whose request it is, and what is asked.
pub(super) struct Case<'a> {
    pub(super) base: &'a str,
    pub(super) now: WallTime,
    pub(super) random: &'a mut dyn Random,
    pub(super) house: &'a dyn House,
}

impl Office {
    /// An office with what was kept.
    #[must_use]
    pub fn new(book: Book) -> Self {
        let mut office = Self { book, ..Self::default() };
        // What was being looked at when the power went is looked at again.
        let orders = office.book.orders.iter();
        let open = orders.flat_map(|(id, order)| {
            let parts = order.parts.iter().enumerate();
            parts.filter(|(_, part)| part.state == State::Processing).map(move |(at, _)| (id.clone(), at))
        });
        for (order, at) in open.collect::<Vec<_>>() {
            office.look_at(&order, at);
        }
        office
    }

    /// What is to be kept.
    #[must_use]
    pub const fn book(&self) -> &Book {
        &self.book
    }

    /// Puts back what could not be kept otherwise.
    pub fn put_back(&mut self, book: Book) {
        self.book = book;
        self.works.clear();
    }

    /// What has to be looked at since this was asked last.
    pub fn works(&mut self) -> Vec<Work> {
        core::mem::take(&mut self.works)
    }

    /// Answers a request.
    pub fn ask(
        &mut self,
        ask: &Ask<'_>,
        now: WallTime,
        random: &mut dyn Random,
        house: &dyn House,
    ) -> Answer {
        let mut case = Case { base: ask.base, now, random, house };
        let answer = self.answer(ask, &mut case).unwrap_or_else(|why| Answer {
            body: Body::Problem(why.document()),
            ..Answer::json(why.status, Value::Null)
        });
        let nonced = ask.verb == Verb::Post || ask.path == "/new-nonce";
        let nonce = if nonced { self.nonce(case.random).ok() } else { None };
        Answer { nonce, ..answer }
    }

    fn answer(&mut self, ask: &Ask<'_>, case: &mut Case<'_>) -> Result<Answer, Problem> {
        if ask.verb == Verb::Post {
            return self.post(ask, case);
        }
        let parts: Vec<&str> = ask.path.split('/').skip(1).collect();
        match (ask.verb, parts.as_slice()) {
            (Verb::Get | Verb::Head, ["directory"]) => Ok(Answer::json(200, directory(ask.base))),
            (Verb::Head, ["new-nonce"]) => {
                Ok(Answer { body: Body::Nothing, ..Answer::json(200, Value::Null) })
            }
            (Verb::Get, ["new-nonce"]) => {
                Ok(Answer { body: Body::Nothing, ..Answer::json(204, Value::Null) })
            }
            (Verb::Get, ["renewal-info", id]) => self.renewal_info(id, case.now),
            (Verb::Other, _) => Err(Problem::method()),
            _ => Err(Problem::nowhere()),
        }
    }

    fn post(&mut self, ask: &Ask<'_>, case: &mut Case<'_>) -> Result<Answer, Problem> {
        if !ask.signed {
            let why = "a request is signed, and says so: `Content-Type: application/jose+json`";
            return Err(Problem { status: 415, ..malformed(why) });
        }
        let envelope = Envelope::read(ask.body)?;
        if envelope.url != [ask.base, ask.path].concat() {
            let why = format!("it was signed for {}", envelope.url);
            return Err(Problem::new(Kind::Unauthorized, why));
        }
        let nonce = envelope.nonce.as_ref().and_then(|nonce| self.nonces.iter().position(|one| one == nonce));
        let Some(at) = nonce else {
            return Err(Problem::new(Kind::BadNonce, "this nonce was not given, or was used"));
        };
        self.nonces.remove(at);
        self.book.tidy(case.now);
        let parts: Vec<&str> = ask.path.split('/').skip(1).collect();
        match (&envelope.by, parts.as_slice()) {
            (By::Key(key), ["new-account"]) => {
                envelope.check(key)?;
                self.new_account(&envelope, key, case)
            }
            (By::Key(key), ["revoke-cert"]) => {
                envelope.check(key)?;
                self.revoke(&payload(&envelope)?, Err(key))
            }
            (By::Key(_), _) => Err(malformed("this is signed with the key of an account (`kid`)")),
            (By::Account(_), ["new-account"]) => Err(malformed("a new account comes with its key (`jwk`)")),
            (By::Account(address), parts) => {
                let account = self.signer(address, &envelope)?;
                self.of_account(&account, parts, &envelope, case)
            }
        }
    }

    /// The account whose key signed.
    fn signer(&self, address: &str, envelope: &Envelope) -> Result<String, Problem> {
        let id = address.rsplit_once("/account/").map(|(_, id)| id).unwrap_or_default();
        let known = self.book.accounts.get(id);
        let known =
            known.ok_or_else(|| Problem::new(Kind::AccountDoesNotExist, "there is no such account"))?;
        envelope.check(&known.key)?;
        if known.state != State::Valid {
            return Err(Problem::new(Kind::Unauthorized, "this account was given up"));
        }
        Ok(id.to_owned())
    }

    fn of_account(
        &mut self,
        account: &str,
        parts: &[&str],
        envelope: &Envelope,
        case: &mut Case<'_>,
    ) -> Result<Answer, Problem> {
        let question = envelope.payload.is_empty();
        match parts {
            ["new-order"] => self.new_order(account, &payload(envelope)?, case),
            ["account", id, rest @ ..] if *id == account => match rest {
                [] => self.account(account, envelope, case.base),
                ["orders"] => Ok(self.orders_of(account, case)),
                _ => Err(Problem::nowhere()),
            },
            ["account", ..] => Err(Problem::new(Kind::Unauthorized, "this is another's account")),
            ["order", id] => self.order(account, id, case),
            ["order", id, "finalize"] => self.finalize(account, id, &payload(envelope)?, case),
            ["authz", id, at] => self.authorization(account, (id, at), envelope, case),
            ["challenge", id, at] => self.challenge(account, (id, at), question, case),
            ["cert", id] => self.certificate(account, id),
            ["revoke-cert"] => self.revoke(&payload(envelope)?, Ok(account)),
            ["key-change"] => self.change_key(account, envelope, case.base),
            _ => Err(Problem::nowhere()),
        }
    }

    fn change_key(&mut self, account: &str, outer: &Envelope, base: &str) -> Result<Answer, Problem> {
        let inner = Envelope::read(&outer.payload)?;
        let By::Key(new) = &inner.by else { return Err(malformed("the inner JWS comes with the new key")) };
        inner.check(new)?;
        let said = payload(&inner)?;
        let old = said.get("oldKey").map(Jwk::read).transpose()?;
        let names = said.get("account").and_then(Value::as_str).and_then(|url| url.rsplit('/').next());
        if let Some((other, _)) = self.book.account_of(new) {
            return Err(Problem { status: 409, ..malformed(format!("account {other} has this key")) });
        }
        let Some(kept) = self.book.accounts.get_mut(account) else { return Err(Problem::nowhere()) };
        if inner.url != outer.url || names != Some(account) || old.as_ref() != Some(&kept.key) {
            return Err(malformed("the inner JWS names address, account and old key otherwise"));
        }
        kept.key = new.clone();
        Ok(Answer::json(200, account_document(kept, account, base)))
    }

    fn nonce(&mut self, random: &mut dyn Random) -> Result<String, PkiError> {
        let nonce = id(random)?;
        if self.nonces.len() >= NONCES {
            self.nonces.pop_front();
        }
        self.nonces.push_back(nonce.clone());
        Ok(nonce)
    }

    /// Has a server looked at.
    pub(super) fn look_at(&mut self, order: &str, at: usize) {
        let Some(kept) = self.book.orders.get(order) else { return };
        let Some(part) = kept.parts.get(at) else { return };
        let key = self.book.accounts.get(&kept.account).map(|account| account.key.thumbprint());
        let (Some(key), Ok(name)) = (key, part.name.parse()) else { return };
        let authorization = format!("{}.{key}", part.token);
        self.works.push(Work { order: order.to_owned(), at, name, token: part.token.clone(), authorization });
    }

    /// What came of looking at a server.
    pub fn settled(&mut self, (order, at): (&str, usize), outcome: Result<(), Problem>, now: WallTime) {
        let Some(part) = self.book.orders.get_mut(order).and_then(|order| order.parts.get_mut(at)) else {
            return;
        };
        if part.state != State::Processing {
            return;
        }
        match outcome {
            Ok(()) => (part.state, part.proven) = (State::Valid, Some(now)),
            Err(why) => (part.state, part.problem) = (State::Invalid, Some(why)),
        }
    }
}

/// What is asked, as an object.
pub(super) fn payload(envelope: &Envelope) -> Result<Value, Problem> {
    let value: Value = serde_json::from_slice(&envelope.payload)
        .map_err(|why| malformed(format!("what was signed is no JSON: {why}")))?;
    if value.is_object() { Ok(value) } else { Err(malformed("what was signed is no object")) }
}

/// 128 random bits as 32 hexadecimal digits.
pub(super) fn id(random: &mut dyn Random) -> Result<String, PkiError> {
    let mut bytes = [0; 16];
    random.fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The same, or our own fault.
pub(super) fn fresh(random: &mut dyn Random) -> Result<String, Problem> {
    id(random).map_err(|why| Problem::new(Kind::ServerInternal, why.to_string()))
}

/// A moment as the documents have it (RFC 3339).
pub(super) fn moment(at: WallTime) -> Value {
    json!(at.to_string().replacen(' ', "T", 1).replace(" UTC", "Z"))
}
