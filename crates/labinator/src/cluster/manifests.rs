//! The manifests of a scenario: found beside the lab file, judged, and kept by content, so that what was checked is what
//! is applied.
//!
//! ```text
//! install: [web.yaml, crds/] ─▶ found ─▶ judged ─▶ STATE/manifests/SHA-256 ─▶ pinned by a start ─▶ applied
//! ```

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder};
use std::io::Read as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use kubernetes::apply::{Manifests, Refusal};
use model::{Asset, Digest, ManifestFiles, ScenarioSpec};
use store::shelf::Shelf;

use super::lock::Lock;

/// Largest manifest file, in bytes: the largest sets of definitions have three million.
const LARGEST: u64 = 16 << 20;
/// Files of all manifests of a scenario.
const MOST: usize = 500;
/// What a folder's manifests end in.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];
/// Files of a folder that is made for another program, and the verb that renders it.
const RENDERED_BY: [(&str, &str); 3] =
    [("kustomization.yaml", "kustomize"), ("kustomization.yml", "kustomize"), ("Chart.yaml", "helm")];

/// Something that is wrong with the manifests of a scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// Which entry of `install`, from 0; none for what is wrong inside a file.
    pub(crate) entry: Option<usize>,
    /// File and line, from 1, of what is wrong inside a file.
    pub(crate) at: Option<(String, usize)>,
    /// What.
    pub(crate) what: String,
    /// What to do.
    pub(crate) advice: String,
}

impl Wrong {
    fn of(what: String, advice: &str) -> Self {
        Self { entry: None, at: None, what, advice: advice.to_owned() }
    }

    /// In one line, for a log.
    fn told(&self) -> String {
        match &self.at {
            Some((file, line)) => format!("{file}: line {line}: {} ({})", self.what, self.advice),
            None => format!("{} ({})", self.what, self.advice),
        }
    }
}

/// One file, as it was read.
#[derive(Debug)]
pub(crate) struct Read {
    /// Its path.
    name: String,
    content: Vec<u8>,
}

/// Reads the manifests of a scenario.
pub(crate) fn read(install: &[String]) -> Result<Vec<Read>, Vec<Wrong>> {
    let (mut all, mut wrong) = (Vec::new(), Vec::new());
    for (entry, path) in install.iter().enumerate() {
        let one = |path: &PathBuf| Ok(Read { name: path.display().to_string(), content: content(path)? });
        match files(Path::new(path)).and_then(|paths| paths.iter().map(one).collect::<Result<Vec<_>, _>>()) {
            Ok(read) => all.extend(read),
            Err(why) => wrong.push(Wrong { entry: Some(entry), ..why }),
        }
    }
    if all.len() > MOST {
        wrong.push(Wrong::of(format!("{} manifest files are more than {MOST}", all.len()), "name fewer"));
    }
    if wrong.is_empty() { Ok(all) } else { Err(wrong) }
}

/// The files that a path of `install` means: itself, or every manifest of a folder, by name.
fn files(path: &Path) -> Result<Vec<PathBuf>, Wrong> {
    let about = fs::metadata(path).map_err(|why| unread(path, &why))?;
    if !about.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    if let Some((file, verb)) = RENDERED_BY.iter().find(|(file, _)| path.join(file).exists()) {
        let what = format!("{}: a folder with {file} is no folder of manifests", path.display());
        let advice =
            format!("render it once: `labinator bundle {verb} .. --output FILE`, and install that file");
        return Err(Wrong::of(what, &advice));
    }
    let entries = fs::read_dir(path).map_err(|why| unread(path, &why))?;
    let is_manifest = |path: &PathBuf| {
        let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        !hidden && ENDINGS.contains(&ending) && path.is_file()
    };
    let mut all: Vec<PathBuf> =
        entries.filter_map(Result::ok).map(|entry| entry.path()).filter(is_manifest).collect();
    all.sort();
    if all.is_empty() {
        let what = format!("{}: there is no manifest in this folder", path.display());
        return Err(Wrong::of(
            what,
            "manifests end in .yaml, .yml or .json; folders in it are not looked into",
        ));
    }
    Ok(all)
}

fn content(path: &Path) -> Result<Vec<u8>, Wrong> {
    let mut content = Vec::new();
    let file = fs::File::open(path).map_err(|why| unread(path, &why))?;
    file.take(LARGEST + 1).read_to_end(&mut content).map_err(|why| unread(path, &why))?;
    if u64::try_from(content.len()).unwrap_or(u64::MAX) > LARGEST {
        let what = format!("{}: more than {} MiB", path.display(), LARGEST >> 20);
        return Err(Wrong::of(what, "part it into several files"));
    }
    held_to_its_digest(path, &content)?;
    Ok(content)
}

/// What `labinator bundle` rendered is what it was when it was rendered.
fn held_to_its_digest(path: &Path, content: &[u8]) -> Result<(), Wrong> {
    let beside = Lock::beside(path);
    let lock = match fs::read_to_string(&beside) {
        Ok(text) => Lock::read(&text).map_err(|why| {
            Wrong::of(format!("{}: {why}", beside.display()), "render again with `labinator bundle`")
        })?,
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(why) => return Err(unread(&beside, &why)),
    };
    lock.holds(content).map_err(|why| Wrong::of(format!("{}: {why}", path.display()), Lock::ADVICE))
}

fn unread(path: &Path, why: &std::io::Error) -> Wrong {
    let advice = match why.kind() {
        std::io::ErrorKind::NotFound => "paths are seen from the folder of the lab file",
        _ => "see that whoever runs labinator may read it",
    };
    Wrong::of(format!("{}: {why}", path.display()), advice)
}

/// Judges what was read, all of it together.
pub(crate) fn judge(all: &[Read]) -> Result<Manifests, Vec<Wrong>> {
    let named = all.iter().map(|read| (read.name.as_str(), read.content.as_slice()));
    let wrong = match Manifests::read(named) {
        Ok(manifests) if !manifests.all().is_empty() => return Ok(manifests),
        Ok(_) if all.is_empty() => return Ok(Manifests::default()),
        Ok(_) => {
            let files: Vec<&str> = all.iter().map(|read| read.name.as_str()).collect();
            let what = format!("{}: there is no object in it", files.join(", "));
            vec![Wrong::of(what, "take it out of `install`")]
        }
        Err(refusals) => refusals.iter().map(inside).collect(),
    };
    Err(wrong)
}

/// Something that is wrong inside a file.
fn inside(refusal: &Refusal) -> Wrong {
    match refusal {
        Refusal::Document { place, what, .. } => {
            let item = place.item.map(|item| format!("item {item}: ")).unwrap_or_default();
            let at = Some((place.file.clone(), place.line));
            Wrong { entry: None, at, what: format!("{item}{what}"), advice: refusal.advice() }
        }
        other => Wrong::of(other.to_string(), &other.advice()),
    }
}

/// What is wrong with the manifests of a scenario.
pub(crate) fn mistakes(scenario: &ScenarioSpec) -> Vec<Wrong> {
    let Some(install) = installed(scenario) else { return Vec::new() };
    read(install).and_then(|all| judge(&all)).err().unwrap_or_default()
}

/// What a scenario installs; none for one that installs nothing.
fn installed(scenario: &ScenarioSpec) -> Option<&[String]> {
    let install = &scenario.talos.as_ref()?.install;
    (!install.is_empty()).then_some(install.as_slice())
}

/// The manifests that were read, by content. Secrets may be among them, so that they lie apart from what is served.
#[derive(Debug)]
pub struct Kept(Shelf);

impl Kept {
    /// In this state folder.
    #[must_use]
    pub fn of(state: &Path) -> Self {
        Self(Shelf::new(state.join("manifests")))
    }

    /// Reads, judges and keeps the manifests of a scenario. None for one that installs nothing.
    pub(crate) fn take(&self, scenario: &ScenarioSpec) -> Option<ManifestFiles> {
        let install = installed(scenario)?;
        let kept = read(install).and_then(|all| judge(&all).map(|_| all)).and_then(|all| {
            all.iter().map(|read| self.keep(read)).collect::<Result<_, _>>().map_err(|why| vec![why])
        });
        Some(match kept {
            Ok(files) => ManifestFiles { files, mistakes: Vec::new() },
            Err(wrong) => {
                ManifestFiles { files: Vec::new(), mistakes: wrong.iter().map(Wrong::told).collect() }
            }
        })
    }

    fn keep(&self, read: &Read) -> Result<Asset, Wrong> {
        let fault = |why: &dyn std::fmt::Display| {
            Wrong::of(format!("{}: {why}", read.name), "make room on the disk of the state folder")
        };
        // For nobody but the core.
        DirBuilder::new().recursive(true).mode(0o700).create(self.0.root()).map_err(|why| fault(&why))?;
        let digest = self.0.put(read.content.as_slice()).map_err(|why| fault(&why))?;
        let size = u64::try_from(read.content.len()).unwrap_or(u64::MAX);
        Ok(Asset { name: read.name.clone(), digest: Digest(digest.0), size })
    }

    /// Finds what was pinned.
    pub(crate) fn find(&self, files: &[Asset]) -> Result<Manifests, String> {
        let mut all = Vec::new();
        for file in files {
            let mut content = Vec::new();
            let digest = store::Digest(file.digest.0);
            let size = self.0.verify(digest).map_err(|why| format!("{}: {why}", file.name))?;
            let mut kept =
                self.0.open_range(digest, 0, size).map_err(|why| format!("{}: {why}", file.name))?;
            kept.read_to_end(&mut content).map_err(|why| format!("{}: {why}", file.name))?;
            all.push(Read { name: file.name.clone(), content });
        }
        judge(&all).map_err(|wrong| wrong.iter().map(Wrong::told).collect::<Vec<_>>().join("; "))
    }

    /// Forgets what nobody has pinned or would pin.
    pub(crate) fn sweep<'a>(&self, needed: impl Iterator<Item = &'a Asset>) {
        let needed: BTreeSet<[u8; 32]> = needed.map(|asset| asset.digest.0).collect();
        let Ok(all) = self.0.list() else { return };
        for item in all.iter().filter(|item| !needed.contains(&item.digest.0)) {
            if let Err(why) = self.0.remove(item.digest) {
                tracing::warn!("a manifest that nobody needs stays: {why}");
            }
        }
    }
}
