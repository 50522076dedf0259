//! The files of a system: where each is, and what it must be, by the pins or by what its maker says.

use std::collections::BTreeMap;

use super::FetchError;
use super::catalogue::{For, Recipe, Sums, Wanted};
use super::pins::Pin;
use super::source::{Source, file_name};
use super::sums::{Told, in_list, in_stream};

/// A list that the owner of a folder may write where the maker writes none.
const OWN_LIST: &str = "sha256sum.txt";

/// A file to fetch.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) role: For,
    pub(super) name: String,
    /// Where the maker keeps it.
    pub(super) canonical: String,
    /// Where it is fetched: an address, or a path.
    pub(super) url: String,
    /// What it must be; `None` where nobody says so, and what comes is what will be pinned.
    pub(super) told: Option<Told>,
    /// Who said so.
    pub(super) by: String,
    /// Its size, where that was pinned.
    pub(super) size: Option<u64>,
}

/// A system of the catalogue, and where its files come from this time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Search<'a> {
    pub(super) recipe: &'a Recipe,
    pub(super) wanted: &'a Wanted,
    pub(super) source: &'a Source,
    /// Files that nobody vouches for are taken from a folder.
    pub(super) unproven: bool,
}

impl Search<'_> {
    /// The files that were pinned.
    pub(super) fn by_pins(&self, known: &BTreeMap<String, Pin>, lock: &str) -> Vec<Part> {
        let files = self.recipe.files_for(&self.wanted.arch);
        let role = |name: &str, at: usize| {
            let by_name = files.iter().find(|(_, path)| file_name(&self.wanted.fill(path)) == name);
            // Streams name their files by what they are for, in the order of the catalogue.
            by_name.or_else(|| files.iter().find(|(_, what)| name.contains(what))).or_else(|| files.get(at))
        };
        let order_of = |name: &str| {
            let is = |path: &str| file_name(&self.wanted.fill(path)) == name || name.contains(path);
            files.iter().position(|(_, path)| is(path)).unwrap_or(usize::MAX)
        };
        let mut names: Vec<(&String, &Pin)> = known.iter().collect();
        names.sort_by_key(|(name, _)| order_of(name));
        let part = |(at, (name, pin)): (usize, (&String, &Pin))| Part {
            role: role(name, at).map_or(For::Beside, |(role, _)| *role),
            name: name.clone(),
            canonical: pin.url.clone(),
            url: self.source.at(self.recipe.base, &pin.url),
            told: Some(Told::Sha256(pin.sha256.to_string())),
            by: lock.to_owned(),
            size: Some(pin.size),
        };
        names.into_iter().enumerate().map(part).collect()
    }

    /// The files, as the maker describes them.
    pub(super) async fn by_lists(&self) -> Result<Vec<Part>, FetchError> {
        let files = self.recipe.files_for(&self.wanted.arch);
        if files.is_empty() {
            return Err(FetchError::NoArchitecture {
                name: self.recipe.name,
                arch: self.wanted.arch.clone(),
            });
        }
        match self.recipe.sums {
            Sums::List(list) => self.listed(&files, list).await,
            Sums::Nobody if self.source.is_folder() => self.listed(&files, OWN_LIST).await,
            Sums::Nobody => {
                let part = |(role, path): &(For, &str)| self.part(*role, self.canonical(path), None, "");
                Ok(files.iter().map(part).collect())
            }
            Sums::Beside(ending) => {
                let mut parts = Vec::new();
                for (role, path) in &files {
                    parts.extend(self.listed(&[(*role, *path)], &format!("{path}{ending}")).await?);
                }
                Ok(parts)
            }
            Sums::Streams(list) => {
                let list = self.place(list);
                let text = self.source.text(&list).await?;
                let metadata = serde_json::from_str(&text)
                    .map_err(|why| FetchError::Broken { url: list.clone(), why: why.to_string() })?;
                let cpu = self.wanted.fill("{cpu}");
                let mut parts = Vec::new();
                for (role, name) in &files {
                    let found = in_stream(&metadata, &cpu, name);
                    let (url, told) = found.ok_or_else(|| not_listed(&list, name))?;
                    parts.push(self.part(*role, url, Some(told), &list));
                }
                Ok(parts)
            }
        }
    }

    /// Files whose digests are in one list.
    async fn listed(&self, files: &[(For, &str)], list: &str) -> Result<Vec<Part>, FetchError> {
        let from = self.place(list);
        let parts = |told: &dyn Fn(&str) -> Result<Option<Told>, FetchError>| {
            let part = |(role, path): &(For, &str)| {
                Ok(self.part(*role, self.canonical(path), told(&self.wanted.fill(path))?, &from))
            };
            files.iter().map(part).collect::<Result<Vec<Part>, FetchError>>()
        };
        let text = match self.source.text(&from).await {
            // Whoever copied the files forgot the list, or there is none.
            Err(FetchError::Absent { folder, .. }) => {
                let parts = parts(&|_| Ok(None))?;
                if self.unproven {
                    return Ok(parts);
                }
                self.source.missing(&parts)?;
                let names = parts.into_iter().map(|part| part.name).collect();
                let list = (self.recipe.sums != Sums::Nobody).then(|| file_name(&from));
                return Err(FetchError::Unproven { folder, names, list });
            }
            text => text?,
        };
        parts(&|path| in_list(&text, path).map(Some).ok_or_else(|| not_listed(&from, path)))
    }

    fn canonical(&self, path: &str) -> String {
        format!("{}/{}", self.recipe.base, self.wanted.fill(path))
    }

    /// Where a file of the maker's is this time.
    fn place(&self, path: &str) -> String {
        self.source.at(self.recipe.base, &self.canonical(path))
    }

    fn part(&self, role: For, canonical: String, told: Option<Told>, by: &str) -> Part {
        Part {
            role,
            name: file_name(&canonical),
            url: self.source.at(self.recipe.base, &canonical),
            canonical,
            told,
            by: by.to_owned(),
            size: None,
        }
    }
}

fn not_listed(list: &str, file: &str) -> FetchError {
    FetchError::NotListed { list: list.to_owned(), file: file.to_owned() }
}
