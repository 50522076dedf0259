//! Packages of other Debian suites, unpacked into the cache: newer peers for the tests, and a host that stays as it is.
//!
//! A stage names one as `trixie/ipxe`, and a program of `PyPI` as `pypi/NAME`. Its tests find it below `LABINATOR_SUITES`, as `trixie/ipxe/usr/lib/..`.
//! The same works on Debian 12 and 13: apt is given lists, status and sources of its own for each suite.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::workspace::{Outcome, Workspace, printed, succeeds};
use crate::{debian, pypi};

/// Where tests find what was unpacked.
pub(crate) const VARIABLE: &str = "LABINATOR_SUITES";
/// Signs every suite of Debian.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Written last into a folder: what lies beside it is whole.
const WHOLE: &str = ".whole";

/// Installs the plain names, and unpacks those with a suite before them. A suite that cannot be reached costs the
/// tests that look for it, which say so, and not their whole stage.
///
/// # Errors
/// One line that names what is missing and what would bring it.
pub(crate) fn ensure(workspace: &Workspace, packages: &[&str]) -> Outcome<()> {
    let (foreign, plain): (Vec<&str>, Vec<&str>) = packages.iter().partition(|name| name.contains('/'));
    debian::ensure(&plain)?;
    for wanted in foreign {
        let (suite, package) = wanted.split_once('/').unwrap_or_default();
        if suite == pypi::SUITE {
            if let Err(why) = pypi::install(&folder(workspace), package) {
                println!("{package} of PyPI is missing: {why}");
            }
        } else if let Err(why) = unpack(&folder(workspace), suite, package) {
            println!("{package} of Debian {suite} is missing: {why}");
        }
    }
    Ok(())
}

/// The folder that [`VARIABLE`] names.
pub(crate) fn folder(workspace: &Workspace) -> PathBuf {
    workspace.cache.join("suites")
}

fn unpack(suites: &Path, suite: &str, package: &str) -> Outcome<()> {
    let wanted = suites.join(suite).join(package);
    if wanted.join(WHOLE).is_file() {
        return Ok(());
    }
    println!("unpacking {package} of Debian {suite} into {}", wanted.display());
    let apt = Apt::of(suites, suite)?;
    // What an earlier run left half done would be taken for part of this one.
    if wanted.exists() {
        std::fs::remove_dir_all(&wanted)?;
    }
    std::fs::create_dir_all(&wanted)?;
    // A list of last month names versions that the mirror has no longer.
    if !(apt.knows(package) && apt.download(package, &wanted)?) {
        if !succeeds(&mut apt.command("apt-get", &["update", "--quiet"]))? {
            return Err("its package list could not be fetched".into());
        }
        if !apt.download(package, &wanted)? {
            return Err("it could not be downloaded".into());
        }
    }
    let archive = std::fs::read_dir(&wanted)?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|end| end == "deb"))
        .ok_or("nothing was downloaded")?;
    if !succeeds(Command::new("dpkg-deb").arg("--extract").arg(&archive).arg(&wanted))? {
        return Err("it could not be unpacked".into());
    }
    std::fs::remove_file(&archive)?;
    std::fs::write(wanted.join(WHOLE), archive.file_name().unwrap_or_default().as_encoded_bytes())?;
    Ok(())
}

/// apt with a world of its own.
struct Apt {
    settings: PathBuf,
}

impl Apt {
    fn of(suites: &Path, suite: &str) -> Outcome<Self> {
        if !debian::on_path("apt-get") || !debian::on_path("dpkg-deb") {
            return Err("this machine has no apt-get and dpkg-deb".into());
        }
        if !Path::new(KEYRING).is_file() {
            return Err(format!("{KEYRING} is missing; install debian-archive-keyring").into());
        }
        let home = suites.join(suite).join(".apt");
        for folder in ["lists/partial", "cache/archives/partial"] {
            std::fs::create_dir_all(home.join(folder))?;
        }
        std::fs::File::options().create(true).append(true).open(home.join("status"))?;
        let architecture = printed(Command::new("dpkg").arg("--print-architecture"))?;
        std::fs::write(home.join("sources.list"), source(&mirror()?, suite))?;
        let settings = home.join("apt.conf");
        std::fs::write(&settings, configuration(&home, architecture.trim()))?;
        Ok(Self { settings })
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).env("APT_CONFIG", &self.settings).env("DEBIAN_FRONTEND", "noninteractive");
        command
    }

    fn download(&self, package: &str, into: &Path) -> Outcome<bool> {
        succeeds(self.command("apt-get", &["download", "--quiet", package]).current_dir(into))
    }

    fn knows(&self, package: &str) -> bool {
        crate::workspace::quietly(&mut self.command("apt-cache", &["show", package]))
    }
}

fn source(mirror: &str, suite: &str) -> String {
    format!("deb [signed-by={KEYRING}] {mirror} {suite} main\n")
}

/// Everything that apt would read or write elsewhere lies in `home`; nothing is installed, so no other user is needed.
fn configuration(home: &Path, architecture: &str) -> String {
    let home = home.display();
    format!(
        "Dir::State \"{home}\";\nDir::State::lists \"{home}/lists\";\nDir::State::status \"{home}/status\";\n\
         Dir::Cache \"{home}/cache\";\nDir::Etc::sourcelist \"{home}/sources.list\";\nDir::Etc::sourceparts \"-\";\n\
         APT::Architecture \"{architecture}\";\nAPT::Sandbox::User \"root\";\nAcquire::Languages \"none\";\n\
         Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";\n"
    )
}

/// The mirror this machine uses itself, which is the one it can reach.
fn mirror() -> Outcome<String> {
    let mut ask = Command::new("apt-get");
    ask.args(["indextargets", "--format", "$(SITE) $(REPO_URI)", "Created-By: Packages"]);
    let told = printed(&mut ask).unwrap_or_default();
    let mirror = first_mirror(&told).ok_or("this machine's own sources name no archive of Debian")?;
    Ok(mirror.trim_end_matches('/').to_owned())
}

/// The first archive of the whole distribution; the one for security fixes has no other suites.
fn first_mirror(targets: &str) -> Option<&str> {
    let addresses = targets.lines().filter_map(|line| line.split_whitespace().last());
    addresses.into_iter().find(|uri| uri.ends_with("/debian/") || uri.ends_with("/debian"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_of_security_fixes_is_no_mirror() {
        let told =
            "http://s.example http://s.example/debian-security/\nhttp://m.example http://m.example/debian/\n";
        assert_eq!(first_mirror(told), Some("http://m.example/debian/"));
        assert_eq!(first_mirror("http://u.example http://u.example/ubuntu/\n"), None);
    }

    #[test]
    fn apt_touches_nothing_outside_its_folder() {
        let text = configuration(Path::new("/c/trixie/.apt"), "amd64");
        for line in text.lines().filter(|line| line.starts_with("Dir::") && !line.contains("parts")) {
            assert!(line.contains("/c/trixie/.apt"), "{line}");
        }
    }

    #[test]
    fn a_source_is_signed_by_debian() {
        assert_eq!(
            source("http://m/debian", "sid"),
            format!("deb [signed-by={KEYRING}] http://m/debian sid main\n")
        );
    }
}
