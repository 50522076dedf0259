//! OpenWrt's ubus over HTTP: JSON-RPC 2.0 of `uhttpd-mod-ubus`, sessions of `rpcd`. Written by OpenWrt's documentation
//! (`docs/techref/ubus`) and the answers of its programs.
//!
//! ```text
//!   no session ─ session login ─▶ session ─ call ─▶ answer
//!       ▲                            └ -32002: it ran out, or the user may not ─┐
//!       └──────────────────────────── once ─────────────────────────────────────┘
//! ```

use model::SecretRef;
use serde_json::{Value, json};

use crate::power::Reveal;
use crate::power::credentials::Credentials;
use crate::power::device::{Cure, DeviceError};
use crate::power::web::{Fingerprint, Login, Origin, Question, Web};

/// The session of nobody, which may do nothing but log in.
const NOBODY: &str = "00000000000000000000000000000000";
/// Seconds that a session lasts while it is not used.
const LASTS: u32 = 600;
/// JSON-RPC's code of `rpcd` for a session that ran out, or may not do this (`uhttpd`'s `ERROR_ACCESS`).
const ACCESS: i64 = -32002;
/// JSON-RPC's code for an object that is not there (`ERROR_OBJECT`).
const NO_OBJECT: i64 = -32000;
/// ubus's own status of a call that its user may not make (`UBUS_STATUS_PERMISSION_DENIED`).
const DENIED: i64 = 6;

/// One OpenWrt device. Its user and password are asked of the secret store when it is first called.
#[derive(Debug)]
pub(crate) struct Ubus {
    url: String,
    certificate: Option<String>,
    credentials: Credentials,
    web: Option<Web>,
    session: Option<String>,
    calls: u64,
}

/// What came of one question.
enum Said {
    /// Status of ubus, and what the method gives.
    Result(i64, Value),
    /// The session does not do.
    Access,
    /// No such object or method.
    Missing(String),
}

impl Ubus {
    /// Nothing is dialed yet. `url` is the device's, `http://10.0.0.1`; `/ubus` is put behind it. The secret holds
    /// `USER:PASSWORD`, or the password of `root` alone.
    pub(crate) fn new(url: &str, certificate: Option<&str>, credentials: SecretRef, reveal: &Reveal) -> Self {
        Self {
            url: url.trim_end_matches('/').to_owned(),
            certificate: certificate.map(str::to_owned),
            credentials: Credentials::new(Some(credentials), reveal),
            web: None,
            session: None,
            calls: 0,
        }
    }

    /// Calls a method and gives its answer; `Value::Null` of one that answers nothing.
    ///
    /// # Errors
    /// `credentials` and never again where the password is wrong, `not-allowed` where its user may not call this,
    /// `not-there` where the device has no such object, `ubus` for a status of the method; and what can go wrong with
    /// HTTP.
    pub(crate) async fn call(
        &mut self,
        object: &str,
        method: &str,
        arguments: &Value,
    ) -> Result<Value, DeviceError> {
        let kept = self.session.is_some();
        if !kept {
            self.log_in().await?;
        }
        let mut said = self.ask(object, method, arguments).await?;
        if kept && matches!(said, Said::Access) {
            // It ran out, or the device was started anew.
            self.log_in().await?;
            said = self.ask(object, method, arguments).await?;
        }
        match said {
            Said::Result(0, value) => Ok(value),
            Said::Access | Said::Result(DENIED, _) => Err(DeviceError::refused(
                "not-allowed",
                format!(
                    "{}: its user may not call `{object} {method}`: allow it in a file of /usr/share/rpcd/acl.d",
                    self.url
                ),
            )),
            Said::Missing(why) => Err(DeviceError::refused(
                "not-there",
                format!("{} has no `{object} {method}`: {why}", self.url),
            )),
            Said::Result(status, _) => Err(DeviceError::refused(
                "ubus",
                format!(
                    "{} answers `{object} {method}` with status {status} ({})",
                    self.url,
                    status_word(status)
                ),
            )),
        }
    }

    /// Runs a program of the device and gives what it printed (`rpcd-mod-file`).
    ///
    /// # Errors
    /// As [`Ubus::call`]; `program-failed` where it ended with another status than 0.
    pub(crate) async fn run(&mut self, program: &str, arguments: &[&str]) -> Result<String, DeviceError> {
        let answer = self.call("file", "exec", &json!({ "command": program, "params": arguments })).await?;
        let text = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or_default();
        match answer.get("code").and_then(Value::as_i64) {
            Some(0) => Ok(text("stdout").to_owned()),
            code => {
                let code = code.map_or_else(|| "nothing".to_owned(), |code| code.to_string());
                let why = text("stderr").trim();
                let why =
                    format!("{}: `{program} {}` ended with {code}: {why}", self.url, arguments.join(" "));
                Err(DeviceError::refused("program-failed", why))
            }
        }
    }

    /// Where it is, for a person.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Forgets the session, after an error whose end nobody saw.
    pub(crate) fn forget(&mut self) {
        self.session = None;
    }

    async fn log_in(&mut self) -> Result<(), DeviceError> {
        self.session = None;
        let (user, password) = self.user()?;
        let who = json!({ "username": user, "password": password, "timeout": LASTS });
        match self.ask("session", "login", &who).await? {
            Said::Result(0, value) => {
                let session = value.get("ubus_rpc_session").and_then(Value::as_str);
                self.session = session.map(str::to_owned);
                match self.session {
                    Some(_) => Ok(()),
                    None => Err(self.garbled(&value)),
                }
            }
            Said::Result(DENIED, _) | Said::Access => {
                Err(DeviceError::locked(format!("{} does not take the password of `{user}`", self.url)))
            }
            Said::Result(status, _) => {
                let why =
                    format!("{} answers a login with status {status}: {}", self.url, status_word(status));
                Err(DeviceError::lost("ubus", why))
            }
            Said::Missing(why) => Err(DeviceError::refused("not-there", format!("{}: {why}", self.url))),
        }
    }

    fn user(&self) -> Result<(String, String), DeviceError> {
        let text = self.credentials.text()?.unwrap_or_default();
        let (user, password) = text.split_once(':').unwrap_or(("root", &text));
        Ok((user.to_owned(), password.to_owned()))
    }

    async fn ask(&mut self, object: &str, method: &str, arguments: &Value) -> Result<Said, DeviceError> {
        self.calls = self.calls.wrapping_add(1);
        let session = self.session.as_deref().unwrap_or(NOBODY);
        let body = json!({
            "jsonrpc": "2.0", "id": self.calls, "method": "call", "params": [session, object, method, arguments],
        });
        let number = self.calls;
        let answer = self.web()?.json(&Question::post("/ubus", body.to_string())).await?;
        if answer.get("id").and_then(Value::as_u64) != Some(number) {
            // An answer to another's question says nothing about this one.
            return Err(self.garbled(&answer));
        }
        if let Some(error) = answer.get("error") {
            let why = error.get("message").and_then(Value::as_str).unwrap_or("no reason given").to_owned();
            return match error.get("code").and_then(Value::as_i64) {
                Some(ACCESS) => Ok(Said::Access),
                Some(NO_OBJECT) => Ok(Said::Missing(why)),
                _ => Err(self.garbled(&answer)),
            };
        }
        let result = answer.get("result").and_then(Value::as_array);
        let status = result.and_then(|result| result.first()).and_then(Value::as_i64);
        match (status, result) {
            (Some(status), Some(result)) => {
                Ok(Said::Result(status, result.get(1).cloned().unwrap_or(Value::Null)))
            }
            _ => Err(self.garbled(&answer)),
        }
    }

    fn web(&mut self) -> Result<&mut Web, DeviceError> {
        if self.web.is_none() {
            let origin =
                Origin::read(&self.url).map_err(|why| DeviceError::locked(format!("{}: {why}", self.url)))?;
            let certificate = self.certificate.as_deref().and_then(Fingerprint::read);
            self.web = Some(Web::new(origin, Login::Nobody, certificate));
        }
        self.web.as_mut().ok_or_else(|| DeviceError::lost("unreached", "it is not there"))
    }

    fn garbled(&self, answer: &Value) -> DeviceError {
        let shown: String = answer.to_string().chars().take(160).collect();
        let why = format!("{} answers with what is not understood: {shown}", self.url);
        DeviceError { code: "not-understood", why, cure: Cure::Doubt }
    }
}

/// ubus's words for its statuses (`ubusmsg.h`).
const fn status_word(status: i64) -> &'static str {
    match status {
        1 => "invalid command",
        2 => "invalid argument",
        3 => "method not found",
        4 => "not found",
        5 => "no data",
        DENIED => "permission denied",
        7 => "timeout",
        8 => "not supported",
        9 => "unknown error",
        10 => "connection failed",
        _ => "no word for it",
    }
}
