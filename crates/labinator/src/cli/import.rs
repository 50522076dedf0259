//! `import`: what another netboot server has becomes a lab file, with everything said that was not carried over.

use std::fs;
use std::path::{Path, PathBuf};

use model::LabSpec;

use super::args::Globals;
use super::args_lab::{ImportVerb, MatchboxArgs};
use super::failure::Failure;
use super::out::{self, Look};
use super::seeds::checked;
use crate::import::matchbox::{Imported, Order, Remark, import as read, inserted};
use crate::{config, init};

/// Carries out the verb.
///
/// # Errors
/// Nothing can be made of the folder, files are there already, or something was not carried over.
pub async fn import(globals: &Globals, verb: ImportVerb) -> Result<(), Failure> {
    let ImportVerb::Matchbox(args) = verb;
    let look = Look::new(globals);
    let order = order(&args)?;
    let (imported, text) = match &args.lab {
        Some(lab) => beside(&order, lab)?,
        None => anew(&order, &args).await?,
    };
    write(&args, &order.home, &imported, &text)?;
    let spec = config::load(&args.out).map_err(|mistakes| Failure::failed(mistakes.to_string()))?;
    let right = checked((&args.out, &spec), false, look)?;
    tell(&args, &imported, &spec, look)?;
    let lost = imported.remarks.iter().filter(|remark| remark.lost).count();
    if !right {
        return Err(Failure::with_advice(
            format!("{} was written, and has the mistakes shown", args.out.display()),
            format!("correct the templates below {}", order.home.join("matchbox").display()),
        ));
    }
    if lost > 0 {
        let things = if lost == 1 { "one thing was" } else { "things were" };
        let count = if lost == 1 { String::new() } else { format!("{lost} ") };
        return Err(Failure::failed(format!("{count}{things} not carried over; the file names them")));
    }
    Ok(())
}

fn order(args: &MatchboxArgs) -> Result<Order, Failure> {
    let whole = |path: &Path| std::path::absolute(path).map_err(|why| Failure::failed(why.to_string()));
    let out = whole(&args.out)?;
    let home = out.parent().map(PathBuf::from).unwrap_or_default();
    let host = |url: &String| {
        let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
        rest.split('/').next().unwrap_or_default().to_owned()
    };
    Ok(Order {
        folder: args.folder.clone(),
        groups: args.groups.clone().unwrap_or_else(|| args.folder.join("groups")),
        assets: whole(&args.assets.clone().unwrap_or_else(|| args.folder.join("assets")))?,
        hosts: args.url.iter().map(host).filter(|host| !host.is_empty()).collect(),
        machines: args.machine.clone(),
        home,
    })
}

fn read_from(order: &Order, lab: Option<&LabSpec>, gateway: bool) -> Result<Imported, Failure> {
    let advice = "name the folder that holds `groups` and `profiles`, and machines with --machine NAME=MAC";
    let imported = read(order, lab, gateway).map_err(|why| Failure::with_advice(why, advice))?;
    if imported.usable == 0 {
        let lost: Vec<String> = imported.remarks.iter().map(sentence).collect();
        let why = format!("no profile could be carried over, and nothing was written\n{}", lost.join("\n"));
        return Err(Failure::with_advice(why, advice));
    }
    Ok(imported)
}

/// A whole new lab file.
async fn anew(order: &Order, args: &MatchboxArgs) -> Result<(Imported, String), Failure> {
    let network = init::network(&args.network).await?;
    let imported = read_from(order, None, network.gateway.is_some())?;
    let lines = [imported.head.as_str(), imported.groups.as_str(), imported.scenarios.as_str()];
    let text = init::lab_of(network, args.columns, &imported.machines, (&args.name, &args.out), lines)?;
    Ok((imported, text))
}

/// A lab file that is there, with groups and scenarios added.
fn beside(order: &Order, lab: &Path) -> Result<(Imported, String), Failure> {
    let spec = config::load(lab).map_err(|mistakes| Failure::Usage(mistakes.to_string()))?;
    // Paths in a lab file are seen from its folder.
    let folder = std::path::absolute(lab).ok().and_then(|path| path.parent().map(PathBuf::from));
    if folder.as_deref() != Some(order.home.as_path()) {
        let why =
            format!("paths in {} are seen from its folder: write the new file there too", lab.display());
        return Err(Failure::Usage(why));
    }
    let text = fs::read_to_string(lab).map_err(|why| Failure::failed(format!("{}: {why}", lab.display())))?;
    let imported = read_from(order, Some(&spec), spec.network.gateway.is_some())?;
    let room = |section: &str| {
        let why = format!("`{section}` of {} has no room for more lines", lab.display());
        Failure::with_advice(why, "write it one name a line, indented by two spaces")
    };
    let text = inserted(&text, "groups", &imported.groups).ok_or_else(|| room("groups"))?;
    let text = inserted(&text, "scenarios", &imported.scenarios).ok_or_else(|| room("scenarios"))?;
    let text = format!("{}{text}", imported.head);
    let folder = lab.parent().unwrap_or_else(|| Path::new(""));
    config::parse(text.as_bytes(), &lab.display().to_string(), folder).map_err(|mistakes| {
        Failure::with_advice(format!("together they have mistakes:\n{mistakes}"), "nothing was written")
    })?;
    Ok((imported, text))
}

/// Writes the texts, then the lab file that names them.
fn write(args: &MatchboxArgs, home: &Path, imported: &Imported, text: &str) -> Result<(), Failure> {
    let fault =
        |path: &Path, why: &dyn std::fmt::Display| Failure::failed(format!("{}: {why}", path.display()));
    let paths = || imported.files.keys().map(|path| home.join(path));
    let taken = std::iter::once(args.out.clone()).chain(paths()).find(|path| path.exists() && !args.force);
    if let Some(path) = taken {
        let why = format!("{} is there already", path.display());
        return Err(Failure::with_advice(
            why,
            "write to another place with --out FILE, or anew with --force",
        ));
    }
    for (path, content) in paths().zip(imported.files.values()) {
        let folder = path.parent().unwrap_or(home);
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&path, content))
            .map_err(|why| fault(&path, &why))?;
    }
    init::keep(&args.out, text, args.force)
}

fn sentence(remark: &Remark) -> String {
    let word = if remark.lost { "lost" } else { "note" };
    let help = if remark.help.is_empty() { String::new() } else { format!("\n        {}", remark.help) };
    format!("{word}  {}: {}{help}", remark.place, remark.what)
}

fn tell(args: &MatchboxArgs, imported: &Imported, spec: &LabSpec, look: Look) -> Result<(), Failure> {
    if args.json {
        return out::json(&imported.remarks, true);
    }
    let (lost, notes): (Vec<&Remark>, Vec<&Remark>) = imported.remarks.iter().partition(|remark| remark.lost);
    for remark in lost.into_iter().chain(notes) {
        if remark.lost || !look.quiet {
            out::line(&sentence(remark))?;
        }
    }
    if look.quiet {
        return Ok(());
    }
    let count = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    out::line(&format!(
        "Wrote {} with {}, {} and {}.",
        args.out.display(),
        count(spec.board.nodes.len(), "machine"),
        count(imported.usable, "scenario"),
        count(imported.files.len(), "template")
    ))?;
    out::line(&format!("Then: labinator check {0}, labinator serve --lab {0}", args.out.display()))
}
