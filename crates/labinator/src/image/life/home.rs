//! The folder of an image on the disk: which generation is in use, and how a new one gets there whole or not at all.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use store::{Disk, Files as _};

use super::state::{FORM, Generations};
use crate::image::ImageError;
use crate::image::manifest::{ImageManifest, MANIFEST};
use crate::image::signed::SIGNATURE;

/// Name of the state in an image's folder.
const STATE: &str = "generations.json";
/// Held for as long as a generation is being made.
const MAKING: &str = ".making.lock";
/// Held for a moment, while the state is read and written.
const CHANGING: &str = ".changing.lock";
/// A generation that is being made.
const NEW: &str = ".new";

/// The folder of the generation in use of the image of this name.
#[must_use]
pub fn in_use(images: &Path, name: &str) -> PathBuf {
    let home = Home::of(images, name);
    match home.read() {
        Ok(Some(all)) => home.folder_of(all.good),
        // Without a readable state, the folder itself is what there is to be looked at and complained about.
        Ok(None) | Err(_) => home.folder,
    }
}

/// The folder of one image.
#[derive(Debug, Clone)]
pub struct Home {
    folder: PathBuf,
}

/// A generation that is being made; its folder goes away with it unless it was taken. Nobody makes another meanwhile.
#[derive(Debug)]
pub struct Part {
    folder: PathBuf,
    _making: File,
}

impl Part {
    /// Where its files go.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // What stays is removed by whoever makes the next.
        drop(fs::remove_dir_all(&self.folder));
    }
}

impl Home {
    /// That of the image of this name; it need not exist yet.
    #[must_use]
    pub fn of(images: &Path, name: &str) -> Self {
        Self { folder: images.join(name) }
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder of a generation.
    #[must_use]
    pub fn folder_of(&self, generation: u32) -> PathBuf {
        if generation == 0 { self.folder.clone() } else { self.folder.join(generation.to_string()) }
    }

    /// The state; `None` where the image has no generations.
    ///
    /// # Errors
    /// It is there and cannot be read or understood.
    pub fn read(&self) -> Result<Option<Generations>, ImageError> {
        let path = self.folder.join(STATE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(why) => return Err(ImageError::io(&path, why)),
        };
        let wrong = |why: String| ImageError::Manifest { path: path.clone(), why };
        let all: Generations = serde_json::from_slice(&bytes).map_err(|why| wrong(why.to_string()))?;
        if all.form == FORM {
            Ok(all.into())
        } else {
            Err(wrong(format!("form {} instead of {FORM}", all.form)))
        }
    }

    /// The state; of an image from before there were generations, the one that it would have.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn known(&self) -> Result<Option<Generations>, ImageError> {
        let flat = || self.folder.join(MANIFEST).is_file().then(|| Generations::first(0));
        Ok(self.read()?.or_else(flat))
    }

    /// Begins a new generation.
    ///
    /// # Errors
    /// [`ImageError::Busy`] while another is being made.
    pub fn begin(&self) -> Result<Part, ImageError> {
        fs::create_dir_all(&self.folder).map_err(|why| ImageError::io(&self.folder, why))?;
        let making = lock(&self.folder.join(MAKING))?;
        match making.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(ImageError::Busy(self.folder.clone())),
            Err(fs::TryLockError::Error(why)) => return Err(ImageError::io(&self.folder.join(MAKING), why)),
        }
        let folder = self.folder.join(NEW);
        remove_folder(&folder)?;
        fs::create_dir(&folder).map_err(|why| ImageError::io(&folder, why))?;
        Ok(Part { folder, _making: making })
    }

    /// Gives a whole generation its number and place; `become` says what it is from now on. When this returns, a power
    /// cut does not take it.
    ///
    /// # Errors
    /// It has no place; what is in use stays so.
    pub fn take(
        &self,
        part: &Part,
        becomes: impl FnOnce(&mut Generations, u32),
    ) -> Result<(u32, Generations), ImageError> {
        for entry in fs::read_dir(&part.folder).map_err(|why| ImageError::io(&part.folder, why))?.flatten() {
            sync(&entry.path())?;
        }
        sync(&part.folder)?;
        step();
        self.change(|all| {
            let (number, mut all) = match all {
                Some(all) => (all.next, all),
                None => (1, Generations::first(1)),
            };
            let place = self.folder_of(number);
            // One that got its place but was never named: its maker was ended in between.
            remove_folder(&place)?;
            step();
            fs::rename(&part.folder, &place).map_err(|why| ImageError::io(&place, why))?;
            step();
            sync(&self.folder)?;
            if all.good != number {
                becomes(&mut all, number);
            }
            Ok(Some((number, all)))
        })
        .and_then(|done| done.ok_or_else(|| ImageError::Gone(self.folder.clone())))
    }

    /// Changes the state, and removes what no generation of it needs any more. `None` from `how` leaves it as it is.
    ///
    /// # Errors
    /// It is as it was; or it is changed, and something old could not be removed.
    pub fn change<T>(
        &self,
        how: impl FnOnce(Option<Generations>) -> Result<Option<(T, Generations)>, ImageError>,
    ) -> Result<Option<(T, Generations)>, ImageError> {
        let path = self.folder.join(CHANGING);
        let changing = lock(&path)?;
        changing.lock().map_err(|why| ImageError::io(&path, why))?;
        let Some((told, all)) = how(self.known()?)? else { return Ok(None) };
        self.write(&all)?;
        step();
        self.sweep(&all)?;
        Ok(Some((told, all)))
    }

    fn write(&self, all: &Generations) -> Result<(), ImageError> {
        let path = self.folder.join(STATE);
        let mut text = serde_json::to_vec_pretty(all)
            .map_err(|why| ImageError::Manifest { path: path.clone(), why: why.to_string() })?;
        text.push(b'\n');
        Disk.replace(&path, &text).map_err(|why| ImageError::io(&path, why))
    }

    /// Removes generations that are not kept.
    fn sweep(&self, all: &Generations) -> Result<(), ImageError> {
        let kept = all.kept();
        let entries = fs::read_dir(&self.folder).map_err(|why| ImageError::io(&self.folder, why))?;
        let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        for number in numbers.filter(|number| *number > 0 && !kept.contains(number)) {
            step();
            remove_folder(&self.folder_of(number))?;
        }
        if !kept.contains(&0)
            && let Ok(manifest) = ImageManifest::read(&self.folder)
        {
            // The description goes last: it says what is left to be removed.
            let files = manifest.files().map(|file| file.name.as_str());
            for name in files.chain([SIGNATURE, MANIFEST]) {
                step();
                let path = self.folder.join(name);
                match fs::remove_file(&path) {
                    Err(why) if why.kind() != io::ErrorKind::NotFound => {
                        return Err(ImageError::io(&path, why));
                    }
                    Ok(()) | Err(_) => {}
                }
            }
        }
        Ok(())
    }
}

fn lock(path: &Path) -> Result<File, ImageError> {
    let mut options = File::options();
    options.write(true).create(true).truncate(false);
    options.open(path).map_err(|why| ImageError::io(path, why))
}

fn sync(path: &Path) -> Result<(), ImageError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|why| ImageError::io(path, why))
}

fn remove_folder(path: &Path) -> Result<(), ImageError> {
    match fs::remove_dir_all(path) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => Err(ImageError::io(path, why)),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(not(test))]
const fn step() {}

#[cfg(test)]
use tests::step;

#[cfg(test)]
#[path = "home_tests.rs"]
mod tests;
