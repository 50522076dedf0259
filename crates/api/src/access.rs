//! Who may ask what: roles, rights, tokens, and which route a path is.

use std::fmt;
use std::str::FromStr;

use model::{Origin, WallTime};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bodies::SecretText;
use crate::routes::{Method, ROUTES, Right, Route};

/// What the holder of a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Sees the lab's picture, and may do what its token lists.
    Kiosk,
    /// Reads.
    View,
    /// Reads, starts, stops, switches, installs and types.
    Operate,
    /// Everything.
    Admin,
}

impl Role {
    /// Whether this role has a right by itself.
    #[must_use]
    pub fn may(self, right: Right) -> bool {
        match right {
            Right::Anyone | Right::Kiosk => true,
            Right::View => self >= Self::View,
            Right::Operate => self >= Self::Operate,
            Right::Admin => self >= Self::Admin,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Kiosk => "kiosk",
            Self::View => "view",
            Self::Operate => "operate",
            Self::Admin => "admin",
        })
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Kiosk, Self::View, Self::Operate, Self::Admin]
            .into_iter()
            .find(|role| role.to_string() == text)
            .ok_or_else(|| "one of kiosk, view, operate and admin".to_owned())
    }
}

/// The route that a request is for.
#[must_use]
pub fn route_of(method: Method, path: &str) -> Option<&'static Route> {
    ROUTES.iter().find(|route| route.method == method && fits(route.path, path))
}

/// Whether a path is one of a route: `{name}` stands for one part that is not empty.
fn fits(route: &str, path: &str) -> bool {
    let (mut wanted, mut found) = (route.split('/'), path.split('/'));
    loop {
        match (wanted.next(), found.next()) {
            (None, None) => return true,
            (Some(wanted), Some(found)) if wanted.starts_with('{') => {
                if found.is_empty() {
                    return false;
                }
            }
            (Some(wanted), Some(found)) if wanted == found => {}
            _ => return false,
        }
    }
}

/// A token as it is listed; the token itself is nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenView {
    /// Whose it is.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// What a kiosk may do beyond its picture, such as `POST /v1/scenarios/demo/start`.
    pub allow: Vec<String>,
    /// When it was made.
    pub created: WallTime,
    /// When it ends.
    pub expires: WallTime,
}

/// All tokens but the controller's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenList {
    /// By name.
    pub tokens: Vec<TokenView>,
}

/// Body of a request for a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenAsk {
    /// Whose it shall be: letters, digits and `-`.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// What a kiosk may do beyond its picture: a method and a path each.
    #[serde(default)]
    pub allow: Vec<String>,
    /// How many days it is good for, up to 3650.
    pub days: u32,
    /// Who asks.
    pub by: Origin,
}

/// A token that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenMade {
    /// The token, shown this once.
    pub token: SecretText,
    /// What of it is listed.
    pub listed: TokenView,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_that_of_one_route_and_parameters_are_not_empty() {
        let of = |path| route_of(Method::Get, path).map(|route| route.path);
        assert_eq!(of("/v1/nodes"), Some("/v1/nodes"));
        assert_eq!(of("/v1/nodes/node1/explain"), Some("/v1/nodes/{node}/explain"));
        for none in ["/v1/nodes//explain", "/v1/nodes/", "/v1/nodes/a/b/explain", "/", "", "/V1/nodes"] {
            assert_eq!(of(none), None, "{none}");
        }
        assert_eq!(route_of(Method::Post, "/v1/nodes").map(|route| route.path), None);
        for route in ROUTES {
            let path = route.path.replace(['{', '}'], "");
            assert_eq!(route_of(route.method, &path).map(|found| found.path), Some(route.path));
        }
    }
}
