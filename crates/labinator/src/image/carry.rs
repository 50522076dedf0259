//! An image in one file, for bosses without a way to its packages: verified whole before anything changes.
//!
//! ```text
//! labinator image 1\n
//! NAME\n                           the image
//! image.json SIZE\n  bytes          then image.sig, then each file that image.json names, in its order
//! ```
//!
//! There is one way to write a bundle of an image, and only that is read: any byte that is another is found, by the
//! signature, by a digest, or because it is not where it must be.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write as _};
use std::path::{Path, PathBuf};

use model::{Asset, Digest};
use store::Summing;

use super::ImageError;
use super::life::Home;
use super::manifest::{ImageManifest, MANIFEST};
use super::signed::{Keys, SIGNATURE, Seal};
use super::verify::{unlike, verify};

/// First line: what this is.
const MAGIC: &str = "labinator image 1";
/// Bytes read at once.
const PIECE: usize = 1 << 16;
/// Largest description or signature that is read, in bytes.
const LARGEST: u64 = 4 << 20;
/// Longest line of a bundle, in bytes.
const LINE: u64 = 512;

/// Writes the generation in use of an image into one file, whole or not at all.
///
/// # Errors
/// There is no image, it is not as it was built, or nobody signed it; or the file cannot be written.
pub fn pack(images: &Path, name: &str, to: &Path) -> Result<u64, ImageError> {
    let home = Home::of(images, name);
    let all = home.known()?.ok_or_else(|| ImageError::NoImage(name.to_owned()))?;
    let folder = home.folder_of(all.good);
    let doubtful = |why: String| ImageError::Doubtful { name: name.to_owned(), why };
    let verdict = verify(&folder, name, &Keys::of(images))?;
    if let Some(why) = verdict.objections().into_iter().next() {
        return Err(doubtful(why));
    }
    if verdict.seal == Seal::None {
        let why =
            format!("it is not signed, and nobody would take it: `labinator image build {name}` signs it");
        return Err(doubtful(why));
    }
    let manifest = ImageManifest::read(&folder)?;
    let part = PathBuf::from(format!("{}.part", to.display()));
    let fault = |why| ImageError::io(&part, why);
    let written = write(&folder, name, &manifest, &part).map_err(fault).and_then(|size| {
        fs::rename(&part, to).map_err(|why| ImageError::io(to, why))?;
        Ok(size)
    });
    if written.is_err() {
        drop(fs::remove_file(&part));
    }
    written
}

fn write(folder: &Path, name: &str, manifest: &ImageManifest, part: &Path) -> io::Result<u64> {
    let mut out = BufWriter::new(File::create(part)?);
    writeln!(out, "{MAGIC}\n{name}")?;
    for file in [MANIFEST, SIGNATURE].into_iter().chain(manifest.files().map(|file| file.name.as_str())) {
        let mut from = File::open(folder.join(file))?;
        writeln!(out, "{file} {}", from.metadata()?.len())?;
        io::copy(&mut from, &mut out)?;
    }
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    Ok(file.metadata()?.len())
}

/// Reads a bundle of the image of this name into a folder. It is whole, and a key that is believed here signed it.
///
/// # Errors
/// What is wrong with the bundle; the folder holds nothing to be used then.
pub(super) fn unpack(
    bundle: &Path,
    name: &str,
    keys: &Keys,
    into: &Path,
) -> Result<ImageManifest, ImageError> {
    let file = File::open(bundle).map_err(|why| ImageError::io(bundle, why))?;
    let mut from = Bundle { from: BufReader::new(file), path: bundle };
    if from.line()? != MAGIC {
        return Err(from.wrong("it is no bundle of an image of this version"));
    }
    let carried = from.line()?;
    if carried != name {
        return Err(
            from.wrong(&format!("it carries the image {}, and {name} was asked for", shown(&carried)))
        );
    }
    let manifest = from.small(MANIFEST)?;
    let signed = from.small(SIGNATURE)?;
    let seal = keys.judge(name, &signed, &manifest)?;
    if let Some(why) = seal.objection() {
        return Err(from.wrong(&why));
    }
    for (file, bytes) in [(MANIFEST, &manifest), (SIGNATURE, &signed)] {
        let path = into.join(file);
        fs::write(&path, bytes).map_err(|why| ImageError::io(&path, why))?;
    }
    // The same bytes have one spelling: a signature that reads the same is not enough.
    let manifest = ImageManifest::read(into)?;
    for asset in manifest.files() {
        if !plain(&asset.name) {
            return Err(from.wrong(&format!("it names a file {}", shown(&asset.name))));
        }
        from.file(asset, &into.join(&asset.name))?;
    }
    let mut more = [0];
    match from.from.read(&mut more) {
        Ok(0) => Ok(manifest),
        Ok(_) => Err(from.wrong("something follows its last file")),
        Err(why) => Err(ImageError::io(bundle, why)),
    }
}

/// A name in one folder, and not one of ours.
fn plain(name: &str) -> bool {
    let right = |c: char| c.is_ascii_alphanumeric() || ".-_+".contains(c);
    !name.is_empty()
        && !name.starts_with('.')
        && name.chars().all(right)
        && ![MANIFEST, SIGNATURE].contains(&name)
}

fn shown(text: &str) -> String {
    format!("{:?}", text.chars().take(64).collect::<String>())
}

struct Bundle<'a> {
    from: BufReader<File>,
    path: &'a Path,
}

impl Bundle<'_> {
    fn wrong(&self, why: &str) -> ImageError {
        ImageError::Bundle { path: self.path.to_owned(), why: why.to_owned() }
    }

    /// One line, without its end.
    fn line(&mut self) -> Result<String, ImageError> {
        let mut line = Vec::new();
        let mut byte = [0];
        while u64::try_from(line.len()).is_ok_and(|length| length < LINE) {
            match self.from.read(&mut byte) {
                Ok(0) => break,
                Ok(_) if byte == *b"\n" => {
                    return String::from_utf8(line).map_err(|_| self.wrong("a line of it is no text"));
                }
                Ok(_) => line.extend(byte),
                Err(why) => return Err(ImageError::io(self.path, why)),
            }
        }
        Err(self.wrong("it ends too early, or is no bundle"))
    }

    /// The size of the next file, which must have this name.
    fn head(&mut self, name: &str) -> Result<u64, ImageError> {
        let line = self.line()?;
        let size = line.strip_prefix(name).and_then(|rest| rest.strip_prefix(' ')).and_then(|size| {
            let number: u64 = size.parse().ok()?;
            // `+5` and `05` are numbers, too, and nobody wrote them.
            (number.to_string() == size).then_some(number)
        });
        size.ok_or_else(|| self.wrong(&format!("{name} is expected, and {} is there", shown(&line))))
    }

    /// A file that is read into memory.
    fn small(&mut self, name: &str) -> Result<Vec<u8>, ImageError> {
        let size = self.head(name)?;
        if size > LARGEST {
            return Err(self.wrong(&format!("{name} has {size} bytes, and {LARGEST} are read at most")));
        }
        let mut bytes = Vec::new();
        let read = (&mut self.from).take(size).read_to_end(&mut bytes);
        match read {
            Ok(count) if u64::try_from(count).is_ok_and(|count| count == size) => Ok(bytes),
            Ok(_) => Err(self.wrong(&format!("it ends within {name}"))),
            Err(why) => Err(ImageError::io(self.path, why)),
        }
    }

    /// A file of the image.
    fn file(&mut self, asset: &Asset, to: &Path) -> Result<(), ImageError> {
        let size = self.head(&asset.name)?;
        if size != asset.size {
            return Err(
                self.wrong(&format!("{} has {size} bytes, and {MANIFEST} says {}", asset.name, asset.size))
            );
        }
        let mut out = File::create_new(to).map_err(|why| ImageError::io(to, why))?;
        let (mut sum, mut left) = (Summing::default(), size);
        let mut piece = vec![0; PIECE];
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            let room = piece.get_mut(..most).unwrap_or_default();
            let count = self.from.read(room).map_err(|why| ImageError::io(self.path, why))?;
            if count == 0 {
                return Err(self.wrong(&format!("it ends within {}", asset.name)));
            }
            let got = piece.get(..count).unwrap_or_default();
            sum.add(got);
            out.write_all(got).map_err(|why| ImageError::io(to, why))?;
            left -= u64::try_from(count).unwrap_or(left);
        }
        match unlike(asset, (Digest(sum.finish().0), size)) {
            Some(why) => Err(self.wrong(&why)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::sample::Images;

    /// A bundle that one boss made, and another that trusts it.
    fn carried() -> (Images, Images, PathBuf) {
        let (there, here) = (Images::new("carry-there"), Images::new("carry-here"));
        let folder = there.image("rescue", "kernel");
        let bundle = there.folder().join("rescue.bundle");
        let error = pack(there.folder(), "rescue", &bundle).unwrap_err();
        assert_eq!(error.code(), "image-doubtful");
        let keys = Keys::of(there.folder());
        keys.sign(&folder, "rescue").unwrap();
        let size = pack(there.folder(), "rescue", &bundle).unwrap();
        assert_eq!(size, fs::metadata(&bundle).unwrap().len());
        Keys::of(here.folder()).trust("boss2", keys.own().unwrap().unwrap()).unwrap();
        (there, here, bundle)
    }

    fn read(bundle: &Path, name: &str, here: &Images) -> Result<ImageManifest, ImageError> {
        let into = here.folder().join("into");
        drop(fs::remove_dir_all(&into));
        fs::create_dir(&into).unwrap();
        unpack(bundle, name, &Keys::of(here.folder()), &into)
    }

    #[test]
    fn a_bundle_brings_an_image_to_whoever_trusts_its_maker_and_to_nobody_else() {
        let (there, here, bundle) = carried();
        let manifest = read(&bundle, "rescue", &here).unwrap();
        assert_eq!(manifest, ImageManifest::read(&there.folder().join("rescue")).unwrap());
        let keys = Keys::of(here.folder());
        let verdict = verify(&here.folder().join("into"), "rescue", &keys).unwrap();
        assert_eq!(verdict.objections(), Vec::<String>::new());
        assert!(matches!(verdict.seal, Seal::Trusted { name, .. } if name == "boss2"));
        let told = read(&bundle, "hypervisor", &here).unwrap_err().to_string();
        assert!(told.contains("it carries the image \"rescue\", and hypervisor was asked for"), "{told}");
        keys.distrust("boss2").unwrap();
        let told = read(&bundle, "rescue", &here).unwrap_err().to_string();
        assert!(told.contains("which nobody here trusts"), "{told}");
    }

    #[test]
    fn one_flipped_bit_anywhere_or_one_byte_more_or_less_is_found() {
        let (_there, here, bundle) = carried();
        let whole = fs::read(&bundle).unwrap();
        let broken = here.folder().join("broken.bundle");
        let is_refused = |bytes: &[u8], what: &str| {
            fs::write(&broken, bytes).unwrap();
            assert!(read(&broken, "rescue", &here).is_err(), "{what}");
        };
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            is_refused(&bytes, &format!("byte {at} of {}", whole.len()));
        }
        is_refused(&[whole.as_slice(), b"\n"].concat(), "one byte more");
        is_refused(&whole[..whole.len() - 1], "one byte less");
        is_refused(b"", "nothing");
    }
}
