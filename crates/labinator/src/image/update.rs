//! A new generation of an image: made of today's packages, compared, started once in QEMU, and then tried by one machine.

use std::path::{Path, PathBuf};
use std::time::Duration;

use model::NodeName;

use super::carry::unpack;
use super::changes::{Change, changes};
use super::life::{Candidate, Home, Part};
use super::live::{Extra, LiveImage, build_live};
use super::manifest::{ImageManifest, Recipe};
use super::node::Built;
use super::signed::{Keys, Seal, now};
use super::verify::verify;
use super::{ImageError, Live, boot_test};

/// The release that live images are made of unless told otherwise.
const SUITE: &str = "bookworm";

/// What to make a generation of.
#[derive(Debug, Clone)]
pub struct Order {
    /// Which image.
    pub live: Live,
    /// Folder of images.
    pub images: PathBuf,
    /// The agent, linked statically.
    pub agent: PathBuf,
    /// Debian release; that of the generation in use when absent.
    pub suite: Option<String>,
    /// Where packages are; those of the generation in use when empty.
    pub mirrors: Vec<String>,
    /// Public keys that may log in; those of the generation in use when absent.
    pub keys: Option<String>,
    /// What is added to it; an update adds what the generation in use has.
    pub with: Vec<Extra>,
}

/// How a new generation is to be tried.
#[derive(Debug, Clone)]
pub struct Offer {
    /// Good starts of one machine after which all have it.
    pub after: u32,
    /// The machine that tries it; the first of each scenario when none is named.
    pub node: Option<NodeName>,
}

/// What became of an update.
#[derive(Debug, Clone)]
pub enum Updated {
    /// The generation in use is what would be made today; it says so from now on.
    Current {
        /// Which.
        generation: u32,
    },
    /// It is the first of its name here, and used from now on.
    First {
        /// Which.
        generation: u32,
    },
    /// A new generation is tried from now on.
    Offered {
        /// Which.
        generation: u32,
        /// What is other than in the generation in use.
        changes: Vec<Change>,
        /// How long it took to start in QEMU.
        started_in: Duration,
    },
}

/// Builds an image; it is used from now on.
///
/// # Errors
/// What is missing, with the command that helps; what was in use before still is.
pub async fn build(order: &Order) -> Result<Built, ImageError> {
    let name = order.live.name();
    let home = Home::of(&order.images, name);
    let keys = Keys::of(&order.images);
    let part = home.begin()?;
    let used = home.known()?;
    let current = used.as_ref().map(|all| home.folder_of(all.good));
    let plan = plan(order, part.folder().to_owned(), current.clone(), None);
    let built = build_live(&plan).await?;
    if !built.fresh {
        say_current(&keys, &built.folder, name)?;
        return Ok(built);
    }
    keys.sign(part.folder(), name)?;
    let (number, _) = home.take(&part, |all, number| {
        all.adopt(number);
    })?;
    Ok(Built { folder: home.folder_of(number), ..built })
}

/// Makes a generation of today's packages and offers it. `tell` hears what was found before the new one is started,
/// which takes a while.
///
/// # Errors
/// It cannot be made or does not start; what is in use stays so.
pub async fn update(
    order: &Order,
    offer: &Offer,
    tell: &mut dyn FnMut(&[Change]),
) -> Result<Updated, ImageError> {
    let name = order.live.name();
    let home = Home::of(&order.images, name);
    let keys = Keys::of(&order.images);
    let part = home.begin()?;
    let used = home.known()?.ok_or_else(|| ImageError::NoImage(name.to_owned()))?;
    let current = home.folder_of(used.good);
    let before = ImageManifest::read(&current)?;
    let plan = plan(order, part.folder().to_owned(), Some(current.clone()), before.recipe.as_ref());
    let built = build_live(&plan).await?;
    if !built.fresh {
        say_current(&keys, &built.folder, name)?;
        return Ok(Updated::Current { generation: used.good });
    }
    keys.sign(part.folder(), name)?;
    let changes = changes(&before.packages, &built.manifest.packages);
    tell(&changes);
    tried_first((&home, &part), name, changes, offer).await
}

/// The same with an image that another boss made, from a bundle. Nothing changes before all of it was read and proven.
///
/// # Errors
/// What is wrong with the bundle, or it does not start; what is in use stays so.
pub async fn update_from(
    (images, name): (&Path, &str),
    bundle: &Path,
    offer: &Offer,
    tell: &mut dyn FnMut(&[Change]),
) -> Result<Updated, ImageError> {
    let home = Home::of(images, name);
    let part = home.begin()?;
    let used = home.known()?;
    let carried = unpack(bundle, name, &Keys::of(images), part.folder())?;
    let Some(used) = used else {
        // There is nothing that it could be tried in place of.
        boot_test::boots(part.folder(), name).await?;
        let (generation, _) = home.take(&part, |_, _| {})?;
        return Ok(Updated::First { generation });
    };
    let before = ImageManifest::read(&home.folder_of(used.good))?;
    if before.inputs == carried.inputs {
        return Ok(Updated::Current { generation: used.good });
    }
    let changes = changes(&before.packages, &carried.packages);
    tell(&changes);
    tried_first((&home, &part), name, changes, offer).await
}

async fn tried_first(
    (home, part): (&Home, &Part),
    name: &str,
    changes: Vec<Change>,
    offer: &Offer,
) -> Result<Updated, ImageError> {
    let started_in = boot_test::boots(part.folder(), name).await?;
    let (since, after, node) = (now(), offer.after.max(1), offer.node.clone());
    let (generation, _) = home.take(part, |all, generation| {
        all.offer(Candidate { generation, since, after, node, starts: 0 });
    })?;
    Ok(Updated::Offered { generation, changes, started_in })
}

/// The owner's word of today, else that of the day when the image in use was built.
fn plan(order: &Order, folder: PathBuf, current: Option<PathBuf>, before: Option<&Recipe>) -> LiveImage {
    let suite = order.suite.clone().or_else(|| before.map(|recipe| recipe.suite.clone()));
    let mirrors = match (order.mirrors.is_empty(), before) {
        (true, Some(recipe)) => recipe.mirrors.clone(),
        _ => order.mirrors.clone(),
    };
    let with = match (order.with.is_empty(), before) {
        (true, Some(recipe)) => recipe.with.clone(),
        _ => order.with.clone(),
    };
    LiveImage {
        live: order.live,
        with,
        agent: order.agent.clone(),
        keys: order.keys.clone().or_else(|| before.and_then(|recipe| recipe.keys.clone())),
        suite: suite.unwrap_or_else(|| SUITE.to_owned()),
        mirrors,
        images: order.images.clone(),
        folder,
        current,
    }
}

/// Signs what would be made the same today: its age begins anew. What is not whole, or is another's, is not signed.
fn say_current(keys: &Keys, folder: &Path, name: &str) -> Result<(), ImageError> {
    let verdict = verify(folder, name, keys)?;
    if let Some(why) = verdict.objections().first() {
        let why = format!("{why}; build it anew after removing {}", folder.display());
        return Err(ImageError::Doubtful { name: name.to_owned(), why });
    }
    match verdict.seal {
        Seal::None | Seal::Own(_) => keys.sign(folder, name),
        Seal::Trusted { .. } | Seal::Unknown(_) | Seal::Broken(_) => Ok(()),
    }
}
