//! From what scenarios name to files by content, on the shelf that the counter serves from: images, and
//! what is rendered for each machine.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::{
    Asset, Candidate, DISK_IMAGE, Digest, Fact, Image, ImageRef, LabSpec, NodeBoot, NodeName, ScenarioName,
    ScenarioSpec, SecureBootRule, TalosSpec,
};
use pki::secure_boot::{Certificate, signed_by};
use store::shelf::{Shelf, ShelfError};

use crate::cluster;
use crate::image::life::{self, Home, in_use};
use crate::image::{ImageManifest, Keys, unlike};
use crate::secure_boot::{SecureBoot, SecureBootFailure};
use crate::seed::{Kitchen, Seed};

/// Files of a folder that are served at most: the boot folder of a Raspberry Pi has some three hundred.
const FOLDER_FILES: usize = 1024;
/// Mistakes told of one scenario; `labinator check` tells all.
const TOLD: usize = 8;

/// What a search came to.
#[derive(Debug)]
pub struct Searched {
    /// [`Fact::ImagesFound`].
    pub found: Fact,
    /// True where a file that is there could not be read or shelved, as on a full disk: that may pass by itself.
    pub passing: bool,
}

/// Finds, renders and shelves what every scenario boots. Reads whole files: run it where waiting is allowed.
#[must_use]
pub fn find(spec: &LabSpec, images: &Path, shelf: &Shelf) -> Fact {
    search(spec, images, shelf).found
}

/// The same, and whether it is worth another search although nothing changes that is looked for.
#[must_use]
pub fn search(spec: &LabSpec, images: &Path, shelf: &Shelf) -> Searched {
    let mut found = BTreeMap::new();
    let mut missing: BTreeMap<ScenarioName, Vec<String>> = BTreeMap::new();
    let mut boots = BTreeMap::new();
    let mut search = Search::new(spec, images, shelf);
    let mut kitchen = Kitchen::new(spec);
    for (name, scenario) in &spec.scenarios {
        let image = search.image(&scenario.image, scenario);
        let own = search.boots(&mut kitchen, name, scenario).and_then(|mut own| {
            own.extend(search.hypervisors(scenario)?);
            Ok(own)
        });
        let mut configs = cluster::mistakes(spec, name);
        if let (Ok(image), Ok(own)) = (&image, &own) {
            configs.extend(nobody_wipes(scenario, image, own));
        }
        match (image, own) {
            (Ok(image), Ok(own)) if configs.is_empty() => {
                found.insert(name.clone(), image);
                if !own.is_empty() {
                    boots.insert(name.clone(), own);
                }
            }
            (image, own) => {
                let mut lacks: Vec<String> =
                    image.err().into_iter().chain(own.err()).flatten().chain(configs).collect();
                if lacks.len() > TOLD {
                    let more = lacks.len() - TOLD;
                    lacks.truncate(TOLD);
                    lacks.push(format!("and {more} more: `labinator check` tells all"));
                }
                missing.insert(name.clone(), lacks);
            }
        }
    }
    let found = Fact::ImagesFound { images: found, missing, boots };
    Searched { found, passing: search.passing }
}

/// Finds the generations that are to be tried of what scenarios boot, and shelves them. One that is not as it was built is
/// left out, and the log says so.
#[must_use]
pub fn candidates(spec: &LabSpec, images: &Path, shelf: &Shelf) -> Vec<Candidate> {
    let mut search = Search::new(spec, images, shelf);
    let booted = spec.scenarios.values().flat_map(|scenario| {
        // What a maker built, such as Talos, has versions and no generations.
        let own = Some(&scenario.image).filter(|_| scenario.talos.is_none());
        own.into_iter().chain(&scenario.hypervisor_image)
    });
    let names: BTreeSet<&str> = booted
        .filter_map(|image| match image {
            ImageRef::Named(name) => Some(name.as_str()),
            ImageRef::Files { .. } => None,
        })
        .collect();
    let mut all = Vec::new();
    for name in names {
        match search.candidate(name) {
            Ok(candidate) => all.extend(candidate),
            Err(why) => tracing::warn!("nothing is tried of image {name}: {}", why.join("; ")),
        }
    }
    all
}

/// What a scenario lacks whose disks are to be wiped before use, where what its machines boot has no agent of ours. Talos
/// wipes its own.
fn nobody_wipes(
    scenario: &ScenarioSpec,
    image: &Image,
    own: &BTreeMap<NodeName, NodeBoot>,
) -> Option<String> {
    let lacks = |image: &Image| !image.agent;
    let is_hypervisor = |node: &NodeName| scenario.hypervisors.contains(node);
    let single = own.iter().filter(|(node, _)| scenario.talos.is_none() || is_hypervisor(node));
    let among = single.filter_map(|(_, boot)| boot.image.as_deref()).any(lacks);
    let itself = scenario.talos.is_none() && scenario.members().next().is_some() && lacks(image);
    (scenario.wipe_before_use && (among || itself)).then(|| {
        "an agent of ours in each image that its machines boot: `wipe: before-use` is carried out by it"
            .to_owned()
    })
}

/// Whether a program on the shelf is signed by this certificate; what is wrong with it, after its name.
fn is_signed(shelf: &Shelf, asset: &Asset, signer: &Certificate) -> Result<(), String> {
    let whole = shelf.open_range(store::Digest(asset.digest.0), 0, asset.size);
    let mut bytes = Vec::new();
    whole.map_err(|why| why.to_string())?.read_to_end(&mut bytes).map_err(|why| why.to_string())?;
    signed_by(&bytes, signer)
}

/// What was found so far: scenarios often share files, and each is read once.
struct Search<'a> {
    images: &'a Path,
    shelf: &'a Shelf,
    known: BTreeMap<PathBuf, Asset>,
    folders: BTreeMap<String, BTreeMap<String, Asset>>,
    /// Something was in the way that may pass.
    passing: bool,
    /// By whom programs that firmware starts must be signed, where the lab asks for that.
    signer: Option<Result<Certificate, String>>,
    /// Whether they are, each hashed once.
    signed: BTreeMap<Digest, Result<(), String>>,
}

impl<'a> Search<'a> {
    fn new(spec: &LabSpec, images: &'a Path, shelf: &'a Shelf) -> Self {
        let signer = (spec.secure_boot == SecureBootRule::Required).then(|| {
            let keys = SecureBoot::of(images);
            let certificate = keys.certificate().map_err(|why| why.to_string())?;
            certificate.ok_or_else(|| SecureBootFailure::NoKeys(keys.folder().to_owned()).to_string())
        });
        Self {
            images,
            shelf,
            known: BTreeMap::new(),
            folders: BTreeMap::new(),
            passing: false,
            signer,
            signed: BTreeMap::new(),
        }
    }
}

impl Search<'_> {
    /// The image, where what firmware starts of it is signed as the lab asks.
    fn started(&mut self, image: Image) -> Result<Image, Vec<String>> {
        let signer = match &self.signer {
            None => return Ok(image),
            Some(Err(why)) => return Err(vec![format!("`secure-boot: required`, and {why}")]),
            Some(Ok(signer)) => signer,
        };
        let mut lacks = Vec::new();
        for asset in image.kernel.iter().chain(&image.uki) {
            let verdict =
                self.signed.entry(asset.digest).or_insert_with(|| is_signed(self.shelf, asset, signer));
            lacks.extend(verdict.as_ref().err().map(|why| {
                format!(
                    "{} {why} (`secure-boot: required`): build its image again, or sign it with `labinator \
                     secure-boot sign`",
                    asset.name
                )
            }));
        }
        if lacks.is_empty() { Ok(image) } else { Err(lacks) }
    }

    /// An image, as a scenario boots it.
    fn image(&mut self, wanted: &ImageRef, scenario: &ScenarioSpec) -> Result<Image, Vec<String>> {
        let mut image = self.found(wanted, scenario.talos.as_ref())?;
        if let Some(talos) = &scenario.talos {
            cluster::image::prepare(&mut image, &scenario.args, talos);
        }
        Ok(image)
    }

    fn found(&mut self, wanted: &ImageRef, talos: Option<&TalosSpec>) -> Result<Image, Vec<String>> {
        let image = self.named_or_files(wanted, talos)?;
        self.started(image)
    }

    fn named_or_files(&mut self, wanted: &ImageRef, talos: Option<&TalosSpec>) -> Result<Image, Vec<String>> {
        match wanted {
            ImageRef::Named(name) if name == DISK_IMAGE => Ok(Image::default()),
            ImageRef::Named(name) => match talos {
                Some(talos) => {
                    let name = cluster::image::meant(self.images, name, talos).map_err(|why| vec![why])?;
                    self.named(&name, talos.into())
                }
                None => self.named(name, None),
            },
            ImageRef::Files { kernel, initrd, uki, args } => {
                let mut lacks = Vec::new();
                let mut asset = |path: &String| match self.shelve(Path::new(path)) {
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

    fn named(&mut self, name: &str, talos: Option<&TalosSpec>) -> Result<Image, Vec<String>> {
        let manifest = self.proven(name, &in_use(self.images, name), talos)?;
        Ok(manifest.image())
    }

    /// The generation of an image that is to be tried.
    fn candidate(&mut self, name: &str) -> Result<Option<Candidate>, Vec<String>> {
        let home = Home::of(self.images, name);
        let all = home.read().map_err(|why| vec![why.to_string()])?;
        let Some((good, tried)) = all.and_then(|all| Some((all.good, all.candidate?))) else {
            return Ok(None);
        };
        let image = self.proven(name, &home.folder_of(tried.generation), None)?.image();
        let image = Arc::new(self.started(image)?);
        let instead_of =
            ImageManifest::read(&home.folder_of(good)).map_err(|why| vec![why.to_string()])?.image();
        let life::Candidate { generation, after, starts, node, since: _ } = tried;
        Ok(Some(Candidate { name: name.to_owned(), generation, after, starts, node, instead_of, image }))
    }

    /// The description of an image whose every file is as it was built, and on the shelf.
    fn proven(
        &mut self,
        name: &str,
        folder: &Path,
        talos: Option<&TalosSpec>,
    ) -> Result<ImageManifest, Vec<String>> {
        let manifest = ImageManifest::read(folder).map_err(|why| {
            let why = if folder.is_dir() { format!(": {why}") } else { " is not there".to_owned() };
            let build = format!("labinator image build {name} --out {}", self.images.display());
            vec![format!("image {name}{why}; build it: `{build}`")]
        })?;
        let doubtful = |why: String| {
            format!("image {name} is not served: {why}; `labinator image verify {name}` tells all")
        };
        let seal =
            Keys::of(self.images).check(folder, name).map_err(|why| vec![doubtful(why.to_string())])?;
        if let Some(why) = seal.objection() {
            return Err(vec![doubtful(why)]);
        }
        if let Some(why) = talos.and_then(|talos| cluster::image::misfit(name, &manifest, talos)) {
            return Err(vec![why]);
        }
        let mut lacks = Vec::new();
        for file in manifest.files() {
            match self.shelve(&folder.join(&file.name)) {
                Ok(found) => lacks.extend(unlike(file, (found.digest, found.size)).map(doubtful)),
                Err(why) => lacks.push(why),
            }
        }
        if lacks.is_empty() { Ok(manifest) } else { Err(lacks) }
    }

    /// What the machines of a scenario get one by one.
    fn boots(
        &mut self,
        kitchen: &mut Kitchen<'_>,
        name: &ScenarioName,
        scenario: &ScenarioSpec,
    ) -> Result<BTreeMap<NodeName, NodeBoot>, Vec<String>> {
        let mut all = BTreeMap::new();
        if !Kitchen::concerns(scenario) {
            return Ok(all);
        }
        let mut lacks = BTreeSet::new();
        let mut images: Vec<(ImageRef, Arc<Image>)> = Vec::new();
        for node in scenario.members() {
            let seed = match kitchen.cook((name, scenario), node) {
                Ok(seed) => seed,
                Err(mistakes) => {
                    lacks.extend(mistakes.iter().map(ToString::to_string));
                    continue;
                }
            };
            match self.boot(&seed, scenario, &mut images) {
                Ok(boot) => {
                    all.insert(node.clone(), boot);
                }
                Err(why) => lacks.extend(why),
            }
        }
        if lacks.is_empty() { Ok(all) } else { Err(lacks.into_iter().collect()) }
    }

    /// What the machines that run the guests of a scenario boot.
    fn hypervisors(&mut self, scenario: &ScenarioSpec) -> Result<BTreeMap<NodeName, NodeBoot>, Vec<String>> {
        let Some(wanted) = &scenario.hypervisor_image else { return Ok(BTreeMap::new()) };
        let boot = NodeBoot {
            image: Some(Arc::new(self.found(wanted, None)?)),
            // Those of the scenario are for what its guests boot.
            args: Some(scenario.hypervisor_args.clone()),
            files: Arc::default(),
        };
        Ok(scenario.hypervisors.iter().map(|host| (host.clone(), boot.clone())).collect())
    }

    fn boot(
        &mut self,
        seed: &Seed,
        scenario: &ScenarioSpec,
        images: &mut Vec<(ImageRef, Arc<Image>)>,
    ) -> Result<NodeBoot, Vec<String>> {
        let wanted = seed.image.as_ref().unwrap_or(&scenario.image);
        let image = match images.iter().find(|(known, _)| known == wanted) {
            Some((_, image)) => Arc::clone(image),
            None => {
                let mut image = self.found(wanted, scenario.talos.as_ref())?;
                // Its arguments are rendered with the others.
                if let ImageRef::Files { .. } = wanted {
                    image.args.clear();
                }
                if let Some(talos) = &scenario.talos {
                    let args = seed.args.as_deref().unwrap_or(&scenario.args);
                    cluster::image::prepare(&mut image, args, talos);
                }
                let image = Arc::new(image);
                images.push((wanted.clone(), Arc::clone(&image)));
                image
            }
        };
        let mut files = BTreeMap::new();
        let mut lacks = Vec::new();
        for folder in &seed.folders {
            match self.folder(folder) {
                Ok(all) => files.extend(all),
                Err(why) => lacks.push(why),
            }
        }
        for (name, path) in &seed.files {
            match self.shelve(Path::new(path)) {
                Ok(asset) => {
                    files.insert(name.clone(), Asset { name: name.clone(), ..asset });
                }
                Err(why) => lacks.push(why),
            }
        }
        for (name, text) in &seed.texts {
            match self.shelf.put(text.as_bytes()) {
                Ok(digest) => {
                    let size = u64::try_from(text.len()).unwrap_or(u64::MAX);
                    let asset = Asset { name: name.clone(), digest: Digest(digest.0), size };
                    files.insert(name.clone(), asset);
                }
                Err(why) => lacks.push(format!("{name}: {why}")),
            }
        }
        if !lacks.is_empty() {
            return Err(lacks);
        }
        Ok(NodeBoot { image: Some(image), args: seed.args.clone(), files: Arc::new(files) })
    }

    /// Every file below a folder, by its path in it.
    fn folder(&mut self, folder: &str) -> Result<BTreeMap<String, Asset>, String> {
        if let Some(known) = self.folders.get(folder) {
            return Ok(known.clone());
        }
        let mut paths = Vec::new();
        let mut open = vec![PathBuf::from(folder)];
        while let Some(folder) = open.pop() {
            let entries = std::fs::read_dir(&folder).map_err(|why| format!("{}: {why}", folder.display()))?;
            for path in entries.flatten().map(|entry| entry.path()) {
                let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
                match (hidden, path.is_dir()) {
                    (true, _) => {}
                    (false, true) => open.push(path),
                    (false, false) => paths.push(path),
                }
                if paths.len() > FOLDER_FILES {
                    return Err(format!("{}: more than {FOLDER_FILES} files", folder.display()));
                }
            }
        }
        let mut all = BTreeMap::new();
        for path in paths {
            let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
            let asset = self.shelve(&path)?;
            all.insert(name.clone(), Asset { name, ..asset });
        }
        self.folders.insert(folder.to_owned(), all.clone());
        Ok(all)
    }

    fn shelve(&mut self, path: &Path) -> Result<Asset, String> {
        if let Some(asset) = self.known.get(path) {
            return Ok(asset.clone());
        }
        let adopted = self.shelf.adopt(path).and_then(|digest| Ok((digest, self.shelf.open(digest)?)));
        let (digest, content) = adopted.map_err(|why| {
            self.passing |= passes(&why);
            format!("{}: {why}", path.display())
        })?;
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let asset = Asset { name, digest: Digest(digest.0), size: content.size() };
        self.known.insert(path.to_owned(), asset.clone());
        Ok(asset)
    }
}

/// True for what the system may allow another time. A file that is not there comes with a new description.
fn passes(why: &ShelfError) -> bool {
    match why {
        ShelfError::Io { source, .. } => source.kind() != std::io::ErrorKind::NotFound,
        ShelfError::Missing(_) | ShelfError::Damaged { .. } | ShelfError::OutOfRange { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::sample::Images;

    fn lab() -> LabSpec {
        let text = "lab: bench\n\
             network: { interface: eth0, subnet: 10.0.0.0/24, boss: 10.0.0.1, dhcp: authoritative }\n\
             power: { hand: { driver: manual } }\n\
             board:\n  columns: 1\n  nodes:\n    \
             n1: { at: [1, 1], mac: 52:54:00:00:00:01, ip: 10.0.0.11, power: hand/1 }\n\
             scenarios:\n  mend: { nodes: [n1], image: rescue }\n";
        crate::config::parse(text.as_bytes(), "lab.yaml", Path::new("/")).unwrap()
    }

    /// What the scenario lacks, in one line; empty when it can be started.
    fn lacks(images: &Images) -> String {
        lacks_of(&lab(), images)
    }

    fn lacks_of(lab: &LabSpec, images: &Images) -> String {
        let shelf = Shelf::new(images.folder().join("shelf"));
        let Fact::ImagesFound { images: found, missing, .. } = find(lab, images.folder(), &shelf) else {
            panic!("another fact");
        };
        let told = missing.into_values().flatten().collect::<Vec<_>>().join("; ");
        assert_eq!(found.is_empty(), !told.is_empty(), "{told}");
        told
    }

    #[test]
    fn what_cannot_be_shelved_now_may_be_another_time_and_what_is_not_there_may_not() {
        let images = Images::new("passing");
        let shelf = Shelf::new(images.folder().join("shelf"));
        assert!(!search(&lab(), images.folder(), &shelf).passing, "there is no image");
        images.image("rescue", "one");
        // No folder can be made there, as none could on a full disk.
        std::fs::write(images.folder().join("shelf"), "in the way").unwrap();
        let Searched { found, passing } = search(&lab(), images.folder(), &shelf);
        let Fact::ImagesFound { missing, .. } = found else { panic!("another fact") };
        assert!(passing && missing.len() == 1, "{missing:?}");
        std::fs::remove_file(images.folder().join("shelf")).unwrap();
        let Searched { found, passing } = search(&lab(), images.folder(), &shelf);
        let Fact::ImagesFound { missing, .. } = found else { panic!("another fact") };
        assert!(!passing && missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn a_scenario_that_wipes_before_use_needs_an_agent_in_what_its_machines_boot() {
        let spec = ScenarioSpec { wipe_before_use: true, ..lab().scenarios.into_values().next().unwrap() };
        let node: NodeName = "n1".parse().unwrap();
        let image = |agent| Image { agent, ..Image::default() };
        let own = |agent| {
            let boot = NodeBoot { image: Some(Arc::new(image(agent))), ..NodeBoot::default() };
            BTreeMap::from([(node.clone(), boot)])
        };
        assert_eq!(nobody_wipes(&spec, &image(true), &own(true)), None);
        assert!(nobody_wipes(&spec, &image(false), &BTreeMap::new()).is_some());
        assert!(nobody_wipes(&spec, &image(true), &own(false)).is_some());
        assert_eq!(
            nobody_wipes(&ScenarioSpec { wipe_before_use: false, ..spec }, &image(false), &own(false)),
            None
        );
    }

    #[test]
    fn where_secure_boot_is_required_nothing_unsigned_is_served() {
        let images = Images::new("assets-secure");
        let folder = images.image("rescue", "kernel");
        let lab = LabSpec { secure_boot: SecureBootRule::Required, ..lab() };
        let lacks = || lacks_of(&lab, &images);
        let keys = SecureBoot::of(images.folder());
        assert!(lacks().starts_with("`secure-boot: required`, and there are no keys"), "{}", lacks());
        keys.make("lab", crate::image::now()).unwrap();
        assert!(lacks().starts_with("vmlinuz cannot be looked into: it is no EFI program"), "{}", lacks());

        let program = include_bytes!("../../pki/tests/secure_boot/plain.efi");
        crate::image::sample::fill_with(&folder, program, "1");
        assert!(lacks().starts_with("vmlinuz is not signed (`secure-boot: required`): build"), "{}", lacks());
        let signer = keys.signer().unwrap().unwrap();
        let signed = crate::secure_boot::sign(program, &signer, "vmlinuz").unwrap();
        crate::image::sample::fill_with(&folder, &signed, "1");
        assert_eq!(lacks(), "");
        // Another's signature is none.
        let others = Images::new("assets-secure-others");
        SecureBoot::of(others.folder()).make("others", crate::image::now()).unwrap();
        let signer = SecureBoot::of(others.folder()).signer().unwrap().unwrap();
        let signed = crate::secure_boot::sign(program, &signer, "vmlinuz").unwrap();
        crate::image::sample::fill_with(&folder, &signed, "1");
        assert!(lacks().starts_with("vmlinuz is signed, but not by CN=lab db"), "{}", lacks());
    }

    #[test]
    fn an_image_that_is_not_as_it_was_built_is_not_served_and_it_is_said_why() {
        let images = Images::new("assets");
        let folder = images.image("rescue", "kernel");
        let keys = Keys::of(images.folder());
        assert_eq!(lacks(&images), "");
        keys.sign(&folder, "rescue").unwrap();
        assert_eq!(lacks(&images), "");

        // A file takes the place of another, of the same size.
        std::fs::write(folder.join("other"), "Kernel").unwrap();
        std::fs::rename(folder.join("other"), folder.join("vmlinuz")).unwrap();
        let told = lacks(&images);
        let begin = "image rescue is not served: vmlinuz: has sha256 ";
        assert!(
            told.starts_with(begin) && told.ends_with("`labinator image verify rescue` tells all"),
            "{told}"
        );

        // Whoever changes the description as well is found by the signature.
        crate::image::sample::fill(&folder, "Kernel");
        let told = lacks(&images);
        assert!(told.contains("image.json or image.sig was changed after it was signed"), "{told}");

        let others = Images::new("assets-others");
        Keys::of(others.folder()).sign(&folder, "rescue").unwrap();
        let told = lacks(&images);
        assert!(told.contains("which nobody here trusts; `labinator image trust NAME FILE`"), "{told}");
    }
}
