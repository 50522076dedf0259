//! Reading `secrets.yaml`: every field checked, all that is wrong told at once.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Encryption, Hidden, Issuer, Secrets, SecretsError, ServiceAccountKey, Why, WrongSecret, hidden};
use crate::pki::Authority;
use crate::yaml::{Document, Map, Path, Value, parse_one};

/// Groups of the file and their fields.
const FIELDS: [(&str, &[&str]); 9] = [
    ("", &["cluster", "secrets", "trustdinfo", "certs"]),
    ("cluster", &["id", "secret"]),
    ("secrets", &["bootstraptoken", "secretboxencryptionsecret", "aescbcencryptionsecret"]),
    ("trustdinfo", &["token"]),
    ("certs", &["etcd", "k8s", "k8saggregator", "k8sserviceaccount", "os"]),
    ("certs.etcd", &["crt", "key"]),
    ("certs.k8s", &["crt", "key"]),
    ("certs.k8saggregator", &["crt", "key"]),
    ("certs.os", &["crt", "key"]),
];

impl Secrets {
    /// Reads `secrets.yaml`, whoever made it.
    ///
    /// # Errors
    /// It is not YAML, or fields are missing, unknown, or not what they should be.
    pub fn from_yaml(text: &str) -> Result<Self, SecretsError> {
        let document = parse_one(text)?;
        let mut reading = Reading { document: &document, wrong: Vec::new() };
        reading.unknown_fields();
        let read = reading.all();
        match read {
            Some(secrets) if reading.wrong.is_empty() => Ok(secrets),
            Some(_) | None => Err(SecretsError::Wrong(reading.wrong)),
        }
    }
}

struct Reading<'a> {
    document: &'a Document,
    wrong: Vec<WrongSecret>,
}

impl<'a> Reading<'a> {
    fn tell(&mut self, field: &str, why: Why) {
        let at = self.document.places.of(&path(field));
        self.wrong.push(WrongSecret { at, field: field.to_owned(), why });
    }

    fn value(&self, field: &str) -> Option<&'a Value> {
        self.document.value.at(keys(field)).filter(|value| !value.is_null())
    }

    fn unknown_fields(&mut self) {
        let Some(root) = self.document.value.as_map() else {
            self.tell("", Why::Kind { found: self.document.value.called(), expected: "a mapping" });
            return;
        };
        let account: (&str, &[&str]) = ("certs.k8sserviceaccount", &["key"]);
        for (group, known) in FIELDS.into_iter().chain([account]) {
            let value = if group.is_empty() { Some(&self.document.value) } else { root_at(root, group) };
            let Some(value) = value.filter(|value| !value.is_null()) else { continue };
            let Some(map) = value.as_map() else {
                self.tell(group, Why::Kind { found: value.called(), expected: "a mapping" });
                continue;
            };
            for key in map.keys().filter(|key| !known.contains(key)) {
                let field = if group.is_empty() { key.to_owned() } else { format!("{group}.{key}") };
                self.tell(&field, Why::Unknown);
            }
        }
    }

    /// A text that is there and not empty.
    fn text(&mut self, field: &str) -> Option<&'a str> {
        match self.value(field) {
            None => {
                self.tell(field, Why::Missing);
                None
            }
            Some(Value::String(text)) if text.is_empty() => {
                self.tell(field, Why::Missing);
                None
            }
            Some(Value::String(text)) => Some(text),
            Some(other) => {
                self.tell(field, Why::Kind { found: other.called(), expected: "text" });
                None
            }
        }
    }

    /// A text of a form.
    fn formed(&mut self, field: &str, form: fn(&str) -> bool, called: &'static str) -> Option<Hidden> {
        let text = self.text(field)?;
        if form(text) {
            return Some(hidden(text));
        }
        self.tell(field, Why::Form(called));
        None
    }

    /// PEM in base64.
    fn pem(&mut self, field: &str) -> Option<String> {
        let text = self.text(field)?;
        let pem = STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        if pem.is_none() {
            self.tell(field, Why::Form("base64 of a PEM text"));
        }
        pem
    }

    fn issuer(&mut self, field: &str) -> Option<Issuer> {
        let (certificate, key) = (self.pem(&format!("{field}.crt")), self.pem(&format!("{field}.key")));
        let (certificate, key) = (certificate?, hidden(key?));
        match Authority::from_pem(&certificate, key.reveal()) {
            Ok(authority) => Some(Issuer { certificate, key, authority }),
            Err(why) => {
                self.tell(field, Why::Pki(why));
                None
            }
        }
    }

    fn encryption(&mut self) -> Option<Encryption> {
        const SECRETBOX: &str = "secrets.secretboxencryptionsecret";
        const AES_CBC: &str = "secrets.aescbcencryptionsecret";
        const FORM: &str = "base64 of 32 bytes";
        match (self.value(SECRETBOX).is_some(), self.value(AES_CBC).is_some()) {
            (true, true) => {
                self.tell(SECRETBOX, Why::TwoEncryptions);
                None
            }
            (false, true) => self.formed(AES_CBC, is_32_bytes, FORM).map(Encryption::AesCbc),
            (_, false) => self.formed(SECRETBOX, is_32_bytes, FORM).map(Encryption::Secretbox),
        }
    }

    fn service_account(&mut self) -> Option<Hidden> {
        const FIELD: &str = "certs.k8sserviceaccount.key";
        let pem = self.pem(FIELD)?;
        match ServiceAccountKey::from_pem(&pem) {
            Ok(key) => Some(key.0),
            Err(why) => {
                self.tell(FIELD, Why::Pki(why));
                None
            }
        }
    }

    /// Reads every field before it gives up on any.
    fn all(&mut self) -> Option<Secrets> {
        const TOKEN: &str = "a token of 6 and 16 letters a-z and digits with a dot between";
        let cluster_id = self.text("cluster.id").map(ToOwned::to_owned);
        let cluster_secret = self.formed("cluster.secret", is_32_bytes, "base64 of 32 bytes");
        let bootstrap_token = self.formed("secrets.bootstraptoken", is_token, TOKEN);
        let encryption = self.encryption();
        let trustd_token = self.text("trustdinfo.token").map(hidden);
        let etcd = self.issuer("certs.etcd");
        let k8s = self.issuer("certs.k8s");
        let aggregator = self.issuer("certs.k8saggregator");
        let service_account = self.service_account();
        let os = self.issuer("certs.os");
        Some(Secrets {
            cluster_id: cluster_id?,
            cluster_secret: cluster_secret?,
            bootstrap_token: bootstrap_token?,
            encryption: encryption?,
            trustd_token: trustd_token?,
            etcd: etcd?,
            k8s: k8s?,
            aggregator: aggregator?,
            os: os?,
            service_account: Some(service_account?),
        })
    }
}

fn keys(field: &str) -> impl Iterator<Item = &str> {
    field.split('.').filter(|key| !key.is_empty())
}

fn path(field: &str) -> Path {
    Path::of_keys(keys(field))
}

fn root_at<'a>(root: &'a Map, group: &str) -> Option<&'a Value> {
    let mut keys = keys(group);
    let first = root.get(keys.next()?)?;
    first.at(keys)
}

fn is_32_bytes(text: &str) -> bool {
    STANDARD.decode(text).is_ok_and(|bytes| bytes.len() == 32)
}

fn is_token(text: &str) -> bool {
    let good = |part: &str, length| {
        part.len() == length && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    text.split_once('.').is_some_and(|(id, secret)| good(id, 6) && good(secret, 16))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = include_str!("../../tests/fixtures/secrets.yaml");

    fn problems(text: &str) -> Vec<String> {
        let SecretsError::Wrong(wrong) = Secrets::from_yaml(text).unwrap_err() else {
            panic!("{text} is not even YAML")
        };
        wrong.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_was_read_is_written_the_same() {
        let secrets = Secrets::from_yaml(FILE).unwrap();
        assert_eq!(secrets.to_yaml().unwrap().as_str(), FILE);
        assert_eq!(secrets.os().certificate().organizations(), ["talos"]);
        assert_eq!(secrets.kubernetes().certificate().organizations(), ["kubernetes"]);
        assert_eq!(secrets.etcd().certificate().organizations(), ["etcd"]);
    }

    #[test]
    fn everything_that_is_missing_is_named_at_once() {
        let all = problems("cluster:\n    id: x\nsecrets: {}\ncerts:\n    os:\n        crt: \"\"\n");
        for field in [
            "cluster.secret",
            "secrets.bootstraptoken",
            "secrets.secretboxencryptionsecret",
            "trustdinfo.token",
            "certs.etcd.crt",
            "certs.k8s.key",
            "certs.k8saggregator.crt",
            "certs.k8sserviceaccount.key",
            "certs.os.crt",
            "certs.os.key",
        ] {
            assert!(
                all.iter().any(|line| line.ends_with(&format!("{field} is missing"))),
                "{field} in {all:?}"
            );
        }
        assert_eq!(all.len(), 13, "{all:?}");
    }

    /// The fixture with one line changed.
    fn with(field: &str, value: &str) -> String {
        let changed = FILE.lines().map(|line| match line.split_once(": ") {
            Some((key, _)) if key.trim() == field => format!("{key}: {value}\n"),
            _ => format!("{line}\n"),
        });
        changed.collect()
    }

    #[test]
    fn each_mistake_names_its_field_its_place_and_never_its_value() {
        let cases = [
            ("secret", "dGlueQ==", "2:5: cluster.secret is not base64 of 32 bytes"),
            ("bootstraptoken", "ABCDEF.0123456789abcdef", "secrets.bootstraptoken is not a token"),
            ("bootstraptoken", "[hush]", "secrets.bootstraptoken is a list where text is expected"),
            (
                "secretboxencryptionsecret",
                "hush",
                "secrets.secretboxencryptionsecret is not base64 of 32 bytes",
            ),
        ];
        for (field, value, expected) in cases {
            let all = problems(&with(field, value));
            let expected = expected.trim_start_matches("2:5: ");
            assert!(all.iter().any(|line| line.contains(expected)), "{expected} in {all:?}");
            assert!(!all.concat().contains("hush") && !all.concat().contains("ABCDEF"), "{all:?}");
        }
    }

    #[test]
    fn a_pair_that_does_not_belong_together_and_fields_nobody_knows_are_refused() {
        let other = FILE.replacen("    etcd:", "    k8s_:", 1).replacen("    k8s:", "    etcd:", 1);
        let other = other.replacen("    k8s_:", "    k8s:", 1);
        assert!(Secrets::from_yaml(&other).is_ok(), "two whole pairs can change places");

        let lines: Vec<&str> = FILE.lines().collect();
        let crt = lines.iter().position(|line| line.trim_start().starts_with("crt:")).unwrap();
        let next = lines.iter().rposition(|line| line.trim_start().starts_with("crt:")).unwrap();
        let mut mixed = lines.clone();
        mixed.swap(crt, next);
        let all = problems(&format!("{}\nspare: 1\n", mixed.join("\n")));
        for line in [
            "certs.etcd cannot be used: the key does not belong",
            "certs.os cannot be used",
            "spare is not known",
        ] {
            assert!(all.iter().any(|told| told.contains(line)), "{line} in {all:?}");
        }

        let both = FILE.replace(
            "    secretboxencryptionsecret:",
            "    aescbcencryptionsecret: gWPKb38/o6TsAHtEevuKGzPy6rycTPSXdH5pMPbiWeA=\n    secretboxencryptionsecret:",
        );
        assert!(problems(&both).concat().contains("exclude each other"));
        assert!(problems("- 1\n").concat().contains("a list where a mapping is expected"));
        assert_eq!(Secrets::from_yaml("a: [").unwrap_err().code(), "yaml-broken");
    }
}
