//! Why a system could not be fetched, and what to do about it.

use std::io;
use std::path::PathBuf;

use super::catalogue::CATALOGUE;
use super::talos;

/// Why a system could not be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The catalogue has no such system.
    #[error("there is no system `{asked}` in the catalogue")]
    Unknown {
        /// As typed.
        asked: String,
    },
    /// It has no version that is always there.
    #[error("{name} needs a version")]
    NoVersion {
        /// Which system.
        name: &'static str,
    },
    /// Its maker has nothing for this architecture.
    #[error("{name} has no files for {arch}")]
    NoArchitecture {
        /// Which system.
        name: &'static str,
        /// As typed.
        arch: String,
    },
    /// Not a version of it.
    #[error("{name} has no version `{asked}`: {why}")]
    BadVersion {
        /// Which system.
        name: &'static str,
        /// As typed.
        asked: String,
        /// What is wrong with it.
        why: String,
    },
    /// Not a schematic of Talos's image factory, or of another system.
    #[error("`{asked}` is no schematic of {name}")]
    BadSchematic {
        /// Which system; as typed.
        name: String,
        /// As typed.
        asked: String,
    },
    /// Files are not in the folder that they were to come from.
    #[error("{folder} lacks {names}", folder = folder.display(), names = names.join(", "))]
    Absent {
        /// The folder.
        folder: PathBuf,
        /// Names that were looked for and are not there.
        names: Vec<String>,
    },
    /// Nobody says what a file must be.
    #[error("nothing says what {names} in {folder} must be", folder = folder.display(), names = names.join(", "))]
    Unproven {
        /// The folder that they lie in.
        folder: PathBuf,
        /// The files.
        names: Vec<String>,
        /// The list that was looked for, where the maker writes one.
        list: Option<String>,
    },
    /// Kernel arguments that came with the files cannot be used.
    #[error("{url} is no kernel line: {why}")]
    BadLine {
        /// Where they came from.
        url: String,
        /// What is wrong with them.
        why: String,
    },
    /// Not an address this client can ask.
    #[error("`{url}` is not an http:// or https:// address")]
    Address {
        /// As it was put together.
        url: String,
    },
    /// The server said no.
    #[error("{url}: {status}")]
    Status {
        /// What was asked for.
        url: String,
        /// What it said.
        status: http::StatusCode,
    },
    /// The transfer did not come to its end.
    #[error("{url}: {why}")]
    Broken {
        /// What was asked for.
        url: String,
        /// What happened.
        why: String,
    },
    /// The server did not prove that it is who it is called.
    #[error("{url}: its certificate is not to be trusted: {why}")]
    Untrusted {
        /// What was asked for.
        url: String,
        /// What is wrong with the certificate.
        why: String,
        /// The certificates that are trusted.
        trusted: PathBuf,
    },
    /// No certificate to trust.
    #[error("{path}: {why}", path = path.display())]
    Trust {
        /// Where they were looked for.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The distributor's list does not name a file.
    #[error("{list} says nothing about {file}")]
    NotListed {
        /// Which list.
        list: String,
        /// Which file.
        file: String,
    },
    /// The file is not what was promised.
    #[error("{url} is not what {by} says: expected {expected}, found {found}")]
    Mismatch {
        /// Where it came from.
        url: String,
        /// Who promised: `images.lock` or the distributor's list.
        by: String,
        /// What was promised.
        expected: String,
        /// What came.
        found: String,
    },
    /// The pins cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    Pins {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl FetchError {
    /// Stable word for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "fetch-unknown",
            Self::NoVersion { .. } => "fetch-version",
            Self::NoArchitecture { .. } => "fetch-architecture",
            Self::BadVersion { .. } => "fetch-bad-version",
            Self::BadSchematic { .. } => "fetch-schematic",
            Self::Absent { .. } => "fetch-absent",
            Self::Unproven { .. } => "fetch-unproven",
            Self::BadLine { .. } => "fetch-kernel-line",
            Self::Address { .. } => "fetch-address",
            Self::Status { .. } => "fetch-refused",
            Self::Broken { .. } => "fetch-broken",
            Self::Untrusted { .. } => "fetch-untrusted",
            Self::Trust { .. } => "fetch-trust",
            Self::NotListed { .. } => "fetch-not-listed",
            Self::Mismatch { .. } => "fetch-mismatch",
            Self::Pins { .. } => "fetch-pins",
            Self::Io { .. } => "fetch-file",
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::Unknown { .. } => {
                let names: Vec<&str> = CATALOGUE.iter().map(|recipe| recipe.name).collect();
                format!("there are: {}", names.join(", "))
            }
            Self::NoVersion { .. } => "name it with --version, such as v1.9.0".to_owned(),
            Self::NoArchitecture { .. } => "--arch is amd64 or arm64, as Debian calls them".to_owned(),
            Self::BadVersion { .. } => talos::versions(),
            Self::BadSchematic { name, .. } if name.starts_with(talos::NAME) => {
                "64 hexadecimal digits, as `labinator talos schematic` prints them".to_owned()
            }
            Self::BadSchematic { .. } => "only talos has schematics: leave --schematic out".to_owned(),
            Self::Absent { .. } => {
                "put the files there under the names that their maker gave them, or leave --from out".to_owned()
            }
            Self::Unproven { list, .. } => {
                let list = list.as_ref().map_or_else(
                    || "use an images.lock that pins them".to_owned(),
                    |list| format!("put the maker's {list} beside them, or use an images.lock that pins them"),
                );
                format!("{list}; --unproven takes them as they are and pins them")
            }
            Self::BadLine { .. } => "look at the file: it is one line of printable words".to_owned(),
            Self::Address { .. } => "--mirror takes http://HOST/PATH or https://HOST/PATH".to_owned(),
            Self::Status { url, .. } if talos::is_built(url) => {
                "look whether the version exists. The factory knows a schematic only once somebody sent it: \
                 `labinator talos schematic --json` prints its text, which goes to factory.talos.dev/schematics \
                 by POST"
                    .to_owned()
            }
            Self::Status { .. } => {
                "look whether the version exists; name another place with --mirror".to_owned()
            }
            Self::Broken { .. } => "start it again: it goes on where it broke off".to_owned(),
            Self::Untrusted { trusted, .. } => format!(
                "nothing was fetched. Look at the clock and at the name of the mirror; for an authority of your own, name a \
                 bundle with its certificate in SSL_CERT_FILE (now {})",
                trusted.display()
            ),
            Self::Trust { .. } => {
                "apt-get install -y ca-certificates, or name a bundle in SSL_CERT_FILE".to_owned()
            }
            Self::NotListed { .. } => {
                "look whether the version exists, and whether its files moved".to_owned()
            }
            Self::Mismatch { .. } => {
                "do not use it. If the maker changed the file on purpose, take its lines out of images.lock"
                    .to_owned()
            }
            Self::Pins { .. } => "mend the file, or take it away to pin anew".to_owned(),
            Self::Io { .. } => "look at the disk and the rights of the image folder".to_owned(),
        }
    }
}
