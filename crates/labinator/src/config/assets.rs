//! Which files of the scenarios are not there. Apart from the check, which works on any machine.

use std::collections::BTreeMap;
use std::path::Path;

use model::{ImageRef, LabSpec, ScenarioName};

/// What each scenario boots and this computer does not have, in words that name the file.
/// A scenario that misses nothing is not in it. `images_dir` holds one folder per named image.
#[must_use]
pub fn missing_assets(spec: &LabSpec, images_dir: &Path) -> BTreeMap<ScenarioName, Vec<String>> {
    let mut all = BTreeMap::new();
    for (name, scenario) in &spec.scenarios {
        let missing = match &scenario.image {
            ImageRef::Named(image) => missing_image(image, images_dir),
            ImageRef::Files { kernel, initrd, uki, .. } => kernel
                .iter()
                .chain(initrd)
                .chain(uki)
                .filter(|path| !Path::new(path).is_file())
                .map(|path| format!("no file {path}"))
                .collect(),
        };
        if !missing.is_empty() {
            all.insert(name.clone(), missing);
        }
    }
    all
}

fn missing_image(image: &str, images_dir: &Path) -> Vec<String> {
    let folder = images_dir.join(image);
    if folder.is_dir() {
        return Vec::new();
    }
    vec![format!("no image `{image}` in {} (labinator image build {image})", images_dir.display())]
}
