//! From the images that scenarios name to files by content, on the shelf that the counter serves from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use model::{Asset, Digest, Fact, Image, ImageRef, LabSpec, ScenarioName};
use store::shelf::Shelf;

use crate::image::ImageManifest;

/// Finds and shelves what every scenario boots. Reads whole files: run it where waiting is allowed.
#[must_use]
pub fn find(spec: &LabSpec, images: &Path, shelf: &Shelf) -> Fact {
    let mut found = BTreeMap::new();
    let mut missing: BTreeMap<ScenarioName, Vec<String>> = BTreeMap::new();
    // Scenarios often share an image: each file is read once.
    let mut known: BTreeMap<PathBuf, Asset> = BTreeMap::new();
    for (name, scenario) in &spec.scenarios {
        match image(&scenario.image, images, shelf, &mut known) {
            Ok(image) => {
                found.insert(name.clone(), image);
            }
            Err(lacks) => {
                missing.insert(name.clone(), lacks);
            }
        }
    }
    Fact::ImagesFound { images: found, missing }
}

fn image(
    wanted: &ImageRef,
    images: &Path,
    shelf: &Shelf,
    known: &mut BTreeMap<PathBuf, Asset>,
) -> Result<Image, Vec<String>> {
    match wanted {
        ImageRef::Named(name) => {
            let folder = images.join(name);
            let manifest = ImageManifest::read(&folder).map_err(|why| {
                let why = if folder.is_dir() { format!(": {why}") } else { " is not there".to_owned() };
                let build = format!("labinator image build {name} --out {}", images.display());
                vec![format!("image {name}{why}; build it: `{build}`")]
            })?;
            let lacks: Vec<String> = manifest
                .files()
                .filter_map(|file| shelve(&folder.join(&file.name), shelf, known).err())
                .collect();
            if lacks.is_empty() { Ok(manifest.image()) } else { Err(lacks) }
        }
        ImageRef::Files { kernel, initrd, uki, args } => {
            let mut lacks = Vec::new();
            let mut asset = |path: &String| match shelve(Path::new(path), shelf, known) {
                Ok(asset) => Some(asset),
                Err(why) => {
                    lacks.push(why);
                    None
                }
            };
            let image = Image {
                kernel: kernel.as_ref().and_then(&mut asset),
                initrd: initrd.iter().filter_map(&mut asset).collect(),
                uki: uki.as_ref().and_then(&mut asset),
                args: args.clone(),
                agent: false,
            };
            if lacks.is_empty() { Ok(image) } else { Err(lacks) }
        }
    }
}

fn shelve(path: &Path, shelf: &Shelf, known: &mut BTreeMap<PathBuf, Asset>) -> Result<Asset, String> {
    if let Some(asset) = known.get(path) {
        return Ok(asset.clone());
    }
    let digest = shelf.adopt(path).map_err(|why| format!("{}: {why}", path.display()))?;
    let content = shelf.open(digest).map_err(|why| format!("{}: {why}", path.display()))?;
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let asset = Asset { name, digest: Digest(digest.0), size: content.size() };
    known.insert(path.to_owned(), asset.clone());
    Ok(asset)
}
