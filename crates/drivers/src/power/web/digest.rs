//! Digest access authentication (RFC 7616), the client's half: a challenge in, an `Authorization` header out.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use md5::{Digest as _, Md5};
use ring::digest::{SHA256, digest};

/// What a server asks to be answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Challenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    hash: Hash,
    /// As the server wrote the algorithm; absent where it did not.
    algorithm: Option<String>,
    /// Whether it takes `qop=auth`.
    qop: bool,
    /// The password may be right: only the nonce was old.
    pub(super) stale: bool,
    /// How often this nonce was used.
    used: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hash {
    Md5,
    Sha256,
}

impl Hash {
    fn of(self, text: &str) -> String {
        let bytes = match self {
            Self::Md5 => Md5::digest(text.as_bytes()).to_vec(),
            Self::Sha256 => digest(&SHA256, text.as_bytes()).as_ref().to_vec(),
        };
        let mut out = String::with_capacity(bytes.len() * 2);
        for byte in bytes {
            // Writing to a string does not fail.
            write!(out, "{byte:02x}").unwrap_or_default();
        }
        out
    }
}

impl Challenge {
    /// Reads a `WWW-Authenticate` header; `None` where it is no challenge that can be answered.
    pub(super) fn read(header: &str) -> Option<Self> {
        let (scheme, rest) = header.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("digest") {
            return None;
        }
        let fields = fields(rest);
        let algorithm = fields.get("algorithm").cloned();
        let hash = match algorithm.as_deref().map(str::to_ascii_uppercase).as_deref() {
            None | Some("MD5") => Hash::Md5,
            Some("SHA-256") => Hash::Sha256,
            Some(_) => return None,
        };
        let qop = fields.get("qop").is_some_and(|all| all.split(',').any(|word| word.trim() == "auth"));
        Some(Self {
            realm: fields.get("realm")?.clone(),
            nonce: fields.get("nonce")?.clone(),
            opaque: fields.get("opaque").cloned(),
            hash,
            algorithm,
            qop,
            stale: fields.get("stale").is_some_and(|word| word.eq_ignore_ascii_case("true")),
            used: 0,
        })
    }

    /// True of SHA-256: of several challenges the strongest is answered.
    pub(super) fn is_strong(&self) -> bool {
        self.hash == Hash::Sha256
    }

    /// The header's value for a request (RFC 7616 section 3.4); `chance` is the client's nonce.
    pub(super) fn answer(
        &mut self,
        (user, password): (&str, &str),
        (method, uri): (&str, &str),
        chance: &str,
    ) -> String {
        self.used += 1;
        let Self { realm, nonce, hash, .. } = &*self;
        let who = hash.of(&format!("{user}:{realm}:{password}"));
        let what = hash.of(&format!("{method}:{uri}"));
        let count = format!("{:08x}", self.used);
        let response = if self.qop {
            hash.of(&format!("{who}:{nonce}:{count}:{chance}:auth:{what}"))
        } else {
            hash.of(&format!("{who}:{nonce}:{what}"))
        };
        let user = user.replace(['"', '\\'], "");
        let mut out = format!(
            "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", response=\"{response}\""
        );
        if let Some(algorithm) = &self.algorithm {
            out += &format!(", algorithm={algorithm}");
        }
        if let Some(opaque) = &self.opaque {
            out += &format!(", opaque=\"{opaque}\"");
        }
        if self.qop {
            out += &format!(", qop=auth, nc={count}, cnonce=\"{chance}\"");
        }
        out
    }
}

/// The fields of a challenge: `name=value` or `name="value"`, with commas between them and also inside the quotes.
fn fields(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_matches([' ', ',']).to_ascii_lowercase();
        let (value, next) = match after.trim_start().strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        found.insert(name, value.trim().to_owned());
        rest = next;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7616 section 3.9.1.
    #[test]
    fn both_hashes_answer_as_the_standard_does() {
        let ask = |algorithm: &str| {
            let header = format!(
                "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, \
                 nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", \
                 opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
            );
            let mut challenge = Challenge::read(&header).unwrap();
            let who = ("Mufasa", "Circle of Life");
            let chance = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
            challenge.answer(who, ("GET", "/dir/index.html"), chance)
        };
        let md5 = ask("MD5");
        assert!(md5.contains("response=\"8ca523f5e9506fed4657c9700eebdbec\""), "{md5}");
        let sha = ask("SHA-256");
        let wanted = "response=\"753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1\"";
        assert!(sha.contains(wanted) && sha.contains("nc=00000001") && sha.contains("qop=auth,"), "{sha}");
    }

    #[test]
    fn a_server_without_qop_gets_the_old_answer_and_a_foreign_scheme_none() {
        let mut old = Challenge::read("Digest realm=\"a, b\", nonce=\"n\"").unwrap();
        let said = old.answer(("u", "p"), ("GET", "/"), "c");
        let who = Hash::Md5.of("u:a, b:p");
        let what = Hash::Md5.of("GET:/");
        let response = Hash::Md5.of(&format!("{who}:n:{what}"));
        assert_eq!(
            said,
            format!("Digest username=\"u\", realm=\"a, b\", nonce=\"n\", uri=\"/\", response=\"{response}\"")
        );
        for foreign in
            ["Basic realm=\"x\"", "Digest realm=\"x\", nonce=\"n\", algorithm=MD5-sess", "Digest", ""]
        {
            assert_eq!(Challenge::read(foreign), None, "{foreign}");
        }
        assert!(Challenge::read("digest nonce=\"n\", realm=\"x\", stale=TRUE").unwrap().stale);
    }
}
