//! `boot` of a profile: kernel, initramfs files and arguments, as matchbox puts them into an iPXE script
//! (`matchbox/http/ipxe.go`).

use std::path::Path;

use super::ipxe::{self, Around};
use super::serve::{Cook, FOLDER, Lost};
use super::store::Profile;
use super::urls::{Wanted, decoded};

/// An image of the lab file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) kernel: String,
    pub(super) initrd: Vec<String>,
    pub(super) args: String,
}

/// What a profile boots.
#[derive(Debug, Clone)]
pub(super) struct Boot {
    pub(super) kernel: String,
    pub(super) initrd: Vec<String>,
    /// Arguments, with a hole for each address of matchbox.
    pub(super) args: String,
    /// What belongs into the holes.
    pub(super) wanted: Vec<Wanted>,
    /// Where the arguments stand.
    pub(super) place: String,
    /// False when a part of it was lost.
    pub(super) right: bool,
}

impl Boot {
    pub(super) fn image(&self) -> Image {
        Image { kernel: self.kernel.clone(), initrd: self.initrd.clone(), args: self.args.clone() }
    }
}

/// A file that iPXE is told to load: `--name NAME URL WORDS`.
#[derive(Debug, PartialEq, Eq)]
struct Load<'a> {
    name: Option<&'a str>,
    url: &'a str,
    words: Vec<&'a str>,
}

/// Options of `kernel` and `initrd` (iPXE's `src/hci/commands/image_cmd.c`).
fn load(text: &str) -> Result<Load<'_>, String> {
    let mut words = text.split_whitespace().peekable();
    let mut name = None;
    while let Some(word) = words.next_if(|word| word.starts_with('-')) {
        let (option, value) =
            word.split_once('=').map_or((word, None), |(option, value)| (option, Some(value)));
        match option {
            "--name" | "-n" => name = value.or_else(|| words.next()),
            // How long to try, and when to let go: nothing that boots differently.
            "--timeout" | "-t" => drop(value.or_else(|| words.next())),
            "--autofree" | "-a" => {}
            other => return Err(format!("the option `{other}` of iPXE has no equal here")),
        }
    }
    let url = words.next().ok_or("it names no file")?;
    Ok(Load { name, url, words: words.collect() })
}

/// What a profile boots.
pub(super) fn boot(cook: &mut Cook<'_>, profile: &Profile, around: Around<'_>) -> Boot {
    let at = |part: &str| format!("{}: boot.{part}", profile.place);
    let kernel = loaded(cook, &at("kernel"), &profile.kernel);
    let mut initrd = Vec::new();
    let mut known = Vec::new();
    let mut right = kernel.is_ok();
    for (number, text) in profile.initrd.iter().enumerate() {
        let place = at(&format!("initrd[{number}]"));
        match loaded(cook, &place, text) {
            Ok((path, load)) => {
                if !load.words.is_empty() {
                    let what = format!(
                        "iPXE would pack `{}` around it, which has no equal here",
                        load.words.join(" ")
                    );
                    cook.remarks.lost(&place, what, "");
                    right = false;
                }
                let file = load.url.rsplit('/').next().unwrap_or_default();
                known.extend([file].into_iter().chain(load.name));
                initrd.push(path);
            }
            Err(Lost) => right = false,
        }
    }
    let mut args = Vec::new();
    let mut wanted = Vec::new();
    let kernel_words = kernel.as_ref().map(|(_, load)| load.words.join(" ")).unwrap_or_default();
    let first = std::iter::once(("kernel".to_owned(), kernel_words.as_str()));
    let rest = profile.args.iter().enumerate().map(|(number, arg)| (format!("args[{number}]"), arg.as_str()));
    for (part, text) in first.chain(rest) {
        let words: Vec<&str> = text.split(' ').filter(|word| !names_initrd(word, &known)).collect();
        match argument(cook, &at(&part), &words.join(" "), (around, wanted.len())) {
            Ok((text, more)) => {
                args.push(text);
                wanted.extend(more);
            }
            Err(Lost) => right = false,
        }
    }
    args.retain(|arg| !arg.is_empty());
    let kernel = kernel.map(|(kernel, _)| kernel).unwrap_or_default();
    Boot { kernel, initrd, args: args.join(" "), wanted, place: at("args"), right }
}

/// `initrd=` of a kernel that UEFI starts: ours are named by Labinator itself.
fn names_initrd(word: &str, known: &[&str]) -> bool {
    let names = word.strip_prefix("initrd=");
    names.is_some_and(|names| names.split(',').all(|name| known.contains(&name)))
}

/// One argument, its holes counted on from `from`.
fn argument(
    cook: &mut Cook<'_>,
    place: &str,
    text: &str,
    (around, from): (Around<'_>, usize),
) -> Result<(String, Vec<Wanted>), Lost> {
    let (text, wanted) = cook.with_holes(place, text, from)?;
    let text = ipxe::translate(text.trim(), around).map_err(|faults| {
        for what in faults {
            cook.remarks.lost(
                place,
                what,
                "name the machines with their labels: --machine NAME=MAC,uuid=..,serial=..",
            );
        }
        Lost
    })?;
    if text.chars().any(char::is_control) {
        cook.remarks.lost(place, "kernel arguments are one line without control characters", "");
        return Err(Lost);
    }
    Ok((text, wanted))
}

/// A file to load, as a path of the lab file.
fn loaded<'a>(cook: &mut Cook<'_>, place: &str, text: &'a str) -> Result<(String, Load<'a>), Lost> {
    let load = load(text).map_err(|what| {
        cook.remarks.lost(place, what, "");
        Lost
    })?;
    if load.url.contains("${") {
        cook.remarks.lost(place, format!("which file it is, is known to iPXE alone: {}", load.url), "");
        return Err(Lost);
    }
    // GRUB writes `(http;HOST)/PATH`.
    let grub = load.url.strip_prefix("(http;").and_then(|rest| rest.split_once(')'));
    let (host, path) = match (grub, load.url.split_once("://")) {
        (Some((host, path)), _) => (Some(host), path),
        (None, Some((_, rest))) => {
            rest.find('/').map_or((Some(rest), ""), |cut| (Some(rest.split_at(cut).0), rest.split_at(cut).1))
        }
        (None, None) => (None, load.url),
    };
    let own = host.is_none_or(|host| cook.hosts.iter().any(|known| known.eq_ignore_ascii_case(host)));
    let asset = path.trim_start_matches('/').strip_prefix("assets/").filter(|_| own);
    if let Some(asset) = asset {
        let full = cook.assets.join(decoded(asset));
        cook.missing(place, &full);
        return Ok((cook.shown(&full), load));
    }
    let url = load.url.to_owned();
    if own {
        cook.remarks.lost(place, format!("matchbox has no {url}: files lie below /assets"), "");
        return Err(Lost);
    }
    let name = cook.named(&Wanted::Other(url.clone()), &url);
    let full = cook.home.join(FOLDER).join("fetched").join(name);
    let shown = cook.shown(&full);
    if !Path::new(&full).is_file() {
        let help = format!("curl --create-dirs -Lo {shown} '{url}'");
        cook.remarks.note(place, format!("machines fetch {url}; Labinator serves files it has"), help);
    }
    Ok((shown, load))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_ipxe_are_told_from_the_file() {
        let told = load("--name main --timeout 100 /assets/a.img --x").unwrap();
        assert_eq!(told, Load { name: Some("main"), url: "/assets/a.img", words: vec!["--x"] });
        assert_eq!(load("-n=a b").unwrap().name, Some("a"));
        assert!(load("--replace x").is_err());
        assert!(load("").is_err());
        assert!(names_initrd("initrd=main", &["a.img", "main"]));
        assert!(!names_initrd("initrd=main,other", &["a.img", "main"]));
        assert!(!names_initrd("noinitrd", &["a.img"]));
    }
}
