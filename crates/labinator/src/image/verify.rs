//! Is an image what it was when it was built: every file by size and SHA-256, and who signed the list of them.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use model::{Asset, Digest};
use store::Summing;

use super::ImageError;
use super::manifest::{ImageManifest, MANIFEST};
use super::signed::{Keys, SIGNATURE, Seal};

/// Bytes read at once.
const PIECE: usize = 1 << 16;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What is not as it was built, a sentence each; empty for an image that is whole.
    pub problems: Vec<String>,
    /// Who signed it.
    pub seal: Seal,
}

impl Verdict {
    /// Everything that speaks against it.
    #[must_use]
    pub fn objections(&self) -> Vec<String> {
        self.problems.iter().cloned().chain(self.seal.objection()).collect()
    }
}

/// Reads every file of the image in `folder`.
///
/// # Errors
/// There is no image, or its keys cannot be read.
pub fn verify(folder: &Path, name: &str, keys: &Keys) -> Result<Verdict, ImageError> {
    let manifest = ImageManifest::read(folder)?;
    let mut problems: Vec<String> = manifest.files().filter_map(|asset| differs(folder, asset)).collect();
    let known =
        |name: &str| [MANIFEST, SIGNATURE].contains(&name) || manifest.files().any(|a| a.name == name);
    let entries = fs::read_dir(folder).map_err(|why| ImageError::io(folder, why))?;
    let mut others: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.') && name != "generations.json" && !known(name))
        .map(|name| format!("{name}: {MANIFEST} does not name it; it is not served"))
        .collect();
    others.sort();
    problems.extend(others);
    Ok(Verdict { problems, seal: keys.check(folder, name)? })
}

/// How a file differs from what the description says of it.
fn differs(folder: &Path, asset: &Asset) -> Option<String> {
    let found = summed(&folder.join(&asset.name));
    match found {
        Err(why) if why.kind() == io::ErrorKind::NotFound => Some(format!("{}: is missing", asset.name)),
        Err(why) => Some(format!("{}: cannot be read: {why}", asset.name)),
        Ok(found) => unlike(asset, found),
    }
}

/// The sentence about a file whose content is another than it was; `None` when it is the same.
pub(crate) fn unlike(asset: &Asset, (digest, size): (Digest, u64)) -> Option<String> {
    let name = &asset.name;
    if size != asset.size {
        return Some(format!("{name}: has {size} bytes, and {MANIFEST} says {}", asset.size));
    }
    let other = format!("{name}: has sha256 {digest}, and {MANIFEST} says {}", asset.digest);
    (digest != asset.digest).then_some(other)
}

/// SHA-256 and size of a file.
fn summed(path: &Path) -> io::Result<(Digest, u64)> {
    let mut file = File::open(path)?;
    let (mut sum, mut size) = (Summing::default(), 0);
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok((Digest(sum.finish().0), size)),
            count => {
                sum.add(piece.get(..count).unwrap_or_default());
                size += u64::try_from(count).unwrap_or(u64::MAX);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::sample::Images;

    fn problems(folder: &Path, images: &Images) -> Vec<String> {
        verify(folder, "rescue", &Keys::of(images.folder())).unwrap().problems
    }

    #[test]
    fn it_is_told_exactly_what_differs() {
        let images = Images::new("verify");
        let folder = images.image("rescue", "kernel");
        assert_eq!(problems(&folder, &images), Vec::<String>::new());
        fs::write(folder.join("vmlinuz"), "Kernel").unwrap();
        let [one] = problems(&folder, &images).try_into().unwrap();
        assert!(one.starts_with("vmlinuz: has sha256 ") && one.contains("image.json says "), "{one}");
        fs::write(folder.join("vmlinuz"), "kernels").unwrap();
        assert_eq!(problems(&folder, &images), ["vmlinuz: has 7 bytes, and image.json says 6"]);
        fs::remove_file(folder.join("vmlinuz")).unwrap();
        fs::write(folder.join("stray"), "x").unwrap();
        let expected = ["vmlinuz: is missing", "stray: image.json does not name it; it is not served"];
        assert_eq!(problems(&folder, &images), expected);
    }
}
