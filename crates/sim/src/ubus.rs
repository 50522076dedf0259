//! ubus over HTTP as OpenWrt's `uhttpd-mod-ubus` and `rpcd` have it: sessions, refusals, and whatever objects it is given.

use serde_json::{Value, json};

/// The session of nobody.
const NOBODY: &str = "00000000000000000000000000000000";

/// What an object says to a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Called {
    /// Status 0, and this.
    Gives(Value),
    /// Another status (`ubusmsg.h`).
    Status(i64),
    /// There is no such object or method.
    Missing,
}

/// The door of a device: one user, one session.
#[derive(Debug, Clone, Default)]
pub struct Ubus {
    /// Who may log in.
    pub user: String,
    /// With which password.
    pub password: String,
    /// Objects that its user may not call.
    pub forbidden: Vec<String>,
    /// Logins that were taken.
    pub logins: u32,
    /// Logins with a wrong password.
    pub wrong: u32,
    /// Calls that were made, in order: object and method.
    pub calls: Vec<String>,
    session: Option<String>,
}

impl Ubus {
    /// A device with this user.
    #[must_use]
    pub fn new(user: &str, password: &str) -> Self {
        Self { user: user.to_owned(), password: password.to_owned(), ..Self::default() }
    }

    /// The device was started anew: sessions are forgotten.
    pub fn restart(&mut self) {
        self.session = None;
    }

    /// Answers the body of a POST to `/ubus`. Objects besides `session` are asked of `call`.
    pub fn answer(&mut self, body: &[u8], call: impl FnOnce(&str, &str, &Value) -> Called) -> Value {
        let Ok(asked) = serde_json::from_slice::<Value>(body) else {
            return json!({ "jsonrpc": "2.0", "id": null, "error": { "code": -32700, "message": "Parse error" } });
        };
        let id = asked.get("id").cloned().unwrap_or(Value::Null);
        let error = |code: i64, message: &str| json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } });
        let Some([session, object, method, arguments]) =
            asked.get("params").and_then(Value::as_array).map(Vec::as_slice)
        else {
            return error(-32600, "Invalid request");
        };
        let (session, object) = (session.as_str().unwrap_or_default(), object.as_str().unwrap_or_default());
        let method = method.as_str().unwrap_or_default();
        let result = |status: i64, value: Option<Value>| {
            let mut all = vec![json!(status)];
            all.extend(value);
            json!({ "jsonrpc": "2.0", "id": id, "result": all })
        };
        if (object, method) == ("session", "login") {
            let is = |key: &str, wanted: &str| arguments.get(key).and_then(Value::as_str) == Some(wanted);
            if session != NOBODY || !is("username", &self.user) || !is("password", &self.password) {
                self.wrong += 1;
                return result(6, None);
            }
            self.logins += 1;
            let session = format!("{:032x}", 0xab_cdef_u64 + u64::from(self.logins));
            self.session = Some(session.clone());
            return result(0, Some(json!({ "ubus_rpc_session": session, "timeout": 600, "expires": 599 })));
        }
        if self.session.as_deref() != Some(session) || self.forbidden.iter().any(|name| name == object) {
            return error(-32002, "Access denied");
        }
        self.calls.push(format!("{object} {method}"));
        match call(object, method, arguments) {
            Called::Gives(value) => result(0, Some(value)),
            Called::Status(status) => result(status, None),
            Called::Missing => error(-32000, "Object not found"),
        }
    }
}
