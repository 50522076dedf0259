//! `image`: building, listing, verifying, updating and trusting boot images.

use std::path::{Path, PathBuf};

use api::{AgedKind, GenerationState, Stock};
use model::Asset;
use serde::Serialize;

use super::args_image::{BuildArgs, FetchArgs, ImageVerb, OneImage, UpdateArgs};
use super::render::counted;
use super::{Failure, Globals, out};
use crate::fetch;
use crate::image::life::{Generations, Home};
use crate::image::{
    self, Built, Change, ImageError, ImageManifest, Keys, Live, NodeImage, Offer, Order, Updated, Verdict,
};
use crate::start::{cache_folder, images_folder, loaders_folder};

/// The image that this version builds unless told otherwise.
const NODE_IMAGE: &str = "node";

impl From<ImageError> for Failure {
    fn from(error: ImageError) -> Self {
        Self::failed(error.to_string())
    }
}

/// Carries out what is asked about images.
///
/// # Errors
/// What is missing or wrong, with the command that helps.
pub async fn images(globals: &Globals, verb: ImageVerb) -> Result<(), Failure> {
    let quiet = globals.quiet;
    match verb {
        ImageVerb::Build(args) => {
            let images = args.out.clone().unwrap_or_else(images_folder);
            let before = ImageManifest::read(&image::life::in_use(&images, &args.name)).ok();
            let built = build(args).await?;
            if quiet { Ok(()) } else { tell_built(&built, before.as_ref()) }
        }
        ImageVerb::Fetch(args) => fetch(globals, args).await,
        ImageVerb::List { out, json } => list(out.unwrap_or_else(images_folder), json),
        ImageVerb::Verify { name, out, json } => verify(name, &out.unwrap_or_else(images_folder), json),
        ImageVerb::Update(args) => update(args, quiet).await,
        ImageVerb::Bundle { name, output, out } => {
            let size = image::pack(&out.unwrap_or_else(images_folder), &name, &output)?;
            if quiet { Ok(()) } else { out::line(&format!("{}: {} kB", output.display(), size / 1000)) }
        }
        ImageVerb::Promote(args) => promote(&args, quiet),
        ImageVerb::Rollback(args) => roll_back(&args, quiet),
        ImageVerb::Key { out } => {
            let key = Keys::of(&out.unwrap_or_else(images_folder)).signing()?;
            out::line(&key.public().to_string())
        }
        ImageVerb::Trust { name, key, remove, out } => trust(
            &Keys::of(&out.unwrap_or_else(images_folder)),
            name.as_deref(),
            key.as_deref(),
            (remove, quiet),
        ),
    }
}

async fn build(args: BuildArgs) -> Result<Built, Failure> {
    let BuildArgs { name, agent, talosd, out, kernel_deb, ssh_keys, suite, mirror, with } = args;
    let out = out.unwrap_or_else(images_folder);
    let plays = name == image::SIMULATED_TALOS;
    let kind = Live::named(&name);
    if name != NODE_IMAGE && !plays && kind.is_none() {
        let known = [NODE_IMAGE, image::SIMULATED_TALOS].into_iter().chain(Live::ALL.map(Live::name));
        let known: Vec<&str> = known.collect();
        let why = format!("no image `{name}` can be built; this version builds: {}", known.join(", "));
        return Err(Failure::Usage(why));
    }
    let misplaced = [
        (talosd.is_some() && !plays, "--talosd is for the image simulated-talos"),
        (kernel_deb.is_some() && kind.is_some(), "a live image has the kernel of its release: --suite"),
        (ssh_keys.is_some() && kind.is_none(), "--ssh-keys is for live images"),
        (suite.is_some() && kind.is_none(), "--suite is for live images"),
        (!mirror.is_empty() && kind.is_none(), "--mirror is for live images"),
        (!with.iter().all(|what| kind.is_some_and(|live| live.takes(*what))), "--with is for the hypervisor"),
    ];
    if let Some((_, why)) = misplaced.into_iter().find(|(wrong, _)| *wrong) {
        return Err(Failure::Usage(why.to_owned()));
    }
    let agent = agent.map_or_else(|| beside("agent", "--agent"), Ok)?;
    if let Some(live) = kind {
        let keys = ssh_keys.as_deref().map(text).transpose()?;
        let order = Order { live, images: out, agent, suite, mirrors: mirror, keys, with };
        return Ok(image::build(&order).await?);
    }
    let talosd = plays.then(|| talosd.map_or_else(|| beside("talosd", "--talosd"), Ok)).transpose()?;
    let cache = cache_folder().join("packages");
    let plan = NodeImage { agent, talosd, out: out.clone(), kernel_deb, cache };
    let built = image::build_node(&plan).await?;
    Keys::of(&out).sign(&built.folder, &name)?;
    Ok(built)
}

/// `before` is the image that was in use: what was added, as with `--with`, is seen by what its files grew.
fn tell_built(built: &Built, before: Option<&ImageManifest>) -> Result<(), Failure> {
    let how = if built.fresh { "built" } else { "is current" };
    let packages = match built.manifest.packages.len() {
        0 => String::new(),
        count => format!(", {count} packages"),
    };
    out::line(&format!(
        "{} {how} (kernel {}{packages})",
        built.folder.display(),
        built.manifest.kernel_version
    ))?;
    built.manifest.files().try_for_each(|file| {
        let same = |old: &&Asset| old.name == file.name && old.size != file.size;
        let grew = before.and_then(|before| before.files().find(same)).map_or_else(String::new, |old| {
            let word = if file.size > old.size { "more" } else { "less" };
            format!("  {} kB {word} than before", file.size.abs_diff(old.size).div_ceil(1000))
        });
        out::line(&format!("  {:<14} {:>9} kB  sha256:{}{grew}", file.name, file.size / 1000, file.digest))
    })
}

async fn update(args: UpdateArgs, quiet: bool) -> Result<(), Failure> {
    let UpdateArgs { name, after, node, offline, agent, ssh_keys, suite, mirror, out } = args;
    let images = out.unwrap_or_else(images_folder);
    let offer = Offer { after, node };
    let mut tell = |changes: &[Change]| {
        if !quiet {
            tell_changes(&name, changes);
        }
    };
    let updated = if let Some(bundle) = offline {
        image::update_from((&images, &name), &bundle, &offer, &mut tell).await?
    } else {
        let live = Live::named(&name).ok_or_else(|| ImageError::NotLive(name.clone()))?;
        let agent = agent.map_or_else(|| beside("agent", "--agent"), Ok)?;
        let keys = ssh_keys.as_deref().map(text).transpose()?;
        let order = Order { live, images, agent, suite, mirrors: mirror, keys, with: Vec::new() };
        image::update(&order, &offer, &mut tell).await?
    };
    if quiet {
        return Ok(());
    }
    match updated {
        Updated::Current { generation } => {
            out::line(&format!("{name}: generation {generation} is the same; nothing to do"))
        }
        Updated::First { generation } => out::line(&format!(
            "{name}: generation {generation} is the first, and machines boot it from now on"
        )),
        Updated::Offered { generation, started_in, .. } => {
            let who = offer.node.map_or_else(|| "the first machine".to_owned(), |node| node.to_string());
            out::line(&format!(
                "{name}: generation {generation} started in QEMU within {} s, and is tried from now on: the next \
                 start of {who} of each scenario boots it; after {} all machines get it",
                started_in.as_secs() + 1,
                counted(usize::try_from(after).unwrap_or(usize::MAX), "good start")
            ))
        }
    }
}

/// To standard error, before the long wait: the result comes after it.
fn tell_changes(name: &str, changes: &[Change]) {
    if changes.is_empty() {
        out::complain(&format!(
            "{name}: the same packages; the agent, its keys or the way of building changed"
        ));
    }
    for change in changes {
        out::complain(&format!("  {change}"));
    }
    out::complain(&format!("{name}: built; it is started in QEMU now"));
}

/// What is changed about an image that is there.
fn changed(
    args: &OneImage,
    how: impl FnOnce(&mut Generations) -> Option<u32>,
) -> Result<Option<(u32, Generations)>, Failure> {
    let home = Home::of(&args.out.clone().unwrap_or_else(images_folder), &args.name);
    if home.known()?.is_none() {
        return Err(ImageError::NoImage(args.name.clone()).into());
    }
    Ok(home.change(|all| Ok(all.and_then(|mut all| how(&mut all).map(|number| (number, all)))))?)
}

fn promote(args: &OneImage, quiet: bool) -> Result<(), Failure> {
    let name = &args.name;
    match changed(args, Generations::promote)? {
        None => Err(Failure::with_advice(
            format!("nothing is tried of image {name}"),
            format!("`labinator image update {name}` makes a generation to try"),
        )),
        Some(_) if quiet => Ok(()),
        Some((number, _)) => out::line(&format!("{name}: all machines boot generation {number} from now on")),
    }
}

fn roll_back(args: &OneImage, quiet: bool) -> Result<(), Failure> {
    let name = &args.name;
    match changed(args, |all| all.roll_back("rolled back by hand", image::now()))? {
        None => Err(Failure::failed(format!(
            "image {name} has no generation to go back to: nothing is tried, and there is no last good one"
        ))),
        Some(_) if quiet => Ok(()),
        Some((number, all)) => out::line(&format!(
            "{name}: generation {number} is given up; machines boot generation {} from now on",
            all.good
        )),
    }
}

/// What `image verify --json` prints of each generation.
#[derive(Debug, Serialize)]
struct Verified {
    image: String,
    generation: u32,
    whole: bool,
    problems: Vec<String>,
    signed: String,
}

fn verify(name: Option<String>, images: &Path, json: bool) -> Result<(), Failure> {
    let keys = Keys::of(images);
    let names = match name {
        Some(name) if Home::of(images, &name).known()?.is_none() => {
            return Err(ImageError::NoImage(name).into());
        }
        Some(name) => vec![name],
        None => image::names(images),
    };
    let mut all = Vec::new();
    for name in names {
        let home = Home::of(images, &name);
        for generation in home.known()?.map(|all| all.kept()).unwrap_or_default() {
            let found = image::verify(&home.folder_of(generation), &name, &keys);
            let (problems, signed) = match found {
                Ok(Verdict { problems, seal }) => {
                    (problems.into_iter().chain(seal.objection()).collect(), seal.to_string())
                }
                Err(why) => (vec![why.to_string()], "unknown".to_owned()),
            };
            let whole = problems.is_empty();
            all.push(Verified { image: name.clone(), generation, whole, problems, signed });
        }
    }
    if json {
        out::json(&all, true)?;
    } else {
        for one in &all {
            let how = if one.whole { "whole" } else { "NOT as it was built" };
            out::line(&format!("{:<20} generation {:<4} {how}, {}", one.image, one.generation, one.signed))?;
            one.problems.iter().try_for_each(|problem| out::line(&format!("  {problem}")))?;
        }
    }
    if all.iter().all(|one| one.whole) { Ok(()) } else { Err(Failure::Said(1)) }
}

fn trust(
    keys: &Keys,
    name: Option<&str>,
    key: Option<&Path>,
    (remove, quiet): (bool, bool),
) -> Result<(), Failure> {
    let told = match (name, key, remove) {
        (None, ..) => {
            let all = keys.trusted()?;
            return all.iter().try_for_each(|(name, key)| out::line(&format!("{name:<20} {key}")));
        }
        (Some(name), _, true) if keys.distrust(name)? => format!("{name} is trusted no longer"),
        (Some(name), _, true) => return Err(Failure::failed(format!("no key is trusted as {name}"))),
        (Some(name), Some(file), false) => {
            let key = text(file)?.parse().map_err(ImageError::Key)?;
            keys.trust(name, key)?;
            format!("images that {name} signed are trusted from now on")
        }
        (Some(_), None, false) => {
            return Err(Failure::Usage("name the file with the public key, or say --remove".to_owned()));
        }
    };
    if quiet { Ok(()) } else { out::line(&told) }
}

fn list(images: PathBuf, json: bool) -> Result<(), Failure> {
    let places = image::Places { images, loaders: loaders_folder(), cache: cache_folder().join("packages") };
    let stock = image::stock(&places, image::now());
    if json { out::json(&stock, true) } else { out::print(&listed(&stock)) }
}

/// The stock as a person reads it: a line a generation, then what should be renewed.
fn listed(stock: &Stock) -> String {
    let mut text = String::new();
    for image in &stock.images {
        for generation in &image.generations {
            let state = match (generation.state, &generation.trial) {
                (GenerationState::Candidate, Some(trial)) => {
                    format!("tried, {} of {} good starts", trial.starts, trial.after)
                }
                (GenerationState::Candidate, None) => "tried".to_owned(),
                (GenerationState::Good, _) => "good".to_owned(),
                (GenerationState::LastGood, _) => "last good".to_owned(),
                (GenerationState::Refused, _) => "refused".to_owned(),
            };
            let packages = match generation.packages {
                0 => String::new(),
                count => format!(", {}", counted(usize::try_from(count).unwrap_or(usize::MAX), "package")),
            };
            text.push_str(&format!(
                "{:<20} {:>4}  {state:<10} {:>4} d {:>8} kB  {}{packages}; {}\n",
                image.name,
                generation.number,
                generation.days,
                generation.size / 1000,
                generation.kernel,
                generation.signed,
            ));
            if let Some(because) = generation.because.as_ref().and_then(|because| because.lines().next()) {
                text.push_str(&format!("{:<27} {because}\n", ""));
            }
        }
    }
    let all = stock.images.iter().map(|image| &image.aged).chain(&stock.others);
    for aged in all.filter(|aged| aged.old) {
        let kind = match aged.kind {
            AgedKind::Image => "image",
            AgedKind::Loader => "loader",
            AgedKind::Cache => "cache",
        };
        text.push_str(&format!("{kind} {} is {} days old: {}\n", aged.name, aged.days, aged.help));
    }
    text
}

/// Fetches a system of the catalogue, or lists the catalogue.
async fn fetch(globals: &Globals, args: FetchArgs) -> Result<(), Failure> {
    let Some(name) = args.name else {
        return fetch::systems().iter().try_for_each(|(name, about, version)| {
            let version = if version.is_empty() { "(name one)" } else { version };
            out::line(&format!("{name:<16} {version:<12} {about}"))
        });
    };
    let order = fetch::Order {
        name,
        version: args.version,
        arch: args.arch,
        schematic: args.schematic,
        mirror: args.mirror,
        from: args.from,
        unproven: args.unproven,
        out: args.out.unwrap_or_else(images_folder),
        lock: args.lock,
    };
    let look = out::Look::new(globals);
    let mut told = String::new();
    let shown = !look.quiet && look.paper == out::Paper::Terminal;
    let mut progress = |file: &str, moved: u64, size: Option<u64>| {
        let whole = size.map_or_else(String::new, |size| format!(" of {}", size / 1_000_000));
        let now = format!("{file}: {}{whole} MB", moved / 1_000_000);
        if shown && now != told {
            out::complain(&now);
            told = now;
        }
    };
    let fetched = fetch::fetch(&order, &mut progress)
        .await
        .map_err(|why| Failure::with_advice(why.to_string(), why.advice()))?;
    if look.quiet {
        return Ok(());
    }
    let how = if fetched.pinned { "pinned in" } else { "as pinned in" };
    out::line(&format!("image {}, {how} {}", fetched.image, order.lock.display()))?;
    if fetched.unproven {
        out::line(
            "Nobody says what these files must be: what came now is pinned, and nothing else is taken later.",
        )?;
    }
    fetched.manifest.files().filter(|file| file.size > 0).try_for_each(|file| {
        out::line(&format!("  {:<40} {:>9} kB  sha256:{}", file.name, file.size / 1000, file.digest))
    })
}

/// A program that was built beside this one.
fn beside(name: &str, option: &str) -> Result<PathBuf, Failure> {
    let beside = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join(name)));
    beside.filter(|path| path.is_file()).ok_or_else(|| {
        Failure::with_advice(
            format!("there is no {name} beside this program"),
            format!("name it with {option} PATH"),
        )
    })
}

fn text(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|why| Failure::failed(format!("{}: {why}", path.display())))
}
