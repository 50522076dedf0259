//! Documents on the kernel line: `talos.config.inline`, base64 of zstd, in one argument or several that are joined.
//!
//! Talos 1.9 and later look there last before they wait for a config, so what stands there acts in boots before a machine
//! has its config: the config that is pushed takes the place of all of it, and a saved one is found first
//! (`controllers/config/acquire.go`). Whoever can start a program on the machine, and whoever hears its boot script,
//! reads it.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ruzstd::decoding::StreamingDecoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use crate::kinds::V1ALPHA1;
use crate::load::{Document, load};
use crate::mistake::Mistake;
use crate::release::Minor;
use crate::yaml::{Path, Place, Value};

/// The argument's name.
pub const ARGUMENT: &str = model::TALOS_INLINE;
/// Bytes of a whole kernel line on x86-64 and arm64 (`COMMAND_LINE_SIZE`, less its end). Loaders go by the same number:
/// a kernel tells it in its header, and iPXE and GRUB take it from there.
pub const LINE: usize = 2047;
/// What is left of it for others: Talos's own arguments take 210 bytes, and those that a boss adds, with the longest
/// addresses, 400.
pub const OTHERS: usize = 640;
/// The largest text that is unpacked, in bytes: 1400 letters can be made to say gigabytes.
const LARGEST: u64 = 1 << 20;

/// Keys of documents whose values open something.
const SECRETS: [&str; 13] = [
    "apiToken",
    "auth",
    "clusterSecret",
    "identityToken",
    "key",
    "passphrase",
    "password",
    "presharedKey",
    "privateKey",
    "secret",
    "secretboxEncryptionSecret",
    "token",
    "uniqueToken",
];
/// What tells a secret by its text: a private key as PEM, and the token in a `SideroLink` URL.
const MARKS: [&str; 2] = ["PRIVATE KEY-----", "jointoken="];

/// Why documents cannot stand on a kernel line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InlineError {
    /// They are no documents that this Talos knows.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Mistakes(Vec<Mistake>),
    /// One of them holds a secret.
    #[error("line {}, {document}, {field}: this opens something, and a kernel line is read by everybody", .place.line)]
    Secret {
        /// Which document.
        document: String,
        /// Which field.
        field: String,
        /// Where it stands.
        place: Place,
    },
    /// One is the machine config itself.
    #[error("line {}: `machine` and `cluster` are the machine's own config, which has keys in it", .place.line)]
    MachineConfig {
        /// Where it stands.
        place: Place,
    },
    /// The kernel would not take so long a line.
    #[error("the argument has {bytes} bytes, and {most} are left for it: a kernel line has {LINE}")]
    TooLong {
        /// Of the argument.
        bytes: usize,
        /// What it may have.
        most: usize,
    },
    /// The argument is not what Talos understands.
    #[error("{ARGUMENT} is not base64 of zstd")]
    Unreadable,
}

impl InlineError {
    /// Stable word for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Mistakes(_) => "inline_mistakes",
            Self::Secret { .. } => "inline_secret",
            Self::MachineConfig { .. } => "inline_machine_config",
            Self::TooLong { .. } => "inline_too_long",
            Self::Unreadable => "inline_unreadable",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::Mistakes(all) => {
                let mut advice: Vec<String> = all.iter().map(Mistake::advice).collect();
                advice.dedup();
                advice.join("; ")
            }
            Self::Secret { .. } | Self::MachineConfig { .. } => {
                "leave it out here: a config that is pushed, or a patch of it, carries keys".to_owned()
            }
            Self::TooLong { .. } => "leave documents out, or carry them as patches of the config".to_owned(),
            Self::Unreadable => "write it with `labinator talos inline FILE`".to_owned(),
        }
    }
}

/// The value of the argument for these documents. `beside` is how many bytes of other arguments of the owner's stand on the
/// line.
///
/// # Errors
/// What stands in [`InlineError`], apart from [`InlineError::Unreadable`].
pub fn encode(text: &str, release: Option<Minor>, beside: usize) -> Result<String, InlineError> {
    let config = load(text, release).into_result().map_err(InlineError::Mistakes)?;
    for document in &config.documents {
        let secret = secret(&Value::Map(document.value.clone()), &Path::root());
        match secret {
            Some(path) => {
                let place = document.places.of(&path);
                return Err(InlineError::Secret {
                    document: named(document),
                    field: path.to_string(),
                    place,
                });
            }
            None if document.kind.name == V1ALPHA1 => {
                return Err(InlineError::MachineConfig { place: document.places.root() });
            }
            None => {}
        }
    }
    // As Talos writes it: without the comments.
    let value = STANDARD.encode(compress_to_vec(config.to_yaml().as_bytes(), CompressionLevel::Fastest));
    let bytes = ARGUMENT.len() + 1 + value.len();
    let most = LINE.saturating_sub(OTHERS + beside);
    if bytes > most { Err(InlineError::TooLong { bytes, most }) } else { Ok(value) }
}

/// The documents of a kernel line; `None` where it has none.
///
/// # Errors
/// [`InlineError::Unreadable`].
pub fn decode(line: &str) -> Result<Option<String>, InlineError> {
    let parts = line.split_ascii_whitespace().filter_map(|word| word.split_once('='));
    let value: String = parts.filter(|(name, _)| *name == ARGUMENT).map(|(_, value)| value).collect();
    if value.is_empty() {
        return Ok(None);
    }
    let packed = STANDARD.decode(value).map_err(|_| InlineError::Unreadable)?;
    let mut text = String::new();
    let mut unpacked = StreamingDecoder::new(packed.as_slice()).map_err(|_| InlineError::Unreadable)?;
    let read = unpacked.by_ref().take(LARGEST).read_to_string(&mut text);
    read.map(|_| Some(text)).map_err(|_| InlineError::Unreadable)
}

/// What a document is called in a sentence.
fn named(document: &Document) -> String {
    if document.kind.name == V1ALPHA1 { "the machine config".to_owned() } else { document.id.to_string() }
}

/// The first secret below a value.
fn secret(value: &Value, path: &Path) -> Option<Path> {
    match value {
        Value::Map(map) => map.iter().find_map(|(key, inner)| {
            let here = path.key(key);
            let told = inner.text().is_some_and(|text| !text.is_empty());
            if told && SECRETS.contains(&key) { Some(here) } else { secret(inner, &here) }
        }),
        Value::List(list) => {
            list.iter().enumerate().find_map(|(index, inner)| secret(inner, &path.index(index)))
        }
        Value::String(text) => MARKS.iter().any(|mark| text.contains(mark)).then(|| path.clone()),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Plain(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SINKS: &str = "\
# where it tells what happens to it
apiVersion: v1alpha1
kind: EventSinkConfig
endpoint: 10.0.0.1:4002
---
apiVersion: v1alpha1
kind: KmsgLogConfig
name: boss
url: tcp://10.0.0.1:4003/
";

    #[test]
    fn documents_come_back_without_their_comments_also_from_several_arguments() {
        let value = encode(SINKS, None, 0).unwrap();
        let line = format!("quiet {ARGUMENT}={value} panic=0");
        let text = decode(&line).unwrap().unwrap();
        assert_eq!(load(&text, None).config.documents.len(), 2);
        assert!(text.contains("endpoint: 10.0.0.1:4002") && !text.contains("where it tells"), "{text}");
        let (one, other) = value.split_at(20);
        let parts = format!("{ARGUMENT}={one} quiet {ARGUMENT}={other}");
        assert_eq!(decode(&parts).unwrap().unwrap(), text);
        assert_eq!(decode("talos.config=http://10.0.0.1/c/x quiet"), Ok(None));
        for wrong in ["%%%", "aGVsbG8=", &value[..24]] {
            assert_eq!(decode(&format!("{ARGUMENT}={wrong}")), Err(InlineError::Unreadable), "{wrong}");
        }
    }

    #[test]
    fn what_another_zstd_packed_is_read() {
        // zstd 1.5.4, level 19, of `apiVersion: v1alpha1`, `kind: EventSinkConfig`, `endpoint: 10.0.0.1:4002`.
        let packed = "KLUv/QRo/QEA8sMNEaBvwBBRlofshDdIipjqtxUKgIxRmsXg0PZdzvUMOG8vDXxH9tk9odc7BKzejIpv6JdeKUs+VQEAWOCgrcVh2g==";
        let text = "apiVersion: v1alpha1\nkind: EventSinkConfig\nendpoint: 10.0.0.1:4002\n";
        assert_eq!(decode(&format!("{ARGUMENT}={packed}")).unwrap().as_deref(), Some(text));
    }

    #[test]
    fn a_secret_is_named_wherever_it_stands() {
        let cases = [
            (
                "apiVersion: v1alpha1\nkind: WireguardConfig\nname: wg0\nprivateKey: abc\n",
                "WireguardConfig wg0, privateKey",
            ),
            (
                "apiVersion: v1alpha1\nkind: WireguardConfig\nname: wg0\npeers:\n  - presharedKey: abc\n",
                "peers[0].presharedKey",
            ),
            (
                "apiVersion: v1alpha1\nkind: SideroLinkConfig\napiUrl: grpc://10.0.0.1:8081?jointoken=abc\n",
                "SideroLinkConfig, apiUrl",
            ),
            ("version: v1alpha1\nmachine:\n  token: abc\n", "line 3, the machine config, machine.token"),
        ];
        for (text, part) in cases {
            let found = encode(text, None, 0).unwrap_err();
            assert!(found.code() == "inline_secret" && found.to_string().contains(part), "{found}");
            assert!(!found.to_string().contains("abc"), "{found}");
        }
        let found = encode("version: v1alpha1\nmachine:\n  type: worker\n", None, 0).unwrap_err();
        assert_eq!(found.code(), "inline_machine_config");
    }

    #[test]
    fn what_talos_does_not_know_or_the_kernel_does_not_take_is_refused() {
        let found = encode("apiVersion: v1alpha1\nkind: EventSinkConfig\nendpont: x\n", None, 0).unwrap_err();
        assert!(found.code() == "inline_mistakes" && found.to_string().contains("line 3"), "{found}");
        let newer = "apiVersion: v1alpha1\nkind: HostnameConfig\nhostname: node1\n";
        assert_eq!(encode(newer, Some(Minor::V1_11), 0).unwrap_err().code(), "inline_mistakes");
        assert!(encode(newer, Some(Minor::V1_12), 0).is_ok());
        let bytes = ARGUMENT.len() + 1 + encode(SINKS, None, 0).unwrap().len();
        let room = LINE - OTHERS - bytes;
        assert!(encode(SINKS, None, room).is_ok());
        let most = bytes - 1;
        assert_eq!(encode(SINKS, None, room + 1), Err(InlineError::TooLong { bytes, most }));
    }
}
