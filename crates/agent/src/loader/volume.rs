//! Our folder on a system partition that is mounted: loaders, each in a file that is named after its content, and
//! settings. A file is whole before it has its name, so that pulling the plug leaves what was there or what shall be.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use model::{AgentKey, Digest, FoundLoader};
use rustix::fs::{statvfs, syncfs};
use wire::loader::entry::FOLDER;
use wire::loader::{SETTINGS_PATH, planted};

/// Larger files are no loaders of ours.
const LONGEST_LOADER: u64 = 4 << 20;
/// How files are called that are not whole yet.
const DRAFT: &str = "NEW";

/// A system partition that is mounted.
#[derive(Debug)]
pub(super) struct Volume(PathBuf);

impl Volume {
    /// The one that is mounted here.
    pub(super) fn at(place: &Path) -> Self {
        Self(place.to_owned())
    }

    fn folder(&self) -> PathBuf {
        self.0.join(FOLDER)
    }

    /// Free bytes.
    ///
    /// # Errors
    /// As the system says.
    pub(super) fn free(&self) -> io::Result<u64> {
        let about = statvfs(&self.0)?;
        Ok(about.f_bavail.saturating_mul(about.f_frsize))
    }

    /// Loaders in our folder, by name.
    ///
    /// # Errors
    /// As the system says.
    pub(super) fn loaders(&self) -> io::Result<Vec<FoundLoader>> {
        let mut found = Vec::new();
        for name in self.names()? {
            if !name.to_ascii_uppercase().ends_with(".EFI") {
                continue;
            }
            let path = self.folder().join(&name);
            if fs::metadata(&path)?.len() > LONGEST_LOADER {
                continue;
            }
            let bytes = fs::read(&path)?;
            let lab_key = planted(&bytes).ok().flatten().map(|seed| AgentKey(seed.lab_key));
            let digest = Digest(store::Digest::of(&bytes).0);
            found.push(FoundLoader { file: format!("{FOLDER}/{name}"), digest, lab_key });
        }
        Ok(found)
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.folder()) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = Vec::new();
        for entry in entries {
            names.extend(entry?.file_name().into_string());
        }
        names.sort();
        Ok(names)
    }

    /// The name of a loader with this content, from the root.
    pub(super) fn name_of(digest: Digest) -> String {
        let start: String = digest.to_string().chars().take(12).collect();
        format!("{FOLDER}/{}.EFI", start.to_ascii_uppercase())
    }

    /// True where this file has this content.
    pub(super) fn has(&self, file: &str, content: &[u8]) -> bool {
        fs::read(self.0.join(file)).is_ok_and(|there| there == content)
    }

    /// Puts a file there: written and synced under another name, and then renamed.
    ///
    /// # Errors
    /// As the system says; the file is what it was.
    pub(super) fn put(&self, file: &str, content: &[u8]) -> io::Result<()> {
        let place = self.0.join(file);
        let draft = place.with_extension(DRAFT);
        fs::create_dir_all(self.folder())?;
        let written = File::create(&draft).and_then(|mut file| {
            file.write_all(content)?;
            file.sync_all()
        });
        let put = written.and_then(|()| fs::rename(&draft, &place)).and_then(|()| self.sync());
        if put.is_err() {
            // Where there is no room, half a file takes some.
            drop(fs::remove_file(&draft));
        }
        put
    }

    /// Files of ours besides this one and the settings.
    ///
    /// # Errors
    /// As the system says.
    pub(super) fn others(&self, keep: &str) -> io::Result<Vec<String>> {
        let is_kept =
            |path: &str| path.eq_ignore_ascii_case(keep) || path.eq_ignore_ascii_case(SETTINGS_PATH);
        let all = self.names()?.into_iter().map(|name| format!("{FOLDER}/{name}"));
        let is_ours = |path: &String| {
            let path = path.to_ascii_uppercase();
            path.ends_with(".EFI") || path.ends_with(".NEW")
        };
        Ok(all.filter(|path| is_ours(path) && !is_kept(path)).collect())
    }

    /// Removes a file.
    ///
    /// # Errors
    /// As the system says.
    pub(super) fn remove(&self, file: &str) -> io::Result<()> {
        fs::remove_file(self.0.join(file))?;
        self.sync()
    }

    /// True where there is a folder of ours.
    pub(super) fn has_folder(&self) -> bool {
        self.folder().is_dir()
    }

    /// Removes our folder with all that is in it.
    ///
    /// # Errors
    /// As the system says.
    pub(super) fn clear(&self) -> io::Result<()> {
        fs::remove_dir_all(self.folder())?;
        self.sync()
    }

    fn sync(&self) -> io::Result<()> {
        Ok(syncfs(File::open(&self.0)?)?)
    }
}
