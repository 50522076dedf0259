//! Where files come from: their maker, a mirror, or a folder that somebody carried here.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::FetchError;
use super::download::Client;
use super::parts::Part;

/// Where files come from.
#[derive(Debug)]
pub(super) enum Source {
    /// HTTP or HTTPS.
    Web {
        /// Asks for them.
        client: Client,
        /// Another place with the maker's layout.
        mirror: Option<String>,
    },
    /// A folder that has the files by their names, whatever folders the maker has them in.
    Folder(PathBuf),
}

impl Source {
    /// Where a file of a maker's, whose place is `base`, is found here.
    pub(super) fn at(&self, base: &str, canonical: &str) -> String {
        match self {
            Self::Web { mirror: None, .. } => canonical.to_owned(),
            Self::Web { mirror: Some(mirror), .. } => {
                let mirror = mirror.trim_end_matches('/');
                if let Some(path) = canonical.strip_prefix(base) {
                    return format!("{mirror}{path}");
                }
                // Stream metadata names files on any host: a mirror has them by their paths.
                let rest = canonical.split_once("://").and_then(|(_, rest)| rest.split_once('/'));
                format!("{mirror}/{}", rest.map_or("", |(_, path)| path))
            }
            Self::Folder(folder) => folder.join(file_name(canonical)).to_string_lossy().into_owned(),
        }
    }

    /// True for a folder.
    pub(super) const fn is_folder(&self) -> bool {
        matches!(self, Self::Folder(_))
    }

    /// A short text.
    pub(super) async fn text(&self, at: &str) -> Result<String, FetchError> {
        match self {
            Self::Web { client, .. } => client.text(at).await,
            Self::Folder(folder) => fs::read_to_string(at).map_err(|why| absent(folder, at, why)),
        }
    }

    /// A file to this path. From a folder it is a copy: what is served must not change when the folder does.
    pub(super) async fn file(
        &self,
        at: &str,
        to: &Path,
        mut tell: impl FnMut(u64, Option<u64>),
    ) -> Result<(), FetchError> {
        match self {
            Self::Web { client, .. } => client.file(at, to, tell).await,
            Self::Folder(folder) => {
                let size = fs::copy(at, to).map_err(|why| absent(folder, at, why))?;
                let synced = fs::File::open(to).and_then(|file| file.sync_all());
                synced.map_err(|source| FetchError::Io { path: to.to_owned(), source })?;
                tell(size, Some(size));
                Ok(())
            }
        }
    }

    /// Every file that a folder lacks, told at once.
    pub(super) fn missing(&self, parts: &[Part]) -> Result<(), FetchError> {
        let Self::Folder(folder) = self else { return Ok(()) };
        let lacks = parts.iter().filter(|part| !Path::new(&part.url).is_file());
        let names: Vec<String> = lacks.map(|part| part.name.clone()).collect();
        if names.is_empty() { Ok(()) } else { Err(FetchError::Absent { folder: folder.clone(), names }) }
    }
}

/// The last part of an address or a path.
pub(super) fn file_name(url: &str) -> String {
    url.rsplit('/').next().unwrap_or(url).to_owned()
}

fn absent(folder: &Path, at: &str, source: io::Error) -> FetchError {
    match source.kind() {
        io::ErrorKind::NotFound => {
            FetchError::Absent { folder: folder.to_owned(), names: vec![file_name(at)] }
        }
        _ => FetchError::Io { path: at.into(), source },
    }
}
